"""Networks from PyTorch modules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_reading import Function, norm

import sparseopt as so


def filled(module: nn.Module, value: float) -> nn.Module:
    """Return the module with every parameter equal to `value`."""
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)
    return module


class Tutorial(nn.Module):
    """The CIFAR network of the PyTorch tutorial: one pooling module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = F.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(F.relu(self.fc2(x)))


def plain_norm(model: Tutorial) -> float:
    """The L1 norm of the tutorial network by hand: absolute weights, sums for pools."""
    with torch.no_grad():
        x = torch.ones(1, 3, 32, 32, dtype=torch.float64)
        for conv in (model.conv1, model.conv2):
            weight, bias = conv.weight.abs().double(), conv.bias.abs().double()
            x = 4 * F.avg_pool2d(F.conv2d(x, weight, bias), 2)
        x = x.flatten(1)
        for layer in (model.fc1, model.fc2, model.fc3):
            x = F.linear(x, layer.weight.abs().double(), layer.bias.abs().double())
        return float(x.sum())


def test_one_pooling_module_used_twice() -> None:
    torch.manual_seed(0)
    model = Tutorial()
    assert norm(model, (1, 3, 32, 32)).value == pytest.approx(plain_norm(model), rel=1e-12)


def test_relu6_does_not_clamp_the_path_sums() -> None:
    def build(activation: nn.Module) -> nn.Module:
        layers = [nn.Linear(4, 4), activation, nn.Linear(4, 4), activation, nn.Linear(4, 1)]
        return nn.Sequential(*(filled(layer, 3.0) for layer in layers))

    plain = norm(build(nn.ReLU()), (1, 4)).value
    clamped = norm(build(nn.ReLU6()), (1, 4)).value
    assert clamped > plain  # the gadget adds paths from its own biases, and takes none away


def test_difference_of_a_value_and_a_layer() -> None:
    lin = nn.Linear(2, 2)
    with torch.no_grad():
        lin.weight.copy_(torch.tensor([[0.3, -0.6], [1.0, 0.2]]))
        lin.bias.copy_(torch.tensor([0.5, -0.4]))
    # x - lin(x) keeps two paths from x_i to output i: 2 * 1 + 2.1 + 0.9
    assert norm(Function(lambda m, x: x - m.lin(x), lin=lin), (1, 2)).value == pytest.approx(5.0)
    assert norm(Function(lambda m, x: x + m.lin(x), lin=lin), (1, 2)).value == pytest.approx(5.0)


def test_raw_parameters() -> None:
    parameter = nn.Parameter(torch.tensor([-1.0, 2.0, -3.0]))
    times = Function(lambda m, x: x * m.p, p=parameter)
    plus = Function(lambda m, x: x + m.p, p=parameter)
    assert norm(times, (1, 3)).value == 6.0
    assert norm(plus, (1, 3)).value == 9.0


def test_addmm_is_no_addition() -> None:
    weight = torch.tensor([[1.0, -2.0], [-1.0, 2.0]])
    module = Function(lambda m, x: torch.addmm(torch.zeros(2), x, weight))
    assert norm(module, (1, 2)).value == 6.0


def test_leaky_relu_is_its_own_function() -> None:
    linear = filled(nn.Linear(2, 2, bias=False), 1.0)
    module = Function(lambda m, x: F.leaky_relu(m.lin(x), 0.1), lin=linear)
    assert norm(module, (1, 2)).value == pytest.approx(4.0)
    steep = Function(lambda m, x: F.leaky_relu(m.lin(x), 3.0), lin=linear)
    assert norm(steep, (1, 2)).value == pytest.approx(16.0)


def test_maxima_are_pools() -> None:
    assert norm(Function(lambda m, x: x.amax((2, 3))), (1, 1, 5, 5)).value == 25.0
    pair = Function(lambda m, x: torch.maximum(3 * x, 2 * x))
    assert norm(pair, (1, 2)).value == 10.0


def test_ceil_mode() -> None:
    assert norm(nn.MaxPool2d(2, ceil_mode=True), (1, 1, 5, 5)).value == 25.0


