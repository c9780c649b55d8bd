"""Powers of two that fit products into formats: casts, shortest paths of networkx, cycles."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import networkx as nx
import numpy as np
import pytest

import sparseopt as so

CASTS: dict[str, Any] = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
}


def butterfly(rng: np.random.Generator, n: int, spread: int, least: float) -> so.KroneckerProduct:
    """Return a product of normal entries, none below `least`, scaled at random at each cut."""
    architecture = so.Architecture.square_dyadic(n)
    factors = []
    for pattern in architecture:
        values = rng.standard_normal(pattern.values_shape)
        factors.append(np.copysign(np.maximum(np.abs(values), least), values))
    problem = so.ExponentFitting(so.KroneckerProduct(factors, architecture), None)
    powers = [rng.integers(-spread, spread + 1, n) for _ in architecture][:-1]
    return problem.scaled(tuple(powers))


@pytest.mark.parametrize("name", list(CASTS))
def test_casts_only_lose_digits(name: str) -> None:
    product = butterfly(np.random.default_rng(0), 64, 12, 0.02)
    solution = so.fit_exponents(product, name)
    assert solution.answer.value == "fits"
    assert solution.status is so.Status.VERIFIED
    scaled = solution.answer.product
    assert scaled is not None
    digits = so.significand(so.NumberFormat(name).digits)
    for factor, before in zip(scaled.factors, product.factors, strict=True):
        cast = factor.astype(np.float32).astype(CASTS[name]).astype(np.float64)
        assert np.array_equal(cast, digits.round(factor))
        assert np.array_equal(np.frexp(factor)[0], np.frexp(before)[0])
    assert np.array_equal(scaled.to_dense(), product.to_dense())


def exact(product: so.KroneckerProduct) -> list[list[Fraction]]:
    """Return the matrix in rationals."""
    whole: Any = None
    for factor, pattern in zip(product.factors, product.architecture, strict=True):
        matrix = np.vectorize(Fraction, otypes=[object])(pattern.dense(factor))
        whole = matrix if whole is None else whole @ matrix
    found: list[list[Fraction]] = whole.tolist()
    return found


@pytest.mark.parametrize("name", ["e4m3", "e5m2", "e2m3", "e3m2", "int8", "int4"])
def test_shortest_paths_of_networkx_agree(name: str) -> None:
    """On small chains: there are powers if and only if no cycle of the graph is negative."""
    rng = np.random.default_rng(1)
    fitting = 0
    for trial in range(24):
        product = butterfly(rng, 4, 3, 0.3 if trial % 2 else 0.01)
        if trial % 3 == 0:
            factors = [np.where(rng.random(f.shape) < 0.4, 0.0, f) for f in product.factors]
            product = so.KroneckerProduct(factors, product.architecture)
        if name.startswith("int"):
            factors = [np.round(f * 2.0) / 4.0 for f in product.factors]
            product = so.KroneckerProduct(factors, product.architecture)
        problem = so.ExponentFitting(product, name)
        solution = so.solve(problem)
        assert solution.status is so.Status.VERIFIED
        is_negative = nx.negative_edge_cycle(problem.graph())
        assert (solution.answer.value == "does_not_fit") == is_negative
        fitting += not is_negative
        if solution.answer.product is not None:
            assert exact(solution.answer.product) == exact(product)
    assert fitting


def test_ranges_are_where_casts_keep_all_digits() -> None:
    """Entry by entry, by rounding: the hardware format and its digits alone agree within."""
    rng = np.random.default_rng(2)
    for name in ("e4m3", "e5m2", "e2m1", "int4", "fp16"):
        form = so.NumberFormat(name)
        values = np.append(rng.standard_normal(30) * 4.0, [1.0, 0.75, form.largest, 0.9999])
        factor = values.reshape(1, 1, -1, 1)
        product = so.KroneckerProduct([factor], [(1, 1, len(values), 1)])
        least, most = so.ExponentFitting(product, name).ranges[0]
        for value, low, high in zip(values, least.ravel(), most.ravel(), strict=True):
            digits = so.significand(form.digits)
            for k in range(int(low) - 3, int(high) + 4):
                moved = math.ldexp(value, k)
                agrees = bool(form.round(moved, "saturate") == digits.round(moved))
                # A number that is rounded up to the largest's power may be cut to the largest.
                assert agrees == (low <= k <= high)


def test_products_that_fit_stay_as_they_are() -> None:
    product = butterfly(np.random.default_rng(3), 8, 0, 0.5)
    for form in ("e4m3", None, 5, ["e4m3", None, 7]):
        answer = so.fit_exponents(product, form).answer
        assert all(not p.any() for p in answer.powers)
        assert answer.product is not None
        assert all(
            np.array_equal(a, b)
            for a, b in zip(answer.product.factors, product.factors, strict=True)
        )


def test_a_cycle_names_the_entries() -> None:
    first, second = np.ones((1, 2, 2, 1)), np.ones((1, 2, 2, 1))
    first[0, 0, 1, 0], second[0, 1, 0, 0] = 1e-5, 1e5
    first[0, 1, 1, 0] = 2.0
    product = so.KroneckerProduct([first, second], [(1, 2, 2, 1), (1, 2, 2, 1)])
    solution = so.fit_exponents(product, "e4m3")
    assert solution.answer.value == "does_not_fit"
    assert solution.answer.product is None
    assert "entry (0, 0, 1, 0) of factor 0" in solution.certificate.claim
    assert so.fit_exponents(product, "fp16").answer.value == "fits"
    assert so.ExponentFitting(product, "e4m3").evaluate(solution.answer)["misfits"] == 8.0


def test_kinds_of_factors() -> None:
    rng = np.random.default_rng(4)
    product = butterfly(rng, 8, 9, 0.1)
    architecture = product.architecture
    single = so.KroneckerProduct([f.astype(np.float32) for f in product.factors], architecture)
    answer = so.fit_exponents(single, "e4m3").answer
    assert answer.product is not None
    assert answer.product.dtype == np.float32
    both = so.KroneckerProduct([f * (1 - 0.25j) for f in product.factors], architecture)
    fitted = so.fit_exponents(both, "e5m2").answer.product
    assert fitted is not None
    for factor in fitted.factors:
        for part in (factor.real, factor.imag):
            assert np.array_equal(
                so.NumberFormat("e5m2").round(part), so.significand(3).round(part)
            )
    zeros = so.KroneckerProduct([np.zeros(p.values_shape) for p in architecture], architecture)
    assert so.fit_exponents(zeros, "int4").answer.value == "fits"
    one = so.KroneckerProduct([np.full((1, 1, 1, 1), 1000.0)], [(1, 1, 1, 1)])
    assert so.fit_exponents(one, "e4m3").answer.value == "does_not_fit"
    assert so.fit_exponents(one, "e5m2").answer.value == "fits"


def test_huge_exponents() -> None:
    first, second = np.full((1, 1, 2, 1), 1e300), np.full((1, 2, 1, 1), 1e-300)
    product = so.KroneckerProduct([first, second], [(1, 1, 2, 1), (1, 2, 1, 1)])
    answer = so.fit_exponents(product, "e4m3").answer
    assert answer.value == "fits"
    tiny = np.full((1, 1, 2, 1), 5e-324)
    for ones, value in ((2.0**-5, "fits"), (0.1, "does_not_fit")):
        # A tenth has too many digits for what is left of the range of float64.
        least = so.KroneckerProduct([tiny, np.full((1, 2, 1, 1), ones)], product.architecture)
        assert so.fit_exponents(least, ["e4m3", None]).answer.value == value
        assert so.fit_exponents(least, "e4m3").answer.value == "does_not_fit"


def test_bad_input() -> None:
    product = butterfly(np.random.default_rng(5), 4, 0, 0.5)
    with pytest.raises(so.ProblemError, match="KroneckerProduct"):
        so.fit_exponents(np.eye(2), "e4m3")  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match="3 formats were given for 2"):
        so.fit_exponents(product, ["e4m3"] * 3)
    with pytest.raises(so.ProblemError, match="with a scale"):
        so.fit_exponents(product, so.NumberFormat("int4", "free"))
    with pytest.raises(so.UnknownNameError):
        so.fit_exponents(product, "e9m9")
    for dtype in (np.float16, np.longdouble):
        wide = so.KroneckerProduct([np.ones((1, 1, 2, 1), dtype)], [(1, 1, 2, 1)])
        with pytest.raises(so.ProblemError, match="factor 0 has dtype float"):
            so.fit_exponents(wide, "e4m3")
    with pytest.raises(so.ProblemError, match="vectors of integers"):
        so.ExponentFit("fits", (np.zeros(2),))
    with pytest.raises(so.ProblemError, match="value must be"):
        so.ExponentFit("perhaps")


def test_the_time_limit_is_kept() -> None:
    product = butterfly(np.random.default_rng(6), 64, 12, 0.02)
    with pytest.raises(so.SolveError, match="time limit"):
        so.solve(so.ExponentFitting(product, "e4m3"), time_limit=1e-9)
