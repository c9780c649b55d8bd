"""Any supports with a decay: block descent from many starts, and a lower bound by duality."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.interface.printing import short
from sparseopt.interface.real_arrays import as_real
from sparseopt.judging.scaling import times_power
from sparseopt.supports.coercive import Part, parts_of
from sparseopt_butterfly.fixed_support_parts import (
    Blocks,
    Dual,
    Factors,
    Task,
    descend,
    gathered,
    relax,
    threshold,
)
from sparseopt_butterfly.fixed_support_polish import polish
from sparseopt_butterfly.fixed_support_windows import windows

_WORK = 2e9
"""Operations that starts at random may take beyond the first; all are made if they take less."""
_REMARK = "block descent with thresholded singular values"
_MORE = (
    "the lower bound allows any number of terms on each rectangle; with every term twice it is "
    "often reached"
)


@dataclass(frozen=True, eq=False)
class CoerciveDescent(so.Solver[so.FixedSupportFactorization]):
    """Block descent with thresholded singular values, and the dual of the relaxation.

    Each block, the sum of the terms with one rectangle, is replaced by the best one for what the
    others leave. Without limits of rank this converges to the optimum of a convex relaxation, whose
    residual is the dual point; with them it gives factors, which Newton's method polishes. Where
    both meet, the factors are a global optimum; where they do not, the certificate has a lower
    bound, by exclusive windows if that is better.

    Source: Tseng, J. Optim. Theory Appl. 109(3), 2001, for the convergence of block descent;
    Haeffele, Vidal, arXiv 1506.07540, for the relaxation of factorizations.

    Time O(m n min(m, n) r), memory O(m n r), for an m x n target and r rectangles, for each round.

    Parameters
    ----------
    restarts : int
        Starts at random, besides zero, the truncated relaxation, and the path of larger decays.
        Fewer are made where one takes long.
    sweeps : int
        Most passes over all blocks from one start.
    start : pair of arrays or None
        Factors to begin with, with the supports of the problem; for instance those of another
        decay.
    """

    restarts: int = 12
    sweeps: int = 400
    start: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.restarts < 0 or self.sweeps < 1:
            raise ValueError("restarts must be at least 0 and sweeps at least 1")
        object.__setattr__(self, "start", as_start(self.start))

    def accepts(self, problem: so.FixedSupportFactorization) -> so.Accepted | so.Refused:
        """Take every problem with a decay."""
        if not problem.decay:
            return so.Refused("the decay is 0; use alternating_least_squares")
        return start_fits(self.start, problem)

    def solve(
        self, problem: so.FixedSupportFactorization, context: so.Context
    ) -> tuple[so.SupportedFactors, so.CoerciveCertificate]:
        """Return the best factors found, and the best lower bound."""
        return search_parts(self, problem, context)

    def cost(self, problem: so.FixedSupportFactorization) -> float:
        """Predict some hundred decompositions of every rectangle."""
        m, n = problem.target.shape
        r = problem.supports[0].shape[1]
        return 1e-2 + m * n * (1.2e-3 + 2.2e-6 * min(m, n) * r**0.5)

    def bytes_needed(self, problem: so.FixedSupportFactorization) -> float:
        """Predict every rectangle, and what the others leave of it."""
        m, n = problem.target.shape
        r = problem.supports[0].shape[1]
        return 2.0**20 + 16.0 * m * n * r


def as_start(start: Any) -> Factors | None:
    """Return factors to start with as arrays; refuse what is no pair of matrices."""
    if start is None:
        return None
    if not isinstance(start, list | tuple | np.ndarray) or len(start) != 2:
        raise so.ProblemError(f"start must be a pair of factors, got {short(start)}")
    left, right = (as_real(f, "a factor of start", 2, complex_too=True) for f in start)
    return left, right


def start_fits(
    start: Factors | None, problem: so.FixedSupportFactorization
) -> so.Accepted | so.Refused:
    """Refuse factors to start with of other shapes than the problem's, and complex ones beside a
    real target."""
    shapes = tuple(support.shape for support in problem.supports)
    if start is not None and tuple(f.shape for f in start) != shapes:
        return so.Refused(f"the factors of start must have shapes {shapes}")
    if start is not None and any(map(np.iscomplexobj, start)) and problem.target.dtype.kind != "c":
        return so.Refused("start is complex, and the target real")
    return so.Accepted()


Settings = Any
"""A solver with settings `restarts`, `sweeps` and `start`."""
Finish = Callable[[Task, float, float], tuple[np.ndarray, Factors] | None]
"""Takes a component, the objective reached and the tolerance; returns intervals and factors."""


def search_parts(
    settings: Settings,
    problem: so.FixedSupportFactorization,
    context: so.Context,
    finish: Finish | None = None,
) -> tuple[so.SupportedFactors, so.CoerciveCertificate]:
    """Search component by component, in safe units, and certify what was found."""
    safe, exponent = problem.normalized()
    left, right = safe.supports
    dtype = np.complex128 if safe.target.dtype.kind == "c" else np.float64
    target = safe.target.astype(dtype)
    tolerance = 1e-8 if context.tolerance is None else context.tolerance
    x, y = np.zeros(left.shape, dtype), np.zeros(right.shape, dtype)
    z, labels = np.zeros(target.shape, dtype), np.full(target.shape, -1)
    ends: dict[int, np.ndarray] = {}
    is_done, reserve = True, _reserve(left, right, context)
    rng, parts = context.rng(), parts_of(left, right)
    for i, part in enumerate(parts):
        if i == 0:
            context.check_time("descending")
        context.report(i / len(parts), f"component {i + 1} of {len(parts)}")
        block = np.where(part.cells, target[part.place], 0)
        task = Task(part, block, safe.decay, lambda: context.remaining() - reserve)
        run = _Run(settings, task, left, right, tolerance)
        run.search(rng, _given(settings, part, exponent, dtype))
        if finish is not None and len(part.groups) > 1 and not run.is_done():
            found = finish(task, run.value, tolerance)
            if found is not None:
                ends[part.terms[0]] = np.ldexp(found[0], exponent)
                run.take(*found[1])
        is_done = is_done and (run.is_done() or part.terms[0] in ends or len(part.groups) == 1)
        x[part.left], y[part.right] = run.best
        z[part.place] += run.dual.point
        if len(part.groups) > 1 and part.terms[0] not in ends and not task.is_late():
            value, mine = windows(task)
            if value > run.dual.value:
                labels[part.place] = np.where(part.cells, mine, labels[part.place])
    kind = problem.target.dtype
    factors = so.SupportedFactors(
        x.astype(kind), y.astype(kind), "attained", _REMARK if is_done else f"{_REMARK}; {_MORE}"
    )
    return so.CoerciveCertificate.build(
        problem,
        factors.times_power(exponent),
        times_power(z, exponent),
        labels if (labels >= 0).any() else None,
        ends,
    )


def _reserve(left: np.ndarray, right: np.ndarray, context: so.Context) -> float:
    """Return the seconds that the certificate and its check will take, at most, of the limit."""
    if context.time_limit is None:
        return 0.0
    sizes = [(int(x.sum()), int(y.sum())) for x, y in zip(left.T, right, strict=True)]
    work = sum(b * c * min(b, c) + 1000.0 for b, c in sizes)
    return min(2e-7 * work, 0.4 * context.time_limit)


def _given(settings: Settings, part: Part, exponent: int, dtype: type) -> Factors | None:
    """Return the component's part of the factors to start with, in safe units."""
    if settings.start is None:
        return None
    x, y = (times_power(f.astype(dtype), -exponent // 2) for f in settings.start)
    return x[part.left], y[part.right]


class _Run:
    """The search on one component."""

    def __init__(
        self,
        settings: Settings,
        task: Task,
        left: np.ndarray,
        right: np.ndarray,
        tolerance: float,
    ) -> None:
        part = task.part
        self.settings, self.task, self.tolerance = settings, task, tolerance
        self.left = left[part.left]
        self.right = right[part.right]
        self.dual = Dual(0.0, np.zeros_like(task.target))
        self.best: Factors = task.factors(task.zero())
        self.value = task.value(*self.best)

    def search(self, rng: np.random.Generator, given: Factors | None) -> None:
        """Find factors and a dual point that are as close as can be."""
        task, sweeps = self.task, self.settings.sweeps
        if len(task.part.groups) == 1:
            self.best = threshold(task)
            self.value = task.value(*self.best)
            return
        self.dual.offer(task, task.target)
        if self.is_done():
            return
        if given is not None:
            self._from(task.blocks(*given))
        relaxed = task.zero()
        if not self.is_done():
            relax(task, self.dual, relaxed, sweeps, 0.1 * self.tolerance)
        for start in self._starts(relaxed, rng):
            if self.is_done() or task.is_late():
                break
            self._from(start)
        if not self.is_done():
            blocks = gathered(task, task.blocks(*self.best))
            relax(task, self.dual, blocks, sweeps, 0.1 * self.tolerance)

    def is_done(self) -> bool:
        """Whether factors and dual point are as close as was asked."""
        return self.value - self.dual.value <= 0.5 * self.tolerance * self.value

    def _starts(self, relaxed: Blocks, rng: np.random.Generator) -> Iterator[Blocks]:
        task = self.task
        yield task.blocks(*task.factors(relaxed))
        yield from self._along_the_path()
        affordable = int(_WORK / (task.work * self.settings.sweeps))
        size = np.linalg.norm(task.target) / max(1, len(task.part.terms))
        for _ in range(min(self.settings.restarts, affordable)):
            blocks = []
            for group in task.part.groups:
                draw = rng.standard_normal((len(group.rows), len(group.columns)))
                block = (draw * size / np.linalg.norm(draw)).astype(task.target.dtype)
                blocks.append(block)
            yield task.blocks(*task.factors(blocks))

    def _along_the_path(self) -> Iterator[Blocks]:
        """Descend with larger decays first: cold starts miss the optimum for small ones."""
        task = self.task
        top = max(float(np.linalg.norm(task.target[g.block], 2)) for g in task.part.groups)
        steps = min(max(int(2.0 * np.log10(max(top / task.decay, 1.0))), 0), 24)
        blocks = task.zero()
        for i in range(steps, 0, -1):
            larger = Task(task.part, task.target, task.decay * 10.0 ** (0.5 * i), task.remaining)
            descend(larger, blocks, max(20, self.settings.sweeps // 10), 1e-6)
            if self.task.is_late():
                return
            blocks = [1.2 * block for block in blocks]
        yield blocks

    def _from(self, blocks: Blocks) -> None:
        """Descend from blocks, and keep what is better."""
        task = self.task
        descend(task, blocks, self.settings.sweeps, 1e-6)
        if self.take(*task.factors(blocks)):
            # A stationary point may be a saddle that thresholding leaves.
            blocks = task.blocks(*self.best)
            if descend(task, blocks, 20, 1e-9) < self.value * (1.0 - 1e-9):
                self.take(*task.factors(blocks))

    def take(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Polish factors, and keep what is better; return whether it is."""
        task = self.task
        x, y = polish(task, x, y, self.left, self.right, 20 * self.settings.sweeps)
        value = task.value(x, y)
        self.dual.offer(task, np.where(task.part.cells, task.target - x @ y, 0))
        if not value < self.value:
            return False
        self.best, self.value = (x, y), value
        return True
