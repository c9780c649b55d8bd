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
from product_statements import CHAIN, statements

import sparseopt as so
from sparseopt.quantization.exact import root_below
from sparseopt.quantization.product_certificate import proved_least_error

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
    yield from forged_figures()


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


def figures() -> dict[str, Any]:
    """Return certificates whose errors are as small as the judge allows, to the last bit."""
    found = {}
    chain, cut = CHAIN, [(1, 4, 4, 2), (2, 4, 4, 1)]
    dyadic = so.Architecture.square_dyadic(64)
    for digits in (2, 6, 40, 44, 45, 46, 47, 48, 50, 52):
        found[f"complex, {digits} digits"] = nearest(digits, product(chain, scale=1.0 + 2.0j))
        found[f"real, {digits} digits"] = nearest(digits, product(dyadic))
        found[f"of rank 2, {digits} digits"] = nearest(digits, product(cut, scale=0.3))
    for powers in ((300, -300, 17), (-250, -250, -250), (300, 300, 300), (-1000, 900, 900)):
        moved = [np.ldexp(f, p) for f, p in zip(product(CHAIN).factors, powers, strict=True)]
        found[f"powers {powers}"] = nearest(6, so.KroneckerProduct(moved, CHAIN))
    found["shared out"] = nearest(6, shared_out(product(chain, scale=1.0 + 2.0j)))
    small = shared_out(product(chain, scale=1e-150 + 1e-150j))
    for name, place in (("a hole", (0, 1, 0, 0)), ("a column of zeros", (0, slice(None), 1, 2))):
        holes = [np.array(f) for f in small.factors]
        holes[0][place] = 0.0
        found[f"tiny, with {name}"] = nearest(6, so.KroneckerProduct(holes, chain))
    for name, patterns in (("exactly", DYADIC), ("in floats", chain)):
        pairs = zip(product(patterns).factors, product(patterns, seed=1).factors, strict=True)
        mixed = so.KroneckerProduct([f + 1j * g for f, g in pairs], patterns)
        found[f"complex, of every phase, {name}"] = nearest(3, mixed)
    for count in (50, 51, 560):
        long = product([(1, 1, 2, 1), *[(2, 1, 1, 1)] * (count - 1)], scale=1.0 + 2.0j)
        found[f"{count} factors"] = nearest(6, long)
    plain = nearest(6, product([(1, 20, 30, 1)]))
    found["600 values"] = plain
    given = product(chain, scale=1.0 + 2.0j)
    turned = so.KroneckerProduct([2.0 * given.factors[0], *given.factors[1:]], chain)
    turned = so.KroneckerProduct([*turned.factors[:2], 0.5 * turned.factors[2]], chain)
    found["the same, shared out by a power of two"] = answered(given, turned)
    rank = product(cut)
    for power in (-2000, -900, -3, 5, 900):
        moved = so.KroneckerProduct([np.ldexp(f, power // 2) for f in rank.factors], cut)
        found[f"of rank 2, answered 2^{power} times as large"] = answered(rank, moved)
    return {name: as_sharp(each) for name, each in found.items()}


def answered(given: so.KroneckerProduct, answer: so.KroneckerProduct) -> Any:
    """Return the certificate of an answer in double precision."""
    problem = so.ProductQuantization(given, 53)
    return so.ProductQuantizationCertificate.build(problem, answer)


def as_sharp(certificate: Any) -> Any:
    """Return a certificate with the least error that is accepted."""
    least = certificate.problem.error_of(certificate.answer).high()
    return dataclasses.replace(certificate, relative_error=least)


def shared_out(given: so.KroneckerProduct) -> so.KroneckerProduct:
    """Return the same product, its columns times powers of two that the next rows are over."""
    rng, factors = np.random.default_rng(1), [np.array(f) for f in given.factors]
    for place in range(len(factors) - 1):
        a, b, c, d = factors[place].shape
        powers = 2.0 ** rng.integers(-300, 300, a * c * d)
        factors[place] = factors[place] * powers.reshape(a, 1, c, d)
        a, b, c, d = factors[place + 1].shape
        factors[place + 1] = factors[place + 1] / powers.reshape(a, b, 1, d)
    return so.KroneckerProduct(factors, given.architecture)


def forged_figures() -> Pairs:
    """Yield errors that are a last bit less than what is found, and what cannot be told."""
    changed, line = dataclasses.replace, "the relative error is at most"
    for name, each in figures().items():
        less = math.nextafter(each.relative_error, -math.inf)
        yield f"{line} | a last bit less, {name}", changed(each, relative_error=less)
    # Along 700 factors of 1/2 squares leave the range of floats, unless they are brought back.
    halves = [np.full((1, 1, 1, 1), 0.5 + 0.0j)] * 700
    many = so.KroneckerProduct(halves, [(1, 1, 1, 1)] * 700)
    more = so.KroneckerProduct([*halves[:-1], 1.5 * halves[-1]], many.architecture)
    unknown = answered(many, more)
    yield f"{line} | of a long chain", changed(unknown, relative_error=0.5 - 1e-9)
    # The one path of this matrix, 2^-1060, is rounded to a multiple of 2^-1074.
    faint = one_path(2.0**-530, 1.0)
    unknown = answered(faint, one_path(2.0**-530 * 1.25, 1.0))
    yield f"{line} | of products that underflow", changed(unknown, relative_error=0.1)
    # Beside entries that lead nowhere, what the products differ by is lost.
    unknown = answered(one_path(1.0, 1.0), one_path(1.25, 2.0**530))
    yield f"{line} | of what is lost beside others", changed(unknown, relative_error=0.1)


def one_path(entry: float, other: float) -> so.KroneckerProduct:
    """Return a product of rank 3 with one path, and an entry of each factor that leads nowhere."""
    left, right = np.zeros((1, 3, 3, 1)), np.zeros((1, 3, 3, 1))
    left[0, 0, 0, 0] = right[0, 0, 0, 0] = entry
    left[0, 1, 1, 0] = right[0, 2, 2, 0] = other
    return so.KroneckerProduct([left, right], [(1, 3, 3, 1)] * 2)


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    yield from ((f"just the error of {name}", each) for name, each in figures().items())
    solve, build = so.solve, so.ProductQuantizationCertificate.build
    yield "nearest", nearest(4, product())
    yield "swept", solve(so.ProductQuantization(product(), 5)).certificate
    yield "e4m3", solve(so.ProductQuantization(product(), "e4m3")).certificate
    yield "pair", solve(so.ProductQuantization(product(TWO), [4, 3])).certificate
    yield "pair of a range", solve(so.ProductQuantization(product(TWO), "e2m1")).certificate
    yield "one", solve(so.ProductQuantization(product([(1, 3, 2, 2)]), 4)).certificate
    yield "one of three", solve(so.ProductQuantization(product(), [None, 4, None])).certificate
    yield "many values", nearest(6, product(so.Architecture.square_dyadic(64)))
    yield "wide columns", nearest(6, product([(1, 8, 8, 8), (8, 8, 8, 1)]))
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
