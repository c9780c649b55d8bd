"""Gated training by Newton steps on the dual: its matrix, agreement, stops, odd problems."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sparseopt_inverse.relu_gated_newton import GatedNewton, _Search

import sparseopt as so


def problem(
    n: int, d: int, gates: int, ratio: float = 0.05, seed: int = 0, size: float = 1.0
) -> so.TwoLayerReLU:
    """Return a problem whose decay is `ratio` times the one that needs no neurons."""
    rng = np.random.default_rng(seed)
    inputs, targets = rng.standard_normal((n, d)), size * rng.standard_normal(n)
    columns = rng.standard_normal((d, gates))
    active = inputs @ columns > 0
    pulls = [np.linalg.norm(inputs.T @ (active[:, k] * targets)) for k in range(gates)]
    return so.TwoLayerReLU(inputs, targets, ratio * max(pulls), columns)


def by_group_lasso(stated: so.TwoLayerReLU) -> so.Solution:
    return so.solve(stated, "gated_group_lasso")


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 2, 3), (40, 3, 30), (12, 20, 8), (60, 4, 5)])
@pytest.mark.parametrize("ratio", [0.5, 0.05, 1e-3])
def test_it_agrees_with_the_group_lasso(shape: tuple[int, int, int], ratio: float) -> None:
    stated = problem(*shape, ratio)
    solution, other = so.solve(stated, "gated_newton"), by_group_lasso(stated)
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.accuracy <= 1e-8
    assert solution.certificate.dual <= other.certificate.primal
    assert other.certificate.dual <= solution.certificate.primal
    fitted = solution.answer.predict(stated.inputs)  # it is unique, the weights are not
    expected = other.answer.predict(stated.inputs)
    np.testing.assert_allclose(fitted, expected, atol=1e-3 * np.abs(stated.targets).max())


def test_its_matrix_is_the_second_derivative() -> None:
    """By differences of the gradient of the augmented Lagrangian, with columns written out."""
    rng = np.random.default_rng(1)
    inputs, targets = rng.standard_normal((7, 3)), rng.standard_normal(7)
    patterns = (inputs @ rng.standard_normal((3, 5)) > 0).astype(float)
    search = _Search(inputs, patterns, targets, 0.1, 1e-30, so.Context())
    design = np.hstack([patterns[:, [k]] * inputs for k in range(5)])
    t, step = 0.3 * targets, 0.7

    def gradient(t: np.ndarray) -> np.ndarray:
        z = step * (design.T @ t).reshape(5, 3)
        norms = np.linalg.norm(z, axis=1, keepdims=True)
        return t - targets + design @ (z * np.maximum(1.0 - step * 0.1 / norms, 0.0)).ravel()

    moves: list[np.ndarray] = []

    def length(*arguments: np.ndarray) -> float:
        moves.append(arguments[3])
        return 0.0

    search._length = length  # type: ignore[method-assign, assignment]
    search._minimized(np.zeros((5, 3)), t, (design.T @ t).reshape(5, 3), step)
    derivative = np.stack(
        [(gradient(t + e) - gradient(t - e)) / 2e-6 for e in 1e-6 * np.eye(7)], axis=1
    )
    np.testing.assert_allclose(derivative @ moves[0], -gradient(t), rtol=1e-6)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_it_stops_at_the_gap_that_is_asked(tolerance: float) -> None:
    stated = problem(50, 4, 40)
    solution = so.solve(stated, "gated_newton", tolerance=tolerance)
    assert solution.certificate.accuracy <= tolerance
    assert so.verify(solution).ok


@pytest.mark.parametrize("size", [1e-100, 1e-6, 1e6, 1e100])
def test_sizes_of_targets_do_not_matter(size: float) -> None:
    solution = so.solve(problem(20, 3, 15, size=size), "gated_newton")
    assert solution.certificate.accuracy <= 1e-8


def test_repeated_dead_and_open_gates_and_samples() -> None:
    rng = np.random.default_rng(2)
    inputs = np.abs(rng.standard_normal((8, 2)))
    inputs = np.vstack([inputs, inputs[:3], np.zeros((1, 2))])
    targets = rng.standard_normal(12)
    gates = np.array([[1.0, 1.0, -1.0, 0.0, 1.0], [1.0, 2.0, -1.0, 0.0, -1.0]])
    stated = so.TwoLayerReLU(inputs, targets, 0.1, gates)
    assert so.solve(stated, "gated_newton").certificate.accuracy <= 1e-8
    dead = so.TwoLayerReLU(inputs, targets, 0.1, -np.ones((2, 1)))
    solution = so.solve(dead, "gated_newton")
    assert solution.answer.hidden.shape[1] == 0
    assert solution.certificate.accuracy <= 1e-8


def test_targets_of_zero_and_large_decays_need_no_neurons() -> None:
    for scale, decay in ((0.0, 1.0), (1.0, 1e6)):
        stated = problem(9, 2, 4)
        nothing = so.TwoLayerReLU(stated.inputs, scale * stated.targets, decay, stated.gates)
        solution = so.solve(nothing, "gated_newton")
        assert solution.answer.hidden.shape[1] == 0
        assert solution.certificate.accuracy <= 1e-8


def test_it_is_the_first_choice_for_many_gates_and_not_for_many_samples() -> None:
    assert so.plan(problem(100, 5, 50)).chosen.name == "gated_newton"
    assert so.plan(problem(3000, 3, 4)).chosen.name == "gated_group_lasso"


def test_refusals() -> None:
    stated = problem(6, 2, 3)
    vector = np.c_[stated.targets, stated.targets]
    several = so.TwoLayerReLU(stated.inputs, vector, 0.1, stated.gates)
    exact = so.TwoLayerReLU(stated.inputs, stated.targets, 0.1)
    many = so.TwoLayerReLU(np.ones((4001, 1)), np.ones(4001), 0.1, np.ones((1, 1)))
    for refused, words in ((several, "2 outputs"), (exact, "gated"), (many, "4001 samples")):
        with pytest.raises(so.SolveError, match=words):
            so.solve(refused, "gated_newton")


def test_what_was_found_in_time_is_handed_out() -> None:
    stated = problem(150, 6, 150)
    late = so.Context(time_limit=0.05, started=time.monotonic())
    try:
        _, certificate = GatedNewton().solve(stated, late)
    except so.TimeLimitReached:
        return  # not even one step was done in time
    assert so.verify(certificate).ok


@pytest.mark.parametrize("regression", ["working_set", "celer", "nobody"])
def test_the_group_lasso_is_solved_by_whom_the_user_wants(regression: str) -> None:
    if regression == "celer":
        pytest.importorskip("celer")
    stated = problem(20, 3, 12)
    if regression == "nobody":
        with pytest.raises(so.SolveError, match=r"unknown solver .* 'nobody'"):
            so.solve(stated, "gated_group_lasso", regression=regression)
        return
    solution = so.solve(stated, "gated_group_lasso", regression=regression)
    assert solution.certificate.accuracy <= 1e-8
    with pytest.raises(so.ProblemError, match="must be the name of a solver"):
        so.solve(stated, "gated_group_lasso", regression=3)
