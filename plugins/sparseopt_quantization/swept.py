"""The best of all ways from the left, improved pair by pair until little is gained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import sparseopt as so
from sparseopt.quantization.product import ProductQuantization
from sparseopt_quantization.chain import Chain, Factors
from sparseopt_quantization.descent import MOST_WORK, Descent
from sparseopt_quantization.fewest_digits import fewest_digits
from sparseopt_quantization.heuristics import (
    left_to_right,
    pair_by_pair,
    right_to_left,
    sweep,
)
from sparseopt_quantization.limits import check_time
from sparseopt_quantization.products import (
    Best,
    Outcome,
    Work,
    certified,
    predicted,
    predicted_bytes,
    refusal,
    seconds_to_judge,
)
from sparseopt_quantization.terms import Terms

TRYING = 6.0
"""Errors that are computed once some digits are tried, to the end of the core's check."""
FINISHING = 3.0
"""Times that a product could be rounded and judged in what is left to do when the time is over."""


@dataclass(frozen=True)
class Swept(so.Solver[ProductQuantization]):
    """Sweeps over the best of rounding to nearest, pair by pair, and weighted left to right,
    without and with candidates kept ahead: of each pair the best for all others as they are, to and
    fro.

    The error never grows from pass to pass, and the answer is never worse than any of these. When
    the time runs out it is the best that there is.
    Factors of integer formats are improved one by one, and so are real ones with complex ones
    beside them. In architectures that are not chainable with rank 1 the terms of pairs overlap:
    from the same beginnings, values are improved one by one against the matrix, see `Descent`.

    Time O(z 2^t), memory O(z), for z values of t digits in all factors and each sweep.

    Parameters
    ----------
    passes : int
        At most so many sweeps, to the right and back.
    ahead : int
        Candidates kept for each column of the third-last factor.
    gain : float
        It stops once a sweep takes off less than this share of the error.
    compiled : bool or None
        See `Pairwise`.
    """

    passes: int = 4
    ahead: int = 8
    gain: float = 0.02
    compiled: bool | None = None

    def accepts(self, problem: ProductQuantization) -> so.Accepted | so.Refused:
        """Take all; refuse what is not installed."""
        reason = refusal(problem, self.compiled, True)
        return so.Refused(reason) if reason else so.Accepted()

    def cost(self, problem: ProductQuantization) -> float:
        """Return the predicted seconds."""
        return predicted(problem, 4.0)

    def bytes_needed(self, problem: ProductQuantization) -> float | None:
        """Return the predicted bytes."""
        return predicted_bytes(problem)

    def solve(self, problem: ProductQuantization, context: so.Context) -> Outcome:
        """Quantize; for a relative error, with as few digits as are found."""
        if problem.relative_error is not None:
            seconds = seconds_to_judge(problem, context)
            engine = Terms(self.compiled, context, TRYING * seconds)
            return certified(problem, fewest_digits(problem, self.quantized, engine))
        work = Work(problem.product, problem.format, Terms(self.compiled, context))
        judging = seconds_to_judge(problem, context)
        if judging:  # otherwise the baseline is always there
            check_time(context, 2.0 * judging, "rounding a product")
        answer = self.quantized(work)
        return certified(problem, answer, work.figure(answer))

    def quantized(self, work: Work) -> so.KroneckerProduct:
        """Return the product quantized; what there is when the time runs out."""
        best = Best(work)
        if best.error == 0.0:
            return best.product
        # To judge what there is at the end, once here and once by the core, takes time as well.
        work = work.keeping(FINISHING * best.seconds)
        best.work = work
        context = work.engine.context
        try:
            ways = self._starts(work.chain.is_real and work.is_rank_one)
            for i, begin in enumerate(ways):
                work.engine.check_time("beginning from the left")
                best.offer(begin(work))
                context.report(0.4 * (i + 1) / len(ways), "beginning from the left")
            if not work.is_rank_one:
                self._descended(best)
                return best.product
            self._swept(best, work.chain, True)
            if work.has_range:
                self._swept(best, replace(work.chain, forms=work.forms), False)
        except so.TimeLimitReached:
            context.report(1.0, "the time is over: the best so far")
        return best.product

    def _swept(self, best: Best, chain: Chain, pairs: bool) -> None:
        """Sweep over the best product."""
        work = best.work
        for passes, factors in sweep(chain, work.engine, work.taken_in(best.product), pairs):
            before = best.error
            best.offer(factors)
            done = 0.4 + 0.6 * passes / (2.0 * self.passes)
            work.engine.context.report(done, f"{passes} passes, error {best.error:.3g}")
            if passes >= 2 * self.passes or best.error > before * (1.0 - self.gain / 2.0):
                break

    def _descended(self, best: Best) -> None:
        """Go down value by value, where sums over paths do not tell what a pair makes best."""
        descent = Descent(best.work, best.product)
        if descent.work_of_a_pass > MOST_WORK:
            return
        for passes in range(1, 2 * self.passes + 1):
            before = best.error
            descent.run()
            best.take(descent.product())
            done = 0.4 + 0.6 * passes / (2.0 * self.passes)
            best.work.engine.context.report(done, f"{passes} passes, error {best.error:.3g}")
            if best.error > before * (1.0 - self.gain / 2.0):
                break

    def _starts(self, looks_ahead: bool) -> list[Callable[[Work], Factors]]:
        """Return the ways to a chain to start from."""
        ways: list[Callable[[Work], Factors]] = [
            lambda work: pair_by_pair(work.chain, work.engine),
            lambda work: left_to_right(work.chain, work.engine, True),
        ]
        if not looks_ahead:  # the other end is another chance
            return [*ways, lambda work: right_to_left(work.chain, work.engine, True)]
        return [*ways, lambda work: left_to_right(work.chain, work.engine, True, self.ahead)]
