"""The bound of the change of outputs holds, and is the one that the formula gives."""

from __future__ import annotations

import itertools
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from path_networks import dense

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu, Reshape
from sparseopt.networks.window import MaxPool
from sparseopt.tools.quantizing.bounds import (
    as_inputs,
    as_radius,
    change_bound,
    rounding_to,
    with_radius,
)
from sparseopt.tools.reading.window_cells import max_window, pool_positions

ONE = np.float64(1.0)


def layers(parts: Any) -> Network:
    ops: list[Any] = []
    for weight, bias in parts:
        ops += [Dense(np.array(weight, dtype=float), np.array(bias, dtype=float)), Relu()]
    return chain((len(parts[0][0][0]),), *ops[:-1])


# Exact over Q by two independent programs; the last figures are the largest changes on a grid.
SEVEN = [
    ([[7, -6], [-6, 7], [0, 4]], [2, 6, 1]),
    ([[7, -6, 6], [-6, -6, -7], [6, 5, 1]], [-4, 1, 7]),
    ([[7, 3, -1], [-6, -5, -6]], [0, -6]),
]
EIGHT = [
    ([[3, -2, 3], [3, -5, 4], [3, 5, 5], [5, -4, 7]], [-4, -7, -1, 4]),
    ([[-4, 5, 1, -7]], [2]),
]
EIGHT_OTHER = [
    ([[4, -1, 1], [3, -4, 3], [1, 7, 7], [7, -5, 9]], [-4, -7, -1, 4]),
    ([[-5, 5, -1, -7]], [2]),
]


def without_small(parts: Any) -> Any:
    """Set weights of at most 2 to zero, and move nonzero biases away from 0 by 1."""
    return [
        (np.where(np.abs(w) <= 2, 0, w).tolist(), (np.array(b) + np.sign(b)).tolist())
        for w, b in parts
    ]


@pytest.mark.parametrize(
    ("one", "other", "radius", "box", "largest", "whole"),
    [
        (SEVEN, without_small(SEVEN), (2, 1), 792, Fraction(919, 3), 720),
        (EIGHT, EIGHT_OTHER, (2, 1, 3), 207, Fraction(121), 101),
    ],
)
def test_public_cases(
    one: Any, other: Any, radius: Any, box: int, largest: Fraction, whole: int
) -> None:
    a, b = layers(one), layers(other)
    bound = change_bound(a, a, b, np.array(radius, dtype=float), rounding=0.0)
    assert box <= bound.value <= box * (1 + 1e-8)
    assert largest <= box
    # With all radii 1: half of what the facts give for the norms, factor and all.
    bound = change_bound(a, a, b, ONE, rounding=0.0)
    assert whole <= bound.value <= whole * (1 + 1e-8)
    assert all(so.verify(so.from_json(solution.to_json())).ok for solution in bound.solutions)


def brute_force(a: Network, b: Network, radius: np.ndarray) -> Fraction:
    """Add up over paths of dense networks: both sizes less twice that of the setting between."""
    total = Fraction(0)
    pairs = []
    for x, y in zip(a.nodes, b.nodes, strict=True):
        if isinstance(x.op, Dense):
            assert isinstance(y.op, Dense)
            pairs.append([exact(v) for v in (x.op.weight, x.op.bias, y.op.weight, y.op.bias)])
    sizes = [pair[0].shape[1] for pair in pairs] + [pairs[-1][0].shape[0]]
    for start in range(len(pairs) + 1):
        # Paths from the inputs, or from the biases of layer `start` - 1.
        for path in itertools.product(*(range(n) for n in sizes[start:])):
            if start == 0:
                first = [Fraction(float(radius[path[0]]))] * 3
            else:
                _, bias, _, other = pairs[start - 1]
                first = three(bias[path[0]], other[path[0]])
            for (w, _, v, _), (i, j) in zip(pairs[start:], itertools.pairwise(path), strict=True):
                first = [p * q for p, q in zip(first, three(w[j, i], v[j, i]), strict=True)]
            total += first[0] + first[1] - 2 * first[2]
    return total


