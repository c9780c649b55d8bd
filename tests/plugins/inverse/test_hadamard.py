"""The lasso by products of factors: its theorems, its steps' dual points, agreement, limits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sparseopt_inverse.hadamard import Hadamard, _Done, _Search

import sparseopt as so

GROUPS = [[0, 3, 6], [1, 2], [4, 5, 7, 8], [9, 10, 11]]


def problem(penalty: Any, seed: int = 0, m: int = 20, n: int = 12) -> so.SparseRegression:
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((m, n))
    target = design[:, :3] @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(m)
    return so.SparseRegression(design, target, penalty)


def search(stated: so.SparseRegression) -> _Search:
    return _Search(stated.scaled(), 1e-9, so.Context())


@pytest.mark.parametrize("shape", [(20, 12), (8, 12)])
@pytest.mark.parametrize("penalty", [so.L1(0.7), so.GroupL1(0.7, GROUPS, [1.0, 0.5, 2.0, 1.0])])
def test_the_gradient_is_that_of_the_objective(shape: tuple[int, int], penalty: Any) -> None:
    found = search(problem(penalty, 1, *shape))
    rng = np.random.default_rng(2)
    v = rng.uniform(0.5, 1.5, 12 if isinstance(penalty, so.L1) else 4)
    value, gradient = found.evaluate(v)
    for k, step in enumerate(np.eye(len(v)) * 1e-6):
        difference = found.evaluate(v + step)[0] - found.evaluate(v - step)[0]
        assert gradient[k] == pytest.approx(difference / 2e-6, rel=1e-6, abs=1e-6)
    assert value > 0.0


@pytest.mark.parametrize("seed", range(5))
def test_the_objective_is_a_minimum_over_factors(seed: int) -> None:
    """f(v) = min over u of 1/2 |A (v u) - y|^2 + (|v|^2 + |u|^2) / 2: brute force in u."""
    stated = problem(so.L1(1.0), seed, 9, 5)
    v = np.random.default_rng(seed).uniform(0.3, 2.0, 5)
    scaled = stated.scaled()
    columns = scaled.dense() / scaled.limits
    system = np.vstack([columns * v, np.eye(5)])
    right = np.append(scaled.target, np.zeros(5))
    u = np.linalg.lstsq(system, right)[0]
    least = 0.5 * np.square(system @ u - right).sum() + 0.5 * np.square(v).sum()
    assert search(stated).evaluate(v)[0] == pytest.approx(least, rel=1e-12)


def test_every_step_has_a_dual_point_that_proves_its_gap() -> None:
    stated = problem(so.L1(0.5), 3, 15, 40)
    found, scaled = search(stated), stated.scaled()
    best = so.solve(stated).certificate
    for scale in (0.1, 0.5, 1.0, 2.0):
        found.evaluate(np.full(40, scale))
        x, t = found.result()
        assert (np.abs(scaled.correlation(t)) <= scaled.limits * (1.0 + 1e-12)).all()
        made = so.DualityGapCertificate.build(
            stated, scaled.original_coefficients(x), scaled.original_dual_point(t)
        )[1]
        assert so.verify(made).ok
        assert made.dual <= best.primal
        assert made.primal >= best.dual


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_it_stops_at_the_gap_that_is_asked(tolerance: float) -> None:
    stated = problem(so.L1(0.1), 4, 30, 90)
    loose = _Search(stated.scaled(), tolerance, so.Context())
    loose.run(2000)
    with pytest.raises(_Done):
        loose.evaluate(np.ones(90))  # what is good enough stays so
    solution = so.solve(stated, "hadamard", tolerance=tolerance)
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.accuracy <= tolerance


@pytest.mark.parametrize("ratio", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("kind", ["gaussian", "blur", "walk", "twice"])
def test_correlated_columns_and_weak_strengths(ratio: float, kind: str) -> None:
    rng = np.random.default_rng(5)
    design = rng.standard_normal((30, 60))
    if kind == "blur":
        i, j = np.arange(30)[:, None], np.arange(60) / 2.0
        design = np.exp(-0.5 * np.square(i - j) / 4.0)
    elif kind == "walk":
        design = np.cumsum(design, axis=1)
    elif kind == "twice":
        design[:, 30:] = design[:, :30]
    target = rng.standard_normal(30)
    strength = ratio * float(np.abs(design.T @ target).max())
    solution = so.solve(so.SparseRegression(design, target, so.L1(strength)), "hadamard")
    assert solution.certificate.accuracy <= 1e-12


def test_groups_weights_sparse_complex_and_float32() -> None:
    plain = problem(so.L1(0.3))
    design, target = plain.design, plain.target
    weights = np.linspace(0.2, 2.0, 12)
    for stated in (
        problem(so.L1(0.3, weights)),
        problem(so.GroupL1(0.3, GROUPS)),
        so.SparseRegression(scipy.sparse.csr_array(design), target, so.L1(0.3)),
        so.SparseRegression(design.astype(np.float32), target, so.L1(0.3)),
        so.SparseRegression(design + 1j * design[::-1], target, so.GroupL1(0.3, GROUPS)),
        so.SparseRegression(design[::-1, ::-1], target, so.L1(0.3)),
        so.SparseRegression(1e140 * design, 1e-100 * target, so.L1(1e40)),
        so.SparseRegression([[2.0]], [3.0], so.L1(1.0)),
    ):
        solution = so.solve(stated, "hadamard")
        assert solution.certificate.accuracy <= 1e-12
        other = so.solve(stated, "working_set").answer.x
        np.testing.assert_allclose(solution.answer.x, other, atol=1e-8 * float(np.abs(other).max()))


def test_an_empty_model_needs_no_descent() -> None:
    for strength in (1e3, 1e150):
        solution = so.solve(problem(so.L1(strength)), "hadamard")
        assert not solution.answer.x.any()
        assert solution.certificate.accuracy <= 1e-12


def test_refusals() -> None:
    stated = problem(so.L1(1.0))
    design, target = stated.design, stated.target
    operator = scipy.sparse.linalg.aslinearoperator(design)
    for parts, words in (
        ((operator, target, so.L1(1.0)), "needs the entries"),
        ((design, target, so.L1(1.0), np.ones(20)), "no sample weights"),
        ((design, target, so.L1(0.0)), "takes L1 and GroupL1 with positive weights"),
        ((design, target, so.L1(1.0, positive=True)), "takes L1 and GroupL1"),
        ((design, target, so.L1(1.0) + so.Ridge(1.0)), "takes L1 and GroupL1"),
    ):
        with pytest.raises(so.SolveError, match=words):
            so.solve(so.SparseRegression(*parts), "hadamard")
    large = scipy.sparse.csc_array((5000, 5000))
    with pytest.raises(so.SolveError, match="dense systems of order 5000"):
        so.solve(so.SparseRegression(large, np.ones(5000), so.L1(1.0)), "hadamard")
    for options in ({"most_steps": 0}, {"most_steps": True}, {"handover": 0.0}, {"handover": 2.0}):
        with pytest.raises(so.ProblemError, match=next(iter(options))):
            so.solve(stated, "hadamard", **options)


def test_what_was_found_in_time_is_handed_out() -> None:
    stated = problem(so.L1(1e-3), 6, 300, 900)
    late = so.Context(time_limit=0.3, tolerance=1e-12, started=time.monotonic())
    try:
        _, certificate = Hadamard(most_steps=10**6, handover=1e-12).solve(stated, late)
    except so.TimeLimitReached:
        return  # not even one step was done in time
    assert so.verify(certificate).ok
    over = so.Context(time_limit=1e-3, started=time.monotonic() - 1.0)
    with pytest.raises(so.TimeLimitReached):
        Hadamard().solve(stated, over)
