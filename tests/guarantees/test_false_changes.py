"""Bounds of changes that rounding would make false."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Reshape
from sparseopt.networks.window import AxisMap, RankPool, Resample
from sparseopt.tools.change_ends import box_in_words

ONE = np.array([1])


def averaged(weight: float, first: float, second: float) -> Network:
    maps = (
        AxisMap(0, np.array([[0]]), np.array([[first]]), ONE),
        AxisMap(1, np.array([[0]]), np.array([[second]]), ONE),
    )
    return chain((1,), Dense(np.array([[weight]])), Reshape((1, 1)), Resample(maps))


def test_what_underflows_between_two_averages_is_not_enlarged() -> None:
    with pytest.raises(so.ProblemError, match=r"'2:Resample'.*along several axes.*rescale"):
        so.OutputChange(averaged(1e-100, 1e-300, 1e300), averaged(2e-100, 1e-300, 1e300), 1, 1)
    problem = so.OutputChange(averaged(1.0, 0.5, 0.25), averaged(2.0, 0.5, 0.25), 1, 1)
    assert so.solve(problem).answer.l1 == pytest.approx(0.125)


@pytest.mark.parametrize(
    "bound", [10**17 + 1, Fraction(10**17 + 1, 10**17), np.int64(2**53 + 1), np.float32(1.5)]
)
def test_a_bound_of_inputs_is_not_rounded_down(bound: Any) -> None:
    one, none = chain((1,), Dense(np.ones((1, 1)))), chain((1,), Dense(np.zeros((1, 1))))
    found = so.solve(so.PathDistance(one, none)).answer.output_bound(bound)
    exact = bound.item() if isinstance(bound, np.generic) else bound
    assert Fraction(found) >= Fraction(exact)


@pytest.mark.parametrize("bound", ["1", None, -1.0, float("nan"), np.ones(1)])
def test_what_is_no_bound_of_inputs(bound: Any) -> None:
    net = chain((1,), Dense(np.ones((1, 1))))
    with pytest.raises(so.ProblemError, match="input_bound is"):
        so.solve(so.PathDistance(net, net)).answer.output_bound(bound)


def test_scales_that_underflow_when_they_are_merged_are_refused() -> None:
    """The layer would become zero, and with it the function."""
    tiny = np.full((1, 1), 1e-200)
    scales = Scale(np.array([1e-200]), None), Scale(np.array([1e300]), None)
    with pytest.raises(so.ProblemError, match="leave the normal range"):
        so.quantize(chain((1,), Dense(tiny), *scales), 4, inputs=np.ones((2, 1)))


def test_scales_that_are_far_apart_when_they_are_merged_bound_nothing() -> None:
    net = chain((1,), Dense(np.full((1, 1), 1e-200)), Scale(np.array([1e300]), None))
    report = so.quantize(net, 4, inputs=np.ones((2, 1)))
    assert report.bound is not None
    assert report.bound.value == float("inf")


def test_a_box_is_said_in_its_own_numbers() -> None:
    net = chain((1,), Dense(np.ones((1, 1))))
    assert box_in_words(so.OutputChange(net, net, 0, 123456.7)) == "[0, 123456.7]"
    assert box_in_words(so.OutputChange(net, net, 0, 1)) == "[0, 1]"


@pytest.mark.parametrize("seed", [0, 6])
def test_products_that_are_multiplied_out_are_counted(seed: int) -> None:
    """A dense layer that is a product of factors: what changes is rounding alone."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(16, 16, bias=False).double())
    left, right = torch.randn(2, 4, 4).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.kron(left, right))
    weight = exactly(model[0].weight.detach().numpy())
    found = so.compress(model, 0.9, inputs=np.ones((3, 16)), min_speedup=None)
    (layer,) = found.model
    factors = [exactly(f.detach().numpy()) for f in layer.factors]
    product = so.KroneckerProduct([f.astype(float) for f in factors], layer.architecture)
    exact = exactly(np.eye(16))
    for factor, pattern in zip(reversed(factors), reversed(list(layer.architecture)), strict=True):
        exact = one_factor(factor, pattern) @ exact
    assert np.abs(exact.astype(float) - product.to_dense()).max() < 1e-12
    change = sum(abs(row.sum()) for row in weight - exact)
    assert found.ends is not None
    assert Fraction(found.ends.lower) <= change <= Fraction(found.ends.upper)


def test_bounds_that_are_no_numbers_bound_no_pool() -> None:
    """Sums overflow to infinities of both signs before the second largest entry is taken."""

    def net(weight: float) -> Network:
        rows = np.array([[-weight * 1e308, 1e308], [0.0, 0.0]])
        return chain((2,), Dense(rows, np.array([0.0, 5.0])), RankPool(0, 2))

    problem = so.OutputChange(net(1.2), net(1.3), 10, 10.5)
    little = so.OutputChangeValue.of(np.array(-1e-10), np.array(1e-10))
    for method in ("signed_intervals", "substitution", "path_metric"):
        with np.errstate(all="ignore"):
            assert not so.verify(so.OutputChangeCertificate(problem, little, method)).ok


@pytest.mark.parametrize(
    "wrong", [{"steps": -1}, {"steps": 2.5}, {"inputs": ["abc"]}, {"inputs": [1j]}]
)
def test_what_is_no_search(wrong: Any) -> None:
    net = chain((1,), Dense(np.ones((1, 1))))
    with pytest.raises(so.ProblemError, match=r"steps must be|array of real numbers"):
        so.largest_change(net, net, 0, 1, **wrong)


def exactly(array: np.ndarray) -> np.ndarray:
    return np.asarray(np.frompyfunc(Fraction, 1, 1)(array), dtype=object)


def one_factor(values: np.ndarray, pattern: so.KroneckerPattern) -> np.ndarray:
    """Return the matrix of a factor: I_a (x) (blocks of b x c of diagonals of size d)."""
    a, b, c, d = pattern.a, pattern.b, pattern.c, pattern.d
    found = np.full((a * b * d, a * c * d), Fraction(0), dtype=object)
    for i, j, k, m in np.ndindex(a, b, c, d):
        found[(i * b + j) * d + m, (i * c + k) * d + m] = values[i, j, k, m]
    return found
