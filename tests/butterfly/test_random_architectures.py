"""Random chainable architectures: algebra, factorization and bounds against dense brute force."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import sparseopt as so
from sparseopt.tools.random_products import random_product

DTYPES = (np.float32, np.float64, np.complex64, np.complex128)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def chainable(draw: st.DrawFn) -> so.Architecture:
    """Any chainable architecture: quotients of neighbours' a and d, and ranks, are free.

    With a_1 and d_L, p_l = a_(l+1) / a_l, q_(l+1) = d_l / d_(l+1) and r_l, pattern l is
    ``(a_l, q_l r_(l-1), p_l r_l, d_l)``; q_1 and p_L are what is left of b_1 and c_L.
    """
    length = draw(st.integers(1, 4))
    largest = 3 if length < 4 else 2
    quotients = st.lists(st.integers(1, largest), min_size=length, max_size=length)
    p, q = draw(quotients), draw(quotients)
    ranks = [1, *draw(st.lists(st.integers(1, 3), min_size=length - 1, max_size=length - 1)), 1]
    a, d = draw(st.integers(1, 2)), draw(st.integers(1, 2)) * int(np.prod(q[1:]))
    patterns = []
    for i in range(length):
        patterns.append((a, q[i] * ranks[i], p[i] * ranks[i + 1], d))
        a *= p[i]
        d //= q[i + 1] if i + 1 < length else 1
    return so.Architecture(patterns)


def dense_factors(product: so.KroneckerProduct) -> list[np.ndarray]:
    """The factors entry by entry, from the definition of the pattern."""
    made = []
    for values, (a, b, c, d) in zip(product.factors, product.architecture, strict=True):
        dense = np.zeros((a * b * d, a * c * d), dtype=values.dtype)
        for i, j, k, e in np.ndindex(a, b, c, d):
            dense[i * b * d + j * d + e, i * c * d + k * d + e] = values[i, j, k, e]
        made.append(dense)
    return made


def multiplied(factors: list[np.ndarray]) -> np.ndarray:
    result = factors[0]
    for factor in factors[1:]:
        result = result @ factor
    return result


def brute_split_errors(target: np.ndarray, supports: list[np.ndarray]) -> list[float]:
    """E_0, E_1, ... from dense supports alone.

    Grouped at a cut, inner index k reaches the rectangle (rows of column k) x (columns of row k).
    Indices with equal rectangles share one block, whose best error is that of a truncated SVD of
    that rank; the rectangles of chainable supports are equal or disjoint.
    """
    whole = multiplied(supports) > 0
    errors = [float(np.linalg.norm(target[~whole]))]
    for cut in range(1, len(supports)):
        left, right = multiplied(supports[:cut]) > 0, multiplied(supports[cut:]) > 0
        terms = Counter((left[:, k].tobytes(), right[k].tobytes()) for k in range(left.shape[1]))
        squared = 0.0
        for (rows, columns), rank in terms.items():
            block = target[np.ix_(np.frombuffer(rows, bool), np.frombuffer(columns, bool))]
            squared += float((np.linalg.svd(block, compute_uv=False)[rank:] ** 2).sum())
        errors.append(squared**0.5)
    return errors


def gaussian(shape: tuple[int, int], seed: int, dtype: type) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return (drawn if np.dtype(dtype).kind == "c" else drawn.real).astype(dtype)


@FEW
@given(chainable(), st.integers(0, 99), st.sampled_from(DTYPES))
def test_products_and_their_pattern(architecture: so.Architecture, seed: int, dtype: type) -> None:
    assert architecture.is_chainable
    product = random_product(architecture, np.random.default_rng(seed), dtype)
    factors = dense_factors(product)
    written = multiplied([f.astype(np.complex128) for f in factors])
    tolerance = 100 * float(np.finfo(dtype).eps) * (1 + np.linalg.norm(written))
    np.testing.assert_allclose(product.to_dense(), written, rtol=0, atol=tolerance)
    supports = [pattern.support().astype(int) for pattern in architecture]
    np.testing.assert_array_equal(multiplied(supports) > 0, architecture.product.support())
    x = gaussian((architecture.shape[1], 3), seed, dtype)
    np.testing.assert_allclose(product @ x, written @ x, rtol=0, atol=10 * tolerance)


@FEW
@given(chainable(), st.integers(0, 99), st.sampled_from(DTYPES))
def test_exact_products_are_factorized_exactly(
    architecture: so.Architecture, seed: int, dtype: type
) -> None:
    product = random_product(architecture, np.random.default_rng(seed), dtype)
    target = multiplied(dense_factors(product))
    problem = so.ButterflyFactorization(target, architecture)
    for name in ("hierarchical_numpy", "butterfly_alternating"):
        answer = so.solve(problem, name).answer
        error = np.linalg.norm(multiplied(dense_factors(answer)) - target)
        # Random factors may be ill-conditioned, which alternating from random starts can feel.
        slack = 50 if name == "hierarchical_numpy" else 5000
        assert error <= slack * np.finfo(dtype).eps * np.linalg.norm(target)


@FEW
@given(chainable(), st.integers(0, 99), st.sampled_from([np.float64, np.complex128]))
def test_bounds_are_those_of_dense_brute_force(
    architecture: so.Architecture, seed: int, dtype: type
) -> None:
    target = gaussian(architecture.shape, seed, dtype)
    problem = so.ButterflyFactorization(target, architecture)
    solution = so.solve(problem, "hierarchical_numpy", bounds="always")
    certificate = solution.certificate
    error = float(np.linalg.norm(multiplied(dense_factors(solution.answer)) - target))
    assert certificate.error == pytest.approx(error, rel=1e-9, abs=1e-12)

    reduced = [pattern.support().astype(int) for pattern in architecture.reduced()]
    outside, *splits = brute_split_errors(target, reduced)
    lower = float(np.hypot(outside, max(splits, default=0.0)))
    upper = float(np.sqrt(outside**2 + np.sum(np.square(splits))))
    assert certificate.lower_bound == pytest.approx(lower, rel=1e-9, abs=1e-9)
    assert certificate.upper_bound == pytest.approx(upper, rel=1e-9, abs=1e-9)
    assert lower - 1e-9 <= error <= upper + 1e-9
    # Redundant patterns change nothing: the cuts of the whole architecture bound no more.
    whole = brute_split_errors(target, [p.support().astype(int) for p in architecture])
    assert max(whole[1:], default=0.0) == pytest.approx(max(splits, default=0.0), abs=1e-9)


@FEW
@given(chainable(), st.integers(0, 99))
def test_refining_the_hierarchical_answer_never_raises_its_error(
    architecture: so.Architecture, seed: int
) -> None:
    target = gaussian(architecture.shape, seed, np.float64)
    problem = so.ButterflyFactorization(target, architecture)
    plain = so.solve(problem, "hierarchical_numpy", bounds="always").certificate
    refined = so.solve(problem, "butterfly_alternating", start="hierarchical").certificate
    assert plain.lower_bound - 1e-9 <= refined.error <= plain.error + 1e-9


@FEW
@given(chainable(), st.integers(0, 99))
def test_engines_agree(architecture: so.Architecture, seed: int) -> None:
    pytest.importorskip("numba")
    target = gaussian(architecture.shape, seed, np.float64)
    problem = so.ButterflyFactorization(target, architecture)
    one, two = (
        so.solve(problem, name).certificate.error
        for name in ("hierarchical_numpy", "hierarchical_numba")
    )
    assert one == pytest.approx(two, rel=1e-8, abs=1e-10)


@FEW
@given(chainable(), st.integers(0, 99))
def test_transposition_and_scaling_commute_with_products(
    architecture: so.Architecture, seed: int
) -> None:
    product = random_product(architecture, np.random.default_rng(seed), np.complex128)
    dense = multiplied(dense_factors(product))
    np.testing.assert_allclose(product.T.to_dense(), dense.T, atol=1e-11)
    np.testing.assert_allclose(product.H.to_dense(), dense.conj().T, atol=1e-11)
    problem = so.ButterflyFactorization(dense, architecture)
    scaled = so.ButterflyFactorization(-8.0 * dense, architecture)
    np.testing.assert_allclose(
        so.solve(scaled).answer.to_dense(), -8.0 * so.solve(problem).answer.to_dense(), atol=1e-9
    )
