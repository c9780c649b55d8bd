"""Factor by factor from the last one to the first."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.quantization.product import ProductQuantization
from sparseopt_quantization.heuristics import right_to_left
from sparseopt_quantization.products import (
    Outcome,
    predicted,
    predicted_bytes,
    refusal,
    term_by_term,
    work_of,
)


@dataclass(frozen=True)
class RightToLeft(so.Solver[ProductQuantization]):
    """The published method from the other end: factor by factor from the last one to the first.

    Time O(z 2^t), memory O(z), for z values of t digits in all factors.

    Parameters
    ----------
    weighted, compiled
        See `LeftToRight`.
    """

    weighted: bool | None = None
    compiled: bool | None = None

    def accepts(self, problem: ProductQuantization) -> so.Accepted | so.Refused:
        """Refuse relative errors."""
        reason = refusal(problem, self.compiled)
        return so.Refused(reason) if reason else so.Accepted()

    def cost(self, problem: ProductQuantization) -> float:
        """Return the predicted seconds."""
        return predicted(problem, 0.4)

    def bytes_needed(self, problem: ProductQuantization) -> float | None:
        """Return the predicted bytes."""
        return predicted_bytes(problem)

    def solve(self, problem: ProductQuantization, context: so.Context) -> Outcome:
        """Quantize from the right; where that leaves the range of floats, to nearest."""
        work = work_of(problem, self.compiled, context)
        weights = (False, True) if self.weighted is None else (self.weighted,)
        ways = (right_to_left(work.chain, work.engine, weighted) for weighted in weights)
        return term_by_term(problem, work, ways)
