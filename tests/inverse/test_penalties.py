"""Penalties: values by hand, what adds to what, what is refused, JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

import sparseopt as so

GROUPS = [[0, 2], [1]]


@pytest.mark.parametrize(
    ("penalty", "x", "value"),
    [
        (so.L1(2.0, [0, 1, 3]), [5, -1, 2], 14.0),
        (so.L1(2.0, positive=True), [5, 1, 2], 16.0),
        (so.L1(2.0, positive=True), [5, -1, 2], math.inf),
        (so.L1(2.0), [3 + 4j, 0, 1j], 12.0),
        (so.GroupL1(2.0, GROUPS, [1, 0]), [3, 7, -4], 10.0),
        (so.GroupL1(2.0, GROUPS, positive=True), [3, 7, 4], 24.0),
        (so.GroupL1(2.0, GROUPS, positive=True), [3, -7, 4], math.inf),
        (so.GroupL1(1.0, GROUPS), [3j, 0, 4], 5.0),
        (so.Ridge(0.5), [1, -2, 4], 5.25),
        (so.Ridge(0.5), [1j, 2, 2], 2.25),
        (so.SparseGroupL1(1.0, 2.0, GROUPS), [3, -1, 4], 20.0),
        (so.SparseGroupL1(1.0, 2.0, GROUPS, [0, 1, 2], [1, 0]), [3, -1, 4], 19.0),
        (so.L1(1.0) + so.Ridge(2.0), [1, -2, 0], 8.0),
        (so.L1(1.0) + so.GroupL1(2.0, GROUPS), [3, -1, 4], 20.0),
        (sum([so.L1(1.0), so.L1(2.0), so.Ridge(2.0)]), [1, 1, 0], 8.0),
        (so.TotalVariation(2.0), [1, -1, 4], 14.0),
        (so.TotalVariation(2.0), [3j, 4, 4], 10.0),
        (so.NuclearNorm(2.0, (1, 3)), [2, 3, 6], 14.0),
        (so.NuclearNorm(2.0, (3, 1)) + so.Ridge(2.0), [2, 3, 6], 63.0),
    ],
)
def test_values(penalty: so.Penalty, x: Any, value: float) -> None:
    assert penalty.value(np.array(x)) == pytest.approx(value, rel=1e-14)
    again = so.from_json(so.to_json(so.SparseRegression(np.eye(3), [1, 2, 3], penalty)))
    assert again.penalty.value(np.array(x)) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: so.L1(1, [1, -1]), "weights has -1 at entry 1; weights must not be negative"),
        (lambda: so.L1(1, [1, np.nan]), "weights has a nan"),
        (lambda: so.L1(1, [[1]]), "weights must be a vector of numbers"),
        (lambda: so.L1(1, [[1], [1, 2]]), "weights is ragged: its rows differ in length"),
        (lambda: so.L1(1, positive=1), "positive must be True or False, got 1"),
        (lambda: so.GroupL1(1, [[0]], positive="no"), "positive must be True or False"),
        (lambda: so.Ridge(-1), "strength is -1; a penalty cannot be negative"),
        (lambda: so.TotalVariation(np.inf), "strength is inf"),
        (lambda: so.SparseGroupL1(-1, 1, [[0]]), "l1 is -1; a penalty cannot be negative"),
        (lambda: so.SparseGroupL1(1, "a", [[0]]), "group must be a number"),
        (lambda: so.SparseGroupL1(1, 1, [[0], [0]]), "entry 0 is in groups 0 and 1"),
        (lambda: so.SparseGroupL1(1, 1, [[0, 1]], [1]), "l1_weights must be 2 numbers"),
        (lambda: so.SparseGroupL1(1, 1, [[0, 1]], None, [1, 1]), "group_weights must be 1 numbers"),
        (lambda: so.NuclearNorm(1, (2,)), r"shape must be two positive integers, got \(2,\)"),
        (lambda: so.NuclearNorm(1, (0, 2)), "shape must be two positive integers"),
        (lambda: so.NuclearNorm(1, 4), "shape must be two numbers, got 4"),
        (
            lambda: so.TotalVariation(1) + so.Ridge(1),
            "TotalVariation does not add to Ridge: the dual of the sum has no closed form",
        ),
        (lambda: so.L1(1) + so.TotalVariation(1), "TotalVariation does not add to L1"),
        (lambda: so.NuclearNorm(1, (1, 1)) + so.L1(1), "NuclearNorm does not add to L1"),
        (
            lambda: so.NuclearNorm(1, (1, 1)) + so.NuclearNorm(1, (1, 1)),
            "NuclearNorm is given twice",
        ),
        (
            lambda: so.GroupL1(1, [[0, 1]]) + so.SparseGroupL1(1, 1, [[0], [1]]),
            "GroupL1 and SparseGroupL1 have different groups",
        ),
        (lambda: so.PenaltySum(()), "a sum of penalties needs at least one"),
        (lambda: so.PenaltySum((1,)), "parts must be penalties, got 1"),
    ],
)
def test_refusals(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        build()


def test_only_penalties_add() -> None:
    with pytest.raises(TypeError):
        so.L1(1) + 1


def test_strengths_of_sums() -> None:
    penalty = so.L1(1.0) + so.GroupL1(3.0, GROUPS) + so.Ridge(5.0)
    assert (penalty.strength, penalty.ridge, penalty.positive) == (4.0, 5.0, False)
    half = penalty.at(2.0)
    assert [part.strength for part in half.parts] == [0.5, 1.5, 5.0]
    assert so.SparseGroupL1(1.0, 3.0, GROUPS).at(2.0).l1 == 0.5
    assert (so.Ridge(1.0) + so.Ridge(3.0)).at(8.0).ridge == 8.0
    with pytest.raises(so.ProblemError, match="all strengths are 0"):
        (so.L1(0.0) + so.Ridge(1.0)).at(1.0)
    assert (so.L1(1.0, positive=True) + so.Ridge(1.0)).positive


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1, -1, 1], "sample_weights has -1 at entry 1"),
        ([0, 0, 0], "sample_weights are all 0"),
        ([1, 1], "sample_weights must be 3 numbers"),
        ([1, np.inf, 1], "sample_weights has an inf"),
        ([1, 1e-70, 1], r"sample_weights lie between 1e-70 \(entry 1\)"),
        ([1e200, 0, 0], r"the largest of sample_weights is 1e\+200"),
    ],
)
def test_bad_sample_weights(weights: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.SparseRegression(np.eye(3), [1, 2, 3], so.L1(1), weights)


def test_objective_with_sample_weights_and_complex_numbers() -> None:
    problem = so.SparseRegression(np.eye(2), [1j, 2], so.L1(1.0), [4, 1])
    found = problem.evaluate(so.Coefficients(np.array([0, 1j])))
    assert found["loss"] == pytest.approx(0.5 * (4 + 5))
    assert found["penalty"] == pytest.approx(1.0)


def test_operators_cannot_be_saved_and_say_so() -> None:
    operator = LinearOperator((2, 2), matvec=lambda x: 2 * x, rmatvec=lambda x: 2 * x, dtype=float)
    solution = so.solve(so.SparseRegression(operator, [1.0, 2.0], so.L1(1.0)))
    assert so.verify(solution).ok
    np.testing.assert_allclose(solution.answer.x, [0.25, 0.75], rtol=1e-14)
    with pytest.raises(so.ProblemError, match="LinearOperator"):
        so.to_json(solution)
