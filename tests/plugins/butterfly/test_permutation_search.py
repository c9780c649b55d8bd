"""The steps of the search for orders, each against brute force."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from sparseopt_butterfly.permutation_search import (
    OrderSearch,
    _Columns,
    _lines,
    _match,
    _match_rest,
    _pair_errors,
    _sides,
)

import sparseopt as so

DTYPES = [np.float64, np.complex128]


def drawn(classes: int, m: int, dtype: type, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    entries = rng.standard_normal((classes, m, m)) + 1j * rng.standard_normal((classes, m, m))
    return (entries if dtype is np.complex128 else entries.real).astype(dtype)


def random_halves(classes: int, m: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.array([rng.permutation(np.arange(m) % 2) for _ in range(classes)], dtype=np.int8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pair_errors_are_those_of_singular_values(dtype: type) -> None:
    entries, halves = drawn(3, 8, dtype), random_halves(3, 8)
    errors = _pair_errors(entries, halves)
    for p, q in [(0, 1), (5, 2), (7, 6)]:
        squared = 0.0
        for c in range(3):
            for h in (0, 1):
                couple = entries[c][[p, q]][:, halves[c] == h]
                squared += np.linalg.svd(couple, compute_uv=False)[1] ** 2
        assert errors[p, q] == pytest.approx(squared)


@pytest.mark.parametrize("dtype", DTYPES)
def test_lines_are_top_singular_vectors(dtype: type) -> None:
    entries, halves = drawn(2, 8, dtype), random_halves(2, 8)
    entries[0, :2] = 0
    pairs = np.array([[0, 1], [2, 5], [3, 4]])
    for h, side in enumerate(_sides(halves)):
        v, w = _lines(entries, pairs, side)
        np.testing.assert_allclose(np.abs(v) ** 2 + np.abs(w) ** 2, 1.0)
        for c in range(2):
            for k, (p, q) in enumerate(pairs):
                couple = entries[c][[p, q]][:, halves[c] == h]
                made = couple[0] * v[c, k] + couple[1] * w[c, k]
                best = np.linalg.svd(couple, compute_uv=False)[0]
                assert np.linalg.norm(made) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_errors_of_two_lines_are_those_of_the_halves_found(dtype: type) -> None:
    """Two lines through given halves leave the second singular values."""
    entries = drawn(2, 8, dtype)
    columns = _Columns(entries, {})
    errors = columns.errors(3)
    for q in (0, 6):
        halves = columns.halves(3, q)
        assert halves.sum(axis=1).tolist() == [4, 4]
        assert errors[q] == pytest.approx(_pair_errors(entries, halves)[3, q])


def test_two_exact_lines_are_told_apart() -> None:
    rng = np.random.default_rng(2)
    halves = random_halves(1, 16)
    column = rng.standard_normal(16)
    entries = rng.standard_normal((1, 16, 16))
    entries[0, 4], entries[0, 9] = column, column * np.where(halves[0] == 0, 0.5, -2.0)
    columns = _Columns(entries, {})
    errors = columns.errors(4)
    errors[4] = np.inf
    assert errors.argmin() == 9
    found = columns.halves(4, 9)
    assert np.array_equal(found, halves) or np.array_equal(found, 1 - halves)


@pytest.mark.parametrize("size", [2, 4, 10, 30])
def test_a_matching_is_perfect_and_near_the_least_cost(size: int) -> None:
    rng = np.random.default_rng(size)
    cost = rng.random((size, size))
    cost = cost + cost.T
    np.fill_diagonal(cost, 1e6)
    pairs = _match_rest(cost)
    assert sorted(pairs.ravel().tolist()) == list(range(size))
    graph = nx.Graph()
    for p in range(size):
        for q in range(p):
            graph.add_edge(p, q, weight=cost[p, q])
    least = sum(cost[p, q] for p, q in nx.min_weight_matching(graph))
    found = sum(cost[p, q] for p, q in pairs)
    assert least <= found + 1e-12
    assert found <= 1.5 * least


def test_mutual_best_partners_are_matched() -> None:
    rng = np.random.default_rng(0)
    partner = rng.permutation(12).reshape(-1, 2)
    errors = 1 + rng.random((12, 12))
    errors = errors + errors.T
    for p, q in partner:
        errors[p, q] = errors[q, p] = 0.1
    pairs = _match(errors, np.ones(12), 0.0)
    assert pairs.tolist() == sorted(sorted(pair) for pair in partner.tolist())


def test_what_is_known_of_one_floor_serves_the_next() -> None:
    rng = np.random.default_rng(0)
    search = OrderSearch(rng.standard_normal((16, 16)), 8, so.Context())
    first = search.orders(0.1)
    fresh = OrderSearch(search.data[0].T, 8, so.Context()).orders(0.03)
    again = search.orders(0.03)
    for one, two in zip(fresh, again, strict=True):
        np.testing.assert_array_equal(one, two)
    for order in first:
        assert sorted(order.tolist()) == list(range(16))
