"""Residuals, correlations and norms of linear systems, enclosed: what their judges share.

All of it is in the scaled units of `ScaledProblem`, where the target has entries of at most 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.inverse.independence import smallest_singular_value
from sparseopt.inverse.least_squares import projection_bound
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.penalty import L1, Penalty
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import ScaledProblem, largest_entry
from sparseopt.judging.rounding import (
    FUNCTION,
    TINY,
    UNIT,
    above,
    below,
    gamma,
    norm_bound,
    product_terms,
)

_CHUNK = 1 << 20


def as_system(design: Any, target: Any) -> SparseRegression:
    """Return a design and a target that fit each other, as least squares.

    Raises
    ------
    ProblemError
        For whatever `SparseRegression` refuses.
    """
    return SparseRegression(design, target, L1(0.0))


def take_system(problem: Any) -> SparseRegression:
    """Validate the design and target of a frozen problem; it keeps them, and their system."""
    system = as_system(problem.design, problem.target)
    for name, value in (("design", system.design), ("target", system.target), ("system", system)):
        object.__setattr__(problem, name, value)
    return system


@dataclass(frozen=True, eq=False)
class _Part:
    """Some columns of a system, as `ScaledProblem` takes it."""

    real_design: Any
    is_complex: bool
    target: np.ndarray
    shape: tuple[int, int]
    penalty: Penalty = field(default_factory=lambda: L1(0.0))
    sample_weights: None = None
    column_squares: None = None

    @property
    def largest_entries(self) -> tuple[float, float]:
        return largest_entry(self.real_design), largest_entry(self.target)


def part_of(system: SparseRegression, columns: np.ndarray) -> ScaledProblem:
    """Return some columns of a system with its target, in units of their own."""
    design, m = system.real_design, system.shape[0]
    if isinstance(design, ColumnOperator):
        chosen = design.some(columns)
    else:
        pairs = np.append(columns, columns + system.shape[1]) if system.is_complex else columns
        chosen = design[:, pairs]
    part = _Part(chosen, system.is_complex, system.target, (m, len(columns)))
    return ScaledProblem(part)


def misfit(system: SparseRegression, x: np.ndarray) -> list[float]:
    """Return target minus design times x, complex numbers as two parts."""
    found: list[float] = system.residual_parts(x).tolist()
    return found


def as_nonnegative(value: Any, name: str, positive: bool = False) -> float:
    """Return a finite number of at least 0, or above 0."""
    number = as_figure(value, name)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        least = "above 0" if positive else "at least 0"
        raise ProblemError(f"{name} is {short(number)}; it must be a finite number {least}")
    return number


def objective_at_zero(target: np.ndarray) -> float:
    """Return a lower bound of 1/2 |target|^2, the squared loss of x = 0."""
    squares = np.square(_reals(target), dtype=np.float64)
    return below(0.5 * math.fsum(squares.tolist()), 4)


def length_of(vector: np.ndarray) -> float:
    """Return a lower bound of the Euclidean norm of a real or complex vector."""
    return below(math.hypot(*_reals(vector).tolist()), 8)


def _reals(vector: np.ndarray) -> np.ndarray:
    return np.append(vector.real, vector.imag) if vector.dtype.kind == "c" else vector


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

    Complex numbers are pairs of real ones, as in `ScaledProblem`: vectors of twice the length.

    Parameters
    ----------
    system : SparseRegression
        As `as_system` returns it.
    room : float
        Every bound of rounding is taken that many times: 1 to judge; 3 to make a certificate, so
        that its figures hold on every machine, in every order of summation.
    columns : ndarray of int, or None
        The columns that are used; None means all.

    Attributes
    ----------
    unit, unknown_unit : int
        A scaled target, residual or dual point times ``2**unit``, and scaled coefficients times
        ``2**unknown_unit``, are what the caller means.
    """

    def __init__(
        self, system: SparseRegression, room: float = 1.0, columns: np.ndarray | None = None
    ) -> None:
        self.scaled = system.scaled() if columns is None else part_of(system, columns)
        self.room, self.norms = room, self.scaled.column_norm_bounds
        self.unit, self.unknown_unit = self.scaled.unit, self.scaled.unknown_unit

    @property
    def is_complex(self) -> bool:
        """Whether coefficients are pairs of real numbers."""
        return self.scaled.is_complex

    @property
    def target(self) -> np.ndarray:
        """The scaled target."""
        return self.scaled.target

    def coefficients(self, x: np.ndarray) -> np.ndarray:
        """Return coefficients in scaled units; `ProblemError` where digits are lost."""
        scaled = self.scaled.coefficients(x)
        if not np.array_equal(np.ldexp(scaled, self.unknown_unit), self.scaled.parts(x)):
            raise ProblemError("coefficients are so small or large that scaling loses digits")
        return scaled

    def residual(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """Return target minus design times scaled `x`, and a bound of the distance to it."""
        support = np.flatnonzero(x)
        if len(support) == 0:
            return self.target, 0.0
        found, bounds = self.scaled.missing(support, x[support])
        off = norm_bound(bounds)
        if isinstance(self.scaled.design, ColumnOperator):
            inexact = float(np.abs(x[support]) @ self.scaled.design.errors_in_two[support])
            off = above(off + above(inexact, len(support)), 2)
        return found, self.room * off

    def largest_norm(self) -> float:
        """Return a lower bound of the norm of the largest column, scaled."""
        design, largest = self.scaled.design, int(np.argmax(self.norms))
        if not (isinstance(design, ColumnOperator) and design.is_product):
            return float(self.norms[largest]) * (1.0 - 2.0**-20)  # a bound a little above it
        found, off = self.residual(np.eye(1, len(self.norms), largest)[0])
        column = self.target - found
        return norm_within(column, off + UNIT * above(norm_within(column)[1], 2))[0]

    def correlations(
        self, w: np.ndarray, columns: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ``design.T @ w`` to about the last bit, and a bound of each entry's error.

        Of some columns or of all; columns of an operator are taken a few at a time. Where `w` has
        two rows, here and below, their sum is meant.
        """
        columns = np.arange(len(self.norms)) if columns is None else columns
        w = np.atleast_2d(w)
        if not isinstance(self.scaled.design, ColumnOperator):
            values, bounds = self.scaled.products(w, columns)
            return values, self.room * bounds
        values, bounds = np.zeros(len(columns)), np.zeros(len(columns))
        step = max(1, _CHUNK // w.size)
        for start in range(0, len(columns), step):
            part = slice(start, start + step)
            values[part], bounds[part] = self.scaled.products(w, columns[part])
        bounds += self.scaled.design.errors_in_two[columns] * above(2.0 * norm_bound(w.ravel()), 2)
        return values, self.room * bounds * (1.0 + 4.0 * UNIT)

    def sizes(self, values: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the moduli of correlations, and bounds of what they are off by."""
        if not self.is_complex:
            return np.abs(values), errors
        moduli = self.moduli(values)
        return moduli, self.moduli(errors) * (1.0 + FUNCTION) + moduli * (self.room * FUNCTION)

    def moduli(self, values: np.ndarray) -> np.ndarray:
        """Return magnitudes, off by at most `FUNCTION` of themselves; exact for real numbers."""
        if not self.is_complex:
            return np.abs(values)
        half = len(values) // 2
        return np.hypot(values[:half], values[half:])

    def product_of_moduli(self, values: np.ndarray, w: np.ndarray) -> float:
        """Return an upper bound of the sum of the products of magnitudes of two vectors."""
        size = sum(self.moduli(row) for row in np.atleast_2d(w))
        terms = self.moduli(values) * size
        return above(math.fsum(terms.tolist()) * (1.0 + 4.0 * FUNCTION), 4) + len(terms) * TINY

    def pairs(self, columns: np.ndarray) -> np.ndarray:
        """Return the real columns that stand for columns of the problem."""
        return np.append(columns, columns + len(self.norms) // 2) if self.is_complex else columns

    def sum_above(self, x: np.ndarray) -> float:
        """Return an upper bound of the 1-norm of scaled coefficients; 0 for zeros."""
        if not x.any():
            return 0.0
        total = math.fsum(self.moduli(x).tolist())
        return above(total * (1.0 + 2.0 * FUNCTION)) if self.is_complex else total

    def rough_correlations(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same by one product in plain arithmetic."""
        first, *rest = np.atleast_2d(w)
        size = norm_bound(first) * gamma(len(first) + 8) + sum(map(norm_bound, rest))
        error = size * self.norms * (1.0 + 8.0 * UNIT) + TINY
        if isinstance(self.scaled.design, ColumnOperator):
            error = error + self.scaled.design.correlation_error(first, self.norms)
        return self.scaled.correlation(first), self.room * error

    def largest_correlation(self, w: np.ndarray) -> float:
        """Return an upper bound of ``max |design.T @ w|``, off by about the last bit."""
        size, error = self.sizes(*self.rough_correlations(w))
        near = np.flatnonzero(size + error >= np.max(size - error))
        size, error = self.sizes(*self.correlations(w, self.pairs(near)))
        return above(float(np.max(size + error)), 2)

    def least_value(self, columns: np.ndarray | None = None) -> float:
        """Return a lower bound of the smallest singular value of some columns, or of all.

        0 where independence cannot be proved; the columns are made dense.
        """
        columns = np.arange(len(self.norms)) if columns is None else self.pairs(columns)
        if len(columns) > self.scaled.rows:
            return 0.0
        least = smallest_singular_value(self.scaled.dense(columns))
        if isinstance(self.scaled.design, ColumnOperator):
            errors = self.scaled.design.column_errors[columns]
            least = below(least - above(float(errors.sum()), len(columns) + 2), 2)
        return least

    def projection(self, t: np.ndarray) -> float:
        """Return an upper bound of the norm of the projection of `t` onto the range."""
        every = np.arange(self.scaled.size)
        return self.room * projection_bound(self.scaled, t[None], every)

    def inner(self, w: np.ndarray) -> tuple[float, float]:
        """Return bounds of the inner product of the target and `w`."""
        terms = [term for row in np.atleast_2d(w) for term in product_terms(self.target, row)]
        value = math.fsum(terms)
        off = self.room * (2.0 * math.ulp(value) + TINY * TINY * len(terms))
        return value - off, value + off


def length_within(w: np.ndarray) -> tuple[float, float]:
    """Return bounds of the norm of one row, or of the sum of two."""
    first, *rest = np.atleast_2d(w)
    return norm_within(first, sum(map(norm_bound, rest)) if rest else 0.0)


def unit_multiple(w: np.ndarray) -> np.ndarray:
    """Return a vector times the power of two that brings its largest part to [1/2, 1)."""
    largest = float(np.abs(_reals(w)).max(initial=0.0))
    if not largest:
        return w
    exponent = -math.frexp(largest)[1]
    if w.dtype.kind != "c":
        return np.ldexp(w, exponent)
    return np.asarray(np.ldexp(w.real, exponent) + 1j * np.ldexp(w.imag, exponent))
