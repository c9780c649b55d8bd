"""LU and merge windows of observed problems: curves that are known in advance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.judging.exact import counts
from sparseopt_closedness.lu_windows import differing_rows

ONE = Fraction(1)


@dataclass(frozen=True, eq=False)
class Limit:
    """Evidence of `NotClosedCertificate` for an observed problem, local to `rows` and `columns`."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    left: list[list[Any]]
    right: list[list[Any]]
    limit: list[list[Any]]
    exclusion: list[Any]

    @property
    def transposed(self) -> Limit:
        """The same for the transposed problem."""
        turned = [list(column) for column in zip(*self.limit, strict=True)]
        return Limit(
            self.columns,
            self.rows,
            [[j, k, p] for k, j, p in self.right],
            [[k, i, p] for i, k, p in self.left],
            turned,
            transposed_tree(self.exclusion),
        )


def transposed_tree(tree: Any) -> Any:
    """Return an exclusion tree for the transposed matrix."""
    pairs = (("line", "line_t"), ("span", "span_t"), ("equal_columns", "equal_rows"))
    swap = dict([*pairs, *(pair[::-1] for pair in pairs)])

    def name(variable: Any) -> list[Any]:
        kind, a, b = variable
        return ["y" if kind == "x" else "x", b, a]

    rule, rest = tree[0], list(tree[1:])
    if rule == "split":
        return [rule, name(rest[0]), transposed_tree(rest[1]), transposed_tree(rest[2])]
    if rule == "scale":
        return [rule, name(rest[0]), transposed_tree(rest[1])]
    if rule in ("cell", "minor", "free_minor"):
        return [rule, rest[1], rest[0], *rest[2:]]
    if rule == "product":
        return [
            rule,
            rest[1],
            rest[0],
            transposed_tree(rest[3]),
            transposed_tree(rest[2]),
        ]
    if rule == "trace":
        return [rule, rest[0][::-1]]
    if rule == "equal_both":
        return [rule, *rest[2:], *rest[:2]]
    if rule == "identity":
        return [rule, [_transposed_term(*term) for term in rest[0]]]
    if rule in ("line", "line_t") and rest[2] is not None:
        rest[2] = transposed_tree(rest[2])
    return [swap[rule], *rest]


def _transposed_term(equation: Any, factor: Any) -> list[Any]:
    """Return an equation of an identity and its factor for the transposed matrix."""
    kind, first, *rest = equation
    if kind == "cell":
        turned = [kind, rest[0], first]
    else:
        v, a, b = first
        turned = [kind, ["y" if v == "x" else "x", b, a]]
    # Variables 0 and 1 are x and y, 2 and 3 their inverses.
    return [turned, [[c, [[v ^ 1, b, a] for v, a, b in names]] for c, names in factor]]


def find_limit(state: ObservedProblem, tick: Callable[[], None] = lambda: None) -> Limit | None:
    """Return the limit of an LU or a merge window, or None.

    O(r m n) and O((m + n) r m n) by matrix products; `tick` is called now and then, and
    raises to stop the search.
    """
    found = lu_window(state) or merge_window(state, tick)
    if found is not None:
        return found
    turned = merge_window(state.transposed, tick)
    return None if turned is None else turned.transposed


