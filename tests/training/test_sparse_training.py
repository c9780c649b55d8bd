"""Existence of optima under fixed supports."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import sparseopt as so

LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]


def test_each_condition() -> None:
    attained = so.solve(so.SparseTraining([[[1, 0]], [[1, 1], [0, 1]]]))
    assert attained.answer.value == "attained"
    infinite = so.solve(so.SparseTraining(LU))
    assert infinite.answer.value == "may_not_be_attained"
    assert "converges to" in infinite.certificate.explain()
    neither = so.solve(so.SparseTraining([np.ones((2, 2)), np.ones((2, 2))]))
    assert neither.answer.value == "unknown"
    assert "not sufficient" in neither.answer.condition
    for solution in (attained, infinite):
        assert so.verify(so.Solution.from_json(solution.to_json())).ok


def test_forged() -> None:
    problem = so.SparseTraining(LU)
    claim = so.TrainingVerdict("attained", "trust me")
    assert not so.verify(so.TrainingCertificate(problem, claim)).ok
    right = so.solve(problem).certificate
    other = so.SparseTraining([np.ones((2, 2)), np.ones((2, 2))])
    assert not so.verify(dataclasses.replace(right, problem=other)).ok
    assert not so.verify(dataclasses.replace(right, closedness=None)).ok
    unknown = so.TrainingVerdict("unknown", "x")
    assert not so.verify(dataclasses.replace(right, answer=unknown)).ok


def test_bad_input() -> None:
    with pytest.raises(so.ProblemError, match="do not chain"):
        so.SparseTraining([[[1, 0]], [[1]]])
