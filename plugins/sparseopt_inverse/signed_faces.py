"""Any sum of block norms, magnitudes and squares: proximal steps find the face, Newton ends on it.

The penalties of `sparseopt.inverse.penalty` are smooth where given coefficients are zero and the
others keep their signs. Accelerated proximal steps with restart (Beck, Teboulle 2009;
O'Donoghue, Candes 2015) find that set, and Newton steps on it converge quadratically. All is done
on a working set of blocks, each scaled to columns of norm 1; columns without a penalty are
projected out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from sparseopt.interface.context import Context
from sparseopt.inverse.blocks import Blocks
from sparseopt.inverse.scaling import NO_NORM
from sparseopt_inverse.work import PRODUCT, begin

_BURST = 30
"""Proximal steps between attempts of Newton's method."""
_RIDGE = 1e-15


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns less their projection onto an orthonormal basis: ``s - q (q^T s)``, s maybe sparse.

    Attributes
    ----------
    s : ndarray or csc array, shape (m, k)
    q : ndarray, shape (m, u)
    p : ndarray, shape (u, k)
        ``q.T @ s``.
    """

    s: Any
    q: np.ndarray
    p: np.ndarray

    def times(self, x: np.ndarray) -> np.ndarray:
        """Return the columns times `x`."""
        found = np.asarray(self.s @ x)
        return found - self.q @ (self.p @ x) if len(self.p) else found

    def correlation(self, r: np.ndarray) -> np.ndarray:
        """Return the transpose times `r`."""
        found = np.asarray(self.s.T @ r)
        return found - self.p.T @ (self.q.T @ r) if len(self.p) else found

    def part(self, entries: np.ndarray) -> Columns:
        """Return some of the columns."""
        return Columns(self.s[:, entries], self.q, self.p[:, entries])

    def gram(self) -> np.ndarray:
        """Return the Gram matrix, dense."""
        gram = self.s.T @ self.s
        dense = np.asarray(gram.toarray() if scipy.sparse.issparse(gram) else gram)
        return dense - self.p.T @ self.p if len(self.p) else dense


class Terms:
    """The penalty of some coefficients, block by block.

    Parameters
    ----------
    sizes : ndarray of int
        Of the blocks, whose members follow one another.
    limits : ndarray, shape (n_blocks,)
        Factors of the blocks' norms.
    thresholds : ndarray, shape (k,)
        Factors of the magnitudes.
    ridge : ndarray, shape (k,)
        Factors of half the squares.
    positive : bool
    """

    def __init__(
        self,
        sizes: np.ndarray,
        limits: np.ndarray,
        thresholds: np.ndarray,
        ridge: np.ndarray,
        positive: bool,
    ) -> None:
        self.blocks = Blocks(np.arange(int(sizes.sum())), sizes)
        self.limits, self.thresholds, self.ridge = limits, thresholds, ridge
        self.positive = positive
        single = self.blocks.spread((sizes == 1) & (limits > 0))
        self.signed = np.full(len(thresholds), True) if positive else (thresholds > 0) | single
        """Whether the penalty has a kink, or a wall, where the coefficient is zero."""

    def value(self, x: np.ndarray) -> float:
        """Return the penalty; coefficients have the right sign."""
        smooth = 0.5 * float(self.ridge @ np.square(x))
        own = float(self.thresholds @ np.abs(x))
        return smooth + own + float(self.limits @ self.blocks.norms(x))

    def shrunk(self, c: np.ndarray, step: float | np.ndarray = 1.0) -> np.ndarray:
        """Return what the thresholds leave of `c`."""
        if self.positive:
            return np.maximum(c - step * self.thresholds, 0.0)
        return np.sign(c) * np.maximum(np.abs(c) - step * self.thresholds, 0.0)

    def proximal(self, x: np.ndarray, step: float) -> np.ndarray:
        """Return the proximal point of the penalty without its ridge."""
        left = self.shrunk(x, step)
        norms = self.blocks.norms(left)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(norms > step * self.limits, 1.0 - step * self.limits / norms, 0.0)
        return np.asarray(self.blocks.spread(share) * left)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient where it is smooth, ridge included."""
        norms = self.blocks.norms(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(norms > 0, self.limits / norms, 0.0)
        return self.thresholds * np.sign(x) + (self.ridge + self.blocks.spread(share)) * x


_WILD = np.errstate(over="ignore", invalid="ignore")
"""Steps that are far too long are found out by their objective."""


class FaceSearch:
    """Minimises 1/2 |B x - y|^2 + terms over all x; plain arithmetic.

    Parameters
    ----------
    columns : Columns
        B, block by block.
    target : ndarray, shape (m,)
        Orthogonal to the basis of `columns`.
    terms : Terms
    context : Context
    """

    def __init__(
        self, columns: Columns, target: np.ndarray, terms: Terms, context: Context
    ) -> None:
        self.columns, self.target, self.terms, self.context = columns, target, terms, context
        rows, count = columns.s.shape
        self._gram = None
        if count <= min(2 * rows, 1500):
            begin(context, PRODUCT * rows * count**2, "products of columns")
            self._gram = columns.gram()
            self._pull = columns.correlation(target)
        curvature = 1.02 * self._largest_eigenvalue() + float(terms.ridge.max(initial=0.0))
        self._curvature = max(curvature, 1e-200)

    def _largest_eigenvalue(self) -> float:
        if self._gram is not None and len(self._gram) <= 100:
            return float(np.linalg.norm(self._gram, 2)) if len(self._gram) else 1.0
        rows, count = self.columns.s.shape
        if rows <= 100 and not scipy.sparse.issparse(self.columns.s):
            return float(np.linalg.norm(self.columns.s @ self.columns.s.T, 2))
        x = np.random.default_rng(0).standard_normal(count)
        size = 1.0
        for _ in range(40):
            x = x / (np.linalg.norm(x) or 1.0)
            gram = self._gram
            x = self.columns.correlation(self.columns.times(x)) if gram is None else gram @ x
            last, size = size, float(np.linalg.norm(x))
            if abs(size - last) <= 0.01 * size:
                break
        return max(1.2 * size, 1e-300)

    def _smooth(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient of the loss."""
        if self._gram is not None:
            return self._gram @ x - self._pull
        return -self.columns.correlation(self.residual(x))

    def residual(self, x: np.ndarray) -> np.ndarray:
        """Return target minus columns times x."""
        return self.target - self.columns.times(x)

    @_WILD
    def objective(self, x: np.ndarray) -> float:
        """Return the objective."""
        residual = self.residual(x)
        return 0.5 * float(residual @ residual) + self.terms.value(x)

    @_WILD
    def _burst(self, x: np.ndarray, count: int) -> np.ndarray:
        """Return the result of accelerated proximal steps with restart."""
        step, momentum, ahead = 1.0 / self._curvature, 1.0, x
        for _ in range(count):
            gradient = self._smooth(ahead) + self.terms.ridge * ahead
            moved = self.terms.proximal(ahead - step * gradient, step)
            if float((ahead - moved) @ (moved - x)) > 0:  # it has overshot
                momentum, ahead = 1.0, x
                gradient = self._smooth(ahead) + self.terms.ridge * ahead
                moved = self.terms.proximal(ahead - step * gradient, step)
            following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum**2))
            ahead = moved + (momentum - 1.0) / following * (moved - x)
            x, momentum = moved, following
        return x

    def run(self, x: np.ndarray, done: Any, rounds: int) -> np.ndarray:
        """Return x refined until ``done(x)`` says so, or nothing changes any more."""
        best, least, stalled = x, self.objective(x), 0
        for k in range(rounds):
            self.context.check_time("searching for the face of the optimum")
            if k:
                x = self._newton(x)
                value = self.objective(x)
                stalled = stalled + 1 if value >= least - 1e-15 * abs(least) else 0
                if value <= least:
                    best, least = x, value
                if done(x):
                    return x
                if stalled >= 6:
                    break
            moved = self._burst(x, 1 if k % 2 and stalled == 0 else _BURST * (1 + stalled))
            if not self.objective(moved) <= (1.0 + 1e-12) * self.objective(x):
                self._curvature *= 2.0  # it was underestimated
                continue
            x = moved
        return best

    def _newton(self, x: np.ndarray) -> np.ndarray:
        """Return x after Newton steps on its face, or on smaller ones."""
        for _ in range(60):
            entries = np.flatnonzero(x)
            # Members of a nonzero block that may pass through zero belong to the face too.
            used = self.terms.blocks.spread(self.terms.blocks.norms(x) > 0) & ~self.terms.signed
            entries = np.union1d(entries, np.flatnonzero(used))
            if not len(entries):
                return x
            begin(self.context, PRODUCT * float(len(entries)) ** 3, "a Newton step")
            gradient = (self._smooth(x) + self.terms.gradient(x))[entries]
            hessian = self._face_gram(entries)
            hessian = hessian + self._curved(x, entries)
            direction = _solved(hessian, -gradient)
            if direction is None:
                return x
            moved = self._searched(x, entries, direction, gradient)
            if moved is None:
                return x
            change = float(np.abs(moved - x).max())
            kept = np.array_equal(moved != 0, x != 0)
            x = moved
            if kept and change <= 1e-15 * float(np.abs(x).max()):
                return x
            if kept and -float(gradient @ direction) <= 1e-17 * self.objective(x):
                return x
        return x

    def _face_gram(self, entries: np.ndarray) -> np.ndarray:
        if self._gram is not None:
            return np.asarray(self._gram[np.ix_(entries, entries)])
        rows = float(self.columns.s.shape[0])
        begin(self.context, PRODUCT * rows * len(entries) ** 2, "products of columns")
        return self.columns.part(entries).gram()

    def _curved(self, x: np.ndarray, entries: np.ndarray) -> np.ndarray:
        """Return the Hessian of the penalty on a face."""
        terms = self.terms
        found = np.diag(terms.ridge[entries])
        norms = terms.blocks.norms(x)
        sizes = terms.blocks.sizes
        curved = np.flatnonzero((sizes > 1) & (terms.limits > 0) & (norms > 0))
        labels = terms.blocks.labels[entries]
        for g in curved:
            here = np.flatnonzero(labels == g)
            unit = x[entries[here]] / norms[g]
            bent = np.eye(len(unit)) - np.outer(unit, unit)
            found[np.ix_(here, here)] += terms.limits[g] / norms[g] * bent
        return found

    def _searched(
        self, x: np.ndarray, entries: np.ndarray, direction: np.ndarray, gradient: np.ndarray
    ) -> np.ndarray | None:
        """Return the first point along a direction that is better, or None."""
        start, slope = self.objective(x), float(gradient @ direction)
        noise = 4e-16 * (abs(start) + 0.5 * float(self.target @ self.target))
        signed = self.terms.signed[entries]
        own = x[entries]
        against = signed & (own * direction < 0)
        first = float(np.min(-own[against] / direction[against], initial=np.inf))
        lengths = [0.5**k for k in range(4)] + [first * (1.0 + 1e-14)] * (first < 1.0)
        for step in lengths + [0.5**k for k in range(4, 30)]:
            part = own + step * direction
            part = np.where(signed & (part * own < 0), 0.0, part)
            moved = x.copy()
            moved[entries] = part
            fall = start - self.objective(moved)
            if fall >= -1e-4 * step * slope or (abs(slope) <= noise and fall >= -noise):
                return moved
        return None

    def fitted(self, x: np.ndarray) -> np.ndarray:
        """Return a point near the residual that meets the optimality of the nonzero coefficients.

        Only without a ridge is there something to meet.
        """
        point = self.residual(x)
        entries = np.flatnonzero(x)
        if not len(entries) or self.terms.ridge.any():
            return point
        part = self.columns.part(entries)
        wanted = self.terms.gradient(x)[entries]
        gram, best = self._face_gram(entries), np.inf
        for _ in range(6):
            missing = wanted - part.correlation(point)
            left = float(np.abs(missing).max())
            if left >= 0.5 * best:
                break
            best = left
            step = _solved(gram, missing)
            if step is None:
                break
            point = point + part.times(step)
        return point


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """Return the solution of a semidefinite system, with a ridge as small as can be."""
    scale = float(np.diagonal(matrix).max(initial=0.0)) or 1.0
    for growth in range(6):
        shifted = matrix.copy()
        shifted[np.diag_indices(len(matrix))] += _RIDGE * len(matrix) * 100.0**growth * scale
        try:
            factor = scipy.linalg.cho_factor(shifted, lower=True, check_finite=False)
        except scipy.linalg.LinAlgError:
            continue
        found = np.asarray(scipy.linalg.cho_solve(factor, right, check_finite=False))
        return found if np.isfinite(found).all() else None
    return None


def safe_inverse(norms: np.ndarray) -> np.ndarray:
    """Return 1 / norms, 0 for columns of zeros or as good as zeros."""
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > NO_NORM)
