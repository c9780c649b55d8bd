"""What supports may be, and the figures of merit of verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import sparseopt as so
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Relu

LU = ([[1, 0], [1, 1]], [[1, 1], [0, 1]])


@pytest.mark.parametrize(
    ("supports", "words"),
    [
        (scipy.sparse.csr_array(np.eye(2)), "for one matrix write"),
        (np.eye(2), "for one matrix write"),
        (np.array(1), "for one matrix write"),
        (iter(LU), "list of 0/1 matrices, for example"),
        (so.Architecture([(1, 2, 2, 1)]), "list of 0/1 matrices, for example"),
        (so.KroneckerPattern(1, 1, 1, 1), "list of 0/1 matrices, for example"),
        (so.Plan("", LU), "list of 0/1 matrices, for example"),  # type: ignore[arg-type]
        ("LU", "list of 0/1 matrices, for example"),
        ({0: LU[0]}, "list of 0/1 matrices, for example"),
        (3, "list of 0/1 matrices, for example"),
    ],
)
def test_what_is_no_list_of_supports(supports: Any, words: str) -> None:
    for build in (
        so.Closedness,
        so.SparseTraining,
        so.NearestClosedSupport,
        lambda given: so.ClosedSupport(given, 0, 0),
    ):
        with pytest.raises(so.ProblemError, match=words):
            build(supports)  # type: ignore[operator]


@pytest.mark.parametrize("given", [so.Plan("", ()), "LU", dict(enumerate(LU)), 3])
def test_what_is_no_sequence_in_other_problems(given: Any) -> None:
    with pytest.raises(so.ProblemError, match="supports must be two 0/1 matrices"):
        so.FixedSupportFactorization(np.eye(2), given)
    with pytest.raises(so.ProblemError, match="an architecture is a sequence of patterns"):
        so.Architecture(given)
    with pytest.raises(so.ProblemError, match="pattern 0 must be four integers"):
        so.Architecture([given])
    with pytest.raises(so.ProblemError, match="factor"):
        so.KroneckerProduct(given, so.Architecture([(1, 1, 1, 1)] * 2))
    with pytest.raises(so.ProblemError, match="inputs of a node must be a list"):
        Node("node", Relu(), given)


def test_an_array_of_supports_is_a_list_of_supports() -> None:
    problem = so.Closedness(np.array(LU))
    assert [s.tolist() for s in problem.supports] == [np.array(s, bool).tolist() for s in LU]


class Chameleon(str):
    """A text that is equal to every other, and reads otherwise."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    "build",
    [
        lambda text: so.ClosednessVerdict(text, "?"),
        lambda text: so.ClosednessVerdict("closed", text),
        lambda text: so.TrainingVerdict(text, "?"),
        lambda text: so.TrainingVerdict("attained", text),
        lambda text: so.Closedness(LU, text),
        lambda text: so.NearestClosedSupport(LU, text),
        lambda text: so.NearestClosedSupport(LU, "add", text),
    ],
)
def test_texts_that_are_equal_to_all_others_are_refused(build: Any) -> None:
    """A judge that compares must not be told that everything is the same."""
    with pytest.raises(so.ProblemError, match="must be"):
        build(Chameleon("proved by an authority"))


@pytest.mark.parametrize("value", ["closed", "not_closed", "unknown"])
def test_figures(value: str) -> None:
    figures = so.Closedness(LU).evaluate(so.ClosednessVerdict(value, "?"))
    assert figures == {"undecided": float(value == "unknown")}


@pytest.mark.parametrize("value", ["attained", "may_not_be_attained", "unknown"])
def test_figures_of_training(value: str) -> None:
    figures = so.SparseTraining(LU).evaluate(so.TrainingVerdict(value, "?"))
    assert figures == {"undecided": float(value == "unknown")}
