"""From a rough answer, or none, to one whose duality gap is at the level of rounding.

Working sets of blocks, ranked by how soon the gap-safe rule could exclude them (Massias,
Gramfort, Salmon 2018), each solved by proximal and Newton steps, see `face_newton`. The best
dual point met is kept, and at the end one is fitted to the face of the answer: the point nearest
to the residual whose correlations with the nonzero blocks are exactly what optimality demands.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from sparseopt.interface.context import Context
from sparseopt.interface.errors import TimeLimitReached
from sparseopt.inverse.building import best_multiple
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.duality import DualityGap
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import NO_NORM, ScaledProblem
from sparseopt_inverse.best import AIM, Best
from sparseopt_inverse.face_newton import Subproblem, gram_of
from sparseopt_inverse.gram_lasso import GramLasso
from sparseopt_inverse.joint_rounding import rounded_jointly
from sparseopt_inverse.precise import PreciseSearch
from sparseopt_inverse.quick_proof import quick_evidence
from sparseopt_inverse.stored_columns import StoredColumns
from sparseopt_inverse.work import PRODUCT, begin

_ROUNDING = 2.0**-50
"""The residual is off by about that much of the target, and the gap by residual times that."""
_ROUGHLY = 1e-10
"""Gaps above that share of the objective at zero are found by Gram matrices."""
_FEW_PRODUCTS = 1 << 22
_INSIDE = 1.0 - 2.0**-36
_LEAST_RATIO = 1e-10
"""Strengths below this share of the one that empties the model are left to doubled precision."""


@dataclass(frozen=True, eq=False)
class _State:
    """Coefficients with their objective and gap, and what plain arithmetic loses of it."""

    x: np.ndarray
    primal: float
    gap: float
    noise: float


class Refinement:
    """Refines coefficients of one problem; everything in scaled units.

    Parameters
    ----------
    problem : SparseRegression
    context : Context
    pull : ndarray, shape (n,), or None
        Correlations of the columns with the target, if they are known.
    """

    def __init__(
        self, problem: SparseRegression, context: Context, pull: np.ndarray | None = None
    ) -> None:
        self.problem, self.context = problem, context
        asked = AIM if context.tolerance is None else context.tolerance
        # What is asked by default costs little more to exceed: the last steps gain many digits.
        self._aim = 0.99 * asked if asked > (problem.default_tolerance or 0.0) else AIM
        self.scaled = problem.scaled()
        design = self.scaled.design
        self._columns = design.tocsc() if scipy.sparse.issparse(design) else design
        self._stored = StoredColumns(self._columns) if scipy.sparse.issparse(design) else None
        blocks = self.scaled.blocks
        self._block_norms = blocks.norms(self.scaled.column_norm_bounds)
        target = self.scaled.target
        self._pull = self._correlation(target) if pull is None else pull
        self._dual_point = np.zeros(self.scaled.rows)
        self._dual_correlation = np.zeros(self.scaled.size)
        self._dual_norms = np.zeros(len(blocks.sizes))
        self._dual = 0.0
        self._at_zero = 0.5 * float(target @ target)
        self._by_gram = blocks.single
        self.met: float | None = None
        """The objective of a lasso at which the aim was met."""

    @property
    def dual_correlation(self) -> np.ndarray | None:
        """Correlations of the columns with the best dual point, None if they are rough."""
        rough = isinstance(self.scaled.design, ColumnOperator)
        return None if rough else self._dual_correlation

    def offer_dual_point(self, t: np.ndarray, correlation: np.ndarray | None = None) -> np.ndarray:
        """Scale a dual point to its best feasible multiple and keep it if it is the best met.

        Returns the norms of the blocks' correlations with the point as given.
        """
        correlation = self._correlation(t) if correlation is None else correlation
        norms = self.scaled.blocks.norms(correlation)
        factor = best_multiple(self.scaled.target, t, norms, self.scaled.limits)
        point = factor * t
        dual = float(self.scaled.target @ point) - 0.5 * float(point @ point)
        if dual > self._dual:
            self._dual, self._dual_point = dual, point
            self._dual_norms = abs(factor) * norms
            self._dual_correlation = factor * correlation
        return norms

    def _correlation(self, t: np.ndarray) -> np.ndarray:
        return correlation_of(self.scaled, t)

    def run(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients and a dual point, refined from scaled coefficients `x`."""
        best: _State | None = None
        stalled, size = 0, self._first_size()
        x = self._pruned(x) if x.any() else self._from_zero(x)
        for _ in range(100):
            self.context.check_time("refining the coefficients")
            state, norms = self._evaluate(x)
            slow = best is not None and state.gap > 0.5 * best.gap
            stalled = stalled + 1 if slow and size >= len(self.scaled.limits) else 0
            if best is None or state.gap < best.gap:
                best = state
            self._report(best)
            if best.gap <= max(self._aim * best.primal, best.noise) or stalled >= 3:
                break
            used = int(np.count_nonzero(self.scaled.blocks.norms(x)))
            cheap = min(2 * size, self._most_at_once())
            size = max(2 * size if slow else size, 2 * used, cheap if used else 0)
            try:
                x = self._solve_on(self._working_set(x, norms, size), x, state.gap)
            except TimeLimitReached:
                if not best.x.any():
                    raise
                return best.x, self._dual_point
        assert best is not None
        if self._aim > AIM and best.gap <= self._aim * best.primal:
            self.met = best.primal if self.scaled.blocks.single else None
            return best.x, self._dual_point
        try:
            return self._polish(best)
        except TimeLimitReached:
            return best.x, self._dual_point

    def _first_size(self) -> int:
        """Return of how many blocks the first working set is.

        So many that their Gram matrix costs about as much as a pass over the design, or all if
        that is next to nothing.
        """
        count = len(self.scaled.limits)
        if self._few():
            return count
        return max(32, self._most_at_once() or 2 * math.isqrt(count)) if self._by_gram else 32

    def _few(self) -> bool:
        """Whether all columns may be in every working set."""
        return self._by_gram and self.scaled.rows * self.scaled.size**2 <= _FEW_PRODUCTS

    def _from_zero(self, x: np.ndarray) -> np.ndarray:
        """Return coefficients to start from: of small problems nearly the last ones."""
        if not self._few():
            return x
        goal = max(0.1 * self._aim, 10.0 * _ROUGHLY) * self._at_zero
        found = self._solve_roughly(np.arange(len(x)), x, goal)
        return x if found is None else found

    def _most_at_once(self) -> int:
        """Return up to how many blocks working sets may double: as long as products are cheap.

        Products of k sparse columns cost about (k / n)^2 of those of all, some ten times as much
        for each as in a pass over the design.
        """
        design = self.scaled.design
        if not self._by_gram or not scipy.sparse.issparse(design):
            return 0
        rows, count = design.shape
        return min(512, math.isqrt(int(0.05 * count * rows * count / max(design.nnz, 1))))

    def _report(self, best: _State) -> None:
        """Report the digits proved so far as a fraction of those aimed at."""
        relative = best.gap / best.primal if best.primal > 0 else 0.0
        digits = -math.log10(max(relative, self._aim))
        self.context.report(digits / -math.log10(self._aim), f"relative gap {relative:.0e}")

    def _evaluate(self, x: np.ndarray) -> tuple[_State, np.ndarray]:
        """Return the state at `x`, and the norms of the blocks' correlations with its residual."""
        residual = self.scaled.target
        known: np.ndarray | None = self._pull
        if x.any():
            residual, known = residual - self._product(x), None
        norms = self.offer_dual_point(residual, known)
        penalty = float(self.scaled.limits @ self.scaled.blocks.norms(x))
        square = float(residual @ residual)
        primal = 0.5 * square + penalty
        noise = _ROUNDING * math.sqrt(self._at_zero * square)
        return _State(x, primal, max(primal - self._dual, 0.0), noise), norms

    def _pruned(self, x: np.ndarray) -> np.ndarray:
        """Return `x` without the blocks that cannot be in the support, as a point to start from.

        Interior-point methods leave every coefficient nonzero. The gap-safe rule excludes most of
        them; if more blocks than rows are left, the largest ones stay.
        """
        x = x.copy()
        gap = self._evaluate(x)[0].gap
        blocks = self.scaled.blocks
        reach = self._dual_norms + self._block_norms * np.sqrt(2.0 * gap)
        x[blocks.spread(reach < self.scaled.limits)] = 0.0
        norms = blocks.norms(x)
        rows = self.scaled.rows
        if np.count_nonzero(norms) > rows:
            least = np.partition(norms, len(norms) - rows)[len(norms) - rows]
            x[blocks.spread(norms < least)] = 0.0
        return x

    def _product(self, x: np.ndarray) -> np.ndarray:
        support = x.nonzero()[0]
        if self._stored is not None:
            return self._stored.product(support, x[support])
        # Made doubles here, they lie as those of a design in double precision do: equal sums.
        return np.asarray(self._columns[:, support].astype(np.float64, copy=False) @ x[support])

    def _working_set(self, x: np.ndarray, norms: np.ndarray, size: int) -> np.ndarray:
        """Return the nonzero blocks of `x` and those that are nearest to their limit."""
        limits, own = self.scaled.limits, self.scaled.blocks.norms(x)
        ratios = norms / limits
        if self._by_gram:  # more than those that would enter are not worth their products
            wanting = int(np.count_nonzero((ratios > 1.0) & (own == 0.0)))
            size = min(size, 8 + int(np.count_nonzero(own)) + wanting + wanting // 4)
        scale = 1.0 if self._by_gram else min(1.0, 1.0 / max(float(ratios.max()), 1e-300))
        distance = limits - scale * norms
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(self._block_norms > NO_NORM, distance / self._block_norms, np.inf)
        distance[own > 0] = -np.inf
        count = min(size, int(np.count_nonzero(distance < np.inf)))
        if count == 0:
            return np.zeros(0, dtype=np.intp)
        if count == len(distance):
            return np.arange(count)
        return np.sort(np.argpartition(distance, count - 1)[:count])

    def _subproblem(self, chosen: np.ndarray) -> tuple[Subproblem, np.ndarray]:
        blocks = self.scaled.blocks
        entries = blocks.members(chosen)
        count = float(len(entries))
        begin(self.context, PRODUCT * self.scaled.rows * count**2, "products of columns")
        columns = self._columns[:, entries].astype(np.float64, copy=False)
        sizes, limits = blocks.sizes[chosen], self.scaled.limits[chosen]
        return Subproblem(columns, self.scaled.target, sizes, limits), entries

    def _solve_on(self, chosen: np.ndarray, x: np.ndarray, gap: float) -> np.ndarray:
        """Return `x` optimised over the chosen blocks until their own gap is well below `gap`.

        Many blocks enter at once only as long as few leave again: each one that leaves costs a
        Newton step.
        """
        if self._by_gram and 0.003 * gap > _ROUGHLY * self._at_zero:
            found = self._solve_roughly(chosen, x, 0.003 * gap)
            if found is not None:
                return found
        sub, entries = self._subproblem(chosen)
        part = x[entries]
        count, goal = len(chosen), 0.1 * gap
        for _ in range(200):
            self.context.check_time("solving on a working set")
            before = _nonzero(sub, part)
            entered = sub.descend(part, count, 0.1 * goal)
            between = _nonzero(sub, entered)
            part = sub.newton_steps(entered, 0.01 * goal, 2 * between + 20, self.context)
            lost = between - _nonzero(sub, part)
            if sub.gap(part) <= goal or between - before + lost == 0:
                break
            count = max(1, count // 2) if lost > 0.3 * (between - before) else 2 * count
        x = np.zeros_like(x)
        x[entries] = part
        return x

    def _solve_roughly(self, chosen: np.ndarray, x: np.ndarray, goal: float) -> np.ndarray | None:
        """Do the same by the Gram matrix of the columns alone; None where it does not suffice."""
        begin(self.context, PRODUCT * self.scaled.rows * len(chosen) ** 2, "products of columns")
        if self._stored is not None:
            gram = self._stored.gram(chosen)
        else:
            every = isinstance(self._columns, np.ndarray) and len(chosen) == len(x)
            columns = self._columns if every else self._columns[:, chosen]
            gram = gram_of(columns.astype(np.float64, copy=False))
        limits, square = self.scaled.limits[chosen], 2.0 * self._at_zero
        work = GramLasso(gram, self._pull[chosen], limits, square, self.context)
        part = work.run(x[chosen], goal)
        if part is None:
            self._by_gram = False
            return None
        if len(part) == len(x):
            return part
        x = np.zeros_like(x)
        x[chosen] = part
        return x

    def _polish(self, state: _State) -> tuple[np.ndarray, np.ndarray]:
        """Return the state's coefficients and best dual point after last corrections."""
        x = state.x
        used = np.flatnonzero(self.scaled.blocks.norms(x))
        if len(used):
            sub, entries = self._subproblem(used)
            part = sub.newton_steps(x[entries], 0.0, 3, self.context)
            if np.array_equal(sub.blocks.norms(part) > 0, np.ones(len(used), dtype=bool)):
                x = np.zeros_like(x)
                x[entries] = part
                self.offer_dual_point(sub.fitted_dual_point(part))
        self.offer_dual_point(self.scaled.target - self._product(x))
        return x, self._dual_point


def _nonzero(sub: Subproblem, x: np.ndarray) -> int:
    return int(np.count_nonzero(sub.blocks.norms(x)))


def refine(
    problem: SparseRegression,
    x: np.ndarray,
    dual_points: tuple[np.ndarray, ...],
    context: Context,
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return the answer and certificate refined from rough coefficients and dual points.

    Where plain arithmetic does not prove what was asked, doubled precision goes on from there,
    and if that gets lost, it comes down from larger strengths.

    Parameters
    ----------
    problem : SparseRegression
        With positive strength.
    x : ndarray, shape (n,)
        Rough coefficients; zeros will do.
    dual_points : tuple of ndarray, shape (m,)
        Rough dual points; none will do.
    context : Context
    """
    scaled = problem.scaled()
    pull = correlation_of(scaled, scaled.target)
    critical = float((scaled.blocks.norms(pull) / scaled.limits).max())
    work = Refinement(_with_strength(problem, _LEAST_RATIO * critical), context, pull)
    for t in dual_points:
        work.offer_dual_point(work.scaled.dual_point(t))
    found, t = work.run(work.scaled.coefficients(x) if x.any() else np.zeros(scaled.size))
    best = Best(problem, work.scaled, context)
    correlation = work.dual_correlation
    if best.rough and correlation is not None and work.met is not None and work.problem is problem:
        quick = quick_evidence(problem, found, work.met, t, correlation, best.asked)
        if quick is not None:
            best.keep(quick)
            return best.result
    if best.rough and correlation is not None:  # so that it is feasible, rounding included
        t, correlation = _INSIDE * t, _INSIDE * correlation
    best.offer(found, t, correlation=correlation)
    if best.good:
        return best.result
    try:
        _search_precisely(problem, found, best, context)
        if not best.good and 0.1 * critical > 1.0:
            _come_down(problem, 0.1 * critical, best, context)
    except TimeLimitReached:
        pass
    return best.result


def _come_down(problem: SparseRegression, ratio: float, best: Best, context: Context) -> None:
    """Offer what is found in doubled precision on the way from a larger strength."""
    x = np.zeros(problem.scaled().size)
    x = Refinement(_with_strength(problem, ratio), context).run(x)[0]
    count = min(40, math.ceil(math.log(ratio, 5.0)))
    for k in range(count):
        if best.good:
            break
        step = _with_strength(problem, ratio ** (1.0 - (k + 1) / count))
        x = _search_precisely(step, x, best, context)


def correlation_of(scaled: ScaledProblem, t: np.ndarray) -> np.ndarray:
    """Return the correlations of the columns with `t`, for operators quickly."""
    design = scaled.design
    return design.quickly(t) if isinstance(design, ColumnOperator) else scaled.correlation(t)


def _with_strength(problem: SparseRegression, ratio: float) -> SparseRegression:
    """Return the problem with its strength times `ratio` if that is larger."""
    if ratio <= 1.0:
        return problem
    penalty = problem.penalty.at(ratio * problem.penalty.strength)
    return dataclasses.replace(problem, penalty=penalty)


def _search_precisely(
    problem: SparseRegression, x: np.ndarray, best: Best, context: Context
) -> np.ndarray:
    """Return coefficients found in doubled precision, and offer them with their dual point."""
    search = PreciseSearch(DualityGap(problem), 0.1 * max(best.asked, AIM), context)
    found = search.run(x)
    if found is None:
        return x
    x, t = found
    best.offer(x[0], t[0])
    if not best.good:
        best.offer(x[0], t)
    if not best.good:
        used = np.flatnonzero(x[0])
        x[0, used] = rounded_jointly(search.columns(used), x[:, used])
        best.offer(x[0], t)
    return x[0]
