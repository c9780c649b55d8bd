"""Forged exclusions that compare ranks with numbers of terms: a counterexample a condition.

All limits but that of "too many sets" are products, so that without the condition a false claim
would be accepted.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from forging import DENSE, DIAGONAL, FULL, LU, MERGE, Pairs, constant, limit, lu, product

SWAPPED = [[0, 1], [1, 0]]
CORNER_TOO = ([[1, 1, 1], [1, 1, 0]], [[1, 1], [1, 1], [1, 0]])
"""Two dense terms and the corner (0, 0)."""
ONES = [[1, 1, 1], [1, 1, 1]]
"""What two parallel terms make, one of whose cells may be hidden by a free term."""


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate)."""
    for part in (idle, columns, both):
        yield from part().items()


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    yield "LU, by the trace", lu(["trace", [1]])
    yield "merge, equal columns", merged(["equal_columns", 0, [0, 2]])
    yield "merge, equal rows", merged(["equal_rows", 0, [0, 2]], turned=True)
    yield "two idle terms", two_idle([1, 2])
    yield "a term to spare", spare()
    yield "equal columns and equal rows", equal_both(["equal_both", 0, [1, 2], 0, [1, 2]])


def merged(tree: Any, turned: bool = False) -> Any:
    """Return a claim of the limit [a, c, a] of two terms that become parallel."""
    x = [[0, 0, {0: 1}], [0, 1, {0: 1}], [1, 1, {1: 1}]]
    y = [[0, 0, {0: 1}], [0, 1, {-1: -1}], [1, 1, {-1: 1}], [1, 2, {0: 1}]]
    matrix = [[1, 0, 1], [0, 1, 0]]
    if not turned:
        return limit(MERGE, (x, y), matrix, tree)
    supports = (np.transpose(MERGE[1]).tolist(), FULL)
    flipped = ([[j, k, p] for k, j, p in y], [[k, i, p] for i, k, p in x])
    return limit(supports, flipped, np.transpose(matrix).tolist(), tree)


TWO_IDLE = ([[1, 0, 0], [1, 1, 1]], [[1, 1], [0, 1], [0, 1]])
"""LU with its second term twice."""


def two_idle(terms: Any) -> Any:
    """Return a claim of the limit of LU where two terms are to be idle."""
    curve = (
        [[0, 0, {1: 1}], [1, 0, {0: 1}], [1, 1, {0: -1}]],
        [[0, 0, {0: 1}], [0, 1, {-1: 1}], [1, 1, {-1: 1}]],
    )
    return limit(TWO_IDLE, curve, SWAPPED, ["trace", terms])


