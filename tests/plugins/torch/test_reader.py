"""Reading PyTorch: whole modules, what other tools get wrong, masks, ties, batches, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

import sparseopt as so


class Function(nn.Module):
    """A module of one function of its input and of further modules."""

    def __init__(self, function: Callable[..., torch.Tensor], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def filled(module: nn.Module, value: float) -> nn.Module:
    """Return the module with every parameter equal to `value`."""
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)
    return module


def norm(module: nn.Module, shape: tuple[int, ...], q: float = 1, **more: Any) -> so.PathNormValue:
    """Return the path-norm of a module, computed by both solvers where it is small."""
    network = so.load_network(module.eval(), example=torch.zeros(shape))
    answer = so.solve(so.PathNorm(network, q, **more)).answer
    if network.edge_count <= 20_000 and network.neurons.path_count() < 50_000:
        slow = so.solve(so.PathNorm(network, q, **more), solver="path_enumeration").answer
        assert slow.log10 == pytest.approx(answer.log10, abs=1e-12)
    return answer


# What other tools get wrong -----------------------------------------------------------------


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


# Batches ------------------------------------------------------------------------------------


def test_a_batch_of_examples_is_one_sample_each() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    network = so.load_network(model, example=torch.zeros(8, 3, 6, 6))
    assert (network.input_shape, network.output_shape) == ((3, 6, 6), (2,))
    x = torch.randn(5, 3, 6, 6)
    right = model(x).detach().numpy()
    np.testing.assert_allclose(network.run(x.numpy()), right, rtol=1e-4, atol=1e-5)


def test_a_sample_of_two_axes_is_no_batch() -> None:
    model = nn.Sequential(nn.Flatten(0), nn.Linear(12, 2))
    network = so.load_network(model, example=torch.zeros(3, 4))
    assert network.input_shape == (3, 4)
    unbatched = so.load_network(nn.Conv2d(3, 2, 1), example=torch.zeros(3, 4, 4))
    assert unbatched.output_shape == (2, 4, 4)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_exported_programs_and_files(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    x = torch.randn(4, 3, 4)
    right = model(x).detach().numpy()
    fixed = torch.export.export(model, (x,))
    open_batch = torch.export.export(
        model, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=2, max=64)},)
    )
    for program in (fixed, open_batch, fixed.run_decompositions()):
        network = so.load_network(program)
        assert network.input_shape == (3, 4)
        np.testing.assert_allclose(network.run(x.numpy()), right, rtol=1e-4, atol=1e-5)
    path = tmp_path / "model.pt2"
    torch.export.save(fixed, path)
    np.testing.assert_allclose(so.load_network(path).run(x.numpy()), right, rtol=1e-4, atol=1e-5)
    for part in (b"", b"junk", path.read_bytes()[:500]):
        path.write_bytes(part)
        with pytest.raises(so.ProblemError, match="not a program saved by"):
            so.load_network(path)


def test_open_sizes_need_an_example() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=4), 3: 6}
    program = torch.export.export(model, (torch.zeros(2, 1, 8, 6),), dynamic_shapes=(dims,))
    with pytest.raises(so.ProblemError, match="pass example="):
        so.load_network(program)
    assert so.load_network(program, example=torch.zeros(1, 1, 9, 6)).input_shape == (1, 9, 6)
    with pytest.raises(so.ProblemError, match=r"the program takes \(\?, 1, \?, 6\)"):
        so.load_network(program, example=torch.zeros(1, 1, 9, 7))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_decomposed_programs() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(16, 3),
        nn.LogSoftmax(1),
    ).eval()
    x = torch.randn(1, 3, 8, 8)
    program = torch.export.export(model, (x,)).run_decompositions()
    first, second = so.load_network(program), so.load_network(model, example=x)
    np.testing.assert_allclose(first.run(x.numpy()), second.run(x.numpy()), rtol=1e-5, atol=1e-6)
    assert so.solve(so.PathNorm(first)).answer.value == pytest.approx(
        so.solve(so.PathNorm(second)).answer.value
    )


# Masks, names, immutability -----------------------------------------------------------------


def test_masks_are_applied_and_the_module_is_left_alone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    prune.l1_unstructured(model[0], "weight", 0.5)
    prune.random_unstructured(model[2], "bias", 0.5)
    model(torch.zeros(1, 6))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    network = so.load_network(model, example=torch.zeros(1, 6))
    x = torch.randn(4, 6)
    np.testing.assert_allclose(
        network.run(x.numpy()), model(x).detach().numpy(), rtol=1e-5, atol=1e-6
    )
    assert np.count_nonzero(network.parameters()["0.weight"]) == 24
    assert prune.is_pruned(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert network.by_name["0"].origin == {"weight": "0.weight", "bias": "0.bias"}


def test_parametrized_weights_are_computed() -> None:
    model = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    network = so.load_network(model, example=torch.zeros(1, 4))
    x = torch.randn(1, 4)
    np.testing.assert_allclose(
        network.run(x.numpy()), model(x).detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_layers_are_named_by_their_modules() -> None:
    model = nn.Sequential()
    model.add_module("stem", nn.Conv2d(1, 2, 3))
    model.add_module("norm", nn.BatchNorm2d(2))
    model.add_module("act", nn.ReLU())
    network = so.load_network(model.eval(), example=torch.zeros(1, 1, 4, 4))
    assert [node.name for node in network.nodes][1:] == ["stem", "norm", "act"]
    assert "stem.weight" in network.parameters()


def test_training_on_does_not_change_a_loaded_network() -> None:
    model = nn.Linear(3, 2)
    network = so.load_network(model, example=torch.zeros(1, 3))
    before = network.run(np.ones(3))
    with torch.no_grad():
        model.weight.mul_(10)
    np.testing.assert_array_equal(network.run(np.ones(3)), before)


def test_double_precision_modules() -> None:
    model = nn.Linear(3, 2).double()
    network = so.load_network(model, example=np.zeros((1, 3)))
    assert network.parameters()[f"{network.output}.weight"].dtype == np.float64
    x = torch.randn(1, 3).double()
    np.testing.assert_allclose(network.run(x.numpy()), model(x).detach().numpy(), rtol=1e-14)


def test_operations_in_place_on_shared_values() -> None:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        view = y.view(-1)
        y.relu_()
        return torch.cat([y.flatten(), view, x.flatten()])  # the view was changed as well

    module = Function(forward)
    network = so.load_network(module, example=torch.zeros(1, 3))
    x = torch.randn(1, 3)
    np.testing.assert_allclose(network.run(x.numpy()).ravel(), module(x).numpy(), rtol=1e-6)


# Refusals -----------------------------------------------------------------------------------


class TwoInputs(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y


def normal_module(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), layer).eval()


REFUSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "gelu": (lambda: normal_module(nn.GELU()), (1, 4), r"aten\.gelu.default in 1\).*GELU is not"),
    "silu": (lambda: normal_module(nn.SiLU()), (1, 4), "SiLU is not"),
    "hardswish": (lambda: normal_module(nn.Hardswish()), (1, 4), "multiplies two values"),
    "tanh": (lambda: normal_module(nn.Tanh()), (1, 4), "tanh is not"),
    "elu": (lambda: normal_module(nn.ELU()), (1, 4), "ELU is not"),
    "layernorm": (lambda: normal_module(nn.LayerNorm(4)), (1, 4), "divides by a function"),
    "groupnorm": (lambda: normal_module(nn.GroupNorm(2, 4)), (1, 4), "divides by a function"),
    "lrn": (lambda: nn.LocalResponseNorm(2), (1, 4, 3, 3), "divides by|multiplies two|not among"),
    "attention": (
        lambda: Function(lambda m, x: F.scaled_dot_product_attention(x, x, x)),
        (1, 3, 4),
        "attention multiplies",
    ),
    "square": (lambda: Function(lambda m, x: x * x), (1, 3), "both depend"),
    "bilinear": (lambda: Function(lambda m, x: x @ x.mT), (1, 3, 3), "both depend"),
    "reciprocal": (lambda: Function(lambda m, x: 1 / x), (1, 3), "not among|divides by"),
    "divide": (lambda: Function(lambda m, x: x / (x + 1)), (1, 3), "divides by a value"),
    "power": (lambda: Function(lambda m, x: x**2), (1, 3), r"aten\.pow"),
    "sort": (lambda: Function(lambda m, x: x.sort(1)[0]), (1, 3), r"aten\.sort"),
    "argmax": (lambda: Function(lambda m, x: x.argmax(1)), (1, 3), r"aten\.argmax"),
    "indices": (
        lambda: Function(lambda m, x: x + x.max(1, keepdim=True)[1]),
        (1, 3),
        "only the first",
    ),
    "softmax": (
        lambda: Function(lambda m, x: x.softmax(1) @ torch.ones(3, 2)),
        (1, 3),
        "at the end",
    ),
    "threshold": (lambda: nn.Threshold(1.0, 0.0), (1, 3), "jumps"),
    "half": (lambda: nn.Linear(3, 2).half(), (1, 3), r"module\.float\(\)"),
    "half-constant": (
        lambda: Function(lambda m, x: x * m.p, p=nn.Parameter(torch.ones(3).half())),
        (1, 3),
        r"module\.float\(\)",
    ),
    "cast": (lambda: Function(lambda m, x: x.half().float()), (1, 3), "float16"),
    "two-outputs": (lambda: Function(lambda m, x: (x, 2 * x)), (1, 3), "returns 2 tensors"),
    "constant": (lambda: Function(lambda m, x: torch.ones(1, 3)), (1, 3), "does not depend"),
    "two-inputs": (TwoInputs, (1, 3), "cannot take an input"),
    "wrong-shape": (lambda: nn.Linear(5, 2), (1, 3), r"cannot take an input of shape \(1, 3\)"),
    "instance-norm": (lambda: nn.InstanceNorm2d(2).eval(), (1, 2, 3, 3), "divides by a function"),
    "batch-statistics": (
        lambda: nn.BatchNorm2d(2, track_running_stats=False).eval(),
        (1, 2, 3, 3),
        "training mode",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_refusals(name: str) -> None:
    build, shape, words = REFUSED[name]
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(build(), example=torch.zeros(shape))


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(2), nn.Dropout(0.5)])
def test_training_mode_is_refused_before_anything_runs(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), layer)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(so.ProblemError, match=r"layer '1' .* call module\.eval"):
        so.load_network(model, example=torch.zeros(4, 1, 5, 5))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_nan_weights_are_refused_by_name() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    with torch.no_grad():
        model[1].weight[1, 2] = math.nan
    with pytest.raises(so.ProblemError, match=r"in 1\).*nan at entry \(1, 2\)"):
        so.load_network(model, example=torch.zeros(1, 3))
    norm = nn.BatchNorm1d(3).eval()
    norm.running_var[1] = math.inf
    with pytest.raises(so.ProblemError, match="variance holds a NaN or infinity"):
        so.load_network(norm, example=torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("example", "words"),
    [
        (None, "pass example="),
        (torch.zeros(0, 3), "with entries"),
        (torch.zeros(1, 3, dtype=torch.complex64), "real"),
        ("x", "the example is a str"),
        ((torch.zeros(1, 3), torch.zeros(1, 3)), "holds 2 inputs"),
    ],
)
def test_bad_examples(example: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(nn.Linear(3, 2), example=example)


def test_a_misread_operator_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_torch import conversion

    wrong = {**conversion.OPERATORS, "aten.leaky_relu": conversion.OPERATORS["aten.relu"]}
    monkeypatch.setattr(conversion, "OPERATORS", wrong)
    with pytest.raises(so.ProblemError):
        so.load_network(nn.LeakyReLU(0.5), example=torch.zeros(1, 3))


def test_zero_size_layers_are_refused() -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        model = nn.Sequential(nn.Linear(3, 0), nn.Linear(0, 2))
    with pytest.raises(so.ProblemError, match=r"zero-size|without entries|constant"):
        so.load_network(model, example=torch.zeros(1, 3))


def test_torch_fx_is_the_second_way_and_leaves_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_torch import module_export

    export = module_export.exported

    def only_traced(module: nn.Module, x: torch.Tensor) -> torch.export.ExportedProgram:
        if not isinstance(module, torch.fx.GraphModule):
            raise RuntimeError("cannot follow this")
        return export(module, x)

    monkeypatch.setattr(module_export, "exported", only_traced)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    network = so.load_network(model, example=torch.zeros(1, 3))
    assert "torch.fx" in network.notes[0]
    x = torch.randn(5, 3)
    np.testing.assert_allclose(
        network.run(x.numpy()), model(x).detach().numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_readers_read_the_same_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, 1),
        nn.BatchNorm2d(4),
        nn.ReLU6(),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.LeakyReLU(0.1),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    ).eval()
    x = torch.randn(1, 2, 12, 12)
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (x,), str(path), dynamo=False)
    first, second = so.load_network(path), so.load_network(model, example=x)
    np.testing.assert_allclose(first.run(x.numpy()), second.run(x.numpy()), rtol=1e-4, atol=1e-5)
    for q in (1, 2):
        a, b = (so.solve(so.PathNorm(n, q, affine="merged")).answer for n in (first, second))
        assert a.log10 == pytest.approx(b.log10, abs=1e-6)
