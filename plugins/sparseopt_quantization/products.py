"""From quantized chains back to products: scales, ranges of formats, the best of several."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

import sparseopt as so
from sparseopt.judging.figures import ROOMS, Figure
from sparseopt.quantization.chain_error import is_rank_one, relative_error
from sparseopt.quantization.exponents import ExponentFitting
from sparseopt.quantization.product import ProductQuantization
from sparseopt.quantization.product_certificate import (
    ProductQuantizationCertificate,
    is_plain,
)
from sparseopt_quantization.chain import Chain, Factors, times_powers
from sparseopt_quantization.difference_constraints import powers_that_fit
from sparseopt_quantization.limits import COMPILED_FROM, check_time
from sparseopt_quantization.sides import has_numba
from sparseopt_quantization.terms import Terms

Outcome = tuple[so.KroneckerProduct, ProductQuantizationCertificate]

JUDGED, JUDGED_DENSE, JUDGED_FACTOR = 3e-7, 1e-10, 3e-4
"""Seconds that an error takes: for each value; for each value and column of the matrix, where the
architecture is not chainable with rank 1; for each factor."""
PROBED = 1 << 18
"""Values from which on it is also measured, on the first factor."""
ENDING = 3.5
"""Errors that are computed between the last look at the clock and the end of the core's check."""


def refusal(problem: ProductQuantization, compiled: bool | None, finds_digits: bool = False) -> str:
    """Return why a product is not taken; empty if it is."""
    if compiled and not has_numba():
        return "compiled=True needs numba, which is not installed"
    if problem.relative_error is not None and not finds_digits:
        return "it takes formats; for a relative error, 'swept' finds them"
    return ""


@dataclass(frozen=True)
class Work:
    """A product to be quantized in some formats.

    Attributes
    ----------
    product : KroneckerProduct
    forms : tuple of NumberFormat or None
    engine : Terms
    """

    product: so.KroneckerProduct
    forms: tuple[so.NumberFormat | None, ...]
    engine: Terms
    _known: list[tuple[so.KroneckerProduct, Figure]] = field(default_factory=list, repr=False)

    @cached_property
    def chain(self) -> Chain:
        """The factors, brought near 1; of formats with digits and a range only the digits."""
        wide = tuple(
            so.significand(f.digits) if f is not None and not f.name.startswith("int") else f
            for f in self.forms
        )
        return Chain.of(self.product, wide)

    @property
    def has_range(self) -> bool:
        """Whether some format has a largest number."""
        return any(form is not None and form.is_finite for form in self.forms)

    @cached_property
    def is_rank_one(self) -> bool:
        """Whether terms of neighbours have disjoint supports."""
        return is_rank_one(self.product.architecture)

    def nearest(self) -> so.KroneckerProduct:
        """Each value rounded to nearest."""
        factors = [
            f if form is None else form.round(f)
            for f, form in zip(self.product.factors, self.forms, strict=True)
        ]
        return so.KroneckerProduct(factors, self.product.architecture)

    def error(self, answer: so.KroneckerProduct) -> float:
        """Return the relative error."""
        return self.figure(answer).high()

    def figure(self, answer: so.KroneckerProduct) -> Figure:
        """Return the relative error, and how far it may be off; of the last answers, remembered."""
        for known, figure in self._known:
            if known is answer:
                return figure
        self._known.append((answer, relative_error(self.product, answer)))
        del self._known[:-2]
        return self._known[-1][1]

    def keeping(self, seconds: float) -> Work:
        """Return the same work with so many seconds kept to judge the answer."""
        return replace(self, engine=replace(self.engine, kept=seconds))

    def restored(self, factors: Factors) -> so.KroneckerProduct | None:
        """Return the product of factors of the chain, or None where it leaves the range of floats.

        Where numbers leave the range of a format, powers of two between the factors are looked for
        that bring them back without any change; failing that they are rounded into the range.
        """
        own = [times_powers(f, -p) for f, p in zip(factors, self.chain.powers, strict=True)]
        own = [
            f if form is not None else given
            for f, form, given in zip(own, self.forms, self.product.factors, strict=True)
        ]
        if not all(np.isfinite(f).all() for f in own):
            return None
        patterns = self.product.architecture
        if not self._is_inside(own):
            wide = so.KroneckerProduct(own, patterns)
            fitted = None
            if None not in self.forms:
                fitted = powers_that_fit(
                    ExponentFitting(wide, list(self.forms)),
                    lambda: self.engine.check_time("bringing values into their range"),
                )
            if fitted is not None:
                own = [np.asarray(f) for f in fitted.factors]
        with np.errstate(over="ignore", under="ignore"):
            kept = [
                f.astype(given.dtype, copy=False)
                for f, given in zip(own, self.product.factors, strict=True)
            ]
        if not all(np.isfinite(f).all() for f in kept):
            return None
        # What falls below the range of a dtype, or leaves that of a format, is rounded once more.
        for i, form in enumerate(self.forms):
            if form is not None and not form.contains(kept[i]):
                kept[i] = form.round(kept[i])
        return so.KroneckerProduct(kept, patterns)

    def _is_inside(self, factors: Factors) -> bool:
        """Whether all numbers are in their formats."""
        pairs = zip(factors, self.forms, strict=True)
        return all(form is None or form.contains(f) for f, form in pairs)

    def taken_in(self, product: so.KroneckerProduct) -> Factors:
        """Return the factors of a product as those of the chain: inverse of `restored`."""
        pairs = zip(product.factors, self.chain.powers, strict=True)
        wide = [np.complex128 if f.dtype.kind == "c" else np.float64 for f in product.factors]
        return [times_powers(f.astype(w), p) for (f, p), w in zip(pairs, wide, strict=True)]


