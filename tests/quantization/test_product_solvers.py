"""Solvers of quantized products: none is worse than it says; compiled passes give the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sparseopt as so

CHAIN = [(1, 3, 2, 4), (2, 2, 2, 2), (4, 2, 3, 1)]
LONG = [(1, 2, 2, 8), (2, 2, 3, 4), (6, 2, 1, 2), (6, 2, 2, 1)]
METHODS = ("nearest", "pairwise", "left_to_right", "right_to_left", "swept")


def product(patterns: Any, seed: int = 0, dtype: Any = np.float64) -> so.KroneckerProduct:
    """Return a random product."""
    rng = np.random.default_rng(seed)
    architecture = so.Architecture(patterns)
    factors = []
    for p in architecture:
        values = rng.standard_normal(p.values_shape)
        if np.dtype(dtype).kind == "c":
            values = values + 1j * rng.standard_normal(p.values_shape)
        factors.append(values.astype(dtype))
    return so.KroneckerProduct(factors, architecture)


def certificate(
    given: so.KroneckerProduct, form: Any, method: str | None = None, **more: Any
) -> Any:
    """Return the certificate of the answer, which the core has accepted."""
    solution = so.solve(so.ProductQuantization(given, form), method, **more)
    assert solution.status is so.Status.VERIFIED
    return solution.certificate


@pytest.mark.parametrize("patterns", [CHAIN, LONG, so.Architecture.square_dyadic(32)])
@pytest.mark.parametrize("digits", [1, 3, 8, 14, 30])
def test_no_solver_is_worse_than_it_says(patterns: Any, digits: int) -> None:
    found = {m: certificate(product(patterns), digits, m).relative_error for m in METHODS}
    weighted = certificate(product(patterns), digits, "left_to_right", weighted=True)
    first = min(found["nearest"], found["pairwise"], weighted.relative_error)
    assert found["swept"] <= first * (1 + 1e-9)


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("patterns", [CHAIN, LONG, so.Architecture.square_dyadic(16)])
@pytest.mark.parametrize("digits", [2, 6, 40])
def test_compiled_and_numpy_give_the_same_bits(method: str, patterns: Any, digits: int) -> None:
    pytest.importorskip("numba", reason="compares the compiled passes with NumPy")
    given = product(patterns, 3)
    holes = [np.array(f) for f in given.factors]
    holes[1][0, :, 0, 0] = 0.0
    holes[0][0, 0, :, 0] = 0.0
    for each in (given, so.KroneckerProduct(holes, given.architecture)):
        answers = [
            certificate(each, digits, method, compiled=compiled).answer.factors
            for compiled in (True, False)
        ]
        for one, other in zip(*answers, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("digits", [2, 6])
def test_pairs_of_an_even_chain_are_the_best_ones(digits: int) -> None:
    """Each pair as exact as a product of its own, also where values are of very different sizes."""
    rng = np.random.default_rng(1)
    given = product(so.Architecture.square_dyadic(16))
    wide = [f * 10.0 ** rng.uniform(-3, 3, f.shape) for f in given.factors]
    given = so.KroneckerProduct(wide, given.architecture)
    factors: list[np.ndarray] = []
    for place in (0, 2):
        pair = so.KroneckerProduct(wide[place : place + 2], given.architecture[place : place + 2])
        factors += certificate(pair, digits, "two_factors").answer.factors
    expected = so.ProductQuantization(given, digits).evaluate(
        so.KroneckerProduct(factors, given.architecture)
    )["relative_error"]
    found = certificate(given, digits, "pairwise").relative_error
    assert found == pytest.approx(expected, rel=1e-9)
