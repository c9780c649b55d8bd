"""The lasso on some columns by their Gram matrix alone, for goals far above rounding.

The same steps as in `face_newton`, blocks of one: columns whose correlation exceeds its limit enter
by one coordinate step each, the worst first; Newton's method then jumps to the optimum of the face,
and columns whose signs turn on the way leave (feature-sign search of Lee, Battle, Raina, Ng 2007).
No step touches the rows, so it costs the same for any number of them.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dposv

from sparseopt.interface.context import Context
from sparseopt_inverse.work import PRODUCT, begin

_RIDGE = 1e-15


class GramLasso:
    """Minimises 1/2 x.G x - p.x + sum_j l_j |x_j| + 1/2 |y|^2.

    Parameters
    ----------
    gram : ndarray, shape (k, k)
        G, products of the columns.
    pull : ndarray, shape (k,)
        p, their correlations with the target.
    limits : ndarray, shape (k,)
        l, positive.
    square : float
        |y|^2.
    context : Context
    """

    def __init__(
        self,
        gram: np.ndarray,
        pull: np.ndarray,
        limits: np.ndarray,
        square: float,
        context: Context,
    ) -> None:
        self._gram, self._pull, self._limits = gram, pull, limits
        self._square, self._context = square, context
        self._curvatures = gram.diagonal().tolist()
        self._listed = limits.tolist()

    def run(self, x: np.ndarray, goal: float) -> np.ndarray | None:
        """Return `x` refined to a duality gap of at most `goal`, None if it does not get there."""
        count = len(x)
        correlation, penalty, square, gap = self._look(x)
        for _ in range(200):
            self._context.check_time("solving on a working set")
            before = np.count_nonzero(x)
            loss = 0.1 * goal
            entered, between = self._enter(x, correlation, penalty, square, count, loss), 0
            between = np.count_nonzero(entered)
            found = self._newton(entered)
            if found is None:
                return None
            x = found
            lost = between - np.count_nonzero(x)
            correlation, penalty, square, gap = self._look(x)
            if gap <= goal:
                return x
            if between - before + lost == 0:
                return None
            count = max(1, count // 2) if lost > 0.3 * (between - before) else 2 * count
        return None

    def _look(self, x: np.ndarray) -> tuple[np.ndarray, float, float, float]:
        """Return correlations with the residual, penalty, the residual's square, and the gap."""
        correlation = self._pull - self._gram @ x
        along = self._square - float(x @ self._pull)
        square = max(along - float(x @ correlation), 0.0)
        penalty = float(self._limits @ np.abs(x))
        largest = float((np.abs(correlation) / self._limits).max())
        room = 1.0 / largest if largest > 0.0 else np.inf
        factor = min(max(along / square, -room), room) if square > 0.0 else 0.0
        gap = 0.5 * square + penalty - factor * along + 0.5 * factor * factor * square
        return correlation, penalty, square, gap

    def _enter(
        self,
        x: np.ndarray,
        correlation: np.ndarray,
        penalty: float,
        square: float,
        count: int,
        goal: float,
    ) -> np.ndarray:
        """Return `x` after a step on each of `count` zero coefficients, see `Subproblem.descend`.

        `correlation` is overwritten.
        """
        excess = np.abs(correlation) / self._limits - 1.0
        excess[x != 0.0] = 0.0
        loss = excess * penalty + 0.5 * np.minimum(excess, 1.0) ** 2 * square
        chosen = np.flatnonzero((excess > 0.0) & (loss >= goal))
        chosen = chosen[np.argsort(-excess[chosen], kind="stable")][:count]
        x = x.copy()
        for j in chosen.tolist():
            pull, limit = float(correlation[j]), self._listed[j]
            left = abs(pull) - limit
            if left <= 0.0 or self._curvatures[j] <= 0.0:
                continue
            step = (left if pull > 0.0 else -left) / self._curvatures[j]
            x[j] = step
            correlation -= step * self._gram[j]
        return x

    def _newton(self, x: np.ndarray) -> np.ndarray | None:
        """Return the optimum of the face of `x`, or of one that its coefficients lead to."""
        for _ in range(2 * np.count_nonzero(x) + 20):
            used = np.flatnonzero(x)
            if not len(used):
                return x
            begin(self._context, PRODUCT * len(used) ** 3, "a Newton step")
            own = x[used]
            gram, wanted = self._gram[np.ix_(used, used)], self._pull[used]
            wanted = wanted - self._limits[used] * np.sign(own)
            optimum = _solved(gram, wanted)
            if optimum is None:
                return None
            kept = optimum * own > 0.0
            x = x.copy()
            if kept.all():
                x[used] = optimum
                return x
            moved = self._searched(own, optimum - own, gram, gram @ own - self._pull[used], used)
            if moved is None:
                return None
            x[used] = moved
        return None

    def _searched(
        self,
        own: np.ndarray,
        direction: np.ndarray,
        gram: np.ndarray,
        smooth: np.ndarray,
        used: np.ndarray,
    ) -> np.ndarray | None:
        """Return the first point along a direction that is better; what turns sign is zero."""
        limits = self._limits[used]
        start = float(limits @ np.abs(own))
        decrement = -float(direction @ (smooth + limits * np.sign(own)))
        against = own * direction < 0.0
        first = float(np.min(-own[against] / direction[against], initial=np.inf))
        lengths = [1.0, 0.5, 0.25, 0.125] + [first * (1.0 + 1e-14)] * (first < 1.0)
        for step in lengths + [0.5**k for k in range(4, 30)]:
            moved = own + step * direction
            moved[moved * own <= 0.0] = 0.0
            change = moved - own
            descent = float(smooth @ change) + 0.5 * float(change @ gram @ change)
            descent += float(limits @ np.abs(moved)) - start
            if descent <= -1e-4 * step * decrement:
                return moved
        return None


def _solved(gram: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """Return the solution of a positive definite system, with a ridge at the level of rounding."""
    diagonal = gram.diagonal()
    scale = float(diagonal.max()) * len(gram)
    for growth in (1.0, 1e2, 1e4):
        shifted = gram.copy()
        shifted.ravel()[:: len(gram) + 1] += _RIDGE * growth * scale
        _, found, info = dposv(shifted, right, lower=1, overwrite_a=1)
        if info == 0:
            return np.asarray(found)
    return None
