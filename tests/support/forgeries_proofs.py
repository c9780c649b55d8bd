"""Forged proofs that sets are closed: free families, cases, chains."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from forging import (
    DENSE,
    DIAGONAL,
    FULL,
    LOWER,
    LU,
    LU_CURVE,
    LU_LIMIT,
    LU_TREE,
    RANK_ONE,
    UPPER,
    Pairs,
    cases,
    chain,
    closed,
    comparable,
    evidence_of,
    limit,
    lu,
    made,
    reworded,
    single,
)

import sparseopt as so

ONE: list[Any] = [[1, []]]
A, B, C, D = ([[1, [[i, j]]]] for i in (0, 1) for j in (0, 1))
"""The entries of a 2 x 2 target as polynomials."""
END = ["components", []]
UNEQUAL = ([[1, 1, 1], [1, 1, 0]], [[1, 1], [1, 1], [1, 1]])
"""Every 2 x 2 matrix; the third term lacks the second row."""
SHORT = ([[1, 1, 1], [1, 1, 1]], [[1, 1], [1, 1], [1, 0]])
"""Every 2 x 2 matrix; the third term lacks the second column."""
CORNER = ([[1, 1, 0], [1, 1, 1]], [[1, 1], [1, 1], [1, 0]])
"""Every 2 x 2 matrix; the third term has one cell, (1, 0)."""


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate)."""
    for part in (hypotheses, families, places, branches, moves, leaves, chains, chain_cases):
        yield from part().items()


def hypotheses() -> dict[str, Any]:
    """Theorems whose hypothesis does not hold."""
    three = so.Closedness([LOWER, UPPER, DIAGONAL])
    right = comparable(*DENSE)
    return {
        "the problem has two factors | three, compared": made(so.ComparableCertificate, three),
        "the problem has two factors | three, reduced": made(
            so.ReducedClosedCertificate, three, ["comparable"]
        ),
        "the problem has one factor | two": made(so.SingleFactorCertificate, so.Closedness(LU)),
        "any two rectangles are disjoint or comparable | LU": comparable(*LU),
        "terms (257, 258) are not | LU after many terms": comparable(*_beside_many()),
        "disjoint or comparable (found: blocks of terms [0, 1]) | LU": closed(LU, ["comparable"]),
        "all cells of the blocks that are left are observed | LU": closed(
            LU, ["free", [1], ["columns", [[0]]], ["comparable"]]
        ),
        "1 components have a proof | none": closed(LU, END),
        "1 components have a proof | two": closed(
            DENSE, ["components", [["comparable"], ["comparable"]]]
        ),
        "the verdict is closed | the contrary": reworded(right, "not_closed", right.reason),
        "the verdict says: any two | free text": reworded(right, "closed", "it is optimal"),
        "the verdict says: one factor | free text": reworded(single(FULL), "closed", "?"),
        "the verdict says: a coordinate subspace: 2 blocks | three": reworded(
            closed(DENSE, ["free", [0, 1], ["columns", [[0, 1], [0, 1]]], END]),
            "closed",
            "a coordinate subspace: 3 blocks in free families",
        ),
    }


def _beside_many() -> list[Any]:
    """Return LU after 257 terms of one cell."""
    supports = [np.eye(259, dtype=int), np.eye(259, dtype=int)]
    for support, own in zip(supports, LU, strict=True):
        support[257:, 257:] = own
    return supports


def _free(supports: Any, *evidence: Any, terms: Any = (0, 1)) -> Any:
    return closed(supports, ["free", list(terms), list(evidence), END])


