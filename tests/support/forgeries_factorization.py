"""False certificates of factorizations, each stopped by one step of the check, and true ones.

`forged` yields what must be refused and `honest` what must be accepted, as certificates or as JSON.
Problems are small, so that their truth is known in other ways.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from laws import law

import sparseopt as so
from sparseopt.butterfly import expansion, probing
from sparseopt.butterfly.permuted_certificate import PermutedButterflyCertificate
from sparseopt.judging.rounding import Figure
from sparseopt.supports.certificate import FixedSupportCertificate
from sparseopt.supports.factors import SupportedFactors
from sparseopt.tools.random_products import random_product

DYADIC = so.Architecture.square_dyadic(8)
SMALL = so.Architecture.square_dyadic(4)
MONARCH = so.Architecture.monarch(4, 6, 2, 3)
NAN = float("nan")
LU = ([[1, 0], [1, 1]], [[1, 1], [0, 1]])
FULL = (np.ones((2, 2), bool), np.ones((2, 2), bool))
Forgery = tuple[str, Any]


def nearby(
    architecture: so.Architecture = DYADIC, noise: float = 0.1, dtype: Any = np.float64
) -> tuple[so.ButterflyFactorization, so.KroneckerProduct]:
    """Return the problem of a noisy product, and a good answer; without noise, the product."""
    rng = np.random.default_rng(3)
    product = random_product(architecture, rng, dtype)
    target = product.to_dense() + noise * rng.standard_normal(architecture.shape)
    problem = so.ButterflyFactorization(target.astype(dtype), architecture)
    if noise:
        product = so.solve(problem, "hierarchical_numpy", check=False, bounds="never").answer
    return problem, product


def scaled(product: so.KroneckerProduct, number: float) -> so.KroneckerProduct:
    """Return a product times a number."""
    return number * product


def butterflies() -> Iterator[tuple[str, so.ButterflyCertificate]]:
    """Yield true certificates of butterfly factorizations, bounds claimed or not."""
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        problem, product = nearby(dtype=dtype)
        certificate = so.ButterflyCertificate(problem, product)
        yield f"butterfly {np.dtype(dtype)}", certificate
        yield f"butterfly {np.dtype(dtype)} with bounds", certificate.with_bounds()
    for name, architecture in {
        "monarch": MONARCH,
        "rank two": so.Architecture([(1, 3, 4, 6), (2, 12, 5, 1)]),
        "outside the support": so.Architecture([(2, 2, 2, 2), (4, 2, 2, 1)]),
        "one factor": so.Architecture([(3, 2, 4, 2)]),
        "redundant": so.Architecture([(1, 2, 2, 2), (2, 2, 8, 1)]),
    }.items():
        problem, product = nearby(architecture)
        yield f"butterfly {name}", so.ButterflyCertificate(problem, product, bounds=True)
    # Their best error is that of the one cut: in single precision the answer's is above it.
    problem, product = nearby(MONARCH, dtype=np.float32)
    yield "butterfly monarch float32", so.ButterflyCertificate(problem, product, bounds=True)
    outer = so.Architecture([(2, 2, 2, 2), (4, 2, 2, 1)])
    empty = so.KroneckerProduct([np.zeros(p.values_shape) for p in outer], outer)
    away = so.ButterflyFactorization(np.where(outer.product.support(), 0.0, 1.7), outer)
    yield "butterfly nothing inside", so.ButterflyCertificate(away, empty, bounds=True)
    problem, product = nearby(noise=0.0)
    yield "butterfly exact", so.ButterflyCertificate(problem, product, bounds=True)
    yield "butterfly probed", so.ButterflyCertificate(*nearby(), probes=64)
    yield "butterfly probed with bounds", so.ButterflyCertificate(*nearby(), probes=16, bounds=True)
    zero = so.ButterflyFactorization(np.zeros((4, 4)), SMALL)
    nothing = so.KroneckerProduct([np.zeros(p.values_shape) for p in SMALL], SMALL)
    yield "butterfly zero", so.ButterflyCertificate(zero, nothing, bounds=True)
    product = random_product(SMALL, np.random.default_rng(0))
    given = so.ButterflyFactorization(product, SMALL)
    yield "butterfly of a product", so.ButterflyCertificate(given, product, bounds=True)
    for exponent in (-1030, -500, 500, 1010):
        problem, product = nearby()
        far = so.ButterflyFactorization(
            np.ldexp(np.asarray(problem.target), exponent), problem.architecture
        )
        certificate = so.ButterflyCertificate(far, product.times_power(exponent), bounds=True)
        yield f"butterfly times 2^{exponent}", certificate


def permutations() -> Iterator[tuple[str, PermutedButterflyCertificate]]:
    """Yield true certificates of products in other orders."""
    rng = np.random.default_rng(5)
    for noise in (0.0, 0.1):
        problem, product = nearby(noise=noise)
        answer = so.PermutedKroneckerProduct(product, rng.permutation(8), rng.permutation(8))
        target = np.empty((8, 8))
        target[np.ix_(answer.rows, answer.columns)] = problem.target
        open_ = so.ButterflyFactorization(target, DYADIC, "unknown")
        yield f"permuted, noise {noise}", PermutedButterflyCertificate(open_, answer)


def supports() -> Iterator[tuple[str, FixedSupportCertificate]]:
    """Yield true certificates of fixed supports, of every kind of claim about the infimum."""
    rng = np.random.default_rng(7)
    target = rng.standard_normal((2, 2))
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        given = (target + (1j * target.T if np.dtype(dtype).kind == "c" else 0)).astype(dtype)
        rank_one = so.FixedSupportFactorization(given, [np.ones((2, 1)), np.ones((1, 2))])
        u, s, vh = np.linalg.svd(given)
        factors = SupportedFactors(u[:, :1] * s[:1], vh[:1], "attained")
        yield f"supports rank one {np.dtype(dtype)}", FixedSupportCertificate(rank_one, factors)
    (a, b), (c, d) = target
    x, y = np.array([[1, 0], [c / a, 1]]), np.array([[a, b], [0, d - b * c / a]])
    lu = so.FixedSupportFactorization(target, LU)
    yield "supports unknown", FixedSupportCertificate(lu, SupportedFactors(x, 0.9 * y))
    exchange, close = exchanged()
    proof = not_closed()
    limit = replace(close, attainment="not_attained")
    yield "supports not attained", FixedSupportCertificate(exchange, limit, closedness=proof)
    other = replace(close, attainment="suspected_not_attained")
    yield "supports suspected", FixedSupportCertificate(exchange, other, closedness=proof)
    yield (
        "supports attained by a proof",
        FixedSupportCertificate(*overlapping(), closedness=closed()),
    )
    nothing = SupportedFactors(np.zeros((2, 2)), np.zeros((2, 3)))
    yield "supports nothing", FixedSupportCertificate(overlapping()[0], nothing)
    zero = so.FixedSupportFactorization(np.zeros((2, 2)), FULL)
    nothing = SupportedFactors(np.zeros((2, 2)), np.zeros((2, 2)), "attained")
    yield "supports zero", FixedSupportCertificate(zero, nothing)
    for exponent in (-1060, -500, 500, 1010):
        far = so.FixedSupportFactorization(np.ldexp(target, exponent), FULL)
        exact = SupportedFactors(target, np.eye(2), "attained").times_power(exponent)
        yield f"supports times 2^{exponent}", FixedSupportCertificate(far, exact)


def exchanged() -> tuple[so.FixedSupportFactorization, SupportedFactors]:
    """Return the matrix that no lower times upper triangular matrix is, and factors near it."""
    t = 2.0**-10
    problem = so.FixedSupportFactorization([[0, 1], [1, 0]], LU)
    x, y = np.array([[t, 0], [1, 1]]), np.array([[1, 1 / t], [0, -1 / t]])
    return problem, SupportedFactors(x, y)


def overlapping() -> tuple[so.FixedSupportFactorization, SupportedFactors]:
    """Return overlapping rectangles whose products are closed, and exact factors."""
    left, right = np.array([[1, 1], [1, 1]], bool), np.array([[1, 1, 0], [1, 1, 1]], bool)
    x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    problem = so.FixedSupportFactorization(x @ y, [left, right])
    return problem, SupportedFactors(x, y, "attained")


def closed(field: str = "real") -> so.Certificate:
    """Return a proof that the products of the overlapping rectangles are closed."""
    found = so.solve(so.Closedness(list(overlapping()[0].supports), field)).certificate
    assert found is not None
    return found


def not_closed(field: str = "real") -> so.Certificate:
    """Return a proof that products of lower and upper triangular matrices are not closed."""
    found = so.solve(so.Closedness([np.array(s, bool) for s in LU], field)).certificate
    assert found is not None
    return found


def honest() -> Iterator[Forgery]:
    """Yield (name, certificate) that must be accepted, as made and as read from their JSON."""
    for name, certificate in (*butterflies(), *permutations(), *supports()):
        yield name, certificate
        yield f"{name}, from JSON", so.to_json(certificate)
    yield from laws()


def laws() -> Iterator[Forgery]:
    """Yield what small certificates do not show: tails, and targets read in many pieces."""
    tails = law(
        lambda: [round(probing.deflation(64), 2), round(probing.inflation(64), 1)] == [0.25, 2.6]
    )
    yield "tails of sums of squares", tails
    rooms = law(lambda: [round(probing.allowance(n), 1) for n in (32, 64, 512)] == [12.3, 5.3, 1.7])
    yield "rooms of estimates", rooms
    yield "no figure is sure", law(lambda: probing._log_tail(0.0, 8) == -np.inf)
    outside = so.Architecture([(2, 2, 2, 2), (4, 2, 2, 1)])
    for name, architecture in (("dyadic", DYADIC), ("monarch", MONARCH), ("outside", outside)):
        problem, product = nearby(architecture)
        yield f"{name} in small pieces", law(partial(in_small_pieces, problem, product))
        given = so.ButterflyFactorization(0.5 * product, architecture)
        yield f"{name} of a product, in small pieces", law(partial(in_small_pieces, given, product))


def in_small_pieces(problem: so.ButterflyFactorization, product: so.KroneckerProduct) -> bool:
    """Whether norm, error and split errors are the same when few cells are read at a time."""
    target = problem.target
    target = target.to_dense() if isinstance(target, so.KroneckerProduct) else np.asarray(target)
    right = (np.linalg.norm(target), np.linalg.norm(target - product.to_dense()))
    whole = so.ButterflyFactorization(problem.target, problem.architecture).split_errors()
    before = expansion.CHUNK
    try:
        expansion.CHUNK = 12
        again = so.ButterflyFactorization(problem.target, problem.architecture)
        found = again.compare(product)
        figures = [_middle(found.norm), _middle(found.error), *again.split_errors()]
        return bool(np.allclose(figures, [*right, *whole], rtol=1e-9, atol=1e-12))
    finally:
        expansion.CHUNK = before


def _middle(figure: Figure) -> float:
    return (figure.low(0.0) + figure.high(0.0)) / 2.0


def forged() -> Iterator[Forgery]:
    """Yield (name, certificate or JSON) that must be refused."""
    yield from false_errors()
    yield from false_bounds()
    yield from other_answers()
    yield from false_probes()
    yield from false_permutations()
    yield from false_factors()
    yield from false_infima()
    yield from proofless_infima()
    yield from broken_files()


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
    # Read in double precision, the target loses its last entry: 1e17 + 1 is no float.
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


class TwoFaced(SupportedFactors):
    """Factors that show zeros to whoever looks for them."""

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return np.eye(2), np.eye(2)


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
    # A repeated row hides the others: constructors refuse it, so it is planted.
    for name in ("rows", "columns"):
        planted = replace(exact.answer)
        order = np.zeros(8, dtype=np.int64)
        object.__setattr__(planted, name, order)
        yield f"permuted: {name} repeat", replace(exact, answer=planted)


def false_factors() -> Iterator[Forgery]:
    """Factors that do not have the asked supports, or are worth nothing."""
    problem, answer = exchanged()
    wide = so.FixedSupportFactorization(np.eye(2), FULL)
    target = np.eye(2)
    lower = so.FixedSupportFactorization(target[::-1].copy(), LU)
    for name, pair in {
        "X": SupportedFactors(target[::-1].copy(), np.eye(2)),
        "Y": SupportedFactors(np.eye(2), target[::-1].copy()),
    }.items():
        yield f"supports: {name} is not zero outside", FixedSupportCertificate(lower, pair)
    for name, value in {"nan": NAN, "infinity": np.inf}.items():
        for side in ("left", "right"):
            spoilt = np.eye(2)
            spoilt[0, 0] = value
            pair = replace(SupportedFactors(np.eye(2), np.eye(2)), **{side: spoilt})
            for high in (0.0, 1.0, np.inf, NAN):
                yield (
                    f"supports: {name} in {side}, {high}",
                    FixedSupportCertificate(wide, pair, (0.0, high), 0.0),
                )
    odd = 2**53 + 1
    for side in ("left", "right"):
        whole = np.array([[odd]])
        pair = replace(SupportedFactors(np.eye(1), np.eye(1)), **{side: whole})
        one = so.FixedSupportFactorization([[float(2**53)]], [[[1]], [[1]]])
        yield f"supports: integers in {side}", FixedSupportCertificate(one, pair, (0.0, 0.0), 0.0)
    longer = np.array([[np.longdouble(1) + np.longdouble(2) ** -60]])
    one = so.FixedSupportFactorization([[1.0]], [[[1]], [[1]]])
    yield (
        "supports: long doubles",
        FixedSupportCertificate(one, SupportedFactors(longer, np.eye(1)), (0.0, 0.0), 0.0),
    )
    matrix = np.eye(2).view(np.matrix)
    yield (
        "supports: a matrix class",
        FixedSupportCertificate(wide, SupportedFactors(matrix, np.eye(2))),
    )
    listed = SupportedFactors([[1.0, 0.0], [0.0, 1.0]], np.eye(2))  # type: ignore[arg-type]
    yield "supports: lists", FixedSupportCertificate(wide, listed, (0.0, 1.0), 0.0)
    short = SupportedFactors(np.eye(2)[:1], np.eye(2))
    yield "supports: one row", FixedSupportCertificate(wide, short, (0.0, 2.0), 0.0)
    faces = TwoFaced(target[::-1].copy(), np.eye(2))
    yield "supports: factors with two faces", FixedSupportCertificate(lower, faces)
    zeros = SupportedFactors(np.zeros((2, 2)), np.zeros((2, 2)), "attained")
    yield "supports: zeros, attained", FixedSupportCertificate(wide, zeros)
    yield "supports: zeros", FixedSupportCertificate(wide, replace(zeros, attainment="unknown"))
    minus = SupportedFactors(-10 * answer.left, answer.right)
    yield "supports: worse than zero", FixedSupportCertificate(problem, minus)


def proofless_infima() -> Iterator[Forgery]:
    """Yield claims that a limit is missed, without a proof, for supports that need none."""
    for name, certificate in supports():
        if name == "supports rank one float64":
            for value in ("not_attained", "suspected_not_attained"):
                answer = replace(certificate.answer, attainment=value)
                yield f"{name}: {value} without a proof", replace(certificate, answer=answer)


def false_infima() -> Iterator[Forgery]:
    """Claims about the infimum that do not follow."""
    problem, near = exchanged()
    proof, proof_of_closed = not_closed(), closed()

    def claimed(value: str, proof: Any = None, given: Any = problem, answer: Any = near) -> Any:
        return FixedSupportCertificate(given, replace(answer, attainment=value), closedness=proof)

    yield "infimum: attained without a proof", claimed("attained")
    yield "infimum: attained, by a proof of the contrary", claimed("attained", proof)
    yield "infimum: not attained, without a proof", claimed("not_attained")
    yield "infimum: suspected, without a proof", claimed("suspected_not_attained")
    yield "infimum: a word of its own", claimed("surely", proof)
    yield "infimum: unknown with a proof of something else", claimed("unknown", proof_of_closed)
    other, exact = overlapping()
    yield (
        "infimum: of closed supports suspected",
        claimed("suspected_not_attained", proof_of_closed, other, exact),
    )
    yield "infimum: not attained, of other supports", claimed("not_attained", proof_of_closed)
    yield "infimum: attained, of other supports", claimed("attained", proof, other, exact)
    for name, entry in {"one entry off": 1e-300, "another entry": 0.5}.items():
        target = np.array([[entry, 1.0], [1.0, 0.0]])
        given = so.FixedSupportFactorization(target, LU)
        yield f"infimum: the limit has {name}", claimed("not_attained", proof, given)
    rounded = so.FixedSupportFactorization([[0.0, 1.0], [1.0, 0.0]], LU)
    yield (
        "infimum: the limit rounds to the target",
        claimed("not_attained", shifted(proof), rounded),
    )
    complex_ = so.FixedSupportFactorization(np.array([[0, 1], [1, 0]], complex), LU)
    yield "infimum: proved for the reals only", claimed("not_attained", proof, complex_)
    turned = so.FixedSupportFactorization(np.array([[0, 1], [1, 0]]) * 1j, LU)
    yield "infimum: an imaginary target", claimed("not_attained", not_closed("complex"), turned)
    tilted = np.array([[0, 1 + 1j], [1, 0]])
    given = so.FixedSupportFactorization(tilted, LU)
    yield "infimum: a complex target", claimed("not_attained", not_closed("complex"), given)
    tractable = so.FixedSupportFactorization(np.eye(2), FULL)
    whole = SupportedFactors(np.eye(2), np.eye(2))
    broken = replace(proof_of_closed, problem=so.Closedness(list(FULL)))
    yield (
        "infimum: a broken proof that is not needed",
        claimed("attained", broken, tractable, whole),
    )


def shifted(proof: Any) -> Any:
    """Return a proof whose limit is 10^-400 off, which rounds to nothing."""
    from fractions import Fraction

    limit = [list(row) for row in proof.limit]
    limit[0][0] = limit[0][0] + Fraction(1, 10**400)
    return replace(proof, limit=limit)


def broken_files() -> Iterator[Forgery]:
    """JSON whose fields are not what they should be."""
    problem, product = nearby(SMALL)
    body = json.loads(so.to_json(so.ButterflyCertificate(problem, product, bounds=True)))
    for name, change in {
        "probes negative": {"probes": -1},
        "probes true": {"probes": True, "error": 1e200},
        "probes too many": {"probes": 5000, "error": 1e200},
        "probes no integer": {"probes": 1.5},
        "probes without end": {"probes": 10**9},
        "error a word": {"error": "0"},
        "error a list": {"error": [0.0]},
        "error true": {"error": True},
        "error null": {"error": None},
        "error beyond floats": {"error": 10**400},
        "error_low a word": {"error_low": "0"},
        "splits a word": {"split_errors": ["a", "b"]},
        "splits of three": {"split_errors": [[0, 1, 2]] * 2},
        "splits a number": {"split_errors": 1.0},
        "another field": {"remark": "optimal"},
        "no problem": {"problem": None},
        "no answer": {"answer": None},
    }.items():
        yield f"file: {name}", json.dumps({**body, **change})
    yield "file: no error", json.dumps({k: v for k, v in body.items() if k != "error"})
    supported = dict(supports())["supports unknown"]
    body = json.loads(so.to_json(supported))
    for name, change in {
        "error a word": {"error": "0"},
        "lower bound a word": {"lower_bound": "0"},
        "lower bound true": {"lower_bound": True},
        "another field": {"optimal": True},
        "a proof that is none": {"closedness": 1.0},
    }.items():
        yield f"supports file: {name}", json.dumps({**body, **change})
    permuted = next(permutations())[1]
    body = json.loads(so.to_json(permuted))
    for name, change in {
        "error a word": {"error": "0"},
        "another field": {"level": 1e-3},
    }.items():
        yield f"permuted file: {name}", json.dumps({**body, **change})
