"""Error bounds of dot products, against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

from sparseopt.judging.figures import NormSum, sum_of_squares
from sparseopt.judging.rounding import (
    UNIT,
    above,
    below,
    float_above,
    gamma,
    norm_bound,
    product_terms,
    row_dots,
    shown_above,
    shown_below,
    sum_terms,
    two_product,
)

U = Fraction(UNIT)


def exact_dot(a: np.ndarray, b: np.ndarray) -> Fraction:
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return sum((Fraction(x) * Fraction(y) for x, y in pairs), Fraction(0))


@pytest.mark.parametrize("terms", [0, 1, 2, 3, 10, 514, 10**6, 2**45 + 1, 2**46 - 1])
def test_gamma_is_rounded_up_by_little(terms: int) -> None:
    exact = terms * U / (1 - terms * U)
    assert exact <= Fraction(gamma(terms)) <= exact * (1 + 8 * U)


def test_gamma_ends_where_it_says() -> None:
    assert gamma(2**46) == gamma(2**60) == math.inf


def test_complex_products_count_three_times() -> None:
    real, single, double = (np.zeros(2, dtype) for dtype in ("f8", "c8", "c16"))
    assert sum_terms(7, real) == sum_terms(7, real, real) == 7
    assert sum_terms(7, real, single) == sum_terms(7, double, real) == sum_terms(7, double) == 21


@pytest.mark.parametrize("operations", [1, 2, 5, 64])
@pytest.mark.parametrize("value", [1.0, 1 / 3, 1.9999999999999998, 5e-324, 1e-310, 1e300])
def test_bounds_of_what_was_computed(value: float, operations: int) -> None:
    """What is computed with k roundings is off by (1 + u)^k at most, either way."""
    high, low = Fraction(above(value, operations)), Fraction(below(value, operations))
    slack = 4 * (operations + 1) * U * Fraction(value) + 2 * Fraction(5e-324)
    assert Fraction(value) / (1 - U) ** operations <= high <= Fraction(value) + slack
    assert Fraction(value) - slack <= low <= Fraction(value) / (1 + U) ** operations


def test_bounds_of_zero() -> None:
    assert above(0.0) == 5e-324
    assert below(0.0) == 0.0


def test_the_least_float_that_is_not_below() -> None:
    largest = math.nextafter(math.inf, 0.0)
    rng = np.random.default_rng(2)
    for a, b in rng.integers(-(2**62), 2**62, (200, 2)).tolist():
        value = Fraction(a, b or 1) ** 7
        found = float_above(value)
        assert Fraction(math.nextafter(found, -math.inf)) < value <= Fraction(found)
    for number in (0.0, 0.1, -0.1, 5e-324, largest, -largest):
        assert float_above(Fraction(number)) == number
    assert float_above(Fraction(largest) + 1) == float_above(Fraction(10) ** 400) == math.inf
    assert float_above(-(Fraction(10) ** 400)) == -largest
    assert float_above(Fraction(1, 10**400)) == 5e-324
    assert float_above(-Fraction(1, 10**400)) == 0.0


def test_figures_are_printed_outward() -> None:
    numbers = [1 / 3, 2 / 3, 0.25, 123456789.0, 1e300, 1e-310, 1e-323, 5e-324, 0.0]
    for number in numbers:
        low, high = shown_below(number), shown_above(number)
        assert Fraction(low) <= Fraction(number) <= Fraction(high)
        assert Fraction(high) - Fraction(low) <= Fraction(number) / 10**5
        assert len(high) <= 12
    assert (shown_above(1 / 3), shown_below(2 / 3)) == ("0.333334", "0.666666")
    assert (shown_above(1e-323), shown_above(1 / 3, 2)) == ("9.88132e-324", "0.34")
    assert (shown_above(math.inf), shown_below(math.inf)) == ("inf", "inf")
    assert shown_above(math.nan) == "nan"


def test_two_product_is_exact() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal(200) * 10.0 ** rng.integers(-60, 60, 200)
    b = rng.standard_normal(200) * 10.0 ** rng.integers(-60, 60, 200)
    p, e = two_product(a, b)
    for i in range(200):
        assert Fraction(p[i]) + Fraction(e[i]) == Fraction(a[i]) * Fraction(b[i])
    assert sum(map(Fraction, product_terms(a, b))) == exact_dot(a, b)


@pytest.mark.parametrize("width", [0, 1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("cancel", [False, True])
def test_row_dots_keep_their_bound(width: int, cancel: bool) -> None:
    rng = np.random.default_rng(width)
    rows = rng.standard_normal((5, width)) * 10.0 ** rng.integers(-8, 9, (5, width))
    vector = rng.standard_normal(width)
    if cancel and width > 2:
        # The last entry cancels the sum of the others up to rounding.
        vector[-1] = 1.0
        rows[:, -1] = -(rows[:, :-1] @ vector[:-1])
    values, bounds = row_dots(rows, vector)
    sparse = row_dots(scipy.sparse.csr_array(rows), vector)
    for i in range(5):
        truth = exact_dot(rows[i], vector)
        for value, bound in ((values[i], bounds[i]), (sparse[0][i], sparse[1][i])):
            assert abs(Fraction(float(value)) - truth) <= Fraction(float(bound))
        magnitude = np.abs(rows[i]) @ np.abs(vector)
        # Full relative accuracy unless more than sixteen digits cancel.
        assert bounds[i] <= 2.3e-16 * abs(float(truth)) + 1e-25 * magnitude + 1e-130


def test_row_dots_in_chunks_with_float32_and_uneven_rows() -> None:
    rng = np.random.default_rng(1)
    rows = scipy.sparse.random(
        900, 700, density=0.3, format="csr", random_state=2, dtype=np.float32
    ).astype(np.float32)
    vector = rng.standard_normal(700)
    expected = rows.toarray().astype(np.float64) @ vector
    for given in (rows, rows.toarray(), np.asfortranarray(rows.toarray())):
        values, bounds = row_dots(given, vector)
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)
        assert (bounds < 1e-13).all()


def test_bounds_of_norms_and_sums() -> None:
    rng = np.random.default_rng(3)
    for size in (0, 1, 5, 1000):
        vector = rng.standard_normal(size)
        square = exact_dot(vector, vector)
        assert Fraction(norm_bound(vector)) ** 2 >= square
        assert norm_bound(vector) <= float(square) ** 0.5 * (1 + 1e-12) + 1e-130
    assert gamma(0) == 0
    assert gamma(10) >= 10 * 2.0**-53


def layouts() -> dict[str, np.ndarray]:
    """Arrays that lie in memory in every way: rows of 256 numbers, of other lengths, or none."""
    rng = np.random.default_rng(3)
    wide = rng.standard_normal((12, 6, 512))
    z = rng.standard_normal((9, 300)) + 1j * rng.standard_normal((9, 300))
    return {
        "whole": wide,
        "rows with gaps": wide[::2, :, :256],
        "short rows with gaps": wide[:, ::3, 7:107],
        "a row length that no number divides": wide[:, :, :509],
        "every second number": wide[:, :, ::2],
        "reversed": wide[::-1, :, ::-1],
        "Fortran order": np.asfortranarray(wide),
        "axes of one": wide[:, :1, :256],
        "repeated": np.broadcast_to(wide[0, 0], (7, 512)),
        "complex": z,
        "complex with gaps": z[:, 22:],
        "conjugated columns": z.T.conj()[::2],
        "a number": np.array(-3.5),
        "three": np.array([1.0, 0.0, -2.0]),
        "nothing": np.empty((0, 4)),
    }


def exact_squares(array: np.ndarray) -> Fraction:
    parts = array.real.ravel().tolist() + array.imag.ravel().tolist()
    return sum((Fraction(x) ** 2 for x in parts), Fraction(0))


@pytest.mark.parametrize("name", layouts())
def test_sums_of_squares_however_an_array_lies(name: str) -> None:
    array = layouts()[name]
    exact = exact_squares(array)
    assert abs(Fraction(sum_of_squares(array)) - exact) <= Fraction(gamma(514)) * exact
    norm = NormSum()
    norm.add(array)
    figure = norm.figure()
    assert Fraction(figure.low()) ** 2 <= exact <= Fraction(figure.high()) ** 2


def test_a_norm_of_many_parts_is_enclosed() -> None:
    """Parts of one number each: then it is their sum that rounds."""
    rng = np.random.default_rng(4)
    numbers = 1.0 + rng.random(3000)
    norm = NormSum()
    for number in numbers:
        norm.add(np.array([number]))
    figure = norm.figure()
    exact = exact_squares(numbers)
    assert Fraction(figure.low()) ** 2 <= exact <= Fraction(figure.high()) ** 2
    assert figure.room >= figure.value * gamma(128)


def test_a_norm_of_more_rows_than_are_kept_is_enclosed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparseopt.judging.figures._CHUNK", 300)
    array = np.random.default_rng(5).standard_normal((40, 1024))
    norm = NormSum()
    for part in array:
        for _ in range(100):
            norm.add(part[:256])
    figure = norm.figure()
    exact = 100 * exact_squares(array[:, :256])
    assert Fraction(figure.low()) ** 2 <= exact <= Fraction(figure.high()) ** 2


def test_a_norm_that_underflows_is_not_zero() -> None:
    norm = NormSum()
    norm.add(np.zeros(4))
    assert norm.figure().high() == 0.0
    norm.add(np.array([0.0, 5e-324]))
    assert 0.0 < norm.figure().high() < 1e-100