def families() -> dict[str, Any]:
    """Families that are not free."""
    identity = [[0, 0, 1], [1, 1, 1]]
    onto, outside = [[0, 1], [0, 1]], "of a point leaves the support, or is repeated"
    found = {}
    for name, line, across in (("columns", "row", "column"), ("rows", "column", "row")):
        found |= {
            f"{across} 0: a matching gives each {line} its own term | too short": _free(
                DENSE, name, [[0], [0, 1]]
            ),
            f"{across} 0: the family has 2 blocks | no term": _free(DENSE, name, [[0, 2], [0, 1]]),
            f"one matching per {across} of the family is needed | one": _free(
                DENSE, name, [[0, 1]]
            ),
        }
    for name, line, across in (("determined", "row", "column"), ("determined_t", "column", "row")):
        found |= {
            f"there is no {across} 2, or no block number 0 | line": _free(LU, name, 2, 0, []),
            f"there is no {across} 0, or no block number 2 | term": _free(LU, name, 0, 2, []),
            f"one list of matchings per other {across} | none": _free(LU, name, 0, 0, []),
            f"one matching per entry of the determined {across} | one": _free(
                LU, name, 0, 0, [[[0, 1]]]
            ),
            f"term 0 stands in {line} 0, not in {line} 1 | LU": _free(LU, name, 0, 0, [onto]),
        }
    third = [0, 1, 2]
    return found | {
        "term 1 does not cover row 1 in column 0 | LU": _free(LU, "columns", onto),
        "term 1 does not cover row 0 in column 1 | not in I": _free(
            (LOWER, FULL), "columns", [[0, 1], [1, 0]]
        ),
        "term 1 does not cover column 1 in row 0 | LU, by rows": _free(LU, "rows", onto),
        "term 2 does not cover all of column 0 | a row": _free(
            UNEQUAL, "determined", 0, 2, [onto], terms=third
        ),
        "term 2 does not cover all of column 1 | not at all": _free(
            SHORT, "determined", 1, 2, [onto], terms=third
        ),
        "term 2 does not cover all of row 0 | transposed": _free(
            SHORT, "determined_t", 0, 2, [onto], terms=third
        ),
        f"entry (2, 0) {outside} | no row": _free(DENSE, "submersion", [*identity, [2, 0, 0]], []),
        f"entry (0, 2) {outside} | no term": _free(DENSE, "submersion", [*identity, [0, 2, 0]], []),
        f"entry (1, 2) {outside} | not in the support": _free(
            UNEQUAL, "submersion", [*identity, [1, 2, 0]], [], terms=third
        ),
        f"entry (0, 0) {outside} | twice": _free(DENSE, "submersion", [*identity, [0, 0, 1]], []),
        "does not have product zero | LU": _free(LU, "submersion", identity, identity),
        "the tangent map is not onto the 4 cells | LU": _free(LU, "submersion", [], []),
        "the tangent map is not onto the 4 cells | LU, onto all but the first": _free(
            LU, "submersion", [[1, 0, 1], [1, 1, 1]], [[0, 1, 1], [1, 1, -1]]
        ),
        "the tangent map is not onto the 4 cells | parallel columns": _free(
            DENSE, "submersion", [[0, 0, 2], [0, 1, 4], [1, 0, 3], [1, 1, 6]], []
        ),
        f"entry (2, 0) {outside} | fewer rows than terms": _free(
            UNEQUAL, "submersion", [*identity, [2, 0, 0]], [], terms=third
        ),
        "there are 2 blocks, not all of [0, 2] | no term": _free(
            DENSE, "columns", onto, terms=[0, 2]
        ),
    }


def places() -> dict[str, Any]:
    """Recorded steps towards a limit that cannot be taken."""

    def after(*step: Any) -> Any:
        return limit(LU, LU_CURVE, LU_LIMIT, LU_TREE, [list(step)])

    return {
        "there are 1 components, none of number 1 | one": after("component", 1),
        "there is no row 2 | kept": after("keep", [0, 2], [0, 1]),
        "there is no column 2 | kept": after("keep", [0, 1], [0, 2]),
    }


def _solve(x: Any, columns: Any, turned: bool = False) -> list[Any]:
    """Return a leaf; x is written as [[i, k, polynomial], ...]."""
    return ["solve_t" if turned else "solve", x, columns]


UNIT = [[0, 0, ONE], [1, 1, ONE]]
EVERY = [[[0, 1], [0, 1]]] * 2
ANY = _solve(UNIT, EVERY)
"""For every target of DENSE."""
STAIRS = [[[0], [0]], [[0, 1], [0, 1]]]
"""How LU is solved for: the first column by the first term."""
LU_A = _solve([[0, 0, A], [1, 0, C], [1, 1, ONE]], STAIRS)
LU_B0 = _solve(UNIT, STAIRS, turned=True)
LU_C0 = _solve(UNIT, STAIRS)
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
            LU, ["split", product_ab, [0, 1], LU_B0, _solve(by_b, STAIRS)]
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


def _corner(tree: Any) -> Any:
    """Return a proof for CORNER without its cell (1, 0)."""
    return closed(CORNER, ["free", [2], ["columns", [[0]]], ["cases", tree]])