def three(p: Fraction, q: Fraction) -> list[Fraction]:
    return [abs(p), abs(q), min(abs(p), abs(q)) if p * q > 0 else Fraction(0)]


def exact(array: Any) -> np.ndarray:
    return np.frompyfunc(Fraction, 1, 1)(np.asarray(array, dtype=object))


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_is_the_sum_over_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = dense(2, 3, 2, 2, seed=seed)
    b = a.with_parameters({k: v + rng.normal(0, 0.3, v.shape) for k, v in a.parameters().items()})
    radius = rng.uniform(0, 2, 2)
    right = brute_force(a, b, radius)
    value = Fraction(change_bound(a, a, b, radius, rounding=0.0).value)
    assert right <= value <= right * (1 + Fraction(1, 10**8))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("form", ["int4", "e4m3", 3])
def test_no_input_moves_the_output_further(seed: int, form: Any) -> None:
    """At corners and at random points, in exact arithmetic."""
    net = dense(3, 5, 4, 2, seed=seed)
    radius = np.array([0.5, 2.0, 0.0])
    report = so.quantize(net, form, powers_of_two=seed % 2 == 0, input_bound=radius)
    assert report.network is not None
    assert report.bound is not None
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    points = np.concatenate([corners, np.random.default_rng(seed).uniform(-1, 1, (30, 3))]) * radius
    apart = report.network.run(exact(points)) - net.run(exact(points))
    assert max(np.abs(apart).sum(axis=1)) <= Fraction(report.bound.value)


def pooled(seed: int = 0) -> Network:
    """Return a small network with a convolution and overlapping maximum pools."""
    draw = np.random.default_rng(seed).standard_normal
    windows = tuple(max_window(a, pool_positions(4, 3, 1, (0, 0)), 4) for a in (1, 2))
    convolution = Conv(draw((3, 1, 3, 3)), draw(3))
    ops = (convolution, Relu(), MaxPool(windows), Reshape((12,)), Dense(draw((2, 12)), draw(2)))
    return chain((1, 6, 6), *ops)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_attacked_by_ascent(granularity: str) -> None:
    """Corner by corner, from some starts, on a network with pools and convolutions."""
    net = pooled()
    report = so.quantize(net, "int4", granularity)
    assert report.network is not None
    assert report.bound is not None
    x = np.sign(np.random.default_rng(0).standard_normal((16, 1, 6, 6)))

    def change(inputs: np.ndarray) -> np.ndarray:
        assert report.network is not None
        return np.abs(report.network.run(inputs) - net.run(inputs)).sum(axis=1)

    best = start = change(x)
    for i, j in itertools.product(range(6), repeat=2):
        tried = x.copy()
        tried[:, 0, i, j] *= -1
        found = change(tried)
        x, best = np.where((found > best)[:, None, None, None], tried, x), np.maximum(found, best)
    assert start.max() < best.max() <= report.bound.value


def test_rounding_before_the_reference_is_allowed_for() -> None:
    net = dense(3, 4, 2, seed=1)
    loose = so.quantize(net, "int8", rescaling="balance").bound
    tight = so.quantize(net, "int8", rescaling="path", powers_of_two=True).bound
    assert loose is not None
    assert tight is not None
    assert [type(s.problem).__name__ for s in loose.solutions][2:] == ["PathNorm"]
    assert len(tight.solutions) == 2
    by_distance = sum(s.answer.output_bound(1.0) for s in loose.solutions[:2])
    assert by_distance < loose.value < by_distance * (1 + 1e-10)


def test_radii_stand_in_front() -> None:
    net = chain((2,), Scale(np.array([2.0, 3.0])), Dense(np.array([[1.0, -1.0]])))
    scaled = with_radius(net, np.array([0.5, 0.25]))
    np.testing.assert_array_equal(scaled.run([1.0, 1.0]), net.run([0.5, 0.25]))
    assert with_radius(net, ONE) is net


