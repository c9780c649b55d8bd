"""Engines for fixed supports with a decay: known optima, cvxpy's dual, limits, bad settings."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
import torch

import sparseopt as so
from sparseopt.supports.components import same_rectangle

CASES = json.loads((Path(__file__).parent / "coercive_cases.json").read_text())["records"]
LU = ([[1, 0], [1, 1]], [[1, 1], [0, 1]])
LU3 = (np.tril(np.ones((3, 3))), np.triu(np.ones((3, 3))))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_public_cases(case: dict[str, Any]) -> None:
    data, want = case["data"], case["want"]
    problem = so.FixedSupportFactorization(data["A"], [data["I"], data["J"]], data["lam"])
    solution = so.solve(problem)
    certificate = solution.certificate
    value, room = want["value"]
    assert solution.status is so.Status.VERIFIED
    assert certificate.primal == pytest.approx(value, abs=room)
    assert certificate.dual <= value + room
    assert certificate.dual >= want["lower"][0] - want["lower"][1]
    assert certificate.relative_gap <= 1e-8
    figures = problem.evaluate(solution.answer)
    assert 0.5 * figures["error"] ** 2 == pytest.approx(want["error"][0], abs=want["error"][1])
    norm, room = want["half_squared_norms"]
    assert figures["half_squared_norms"] == pytest.approx(norm, abs=room)
    top, room = want["lam_max"]
    assert problem.largest_decay() == pytest.approx(top, abs=room)
    assert so.verify(so.from_json(solution.to_json())).ok
    relaxed = so.solve(problem, "coercive_descent").certificate
    tight = relaxed.relative_gap <= 1e-8
    assert tight == want["tight"][0] or case["name"] == "disjoint_rank_capped"


def dual_bound(target: np.ndarray, supports: Any, decay: float) -> float:
    """Return the optimum of the relaxation by cvxpy, from its dual."""
    left, right = (np.asarray(s, bool) for s in supports)
    z = cp.Variable(target.shape)
    covered = (left.astype(float) @ right.astype(float)) > 0
    limits = [z[~covered] == target[~covered]] if (~covered).any() else []
    for terms in same_rectangle(left, right):
        rows, columns = np.flatnonzero(left[:, terms[0]]), np.flatnonzero(right[terms[0]])
        limits.append(cp.sigma_max(z[rows][:, columns]) <= decay)
    value = cp.sum(cp.multiply(target, z)) - 0.5 * cp.sum_squares(z)
    return float(cp.Problem(cp.Maximize(value), limits).solve(solver="CLARABEL"))


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_the_optimum_of_the_relaxation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n, r = rng.integers(2, 5, 3)
    supports = [rng.random((m, r)) < 0.7, rng.random((r, n)) < 0.7]
    target = rng.standard_normal((m, n))
    problem = so.FixedSupportFactorization(target, supports, 0.2)
    certificate = so.solve(problem, "coercive_descent").certificate
    relaxed = dual_bound(target, supports, 0.2)
    assert certificate.dual >= relaxed * (1 - 1e-6)
    if certificate.windows is None and not problem.structure()["tractable"]:
        assert certificate.dual <= relaxed * (1 + 1e-6) or certificate.relative_gap < 1e-6


def test_known_values_of_lu_by_intervals() -> None:
    for decay, value in {0.1: 0.60846419676265, 0.01: 0.083640177053}.items():
        problem = so.FixedSupportFactorization([[1, 2], [3, 4]], LU, decay)
        solution = so.solve(problem)
        assert solution.solver == "coercive_intervals"
        assert solution.certificate.relative_gap <= 1e-8
        assert solution.certificate.primal == pytest.approx(value, rel=1e-10)
    relaxed = so.solve(so.FixedSupportFactorization([[1, 2], [3, 4]], LU, 0.1), "coercive_descent")
    assert relaxed.certificate.dual == pytest.approx(0.57309518948453, rel=1e-9)


def test_intervals_take_larger_rectangles_and_several_terms() -> None:
    rng = np.random.default_rng(3)
    supports = [np.ones((4, 3)), np.ones((3, 5))]
    supports[0][:, 2] = [0, 0, 1, 0]
    supports[1][2] = [0, 1, 0, 0, 0]
    for decay in (0.05, 0.5):
        problem = so.FixedSupportFactorization(rng.standard_normal((4, 5)), supports, decay)
        solution = so.solve(problem)
        assert solution.solver == "coercive_intervals"
        assert solution.status is so.Status.VERIFIED, solution


def test_windows_are_used_where_they_are_better() -> None:
    target = np.random.default_rng(0).standard_normal((5, 5))
    supports = [np.zeros((5, 2)), np.zeros((2, 5))]
    supports[0][:3, 0] = supports[0][2:, 1] = supports[1][0, :3] = supports[1][1, 2:] = 1
    problem = so.FixedSupportFactorization(target, supports, 1e-4)
    certificate = so.solve(problem).certificate
    assert certificate.windows is not None
    outside = 0.5 * (target[:2, 3:] ** 2).sum() + 0.5 * (target[3:, :2] ** 2).sum()
    relaxed = dual_bound(target, supports, 1e-4) - outside
    assert certificate.dual - outside > 100 * relaxed
    assert so.verify(certificate).ok


def test_factors_to_start_with() -> None:
    problem = so.FixedSupportFactorization([[0, 1], [1, 0]], LU, 1e-5)
    near = so.solve(so.FixedSupportFactorization([[0, 1], [1, 0]], LU, 3e-5)).answer.factors
    solution = so.solve(problem, "coercive_descent", start=near, restarts=0)
    assert solution.certificate.primal == pytest.approx(0.00110493794116, rel=1e-9)
    with pytest.raises(so.SolveError, match="shapes"):
        so.solve(problem, "coercive_descent", start=(np.eye(3), np.eye(3)))
    with pytest.raises(so.SolveError, match="start is complex, and the target real"):
        so.solve(problem, "coercive_descent", start=(1j * np.eye(2), np.eye(2)))
    tensors = [torch.from_numpy(np.array(f)).requires_grad_() for f in near]
    again = so.solve(problem, "coercive_descent", start=tensors, restarts=0)
    assert again.certificate.primal == solution.certificate.primal


@pytest.mark.parametrize("solver", ["coercive_descent", "coercive_intervals"])
@pytest.mark.parametrize(
    "start", ["ab", 3, object(), (np.eye(2),), (np.eye(2), "a"), (np.eye(2), [[None, 1], [1, 1]])]
)
def test_what_are_no_factors_to_start_with_is_refused_by_name(solver: str, start: object) -> None:
    problem = so.FixedSupportFactorization([[0, 1], [1, 0]], LU, 1e-5)
    with pytest.raises(so.ProblemError, match="start "):
        so.solve(problem, solver, start=start)


@pytest.mark.parametrize("solver", ["coercive_descent", "coercive_intervals"])
def test_bad_settings_are_refused(solver: str) -> None:
    problem = so.FixedSupportFactorization([[0, 1], [1, 0]], LU, 0.1)
    for options in ({"restarts": -1}, {"sweeps": 0}):
        with pytest.raises(so.ProblemError, match="at least"):
            so.solve(problem, solver, **options)


@pytest.mark.parametrize(
    ("solver", "supports", "decay", "word"),
    [
        ("block_svd", [np.ones((2, 1)), np.ones((1, 2))], 0.1, "decay|coercive"),
        ("alternating_least_squares", LU, 0.1, "decay|coercive"),
        ("gradient_descent", LU, 0.1, "decay|coercive"),
        ("block_thresholding", LU, 0.1, "overlap|tractable"),
        ("block_thresholding", [np.ones((2, 1)), np.ones((1, 2))], 0.0, "decay|coercive"),
        ("coercive_descent", LU, 0.0, "decay|coercive"),
        ("coercive_intervals", LU, 0.0, "decay|coercive"),
    ],
)
def test_solvers_say_what_they_do_not_take(
    solver: str, supports: Any, decay: float, word: str
) -> None:
    problem = so.FixedSupportFactorization(np.eye(2), supports, decay)
    with pytest.raises(so.SolveError, match=word):
        so.solve(problem, solver)


def test_intervals_refuse_what_is_no_pair() -> None:
    problem = so.FixedSupportFactorization(np.eye(3), LU3, 0.1)
    with pytest.raises(so.SolveError, match="one cell"):
        so.solve(problem, "coercive_intervals")
    turned = so.FixedSupportFactorization(np.eye(2) * 1j, LU, 0.1)
    with pytest.raises(so.SolveError, match="complex"):
        so.solve(turned, "coercive_intervals")
    assert so.solve(turned).status is so.Status.VERIFIED


def test_weak_answers_say_so() -> None:
    target = np.random.default_rng(0).standard_normal((3, 3))
    solution = so.solve(so.FixedSupportFactorization(target, LU3, 0.01))
    assert solution.status is so.Status.WEAK
    assert "lower bound" in solution.certificate.claim
    assert so.verify(solution).ok
    rough = so.solve(so.FixedSupportFactorization(target, LU3, 0.01), tolerance=1.0)
    assert rough.status is so.Status.VERIFIED


@pytest.mark.parametrize("solver", ["coercive_descent", None])
def test_a_time_limit_is_kept(solver: str | None) -> None:
    rng = np.random.default_rng(1)
    supports = [rng.random((60, 60)) < 0.2, rng.random((60, 60)) < 0.2]
    problem = so.FixedSupportFactorization(rng.standard_normal((60, 60)), supports, 0.5)
    start = time.perf_counter()
    solution = so.solve(problem, solver, time_limit=1.0)
    assert time.perf_counter() - start < 4.0  # on a busy machine
    assert solution.certificate.gap > 0


def test_layouts_and_dtypes() -> None:
    rng = np.random.default_rng(2)
    root = rng.standard_normal((3, 3))
    target = root @ root.T
    base = so.solve(so.FixedSupportFactorization(target, LU3, 0.3)).certificate.primal
    wide = np.zeros((6, 6))
    wide[::2, ::2] = target
    for same in (np.asfortranarray(target), wide[::2, ::2], target + 0j, target.T):
        found = so.solve(so.FixedSupportFactorization(same, LU3, 0.3))
        assert found.certificate.primal == pytest.approx(base, rel=1e-9)
        assert found.answer.left.dtype == same.dtype
    single = so.solve(so.FixedSupportFactorization(target.astype(np.float32), LU3, 0.3))
    assert single.answer.left.dtype == np.float32
    assert single.status is so.Status.VERIFIED
    whole = so.solve(so.FixedSupportFactorization(np.array([[4, 2], [2, 3]]), LU, 1))
    assert whole.status is so.Status.VERIFIED


def test_many_blocks_are_taken_at_once() -> None:
    """A butterfly pair: 64 blocks of 8 x 8, one term each."""
    rng = np.random.default_rng(4)
    supports = [np.kron(np.eye(8), np.ones((8, 8))), np.kron(np.ones((8, 8)), np.eye(8))]
    target = rng.standard_normal((64, 64))
    problem = so.FixedSupportFactorization(target, supports, 0.5)
    solution = so.solve(problem)
    assert solution.solver == "block_thresholding"
    value = 0.0
    for i in range(8):
        for j in range(8):
            s = np.linalg.svd(target[8 * i : 8 * i + 8, j::8], compute_uv=False)
            first = 0.5 * s[0] ** 2 if s[0] <= 0.5 else 0.5 * s[0] - 0.125
            value += first + 0.5 * float((s[1:] ** 2).sum())
    assert solution.certificate.primal == pytest.approx(value, rel=1e-10)
    assert solution.status is so.Status.VERIFIED
