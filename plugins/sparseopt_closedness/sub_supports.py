"""Rows and columns of a masked problem on which it may be shown to be not closed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np

from sparseopt.closedness.masked import Masked

LARGEST_DRAWN = 5
"""Largest number of rows or columns of a random sub-support."""


def sub_supports(
    state: Masked, rng: np.random.Generator, most: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield up to `most` pairs of rows and columns, at least two of each and not all of both.

    All of them, smallest first, if there are no more; else random ones around a cell of a block,
    since few blocks meet a window inside one of them.
    """
    rows = np.flatnonzero(state.observed.any(axis=1)).tolist()
    columns = np.flatnonzero(state.observed.any(axis=0)).tolist()
    if len(rows) + len(columns) <= 20 and (1 << len(rows)) * (1 << len(columns)) <= most:
        yield from _all(rows, columns)
        return
    if len(rows) < 2 or len(columns) < 2 or not state.origin:
        return
    for _ in range(most):
        block = int(rng.integers(len(state.origin)))
        own = (np.flatnonzero(state.left[:, block]), np.flatnonzero(state.right[block]))
        chosen = [
            _draw(every, inside, rng) for every, inside in zip((rows, columns), own, strict=True)
        ]
        if len(chosen[0]) < len(rows) or len(chosen[1]) < len(columns):
            yield chosen[0], chosen[1]


def _all(rows: list[int], columns: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    sizes = product(range(2, len(rows) + 1), range(2, len(columns) + 1))
    for height, width in sorted(sizes, key=lambda size: (size[0] * size[1], size)):
        if (height, width) == (len(rows), len(columns)):
            continue
        for some in combinations(rows, height):
            for others in combinations(columns, width):
                yield list(some), list(others)


def _draw(every: list[int], inside: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Return up to `LARGEST_DRAWN` lines, most of them from those of a block."""
    size = int(rng.integers(2, min(LARGEST_DRAWN, len(every)) + 1))
    first = rng.permutation(inside)[: int(rng.integers(1, size + 1))].tolist()
    others = [line for line in rng.permutation(every).tolist() if line not in first]
    return sorted([*first, *others[: size - len(first)]])
