"""Forged proofs that sets of chains are closed."""

from __future__ import annotations

from typing import Any

from case_statements import CELL, ONE, A, butterfly_problem, whole_tree
from forging import (
    DENSE,
    DIAGONAL,
    FULL,
    LOWER,
    LU,
    UPPER,
    chain,
    comparable,
    evidence_of,
    lu,
    made,
    reworded,
    single,
)

import sparseopt as so


def chains() -> dict[str, Any]:
    """Chains that are not what they are shortened to, or not Kronecker-sparse."""
    kronecker = so.KroneckerChainCertificate
    architecture = so.Architecture.square_dyadic(8)
    patterns = [list(p) for p in architecture]
    turned = so.Closedness([p.support() for p in reversed(architecture)])
    whole = made(kronecker, butterfly_problem(), patterns)
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
            [FULL], [["cases", 0, 9, whole_tree()]], single(FULL)
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
        "short must be a certificate of one or two factors | a chain": chain(
            [p.support() for p in architecture], [], whole
        ),
        "short must be a certificate of one or two factors | nothing": chain(ldu, absorbed, None),
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
        "there is one pattern per support | two": made(
            kronecker, butterfly_problem(), patterns[:2]
        ),
        "support 0 is the Kronecker-sparse pattern | LU": made(
            kronecker, so.Closedness(LU), [dense, dense]
        ),
        "support 0 is the Kronecker-sparse pattern | another shape": made(
            kronecker, so.Closedness(DENSE), [[1, 3, 3, 1], [1, 3, 3, 1]]
        ),
        "the patterns are chainable | the wrong way round": made(kronecker, turned, patterns[::-1]),
        "the verdict says: a chainable chain | free text": reworded(whole, "closed", "fast"),
    }


def chain_cases() -> dict[str, Any]:
    """Factors of a chain that do not give the target."""

    def full(tree: Any, *supports: Any) -> Any:
        supports = supports or (FULL,)
        return chain(list(supports), [["cases", 0, len(supports), tree]], single(FULL))

    times_a = [[i, j, [[1, [[0, 0], [i, j]]]]] for i in (0, 1) for j in (0, 1)]
    entries = whole_tree()[1][0]
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