BY_D = _solve([[0, 0, D], [1, 1, ONE]], EVERY)
"""For targets of DENSE with d not 0."""
OPEN = _solve(UNIT, [[[0], [0]], [[0, 1], [0, 1]]])
"""For CORNER without its cell."""


WIDE = (FULL, [[1, 1, 1], [1, 1, 1]])
"""Every 2 x 3 matrix."""
WIDE_EVERY = [[[0, 1], [0, 1]]] * 3
WIDE_ANY = _solve(UNIT, WIDE_EVERY)


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
        f"multiples of column 0 {subtract} column 1 | cells": _corner(
            ["split", A, [0, 0], OPEN, ["clear", 0, 0, 1, OPEN]]
        ),
        "is not observed, or expressed by others | not observed": _corner(
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
        "lines are mixed whose entries | expressed": cases(
            DENSE, ["split", equal_d, [1, 1], mix, ANY]
        ),
        "columns [0, 1] are not covered and observed alike | terms": cases(SHORT, mix),
        "rows [0, 1] are not covered and observed alike | transposed": cases(
            UNEQUAL, ["pivot_t", 0, [0, 1], ANY, ANY]
        ),
        "columns [0, 1] are not covered and observed alike | cells": _corner(
            ["pivot", 0, [0, 1], OPEN, OPEN]
        ),
        "columns [] are not covered and observed alike | none": cases(
            DENSE, ["pivot", 0, [], ANY, ANY]
        ),
        "columns [0] are not observed in row 1 | a hole": _corner(["pivot", 1, [0], OPEN, OPEN]),
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
        "lines: a list without repetitions is wanted | a column by itself": cases(
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
            DENSE, _solve(UNIT, EVERY[:1])
        ),
        "one choice of columns and terms per row is needed | three": cases(
            DENSE, _solve(UNIT, EVERY[:1] * 3, turned=True)
        ),
        f"column 0: {needed} | two terms for a row": cases(
            DENSE, _solve(ones, [[[0], [0, 1]]] * 2)
        ),
        f"column 0: {needed} | LU, a term that does not cover it": cases(LU, _solve(UNIT, EVERY)),
        f"column 0: {needed} | not observed": _corner(_solve(UNIT, EVERY)),
        "there is no line 2, there are 2 | a row to solve": cases(
            DENSE, _solve(UNIT, [[[0, 2], [0, 1]], EVERY[1]])
        ),
        "there is no line 2, there are 2 | a term to solve": cases(
            DENSE, _solve(UNIT, [[[0, 1], [0, 2]], EVERY[1]])
        ),
        f"entry (2, 0) {outside} | no row": cases(DENSE, _solve([*UNIT, [2, 0, []]], EVERY)),
        f"entry (0, 2) {outside} | no term": cases(DENSE, _solve([*UNIT, [0, 2, []]], EVERY)),
        f"entry (1, 2) {outside} | not in the support": cases(
            UNEQUAL, _solve([*UNIT, [1, 2, []]], EVERY)
        ),
        f"entry (0, 0) {outside} | twice": cases(DENSE, _solve([*UNIT, [0, 0, ONE]], EVERY)),
        "a polynomial uses what is not free | a zero": cases(
            DENSE, ["split", A, [0, 0], _solve([*UNIT, [0, 1, A]], EVERY), ANY]
        ),
        "a polynomial uses what is not free | no entry": cases(
            DENSE, _solve([*UNIT, [0, 1, [[1, [[7, 7]]]]]], EVERY)
        ),
        "a determinant of 13 rows is too large | the identity": cases(
            (large, large), _solve(diagonal, all_of_13)
        ),
        "a product of 200 by 101 terms is too large | parameters": cases(
            DENSE, _solve([[0, 0, sums[0]], [1, 1, sums[1]]], EVERY)
        ),
    }


CELL = [[0, 0], [0, 1]]


def _butterfly() -> so.Closedness:
    return so.Closedness([p.support() for p in so.Architecture.square_dyadic(8)])