def test_radii_are_read() -> None:
    net, batch = dense(2, 2, 1), np.array([[0.5, -3.0]])
    assert as_radius(None, batch, net) == 3.0
    assert as_radius(None, None, net) == 1.0
    for wrong in (-1.0, np.nan, np.inf, [1.0, 2.0, 3.0], "one"):
        with pytest.raises(so.ProblemError, match="input_bound"):
            so.quantize(net, "int8", input_bound=wrong)


REFUSED = [(e, e, way) for e in (-300, -160, 300) for way in ("equalization", "balance")]
EXTREME = [(-300, -300), (-160, -160), (-300, 300), (300, -300), (150, 150), (0, 300), (300, 300)]


def of_scales(first: float, last: float) -> Network:
    rng = np.random.default_rng(3)
    parts = [Dense(rng.uniform(-1, 1, (6, 4)) * first), Relu()]
    return chain((4,), *parts, Dense(rng.uniform(-1, 1, (2, 6)) * last))


@pytest.mark.parametrize("rescaling", ["path", "equalization", "balance", "none"])
@pytest.mark.parametrize(("first", "last"), EXTREME)
def test_weights_at_the_ends_of_the_floats(first: int, last: int, rescaling: str) -> None:
    """A true bound, in exact arithmetic on samples, or one sentence."""
    network = of_scales(10.0**first, 10.0**last)
    rng = np.random.default_rng(0)
    quantize = partial(so.quantize, network, "int8", rescaling=rescaling)
    inputs = rng.uniform(-1, 1, (9, 4))
    if (first, last, rescaling) in REFUSED:
        with pytest.raises(so.ProblemError, match="a power of two times the weights and bias"):
            quantize(inputs=inputs)
        return
    report = quantize(inputs=inputs)
    assert report.bound is not None
    assert report.network is not None
    assert np.isfinite(report.bound.value) == (first + last <= 308)
    assert np.isfinite(report.bound.value) or "no change is proved" in str(report)
    assert all(so.verify(solution).ok for solution in report.bound.solutions)
    if np.isfinite(report.bound.value):
        for x in rng.uniform(-1, 1, (5, 4)).tolist():
            sides = [exactly(net, x) for net in (network, report.network)]
            moved = sum(abs(a - b) for a, b in zip(*sides, strict=True))
            assert moved <= Fraction(report.bound.value)


def exactly(network: Network, x: list[float]) -> list[Fraction]:
    """Return the output of two dense layers without biases, by rationals."""
    values = [Fraction(v) for v in x]
    for place, weight in enumerate(network.parameters().values()):
        rows = [[Fraction(float(w)) for w in row] for row in weight]
        values = [
            sum((a * b for a, b in zip(row, values, strict=True)), Fraction(0)) for row in rows
        ]
        values = values if place else [max(v, Fraction(0)) for v in values]
    return values


def test_rounding_that_is_not_relative_proves_nothing() -> None:
    network = of_scales(1.0, 1.0)
    factors = np.ones(7)
    assert 0 < rounding_to(network, network, False, factors) < 1e-12
    faint = of_scales(1e-100, 1.0)
    assert rounding_to(faint, network, False, factors) < 1e-12
    assert rounding_to(faint, network, True, factors) == np.inf
    assert rounding_to(network, of_scales(1e-309, 1.0), False, factors) == np.inf
    wide = np.array([1e-200, *factors[1:-1], 1e200])
    assert rounding_to(network, network, False, wide) == np.inf
    assert rounding_to(network, network, False, factors, wide) == np.inf  # rescaled twice


