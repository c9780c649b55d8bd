"""Optimality on a face in twice the digits, where double precision cannot tell what is optimal.

Where columns nearly agree, or the strength is tiny, the residual y - A x is a difference of large
numbers, and the dual point that is rebuilt from it proves little. Here both unknowns are kept as
sums of two floats, and the equations of optimality on the nonzero blocks,

    t + A x = y,    A_g^T t = w_g x_g / |x_g|    (plus l_j sign(x_j), with thresholds l),

are solved for both by Newton's method: the augmented system of least squares, refined with
residuals in doubled precision (Bjoerck 1967), for groups with the curvature of their norms. Blocks
that a step carries through zero leave, blocks whose correlation with t exceeds its limit enter
(Lee, Battle, Raina, Ng 2007), and along dependent columns the penalty alone decides, as in the
simplex method.

With weights w of the rows the first equation is u + A x = y and t = w u. Rows that are scaled by
roots, which are rounded, would be those of another problem.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse

from sparseopt.interface.context import Context
from sparseopt.inverse.blocks import Blocks
from sparseopt.inverse.duality import DualityGap
from sparseopt.judging.rounding import row_dots, two_product
from sparseopt_inverse.work import DOUBLED_PRODUCT, PIVOTED_QR, begin

MOST_ENTRIES = 2**24
"""Entries of the largest set of columns that is refined, some seconds of work."""
DEPENDENT = 2.0**-46
"""Columns count as dependent where a pivot is that much smaller than the first."""


def add(number: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return a sum of two rows plus a change, as two rows again."""
    total = number[0] + change
    part = total - number[0]
    low = number[1] + ((number[0] - (total - part)) + (change - part))
    high = total + low
    return np.stack([high, low - (high - total)])


class Singular(Exception):
    """The equations on a face do not determine its coefficients; `null` is a free direction."""

    def __init__(self, null: np.ndarray) -> None:
        super().__init__("dependent columns")
        self.null = null


