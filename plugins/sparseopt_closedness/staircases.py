"""Search for staircases: full terms and an order of the others that lower every rank by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt_closedness.matchings import matched


def staircase(family: ObservedProblem, tick: Callable[[], None] = lambda: None) -> list[Any] | None:
    """Return evidence of the kind "staircase" or "staircase_t", or None.

    O(r) matchings for each choice of full terms; `tick` is called before each.
    """
    for name, side in (("staircase", family), ("staircase_t", family.transposed)):
        found = _of(side.left, side.right, tick)
        if found is not None:
            return [name, *found]
    return None


def _of(left: np.ndarray, right: np.ndarray, tick: Callable[[], None]) -> list[Any] | None:
    rows = np.flatnonzero(left.any(axis=1))
    cover, across = left[rows], right[:, right.any(axis=0)]
    lacks_rows, lacks_columns = (~cover).sum(axis=0), (~across).sum(axis=1)
    full = np.flatnonzero(lacks_columns == 0)
    m, n, r = len(rows), across.shape[1], cover.shape[1]
    # No choice of full terms does better than all of them at once for all terms.
    least = np.sort(np.maximum(lacks_rows - len(full), 0) + lacks_columns)
    rank = min(max(m - len(full), 0), n)
    if rank > r or bool((least[:rank] > np.arange(rank)).any()):
        return None
    rng = np.random.default_rng(0)
    for chosen in _choices(cover, full, lacks_rows, rng):
        tick()
        found = _stairs(cover, lacks_rows, lacks_columns, chosen, n, rng)
        if found is not None:
            first, order, helped = found
            return [
                [[k, int(rows[i])] for k, i in first],
                order,
                [[[int(rows[i]), k] for i, k in pairs] for pairs in helped],
            ]
    return None


def _choices(
    cover: np.ndarray, full: np.ndarray, lacks_rows: np.ndarray, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield choices among the terms with all columns, by how many of the tallest are left out."""
    tallest = full[np.argsort(lacks_rows[full], kind="stable")]
    for count in range(len(full) + 1):
        some = tallest[count:]
        place = matched(cover[:, some].T, rng) if len(some) else np.zeros(0, dtype=int)
        yield some[place >= 0]
    for count in range(1, len(full)):
        yield tallest[:-count] if len(tallest[:-count]) <= len(cover) else tallest[:0]


def _stairs(
    cover: np.ndarray,
    lacks_rows: np.ndarray,
    lacks_columns: np.ndarray,
    chosen: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> tuple[list[tuple[int, int]], list[int], list[list[tuple[int, int]]]] | None:
    """Return full terms with rows, the order, and rows that full terms help with, or None."""
    m, r = cover.shape
    place = matched(cover[:, chosen].T, rng) if len(chosen) else np.zeros(0, dtype=int)
    if (place < 0).any():
        return None
    rank = min(m - len(chosen), n)
    others = np.setdiff1d(np.arange(r), chosen)
    least = np.maximum(lacks_rows - len(chosen), 0) + lacks_columns
    if len(others) < rank or (np.sort(least[others])[:rank] > np.arange(rank)).any():
        return None
    zeros, helped = np.empty(r, dtype=int), {}
    for term in others.tolist():
        missing = np.flatnonzero(~cover[:, term])
        pairs: list[tuple[int, int]] = []
        if len(chosen) and len(missing) and least[term] < rank:
            found = matched(cover[missing][:, chosen], rng)
            pairs = [(int(missing[i]), int(chosen[k])) for i, k in enumerate(found) if k >= 0]
        helped[term] = pairs
        zeros[term] = lacks_rows[term] - len(pairs) + lacks_columns[term]
    order = others[np.argsort(zeros[others], kind="stable")][:rank]
    if (zeros[order] > np.arange(rank)).any():
        return None
    first = [(int(k), int(i)) for k, i in zip(chosen, place, strict=True)]
    return first, order.tolist(), [helped[term] for term in order.tolist()]
