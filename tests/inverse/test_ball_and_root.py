"""Least squares in an l1 ball and the square-root lasso against others and their laws."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from pursuit_problems import planted

import sparseopt as so

CASES = json.loads((Path(__file__).parent / "pursuit_cases.json").read_text())


def solved(problem: Any) -> Any:
    solution = so.solve(problem)
    assert solution.status is so.Status.VERIFIED, solution.certificate.accuracy
    assert so.verify(so.from_json(so.to_json(solution))).ok
    return solution


def noisy(m: int = 12, n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    design, target, _ = planted(m, n, 3, 0)
    return design, target + 0.1 * np.random.default_rng(1).standard_normal(m)


@pytest.mark.parametrize("case", CASES["ball"], ids=lambda case: str(case["radius"]))
def test_projections_on_the_ball(case: dict[str, Any]) -> None:
    solution = solved(so.ConstrainedRegression(np.eye(4), [3, -1, 2, 0.5], case["radius"]))
    assert np.allclose(solution.answer.x, [float(Fraction(v)) for v in case["x"]], atol=1e-14)
    size = sum(abs(Fraction(v)) for v in solution.answer.x.tolist())
    assert size <= Fraction(case["radius"])  # exactly


@pytest.mark.parametrize("radius", [0.1, 0.5, 1.0, 2.0, 50.0])
@pytest.mark.parametrize("columns", [4, 24])
def test_ball_against_cvxpy(radius: float, columns: int) -> None:
    import cvxpy

    design, target = noisy()
    design = design[:, :columns]
    x = cvxpy.Variable(columns)
    loss = 0.5 * cvxpy.sum_squares(design @ x - target)
    value = cvxpy.Problem(cvxpy.Minimize(loss), [cvxpy.norm(x, 1) <= radius]).solve("CLARABEL")
    certificate = solved(so.ConstrainedRegression(design, target, radius)).certificate
    assert certificate.primal == pytest.approx(value, rel=1e-6, abs=1e-9)
    assert certificate.dual <= value + 1e-9
    assert math.fsum(np.abs(certificate.answer.x).tolist()) <= radius


@pytest.mark.parametrize("strength", [0.01, 0.1, 0.5, 1.0, 1.5, 10.0])
@pytest.mark.parametrize("columns", [4, 24])
def test_square_root_against_cvxpy(strength: float, columns: int) -> None:
    import cvxpy

    design, target = noisy()
    design = design[:, :columns]
    x = cvxpy.Variable(columns)
    objective = cvxpy.norm(design @ x - target, 2) + strength * cvxpy.norm(x, 1)
    value = cvxpy.Problem(cvxpy.Minimize(objective)).solve("CLARABEL")
    certificate = solved(so.SquareRootLasso(design, target, strength)).certificate
    assert certificate.primal == pytest.approx(value, rel=1e-6)
    assert certificate.dual <= value * (1 + 1e-7)


def test_square_root_without_a_residual() -> None:
    """By hand: for lambda (1, 1) with a small lambda the target (3, 4) is fitted."""
    solution = solved(so.SquareRootLasso(np.eye(2), [3.0, 4.0], 0.1))
    assert np.allclose(solution.answer.x, [3, 4], atol=1e-14)
    assert solution.certificate.dual == pytest.approx(0.7, rel=1e-13)
    # From lambda = max |A^T y| / |y| = 4/5 on it is 0.
    assert not solved(so.SquareRootLasso(np.eye(2), [3.0, 4.0], 0.8)).answer.x.any()
    assert solved(so.SquareRootLasso(np.eye(2), [3.0, 4.0], 0.79)).answer.x.any()
    design, target, x = planted(12, 24, 3, 0)
    assert np.allclose(solved(so.SquareRootLasso(design, target, 0.01)).answer.x, x, atol=1e-12)


def test_square_root_on_a_line() -> None:
    """The target is a multiple of equal columns, or of one twice as long, which is then used."""
    column = np.array([0.3, -0.2, 0.7])
    for factor in (-1.0, 1.0, 2.0):
        design = np.column_stack([factor * column, column])
        solution = solved(so.SquareRootLasso(design, 1.5 * column, 0.1))
        assert solution.certificate.primal == pytest.approx(0.15 / max(factor, 1.0), rel=1e-13)


def test_square_root_does_not_depend_on_the_noise_level() -> None:
    design, target = noisy()
    x = solved(so.SquareRootLasso(design, target, 0.7)).answer.x
    for factor in (1e-100, 1e-3, 1e120):
        there = solved(so.SquareRootLasso(design, factor * target, 0.7)).answer.x
        assert np.allclose(there / factor, x, atol=1e-10)
    for factor in (1e-100, 1e100):
        problem = so.SquareRootLasso(factor * design, target, 0.7 * factor)
        assert np.allclose(solved(problem).answer.x * factor, x, atol=1e-10)


def test_ball_scales() -> None:
    design, target = noisy()
    x = solved(so.ConstrainedRegression(design, target, 1.0)).answer.x
    for a, b in ((1e100, 1.0), (1.0, 1e120), (1e-100, 1e20)):
        problem = so.ConstrainedRegression(a * design, b * target, b / a)
        assert np.allclose(solved(problem).answer.x * (a / b), x, atol=1e-9)


def test_kinds_of_data() -> None:
    design, target = noisy()
    for kind in (
        scipy.sparse.csr_array(design),
        scipy.sparse.csc_array(design),
        design.astype(np.float32),
        np.asfortranarray(design),
        np.hstack([design, design, 0 * design]),
    ):
        ball = solved(so.ConstrainedRegression(kind, target, 1.0))
        root = solved(so.SquareRootLasso(kind, target, 0.7))
        for solution in (ball, root):
            assert solution.certificate.relative_gap <= 1e-12
            figures = solution.problem.evaluate(solution.answer)
            assert figures["objective"] == pytest.approx(solution.certificate.primal, rel=1e-9)
    zeros = so.ConstrainedRegression(design, 0 * target, 1.0)
    assert solved(zeros).certificate.gap == 0.0
    assert solved(so.ConstrainedRegression(0 * design, target, 1.0)).answer.x.any() is np.False_
    assert solved(so.SquareRootLasso(design, 0 * target, 1.0)).certificate.gap == 0.0
    assert not solved(so.SquareRootLasso(0 * design, target, 1.0)).answer.x.any()
    assert solved(so.SquareRootLasso([[2.0]], [4.0], 0.5)).answer.x == pytest.approx(2.0)
    assert solved(so.ConstrainedRegression([[2.0]], [4.0], 0.5)).answer.x == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(10))
def test_no_admissible_vector_beats_the_bound(seed: int) -> None:
    r = np.random.default_rng(seed)
    design, target = r.standard_normal((6, 9)), r.standard_normal(6)
    ball = so.solve(so.ConstrainedRegression(design, target, 0.7)).certificate
    root = so.solve(so.SquareRootLasso(design, target, 0.5)).certificate
    for _ in range(200):
        x = r.standard_normal(9) * 10.0 ** r.uniform(-3, 1)
        x[r.random(9) < 0.5] = 0.0
        residual = np.linalg.norm(design @ x - target)
        assert residual + 0.5 * np.abs(x).sum() >= root.dual * (1 - 1e-12)
        x *= min(1.0, 0.7 / max(np.abs(x).sum(), 1e-300))
        assert 0.5 * np.linalg.norm(design @ x - target) ** 2 >= ball.dual * (1 - 1e-12)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: so.ConstrainedRegression([[1.0]], [1.0], 0.0), "radius is 0.0; it must be"),
        (lambda: so.ConstrainedRegression([[1.0]], [1.0], -1), "radius is -1.0"),
        (lambda: so.ConstrainedRegression([[1.0]], [1.0], math.inf), "radius is inf"),
        (lambda: so.ConstrainedRegression([[1.0]], [1.0], None), "radius must be a number"),
        (lambda: so.SquareRootLasso([[1.0]], [1.0], 0.0), "strength is 0.0; it must be"),
        (lambda: so.SquareRootLasso([[1.0]], [1.0], -1), "strength is -1.0"),
        (lambda: so.SquareRootLasso([[1.0]], [1.0], math.nan), "strength is nan"),
        (lambda: so.SquareRootLasso([[1.0]], [1.0], True), "strength must be a number"),
        (lambda: so.SquareRootLasso([[1e150]], [1.0], 1e-300), "no common scale"),
        (lambda: so.SquareRootLasso([[1e-150]], [1e-150], 1e300), "no common scale"),
        (lambda: so.ConstrainedRegression([[1.0], [2.0]], [1.0], 1.0), "target has shape"),
    ],
)
def test_bad_input(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        build()


@pytest.mark.parametrize("strength", [0.01, 0.5, 3.0])
def test_roots_of_one_complex_row(strength: float) -> None:
    """A row of moduli a fits at a cost of strength |y| / max a, which beats |y| below max a."""
    row = np.array([[3 - 1j, 1j, 3 - 2j, 3, 4], [4 + 2j, 1 - 3j, -3 - 3j, -3, -4 - 2j]])
    for design, target in ((row[:1], [-2.0]), (row[1:], [5.0])):
        solution = so.solve(so.SquareRootLasso(design, target, strength))
        assert solution.status is so.Status.VERIFIED
        least = strength * abs(target[0]) / float(np.abs(design).max())
        assert solution.certificate.primal == pytest.approx(least, rel=1e-12)


def test_roots_and_entries_of_next_to_nothing() -> None:
    """Newton's method leaves one of 1e-170, which is no number in scaled units."""
    design = [[-2 - 3j, 3 - 2j], [2j, -2 + 2j]]
    solution = so.solve(so.SquareRootLasso(design, [0.0, 4.0], 0.6613621006511398))
    assert solution.status is so.Status.VERIFIED
    tiny = np.array([0.0, 1e-300])
    answer, certificate = so.SquareRootCertificate.build(
        so.SquareRootLasso(np.eye(2), [3.0, 4.0], 0.5), tiny, np.array([0.6, 0.8])
    )
    assert not answer.x.any()
    assert certificate.primal >= 5.0


def test_accuracy_over_what_underflows_is_rounded_up() -> None:
    rng = np.random.default_rng(1)
    for size in rng.uniform(1.0, 1.4, 300) * 1e-151:
        y, x = float(size), float(size) * (1 - 1e-8)
        problem = so.ConstrainedRegression([[1.0]], [y], 1.0)
        _, proof = so.BallCertificate.build(problem, np.array([x]), np.array([0.0]))
        floor = Fraction(1, 2**53) * Fraction(y) ** 2 / 2
        assert Fraction(proof.accuracy) >= Fraction(proof.gap) / floor


def test_a_radius_far_beyond_the_coefficients_is_said_so() -> None:
    with pytest.raises(so.SolveError, match="radius is so large beside the coefficients"):
        so.solve(so.ConstrainedRegression([[1e150]], [1e-150], 1e10))
