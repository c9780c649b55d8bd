"""Newton steps on a face of the penalty, for some of the columns.

Where a given set of blocks is nonzero the objective is smooth; for l1 it is even quadratic on
each orthant. Proximal steps on single blocks find the set of the optimum after finitely many
steps unless it is degenerate, and Newton steps on it converge quadratically, for l1 in one step
(feature-sign search of Lee, Battle, Raina, Ng 2007; Bareilles, Iutzeler, Malick 2023 for partly
smooth penalties in general). This takes the duality gap down to rounding, which first-order
methods do not reach, and needs far fewer steps than they do on ill-conditioned columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse

from sparseopt.interface.context import Context
from sparseopt.inverse.blocks import Blocks
from sparseopt.inverse.building import best_multiple
from sparseopt_inverse.work import PRODUCT, begin

_RIDGE = 1e-15


class Subproblem:
    """A sparse regression restricted to some blocks of columns, in scaled units.

    Parameters
    ----------
    columns : ndarray of float64 or scipy.sparse csc, shape (m, k)
        The columns, block by block.
    target : ndarray of float64, shape (m,)
    sizes : ndarray of int
        Sizes of the blocks.
    limits : ndarray of float64
        Factor of each block's norm in the penalty, positive.
    """

    def __init__(
        self, columns: Any, target: np.ndarray, sizes: np.ndarray, limits: np.ndarray
    ) -> None:
        self.target, self.limits = target, limits
        self.blocks = Blocks(np.arange(columns.shape[1]), sizes)
        self._ends = np.cumsum(sizes)
        # Beyond twice as many columns as rows, products with the columns cost less than products
        # with their Gram matrix, and less memory.
        wide = columns.shape[1] > 2 * columns.shape[0]
        self.columns = columns.toarray() if wide and scipy.sparse.issparse(columns) else columns
        self._gram = None if wide else gram_of(columns)
        self._curvatures = self._block_curvatures()

    def _block_curvatures(self) -> np.ndarray:
        """Return the largest eigenvalue of each block's Gram matrix, rounded up a little."""
        if self.blocks.single:
            if self._gram is None:
                return np.einsum("ij,ij->j", self.columns, self.columns)
            return np.diagonal(self._gram)
        values = []
        for g in range(len(self._ends)):
            part = self._part(g)
            gram = gram_of(self.columns[:, part]) if self._gram is None else self._gram[part, part]
            values.append(float(np.linalg.eigvalsh(gram)[-1]))
        return np.maximum(np.array(values), 0.0) * (1.0 + 1e-12)

    def _part(self, g: int) -> slice:
        return slice(int(self._ends[g] - self.blocks.sizes[g]), int(self._ends[g]))

    def residual(self, x: np.ndarray) -> np.ndarray:
        """Return target minus columns times x."""
        return np.asarray(self.target - self.columns @ x)

    def gap(self, x: np.ndarray) -> float:
        """Return the duality gap of the subproblem with the best multiple of the residual."""
        residual = self.residual(x)
        norms = self.blocks.norms(self.columns.T @ residual)
        point = residual * best_multiple(self.target, residual, norms, self.limits)
        primal = 0.5 * float(residual @ residual) + float(self.limits @ self.blocks.norms(x))
        return primal - float(self.target @ point) + 0.5 * float(point @ point)

    def descend(self, x: np.ndarray, count: int, goal: float) -> np.ndarray:
        """Return `x` after one proximal step on each of `count` zero blocks that should not be.

        The worst come first, each with the gradient of its moment, so that of many correlated
        columns only a few enter. A block whose correlation exceeds its limit by a fraction f
        makes the dual objective smaller by about f times the penalty plus half of f^2 times the
        residual's square; those for which that is below `goal` stay out.
        """
        x = x.copy()
        residual = self.residual(x)
        correlation = self.columns.T @ residual
        norms = self.blocks.norms(correlation)
        own = self.blocks.norms(x)
        excess = np.where(own > 0, 0.0, np.maximum(norms / self.limits - 1.0, 0.0))
        order = np.argsort(-excess, kind="stable")
        penalty, square = float(self.limits @ own), float(residual @ residual)
        loss = excess * penalty + 0.5 * np.minimum(excess, 1.0) ** 2 * square
        chosen = np.count_nonzero((excess > 0) & (loss >= goal))
        for g in order[: min(count, int(chosen))]:
            part, curvature = self._part(g), float(self._curvatures[g])
            if self._gram is None:
                correlation[part] = self.columns[:, part].T @ residual
            pull = correlation[part].copy()
            norm = float(np.sqrt(pull @ pull))
            if norm <= self.limits[g] or curvature <= 0:
                continue
            x[part] = (1.0 - self.limits[g] / norm) / curvature * pull
            if self._gram is None:
                residual -= self.columns[:, part] @ x[part]
            else:
                correlation -= self._gram[:, part] @ x[part]
        return x

    def newton_steps(self, x: np.ndarray, goal: float, count: int, context: Context) -> np.ndarray:
        """Return `x` after Newton steps on the blocks where it is nonzero.

        Blocks that a step would carry through zero are set to zero. Ends when a step promises
        less descent than `goal`, when nothing descends, or after `count` steps.
        """
        face = None
        for _ in range(count):
            used = np.flatnonzero(self.blocks.norms(x))
            if not len(used):
                break
            size = float(self.blocks.sizes[used].sum())
            begin(context, PRODUCT * size**3, "a Newton step")
            face = Face(self, x, used, face)
            for ridge in (_RIDGE, 1e4 * _RIDGE, 1e8 * _RIDGE):
                direction = face.newton_direction(ridge)
                decrement = -float(face.gradient @ direction)
                found = face.search(direction, decrement)
                if found is not None:
                    break
            if found is None:
                break
            x = x.copy()
            x[face.entries] = found
            if decrement <= goal and face.blocks.norms(found).all():
                break
        return x

    def fitted_dual_point(self, x: np.ndarray) -> np.ndarray:
        """Return a point near the residual that meets the optimality of the nonzero blocks.

        Its correlations with block g are limit_g x_g / |x_g|, which the residual of rounded
        coefficients misses by their rounding error times the condition of the columns. Every
        round of the normal equations removes most of what is left.
        """
        used = np.flatnonzero(self.blocks.norms(x))
        face = Face(self, x, used, None)
        factor = _factor(face.gram, _RIDGE)
        point, best = self.residual(x), np.inf
        for _ in range(6):
            missing = face.pull - face.columns.T @ point
            left = float(np.abs(missing).max())
            if left >= 0.5 * best:
                break
            best = left
            step = scipy.linalg.cho_solve(factor, missing, check_finite=False)
            point = point + face.columns @ step
        return np.asarray(point)

    def face_gram(self, entries: np.ndarray, columns: Any) -> np.ndarray:
        """Return the Gram matrix of the columns `entries`, which are given too."""
        return gram_of(columns) if self._gram is None else self._gram[np.ix_(entries, entries)]


