"""Errors and lower bounds of fixed supports, against rationals and singular values of 60 digits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from exact_factors import encloses, rational, squared_difference, times

from sparseopt.supports.bounds import ScaledTarget, optimum
from sparseopt.supports.components import components

DTYPES = ("float32", "float64", "complex64", "complex128")


def gaussian(shape: tuple[int, int], dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return (drawn if np.dtype(dtype).kind == "c" else drawn.real).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(3))
def test_errors(dtype: str, seed: int) -> None:
    target = gaussian((4, 3), dtype, seed)
    x, y = gaussian((4, 2), dtype, seed + 10), gaussian((2, 3), dtype, seed + 20)
    for left, right in ((x, y), (0 * x, y), (x[:, :0], y[:0])):
        found = ScaledTarget(target).error(left, right)
        made = times(rational(left), rational(right)) if left.shape[1] else rational(0 * target)
        assert encloses(found, squared_difference(rational(target), made))
        assert found.high() - found.low() <= 1e-13 * (found.high() + np.linalg.norm(target))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("big", [1e3, 1e9, 1e17, 1e150])
def test_factors_that_cancel_or_are_far_apart_in_scale(dtype: str, big: float) -> None:
    target = gaussian((3, 3), dtype, 0)
    x, y = gaussian((3, 3), dtype, 1), gaussian((3, 3), dtype, 2)
    x[:, 2], y[2] = x[:, 1], -y[1] * (1 + 2**-50)
    cancel = x * np.array([1.0, big, big]), y * np.array([[1.0], [big], [big]])
    apart = x * np.array([1.0, big, 1 / big]), y * np.array([[1.0], [1 / big], [big]])
    for left, right in (cancel, apart):
        found = ScaledTarget(target).error(left, right)
        exact = squared_difference(rational(target), times(rational(left), rational(right)))
        assert encloses(found, exact)
    # Terms are scaled one by one, so that only cancellation costs accuracy.
    assert found.high() - found.low() <= 1e-12


@pytest.mark.parametrize("exponent", [-1070, -1000, -500, 500, 1015])
def test_far_scales(exponent: int) -> None:
    target = np.ldexp(gaussian((3, 3), "float64", 0), exponent)
    half = exponent // 2
    x = np.ldexp(gaussian((3, 2), "float64", 1), half)
    y = np.ldexp(gaussian((2, 3), "float64", 2), exponent - half)
    found = ScaledTarget(target).error(x, y)
    assert encloses(found, squared_difference(rational(target), times(rational(x), rational(y))))
    norm = ScaledTarget(target).norm()
    assert encloses(norm, squared_difference(rational(target), rational(0 * target)))


def test_products_that_overflow_have_no_error_to_state() -> None:
    found = ScaledTarget(np.eye(1)).error(np.full((1, 2), 1e200), np.full((2, 1), 1e200))
    assert found.high() == np.inf
    assert found.low() == 0.0


def test_exact_products_of_few_digits_are_exact() -> None:
    assert ScaledTarget(np.zeros((2, 2))).error(np.zeros((2, 1)), np.ones((1, 2))).high() == 0.0


def least(target: np.ndarray, left: np.ndarray, right: np.ndarray) -> Any:
    """Return the lower bound with 60 digits."""
    with mpmath.workdps(60):
        total = mpmath.mpf(0)
        covered = np.zeros(target.shape, bool)
        for terms, cells in components(left, right):
            covered |= cells
            block = np.where(cells, target, 0)[np.ix_(cells.any(axis=1), cells.any(axis=0))]
            entries = [[mpmath.mpmathify(complex(v)) for v in row] for row in block.tolist()]
            values = mpmath.svd_c(mpmath.matrix(entries), compute_uv=False)
            total += sum(values[k] ** 2 for k in range(len(terms), len(values)))
        for value in target[~covered].tolist():
            total += abs(mpmath.mpmathify(complex(value))) ** 2
        return mpmath.sqrt(total)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(6))
def test_lower_bounds(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, r, n = rng.integers(2, 5, 3)
    left, right = rng.random((m, r)) < 0.6, rng.random((r, n)) < 0.6
    target = gaussian((m, n), dtype, seed)
    if seed % 2:  # nearly a product
        x, y = gaussian((m, r), dtype, seed + 1), gaussian((r, n), dtype, seed + 2)
        target = ((left * x) @ (right * y) + 1e-9 * target).astype(dtype)
    found = optimum(ScaledTarget(target), left, right)
    exact = least(target, left, right)
    assert found.below.low() <= exact <= found.below.high()
    assert found.below.high() - found.below.low() <= 1e-12 * np.linalg.norm(target)
    assert found.below.low() <= found.guaranteed


def test_what_is_guaranteed() -> None:
    target = ScaledTarget(np.diag([3.0, 4.0]))
    full = np.ones((2, 1), bool), np.ones((1, 2), bool)
    # Half of the share of one direction in two: a quarter of the squared norm.
    found = optimum(target, *full).guaranteed
    assert Fraction(found) ** 2 >= Fraction(75, 4)
    assert found == pytest.approx(np.sqrt(75 / 4), rel=1e-12)
    half = np.array([[1], [0]], bool), np.array([[1, 1]], bool)
    assert optimum(target, *half).guaranteed == pytest.approx(np.sqrt(16 + 9 / 2), rel=1e-12)
    overlap = np.ones((2, 2), bool), np.array([[1, 1], [0, 1]], bool)
    assert optimum(target, *overlap).guaranteed == pytest.approx(5.0, rel=1e-12)


def test_as_many_components_as_cells_round_by_little() -> None:
    """Each component is added where the sum of all so far is rounded up the most."""
    rng = np.random.default_rng(0)
    n, total, sizes = 48, 0.0, []
    corners = [(i, j) for i in range(0, n, 2) for j in range(0, n, 2)]
    for _ in corners:
        tried = rng.uniform(0.2, 0.25, 20).tolist()
        size = max(tried, key=lambda d: Fraction(math.hypot(total, d)) ** 2 - Fraction(d) ** 2)
        total = math.hypot(total, size)
        sizes.append(size)
    target, left = np.zeros((n, n)), np.zeros((n, len(corners)), dtype=bool)
    right = np.zeros((len(corners), n), dtype=bool)
    for k, ((i, j), size) in enumerate(zip(corners, sizes, strict=True)):
        target[i, j], target[i + 1, j + 1] = 0.5, size
        left[i : i + 2, k] = right[k, j : j + 2] = True
    least = sum(Fraction(size) ** 2 for size in sizes)
    below = optimum(ScaledTarget(target), left, right).below
    assert Fraction(below.low()) ** 2 <= least <= Fraction(below.high()) ** 2
    assert below.room <= 1e-13 * below.value
