"""The duality gap of a sparse regression, with every rounding error accounted for.

Write P(x) = 1/2 |A x - y|^2 + sum_g w_g |x_g| and D(t) = y.t - |t|^2 / 2 over the t with
|A_g^T t| <= w_g for every block g.

Weak duality. For every x and feasible t,
P(x) - D(t) = 1/2 |y - A x - t|^2 + sum_g (w_g |x_g| - x_g . A_g^T t) >= 0,
since each term is nonnegative by Cauchy and Schwarz. So P(x) exceeds the minimum by at most the
gap P(x) - D(t).

Gap-safe rule (Fercoq, Gramfort, Salmon 2015; Ndiaye et al. 2017). D is 1-strongly concave, so
its maximiser t* satisfies |t* - t|^2 <= 2 (D(t*) - D(t)) <= 2 (P(x) - D(t)). With radius
q = sqrt(2 gap), |A_g^T t*| <= |A_g^T t| + |A_g| q. If that is below w_g, then x*_g = 0 in every
minimiser x*, because optimality demands A_g^T t* = w_g x*_g / |x*_g| where x*_g is not 0. The
Frobenius norm stands for |A_g|.

Without a penalty (every w_g = 0) a feasible t is orthogonal to the range of A, which rounded
numbers rarely are. Let Q be the orthogonal projection onto that range: then t - Q t is feasible,
P(x) - D(t - Q t) = 1/2 |y - A x - t + Q t|^2 <= 1/2 (|y - A x - t| + |Q t|)^2,
and `least_squares` bounds |Q t|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt.inverse.least_squares import projection_bound
from sparseopt.inverse.penalty import L1
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import (
    TINY,
    UNIT,
    above,
    below,
    gamma,
    norm_bound,
    product_terms,
    row_dots,
)

_WILD = np.errstate(over="ignore", invalid="ignore")
"""Wild numbers overflow here; what comes out is not finite, and no check accepts it."""


def objective_at_zero(target: np.ndarray) -> float:
    """Return a lower bound of P at x = 0."""
    squares = np.square(target, dtype=np.float64)
    return below(0.5 * math.fsum(squares.tolist()), 4)


@dataclass(frozen=True, eq=False)
class Primal:
    """P at some coefficients, in scaled units.

    Attributes
    ----------
    terms : list of float
        Their exact sum is P, up to `error`.
    error : float
    residual : ndarray, shape (m,)
        Target minus design times coefficients, to about the last bit.
    loss : float
        A bound of the distance of `residual` from the exact one.
    """

    terms: list[float]
    error: float
    residual: np.ndarray
    loss: float


@dataclass(frozen=True, eq=False)
class Bounds:
    """Proven bounds, in scaled units.

    Attributes
    ----------
    primal_low, primal : float
        P lies between them.
    dual : float
        The minimum is not below it.
    gap : float
        P exceeds the minimum by at most this.
    """

    primal_low: float
    primal: float
    dual: float
    gap: float


class DualityGap:
    """Evaluates P, D, feasibility and the gap-safe rule of one problem, in scaled units.

    Dual points have shape (1, m), or (2, m) for the sum of the rows.

    Parameters
    ----------
    problem : SparseRegression
    room : float
        Every bound of rounding is taken that many times. With 1 everything that it calls a bound
        holds for the exact numbers. Whoever builds a certificate takes 3, so that the figures
        also hold by the judge's own evaluation on another machine, in another order of summation.
    """

    def __init__(self, problem: SparseRegression, room: float = 1.0) -> None:
        self.scaled = problem.scaled()
        self.room = room
        self.penalised = problem.penalty.strength > 0
        self.norms = self.scaled.column_norm_bounds()
        blocks = self.scaled.blocks
        # What the norm of a block and the product strength times weight may lose.
        self._growth = room * gamma(int(blocks.sizes.max()) + 8)
        exact = isinstance(problem.penalty, L1)
        self._penalty_growth = 0.0 if exact else self._growth
        self.block_norms = blocks.norms(self.norms) * (1.0 + self._growth)
        self.limits_low = self.scaled.limits * (1.0 - room * 4.0 * UNIT)

    @_WILD
    def primal(self, x: np.ndarray) -> Primal:
        """Evaluate P at scaled coefficients; O(m k) for k nonzero ones."""
        scaled, blocks = self.scaled, self.scaled.blocks
        support = np.flatnonzero(x)
        residual, loss = scaled.target, 0.0
        if len(support):
            found, bounds = row_dots(scaled.with_target(support), np.append(x[support], -1.0))
            residual, loss = -found, self.room * norm_bound(bounds)
        terms = [0.5 * term for term in product_terms(residual, residual)]
        used = support if blocks.single else np.unique(blocks.labels[support])
        limits = scaled.limits[used]
        penalty = product_terms(limits, blocks.norms(x)[used])
        error = loss * norm_bound(residual) + 0.5 * loss * loss
        if not all(map(math.isfinite, (error, *terms, *penalty))):
            return Primal([math.inf], 0.0, residual, loss)
        error += math.fsum(penalty) * self._penalty_growth
        # Norms below 2^-1022 are rounded to multiples of 2^-1074.
        error += math.fsum(limits) * self.room * 2.0**-1070
        # The error of the error: a few roundings, each far below this.
        return Primal(terms + penalty, error * (1.0 + 1e-9), residual, loss)

    @_WILD
    def reach(self, t: np.ndarray) -> np.ndarray:
        """Bound the block norms of ``A^T t``; those near their limit to about the last bit.

        Without a penalty nothing depends on them, and it is infinity.
        """
        if not self.penalised:
            return np.full(len(self.block_norms), math.inf)
        if not t.any():
            return np.zeros(len(self.block_norms))
        scaled = self.scaled
        correlation = scaled.correlation(t[0])
        size = norm_bound(t[0]) * gamma(t.shape[1] + 8) + sum(map(norm_bound, t[1:]))
        error = self.room * (size * self.norms + TINY)
        lower, upper = self._block_bounds(correlation, error)
        near = np.flatnonzero((upper > self.limits_low) & (lower <= scaled.limits))
        if len(near):
            columns = scaled.blocks.members(near)
            rows = scaled.columns_as_rows(columns, len(t))
            correlation[columns], exact = row_dots(rows, t.ravel())
            error[columns] = self.room * exact
            upper = self._block_bounds(correlation, error)[1]
        return upper

    def _block_bounds(
        self, correlation: np.ndarray, error: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        blocks, size = self.scaled.blocks, np.abs(correlation)
        upper, lower = blocks.norms(size + error), blocks.norms(np.maximum(size - error, 0.0))
        return lower, upper * (1.0 + self._growth)

    def feasible(self, reach: np.ndarray) -> np.ndarray:
        """Say per block whether a point of this `reach` satisfies its constraint."""
        return np.asarray(reach <= self.limits_low)

    @_WILD
    def bounds(self, primal: Primal, t: np.ndarray) -> Bounds:
        """Return bounds of P, D and P - D; without a penalty of those at the projected `t`."""
        low, high = self.objective(primal)
        if math.isinf(high):
            return Bounds(0.0, math.inf, 0.0, math.inf)
        tiny = self._underflow(primal)
        if not self.penalised:
            gap = min(self._gap_without_penalty(primal, t) + tiny, high)
            return Bounds(low, high, max(-self._above([gap, -low]), 0.0), gap)
        minus_dual = self._minus_dual_terms(t)
        # Neither gap nor minimum is negative; a NaN stays one in this order.
        gap = max(self._above([*primal.terms, *minus_dual, primal.error, tiny]), 0.0)
        dual = max(-self._above([*minus_dual, tiny]), 0.0)
        return Bounds(low, high, dual, min(gap, high))

    def objective(self, primal: Primal) -> tuple[float, float]:
        """Return a lower and an upper bound of P."""
        size = math.fsum(primal.terms)
        if math.isinf(size):
            return 0.0, math.inf
        off = [math.ulp(size) if size else 0.0, primal.error, self._underflow(primal)]
        return max(-self._above([-size, *off]), 0.0), self._above([size, *off])

    def _underflow(self, primal: Primal) -> float:
        """Return a bound of what underflows, 0 at x = 0 for the target 0, where nothing does."""
        exact = not primal.loss and not self.scaled.target.any()
        return 0.0 if exact else 2.0 * TINY * (len(self.scaled.target) + len(self.norms))

    def _above(self, terms: list[float]) -> float:
        """Return an upper bound of an exact sum, which `math.fsum` rounds to nearest."""
        total = math.fsum(terms)
        return total + self.room * math.ulp(total) if total else 0.0

    def _minus_dual_terms(self, t: np.ndarray) -> list[float]:
        """Return floats whose exact sum is -D(t), but for what underflows."""
        terms = [0.5 * term for term in product_terms(t[0], t[0])]
        for row in t:
            terms += product_terms(self.scaled.target, -row)
        for row in t[1:]:
            terms += product_terms(t[0], row)
            terms += [0.5 * term for term in product_terms(row, row)]
        return terms

    def _gap_without_penalty(self, primal: Primal, t: np.ndarray) -> float:
        off = norm_bound(primal.residual - t.sum(axis=0)) + primal.loss
        distance = off + self.room * projection_bound(self.scaled, t.sum(axis=0))
        return above(0.5 * distance * distance, 8)

    def proved_zero(self, reach: np.ndarray, gap: float) -> np.ndarray:
        """Return per coefficient whether the gap-safe rule proves it zero."""
        radius = math.sqrt(2.0 * gap) * (1.0 + 8.0 * UNIT)
        most = (reach + self.block_norms * radius) * (1.0 + self.room * 8.0 * UNIT)
        return self.scaled.blocks.spread(most < self.limits_low)
