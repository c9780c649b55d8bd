"""Error bounds of dot products, against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse

from sparseopt.judging.rounding import gamma, norm_bound, product_terms, row_dots, two_product


def exact_dot(a: np.ndarray, b: np.ndarray) -> Fraction:
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return sum((Fraction(x) * Fraction(y) for x, y in pairs), Fraction(0))


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
