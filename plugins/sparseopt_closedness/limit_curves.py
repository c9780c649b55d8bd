"""Closed or not closed: reductions, then windows, sub-supports and curves on what is left."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sparseopt as so
from sparseopt.closedness.closed import ReducedClosedCertificate
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt.closedness.proofs.observed import ObservedProblem, start
from sparseopt_closedness.case_search import CaseEffort, close_by_cases
from sparseopt_closedness.curves import CurveSearch, Effort, Submersion
from sparseopt_closedness.free_families import evidence_of
from sparseopt_closedness.observed_windows import Limit, find_limit
from sparseopt_closedness.reduction import Open, Reduction, reduce_state
from sparseopt_closedness.sub_supports import shape_of, sub_supports

LARGEST_TANGENT = 30_000
"""Observed cells x entries of the factors up to which curves of a part are searched."""
LARGEST_SMALL = 60
"""Observed cells x blocks up to which curves of a sub-support are searched."""
SHORT = 3
"""Rounds for larger parts."""


@dataclass(frozen=True)
class LimitCurves(so.Solver[so.Closedness]):
    """Decides by curves whose limit is proved outside, or by submersions.

    A part too large for that is judged by small sub-supports only: if the problem on some rows and
    columns is not closed, neither is the whole, see `NotClosedCertificate`.

    Time O(m n r max(m, n)^2), memory O(m r + r n), for m x r and r x n supports that reductions or
    the first curves decide; what is left takes the time that it is given.

    Attributes
    ----------
    targets : int
        Small matrices per part that are tried as limits.
    branches : int
        Branches per proof that a matrix is outside.
    draws : int
        Random starting points of curves per part.
    subsets : int
        Sub-supports per part.
    rounds : int
        Rounds; each doubles all four.
    seconds : float
        Where the caller sets no time limit, no round is begun after this time. The rounds before
        are finished, which takes up to twice as long again.
    """

    targets: int = 100
    branches: int = 40
    draws: int = 50
    subsets: int = 200
    rounds: int = 6
    seconds: float = 30.0

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take what the reductions take."""
        return Reduction().accepts(problem)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, NotClosedCertificate | ReducedClosedCertificate]:
        """Reduce, then judge each open part."""
        proof, left = reduce_state(start(*problem.supports), context)
        for part in left:
            found = self._windows(part, context)
            if found is not None:
                return not_closed(problem, *found)
        engine = _Parts(context)
        patience = self.seconds if math.isinf(context.remaining()) else math.inf
        began = time.perf_counter()
        for number in range(self.rounds):
            if number and time.perf_counter() - began > patience:
                raise so.Inconclusive(
                    f"no curve or submersion was found on {len(left)} parts in {number} rounds; "
                    "with a time limit the search goes on until it runs out"
                )
            effort = Effort(self.targets << number, self.branches << number, self.draws << number)
            context.report(number / self.rounds, f"curves, round {number + 1}")
            still = []
            for part in left:
                verdict = self._judge(engine, part, number, effort)
                if isinstance(verdict, tuple):
                    return not_closed(problem, *verdict)
                if verdict is None:
                    still.append(part)
                else:
                    part.close(verdict)
            left = still
            if not left:
                certificate = ReducedClosedCertificate.proved(problem, proof)
                return certificate.answer, certificate
        raise so.Inconclusive(f"no curve or submersion was found on {len(left)} parts")

    def _judge(
        self, engine: _Parts, part: Open, number: int, effort: Effort
    ) -> tuple[list[Any], Limit] | list[Any] | None:
        """Return steps and a limit, a proof of closedness, or None; cheap questions first."""
        smaller: list[Open] = []
        if number < SHORT or fits(part.state):
            found, smaller = engine.look_into(part, self.subsets << number)
            if found is not None:
                return found
        half = size_of(part.state) // 2
        return (
            engine.judge_any([inner for inner in smaller if size_of(inner.state) <= half], effort)
            or engine.judge_cases(part, number)
            or engine.judge_any(smaller, effort)
            or engine.judge(part, effort)
        )

    def _windows(self, part: Open, context: so.Context) -> tuple[list[Any], Limit] | None:
        limit = find_limit(part.state, lambda: context.check_time("looking for windows"))
        return None if limit is None else (part.steps, limit)

    def cost(self, problem: so.Closedness) -> float:
        """Predict the curves; always more expensive than the polynomial stages."""
        (m, r), n = problem.supports[0].shape, problem.supports[1].shape[1]
        curve = 2.5e-7 * float(m * n) * max(m, n) ** 2 * r
        return 1.5 * Reduction().cost(problem) + 0.01 + curve

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict the reductions, and the curves of one part."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 2.0**21 + 16.0 * r * (m + n)


