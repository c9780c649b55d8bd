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

Other penalties have the constraint |shr(A^T t)_g| <= w_g, and with a ridge none but a conjugate
that is subtracted from D, see `penalty`. The rule stays: shr is 1-Lipschitz, and x* vanishes in the
blocks that leave room. Within a block, x*_j = 0 where |A_j^T t*| stays below the threshold l_j; for
x >= 0, where A_j^T t* does.

Weights v of the rows: with B = diag(v)^(1/2) A and the dual point s = t / v^(1/2) all of the above
holds for B and s, and B^T s = A^T t. Rows of weight 0 have t = 0.

Columns without any penalty demand A_j^T t = 0, which rounded numbers rarely meet. Let Q be the
orthogonal projection onto their span: t - Q t is feasible in them, |A_g^T Q t| <= |A_g| |Q t|, and
D(t - Q t) >= D(t) - |y| |Q t|. `least_squares` bounds |Q t|. For x >= 0 the demand is A_j^T t <= 0;
those that are nearly 0 are projected away, the others stay below 0.

Without a penalty at all there is a better bound,
P(x) - D(t - Q t) = 1/2 |y - A x - t + Q t|^2 <= 1/2 (|y - A x - t| + |Q t|)^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt.inverse.least_squares import projection_bound
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
    row_dots,
)

_WILD = np.errstate(over="ignore", invalid="ignore", divide="ignore")
"""Wild numbers overflow here; what comes out is not finite, and no check accepts it."""
ROUGH = 2.0**-30
"""Gaps above that share of the objective are judged in plain arithmetic first."""
_NEARLY = 1e-9
"""A correlation that must not be positive counts as 0 up to that share of both norms."""


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


