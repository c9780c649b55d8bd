"""Questions at the edge of what floating point can hold or prove."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.fft
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import sparseopt as so

RNG = np.random.default_rng(1)
WIDE, TALL = RNG.standard_normal((4, 6)), RNG.standard_normal((7, 3))


def _verified(problem: Any, **options: Any) -> Any:
    solution: Any = so.solve(problem, **options)
    assert solution.status is so.Status.VERIFIED, solution
    assert so.verify(solution).ok
    return solution


@pytest.mark.parametrize("strength", [1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize("turn", [1.0, 1.0 + 1.0j])
def test_small_strengths_over_a_residual_take_two_rows(strength: float, turn: complex) -> None:
    target = RNG.standard_normal(7)
    made = _verified(so.SquareRootLasso(TALL * turn, target, strength)).certificate
    again = so.from_json(so.to_json(made))
    assert so.verify(again).ok
    least = np.linalg.lstsq(TALL, target)[0]
    bound = np.linalg.norm(TALL @ least - target)
    assert bound * (1 - 1e-12) <= made.primal <= bound + strength * np.abs(least).sum() * 2


def test_noise_above_and_below_the_smallest_residual() -> None:
    target = RNG.standard_normal(7)
    least = np.linalg.lstsq(TALL, target)[0]
    residual = float(np.linalg.norm(TALL @ least - target))
    for above in (0.5, 0.05):
        answer = _verified(so.BasisPursuit(TALL, target, residual * (1 + above))).answer
        assert np.abs(answer.x).sum() <= np.abs(least).sum()
    below = _verified(so.BasisPursuit(TALL, target, residual * (1 - 1e-6))).answer
    assert below.feasible is False
    assert below.smallest_residual == pytest.approx(residual, rel=1e-12)


@pytest.mark.parametrize("norm", [1, 2, math.inf])
def test_nothing_fits_also_where_columns_nearly_depend(norm: float) -> None:
    """The fourth column is the sum of the others, rounded: exactly, it is independent of them."""
    design = np.column_stack([TALL, TALL.sum(axis=1)])
    solution: Any = so.solve(so.BasisPursuit(design, RNG.standard_normal(7), 0.1, norm))
    assert so.verify(solution).ok
    assert solution.answer.feasible is False
    assert solution.certificate.dual > 0.1


def test_an_operator_is_not_written_out_for_basis_pursuit() -> None:
    rows = np.sort(np.random.default_rng(1).choice(256, 64, replace=False))
    transform = LinearOperator(
        (64, 256),
        matvec=lambda v: scipy.fft.dct(np.ravel(v), norm="ortho")[rows],
        rmatvec=lambda t: scipy.fft.idct(np.bincount(rows, np.ravel(t), 256), norm="ortho"),
        dtype=float,
    )
    x = np.zeros(256)
    x[[3, 77, 200]] = [1.0, -2.0, 0.5]
    answer = _verified(so.BasisPursuit(transform, transform @ x), solver="lasso_path").answer
    assert np.allclose(answer.x, x, atol=1e-12)
    assert answer.unique is True


def test_small_arrays_go_to_other_solvers() -> None:
    problem = so.BasisPursuit(WIDE, WIDE[:, 0])
    with pytest.raises(so.SolveError, match="without noise there is no such lasso"):
        so.solve(problem, "lasso_path")
    operator = so.BasisPursuit(aslinearoperator(WIDE), WIDE[:, 0])
    for solver in ("lasso_path", "douglas_rachford", "highs"):
        assert _verified(operator, solver=solver).answer.support.tolist() == [0]


def test_a_ball_that_holds_complex_vectors_that_fit() -> None:
    design, target = WIDE + 1j * WIDE[::-1], RNG.standard_normal(4)
    shortest = _verified(so.BasisPursuit(design, target)).certificate.primal
    inside = _verified(so.ConstrainedRegression(design, target, 1.001 * shortest))
    assert inside.certificate.primal < 1e-20
    assert np.abs(inside.answer.x).sum() <= 1.001 * shortest
    outside = _verified(so.ConstrainedRegression(design, target, 0.9 * shortest))
    assert outside.certificate.dual > 0.0


@pytest.mark.parametrize("weights", [None, np.arange(4) + 0.5])
@pytest.mark.parametrize(
    "penalty",
    [
        so.L1(1.0),
        so.L1(1.0, positive=True),
        so.L1(1.0) + so.Ridge(0.3),
        so.GroupL1(1.0, [[0, 1, 2], [3, 4, 5]]) + so.Ridge(0.3),
        so.SparseGroupL1(1.0, 2.0, [[0, 1, 2], [3, 4, 5]]),
        so.NuclearNorm(1.0, (2, 3)),
        so.NuclearNorm(1.0, (2, 3)) + so.Ridge(0.3),
    ],
    ids=str,
)
def test_a_path_starts_with_zeros(penalty: Any, weights: np.ndarray | None) -> None:
    problem = so.SparseRegression(WIDE, [1.0, -2.0, 0.3, 0.7], penalty, weights)
    path: Any = so.path(problem)
    assert not path[0].answer.x.any()
    assert path[1].answer.x.any()
    assert all(solution.status is so.Status.VERIFIED for solution in path[:3])


@pytest.mark.parametrize("scale", [1e150, 1e-150])
def test_scales_of_the_issue(scale: float) -> None:
    target = np.array([1.0, -2.0, 0.3, 0.7])
    groups = [[0, 1, 2], [3, 4, 5]]
    unit = 2.0 ** round(math.log2(scale))
    for make in (
        lambda s: so.L1(0.5 * s),
        lambda s: so.GroupL1(0.5 * s, groups),
        lambda s: so.SparseGroupL1(0.2 * s, 0.3 * s, groups),
        lambda s: so.TotalVariation(0.5 * s),
        lambda s: so.NuclearNorm(0.5 * s, (2, 3)),
    ):
        penalty = make(unit * unit)
        found = _verified(so.SparseRegression(WIDE * unit, target * unit, penalty)).answer
        plain = _verified(so.SparseRegression(WIDE, target, make(1.0))).answer
        assert np.allclose(found.x, plain.x, rtol=1e-9, atol=1e-12)


def test_what_one_penalty_says_is_not_said_by_two() -> None:
    with pytest.raises(so.ProblemError, match="TotalVariation is given twice"):
        so.TotalVariation(1.0) + so.TotalVariation(2.0)
    with pytest.raises(so.ProblemError, match="NuclearNorm is given twice"):
        so.NuclearNorm(1.0, (2, 3)) + so.NuclearNorm(1.0, (2, 3))


@pytest.mark.parametrize("penalty", [so.L1(0.7), so.Ridge(0.7), so.GroupL1(0.7, [[0]])])
def test_rows_of_weight_0_leave_nothing(penalty: so.Penalty) -> None:
    """What is seen of the target is 0, and so is the objective, exactly."""
    problem = so.SparseRegression([[-3.0], [3.0]], [0.0, -5.0], penalty, [2.0, 0.0])
    certificate = so.solve(problem).certificate
    assert (certificate.primal, certificate.gap, certificate.accuracy) == (0.0, 0.0, 0.0)
    # A target whose product with the root of its weight underflows is not 0.
    faint = so.SparseRegression([[1.0], [1.0]], [1e-151, 1.0], penalty, [1.0, 0.0])
    assert so.DualityGapCertificate.build(faint, np.zeros(1))[1].primal > 0.0
