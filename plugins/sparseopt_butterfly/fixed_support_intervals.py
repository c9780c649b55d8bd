"""Exact optimum with a decay for a rectangle and one cell inside it: LU of 2 x 2 is such a pair.

With c the number on the cell, what is left is F(c) = phi(A - c e) + decay |c|, where the minimum
phi over the rectangle's own terms is in closed form. It is c^2 / 2 plus a concave function on each
side of 0, so at least c^2 / 2 plus a chord on an interval: intervals are halved until none can hold
a value below the best one found.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.supports.coercive import one_cell, parts_of
from sparseopt_butterfly.fixed_support_coercive import as_start, search_parts, start_fits
from sparseopt_butterfly.fixed_support_parts import Factors, Task

_MOST_ENDS = 400_000
_ENTRIES = 1 << 18
_WORK = 1e10
"""Operations for all decompositions of the search; the proof takes some times as many."""
_PROOF = 6.0
"""Seconds that certificate and check take, for each second of the search, at most."""


@dataclass(frozen=True, eq=False)
class CoerciveIntervals(so.Solver[so.FixedSupportFactorization]):
    """Branch and bound over the one number on which a rectangle and a cell inside it compete.

    For real targets whose components are each a rectangle, or a rectangle and one cell inside it,
    with any number of terms on either. The certificate has the list of intervals.

    Source: Horst, Tuy, Global Optimization, Springer 1996, section X, for branch and bound by the
    convex envelope of a concave part, here a chord.

    Time O(m n min(m, n)), memory O(m n), for an m x n target, for each interval.

    Parameters
    ----------
    restarts, sweeps : int
        Of the descent that comes first, see `CoerciveDescent`.
    start : pair of arrays or None
        Factors to begin with.
    """

    restarts: int = 2
    sweeps: int = 200
    start: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.restarts < 0 or self.sweeps < 1:
            raise ValueError("restarts must be at least 0 and sweeps at least 1")
        object.__setattr__(self, "start", as_start(self.start))

    def accepts(self, problem: so.FixedSupportFactorization) -> so.Accepted | so.Refused:
        """Take real targets and such supports."""
        if not problem.decay:
            return so.Refused("the decay is 0; use alternating_least_squares")
        if problem.target.dtype.kind == "c":
            return so.Refused("the target is complex; use coercive_descent")
        parts = parts_of(*problem.supports)
        if any(len(part.groups) > 1 and one_cell(part) is None for part in parts):
            return so.Refused("a component is not a rectangle, nor one with one cell inside it")
        return start_fits(self.start, problem)

    def solve(
        self, problem: so.FixedSupportFactorization, context: so.Context
    ) -> tuple[so.SupportedFactors, so.CoerciveCertificate]:
        """Return a global optimum to the tolerance, or the best bound if that takes too long."""
        return search_parts(self, problem, context, intervals)

    def cost(self, problem: so.FixedSupportFactorization) -> float:
        """Predict some thousand decompositions."""
        m, n = problem.target.shape
        return 2e-2 + 1e-6 * m * n * min(m, n)

    def bytes_needed(self, problem: so.FixedSupportFactorization) -> float:
        """Predict the list of intervals, each with numbers for all rows and columns."""
        m, n = problem.target.shape
        return 2.0**20 + 3e3 * m * n


class _Curve:
    """F for many numbers at once, in plain arithmetic."""

    def __init__(self, task: Task) -> None:
        found = one_cell(task.part)
        assert found is not None
        self.task, (self.group, self.cell) = task, found
        self.seconds = 0.0

    def values(self, numbers: np.ndarray) -> np.ndarray:
        """Return F(c)."""
        started = time.monotonic()
        target, decay = self.task.target, self.task.decay
        found, step = np.zeros(len(numbers)), max(1, _ENTRIES // target.size)
        for start in range(0, len(numbers), step):
            some = slice(start, start + step)
            stack = np.repeat(target[None], len(numbers[some]), axis=0)
            stack[:, self.cell[0], self.cell[1]] -= numbers[some]
            s = np.linalg.svd(stack, compute_uv=False)
            kept = np.where(s <= decay, 0.5 * s**2, decay * (s - 0.5 * decay))
            rank = len(self.group.terms)
            phi = kept[:, :rank].sum(axis=1) + 0.5 * (s[:, rank:] ** 2).sum(axis=1)
            found[some] = phi + decay * np.abs(numbers[some])
        self.seconds += time.monotonic() - started
        return found

    def factors(self, number: float) -> Factors:
        """Return the best factors for a number on the cell."""
        blocks = self.task.zero()
        whole = next(i for i, g in enumerate(self.task.part.groups) if g is self.group)
        left = self.task.target.copy()
        left[self.cell] -= number
        u, s, vh = np.linalg.svd(left, full_matrices=False)
        blocks[whole] = (u * np.maximum(s - self.task.decay, 0.0)) @ vh
        blocks[1 - whole][0, 0] = number
        return self.task.factors(blocks)


def intervals(task: Task, value: float, tolerance: float) -> tuple[np.ndarray, Factors] | None:
    """Return ends of intervals that prove a value, and factors which have it; None if not fit.

    Parameters
    ----------
    task : Task
    value : float
        The objective of some factors, in the task's units.
    tolerance : float
        Relative accuracy that is wanted.
    """
    if one_cell(task.part) is None:
        return None
    curve = _Curve(task)
    aim = max(0.3 * tolerance, 1e-13)
    far = value / task.decay * (1.0 + 1e-6)
    ends = np.array([-far, 0.0, far])
    values = curve.values(ends)
    best, at = value, None
    b, c = task.target.shape
    most = min(_MOST_ENDS, int(_WORK / (10.0 * b * c * min(b, c))))
    while len(ends) < most and task.remaining() > 2.0 * _PROOF * curve.seconds:
        if values.min() < best:
            best, at = float(values.min()), float(ends[np.argmin(values)])
        a, b, w = ends[:-1], ends[1:], np.diff(ends)
        slope = (values[1:] - values[:-1]) / w
        t = np.clip(0.5 * w - slope, 0.0, w)
        least = values[:-1] + slope * t - 0.5 * t * (w - t)
        middle = 0.5 * (a + b)
        cut = (least < best * (1.0 - aim)) & (a < middle) & (middle < b)
        if not cut.any():
            break
        new = middle[cut]
        order = np.argsort(np.concatenate([ends, new]), kind="stable")
        values = np.concatenate([values, curve.values(new)])[order]
        ends = np.concatenate([ends, new])[order]
    return ends, curve.factors(0.0 if at is None else at)
