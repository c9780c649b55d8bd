"""The lasso on some columns by their Gram matrix alone, for goals far above rounding.

The same steps as in `face_newton`, blocks of one: columns whose correlation exceeds its limit enter
by one coordinate step each, the worst first; Newton's method then jumps to the optimum of the face,
and columns whose signs turn on the way leave (feature-sign search of Lee, Battle, Raina, Ng 2007).
No step touches the rows, so it costs the same for any number of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg.lapack import dposv

from sparseopt.interface.context import Context
from sparseopt_inverse.work import PRODUCT, begin

_RIDGE = 1e-15
_SLIGHT = 0.1
"""Columns whose excess is below that share of the largest wait: those that enter may serve them."""


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
        if x.any():
            correlation, penalty, square, gap = self._look(x)
        else:
            correlation, penalty, square = self._pull.copy(), 0.0, self._square
        for _ in range(200):
            self._context.check_time("solving on a working set")
            before = np.count_nonzero(x)
            entered = self._enter(x, correlation, penalty, square, count, 0.1 * goal)
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
        least = max(_SLIGHT * float(excess.max()), 0.0)
        chosen = ((excess > least) & (loss >= goal)).nonzero()[0]
        chosen = chosen[np.argsort(-excess[chosen], kind="stable")][:count]
        x = x.copy()
        curvatures, limits = self._curvatures, self._listed
        for j in chosen.tolist():
            pull = correlation.item(j)
            left = abs(pull) - limits[j]
            if left <= 0.0 or curvatures[j] <= 0.0:
                continue
            step = (left if pull > 0.0 else -left) / curvatures[j]
            x[j] = step
            correlation -= step * self._gram[j]
        return x

    def _newton(self, x: np.ndarray) -> np.ndarray | None:
        """Return the optimum of the face of `x`, or of one that its coefficients lead to."""
        used = x.nonzero()[0]
        own, gram = x[used], self._gram[used[:, None], used]
        pull, limits = self._pull[used], self._limits[used]
        for _ in range(2 * len(used) + 20):
            if not len(used):
                break
            begin(self._context, PRODUCT * len(used) ** 3, "a Newton step")
            penalised = np.copysign(limits, own)
            optimum = _solved(gram, pull - penalised)
            if optimum is None:
                return None
            kept = optimum * own > 0.0
            if kept.all():
                own = optimum
                break
            moved = _searched(own, optimum - own, gram, gram @ own - pull, limits, penalised)
            if moved is None:
                return None
            kept = moved.nonzero()[0]
            used, own, gram = used[kept], moved[kept], gram[kept[:, None], kept]
            pull, limits = pull[kept], limits[kept]
        else:
            return None
        x = np.zeros_like(x)
        x[used] = own
        return x


def _searched(
    own: np.ndarray,
    direction: np.ndarray,
    gram: np.ndarray,
    smooth: np.ndarray,
    limits: np.ndarray,
    penalised: np.ndarray,
) -> np.ndarray | None:
    """Return the first point along a direction that is better; what turns sign is zero."""
    decrement = -float(direction @ (smooth + penalised))
    for step in _step_lengths(own, direction):
        moved = own + step * direction
        moved[moved * own <= 0.0] = 0.0
        change = moved - own
        descent = float((smooth + 0.5 * (gram @ change)) @ change)
        descent += float(limits @ (np.abs(moved) - np.abs(own)))
        if descent <= -1e-4 * step * decrement:
            return moved
    return None


def _step_lengths(own: np.ndarray, direction: np.ndarray) -> Iterator[float]:
    """Yield step lengths to try, with the first at which a coefficient turns sign."""
    yield from (1.0, 0.5, 0.25, 0.125)
    against = own * direction < 0.0
    first = float(np.min(-own[against] / direction[against], initial=np.inf))
    if first < 1.0:
        yield first * (1.0 + 1e-14)
    yield from (0.5**k for k in range(4, 30))


def _solved(gram: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """Return the solution of a positive definite system, with a ridge at the level of rounding.

    It is relative to each diagonal entry, so that columns of any size count alike.
    """
    for growth in (1.0, 1e2, 1e4):
        shifted = gram.copy()
        shifted.ravel()[:: len(gram) + 1] *= 1.0 + _RIDGE * growth * len(gram)
        _, found, info = dposv(shifted, right, lower=1, overwrite_a=1)
        if info == 0:
            return np.asarray(found)
    return None
