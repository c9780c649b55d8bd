"""Best subsets: all supports, or those that bounds leave open."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver, TimeLimitReached
from sparseopt.inverse.cardinality import CardinalityRegression
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.gap_certificate import ROOM
from sparseopt.inverse.subset_bounds import (
    MOST_SETS,
    MOST_WORK,
    PLACES,
    Subsets,
    children,
    continuations,
    distinct_columns,
    work_of,
)
from sparseopt.inverse.subset_certificate import (
    MOST_SINGLED,
    SubsetCertificate,
    in_subset_units,
    least_on,
)
from sparseopt.judging.scaling import ScaledArray
from sparseopt_inverse.cosamp import CoSaMP
from sparseopt_inverse.greedy import Unit, accepts_dense
from sparseopt_inverse.htp import HardThresholdingPursuit
from sparseopt_inverse.omp import chosen
from sparseopt_inverse.predicting import design_bytes

MOST_SUPPORTS = 10**7
Made = tuple[Coefficients, SubsetCertificate]


@dataclass(frozen=True)
class BestSubset(Solver[CardinalityRegression]):
    """Bounds every support of full size, a batch of them at a time, and singles the best out.

    Time O(n^k k + m n^2), memory O(m n + n^2), for an m x n design and k columns.

    Notes
    -----
    For n choose k up to ten million; then the answer is the best one, and that is proved. Where
    the columns are independent, whole branches are closed by bounds.
    """

    def accepts(self, problem: CardinalityRegression) -> Accepted | Refused:
        """Refuse more supports than can be gone through."""
        count = math.comb(problem.shape[1], problem.size)
        if count > MOST_SUPPORTS:
            return Refused(
                f"there are {float(count):.3g} supports of {problem.size} columns, more than "
                f"{MOST_SUPPORTS}; branch_and_bound proves a lower bound"
            )
        return accepts_dense(problem)

    def solve(self, problem: CardinalityRegression, context: Context) -> Made:
        """Return the best support and the tree that proves it."""
        found = _Search(problem, context).run(complete=True)
        if found is None:
            raise Inconclusive("the tree of supports is too large for a check; too many are open")
        return found

    def cost(self, problem: CardinalityRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        k = problem.size
        return 1e-2 + 4.5e-8 * math.comb(n, k - 1) * n * k + 1e-9 * m * n * n

    def bytes_needed(self, problem: CardinalityRegression) -> float:
        """Predict the products of all columns, and a batch of supports."""
        n = problem.shape[1]
        batch = min(56.0 * math.comb(n, problem.size - 1) * n, 22e6)
        return 2.0**20 + batch + 16.0 * n * n + 2.0 * design_bytes(problem.design)


@dataclass(frozen=True)
class BranchAndBound(Solver[CardinalityRegression]):
    """Opens branches level by level until they are too many; then it proves a lower bound.

    Time O(m n^2), memory O(m n + n^2), for an m x n design and a tree of bounded size.

    Notes
    -----
    With independent columns the bounds may close the whole tree, and the answer is proved to be
    the best one; otherwise the proof ends with the gap that is left.
    """

    def accepts(self, problem: CardinalityRegression) -> Accepted | Refused:
        """Refuse designs whose Gram matrix is too large."""
        n = problem.shape[1]
        if n > 4000:
            return Refused(f"the Gram matrix of {n} columns is too large; up to 4000 are taken")
        return accepts_dense(problem)

    def solve(self, problem: CardinalityRegression, context: Context) -> Made:
        """Return the best support met and a lower bound."""
        found = _Search(problem, context).run(complete=False)
        assert found is not None
        return found

    def cost(self, problem: CardinalityRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 1e-2 + min(4e-7 * math.comb(n, problem.size), 20.0) + 1e-9 * m * n * n

    def bytes_needed(self, problem: CardinalityRegression) -> float:
        """Predict the products of all columns, and the branches that are open."""
        n = problem.shape[1]
        open_ones = min(90.0 * math.comb(n, problem.size), 2.0**25)
        return 2.0**20 + open_ones + 16.0 * n * n + 2.0 * design_bytes(problem.design)


class _Search:
    """One search; squared residuals are in the units of `Subsets`."""

    def __init__(self, problem: CardinalityRegression, context: Context) -> None:
        self.problem, self.context = problem, context
        self.unit = Unit(problem)
        self.fit = Fit(problem.system, ROOM)
        self.columns = distinct_columns(self.fit)
        self.closed: list[np.ndarray] = []
        self.bounding = 0.0  # seconds spent on bounds, which a check computes again
        # Of the last level: how many sets, and the least bound of one; of what was cut off.
        self.sets, self.lowest, self.cut = 0, math.inf, math.inf

    def run(self, complete: bool) -> Made | None:
        """Return the answer; None if the tree had to be cut and `complete` forbids that."""
        problem, k = self.problem, self.problem.size
        if len(self.columns) <= k:
            return SubsetCertificate.build(problem, self.unit.solution(self.columns))
        self._start()
        try:
            done = self._levels(complete)
        except TimeLimitReached:
            if complete or not self.closed:
                raise
            # The last level that was bounded as a whole bounds the rest.
            self.cut = min(self.cut, self.lowest)
            self.closed[-1] = np.arange(self.sets)
            self.closed += [np.zeros(0, dtype=np.intp)] * (k - 1 - len(self.closed))
            self.open, self.open_low = np.zeros((0, k), dtype=PLACES), np.zeros(0)
            done = True
        return self._made(tuple(self.closed)) if done else None

    def _levels(self, complete: bool) -> bool:
        """Go through the tree; return False if it had to be cut and `complete` forbids that."""
        k, places, work = self.problem.size, len(self.order), 0
        level = np.zeros((1, 0), dtype=PLACES)
        for depth in range(k - 1):
            low = self._node_bounds(level, k - depth)
            shut = low >= self.least
            count = int(continuations(level[~shut], places, k).sum())
            more = work_of(count, depth + 1, places)
            if count > MOST_SETS or work + more > MOST_WORK:
                if complete:
                    return False
                # What is left open here bounds the rest.
                self.cut = float(low.min(initial=math.inf))
                shut = np.ones(len(level), dtype=bool)
                count, more = 0, 0
            work += more + int(shut.sum()) * places**2
            self.closed.append(np.flatnonzero(shut))
            self.lowest, self.sets = float(low.min(initial=math.inf)), len(level)
            level = children(level[~shut], places, k)
        self._last_level(level)
        return True

    def _start(self) -> None:
        """Take the support of a greedy method, and an order in which good columns come first."""
        k, unit = self.problem.size, self.unit
        most = min(k, *self.problem.shape)
        methods = (chosen, HardThresholdingPursuit().chosen, CoSaMP().chosen)
        found = [method(unit, most, self.context) for method in methods]
        best = min(found, key=lambda part: float(np.linalg.norm(unit.residual(part))))
        greedy = np.intersect1d(best, self.columns)
        whole = np.abs(unit.columns[:, self.columns].conj().T @ unit.target)
        if len(self.columns) <= self.problem.shape[0]:
            whole = np.abs(unit.coefficients(self.columns))
        ranked = self.columns[np.argsort(-whole, kind="stable")]
        rest = ranked[~np.isin(ranked, greedy)]
        self.best = np.sort(np.concatenate([greedy, rest])[:k])
        self.order = ranked
        self.subsets = Subsets(self.fit, ranked)
        self._take(self.best)

    def _take(self, support: np.ndarray) -> None:
        """Keep a support and the lower bound that is proved on it."""
        self.best = support
        self.dual = least_on(self.problem, support, ROOM).below()
        self.least = in_subset_units(self.subsets, self.fit.unit, self.dual)

    def _node_bounds(self, level: np.ndarray, more: int) -> np.ndarray:
        if not self.subsets.least_eigenvalue > 0.0:
            return np.zeros(len(level))
        parts = []
        for part in self.subsets.chunks(level):
            began = self._check_time("bounding branches")
            parts.append(self.subsets.nodes(part, more, self.least))
            self.bounding += time.monotonic() - began
        return np.concatenate(parts) if parts else np.zeros(0)

    def _check_time(self, doing: str) -> float:
        """Return the time; stop while enough is left to check the bounds found so far."""
        self.context.check_time(doing)
        if self.context.remaining() < 1.25 * self.bounding:
            raise TimeLimitReached(
                f"the time limit of {self.context.time_limit:g} s would run out in the check of "
                f"the bounds, which takes as long as they took, while {doing}"
            )
        return time.monotonic()

    def _last_level(self, level: np.ndarray) -> None:
        """Find the best support, and those that the bounds cannot tell from it."""
        self.open = np.zeros((0, self.problem.size), dtype=PLACES)
        self.open_low = np.zeros(0)
        done = 0
        for part in self.subsets.chunks(level):
            began = self._check_time("going through supports")
            self.context.report(done / max(len(level), 1), "going through supports")
            done += len(part)
            low = self.subsets.leaves(part, self.least)
            self.bounding += time.monotonic() - began
            rows, ends = np.nonzero(low < self.least)
            if not len(rows):
                continue
            values = low[rows, ends]
            sets = np.concatenate([part[rows], ends[:, None].astype(PLACES)], axis=1)
            self.open = np.concatenate([self.open, sets])
            self.open_low = np.concatenate([self.open_low, values])
            for i in np.argsort(values, kind="stable")[:4]:
                if values[i] < self.least:
                    self._try(np.sort(self.order[sets[i]]))
            self._trim()

    def _try(self, support: np.ndarray) -> None:
        if least_on(self.problem, support, ROOM).below() < self.dual:
            self._take(support)

    def _trim(self) -> None:
        """Drop what the best support's bound closes, and all but the smallest of too many."""
        keep = self.open_low < self.least
        self.open, self.open_low = self.open[keep], self.open_low[keep]
        if len(self.open) > 50 * MOST_SINGLED:
            self._cut_to(MOST_SINGLED)

    def _cut_to(self, count: int) -> None:
        ranked = np.argsort(self.open_low, kind="stable")
        self.cut = min(self.cut, float(self.open_low[ranked[count]]))
        ranked = ranked[:count]
        self.open, self.open_low = self.open[ranked], self.open_low[ranked]

    def _made(self, closed: tuple[np.ndarray, ...]) -> Made:
        """Return the answer, with every support singled out that needs it."""
        self._trim()
        if len(self.open) > MOST_SINGLED:
            self._cut_to(MOST_SINGLED)
        # The others first, as one of them may be the best.
        kept: list[tuple[float, np.ndarray]] = []
        for sets in self.open:
            self.context.check_time("bounding single supports")
            support = np.sort(self.order[sets])
            value = least_on(self.problem, support, ROOM).below()
            kept.append((value, support))
        if kept:
            value, support = min(kept, key=lambda item: item[0])
            if value < self.dual:
                self._take(support)
        dual = min([self.dual, *(value for value, _ in kept)])
        if self.cut < math.inf:
            unit = 2 * (self.fit.unit + self.subsets.target_unit)
            dual = min(dual, ScaledArray(0.5 * self.cut, unit).below())
        needed = [support for _, support in kept]
        singled = np.array(needed, dtype=np.intp).reshape(len(needed), self.problem.size)
        x = self.unit.solution(self.best)
        if dual <= 0.0:
            return SubsetCertificate.build(self.problem, x)
        return SubsetCertificate.build(self.problem, x, dual, self.order, closed, singled)