def chains() -> dict[str, Any]:
    """Chains that are not what they are shortened to, or not Kronecker-sparse."""
    kronecker = so.KroneckerChainCertificate
    architecture = so.Architecture.square_dyadic(8)
    patterns = [list(p) for p in architecture]
    turned = so.Closedness([p.support() for p in reversed(architecture)])
    whole = made(kronecker, _butterfly(), patterns)
    nothing = [[0, 0], [0, 0]]
    ldu = [LOWER, DIAGONAL, UPPER]
    absorbed = [["absorb", 1, "right"]]
    right = chain(ldu, absorbed, lu())
    complex_lu = made(so.NotClosedCertificate, so.Closedness(LU, "complex"), *evidence_of(lu()))
    dense = [1, 2, 2, 1]
    is_pattern = "is the Kronecker-sparse pattern KroneckerPattern"
    pair = so.Closedness((FULL, FULL))
    return {
        f"support 1 {is_pattern} | patterns that do not multiply": made(
            kronecker, pair, [dense, [1, 3, 3, 1]]
        ),
        f"support 0 {is_pattern} | patterns that do not multiply": made(
            kronecker, pair, [[1, 2, 3, 1], [1, 2, 2, 1]]
        ),
        "there are no 2 factors from 2 on | contracted": chain(ldu, [["contract", 2, []]], lu()),
        "there are no 9 factors from 0 on | cases": chain(
            [FULL], [["cases", 0, 9, _whole()]], single(FULL)
        ),
        "blocks are left that are not free | LU": chain(
            [*LU, DIAGONAL], [["contract", 0, []]], comparable(FULL, DIAGONAL)
        ),
        "there is no factor 0 with a left neighbour | the first": chain(
            [DIAGONAL, DIAGONAL], [["absorb", 0, "left"]], single(DIAGONAL)
        ),
        "there is no factor 1 with a right neighbour | the last": chain(
            [DIAGONAL, DIAGONAL], [["absorb", 1, "right"]], single(DIAGONAL)
        ),
        "there is no factor 2 with a left neighbour | not there": chain(
            [DIAGONAL, DIAGONAL], [["absorb", 2, "left"]], single(DIAGONAL)
        ),
        "support 0 does not contain the diagonal | only zeros": chain(
            [nothing, *LU], [["absorb", 0, "right"]], lu()
        ),
        "support 0 does not contain the diagonal | no square": chain(
            [[[1, 0]], FULL], [["absorb", 0, "right"]], single(FULL)
        ),
        "products of factors 1 and 2 leave support 2 | LU": chain(
            [DIAGONAL, *LU], [["absorb", 1, "right"]], comparable(DIAGONAL, UPPER)
        ),
        "products of factors 1 and 0 leave support 0 | LU": chain(
            [*LU, DIAGONAL], [["absorb", 1, "left"]], comparable(LOWER, DIAGONAL)
        ),
        "products of factors 1 and 0 leave support 0 | but 0 and 1 do not": chain(
            [CELL, LOWER], [["absorb", 1, "left"]], single(CELL)
        ),
        "short: a certificate of one or two factors is wanted | a chain": chain(
            [p.support() for p in architecture], [], whole
        ),
        "short: a certificate of one or two factors is wanted | nothing": chain(
            ldu, absorbed, None
        ),
        "it is about closedness of products with supports 2 x 2 and 2 x 2 (real) | another": chain(
            ldu, absorbed, comparable(*DENSE)
        ),
        "it is about closedness of products with supports 2 x 2 and 2 x 2 (real) | field": chain(
            ldu, absorbed, complex_lu
        ),
        "the verdict is not_closed | of a chain": reworded(right, "closed", right.reason),
        "the verdict says: same products as 2 factors: LU | free text": reworded(
            right, "not_closed", "same products as 2 factors: trust me"
        ),
        "there is one pattern per support | two": made(kronecker, _butterfly(), patterns[:2]),
        "support 0 is the Kronecker-sparse pattern | LU": made(
            kronecker, so.Closedness(LU), [dense, dense]
        ),
        "support 0 is the Kronecker-sparse pattern | another shape": made(
            kronecker, so.Closedness(DENSE), [[1, 3, 3, 1], [1, 3, 3, 1]]
        ),
        "the patterns are chainable | the wrong way round": made(kronecker, turned, patterns[::-1]),
        "the verdict says: a chainable chain | free text": reworded(whole, "closed", "fast"),
    }


def _whole() -> list[Any]:
    """Return the tree that one factor is every matrix on its support, a 2 x 2 target itself."""
    entries = [[i, j, [[1, [[i, j]]]]] for i in (0, 1) for j in (0, 1)]
    return ["product", [entries], ONE]