@pytest.mark.parametrize(("size", "target"), [(8, 3), (1, 7), (5, 5), (7, 2)])
def test_adaptive_averages(size: int, target: int) -> None:
    squared = 0.0
    for i in range(target):
        width = -(-(i + 1) * size // target) - i * size // target
        squared += 1.0 / width
    answer = norm(nn.AdaptiveAvgPool2d(target), (1, 1, size, size), 2, r=2)
    assert answer.value**2 == pytest.approx(squared**2)


def test_adaptive_average_of_8_to_3_has_the_published_value() -> None:
    assert norm(nn.AdaptiveAvgPool2d(3), (1, 1, 8, 8), 2, r=2).value ** 2 == pytest.approx(
        (1 / 3 + 1 / 4 + 1 / 3) ** 2
    )


def test_tied_layers_take_each_power_once() -> None:
    lin = nn.Linear(3, 3, bias=False)
    module = Function(lambda m, x: m.lin(F.relu(m.lin(x))), lin=lin)
    weight = lin.weight.detach().double().numpy() ** 2
    answer = norm(module, (1, 3), 2, r=2)
    assert answer.value**2 == pytest.approx((weight @ weight @ np.ones(3)).sum(), rel=1e-7)
    network = so.load_network(module, example=torch.zeros(1, 3))
    assert list(network.tied) == ["lin.weight"]


def test_two_names_of_one_tensor_are_tied() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    network = so.load_network(model, example=torch.zeros(1, 3))
    assert network.tied == {"0.weight": ("0.weight", "2.weight")}


def test_zero_weights_are_no_paths() -> None:
    linear = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.0, 2.0, 0.0]]))
    assert norm(linear, (1, 3), 0).exact == 1
    assert norm(linear, (1, 3), math.inf).value == 2


def test_the_largest_path() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    w1, w2 = (model[i].weight.detach().abs().double() for i in (0, 2))
    b1, b2 = (model[i].bias.detach().abs().double() for i in (0, 2))
    hidden = torch.maximum(w1.amax(1), b1)
    right = torch.maximum((w2 * hidden).amax(1), b2).max()
    assert norm(model, (1, 3), math.inf, r=math.inf).value == pytest.approx(float(right))


def test_the_example_is_only_a_shape() -> None:
    model = nn.Linear(3, 1, bias=False)
    values = []
    for example in (torch.zeros(1, 3), 7 * torch.ones(1, 3), np.ones((1, 3), dtype=np.int64)):
        network = so.load_network(model, example=example)
        values.append(so.solve(so.PathNorm(network)).answer.value)
    assert values[0] == values[1] == values[2]


def test_steps_that_depend_on_the_data_are_refused() -> None:
    module = Function(lambda m, x: x * 2 if x.sum() > 0 else x)
    with pytest.raises(so.ProblemError, match="depend on the data"):
        so.load_network(module, example=torch.ones(1, 3))


def test_functional_layers_and_a_sigmoid_head() -> None:
    conv = nn.Conv2d(1, 2, 3)

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(m.conv(F.pad(x, (1, 1, 1, 1)))), 2)
        return torch.sigmoid(m.fc(x.flatten(1)))

    module = Function(forward, conv=conv, fc=nn.Linear(8, 3))
    network = so.load_network(module, example=torch.zeros(1, 1, 4, 4))
    x = torch.randn(1, 1, 4, 4)
    logits = torch.logit(module(x)).detach().numpy()
    np.testing.assert_allclose(network.run(x.numpy()), logits, rtol=1e-4, atol=1e-4)
    assert "sigmoid" in network.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "q"), [(600, 1), (300, 4)])
def test_depth_overflows_nothing(depth: int, q: float) -> None:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(16, 16), nn.ReLU()]
    answer = norm(nn.Sequential(*layers), (1, 16), q)
    assert math.isfinite(answer.log10)
    assert answer.log10 != 0


def test_a_layer_in_double_precision_among_single_ones() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 4).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x.double()).to(torch.float32)

    module, x = Mixed(), torch.randn(1, 6)
    network = so.load_network(module, example=x)
    np.testing.assert_allclose(
        network.run(x.double().numpy()), module(x).detach().numpy(), rtol=1e-5, atol=1e-6
    )
