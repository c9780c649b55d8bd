"""Curves whose limits are zeros and ones, put together from matchings of rows, terms and columns.

Two terms l, k that share a row i and a column j cancel each other's pole there,

    x_l = e_i + t e_(C in I_l),  x_k = e_i - t e_(the rest of C),
    y_l = e_j / t + e_(A in J_l),  y_k = -e_j / t + e_(the rest of A),

so that x_l y_l^T + x_k y_k^T tends to e_i 1_A^T + 1_C e_j^T. Further terms add single cells (row,
term, column), with rows and columns of their own, or further columns of A in row i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt_closedness.observed_windows import Limit

ALTERNATIONS = 9
"""Maximum matchings, in turn of columns, terms and rows, before a draw is given up."""

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class MatchedCurve:
    """The terms l, k, the row i, the column j, A, C, the single cells, and what else adds to A."""

    first: int
    second: int
    row: int
    column: int
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    triples: tuple[Triple, ...] = ()
    extra: tuple[int, ...] = ()

    @property
    def window(self) -> tuple[list[int], list[int]]:
        """The rows and the columns that the limit lives on, i and j first, then C and A."""
        return (
            [self.row, *self.rows, *(i for i, _, _ in self.triples)],
            [self.column, *self.columns, *(j for _, _, j in self.triples)],
        )

    def limit(self, left: np.ndarray, right: np.ndarray, exclusion: Sequence[Any]) -> Limit:
        """Return curve and limit in the window, with a proof that the limit is no product."""
        rows, columns = self.window
        own = {self.first: {0: {0: 1}}, self.second: {0: {0: 1}}}
        other = {self.first: {0: {-1: 1}}, self.second: {0: {-1: -1}}}
        for place, c in enumerate(self.rows, start=1):
            if left[c, self.first]:
                own[self.first][place] = {1: 1}
            else:
                own[self.second][place] = {1: -1}
        for place, a in enumerate(self.columns, start=1):
            term = next(k for k in (self.first, self.second, *self.extra) if right[k, a])
            own.setdefault(term, {0: {0: 1}})
            other.setdefault(term, {})[place] = {0: 1}
        at = (1 + len(self.rows), 1 + len(self.columns))
        for number, (_, term, _) in enumerate(self.triples):
            own[term] = {at[0] + number: {0: 1}}
            other[term] = {at[1] + number: {0: 1}}
        x = [[i, k, p] for k, entries in own.items() for i, p in entries.items()]
        y = [[k, j, p] for k, entries in other.items() for j, p in entries.items()]
        matrix = [[0] * len(columns) for _ in rows]
        for place in range(1, at[1]):
            matrix[0][place] = 1
        for place in range(1, at[0]):
            matrix[place][0] = 1
        for number in range(len(self.triples)):
            matrix[at[0] + number][at[1] + number] = 1
        return Limit(tuple(rows), tuple(columns), x, y, matrix, list(exclusion))


def matched(allowed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a maximum matching as the column of each row, -1 for none.

    SciPy's matching is deterministic, so rows and columns are permuted first.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    rows, columns = rng.permutation(allowed.shape[0]), rng.permutation(allowed.shape[1])
    graph = csr_matrix(allowed[rows][:, columns])
    found = maximum_bipartite_matching(graph, perm_type="column")
    result = np.full(len(rows), -1)
    result[rows[found >= 0]] = columns[found[found >= 0]]
    return result


def triples(
    left: np.ndarray,
    right: np.ndarray,
    lines: tuple[np.ndarray, np.ndarray, np.ndarray],
    forbidden: np.ndarray | None,
    least: int,
    rng: np.random.Generator,
    tick: Callable[[], None],
) -> list[Triple] | None:
    """Return at least so many cells (row, term, column), each of its own term, row and column.

    A three-dimensional matching, by alternating maximum matchings: of the columns where every term
    keeps its row, of the rows where it keeps its column, of the terms where cells stay. Each
    keeps what was found, so their number never falls. None is no proof that there is none.

    Parameters
    ----------
    left, right : bool arrays, shapes (m, r) and (r, n)
    lines : arrays of rows, terms, columns that may be used
    forbidden : bool array of shape (m, n), or None
        Cells that may not be used.
    least : int
    tick : callable
        Called before each matching; it raises to stop the search.
    """
    rows, terms, columns = lines
    if least <= 0:
        return []
    if min(map(len, lines)) < least:
        return None
    x, y = left[np.ix_(rows, terms)].T, right[np.ix_(terms, columns)]
    free = None if forbidden is None else ~forbidden[np.ix_(rows, columns)]
    row = matched(x, rng)
    if int((row >= 0).sum()) < least:
        return None
    row = _completed(row, len(rows), rng)
    column = np.full(len(terms), -1)
    for turn in range(ALTERNATIONS):
        tick()
        if turn % 3 == 0:
            allowed = y & _holds(x, row)[:, None]
            found = column = matched(allowed if free is None else allowed & free[row], rng)
        elif turn % 3 == 1:
            column = _completed(column, len(columns), rng)
            allowed = x & _holds(y, column)[:, None]
            found = row = matched(allowed if free is None else allowed & free[:, column].T, rng)
        else:
            row = _completed(row, len(rows), rng)
            cells = x[:, row] & y[:, column] & ((row >= 0) & (column >= 0))
            found = matched(cells if free is None else cells & free[row, column], rng)
            row, column = (np.where(found >= 0, line[found], -1) for line in (row, column))
        good = np.flatnonzero(found >= 0)
        if len(good) >= least:
            chosen = [(int(rows[row[t]]), int(terms[t]), int(columns[column[t]])) for t in good]
            return chosen
        if turn % 3 == 2:
            row = _completed(row, len(rows), rng)
    return None


def _holds(cover: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return for each term whether it has the line that it was given."""
    return cover[np.arange(len(place)), place] & (place >= 0)


def _completed(place: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return distinct lines for terms, those that have none one of the lines that are left."""
    open_terms = np.flatnonzero(place < 0)
    if not len(open_terms):
        return place
    spare = np.setdiff1d(np.arange(size), place[place >= 0])
    result = place.copy()
    result[open_terms[: len(spare)]] = rng.permutation(spare)[: len(open_terms)]
    return result


def routes(
    factors: Sequence[np.ndarray], lines: Sequence[int], rng: np.random.Generator
) -> list[list[int]]:
    """Return paths of lines through some factors, distinct throughout.

    Of as many lines as maximum matchings, one factor after the other, leave; [i] without factors.
    """
    paths = [[int(i)] for i in lines]
    for factor in factors:
        if not paths:
            break
        found = matched(factor[[path[-1] for path in paths]], rng)
        paths = [[*path, int(to)] for path, to in zip(paths, found, strict=True) if to >= 0]
    return paths
