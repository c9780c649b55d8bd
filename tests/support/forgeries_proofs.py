"""Forged proofs that sets are closed: free families, cases, chains."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import forgeries_chain_proofs
import numpy as np
from case_statements import (
    ANY,
    CELL,
    CORNER,
    EVERY,
    ONE,
    OPEN,
    SHORT,
    STAIRS,
    UNEQUAL,
    UNIT,
    WIDE,
    WIDE_ANY,
    WIDE_EVERY,
    A,
    B,
    C,
    D,
    butterfly_problem,
    corner_tree,
    solve,
    whole_tree,
)
from forgeries_cases import branches, leaves, moves, places
from forgeries_chains import chain_cases, chains
from forging import (
    DENSE,
    DIAGONAL,
    FULL,
    LOWER,
    LU,
    RANK_ONE,
    UPPER,
    Pairs,
    cases,
    chain,
    closed,
    comparable,
    lu,
    made,
    reworded,
    single,
)

import sparseopt as so

END = ["components", []]


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate)."""
    for part in (
        hypotheses,
        families,
        staircases,
        places,
        branches,
        moves,
        leaves,
        chains,
        chain_cases,
    ):
        yield from part().items()
    yield from forgeries_chain_proofs.forged()


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
        "all cells are observed | LU": closed(LU, ["free", [1], ["columns", [[0]]], ["rank"]]),
        "lacks at most t - 1 lines (found: not at place 2) | LU": closed(LU, ["rank"]),
        "lacks at most t - 1 lines (found: not at place 1) | one cell": closed(
            ([[1, 0], [0, 1], [1, 1]], [[1, 1, 1], [1, 1, 1]]), ["rank"]
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


def staircases() -> dict[str, Any]:
    """Staircases of families that do not reach everything (but for a row that is helped twice)."""
    found = {}
    dense, tall = [[1] * 3] * 3, [[1, 0, 0], [1, 0, 0], [1, 1, 1]]
    corner = [[0, 1, 1], [1, 1, 1], [1, 1, 1]], [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    low = [[0, 1, 0], [1, 1, 1], [1, 1, 0]], [[1, 0], [1, 1], [1, 1]]
    lent = [[0, 1, 1], [1, 1, 1], [0, 1, 0]], [[1, 1, 1], [1, 1, 1], [1, 0, 1]]
    last = [[0, 0, 1], [0, 0, 1], [1, 1, 1]], dense
    for turned, name, line, across in (
        (False, "staircase", "row", "column"),
        (True, "staircase_t", "column", "row"),
    ):

        def stairs(supports: Any, *evidence: Any, turned: bool = turned, name: str = name) -> Any:
            if turned:
                supports = tuple(np.transpose(s).tolist() for s in supports[::-1])
            every = tuple(range(len(supports[1])))
            return _free(supports, name, *evidence, terms=every)

        lacks = f"the {line}s that term"
        own = f"full terms need distinct {line}s of their own"
        found |= {
            f"{own} | a term twice": stairs(([[1]] * 2, [[1, 1]]), [[0, 0], [0, 1]], [], []),
            f"{own} | a {line} twice": stairs(last, [[0, 2], [1, 2]], [2], [[]]),
            f"{own} | a {line} that it lacks": stairs(last, [[0, 2], [1, 1]], [2], [[]]),
            f"{own} | no {line}": stairs(LU, [[0, 2]], [1], [[]]),
            f"{own} | no term, a {line}": stairs(LU, [[2, 0]], [1], [[]]),
            f"a full term lacks a {across} | LU": stairs(LU, [[1, 1]], [0], [[]]),
            f"one term is needed for every rank up to 2 | one, {line}s": stairs(LU, [], [0], [[]]),
            f"one term is needed for every rank up to 2 | help for one, {line}s": stairs(
                LU, [], [0, 1], [[]]
            ),
            f"is full, or there is none of its number | full, {line}s": stairs(
                RANK_ONE, [[0, 0]], [0], [[]]
            ),
            f"is full, or there is none of its number | not there, {line}s": stairs(
                RANK_ONE, [], [0, 1], [[], []]
            ),
            f"proof[2][2]: expected a list without repetitions | {line}s": stairs(
                LU, [], [0, 0], [[], []]
            ),
            f"{lacks} 1 lacks are not matched to full terms | not full, {line}s": stairs(
                LU, [], [0, 1], [[], [[0, 0]]]
            ),
            f"{lacks} 0 lacks are not matched to full terms | a {line} that it has": stairs(
                low, [[2, 1], [1, 2]], [0], [[[0, 1], [1, 2]]]
            ),
            f"{lacks} 2 lacks are not matched to full terms | by one without the {line}": stairs(
                lent, [[0, 1]], [1, 2], [[], [[2, 0]]]
            ),
            f"{lacks} 1 lacks are not matched to full terms | one for two {line}s": stairs(
                (tall, dense), [[0, 0]], [1, 2], [[[0, 0], [1, 0]]] * 2
            ),
            f"{lacks} 0 lacks are not matched to full terms | two for one {line}": stairs(
                corner, [[1, 1], [2, 2]], [0], [[[0, 1], [0, 2]]]
            ),
            f"term 1 lacks 2 {line}s and {across}s, at place 2 | LU": stairs(
                LU, [], [0, 1], [[], []]
            ),
        }
    return found


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
    return ["split", B, b, _whole_without_b(), ["split", d_of_b, [1, 1], with_a, whole_tree()]]


def _whole_without_b() -> list[Any]:
    entries = [entry for entry in whole_tree()[1][0] if entry[:2] != [0, 1]]
    return ["product", [entries], ONE]


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
    for name in ("staircase", "staircase_t"):
        yield name, _free(DENSE, name, [], [0, 1], [[], []])
        yield f"{name}, a full term", _free(DENSE, name, [[1, 1]], [0], [[]])
    lower = (LOWER, [[1, 1], [1, 1]])
    yield "staircase, helped", _free(lower, "staircase", [[0, 0]], [1], [[[0, 0]]])
    upper = ([[1, 1], [1, 1]], UPPER)
    yield "staircase_t, helped", _free(upper, "staircase_t", [[0, 0]], [1], [[[0, 0]]])
    bottleneck = [[1, 0, 1], [1, 1, 1], [1, 1, 0], [1, 1, 0]], [[1] * 4] * 3
    yield "rank", closed(bottleneck, ["rank"])
    yield (
        "rank, transposed",
        closed(
            [np.transpose(support) for support in reversed(bottleneck)], ["components", [["rank"]]]
        ),
    )
    empty_line = [[1, 1], [1, 1], [0, 1], [0, 0]], [[1, 1, 0, 1], [1, 1, 0, 1]]
    yield "rank, without the lines that no term has", closed(empty_line, ["rank"])
    yield "components", closed((DIAGONAL, DIAGONAL), ["components", apart])
    yield from _honest_cases()
    yield from _honest_sizes()
    yield from _honest_chains()
    yield from forgeries_chain_proofs.honest()


def _honest_sizes() -> Pairs:
    """Yield proofs whose polynomials are as large as is allowed."""
    sums = [
        [[1, [[n]]] for n in range(first, first + count)] for first, count in ((0, 200), (200, 100))
    ]
    yield (
        "a product of 20,000 terms",
        cases(DENSE, solve([[0, 0, sums[0]], [1, 1, sums[1]]], EVERY)),
    )
    large = np.ones((12, 12), dtype=int).tolist()
    every = [[list(range(12))] * 2] * 12
    yield (
        "a determinant of 12 rows",
        cases((large, large), solve([[i, i, ONE] for i in range(12)], every)),
    )
    # A column of three entries by two terms: minors of three rows, the first column twice.
    a, b, c = ([[1, [[i, 0]]]] for i in range(3))
    p, q, r = ([[2, [[n]]], [-3, [[n], [n]]]] for n in range(3))
    mixed = [[0, 0, a], [1, 0, b], [2, 0, c], [0, 1, p], [1, 1, q], [2, 1, r]]
    first = solve(mixed, [[[0, 1], [0, 1]]])
    second = solve([[1, 0, b], [2, 0, c]], [[[1], [0]]])
    third = solve([[2, 0, ONE]], [[[2], [0]]])
    tree = ["split", a, [0, 0], ["split", b, [1, 0], third, second], first]
    yield "minors of three rows", cases(([[1, 1]] * 3, [[1], [1]]), tree)


def _honest_cases() -> Pairs:
    yield "cases of every matrix", cases(DENSE, ANY)
    yield "cases, transposed", cases(DENSE, solve(UNIT, EVERY, turned=True))
    yield (
        "cases with parameters",
        cases(DENSE, solve([[0, 0, [[1, [[0]]]]], [1, 1, [[1, [[1]]], [3, []]]]], EVERY)),
    )
    first = [[0, 0, A], [1, 0, C]]
    second = [[0, 0, B], [1, 0, D]]
    own = [[[0], [0]], [[0], [0]]]
    minor = ["minor", [0, 1], [0, 1], [1, 1], solve(first, own)]
    no_row = solve([[1, 0, ONE]], [[[1], [0]], [[1], [0]]])
    no_column = solve(second, own)
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
    by_known = solve([[0, 0, known], [1, 1, ONE]], WIDE_EVERY)
    beside = ["split", known, [0, 2], WIDE_ANY, ["pivot", 0, [0, 1], by_known, by_known]]
    yield "mixed columns beside one that is known", cases(WIDE, beside)
    own_row = solve([[0, 0, ONE]], [[[0], [0]]] * 2)
    constant = ["split", [*A, [-1, []]], [0, 0], ["clear", 0, 0, 1, own_row], own_row]
    yield "all free entries cleared", cases(([[1]], [[1, 1]]), constant)
    one_cell = solve([[0, 0, ONE]], [[[0], [0]]])
    split = ["split", A, [0, 0], one_cell, one_cell]
    yield "a split on all free entries", cases(([[1]], [[1]]), split)
    yield "mixed columns", cases(DENSE, ["pivot", 0, [0, 1], ANY, ANY])
    mix = ["pivot", 0, [0, 1], ANY, ANY]
    yield (
        "mixed columns with zeros",
        cases(DENSE, ["split", C, [1, 0], ["split", D, [1, 1], mix, ANY], ANY]),
    )
    emptied = solve(UNIT, STAIRS, turned=True)
    yield "a mixture that leaves one entry", cases(DENSE, ["pivot", 0, [0, 1], ANY, emptied])
    yield "one column mixed", cases(DENSE, ["pivot", 0, [0], ANY, ANY])
    yield "mixed rows", cases(DENSE, ["pivot_t", 1, [1, 0], ANY, ANY])
    yield "a hole", corner_tree(OPEN)


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
    by_identity = ["product", [whole_tree()[1][0], UNIT], ONE]
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
    yield "one factor by cases", chain([FULL], [["cases", 0, 1, whole_tree()]], single(FULL))
    yield "not shortened", chain(LU, [], lu())
    patterns = [list(p) for p in so.Architecture.square_dyadic(8)]
    yield "butterfly", made(so.KroneckerChainCertificate, butterfly_problem(), patterns)
