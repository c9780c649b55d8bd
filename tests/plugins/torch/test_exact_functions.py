"""The function of a network that is read is exactly that of the module, whatever the constants."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu
from sparseopt.networks.parameters import exact

BOUNDS = [
    (-0.3, -0.4, 2.0**52, 1.0),
    (-1e-30, -3e-30, 1.0, 1e30),
    (-1e-17, -4e-17, 1.0, 1e20),
    (-0.3, -0.30001, 0.7, 1.0),
]


class Clipped(torch.nn.Module):
    """Hardtanh, and a factor."""

    def __init__(self, low: float, high: float, factor: float) -> None:
        super().__init__()
        self.clip, self.factor = torch.nn.Hardtanh(low, high), factor

    def forward(self, x: torch.Tensor) -> Any:
        return self.clip(x) * self.factor


def read(*parts: float) -> Network:
    return so.load_network(Clipped(*parts).double(), torch.zeros(1, 2, dtype=torch.float64))


@pytest.mark.parametrize(("low", "other", "high", "factor"), BOUNDS)
def test_bounds_are_not_rounded(low: float, other: float, high: float, factor: float) -> None:
    """Below both bounds the two functions differ by the bounds, times the factor."""
    f, g = read(low, high, factor), read(other, high, factor)
    change = so.solve(so.OutputChange(f, g, -5.0, -1.0))
    assert so.verify(change.certificate).ok
    right = (Fraction(low) - Fraction(other)) * Fraction(factor)
    for lower, upper in zip(change.answer.lower, change.answer.upper, strict=True):
        assert Fraction(lower) <= right <= Fraction(upper)


@pytest.mark.parametrize(("low", "other", "high", "factor"), BOUNDS)
def test_exact_values(low: float, other: float, high: float, factor: float) -> None:
    net = read(low, high, factor)
    exactly = net.with_parameters({k: exact(v) for k, v in net.parameters().items()})
    points = exact(np.array([[-5.0, low / 2], [0.0, high / 4]]))
    found = exactly.run(points)
    right = np.clip(points, exact(np.array(low)), exact(np.array(high))) * exact(np.array(factor))
    assert (np.asarray(found) == right).all()


def test_the_largest_float32_is_a_bound_of_doubles() -> None:
    """Where values are float32 it leaves the side open; a double may be larger."""
    largest = float(np.finfo(np.float32).max)
    narrow = so.load_network(torch.nn.Hardtanh(0.0, largest), torch.zeros(1, 2))
    assert narrow.run(np.array([[-1.0, 1e30]])).tolist() == [[0.0, 1e30]]
    with pytest.raises(so.ProblemError, match=r"its bound 3\.40282e\+38 is so far away"):
        read(0.0, largest, 1.0)


class Jump(torch.nn.Module):
    """Steps by j at 0, among constants far from 0."""

    def __init__(self, jump: float, far: float) -> None:
        super().__init__()
        self.jump, self.far = jump, far

    def forward(self, x: torch.Tensor) -> Any:
        return torch.where(x > 0, x + (self.far + self.jump), x + self.far) - self.far


@pytest.mark.parametrize(("jump", "far"), [(2.0, 2.0**50), (8.0, 2.0**52), (1e-9, 1.0)])
def test_small_jumps_beside_large_constants_are_jumps(jump: float, far: float) -> None:
    with pytest.raises(so.ProblemError, match="jumps"):
        so.load_network(Jump(jump, far).double(), torch.zeros(1, 2, dtype=torch.float64))


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_models_that_lose_their_digits_are_not_written(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    first, last = rng.standard_normal((8, 4)), rng.standard_normal((2, 8))
    for high in (6.0, 1e8):
        inner = Dense(-first.astype(np.float32), np.full(8, high, dtype=np.float32))
        outer = Dense(-last.astype(np.float32), (high * last.sum(1)).astype(np.float32))
        path = tmp_path / f"{high:g}.{suffix}"
        net = chain((4,), inner, Relu(), outer)
        if high == 6.0:
            so.write(net, path)
            assert path.exists()
        else:
            with pytest.raises(so.ProblemError, match="in single precision"):
                so.write(net, path)
            assert not path.exists()
            with pytest.raises(so.ProblemError, match="in single precision"):
                net.to_torch("float32")
            net.to_torch("float64")


@pytest.mark.parametrize("weights", [[b"a.safetensors"], [b"a.index.json"], b"a.safetensors"])
def test_paths_are_texts(weights: Any) -> None:
    with pytest.raises(so.ProblemError, match="takes paths of files"):
        so.load_network(torch.nn.Linear(2, 1), torch.zeros(1, 2), weights=weights)


def test_a_name_too_long_for_a_file_is_refused(tmp_path: Path) -> None:
    index = tmp_path / "m.index.json"
    index.write_text('{"weight_map": {"weight": "' + "a" * 400 + '.safetensors"}}')
    with pytest.raises(so.ProblemError, match="names 'a"):
        so.load_network(torch.nn.Linear(2, 1), torch.zeros(1, 2), weights=index)


class Gated(torch.nn.Module):
    """A function of relu(x - 1e4), which no random input opens."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("whole", torch.tensor([1, 2, 3]))

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, torch.relu(x - 1e4))


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.minimum(x, torch.add(0 * x, m.whole, alpha=2.5)),
        lambda m, x: torch.minimum(x, torch.full_like(x, 0.1)),
        lambda m, x: x + torch.full_like(x, 2.0**24 + 1),
        lambda m, x: torch.addmm(0 * x, x, 1e-30 * torch.eye(3, dtype=x.dtype), alpha=1e20),
    ],
    ids=["alpha", "full", "large", "addmm"],
)
def test_constants_are_those_of_the_module(function: Any) -> None:
    module = Gated(function).double()
    net = so.load_network(module, torch.zeros(1, 3, dtype=torch.float64))
    x = torch.full((1, 3), 2e4, dtype=torch.float64)
    np.testing.assert_allclose(net.run(x.numpy()), module(x).numpy(), rtol=1e-14)


