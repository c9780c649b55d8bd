"""Exact linear algebra, against sympy and by construction."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import sympy

from sparseopt.judging.exact import (
    PRIME,
    counts,
    eliminate,
    eliminate_integers,
    rank,
    rank_modulo,
    residues,
)


def test_the_prime() -> None:
    assert sympy.isprime(PRIME)
    assert sympy.nextprime(PRIME) == 2**31 - 1


@pytest.mark.parametrize("seed", range(30))
def test_rank_and_reduced_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n, inner = (int(v) for v in rng.integers(1, 6, 3))
    integers = rng.integers(-50, 51, (m, inner)) @ rng.integers(-50, 51, (inner, n))
    rows = [[Fraction(int(v), int(rng.integers(1, 9))) for v in row] for row in integers]
    expected = sympy.Matrix(m, n, lambda i, j: sympy.Rational(str(rows[i][j])))
    reduced, pivots = expected.rref()
    work = [list(row) for row in rows]
    assert tuple(eliminate(work, n)) == pivots
    assert [[sympy.Rational(str(v)) for v in row] for row in work] == reduced.tolist()
    assert rank(rows) == len(pivots)
    assert rank_modulo(integers) == sympy.Matrix(integers.tolist()).rank()


def test_ranks_of_ints_are_exact() -> None:
    """(1 / 49) 49 is not 1 in floats."""
    assert rank([[49, 49], [1, 1]]) == 1
    assert rank([[0, 3], [7, 1]]) == 2
    for k in range(1, 200):
        assert rank([[k, 1], [k * k, k]]) == 1
    assert rank([]) == 0
    work = [[3, 1], [1, 0]]
    eliminate(work, 1)
    assert work == [[1, Fraction(1, 3)], [0, Fraction(-1, 3)]]
    assert type(work[0][1]) is Fraction


def test_residues_of_numbers_of_any_size() -> None:
    huge = np.array([[10**40, -1], [PRIME, 2 * PRIME + 3]], dtype=object)
    assert residues(huge).tolist() == [[10**40 % PRIME, PRIME - 1], [0, 3]]
    assert rank_modulo(np.array([[PRIME, 0], [0, 1]])) == 1
    assert rank_modulo(np.array([[2**62, 2**62 - 1], [-(2**62), 1 - 2**62]])) == 1


def test_products_of_residues_do_not_overflow() -> None:
    largest = PRIME - 1
    matrix = np.full((3, 3), largest)
    matrix[np.diag_indices(3)] = 1
    exact = sympy.Matrix(matrix.tolist())
    assert rank_modulo(matrix) == (3 if int(exact.det()) % PRIME else 2)
    assert rank_modulo(np.outer([largest, 5, largest - 7], [largest, 3, largest - 2])) == 1


def test_counts_are_exact_where_they_are_made() -> None:
    for many, kind in ((2**24, np.float32), (2**24 + 1, np.float64)):
        row = np.broadcast_to(np.True_, (1, many))
        found = counts(row, row.T)
        assert found.dtype == kind
        assert found == many
    ones = np.float32(2**24)
    assert ones + np.float32(1) == ones  # why


@pytest.mark.parametrize("seed", range(20))
def test_integers_stay_integers_and_are_minors(seed: int) -> None:
    """Fraction-free elimination: pivots are minors, and what is left of a row is exact."""
    rng = np.random.default_rng(seed)
    m, n = (int(v) for v in rng.integers(1, 6, 2))
    whole = rng.integers(-9, 10, (m, n)) * rng.integers(0, 2, (m, n))
    forward = whole.tolist()
    pivots = eliminate_integers(forward, iter(range(n)), reduced=False)
    reduced = whole.tolist()
    assert eliminate_integers(reduced, range(n)) == pivots
    assert tuple(pivots) == sympy.Matrix(whole.tolist()).rref()[1]
    for row, pivot in enumerate(pivots):
        assert all(forward[i][pivot] == 0 for i in range(row + 1, m))
        assert [reduced[i][pivot] for i in range(m)] == [
            reduced[len(pivots) - 1][pivots[-1]] * (i == row) for i in range(m)
        ]
    assert all(type(value) is int for row in forward + reduced for value in row)
    if m == n == len(pivots):
        assert abs(forward[-1][-1]) == abs(sympy.Matrix(whole.tolist()).det())
