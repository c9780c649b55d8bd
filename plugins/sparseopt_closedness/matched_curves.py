"""Not closed by curves from matchings, whose limits have too high a rank for the terms they use."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt_closedness.matched_search import Whole, whole_limit
from sparseopt_closedness.matched_windows import window_limit
from sparseopt_closedness.reduction import Reduction
from sparseopt_closedness.sizes import largest_pair, of_two

SMALL = 220
"""Rows x terms x columns up to which all windows are looked at, after the reductions were."""
LARGEST_SIZE = 200_000_000
"""Rows x terms x columns up to which matchings take seconds."""


@dataclass(frozen=True)
class MatchedCurves(so.Solver[so.Closedness]):
    """Not closed by a matched curve on the whole, or in a window of small supports.

    It decides nothing else. For independent entries of densities s1 + s2 < 1 and as many rows,
    columns and terms it finds one with a probability that tends to 1.

    Time O(m n r), memory O(m r + r n), for m x r and r x n supports, as long as small windows,
    which are all tried, have no say.
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take pairs up to a size."""
        return of_two(problem, LARGEST_SIZE)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, NotClosedCertificate]:
        """Look at the windows of small supports, then at the whole."""

        def tick() -> None:
            context.check_time("matching rows, terms and columns")

        left, right = problem.supports
        # Of small supports the smallest windows say most: what has to change lies in them.
        found = window_limit(left, right, tick) if largest_pair(problem.supports) <= SMALL else None
        found = found or whole_limit(Whole.of(left, right, context.rng(), tick))
        if found is None:
            raise so.Inconclusive("no matched curve")
        certificate = NotClosedCertificate.proved(
            problem,
            found.rows,
            found.columns,
            found.left,
            found.right,
            found.limit,
            [],
            found.exclusion,
        )
        return certificate.answer, certificate

    def cost(self, problem: so.Closedness) -> float:
        """Predict matchings: less than the reductions of large supports, more for small ones."""
        size = largest_pair(problem.supports)
        if size <= SMALL:
            return 1.2 * Reduction().cost(problem)
        lines = min(*problem.supports[0].shape, problem.supports[1].shape[1])
        return 2e-4 + 5e-5 * lines + 1e-10 * size

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict the edges of the matchings."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 2.0**20 + 16.0 * r * (m + n)
