"""The objective of a sparse regression, with every rounding error accounted for.

In scaled units, P(x) = 1/2 |A x - y|^2 + sum_g w_g |x_g|; other penalties are in `penalty`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import (
    TINY,
    UNIT,
    above,
    below,
    gamma,
    norm_bound,
    product_sum,
    product_terms,
)

WILD = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""Wild numbers overflow here; what comes out is not finite, and no check accepts it."""

CHEAP = 2.0**-64
"""Limits below this share of a column, while the target is about 1, are lost among roundings."""
_SQUARED = 2.0**-16
"""Times that share of the square of a column, so is a ridge: it decides for columns that nearly
agree long before."""


@dataclass(frozen=True, eq=False)
class Primal:
    """P at some coefficients, in scaled units.

    Attributes
    ----------
    terms : list of float
        Their exact sum is P, up to `error`.
    error : float
    fit : ndarray, shape (m,)
        Target minus design times coefficients, to about the last bit, times the roots of the
        weights.
    loss : float
        A bound of the distance of `fit` from the exact one.
    """

    terms: list[float]
    error: float
    fit: np.ndarray
    loss: float


class Objective:
    """Evaluates P of one problem, in scaled units.

    Parameters
    ----------
    problem : SparseRegression
    room : float
        Every bound of rounding is taken that many times. With 1 everything that it calls a bound
        holds for the exact numbers. Whoever builds a certificate takes 3, so that the figures
        also hold by the judge's own evaluation on another machine, in another order of summation.
    rough : bool
        Evaluate in plain arithmetic, with wider bounds: enough for gaps far above rounding.
    """

    def __init__(self, problem: SparseRegression, room: float = 1.0, rough: bool = False) -> None:
        self.scaled = scaled = problem.scaled()
        self.room, self.rough = room, rough
        self.norms, blocks = scaled.column_norm_bounds, scaled.blocks
        # What the norm of a block and the product strength times weight may lose.
        roundings = problem.penalty.roundings
        self._growth = room * gamma(int(blocks.sizes.max()) + 8 + roundings)
        self._penalty_growth = 0.0 if blocks.single and not roundings else self._growth
        self.block_norms = blocks.norms(self.norms) * (1.0 + self._growth)
        shrink = 1.0 - room * (4.0 + roundings) * UNIT
        self.limits_low = scaled.limits * shrink
        self.thresholds_low = None if scaled.thresholds is None else scaled.thresholds * shrink
        self.roots = None if scaled.weights is None else np.sqrt(scaled.weights)
        self.free = self._columns_within(0.0)
        self.penalised = scaled.positive or len(self.free) < scaled.size
        self.is_simple = not scaled.positive and scaled.thresholds is None

    def _columns_within(self, share: float) -> np.ndarray:
        """Return the columns whose coefficients cost at most that share of what they do to P."""
        scaled, own, most = self.scaled, self.scaled.thresholds, share * self.norms
        cost = scaled.blocks.spread(scaled.limits) + (0.0 if own is None else own)
        return ((cost <= most) & (scaled.ridge <= _SQUARED * most * self.norms)).nonzero()[0]

    @cached_property
    def cheap(self) -> np.ndarray:
        """The free columns, and those that are as good as free."""
        return self._columns_within(CHEAP)

    @WILD
    def primal(self, x: np.ndarray) -> Primal:
        """Evaluate P at scaled coefficients; O(m k) for k nonzero ones."""
        scaled = self.scaled
        support, fit, loss = x.nonzero()[0], scaled.target, 0.0
        if len(support):
            fit, loss = self._residual(x, support)
            if isinstance(scaled.design, ColumnOperator):
                most = 1.0 if self.roots is None else float(self.roots.max())
                loss += (
                    self.room * most * above(float(np.abs(x) @ scaled.design.errors_in_two), len(x))
                )
        if self.roots is not None and (fit := fit * (self.roots > 0)).any():
            fit = fit * self.roots
            loss = (loss + self.room * 4.0 * UNIT * norm_bound(fit)) * (1.0 + 8.0 * UNIT)
        *terms, error = self._products(fit, fit, 0.5)
        error += loss * norm_bound(fit) + 0.5 * loss * loss
        penalty, inexact = self._penalty(x, support) if len(support) else ([], 0.0)
        if not all(map(math.isfinite, (error, inexact, *terms, *penalty))):
            return Primal([math.inf], 0.0, fit, loss)
        error += inexact
        # The error of the error: a few roundings, each far below this.
        return Primal(terms + penalty, error * (1.0 + 1e-9), fit, loss)

    def _residual(self, x: np.ndarray, support: np.ndarray) -> tuple[np.ndarray, float]:
        """Return target minus design times x, and a bound of what it is off by, rows weighted."""
        scaled, x = self.scaled, x[support]
        if not self.rough:
            found, bounds = scaled.missing(support, x)
            bounds = bounds if self.roots is None else bounds * self.roots
            return found, self.room * norm_bound(bounds)
        fit = scaled.target - scaled.columns(support).astype(np.float64, copy=False) @ x
        size = float(np.abs(x) @ self.norms[support]) + self.dual_norm_of_target()
        return fit, self.room * above(gamma(len(x) + 8) * size, len(x) + 8)

    def dual_norm_of_target(self) -> float:
        """Return a bound of the weighted norm of the target."""
        target = self.scaled.target
        return above(norm_bound(target if self.roots is None else target * self.roots), 8)

    def _products(self, a: np.ndarray, b: np.ndarray, factor: float) -> list[float]:
        """Return terms whose exact sum is ``factor a.b`` up to a bound, which comes last.

        The factor is 1 or 1/2, with a sign.
        """
        if not self.rough:
            terms, error = product_sum(a, factor * b)
            return [*terms, self.room * error]
        size = gamma(len(a) + 8) * (norm_bound(a) ** 2 if a is b else norm_bound(a) * norm_bound(b))
        return [factor * float(a @ b), self.room * above(size, 8)]

    def _penalty(self, x: np.ndarray, support: np.ndarray) -> tuple[list[float], float]:
        """Return terms whose exact sum is the penalty, up to a bound that is returned too."""
        scaled, blocks = self.scaled, self.scaled.blocks
        if scaled.positive and (x < 0).any():
            return [math.inf], 0.0
        used = support if blocks.single else np.unique(blocks.labels[support])
        limits = scaled.limits[used]
        terms = product_terms(limits, blocks.norms(x)[used])
        error = math.fsum(terms) * self._penalty_growth if self._penalty_growth else 0.0
        if scaled.thresholds is not None:
            own = self._single_terms(x, support)
            error += math.fsum(own) * self._growth
            terms += own
        if scaled.ridge:
            # The ridge last: half of the least float is 0.
            half = scaled.ridge * (0.5 * float(x[support] @ x[support]))
            terms, error = [*terms, half], error + half * self.room * gamma(len(x) + 8)
        return terms, error

    def _single_terms(self, x: np.ndarray, support: np.ndarray) -> list[float]:
        """Return terms whose sum is the penalty of magnitudes, off by `_growth` of it at most."""
        assert self.scaled.thresholds is not None
        return product_terms(self.scaled.thresholds[support], np.abs(x[support]))

    def objective(self, primal: Primal) -> tuple[float, float]:
        """Return a lower and an upper bound of P."""
        size = math.fsum(primal.terms)
        if math.isinf(size):
            return 0.0, math.inf
        off = [math.ulp(size) if size else 0.0, primal.error, self._underflow(primal)]
        return max(-self._above([-size, *off]), 0.0), self._above([size, *off])

    def objective_at_zero(self) -> float:
        """Return a lower bound of P at x = 0."""
        target = self.scaled.target if self.roots is None else self.scaled.target * self.roots
        return below(0.5 * float(target @ target), len(target) + 12)

    def _underflow(self, primal: Primal) -> float:
        """Return a bound of what underflows, 0 at x = 0 for the target 0, where nothing does.

        Rows of weight 0 do not count.
        """
        exact = not primal.loss and not primal.fit.any()
        return 0.0 if exact else 2.0 * TINY * (len(self.scaled.target) + len(self.norms))

    def _above(self, terms: list[float]) -> float:
        """Return an upper bound of an exact sum, which `math.fsum` rounds to nearest."""
        total = math.fsum(terms)
        return total + self.room * math.ulp(total) if total else 0.0
