"""Forged proofs by cases that sets are closed: places, branches, moves and leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
from case_statements import (
    ANY,
    EVERY,
    ONE,
    OPEN,
    SHORT,
    STAIRS,
    UNEQUAL,
    UNIT,
    WIDE,
    WIDE_ANY,
    A,
    B,
    C,
    D,
    corner_tree,
    solve,
)
from forging import (
    DENSE,
    LU,
    LU_CURVE,
    LU_LIMIT,
    LU_TREE,
    RANK_ONE,
    cases,
    limit,
)


def places() -> dict[str, Any]:
    """Recorded steps towards a limit that cannot be taken."""

    def after(*step: Any) -> Any:
        return limit(LU, LU_CURVE, LU_LIMIT, LU_TREE, [list(step)])

    return {
        "there are 1 components, none of number 1 | one": after("component", 1),
        "there is no row 2 | kept": after("keep", [0, 2], [0, 1]),
        "there is no column 2 | kept": after("keep", [0, 1], [0, 2]),
    }


LU_A = solve([[0, 0, A], [1, 0, C], [1, 1, ONE]], STAIRS)
LU_B0 = solve(UNIT, STAIRS, turned=True)
LU_C0 = solve(UNIT, STAIRS)
"""LU, for targets with a not 0, with b = 0, with c = 0."""


def branches() -> dict[str, Any]:
    """Splits, minors, and branches that are said to be empty."""
    product_ab = [[1, [[0, 0], [0, 1]]]]
    by_b = [[0, 0, product_ab], [1, 0, [[1, [[0, 1], [1, 0]]]]], [1, 1, ONE]]
    parameter = [[1, [[0]]], [1, [[0, 0]]]]
    gone = ["split", [[1, [[0, 0]]], [1, [[0, 1]]]], [0, 1], ANY, ANY]
    not_b = ["minor", [0, 1], [0, 1], [1, 0], LU_C0]
    linear, vanish = "not linear in the entry", "need not vanish"
    rows = "rows [0, 1] and columns"
    both = [0, 1]
    return {
        "the coefficient of the entry (0, 1) can vanish | LU": cases(
            LU, ["split", product_ab, [0, 1], LU_B0, solve(by_b, STAIRS)]
        ),
        f"{linear} (0, 1) | it is missing": cases(DENSE, ["split", A, [0, 1], ANY, ANY]),
        f"{linear} (0, 0) | squared": cases(
            DENSE, ["split", [[1, [[0, 0], [0, 0]]]], [0, 0], ANY, ANY]
        ),
        "a split uses entries that are not free | a parameter": cases(
            DENSE, ["split", parameter, [0, 0], ANY, ANY]
        ),
        "a split uses entries that are not free | a zero": cases(
            DENSE, ["split", A, [0, 0], gone, ANY]
        ),
        "no polynomial that is not zero became zero | LU": cases(LU, ["empty"]),
        "no polynomial that is not zero became zero | LU, in a branch": cases(
            LU, ["split", A, [0, 0], ["split", B, [0, 1], LU_B0, ["empty"]], LU_A]
        ),
        f"{rows} [0, 1] can vanish | rank one": cases(RANK_ONE, ["conflict", both, both]),
        f"{rows} [0, 1] {vanish} | LU": cases(
            LU, ["split", A, [0, 0], ["split", B, [0, 1], LU_B0, not_b], LU_A]
        ),
        f"{rows} [0] {vanish} | no square": cases(RANK_ONE, ["minor", both, [0], [0, 0], ANY]),
        "there is no line 2, there are 2 | a row of a minor": cases(
            ([[1], [1]], [[1, 1, 1]]), ["conflict", [0, 2], both]
        ),
        "there is no line 3, there are 3 | a column of a minor": cases(
            ([[1], [1]], [[1, 1, 1]]), ["conflict", both, [0, 3]]
        ),
    }


def _where(p: Any, name: Any, tree: Any) -> list[Any]:
    """Return a tree for DENSE that takes another one where p is not zero."""
    return ["split", p, name, ANY, tree]


BY_D = solve([[0, 0, D], [1, 1, ONE]], EVERY)
"""For targets of DENSE with d not 0."""


def moves() -> dict[str, Any]:
    """Lines that are cleared or mixed though they must not be."""
    clear = ["clear", 0, 0, 1, ANY]
    mix = ["pivot", 0, [0, 1], ANY, ANY]
    equal_d = [[1, [[1, 1]]], [-1, [[0, 1]]]]  # d = b
    equal_c = [[1, [[1, 0]]], [-1, [[0, 1]]]]  # c = b
    equal_e = [[1, [[0, 2]]], [-1, [[0, 1]]]]  # A_02 = A_01
    subtract = "cannot be subtracted from"
    return {
        "the entry (0, 0) can vanish | LU": cases(LU, ["clear", 0, 0, 1, LU_B0]),
        f"multiples of column 0 {subtract} column 1 | terms": cases(
            SHORT, _where(A, [0, 0], clear)
        ),
        f"multiples of row 0 {subtract} row 1 | terms, transposed": cases(
            UNEQUAL, _where(A, [0, 0], ["clear_t", 0, 0, 1, ANY])
        ),
        f"multiples of column 0 {subtract} column 1 | cells": corner_tree(
            ["split", A, [0, 0], OPEN, ["clear", 0, 0, 1, OPEN]]
        ),
        "is not observed, or expressed by others | not observed": corner_tree(
            ["split", D, [1, 1], OPEN, ["clear", 1, 1, 0, OPEN]]
        ),
        "is not observed, or expressed by others | expressed": cases(
            DENSE, ["split", equal_d, [1, 1], _where(A, [0, 0], clear), ANY]
        ),
        "is used to express (1, 0) | cleared": cases(
            DENSE, ["split", equal_c, [1, 0], _where(A, [0, 0], clear), ANY]
        ),
        "is used to express (0, 2) | mixed": cases(
            WIDE,
            [
                *("split", equal_e, [0, 2]),
                ["pivot", 0, [0, 1], WIDE_ANY, WIDE_ANY],
                WIDE_ANY,
            ],
        ),
        "lines are mixed, but their entries | expressed": cases(
            DENSE, ["split", equal_d, [1, 1], mix, ANY]
        ),
        "columns [0, 1] are not covered and observed alike | terms": cases(SHORT, mix),
        "rows [0, 1] are not covered and observed alike | transposed": cases(
            UNEQUAL, ["pivot_t", 0, [0, 1], ANY, ANY]
        ),
        "columns [0, 1] are not covered and observed alike | cells": corner_tree(
            ["pivot", 0, [0, 1], OPEN, OPEN]
        ),
        "columns [] are not covered and observed alike | none": cases(
            DENSE, ["pivot", 0, [], ANY, ANY]
        ),
        "columns [0] are not observed in row 1 | a hole": corner_tree(
            ["pivot", 1, [0], OPEN, OPEN]
        ),
        "there is no line 2, there are 2 | the row of a pivot": cases(
            DENSE, ["pivot", 2, [0, 1], ANY, ANY]
        ),
        "there is no line 2, there are 2 | a column of a pivot": cases(
            DENSE, ["pivot", 0, [0, 2], ANY, ANY]
        ),
        "there is no line 2, there are 2 | the row of a clearance": cases(
            DENSE, _where(A, [0, 0], ["clear", 2, 0, 1, ANY])
        ),
        "there is no line 2, there are 2 | a column of a clearance": cases(
            DENSE, _where(A, [0, 0], ["clear", 0, 0, 2, ANY])
        ),
        "minor of rows [0, 1] and terms [0, 1] can vanish | known before it was cleared": cases(
            DENSE, _where(A, [0, 0], ["split", D, [1, 1], ANY, ["clear", 0, 0, 1, BY_D]])
        ),
        "minor of rows [0, 1] and terms [0, 1] can vanish | known before it was mixed": cases(
            DENSE, ["split", D, [1, 1], ANY, ["pivot", 0, [0, 1], ANY, BY_D]]
        ),
        "lines: expected a list without repetitions | a column by itself": cases(
            DENSE, _where(A, [0, 0], ["clear", 0, 0, 0, ANY])
        ),
    }


def leaves() -> dict[str, Any]:
    """Factors that do not reach the target."""
    large = np.ones((13, 13), dtype=int).tolist()
    diagonal = [[i, i, ONE] for i in range(13)]
    all_of_13 = [[list(range(13))] * 2] * 13
    sums = [
        [[1, [[n]]] for n in range(first, first + count)] for first, count in ((0, 200), (200, 101))
    ]
    ones = [[i, k, ONE] for i in (0, 1) for k in (0, 1)]
    outside = "lies outside the support or is given twice"
    needed = "as many observed rows as covering terms are needed"
    return {
        "the minor of rows [0] and terms [0] can vanish | LU": cases(LU, LU_A),
        "column 0: the factors do not reach row 1 | LU": cases(LU, LU_C0),
        "row 0: the factors do not reach column 1 | LU": cases(LU, LU_B0),
        "one choice of rows and terms per column is needed | one": cases(
            DENSE, solve(UNIT, EVERY[:1])
        ),
        "one choice of columns and terms per row is needed | three": cases(
            DENSE, solve(UNIT, EVERY[:1] * 3, turned=True)
        ),
        f"column 0: {needed} | two terms for a row": cases(DENSE, solve(ones, [[[0], [0, 1]]] * 2)),
        f"column 0: {needed} | LU, a term that does not cover it": cases(LU, solve(UNIT, EVERY)),
        f"column 0: {needed} | not observed": corner_tree(solve(UNIT, EVERY)),
        "there is no line 2, there are 2 | a row to solve": cases(
            DENSE, solve(UNIT, [[[0, 2], [0, 1]], EVERY[1]])
        ),
        "there is no line 2, there are 2 | a term to solve": cases(
            DENSE, solve(UNIT, [[[0, 1], [0, 2]], EVERY[1]])
        ),
        f"entry (2, 0) {outside} | no row": cases(DENSE, solve([*UNIT, [2, 0, []]], EVERY)),
        f"entry (0, 2) {outside} | no term": cases(DENSE, solve([*UNIT, [0, 2, []]], EVERY)),
        f"entry (1, 2) {outside} | not in the support": cases(
            UNEQUAL, solve([*UNIT, [1, 2, []]], EVERY)
        ),
        f"entry (0, 0) {outside} | twice": cases(DENSE, solve([*UNIT, [0, 0, ONE]], EVERY)),
        "a polynomial uses what is not free | a zero": cases(
            DENSE, ["split", A, [0, 0], solve([*UNIT, [0, 1, A]], EVERY), ANY]
        ),
        "a polynomial uses what is not free | no entry": cases(
            DENSE, solve([*UNIT, [0, 1, [[1, [[7, 7]]]]]], EVERY)
        ),
        "a determinant of 13 rows is too large | the identity": cases(
            (large, large), solve(diagonal, all_of_13)
        ),
        "a product of 200 by 101 terms is too large | parameters": cases(
            DENSE, solve([[0, 0, sums[0]], [1, 1, sums[1]]], EVERY)
        ),
    }
