"""Errors and norms of the core against exact rational arithmetic, for every kind of target."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.sparse.linalg
from exact_factors import encloses, exact_product, rational, squared_difference, times

import sparseopt as so
from sparseopt.butterfly import comparison, expansion, probing, target as targets
from sparseopt.tools.random_products import random_product

ARCHITECTURES = {
    "dyadic": so.Architecture.square_dyadic(8),
    "monarch": so.Architecture.monarch(4, 6, 2, 3),
    "rank two": so.Architecture([(1, 3, 4, 2), (2, 4, 3, 1)]),
    "outer and inner": so.Architecture([(2, 2, 2, 6), (4, 2, 2, 3)]),
    "one factor": so.Architecture([(2, 2, 3, 2)]),
    "redundant": so.Architecture([(1, 2, 2, 2), (2, 2, 8, 1)]),
    "low rank": so.Architecture([(1, 6, 2, 1), (1, 2, 5, 1)]),
}
DTYPES = ("float32", "float64", "complex64", "complex128")


def kinds(matrix: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Yield a matrix in every form that a target may have."""
    yield "C order", np.ascontiguousarray(matrix)
    yield "Fortran order", np.asfortranarray(matrix)
    wide = np.zeros((2 * matrix.shape[0], 3 * matrix.shape[1]), dtype=matrix.dtype)
    wide[::2, ::3] = matrix
    yield "strided", wide[::2, ::3]
    yield "reversed", np.ascontiguousarray(matrix[::-1, ::-1])[::-1, ::-1]
    yield "operator", scipy.sparse.linalg.aslinearoperator(matrix)
    torch = pytest.importorskip("torch")
    yield "tensor", torch.from_numpy(np.ascontiguousarray(matrix))


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chunk", [1, 24, 1 << 17])
def test_error_and_norm_of_every_kind_of_target(
    name: str, dtype: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "CHUNK", chunk)
    monkeypatch.setattr(targets, "CHUNK", chunk)
    architecture = ARCHITECTURES[name]
    rng = np.random.default_rng(0)
    product = random_product(architecture, rng, np.dtype(dtype))
    matrix = product.to_dense() + 1e-3 * rng.standard_normal(architecture.shape)
    matrix = matrix.astype(dtype)
    made, given = exact_product(product), rational(matrix)
    square, energy = (
        squared_difference(given, made),
        squared_difference(given, rational(0 * matrix)),
    )
    for kind, target in kinds(matrix):
        problem = so.ButterflyFactorization(target, architecture)
        found = problem.compare(product)
        for figure, exact in (
            (found.error, square),
            (found.norm, energy),
            (problem.norm_figure, energy),
        ):
            assert encloses(figure, exact), kind
            assert figure.high() - figure.low() <= 1e-13 * problem.norm, kind
        assert problem.error_of(product) == pytest.approx(math.sqrt(square), rel=1e-12)


