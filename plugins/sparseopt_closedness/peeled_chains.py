"""Closed chains: factors are peeled off at either end until one or two are left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sparseopt as so
from sparseopt.closedness.certificate import ClosednessCertificate
from sparseopt.closedness.chain_parts import PeeledChainCertificate, unpeeled
from sparseopt.closedness.closed import SingleFactorCertificate
from sparseopt_closedness.sizes import of_more

LARGEST_SIZE = 30_000_000
"""Rows x terms x columns of two neighbours up to which terms are compared in seconds."""


@dataclass(frozen=True)
class PeeledChains(so.Solver[so.Closedness]):
    """Closed by peeling factors off; decides nothing else.

    Time O(n^3 L), memory O(n^2 L), for L supports of n x n.
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take chains of more than two factors."""
        return of_more(problem, LARGEST_SIZE)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, PeeledChainCertificate]:
        """Peel, the cheap proofs for two factors first."""
        for blocked in (("limit_curves", "external_exclusion"), ("external_exclusion",)):
            found = _Peeling(problem, context, blocked).closed(0, len(problem.supports))
            if isinstance(found, PeeledChainCertificate):
                return found.answer, found
        raise so.Inconclusive("no factor can be peeled off so that the others are proved closed")

    def cost(self, problem: so.Closedness) -> float:
        """Predict products of supports."""
        return 3.5e-3 * len(problem.supports) + 1.5e-7 * sum(s.size for s in problem.supports)

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict tables of pairs of terms."""
        return 2.0**20 + 9.0 * sum(s.size for s in problem.supports)


class _Peeling:
    """Proves parts of one chain closed, each once."""

    def __init__(
        self, problem: so.Closedness, context: so.Context, blocked: tuple[str, ...]
    ) -> None:
        self.problem, self.context, self.blocked = problem, context, blocked
        self.known: dict[tuple[int, int], Any] = {}

    def closed(self, first: int, end: int) -> ClosednessCertificate | None:
        """Return a proof that factors `first` to `end` - 1 are closed, or None."""
        place = (first, end)
        if place not in self.known:
            self.context.check_time("peeling factors off")
            self.known[place] = self._closed(first, end)
        found: ClosednessCertificate | None = self.known[place]
        return found

    def _closed(self, first: int, end: int) -> ClosednessCertificate | None:
        part = self.problem.supports[first:end]
        problem = so.Closedness(part, self.problem.field)
        if len(part) == 1:
            return SingleFactorCertificate.proved(problem)
        if len(part) == 2:
            left = self.context.remaining()
            solution = so.solve(
                problem,
                seed=self.context.seed,
                time_limit=None if left == float("inf") else max(left, 1e-3),
                block=self.blocked,
            )
            closed = solution.answer.value == "closed"
            return solution.certificate if closed else None
        for side, peeled, inner in (
            ("last", part, (first, end - 1)),
            ("first", tuple(s.T for s in part[::-1]), (first + 1, end)),
        ):
            if unpeeled(peeled) is None:
                rest = self.closed(*inner)
                if rest is not None:
                    return PeeledChainCertificate.proved(problem, side, rest)
        return None
