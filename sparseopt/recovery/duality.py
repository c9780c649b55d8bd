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
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparseopt.recovery.penalty import L1
from sparseopt.recovery.scaling import ScaledProblem
from sparseopt.rounding import (
    TINY,
    UNIT,
    gamma,
    norm_bound,
    product_terms,
    row_dots,
)

if TYPE_CHECKING:
    from sparseopt.recovery.problem import SparseRegression

ORTHOGONAL = 1e-12
"""Without a penalty: columns count as orthogonal to the dual point up to this relative size."""


def best_multiple(
    target: np.ndarray, t: np.ndarray, norms: np.ndarray, limits: np.ndarray
) -> float:
    """Return the factor f for which D(f t) is largest among the feasible multiples of `t`.

    D(f t) is a parabola in f with its top at target.t / |t|^2, cut off where f times a block norm
    of ``A^T t`` reaches its limit. Plain arithmetic: feasible up to rounding.
    """
    square = float(t @ t)
    used = norms > 0
    with np.errstate(over="ignore"):
        room = float(np.min(limits[used] / norms[used], initial=np.inf))
    return min(max(float(target @ t) / square, -room), room) if square > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Primal:
    """P at some coefficients, in scaled units.

    Attributes
    ----------
    terms : list of float
        Their exact sum is P, up to `error`.
    value, error : float
    residual : ndarray, shape (m,)
        Target minus design times coefficients, to about the last bit.
    """

    terms: list[float]
    value: float
    error: float
    residual: np.ndarray


@dataclass(frozen=True, eq=False)
class Dual:
    """Correlations ``A^T t`` of a dual point, in scaled units.

    Attributes
    ----------
    correlation, error : ndarray, shape (n,)
        The correlations, and bounds of what they are off by.
    lower, upper : ndarray, shape (n_blocks,)
        Bounds of the blocks' norms.
    """

    correlation: np.ndarray
    error: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