@pytest.mark.parametrize("most", [1, 2, 3, 9])
def test_the_longer_a_chain_of_scales_the_nearer_to_1_they_must_be(most: int) -> None:
    """All factors at the limit, either way, have a product in the normal range."""
    network, factors = of_scales(1.0, 1.0), np.ones(7)
    low = max(-300, -(1022 // (most + 1)))
    assert Fraction(2) ** (low * (most + 1)) >= Fraction(2) ** -1022
    for sign in (1, -1):
        within, beyond = (np.full((6, 4), 2.0 ** (sign * e)) for e in (low, low - 1))
        at, after = (network.with_parameters({"0:Dense.weight": w}) for w in (within, beyond))
        assert rounding_to(at, network, most, factors) < 1e-12
        assert rounding_to(after, network, most, factors) == np.inf


FAINT = [2.0**-300, 2.0**-300, 2.0**-171, 2.0**299]
"""With another 1.2 * 2^-300 before them, 1.2 * 2^-772 in the end, and nearly nothing on the way."""


@pytest.mark.parametrize("rescaling", ["path", "none"])
@pytest.mark.parametrize("form", ["bf16", "int8"])
def test_scales_that_underflow_on_the_way_prove_nothing(form: str, rescaling: str) -> None:
    """The change is 0.025, exactly, where one of at most 1e-14 was said to be proved."""
    scales = [Scale(np.array([factor])) for factor in FAINT]
    rest = [Dense(np.array([[2.0**e]])) for e in (299, 299, 173)]
    rest = [part for last in rest for part in (Relu(), last)]
    network = chain((1,), Dense(np.array([[1.2 * 2.0**-300]])), *scales, *rest)
    try:
        report = so.quantize(network, form, rescaling=rescaling, inputs=[[1.0], [0.5]])
    except so.ProblemError:
        return  # that they are not merged proves nothing either
    assert report.bound is not None
    assert report.ends is not None
    assert report.network is not None
    arrays = report.network.parameters().values()
    after = np.prod([Fraction(float(w)) for array in arrays for w in array.ravel()])
    before = Fraction(1.2) * Fraction(2) ** -1
    moved = abs(before - after)
    assert moved <= report.bound.value
    assert moved <= report.ends.upper


def test_normalizations_beyond_the_floats_are_named() -> None:
    """Finite weights were said to be infinite."""
    ops = [Dense(np.full((2, 2), 1e200)), Scale(np.full(2, 1e200)), Relu(), Dense(np.ones((1, 2)))]
    with pytest.raises(so.ProblemError, match="'1:Scale' cannot be merged into '0:Dense'"):
        so.quantize(chain((2,), *ops), "int8")


def not_held() -> list[Any]:
    """Inputs that float64 does not hold, or not all of which count."""
    longs = np.array([[1.0, 2.0]], dtype=np.longdouble)
    longs[0, 1] += np.longdouble(2) ** -60
    masked = np.ma.masked_array([[1.0, 2.0]], mask=[[False, True]])
    return [np.array([[2**53 + 1, 1]]), longs, masked, [[2**53 + 1, 0.5]]]


@pytest.mark.parametrize("value", not_held(), ids=["integers", "long doubles", "masked", "mixed"])
def test_inputs_and_their_radius_are_not_rounded(value: Any) -> None:
    """A radius rounded down would bound less than is asked."""
    network = layers([([[1, 2]], [0])])
    refused = "which float64 does not|is a masked array"
    with pytest.raises(so.ProblemError, match=refused):
        as_inputs(value, network)
    with pytest.raises(so.ProblemError, match=refused):
        as_radius(value[0], None, network)


def test_runs_refuse_masks() -> None:
    network = layers([([[1, 2]], [0])])
    for value in not_held()[2:]:
        with pytest.raises(so.ProblemError, match=r"which float64 does not|is a masked array"):
            network.run(value)


def test_inputs_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="tensors")
    network = layers([([[1, 2]], [0])])
    with pytest.raises(so.ProblemError, match="which float64 does not"):
        as_inputs(torch.tensor([[2**53 + 1, 1]]), network)
    half = torch.tensor([[1.5, 2.0]], dtype=torch.bfloat16, requires_grad=True)
    found = as_inputs(half, network)
    assert found is not None
    assert found.tolist() == [[1.5, 2.0]]


@pytest.mark.parametrize("radius", [[1.0, 2.0, 3.0], [1j, 1.0], [None, 1.0]], ids=str)
def test_a_radius_that_is_none(radius: Any) -> None:
    with pytest.raises(so.ProblemError, match="input_bound must be a number, or an array that"):
        as_radius(radius, None, layers([([[1, 2]], [0])]))
