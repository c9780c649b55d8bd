"""The comparison of a loaded network with its source: what it must notice, and what excuse."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx_models import model_of, normal
from torch import nn

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu
from sparseopt.networks.port import Port
from sparseopt.networks.window import Resample
from sparseopt.tools.reading.agreement import require_agreement, require_digits
from sparseopt.tools.reading.window_cells import total_map

NAME = "the source"


def network() -> Network:
    rng = np.random.default_rng(0)
    draw = rng.standard_normal
    mean = Resample(tuple(total_map(axis, 4, True) for axis in (1, 2)))
    return chain(
        (2, 6, 6),
        Conv(draw((3, 2, 3, 3)).astype(np.float32), draw(3).astype(np.float32)),
        Scale(draw((3, 1, 1)), draw((3, 1, 1))),
        Relu(),
        mean,
    )


def reference_of(net: Network) -> Any:
    return lambda x: net.run(x)


def changed(net: Network, name: str, change: Any) -> Network:
    array = np.array(net.parameters()[name])
    return net.with_parameters({name: change(array)})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_networks_agree(dtype: Any) -> None:
    net = network()
    assert require_agreement(net, reference_of(net), dtype, NAME)
    assert require_agreement(net.merged, reference_of(net), dtype, NAME)


def bump(array: np.ndarray, amount: float) -> np.ndarray:
    array[(0,) * array.ndim] += amount
    return array


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("0:Conv.weight", lambda w: w.swapaxes(2, 3)),
        ("0:Conv.weight", lambda w: bump(w, 1e-3)),
        ("0:Conv.bias", lambda b: bump(b, 1e-3)),
        ("1:Scale.bias", lambda b: b[::-1]),
    ],
)
def test_other_weights_are_noticed_in_both_precisions(name: str, change: Any) -> None:
    net = network()
    other = changed(net, name, change)
    for dtype in (np.float32, np.float64):
        with pytest.raises(so.ProblemError, match="differ by"):
            require_agreement(other, reference_of(net), dtype, NAME)


def test_float64_notices_what_float32_cannot() -> None:
    net = network()
    other = changed(net, "0:Conv.weight", lambda w: bump(w, 1e-6))
    assert require_agreement(other, reference_of(net), np.float32, NAME)
    with pytest.raises(so.ProblemError, match="differ by"):
        require_agreement(other, reference_of(net), np.float64, NAME)


def test_a_small_output_beside_a_large_one_is_compared() -> None:
    weight = np.diag([1e6, 1.0])
    net = chain((2,), Dense(weight))
    other = chain((2,), Dense(np.diag([1e6, 2.0])))
    with pytest.raises(so.ProblemError, match="differ by"):
        require_agreement(other, reference_of(net), np.float64, NAME)


def test_a_bound_that_only_large_inputs_meet_is_noticed() -> None:
    net = chain((4,), Dense(np.eye(4)))

    def clipped(x: np.ndarray) -> np.ndarray:
        return np.clip(x, -40.0, 40.0)

    with pytest.raises(so.ProblemError, match="differ by"):
        require_agreement(net, clipped, np.float32, NAME)


def test_results_that_are_no_numbers() -> None:
    net = chain((2,), Dense(np.eye(2)))
    huge = replace(net, nodes=(net.nodes[0], replace(net.nodes[1], op=Dense(1e300 * np.eye(2)))))
    with pytest.raises(so.ProblemError, match="differ by"):
        require_agreement(huge, reference_of(net), np.float32, NAME)
    assert not require_agreement(net, lambda x: x * np.nan, np.float32, NAME)
    assert not require_agreement(net, lambda x: x + np.inf, np.float32, NAME)


def test_the_number_of_outputs_counts() -> None:
    net = chain((2,), Dense(np.eye(2)))

    def twice(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, x])

    assert require_agreement(net, lambda x: x, np.float64, NAME, copies=2)
    with pytest.raises(so.ProblemError, match="has 2 outputs, the source has 4"):
        require_agreement(net, twice, np.float64, NAME)


@pytest.mark.parametrize(
    "mixed",
    [lambda x: x + x.mean(axis=0) - x[:1], lambda x: x[::-1], lambda x: x * np.sign(x[0])],
    ids=["mean", "order", "first"],
)
def test_samples_of_a_batch_are_told_apart(mixed: Any) -> None:
    net = chain((2,), Dense(np.eye(2)))
    with pytest.raises(so.ProblemError, match="mixes the samples of a batch of 3"):
        require_agreement(net, mixed, np.float64, NAME, copies=3)


def test_rounding_that_the_network_magnifies_is_excused_but_nothing_else() -> None:
    # (x + 1e5) - 1e5 loses digits of x in float32; the source adds up in another order.
    big = np.full(3, 1e5)
    net = chain((3,), Scale(None, big), Scale(None, -big))
    assert require_agreement(net, lambda x: x, np.float32, NAME)
    with pytest.raises(so.ProblemError, match="differ by"):
        require_agreement(net, lambda x: 1.1 * x + 1, np.float32, NAME)


class Function(nn.Module):
    """A module of one function of itself and its input."""

    def __init__(self, function: Any, **buffers: torch.Tensor) -> None:
        super().__init__()
        self.function = function
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def test_modules_that_are_no_fixed_function_are_refused() -> None:
    x = torch.zeros(1, 3)
    noisy = Function(lambda m, x: x + torch.rand(3))
    with pytest.raises(so.ProblemError, match="draws random numbers"):
        so.load_network(noisy, example=x)
    moody = Function(lambda m, x: x * random.random())
    with pytest.raises(so.ProblemError, match="depends on more than its input"):
        so.load_network(moody, example=x)


def test_what_a_forward_writes_is_left_as_it_was() -> None:
    def counting(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.count.add_(1)
        return x * 2

    module = Function(counting, count=torch.zeros(1))
    for batch in (1, 4):
        network = so.load_network(module, example=torch.zeros(batch, 3))
        assert module.count.item() == 0
        assert network.run([1.0, 2.0, 3.0]).tolist() == [2, 4, 6]


def test_inputs_that_are_overwritten() -> None:
    for module in (
        nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)),
        Function(lambda m, x: x.add_(1.0) * 3),
    ):
        network = so.load_network(module, example=torch.zeros(1, 3))
        x = torch.randn(5, 3)
        right = module(x.clone()).detach().numpy()
        np.testing.assert_allclose(network.run(x.numpy()), right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("scale", "notes"), [(100.0, 0), (1e12, 1)])
def test_modules_whose_values_leave_float32(scale: float, notes: int) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 4) for _ in range(40)]
    for layer in layers:
        nn.init.uniform_(layer.weight, 0, scale)
    network = so.load_network(nn.Sequential(*layers), example=torch.zeros(1, 4))
    assert len(network.notes) == notes
    assert np.isfinite(so.solve(so.PathNorm(network)).answer.log10)


def test_mixed_precisions() -> None:
    torch.manual_seed(0)
    module = Function(lambda m, x: x.double() @ m.w, w=torch.randn(3, 2, dtype=torch.float64))
    network = so.load_network(module, example=torch.zeros(1, 3))
    x = torch.randn(1, 3)
    np.testing.assert_allclose(network.run(x.numpy()), module(x).numpy(), rtol=1e-6)


def test_without_onnxruntime_the_reference_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: Any, **options: Any) -> None:
        raise RuntimeError("no engine\nfor this")

    monkeypatch.setattr(onnxruntime, "InferenceSession", none)
    model = model_of((1, 4), "Gemm", {"w": normal(4, 3)})
    assert so.load_network(model).notes == ()
    from sparseopt_onnx import reader as onnx_reader

    wrong = {**onnx_reader.OPERATORS, "Abs": onnx_reader.OPERATORS["Relu"]}
    monkeypatch.setattr(onnx_reader, "OPERATORS", wrong)
    with pytest.raises(so.ProblemError, match="ONNX's reference computes it differ by"):
        so.load_network(model_of((1, 4), "Abs"))
    monkeypatch.setattr(onnx.reference, "ReferenceEvaluator", none)
    (note,) = so.load_network(model).notes
    assert "not compared with other software (onnxruntime: no engine;" in note


@pytest.mark.parametrize(("depth", "scale"), [(4, 1e-3), (6, 0.05), (10, 0.1)])
def test_digits_that_clipping_drops_are_no_misunderstanding(depth: int, scale: float) -> None:
    """Untrained MobileNets have tiny values at a ReLU6, which is 6 - ReLU(6 - x) to the reader."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(8, 8, bias=False), nn.ReLU6()]
        layers[-2].weight.data *= scale
    module = nn.Sequential(*layers, nn.Linear(8, 3, bias=False)).eval()
    net = so.load_network(module, torch.zeros(1, 8))
    assert so.verify(so.solve(so.PathNorm(net))).ok
    other = changed(net, f"{2 * depth}.weight", np.negative)
    twin = module.double()
    with pytest.raises(so.ProblemError, match="misunderstood"):
        require_agreement(
            other, lambda x: twin(torch.from_numpy(x)).detach().numpy(), np.float64, NAME
        )


