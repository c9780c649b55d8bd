"""Regularization paths: grids, warm starts, certificates, refusals."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

import sparseopt as so
from sparseopt.tools.regularization import largest_strength

RNG = np.random.default_rng(4)
DESIGN, TARGET = RNG.standard_normal((20, 12)), RNG.standard_normal(20)
GROUPS = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
WEIGHTS = np.array([0, 0, 1, 2, 1, 1, 0.5, 1, 1, 1, 1, 1.0])
PENALTIES = {
    "l1": so.L1(1.0),
    "weights": so.L1(1.0, WEIGHTS),
    "positive": so.L1(1.0, positive=True),
    "groups": so.GroupL1(0.0, GROUPS, [1, 0, 2, 1]),
    "sparse groups": so.SparseGroupL1(1.0, 2.0, GROUPS),
    "elastic": so.L1(1.0) + so.Ridge(0.5),
    "variation": so.TotalVariation(1.0),
    "nuclear": so.NuclearNorm(1.0, (3, 4)),
}


def problem(name: str, **rows: Any) -> so.SparseRegression:
    return so.SparseRegression(DESIGN, TARGET, PENALTIES[name], **rows)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", list(PENALTIES))
def test_the_largest_strength_is_the_first_that_empties_the_model(
    name: str, weighted: bool
) -> None:
    rows = {"sample_weights": np.arange(1.0, 21.0)} if weighted else {}
    penalty = PENALTIES[name]
    largest = largest_strength(problem(name, **rows))
    above, below = so.path(problem(name, **rows), [largest * (1 + 1e-9), largest * (1 - 1e-6)])
    sizes = [float(abs(part.problem.penalty.value(part.answer.x))) for part in (above, below)]
    ridges = [penalty.ridge / 2 * float(part.answer.x @ part.answer.x) for part in (above, below)]
    own = [size - ridge for size, ridge in zip(sizes, ridges, strict=True)]
    assert own[0] <= 1e-9 * largest
    assert own[1] > 1e-9 * largest


def test_closed_forms_of_the_largest_strength() -> None:
    correlation = DESIGN.T @ TARGET
    assert largest_strength(problem("l1")) == pytest.approx(np.abs(correlation).max())
    assert largest_strength(problem("positive")) == pytest.approx(correlation.max())
    assert largest_strength(problem("elastic")) == pytest.approx(np.abs(correlation).max())
    spectral = np.linalg.norm(correlation.reshape(3, 4), 2)
    assert largest_strength(problem("nuclear")) == pytest.approx(spectral)
    ridge = so.SparseRegression(DESIGN, TARGET, so.Ridge(1.0))
    assert math.isinf(largest_strength(ridge))
    nothing = so.SparseRegression(DESIGN, -np.abs(DESIGN[:, 0]), so.L1(1.0, positive=True))
    against = so.SparseRegression(np.abs(DESIGN), nothing.target, so.L1(1.0, positive=True))
    assert largest_strength(against) == 0.0
    assert len(so.path(against)) == 50


@pytest.mark.parametrize("name", list(PENALTIES))
def test_every_point_of_the_default_grid_is_proved(name: str) -> None:
    path = so.path(problem(name))
    strengths = [solution.problem.penalty.strength for solution in path]
    assert strengths[0] == pytest.approx(largest_strength(problem(name)))
    assert strengths[-1] == pytest.approx(1e-3 * strengths[0])
    assert len(path) == 50
    for solution in path:
        assert solution.status is so.Status.VERIFIED
        assert so.verify(solution).ok
    if name != "elastic":
        losses = [s.problem.evaluate(s.answer)["loss"] for s in path]
        assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(losses))


def test_strengths_in_the_order_given() -> None:
    path = so.path(problem("l1"), (0.5, 2, np.float32(1.0), 0))
    assert [solution.problem.penalty.strength for solution in path] == [0.5, 2.0, 1.0, 0.0]
    for solution in path:
        expected = so.solve(solution.problem)
        np.testing.assert_allclose(solution.answer.x, expected.answer.x, atol=1e-9)


def test_a_warm_start_is_used_and_checked() -> None:
    best = so.solve(problem("l1"))
    again = so.solve(problem("l1"), "working_set", start=best.answer.x)
    np.testing.assert_allclose(again.answer.x, best.answer.x, atol=1e-12)
    for penalty in ("l1", "elastic"):
        with pytest.raises(so.SolveError, match="start must be 12 numbers, got shape"):
            so.solve(problem(penalty), "working_set", start=np.zeros(3))
        with pytest.raises(so.SolveError, match="start is complex, and the problem real"):
            so.solve(problem(penalty), "working_set", start=[1j] * 12)


@pytest.mark.parametrize("start", ["abc", ["a"] * 12, object(), {1: 2}, [np.nan] * 12, 3, [[1], 2]])
def test_a_warm_start_of_no_numbers_is_refused_by_name(start: Any) -> None:
    with pytest.raises(so.ProblemError, match=": start "):
        so.solve(problem("l1"), "working_set", start=start)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_a_warm_start_may_be_a_tensor(dtype: torch.dtype) -> None:
    start = torch.ones(12, dtype=dtype, requires_grad=True)
    assert so.solve(problem("l1"), "working_set", start=start).certificate.accuracy <= 1e-6


def test_settings() -> None:
    seen: list[float] = []
    path = so.path(
        problem("l1"), [2.0, 1.0], tolerance=1e-3, progress=lambda share, _: seen.append(share)
    )
    assert seen == [0.5, 1.0]
    assert [solution.tolerance for solution in path] == [1e-3, 1e-3]
    assert len(so.path(problem("l1"), time_limit=60.0)) == 50
    assert 0 < len(so.path(problem("weights"), np.geomspace(9, 1e-6, 3000), time_limit=0.3)) < 3000


@pytest.mark.parametrize(
    ("strengths", "words"),
    [
        ([], "strengths is empty"),
        (3, "strengths must be a list of numbers"),
        ([1, -1], "strength 1 is -1"),
        ([1, np.nan], "strength 1 is nan"),
        (["a"], "strength 0 must be a number"),
    ],
)
def test_bad_strengths(strengths: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.path(problem("l1"), strengths)


def test_other_problems_are_refused() -> None:
    other: Any = so.Closedness([[[1]], [[1]]])
    with pytest.raises(so.ProblemError, match="path takes a SparseRegression, got Closedness"):
        so.path(other)


def test_the_largest_strength_of_integers_is_exact() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        design, target = rng.integers(-9, 10, (4, 5)), rng.integers(-9, 10, 4)
        regression = so.SparseRegression(design, target, so.L1(1.0))
        assert largest_strength(regression) == np.abs(design.T @ target).max()
        first = so.path(regression)[0]
        assert first.problem.penalty.strength == np.abs(design.T @ target).max()
        assert not first.answer.x.any()