@dataclass(frozen=True, eq=False)
class Look:
    """What is proved of a dual point.

    Attributes
    ----------
    reach : ndarray, shape (n_blocks,)
        Bounds of the norms that the constraints limit.
    entries : ndarray, shape (n,), or None
        Bounds of the single correlations, with their sign for positive coefficients; None where
        blocks say it all.
    drift : float
        A bound of the norm of what projecting away free columns takes off the point.
    """

    reach: np.ndarray
    entries: np.ndarray | None = None
    drift: float = 0.0


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
    rough : bool
        Evaluate in plain arithmetic, with wider bounds: enough for gaps far above rounding.
    """

    def __init__(self, problem: SparseRegression, room: float = 1.0, rough: bool = False) -> None:
        self.scaled = scaled = problem.scaled()
        self.room, self.rough = room, rough
        self.norms = scaled.column_norm_bounds()
        blocks = scaled.blocks
        # What the norm of a block and the product strength times weight may lose.
        roundings = problem.penalty.roundings
        self._growth = room * gamma(int(blocks.sizes.max()) + 8 + roundings)
        self._penalty_growth = self._growth if roundings else 0.0
        self.block_norms = blocks.norms(self.norms) * (1.0 + self._growth)
        self.limits_low = scaled.limits * (1.0 - room * (4.0 + roundings) * UNIT)
        self.thresholds_low = None
        if scaled.thresholds is not None:
            self.thresholds_low = scaled.thresholds * (1.0 - room * (4.0 + roundings) * UNIT)
        self.roots = None if scaled.weights is None else np.sqrt(scaled.weights)
        self.free = self._free_columns()
        self.penalised = scaled.positive or len(self.free) < scaled.size
        self.is_simple = not scaled.positive and scaled.thresholds is None

    def _free_columns(self) -> np.ndarray:
        """Return the columns whose coefficients cost nothing."""
        scaled = self.scaled
        if scaled.ridge:
            return np.zeros(0, dtype=np.intp)
        free = scaled.blocks.spread(scaled.limits == 0)
        if scaled.thresholds is not None:
            free = free & (scaled.thresholds == 0)
        return np.flatnonzero(free)

    # The objective -------------------------------------------------------------------------

    @_WILD
    def primal(self, x: np.ndarray) -> Primal:
        """Evaluate P at scaled coefficients; O(m k) for k nonzero ones."""
        scaled = self.scaled
        support, fit, loss = np.flatnonzero(x), scaled.target, 0.0
        if len(support):
            fit, loss = self._residual(x, support)
            if isinstance(scaled.design, ColumnOperator):
                most = 1.0 if self.roots is None else float(self.roots.max())
                loss += (
                    self.room * most * above(float(np.abs(x) @ scaled.design.column_errors), len(x))
                )
        if self.roots is not None and fit.any():
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
            found, bounds = row_dots(scaled.with_target(support), np.append(x, -1.0))
            bounds = bounds if self.roots is None else bounds * self.roots
            return -found, self.room * norm_bound(bounds)
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
        size = gamma(len(a) + 8) * norm_bound(a) * norm_bound(b)
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
        # Norms below 2^-1022 are rounded to multiples of 2^-1074.
        error += math.fsum(limits) * self.room * 2.0**-1070
        if scaled.thresholds is not None:
            own = self._single_terms(x, support)
            error += math.fsum(own) * self._growth
            terms += own
        if scaled.ridge:
            half = 0.5 * scaled.ridge * float(x[support] @ x[support])
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

    # Dual points ---------------------------------------------------------------------------

    @_WILD
    def dual_norm(self, t: np.ndarray) -> float:
        """Return a bound of the norm of one row of a dual point, over the roots of the weights."""
        if self.roots is None:
            return norm_bound(t)
        return above(norm_bound(self.divided(t)), 8)

    @_WILD
    def divided(self, t: np.ndarray) -> np.ndarray:
        """Return t over the roots of the weights; where those are 0, infinity unless t is 0."""
        assert self.roots is not None
        return np.where(t == 0, 0.0, t / self.roots)

    def reach(self, t: np.ndarray) -> np.ndarray:
        """Bound the norms of the blocks of shr(A^T t), see `look`."""
        return self.look(t).reach

    @_WILD
    def look(self, t: np.ndarray) -> Look:
        """Bound the norms of the blocks of shr(A^T t), those near their limit to about one bit.

        Without a penalty nothing depends on them, and it is infinity.
        """
        if not self.penalised:
            return Look(np.full(len(self.block_norms), math.inf))
        if not t.any():
            return Look(np.zeros(len(self.block_norms)), np.zeros(len(self.norms)))
        scaled = self.scaled
        correlation, error = self._correlations(t)
        gone, drift = self.projected(correlation, t), 0.0
        if len(gone):
            drift = self.room * projection_bound(scaled, t, gone)
        moved = self.norms * (drift * (1.0 + 4.0 * UNIT))
        correlation[gone] = error[gone] = moved[gone] = 0.0
        lower, upper = self._block_bounds(correlation, error + moved)
        near = (upper > self.limits_low) & (scaled.limits + scaled.ridge > 0)
        if not scaled.ridge:
            near &= lower <= scaled.limits
        if self.thresholds_low is not None:  # a block without a limit: each coefficient has its own
            near |= scaled.limits == 0
        chosen = np.flatnonzero(near)
        if len(chosen) and not self.rough:
            columns = np.setdiff1d(scaled.blocks.members(chosen), gone, assume_unique=True)
            correlation[columns], error[columns] = self.exact_correlations(t, columns)
        error = error + moved
        upper = self._block_bounds(correlation, error)[1]
        return Look(upper, None if self.is_simple else self._sizes(correlation, error), drift)

    def _correlations(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``A^T t`` in plain arithmetic, and bounds of what it is off by."""
        scaled = self.scaled
        correlation = scaled.correlation(t[0])
        size = self.dual_norm(t[0]) * gamma(t.shape[1] + 8) + sum(map(self.dual_norm, t[1:]))
        error = size * self.norms + TINY
        if isinstance(scaled.design, ColumnOperator):
            error = error + scaled.design.correlation_error(t[0], self.norms)
        return correlation, self.room * error

    def exact_correlations(
        self, t: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return some entries of ``A^T t`` to about the last bit, and bounds."""
        values, bounds = row_dots(self.scaled.columns_as_rows(columns, len(t)), t.ravel())
        if isinstance(self.scaled.design, ColumnOperator):
            size = sum(map(norm_bound, t)) * (1.0 + 8.0 * UNIT)
            bounds = bounds + self.scaled.design.column_errors[columns] * size
        return values, self.room * bounds

    def projected(self, correlation: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return the free columns to be projected away; deterministic, and any choice is sound."""
        if not self.scaled.positive or not len(self.free):
            return self.free
        size = self.norms[self.free] * sum(map(self.dual_norm, t))
        return self.free[correlation[self.free] >= -_NEARLY * size]

    def _sizes(self, correlation: np.ndarray, error: np.ndarray) -> np.ndarray:
        return (correlation if self.scaled.positive else np.abs(correlation)) + error

    def _block_bounds(
        self, correlation: np.ndarray, error: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds of the blocks' norms of what thresholds leave of the correlations."""
        blocks = self.scaled.blocks
        size = correlation if self.scaled.positive else np.abs(correlation)
        high, low = size + error, size - error
        if self.thresholds_low is not None:
            # Rounding the difference counts as a part of what it is taken from.
            high = high * (1.0 + 2.0 * UNIT) - self.thresholds_low
            low = low - self.scaled.thresholds
        if not self.is_simple:
            high = np.maximum(high, 0.0)
        upper = blocks.norms(high) * (1.0 + self._growth)
        return blocks.norms(np.maximum(low, 0.0)), upper

    def excess(self, correlation: np.ndarray) -> np.ndarray:
        """Return by how much norms exceed their limits, in plain arithmetic, for builders.

        Half the sum of the squares over the ridge is the conjugate.
        """
        size = np.maximum(correlation, 0.0) if self.scaled.positive else np.abs(correlation)
        if self.scaled.thresholds is not None:
            size = np.maximum(size - self.scaled.thresholds, 0.0)
        return np.asarray(np.maximum(self.scaled.blocks.norms(size) - self.scaled.limits, 0.0))

    def feasible(self, reach: np.ndarray) -> np.ndarray:
        """Say per block whether a point of this `reach` satisfies its constraint."""
        if self.scaled.ridge:
            return np.isfinite(reach)
        return np.asarray(reach <= self.limits_low)

    # The gap -------------------------------------------------------------------------------

    @_WILD
    def bounds(self, primal: Primal, t: np.ndarray, look: Look | None = None) -> Bounds:
        """Return bounds of P, D and P - D; where columns are free of those at the projected `t`."""
        low, high = self.objective(primal)
        if math.isinf(high):
            return Bounds(0.0, math.inf, 0.0, math.inf)
        tiny = self._underflow(primal)
        if not self.penalised:
            gap = min(self._gap_without_penalty(primal, t) + tiny, high)
            return Bounds(low, high, max(-self._above([gap, -low]), 0.0), gap)
        minus_dual = [*self._minus_dual_terms(t), *self._lost(t, look or self.look(t)), tiny]
        if not all(map(math.isfinite, minus_dual)):
            return Bounds(low, high, 0.0, high)
        # Neither gap nor minimum is negative; a NaN stays one in this order.
        gap = max(self._above([*primal.terms, *minus_dual, primal.error]), 0.0)
        dual = max(-self._above(minus_dual), 0.0)
        return Bounds(low, high, dual, min(gap, high))

    def _underflow(self, primal: Primal) -> float:
        """Return a bound of what underflows, 0 at x = 0 for the target 0, where nothing does."""
        exact = not primal.loss and not self.scaled.target.any()
        return 0.0 if exact else 2.0 * TINY * (len(self.scaled.target) + len(self.norms))

    def _above(self, terms: list[float]) -> float:
        """Return an upper bound of an exact sum, which `math.fsum` rounds to nearest."""
        total = math.fsum(terms)
        return total + self.room * math.ulp(total) if total else 0.0

    def _minus_dual_terms(self, t: np.ndarray) -> list[float]:
        """Return floats whose exact sum is -D(t), but for what underflows and `_lost`."""
        pairs = [(self.scaled.target, row, -1.0) for row in t]
        if self.roots is None:
            pairs += [(row, other, 0.5) for row in t for other in t]
        terms = [term for pair in pairs for term in self._products(*pair)]
        if self.roots is not None:
            terms.append(0.5 * float(np.square(self.divided(t.sum(axis=0))).sum()))
        return terms

    def _lost(self, t: np.ndarray, look: Look) -> list[float]:
        """Return bounds of what is to be added to -D: rounding, projection, conjugate."""
        lost, scaled = [], self.scaled
        if self.roots is not None and t.any():
            # The rows' sum, root and quotient are off by few units each.
            size = self.dual_norm(t.sum(axis=0))
            lost.append(self.room * gamma(t.shape[1] + 16) * size * size)
        if look.drift:
            lost.append(above(self.dual_norm_of_target() * look.drift, 8))
        if scaled.ridge:
            over = np.maximum(look.reach - self.limits_low, 0.0)
            square = float(np.square(over).sum()) * (1.0 + self.room * gamma(len(over) + 16))
            lost.append(above(0.5 * square / scaled.ridge, 4))
        return lost

    def _gap_without_penalty(self, primal: Primal, t: np.ndarray) -> float:
        point = t.sum(axis=0)
        own = point if self.roots is None else self.divided(point)
        off = norm_bound(primal.fit - own) + primal.loss
        if self.roots is not None:
            off += self.room * 8.0 * UNIT * norm_bound(own)
        distance = off + self.room * projection_bound(self.scaled, point[None], self.free)
        return above(0.5 * distance * distance, 8)

    def proved_zero(self, look: Look, gap: float) -> np.ndarray:
        """Return per coefficient, in real numbers, whether the gap-safe rule proves it zero."""
        radius = math.sqrt(2.0 * gap) * (1.0 + 8.0 * UNIT)
        growth = 1.0 + self.room * 8.0 * UNIT
        most = (look.reach + self.block_norms * radius) * growth
        proved = self.scaled.blocks.spread(most < self.limits_low)
        if look.entries is None:
            return proved
        entries = look.entries + self.norms * radius
        entries += np.abs(entries) * (growth - 1.0)
        limits = 0.0 if self.thresholds_low is None else self.thresholds_low
        return np.asarray(proved | (entries < limits))
