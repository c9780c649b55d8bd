"""False certificates of butterfly factorizations and of permutations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from factorization_statements import (
    DYADIC,
    FULL,
    LU,
    MONARCH,
    NAN,
    SMALL,
    Forgery,
    butterflies,
    nearby,
    permutations,
    supports,
)

import sparseopt as so
from sparseopt.judging.figures import Figure
from sparseopt.supports.certificate import FixedSupportCertificate
from sparseopt.supports.factors import SupportedFactors
from sparseopt.tools.random_products import random_product


def scaled(product: so.KroneckerProduct, number: float) -> so.KroneckerProduct:
    """Return a product times a number."""
    return number * product


def own_error(certificate: Any) -> Figure:
    """Return the error as the core computes it."""
    if isinstance(certificate, FixedSupportCertificate):
        return certificate._error
    return certificate._comparison.error


def stated(certificate: Any, low: float, high: float) -> Any:
    """Return a certificate that states this error."""
    return replace(certificate, stated_error=(low, high))


def false_errors() -> Iterator[Forgery]:
    """Stated errors that are not proved."""
    for name, certificate in (*butterflies(), *permutations(), *supports()):
        if getattr(certificate, "probes", 0):
            continue
        low, high = certificate.error_interval
        if high == 0.0:
            yield f"{name}: not a number", stated(certificate, low, NAN)
            continue
        # What the core computes, without the room that rounding needs.
        figure = own_error(certificate)
        found = figure.high(0.0)
        if found < figure.high():
            yield f"{name}: error without room", stated(certificate, 0.0, found)
        if found > figure.low():
            yield f"{name}: error low without room", stated(certificate, found, high)
        yield f"{name}: error negative", stated(certificate, 0.0, -1.0)
        yield f"{name}: error low negative", stated(certificate, -1.0, high)
        yield f"{name}: error not a number", stated(certificate, low, NAN)
        yield f"{name}: error infinite", stated(certificate, low, np.inf)
        yield f"{name}: error low too large", stated(certificate, high, high)
        yield f"{name}: error low not a number", stated(certificate, NAN, high)
    yield from cancelling()
    yield from lost_bits()


def lost_bits() -> Iterator[Forgery]:
    """Errors of the size of rounding, or below, that are said to be 0: in floats they are."""
    tiny = 2.0**-60
    architecture = so.Architecture([(1, 1, 2, 1), (1, 2, 1, 1)])
    for name, unit in {"real": 1.0, "complex": 1j}.items():
        target = np.array([[1.0]]) * unit
        x, y = np.array([[1.0, tiny]]) * unit, np.ones((2, 1))
        problem = so.ButterflyFactorization(target, architecture)
        answer = so.KroneckerProduct([x.reshape(1, 1, 2, 1), y.reshape(1, 2, 1, 1)], architecture)
        yield (
            f"the last bits of a sum, {name}",
            so.ButterflyCertificate(problem, answer, (0.0, 0.0)),
        )
        fixed = so.FixedSupportFactorization(target, [[[1, 1]], [[1], [1]]])
        yield (
            f"supports: the last bits of a sum, {name}",
            FixedSupportCertificate(fixed, SupportedFactors(x, y), (0.0, 0.0), 0.0),
        )
    single = so.Architecture([(1, 1, 1, 1)])
    product = so.KroneckerProduct(
        [np.array([1.0, tiny]).reshape(1, 1, 2, 1), np.ones((1, 2, 1, 1))], architecture
    )
    problem = so.ButterflyFactorization(product, single)
    answer = so.KroneckerProduct([np.ones((1, 1, 1, 1))], single)
    yield "the last bits of a target", so.ButterflyCertificate(problem, answer, (0.0, 0.0))
    a, b = 1.0 + 2.0**-30, 1.0 + 2.0**-40
    outer = so.Architecture([(1, 1, 1, 1), (1, 1, 1, 1)])
    pair = so.KroneckerProduct([np.full((1, 1, 1, 1), a), np.full((1, 1, 1, 1), b)], outer)
    problem = so.ButterflyFactorization([[a * b]], outer)
    yield "the last bits of a product", so.ButterflyCertificate(problem, pair, (0.0, 0.0))
    fixed = so.FixedSupportFactorization([[a * b]], [[[1]], [[1]]])
    yield (
        "supports: the last bits of a product",
        FixedSupportCertificate(
            fixed, SupportedFactors(np.array([[a]]), np.array([[b]])), (0.0, 0.0), 0.0
        ),
    )
    whole = so.Architecture([(1, 1, 2, 1)])
    far = so.ButterflyFactorization([[2.0**1000, 2.0**-100]], whole)
    large = so.KroneckerProduct([np.array([2.0**1000, 0.0]).reshape(1, 1, 2, 1)], whole)
    yield (
        "an entry that underflows in scaled units",
        so.ButterflyCertificate(far, large, (0.0, 0.0)),
    )


def cancelling() -> Iterator[Forgery]:
    """Factors whose product rounds to something else, or overflows."""
    architecture = so.Architecture([(1, 2, 2, 1), (1, 2, 2, 1)])
    for big in (1e8, 1e9, 1e17, 1e150):
        x = np.array([[big, big], [big, big]]).reshape(1, 2, 2, 1)
        y = np.array([[big, -big], [-big, big]]).reshape(1, 2, 2, 1)
        tiny = np.array([[1.0, 1.0], [0.0, 0.0]]).reshape(1, 2, 2, 1) * 1.1
        target = np.full((2, 2), big * 1.1)
        true = so.ButterflyFactorization(np.zeros((2, 2)) + 14.0, architecture)
        answer = so.KroneckerProduct([x, y], architecture)
        yield f"cancelling {big:g}: error 0", so.ButterflyCertificate(true, answer, (0.0, 0.0))
        half = so.KroneckerProduct([x, tiny], architecture)
        problem = so.ButterflyFactorization(target, architecture)
        yield f"rounding {big:g}: error 0", so.ButterflyCertificate(problem, half, (0.0, 0.0))
        pair = SupportedFactors(np.full((2, 2), big), np.array([[big, big], [-big, -big]]))
        fixed = so.FixedSupportFactorization(np.full((2, 2), 0.3), FULL)
        yield (
            f"supports cancelling {big:g}: error 0",
            FixedSupportCertificate(fixed, pair, (0.0, 0.0), 0.0),
        )
        yield (
            f"supports cancelling {big:g}: error 0, attained",
            FixedSupportCertificate(fixed, replace(pair, attainment="attained"), (0.0, 1e-9), 0.0),
        )
    one = so.FixedSupportFactorization([[1.0]], [[[1, 1]], [[1], [1]]])
    huge = SupportedFactors(np.full((1, 2), 1e200), np.full((2, 1), 1e200))
    for bound in (0.0, 1e300, np.inf):
        for high in (0.0, 1.0, 1e300, np.inf):
            yield (
                f"supports overflowing: {high}, {bound}",
                FixedSupportCertificate(one, huge, (0.0, high), bound),
            )
    short = so.Architecture([(1, 1, 1, 1)] * 3)
    overflow = so.KroneckerProduct([np.full((1, 1, 1, 1), 1e200)] * 3, short)
    target = so.ButterflyFactorization([[1.0]], short)
    for high in (0.0, 1.0, 1e300, np.inf):
        yield f"overflowing: {high}", so.ButterflyCertificate(target, overflow, (0.0, high))
    # Read in double precision, the target loses its last entry: 1e17 + 1 is not a float.
    ones, last = np.ones((1, 2, 2, 1)), np.array([[1.0, 1.0], [0.0, 0.0]]).reshape(1, 2, 2, 1)
    large = np.array([[1e17, 1.0], [0.0, 0.0]]).reshape(1, 2, 2, 1)
    lost = np.array([[1e17, 0.0], [0.0, 0.0]]).reshape(1, 2, 2, 1)
    given = so.ButterflyFactorization(
        so.KroneckerProduct([large, ones], architecture), architecture
    )
    answer = so.KroneckerProduct([lost, last], architecture)
    yield "a target that is a product: error 0", so.ButterflyCertificate(given, answer, (0.0, 0.0))


def false_bounds() -> Iterator[Forgery]:
    """Stated bounds on the least error that are not proved."""
    for name, architecture, noise in (
        ("dyadic", DYADIC, 0.1),
        ("exact", DYADIC, 0.0),
        ("monarch", MONARCH, 0.1),
        ("outside", so.Architecture([(2, 2, 2, 2), (4, 2, 2, 1)]), 0.1),
        ("redundant", so.Architecture([(1, 2, 2, 2), (2, 2, 8, 1)]), 0.1),
    ):
        problem, product = nearby(architecture, noise)
        certificate = so.ButterflyCertificate(problem, product, bounds=True)
        splits = certificate.split_errors
        figures = certificate._split_figures
        for j, (low, high) in enumerate(splits):
            if high == 0.0:
                continue
            for kind, pair in {
                "low without room": (figures[j].low(0.0), high),
                "high without room": (low, figures[j].high(0.0)),
                "low too large": (low * 1.0001 + 1e-9, high + 1.0),
                "low above": (high * 1.01 + 1e-12, high * 1.02 + 2e-12),
                "high too small": (0.0, low * 0.9999 - 1e-12),
                "low not a number": (NAN, high),
                "high not a number": (low, NAN),
                "high infinite": (low, np.inf),
            }.items():
                changed = (*splits[:j], pair, *splits[j + 1 :])
                yield f"{name}: E_{j} {kind}", replace(certificate, stated_splits=changed)
            below = (-2.0 * certificate.error - 1.0, high)
            changed = (*splits[:j], below, *splits[j + 1 :])
            yield f"{name}: E_{j} below 0 by far", replace(certificate, stated_splits=changed)
        more = (*splits, (100.0, 101.0))
        yield f"{name}: one split error more", replace(certificate, stated_splits=more)
        worse = scaled(product, 0.6)
        bad = so.ButterflyCertificate(problem, worse, bounds=True)
        if name in ("dyadic", "exact"):
            yield f"{name}: error above the method's own bound", bad
    hadamard = np.array([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    factor = np.array([[1.0, 1.0], [1.0, -1.0]])
    exact = so.KroneckerProduct(
        [np.stack([factor] * 2, axis=-1)[None], np.stack([factor] * 2)[..., None]], SMALL
    )
    problem = so.ButterflyFactorization(hadamard, SMALL)
    tiny = so.ButterflyCertificate(problem, exact).error_interval
    yield (
        "Hadamard: no product below 1.66e-15",
        so.ButterflyCertificate(problem, exact, tiny, ((0.0, 0.0), (1.66e-15, 1e-12))),
    )
    rng = np.random.default_rng(7)
    lu = so.FixedSupportFactorization(rng.standard_normal((2, 2)), LU)
    certificate = FixedSupportCertificate(lu, SupportedFactors(np.eye(2), np.eye(2) * 0.1))
    for bound in (certificate.lower_bound * 1.01 + 1e-9, 1e-14, 1.5, NAN, np.inf, -5e-324, -np.inf):
        yield f"supports: lower bound {bound}", replace(certificate, stated_bound=bound)
    for name, certificate in supports():
        if "rank one" in name:
            bound = certificate.lower_bound * (1 + 1e-9)
            yield f"{name}: lower bound too large", replace(certificate, stated_bound=bound)
            bound = certificate._optimum.below.low(0.0)
            yield f"{name}: lower bound without room", replace(certificate, stated_bound=bound)
    big = SupportedFactors(np.full((1, 2), 1e10), np.array([[1e10], [-1e10]]), "attained")
    one = so.FixedSupportFactorization([[1.0]], [[[1, 1]], [[1], [1]]])
    yield (
        "supports: lower bound by huge factors",
        FixedSupportCertificate(one, big, (0.0, 1.0), 1e6),
    )
    wide = np.ones((2, 9000), np.float32)
    many = so.FixedSupportFactorization(wide, [np.ones((2, 1)), np.ones((1, 9000))])
    off = SupportedFactors(
        np.full((2, 1), 0.5, np.float32), np.ones((1, 9000), np.float32), "attained"
    )
    yield "supports: wide and single, error 0", FixedSupportCertificate(many, off, (0.0, 1e-3), 0.0)


class Deceiver(so.KroneckerProduct):
    """A product that shows another one to whoever looks."""

    def to_numpy(self) -> so.KroneckerProduct:
        return nearby(noise=0.0)[1]


class EqualToAny:
    """Stands for patterns, and says that it is those that are asked for."""

    def __init__(self, chain: so.Architecture) -> None:
        self.chain = chain

    def __getattr__(self, name: str) -> Any:
        return getattr(self.chain, name)

    def __getitem__(self, index: Any) -> Any:
        return self.chain[index]

    def __len__(self) -> int:
        return len(self.chain)

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(self.chain)


def of_equal_patterns(factors: Any) -> so.KroneckerProduct:
    """Return a product with such patterns."""
    product = so.KroneckerProduct(factors, DYADIC)
    object.__setattr__(product, "architecture", EqualToAny(DYADIC))
    return product


def other_answers() -> Iterator[Forgery]:
    """Answers to another question, and answers that are worth nothing."""
    for name, certificate in supports():
        if name == "supports rank one float64":
            decayed = so.FixedSupportFactorization(
                certificate.problem.target, certificate.problem.supports, 0.1
            )
            yield "factors for a problem with a decay", replace(certificate, problem=decayed)
    problem, product = nearby()
    whole = so.Architecture([(1, 8, 8, 1)])
    dense = so.KroneckerProduct([np.array(problem.target).reshape(1, 8, 8, 1)], whole)
    yield "another architecture", so.ButterflyCertificate(problem, dense)
    exact, made = nearby(noise=0.0)
    lie = Deceiver([2.0 * f for f in made.factors], DYADIC)
    yield "a product that deceives", so.ButterflyCertificate(exact, lie)
    equal = of_equal_patterns([2.0 * f for f in made.factors])
    yield "an architecture that equals any", so.ButterflyCertificate(exact, equal)
    orders = so.PermutedKroneckerProduct(product, np.arange(8), np.arange(8))
    yield "a permuted product", so.ButterflyCertificate(problem, orders)  # type: ignore[arg-type]
    open_ = so.ButterflyFactorization(problem.target, DYADIC, "unknown")
    yield "orders left open", so.ButterflyCertificate(open_, product)
    for name, architecture in {"dyadic": DYADIC, "monarch": MONARCH}.items():
        given, own = nearby(architecture)
        nothing = so.KroneckerProduct(
            [np.zeros(p.values_shape) for p in architecture], architecture
        )
        yield f"zeros, {name}", so.ButterflyCertificate(given, nothing)
        yield f"zeros with bounds, {name}", so.ButterflyCertificate(given, nothing, bounds=True)
        yield f"minus, {name}", so.ButterflyCertificate(given, scaled(own, -1.0))
        yield f"ten times, {name}", so.ButterflyCertificate(given, scaled(own, 10.0))


def false_probes() -> Iterator[Forgery]:
    """Bounds that random vectors do not confirm."""
    problem, product = nearby()
    true = so.ButterflyCertificate(problem, product).error
    for count in (16, 64):
        certificate = so.ButterflyCertificate(problem, product, probes=count)
        for high in (true * 0.2, 0.0, -1.0, NAN, np.inf):
            yield f"{count} probes: {high}", stated(certificate, 0.0, high)
        for low in (true * 0.5, 5e-324, NAN):
            yield f"{count} probes: at least {low}", stated(certificate, low, 1e3 * true + 1.0)
    far = so.ButterflyCertificate(problem, scaled(product, 1000.0), probes=64)
    yield "probes: worse than zero", far
    # Exact answer, another target in the blind space of vectors that a hash of the answer draws.
    yield "probes: the blind space of fixed vectors", blind()
    architecture = so.Architecture([(1, 2, 2, 1), (1, 2, 2, 1)])
    x = np.full((1, 2, 2, 1), 1e17)
    y = np.array([[1.0, -1.0], [-1.0, 1.0]]).reshape(1, 2, 2, 1)
    rounded = so.ButterflyFactorization(np.array([[1.0, 0.0], [0.0, 1.0]]) * 1e3, architecture)
    answer = so.KroneckerProduct([x, y], architecture)
    yield "probes: cancelling", so.ButterflyCertificate(rounded, answer, (0.0, 1e-3), None, 64)


def lost_when_scaled() -> Iterator[Forgery]:
    """An infimum of 0, where entries are 0 beside the largest only once they are scaled."""
    architecture = so.Architecture([(2, 1, 1, 1)])
    answer = so.KroneckerProduct([np.full((2, 1, 1, 1), 1e60)], architecture)
    for entry in (5e-324, 1e-300):
        problem = so.ButterflyFactorization([[1e60, entry], [0.0, 1e60]], architecture)
        whole = so.ButterflyCertificate(problem, answer)
        nothing = replace(whole, stated_splits=((0.0, 0.0),))
        yield f"bounds: the infimum is 0 beside {entry}", nothing


def blind() -> so.ButterflyCertificate:
    """Return a target whose difference from an answer no vector of a fixed seed sees."""
    import hashlib

    architecture = so.Architecture.square_dyadic(16)
    answer = random_product(architecture, np.random.default_rng(0))
    digest = hashlib.sha256(str(architecture).encode())
    for factor in answer.factors:
        digest.update(np.ascontiguousarray(factor).tobytes())
    rng = np.random.default_rng(int.from_bytes(digest.digest(), "little"))
    x = rng.standard_normal((16, 8))
    unseen = np.eye(16) - x @ np.linalg.pinv(x)
    target = answer.to_dense() + 100.0 * np.random.default_rng(1).standard_normal((16, 16)) @ unseen
    problem = so.ButterflyFactorization(target, architecture)
    return so.ButterflyCertificate(problem, answer, (0.0, 1e-3), None, 8)


class Lying(so.KroneckerProduct):
    """A product that computes with other factors than it holds."""

    def to_numpy(self) -> so.KroneckerProduct:
        return next(permutations())[1].answer.product


def _permuted_of_other_classes(certificate: Any) -> Iterator[Forgery]:
    (_, exact), _ = permutations()
    held = exact.answer
    zeros = Lying([np.zeros(p.values_shape) for p in DYADIC], DYADIC)
    lying = so.PermutedKroneckerProduct(zeros, held.rows, held.columns)
    yield "permuted: a product of another class", replace(exact, answer=lying)
    product = of_equal_patterns(held.product.factors)
    answer = so.PermutedKroneckerProduct(product, held.rows, held.columns)
    yield "permuted: patterns of another class", replace(exact, answer=answer)
    # A repeated row hides the others, also of a product of factors; constructors refuse it.
    patterns = so.Architecture.square_dyadic(2)
    given, made = (
        so.KroneckerProduct([np.array(rows, dtype=float).reshape(1, 2, 2, 1)], patterns)
        for rows in ([[1, 2], [5, 7]], [[1, 2], [1, 2]])
    )
    planted = so.PermutedKroneckerProduct(made, range(2), range(2))
    object.__setattr__(planted, "rows", np.zeros(2, dtype=np.int64))
    problem = so.ButterflyFactorization(given, patterns, "unknown")
    yield (
        "permuted: a row of a product twice",
        so.PermutedButterflyCertificate(problem, planted),
    )


def false_permutations() -> Iterator[Forgery]:
    """Permuted answers that are not what they are said to be."""
    (_, exact), (_, certificate) = permutations()
    problem, answer = certificate.problem, certificate.answer
    swapped = replace(answer, rows=answer.rows[::-1].copy())
    yield (
        "permuted: other rows",
        stated(replace(certificate, answer=swapped), 0.0, certificate.error),
    )
    known = so.ButterflyFactorization(problem.target, DYADIC)
    yield "permuted: orders are known", replace(certificate, problem=known)
    whole = so.Architecture([(1, 8, 8, 1)])
    dense = so.KroneckerProduct(
        [np.array(problem.target)[np.ix_(answer.rows, answer.columns)].reshape(1, 8, 8, 1)], whole
    )
    other = so.PermutedKroneckerProduct(dense, answer.rows, answer.columns)
    yield "permuted: another architecture", replace(certificate, answer=other)
    yield "permuted: no orders", replace(certificate, answer=answer.product)
    nothing = so.KroneckerProduct([np.zeros(p.values_shape) for p in DYADIC], DYADIC)
    empty = so.PermutedKroneckerProduct(nothing, answer.rows, answer.columns)
    yield "permuted: zeros", replace(certificate, answer=empty)
    yield from _permuted_of_other_classes(certificate)
    # A repeated row hides the others: constructors refuse it, so it is planted.
    for name in ("rows", "columns"):
        planted = replace(exact.answer)
        order = np.zeros(8, dtype=np.int64)
        object.__setattr__(planted, name, order)
        yield f"permuted: {name} repeat", replace(exact, answer=planted)
