"""Complex vectors and products in few bits: brute force, real reductions, published figures."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.quantization.chain_error import relative_error

CHAIN = [(1, 3, 2, 4), (2, 2, 2, 2), (4, 2, 3, 1)]
METHODS = ("nearest", "pairwise", "left_to_right", "right_to_left", "swept")
CROQUANT = {2: (0.116, 0.0718), 3: (0.0438, 0.0250), 4: (0.0165, 0.00947)}
"""Relative errors for n = 256 over t: pairwise, left to right (hal-05520926, result arrays)."""


def vector(rng: np.random.Generator, length: int) -> np.ndarray:
    """Return a complex normal vector."""
    found: np.ndarray = rng.standard_normal(length) + 1j * rng.standard_normal(length)
    return found


def product(patterns: Any, seed: int = 0, dtype: Any = np.complex128) -> so.KroneckerProduct:
    """Return a random complex product."""
    rng = np.random.default_rng(seed)
    architecture = so.Architecture(patterns)
    shapes = [p.values_shape for p in architecture]
    factors = [vector(rng, math.prod(s)).reshape(s).astype(dtype) for s in shapes]
    return so.KroneckerProduct(factors, architecture)


def solved(problem: Any, method: str | None = None, **options: Any) -> Any:
    """Return the certificate of an answer that the core has accepted."""
    solution = so.solve(problem, method, **options)
    assert solution.status is so.Status.VERIFIED
    assert so.verify(so.from_json(so.to_json(solution))).ok
    return solution.certificate


def dense_error(one: Any, other: Any) -> float:
    """Return the relative error of a matrix."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(one))


def brute_force(x: np.ndarray, y: np.ndarray, t: int) -> float:
    """Return the least relative error over all u with parts of five octaves."""
    half = 1 << (t - 1)
    positive = [k * 2.0**e / half for e in range(-4, 1) for k in range(half, 2 * half)]
    grid = [0.0, *positive, *(-p for p in positive)]
    parts = np.array(list(itertools.product(grid, repeat=2 * len(x))))
    u = parts[:, ::2] + 1j * parts[:, 1::2]
    u = u[np.abs(u).any(axis=1)]
    square = (np.abs(u) ** 2).sum(axis=1)
    wanted = ((u.conj() * x).sum(axis=1) / square)[:, None] * y
    v = so.significand(t).round(wanted)
    apart = u[:, :, None] * v[:, None, :] - np.outer(x, y)
    least = math.sqrt((np.abs(apart) ** 2).sum(axis=(1, 2)).min())
    return least / float(np.linalg.norm(x) * np.linalg.norm(y))


