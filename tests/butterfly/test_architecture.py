"""Architectures: named families, redundancy, fusing, transposition, enumeration."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.tools.architectures import architectures
from sparseopt.tools.random_products import random_product


def test_square_dyadic_has_full_support_and_rank_one() -> None:
    dyadic = so.Architecture.square_dyadic(32)
    assert len(dyadic) == 5
    assert dyadic.ranks == (1,) * 4
    assert tuple(dyadic.product) == (1, 32, 32, 1)
    assert not dyadic.is_redundant
    assert dyadic.nnz == 5 * 64


@pytest.mark.parametrize("n", [1, 3, 12])
def test_square_dyadic_needs_a_power_of_two(n: int) -> None:
    with pytest.raises(so.ProblemError, match="power of two"):
        so.Architecture.square_dyadic(n)


@pytest.mark.parametrize("n", [0, -4, True, 2.0, "8", None])
def test_sizes_are_positive_integers(n: Any) -> None:
    for build in (so.Architecture.square_dyadic, lambda k: so.Architecture.monarch(4, 4, k, 2)):
        with pytest.raises(so.ProblemError, match=r"[np] must be a positive integer, got"):
            build(n)


def test_sizes_may_be_integers_of_numpy() -> None:
    dyadic = so.Architecture.square_dyadic(np.int64(16))
    assert dyadic == so.Architecture.square_dyadic(16)
    assert all(type(number) is int for pattern in dyadic for number in pattern)
    sizes = np.array([12, 10, 3, 5], dtype=np.int32)
    assert so.Architecture.monarch(*sizes) == so.Architecture.monarch(12, 10, 3, 5)


def test_monarch_has_full_support() -> None:
    monarch = so.Architecture.monarch(12, 10, 3, 5)
    assert monarch.shape == (12, 10)
    assert monarch.product.support().all()
    with pytest.raises(so.ProblemError, match=r"p \| m"):
        so.Architecture.monarch(12, 10, 5, 5)


def test_redundancy_of_the_literature_is_removed() -> None:
    redundant = so.Architecture([(1, 2, 2, 8), (2, 2, 4, 4), (4, 4, 2, 2), (8, 2, 2, 1)])
    assert redundant.is_redundant
    reduced = redundant.reduced()
    assert not reduced.is_redundant
    assert reduced.product == redundant.product
    assert len(reduced) == 3


def test_a_chain_of_square_blocks_reduces_to_one() -> None:
    chain = so.Architecture([(2, 4, 4, 1)] * 3)
    assert [tuple(p) for p in chain.reduced()] == [(2, 4, 4, 1)]
    assert chain.redundant_merges() == (0, 0)


def test_diagonal_factors_are_redundant() -> None:
    assert len(so.Architecture([(6, 1, 1, 1), (1, 1, 1, 6)][:1] * 2).reduced()) == 1


def test_fuse_groups_neighbours() -> None:
    dyadic = so.Architecture.square_dyadic(64)
    fused = dyadic.fuse([1, 2, 3])
    assert [fused[i] for i in range(3)] == [
        dyadic[0],
        dyadic[1:3].product,
        dyadic[3:].product,
    ]
    with pytest.raises(so.ProblemError, match="sum to 6"):
        dyadic.fuse([3, 2])


def test_transpose_is_an_involution_and_reverses_the_chain() -> None:
    chain = so.Architecture([(1, 4, 6, 12), (3, 8, 6, 3), (9, 6, 4, 1)])
    assert chain.is_chainable
    assert chain.transpose.transpose == chain
    # a must grow along a chain, so the transposed factors multiply but are not chainable.
    assert not chain.transpose.is_chainable
    product = random_product(chain, np.random.default_rng(0))
    np.testing.assert_allclose(product.T.to_dense(), product.to_dense().T)


def test_the_reason_names_pair_and_condition() -> None:
    broken = so.Architecture([(1, 2, 2, 2), (2, 2, 3, 1), (3, 2, 2, 1)])
    assert not broken.is_chainable
    assert broken.why_not_chainable.startswith("patterns 1 and 2: a = 2")
    assert not broken.is_redundant


def test_bad_sequences_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="at least one"):
        so.Architecture([])
    with pytest.raises(so.ProblemError, match="pattern 1 must be four"):
        so.Architecture([(1, 2, 2, 1), (1, 2, 2)])
    with pytest.raises(so.ProblemError, match="pattern 0 must be four"):
        so.Architecture([7])  # type: ignore[list-item]
    with pytest.raises(so.ProblemError, match="patterns 0 and 1 do not multiply"):
        so.Architecture([(1, 2, 2, 1), (1, 3, 2, 1)])


def test_json_round_trip_and_slices() -> None:
    chain = so.Architecture.square_dyadic(16)
    assert so.from_json(so.to_json(chain)) == chain
    assert isinstance(chain[1:], so.Architecture)
    assert chain[-1] == so.KroneckerPattern(8, 2, 2, 1)


def all_patterns(m: int, n: int) -> list[so.KroneckerPattern]:
    """Every pattern of a shape."""
    return [
        so.KroneckerPattern(a, m // (a * d), n // (a * d), d)
        for a, d in itertools.product(range(1, 13), repeat=2)
        if m % (a * d) == 0 and n % (a * d) == 0
    ]


@pytest.mark.parametrize(
    ("m", "n", "rank"), [(4, 4, 1), (4, 6, 2), (6, 4, 3), (8, 2, 2), (1, 6, 2)]
)
def test_enumeration_equals_brute_force_for_two_and_three_factors(
    m: int, n: int, rank: int
) -> None:
    found = {a.patterns for a in architectures(m, n, max_rank=rank, max_length=3)}
    full = so.KroneckerPattern(1, m, n, 1)
    sizes = range(1, 4 * max(m, n) + 1)

    def good(patterns: tuple[so.KroneckerPattern, ...]) -> bool:
        chain = so.Architecture(patterns)
        ok = chain.is_chainable and not chain.is_redundant and chain.product == full
        return ok and all(r <= rank for r in chain.ranks)

    two = {
        (x, y)
        for k in sizes
        for x, y in itertools.product(all_patterns(m, k), all_patterns(k, n))
        if good((x, y))
    }
    assert {p for p in found if len(p) == 2} == two
    three = set()
    for k in range(1, 3 * rank * max(m, n) + 1):
        for x in all_patterns(m, k):
            if x.a != 1:
                continue
            for h in range(1, 3 * rank * max(m, n) + 1):
                for y in all_patterns(k, h):
                    if not x.is_chainable_with(y) or x.is_redundant_with(y):
                        continue
                    for z in all_patterns(h, n):
                        if z.d == 1 and good((x, y, z)):
                            three.add((x, y, z))
    assert {p for p in found if len(p) == 3} == three


def test_enumeration_counts_and_budgets() -> None:
    # Rank 1 and powers of two: the square of the binomials, summed, is the central binomial.
    assert sum(1 for _ in architectures(32, 32)) == 252
    within = list(architectures(32, 32, max_nnz=320))
    assert so.Architecture.square_dyadic(32) in within
    assert all(chain.nnz <= 320 for chain in within)
    everything = list(architectures(32, 32))
    assert {str(c) for c in within} == {str(c) for c in everything if c.nnz <= 320}
    for chain in architectures(6, 8, max_rank=2):
        assert chain.is_chainable
        assert not chain.is_redundant
        assert chain.shape == (6, 8)


@pytest.mark.parametrize("name", ["m", "n", "max_rank"])
def test_enumeration_refuses_bad_numbers(name: str) -> None:
    good = {"m": 4, "n": 4, "max_rank": 1, name: 0}
    with pytest.raises(so.ProblemError, match=f"{name} must be"):
        next(architectures(good["m"], good["n"], max_rank=good["max_rank"]))


def test_random_products_have_entries_of_order_one() -> None:
    chain = so.Architecture([(1, 4, 8, 16), (4, 8, 8, 4), (16, 8, 4, 1)])
    dense = random_product(chain, np.random.default_rng(0)).to_dense()
    assert 0.2 < np.sqrt(np.mean(dense**2)) < 5
