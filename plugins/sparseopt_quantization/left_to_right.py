"""Factor by factor, what one loses being made up for by the next ones."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.quantization.product import ProductQuantization
from sparseopt_quantization.heuristics import left_to_right
from sparseopt_quantization.products import (
    Outcome,
    predicted,
    predicted_bytes,
    refusal,
    term_by_term,
    work_of,
)


@dataclass(frozen=True)
class LeftToRight(so.Solver[ProductQuantization]):
    """The published method, without its partial products: while the rest of the chain is not
    rounded only the angle of each column to its rounding counts, see `Side`.

    Time O(z 2^t), memory O(z), for z values of t digits in all factors.

    Parameters
    ----------
    weighted : bool or None
        Whether the entries of a column count as they do in the product; False is the published
        method. Nearly all of its error is made by the last two factors, where it counts errors as
        if the product of the others were an isometry; so it is a matter of luck, and weights are
        mostly better, by a third. None: both, and the better is kept.
    compiled : bool or None
        See `Pairwise`.
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
        """Quantize from the left; where that leaves the range of floats, to nearest."""
        work = work_of(problem, self.compiled, context)
        weights = (False, True) if self.weighted is None else (self.weighted,)
        ways = (left_to_right(work.chain, work.engine, weighted) for weighted in weights)
        return term_by_term(problem, work, ways)
