"""A sparse regression in units where no square overflows or underflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.errors import ProblemError
from sparseopt.inverse.penalty import Penalty
from sparseopt.judging.rounding import TINY, gamma

NO_NORM = 2.0**-400
"""Bounds of norms below this belong to columns of zeros, or as good as zeros."""
_SAFE_EXPONENT = 100
_CHUNK = 1 << 20


def largest_entry(matrix: Any) -> float:
    """Return the largest magnitude in a dense or sparse array; no large temporary."""
    data = matrix.data if scipy.sparse.issparse(matrix) else matrix
    return max(float(data.max()), -float(data.min())) if data.size else 0.0


def _shifted(design: Any, exponent: int) -> Any:
    """Return ``design 2^exponent`` in float64; `ProblemError` if an entry loses digits."""
    with np.errstate(under="ignore"):
        shifted = design.astype(np.float64) * math.ldexp(1.0, exponent)
        back = shifted * math.ldexp(1.0, -exponent)
    if (back != design).sum():
        raise ProblemError(
            f"the largest entry of design is {largest_entry(design):.3g}, and others are so small "
            "that no scaling holds both; set those to zero, or rescale their columns"
        )
    return shifted


def _column_chunks(matrix: Any) -> list[slice]:
    step = max(1, _CHUNK // matrix.shape[0])
    return [slice(i, i + step) for i in range(0, matrix.shape[1], step)]


class ScaledProblem:
    """A `SparseRegression` with target entries of at most 1, by a power of two.

    Design A 2^-a, target y 2^-b, limits w 2^-(a + b), coefficients x 2^(a - b), dual points
    t 2^-b, objective P 2^-2b. Every engine and the judge work on these numbers alone. Powers of
    two make it exact: a design or limits that lose digits are refused, and what entries of the
    target lose below 2^-1022 is covered by `rounding.TINY`. The design is copied only if its
    largest entry lies outside 2^-100, ..., 2^100; else a = 0.

    Parameters
    ----------
    design, target, penalty
        Of the `SparseRegression`.
    largest : tuple of float
        The largest magnitude in design and target.

    Raises
    ------
    ProblemError
        If no power of two holds the whole design, or design, target and limits together.

    Attributes
    ----------
    design : ndarray or scipy.sparse csr or csc, shape (m, n)
    target : ndarray of float64, shape (m,)
    blocks : Blocks
    limits : ndarray of float64, shape (n_blocks,)
        Factors of the blocks' norms in the penalty.
    """

    def __init__(
        self, design: Any, target: np.ndarray, penalty: Penalty, largest: tuple[float, float]
    ) -> None:
        self.design = design
        exponent, self._b = (math.frexp(value)[1] for value in largest)
        self._a = exponent if abs(exponent) > _SAFE_EXPONENT else 0
        if self._a:
            self.design = _shifted(design, -self._a)
        self.target = np.ldexp(target.astype(np.float64), -self._b)
        size = design.shape[1]
        self.blocks = penalty.blocks(size)
        limits = penalty.limits(size)
        self.limits = self._shift(limits, -self._a - self._b)
        if not np.array_equal(self._shift(self.limits, self._a + self._b), limits):
            raise ProblemError(
                f"strength times weight lies between {limits.min():.3g} and {limits.max():.3g}, "
                "which no scaling holds together with this design and target; multiply design or "
                "target by a constant, and strength by the same"
            )

    @staticmethod
    def _shift(values: Any, exponent: int) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(np.asarray(values, dtype=np.float64), exponent)

    def coefficients(self, x: np.ndarray) -> np.ndarray:
        """Return coefficients in scaled units."""
        return self._shift(x, self._a - self._b)

    def original_coefficients(self, x: np.ndarray) -> np.ndarray:
        """Inverse of `coefficients`."""
        return self._shift(x, self._b - self._a)

    def dual_point(self, t: np.ndarray) -> np.ndarray:
        """Return a dual point in scaled units."""
        return self._shift(t, -self._b)

    def original_dual_point(self, t: np.ndarray) -> np.ndarray:
        """Inverse of `dual_point`."""
        return self._shift(t, self._b)

    def objective(self, value: float) -> float:
        """Return an objective value in scaled units, NaN if it would lose digits."""
        scaled = float(self._shift(value, -2 * self._b))
        return scaled if float(self._shift(scaled, 2 * self._b)) == value else math.nan

    def original_above(self, value: float) -> float:
        """Return the least objective value, in the units of the problem, that is not below."""
        found = float(self._shift(value, 2 * self._b))
        below = float(self._shift(found, -2 * self._b)) < value
        return math.nextafter(found, math.inf) if below else found

    def original_below(self, value: float) -> float:
        """Return the largest objective value, in the units of the problem, that is not above."""
        return -self.original_above(-value)

    def correlation(self, t: np.ndarray) -> np.ndarray:
        """Return ``design.T @ t`` in float64; float32 designs are converted chunk by chunk."""
        if scipy.sparse.issparse(self.design) or self.design.dtype == np.float64:
            return np.asarray(self.design.T @ t)
        chunks = _column_chunks(self.design)
        return np.concatenate([self.design[:, c].astype(np.float64).T @ t for c in chunks])

    def column_norm_bounds(self) -> np.ndarray:
        """Return an upper bound of each column's Euclidean norm, a little above it."""
        rows = self.design.shape[0]
        if scipy.sparse.issparse(self.design):
            squares = self._with_data(np.square(self.design.data, dtype=np.float64)).sum(axis=0)
        else:
            parts = (
                self.design[:, c].astype(np.float64, copy=False)
                for c in _column_chunks(self.design)
            )
            squares = np.concatenate([np.einsum("ij,ij->j", part, part) for part in parts])
        # The second term is for squares that underflow.
        bounds = np.sqrt(np.asarray(squares).ravel() * (1.0 + gamma(rows + 16)))
        return bounds + math.sqrt(rows) * TINY

    def _with_data(self, data: np.ndarray) -> Any:
        parts = (data, self.design.indices, self.design.indptr)
        return type(self.design)(parts, shape=self.design.shape)

    def columns_as_rows(self, columns: np.ndarray, copies: int) -> Any:
        """Return some columns as the rows of a dense or csr matrix, each `copies` times over."""
        part = self.design[:, columns].T
        if scipy.sparse.issparse(part):
            return part.tocsr() if copies == 1 else scipy.sparse.hstack([part] * copies, "csr")
        return part if copies == 1 else np.hstack([part] * copies)

    def dense(self) -> np.ndarray:
        """Return the design as a dense array of float64."""
        sparse = scipy.sparse.issparse(self.design)
        return np.asarray(self.design.toarray() if sparse else self.design, dtype=np.float64)

    def with_target(self, columns: np.ndarray) -> Any:
        """Return some columns and the target side by side in float64, dense or csr."""
        part = self.design[:, columns].astype(np.float64)
        if not scipy.sparse.issparse(part):
            return np.column_stack([part, self.target])
        target = scipy.sparse.csr_array(self.target[:, None])
        return scipy.sparse.hstack([part, target], format="csr")
