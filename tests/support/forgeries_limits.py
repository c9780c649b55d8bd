"""Forged certificates of limits: curves, and trees that do not show a limit to be no product."""

from __future__ import annotations

import copy
from fractions import Fraction
from itertools import combinations_with_replacement
from typing import Any

import forgeries_ranks
import numpy as np
from forgeries_exclusion import cells, lines, minors, spans
from forging import (
    ALONE,
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
    Pairs,
    constant,
    evidence_of,
    limit,
    lu,
    made,
    nonzero,
    product,
    reworded,
)
from limit_statements import ANTIDIAGONAL, X00, Y00

import sparseopt as so

NOWHERE = ([[0]], [[0]])
"""No cell is covered: only the matrix 0."""
POLE = ([[0, 0, {1: 1}], [1, 0, {0: 1}]], [[0, 0, {0: 1}], [0, 1, {-1: 1}]])
"""The curve of LU without its second term."""


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate)."""
    for part in (curves, verdicts, numbered, cells, minors, spans, lines, identities):
        yield from part().items()
    yield from forgeries_ranks.forged()


def curves() -> dict[str, Any]:
    """Curves, limits, and where they live."""
    right = lu()
    cell = ["cell", 0, 0]
    chain = so.Closedness([LOWER, UPPER, DIAGONAL])
    return {
        "the problem has two factors | three": made(
            so.NotClosedCertificate, chain, *evidence_of(right)
        ),
        "there is no row 5 | beyond the last": lu(rows=(0, 5)),
        "there is no row 2 | the number of rows": lu(rows=(0, 2)),
        "there is no column 2 | the number of columns": lu(columns=(0, 2)),
        "the limit has the shape | one row too few": lu(limit=[[0, 1]]),
        "the limit has the shape | one row too many": lu(limit=[[0, 1], [1, 0], [0, 0]]),
        "the limit has the shape | one column too many": lu(limit=[[0, 1, 0], [1, 0, 0]]),
        "has a pole at (1, 1) | a closed set": limit(RANK_ONE, POLE, LU_LIMIT, LU_TREE),
        "it is 0 at (0, 0), not 1 | a closed set": limit(NOWHERE, ([], []), [[1]], cell),
        "it is 0 at (0, 0), not 1/1000000000 | a closed set, almost": limit(
            NOWHERE, ([], []), [[Fraction(1, 10**9)]], cell
        ),
        "not a long number | a closed set, rounded": limit(
            NOWHERE, ([], []), [[Fraction(1, 10**400)]], cell
        ),
        "it is 0 at (1, 1), not 7 | a cell that is not observed": limit(
            LU, POLE, [[0, 1], [1, 7]], LU_TREE, ALONE
        ),
        "X[0, 0] lies outside the support | a closed set": limit(
            NOWHERE, (constant([[1]]), constant([[1]])), [[1]], cell
        ),
        "Y[1, 0] lies outside the support | without effect": lu(
            right=[*right.right, [1, 0, {0: 1}]]
        ),
        "no entry number (2, 0) of X | a row": lu(left=[*right.left, [2, 0, {0: 1}]]),
        "no entry number (0, 2) of X | a term": lu(left=[*right.left, [0, 2, {0: 1}]]),
        "no entry number (0, 2) of Y | a column": lu(right=[*right.right, [0, 2, {0: 1}]]),
        "X[1, 0] is given twice | the same": lu(left=[*right.left, right.left[1]]),
        "Y[0, 0] is given twice | another": lu(right=[[0, 0, {0: 5}], *right.right]),
    }


def verdicts() -> dict[str, Any]:
    """Verdicts that the evidence does not give."""
    right = lu()
    lines = limit(LU, LU_CURVE, LU_LIMIT, ["minor", [0, 1], [0, 1]])
    return {
        "the verdict is not_closed | the contrary": reworded(right, "closed", right.reason),
        "the verdict is not_closed | nothing": reworded(right, "unknown", right.reason),
        "the verdict says: LU window | free text": reworded(right, "not_closed", "safe; signed"),
        "the verdict says: LU window | other rows": reworded(
            right, "not_closed", right.reason.replace("(0, 1)", "(0, 2)", 1)
        ),
        "have no higher rank | no LU window": lines,
    }


def numbered() -> dict[str, Any]:
    """Proofs in a window that is not in the corner: what is refused has the user's numbers."""
    left, right = np.zeros((4, 3), int), np.zeros((3, 6), int)
    left[np.ix_([2, 3], [1, 2])] = LOWER
    right[np.ix_([1, 2], [3, 5])] = UPPER
    left[0, 0] = right[0, 0] = 1  # a block of its own, which a reduction leaves away
    supports = left.tolist(), right.tolist()
    alone = [["component", 1]]

    def far(tree: Any = LU_TREE, curve: Any = LU_CURVE, matrix: Any = LU_LIMIT) -> Any:
        return limit(supports, curve, matrix, tree, alone, rows=(2, 3), columns=(3, 5))

    with_pole = [*LU_CURVE[0][:2], [1, 1, {0: -2}]], LU_CURVE[1]
    line = ["line", 1, [0, 1], None]
    return {
        "Y[2, 3] lies outside the support | far": far(
            curve=(LU_CURVE[0], [*LU_CURVE[1], [1, 0, {0: 1}]])
        ),
        "X[2, 2] lies outside the support | far": far(
            curve=([*LU_CURVE[0], [0, 1, {0: 1}]], LU_CURVE[1])
        ),
        "has a pole at (3, 5) | far": far(curve=with_pole),
        "it is 0 at (2, 3), not 1 | far": far(matrix=[[1, 1], [1, 0]]),
        "cell (3, 5) holds 0 with live terms [1, 2] | far": far(["cell", 1, 1]),
        "cell (3, 5) must be 0 with one live term, it is 0 with terms [1, 2] | far": far(
            ["product", 1, 1, LU_TREE, LU_TREE]
        ),
        "rows [2, 3] and columns [3, 5] have no higher rank | far": far(["minor", [0, 1], [0, 1]]),
        "rows [2, 3] and columns [3, 5] can vanish for terms [2] | far": far(
            ["free_minor", [0, 1], [0, 1], [1]]
        ),
        "column 5 has live terms [1, 2] | far": far(["span", [0, 1], 1, {0: 0}]),
        "row 3 has live terms [1, 2] | far": far(["span_t", [0, 1], 1, {0: 0}]),
        "column 5 does not determine term 2 | far": far(["span", [0, 1], 1, {0: 0, 1: 1}]),
        "x[2, 2] lies outside the support | far": far(["split", ["x", 0, 1], LU_TREE, LU_TREE]),
        "x[2, 1] has no known value | far": far(line),
        "x[3, 2] cannot be scaled to 1 here | far": far(["scale", ["x", 1, 1], line]),
        "there is no equation of the value of y[2, 5] | far": far(
            ["identity", [[["value", ["y", 1, 1]], [[1, []]]]]]
        ),
    }