@pytest.mark.parametrize(("lengths", "t"), [((1, 1), 3), ((1, 3), 2), ((2, 2), 1), ((2, 1), 1)])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_better_is_near(lengths: tuple[int, int], t: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (vector(rng, n) for n in lengths)
    found = solved(so.RankOneQuantization(x, y, t, t))
    assert found.relative_error <= brute_force(x, y, t) * (1 + 1e-12)
    assert found.relative_error == pytest.approx(
        dense_error(np.outer(x, y), found.answer.to_dense()), rel=1e-9
    )
    assert found.relative_lower_bound == 0.0
    assert found.accuracy >= found.relative_error


def parts(values: np.ndarray) -> np.ndarray:
    """Return real and imaginary parts, in turn."""
    return np.stack([values.real, values.imag], axis=-1).ravel()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("forms", [(4, 3), (2, 5), ("e4m3", "int8"), (6, None), (None, 6)])
def test_a_real_vector_beside_a_complex_one(forms: Any, seed: int) -> None:
    """As the real vector of its parts, exactly."""
    rng = np.random.default_rng(seed)
    x, y = vector(rng, 2), rng.standard_normal(3)
    weights = [0.5, 2.0]
    for turned in (False, True):
        data = (y, x, *forms[::-1], None, weights) if turned else (x, y, *forms, weights, None)
        many = np.repeat(weights, 2)
        real = (
            (y, parts(x), *forms[::-1], None, many) if turned else (parts(x), y, *forms, many, None)
        )
        found, known = (solved(so.RankOneQuantization(*d)) for d in (data, real))
        assert found.relative_error == known.relative_error
        assert found.accuracy < 1e-12


def test_a_complex_vector_that_is_left() -> None:
    rng = np.random.default_rng(0)
    x, y = vector(rng, 2), vector(rng, 3)
    found = solved(so.RankOneQuantization(x, y, 5, None))
    known = solved(so.RankOneQuantization(parts(x), [1.0], 5, None))
    assert found.relative_error == pytest.approx(known.relative_error, rel=1e-12)
    assert found.accuracy < 1e-12
    np.testing.assert_array_equal(found.answer.v, y)


@pytest.mark.parametrize("powers", [(300, -300), (-290, 100), (300, 300), (-300, -300)])
def test_scales(powers: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    x, y = vector(rng, 2), vector(rng, 2)
    plain = solved(so.RankOneQuantization(x, y, 4, 4, [1.0, 0.3], None)).answer
    moved = so.RankOneQuantization(
        x * 2.0 ** powers[0], y * 2.0 ** powers[1], 4, 4, [1e-200, 0.3e-200], None
    )
    answer = solved(moved).answer
    np.testing.assert_array_equal(answer.u, plain.u * 2.0 ** powers[0])
    np.testing.assert_array_equal(answer.v, plain.v * 2.0 ** powers[1])


@pytest.mark.parametrize("forms", [("e4m3", "e5m2"), ("int8", "int4"), ("e2m1", 6), ("fp16", 4)])
def test_formats_with_a_range(forms: Any) -> None:
    rng = np.random.default_rng(2)
    x, y = 3.0 * vector(rng, 3), 9.0 * vector(rng, 2)
    problem = so.RankOneQuantization(x, y, *forms)
    found = solved(problem)
    assert found.relative_error < 0.7 * found.nearest_relative_error
    # Only the product counts.
    apart = so.RankOneQuantization(x * 1e3, y * 1e-3, "e4m3", "e4m3")
    assert solved(apart).relative_error < 0.02


def test_odd_vectors() -> None:
    zero = solved(so.RankOneQuantization([0j, 0j], [1j], 3, 3))
    assert zero.relative_error == 0.0
    holes = solved(so.RankOneQuantization([0j, 0.3 + 1j, 2.0 + 0j], [1.1j, 0j], 3, 3))
    assert holes.answer.u[0] == holes.answer.v[1] == 0.0
    single = np.array([0.3 + 1j, 2.0], dtype=np.complex64)
    assert solved(so.RankOneQuantization(single[::-1], single, 24, 24)).relative_error < 1e-7
    edge = np.array([1e308 + 1e308j, 1e308])
    assert solved(so.RankOneQuantization(edge, [1e308j, 1.0], 3, 3)).relative_error < 0.02


Format = so.NumberFormat
SCALED: list[tuple[Any, Any]] = [
    (Format("int4", "free"), Format("int4", "free")),
    (Format("int8", "free"), "int8"),
    (3, so.significand(5, "free")),
    (Format("e2m1", "free"), Format("int8", "power_of_two")),
    (Format("int4", "power_of_two"), Format("int4", "power_of_two")),
    (Format("e4m3", "power_of_two"), "e4m3"),
    (3, Format("e2m1", "power_of_two")),
    (so.significand(30, "free"), 30),
]


@pytest.mark.parametrize("pair", SCALED, ids=lambda pair: f"{pair[0]}-{pair[1]}")
@pytest.mark.parametrize("factor", [1.0, 1e300, 1e-300])
def test_formats_with_a_scale(pair: Any, factor: float) -> None:
    rng = np.random.default_rng(0)
    for lengths in ((1, 1), (2, 3)):
        x, y = (vector(rng, n) for n in lengths)
        found = solved(so.RankOneQuantization(x * factor, y, *pair))
        answer = found.answer
        own = answer.to_dense() / factor
        assert found.relative_error == pytest.approx(dense_error(np.outer(x, y), own), rel=1e-6)
        assert found.relative_error < 0.9 * found.nearest_relative_error
    holes = so.RankOneQuantization([0j, 0.3 + 1j], [0j, 2.0 - 1j], *pair, [1.0, 2.0], [3.0, 1.0])
    found = solved(holes)
    assert found.answer.u[0] == found.answer.v[0] == 0.0
    assert solved(so.RankOneQuantization([0j], [1j], *pair)).relative_error == 0.0


@pytest.mark.parametrize("scale", ["free", "power_of_two"])
def test_few_codes_with_a_scale_are_nearly_the_best_ones(scale: str) -> None:
    """Of single numbers in e2m1 all pairs of codes are tried, with the best real scale."""
    rng = np.random.default_rng(1)
    codes = Format("e2m1").positive_numbers()
    grid = np.concatenate([[0.0], codes, -codes])
    all_codes = (grid[:, None] + 1j * grid).ravel()
    products = np.outer(all_codes, all_codes).ravel()
    products = products[products != 0.0]
    for _ in range(4):
        x, y = vector(rng, 1), vector(rng, 1)
        target = (x * y)[0]
        wanted = (target * products.conj()).real / np.abs(products) ** 2
        if scale == "power_of_two":
            low = np.exp2(np.floor(np.log2(np.maximum(wanted, 1e-9))))
            wanted = np.where(wanted - low < 2 * low - wanted, low, 2 * low)
        best = np.abs(target - np.maximum(wanted, 0.0) * products).min() / abs(target)
        form = Format("e2m1", scale)
        found = solved(so.RankOneQuantization(x, y, form, form))
        assert found.relative_error <= 1.5 * best + 2e-16


def test_refusals() -> None:
    with pytest.raises(so.SolveError, match="'rank_one_complex' takes them"):
        so.solve(so.RankOneQuantization([1j], [1j], 3, 3), "rank_one_exact")
    with pytest.raises(so.SolveError, match="two complex vectors"):
        so.solve(so.RankOneQuantization([1.0], [1j], 3, 3), "rank_one_complex")
    with pytest.raises(so.ProblemError, match="x is complex64, which has 24 digits"):
        so.RankOneQuantization(np.ones(2, np.complex64), [1.0], 25, 3)
    with pytest.raises(so.ProblemError, match=r"x has a \(?nan.* at entry \(0,\)"):
        so.RankOneQuantization([complex(math.nan, 1.0)], [1.0], 3, 3)
    with pytest.raises(so.ProblemError, match="weights_y is complex"):
        so.RankOneQuantization([1j], [1.0], 3, 3, None, [1j])


@pytest.mark.parametrize("t", [2, 3, 4])
def test_below_the_published_errors(t: int) -> None:
    """Factors of complex normal matrices; the published errors hardly depend on the size."""
    rng = np.random.default_rng(0)
    target = vector(rng, 64 * 64).reshape(64, 64)
    architecture = so.Architecture.square_dyadic(64)
    given = so.solve(so.ButterflyFactorization(target, architecture)).answer
    problem = so.ProductQuantization(given, t)
    found = [solved(problem, m).relative_error for m in ("pairwise", "left_to_right")]
    assert found[0] < CROQUANT[t][0]
    assert found[1] < 0.9 * CROQUANT[t][1]


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
@pytest.mark.parametrize("digits", [1, 4, 20])
def test_products(digits: int, dtype: Any) -> None:
    given = product(CHAIN, dtype=dtype)
    holes = [np.array(f) for f in given.factors]
    holes[1][0, :, 0, 0] = 0.0
    holes[0][0, 1, 0, 0] = 1j
    for each in (given, so.KroneckerProduct(holes, given.architecture)):
        found = {m: solved(so.ProductQuantization(each, digits), m) for m in METHODS}
        for c in found.values():
            expected = dense_error(each.to_dense(), c.answer.to_dense())
            rounding = 1e-6 if dtype == np.complex64 else 1e-12
            assert c.relative_error == pytest.approx(expected, rel=1e-9, abs=rounding)
            assert c.relative_error <= c.nearest_relative_error
        assert found["swept"].relative_error <= found["pairwise"].relative_error * (1 + 1e-12)
        assert found["swept"].relative_error < 0.8 * found["nearest"].relative_error


@pytest.mark.parametrize("powers", [(300, -300, 17), (-250, -250, -250)])
@pytest.mark.parametrize("method", ["pairwise", "left_to_right", "right_to_left"])
def test_powers_of_two_change_nothing(method: str, powers: Any) -> None:
    given = product(CHAIN)
    factors = [f * 2.0**p for f, p in zip(given.factors, powers, strict=True)]
    moved = so.KroneckerProduct(factors, given.architecture)
    one, other = (so.solve(so.ProductQuantization(g, 3), method) for g in (given, moved))
    for f, g, p in zip(one.answer.factors, other.answer.factors, powers, strict=True):
        np.testing.assert_array_equal(f * 2.0**p, g)


@pytest.mark.parametrize("method", METHODS[1:])
def test_compiled_and_numpy_give_the_same_bits(method: str) -> None:
    pytest.importorskip("numba", reason="compares the compiled passes with NumPy")
    given = product(CHAIN, 3)
    answers = [
        so.solve(so.ProductQuantization(given, 2), method, compiled=c).answer.factors
        for c in (True, False)
    ]
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kinds", ["crr", "rcr", "rcc"])
def test_real_factors_stay_real(kinds: str) -> None:
    given = product(CHAIN)
    pairs = zip(given.factors, kinds, strict=True)
    factors = [np.ascontiguousarray(f.real) if k == "r" else f for f, k in pairs]
    mixed = so.KroneckerProduct(factors, given.architecture)
    for method in METHODS:
        found = solved(so.ProductQuantization(mixed, 4), method)
        assert "".join(f.dtype.kind for f in found.answer.factors).replace("f", "r") == kinds
        assert found.relative_error <= found.nearest_relative_error


@pytest.mark.parametrize("form", ["e4m3", "bf16", "int8", "e2m1"])
def test_products_in_formats_with_a_range(form: str) -> None:
    found = solved(so.ProductQuantization(product(CHAIN, 1), form))
    assert found.relative_error < 0.8 * found.nearest_relative_error


def exact_square(one: so.KroneckerProduct, other: so.KroneckerProduct) -> Fraction:
    """Return the squared relative error from real matrices of rationals, twice as large."""

    def dense(of: so.KroneckerProduct) -> Any:
        whole: Any = None
        for factor, pattern in zip(of.factors, of.architecture, strict=True):
            matrix = pattern.dense(factor)
            real = np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])
            rational = np.vectorize(Fraction, otypes=[object])(real)
            whole = rational if whole is None else whole.dot(rational)
        return whole

    a, b = dense(one), dense(other)
    return ((a - b) ** 2).sum() / (a**2).sum()


@pytest.mark.parametrize("digits", [3, 40])
def test_errors_of_small_products_are_exact(digits: int) -> None:
    given = product(CHAIN)
    for other in (so.ProductQuantization(given, digits).nearest(), product(CHAIN, 1)):
        figure = relative_error(given, other)
        exact = exact_square(given, other)
        assert figure.room == 0.0
        assert Fraction(figure.value) ** 2 >= exact
        assert figure.value == pytest.approx(math.sqrt(exact), rel=1e-14)
