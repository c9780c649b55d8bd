"""A sparse regression in units where no square overflows or underflows."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.penalty import Penalty
from sparseopt.inverse.squares import column_squares
from sparseopt.judging.rounding import TINY, gamma, row_dots

NO_NORM = 2.0**-400
"""Bounds of norms below this belong to columns of zeros, or as good as zeros."""
_SAFE_EXPONENT = 100
_LEAST = 2.0**-500
_CHUNK = 1 << 20


class Stated(Protocol):
    """What a `SparseRegression` states."""

    @property
    def real_design(self) -> Any: ...

    @property
    def is_complex(self) -> bool: ...

    @property
    def largest_entries(self) -> tuple[float, float]: ...

    @property
    def column_squares(self) -> np.ndarray | None: ...

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def target(self) -> np.ndarray: ...

    @property
    def penalty(self) -> Penalty: ...

    @property
    def sample_weights(self) -> np.ndarray | None: ...


def largest_entry(matrix: Any) -> float:
    """Return the largest magnitude in a dense or sparse array; no large temporary."""
    if isinstance(matrix, ColumnOperator):
        return matrix.largest
    data = matrix if isinstance(matrix, np.ndarray) else matrix.data
    if data.dtype.kind == "c":
        return max(largest_entry(data.real), largest_entry(data.imag))
    return max(float(data.max()), -float(data.min())) if data.size else 0.0


def _shifted(design: Any, exponent: int) -> Any:
    """Return ``design 2^exponent`` in float64; `ProblemError` if an entry loses digits."""
    if isinstance(design, ColumnOperator):
        return design.times_power(exponent)
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

    Design A 2^-a, target y 2^-b, weights of the rows 2^-2c, coefficients x 2^(a - b), limits
    w 2^-(a + b + 2c), ridge 2^-(2a + 2c), dual points t 2^-(b + 2c), objective P 2^-(2b + 2c).
    Every engine and the judge work on these numbers alone. Powers of two make it exact: a design
    or limits that lose digits are refused, and what entries of the target lose below 2^-1022 is
    covered by `rounding.TINY`. The design is copied only if its largest entry lies outside
    2^-100, ..., 2^100; otherwise a = 0. Complex numbers are pairs: real parts first, then imaginary
    ones.

    Parameters
    ----------
    problem : SparseRegression

    Raises
    ------
    ProblemError
        If no power of two holds the whole design, or design, target and limits together.

    Attributes
    ----------
    design : ndarray or scipy.sparse csr or csc, shape (m, n), or ColumnOperator
    target : ndarray of float64, shape (m,)
    blocks : Blocks
    limits : ndarray of float64, shape (n_blocks,)
        Factors of the blocks' norms in the penalty.
    thresholds : ndarray of float64, shape (n,), or None
        Factors of the magnitudes; of a complex number both parts have that of its modulus.
    ridge : float
    positive : bool
    weights : ndarray of float64, shape (m,), or None
        Of the rows; None stands for ones.
    is_complex : bool
        Whether real numbers here are parts of complex ones.
    """

    def __init__(self, problem: Stated) -> None:
        self.design, self._squares = problem.real_design, problem.column_squares
        exponent = 0 if self._squares is not None else math.frexp(problem.largest_entries[0])[1]
        # Some columns alone may be below the normal floats; 2^1022 is a power that is a float.
        self._a = max(-1022, exponent) if abs(exponent) > _SAFE_EXPONENT else 0
        self.is_complex, target = problem.is_complex, problem.target
        self.weights, self._c = None, 0
        if problem.sample_weights is not None:
            self._c = math.frexp(float(problem.sample_weights.max()))[1] // 2
            weights = np.ldexp(problem.sample_weights, -2 * self._c)
            self.weights = np.tile(weights, 1 + self.is_complex)
            target = np.where(weights > 0.0, target, 0.0)  # other rows do not count
        self._b = math.frexp(largest_entry(target))[1]
        if self._a:
            self.design = _shifted(self.design, -self._a)
        self.target = np.ldexp(as_parts(target, self.is_complex), -self._b)
        self._take_penalty(problem.penalty, problem.shape[1])

    def _take_penalty(self, penalty: Penalty, size: int) -> None:
        blocks, together = penalty.blocks(size), self._a + self._b + 2 * self._c
        self.blocks = blocks.doubled() if self.is_complex else blocks
        self.limits = self._exactly(penalty.limits(size), -together)
        thresholds, self.thresholds = penalty.thresholds(size), None
        if thresholds is not None and thresholds.any():
            own = self._exactly(thresholds, -together)
            self.thresholds = np.tile(own, 1 + self.is_complex)
        self.positive, self.ridge = penalty.positive, penalty.ridge
        if self.ridge:
            self.ridge = float(self._exactly(np.array([self.ridge]), -2 * (self._a + self._c))[0])

    def _exactly(self, values: np.ndarray, exponent: int) -> np.ndarray:
        scaled = self._shift(values, exponent)
        if not (self._shift(scaled, -exponent) == values).all():
            raise ProblemError(
                f"strength times weight lies between {values.min():.3g} and {values.max():.3g}, "
                "which no scaling holds together with this design and target; multiply design or "
                "target by a constant, and strength by the same"
            )
        return scaled

    @property
    def unit(self) -> int:
        """A scaled target, residual or dual point times two to this power is in its own units."""
        return self._b + 2 * self._c

    @property
    def unknown_unit(self) -> int:
        """Scaled coefficients times two to this power are in their own units."""
        return self._b - self._a

    @property
    def rows(self) -> int:
        """Rows of the design in real numbers."""
        return len(self.target)

    @property
    def size(self) -> int:
        """Columns of the design in real numbers."""
        return int(self.design.shape[1])

    @staticmethod
    def _shift(values: Any, exponent: int) -> np.ndarray:
        values = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore", under="ignore"):
            # A product rounds once too, and is faster.
            return values * 2.0**exponent if abs(exponent) < 1000 else np.ldexp(values, exponent)

    def coefficients(self, x: np.ndarray) -> np.ndarray:
        """Return coefficients in scaled units, real; those below 2^-500 as 0.

        Their squares and moduli would lose digits. A check takes the zeros for digits lost.
        """
        found = self._shift(as_parts(x, self.is_complex), self._a - self._b)
        return np.where(np.abs(found) < _LEAST, 0.0, found)

    def original_coefficients(self, x: np.ndarray) -> np.ndarray:
        """Inverse of `coefficients`; `ProblemError` if one is beyond float64 in original units."""
        found = self._shift(x, self._b - self._a)
        if np.isinf(found).any() and np.isfinite(x).all():
            raise ProblemError(
                "coefficients of the answer are beyond float64: design is so small beside target; "
                "multiply design, or divide target, by a power of two"
            )
        return self.joined(found)

    def dual_point(self, t: np.ndarray) -> np.ndarray:
        """Return a dual point in scaled units, real."""
        return self._shift(as_parts(t, self.is_complex), -self._b - 2 * self._c)

    def original_dual_point(self, t: np.ndarray) -> np.ndarray:
        """Inverse of `dual_point`."""
        return self.joined(self._shift(t, self._b + 2 * self._c))

    def parts(self, values: np.ndarray) -> np.ndarray:
        """Return numbers of the problem as real ones, real parts first, in their own units."""
        return as_parts(values, self.is_complex)

    def joined(self, parts: np.ndarray) -> np.ndarray:
        """Inverse of `parts`."""
        if not self.is_complex:
            return parts
        half = parts.shape[-1] // 2
        joined = np.empty((*parts.shape[:-1], half), dtype=np.complex128)
        joined.real, joined.imag = parts[..., :half], parts[..., half:]
        return joined

    def per_coefficient(self, flags: np.ndarray) -> np.ndarray:
        """Return per coefficient whether its flag, or those of both its parts, are set."""
        half = len(flags) // 2
        return flags[:half] & flags[half:] if self.is_complex else flags

    def objective(self, value: float) -> float:
        """Return an objective value in scaled units, NaN if it would lose digits."""
        scaled = self._figure(value, -1)
        return scaled if self._figure(scaled, 1) == value else math.nan

    def _figure(self, value: float, direction: int) -> float:
        """Return an objective value in the other units; 1 for those of the problem."""
        e = 2 * direction * (self._b + self._c)
        return float(value) * 2.0**e if abs(e) < 1000 else float(self._shift(value, e))

    def original_above(self, value: float) -> float:
        """Return the least objective value, in the units of the problem, that is not below."""
        found = self._figure(value, 1)
        return math.nextafter(found, math.inf) if self._figure(found, -1) < value else found

    def original_below(self, value: float) -> float:
        """Return the largest objective value, in the units of the problem, that is not above."""
        return 0.0 - self.original_above(-value)

    def correlation(self, t: np.ndarray) -> np.ndarray:
        """Return ``design.T @ t`` in float64; float32 designs are converted chunk by chunk."""
        if isinstance(self.design, ColumnOperator):
            return self.design.correlation(t)
        if self.design.dtype == np.float64 or scipy.sparse.issparse(self.design):
            return np.asarray(self._transpose @ t)
        chunks = _column_chunks(self.design)
        return np.concatenate([self.design[:, c].astype(np.float64).T @ t for c in chunks])

    @cached_property
    def _transpose(self) -> Any:
        return self.design.T

    @cached_property
    def column_norm_bounds(self) -> np.ndarray:
        """An upper bound of each column's Euclidean norm, a little above it.

        Each row counts by its weight.
        """
        if isinstance(self.design, ColumnOperator):
            return read_only(self.design.norm_bounds(self.weights))
        rows, squares = self.design.shape[0], self._squares
        if squares is None or self.weights is not None:
            squares = column_squares(self.design, self.weights)
        # The second term is for squares that underflow.
        bounds = np.sqrt(squares * (1.0 + gamma(rows + 16)))
        return read_only(bounds + math.sqrt(rows) * TINY)

    def columns(self, entries: np.ndarray) -> Any:
        """Return some columns, dense or sparse as the design is."""
        return self.design[:, entries]

    @property
    def in_two(self) -> bool:
        """Whether columns are taken as sums of two: those of products of factors."""
        return isinstance(self.design, ColumnOperator) and self.design.is_product

    def missing(self, support: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return target minus some columns times `x`, to about the last bit, and bounds.

        The bounds are of the rounding of each entry, not of what the columns are off by.
        """
        return row_dots(self.with_target(support), np.append(np.tile(-x, 1 + self.in_two), 1.0))

    def products(self, t: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the transpose of some columns times the rows of `t`, added up, in the same way."""
        return row_dots(self.as_rows(columns, len(t)), np.repeat(t, 1 + self.in_two, 0).ravel())

    def _summands(self, columns: np.ndarray) -> Any:
        """Return one or two matrices of which some columns are the sum."""
        return self.design.in_two(columns) if self.in_two else [self.columns(columns)]

    def as_rows(self, columns: np.ndarray, copies: int) -> Any:
        """Return some columns as the rows of a dense or csr matrix, each `copies` times over.

        Where they are sums of two, both stand in their place.
        """
        parts = [part.T for part in self._summands(columns)] * copies
        if scipy.sparse.issparse(parts[0]):
            return parts[0].tocsr() if copies == 1 else scipy.sparse.hstack(parts, "csr")
        return parts[0] if len(parts) == 1 else np.hstack(parts)

    def dense(self, columns: np.ndarray | None = None) -> np.ndarray:
        """Return the design, or some columns of it, as a dense array of float64."""
        part = self.design if columns is None else self.columns(columns)
        if isinstance(part, ColumnOperator):
            part = part[:, np.arange(self.size)]
        return np.asarray(part.toarray() if scipy.sparse.issparse(part) else part, dtype=np.float64)

    def with_target(self, columns: np.ndarray) -> Any:
        """Return some columns and the target side by side in float64, dense or csr."""
        parts = [part.astype(np.float64) for part in self._summands(columns)]
        if not scipy.sparse.issparse(parts[0]):
            return np.column_stack([*parts, self.target])
        target = scipy.sparse.csr_array(self.target[:, None])
        return scipy.sparse.hstack([*parts, target], format="csr")


def as_parts(values: np.ndarray, is_complex: bool) -> np.ndarray:
    """Return real numbers as they are, complex ones as their real, then their imaginary parts."""
    if not is_complex:
        return np.asarray(values, dtype=np.float64)
    values = np.asarray(values)
    return np.concatenate([values.real, values.imag], axis=-1).astype(np.float64)
