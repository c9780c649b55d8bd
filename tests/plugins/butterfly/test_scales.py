"""Every engine at every magnitude: relative errors do not depend on the scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import sparseopt as so

ARCHITECTURES = {
    "dyadic": so.Architecture.square_dyadic(8),
    "blocks of three rows": so.Architecture.monarch(12, 20, 3, 4),
    "rank two": so.Architecture([(1, 3, 4, 6), (2, 12, 5, 1)]),
    "outer and inner": so.Architecture([(2, 2, 2, 6), (4, 2, 2, 3)]),
    "one factor": so.Architecture([(3, 2, 4, 2)]),
    "redundant": so.Architecture([(1, 2, 2, 2), (2, 2, 8, 1)]),
}
ENGINES: dict[str, dict[str, Any]] = {
    "hierarchical_numpy": {},
    "hierarchical_numba": {},
    "hierarchical_torch": {},
    "butterfly_alternating": {"sweeps": 20},
    "butterfly_adam": {"iterations": 60},
}
NEEDS = {
    "hierarchical_numba": "numba",
    "hierarchical_torch": "torch",
    "butterfly_adam": "torch",
}
SUPPORTS = {
    "block_svd": [np.ones((4, 2), bool), np.ones((2, 5), bool)],
    "alternating_least_squares": [np.tri(3, dtype=bool), np.tri(3, dtype=bool).T],
    "gradient_descent": [np.tri(3, dtype=bool), np.tri(3, dtype=bool).T],
}
# From subnormal numbers to where the norm is still a float.
RANGES = {"float32": (-126, 120), "float64": (-1010, 1015)}


def gaussian(shape: tuple[int, int], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        drawn = drawn + 1j * rng.standard_normal(shape)
    return drawn.astype(dtype)


def times(target: np.ndarray, exponent: int) -> np.ndarray:
    """Return the target times 2**exponent, exactly."""
    half = exponent // 2
    return (target * 2.0**half) * 2.0 ** (exponent - half)


def relative_error(engine: str, name: str, dtype: str, exponent: int) -> float:
    """Return what an engine leaves of a Gaussian target times a power of two."""
    if engine in NEEDS:
        pytest.importorskip(NEEDS[engine])
    architecture = ARCHITECTURES[name]
    target: Any = times(gaussian(architecture.shape, dtype), exponent)
    if engine == "hierarchical_torch":
        import torch

        target = torch.from_numpy(target)
    problem = so.ButterflyFactorization(target, architecture)
    solution = so.solve(problem, engine, **ENGINES[engine])
    assert solution.status is so.Status.VERIFIED
    assert str(solution.answer.dtype).rpartition(".")[2] == dtype
    return solution.certificate.relative_error


def least(dtype: str) -> tuple[int, int]:
    return RANGES["float32" if dtype in ("float32", "complex64") else "float64"]


def agree(one: float, other: float, dtype: str) -> bool:
    """Whether two relative errors are equal up to a few roundings."""
    eps = float(np.finfo(dtype).eps)
    return math.isclose(one, other, rel_tol=64 * eps, abs_tol=8 * eps)


@pytest.mark.parametrize("engine", [e for e in ENGINES if e != "butterfly_adam"])
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_few_scales(engine: str, name: str, dtype: str) -> None:
    low, high = least(dtype)
    plain = relative_error(engine, name, dtype, 0)
    # 1e10 .. 1e14 and 1e80 .. 1e120, where fourth powers overflow, among them.
    middle = (33, 40, 46) if dtype == "float32" else (266, 330, 398)
    for exponent in (low, -middle[1], *middle, high):
        assert agree(relative_error(engine, name, dtype, exponent), plain, dtype), exponent


@pytest.mark.parametrize("engine", ENGINES)
def test_one_scale_of_complex_numbers(engine: str) -> None:
    plain = relative_error(engine, "rank two", "complex128", 0)
    for exponent in (-1000, 1000):
        found = relative_error(engine, "rank two", "complex128", exponent)
        assert agree(found, plain, "complex128")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(ARCHITECTURES)), st.floats(0.0, 1.0))
def test_every_scale(engine: str, dtype: str, name: str, place: float) -> None:
    low, high = least(dtype)
    exponent = low + round(place * (high - low))
    plain = relative_error(engine, name, dtype, 0)
    assert agree(relative_error(engine, name, dtype, exponent), plain, dtype)


def supported_error(engine: str, dtype: str, exponent: int) -> tuple[float, str]:
    """Return what an engine leaves of a target with fixed supports, and what it says of it."""
    left, right = SUPPORTS[engine]
    target = times(gaussian((left.shape[0], right.shape[1]), dtype), exponent)
    problem = so.FixedSupportFactorization(target, [left, right])
    options = {} if engine == "block_svd" else {"restarts": 2}
    solution = so.solve(problem, engine, **options)
    assert solution.answer.left.dtype == np.dtype(dtype)
    return solution.certificate.relative_error, solution.answer.attainment


@pytest.mark.parametrize("engine", SUPPORTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_few_scales_of_fixed_supports(engine: str, dtype: str) -> None:
    low, high = least(dtype)
    plain, attainment = supported_error(engine, dtype, 0)
    for exponent in (low, low // 2, high // 2, high):
        found, words = supported_error(engine, dtype, exponent)
        assert agree(found, plain, dtype)
        assert words == attainment


@pytest.mark.slow
@pytest.mark.parametrize("engine", SUPPORTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@settings(max_examples=25, deadline=None)
@given(st.floats(0.0, 1.0))
def test_every_scale_of_fixed_supports(engine: str, dtype: str, place: float) -> None:
    if engine == "gradient_descent" and dtype.startswith("complex"):
        return
    low, high = least(dtype)
    plain, attainment = supported_error(engine, dtype, 0)
    found, words = supported_error(engine, dtype, low + round(place * (high - low)))
    assert agree(found, plain, dtype)
    assert words == attainment


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("exponent", [-1000, -500, 500, 1000])
def test_unknown_orders_at_far_scales(dtype: type, exponent: int) -> None:
    from sparseopt.tools.random_products import random_product

    rng = np.random.default_rng(1)
    dyadic = so.Architecture.square_dyadic(8)
    target = random_product(dyadic, rng, dtype).to_dense()[rng.permutation(8)]
    problem = so.ButterflyFactorization(times(target, exponent), dyadic, "unknown")
    assert so.solve(problem).certificate.relative_error < 1e-14


@pytest.mark.parametrize("engine", ["hierarchical_numpy", "hierarchical_numba"])
@pytest.mark.parametrize("tiny", [1e-300, 1e-170, 1e-100, 1e-30, 1e-12, 1e-9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_far_smaller_than_the_others(engine: str, tiny: float, dtype: str) -> None:
    """Their squares underflow; they must neither break the engine nor spoil the rest."""
    if engine in NEEDS:
        pytest.importorskip(NEEDS[engine])
    for name in ("dyadic", "blocks of three rows", "rank two"):
        architecture = ARCHITECTURES[name]
        target = gaussian(architecture.shape, "float64")
        target[: len(target) // 2, : target.shape[1] // 2] *= tiny
        target[:, -1] *= tiny
        problem = so.ButterflyFactorization(target.astype(dtype), architecture)
        certificate = so.solve(problem, engine, bounds="always").certificate
        eps = float(np.finfo(dtype).eps)
        assert certificate.error <= certificate.upper_bound + 64 * eps * problem.norm


@pytest.mark.parametrize("scale", [5e-324, 1e-320, 1e-310])
@pytest.mark.parametrize("engine", ["hierarchical_numpy", "butterfly_alternating"])
def test_subnormal_targets_are_answered_honestly(scale: float, engine: str) -> None:
    dyadic = ARCHITECTURES["dyadic"]
    target = np.round(gaussian(dyadic.shape, "float64") * 9) * scale
    solution = so.solve(so.ButterflyFactorization(target, dyadic), engine)
    dense = solution.answer.to_dense()
    assert np.isfinite(dense).all()
    assert solution.certificate.error >= np.abs(target - dense).max()
    supports = so.FixedSupportFactorization(target, [np.ones((8, 8)), np.ones((8, 8))])
    found = so.solve(supports)
    assert found.answer.attainment == "attained"
    assert found.certificate.error <= 64 * 5e-324


def test_a_norm_beyond_the_range_of_floats_is_refused_in_one_sentence() -> None:
    big = np.full((4, 4), 1.7e308)
    with pytest.raises(so.ProblemError, match="norm of the target is beyond the range of floats"):
        so.ButterflyFactorization(big, so.Architecture.square_dyadic(4))
    with pytest.raises(so.ProblemError, match="norm of the target is beyond the range of floats"):
        so.FixedSupportFactorization(big, [np.ones((4, 1)), np.ones((1, 4))])
    # In single precision the norm is not a float of that precision, and nothing is wrong with it.
    single = np.full((4, 4), 3.0e38, np.float32)
    problem = so.ButterflyFactorization(single, so.Architecture.square_dyadic(4))
    assert so.solve(problem, "hierarchical_numpy").certificate.relative_error < 1e-6


@pytest.mark.parametrize("power", [-480, -600, 400, 520])
def test_products_are_targets_in_every_range(power: int) -> None:
    """Each of two factors is scaled: what they multiply to may leave the range, or be 0 in it."""
    architecture = so.Architecture.square_dyadic(4)
    rng = np.random.default_rng(0)
    shapes = [(p.a, p.b, p.c, p.d) for p in architecture]
    factors = [rng.standard_normal(shape) * 2.0**power for shape in shapes]
    product = so.KroneckerProduct(factors, architecture)
    if power > 500:
        with pytest.raises(so.ProblemError, match="norm of the target is beyond the range"):
            so.ButterflyFactorization(product, architecture)
        return
    solution = so.solve(so.ButterflyFactorization(product, architecture), "hierarchical_numpy")
    assert so.verify(solution).ok
    plain = so.KroneckerProduct([f / 2.0**power for f in factors], architecture)
    unit = [np.ldexp(f, -power) for f in solution.answer.factors]
    found = so.KroneckerProduct(unit, architecture)
    assert np.allclose(found.toarray(), plain.toarray(), atol=1e-12)


def test_a_product_of_tensors_is_a_target() -> None:
    architecture = so.Architecture.square_dyadic(4)
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal((p.a, p.b, p.c, p.d)) for p in architecture]
    tensors = so.KroneckerProduct([torch.from_numpy(f) for f in factors], architecture)
    found = so.solve(so.ButterflyFactorization(tensors, architecture), "hierarchical_numpy")
    assert found.certificate.relative_error < 1e-14


@pytest.mark.parametrize("largest", [1.7e308, 1e308])
def test_a_target_near_the_largest_float_is_judged_in_other_units(largest: float) -> None:
    target = np.diag([largest, 0.0, 0.0, 0.0])
    problem = so.ButterflyFactorization(target, so.Architecture.square_dyadic(4))
    solution = so.solve(problem, "hierarchical_numpy")
    assert solution.certificate.relative_error < 1e-15
    np.testing.assert_allclose(solution.answer.to_dense(), target, rtol=1e-15)
