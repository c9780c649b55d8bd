"""True certificates of factorizations, and what forged ones are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.butterfly.permuted_certificate import PermutedButterflyCertificate
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
        product = product.times_power(exponent)
        certificate = so.ButterflyCertificate(far, product, bounds=True)
        yield f"butterfly times 2^{exponent}", certificate
        probed = so.ButterflyCertificate(far, product, probes=64)
        yield f"butterfly times 2^{exponent}, probed", probed


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
    nought = so.FixedSupportFactorization([[0.0]], [[[1]], [[1]]])
    for x, y in ((0.0, 0.5), (0.5, 0.0), (0.0, 1.0), (1.0, 0.0)):
        pair = SupportedFactors(np.array([[x]]), np.array([[y]]), "attained")
        exact = FixedSupportCertificate(nought, pair, (0.0, 0.0), 0.0)
        yield f"supports {x} times {y}", exact
    apart = so.FixedSupportFactorization([[0.0]], [[[1, 1]], [[1], [1]]])
    pair = SupportedFactors(np.array([[0.0, 0.5]]), np.array([[0.5], [0.0]]), "attained")
    yield "supports of terms that are 0", FixedSupportCertificate(apart, pair, (0.0, 0.0), 0.0)
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
