"""Counts of paths modulo random primes."""

from __future__ import annotations

import math

import sympy
from path_networks import dense, large, large_identity
from path_oracle import powers, random_graph

import sparseopt as so
from sparseopt.pathnorm import residues
from sparseopt.pathnorm.biases import biases


def test_counts_modulo_primes() -> None:
    graph = random_graph(3, hidden=12)
    network = so.load_network(graph)
    right = powers(graph, 0)
    primes = residues.draw_primes(network, 0)
    found = residues.residues(network, biases(network), primes)
    assert found.tolist() == [[int(count) % p for count in right] for p in primes]
    assert all(count < 2 ** residues.count_bits(network) for count in right)


def test_primes_are_drawn_anew_and_miss_with_small_probability() -> None:
    network = large()
    first, second = (residues.draw_primes(network, 0) for _ in range(2))
    assert first != second
    assert all(residues.is_prime(p) for p in first)
    bits = first[0].bit_length()
    assert {p.bit_length() for p in first} == {bits}
    # Every sum of residues is an exact float.
    assert (8 * 9 * 8 + 1) * 2**bits <= 2**53
    differ = residues.count_bits(network) + 1
    one = (differ / (bits - 1)) / (2 ** (bits - 1) / (3 * bits * math.log(2)))
    assert one ** len(first) <= residues.FAILURE
    more = residues.draw_primes(network, 1 << 40_000)
    assert len(more) >= len(first)


def test_is_prime() -> None:
    below = [n for n in range(300) if residues.is_prime(n)]
    assert below == [n for n in range(2, 300) if all(n % d for d in range(2, n))]
    for n in (3215031751, 3825123056546413051, 318665857834031151167461, 2**40 + 1):
        assert not residues.is_prime(n)
    assert residues.is_prime(2**61 - 1)


def test_large_counts_say_their_probability() -> None:
    solution = so.solve(so.PathNorm(large_identity(), 0))
    assert "except with probability 1e-12" in so.verify(solution).claim
    assert solution.answer.exact == 2
    small = so.verify(so.solve(so.PathNorm(dense(2, 2), 0)))
    assert "probability" not in small.claim


def test_what_is_taken_for_a_prime_is_one() -> None:
    odd = 2**45 + 1
    # Carmichael numbers, and products that pass the test for some bases.
    composite = [561, 1729, 3215031751, 3825123056546413051, 318665857834031151167461, 1093**2]
    for n in [*range(3000), *range(odd, odd + 400), 2**61 - 1, 41 * 43, 43**2, *composite]:
        assert residues.is_prime(n) == sympy.isprime(n)
