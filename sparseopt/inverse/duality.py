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
those that are nearly 0 are projected away, the others stay below 0. A limit far below what rounding
makes of correlations cannot be told from 0 either: columns with such limits that are nearly
orthogonal to t are projected away too, which satisfies any limit.

Without a penalty at all there is a better bound,
P(x) - D(t - Q t) = 1/2 |y - A x - t + Q t|^2 <= 1/2 (|y - A x - t| + |Q t|)^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt.inverse.least_squares import projection_bound
from sparseopt.inverse.objective import WILD, Objective, Primal
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.judging.rounding import (
    TINY,
    UNIT,
    above,
    gamma,
    norm_bound,
)

ROUGH = 2.0**-30
"""Gaps above that share of the objective are judged in plain arithmetic first."""
_NEARLY = 1e-9
"""A correlation that must not be positive counts as 0 up to that share of both norms."""
_ROUNDED = 2.0**-45
"""One whose limit is lost among roundings does up to that: what rounding leaves of 0."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """Proven bounds, in scaled units.

    Attributes
    ----------
    primal_low, primal : float
        P lies between them.
    dual : float
        The minimum is not below it.
    excess : float
        P - D at the dual point, which may lie above P.
    """

    primal_low: float
    primal: float
    dual: float
    excess: float

    @property
    def gap(self) -> float:
        """P exceeds the minimum, which is not negative, by at most this."""
        return min(self.excess, self.primal)


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


class DualityGap(Objective):
    """Evaluates P, D, feasibility and the gap-safe rule of one problem, in scaled units.

    Dual points have shape (1, m), or (2, m) for the sum of the rows. For the parameters see
    `Objective`.
    """

    @WILD
    def dual_norm(self, t: np.ndarray) -> float:
        """Return a bound of the norm of one row of a dual point, over the roots of the weights."""
        if self.roots is None:
            return norm_bound(t)
        return above(norm_bound(self.divided(t)), 8)

    @WILD
    def divided(self, t: np.ndarray) -> np.ndarray:
        """Return t over the roots of the weights; where those are 0, infinity unless t is 0."""
        assert self.roots is not None
        return np.where(t == 0, 0.0, t / self.roots)

    def reach(self, t: np.ndarray) -> np.ndarray:
        """Bound the norms of the blocks of shr(A^T t), see `look`."""
        return self.look(t).reach

    @WILD
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
        chosen = near.nonzero()[0]
        if len(chosen) and not self.rough:
            columns = np.setdiff1d(scaled.blocks.members(chosen), gone, assume_unique=True)
            correlation[columns], error[columns] = self.exact_correlations(t, columns)
            upper = self._block_bounds(correlation, error + moved)[1]
        error = error + moved
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
        values, bounds = self.scaled.products(t, columns)
        if isinstance(self.scaled.design, ColumnOperator):
            size = sum(map(norm_bound, t)) * (1.0 + 8.0 * UNIT)
            bounds = bounds + self.scaled.design.errors_in_two[columns] * size
        return values, self.room * bounds

    def projected(self, correlation: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return the columns to be projected away; deterministic, and any choice is sound."""
        chosen, count = self.cheap, len(self.free)
        if len(chosen) == count and not (count and self.scaled.positive):
            return self.free
        own, size = correlation[chosen], self.norms[chosen] * sum(map(self.dual_norm, t))
        near, share = (-own, _NEARLY) if len(chosen) == count else (np.abs(own), _ROUNDED)
        return chosen[near <= share * size]

    def _all_projected(self, correlation: np.ndarray, t: np.ndarray) -> Look | None:
        """Return the look of a point that all columns are projected off, None for others."""
        gone = self.projected(correlation, t)
        if len(gone) < self.scaled.size:
            return None
        drift = self.room * projection_bound(self.scaled, t, gone)
        return Look(np.zeros(len(self.block_norms)), None, drift)

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

    @WILD
    def bounds(self, primal: Primal, t: np.ndarray, look: Look | None = None) -> Bounds:
        """Return bounds of P, D and P - D; where columns are free of those at the projected `t`."""
        low, high = self.objective(primal)
        if math.isinf(high):
            return Bounds(0.0, math.inf, 0.0, math.inf)
        tiny = self._underflow(primal)
        if not self.penalised:
            gap = self._gap_without_penalty(primal, t) + tiny
            return Bounds(low, high, max(-self._above([gap, -low]), 0.0), gap)
        minus_dual = [*self._minus_dual_terms(t), *self._lost(t, look or self.look(t)), tiny]
        if not all(map(math.isfinite, minus_dual)):
            return Bounds(low, high, 0.0, math.inf)
        # Neither gap nor minimum is negative; a NaN stays one in this order.
        gap = max(self._above([*primal.terms, *minus_dual, primal.error]), 0.0)
        return Bounds(low, high, max(-self._above(minus_dual), 0.0), gap)

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

    @WILD
    def proved_zero(self, look: Look, excess: float) -> np.ndarray:
        """Return per coefficient, in real numbers, whether the gap-safe rule proves it zero.

        The rule is one of P - D, also where D is negative and the minimum is known not to be.
        """
        radius = math.sqrt(2.0 * excess) * (1.0 + 8.0 * UNIT)
        growth = 1.0 + self.room * 8.0 * UNIT
        most = (look.reach + self.block_norms * radius) * growth
        proved = self.scaled.blocks.spread(most < self.limits_low)
        if look.entries is None:
            return proved
        entries = look.entries + self.norms * radius
        entries += np.abs(entries) * (growth - 1.0)
        limits = 0.0 if self.thresholds_low is None else self.thresholds_low
        return np.asarray(proved | (entries < limits))
