"""Certificates of closedness that cannot be built, or whose files must be refused when read."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse
from closedness_statements import repair, sparse_lower, training
from forging import (
    DENSE,
    DIAGONAL,
    FULL,
    LOWER,
    LU,
    LU_TREE,
    RANK_ONE,
    UPPER,
    chain,
    closed,
    comparable,
    lu,
    made,
)
from laws import refusal

import sparseopt as so


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
    integer, rational = "expected an integer", "expected an integer or a rational, found"
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
        "float64": np.float64(1),
        "a long number": huge,
    }
    found = {
        f"rows[1]: {integer} from 0 to 4611686018427387904, found {shown} | an index": lu(
            rows=(0, value)
        )
        for shown, value in numbers.items()
    }
    for shown, value in {
        "True": True,
        "1.0": 1.0,
        "'1'": "1",
        "float64": np.float64(1),
    }.items():
        found[f"limit[0][1]: {rational} {shown} | an entry"] = dataclasses.replace(
            right, limit=[[0, value], [1, 0]]
        )
        found[f"left[1][2][0]: {rational} {shown} | a coefficient"] = dataclasses.replace(
            right, left=[right.left[0], [1, 0, {0: value}], right.left[2]]
        )
    return found | {
        "expected a number of at most 10000 bits, found a long number | an entry": lu(
            limit=[[0, huge], [1, 0]]
        ),
        "a number of at most 10000 bits | a denominator": lu(
            limit=[[0, 1], [1, Fraction(1, huge)]]
        ),
        "expected an integer from -1000 to 1000, found 1001 | an exponent": lu(
            left=[[0, 0, {1001: 1}]]
        ),
        "expected an integer from -1000 to 1000, found -1001 | a point": closed(
            DENSE, ["free", [0, 1], ["submersion", [[0, 0, -1001]], []], ["components", []]]
        ),
        "limit[0]: expected a list, found a dict of 2 | a row given as a map": lu(
            limit=[{0: 0, 1: 1}, {0: 1, 1: 0}]
        ),
        "rows: expected a list, found '01' | a text": lu(rows="01"),
        "left[0]: expected a list of 3, found a list of 2 | an entry": lu(left=[[0, 0]]),
        "left[0][2]: expected a map, found a list of 1 | a polynomial": lu(left=[[0, 0, [[1, 1]]]]),
        "rows: expected a list without repetitions | a row twice": lu(rows=(0, 0)),
        "columns: expected a list without repetitions | a column twice": lu(columns=(1, 1)),
        "exclusion[1]: expected a list without repetitions | a minor": lu(
            ["minor", [0, 0], [0, 1]]
        ),
        "exclusion: expected a rule of an exclusion (split, product | unknown": lu(["trust", 0, 0]),
        "exclusion: expected a rule of an exclusion (split, product | private": lu(["_live", 0, 0]),
        "exclusion: expected a rule of an exclusion (split, product | no name": lu([]),
        "exclusion: expected a rule of an exclusion (split, product | a number": lu([0]),
        "exclusion[4]: expected a list, found None | no tree": lu(
            ["product", 0, 0, ["cell", 0, 1], None]
        ),
        "exclusion: expected 2 parts after 'cell' | one": lu(["cell", 0]),
        "exclusion: expected 2 parts after 'cell' | three": lu(["cell", 0, 0, 0]),
        "exclusion[1][0]: expected one of x, y, found 'z' | a variable": lu(
            ["split", ["z", 0, 0], LU_TREE, LU_TREE]
        ),
        "exclusion[1][0]: expected one of x, y, found ndarray | an array of one word": lu(
            ["split", [np.array("x"), 0, 0], LU_TREE, LU_TREE]
        ),
        "exclusion: expected a rule of an exclusion (split, product | an array of one word": lu(
            [np.array("product"), *LU_TREE[1:]]
        ),
        f"cost: {rational} 1 | a Fraction of integers of 64 bits": refusal(
            lambda: so.ClosedSupport(DENSE, 0, 0, Fraction(np.int64(1)))  # type: ignore[arg-type]
        ),
        "exclusion[2][2]: expected a list, found 'x' | a text for a tree": lu(
            ["split", ["x", 0, 0], ["split", ["x", 0, 0], "x", LU_TREE], LU_TREE]
        ),
        "evidence of at most 300 levels | a bomb": lu(nested(400)),
        "evidence of at most 300 levels | one level more": lu(nested(299)),
        "evidence of at most 300 levels | a bomb of parts": closed(DENSE, nested_parts(200)),
        "steps[0][2]: expected one of left, right, found 'up' | a side": chain(
            [LOWER, DIAGONAL, UPPER], [["absorb", 1, "up"]], lu()
        ),
        "steps[0][2][0]: expected a contraction (free), found 'keep' | a step": chain(
            [FULL, FULL, DIAGONAL],
            [["contract", 0, [["keep", [], []]]]],
            comparable(FULL, DIAGONAL),
        ),
        "patterns[0][0]: expected an integer from 1 | no pattern": made(
            so.KroneckerChainCertificate, triple, [[0, 2, 2, 1]]
        ),
        "patterns[0]: expected a list of 4 | no pattern": made(
            so.KroneckerChainCertificate, triple, [[2, 2, 1]]
        ),
        "proof[1]: expected a list of at least 1 | an empty family": dense(1, value=[]),
        "proof[1]: expected a list without repetitions | a family": dense(1, value=[0, 0]),
        "proof[2][1][0]: expected a list without repetitions | a matching": dense(
            2, 1, 0, value=[0, 0]
        ),
        "proof[2]: expected a kind of evidence (staircase | unknown": dense(2, 0, value="trust"),
        "proof[1][0]: expected a proof of one component (free, comparable | nested": closed(
            RANK_ONE, ["components", [["components", [["comparable"]]]]]
        ),
        "[1][0][1][0]: expected a list of at least 1 | a variable without places": closed(
            DENSE, ["cases", ["split", [[1, [[]]]], [0, 0], ["empty"], ["empty"]]]
        ),
        "[1][0][1][0]: expected a list of at most 2 | a variable of three places": closed(
            DENSE, ["cases", ["split", [[1, [[0, 0, 0]]]], [0, 0], ["empty"], ["empty"]]]
        ),
    }


def document(certificate: Any, edit: Callable[[Any], None]) -> str:
    """Return the JSON of a certificate after an edit."""
    body = json.loads(so.to_json(certificate))
    edit(body)
    return json.dumps(body)


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
        "changes: expected an integer from 0 | a float": document(
            repaired, at("answer", "changes", value=1.0)
        ),
        "lower_bound: expected an integer or a rational | true": document(
            repaired, at("answer", "lower_bound", value=True)
        ),
        "allow must be one of remove, add, both, not 'swap' | a kind": document(
            repaired, at("problem", "allow", value="swap")
        ),
        "it takes two supports [I, J], not 1 | one": document(
            repaired, at(*supports, value=[{"$array": {**floats, "values": [1.0, 0.0, 1.0, 1.0]}}])
        ),
        "hidden_biases must be True or False, got 'yes' | a word": document(
            training(LU, lu()), at("problem", "hidden_biases", value="yes")
        ),
        "output_biases must be True or False, got 1 | a number": document(
            training(LU, lu()), at("problem", "output_biases", value=1)
        ),
        "SparseTraining has fields | another field": document(
            training(LU, lu()), at("problem", "visible_biases", value=True)
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
