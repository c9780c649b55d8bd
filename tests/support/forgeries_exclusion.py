"""Forged trees that do not show a limit to be no product: cells, minors, spans and lines."""

from __future__ import annotations

from typing import Any

import numpy as np
from forging import (
    ALONE,
    DENSE,
    DIAGONAL,
    FULL,
    LOWER,
    LU,
    LU_CURVE,
    LU_LIMIT,
    LU_TREE,
    MERGE,
    RANK_ONE,
    UPPER,
    constant,
    limit,
    lu,
    nonzero,
    product,
)
from limit_statements import ANTIDIAGONAL, X00, Y00

ONES = ([[0, 0, {0: 1}], [1, 0, {0: 1}]], constant([[1, 1]]))


def cells() -> dict[str, Any]:
    """Splits and single cells."""
    two_terms = ([[1, 1], [0, 1]], [[1, 1, 0], [-1, 0, 1]])
    # x_01 and y_10 are not zero.
    known = nonzero(["x", 0, 1], (0, 2), nonzero(["y", 1, 0], (1, 0), ["cell", 0, 0]))
    own = ["cell", 0, 0]
    both = nonzero(X00, (0, 0), nonzero(Y00, (0, 0), own))
    unused = {
        f"no entry number {v[1], v[2]} of {v[0]} | {what}": lu(["split", v, LU_TREE, LU_TREE])
        for what, v in {
            "no row": ["x", 2, 0],
            "no term": ["x", 0, 2],
            "no column": ["y", 0, 2],
            "no term of y": ["y", 2, 0],
        }.items()
    }
    return unused | {
        "x[0, 1] lies outside the support | without effect": lu(
            ["split", ["x", 0, 1], LU_TREE, LU_TREE]
        ),
        "cell (1, 1) is not observed | a minor": limit(
            LU, ONES, [[1, 1], [1, 0]], ["minor", [0, 1], [0, 1]], ALONE
        ),
        "has no cell number (2, 0) | no row": lu(["cell", 2, 0]),
        "has no cell number (0, 2) | no column": lu(["cell", 0, 2]),
        "must be 0 with one live term, it is 1 | a value": product(
            [[1]], [[1]], ["product", 0, 0, own, own]
        ),
        "must be 0 with one live term, it is 0 | two terms": product(
            *two_terms, ["product", 0, 0, ["cell", 0, 1], known]
        ),
        "must be 0 with one live term, it is 0 | no term": product(
            [[0]], [[0]], ["product", 0, 0, own, own]
        ),
        "cell (0, 0) holds 1 | one term": product([[1]], [[1]], own),
        "cell (0, 0) holds 0 | no term": product([[0]], [[0]], own),
        "cell (0, 0) holds 1 | with both known": product([[1]], [[1]], both),
        "cell (0, 0) holds 0 | x known": product(
            [[1]], [[0, 1]], nonzero(X00, (0, 1), own), [[1]], [[1, 1]]
        ),
        "cell (0, 0) holds 0 | y known": product(
            [[0], [1]], [[1]], nonzero(Y00, (1, 0), own), [[1], [1]]
        ),
        "cell (0, 0) holds 0 | two terms, one known": product(
            [[1, 1], [1, 0]],
            [[1, 1], [-1, 0]],
            nonzero(X00, (0, 1), nonzero(Y00, (1, 0), own)),
        ),
        "have no higher rank than 1 | one term": product([[1]], [[1]], ["minor", [0], [0]]),
        "have no higher rank than 1 | a rank that floats take for two": limit(
            RANK_ONE,
            ([[0, 0, {0: 49}], [1, 0, {0: 1}]], constant([[1, 1]])),
            [[49, 49], [1, 1]],
            ["minor", [0, 1], [0, 1]],
        ),
        "have no higher rank than 1 | a pivot that is not 1": product(
            [[1], [2]], [[2, 1]], ["minor", [0, 1], [0, 1]]
        ),
        "has no cell number (2, 0) | fewer rows than terms": limit(
            ([[1, 0, 0], [1, 1, 0]], [[1, 1, 0], [0, 1, 0], [0, 0, 0]]),
            LU_CURVE,
            [[0, 1, 0], [1, 0, 0]],
            ["cell", 2, 0],
        ),
        "have no higher rank than 2 | two terms": product(
            DIAGONAL, DIAGONAL, ["minor", [0, 1], [0, 1]], *DENSE
        ),
    }


