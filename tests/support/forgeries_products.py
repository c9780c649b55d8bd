"""Forged certificates of quantized products: what the core must refuse, and why.

The name of each is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from forgeries_quantization import odd

import sparseopt as so
from sparseopt.judging.figures import ROOMS
from sparseopt.quantization.exact import root_below
from sparseopt.quantization.product_certificate import digits_of, proved_least_error

Pairs = Iterator[tuple[str, Any]]

DYADIC = so.Architecture.square_dyadic(8)
TWO = so.Architecture.square_dyadic(4)
UNEVEN = [(1, 3, 2, 5), (2, 5, 7, 1)]


def product(patterns: Any = DYADIC, seed: int = 0, scale: complex = 1.0) -> so.KroneckerProduct:
    """Return a random product; complex for a complex scale."""
    rng = np.random.default_rng(seed)
    architecture = so.Architecture(patterns)
    return so.KroneckerProduct(
        [scale * rng.standard_normal(p.values_shape) for p in architecture], architecture
    )


def nearest(form: Any, of: so.KroneckerProduct, **more: Any) -> Any:
    """Return the certificate of rounding to nearest."""
    problem = so.ProductQuantization(of, form, **more)
    return so.ProductQuantizationCertificate.build(problem, problem.nearest())


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    right = nearest(4, product())
    changed, answer = dataclasses.replace, right.answer

    def with_factors(of: Any, *factors: Any, patterns: Any = DYADIC) -> Any:
        return changed(of, answer=so.KroneckerProduct(factors, patterns))

    yield "the answer is a product | its factors", changed(right, answer=answer.factors)
    other = [(1, 2, 2, 4), (4, 2, 2, 1), (2, 2, 2, 2)]
    turned = [f.reshape(p) for f, p in zip(answer.factors, other, strict=True)]
    line = "the answer has the patterns of the problem"
    yield f"{line} | exchanged", with_factors(right, *turned, patterns=other)
    yield f"{line} | fewer", with_factors(right, *answer.factors[:2], patterns=DYADIC[:2])
    first, second, third = answer.factors
    single = with_factors(right, first, second.astype(np.float32), third)
    yield "factor 1 is an array of float64 | in single precision", single
    own = with_factors(right, *map(odd, answer.factors))
    yield "factor 0 is an array of float64 | of another class", own
    yield "factor 0 is in F4 | more digits", with_factors(right, first * 1.01, second, third)
    grid = nearest("e2m1", product())
    many = [np.array(f) for f in grid.answer.factors]
    many[2][0, 0, 0, 0] = 8.0
    yield "factor 2 is in e2m1 | 8", with_factors(grid, *many)
    both = nearest(4, product(scale=1.0 + 0.5j))
    many = [np.array(f) for f in both.answer.factors]
    many[1] = many[1].real + 1j * (many[1].imag * 1.01)
    yield "factor 1 is in F4 | more digits of imaginary parts", with_factors(both, *many)
    left = nearest([4, None, 4], product())
    a, _, c = left.answer.factors
    yield "factor 1 is left as it is | rounded", with_factors(left, a, second, c)
    holes = [np.array(f) for f in product().factors]
    holes[0][0, 0, 1, 2] = 0.0
    holed = nearest(4, so.KroneckerProduct(holes, DYADIC))
    filled = [np.array(f) for f in holed.answer.factors]
    filled[0][0, 0, 1, 2] = 2.0**-300
    yield "factor 0 is zero where it was | tiny", with_factors(holed, *filled)
    error, line = right.relative_error, "the relative error is at most"
    for value in (math.nextafter(error, 0.0), 0.0, -error, math.nan, math.inf):
        yield f"{line} | {value}", changed(right, relative_error=value)
    yield f"{line} | of other factors", with_factors(right, first, second, third[:, ::-1])
    rank = nearest(4, product([(1, 4, 4, 2), (2, 4, 4, 1)]))
    large = nearest(4, product(so.Architecture.square_dyadic(64)))
    for name, each in (("complex", both), ("of rank 2", rank), ("with rounding", large)):
        less = each.relative_error * (1.0 - 1e-11)
        yield f"{line} | {name}", changed(each, relative_error=less)
    asked = so.ProductQuantization(product(), None, relative_error=1e-2)
    coarse = so.ProductQuantizationCertificate.build(asked, answer)
    yield "it is at most the 0.01 asked for | 4 digits", coarse
    yield from forged_bounds()


def forged_bounds() -> Pairs:
    """Yield lower bounds that are not proved."""
    changed, line = dataclasses.replace, "no choice has a relative error below"
    pair = so.solve(so.ProductQuantization(product(TWO), 4)).certificate
    for value in (-pair.relative_error, math.nan, math.inf):
        yield f"the lower bound is a number | {value}", changed(pair, relative_lower_bound=value)
    more = pair.relative_error * (1.0 + 1e-9)
    yield f"{line} | a little more", changed(pair, relative_lower_bound=more)
    rounded = nearest(4, product(TWO))
    best = changed(rounded, relative_lower_bound=rounded.relative_error * (1.0 - 1e-9))
    yield f"{line} | rounding to nearest called the best", best
    alone = nearest([4, None, None], product())
    more = alone.relative_error * (1.0 + 1e-9)
    yield f"{line} | one factor, a little more", changed(alone, relative_lower_bound=more)
    line = "the least error can be proved"
    three = nearest(4, product())
    yield f"{line} | three factors", changed(three, relative_lower_bound=1e-9)
    parts = nearest(4, product(TWO, scale=1j))
    yield f"{line} | complex", changed(parts, relative_lower_bound=1e-9)
    rank = nearest(4, product([(1, 4, 4, 2), (2, 4, 4, 1)]))
    yield f"{line} | of rank 2", changed(rank, relative_lower_bound=1e-9)
    asked = so.ProductQuantization(product(TWO), None, relative_error=0.5)
    coarse = so.ProductQuantizationCertificate.build(asked, rounded.answer)
    yield f"{line} | no formats", changed(coarse, relative_lower_bound=1e-9)
    mixed = nearest([4, None], product([(1, 2, 2, 2), (1, 4, 4, 1)]))
    yield f"{line} | of rank 2, one rounded", changed(mixed, relative_lower_bound=1e-9)
    fine = nearest(30, product(TWO))
    yield "there are at most | 30 digits", changed(fine, relative_lower_bound=1e-12)
    for name, form in (("rows", [28, 30]), ("columns", [30, 27]), ("a range", ["fp16", 30])):
        fine = nearest(form, product(UNEVEN))
        yield f"there are at most | of {name}", changed(fine, relative_lower_bound=1e-12)
    line = "no choice has a relative error below"
    zero = nearest(4, product(TWO, scale=0.0))
    yield f"{line} | zero", changed(zero, relative_lower_bound=0.5)
    many = of_many_entries()
    more = math.nextafter(many.relative_lower_bound, math.inf)
    yield f"{line} | of many entries", changed(many, relative_lower_bound=more)


def of_many_entries() -> Any:
    """Return a certificate, for an answer of zeros, of a bound for which bounds in floats stand in
    for exact costs."""
    column = np.arange(1.0, 101.0).reshape(1, 100, 1, 1)
    factors = [column**1.5, np.log(column + 1.0).reshape(1, 1, 100, 1)]
    given = so.KroneckerProduct(factors, [(1, 100, 1, 1), (1, 1, 100, 1)])
    problem = so.ProductQuantization(given, 3)
    zero = so.KroneckerProduct([0.0 * f for f in factors], given.architecture)
    least = root_below(proved_least_error(problem, zero, 1))
    return so.ProductQuantizationCertificate.build(problem, zero, least)


def statements() -> Pairs:
    """Yield what a certificate says besides its claim."""
    for values, digits in (
        ([0.0, 1.0, -8.0], 1),
        ([0.0], 1),
        ([1.0, 1.5], 2),
        ([1.0, 1.0 + 2.0**-52], 53),
        ([5e-324, 15e-324], 2),
        (np.array([1.0, 1.75], np.float32), 3),
        ([1.0 + 0.75j, 3.0], 2),
        ([0.75 + 1.0j, 0.0], 2),
    ):
        array = np.asarray(values)
        yield f"digits of {array}", said(lambda a=array, d=digits: digits_of(a) == d)
    asked = so.ProductQuantization(product(), None, relative_error=0.1)
    for name, problem, digits in (
        ("asked", asked, 4),
        ("formats", nearest(4, product()).problem, 4),
    ):
        rounded = nearest(4, product()).answer
        made = so.ProductQuantizationCertificate.build(problem, rounded)
        right = problem.error_of(rounded).high(ROOMS)
        yield (
            f"{name}, rounded to nearest",
            said(lambda m=made, r=right: m.nearest_relative_error == r),
        )
        yield f"{name}, digits", said(lambda m=made, d=digits: m.digits == (d,) * 3)


def said(statement: Any) -> Any:
    """Return an entry that is accepted if a statement holds."""
    return lambda: so.Check("accepted" if statement() else "refused", "a statement", ())


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    solve, build = so.solve, so.ProductQuantizationCertificate.build
    yield "nearest", nearest(4, product())
    yield "swept", solve(so.ProductQuantization(product(), 5)).certificate
    yield "e4m3", solve(so.ProductQuantization(product(), "e4m3")).certificate
    yield "pair", solve(so.ProductQuantization(product(TWO), [4, 3])).certificate
    yield "pair of a range", solve(so.ProductQuantization(product(TWO), "e2m1")).certificate
    yield "one", solve(so.ProductQuantization(product([(1, 3, 2, 2)]), 4)).certificate
    yield "one of three", solve(so.ProductQuantization(product(), [None, 4, None])).certificate
    yield "many values", nearest(6, product(so.Architecture.square_dyadic(64)))
    yield "complex", nearest(6, product(scale=1.0 + 2.0j))
    yield "of rank 2", nearest(4, product([(1, 4, 4, 2), (2, 4, 4, 1)]))
    yield "not chainable", nearest(4, product([(2, 2, 2, 1), (1, 2, 2, 2)]))
    yield "at the end of the range", nearest("e2m1", product(scale=9.0))
    none = [np.array(f) for f in product([(1, 4, 4, 2), (2, 4, 4, 1)]).factors]
    none[1][:] = 0.0
    yield "zero of rank 2", nearest(4, so.KroneckerProduct(none, [(1, 4, 4, 2), (2, 4, 4, 1)]))
    zero = nearest(4, product(scale=0.0))
    yield "zero", zero
    gone = so.KroneckerProduct([0.0 * f for f in product().factors], DYADIC)
    yield "answered by zero", build(so.ProductQuantization(product(), 4), gone)
    asked = so.ProductQuantization(product(), None, relative_error=0.1)
    yield "a relative error", solve(asked).certificate
    yield (
        "just the relative error",
        dataclasses.replace(solve(asked).certificate, relative_error=0.1),
    )
    yield "of many entries", of_many_entries()
    yield from statements()
    plain = so.ProductQuantization(product(), [4, None, None])
    yield "one rounded", build(plain, plain.nearest(), None)
