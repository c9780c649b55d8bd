"""LU and merge windows of masked problems: curves that are known in advance."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np

from sparseopt.closedness.masked import Masked
from sparseopt_closedness.lu_pattern import differing_rows

ONE = Fraction(1)


@dataclass(frozen=True, eq=False)
class Limit:
    """Evidence of `NotClosedCertificate` for a masked problem, local to `rows` and `columns`."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    left: list[list[Any]]
    right: list[list[Any]]
    limit: list[list[Fraction]]
    exclusion: list[Any]
    stage: str

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
            self.stage,
        )


def transposed_tree(tree: Any) -> Any:
    """Return an exclusion tree for the transposed matrix."""
    swap = {"line": "line_t", "line_t": "line", "span": "span_t", "span_t": "span"}

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
    if rule in ("line", "line_t") and rest[2] is not None:
        rest[2] = transposed_tree(rest[2])
    return [swap[rule], *rest]


def find_limit(state: Masked) -> Limit | None:
    """Return the limit of an LU or a merge window, or None. O(r m n (m + n) + r^2 m^2)."""
    found = lu_window(state) or merge_window(state)
    if found is not None:
        return found
    turned = merge_window(state.transposed)
    return None if turned is None else turned.transposed


def lu_window(state: Masked) -> Limit | None:
    """Return the limit [[0, 1], [1, 0]] of a block that is alone in three cells of a window.

    In the fourth cell it is not alone, or the cell is not observed: x_k = (t, 1), y_k = (1, 1/t),
    and another term cancels the pole. Cell (0, 0) forces x or y of term k to vanish there.
    """
    count = state.left.astype(np.float32) @ state.right.astype(np.float32)
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
            "LU window",
        )
    return None


def merge_window(state: Masked) -> Limit | None:
    """Return the limit [a, c, a] of two terms that become parallel.

    Rows i1, i2 lie in both terms k and l; a column is covered there by k alone, one by l alone,
    one by exactly these two. x_k = a, x_l = a + t c and c = (x_l - x_k) / t with a = (1, 0),
    c = (0, 1). In a product the first column makes x_k parallel to a, the third x_l, so the second
    would be.
    """
    for k, other in combinations(range(len(state.origin)), 2):
        rows = np.flatnonzero(state.left[:, k] & state.left[:, other])
        for i1, i2 in combinations(rows.tolist(), 2):
            pair = [i1, i2]
            seen = state.observed[pair].all(axis=0)
            live = state.left[pair][:, :, None] & state.right[None, :, :]
            count = live.any(axis=0).sum(axis=0)
            first = np.flatnonzero(seen & (count == 1) & state.right[k])
            second = np.flatnonzero(seen & (count == 1) & state.right[other])
            both = np.flatnonzero(seen & (count == 2) & state.right[k] & state.right[other])
            if first.size and second.size and both.size:
                return Limit(
                    (i1, i2),
                    (int(first[0]), int(both[0]), int(second[0])),
                    [[0, k, {0: ONE}], [0, other, {0: ONE}], [1, other, {1: ONE}]],
                    [
                        [k, 0, {0: ONE}],
                        [k, 1, {-1: -ONE}],
                        [other, 1, {-1: ONE}],
                        [other, 2, {0: ONE}],
                    ],
                    [[ONE, Fraction(0), ONE], [Fraction(0), ONE, Fraction(0)]],
                    ["span", [0, 1], 1, {k: 0, other: 2}],
                    "merge window",
                )
    return None