def minors() -> dict[str, Any]:
    """Minors with unknown entries."""
    every, extra = list(range(7)), [[i, i, {0: 1}] for i in range(2, 7)]
    large = np.eye(7, dtype=int)
    large[:2, :2] = LU_LIMIT
    beside = [np.eye(7, dtype=int), np.eye(7, dtype=int)]
    for support, own in zip(beside, LU, strict=True):
        support[:2, :2] = own
    one, pair, third = [0], [0, 1], [0, 1, 2]
    size, vanish = "needs as many rows as columns, at most 6", "can vanish for terms [0]"

    def wide(*lines: list[int]) -> Any:
        return product(DIAGONAL, MERGE[1], ["minor", *lines], FULL, MERGE[1])

    return {
        "shape (2, 3) has no line number 3 | a minor without rows": wide([], [3]),
        "shape (2, 3) has no line number 2 | a minor without columns": wide([2], []),
        "rows [] and columns [2] have no higher rank than 0 | without rows": wide([], [2]),
        "rows [1] and columns [] have no higher rank than 0 | without columns": wide([1], []),
        f"{size} | a column too many": lu(["free_minor", one, pair, []]),
        f"{size} | a column too few": lu(["free_minor", pair, one, one]),
        f"{size} | seven rows": limit(
            [s.tolist() for s in beside],
            ([*LU_CURVE[0], *extra], [*LU_CURVE[1], *extra]),
            large.tolist(),
            ["free_minor", every, every, [0, *range(2, 7)]],
        ),
        f"{size} | as many terms": product([[1]], [[1]], ["free_minor", one, one, one]),
        "there are 3 blocks, not all of [0, 9] | no term": limit(
            *ANTIDIAGONAL, ["free_minor", third, third, [0, 9]]
        ),
        "there are 3 blocks, not all of [0, 3] | the number of terms": limit(
            *ANTIDIAGONAL, ["free_minor", third, third, [0, 3]]
        ),
        f"{vanish} | it is 0": product([[1], [1]], [[1, 1]], ["free_minor", pair, pair, one]),
        f"{vanish} | a row of zeros": product(
            [[0], [1]], [[1, 1]], ["free_minor", pair, pair, one], [[1], [1]]
        ),
        "can vanish for terms [0, 1] | three rows of rank two": product(
            [[1, 0], [0, 1], [-1, 2]],
            [[1, 2, 3], [4, 5, 6]],
            ["free_minor", third, third, pair],
        ),
        f"{vanish} | an unknown entry": product(LOWER, UPPER, ["free_minor", pair, pair, one]),
        f"{vanish} | 0, but another term is live": product(
            LOWER, [[1, 1], [0, -1]], ["free_minor", pair, pair, one]
        ),
        f"{vanish} | 0, but not observed": limit(
            LU, ONES, [[1, 1], [1, 0]], ["free_minor", pair, pair, one], ALONE
        ),
    }


def _spanned(columns: Any, turned: bool, y: Any = MERGE[1], right: Any = MERGE[1]) -> Any:
    """Return the claim that Y, the product with the identity, is none, since column 1 is outside.

    The transposed claim if `turned`.
    """
    return _outside(turned, [[0, 1], 1, columns], y, right)


def _outside(turned: bool, parts: list[Any], y: Any = MERGE[1], right: Any = MERGE[1]) -> Any:
    if turned:
        tree = ["span_t", *parts]
        return product(np.transpose(y), DIAGONAL, tree, np.transpose(right).tolist(), FULL)
    return product(DIAGONAL, y, ["span", *parts], FULL, right)