class Best:
    """The product of the least error so far: at first that of rounding to nearest.

    `seconds` is what it took to make and judge that one.
    """

    def __init__(self, work: Work) -> None:
        start = time.monotonic()
        self.work, self.product = work, work.nearest()
        self.error = work.error(self.product)
        self.seconds = time.monotonic() - start

    def offer(self, factors: Factors) -> None:
        """Take factors of the chain if their product is better."""
        self.take(self.work.restored(factors))

    def take(self, candidate: so.KroneckerProduct | None) -> None:
        """Take a product if it is better."""
        if candidate is not None and (error := self.work.error(candidate)) < self.error:
            self.product, self.error = candidate, error


def term_by_term(problem: ProductQuantization, work: Work, ways: Iterable[Factors]) -> Outcome:
    """Return the best of some ways to quantize the chain, with its certificate.

    Rounding to nearest where that is better and they are not what the methods are about: where they
    leave the range of the formats or of floats, where the terms overlap, and where all values are
    in their formats as they are. When the time runs out, what there is counts.
    """
    made: list[tuple[Factors, so.KroneckerProduct | None]] = []
    try:
        for factors in ways:
            made.append((factors, work.restored(factors)))
    except so.TimeLimitReached:
        if not made:
            raise
    found = [product for _, product in made if product is not None]
    nearest = work.nearest()
    if (
        not work.is_rank_one
        or _is_same(nearest, work.product)
        or any(p is None or _has_lost(work, f, p) for f, p in made)
    ):
        found.append(nearest)
    best = found[0] if len(found) == 1 else min(found, key=work.error)
    return certified(problem, best, work.figure(best))


def _is_same(one: so.KroneckerProduct, other: so.KroneckerProduct) -> bool:
    """Whether two products have the same factors."""
    return all(np.array_equal(f, g) for f, g in zip(one.factors, other.factors, strict=True))


def _has_lost(work: Work, factors: Factors, product: so.KroneckerProduct) -> bool:
    """Whether the factors of a product are more than powers of two away from those of the chain."""
    for form, f, g in zip(work.forms, factors, product.factors, strict=True):
        for part in ("real", "imag") if form is not None else ():
            one, other = (np.frexp(getattr(z, part))[0] for z in (f, g))
            if not np.array_equal(one, other):
                return True
    return False


def certified(
    problem: ProductQuantization, answer: so.KroneckerProduct, figure: Figure | None = None
) -> Outcome:
    """Return an answer with its certificate; where at most one factor varies it is the best.

    `figure` is its relative error, where that is known.
    """
    if is_plain(problem) or figure is None:
        least = None if is_plain(problem) else 0.0
        found = ProductQuantizationCertificate.build(problem, answer, least)
    else:
        found = ProductQuantizationCertificate(problem, answer, figure.high(ROOMS))
    if not found.relative_error < np.inf:
        count = len(problem.product.factors)
        raise so.Inconclusive(
            f"the error of a product of {count} factors is not told: rounding in the sums over its "
            "paths is larger than the product; merge some of the factors"
        )
    return answer, found


def work_of(problem: ProductQuantization, compiled: bool | None, context: so.Context) -> Work:
    """Return the work that a problem with formats asks for, if there is time to judge it."""
    work = Work(problem.product, problem.format, Terms(compiled, context))
    work = work.keeping(ENDING * seconds_to_judge(problem, context))
    work.engine.check_time("rounding a product")
    return work


def seconds_to_judge(problem: ProductQuantization, context: so.Context) -> float:
    """Return about how long the error of an answer takes; 0 where no time limit is to be kept.

    By what it took where it was measured, and on large products by what the first factor takes
    here and now.
    """
    product = problem.product
    if context.time_limit is None:
        return 0.0
    seconds = JUDGED * product.nnz + JUDGED_FACTOR * len(product.factors)
    if not problem.is_rank_one:
        return seconds + JUDGED_DENSE * product.nnz * product.shape[1]
    form = problem.format[0]
    if product.nnz < PROBED or form is None or product.factors[0].size > product.nnz // 4:
        return seconds
    check_time(context, 2.0 * seconds, "judging a product")
    one = so.KroneckerProduct(product.factors[:1], product.architecture[:1])
    start = time.monotonic()
    relative_error(one, so.KroneckerProduct([form.round(one.factors[0])], one.architecture))
    share = one.nnz / product.nnz
    return max(seconds, (time.monotonic() - start) / share)


def predicted_bytes(problem: ProductQuantization) -> float:
    """Return the predicted bytes of engines that keep pieces of all terms: 14 times the values in
    float64 or complex128, and 80 MiB for compiled kernels where this process loads them first."""
    pairs = zip(problem.format, problem.product.factors, strict=True)
    work = max((f.size * 2.0**form.digits for form, f in pairs if form is not None), default=0.0)
    loaded = "sparseopt_quantization.term_kernels" in sys.modules
    kernels = 0.0 if loaded or work < COMPILED_FROM else 80.0 * 2**20
    wide = 16.0 if problem.product.dtype.kind == "c" else 8.0
    return 2.0**21 + kernels + 14.0 * wide * problem.product.nnz


def predicted(problem: ProductQuantization, passes: float) -> float:
    """Return the predicted seconds of so many passes over all pieces."""
    pairs = zip(problem.format, problem.product.factors, strict=True)
    pieces = sum(f.size * 2.0 ** min(form.digits - 1, 11) for form, f in pairs if form is not None)
    return 5e-3 + 3e-2 * passes + 4e-9 * passes * pieces + 2e-6 * problem.product.nnz
