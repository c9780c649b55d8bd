"""Patterns: every rule against dense supports."""

from __future__ import annotations

import itertools
from functools import reduce

import numpy as np
import pytest

import sparseopt as so

SMALL = [so.KroneckerPattern(*abcd) for abcd in itertools.product((1, 2, 3), repeat=4)]


def dense(pattern: so.KroneckerPattern) -> np.ndarray:
    """The definition, by Kronecker products."""
    a, b, c, d = pattern
    return reduce(np.kron, (np.eye(a), np.ones((b, c)), np.eye(d))).astype(bool)


@pytest.mark.parametrize("pattern", SMALL[::7], ids=lambda p: str(tuple(p)))
def test_support_is_the_kronecker_product(pattern: so.KroneckerPattern) -> None:
    assert np.array_equal(pattern.support(), dense(pattern))
    assert pattern.shape == dense(pattern).shape
    assert pattern.nnz == dense(pattern).sum()
    assert np.array_equal(pattern.transpose.support(), dense(pattern).T)


@pytest.mark.parametrize("pattern", SMALL[::11], ids=lambda p: str(tuple(p)))
def test_values_stand_where_the_index_map_says(pattern: so.KroneckerPattern) -> None:
    a, b, c, d = pattern
    values = np.arange(1.0, pattern.nnz + 1).reshape(pattern.values_shape)
    matrix = pattern.dense(values)
    for i, j, k, h in np.ndindex(a, b, c, d):
        assert matrix[i * b * d + j * d + h, i * c * d + k * d + h] == values[i, j, k, h]
    assert np.count_nonzero(matrix) == pattern.nnz
    assert np.array_equal(pattern.sparse(values).toarray(), matrix)


def test_chainable_pairs_are_those_whose_support_product_is_one_pattern_times_a_rank() -> None:
    chainable = 0
    for one, two in itertools.product(SMALL, repeat=2):
        if one.shape[1] != two.shape[0]:
            assert "columns" in one.why_not_chainable(two)
            continue
        if not one.is_chainable_with(two):
            assert one.why_not_chainable(two)
            continue
        chainable += 1
        counts = dense(one).astype(int) @ dense(two).astype(int)
        assert np.array_equal(counts, one.rank_with(two) * dense(one.product(two)))
    assert chainable > 100


def test_product_is_associative() -> None:
    done = 0
    for one, two in itertools.product(SMALL, repeat=2):
        if not one.is_chainable_with(two):
            continue
        for three in SMALL[::5]:
            if two.is_chainable_with(three):
                left = one.product(two).product(three)
                assert left == one.product(two.product(three))
                done += 1
    assert done > 50


def test_the_condition_that_fails_is_named() -> None:
    p = so.KroneckerPattern
    assert "a = 2" in p(2, 1, 3, 1).why_not_chainable(p(3, 2, 1, 1))
    assert "d = 2" in p(1, 1, 2, 3).why_not_chainable(p(1, 3, 1, 2))
    assert "3/2" in p(1, 1, 3, 2).why_not_chainable(p(2, 3, 1, 1))
    assert "4 columns" in p(1, 1, 4, 1).why_not_chainable(p(1, 3, 1, 1))
    with pytest.raises(so.ProblemError, match="not chainable"):
        p(2, 1, 3, 1).product(p(3, 2, 1, 1))


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "2", None])
def test_bad_numbers_are_refused_by_name(bad: object) -> None:
    with pytest.raises(so.ProblemError, match="c must be a positive integer"):
        so.KroneckerPattern(1, 1, bad, 1)  # type: ignore[arg-type]


def test_numpy_integers_become_integers_and_json_keeps_them() -> None:
    pattern = so.KroneckerPattern(*np.array([1, 2, 3, 4]))
    assert all(type(n) is int for n in pattern)
    assert so.from_json(so.to_json(pattern)) == pattern