def nonzero_identity() -> list[Any]:
    """Return an identity that excludes the limit of LU.

    (x_00 y_01 - 1) (-x_10 y_00) - (x_10 y_00 - 1) + (x_00 y_00) (x_10 y_01) = 1.
    """
    x1, y0, y1 = [0, 1, 0], [1, 0, 0], [1, 0, 1]
    return [
        "identity",
        [
            [["cell", 0, 1], [[-1, [x1, y0]]]],
            [["cell", 1, 0], [[-1, []]]],
            [["cell", 0, 0], [[1, [x1, y1]]]],
        ],
    ]


def identities() -> dict[str, Any]:
    """Combinations that are not 1, or of equations that do not hold."""
    x, u, v = [0, 0, 0], [2, 0, 0], [3, 0, 0]

    def zero(terms: Any) -> Any:
        """Claim that 0 is not a product x y."""
        return product([[0]], [[0]], ["identity", terms], [[1]], [[1]])

    names = [[side, *(i, 0)[:: 1 - 2 * (side % 2)]] for side in range(4) for i in range(5)]
    many = [
        [1, list(monomial)]
        for length in range(5)
        for monomial in combinations_with_replacement(names, length)
    ]
    valued = nonzero(X00, (0, 1), nonzero(Y00, (1, 0), ["scale", X00, None]))
    wrong, missing = copy.deepcopy(valued), copy.deepcopy(valued)
    for tree, name in ((wrong, X00), (missing, Y00)):
        added = [[[kind, name], [[s, []]]] for kind, s in (("value", 1), ("inverse", -1))]
        tree[3][3][2] = ["identity", [*nonzero_identity()[1], *added]]
    outside = copy.deepcopy(nonzero_identity())
    outside[1].append([["cell", 0, 0], [[1, [[0, 0, 1]]], [-1, [[0, 0, 1]]]]])
    return {
        "the combination of 0 equations is not 1 | nothing": zero([]),
        "the combination of 1 equations is not 1 | one": zero([[["cell", 0, 0], [[1, []]]]]),
        "there is no equation of the value of x[0, 0] | no value": zero(
            [[["value", X00], [[1, []]]]]
        ),
        "the combination of 5 equations is not 1 | an inverse is not a value": lu(wrong),
        "there is no equation of the value of y[0, 0] | but of its inverse": lu(missing),
        "there is no equation of the inverse of x[0, 0] | it may be zero": zero(
            [
                [["cell", 0, 0], [[1, [u, v]]]],
                [["inverse", X00], [[-1, []]]],
                [["inverse", Y00], [[-1, [x, u]]]],
            ]
        ),
        "the window has no entry number (0, 1) of x | of an equation": zero(
            [[["inverse", ["x", 0, 1]], [[1, []]]]]
        ),
        "x[0, 1] lies outside the support | of a factor": lu(outside),
        "by 10626 terms is too large | a factor": product(
            np.ones((5, 1), int), np.ones((1, 5), int), ["identity", [[["cell", 0, 0], many]]]
        ),
    }


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    yield from forgeries_ranks.honest()
    third, pair = [0, 1, 2], [0, 1]
    scale = nonzero(X00, (0, 1), ["scale", X00, ["line", 0, [0], ["cell", 1, 0]]])
    forced = nonzero(X00, (0, 1), nonzero(Y00, (1, 0), ["scale", X00, ["line", 0, [0], None]]))
    turned = nonzero(
        ["x", 1, 0],
        (1, 0),
        ["scale", ["x", 1, 0], ["line", 0, [1], ["line_t", 0, [0], ["cell", 0, 1]]]],
    )
    with_values = nonzero_identity()
    with_values[1] += [[["value", X00], [[s, []]]] for s in (1, -1)]
    with_values[1] += [[["inverse", Y00], [[s, []]]] for s in (1, -1)]
    valued = nonzero(X00, (0, 1), nonzero(Y00, (1, 0), ["scale", X00, with_values]))
    yield from worded(
        "LU window", lu(), "LU window at rows (0, 1) and columns (0, 1), terms 0 and 1"
    )
    by_splits = lu(nonzero(X00, (0, 1), nonzero(Y00, (1, 0), ["cell", 0, 0])))
    yield from worded("LU, by splits", by_splits, "curve of order 1 on 2 rows and 2 columns")
    yield "LU, by ranks", lu(["product", 0, 0, ["minor", [0], [1]], ["minor", [1], [0]]])
    yield "LU, by a minor with an unknown", lu(["free_minor", pair, pair, [0]])
    yield "LU, by a line that gives a zero", lu(scale)
    yield "LU, by a line that gives a zero where there is none", lu(forced)
    yield "LU, by a row", lu(turned)
    yield "LU, by an identity", lu(nonzero_identity())
    yield "LU, by an identity with values and inverses", lu(valued)
    yield from _honest_identities()
    yield "LU, scaled", scaled()
    largest = 2**10_000 - 1
    curve = [LU_CURVE[0][0], [1, 0, {0: largest}], [1, 1, {0: -largest}]], LU_CURVE[1]
    yield "LU, the largest number", limit(LU, curve, [[0, 1], [largest, 0]], LU_TREE)
    yield from worded(
        "antidiagonal",
        limit(*ANTIDIAGONAL, ["free_minor", third, third, [0]]),
        "curve of order 2 on 3 rows and 3 columns",
    )
    yield from worded(
        "LU, its last cell free",
        limit(LU, POLE, LU_LIMIT, LU_TREE, ALONE),
        "LU window on 2 rows and 2 columns",
    )
    yield from _honest_large_windows()
    yield from _honest_merges()