class DualityGap:
    """Evaluates P, D, feasibility and the gap-safe rule of one problem, in scaled units.

    Everything that it calls a bound holds for the exact numbers, not only for the rounded ones.
    """

    def __init__(self, problem: SparseRegression) -> None:
        self.scaled = ScaledProblem(problem)
        self.penalised = problem.penalty.strength > 0
        self.norms = self.scaled.column_norm_bounds()
        blocks = self.scaled.blocks
        # What the norm of a block and the product strength times weight may lose.
        self._growth = gamma(int(blocks.sizes.max()) + 8)
        exact = isinstance(problem.penalty, L1)
        self._penalty_growth = 0.0 if exact else self._growth
        self.block_norms = blocks.norms(self.norms) * (1.0 + self._growth)
        self.limits_low = self.scaled.limits * (1.0 - 4.0 * UNIT)

    def primal(self, x: np.ndarray) -> Primal:
        """Evaluate P at scaled coefficients; O(m k) for k nonzero ones."""
        scaled = self.scaled
        support = np.flatnonzero(x)
        residual, loss = scaled.target, 0.0
        if len(support):
            # A wild x overflows here; what comes out is not finite, and no check accepts it.
            with np.errstate(over="ignore", invalid="ignore"):
                found, bounds = row_dots(scaled.with_target(support), np.append(x[support], -1.0))
            residual, loss = -found, norm_bound(bounds)
        terms = [0.5 * term for term in product_terms(residual, residual)]
        norms = scaled.blocks.norms(x)
        used = np.flatnonzero(norms)
        penalty = product_terms(scaled.limits[used], norms[used])
        error = loss * norm_bound(residual) + 0.5 * loss * loss
        error += math.fsum(penalty) * self._penalty_growth
        # The error of the error: a few roundings, each far below this.
        terms += penalty
        return Primal(terms, math.fsum(terms), error * (1.0 + 1e-9), residual)

    def dual(self, t: np.ndarray) -> Dual:
        """Bound the block norms of ``A^T t``; blocks near their limit to about the last bit."""
        scaled = self.scaled
        if not t.any():
            nothing, no_norms = np.zeros(len(self.norms)), np.zeros(len(self.block_norms))
            return Dual(nothing, nothing, no_norms, no_norms)
        correlation = scaled.correlation(t)
        error = gamma(len(t) + 2) * norm_bound(t) * self.norms + TINY * (self.norms > 0)
        lower, upper = self._block_bounds(correlation, error)
        near = np.flatnonzero((upper > self.limits_low) & (lower <= scaled.limits))
        if not self.penalised:
            near = np.arange(len(upper))
        if len(near):
            columns = scaled.blocks.members(near)
            correlation[columns], exact = row_dots(scaled.columns_as_rows(columns), t)
            error[columns] = exact * (self.norms[columns] > 0)
            lower, upper = self._block_bounds(correlation, error)
        return Dual(correlation, error, lower, upper)

    def _block_bounds(
        self, correlation: np.ndarray, error: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        blocks = self.scaled.blocks
        size = np.abs(correlation)
        upper, lower = blocks.norms(size + error), blocks.norms(np.maximum(size - error, 0.0))
        if blocks.single:
            return lower * (1.0 - UNIT), upper * (1.0 + 2.0 * UNIT)
        # Squares of tiny numbers vanish in the norm of a block.
        room = np.where(self.block_norms > 0, TINY, 0.0)
        return (
            np.maximum(lower * (1.0 - self._growth) - room, 0.0),
            upper * (1.0 + self._growth) + room,
        )

    def feasible(self, t: np.ndarray, dual: Dual) -> np.ndarray:
        """Say per block whether `t` satisfies its constraint."""
        if self.penalised:
            return (dual.upper <= self.limits_low) & ((self.limits_low > TINY) | (dual.upper == 0))
        return dual.upper <= ORTHOGONAL * self.block_norms * norm_bound(t)

    def make_feasible(self, t: np.ndarray, margin: float) -> tuple[np.ndarray, Dual]:
        """Return the multiple of `t` with the largest dual objective, feasible up to `margin`.

        Without a penalty scaling cannot help: then it is `t` itself, or 0 if that is infeasible.
        """
        if self.penalised:
            norms = self.scaled.blocks.norms(self.scaled.correlation(t))
            t = t * best_multiple(self.scaled.target, t, norms, self.limits_low)
        # Rounding the multiple itself moves the correlations of large columns, so what is taken
        # off doubles until all constraints hold.
        shrink = 0.0 if self.penalised else 1.0
        while shrink < 1.0:
            point = t * (1.0 - shrink)
            dual = self.dual(point)
            over = dual.upper > self.limits_low * (1.0 - margin)
            if self.feasible(point, dual).all() and not over.any():
                return point, dual
            excess = np.max(1.0 - self.limits_low[over] / dual.upper[over], initial=0.0)
            shrink = 2.0 * max(shrink, float(excess), margin)
        dual = self.dual(t)
        if not self.penalised and self.feasible(t, dual).all():
            return t, dual
        t = np.zeros_like(t)
        return t, self.dual(t)

    def bounds(self, primal: Primal, t: np.ndarray) -> tuple[float, float, float]:
        """Return P, D, and an upper bound of the exact P - D."""
        terms = product_terms(self.scaled.target, -t) + [0.5 * v for v in product_terms(t, t)]
        gap = max(math.fsum(primal.terms + terms), 0.0)  # in this order a NaN stays one
        room = primal.error + 4.0 * UNIT * gap
        if primal.error > 0 or primal.residual.any() or t.any():
            room += TINY * (len(t) + len(self.norms))
        return primal.value, -math.fsum(terms), gap + room

    def proved_zero(self, dual: Dual, gap: float, margin: float = 0.0) -> np.ndarray:
        """Return per coefficient whether the gap-safe rule proves it zero.

        `margin` asks for that much relative distance from the limit.
        """
        radius = math.sqrt(2.0 * gap) * (1.0 + 8.0 * UNIT)
        reach = (dual.upper + self.block_norms * radius) * (1.0 + 8.0 * UNIT + margin)
        return self.scaled.blocks.spread(reach < self.limits_low)