def spans() -> dict[str, Any]:
    """Columns and rows that are in the span after all."""
    found = {}
    for turned, line in ((False, "column"), (True, "row")):
        missing = "(9, 0)" if turned else "(0, 9)"
        nowhere = f"shape {(3, 2) if turned else (2, 3)} has no line number 3"
        found |= {
            f"{nowhere} | {line} of no places": _outside(turned, [[], 3, {}]),
            f"{nowhere} | {line} of no places, one too many": _outside(turned, [[], 3, {0: 0}]),
            f"{line} 2 lies in the span | of no places": _outside(turned, [[], 2, {}]),
            f"{line} 1 has live terms [0, 1] | one not listed": _spanned({0: 0}, turned),
            f"{line} 1 has live terms [0, 1] | one too many": _spanned({0: 0, 1: 2, 7: 0}, turned),
            f"{line} 0 does not determine term 0 | two live terms": _spanned(
                {0: 0, 1: 0}, turned, DIAGONAL, FULL
            ),
            f"{line} 0 does not determine term 0 | zero": _spanned(
                {0: 0, 1: 2}, turned, [[0, 1, 0], [0, 1, 1]]
            ),
            f"{line} 1 lies in the span | a product": _spanned({0: 0, 1: 2}, turned),
            f"has no cell number {missing} | no {line}": _spanned({0: 9, 1: 2}, turned),
        }
    return found


VALUES_AGREE = ["line", 0, [0], ["line", 1, [0], ["line_t", 1, [0], ["line", 1, [1], None]]]]
"""For [[1, 3], [2, 6]] with x_00 = 1: the last equation, 2 x 3 = 6, holds."""


def lines() -> dict[str, Any]:
    """Values of one line."""
    one = [[1], [1]], [[1]]
    fixed = ["scale", X00, ["line", 0, [0], None]]
    scaled = ["line", 0, [0, 1], None]
    twice = ["scale", X00, ["scale", ["x", 1, 0], scaled]]
    follow, stop = "a proof must follow", "nothing is left to prove"
    return {
        "x[0, 0] cannot be scaled to 1 here | it is zero": product(
            [[0], [1]], [[1]], ["scale", X00, ["line", 0, [0], ["cell", 1, 0]]], [[1], [1]]
        ),
        "x[1, 0] cannot be scaled to 1 here | twice": product(
            [[1], [2]], [[1]], nonzero(X00, (0, 0), nonzero(["x", 1, 0], (1, 0), twice))
        ),
        "y[0, 0] cannot be scaled to 1 here | twice, x and y": product(
            [[2]],
            [[1]],
            nonzero(X00, (0, 0), nonzero(Y00, (0, 0), ["scale", X00, ["scale", Y00, scaled]])),
        ),
        f"{follow} | no conflict": product(*one, nonzero(X00, (0, 0), fixed)),
        f"{follow} | zero that may be zero": product(
            [[1]], [[0, 1]], nonzero(X00, (0, 1), fixed), [[1]], [[1, 1]]
        ),
        f"{follow} | not zero, as known": product(
            [[1]], [[1]], nonzero(X00, (0, 0), nonzero(Y00, (0, 0), fixed))
        ),
        f"{follow} | known values that agree": product(
            [[1], [2]], [[1, 3]], nonzero(X00, (0, 0), ["scale", X00, VALUES_AGREE])
        ),
        f"{follow} | two equations of one unknown each": product(
            DIAGONAL,
            [[2], [3]],
            nonzero(
                X00,
                (0, 0),
                nonzero(["x", 1, 1], (1, 0), ["scale", X00, ["scale", ["x", 1, 1], scaled]]),
            ),
        ),
        f"{stop} | a conflict": lu(
            nonzero(
                X00,
                (0, 1),
                nonzero(Y00, (1, 0), ["scale", X00, ["line", 0, [0], ["cell", 1, 0]]]),
            )
        ),
        "the window of shape (2, 2) has no line number 999 | no rows": lu(
            ["line", 999, [], LU_TREE]
        ),
        "the window of shape (2, 1) has no line number 2 | no columns": product(
            *one, ["line_t", 2, [], ["cell", 0, 0]]
        ),
        "the window of shape (2, 1) has no line number 1 | no rows, a row's": product(
            *one, ["line", 1, [], ["cell", 0, 0]]
        ),
        "x[0, 0] has no known value | a column": product(*one, ["line", 0, [0], None]),
        "y[0, 0] has no known value | a row": product(*one, ["line_t", 0, [0], None]),
    }