def _times(scale: Any, name: Any) -> list[Any]:
    """Return a polynomial times an entry."""
    return [[value, [*monomial, name]] for value, monomial in scale]


def _scaled() -> list[Any]:
    """Return the same with a scale of many terms: 3/2 p^2 + 2 a p - 5 b^2 d + 7."""
    p, a, b, d = [0], [0, 0], [0, 1], [1, 1]
    scale = [[Fraction(3, 2), [p, p]], [2, [a, p]], [-5, [b, b, d]], [7, []]]
    entries = [[i, j, _times(scale, [i, j])] for i in (0, 1) for j in (0, 1)]
    return ["product", [entries], scale]


def _fractions() -> list[Any]:
    """Return a tree that puts fractions into fractions: d = (b c + a) / b, then b = c / a."""
    a, b, c = [0, 0], [0, 1], [1, 0]
    d_of_b = [[1, [b, [1, 1]]], [-1, [b, c]], [-1, [a]]]
    scaled_by_b = [
        *([0, 0, [[1, [a, b]]]], [0, 1, [[1, [b, b]]]], [1, 0, [[1, [b, c]]]]),
        [1, 1, [[1, [b, c]], [1, [a]]]],
    ]
    # d = (c^2 + a^2) / c; times a c.
    scaled_by_ac = [
        *([0, 0, [[1, [a, a, c]]]], [0, 1, [[1, [c, c]]]], [1, 0, [[1, [a, c, c]]]]),
        [1, 1, [[1, [a, c, c]], [1, [a, a, a]]]],
    ]
    by_b = ["product", [scaled_by_b], B]
    by_ac = ["product", [scaled_by_ac], [[1, [a, c]]]]
    b_of_c = ["split", [[1, [a, b]], [-1, [c]]], b, by_ac, by_b]
    no_a = ["product", [[[0, 1, B], [1, 0, C], [1, 1, C]]], ONE]
    with_a = ["split", A, a, no_a, b_of_c]
    return ["split", B, b, _whole_without_b(), ["split", d_of_b, [1, 1], with_a, _whole()]]


def _whole_without_b() -> list[Any]:
    entries = [entry for entry in _whole()[1][0] if entry[:2] != [0, 1]]
    return ["product", [entries], ONE]


def chain_cases() -> dict[str, Any]:
    """Factors of a chain that do not give the target."""

    def full(tree: Any, *supports: Any) -> Any:
        supports = supports or (FULL,)
        return chain(list(supports), [["cases", 0, len(supports), tree]], single(FULL))

    times_a = [[i, j, [[1, [[0, 0], [i, j]]]]] for i in (0, 1) for j in (0, 1)]
    entries = _whole()[1][0]
    return {
        "1 factors are needed | two": full(["product", [entries, entries], ONE]),
        "1 factors are needed | none": full(["product", [], ONE]),
        "the scale of the product can vanish | an entry": full(["product", [times_a], A]),
        "the scale of the product can vanish | zero": full(["product", [[]], []]),
        "a polynomial uses what is not free | the scale": full(
            ["product", [entries], [[1, [[7, 7]]]]]
        ),
        "the product is not the target in cell (0, 0) | LU": full(["product", [[], []], ONE], *LU),
        "no polynomial that is not zero became zero | LU, a chain": full(["empty"], *LU),
    }


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    identity = [[0, 0, 1], [1, 1, 1]]
    onto = [[0, 1], [0, 1]]
    yield "comparable", comparable(*DENSE)
    yield "comparable, one taller", comparable([[1, 1], [1, 1], [0, 1]], [[1, 1], [1, 0]])
    yield "one factor", single(LOWER)
    for name in ("columns", "rows"):
        yield name, _free(DENSE, name, onto)
    for name in ("determined", "determined_t"):
        yield name, _free(DENSE, name, 0, 0, [[[0, 1], [1, 0]]])
    wide = [[[0, 1], [1, 0]]] * 2
    yield "determined, three columns", _free(WIDE, "determined", 0, 0, wide)
    # Without its third term, the first column of CORNER has one cell: term 0 may stand below it.
    outside = ["free", [0, 1], ["determined", 0, 0, [[[1, 0]]]], END]
    yield (
        "determined, its term elsewhere",
        closed(CORNER, ["free", [2], ["columns", [[0]]], outside]),
    )
    yield "submersion", _free(DENSE, "submersion", identity, [])
    yield "submersion, negative", _free(DENSE, "submersion", [[0, 0, -1000], [1, 1, 7]], [])
    mixed = [[0, 1, 3], [1, 0, 5], [1, 1, 7]]
    yield "submersion, zero where a pivot is sought", _free(DENSE, "submersion", mixed, [])
    three = ([[1] * 3] * 2, [[1] * 2] * 3)
    x = [[0, 0, 1], [0, 2, 2], [1, 1, 1], [1, 2, 3]]
    y = [[0, 0, -10], [0, 1, -14], [1, 0, -15], [1, 1, -21], [2, 0, 5], [2, 1, 7]]
    yield "submersion, both factors", _free(three, "submersion", x, y, terms=[0, 1, 2])
    apart = [["free", [0], ["rows", [[0]]], END], ["comparable"]]
    yield "components", closed((DIAGONAL, DIAGONAL), ["components", apart])
    yield from _honest_cases()
    yield from _honest_sizes()
    yield from _honest_chains()


