"""The proof of how near a product of few bits is to the given one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.arrays import as_figure
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.judging.figures import ROOMS
from sparseopt.judging.rounding import above, shown_above, shown_below
from sparseopt.quantization.exact import root_below
from sparseopt.quantization.number_format import significand
from sparseopt.quantization.product import ProductQuantization, columns_and_rows
from sparseopt.quantization.rank_one import RankOneTerm
from sparseopt.quantization.rank_one_certificate import proved_least, widened

MOST_PIECES = 1 << 24
"""Of all terms of two factors, to prove the optimum: some minutes."""


def digits_of(values: np.ndarray) -> int:
    """Return the least t with all values, of complex ones both parts, in F_t; 1 for zeros."""
    counts = []
    for part in (values.real, values.imag):
        whole = np.ldexp(np.frexp(part.astype(np.float64))[0], 53).astype(np.int64)
        last = np.frexp((whole & -whole).astype(np.float64))[1]  # where the last one bit is
        counts.append(54 - int(last.min(initial=53, where=whole != 0)))
    return max(counts)


def is_plain(problem: ProductQuantization) -> bool:
    """Whether rounding each value on its own is the best: one factor at most is rounded."""
    free = [form is not None for form in problem.format]
    return problem.is_rank_one and problem.relative_error is None and sum(free) <= 1


def is_pair(problem: ProductQuantization) -> bool:
    """Whether the least error can be proved term by term: two real factors, both to be rounded."""
    return (
        problem.is_rank_one
        and len(problem.format) == 2
        and None not in problem.format
        and problem.product.dtype.kind == "f"
    )


def pieces(problem: ProductQuantization) -> int:
    """Return how many pieces the terms of a pair have: what a proof of the optimum goes through.

    Of each term those of one vector are gone through; either of them for formats like F_t.
    """
    counts = []
    for form, factor, axis in zip(problem.format, problem.product.factors, (1, 2), strict=True):
        assert form is not None
        wide = widened(form)
        each = len(wide.positive_numbers()) if wide.is_finite else 1 << (wide.digits - 1)
        counts.append(each * factor.shape[axis])
    a, _, c, d = problem.product.factors[0].shape
    return a * c * d * max(counts)


def proved_least_error(
    problem: ProductQuantization, answer: KroneckerProduct, rooms: int
) -> Fraction:
    """Return a lower bound of the squared relative error of all answers for a pair.

    The terms have disjoint supports, so squared errors add up; see `proved_least` for each.
    """
    total, least = Fraction(0), Fraction(0)
    answers = zip(*columns_and_rows(answer), strict=True)
    for term, (u, v) in zip(problem.terms(), answers, strict=True):
        square = term.squares[0] * term.squares[1]
        total += square
        if square:
            least += square * proved_least(term, RankOneTerm(u, v), ((), ()), rooms)
    return least / total if total else Fraction(0)


@proves(ProductQuantization)
@json_type
@dataclass(frozen=True, eq=False)
class ProductQuantizationCertificate(Certificate):
    """The values are in their formats, zeros are where they were, and the error is so much.

    The error is computed by a recursion over the factors, in rationals for small products, else
    with a bound of rounding. For two real factors, chainable with rank 1, a lower bound of the
    error of all answers may be proved too, term by term; where one factor at most is to be rounded
    it is the error of rounding to nearest.

    Attributes
    ----------
    problem : ProductQuantization
    answer : KroneckerProduct
    relative_error : float
        ``|A - B| / |A|`` is at most this.
    relative_lower_bound : float
        Every answer has at least this; 0 where nothing is proved.
    """

    problem: ProductQuantization
    answer: KroneckerProduct
    relative_error: float
    relative_lower_bound: float = 0.0

    def __post_init__(self) -> None:
        for name in ("relative_error", "relative_lower_bound"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls, problem: ProductQuantization, answer: KroneckerProduct, least: float | None = 0.0
    ) -> ProductQuantizationCertificate:
        """Return the certificate of an answer, however bad it is.

        Parameters
        ----------
        problem : ProductQuantization
        answer : KroneckerProduct
        least : float or None
            What the relative error of every answer is claimed to be at least; None: what is proved,
            which for a pair takes as long as a check.
        """
        if least is None and is_plain(problem):
            least = problem.error_of(problem.nearest()).low(ROOMS)
        elif least is None and is_pair(problem):
            least = root_below(max(proved_least_error(problem, answer, 2), Fraction(0)))
        return cls(problem, answer, problem.error_of(answer).high(ROOMS), least or 0.0)

    @property
    def accuracy(self) -> float:
        """How much larger the error may be than what is proved to be the least."""
        least = min(self.relative_lower_bound, self.relative_error)
        return above(self.relative_error - least) if self.relative_error > least else 0.0

    @property
    def nearest_relative_error(self) -> float:
        """The relative error of rounding each value to nearest; without formats, to `digits`."""
        problem = self.problem
        if problem.relative_error is None:
            return problem.nearest_relative_error
        pairs = zip(problem.product.factors, self.digits, strict=True)
        factors = [significand(t).round(f) for f, t in pairs]
        rounded = KroneckerProduct(factors, problem.product.architecture)
        return problem.error_of(rounded).high(ROOMS)

    @property
    def digits(self) -> tuple[int, ...]:
        """For each factor the least t with all its values in F_t."""
        return tuple(digits_of(f) for f in self.answer.factors)

    @property
    def at_the_end(self) -> int:
        """How many values are the largest number of their format.

        Many of them, with a large error, tell that the factors leave the range of their formats.
        """
        count = 0
        for form, factor in zip(self.problem.format, self.answer.factors, strict=True):
            if form is not None:
                count += sum(
                    int((np.abs(part) == form.largest).sum()) for part in (factor.real, factor.imag)
                )
        return count

    @property
    def claim(self) -> str:
        """What is proved."""
        parts = [f"the relative error is at most {shown_above(self.relative_error, 12)}"]
        if self.relative_lower_bound > 0.0:
            parts.append(f"no choice has less than {shown_below(self.relative_lower_bound, 12)}")
        if self.at_the_end:
            parts.append(f"{self.at_the_end} values are at the end of the range")
        return f"{self.problem.describe()}: {'; '.join(parts)}"

    def check(self, steps: Steps) -> None:
        """Look at every value, and compute the error. O(nnz) where paths are told apart."""
        problem, answer = self.problem, self.answer
        steps.require(type(answer) is KroneckerProduct, "the answer is a product")
        same = answer.architecture == problem.product.architecture
        steps.require(same, "the answer has the patterns of the problem", str(answer.architecture))
        for i, (factor, given, form) in enumerate(
            zip(answer.factors, problem.product.factors, problem.format, strict=True)
        ):
            is_array = type(factor) is np.ndarray and factor.dtype == given.dtype
            steps.require(is_array, f"factor {i} is an array of {given.dtype}")
            steps.require(not factor[given == 0].any(), f"factor {i} is zero where it was")
            if form is not None:
                steps.require(form.contains(factor), f"factor {i} is in {form.name}")
            elif problem.relative_error is None:
                steps.require(np.array_equal(factor, given), f"factor {i} is left as it is")
        stated, found = self.relative_error, problem.error_of(answer)
        line = f"the relative error is at most {stated!r}"
        steps.require(found.high() <= stated < math.inf, line, repr(found.high()))
        target = problem.relative_error
        if target is not None:
            steps.require(stated <= target, f"it is at most the {target} asked for", repr(stated))
        self._check_least(steps)

    def _check_least(self, steps: Steps) -> None:
        """Require the lower bound to be proved."""
        problem, least = self.problem, self.relative_lower_bound
        steps.require(0.0 <= least < math.inf, "the lower bound is a number", repr(least))
        if least == 0.0:
            return
        steps.require(is_plain(problem) or is_pair(problem), "the least error can be proved")
        own: Any
        if is_plain(problem):
            own = problem.error_of(problem.nearest()).low()
        else:
            few = pieces(problem) <= MOST_PIECES
            steps.require(few, f"there are at most {MOST_PIECES} pieces", str(pieces(problem)))
            own = root_below(max(proved_least_error(problem, self.answer, 1), Fraction(0)))
        steps.require(least <= own, f"no choice has a relative error below {least!r}", repr(own))
