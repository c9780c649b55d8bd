"""From iterates of basis pursuit to vertices: least distances, dual faces, few steps."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from sparseopt_inverse import pursuit_best
from sparseopt_inverse.affine_projection import BasisProjection, GramProjection, projection
from sparseopt_inverse.pursuit_crossover import _least_step, cross_over, dual_point_on_face
from sparseopt_inverse.pursuit_douglas_rachford import DouglasRachford

import sparseopt as so
from sparseopt.inverse.fit import Fit


def planted(seed: int, m: int = 30, n: int = 120, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.zeros(n)
    x[rng.choice(n, k, replace=False)] = rng.standard_normal(k)
    return rng.standard_normal((m, n)) / np.sqrt(m), x


@pytest.mark.parametrize("seed", range(20))
def test_the_least_step_is_that_of_a_quadratic_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, room = rng.standard_normal((int(rng.integers(1, 6)), 8)), rng.standard_normal(1)
    room = np.resize(room, len(rows)) - rng.random(len(rows))
    step = _least_step(rows, room)
    found = scipy.optimize.minimize(
        lambda d: 0.5 * d @ d,
        np.zeros(8),
        jac=lambda d: d,
        constraints={"type": "ineq", "fun": lambda d: room - rows @ d, "jac": lambda d: -rows},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert step is not None
    assert (rows @ step <= room + 1e-9).all()
    np.testing.assert_allclose(step, found.x, atol=1e-5)


def test_bounds_that_nothing_meets() -> None:
    assert _least_step(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([-1.0, -1.0])) is None


@pytest.mark.parametrize("seed", range(10))
def test_dual_points_on_a_face_prove_its_support(seed: int) -> None:
    design, x = planted(seed, k=3)
    fit = Fit(so.BasisPursuit(design, design @ x).system)
    support = np.flatnonzero(x)
    signs = np.sign(x[support])
    rough = np.random.default_rng(seed).standard_normal(30)
    w = dual_point_on_face(fit, support, signs, 0.1 * rough)
    assert w is not None
    correlations = design.T @ w
    np.testing.assert_allclose(correlations[support], signs, atol=1e-12)
    correlations[support] = 0.0
    assert np.abs(correlations).max() < 1.0


def test_no_dual_point_proves_a_wrong_support() -> None:
    design, x = planted(1)
    fit = Fit(so.BasisPursuit(design, design @ x).system)
    wrong = np.arange(25)  # least squares on them fits as well, and is longer
    assert dual_point_on_face(fit, wrong, np.ones(25), np.zeros(30)) is None
    twice = np.array([0, 0])
    assert dual_point_on_face(fit, twice, np.ones(2), np.zeros(30)) is None


def test_a_column_that_the_iterate_misses_is_found_by_the_misfit() -> None:
    """A coefficient of a thousandth of the largest is where splitting spends its steps."""
    design, x = planted(2)
    small = np.flatnonzero(x)[0]
    x[small] = 1e-3 * np.abs(x).max()
    problem = so.BasisPursuit(design, design @ x)
    best = pursuit_best.BestPursuit(problem, so.Context(tolerance=1e-12))
    scores = x.copy()
    scores[small] = 0.0
    cross_over(best, scores, np.zeros(30))
    assert best.good
    answer, certificate = best.result
    assert answer.unique
    assert so.verify(certificate).ok
    np.testing.assert_allclose(answer.x, x, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_few_steps_of_the_splitting_are_enough(seed: int) -> None:
    """Those before the first crossover and the second one, and the same optimum as HiGHS."""
    design, x = planted(seed, 60, 240, 10)
    problem = so.BasisPursuit(design, design @ x)
    solution = so.solve(problem, "douglas_rachford", most_steps=20)
    assert solution.certificate.accuracy <= 1e-12
    expected = so.solve(problem, "highs").certificate
    assert solution.certificate.primal >= expected.dual
    assert expected.primal >= solution.certificate.dual


@pytest.mark.parametrize("kind", ["well", "repeated", "tall", "thin", "rows of many sizes"])
def test_both_projections_project(kind: str) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((6, 15))
    if kind == "repeated":
        matrix[5] = matrix[0]
    elif kind == "tall":
        matrix = np.vstack([np.eye(4), np.eye(4)])
    elif kind == "thin":
        matrix[5] = matrix[0] + 1e-8 * matrix[5]
    elif kind == "rows of many sizes":
        matrix *= 10.0 ** np.arange(-3, 3)[:, None]
    target = matrix @ rng.standard_normal(matrix.shape[1])
    found = projection(matrix, target)
    assert isinstance(found, GramProjection if kind == "well" else BasisProjection)
    assert len(found.rows) == np.linalg.matrix_rank(matrix, 1e-12 * np.linalg.norm(matrix))
    z = rng.standard_normal(matrix.shape[1])
    nearest = found.project(z)
    tolerance = 1e-7 if kind == "thin" else 1e-10
    np.testing.assert_allclose(
        nearest, z + scipy.linalg.pinv(matrix, rtol=1e-13) @ (target - matrix @ z), atol=tolerance
    )
    gradient = matrix.T @ rng.standard_normal(len(matrix))
    np.testing.assert_allclose(
        matrix.T @ found.dual_point(gradient), gradient, atol=1e-9 * np.abs(gradient).max()
    )


@pytest.mark.parametrize("seed", range(6))
def test_vertices_with_as_many_entries_as_rows_are_found_as_before(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = so.BasisPursuit(rng.standard_normal((6, 20)), rng.standard_normal(6))
    answer, certificate = DouglasRachford().solve(problem, so.Context(tolerance=1e-12))
    assert len(answer.support) == 6
    assert certificate.accuracy <= 1e-12
