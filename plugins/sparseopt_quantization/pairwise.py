"""Two factors at a time, each pair as well as can be."""

from __future__ import annotations

from dataclasses import dataclass

import sparseopt as so
from sparseopt.quantization.product import ProductQuantization
from sparseopt_quantization.heuristics import pair_by_pair
from sparseopt_quantization.products import (
    Outcome,
    predicted,
    predicted_bytes,
    refusal,
    term_by_term,
    work_of,
)


@dataclass(frozen=True)
class Pairwise(so.Solver[ProductQuantization]):
    """The first and the second factor, the third and the fourth, and so on; at the end of an odd
    chain the last three together, where the published method rounds the last one.

    Time O(z 2^t), memory O(z), for z values of t digits in all factors.

    Parameters
    ----------
    triple : bool
        Whether an odd chain ends in three factors; False is the published method.
    compiled : bool or None
        Whether the passes are compiled by numba; None: where it is installed and there is much to
        do. The answer is the same, bit by bit.
    """

    triple: bool = True
    compiled: bool | None = None

    def accepts(self, problem: ProductQuantization) -> so.Accepted | so.Refused:
        """Refuse relative errors."""
        reason = refusal(problem, self.compiled)
        return so.Refused(reason) if reason else so.Accepted()

    def cost(self, problem: ProductQuantization) -> float:
        """Return the predicted seconds."""
        return predicted(problem, 0.5)

    def bytes_needed(self, problem: ProductQuantization) -> float | None:
        """Return the predicted bytes."""
        return predicted_bytes(problem)

    def solve(self, problem: ProductQuantization, context: so.Context) -> Outcome:
        """Quantize pair by pair; where that leaves the range of floats, to nearest."""
        work = work_of(problem, self.compiled, context)
        return term_by_term(problem, work, [pair_by_pair(work.chain, work.engine, self.triple)])