def not_closed(
    problem: so.Closedness, steps: list[Any], found: Limit
) -> tuple[so.ClosednessVerdict, NotClosedCertificate]:
    """Return answer and certificate of a limit that `steps` lead to."""
    certificate = NotClosedCertificate.proved(
        problem,
        found.rows,
        found.columns,
        found.left,
        found.right,
        found.limit,
        list(steps),
        found.exclusion,
    )
    return certificate.answer, certificate


class _Parts:
    """Judges observed problems; remembers what it judged, and with how much effort."""

    def __init__(self, context: so.Context) -> None:
        self.context, self.rng = context, context.rng()
        self.known: dict[int, int] = {}
        self.closed: set[int] = set()

    def judge(self, part: Open, effort: Effort) -> tuple[list[Any], Limit] | list[Any] | None:
        """Return steps and a limit, a proof of closedness, or None."""
        state = part.state
        shape = shape_of(state)
        if not fits(state) or self.known.get(shape, 0) >= effort.draws:
            return None
        found = CurveSearch(state, self.rng).run(effort, self.context)
        if isinstance(found, Limit):
            return part.steps, found
        if isinstance(found, Submersion):
            terms = list(range(len(state.origin)))
            return ["free", terms, ["submersion", found.x, found.y], ["components", []]]
        self.known[shape] = effort.draws
        return None

    def look_into(self, part: Open, most: int) -> tuple[tuple[list[Any], Limit] | None, list[Open]]:
        """Return steps and the limit of a window of a sub-support, if there is one.

        Else return what is open of small sub-supports, smallest first.
        """
        largest = min(size_of(part.state) - 1, LARGEST_SMALL)
        left: list[Open] = []
        for smaller in self._open_parts(part, most):
            # Cells that the reductions have freed make new windows.
            limit = find_limit(smaller.state)
            if limit is not None:
                return (smaller.steps, limit), []
            if size_of(smaller.state) <= largest:
                left.append(smaller)
        return None, sorted(left, key=lambda part: size_of(part.state))

    def judge_any(self, parts: list[Open], effort: Effort) -> tuple[list[Any], Limit] | None:
        """Return steps and a limit of one of the sub-supports, or None."""
        for smaller in parts:
            shape = shape_of(smaller.state)
            if shape in self.closed or self.known.get(shape, 0) >= effort.draws:
                continue
            # Most are closed, and that is often quickly seen.
            verdict = self.judge_cases(smaller, 0) or self.judge(smaller, effort)
            if isinstance(verdict, tuple):
                return verdict
            if verdict is not None:
                self.closed.add(shape)
        return None

    def judge_cases(self, part: Open, number: int) -> tuple[list[Any], Limit] | list[Any] | None:
        """Return steps and a limit where cases get stuck, a proof of closedness, or None."""
        for eager in (False, True):
            effort = CaseEffort(4 + 2 * number, branches=150 << number, depth=20, eager=eager)
            proof, likely = close_by_cases(
                part.state, effort, self.rng, lambda: self.context.check_time("drawing factors")
            )
            if proof is not None:
                return proof
            if not likely:
                continue
            few = Effort(targets=0, branches=40 << number, draws=50 << number)
            found = CurveSearch(part.state, self.rng).run(few, self.context, likely)
            if isinstance(found, Limit):
                return part.steps, found
        return None

    def _open_parts(self, part: Open, most: int) -> Iterator[Open]:
        """Yield what the reductions leave open of sub-supports, each problem once.

        What is found closed says nothing about the whole and is left out.
        """
        windows: set[int] = set()
        parts = {shape_of(part.state)}
        for rows, columns in sub_supports(part.state, self.rng, most):
            self.context.check_time("reducing sub-supports")
            state = part.state.keep(rows, columns)
            shape = shape_of(state)
            if shape in windows:
                continue
            windows.add(shape)
            # The quick test first: most windows of dense supports reach everything.
            if evidence_of(state.family(range(len(state.origin))), determined=False) is not None:
                continue
            _, left = reduce_state(state, self.context, [*part.steps, ["keep", rows, columns]])
            for smaller in left:
                shape = shape_of(smaller.state)
                if shape not in parts:
                    parts.add(shape)
                    yield smaller


def fits(state: ObservedProblem) -> bool:
    """Return whether curves can be searched in reasonable time and memory."""
    variables = int(state.left.sum()) + int(state.right.sum())
    return int(state.observed.sum()) * variables <= LARGEST_TANGENT


def size_of(state: ObservedProblem) -> int:
    """Return observed cells x blocks."""
    return int(state.observed.sum()) * len(state.origin)