SPARE = ([[1, 1, 1], [1, 1, 0]], [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
"""Three terms of row 0 that have one each of three columns."""


def spare(places: Any = (1, 2, 3)) -> Any:
    """Return a claim of two parallel terms and a third that is one too many for the rank."""
    curve = (
        [[0, 0, {0: 1}], [1, 0, {1: 1}], [0, 1, {0: 1}], [0, 2, {0: 1}]],
        [[0, 0, {-1: 1}], [0, 1, {0: 1}], [1, 0, {-1: -1}], [1, 2, {0: 1}], [2, 3, {0: 1}]],
    )
    matrix = [[0, 1, 1, 1], [1, 0, 0, 0]]
    return limit(SPARE, curve, matrix, ["equal_columns", 0, list(places)])


BOTH = ([[1, 1, 1], [1, 0, 1], [0, 1, 0]], [[1, 1, 0], [1, 0, 1], [1, 0, 0]])
"""Two terms that have one each of two rows and two columns, and one beside them."""


def equal_both(tree: Any) -> Any:
    """Return a claim of [[0, 1, 1], [1, 0, 0], [1, 0, 0]] as a limit that is no product."""
    curve = (
        [[0, 0, {0: 1}], [1, 0, {1: 1}], [0, 1, {0: 1}], [2, 1, {1: -1}]],
        [[0, 0, {-1: 1}], [0, 1, {0: 1}], [1, 0, {-1: -1}], [1, 2, {0: 1}]],
    )
    return limit(BOTH, curve, [[0, 1, 1], [1, 0, 0], [1, 0, 0]], tree)


def hidden(supports: Any, x: Any, y: Any, tree: Any) -> Any:
    """Return the claim that X Y is no product, its cell (0, 0) taken away by a free term."""
    x, y = np.array(x), np.array(y)
    matrix = x @ y
    matrix[0, 0] = 0
    left, right = (np.array(s) for s in supports)
    corner = np.eye(len(left), 1, dtype=int), np.eye(1, right.shape[1], dtype=int)
    more = (np.hstack([left, corner[0]]).tolist(), np.vstack([right, corner[1]]).tolist())
    free = [["free", [left.shape[1]], ["columns", [[0]]]]]
    return limit(more, (constant(x), constant(y)), matrix.tolist(), tree, free)


UNSEEN = "a cell of the window is not observed"


def idle() -> dict[str, Any]:
    """Terms that are not idle, or may be."""
    one_each = "the limit has not one entry in every row and every column"
    touch = "has no row or no column of the window"
    useful = "the limit has an entry where it must be 0"
    beside = np.eye(3, dtype=int)
    beside[:2, :2] = 1
    outside = limit(
        (beside.tolist(), beside.tolist()),
        (constant(DIAGONAL), constant(SWAPPED)),
        SWAPPED,
        ["trace", [2]],
        rows=(0, 1),
        columns=(0, 1),
    )
    twice = product(DIAGONAL, SWAPPED, ["trace", [2, 2]], *CORNER_TOO)
    four = ([[1, 0, 1, 1], [1, 1, 1, 0]], [[0, 0], [0, 1], [1, 1], [1, 0]])
    two_missed = (
        ([[-1, 0, 1, -1], [-1, -1, -1, 0]], [[0, 0], [0, 1], [1, -1], [1, 0]]),
        four,
    )
    return {
        "exclusion[1]: expected a list without repetitions | an idle term twice": twice,
        "exclusion[1]: expected a list of at least 1 | no idle term": lu(["trace", []]),
        f"{UNSEEN} | an idle term": hidden(LU, LU[0], [[1, 1], [0, -1]], ["trace", [1]]),
        f"{touch} | outside": outside,
        f"{touch} | no such term": product(DIAGONAL, DIAGONAL, ["trace", [2]], *DENSE),
        "3 blocks touch the window, so at least 2 must be | one": product(
            DIAGONAL, SWAPPED, ["trace", [2]], *CORNER_TOO
        ),
        "3 blocks touch the window, so at least 2 must be | identical ones": product(
            [[0, 0, 1], [1, 0, 0]],
            [[1, 0], [0, 0], [0, 1]],
            ["trace", [1]],
            [[1, 1, 1], [1, 0, 1]],
            [[1, 1], [1, 0], [1, 1]],
        ),
        f"{useful} for the terms [0] | its own": product(DIAGONAL, DIAGONAL, ["trace", [0]]),
        f"{useful} for the terms [1, 3] | in the other order": product(
            *two_missed[0], ["trace", [1, 3]], *two_missed[1]
        ),
        f"{one_each} | nothing": product(
            [[0], [1]], [[0, 0]], ["trace", [0]], [[0], [1]], [[1, 0]]
        ),
        f"{one_each} | an entry more": product(LU[0], [[1, 1], [0, -1]], ["trace", [1]], *LU),
        f"{one_each} | two in a row": product(
            [[1, 0], [0, 0]], [[1, 1], [0, 0]], ["trace", [1]], *LU
        ),
        f"{one_each} | two in a column": product(
            [[1, 0], [1, 0]], [[1, 0], [0, 0]], ["trace", [1]], *LU
        ),
        f"{one_each} | a column too many": product(
            DIAGONAL, [[1, 0, 0], [0, 1, 0]], ["trace", [2]], FULL, [[1, 1, 0], [1, 1, 1]]
        ),
        f"{one_each} | three rows of rank two": product(
            [[-1, 0], [1, -1], [1, -1]],
            [[0, -1, -1], [0, -1, 0]],
            ["trace", [1]],
            [[1, 0], [1, 1], [1, 1]],
            [[0, 1, 1], [0, 1, 0]],
        ),
    }


def columns() -> dict[str, Any]:
    """Columns that are not equal, are zero, or that terms can make equal; rows likewise."""
    found: dict[str, Any] = {}
    many_left, many_right = np.zeros((13, 24), int), np.zeros((24, 14), int)
    many_left[0] = 1
    for k in range(24):
        many_right[k, 12 + k % 2] = 1
        if k < 12:
            many_left[k + 1, k] = many_right[k, k] = 1
    x, y = many_left.copy(), many_right.copy()
    x[0], y[:12, 12:] = 0, 0
    x[0, 12:14] = 1
    for turned, line, name in ((False, "column", "equal_columns"), (True, "row", "equal_rows")):

        def turn(x: Any, y: Any, tree: Any, *supports: Any, turned: bool = turned) -> Any:
            if not turned:
                return product(x, y, tree, *supports)
            flipped = [np.transpose(s).tolist() for s in supports[::-1]]
            return product(np.transpose(y), np.transpose(x), tree, *flipped)

        across = "row" if line == "column" else "column"
        cells = ([[1, 1], [1, 1]], [[1, 1, 0], [0, 0, 1]])
        supports = (FULL, [[1, 1, 0], [1, 0, 1]])
        if turned:
            cells, supports = (
                tuple(np.transpose(s).tolist() for s in pair[::-1]) for pair in (cells, supports)
            )
        missing = "has no line number"
        merge = partial(merged, turned=turned)
        found |= {
            f"exclusion[2]: expected a list without repetitions | {line}s": merge(
                [name, 0, [0, 0]]
            ),
            f"exclusion[2]: expected a list of at least 1 | no {line}": merge([name, 0, []]),
            f"{UNSEEN} | {line}s": hidden(supports, *cells, [name, 0, [1, 2]]),
            f"{missing} 2 | {across} of equal {line}s": merge([name, 2, [0, 2]]),
            f"{missing} 3 | equal {line}s": merge([name, 0, [0, 3]]),
            f"{line}s [0, 1] of the limit are not equal | {line}s": turn(
                [[0, -1], [1, 1]],
                [[1, 0], [0, -1]],
                [name, 1, [0, 1]],
                [[0, 1], [1, 1]],
                DIAGONAL,
            ),
            f"{line}s [0, 1] are 0 in {across}s [0] | {line}s": turn(
                [[0], [1]], [[1, 1]], [name, 0, [0, 1]]
            ),
            f"2 blocks have {line}s [0, 1] together | two terms of rank one": turn(
                [[1, 1]], DIAGONAL, [name, 0, [0, 1]]
            ),
            f"1 blocks have {line}s [0, 1] together | one term": turn(
                [[1], [1]], [[1, 1]], [name, 0, [0, 1]]
            ),
            f"12 of 24 blocks are too many sets to look at | {line}s": turn(
                x, y, [name, 0, [12, 13]], many_left.tolist(), many_right.tolist()
            ),
        }
    return found


def both() -> dict[str, Any]:
    """Equal columns and equal rows of which one can be had."""
    pair = ["equal_both", 0, [0, 1], 0, [0, 1]]
    tiles = ([[1, 0, 1], [1, 0, 1], [0, 1, 1]], [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    swap = [[0, 1], [1, 0]]
    three = ([[0, -1, 1], [0, 1, 0], [-1, 0, 0]], [[0, 1], [0, -1], [-1, 0]])
    rows = ([[0, 0, 1], [-1, 1, 0]], [[0, 1, 1], [-1, 0, -1], [0, 0, -1]])
    name = "equal_both"
    return {
        f"{UNSEEN} | both": hidden(tiles, tiles[0], tiles[1], [name, 0, [1, 2], 1, [1, 2]]),
        "columns [0, 1] of the limit are not equal | both": product(
            *three,
            [name, 0, [0, 1], 1, [1, 2]],
            [[0, 1, 1], [0, 1, 0], [1, 0, 0]],
            [[0, 1], [0, 1], [1, 0]],
        ),
        "rows [0, 1] of the limit are not equal | both": product(
            *rows,
            [name, 1, [0, 1], 2, [0, 1]],
            [[0, 0, 1], [1, 1, 0]],
            [[0, 1, 1], [1, 0, 1], [0, 0, 1]],
        ),
        "columns [0, 2] are 0 in rows [0] | both": product(
            [[-1, 0], [0, -1]],
            [[0, -1, 0], [0, -1, 0]],
            [name, 0, [0, 2], 1, [0, 1]],
            DIAGONAL,
            [[0, 1, 0], [0, 1, 0]],
        ),
        "rows [0, 2] are 0 in columns [0] | both": product(
            [[0, 0], [1, -1], [0, 0]],
            [[0, -1], [1, 0]],
            [name, 1, [0, 1], 0, [0, 2]],
            [[0, 0], [1, 1], [1, 0]],
            swap,
        ),
        "a block has columns [0, 1] together | both": product(
            [[0, 1], [-1, 0]], [[-1, -1], [1, 1]], pair, swap, FULL
        ),
        "a block has rows [0, 1] together | both": product(
            [[1, 1], [1, 1]], swap, pair, FULL, swap
        ),
        "3 blocks touch the window, but the rank plus one is 2 | both": product(
            [[0, 0, 0], [1, 0, 0], [0, 1, -1]],
            [[1, 1], [0, 1], [-1, 0]],
            [name, 2, [0, 1], 0, [1, 2]],
            [[1, 0, 1], [1, 0, 0], [0, 1, 1]],
            [[1, 1], [0, 1], [1, 0]],
        ),
        "exclusion[4]: expected a list of at least 1 | no rows": equal_both(
            [name, 0, [1, 2], 0, []]
        ),
    }