def test_layers_that_no_longer_share_their_values_are_written_apart() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return self.inner(torch.relu(self.inner(x)))

    net = so.load_network(Twice().double(), torch.zeros(1, 3, dtype=torch.float64))
    name = next(n for n in net.parameters() if n.endswith(":2.weight"))
    changed = net.with_parameters({name: 2 * net.parameters()[name]})
    x = np.array([[1.0, -2.0, 3.0]])
    with torch.no_grad():
        found = changed.to_torch()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, changed.run(x), rtol=1e-12)


class Handed(torch.nn.Module):
    """Clamps what an operator makes of a value in place, and reads the value again."""

    def __init__(self, operator: Any) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, x: torch.Tensor) -> Any:
        value = x + 1
        self.operator(value)
        return value + 0


@pytest.mark.parametrize(
    "operator",
    [
        lambda a: torch.dropout(a, 0.5, False).clamp_(max=1000.0),
        lambda a: torch.nn.functional.dropout1d(a, 0.5, False).clamp_(max=1000.0),
        lambda a: torch.unsafe_chunk(a, 2, 1)[0].clamp_(max=1000.0),
        lambda a: torch.einsum("ij->ij", a).clamp_(max=1000.0),
        lambda a: torch.meshgrid(a[0], a[0], indexing="ij")[1][0].clamp_(max=1000.0),
        lambda a: torch.dropout(a, 0.5, False)[:, :2].clamp_(max=1000.0),
        lambda a: torch._foreach_clamp_max_([a], 1000.0),
    ],
)
def test_writing_in_place_to_what_was_handed_on_is_refused(operator: Any) -> None:
    with pytest.raises(so.ProblemError, match="writes in place to"):
        so.load_network(Handed(operator).eval(), torch.zeros(1, 4))


