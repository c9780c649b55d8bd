"""Search for matched curves on as many rows and columns as there are terms.

See `sparseopt_closedness.matchings` for the curves, and
`sparseopt.closedness.proofs.exclusion_ranks` for the reasons why their limits are no products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np

from sparseopt.closedness.proofs.exclusion_ranks import MOST_UNIONS, touching
from sparseopt.judging.exact import counts
from sparseopt_closedness.matchings import MatchedCurve, triples
from sparseopt_closedness.observed_windows import Limit

SHORTEST = 12
"""Terms that are tried as idle ones, those with the fewest rows and columns first."""
DRAWS = 8
"""Curves that are drawn for each."""
MOST_IDLE = 8
"""Idle terms, beyond which a window with a permutation is hardly ever found."""
LARGEST_PAIRED = 40
"""Rows or columns up to which pairs of equal columns and equal rows are listed."""


@dataclass(frozen=True, eq=False)
class Whole:
    """Two supports, of which terms without rows or without columns are left out.

    Attributes
    ----------
    left, right : bool arrays, shapes (m, r) and (r, n)
    terms : int array
        Those that have rows and columns.
    bounds : pair of bool arrays, or None
        Supports that bound the rectangles of the terms, of the shapes of `left` and `right`: curves
        follow `left` and `right`, proofs speak of the bounds. None if they are the same.
    """

    left: np.ndarray
    right: np.ndarray
    terms: np.ndarray
    rng: np.random.Generator
    tick: Callable[[], None]
    bounds: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(
        cls,
        left: np.ndarray,
        right: np.ndarray,
        rng: np.random.Generator,
        tick: Callable[[], None] = lambda: None,
        bounds: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Whole:
        """Return the supports with what is needed to search."""
        outer = bounds or (left, right)
        used = outer[0].any(axis=0) & outer[1].any(axis=1)
        return cls(left, right, np.flatnonzero(used), rng, tick, outer)

    @property
    def transposed(self) -> Whole:
        """The transposed matrices."""
        one, two = self.bounds
        return Whole(self.right.T, self.left.T, self.terms, self.rng, self.tick, (two.T, one.T))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.left.shape[0], self.right.shape[1]

    def lines(
        self, curve: MatchedCurve, idle: tuple[int, ...] = ()
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows, terms and columns that a curve has not used and that are not idle."""
        m, n = self.shape
        used = [curve.first, curve.second, *curve.extra, *idle]
        return (
            np.setdiff1d(np.arange(m), [curve.row, *curve.rows]),
            np.setdiff1d(self.terms, used),
            np.setdiff1d(np.arange(n), [curve.column, *curve.columns]),
        )

    def pick(self, chosen: np.ndarray) -> int:
        """Return one of the places that are True, at random."""
        return int(self.rng.choice(np.flatnonzero(chosen)))

    def completed(self, curve: MatchedCurve, found: list[tuple[int, int, int]]) -> MatchedCurve:
        """Return a curve with its single cells."""
        return replace(curve, triples=tuple(found))


def whole_limit(whole: Whole) -> Limit | None:
    """Return a limit on as many rows and columns as needed that is no product, or None."""
    found = by_trace(whole) or by_columns(whole)
    if found is not None:
        return found
    turned = by_columns(whole.transposed)
    if turned is not None:
        return turned.transposed
    return by_both(whole) or next(
        filter(None, (by_both(whole, near) for near in _near_diagonal(whole))), None
    )


