"""Basis pursuit on given columns over the rationals, for nearly dependent ones.

Rounding leaves of doubled precision what the condition of the columns does not take, twice over.
Where nothing is left, the equations are solved exactly, and only their solutions are rounded: the
coefficients together, so that their errors cancel, the dual point as the sum of two rows.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.judging.exact import eliminate_integers
from sparseopt.judging.integers import as_integers
from sparseopt_inverse.exact_kernels import watched
from sparseopt_inverse.joint_rounding import rounded_jointly

MOST_COLUMNS = 32
MOST_ENTRIES = 40_000


def exact_face(
    columns: np.ndarray, target: np.ndarray, w: np.ndarray, context: so.Context, norm: float = 1
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return coefficients on independent columns, and the dual point nearest to `w`.

    The coefficients fit the target best; the point has correlations that prove their norm: their
    signs for norm 1, themselves for norm 2, the largest one's sign and zeros for the other. None
    where the columns depend on each other, or are too many.

    Parameters
    ----------
    columns : ndarray of float64, shape (m, k)
    target, w : ndarray of float64, shape (m,)
    norm : {1, 2, inf}

    Returns
    -------
    x : ndarray of float64, shape (k,)
    w : ndarray of float64, shape (2, m)
    """
    m, k = columns.shape
    if k > MOST_COLUMNS or m * k > MOST_ENTRIES or k > m:
        return None
    matrix, scale = as_integers(columns)
    known, unit = as_integers(target, w)
    whole, (y, point) = matrix[0], known
    gram = whole.T.dot(whole)
    rows = np.column_stack([gram, whole.T.dot(y), whole.T.dot(point), np.eye(k, dtype=int)])
    table = rows.tolist()
    if len(eliminate_integers(table, watched(k, context))) < k:
        return None
    # Integers times 2^scale and 2^unit: G x = A^T y has a factor 2^(unit - scale) left.
    head = table[0][0]
    shift = Fraction(2) ** (unit - scale)
    exact = [Fraction(row[k], head) * shift for row in table]
    signs = [Fraction(1 if v > 0 else -1) for v in exact]
    if norm == 2:
        signs = exact
    elif norm != 1:
        most = max(map(abs, exact))
        first = next(i for i, v in enumerate(exact) if abs(v) == most)
        signs = [s if i == first else Fraction(0) for i, s in enumerate(signs)]
    # What is missing of the signs: s - A^T w, w = A G^-1 of it more.
    shares = [
        Fraction(sum(row[k + 2 + j] * s for j, s in enumerate(signs)), head) / Fraction(2) ** scale
        - Fraction(row[k + 1], head) * Fraction(2) ** unit
        for row in table
    ]
    moved = [
        Fraction(int(p)) * Fraction(2) ** unit
        + sum(int(a) * share for a, share in zip(row, shares, strict=True))
        for p, row in zip(point, whole, strict=True)
    ]
    try:
        x, dual = _two_rows(exact), _two_rows(moved)
    except OverflowError:
        return None
    # An error of the fit costs the proof what the dual point says, and the fit itself.
    weights = np.abs(dual[0]) / np.abs(x[0]).sum() + 1.0 / np.linalg.norm(target)
    return rounded_jointly(columns, x, weights, True), dual


def exact_least_norm(
    matrix: np.ndarray, target: np.ndarray, context: so.Context
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return x = A^T w of least 2-norm with A x = y, rounded together, and w as two rows.

    None where the rows depend on each other, or are too many.

    Parameters
    ----------
    matrix : ndarray of float64, shape (m, n)
    target : ndarray of float64, shape (m,)
    """
    m, n = matrix.shape
    if m > MOST_COLUMNS or m * n > MOST_ENTRIES:
        return None
    (whole, known), scale = as_integers(matrix, target)
    table = np.column_stack([whole.dot(whole.T), known]).tolist()
    if len(eliminate_integers(table, watched(m, context))) < m:
        return None
    shares = [Fraction(row[m], row[i]) for i, row in enumerate(table)]
    exact = [
        sum((int(a) * v for a, v in zip(column, shares, strict=True)), Fraction(0))
        for column in whole.T
    ]
    unit = Fraction(2) ** -scale
    try:
        x, w = _two_rows(exact), _two_rows([v * unit for v in shares])
    except OverflowError:
        return None
    weights = np.abs(w[0]) / np.abs(x[0]).max() + 1.0 / np.linalg.norm(target)
    return rounded_jointly(matrix, x, weights), w


def _two_rows(values: list[Fraction]) -> np.ndarray:
    high = [float(v) for v in values]
    return np.array([high, [float(v - Fraction(h)) for v, h in zip(values, high, strict=True)]])