def _honest_sizes() -> Pairs:
    """Yield proofs whose polynomials are as large as is allowed."""
    sums = [
        [[1, [[n]]] for n in range(first, first + count)] for first, count in ((0, 200), (200, 100))
    ]
    yield (
        "a product of 20,000 terms",
        cases(DENSE, _solve([[0, 0, sums[0]], [1, 1, sums[1]]], EVERY)),
    )
    large = np.ones((12, 12), dtype=int).tolist()
    every = [[list(range(12))] * 2] * 12
    yield (
        "a determinant of 12 rows",
        cases((large, large), _solve([[i, i, ONE] for i in range(12)], every)),
    )
    # A column of three entries by two terms: minors of three rows, the first column twice.
    a, b, c = ([[1, [[i, 0]]]] for i in range(3))
    p, q, r = ([[2, [[n]]], [-3, [[n], [n]]]] for n in range(3))
    mixed = [[0, 0, a], [1, 0, b], [2, 0, c], [0, 1, p], [1, 1, q], [2, 1, r]]
    first = _solve(mixed, [[[0, 1], [0, 1]]])
    second = _solve([[1, 0, b], [2, 0, c]], [[[1], [0]]])
    third = _solve([[2, 0, ONE]], [[[2], [0]]])
    tree = ["split", a, [0, 0], ["split", b, [1, 0], third, second], first]
    yield "minors of three rows", cases(([[1, 1]] * 3, [[1], [1]]), tree)


def _honest_cases() -> Pairs:
    yield "cases of every matrix", cases(DENSE, ANY)
    yield "cases, transposed", cases(DENSE, _solve(UNIT, EVERY, turned=True))
    yield (
        "cases with parameters",
        cases(DENSE, _solve([[0, 0, [[1, [[0]]]]], [1, 1, [[1, [[1]]], [3, []]]]], EVERY)),
    )
    first = [[0, 0, A], [1, 0, C]]
    second = [[0, 0, B], [1, 0, D]]
    own = [[[0], [0]], [[0], [0]]]
    minor = ["minor", [0, 1], [0, 1], [1, 1], _solve(first, own)]
    no_row = _solve([[1, 0, ONE]], [[[1], [0]], [[1], [0]]])
    no_column = _solve(second, own)
    crossed = ["split", C, [1, 0], no_column, ["conflict", [0, 1], [0, 1]]]
    yield (
        "rank one",
        cases(RANK_ONE, ["split", A, [0, 0], ["split", B, [0, 1], no_row, crossed], minor]),
    )
    again = ["split", A, [0, 0], ["empty"], ANY]
    yield "an empty branch", cases(DENSE, ["split", A, [0, 0], ANY, again])
    beside_zeros = ["split", A, [0, 0], ANY, ["clear", 0, 0, 1, ANY]]
    zeros = ["split", C, [1, 0], ["split", D, [1, 1], beside_zeros, ANY], ANY]
    yield "a clearance beside zeros", cases(DENSE, zeros)
    cleared = ["clear", 0, 0, 1, ["clear_t", 0, 0, 1, ANY]]
    yield "clearances", cases(DENSE, ["split", A, [0, 0], ANY, cleared])
    known = [[1, [[0, 2]]]]
    by_known = _solve([[0, 0, known], [1, 1, ONE]], WIDE_EVERY)
    beside = ["split", known, [0, 2], WIDE_ANY, ["pivot", 0, [0, 1], by_known, by_known]]
    yield "mixed columns beside one that is known", cases(WIDE, beside)
    own_row = _solve([[0, 0, ONE]], [[[0], [0]]] * 2)
    constant = ["split", [*A, [-1, []]], [0, 0], ["clear", 0, 0, 1, own_row], own_row]
    yield "all free entries cleared", cases(([[1]], [[1, 1]]), constant)
    one_cell = _solve([[0, 0, ONE]], [[[0], [0]]])
    split = ["split", A, [0, 0], one_cell, one_cell]
    yield "a split on all free entries", cases(([[1]], [[1]]), split)
    yield "mixed columns", cases(DENSE, ["pivot", 0, [0, 1], ANY, ANY])
    mix = ["pivot", 0, [0, 1], ANY, ANY]
    yield (
        "mixed columns with zeros",
        cases(DENSE, ["split", C, [1, 0], ["split", D, [1, 1], mix, ANY], ANY]),
    )
    emptied = _solve(UNIT, STAIRS, turned=True)
    yield "a mixture that leaves one entry", cases(DENSE, ["pivot", 0, [0, 1], ANY, emptied])
    yield "one column mixed", cases(DENSE, ["pivot", 0, [0], ANY, ANY])
    yield "mixed rows", cases(DENSE, ["pivot_t", 1, [1, 0], ANY, ANY])
    yield "a hole", _corner(OPEN)


