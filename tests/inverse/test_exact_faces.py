"""Basis pursuit on nearly dependent columns: what exact equations reach, and what is said."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy
from sparseopt_inverse.exact_faces import exact_face

import sparseopt as so


def hilbert(size: int) -> np.ndarray:
    return np.asarray(1.0 / (1 + np.arange(size)[:, None] + np.arange(size)))


@pytest.mark.parametrize("size", [5, 8, 10, 12])
def test_hilbert_matrices_reach_the_default_tolerance(size: int) -> None:
    design = hilbert(size)
    for x in (np.ones(size), np.eye(size)[2] - np.eye(size)[0]):
        solution = so.solve(so.BasisPursuit(design, design @ x))
        assert solution.status is so.Status.VERIFIED
        assert so.verify(solution).ok


@pytest.mark.parametrize("scale", [1.0, 1e100, 1e-100])
def test_equations_are_solved_exactly(scale: float) -> None:
    """Against rational arithmetic of another library."""
    rng = np.random.default_rng(0)
    columns = hilbert(6)[:, :4] * scale
    target, w = rng.standard_normal(6) * 1e-3, rng.standard_normal(6) / scale
    made = exact_face(columns, target, w, so.Context())
    assert made is not None
    a = sympy.Matrix([[sympy.Rational(Fraction(v)) for v in row] for row in columns.tolist()])
    y = sympy.Matrix([sympy.Rational(Fraction(v)) for v in target.tolist()])
    right = (a.T * a).inv() * a.T * y
    found = [Fraction(v) for v in made[0].tolist()]
    exact = [Fraction(int(v.p), int(v.q)) for v in right]
    for v, e in zip(found, exact, strict=True):
        assert abs(v - e) <= abs(e) / 2**40
    point = [Fraction(h) + Fraction(low) for h, low in made[1].T.tolist()]
    for j in range(4):
        value = sum(Fraction(v) * p for v, p in zip(columns[:, j].tolist(), point, strict=True))
        assert abs(value - (1 if exact[j] > 0 else -1)) <= Fraction(1, 2**70)


def test_dependent_columns_and_wide_ones_are_left() -> None:
    same = np.ones((3, 2))
    assert exact_face(same, np.ones(3), np.zeros(3), so.Context()) is None
    assert exact_face(np.ones((2, 3)), np.ones(2), np.zeros(2), so.Context()) is None
    assert exact_face(np.eye(40), np.ones(40), np.zeros(40), so.Context()) is None


def test_what_rounding_takes_is_said() -> None:
    """The solution has entries of 10^9: their spacing moves what fits."""
    solution = so.solve(so.BasisPursuit(hilbert(12), np.ones(12)), "douglas_rachford")
    assert solution.status is so.Status.WEAK
    assert solution.accuracy is not None
    assert solution.accuracy < 1e-3
    assert "limited by: x is large, up to" in str(solution)
    fine = so.BasisPursuit([[1.0, 2.0]], [1.0])
    assert fine.limited_by(so.solve(fine).answer) == ""