def _honest_identities() -> Pairs:
    """Yield proofs for LU that need the equation of a value or of an inverse."""
    x0, x1, y0, y1 = [0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1]
    xy, one = [["cell", 0, 0], ["cell", 1, 0], ["cell", 0, 1]], [[-1, []]]
    of_x = [[xy[0], [[1, [x1, [2, 0, 0]]]]], [["inverse", X00], [[-1, [x1, y0]]]], [xy[1], one]]
    of_y = [[xy[0], [[1, [y1, [3, 0, 0]]]]], [["inverse", Y00], [[-1, [x0, y1]]]], [xy[2], one]]
    with_x = [[xy[0], [[1, [x1]]]], [["value", X00], [[-1, [x1, y0]]]], [xy[1], one]]
    with_y = [[xy[0], [[1, [y1]]]], [["value", Y00], [[-1, [x0, y1]]]], [xy[2], one]]
    identities = (
        ("an inverse of x", X00, (0, 1), ["identity", of_x]),
        ("an inverse of y", Y00, (1, 0), ["identity", of_y]),
        ("a value of x", X00, (0, 1), ["scale", X00, ["identity", with_x]]),
        ("a value of y", Y00, (1, 0), ["scale", Y00, ["identity", with_y]]),
    )
    for name, variable, cell, tree in identities:
        yield f"LU, by {name}", lu(nonzero(variable, cell, tree))


