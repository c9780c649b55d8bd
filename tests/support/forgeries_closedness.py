"""Forged certificates of closedness, repairs and training: what the core must refuse, and why.

They are small and made by hand; each is stopped by one line of the judge. Its name is the sentence
of that line, then " | " and what it is. Most claim what is false, and would be accepted without
that line; where the claim happens to be true, the proof is wrong. What is written as JSON text
must be refused when it is read.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import forgeries_limits
import forgeries_proofs
import numpy as np
import scipy.sparse
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
    chain,
    closed,
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
from sparseopt.closedness.proofs.branch import Branch
from sparseopt.closedness.proofs.polynomials import ONE, divide, polynomial, without_factors
from sparseopt.judging.exact import counting_type
from sparseopt.training.sparse_training import TrainingCertificate


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate, JSON text or constructor), all to be refused."""
    yield from forgeries_limits.forged()
    yield from forgeries_proofs.forged()
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

    return {
        "counts beyond 2^24 are taken in double precision": law(
            lambda: counting_type(2**24 + 1) is np.float64 and counting_type(2**24) is np.float32
        ),
        "a minor of fractions": law(minor),
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


# Outsiders --------------------------------------------------------------------------------------


def external(engine: Any, field: str = "real") -> Any:
    """Return the claim that 1 is no product, on the word of an outsider."""
    problem = so.Closedness([[[1]], [[1]]], field)
    evidence = ((0,), (0,), constant([[1]]), constant([[1]]), [[Fraction(1)]], [])
    return made(so.ExternalExclusionCertificate, problem, *evidence, engine)


def outsiders() -> dict[str, Any]:
    """What no outsider has said; the word of a known one is no refusal, but no proof either."""
    wanted = "the program relied on is one of z3"
    right = external("z3")
    return {
        "NOT CHECKED: z3 is believed that the limit is no product | a closed set": right,
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


# Repairs ----------------------------------------------------------------------------------------

REPAIRED = (LOWER, [[1, 1], [0, 0]])
"""LU without the last entry of its second factor."""


def repair(
    supports: Any = REPAIRED,
    changes: Any = 1,
    bound: Any = 1,
    windows: Any = None,
    *,
    given: Any = LU,
    allow: str = "remove",
    proof: Any = None,
    answer: Any = None,
) -> Any:
    """Return a certificate of closed supports near LU."""
    problem = so.NearestClosedSupport(given, allow)
    answer = so.ClosedSupport(supports, changes, bound) if answer is None else answer
    proof = comparable(*supports) if proof is None else proof
    windows = [lu()] if windows is None else windows
    return so.ClosedSupportCertificate(problem, answer, proof, windows)


def windows_of(supports: Any, *places: Any) -> list[Any]:
    """Return the proofs of LU windows at some rows and columns."""
    return [
        limit(supports, LU_CURVE, LU_LIMIT, LU_TREE, rows=rows, columns=columns)
        for rows, columns in places
    ]


def repairs() -> dict[str, Any]:
    """Repairs that are none, or not as near as they say."""
    right = repair().answer
    likeness = SimpleNamespace(supports=right.supports, changes=1, lower_bound=1)
    tall = ([*LOWER, *LOWER], UPPER)
    tall_windows = windows_of(tall, ((0, 1), (0, 1)), ((2, 3), (0, 1)))
    wide = (LOWER, [[1, 1, 1, 1], [0, 1, 0, 1]])
    wide_windows = windows_of(wide, ((0, 1), (0, 1)), ((0, 1), (2, 3)))
    three = ([*LOWER, [0, 0]], UPPER)
    apart = "the proofs of the bound share no row and no column"
    about = "it is about closedness of products"
    return {
        "the answer is a pair of closed supports | a likeness": repair(answer=likeness),
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
        "a certificate is there whose class Closedness lists | none": repair(proof=right),
        f"{about} | of other supports": repair(proof=comparable(*DENSE)),
        "its verdict is closed | not closed": repair(LU, 0, proof=lu()),
        "any two rectangles are disjoint | not closed": repair(LU, 0, proof=comparable(*LU)),
        "the lower bound is 1 | none": repair(bound=0),
        "the lower bound is 1 | two": repair(bound=2),
        "a limit in a window is its proof | another class": repair(windows=[comparable(*LU)]),
        f"{about} | a window of other supports": repair(windows=windows_of(tall, ((0, 1), (0, 1)))),
        "the limit is no product | a window that is none": repair(
            given=DENSE,
            supports=DENSE,
            changes=0,
            windows=[product(DIAGONAL, DIAGONAL, ["minor", [0, 1], [0, 1]], *DENSE)],
        ),
        f"{apart} | twice": repair(bound=2, windows=[lu(), lu()]),
        f"{apart} | columns": repair(
            (tall[0], REPAIRED[1]), 1, 2, tall_windows, given=tall, allow="both"
        ),
        f"{apart} | rows": repair(
            ([[1, 0], [1, 0]], wide[1]), 1, 2, wide_windows, given=wide, allow="both"
        ),
    }


# Training ---------------------------------------------------------------------------------------


def training(supports: Any, proof: Any = None, **answer: Any) -> Any:
    """Return a verdict on training, the one that its evidence gives unless told."""
    certificate = TrainingCertificate.proved(so.SparseTraining(supports), proof)
    if not answer:
        return certificate
    return dataclasses.replace(
        certificate, answer=dataclasses.replace(certificate.answer, **answer)
    )


def trainings() -> dict[str, Any]:
    """Verdicts on training that do not follow."""
    one_output = [[[1, 0]], UPPER]
    right = training(one_output)
    likeness = SimpleNamespace(value="attained", condition=right.answer.condition)
    says = "the verdict says: "
    return {
        "the answer is a verdict on training | a likeness": dataclasses.replace(
            right, answer=likeness
        ),
        "the verdict makes a claim | none": training(one_output, value="unknown"),
        f"{says}one hidden layer and one output | free text": training(
            one_output, condition="safe to train"
        ),
        f"{says}the set of products | free text": training(LU, lu(), condition="never train this"),
        "the network has one hidden layer | two": training([[[1, 0]], LOWER, UPPER]),
        "the network has one hidden layer | none": training([[[1, 0]]]),
        "the network has one output | two": training(LU),
        "it rests on no certificate of closedness | an unchecked one": dataclasses.replace(
            right, closedness=comparable(*LU)
        ),
        "a certificate is there whose class Closedness lists | no proof": dataclasses.replace(
            training(LU, lu()), closedness=None
        ),
        "it is about closedness of products | training with other supports": training(DENSE, lu()),
        "its verdict is not_closed | closed": training(DENSE, comparable(*DENSE)),
    }


# Forms ------------------------------------------------------------------------------------------


def nested(levels: int) -> Any:
    """Return a tree for LU that lies at some depth."""
    tree: Any = LU_TREE
    for _ in range(levels):
        tree = ["split", ["x", 0, 0], tree, LU_TREE]
    return tree


def nested_parts(levels: int) -> Any:
    """Return a proof for DENSE that lies at some depth."""
    proof: Any = ["components", []]
    for _ in range(levels):
        proof = ["components", [["free", [0], ["columns", []], proof]]]
    return proof


def forms() -> dict[str, Any]:
    """Evidence that is not written as it must be."""
    right = lu()
    wanted = "is wanted, found"
    huge = 2**20_000
    alone = ["free", [0, 1], ["columns", [[0, 1], [0, 1]]], ["components", []]]
    triple = so.Closedness([FULL])

    def dense(*path: Any, value: Any) -> Any:
        """Return the proof of DENSE with one part changed."""
        proof = copy.deepcopy(alone)
        part: Any = proof
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value
        return closed(DENSE, proof)

    numbers = {
        "True": True,
        "1.0": 1.0,
        "'1'": "1",
        "-1": -1,
        "None": None,
        "int64": np.int64(1),
        "a long number": huge,
    }
    found = {
        f"rows[1]: an integer from 0 to 4611686018427387904 {wanted} {shown} | an index": lu(
            rows=(0, value)
        )
        for shown, value in numbers.items()
    }
    for shown, value in {
        "True": True,
        "1.0": 1.0,
        "'1'": "1",
        "int64": np.int64(1),
        "1": Fraction(np.int64(1)),  # type: ignore[arg-type]
    }.items():
        found[f"limit[0][1]: an integer or a rational {wanted} {shown} | an entry"] = (
            dataclasses.replace(right, limit=[[0, value], [1, 0]])
        )
        found[f"left[1][2][0]: an integer or a rational {wanted} {shown} | a coefficient"] = (
            dataclasses.replace(right, left=[right.left[0], [1, 0, {0: value}], right.left[2]])
        )
    return found | {
        f"a number of at most 10000 bits {wanted} a long number | an entry": lu(
            limit=[[0, huge], [1, 0]]
        ),
        "a number of at most 10000 bits | a denominator": lu(
            limit=[[0, 1], [1, Fraction(1, huge)]]
        ),
        "an integer from -1000 to 1000 is wanted, found 1001 | an exponent": lu(
            left=[[0, 0, {1001: 1}]]
        ),
        "an integer from -1000 to 1000 is wanted, found -1001 | a point": closed(
            DENSE, ["free", [0, 1], ["submersion", [[0, 0, -1001]], []], ["components", []]]
        ),
        "limit[0]: a list is wanted, found a dict of 2 | a row given as a map": lu(
            limit=[{0: 0, 1: 1}, {0: 1, 1: 0}]
        ),
        "rows: a list is wanted, found '01' | a text": lu(rows="01"),
        "left[0]: a list of 3 is wanted, found a list of 2 | an entry": lu(left=[[0, 0]]),
        "left[0][2]: a map is wanted, found a list of 1 | a polynomial": lu(
            left=[[0, 0, [[1, 1]]]]
        ),
        "rows: a list without repetitions | a row twice": lu(rows=(0, 0)),
        "columns: a list without repetitions | a column twice": lu(columns=(1, 1)),
        "exclusion[1]: a list without repetitions | a minor": lu(["minor", [0, 0], [0, 1]]),
        "exclusion: a rule of an exclusion (split, product | unknown": lu(["trust", 0, 0]),
        "exclusion: a rule of an exclusion (split, product | private": lu(["_live", 0, 0]),
        "exclusion: a rule of an exclusion (split, product | no name": lu([]),
        "exclusion: a rule of an exclusion (split, product | a number": lu([0]),
        "exclusion[4]: a list is wanted, found None | no tree": lu(
            ["product", 0, 0, ["cell", 0, 1], None]
        ),
        "exclusion: 2 parts after 'cell' is wanted | one": lu(["cell", 0]),
        "exclusion: 2 parts after 'cell' is wanted | three": lu(["cell", 0, 0, 0]),
        "exclusion[1][0]: one of x, y is wanted, found 'z' | a variable": lu(
            ["split", ["z", 0, 0], LU_TREE, LU_TREE]
        ),
        "exclusion[2][2]: a list is wanted, found 'x' | a text for a tree": lu(
            ["split", ["x", 0, 0], ["split", ["x", 0, 0], "x", LU_TREE], LU_TREE]
        ),
        "evidence of at most 300 levels | a bomb": lu(nested(400)),
        "evidence of at most 300 levels | one level more": lu(nested(299)),
        "evidence of at most 300 levels | a bomb of parts": closed(DENSE, nested_parts(200)),
        "steps[0][2]: one of left, right is wanted, found 'up' | a side": chain(
            [LOWER, DIAGONAL, UPPER], [["absorb", 1, "up"]], lu()
        ),
        "steps[0][2][0]: a contraction (free) is wanted, found 'keep' | a step": chain(
            [FULL, FULL, DIAGONAL],
            [["contract", 0, [["keep", [], []]]]],
            comparable(FULL, DIAGONAL),
        ),
        "patterns[0][0]: an integer from 1 | no pattern": made(
            so.KroneckerChainCertificate, triple, [[0, 2, 2, 1]]
        ),
        "patterns[0]: a list of 4 | no pattern": made(
            so.KroneckerChainCertificate, triple, [[2, 2, 1]]
        ),
        "proof[1]: a list of at least 1 is wanted | an empty family": dense(1, value=[]),
        "proof[1]: a list without repetitions | a family": dense(1, value=[0, 0]),
        "proof[2][1][0]: a list without repetitions | a matching": dense(2, 1, 0, value=[0, 0]),
        "proof[2]: a kind of evidence (columns, rows | unknown": dense(2, 0, value="trust"),
        "proof[1][0]: a proof of one component (free, comparable | nested": closed(
            RANK_ONE, ["components", [["components", [["comparable"]]]]]
        ),
        "[1][0][1][0]: a list of at least 1 is wanted | a variable without places": closed(
            DENSE, ["cases", ["split", [[1, [[]]]], [0, 0], ["empty"], ["empty"]]]
        ),
        "[1][0][1][0]: a list of at most 2 is wanted | a variable of three places": closed(
            DENSE, ["cases", ["split", [[1, [[0, 0, 0]]]], [0, 0], ["empty"], ["empty"]]]
        ),
        "exclusion[1][0]: one of x, y is wanted, found 'x' | a text of another class": lu(
            ["split", [np.str_("x"), 0, 0], LU_TREE, LU_TREE]
        ),
        "exclusion: a rule of an exclusion (split, product | a text of another class": lu(
            [np.str_("product"), *LU_TREE[1:]]
        ),
    }


# Documents --------------------------------------------------------------------------------------


def document(certificate: Any, edit: Callable[[Any], None]) -> str:
    """Return the JSON of a certificate after an edit."""
    body = json.loads(so.to_json(certificate))
    edit(body)
    return json.dumps(body)


def sparse_lower(**changes: Any) -> dict[str, Any]:
    """Return the JSON of LOWER as a sparse matrix, with other (dtype, values) for some arrays."""
    arrays = {
        "data": ("|u1", [1, 1, 1]),
        "indices": ("<i4", [0, 0, 1]),
        "indptr": ("<i4", [0, 1, 3]),
        **changes,
    }
    parts = {
        key: {"$array": {"dtype": dtype, "shape": [len(values)], "values": values}}
        for key, (dtype, values) in arrays.items()
    }
    return {"$sparse": {"format": "csr", "shape": [2, 2], **parts}}


def documents() -> dict[str, Any]:
    """Files whose problem or answer is none."""

    def at(*path: Any, value: Any) -> Callable[[Any], None]:
        def edit(body: Any) -> None:
            for key in path[:-1]:
                body = body[key]
            body[path[-1]] = value

        return edit

    supports = ("problem", "supports", "$tuple")
    first = (*supports, 0, "$array")
    floats = {"dtype": "<f8", "shape": [2, 2], "values": [1.0, 0.0, 1.0, 0.5]}
    right, repaired = lu(), repair()

    def of_lu(*path: Any, value: Any) -> str:
        return document(right, at(*path, value=value))

    return {
        "value must be one of ('closed', 'not_closed', 'unknown'), got 'open' | a verdict": of_lu(
            "answer", "value", value="open"
        ),
        "value must be one of ('closed', 'not_closed', 'unknown'), got ['closed'] | a list": of_lu(
            "answer", "value", value=["closed"]
        ),
        "reason must be a text, got NoneType | none": of_lu("answer", "reason", value=None),
        "condition must be a text, got int | a number": document(
            training(LU, lu()), at("answer", "condition", value=0)
        ),
        "field must be 'real' or 'complex', got ['real'] | a list": of_lu(
            "problem", "field", value=["real"]
        ),
        "field must be 'real' or 'complex', got 'rational' | a field": of_lu(
            "problem", "field", value="rational"
        ),
        "supports must be a list of 0/1 matrices | a text": of_lu(*supports[:2], value="LU"),
        "supports must be a list of 0/1 matrices | a map": of_lu(
            *supports[:2], value={"$map": [[0, 1], [1, 1]]}
        ),
        "supports must be a list of 0/1 matrices | an object": of_lu(
            *supports[:2],
            value={"$type": "sparseopt:Architecture", "patterns": [[1, 2, 2, 1], [1, 2, 2, 1]]},
        ),
        "candidates of a plan must hold candidates only | supports": of_lu(
            *supports[:2],
            value={"$type": "sparseopt:Plan", "problem": "", "candidates": [LOWER, UPPER]},
        ),
        "do not fit its shape | a sparse support with an index 0.7": of_lu(
            *supports, 0, value=sparse_lower(indices=("<f8", [0.0, 0.7, 1.0]))
        ),
        "do not fit its shape | a sparse support with a start 1.9": of_lu(
            *supports, 0, value=sparse_lower(indptr=("<f8", [0.0, 1.9, 3.0]))
        ),
        "do not fit its shape | a sparse support with entries after the last": of_lu(
            *supports,
            0,
            value=sparse_lower(data=("|u1", [1, 1, 1, 5]), indices=("<i4", [0, 0, 1, 9])),
        ),
        "must ascend, none given twice | 255 + 2 as 1": of_lu(
            *supports,
            0,
            value=sparse_lower(
                data=("|u1", [1, 1, 255, 2]),
                indices=("<i4", [0, 0, 1, 1]),
                indptr=("<i4", [0, 1, 4]),
            ),
        ),
        "two keys that are equal | exponents": of_lu(
            "left", value=[[0, 0, {"$map": [[1, 1], [True, 1]]}]]
        ),
        "$tuple needs a list | a text": of_lu("reductions", value={"$tuple": ""}),
        "$map needs a list | a text": of_lu("left", value=[[0, 0, {"$map": ""}]]),
        "supports must be a list of matrices | one matrix": of_lu(
            *supports[:2], value={"$array": {"dtype": "|b1", "shape": [1, 1], "values": [True]}}
        ),
        "supports is empty | none": of_lu(*supports, value=[]),
        "support 0 is empty | no row": of_lu(
            *first, value={"dtype": "|b1", "shape": [0, 2], "values": []}
        ),
        "support 0 has 1 columns, support 1 has 2 rows | widths": of_lu(
            *first, value={"dtype": "|b1", "shape": [1, 1], "values": [True]}
        ),
        "must hold only 0 and 1, but entry (1, 1) is 0.5 | a weight": of_lu(*first, value=floats),
        "must be a matrix | a vector": of_lu(
            *first, value={"dtype": "|b1", "shape": [2], "values": [True, True]}
        ),
        "must hold 0 and 1, got dtype complex128 | complex": of_lu(
            *first, value={"dtype": "<c16", "shape": [1, 2], "values": [1.0, 0.0, 1.0, 0.0]}
        ),
        "must hold only 0 and 1, but entry (0, 0) is 1/3 | a rational": of_lu(
            *first, value={"dtype": "object", "shape": [1, 1], "values": [{"$fraction": "1/3"}]}
        ),
        "is ragged | rows of different lengths": of_lu(*supports, 0, value=[[1, 0], [1]]),
        "changes: an integer from 0 | a float": document(
            repaired, at("answer", "changes", value=1.0)
        ),
        "lower_bound: an integer from 0 | true": document(
            repaired, at("answer", "lower_bound", value=True)
        ),
        "allow must be one of remove, add, both, not 'swap' | a kind": document(
            repaired, at("problem", "allow", value="swap")
        ),
        "it takes two supports [I, J], not 1 | one": document(
            repaired, at(*supports, value=[{"$array": {**floats, "values": [1.0, 0.0, 1.0, 1.0]}}])
        ),
        "value must be one of ('attained', 'may_not_be_attained', 'unknown') | training": document(
            training(LU, lu()), at("answer", "value", value="always")
        ),
    }


class Chameleon(str):
    """A text that is equal to every other, and reads otherwise."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


def constructors() -> dict[str, Callable[[], Any]]:
    """Problems and answers that cannot be built, by what Python allows and JSON does not."""
    text = Chameleon("proved by an authority")
    sparse = scipy.sparse.csr_array(np.eye(2))
    return {
        "value must be one of ('closed' | equal to all": lambda: so.ClosednessVerdict(text, "?"),
        "reason must be a text, got Chameleon | equal to all": lambda: so.ClosednessVerdict(
            "closed", text
        ),
        "value must be one of ('attained' | equal to all": lambda: so.TrainingVerdict(text, "?"),
        "condition must be a text, got Chameleon | equal to all": lambda: so.TrainingVerdict(
            "attained", text
        ),
        "field must be 'real' or 'complex' | equal to all": lambda: so.Closedness(LU, text),
        "allow must be one of remove, add, both | equal to all": lambda: so.NearestClosedSupport(
            LU, text
        ),
        "support 0 has 2 columns, support 1 has 3 rows | of three": lambda: so.Closedness(
            [FULL, np.ones((3, 2)), FULL]
        ),
        "for one matrix write [I] | sparse": lambda: so.Closedness(sparse),
        "for one matrix write [I] | an array": lambda: so.Closedness(np.eye(2)),
        "a list of 0/1 matrices, for example | a map": lambda: so.Closedness({0: LOWER}),
        "a list of 0/1 matrices, for example | a number": lambda: so.Closedness(3),  # type: ignore[arg-type]
    }
