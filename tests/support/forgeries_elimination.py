"""Ranks of matrices that are known from how these are made: products of factors of full rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from laws import law

import sparseopt as so
from sparseopt.judging.exact import (
    PANEL,
    PRIME,
    eliminate_modulo,
    is_exact,
    rank_modulo,
    residues,
)

RANKS: dict[str, Callable[[np.ndarray], int]] = {
    "in panels": rank_modulo,
    "row by row": lambda matrix: eliminate_modulo(residues(matrix), matrix.shape[1]),
}


def matrix(rows: int, columns: int, rank: int, seed: int) -> np.ndarray:
    """Return residues of a rank, modulo the prime: a permuted unit triangle in each factor."""
    rng = np.random.default_rng(seed)
    left = np.tril(rng.integers(1, PRIME, (rows, rank)), -1) + np.eye(rows, rank, dtype=np.int64)
    right = np.triu(rng.integers(1, PRIME, (rank, columns)), 1)
    right += np.eye(rank, columns, dtype=np.int64)
    whole = left.astype(object) @ right.astype(object) % PRIME
    return np.asarray(whole[rng.permutation(rows)][:, rng.permutation(columns)])


def says(found: int, rank: int) -> so.Check:
    """Return that a matrix has a rank, accepted if it is the one that was found."""
    words = f"the rank is {rank}"
    return so.Check("accepted" if found == rank else "refused", words, (f"it is {found}",))


def known() -> Iterator[tuple[str, Callable[[int], Callable[[], so.Check]]]]:
    """Yield a name and, for a difference, the claim of a rank that is off by it."""
    sizes = ((1, 1, 1), (7, 5, 3), (6, 9, 6), (PANEL + 30, 40, 21), (2 * PANEL + 9, 150, 100))
    cases = [(matrix(*size, number), size[2]) for number, size in enumerate(sizes)]
    cases.append((np.roll(np.eye(3, dtype=np.int64), -1, axis=0), 3))
    for number, (made, rank) in enumerate(cases):
        for name, count in RANKS.items():
            shape = " x ".join(map(str, made.shape))
            yield f"{number}, {shape} of rank {rank} {name}", partial(claim, count, made, rank)


def _is_inexact(value: Any) -> bool:
    return not is_exact(value)


def claim(
    count: Callable[[np.ndarray], int], made: np.ndarray, rank: int, off: int
) -> Callable[[], so.Check]:
    """Return the claim that a matrix has a rank, off by something."""
    return lambda: says(count(made), rank + off)


def honest() -> Iterator[tuple[str, Any]]:
    """Yield true ranks."""
    for name, claimed in known():
        yield name, claimed(0)
    for value in (1, True, Fraction(1, 3)):
        yield f"{value!r} is exact", law(partial(is_exact, value))
    for value in (1.0, "1", np.int64(1), Fraction(np.int64(1)), Fraction(1, np.int64(3))):
        yield f"{value!r}, of {type(value).__name__}, is not", law(partial(_is_inexact, value))


def forged() -> Iterator[tuple[str, Any]]:
    """Yield (line that stops it | what it is, claim)."""
    for name, claimed in known():
        for off in (-1, 1):
            yield f"it is | {name}, {off:+d}", claimed(off)
