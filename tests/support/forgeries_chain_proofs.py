"""Forged proofs about chains: limits over a cut, parts, factors peeled off, pairs led through."""

from __future__ import annotations

from typing import Any

from forging import (
    DENSE,
    DIAGONAL,
    FULL,
    LOWER,
    LU,
    LU_CURVE,
    LU_LIMIT,
    LU_TREE,
    MERGE,
    SWAP,
    UPPER,
    Pairs,
    chain,
    comparable,
    constant,
    evidence_of,
    limit,
    lu,
    made,
    reworded,
    single,
)

import sparseopt as so
from sparseopt.closedness.proofs.chain_cases import chain_support

LDU = (LOWER, DIAGONAL, UPPER)
LUL = (LOWER, UPPER, LOWER)
"""All 2 x 2 matrices."""
ONE_WAY = (
    [[1, 0, 0], [1, 1, 1], [1, 1, 1]],
    [[0, 1, 1], [0, 0, 0], [1, 0, 0]],
    [[1, 0], [1, 0], [0, 1]],
)
"""Not closed; terms of the last factor are comparable, but not through the factor before it."""


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate)."""
    for part in (limits, parts, peeled, through):
        yield from part().items()


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    yield "a limit over a cut", over_cut()
    yield "a limit over the other cut", over_cut(cut=2)
    yield "a limit over a cut, by the trace", over_cut(exclusion=["trace", [1]])
    yield "a limit of two rows and three columns over a cut", wide_cut()
    proof = tall()
    yield (
        "a limit of three rows and two columns over a cut",
        over_cut(
            (proof.problem.supports[0].astype(int).tolist(), FULL, DIAGONAL),
            rows=(0, 1, 2),
            factors=[proof.left, proof.right, constant(DIAGONAL)],
            limit=proof.limit,
            exclusion=proof.exclusion,
        ),
    )
    yield "a limit in a window of a chain", over_cut(wider(), rows=(1, 2), columns=(0, 1))
    yield "a part, all of it", part_of((DIAGONAL, *LU), 1, 2)
    yield "a part in front", part_of((*LU, DIAGONAL), 0, 1)
    yield (
        "a part, by two paths",
        part_of(([[1, 1, 0], [0, 0, 1]], [[1, 0], [1, 0], [0, 1]], *LU), 2, 3),
    )
    yield "a part in front of two", part_of((*LU, SWAP, SWAP), 0, 1)
    yield "a part of itself", part_of(LU, 0, 1)
    yield "a part, its last column", part_of((DIAGONAL, LOWER, WIDE_UPPER), 1, 2, columns=(0, 2))
    yield "the last factor peeled off", peel(LDU[:2], "last", single(LOWER))
    yield "the first factor peeled off", peel(LDU[1:], "first", single(UPPER))
    both = peel((DIAGONAL, LOWER), "first", single(LOWER))
    yield "factors peeled off at both ends", peel((DIAGONAL, LOWER, DIAGONAL), "last", both)
    yield "a pair led through", led()
    yield "a pair led through on both sides", led((DIAGONAL, FULL, FULL, DIAGONAL), 4, 1, TWO, TWO)


def over_cut(supports: Any = LDU, **changes: Any) -> Any:
    """Return the limit of LU with a factor of ones between, or a change of it."""
    middle = constant(DIAGONAL)
    evidence = {
        "rows": (0, 1),
        "columns": (0, 1),
        "factors": [LU_CURVE[0], middle, LU_CURVE[1]],
        "limit": LU_LIMIT,
        "cut": 1,
        "exclusion": LU_TREE,
    } | changes
    return made(so.ChainLimitCertificate, so.Closedness(supports), *evidence.values())


WIDE_UPPER = [[1, 0, 1], [0, 0, 1]]


def wide_cut(**changes: Any) -> Any:
    """Return the limit of the merge window behind a diagonal factor, or a change of it."""
    proof = merged()
    evidence = {
        "columns": (0, 1, 2),
        "factors": [constant(DIAGONAL), proof.left, proof.right],
        "limit": proof.limit,
        "cut": 2,
        "exclusion": proof.exclusion,
    }
    return over_cut((DIAGONAL, *MERGE), **(evidence | changes))


def wider() -> Any:
    """Return LDU with a row before and a column after."""
    return ([[1, 1], *LOWER], DIAGONAL, [[*row, 1] for row in UPPER])


def limits() -> dict[str, Any]:
    """Limits of chains that are products, or no limits."""
    right = over_cut()
    twice = [*LU_CURVE[0], LU_CURVE[0][1]]
    outside = [*LU_CURVE[0], [0, 1, {0: 1}]]
    far = [*LU_CURVE[0], [2, 0, {0: 1}]]
    wide = [*LU_CURVE[0], [1, 2, {0: 1}]]
    rest = right.factors[1:]
    given = "lies outside its support or is given twice"
    pole = [[[0, 0, {1: 1}], [1, 0, {0: 1}]], *rest]
    return {
        "the cut leaves some of 3 factors | none before": over_cut(cut=0),
        "the cut leaves some of 3 factors | none after": over_cut(cut=3),
        "the cut leaves some of 1 factors | one factor": over_cut(
            (DIAGONAL,), factors=[constant(DIAGONAL)], limit=DIAGONAL, exclusion=["cell", 0, 1]
        ),
        "there is no row 2, there are 2 | a limit of a chain": over_cut(rows=(0, 2)),
        "there is no column 2, there are 2 | a limit of a chain": over_cut(columns=(0, 2)),
        "3 factors are given | two": over_cut(factors=rest),
        "3 factors are given | four": over_cut(factors=[*right.factors, constant(DIAGONAL)]),
        f"entry number (1, 0) of factor 0 {given} | twice": over_cut(factors=[twice, *rest]),
        f"entry number (0, 1) of factor 0 {given} | outside": over_cut(factors=[outside, *rest]),
        f"entry number (2, 0) of factor 0 {given} | no row": over_cut(factors=[far, *rest]),
        f"entry number (1, 2) of factor 0 {given} | no column": over_cut(factors=[wide, *rest]),
        f"entry number (2, 0) of factor 2 {given} | no row, but a column": wide_cut(
            factors=[*wide_cut().factors[:2], [*wide_cut().factors[2], [2, 0, {0: 1}]]]
        ),
        "the limit has the shape 2 x 3 | a column too few": wide_cut(limit=[[1, 0], [0, 1]]),
        "the limit has the shape 2 x 3 | a row too many": wide_cut(limit=[[1, 0, 1]] * 3),
        "the limit has the shape 2 x 2 | a row": over_cut(limit=[[0, 1]]),
        "the limit has the shape 2 x 2 | a column": over_cut(limit=[[0, 1, 0], [1, 0, 0]]),
        "the product has a pole at (1, 1) | a limit of a chain": over_cut(factors=pole),
        "it is 0 at (0, 0), not 1 | a limit of a chain": over_cut(limit=[[1, 1], [1, 0]]),
        "it is 1 at (0, 1), not 2 | at the last factor": over_cut(limit=[[0, 2], [1, 0]]),
        # The pair L, U alone does not have the limit; three factors do.
        "cell (1, 0) holds 1 with live terms [1]: no conflict | all matrices, cut early": over_cut(
            LUL, factors=[*LU_CURVE, constant(DIAGONAL)]
        ),
        "cell (0, 0) must be 0 with one live term | all matrices, cut late": over_cut(
            LUL, factors=[*LU_CURVE, constant(DIAGONAL)], cut=2
        ),
        "the verdict says: curve of order 1 on 2 rows and 2 columns, no | free text": reworded(
            right, "not_closed", "curve of order 1"
        ),
        "cut: expected an integer | a text": over_cut(cut="1"),
        "factors: expected a list | none": over_cut(factors=None),
    }


def part_of(
    supports: Any,
    first: Any,
    last: Any,
    rows: Any = (0, 1),
    columns: Any = (0, 1),
    part: Any = None,
) -> Any:
    """Return the claim that a part of a chain is LU, or what `part` says."""
    evidence = (first, last, rows, columns, lu() if part is None else part)
    return made(so.SubChainCertificate, so.Closedness(supports), *evidence)


def parts() -> dict[str, Any]:
    """Parts that say nothing of the whole."""
    merge = merged()
    alike = ([[1], [1]], [[1, 1]], MERGE[1])
    closed_lu = comparable(*DENSE)
    complex_lu = made(so.NotClosedCertificate, so.Closedness(LU, "complex"), *evidence_of(lu()))
    return {
        "column 0 leads to 2 places | all matrices": part_of(LUL, 0, 1),
        "row 1 leads to 2 places | all matrices": part_of((LOWER, *LU), 1, 2),
        "row 0 leads to 0 places | a row of zeros": part_of(([[0, 0], [0, 1]], *LU), 1, 2),
        "two rows lead to the same place | of rank one": part_of(
            alike, 1, 2, (0, 1), (0, 1, 2), merge
        ),
        "two columns lead to the same place | of rank one": part_of(
            ([[1, 0], [1, 1], [0, 1]], [[1], [1]], [[1, 1]]), 0, 1, (0, 1, 2), (0, 1), tall()
        ),
        "there are no factors 2 to 1 | none": part_of(LDU, 2, 1),
        "there are no factors 1 to 3 | beyond the last": part_of((DIAGONAL, *LU), 1, 3),
        "there is no row 2, there are 2 | a part": part_of((DIAGONAL, *LU), 1, 2, (0, 2)),
        "there is no column 2, there are 2 | a part": part_of(
            (DIAGONAL, *LU), 1, 2, (0, 1), (0, 2)
        ),
        "there is no row 2, there are 2 | a part in front": part_of((*LU, DIAGONAL), 0, 1, (0, 2)),
        "it is about closedness of products | a part of another chain": part_of(
            (DIAGONAL, *DENSE), 1, 2
        ),
        "it is about closedness of products | a part, field": part_of(
            (DIAGONAL, *LU), 1, 2, part=complex_lu
        ),
        "its verdict is not_closed | a part that is closed": part_of(
            (DIAGONAL, *DENSE), 1, 2, part=closed_lu
        ),
        "have no higher rank | a part by a wrong proof": part_of(
            (DIAGONAL, *LU), 1, 2, part=lu(["minor", [0, 1], [0, 1]])
        ),
        "the rows and columns lead to the part one to one | no rows": part_of(
            (DIAGONAL, *LU), 1, 2, ()
        ),
        "rows: expected a list without repetitions | a row of a part": part_of(
            (DIAGONAL, *LU), 1, 2, (0, 0)
        ),
        "the verdict says: factors 1 to 2 | free text": reworded(
            part_of((DIAGONAL, *LU), 1, 2), "not_closed", "a part"
        ),
    }


def merged() -> Any:
    """Return the proof of the merge window."""
    x = [[0, 0, {0: 1}], [0, 1, {0: 1}], [1, 1, {1: 1}]]
    y = [[0, 0, {0: 1}], [0, 1, {-1: -1}], [1, 1, {-1: 1}], [1, 2, {0: 1}]]
    return limit(MERGE, (x, y), [[1, 0, 1], [0, 1, 0]], ["span", [0, 1], 1, {0: 0, 1: 2}])


def tall() -> Any:
    """Return the proof of the transposed merge window."""
    y = [[0, 0, {0: 1}], [1, 0, {0: 1}], [1, 1, {1: 1}]]
    x = [[0, 0, {0: 1}], [1, 0, {-1: -1}], [1, 1, {-1: 1}], [2, 1, {0: 1}]]
    supports = ([[1, 0], [1, 1], [0, 1]], FULL)
    return limit(supports, (x, y), [[1, 0], [0, 1], [1, 0]], ["span_t", [0, 1], 1, {0: 0, 1: 2}])


def peel(supports: Any, side: Any, rest: Any) -> Any:
    """Return the claim that all factors but one are closed, and this one peels off."""
    return made(so.PeeledChainCertificate, so.Closedness(supports), side, rest)


def peeled() -> dict[str, Any]:
    """Factors that cannot be peeled off."""
    terms = "comparable through the factor next to the one left away"
    turned = [[list(row) for row in zip(*s, strict=True)] for s in ONE_WAY[::-1]]
    right = peel(LDU[:2], "last", single(LOWER))
    return {
        "there is a factor to leave away, and others | one": peel((LOWER,), "last", single(LOWER)),
        f"{terms} (found: terms (0, 1) are not) | LU": peel(LU, "last", single(LOWER)),
        f"{terms} (found: terms (0, 1) are not) | LU, the first": peel(LU, "first", single(UPPER)),
        f"{terms} (found: terms (0, 1) are not) | two ways": peel(
            ONE_WAY, "last", comparable(*ONE_WAY[:2])
        ),
        f"{terms} (found: terms (0, 1) are not) | two ways, the first": peel(
            turned, "first", comparable(*turned[1:])
        ),
        "its verdict is closed | peeled down to LU": peel((*LU, DIAGONAL), "last", lu()),
        "its verdict is closed | peeled down to LU, the first": peel(
            (DIAGONAL, *LU), "first", lu()
        ),
        "it is about closedness of products | peeled down to another": peel(
            (*LU, DIAGONAL), "last", comparable(*DENSE)
        ),
        "it is about closedness of products | the other side": peel(
            (LOWER, DIAGONAL), "last", single(DIAGONAL)
        ),
        "there is a certificate of a class that Closedness lists | peeled": peel(
            LDU[:2], "last", None
        ),
        "any two rectangles are disjoint or comparable | peeled down to LU": peel(
            (*LU, DIAGONAL), "last", comparable(*LU)
        ),
        "the side is one of two words | none": peel(LDU[:2], "middle", single(LOWER)),
        "the verdict says: the last factor meets | free text": reworded(right, "closed", "peeled"),
    }


TWO = [[0, 0], [1, 1]]


def led(
    supports: Any = ([[1, 0, 0], [0, 1, 1]], [[1, 1], [1, 1], [1, 1]], DIAGONAL),
    count: Any = 3,
    at: Any = 1,
    rows: Any = ((0, 0), (1, 1)),
    columns: Any = ((0,), (1,)),
    steps: Any = (["free", [0, 1], ["rows", [[0, 1], [0, 1]]]],),
) -> Any:
    """Return the claim that a chain is all matrices, by a pair of its factors."""
    whole = so.Closedness(supports)
    support = chain_support(whole.supports).astype(int).tolist()
    step = ["through", 0, count, at, list(rows), list(columns), list(steps)]
    return chain(whole.supports, [step], single(support))


def through() -> dict[str, Any]:
    """Pairs that the others do not lead to, or that do not reach everything."""
    # Every 2 x 2 matrix by the second and third factor; the chain has three rows of rank two.
    more = ([[1, 0], [1, 1], [0, 1]], DIAGONAL, FULL)
    alike = ([[1], [1]], [[1, 1]], DIAGONAL)
    wrong = "a path has a place that the factors do not have, or one too few"
    off = "a path uses an entry outside a support"
    return {
        "the product of all factors covers more | a row": led(more),
        "the product of all factors covers more | a column": led(
            (FULL, DIAGONAL, [[1, 1, 0], [0, 1, 1]]), 3, 0, [[0], [1]], [[0, 0], [1, 1]]
        ),
        "two paths meet | rows": led(
            alike, steps=[["free", [0, 1], ["rows", [[0, 1], [0, 1]]]]], rows=[[0, 0], [1, 0]]
        ),
        "two paths meet | columns": led(
            (DIAGONAL, [[1], [1]], [[1, 1]]),
            3,
            0,
            [[0], [1]],
            [[0, 0], [0, 1]],
            [["free", [0, 1], ["columns", [[0, 1], [0, 1]]]]],
        ),
        f"{wrong} | short": led(rows=[[0], [1]]),
        f"{wrong} | long": led(rows=[[0, 0, 0], [1, 1, 0]]),
        f"{wrong} | no row": led(rows=[[2, 0], [1, 1]]),
        f"{wrong} | no place": led(rows=[[0, 3], [1, 1]]),
        f"{wrong} | no column": led(columns=[[2], [1]]),
        f"{off} | rows": led((LOWER, FULL, DIAGONAL), rows=[[0, 1], [1, 0]]),
        f"{off} | columns": led((FULL, FULL, LOWER), 3, 0, [[0], [1]], [[0, 1], [1, 0]]),
        "there is no pair of factors 2 and 3 of them | the last": led(at=2, rows=[[0, 0, 0]]),
        "blocks of the pair are left that are not free | LU": led(
            (DIAGONAL, *LU), rows=TWO, steps=[]
        ),
        "there are no 4 factors from 0 on | through": led(count=4),
        "expected an integer from 3 | through a pair": led(count=2),
        "steps[0][4]: expected a list of at least 1 | no path": led(rows=[]),
    }