def lu_window(state: ObservedProblem) -> Limit | None:
    """Return the limit [[0, 1], [1, 0]] of a block that is alone in three cells of a window.

    In the fourth cell it is not alone, or the cell is not observed: x_k = (t, 1), y_k = (1, 1/t),
    and another term cancels the pole. Cell (0, 0) forces x or y of term k to vanish there.
    """
    count = counts(state.left, state.right)
    alone = (count == 1) & state.observed
    for k in range(len(state.origin)):
        rows, columns = np.flatnonzero(state.left[:, k]), np.flatnonzero(state.right[k])
        found = differing_rows(alone[np.ix_(rows, columns)])
        if found is None:
            continue
        i1, i2, j1, j2 = found
        r1, r2, c1, c2 = int(rows[i1]), int(rows[i2]), int(columns[j1]), int(columns[j2])
        left: list[list[Any]] = [[0, k, {1: ONE}], [1, k, {0: ONE}]]
        right: list[list[Any]] = [[k, 0, {0: ONE}], [k, 1, {-1: ONE}]]
        if state.observed[r2, c2]:
            live = np.flatnonzero(state.left[r2] & state.right[:, c2]).tolist()
            other = next(term for term in live if term != k)
            left.append([1, other, {0: -ONE}])
            right.append([other, 1, {-1: ONE}])
        return Limit(
            (r1, r2),
            (c1, c2),
            left,
            right,
            [[Fraction(0), ONE], [ONE, Fraction(0)]],
            ["product", 0, 0, ["cell", 0, 1], ["cell", 1, 0]],
        )
    return None


def merge_window(state: ObservedProblem, tick: Callable[[], None] = lambda: None) -> Limit | None:
    """Return the limit [a, c, a] of two terms that become parallel.

    Rows i1, i2 lie in both terms k and l; a column is covered there by k alone, one by l alone,
    one by exactly these two. x_k = a, x_l = a + t c and c = (x_l - x_k) / t with a = (1, 0),
    c = (0, 1). In a product the first column makes x_k parallel to a, the third x_l, so the second
    would be.
    """
    rows = np.flatnonzero(state.left.any(axis=1))
    first, second = (rows[side] for side in np.triu_indices(len(rows), 1))
    height = max(1, 1_000_000 // max(1, *state.right.shape))
    for begin in range(0, len(first), height):
        tick()
        pairs = first[begin : begin + height], second[begin : begin + height]
        found = _merging(state, *pairs)
        if found is None:
            continue
        pair, (k, first_column), both_column, (other, second_column) = found
        return Limit(
            (int(pairs[0][pair]), int(pairs[1][pair])),
            (first_column, both_column, second_column),
            [[0, k, {0: ONE}], [0, other, {0: ONE}], [1, other, {1: ONE}]],
            [
                [k, 0, {0: ONE}],
                [k, 1, {-1: -ONE}],
                [other, 1, {-1: ONE}],
                [other, 2, {0: ONE}],
            ],
            [[ONE, Fraction(0), ONE], [Fraction(0), ONE, Fraction(0)]],
            ["span", [0, 1], 1, {k: 0, other: 2}],
        )
    return None


def _merging(
    state: ObservedProblem, first: np.ndarray, second: np.ndarray
) -> tuple[int, tuple[int, int], int, tuple[int, int]] | None:
    """Return (pair of rows, (k, column), column, (l, column)) of a merge window, or None.

    The terms of a column that at most two cover are read off the sums of their numbers and of the
    squares of these, exact in float64.
    """
    either = (state.left[first] | state.left[second]).astype(np.float64)
    both = state.left[first] & state.left[second]
    seen = state.observed[first] & state.observed[second]
    right = state.right.astype(np.float64)
    numbers = np.arange(len(state.origin), dtype=np.float64)
    count = either @ right
    total, squares = (either * numbers) @ right, (either * numbers**2) @ right
    pair, column = np.nonzero(seen & (count == 1))
    owner = total[pair, column].astype(np.intp)
    place = -np.ones(both.shape, dtype=np.intp)  # a column that the term covers alone, or -1
    place[pair, owner] = column
    place[~both] = -1
    pair, column = np.nonzero(seen & (count == 2))
    gap = np.sqrt(2 * squares[pair, column] - total[pair, column] ** 2)
    low = np.rint((total[pair, column] - gap) / 2).astype(np.intp)
    high = np.rint((total[pair, column] + gap) / 2).astype(np.intp)
    hits = np.flatnonzero((place[pair, low] >= 0) & (place[pair, high] >= 0))
    if not hits.size:
        return None
    p, j, k, other = (int(a[hits[0]]) for a in (pair, column, low, high))
    return p, (k, int(place[p, k])), j, (other, int(place[p, other]))