class Late(torch.nn.Module):
    """A write to dropout's result, behind what does not look like one at first."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.weight = torch.nn.Parameter(torch.eye(4))

    def forward(self, x: torch.Tensor) -> Any:
        value = x
        if self.kind == "behind a write to a view":
            value = x + 1
            value[:, :1] += 1
            value = value * 2
        elif self.kind == "behind a product":
            value = torch.einsum("bi,oi->bo", x, self.weight)
        elif self.kind == "of a view of the input":
            value = x.view(1, 4)
        torch.dropout(value, 0.5, False).clamp_(max=1000.0)
        return value + 0


@pytest.mark.parametrize(
    "kind",
    ["of the input", "of a view of the input", "behind a write to a view", "behind a product"],
)
def test_writing_to_what_was_handed_on_is_refused_wherever_it_stands(kind: str) -> None:
    with pytest.raises(so.ProblemError, match=r"writes in place to .* aten\.dropout"):
        so.load_network(Late(kind).eval(), torch.zeros(1, 4))


class Skipped(torch.nn.Module):
    """A residual layer whose own value is new memory, which is then written to."""

    def __init__(self, operator: Any) -> None:
        super().__init__()
        self.operator = operator
        self.weight = torch.nn.Parameter(torch.arange(16.0).reshape(4, 4) - 7)
        self.register_buffer("mask", torch.tril(torch.ones(4, 4)))

    def forward(self, x: torch.Tensor) -> Any:
        value = x + 1
        return self.operator(value, self.weight * self.mask) + value


@pytest.mark.parametrize(
    "operator",
    [
        lambda a, w: torch.relu_(torch.einsum("bi,oi->bo", a, w)),
        lambda a, w: torch.nn.functional.rrelu(a).add_(1),
        lambda a, w: torch.relu_(torch.dropout(a * 2, 0.5, False)),
    ],
)
def test_writing_in_place_to_new_memory_is_read(operator: Any) -> None:
    module = Skipped(operator).eval()
    network = so.load_network(module, torch.zeros(1, 4))
    x = torch.tensor([[-4.0, 2.0, -1.0, 3.0]])
    expected = module(x).detach().numpy()
    np.testing.assert_allclose(network.run(x.numpy().astype(float)), expected, rtol=1e-6)


def test_writing_in_place_to_what_nothing_else_reads_is_read() -> None:
    module = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.ReLU(inplace=True)).eval()
    network = so.load_network(module, torch.zeros(1, 2))
    np.testing.assert_array_equal(network.run(np.array([-3.0, 4.0])), [0.0, 4.0])


def test_a_finite_padding_in_double_is_not_minus_infinity() -> None:
    class Padded(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            padded = torch.nn.functional.pad(x, (1, 1), value=-1e39)
            return torch.nn.functional.max_pool1d(padded, 3)

    net = so.load_network(Padded().double(), torch.zeros(1, 1, 3, dtype=torch.float64))
    x = torch.full((1, 1, 3), -1e40, dtype=torch.float64)
    assert net.run(x[0].numpy()).tolist() == Padded()(x)[0].tolist()


def test_sums_in_half_precision_are_refused() -> None:
    class Half(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return torch.sum(x, dim=1, dtype=torch.float16)

    with pytest.raises(so.ProblemError, match=r"dtype=torch\.float16 is not supported"):
        so.load_network(Half().double(), torch.zeros(1, 3, dtype=torch.float64))


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_constant_with_the_name_of_a_weight_is_refused(in_memory: bool, tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2, bias=False).eval()
    program: Any = torch.export.export(module, (torch.zeros(1, 2),))
    program.constants["weight"] = torch.full((2, 2), 7.0)
    torch.export.save(program, tmp_path / "a.pt2")
    with pytest.raises(so.ProblemError, match="a constant has the name of a weight"):
        so.load_network(program if in_memory else tmp_path / "a.pt2")


def test_conditions_on_numbers_far_away_are_refused() -> None:
    class Far(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return torch.where(x > 1e12, 0.25 * x + 0.25e12, 0.5 * x)

    with pytest.raises(so.ProblemError, match=r"compares with 1e\+12 in magnitude, so far away"):
        so.load_network(Far().double(), torch.zeros(1, 1, dtype=torch.float64))
