"""Forged certificates of closedness, repairs and training: what the core must refuse, and why.

They are small and made by hand; each is stopped by one line of the judge. Its name is the sentence
of that line, then " | " and what it is. Most claim what is false, and would be accepted without
that line; where the claim happens to be true, the proof is wrong. What is written as JSON text
must be refused when it is read.
"""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from itertools import product as product_of
from typing import Any

import forgeries_data
import forgeries_limits
import forgeries_proofs
import forgeries_repairs
import numpy as np
from closedness_statements import REPAIRED, repair, sparse_lower, training
from forgeries_closedness_files import constructors, documents, forms
from forging import (
    DENSE,
    DIAGONAL,
    LOWER,
    LU,
    LU_CURVE,
    LU_LIMIT,
    LU_TREE,
    UPPER,
    Pairs,
    comparable,
    constant,
    limit,
    lu,
    made,
    product,
    reworded,
)
from laws import law

import sparseopt as so
from sparseopt.closedness.external import smtlib
from sparseopt.closedness.proofs import exclusion_ranks
from sparseopt.closedness.proofs.branch import Branch
from sparseopt.closedness.proofs.observed import ObservedProblem
from sparseopt.closedness.proofs.polynomials import ONE, divide, polynomial, without_factors
from sparseopt.closedness.proofs.reductions import is_submersion
from sparseopt.judging.exact import counts, rank
from sparseopt.training.sparse_training import ONE_OUTPUT


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate, JSON text or constructor), all to be refused."""
    yield from forgeries_limits.forged()
    yield from forgeries_proofs.forged()
    yield from forgeries_data.forged()
    yield from forgeries_repairs.forged()
    for part in (outsiders, repairs, trainings, forms, documents, constructors):
        yield from part().items()


def outcome(entry: Any) -> tuple[str, str]:
    """Return the outcome of an entry, and the line that decided it.

    A text that cannot be read is refused.
    """
    try:
        entry = entry() if callable(entry) else entry
        check = so.verify(so.from_json(entry) if isinstance(entry, str) else entry)
    except so.ProblemError as error:
        return "refused", str(error)
    lines = check.details
    if check.outcome == "relies on":
        lines = tuple(line for line in lines if line.startswith("NOT CHECKED"))
    return check.outcome, lines[-1]


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    yield from forgeries_limits.honest()
    yield from forgeries_proofs.honest()
    yield from forgeries_data.honest()
    yield from forgeries_repairs.honest()
    yield "an array of supports", made(so.ComparableCertificate, so.Closedness(np.array(DENSE)))
    body = json.loads(so.to_json(lu()))
    body["problem"]["supports"]["$tuple"][0] = sparse_lower()
    yield "a sparse support", so.from_json(json.dumps(body))
    yield "repair", repair()
    yield "repair by additions", repair(DENSE, 2, allow="add", proof=comparable(*DENSE))
    yield "repair by both", repair(allow="both")
    yield "repair of nothing", repair(DENSE, 0, 0, [], given=DENSE, proof=comparable(*DENSE))
    yield "training, one output", training([[[1, 0]], UPPER])
    yield "training, not closed", training(LU, lu())
    yield "repair with a bound of nothing", repair(bound=0, windows=[])
    yield from laws().items()


def laws() -> dict[str, Any]:
    """What the rules rest on, in numbers that small certificates do not reach."""
    x, y, z = ((name,) for name in ((0, 0), (0, 1), (1, 0)))
    large, half = 2**60 + 1, Fraction(1, 2)
    tall = ([*LOWER, *LOWER], [[1, 1, 0], [0, 1, 0]])
    padded = [[0, 0, 0], [0, 0, 0], [0, 1, 0], [1, 0, 0]]

    def minor() -> bool:
        entries = {(0, 0): ({x: 1}, {z: 1}), (0, 1): ({y: 1}, {(): 2}), (1, 0): (ONE, ONE)}
        found = Branch({**entries, (1, 1): ({z: 3}, ONE)}).minor((0, 1), (0, 1))
        return found == {(*x, *z): 6, (*y, *z): -1}

    def asked(question: str) -> bool:
        return "(/ 1.0 2.0)" in question and "(- 3.0)" in question and " 0.0))" in question

    def formula() -> bool:
        one = np.ones((1, 1), dtype=bool)
        wide = np.ones((1, 3), dtype=bool)
        return asked(smtlib(one, wide, wide, [[half, Fraction(-3), Fraction(0)]]))

    def counted(many: int) -> tuple[float, np.dtype[Any]]:
        row = np.broadcast_to(np.True_, (1, many))
        found = counts(row, row.T)
        return float(found[0, 0]), found.dtype

    return {
        "ranks of which a part is read off": law(
            lambda: all(
                exclusion_ranks.peeled_rank(matrix) == rank(matrix)
                for entries in product_of((0, 1, 2), repeat=6)
                for matrix in (
                    [[Fraction(v) for v in entries[at : at + width]] for at in range(0, 6, width)]
                    for width in (2, 3)
                )
            )
        ),
        "counts beyond 2^24 are taken in double precision": law(
            lambda: (
                counted(2**24 + 1) == (2**24 + 1, np.float64)
                and counted(2**24) == (2**24, np.float32)
            )
        ),
        "a minor of fractions": law(minor),
        "points where the product map is open": law(onto_where_the_rank_says_so),
        "an array of matrices is a list of them": law(lambda: so.Closedness(np.ones((2, 2, 2)))),
        "coefficients stay fractions": law(lambda: polynomial([(half, [])]) == {(): half}),
        "integers stay integers": law(lambda: type(polynomial([(Fraction(2), [])])[()]) is int),
        "quotients by 2": law(lambda: divide({x: 4}, {x: 2}) == {(): 2}),
        "quotients by -2": law(lambda: divide({x: 4}, {x: -2}) == {(): -2}),
        "quotients of large integers": law(
            lambda: divide({x: large}, {x: 1}) == divide({x: -large}, {x: -1}) == {(): large}
        ),
        "constants divide once": law(lambda: without_factors({x: 1}, [{(): 2}]) == {x: 1}),
        "a formula holds the numbers as they are": law(formula),
        "a limit of a window is padded": law(
            lambda: windows_of(tall, ((2, 3), (0, 1)))[0].limit_matrix().tolist() == padded
        ),
    }


def onto_where_the_rank_says_so() -> bool:
    """Whether derivatives X' Y + X Y' are found onto where their matrix has full rank."""
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(300):
        m, r, n = rng.integers(1, 4, 3)
        left, right = rng.random((m, r)) < 0.8, rng.random((r, n)) < 0.8
        family = ObservedProblem(left, right, rng.random((m, n)) < 0.5, tuple(range(r)))
        x, y = rng.integers(-1, 3, (m, r)) * left, rng.integers(-1, 3, (r, n)) * right
        units = np.eye(m * r, dtype=int).reshape(-1, m, r)[left.ravel()]
        others = np.eye(r * n, dtype=int).reshape(-1, r, n)[right.ravel()]
        moved = [(u @ y)[family.observed] for u in units]
        moved += [(x @ v)[family.observed] for v in others]
        cells = int(family.observed.sum())
        full = not cells or (bool(moved) and np.linalg.matrix_rank(np.array(moved)) == cells)
        if is_submersion(family, x, y) != full:
            return False
        found.add((bool(cells), bool(full)))
    return len(found) == 3


def external(engine: Any, field: str = "real") -> Any:
    """Return the claim that 1 is not a product, on the word of an outsider."""
    problem = so.Closedness([[[1]], [[1]]], field)
    evidence = ((0,), (0,), constant([[1]]), constant([[1]]), [[Fraction(1)]], [])
    return made(so.ExternalExclusionCertificate, problem, *evidence, engine)


def outsiders() -> dict[str, Any]:
    """What no outsider has said; the word of a known one is not a refusal, but no proof either."""
    wanted = "the program relied on is one of z3"
    right = external("z3")
    return {
        "NOT CHECKED: z3 is believed that the limit is not a product | a closed set": right,
        "the field is that of the formula, the reals | complex": external("z3", "complex"),
        f"{wanted} | unknown": external("oracle"),
        f"{wanted} | with a version": external("z3 4.13.0"),
        f"{wanted} | with an escape": external("z3\x1b[2K\rproved"),
        f"{wanted} | no name": external(""),
        f"{wanted} | no text": external(3),
        "the verdict says: curve of order 0, relying on z3 | no caveat": reworded(
            right, "not_closed", "curve of order 0"
        ),
    }


def windows_of(supports: Any, *places: Any) -> list[Any]:
    """Return the proofs of LU windows at some rows and columns."""
    return [
        limit(supports, LU_CURVE, LU_LIMIT, LU_TREE, rows=rows, columns=columns)
        for rows, columns in places
    ]


def repairs() -> dict[str, Any]:
    """Repairs that are none, or not as near as they say."""
    right = repair().answer
    tall = ([*LOWER, *LOWER], UPPER)
    tall_windows = windows_of(tall, ((0, 1), (0, 1)), ((2, 3), (0, 1)))
    wide = (LOWER, [[1, 1, 1, 1], [0, 1, 0, 1]])
    wide_windows = windows_of(wide, ((0, 1), (0, 1)), ((0, 1), (2, 3)))
    three = ([*LOWER, [0, 0]], UPPER)
    apart = "the proofs of the bound share no row and no column"
    about = "it is about closedness of products"
    return {
        "there are two supports, and their shapes are kept | a row": repair(
            three, proof=comparable(*three)
        ),
        "there are two supports, and their shapes are kept | three": repair(
            (*REPAIRED, DIAGONAL), proof=comparable(*REPAIRED)
        ),
        "the changes are of the kind 'add' | removed": repair(allow="add"),
        "the changes are of the kind 'remove' | added": repair(DENSE, 2, proof=comparable(*DENSE)),
        "1 entries changed | none": repair(changes=0),
        "1 entries changed | two": repair(changes=2),
        "there is a certificate of a class that Closedness lists | none": repair(proof=right),
        f"{about} | of other supports": repair(proof=comparable(*DENSE)),
        "its verdict is closed | not closed": repair(LU, 0, proof=lu()),
        "any two rectangles are disjoint | not closed": repair(LU, 0, proof=comparable(*LU)),
        "the lower bound is 1 | none": repair(bound=0),
        "the lower bound is 1 | two": repair(bound=2),
        "a limit in a window is its proof | another class": repair(windows=[comparable(*LU)]),
        f"{about} | a window of other supports": repair(windows=windows_of(tall, ((0, 1), (0, 1)))),
        "the limit is not a product | a window that is none": repair(
            given=DENSE,
            supports=DENSE,
            changes=0,
            windows=[product(DIAGONAL, DIAGONAL, ["minor", [0, 1], [0, 1]], *DENSE)],
        ),
        f"{apart} | twice": repair(bound=2, windows=[lu(), lu()]),
        "the proofs of the bound are a list | a map": (
            dataclasses.replace(repair(bound=1), windows={0: lu()})  # type: ignore[arg-type]
        ),
        f"{apart} | columns": repair(
            (tall[0], REPAIRED[1]), 1, 2, tall_windows, given=tall, allow="both"
        ),
        f"{apart} | rows": repair(
            ([[1, 0], [1, 0]], wide[1]), 1, 2, wide_windows, given=wide, allow="both"
        ),
    }


def trainings() -> dict[str, Any]:
    """Verdicts on training that do not follow."""
    one_output = [[[1, 0]], UPPER]
    right = training(one_output)
    says = "the verdict says: "
    return {
        "the verdict makes a claim | none": training(one_output, value="unknown"),
        f"{says}every hidden unit | free text": training(one_output, condition="safe to train"),
        f"{says}the set of products | free text": training(LU, lu(), condition="never train this"),
        "the network has one hidden layer | two": training(
            [[[1, 0]], LOWER, UPPER], condition=ONE_OUTPUT
        ),
        "the network has one hidden layer | none": training([[[1, 0]]], condition=ONE_OUTPUT),
        "the network has one output | two": training(LU, condition=ONE_OUTPUT),
        "it rests on no certificate of closedness | an unchecked one": dataclasses.replace(
            right, closedness=comparable(*LU)
        ),
        "there is a certificate of a class that Closedness lists | no proof": dataclasses.replace(
            training(LU, lu()), closedness=None
        ),
        "it is about closedness of products | training with other supports": training(DENSE, lu()),
        "its verdict is not_closed | closed": training(DENSE, comparable(*DENSE)),
    }
