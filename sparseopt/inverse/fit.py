"""Residuals, correlations and norms of linear systems, enclosed: what their judges share.

All of it is in the scaled units of `ScaledProblem`, where the target has entries of at most 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.errors import ProblemError
from sparseopt.inverse.least_squares import projection_bound
from sparseopt.inverse.penalty import L1
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import (
    TINY,
    above,
    below,
    gamma,
    norm_bound,
    product_terms,
    row_dots,
)


def as_system(design: Any, target: Any) -> tuple[Any, np.ndarray]:
    """Return a real design, dense or csr or csc, and a target that fits it, both read-only.

    Raises
    ------
    ProblemError
        For whatever `SparseRegression` refuses, and for complex numbers and linear operators.
    """
    checked = SparseRegression(design, target, L1(0.0))
    for name, value in (("design", checked.design), ("target", checked.target)):
        if not (isinstance(value, np.ndarray) or scipy.sparse.issparse(value)):
            raise ProblemError(
                f"{name} is a {type(value).__name__}, and its entries are needed; give an array or "
                "a sparse matrix (an operator's is design @ numpy.eye(columns)). SparseRegression "
                "takes operators as they are"
            )
        if value.dtype.kind != "f":
            raise ProblemError(
                f"{name} is complex, and this problem takes real data only; SparseRegression takes "
                "complex data with L1 and GroupL1"
            )
    return checked.design, checked.target


def as_nonnegative(value: Any, name: str, positive: bool = False) -> float:
    """Return a finite number of at least 0, or above 0."""
    number = as_figure(value, name)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        least = "above 0" if positive else "at least 0"
        raise ProblemError(f"{name} is {number!r}; it must be a finite number {least}")
    return number


def objective_at_zero(target: np.ndarray) -> float:
    """Return a lower bound of 1/2 |target|^2, the squared loss of x = 0."""
    return below(0.5 * math.fsum(np.square(target, dtype=np.float64).tolist()), 4)


def norm_within(vector: np.ndarray, off: float = 0.0) -> tuple[float, float]:
    """Return bounds of the Euclidean norm of whatever lies within `off` of a vector.

    The sum of the squares is exact, so both are off by a few units only.
    """
    if not vector.any() and off == 0.0:
        return 0.0, 0.0
    square = math.fsum(product_terms(vector, vector))
    lost = len(vector) * TINY * TINY  # by squares that underflow
    low = below(math.sqrt(max(square - lost, 0.0)), 4) - off
    return max(below(low, 2), 0.0), above(above(math.sqrt(square + lost), 4) + off)


class Fit:
    """One design and target; encloses residuals and correlations with them.

    Parameters
    ----------
    design, target
        As `as_system` returns them.
    room : float
        Every bound of rounding is taken that many times: 1 to judge; 3 to make a certificate, so
        that its figures hold on every machine, in every order of summation.

    Attributes
    ----------
    unit, unknown_unit : int
        A scaled target, residual or dual point times ``2**unit``, and scaled coefficients times
        ``2**unknown_unit``, are what the caller means.
    """

    def __init__(self, design: Any, target: np.ndarray, room: float = 1.0) -> None:
        self.scaled = SparseRegression(design, target, L1(0.0)).scaled()
        self.room = room
        self.norms = self.scaled.column_norm_bounds()
        one = np.ones(1)
        self.unit = math.frexp(float(self.scaled.original_dual_point(one)[0]))[1] - 1
        self.unknown_unit = math.frexp(float(self.scaled.original_coefficients(one)[0]))[1] - 1

    @property
    def target(self) -> np.ndarray:
        """The scaled target."""
        return self.scaled.target

    def coefficients(self, x: np.ndarray) -> np.ndarray:
        """Return coefficients in scaled units; `ProblemError` where digits are lost."""
        scaled = self.scaled.coefficients(x)
        if not np.array_equal(self.scaled.original_coefficients(scaled), x):
            raise ProblemError("coefficients are so small or large that scaling loses digits")
        return scaled

    def residual(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """Return target minus design times scaled `x`, and a bound of the distance to it."""
        support = np.flatnonzero(x)
        if len(support) == 0:
            return self.target, 0.0
        rows = self.scaled.with_target(support)
        found, bounds = row_dots(rows, np.append(x[support], -1.0))
        return -found, self.room * norm_bound(bounds)

    def correlations(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``design.T @ w`` to about the last bit, and a bound of each entry's error."""
        rows = self.scaled.columns_as_rows(np.arange(len(self.norms)), 1)
        values, bounds = row_dots(rows, w)
        return values, self.room * bounds

    def rough_correlations(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same by one product in plain arithmetic."""
        error = norm_bound(w) * gamma(len(w) + 8) * self.norms + TINY
        return self.scaled.correlation(w), self.room * error

    def largest_correlation(self, w: np.ndarray) -> float:
        """Return an upper bound of ``max |design.T @ w|``, off by about the last bit."""
        values, errors = self.rough_correlations(w)
        size = np.abs(values)
        near = np.flatnonzero(size + errors >= np.max(size - errors))
        values, errors = row_dots(self.scaled.columns_as_rows(near, 1), w)
        return above(float(np.max(np.abs(values) + self.room * errors)), 2)

    def projection(self, t: np.ndarray) -> float:
        """Return an upper bound of the norm of the projection of `t` onto the range."""
        every = np.arange(self.scaled.size)
        return self.room * projection_bound(self.scaled, t[None], every)

    def inner(self, w: np.ndarray) -> tuple[float, float]:
        """Return bounds of the inner product of the target and `w`."""
        value = math.fsum(product_terms(self.target, w))
        off = self.room * (2.0 * math.ulp(value) + TINY * TINY * len(w))
        return value - off, value + off


def unit_multiple(w: np.ndarray) -> np.ndarray:
    """Return a vector times the power of two that brings its largest entry to [1/2, 1)."""
    largest = float(np.abs(w).max(initial=0.0))
    return np.ldexp(w, -math.frexp(largest)[1]) if largest else w