def _honest_chains() -> Pairs:
    ldu = [LOWER, DIAGONAL, UPPER]
    rows = ["free", [0, 1], ["rows", [[0, 1], [0, 1]]]]
    yield (
        "contracted, unequal factors",
        chain([FULL, LOWER, UPPER], [["contract", 0, [rows]]], comparable(FULL, UPPER)),
    )
    columns = ["free", [0, 1], ["columns", [[0, 1]] * 3]]
    yield (
        "contracted to another shape",
        chain(list(WIDE), [["contract", 0, [columns]]], single(WIDE[1])),
    )
    p, q = [0], [1]
    first = [[i, i, [[1, [p]], [1, []]]] for i in (0, 1)]
    second = [[i, j, [[1, [q, [i, j]]], [2, [[i, j]]]]] for i in (0, 1) for j in (0, 1)]
    scale = [[1, [p, q]], [2, [p]], [1, [q]], [2, []]]
    yield (
        "two factors by cases, scaled",
        chain([FULL, FULL], [["cases", 0, 2, ["product", [first, second], scale]]], single(FULL)),
    )
    yield (
        "absorbed from one side only",
        chain([LOWER, CELL], [["absorb", 0, "right"]], single(CELL)),
    )
    by_identity = ["product", [_whole()[1][0], UNIT], ONE]
    yield (
        "two factors by cases",
        chain([FULL, FULL], [["cases", 0, 2, by_identity]], single(FULL)),
    )
    yield "absorbed to the right", chain(ldu, [["absorb", 1, "right"]], lu())
    yield "absorbed to the left", chain(ldu, [["absorb", 1, "left"]], lu())
    onto = ["free", [0, 1], ["columns", [[0, 1], [0, 1]]]]
    yield (
        "contracted",
        chain([FULL, FULL, DIAGONAL], [["contract", 0, [onto]]], comparable(FULL, DIAGONAL)),
    )
    yield (
        "contracted at the end",
        chain([DIAGONAL, FULL, FULL], [["contract", 1, [onto]]], comparable(DIAGONAL, FULL)),
    )
    yield "one factor by cases, scaled", chain([FULL], [["cases", 0, 1, _scaled()]], single(FULL))
    yield (
        "one factor by cases, with fractions",
        chain([FULL], [["cases", 0, 1, _fractions()]], single(FULL)),
    )
    yield "one factor by cases", chain([FULL], [["cases", 0, 1, _whole()]], single(FULL))
    yield "not shortened", chain(LU, [], lu())
    patterns = [list(p) for p in so.Architecture.square_dyadic(8)]
    yield "butterfly", made(so.KroneckerChainCertificate, _butterfly(), patterns)