def two_outputs(factor: float) -> Network:
    """Return a network whose first output is large; the second is x times a factor."""
    net = chain((2,), Dense([[1e9, 0.0], [0.0, factor]]))
    return replace(net, outputs=(Port("big", (1,)), Port("small", (1,))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_output_is_compared_on_its_own_scale(dtype: Any) -> None:
    right = two_outputs(1.0)
    assert require_agreement(right, reference_of(right), dtype, NAME)
    with pytest.raises(so.ProblemError, match="misunderstood an operator"):
        require_agreement(right, reference_of(two_outputs(2.0)), dtype, NAME)


def test_an_output_that_overflows_does_not_hide_another() -> None:
    right = two_outputs(1.0)

    def reference(net: Network) -> Any:
        return lambda x: net.run(x) * np.array([np.inf, 1.0])

    assert not require_agreement(right, reference(right), np.float32, NAME)
    with pytest.raises(so.ProblemError, match="misunderstood an operator"):
        require_agreement(right, reference(two_outputs(2.0)), np.float32, NAME)


def test_the_digits_of_each_output_count() -> None:
    small = chain((1,), Dense([[1.0]]), Scale([1.0], [1e9]), Scale([1.0], [-1e9]))
    with pytest.raises(so.ProblemError, match="in single precision the model would be off"):
        require_digits(small)
    wide = chain((1,), Dense([[1e10], [1.0]]), Scale([1.0, 1.0], [0.0, 1e9]))
    wide = chain((1,), *[node.op for node in wide.nodes[1:]], Scale([1.0, 1.0], [0.0, -1e9]))
    ports = (Port("big", (1,)), Port("small", (1,)))
    with pytest.raises(so.ProblemError, match="in single precision the model would be off"):
        require_digits(replace(wide, outputs=ports))


def centred() -> Network:
    """Return values less their mean, times a million, and the mean of that, which is 0."""
    mean = np.full((64, 64), 1 / 64)
    layers = Dense(np.eye(64) - mean), Dense(np.vstack([1e6 * np.eye(64), mean[:1]]))
    ports = Port("centred", (64,)), Port("zero", (1,))
    return replace(chain((64,), *layers), outputs=ports)


@pytest.mark.parametrize(("dtype", "offset"), [(np.float32, 1e-3), (np.float64, 1e-12)])
def test_an_output_that_is_zero_but_for_rounding_is_no_misunderstanding(
    dtype: Any, offset: float
) -> None:
    net = centred()

    def reference(x: np.ndarray, more: float = 0.0) -> np.ndarray:
        """Add up in another order, as other software does."""
        values = x.astype(dtype).reshape(-1)
        values = values - values[::-1].cumsum(dtype=dtype)[-1] / dtype(64)
        zero = values[::-1].cumsum(dtype=dtype)[-1] / dtype(64)
        return np.append(values * dtype(1e6), zero + dtype(more))

    assert require_agreement(net, reference, dtype, NAME)
    with pytest.raises(so.ProblemError, match="misunderstood an operator"):
        require_agreement(net, lambda x: reference(x, offset), dtype, NAME)
    require_digits(net)
