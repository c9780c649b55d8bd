"""Numbers with an exponent each: their roots and norms, against exact rationals."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from path_judging import rationals

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.pathnorm import wides
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import Rounded


@pytest.mark.parametrize("r", [0.01, 0.5, 1, 1.5, 2, 7, 300, math.inf])
def test_norms_of_numbers_anywhere(r: float) -> None:
    mpmath.mp.dps = 60
    for values in (
        [1.0, 2.0, 3.0],
        [Fraction(10) ** 500, Fraction(10) ** 499 * 7, Fraction(1)],
        [Fraction(1, 10**800), Fraction(3, 10**800), Fraction(0)],
        [Fraction(1), Fraction(1, 2**1500), Fraction(1, 2**900)],
        [0.999999, 1.000001] * 50,
    ):
        numbers = [Fraction(v) for v in values]
        found = Powers.of_fractions(numbers).norm(r)
        exactly = [mpmath.mpf(v.numerator) / v.denominator for v in numbers]
        if r == math.inf:
            right = max(exactly)
        else:
            right = mpmath.fsum(v ** mpmath.mpf(r) for v in exactly) ** (1 / mpmath.mpf(r))
        stored = found.as_fraction()
        near = mpmath.mpf(stored.numerator) / stored.denominator
        assert abs(near / right - 1) <= found.error < 1e-8
        assert abs(found.log10().item() - mpmath.log10(right)) <= found.log10_error().item()


@pytest.mark.parametrize("q", [0.3, 0.5, 2, 3, 1.7, 64])
def test_roots(q: float) -> None:
    mpmath.mp.dps = 60
    numbers = [Fraction(3), Fraction(10) ** 700, Fraction(7, 10**900), Fraction(0)]
    found = Powers.of_fractions(numbers).root(q)
    assert found.array[3] == 0
    for value, true in zip(rationals(found), numbers[:3], strict=False):
        right = (mpmath.mpf(true.numerator) / true.denominator) ** (1 / mpmath.mpf(q))
        near = mpmath.mpf(value.numerator) / value.denominator
        assert abs(near / right - 1) <= found.error < 1e-9


def test_errors_of_roots_and_norms_grow() -> None:
    rough = Powers.of(np.array([1.0, 2.0]), 0, 1e-3)
    assert rough.root(2).error >= 0.5e-3
    assert rough.root(0.5).error >= 2e-3
    assert rough.root(1) is rough
    assert rough.norm(3).error >= 1e-3
    assert rough.norm(math.inf).error == 1e-3
    assert Powers.of(np.array([1.0]), 0, 0.6).root(2).error == math.inf
    unknown = Powers.of(np.array([1.0]))
    assert unknown.error == unknown.root(2).error == unknown.norm(1).error == math.inf
    assert (unknown.log10_error() == math.inf).all()
    assert (rough.log10_error() >= 1e-3 / math.log(10)).all()
    assert Powers.of(np.zeros(2), 0, 0.0).norm(2).array == 0


def test_roots_that_underflow_have_no_bound() -> None:
    one = Powers.of(np.ones(1), 0, 0.0)
    assert one.root(0.001).error < 1e-9
    assert one.root(0.001).log10()[0] == pytest.approx(0.0, abs=1e-9)
    assert one.root(0.0009).error == math.inf


def test_norms_over_paths_begin_at_a_thousandth() -> None:
    network = chain((2,), Dense(np.array([[1.0, 1.3]])))
    for q in (0.0005, 0.00099, -1, math.nan):
        with pytest.raises(so.ProblemError, match=r"must be 0, at least 0\.001 or inf"):
            so.PathNorm(network, q)
    true = (1 + mpmath.mpf(1.3) ** mpmath.mpf(0.001)) ** (1 / mpmath.mpf(0.001))
    found = so.solve(so.PathNorm(network, 0.001)).answer
    assert found.log10 == pytest.approx(float(mpmath.log10(true)), rel=1e-12)


def test_exponents_that_reach_that_of_zero_are_no_numbers() -> None:
    arithmetic = wides.Wides(1)
    for m, e in ((1.0, 1 << 49), (1.0, -(1 << 49)), (0.75, (1 << 48) + 1)):
        beyond, one = wides.numbers(np.array([m]), e), wides.numbers(np.ones(1), 0)
        for found in (
            beyond,
            arithmetic.SUMS.add(one, beyond),
            arithmetic.SUMS.times(beyond, beyond),
            arithmetic.LARGEST.add(beyond, one),
            arithmetic.LARGEST.add(one, beyond),
        ):
            assert np.isnan(found["m"])
            assert arithmetic.powers(Rounded(found[None], 0, 0, 1.0)).error == math.inf
    small, zero = wides.numbers(np.array([1.0]), -(1 << 47)), wides.numbers(np.zeros(1), 5)
    total = arithmetic.SUMS.add(small, zero)
    assert (total["m"], total["e"]) == (small["m"], small["e"])
