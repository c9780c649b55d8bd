"""The best product of two rounded factors, term by term."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.quantization.exact import root_below
from sparseopt.quantization.product import ProductQuantization
from sparseopt.quantization.product_certificate import (
    MOST_PIECES,
    ProductQuantizationCertificate,
    is_pair,
    is_plain,
    pieces,
)
from sparseopt.quantization.rank_one_certificate import proved_least
from sparseopt_quantization.chain import from_columns, from_rows
from sparseopt_quantization.joint import best_pair
from sparseopt_quantization.limits import BYTES, PROVED, check_time
from sparseopt_quantization.products import Outcome
from sparseopt_quantization.sides import Engine, has_numba

TERM = 4e-3
"""Seconds that a term takes at the least, stated and proved twice."""


@dataclass(frozen=True)
class TwoFactors(so.Solver[ProductQuantization]):
    """Each term by `RankOneExact`: the terms of two factors have disjoint supports.

    Also longer products of which one factor at most is rounded, where rounding to nearest is best.

    Time O(z 2^t), memory O(z), for z values of t digits: the terms one after the other, each of O(n
    2^t) pieces.

    Parameters
    ----------
    memory : float
        Bytes that the pieces of one term may take.
    compiled : bool or None
        See `RankOneExact`.
    """

    memory: float = 4e9
    compiled: bool | None = None

    def accepts(self, problem: ProductQuantization) -> so.Accepted | so.Refused:
        """Take two real factors that are chainable with rank 1, or one that is rounded."""
        if self.compiled and not has_numba():
            return so.Refused("compiled=True needs numba, which is not installed")
        if is_plain(problem):
            return so.Accepted()
        if not problem.is_rank_one:
            return so.Refused(f"it takes rank 1: {problem.why_not_rank_one}")
        if not is_pair(problem):
            return so.Refused("it takes two real factors with a format each")
        count = pieces(problem)
        if count > MOST_PIECES:
            return so.Refused(
                f"the terms have {count:.2g} pieces; at most {MOST_PIECES:.2g} are gone through"
            )
        return so.Accepted()

    def cost(self, problem: ProductQuantization) -> float:
        """Return the predicted seconds."""
        if is_plain(problem):
            return 1e-3 + 2e-6 * problem.product.nnz
        a, _, c, d = problem.product.factors[0].shape
        return 2e-2 * a * c * d + BYTES * 1e-8 * pieces(problem)

    def bytes_needed(self, problem: ProductQuantization) -> float:
        """Predict the pieces of the longest term, and all values."""
        found = 2.0**20 + 24.0 * problem.product.nnz
        if is_plain(problem):
            return found
        first = problem.product.factors[0].shape
        return found + BYTES * pieces(problem) / max(1.0, float(first[0] * first[2] * first[3]))

    def solve(self, problem: ProductQuantization, context: so.Context) -> Outcome:
        """Find the best term for each column; what it costs at least is proved by the way."""
        if is_plain(problem):
            answer = problem.nearest()
            return answer, ProductQuantizationCertificate.build(problem, answer, None)
        engine = Engine(self.memory, self.compiled, context)
        total, least = Fraction(0), Fraction(0)
        left, right = [], []
        start, kept = time.monotonic(), PROVED * pieces(problem)
        a, _, c, d = problem.product.factors[0].shape
        check_time(context, 2.0 * kept + TERM * a * c * d, "going through the terms")
        terms = problem.terms()
        for i, term in enumerate(terms):
            # What is left of them, at the pace so far; and the check proves all of them again.
            left_over = (time.monotonic() - start) / max(i, 1) * (len(terms) - i) * bool(i)
            check_time(context, kept + left_over, "going through the terms")
            context.report(i / len(terms), "going through the terms")
            nearest = term.nearest()
            square = term.squares[0] * term.squares[1]
            if term.is_zero or term.cost_of(nearest) == 0:
                found, bound = nearest, Fraction(0)
            else:
                found, told = best_pair(term, engine)
                bound = proved_least(term, found, ((), ()), 2) if told is None else told
            left.append(found.u)
            right.append(found.v)
            total += square
            least += square * max(bound, Fraction(0))
        first, second = problem.product.factors
        with np.errstate(over="ignore", under="ignore"):
            factors = [
                from_columns(np.stack(left), first.shape).astype(first.dtype),
                from_rows(np.stack(right), second.shape).astype(second.dtype),
            ]
        forms = [f for f in problem.format if f is not None]
        if not all(f.contains(v) for f, v in zip(forms, factors, strict=True)):
            raise so.Inconclusive("the best numbers leave the range of the dtype of the factors")
        answer = so.KroneckerProduct(factors, problem.product.architecture)
        bound_of_all = root_below(least / total) if total else 0.0
        return answer, ProductQuantizationCertificate.build(problem, answer, bound_of_all)
