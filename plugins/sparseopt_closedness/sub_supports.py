"""Rows and columns of an observed problem on which it may be shown to be not closed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice, product

import numpy as np

from sparseopt.closedness.proofs.observed import ObservedProblem

LARGEST_DRAWN = 5
"""Largest number of rows or columns of a random sub-support."""


def sub_supports(
    state: ObservedProblem, rng: np.random.Generator, most: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield up to `most` pairs of rows and columns, at least two of each and not all of both.

    All of them, smallest first, if there are no more. Otherwise first the smallest ones of rows and
    of columns that differ from each other, then random ones around a block, since few blocks meet a
    window inside one of them.
    """
    rows = np.flatnonzero(state.observed.any(axis=1)).tolist()
    columns = np.flatnonzero(state.observed.any(axis=0)).tolist()
    whole = (len(rows), len(columns))
    if sum(whole) <= 20 and 1 << sum(whole) <= most:
        yield from (pair for pair in _all(rows, columns) if tuple(map(len, pair)) != whole)
        return
    if min(whole) < 2 or not state.origin:
        return
    some = _different(rows, state.left, state.observed)
    others = _different(columns, state.right.T, state.observed.T)
    for pair in islice(_all(some, others), most // 2):
        if tuple(map(len, pair)) != whole:
            yield pair
    for _ in range(most - most // 2):
        block = int(rng.integers(len(state.origin)))
        own = (np.flatnonzero(state.left[:, block]), np.flatnonzero(state.right[block]))
        height, width = (
            _draw(every, inside, rng) for every, inside in zip((rows, columns), own, strict=True)
        )
        if (len(height), len(width)) != whole:
            yield height, width


def _different(lines: list[int], support: np.ndarray, observed: np.ndarray) -> list[int]:
    """Return one line of each kind: with the same blocks and the same observed cells."""
    first: dict[bytes, int] = {}
    for line in lines:
        first.setdefault(support[line].tobytes() + observed[line].tobytes(), line)
    return list(first.values())


def _all(rows: list[int], columns: list[int]) -> Iterator[tuple[list[int], list[int]]]:
    sizes = product(range(2, len(rows) + 1), range(2, len(columns) + 1))
    for height, width in sorted(sizes, key=lambda size: (size[0] * size[1], size)):
        for some in combinations(rows, height):
            for others in combinations(columns, width):
                yield list(some), list(others)


def _draw(every: list[int], inside: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Return up to `LARGEST_DRAWN` lines, most of them from those of a block."""
    size = int(rng.integers(2, min(LARGEST_DRAWN, len(every)) + 1))
    first = rng.permutation(inside)[: int(rng.integers(1, size + 1))].tolist()
    others = [line for line in rng.permutation(every).tolist() if line not in first]
    return sorted([*first, *others[: size - len(first)]])


def shape_of(state: ObservedProblem) -> int:
    """Return a number that orders of rows, columns and blocks, and transposition, do not change.

    By colour refinement of the graph of rows, columns and blocks. Distinct problems may share it;
    it serves to leave out what was probably looked at before.
    """
    observed, left, right = state.observed, state.left, state.right
    rows, columns = [0] * len(observed), [0] * observed.shape[1]
    blocks = [0] * len(state.origin)
    for _ in range(3):
        rows, columns, blocks = (
            _refined(rows, (columns, observed), (blocks, left)),
            _refined(columns, (rows, observed.T), (blocks, right.T)),
            [
                hash((old, frozenset(sides)))
                for old, *sides in zip(
                    blocks,
                    _refined(blocks, (rows, left.T)),
                    _refined(blocks, (columns, right)),
                    strict=True,
                )
            ],
        )
    lines = frozenset(tuple(sorted(side)) for side in (rows, columns))
    return hash((lines, tuple(sorted(blocks))))


def _refined(colours: list[int], *neighbours: tuple[list[int], np.ndarray]) -> list[int]:
    """Return new colours from the old ones and the colours of neighbours, per kind."""
    result = []
    for i, old in enumerate(colours):
        met = [
            tuple(sorted(others[j] for j in np.flatnonzero(joined[i]).tolist()))
            for others, joined in neighbours
        ]
        result.append(hash((old, *met)))
    return result