def gram_of(columns: Any) -> np.ndarray:
    """Return the products of columns with each other, dense."""
    gram = columns.T @ columns
    return np.asarray(gram.toarray() if scipy.sparse.issparse(gram) else gram)


def _factor(matrix: np.ndarray, ridge: float) -> tuple[np.ndarray, bool]:
    """Return the Cholesky factor of a semidefinite matrix plus `ridge`, or more if it must be.

    The ridge is relative to the size of the matrix times its largest diagonal entry.
    """
    size = len(matrix)
    scale = float(np.diagonal(matrix).max(initial=0.0)) or 1.0
    for growth in range(8):
        shifted = matrix.copy()
        shifted[np.diag_indices(size)] += ridge * size * 100.0**growth * scale
        try:
            factor: tuple[np.ndarray, bool] = scipy.linalg.cho_factor(
                shifted, lower=True, overwrite_a=True, check_finite=False
            )
        except scipy.linalg.LinAlgError:
            continue
        return factor
    raise scipy.linalg.LinAlgError("the Gram matrix is not positive semidefinite")


class Face:
    """The objective near a point, as a function of its nonzero blocks alone.

    Attributes
    ----------
    entries : ndarray of int
        The coefficients that vary.
    pull : ndarray
        Gradient of the penalty.
    gradient : ndarray
        Gradient of the objective.
    gram : ndarray
        Gram matrix of the columns.
    """

    def __init__(
        self, sub: Subproblem, x: np.ndarray, used: np.ndarray, larger: Face | None
    ) -> None:
        self.entries = sub.blocks.members(used)
        self.blocks = Blocks(np.arange(len(self.entries)), sub.blocks.sizes[used])
        self._limits = sub.limits[used]
        self._x = x[self.entries]
        self._norms = self.blocks.norms(self._x)
        if larger is None:
            self.columns = sub.columns[:, self.entries]
            self.gram = sub.face_gram(self.entries, self.columns)
        elif len(larger.entries) == len(self.entries):
            self.columns, self.gram = larger.columns, larger.gram
        else:
            kept = np.searchsorted(larger.entries, self.entries)
            self.columns, self.gram = larger.columns[:, kept], larger.gram[np.ix_(kept, kept)]
        self._smooth = self.columns.T @ (self.columns @ self._x - sub.target)
        self.pull = self.blocks.spread(self._limits / self._norms) * self._x
        self.gradient = self._smooth + self.pull

    def _hessian(self) -> np.ndarray:
        if self.blocks.single:
            return self.gram
        hessian = self.gram.copy()
        ends = np.cumsum(self.blocks.sizes)
        for g in np.flatnonzero(self.blocks.sizes > 1):
            part = slice(ends[g] - self.blocks.sizes[g], ends[g])
            unit = self._x[part] / self._norms[g]
            curvature = np.eye(len(unit)) - np.outer(unit, unit)
            hessian[part, part] += self._limits[g] / self._norms[g] * curvature
        return hessian

    def newton_direction(self, ridge: float) -> np.ndarray:
        """Return minus the inverse Hessian times the gradient.

        A tiny ridge keeps dependent columns apart. Along a direction that costs nothing it makes
        the step huge, and `search` then stops at the first block that reaches zero.
        """
        factor = _factor(self._hessian(), ridge)
        return -np.asarray(scipy.linalg.cho_solve(factor, self.gradient, check_finite=False))

    def search(self, direction: np.ndarray, decrement: float) -> np.ndarray | None:
        """Return the point of the first step that descends, or None."""
        start = float(self._limits @ self._norms)
        noise = 1e-15 * (start + float(np.abs(self._smooth) @ np.abs(self._x)))
        for step in self._step_lengths(direction):
            moved = self._x + step * direction
            aligned = np.add.reduceat(moved * self._x, self.blocks.starts) > 0
            moved = np.where(self.blocks.spread(aligned), moved, 0.0)
            change = moved - self._x
            image = self.columns @ change
            descent = float(self._smooth @ change) + 0.5 * float(image @ image)
            descent += float(self._limits @ self.blocks.norms(moved)) - start
            # Of what is left of a block that should be zero, no descent can be measured.
            unmeasurable = decrement <= noise or (step < 1e-8 and not aligned.all())
            if descent <= -1e-4 * step * decrement or (unmeasurable and descent <= noise):
                return moved
        return None

    def _step_lengths(self, direction: np.ndarray) -> list[float]:
        """Return step lengths to try, with the first at which a block turns against itself."""
        lengths = [0.5**k for k in range(4)]
        along = np.add.reduceat(direction * self._x, self.blocks.starts)
        against = along < 0
        first = float(np.min(-(self._norms[against] ** 2) / along[against], initial=np.inf))
        if first < 1.0:
            lengths.append(first * (1.0 + 1e-14))
        return lengths + [0.5**k for k in range(4, 40)]