@pytest.mark.parametrize(
    "name", ["dyadic", "rank two", "redundant", "one factor", "outer and inner"]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_products_have_errors_of_the_size_of_rounding(name: str, dtype: str) -> None:
    architecture = ARCHITECTURES[name]
    product = random_product(architecture, np.random.default_rng(1), np.dtype(dtype))
    matrix = product.to_dense()
    problem = so.ButterflyFactorization(matrix, architecture)
    found = problem.compare(product).error
    assert encloses(found, squared_difference(rational(matrix), exact_product(product)))
    single = np.finfo(dtype).eps > 1e-10
    assert found.high(3) <= (1e-6 if single else 1e-14) * problem.norm


@pytest.mark.parametrize("exponent", [-1070, -1000, -400, 400, 1000, 1015])
@pytest.mark.parametrize("name", ["dyadic", "one factor", "rank two"])
def test_far_scales(name: str, exponent: int) -> None:
    architecture = ARCHITECTURES[name]
    rng = np.random.default_rng(2)
    product = random_product(architecture, rng)
    matrix = np.ldexp(product.to_dense() + 1e-3 * rng.standard_normal(architecture.shape), exponent)
    answer = product.times_power(exponent)
    problem = so.ButterflyFactorization(matrix, architecture)
    found = problem.compare(answer)
    square = squared_difference(rational(matrix), exact_product(answer))
    assert encloses(found.error, square)
    assert encloses(found.norm, squared_difference(rational(matrix), rational(0 * matrix)))
    assert found.error.high() <= 1.01 * problem.error_of(answer) + 1e-323


def test_entries_that_underflow_in_scaled_units_are_counted() -> None:
    one = so.Architecture([(1, 1, 2, 1)])
    target = np.array([[2.0**1000, 2.0**-100]])
    answer = so.KroneckerProduct([np.array([2.0**1000, 0.0]).reshape(1, 1, 2, 1)], one)
    error = so.ButterflyFactorization(target, one).compare(answer).error
    assert error.high() >= 2.0**-100


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_factors_that_cancel(dtype: type) -> None:
    architecture = so.Architecture([(1, 2, 3, 1), (1, 3, 2, 1)])
    rng = np.random.default_rng(3)
    for big in (1e3, 1e9, 1e17, 1e120):
        x = rng.standard_normal((1, 2, 3, 1)).astype(dtype)
        y = rng.standard_normal((1, 3, 2, 1)).astype(dtype)
        x[:, :, 1:], y[:, 1] = x[:, :, 1:] * big, y[:, 1] * big
        x[:, :, 2], y[:, 2] = x[:, :, 1], -y[:, 1] * (1 + 2**-50)
        product = so.KroneckerProduct([x, y], architecture)
        matrix = rng.standard_normal((2, 2)).astype(dtype)
        problem = so.ButterflyFactorization(matrix, architecture)
        square = squared_difference(rational(matrix), exact_product(product))
        assert encloses(problem.compare(product).error, square)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_a_target_that_is_a_product_is_one_of_exact_numbers(dtype: type) -> None:
    rng = np.random.default_rng(4)
    architecture = ARCHITECTURES["dyadic"]
    target = random_product(architecture, rng, dtype)
    answer = random_product(architecture, rng, dtype)
    near = so.KroneckerProduct([f * dtype(1.01) for f in target.factors], architecture)
    for product in (answer, near, target):
        problem = so.ButterflyFactorization(target, architecture)
        found = problem.compare(product)
        assert encloses(
            found.error, squared_difference(exact_product(target), exact_product(product))
        )
        zero = rational(np.zeros((8, 8)))
        assert encloses(found.norm, squared_difference(exact_product(target), zero))
        assert found.error.high() - found.error.low() <= 1e-13 * problem.norm


@pytest.mark.parametrize("kind", ["array", "complex", "operator", "product", "huge", "wide"])
def test_estimates_of_random_vectors_hold_for_the_vectors_drawn(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same vectors, in exact arithmetic."""
    monkeypatch.setattr(probing, "_WIDTH", 3)
    monkeypatch.setattr(probing.secrets, "randbits", lambda bits: 7)
    architecture = ARCHITECTURES["dyadic"]
    rng = np.random.default_rng(5)
    dtype = np.complex128 if kind == "complex" else np.float64
    answer = random_product(architecture, rng, dtype)
    noise = 1e-6 if kind == "operator" else 1e-12
    matrix = answer.to_dense() + noise * rng.standard_normal((8, 8))
    target: Any = matrix
    exact = rational(matrix)
    if kind == "operator":
        target = scipy.sparse.linalg.aslinearoperator(matrix)
    elif kind == "product":
        target = random_product(architecture, rng)
        exact = exact_product(target)
    elif kind == "huge":
        target, answer = np.ldexp(matrix, 1000), answer.times_power(1000)
        exact = rational(target)
    problem = so.ButterflyFactorization(target, architecture)
    found, norm = probing.estimate(problem, answer, 4)
    x = rational(np.random.default_rng(7).standard_normal((8, 4)))
    square = squared_difference(times(exact, x), times(exact_product(answer), x)) / 4
    if kind == "operator":
        assert norm is None
        value = math.ldexp(found.value, found.exponent)
        assert value == pytest.approx(math.sqrt(square), rel=1e-6)
        return
    assert encloses(found, square)
    assert norm is not None
    assert encloses(norm, squared_difference(exact, rational(np.zeros((8, 8)))))


def test_the_tails_of_the_estimate() -> None:
    """Of rank one, the estimate is a chi-square variable: its tails are below the bounds."""
    from scipy.stats import chi2

    for count in (1, 2, 16, 64, 512):
        for probability in (1e-9, 1e-6, 1e-2):
            low = probing.deflation(count, probability)
            high = probing.inflation(count, probability)
            assert 0 < low < 1 < high
            assert chi2.cdf(low * count, count) <= probability
            assert chi2.sf(high * count, count) <= probability
            assert probing._log_tail(low, count) == pytest.approx(math.log(probability), rel=1e-9)
            assert probing._log_tail(high, count) == pytest.approx(math.log(probability), rel=1e-9)


def test_guaranteed_shares() -> None:
    share = comparison.guaranteed_share
    assert share(so.Architecture.square_dyadic(16)) == 2.0**-3
    assert share(so.Architecture.monarch(4, 6, 2, 3)) == 1 / 2
    assert share(so.Architecture([(1, 3, 4, 6), (2, 12, 5, 1)])) == 2 / 3
    assert share(so.Architecture([(2, 2, 3, 2)])) == 1.0
    assert share(so.Architecture([(1, 2, 2, 2), (2, 2, 8, 1)])) == share(
        so.Architecture([(1, 2, 2, 2), (2, 2, 8, 1)]).reduced()
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_guaranteed_is_reached(name: str) -> None:
    """Also by targets whose blocks have equal singular values, of which the least is kept."""
    architecture = ARCHITECTURES[name]
    rng = np.random.default_rng(6)
    m, n = architecture.shape
    flat = np.linalg.qr(rng.standard_normal((max(m, n), max(m, n))))[0][:m, :n]
    shuffled = np.eye(max(m, n))[rng.permutation(max(m, n))][:m, :n]
    for target in (flat, shuffled, rng.standard_normal((m, n))):
        for dtype in (np.float32, np.float64):
            problem = so.ButterflyFactorization(target.astype(dtype), architecture)
            answer = so.solve(problem, "hierarchical_numpy", check=False, bounds="never").answer
            found = problem.compare(answer)
            assert found.error.low() <= found.guaranteed


@pytest.mark.parametrize("name", ["dyadic", "monarch", "outer and inner", "low rank"])
@pytest.mark.parametrize("dtypes", [("float64", "complex128"), ("complex64", "float64")])
def test_real_and_complex_numbers_mix_and_no_target_is_overwritten(
    name: str, dtypes: tuple[str, str]
) -> None:
    architecture = ARCHITECTURES[name]
    rng = np.random.default_rng(1)
    product = random_product(architecture, rng, np.dtype(dtypes[1]))
    matrix = rng.standard_normal(architecture.shape).astype(dtypes[0])
    square = squared_difference(rational(matrix), exact_product(product))
    for kind, target in kinds(matrix):
        found = so.ButterflyFactorization(target, architecture).compare(product)
        assert encloses(found.error, square), kind
        if kind != "operator":
            assert np.array_equal(np.asarray(target), matrix), kind


@pytest.mark.parametrize("power", [-900, -450, 0, 450, 900])
def test_small_entries_outside_keep_their_scale(power: int) -> None:
    """Beside large entries inside, whose square alone is a float, those outside square to 0."""
    inside, outside = 2.0**power, 2.0 ** (power - 600)
    target = np.array([[inside, outside], [outside, inside]])
    chain = so.Architecture([(2, 1, 1, 1)])
    proof = so.solve(so.ButterflyFactorization(target, chain)).certificate.with_bounds()
    assert so.verify(proof).ok
    (low, high), *_ = proof.split_errors
    assert low <= outside * math.sqrt(2) <= high
    assert proof.upper_bound >= outside