def _near_diagonal(whole: Whole) -> Iterator[np.ndarray]:
    """Yield lines around a term, where all others can be matched on a full diagonal.

    In bands, matchings by chance use up some line's few terms long before they are complete; the
    diagonal is complete, and only near the curve something has to change.
    """
    left, right = whole.left, whole.right
    (m, n), r = whole.shape, left.shape[1]
    if not m == n == r == len(whole.terms) or not bool((left & right).diagonal().all()):
        return
    for k in (r // 2, int(np.argmin(left.sum(axis=0) + right.sum(axis=1)))):
        near = left[:, k] | right[k]
        for _ in range(2):
            near = near | left[:, near].any(axis=1) | right[near].any(axis=0)
        if near.sum() <= min(LARGEST_PAIRED, r - 1):
            yield near


def by_trace(whole: Whole) -> Limit | None:
    """Return a limit with one entry in every row and every column that some terms miss."""
    (m, n), r = whole.shape, len(whole.terms)
    idle = max(1, r - min(m, n) + 1)
    size = r - idle + 1
    if size < 2 or idle > MOST_IDLE:
        return None
    rows, columns = whole.bounds
    short = rows.sum(axis=0)[whole.terms] + columns.sum(axis=1)[whole.terms]
    # A permutation of `size` rows and columns has to miss the rectangle.
    open_terms = whole.terms[short <= m + n - size]
    order = open_terms[np.argsort(short[short <= m + n - size], kind="stable")]
    for k in order[:SHORTEST].tolist():
        found = _idle_terms(whole, k, idle)
        if found is None:
            continue
        terms, forbidden = found
        for curve in _crossings(whole, k, terms, forbidden):
            lines = whole.lines(curve, tuple(terms))
            cells = triples(
                whole.left, whole.right, lines, forbidden, size - 2, whole.rng, whole.tick
            )
            if cells is None:
                continue
            complete = whole.completed(curve, cells[: size - 2])
            inner_rows, inner_columns = complete.window
            # Terms that do not touch the window need not be idle there.
            touch = set(touching(rows[inner_rows], columns[:, inner_columns]))
            named = [t for t in terms if t in touch]
            return complete.limit(whole.left, whole.right, ["trace", named])
    return None


def _idle_terms(whole: Whole, first: int, count: int) -> tuple[list[int], np.ndarray] | None:
    """Return terms in order, and the cells where a limit must be 0 so that they are idle.

    A term is put in front or behind, that which forbids the fewest further cells.
    """
    left, right = whole.bounds
    chosen = [first]
    forbidden: np.ndarray = np.logical_and.outer(left[:, first], right[first])
    heights, widths = left[:, first].copy(), right[first].copy()
    others = np.setdiff1d(whole.terms, chosen)
    for _ in range(count - 1):
        whole.tick()
        if not len(others):
            return None
        across = counts(left.T[others], ~forbidden)
        behind = (across * (right[others] | widths)).sum(axis=1)
        down = counts(~forbidden, right[others].T)
        before = (down * (left[:, others] | heights[:, None])).sum(axis=0)
        noise = whole.rng.random(len(others)) / 2
        best = int(np.argmin(np.minimum(behind, before) + noise))
        term = int(others[best])
        if behind[best] <= before[best]:
            chosen.append(term)
            forbidden |= np.logical_and.outer(left[:, term], right[term] | widths)
        else:
            chosen.insert(0, term)
            forbidden |= np.logical_and.outer(left[:, term] | heights, right[term])
        heights |= left[:, term]
        widths |= right[term]
        others = np.delete(others, best)
    return chosen, forbidden


def _crossings(
    whole: Whole, k: int, idle: list[int], forbidden: np.ndarray
) -> Iterator[MatchedCurve]:
    """Yield curves of an idle term k with another, without single cells."""
    left, right, rng = whole.left, whole.right, whole.rng
    meets = (left & left[:, [k]]).any(axis=0) & (right & right[k]).any(axis=1)
    leaves = (left & ~whole.bounds[0][:, [k]]).any(axis=0)
    leaves &= (right & ~whole.bounds[1][k]).any(axis=1)
    others = np.setdiff1d(whole.terms[(meets & leaves)[whole.terms]], idle)
    if not len(others):
        return
    for draw in range(DRAWS):
        term = int(others[rng.integers(len(others))]) if draw else int(rng.permutation(others)[0])
        i, j = whole.pick(left[:, term] & left[:, k]), whole.pick(right[term] & right[k])
        open_columns = right[term] & ~forbidden[i] & ~right[k]
        open_rows = left[:, term] & ~forbidden[:, j] & ~left[:, k]
        if open_columns.any() and open_rows.any():
            yield MatchedCurve(term, k, i, j, (whole.pick(open_columns),), (whole.pick(open_rows),))


def by_columns(whole: Whole) -> Limit | None:
    """Return a limit with equal columns that the terms of a row cannot make equal."""
    (m, n), r = whole.shape, len(whole.terms)
    least = max(0, r - m, r - n + 1)
    for spare in (least, least + 1):
        size = r - spare
        if size < 2 or spare > MOST_IDLE:
            return None
        for _ in range(4 * DRAWS):
            whole.tick()
            curve = _equal_columns(whole, spare, n - size + 1)
            if curve is None:
                continue
            cells = triples(
                whole.left, whole.right, whole.lines(curve), None, size - 2, whole.rng, whole.tick
            )
            if cells is not None:
                complete = whole.completed(curve, cells)
                tree = ["equal_columns", 0, list(range(1, 1 + len(curve.columns)))]
                return complete.limit(whole.left, whole.right, tree)
    return None


def _equal_columns(whole: Whole, spare: int, most: int) -> MatchedCurve | None:
    """Return a curve with at most so many equal columns, or None if the draw gives none."""
    left, right, rng = whole.left, whole.right, whole.rng
    i = int(rng.integers(whole.shape[0]))
    terms = rng.permutation(np.flatnonzero(left[i] & right.any(axis=1)))
    bound = np.flatnonzero(whole.bounds[0][i] & whole.bounds[1].any(axis=1))
    if len(terms) < spare + 2 or comb(len(bound), spare + 1) > MOST_UNIONS // 10:
        return None
    first, second, *extra = terms[: spare + 2].tolist()
    if not (right[first] & right[second]).any():
        return None
    j = whole.pick(right[first] & right[second])
    below = (left[:, first] | left[:, second]) & (np.arange(whole.shape[0]) != i)
    if not below.any():
        return None
    pool: np.ndarray = np.asarray(right[[first, second, *extra]].any(axis=0))
    pool[j] = False
    columns = hitting(whole.bounds[1][bound], pool, spare + 1, most, rng)
    if columns is None:
        return None
    return MatchedCurve(
        first, second, i, j, tuple(columns), (whole.pick(below),), extra=tuple(extra)
    )


def hitting(
    sets: np.ndarray, pool: np.ndarray, count: int, most: int, rng: np.random.Generator
) -> list[int] | None:
    """Return some columns of a pool that no `count` of the sets have together, or None.

    Each union that still has all of them in turn gets a column that it misses, one that most sets
    miss too.
    """
    weight = (~sets).sum(axis=0) + rng.random(sets.shape[1]) / 2
    bits = [int.from_bytes(np.packbits(part).tobytes(), "big") for part in sets]
    shift = -sets.shape[1] % 8
    chosen, mask = list[int](), 0
    for some in combinations(range(len(bits)), min(count, len(bits))):
        union = 0
        for place in some:
            union |= bits[place]
        if mask & ~union:
            continue
        missing = pool & ~sets[list(some)].any(axis=0)
        if not missing.any() or len(chosen) == most:
            return None
        column = int(np.argmax(np.where(missing, weight, -1.0)))
        chosen.append(column)
        mask |= 1 << (sets.shape[1] + shift - 1 - column)
    return chosen or None


def by_both(whole: Whole, near: np.ndarray | None = None) -> Limit | None:
    """Return a limit with two equal columns and two equal rows, for one term to spare.

    Where lines are `near` the others have their single cells on the diagonal.
    """
    (m, n), r = whole.shape, len(whole.terms)
    if (near is None and max(m, n) > LARGEST_PAIRED) or min(m, n) < r or r < 3:
        return None
    rows, columns = (np.ones(size, dtype=bool) if near is None else near for size in (m, n))
    far = [] if near is None else np.flatnonzero(~near).tolist()
    pairs_of_columns = _missed_pairs(*whole.bounds, rows, columns)
    pairs_of_rows = _missed_pairs(whole.bounds[1].T, whole.bounds[0].T, columns, rows)
    tries = 6 * DRAWS
    cells = [(i, j) for i in pairs_of_columns for j in pairs_of_rows]
    for number in whole.rng.permutation(len(cells)).tolist():
        i, j = cells[number]
        whole.tick()
        for curve in _both(whole, i, j, pairs_of_columns[i], pairs_of_rows[j]):
            if {curve.first, curve.second}.intersection(far):
                continue
            tries -= 1
            lines = whole.lines(curve)
            if far:
                lines = tuple(np.setdiff1d(line, far) for line in lines)  # type: ignore[assignment]
            count = r - 3 - len(far)
            found = triples(whole.left, whole.right, lines, None, count, whole.rng, whole.tick)
            if found is not None:
                complete = whole.completed(curve, [*found, *((q, q, q) for q in far)])
                tree = ["equal_both", 0, [1, 2], 0, [1, 2]]
                return complete.limit(whole.left, whole.right, tree)
            if tries == 0:
                return None
    return None


def _missed_pairs(
    left: np.ndarray, right: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> dict[int, np.ndarray]:
    """Return for some rows the pairs of some columns that none of their terms has both of."""
    found = {}
    places = np.flatnonzero(columns)
    for i in np.flatnonzero(rows).tolist():
        own = right[left[i]][:, places].astype(np.float32)
        pairs = np.argwhere(np.triu(own.T @ own == 0, 1))
        if len(pairs):
            found[i] = places[pairs]
    return found


def _both(
    whole: Whole, i: int, j: int, columns: np.ndarray, rows: np.ndarray
) -> Iterator[MatchedCurve]:
    """Yield curves through a cell, one or two for each pair of columns and pair of rows."""
    left, right = whole.left, whole.right
    terms = np.flatnonzero(left[i] & right[:, j])
    for a in whole.rng.permutation(columns[(columns != j).all(axis=1)])[:4].tolist():
        for c in whole.rng.permutation(rows[(rows != i).all(axis=1)])[:4].tolist():
            for first, second in combinations(terms.tolist(), 2):
                covers = (right[first] | right[second])[a].all()
                if covers and (left[:, first] | left[:, second])[c].all():
                    yield MatchedCurve(first, second, i, j, tuple(a), tuple(c))
                    break
