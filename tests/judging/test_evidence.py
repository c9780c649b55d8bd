"""Evidence is read once, exactly, and refused by its place."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.judging import evidence
from sparseopt.judging.evidence import (
    DEEPEST,
    MOST_BITS,
    EvidenceError,
    Integer,
    List,
    Map,
    Node,
    Optional,
    Rational,
    Record,
    Rule,
    Word,
    brief,
)

TREE = Node("node")


@TREE.rule("leaf")
@dataclass(frozen=True)
class Leaf(Rule):
    """Nothing follows."""


@TREE.rule("pair", TREE, TREE, mirrored="pair_t")
@dataclass(frozen=True)
class Pair(Rule):
    """Two nodes."""

    first: Rule
    second: Rule
    turned: bool = False


@TREE.rule("then", Integer(), Optional(TREE))
@dataclass(frozen=True)
class Then(Rule):
    """A number, and what follows."""

    number: int
    rest: Rule | None


def read(form: Any, value: Any) -> Any:
    return form.read(value, ("it",))


def test_what_is_read_is_exact_and_immutable() -> None:
    form = Record((List(Integer()), Map(Integer(-2, 2), Rational()), Word(("x", "y"))))
    found = read(form, [[1, 2], {1: 3, -1: Fraction(1, 2)}, "x"])
    assert found == ((1, 2), {-1: Fraction(1, 2), 1: 3}, "x")
    assert list(found[1]) == [-1, 1]
    assert type(found[1]) is MappingProxyType
    assert type(found[1][1]) is Fraction
    assert read(form, found) == found


def test_what_was_read_does_not_change_with_its_source() -> None:
    given: Any = [[1], {0: 1}]
    found = read(Record((List(Integer()), Map(Integer(), Rational()))), given)
    given[0].append(2)
    given[1][0] = 5
    assert found == ((1,), {0: 1})


class Text(str):
    """A text of another class."""


class Mutable(list[Any]):
    """A list of another class, which may answer otherwise each time."""


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (Integer(), True),
        (Integer(), 1.0),
        (Integer(), np.int64(1)),
        (Integer(), "1"),
        (Integer(), Fraction(1)),
        (Integer(), -1),
        (Integer(0, 3), 4),
        (Rational(), True),
        (Rational(), 0.5),
        (Rational(), np.float64(0.5)),
        (Rational(), "1/2"),
        (Rational(), Fraction(np.int64(1))),
        (Rational(), 2**MOST_BITS),
        (Rational(), Fraction(1, 2**MOST_BITS)),
        (Word(("x",)), "y"),
        (Word(("x",)), Text("x")),
        (Word(("x",)), np.str_("x")),
        (Word(("x",)), ["x"]),
        (List(Integer()), {0: 0}),
        (List(Integer()), "00"),
        (List(Integer()), np.array([0])),
        (List(Integer()), Mutable([0])),
        (List(Integer()), range(1)),
        (List(Integer(), distinct=True), [0, 1, 0]),
        (List(Integer(), least=1), []),
        (List(Integer(), most=2), [0, 0, 0]),
        (Record((Integer(),)), []),
        (Record((Integer(),)), [0, 0]),
        (Map(Integer(), Integer()), [[0, 0]]),
        (Map(Integer(), Integer()), {"0": 0}),
        (Map(Integer(), Integer()), {0: "0"}),
        (TREE, []),
        (TREE, ["other"]),
        (TREE, [Text("leaf")]),
        (TREE, [["leaf"]]),
        (TREE, ["leaf", 0]),
        (TREE, ["pair", ["leaf"]]),
        (TREE, ["pair", ["leaf"], None]),
        (TREE, None),
        (TREE, Leaf()),
    ],
)
def test_everything_else_is_refused(form: Any, value: Any) -> None:
    with pytest.raises(EvidenceError, match=r"^it.*: expected .*, found "):
        read(form, value)


def test_what_is_just_allowed() -> None:
    assert read(Integer(0, 3), 3) == 3
    assert read(List(Integer(), least=1, most=2), [0, 0]) == (0, 0)
    largest = 2**MOST_BITS - 1
    assert read(Rational(), Fraction(-largest, largest - 1)).numerator == -largest
    assert read(TREE, ["then", 0, None]) == Then(0, None)
    assert read(TREE, ["then", 0, ["leaf"]]) == Then(0, Leaf())
    assert read(TREE, ["pair", ["leaf"], ["leaf"]]) == Pair(Leaf(), Leaf())
    assert read(TREE, ["pair_t", ["leaf"], ["leaf"]]) == Pair(Leaf(), Leaf(), turned=True)
    assert (Pair.rule, Then.rule) == ("pair", "then")


def test_the_place_is_named() -> None:
    with pytest.raises(EvidenceError, match=r"^it\[1\]\[2\]\[1\]: expected an integer"):
        read(TREE, ["pair", ["then", 0, ["then", "x", None]], ["leaf"]])
    with pytest.raises(
        EvidenceError, match=r"^it\[2\]\[2\]: expected a node \(leaf, pair, pair_t, then\)"
    ):
        read(TREE, ["pair", ["leaf"], ["then", 0, ["other"]]])
    with pytest.raises(EvidenceError, match=r"^it\[3\]: expected an integer"):
        read(Map(Integer(), Integer()), {3: "x"})


def nested(levels: int, place: int) -> Any:
    tree: Any = ["leaf"]
    for _ in range(levels):
        tree = ["pair", tree, ["leaf"]] if place == 1 else ["pair", ["leaf"], tree]
    return tree


def test_depth() -> None:
    """Recursion is bounded; a last part is no deeper than the whole."""
    read(TREE, nested(DEEPEST - 1, 1))
    with pytest.raises(
        EvidenceError, match=r"^it.*.*\.\.\..*\[1\]: expected evidence of at most 300"
    ):
        read(TREE, nested(DEEPEST, 1))
    assert type(read(TREE, nested(20_000, 2))) is Pair
    chain: Any = ["then", 0, None]
    for _ in range(20_000):
        chain = ["then", 0, chain]
    assert type(read(TREE, chain)) is Then


def test_places_of_moderate_depth_are_whole() -> None:
    with pytest.raises(EvidenceError, match=r"^it(\[1\]){12}: expected a list"):
        read(TREE, _broken(12))
    with pytest.raises(EvidenceError, match=r"^it(\[1\]){6}\.\.\.(\[1\]){6}: expected a list"):
        read(TREE, _broken(13))


def _broken(levels: int) -> Any:
    tree: Any = 0
    for _ in range(levels):
        tree = ["pair", tree, ["leaf"]]
    return tree


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None"),
        (True, "True"),
        (0.5, "0.5"),
        (7, "7"),
        (Fraction(-1, 3), "-1/3"),
        (10**30 - 1, "9" * 30),
        (10**30, "a long number"),
        (-(10**30), "a long number"),
        (1 - 10**30, "-" + "9" * 30),
        (Fraction(1, 10**30), "a long number"),
        ("a", "'a'"),
        ("a" * 40, "'" + "a" * 40 + "'"),
        ("a" * 41, "'" + "a" * 40 + "'..."),
        ("\x1b[2K", "'\\x1b[2K'"),
        ([1, 2], "a list of 2"),
        ({}, "a dict of 0"),
        (np.int64(3), "int64"),
        (object(), "object"),
    ],
)
def test_brief(value: Any, words: str) -> None:
    assert brief(value) == words


def test_numbers_that_cannot_be_printed_are_refused_in_words() -> None:
    """Python refuses to print integers of more than 4300 digits."""
    with pytest.raises(so.ProblemError, match="found a long number"):
        read(Rational(), 10**5000)
    assert evidence.MOST_BITS < 14_000
