"""How much of a vector lies in the range of a design: what least squares needs to be judged.

Rounded numbers are never quite orthogonal to columns, and how far they are from being so is a
question of the columns' independence. Two ways to answer it, both with proof:

* Let B = A X for any X. If |B^T B - I| <= a < 1 in the spectral norm, B and with it A have
  independent columns and one range, so for the orthogonal projection Q onto it
  |Q t|^2 = t^T B (B^T B)^-1 B^T t <= |B^T t|^2 / (1 - a). X comes from a QR factorization in plain
  arithmetic; that it is good enough is proved by the product (Rump 2010, Verification methods).
* For few columns, dependent or not, |t|^2 - |Q t|^2 is a ratio of two minors of a Gram matrix
  of integers, found by fraction-free elimination (Bareiss 1968).

Equal, opposite and zero columns are dropped first: they do not change the range.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from sparseopt.inverse.independence import distinct_columns, nearly_orthonormal
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.scaling import ScaledProblem
from sparseopt.judging.exact import eliminate_integers
from sparseopt.judging.integers import as_integers
from sparseopt.judging.rounding import above, gamma, norm_bound, row_dots

DENSE_LIMIT = 2**25
"""Entries of the largest sparse design that is made dense, 256 MiB in float64."""
MOST_COLUMNS, MOST_PRODUCTS = 64, 2**20
"""Sizes up to which the exact elimination takes one or two seconds."""


def projection_bound(scaled: ScaledProblem, t: np.ndarray, chosen: np.ndarray) -> float:
    """Return an upper bound of the norm of the projection of `t` onto the range of some columns.

    It is the norm of `t` itself where nothing better can be proved: where columns depend on each
    other, or nearly, and are too many for exact elimination. O(m n^2).

    Parameters
    ----------
    scaled : ScaledProblem
        With weights v of its rows, the columns are those of diag(v)^(1/2) A, and the point is
        t / v^(1/2).
    t : ndarray of float64, shape (1, m) or (2, m)
        The sum of its rows.
    chosen : ndarray of int
        The columns.
    """
    rows, count = scaled.rows, len(chosen)
    roots = None if scaled.weights is None else np.sqrt(scaled.weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = t if roots is None else np.where(t == 0, 0.0, t / roots)
    whole = above(sum(map(norm_bound, parts)), 8)
    if not whole < math.inf:
        return math.inf
    if count == 0:
        return 0.0
    if not isinstance(scaled.design, np.ndarray) and rows * count > DENSE_LIMIT:
        return whole
    matrix = scaled.dense(chosen if count < scaled.size else None)
    errors = np.zeros(count)
    if isinstance(scaled.design, ColumnOperator):
        errors = scaled.design.column_errors[chosen]
    if not errors.any():  # else what looks equal, or zero, need not be
        matrix = matrix[:, distinct_columns(matrix)]
        errors = np.zeros(matrix.shape[1])
    if matrix.shape[1] == 0:
        return 0.0
    if matrix.shape[1] < rows:
        bound = _by_orthogonalisation(matrix, t, roots, errors)
        if bound < whole:
            return bound
    # A vector this small against the target proves an interpolation as it is.
    if whole <= 2.0**-50 * norm_bound(scaled.target):
        return whole
    count = matrix.shape[1]
    if errors.any() and not scaled.design.is_product:
        return whole
    if count <= MOST_COLUMNS and count * count * rows <= MOST_PRODUCTS:
        # Of dependent columns only the exact ones tell.
        exact = scaled.design.exact_columns(chosen) if errors.any() else _as_integers(matrix)
        return min(_by_elimination(exact, t, scaled.weights, whole), whole)
    return whole


def _by_orthogonalisation(
    plain: np.ndarray, t: np.ndarray, roots: np.ndarray | None, errors: np.ndarray
) -> float:
    """Return the bound by a nearly orthonormal basis, infinity if there is none."""
    off = errors if roots is None else errors * float(roots.max())
    found = nearly_orthonormal(plain if roots is None else plain * roots[:, None], off)
    if found is None:
        return math.inf
    (factor, error), count = found, plain.shape[1]
    values, bounds = row_dots(np.ascontiguousarray(np.hstack([plain.T] * len(t))), t.ravel())
    bounds = bounds + errors * above(sum(map(norm_bound, t)), 4)
    inexact = np.abs(factor).T @ (gamma(count + 8) * np.abs(values) + bounds)
    size = norm_bound(factor.T @ values) + norm_bound(inexact)
    return above(size / math.sqrt(1.0 - error), count + 16)


def _as_integers(matrix: np.ndarray) -> np.ndarray:
    """Return the columns as integers, each times a power of two of its own."""
    return np.stack([as_integers(column)[0][0] for column in matrix.T], axis=1)


def _gram(matrix: np.ndarray, t: np.ndarray, weights: np.ndarray | None) -> list[list[int]]:
    """Return the Gram matrix of columns of integers and `t`, each times an integer.

    With weights v: of the columns times v^(1/2), and t / v^(1/2).
    """
    point = as_integers(t)[0][0].sum(axis=0)
    left, corner = matrix, Fraction(point @ point)
    if weights is not None:
        used = as_integers(weights)[0][0]
        left = matrix * used[:, None]
        # Weights times an integer: so are both squares, one over it.
        pairs = zip(point, used, strict=True)
        corner = sum((Fraction(p * p, v) for p, v in pairs if v), Fraction(0))
    side = corner.denominator * (matrix.T @ point)
    last = [*side, corner.numerator * corner.denominator]
    return [*np.column_stack([left.T @ matrix, side]).tolist(), last]


def _by_elimination(
    matrix: np.ndarray, t: np.ndarray, weights: np.ndarray | None, size: float
) -> float:
    """Return the norm of the projection of a point of norm `size`, found exactly and rounded up.

    The columns are integers.
    """
    gram = _gram(matrix, t, weights)
    whole = gram[-1][-1]
    if whole == 0:
        return 0.0
    # The matrix is positive semidefinite: a column that depends on those before it leaves a row of
    # zeros, so pivots stand on the diagonal, and the row of the point stays the last.
    pivots = eliminate_integers(gram, range(len(gram) - 1), reduced=False)
    last = gram[len(pivots) - 1][pivots[-1]] if pivots else 1
    share = 1 - Fraction(gram[-1][-1], last * whole)
    return above(math.sqrt(above(float(share), 2)) * size, 8)
