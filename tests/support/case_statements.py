"""Trees of cases that forged and true proofs are made of."""

from __future__ import annotations

from typing import Any

from forging import (
    FULL,
    closed,
)

import sparseopt as so

ONE: list[Any] = [[1, []]]
A, B, C, D = ([[1, [[i, j]]]] for i in (0, 1) for j in (0, 1))
"""The entries of a 2 x 2 target as polynomials."""
UNEQUAL = ([[1, 1, 1], [1, 1, 0]], [[1, 1], [1, 1], [1, 1]])
"""Every 2 x 2 matrix; the third term lacks the second row."""
SHORT = ([[1, 1, 1], [1, 1, 1]], [[1, 1], [1, 1], [1, 0]])
"""Every 2 x 2 matrix; the third term lacks the second column."""
CORNER = ([[1, 1, 0], [1, 1, 1]], [[1, 1], [1, 1], [1, 0]])
"""Every 2 x 2 matrix; the third term has one cell, (1, 0)."""


def solve(x: Any, columns: Any, turned: bool = False) -> list[Any]:
    """Return a leaf; x is written as [[i, k, polynomial], ...]."""
    return ["solve_t" if turned else "solve", x, columns]


UNIT = [[0, 0, ONE], [1, 1, ONE]]
EVERY = [[[0, 1], [0, 1]]] * 2
ANY = solve(UNIT, EVERY)
"""For every target of DENSE."""
STAIRS = [[[0], [0]], [[0, 1], [0, 1]]]
"""How LU is solved for: the first column by the first term."""


def corner_tree(tree: Any) -> Any:
    """Return a proof for CORNER without its cell (1, 0)."""
    return closed(CORNER, ["free", [2], ["columns", [[0]]], ["cases", tree]])


OPEN = solve(UNIT, [[[0], [0]], [[0, 1], [0, 1]]])
"""For CORNER without its cell."""
WIDE = (FULL, [[1, 1, 1], [1, 1, 1]])
"""Every 2 x 3 matrix."""
WIDE_EVERY = [[[0, 1], [0, 1]]] * 3
WIDE_ANY = solve(UNIT, WIDE_EVERY)
CELL = [[0, 0], [0, 1]]


def butterfly_problem() -> so.Closedness:
    return so.Closedness([p.support() for p in so.Architecture.square_dyadic(8)])


def whole_tree() -> list[Any]:
    """Return the tree that one factor is every matrix on its support, a 2 x 2 target itself."""
    entries = [[i, j, [[1, [[i, j]]]]] for i in (0, 1) for j in (0, 1)]
    return ["product", [entries], ONE]
