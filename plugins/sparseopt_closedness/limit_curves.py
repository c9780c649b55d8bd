"""Closed or not closed: reductions, then windows, sub-supports and curves on what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.closedness import NotClosedCertificate, ReducedClosedCertificate
from sparseopt.closedness.masked import Masked, start
from sparseopt_closedness.curves import CurveSearch, Effort, Submersion
from sparseopt_closedness.masked_windows import Limit, find_limit
from sparseopt_closedness.reduction import Open, Reduction, closed_reason, reduce_state


@dataclass(frozen=True)
class LimitCurves(so.Solver[so.Closedness]):
    """Decides by curves whose limit is proved outside, or by submersions.

    Attributes
    ----------
    targets : int
        Small matrices per part that are tried as limits.
    branches : int
        Branches per proof that a matrix is outside.
    draws : int
        Random starting points of curves per part.
    rounds : int
        Rounds; each doubles all three.
    """

    targets: int = 100
    branches: int = 40
    draws: int = 50
    rounds: int = 6

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
        for number in range(self.rounds):
            effort = Effort(self.targets << number, self.branches << number, self.draws << number)
            context.report(number / self.rounds, f"curves, round {number + 1}")
            still = []
            for part in left:
                verdict = engine.judge(part, effort)
                if isinstance(verdict, tuple):
                    return not_closed(problem, *verdict)
                if verdict is None:
                    still.append(part)
                else:
                    part.close(verdict)
            left = still
            if not left:
                answer = so.ClosednessVerdict("closed", closed_reason(proof))
                return answer, ReducedClosedCertificate(problem, answer, proof)
        raise so.Inconclusive(f"no curve or submersion was found on {len(left)} parts")

    def _windows(self, part: Open, context: so.Context) -> tuple[list[Any], Limit] | None:
        context.check_time("looking for windows")
        limit = find_limit(part.state)
        return None if limit is None else (part.steps, limit)

    def cost(self, problem: so.Closedness) -> float:
        """Predict the curves; always dearer than the polynomial stages."""
        return 10.0 * Reduction().cost(problem) + 0.1


def not_closed(
    problem: so.Closedness, steps: list[Any], found: Limit
) -> tuple[so.ClosednessVerdict, NotClosedCertificate]:
    """Return answer and certificate of a limit that `steps` lead to."""
    answer = so.ClosednessVerdict(
        "not_closed", f"{found.stage} on {len(found.rows)} rows and {len(found.columns)} columns"
    )
    certificate = NotClosedCertificate(
        problem,
        answer,
        found.rows,
        found.columns,
        found.left,
        found.right,
        found.limit,
        found.exclusion,
        list(steps),
    )
    return answer, certificate


class _Parts:
    """Judges masked problems, smaller sub-supports first; remembers what it judged."""

    def __init__(self, context: so.Context) -> None:
        self.context, self.rng = context, context.rng()
        self.known: dict[tuple[Any, ...], tuple[int, Any]] = {}

    def judge(self, part: Open, effort: Effort) -> tuple[list[Any], Limit] | list[Any] | None:
        """Return steps and a limit, a proof of closedness, or None."""
        for smaller in self._sub_parts(part):
            key = _key(smaller.state)
            if self.known.get(key, (0, None))[0] >= effort.draws:
                continue
            self.known[key] = (effort.draws, None)
            limit = find_limit(smaller.state)
            if limit is not None:
                return smaller.steps, limit
            found = CurveSearch(smaller.state, self.rng).run(effort, self.context)
            if isinstance(found, Limit):
                return smaller.steps, found
            if isinstance(found, Submersion) and smaller is part:
                terms = list(range(len(part.state.origin)))
                evidence = ["submersion", found.x, found.y]
                return ["free", terms, evidence, ["components", []]]
        return None

    def _sub_parts(self, part: Open) -> list[Open]:
        """Return open parts of sub-supports, smallest first, the part itself last."""
        return [part]


def _key(state: Masked) -> tuple[Any, ...]:
    """Return the same key for problems that differ by the order of blocks only."""
    rows = np.flatnonzero(state.observed.any(axis=1))
    columns = np.flatnonzero(state.observed.any(axis=0))
    blocks = sorted(
        (state.left[rows, k].tobytes(), state.right[k, columns].tobytes())
        for k in range(len(state.origin))
    )
    return len(rows), len(columns), state.observed[np.ix_(rows, columns)].tobytes(), *blocks
