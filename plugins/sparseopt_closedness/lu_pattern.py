"""LU windows: the sufficient condition for "not closed" behind most random supports."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.closedness.not_closed import NotClosedCertificate
from sparseopt_closedness.lu_windows import find_window, window_certificate
from sparseopt_closedness.repeated_windows import find_repeated
from sparseopt_closedness.sizes import of_two


@dataclass(frozen=True)
class LUPattern(so.Solver[so.Closedness]):
    """Not closed by an LU window, of entries or of equal blocks; decides nothing else.

    Time O(m n r), memory O(m n + m r + r n), for m x r and r x n supports.
    """

    def accepts(self, problem: so.Closedness) -> so.Accepted | so.Refused:
        """Take pairs."""
        return of_two(problem)

    def solve(
        self, problem: so.Closedness, context: so.Context
    ) -> tuple[so.ClosednessVerdict, NotClosedCertificate]:
        """Look for a window."""

        def tick() -> None:
            context.check_time("looking for LU windows")

        left, right = problem.supports
        window = find_window(left, right, tick)
        if window is not None:
            return window_certificate(problem, window)
        certificate = find_repeated(problem, tick)
        if certificate is None:
            raise so.Inconclusive("no LU window, nor one of equal blocks")
        return certificate.answer, certificate

    def cost(self, problem: so.Closedness) -> float:
        """Predict two matrix products, a look at every cell, and one at every term."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 1e-4 + 1.8e-8 * m * n + 6e-11 * m * n * r + 2e-5 * r

    def bytes_needed(self, problem: so.Closedness) -> float:
        """Predict two products of supports, and which cells are covered once."""
        (m, r), n = problem.supports[0].shape, problem.supports[-1].shape[1]
        return 2.0**20 + 17.0 * m * n + 4.0 * r * (m + n)