@dataclass(frozen=True, eq=False)
class Face:
    """The nonzero blocks of a point.

    Attributes
    ----------
    columns : ndarray of float64, shape (m, k)
    target : ndarray of float64, shape (m,)
    blocks : Blocks
        Of the k coefficients.
    limits : ndarray of float64, shape (n_blocks,)
    weights : ndarray of float64, shape (m,), or None
        Positive; None stands for ones.
    thresholds : ndarray of float64, shape (k,), or float
        Factors of the magnitudes.
    signed : ndarray of bool, shape (k,), or bool
        Which coefficients keep their sign on the face, for a kink or a wall at zero.
    """

    columns: np.ndarray
    target: np.ndarray
    blocks: Blocks
    limits: np.ndarray
    weights: np.ndarray | None = None
    thresholds: np.ndarray | float = 0.0
    signed: np.ndarray | bool = False

    @property
    def polyhedral(self) -> bool:
        """Whether the penalty is linear on the face."""
        return bool((self.blocks.sizes == 1).all())

    def pull(self, x: np.ndarray) -> np.ndarray:
        """Return the gradient of the penalty."""
        own = self.thresholds * np.sign(x)
        if self.polyhedral:
            return np.asarray(self.limits * np.sign(x) + own)
        return np.asarray(self.blocks.spread(self.limits / self.blocks.norms(x)) * x + own)

    def dual_point(self, u: np.ndarray) -> np.ndarray:
        """Return u times the weights; both have two rows."""
        if self.weights is None:
            return u
        high, low = two_product(u[0], self.weights)
        return add(np.stack([high, low]), u[1] * self.weights)

    def weighted(self, vector: np.ndarray) -> np.ndarray:
        """Return a vector, or columns, times the roots of the weights."""
        if self.weights is None:
            return vector
        return np.asarray((np.sqrt(self.weights) * vector.T).T)

    def missing(self, x: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what both equations lack; x and u have two rows."""
        a, t = self.columns, self.dual_point(u)
        rows = np.column_stack([a, a, u[0], u[1], self.target])
        first = -row_dots(rows, np.concatenate([x[0], x[1], [1.0, 1.0, -1.0]]))[0]
        rows = np.column_stack([a.T, a.T, self.pull(x[0])])
        return first, -row_dots(rows, np.concatenate([t[0], t[1], [-1.0]]))[0]

    def relative_size(self, first: np.ndarray, second: np.ndarray) -> float:
        """Return how much is missing, against the target and the limits."""
        return max(
            float(np.abs(first).max() / np.abs(self.target).max()),
            float((np.abs(second) / self._limit_sizes()).max()),
        )

    def _limit_sizes(self) -> np.ndarray:
        """Return the limits, for columns without one the largest of the others or of products."""
        sizes = self.blocks.spread(self.limits) + self.thresholds
        if sizes.all():
            return sizes
        products = np.linalg.norm(self.columns, axis=0) * np.linalg.norm(self.target)
        other = float(sizes.max()) or 2.0**-30 * products
        return np.where(sizes > 0, sizes, other)

    def _roots(self, x: np.ndarray) -> np.ndarray:
        """Return a square root of the penalty's Hessian, with no rows where that is zero."""
        if self.polyhedral:
            return np.zeros((0, len(x)))
        norms, ends = self.blocks.norms(x), np.cumsum(self.blocks.sizes)
        root = np.zeros((len(x), len(x)))
        for g, end in enumerate(ends):
            part = slice(end - self.blocks.sizes[g], end)
            unit = x[part] / norms[g]
            across = np.eye(len(unit)) - np.outer(unit, unit)
            root[part, part] = np.sqrt(self.limits[g] / norms[g]) * across
        return root

    def step(
        self, x: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return Newton's changes of x and u for what the equations lack.

        Raises
        ------
        Singular
        """
        stacked = np.vstack([self.weighted(self.columns), self._roots(x)])
        first = self.weighted(first)
        scales = 1.0 / np.linalg.norm(stacked, axis=0)
        q, r, order = scipy.linalg.qr(
            stacked * scales, mode="economic", pivoting=True, check_finite=False
        )
        pivots, count = np.abs(np.diagonal(r)), len(scales)
        rank = int(np.count_nonzero(pivots > DEPENDENT * pivots[0]))
        if rank < count:
            null = np.zeros(count)
            null[order[rank]] = 1.0
            null[order[:rank]] = -scipy.linalg.solve_triangular(r[:rank, :rank], r[:rank, rank])
            raise Singular(null * scales)
        scales = scales[order]
        q = q[: len(self.target)]
        along = q.T @ first
        across = scipy.linalg.solve_triangular(r, scales * second[order], trans="T")
        change = np.empty(count)
        change[order] = scales * scipy.linalg.solve_triangular(r, along - across)
        shift = first - q @ (along - across)
        return change, shift if self.weights is None else shift / np.sqrt(self.weights)

    def first_zero(self, x: np.ndarray, change: np.ndarray) -> float:
        """Return the least step length at which a block, or a sign, turns against itself."""
        along = np.add.reduceat(x * change, self.blocks.starts) / self.blocks.norms(x) ** 2
        first = np.min(-1.0 / along[along < 0], initial=np.inf)
        against = self.signed & (x * change < 0)
        return float(np.min(-x[against] / change[against], initial=first))

    def without_turned(self, moved: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return `moved` with zeros where blocks or signs turned against themselves, or nearly."""
        along = np.add.reduceat(moved * x, self.blocks.starts)
        gone = self.blocks.spread(along <= 1e-12 * self.blocks.norms(x) ** 2)
        return np.where(gone | (self.signed & (moved * x <= 1e-12 * x * x)), 0.0, moved)

    def is_left(self, x: np.ndarray) -> bool:
        """Whether a point is of a smaller face."""
        return not (
            self.blocks.norms(x).all() and (x != 0.0)[np.broadcast_to(self.signed, x.shape)].all()
        )

    def left_along(self, x: np.ndarray, null: np.ndarray) -> np.ndarray:
        """Return the point where, along a direction that costs nothing else, a block vanishes."""
        if float(self.pull(x) @ null) > 0:
            null = -null
        length = self.first_zero(x, null)
        return self.without_turned(x + length * null, x) if length < np.inf else np.zeros_like(x)

    def descent(self, x: np.ndarray, change: np.ndarray, slope: np.ndarray) -> float:
        """Return by how much the objective falls from `x` to ``x + change``, to many digits.

        For a block, |x + z| - |x| - u.z with u = x / |x| is
        (|z|^2 - (u.z)^2) / (|x + z| + |x| + u.z), where nothing cancels.
        """
        image, norms = self.weighted(self.columns @ change), self.blocks.norms(x)
        along = np.add.reduceat(x * change, self.blocks.starts) / norms
        across = change - self.blocks.spread(along / norms) * x
        curved = self.blocks.norms(across) ** 2
        sums = self.blocks.norms(x + change) + np.maximum(norms + along, 0.0)
        bent = np.divide(curved, sums, out=np.zeros_like(curved), where=sums > 0)
        return -float(slope @ change) - 0.5 * float(image @ image) - float(self.limits @ bent)

    def search(
        self, x: np.ndarray, change: np.ndarray, slope: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Return the length of the first step that descends, and where it leads.

        Blocks that it turns against themselves are zero there. The length is 0 if none descends.
        """
        zero = self.first_zero(x, change)
        lengths = [0.5**k for k in range(4)] + [zero] * (zero < 1.0)
        for length in lengths + [0.5**k for k in range(4, 40)]:
            moved = self.without_turned(x + length * change, x)
            step = moved - x if self.is_left(moved) else length * change
            if self.descent(x, step, slope) >= -1e-4 * length * float(slope @ change) >= 0.0:
                return length, moved
        return 0.0, x


class PreciseSearch:
    """Looks for the optimal face from a point that is near it; everything in scaled units.

    Parameters
    ----------
    gap : DualityGap
        Of the problem.
    tolerance : float
        Relative violation of a limit that is let pass.
    context : Context
    weights : ndarray, shape (m,), or None
        Of the rows, positive, where the problem itself has none.
    """

    def __init__(
        self,
        gap: DualityGap,
        tolerance: float,
        context: Context,
        weights: np.ndarray | None = None,
    ) -> None:
        self.gap, self.tolerance, self.context = gap, tolerance, context
        self.weights = weights
        scaled = gap.scaled
        self._design = scaled.design.tocsc() if scipy.sparse.issparse(scaled.design) else None
        own = scaled.thresholds
        self._thresholds = np.zeros(scaled.size) if own is None else own
        self._signed = (self._thresholds > 0) | scaled.positive

    def columns(self, entries: np.ndarray) -> np.ndarray:
        """Return some columns of the design, dense."""
        if self._design is not None:
            return np.asarray(self._design[:, entries].toarray(), dtype=np.float64)
        return np.asarray(self.gap.scaled.design[:, entries], dtype=np.float64)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return coefficients and a dual point, both of two rows, or None without success."""
        found, seen = None, set()
        for _ in range(100 + 2 * min(self.gap.scaled.design.shape)):
            self.context.check_time("refining in doubled precision")
            solved = self._solve_face(x)
            if solved is None:
                return found
            found = solved
            face = np.sign(solved[0][0]).tobytes()
            if face in seen:  # the objective no longer falls by more than rounding
                return found
            seen.add(face)
            entered = self._enter(solved[0][0], solved[1])
            if entered is None:
                return found
            x = entered
        return found

    def _face(self, x: np.ndarray) -> tuple[Face, np.ndarray] | None:
        scaled = self.gap.scaled
        used = np.flatnonzero(scaled.blocks.norms(x))
        entries = scaled.blocks.members(used)
        kept = (x[entries] != 0.0) | ~self._signed[entries]
        sizes = np.add.reduceat(kept, np.append(0, np.cumsum(scaled.blocks.sizes[used]))[:-1])
        entries = entries[kept]
        if len(entries) * len(scaled.target) > MOST_ENTRIES or not len(entries):
            return None
        blocks, limits = Blocks(np.arange(len(entries)), sizes), scaled.limits[used]
        own = self._thresholds[entries], self._signed[entries]
        face = Face(self.columns(entries), scaled.target, blocks, limits, self.weights, *own)
        return face, entries

    def _solve_face(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the optimum on the face of `x`, or on a smaller one, and its dual point."""
        while True:
            ready = self._face(x)
            if ready is None:
                return None
            face, entries = ready
            part, t = self._newton(face, x[entries])
            whole = np.zeros((2, len(x)))
            whole[:, entries] = part
            if t is not None:
                return whole, t
            x = whole[0]
            if not x.any():
                return None

    def _newton(self, face: Face, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the optimum on a face and its dual point, or a point of a smaller face.

        Both optima have two rows, the other point one.
        """
        rows, count = face.columns.shape
        seconds = (PIVOTED_QR * count + 4.0 * DOUBLED_PRODUCT) * rows * count
        begin(self.context, seconds, "refining in doubled precision")
        own = np.stack([x, np.zeros_like(x)])
        u = np.zeros((2, len(face.target)))
        u[0] = face.missing(own, u)[0]
        best, least, stalled = (own, u), np.inf, 0
        for _ in range(100):
            begin(self.context, seconds, "refining in doubled precision")
            first, second = face.missing(own, u)
            size = face.relative_size(first, second)
            stalled = stalled + 1 if size > 0.5 * least else 0
            if size < least:
                best, least = (own, u), size
            if (stalled >= 2 and least < 1e-6) or stalled >= 20 or size < 2.0**-80:
                break
            try:
                change, shift = face.step(own[0], first, second)
            except Singular as free:
                return face.left_along(own[0], free.null), None
            length = 1.0
            if size > 1e-8 or face.first_zero(own[0], change) < 1.0:
                slope = second - face.weighted(face.columns).T @ face.weighted(first)
                length, moved = face.search(own[0], change, slope)
                if face.is_left(moved):
                    return moved, None
                if length == 0.0:
                    break
            own, u = add(own, length * change), add(u, length * shift)
            if face.is_left(own[0]):  # a step of just this length
                return own[0], None
        return best[0], face.dual_point(best[1])

    def _enter(self, x: np.ndarray, t: np.ndarray) -> np.ndarray | None:
        """Return `x` after a proximal step on what exceeds its limit most, if anything does."""
        scaled = self.gap.scaled
        limited, used = scaled.limits > 0, scaled.blocks.norms(x) > 0
        excess = np.zeros(len(limited))
        excess[limited] = self.gap.reach(t)[limited] / scaled.limits[limited] - 1.0
        excess[used] = 0.0
        if self._signed.any():
            wanting, entry = self._wanting(x, t, used | ~limited)
            if wanting[entry] > max(self.tolerance, excess.max(initial=0.0)):
                g = int(scaled.blocks.labels[entry])
                # The norm of a block bends the more the shorter it is.
                bent = scaled.limits[g] / scaled.blocks.norms(x)[g] if used[g] else 0.0
                return self._moved(x, t, np.array([entry]), 0.0, bent)
        g = int(np.argmax(excess))
        if not excess[g] > self.tolerance:
            return None
        return self._moved(x, t, scaled.blocks.members(np.array([g])), scaled.limits[g])

    def _wanting(self, x: np.ndarray, t: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, int]:
        """Return by how much zeros of some blocks exceed their thresholds, and the worst one."""
        scaled, own = self.gap.scaled, self._thresholds
        values = self.gap.exact_correlations(t, np.arange(len(x)))[0]
        size = values if scaled.positive else np.abs(values)
        open_ = self._signed & (x == 0.0) & scaled.blocks.spread(used)
        most = own + scaled.blocks.spread(scaled.limits)
        found = np.where(open_, size - own, 0.0) / np.where(most > 0, most, 1.0)
        return found, int(np.argmax(found))

    def _moved(
        self, x: np.ndarray, t: np.ndarray, entries: np.ndarray, limit: float, bent: float = 0.0
    ) -> np.ndarray:
        """Return x after a proximal step on some entries that are zero, with more curvature."""
        columns = self.columns(entries)
        pull = row_dots(np.hstack([columns.T, columns.T]), t.ravel())[0]
        if self.weights is not None:
            columns = columns * np.sqrt(self.weights)[:, None]
        size = pull if self.gap.scaled.positive else np.abs(pull)
        pull = np.sign(pull) * np.maximum(size - self._thresholds[entries], 0.0)
        norm, curvature = float(np.linalg.norm(pull)), float(np.linalg.norm(columns, 2)) ** 2
        x = x.copy()
        if norm > limit:
            x[entries] = (1.0 - limit / norm) / (curvature + bent) * pull
        return x
