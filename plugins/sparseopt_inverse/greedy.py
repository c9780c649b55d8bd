"""What the greedy methods share: columns and a target of norm 1, and least squares on a support.

A method that depends on the scale of the data, as some of the trade do, gives other supports for
another unit of the target; here none can.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparseopt import Accepted, Context, Refused
from sparseopt.inverse.cardinality import CardinalityRegression
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.subset_certificate import SubsetCertificate

MOST_ENTRIES = 2**26
"""Entries of a design that is made dense."""

Method = Callable[["Unit", int, Context], np.ndarray]
"""Returns at most so many columns of a normalized problem."""


class Unit:
    """A problem with columns and target of norm 1.

    Attributes
    ----------
    columns : ndarray, shape (m, n)
        Complex if the problem is. Columns of zeros stay.
    target : ndarray, shape (m,)
    """

    @np.errstate(over="ignore", invalid="ignore")  # coefficients that are no floats are not offered
    def __init__(self, problem: CardinalityRegression) -> None:
        self.fit = Fit(problem.system)
        columns = self._columns()
        # By powers of two first: the squares of tiny columns are no numbers of float64.
        powers = np.ldexp(1.0, np.minimum(1000, -np.frexp(np.abs(columns).max(axis=0))[1]))
        columns = columns * powers
        norms = np.linalg.norm(columns, axis=0)
        self.units = np.divide(powers, norms, out=np.zeros_like(norms), where=norms > 0)
        self.columns = np.divide(columns, norms, out=columns, where=norms > 0)
        length = float(np.linalg.norm(self.fit.target))
        target = self.fit.scaled.joined(self.fit.target)
        self.target = target / length if length else target

    def _columns(self) -> np.ndarray:
        dense = self.fit.scaled.dense()
        if not self.fit.is_complex:
            return dense
        return self.fit.scaled.joined(dense[:, : dense.shape[1] // 2].T).T

    def coefficients(self, support: np.ndarray) -> np.ndarray:
        """Return the least-squares coefficients on some columns."""
        return np.asarray(np.linalg.lstsq(self.columns[:, support], self.target)[0])

    def residual(self, support: np.ndarray) -> np.ndarray:
        """Return what least squares on some columns leaves of the target."""
        if len(support) == 0:
            return self.target
        part = self.columns[:, support]
        return np.asarray(self.target - part @ self.coefficients(support))

    def solution(self, support: np.ndarray) -> np.ndarray:
        """Return x of least squares on some columns, refined, in the units of the problem."""
        x = np.zeros(self.columns.shape[1], self.columns.dtype)
        if len(support) == 0:
            return x
        part = self.columns[:, support]
        for _ in range(3):
            residual = self.fit.scaled.joined(self.fit.residual(self.fit.scaled.parts(x))[0])
            found = np.linalg.lstsq(part, residual)[0]
            x[support] += self.units[support] * found
        # Entries that rounding alone made.
        shares = np.abs(x) / np.where(self.units > 0, self.units, 1.0)
        x[shares <= 2.0**-55 * shares.max()] = 0.0
        return self.fit.scaled.original_coefficients(self.fit.scaled.parts(x))


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the largest magnitudes that are not 0, ties to the first, ascending."""
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    return np.sort(order[values[order] != 0.0])


def accepts_dense(problem: CardinalityRegression) -> Accepted | Refused:
    """Refuse designs too large to be made dense."""
    m, n = problem.shape
    if m * n > MOST_ENTRIES:
        return Refused(f"the design has {m * n} entries and is made dense, up to {MOST_ENTRIES}")
    return Accepted()


def answered(
    problem: CardinalityRegression, context: Context, method: Method
) -> tuple[Coefficients, SubsetCertificate]:
    """Return least squares on the columns that a method chooses, and what is proved of it."""
    unit = Unit(problem)
    context.check_time("choosing columns")
    support = method(unit, min(problem.size, min(problem.shape)), context)
    return SubsetCertificate.build(problem, unit.solution(support))
