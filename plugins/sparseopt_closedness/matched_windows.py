"""Search for matched curves in all windows of small supports.

See `sparseopt_closedness.matchings` for the curves, and
`sparseopt.closedness.proofs.exclusion_ranks` for the reasons why their limits are no products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations
from math import comb, factorial

import numpy as np

from sparseopt_closedness.free_families import match
from sparseopt_closedness.matchings import MatchedCurve, Triple
from sparseopt_closedness.observed_windows import Limit

MOST_PERMUTATIONS = 12_000
"""Permutations of all windows up to a size, that is looked at."""
MOST_CELLS = 3
"""Single cells of a curve with equal columns."""
MOST_SHARED = 20_000
"""Choices of two terms, rows and columns, up to which equal columns are looked for."""

LARGEST_MISSED = 4
"""Equal columns, one less if there are many to choose from."""

Masks = Sequence[int]


def window_limit(
    left: np.ndarray, right: np.ndarray, tick: Callable[[], None] = lambda: None
) -> Limit | None:
    """Return a limit in a window that is no product, or None if this search finds none."""
    found = permuted_limit(left, right, tick) or equal_limit(left, right, tick)
    if found is not None:
        return found
    turned = equal_limit(right.T, left.T, tick)
    return None if turned is None else turned.transposed


def permuted_limit(left: np.ndarray, right: np.ndarray, tick: Callable[[], None]) -> Limit | None:
    """Return a limit with one entry in every row and every column of a window, or None."""
    (m, r), n = left.shape, right.shape[1]
    heights, widths = _masks(left.T), _masks(right)
    looked_at = 0
    for size in range(2, min(m, n) + 1):
        looked_at += comb(m, size) * comb(n, size) * factorial(size)
        if looked_at > MOST_PERMUTATIONS:
            return None
        for rows in combinations(range(m), size):
            tick()
            mine = _masks(left[list(rows)].T)
            for columns in combinations(range(n), size):
                mask = sum(1 << j for j in columns)
                alive = [k for k in range(r) if mine[k] and widths[k] & mask]
                idle = len(alive) - size + 1
                # Two terms cross, and each further cell has a term of its own.
                if len(alive) < size or idle > len(alive) - max(1, size - 2):
                    continue
                for order in permutations(columns):
                    found = _permuted(rows, order, alive, idle, mine, heights, widths)
                    if found is not None:
                        curve, terms = found
                        return curve.limit(left, right, ["trace", terms])
    return None


def _permuted(
    rows: tuple[int, ...],
    order: tuple[int, ...],
    alive: list[int],
    idle: int,
    mine: Masks,
    heights: Masks,
    widths: Masks,
) -> tuple[MatchedCurve, list[int]] | None:
    """Return a curve to the cells (rows[t], order[t]), and terms that miss them, or None."""
    theirs = [sum(1 << t for t, j in enumerate(order) if width >> j & 1) for width in widths]
    useless = [k for k in alive if not mine[k] & theirs[k]]
    if len(useless) < idle:
        return None
    terms = _ordered(useless, idle, mine, theirs, 0, [])
    if terms is None:
        return None
    curve = _crossing(rows, order, alive, heights, widths)
    return None if curve is None else (curve, terms)


def _ordered(
    terms: list[int], count: int, mine: Masks, theirs: Masks, before: int, chosen: list[int]
) -> list[int] | None:
    """Return so many terms in an order in which the rows of each miss the columns before it.

    What adds no column is taken at once; else a term a union of columns is tried, so that there
    are few cases, one that cannot come later if there is one.
    """
    left = [k for k in terms if k not in chosen and not mine[k] & before]
    chosen = [*chosen, *(k for k in left if not theirs[k] & ~before)]
    if len(chosen) >= count:
        return chosen[:count]
    next_ones: dict[int, int] = {}
    for k in left:
        union = before | theirs[k]
        if union != before and (union not in next_ones or mine[k] & union):
            next_ones[union] = k
    for union, k in next_ones.items():
        found = _ordered(terms, count, mine, theirs, union, [*chosen, k])
        if found is not None:
            return found
    return None


def _crossing(
    rows: tuple[int, ...],
    order: tuple[int, ...],
    alive: list[int],
    heights: Masks,
    widths: Masks,
) -> MatchedCurve | None:
    """Return a curve that tends to the cells (rows[t], order[t]), or None."""
    for one, two in permutations(range(len(rows)), 2):
        i, a, c, j = rows[one], order[one], rows[two], order[two]
        through = [k for k in alive if heights[k] >> i & widths[k] >> j & 1]
        for first, second in combinations(through, 2):
            covers = (widths[first] | widths[second]) >> a & 1
            if not covers or not (heights[first] | heights[second]) >> c & 1:
                continue
            others = [k for k in alive if k not in (first, second)]
            cells = [(rows[t], order[t]) for t in range(len(rows)) if t not in (one, two)]
            options = [
                [k for k in others if heights[k] >> p & widths[k] >> q & 1] for p, q in cells
            ]
            terms = match(options)
            if terms is not None:
                single = [(p, k, q) for (p, q), k in zip(cells, terms, strict=True)]
                return MatchedCurve(first, second, i, j, (a,), (c,), tuple(single))
    return None


def equal_limit(left: np.ndarray, right: np.ndarray, tick: Callable[[], None]) -> Limit | None:
    """Return a limit with equal columns that the terms of a row cannot make equal, or None."""
    (m, r), n = left.shape, right.shape[1]
    heights, widths = _masks(left.T), _masks(right)
    if comb(r, 2) * m * n * m > MOST_SHARED:
        return None
    for i in range(m):
        own = [k for k in range(r) if heights[k] >> i & 1]
        for first, second in combinations(own, 2):
            tick()
            pool = _places(widths[first] | widths[second])
            for columns in _missed(pool, [widths[k] for k in own]):
                shared = widths[first] & widths[second] & ~sum(1 << a for a in columns)
                below = (heights[first] | heights[second]) & ~(1 << i)
                for j in _places(shared):
                    for c in _places(below):
                        curve = MatchedCurve(first, second, i, j, columns, (c,))
                        cells = _absorbed(curve, heights, widths)
                        if cells is not None:
                            whole = MatchedCurve(first, second, i, j, columns, (c,), tuple(cells))
                            places = list(range(1, 1 + len(columns)))
                            return whole.limit(left, right, ["equal_columns", 0, places])
    return None


def _missed(pool: list[int], sets: Masks) -> Iterator[tuple[int, ...]]:
    """Yield smallest choices of columns that none of the sets has all of."""
    found: list[int] = []
    largest = LARGEST_MISSED if len(pool) <= 2 * LARGEST_MISSED else LARGEST_MISSED - 1
    for size in range(2, min(len(pool), largest) + 1):
        for columns in combinations(pool, size):
            mask = sum(1 << a for a in columns)
            if any(mask & old == old for old in found):
                continue
            if not any(part & mask == mask for part in sets):
                found.append(mask)
                yield columns


def _absorbed(curve: MatchedCurve, heights: Masks, widths: Masks) -> list[Triple] | None:
    """Return single cells so that no term touches the window but those of the curve, or None."""
    rows, columns = (sum(1 << v for v in lines) for lines in curve.window)
    return _grown(rows, columns, [], {curve.first, curve.second}, heights, widths)


def _grown(
    rows: int, columns: int, cells: list[Triple], used: set[int], heights: Masks, widths: Masks
) -> list[Triple] | None:
    others = [
        k
        for k, height in enumerate(heights)
        if k not in used and height & rows and widths[k] & columns
    ]
    if not others:
        return cells
    if len(others) + len(cells) > MOST_CELLS:
        return None
    term = others[0]
    for i in _places(heights[term] & ~rows):
        for j in _places(widths[term] & ~columns):
            found = _grown(
                rows | 1 << i,
                columns | 1 << j,
                [*cells, (i, term, j)],
                used | {term},
                heights,
                widths,
            )
            if found is not None:
                return found
    return None


def _masks(lines: np.ndarray) -> list[int]:
    """Return each row of a bool array as bits, the first place the lowest."""
    return [sum(1 << int(j) for j in np.flatnonzero(line)) for line in lines]


def _places(mask: int) -> list[int]:
    """Return the places of the bits."""
    return [j for j in range(mask.bit_length()) if mask >> j & 1]
