"""Arrays with a power of two, against rationals."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from sparseopt.judging.scaling import (
    ScaledArray,
    exponent_of,
    largest_part,
    spread_power,
    times_power,
    times_power_not_to_zero,
)

LARGEST = math.nextafter(math.inf, 0.0)
VALUES = [0.0, 1.0, 1 / 3, 5e-324, 2.0**-1022, 1.5 * 2.0**900, LARGEST]
EXPONENTS = [-2200, -2098, -1074, -1073, -1, 0, 1, 52, 1000, 1023, 2097]
PAIRS = list(itertools.product(VALUES, EXPONENTS))


@pytest.mark.parametrize(("size", "exponent"), PAIRS)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_number_lies_between_neighbouring_floats(size: float, exponent: int, sign: float) -> None:
    number = ScaledArray(sign * size, exponent)
    true = Fraction(sign * size) * Fraction(2) ** exponent
    low, high = number.below(), number.above()
    if math.isfinite(low):
        assert Fraction(low) <= true
    if math.isfinite(high):
        assert true <= Fraction(high)
    if true and abs(true) <= Fraction(LARGEST):
        assert high == (low if Fraction(low) == true else math.nextafter(low, math.inf))
    elif true > 0:
        assert (low, high) == (LARGEST, math.inf)
    elif true < 0:
        assert (low, high) == (-math.inf, -LARGEST)


@pytest.mark.parametrize(("size", "exponent"), PAIRS)
def test_comparisons_are_exact(size: float, exponent: int) -> None:
    number = ScaledArray(size, exponent)
    true = Fraction(size) * Fraction(2) ** exponent
    for stated in (0.0, -1.0, 5e-324, number.below(), number.above(), 1 / 3, LARGEST, math.inf):
        expected = math.isfinite(stated)
        assert number.at_most(stated) == (expected and true <= Fraction(stated))
        assert number.at_least(stated) == (expected and true >= Fraction(stated))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("exponent", [0, 3])
def test_what_is_not_finite_is_neither_at_most_nor_at_least_a_number(
    value: float, exponent: int
) -> None:
    number = ScaledArray(value, exponent)
    assert not number.at_most(1.0)
    assert not number.at_least(1.0)
    assert not ScaledArray(1.0, exponent).at_most(value)
    assert not ScaledArray(1.0, exponent).at_least(value)


def test_zero_has_no_sign() -> None:
    assert math.copysign(1.0, ScaledArray(0.0, 5).below()) == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("exponent", [-120, -101, -100, -7, 0, 3, 100, 101, 120])
def test_powers_of_two_round_nothing(dtype: Any, exponent: int) -> None:
    """There and back is where it began, for entries that stay in the range of the dtype."""
    array = np.array([1.0, -0.75, 1 / 3]).astype(dtype)
    if array.dtype.kind == "c":
        array = array * np.asarray(1 + 2j, dtype)
    moved = times_power(array, exponent)
    assert moved.dtype == dtype
    np.testing.assert_array_equal(moved[0].real, 2.0**exponent)
    np.testing.assert_array_equal(times_power(moved, -exponent), array)
    if array.dtype.kind == "f":
        np.testing.assert_array_equal(times_power(array, np.full(3, exponent)), moved)


def test_far_apart_powers_take_two_steps() -> None:
    """2^1200 is not a float, and 2^-300 no float32; the results are."""
    assert times_power(np.array([2.0**-900]), 1200)[0] == 2.0**300
    assert times_power(np.array([2.0**120], np.float32), -200)[0] == 2.0**-80
    assert times_power(np.array([1.0]), -4000)[0] == 0.0
    assert times_power(np.array([1.0, 0.0]), 2047).tolist() == [np.inf, 0.0]
    assert times_power(np.array([1.0, 0.0]), 10**5).tolist() == [np.inf, 0.0]
    assert times_power(np.array([2.0**-1074]), 2097)[0] == 2.0**1023


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_what_was_not_zero_is_not_when_it_is_scaled(dtype: Any) -> None:
    least = np.nextafter(0.0, 1.0)
    found = times_power_not_to_zero(np.array([1e60, 5e-324, 0.0, -1e-200], dtype), -200)
    assert found.tolist() == [1e60 * 2.0**-200, least, 0.0, -1e-200 * 2.0**-200]
    wide = times_power_not_to_zero(np.array([1e-300j, 3 + 0j, 0, 1e-300 + 1j]), -900)
    assert wide.tolist() == [least * 1j, 3 * 2.0**-900, 0.0, least + 2.0**-900 * 1j]


def test_exact_numbers_beyond_floats_have_exponents_of_their_own() -> None:
    numbers = [Fraction(10) ** 500, 0, Fraction(-1, 3**900), 7]
    found = ScaledArray.split(np.array(numbers, dtype=object))
    for value, mantissa, exponent in zip(numbers, found.array, found.exponent, strict=True):
        right = Fraction(mantissa) * Fraction(2) ** int(exponent)
        assert abs(right - value) <= abs(value) / 2**53
    floats = ScaledArray.split(np.array([[1.5, 1e30]], dtype=np.float32))
    assert floats.array.dtype == np.float64
    assert floats.exponent == 0


def test_entries_under_another_power() -> None:
    scaled = ScaledArray(np.array([1.0, 3.0]), np.array([1200, -1200]))
    assert scaled.under(1200).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("peak", [5e-324, 1e-310, 0.5, 1.0, 1.5, LARGEST])
def test_exponents_bring_numbers_between_a_half_and_one(peak: float) -> None:
    assert 0.5 <= times_power(np.float64(peak), -exponent_of(peak)) < 1.0
    assert exponent_of(0.0) == 0


def test_the_largest_part_is_that_of_all_real_and_imaginary_parts() -> None:
    assert largest_part(np.array([1.0, -3.0, 2.0])) == 3.0
    assert largest_part(np.array([[4.0], [-3.0]])) == 4.0
    assert largest_part(np.array([1.0 - 5.0j, 2.0 + 3.0j])) == 5.0
    assert largest_part(np.array([-6.0 + 5.0j])) == 6.0
    assert largest_part(np.empty((0, 2))) == 0.0


@pytest.mark.parametrize("exponent", [-900, -7, -1, 0, 1, 2, 7, 900])
@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_a_power_is_spread_evenly(exponent: int, count: int) -> None:
    parts = spread_power([np.ones(2)] * count, exponent)
    shares = [exponent_of(float(part[0])) - 1 for part in parts]
    assert sum(shares) == exponent
    assert max(shares) - min(shares) <= 1