def scaled() -> Any:
    """Return LU with other numbers: the limit is [[0, 3/4], [6, 0]]."""
    half = Fraction(1, 2)
    curve = (
        [[0, 0, {1: half}], [1, 0, {0: 2}], [1, 1, {0: -3}]],
        [[0, 0, {0: 3}], [0, 1, {-1: 3 * half}], [1, 1, {-1: 1}]],
    )
    return limit(LU, curve, [[0, Fraction(3, 4)], [6, 0]], LU_TREE)


def worded(name: str, certificate: Any, reason: str) -> Pairs:
    """Yield a certificate whose verdict is written here."""
    yield name, reworded(certificate, "not_closed", reason)


def _honest_large_windows() -> Pairs:
    for size in (3, 6):
        beside = [np.eye(size, dtype=int), np.eye(size, dtype=int)]
        for support, own in zip(beside, LU, strict=True):
            support[:2, :2] = own
        matrix = np.eye(size, dtype=int)
        matrix[:2, :2] = LU_LIMIT
        extra = [[i, i, {0: 1}] for i in range(2, size)]
        curve = [*LU_CURVE[0], *extra], [*LU_CURVE[1], *extra]
        every = list(range(size))
        for tree in (LU_TREE, ["free_minor", every, every, [0, *every[2:]]]):
            yield from worded(
                f"LU beside a diagonal, {size} rows, {tree[0]}",
                limit([s.tolist() for s in beside], curve, matrix.tolist(), tree),
                f"curve of order 1 on {size} rows and {size} columns",
            )


def _honest_merges() -> Pairs:
    curve = (
        [[0, 0, {0: 1}], [0, 1, {0: 1}], [1, 1, {1: 1}]],
        [[0, 0, {0: 1}], [0, 1, {-1: -1}], [1, 1, {-1: 1}], [1, 2, {0: 1}]],
    )
    turned = tuple([[b, a, p] for a, b, p in factor] for factor in reversed(curve))
    matrix = [[1, 0, 1], [0, 1, 0]]
    y00, y12 = ["y", 0, 0], ["y", 1, 2]
    second = ["scale", y12, ["line_t", 0, [2], ["line_t", 1, [2], ["line", 1, [0, 1], None]]]]
    first = ["scale", y00, ["line_t", 0, [0], ["line_t", 0, [0], ["line_t", 1, [0], second]]]]
    span, size = ["span", [0, 1], 1, {0: 0, 1: 2}], "on 2 rows and 3 columns"
    yield from worded("merge window", limit(MERGE, curve, matrix, span), f"merge window {size}")
    moved = curve[0], [[k, (1, 0, 2)[j], p] for k, j, p in curve[1]]
    yield from worded(
        "merge window, its columns in another order",
        limit(
            MERGE,
            moved,
            [[0, 1, 1], [1, 0, 0]],
            ["span", [0, 1], 0, {0: 1, 1: 2}],
            columns=(1, 0, 2),
        ),
        f"curve of order 1 {size}",
    )
    yield from worded(
        "merge window, its rows in another order",
        limit(MERGE, curve, matrix, ["span", [1, 0], 1, {0: 0, 1: 2}]),
        f"curve of order 1 {size}",
    )
    yield from worded(
        "merge window, by lines",
        limit(MERGE, curve, matrix, nonzero(y00, (0, 0), nonzero(y12, (0, 2), first))),
        f"curve of order 1 {size}",
    )
    yield from worded(
        "merge window, a column more",
        limit((FULL, [[1, 1, 0, 1], [0, 1, 1, 1]]), curve, [[1, 0, 1, 0], [0, 1, 0, 0]], span),
        "curve of order 1 on 2 rows and 4 columns",
    )
    yield from worded(
        "merge window, transposed",
        limit(
            (np.transpose(MERGE[1]).tolist(), FULL),
            turned,
            np.transpose(matrix).tolist(),
            ["span_t", [0, 1], 1, {0: 0, 1: 2}],
        ),
        "merge window on 3 rows and 2 columns",
    )
    wide = ([[1, 1, 0], [1, 1, 0], [0, 0, 1]], [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]])
    for reductions in (
        [["component", 0]],
        [["keep", [0, 1], [0, 1, 2]]],
        [["free", [2], ["columns", [[0]]]], ["component", 0], ["keep", [1, 0], [2, 1, 0]]],
    ):
        yield (
            f"merge window, after {len(reductions)} {reductions[0][0]}",
            limit(
                wide,
                curve,
                matrix,
                ["span", [0, 1], 1, {0: 0, 1: 2}],
                reductions,
                rows=(0, 1),
                columns=(0, 1, 2),
            ),
        )
