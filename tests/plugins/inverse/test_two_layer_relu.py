"""The engines of two-layer training against closed forms, other programs and descent."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import cvxpy
import numpy as np
import pytest
import scipy.optimize

import sparseopt as so

CASES = json.loads((Path(__file__).parents[2] / "training/two_layer_cases.json").read_text())


def solved(problem: so.TwoLayerReLU, **options: Any) -> so.Solution:
    """Solve, and check what must hold of every solution."""
    solution = so.solve(problem, **options)
    assert so.verify(solution).ok
    certificate = solution.certificate
    objective = problem.evaluate(solution.answer)["objective"]
    assert certificate.dual <= objective * (1 + 1e-14)
    assert objective <= certificate.primal
    assert certificate.primal - certificate.dual <= certificate.gap
    hidden = np.linalg.norm(solution.answer.hidden, axis=0)
    outer = np.abs(solution.answer.outer).reshape(len(hidden), problem.outputs)
    np.testing.assert_allclose(hidden, np.linalg.norm(outer, axis=1), rtol=1e-12)
    return solution


def gaussian(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_public_cases(case: dict[str, Any]) -> None:
    problem = so.TwoLayerReLU(case["inputs"], case["targets"], case["decay"])
    solution = solved(problem)
    assert solution.certificate.primal == pytest.approx(case["value"], rel=1e-11)
    assert solution.certificate.dual >= case["lower"] * (1 - 1e-11)
    assert solution.certificate.dual < case["best_of_40_descents"]
    np.testing.assert_allclose(solution.answer.predict(case["inputs"]), case["fitted"], atol=1e-8)


def by_cvxpy(inputs: np.ndarray, targets: np.ndarray, decay: float) -> float:
    """Return the optimum of the pattern program, with patterns met by many random neurons."""
    draws = np.random.default_rng(1).standard_normal((inputs.shape[1], 100_000))
    patterns = np.unique(inputs @ draws > 0, axis=1).T
    shape = len(patterns), inputs.shape[1]
    plus, minus = cvxpy.Variable(shape), cvxpy.Variable(shape)
    outputs = cvxpy.sum(cvxpy.multiply(patterns.T.astype(float), inputs @ (plus - minus).T), axis=1)
    signs = 2.0 * patterns.T - 1.0
    norms = cvxpy.sum(cvxpy.norm(plus, 2, axis=1) + cvxpy.norm(minus, 2, axis=1))
    model = cvxpy.Problem(
        cvxpy.Minimize(0.5 * cvxpy.sum_squares(outputs - targets) + decay * norms),
        [cvxpy.multiply(signs, inputs @ v.T) >= 0 for v in (plus, minus)],
    )
    return float(model.solve(solver="CLARABEL"))


@pytest.mark.parametrize(
    ("n", "d", "decay"), [(6, 2, 0.1), (10, 2, 0.01), (7, 3, 0.3), (5, 1, 0.1), (8, 3, 1e-3)]
)
def test_the_optimum_agrees_with_cvxpy(n: int, d: int, decay: float) -> None:
    inputs, targets = gaussian(n, d, n)
    solution = solved(so.TwoLayerReLU(inputs, targets, decay))
    assert solution.status is so.Status.VERIFIED
    expected = by_cvxpy(inputs, targets, decay)
    assert solution.certificate.primal == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("decay", [10.0, 0.5, 1e-3])
def test_one_feature_is_a_soft_threshold(decay: float) -> None:
    """f = u relu(x) + v relu(-x): positive and negative inputs are fitted apart."""
    inputs, targets = gaussian(9, 1, 3)
    x, total = inputs[:, 0], 0.0
    for part in (x > 0, x < 0):
        a, y = np.abs(x[part]), targets[part]
        u = math.copysign(max(abs(a @ y) - decay, 0.0), a @ y) / (a @ a)
        total += 0.5 * float(((a * u - y) ** 2).sum()) + decay * abs(u)
    solution = solved(so.TwoLayerReLU(inputs, targets, decay))
    assert solution.certificate.primal == pytest.approx(total, rel=1e-11)


def test_descent_never_gets_below_the_bound() -> None:
    inputs, targets = gaussian(8, 3, 5)
    problem = so.TwoLayerReLU(inputs, targets, 0.1)
    solution = solved(problem)
    width, rng, best = 16, np.random.default_rng(0), math.inf

    def loss(v: np.ndarray) -> tuple[float, np.ndarray]:
        hidden, outer = v[: 3 * width].reshape(3, width), v[3 * width :]
        values = inputs @ hidden
        units = np.maximum(values, 0)
        residual = units @ outer - targets
        back = inputs.T @ (residual[:, None] * outer * (values > 0))
        gradient = np.r_[(back + 0.1 * hidden).ravel(), units.T @ residual + 0.1 * outer]
        return 0.5 * residual @ residual + 0.05 * float(v @ v), gradient

    for _ in range(10):
        start = rng.standard_normal(4 * width)
        found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B")
        network = so.TwoLayerNetwork(found.x[: 3 * width].reshape(3, width), found.x[3 * width :])
        certificate = solution.certificate.of(network)
        assert so.verify(certificate).ok
        assert certificate.primal == pytest.approx(found.fun, rel=1e-12)
        assert certificate.dual == solution.certificate.dual
        best = min(best, found.fun)
    assert solution.certificate.primal <= best
    assert best < 1.2 * solution.certificate.primal


def test_the_optimum_follows_the_scale_of_the_data() -> None:
    inputs, targets = gaussian(6, 3)
    plain = solved(so.TwoLayerReLU(inputs, targets, 0.1)).certificate.primal
    for a, b in ((2.0**500, 2.0**-490), (2.0**-499, 2.0**498), (2.0**300, 2.0**301)):
        problem = so.TwoLayerReLU(inputs * a, targets * b, 0.1 * a * b)
        assert solved(problem).certificate.primal == pytest.approx(plain * b * b, rel=1e-9)


@pytest.mark.parametrize("kind", ["relu", "gated", "vector"])
def test_order_and_memory_of_samples_do_not_matter(kind: str) -> None:
    inputs, targets = gaussian(7, 3, 2)
    gates = None if kind == "relu" else gaussian(3, 5)[0]
    targets = np.c_[targets, targets**2] if kind == "vector" else targets
    plain = solved(so.TwoLayerReLU(inputs, targets, 0.2, gates)).certificate.primal
    order = np.random.default_rng(0).permutation(7)
    other = so.TwoLayerReLU(
        np.asfortranarray(inputs[order])[::-1], targets[order][::-1], 0.2, gates
    )
    assert solved(other).certificate.primal == pytest.approx(plain, rel=1e-8)
    turn = np.linalg.qr(gaussian(3, 3, 9)[0])[0]
    turned = so.TwoLayerReLU(inputs @ turn, targets, 0.2, None if gates is None else turn.T @ gates)
    assert solved(turned).certificate.primal == pytest.approx(plain, rel=1e-8)


@pytest.mark.parametrize("shape", [(5, 30), (1, 1), (1, 4), (12, 1)])
def test_odd_shapes(shape: tuple[int, int]) -> None:
    problem = so.TwoLayerReLU(*gaussian(*shape), 0.05)
    assert solved(problem).status is so.Status.VERIFIED


def test_nearly_equal_inputs_make_no_thin_cells() -> None:
    base, targets = gaussian(5, 3, 1)
    noise = 1 + 1e-9 * np.random.default_rng(2).standard_normal((10, 3))
    inputs = np.repeat(base, 2, axis=0) * noise
    solution = solved(so.TwoLayerReLU(inputs, np.repeat(targets, 2), 0.1))
    assert solution.status is so.Status.VERIFIED


def test_few_neurons_and_certificate_at_the_size_of_the_issue() -> None:
    inputs, targets = gaussian(20, 3)
    solution = solved(so.TwoLayerReLU(inputs, targets, 0.1))
    assert solution.status is so.Status.VERIFIED
    assert solution.answer.hidden.shape[1] <= 20


def test_a_large_decay_gives_the_network_without_neurons() -> None:
    inputs, targets = gaussian(6, 2)
    for gates in (None, gaussian(2, 3)[0]):
        solution = solved(so.TwoLayerReLU(inputs, targets, 1e4, gates))
        assert solution.answer.hidden.shape == (2, 0)
        assert solution.answer.predict(inputs).tolist() == [0.0] * 6


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_an_open_gate_on_the_identity_thresholds_singular_values(outputs: int) -> None:
    targets = np.random.default_rng(outputs).standard_normal((4, outputs))
    u, values, v = np.linalg.svd(targets, full_matrices=False)
    fitted = (u * np.maximum(values - 0.7, 0)) @ v
    solution = solved(so.TwoLayerReLU(np.eye(4), targets, 0.7, np.ones((4, 1))))
    np.testing.assert_allclose(solution.answer.predict(np.eye(4)), fitted, atol=1e-9)
    least = 0.5 * ((fitted - targets) ** 2).sum() + 0.7 * np.maximum(values - 0.7, 0).sum()
    assert solution.certificate.primal == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("outputs", [1, 3])
def test_gated_training_agrees_with_cvxpy(outputs: int) -> None:
    rng = np.random.default_rng(outputs)
    inputs, targets = rng.standard_normal((12, 3)), rng.standard_normal((12, outputs))
    gates = rng.standard_normal((3, 6))
    blocks = [cvxpy.Variable((3, outputs)) for _ in range(6)]
    fitted = sum(
        (inputs * (inputs @ gate > 0)[:, None]) @ block
        for gate, block in zip(gates.T, blocks, strict=True)
    )
    loss = 0.5 * cvxpy.sum_squares(fitted - targets)
    model = cvxpy.Problem(cvxpy.Minimize(loss + 0.3 * sum(map(cvxpy.normNuc, blocks))))
    expected = model.solve(solver="CLARABEL")
    solution = solved(so.TwoLayerReLU(inputs, targets, 0.3, gates))
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.primal == pytest.approx(expected, rel=1e-6)


def test_gates_with_one_pattern_are_one_gate() -> None:
    inputs, targets = gaussian(8, 3)
    gates = gaussian(3, 4)[0]
    plain = solved(so.TwoLayerReLU(inputs, targets, 0.1, gates)).certificate.primal
    twice = so.TwoLayerReLU(inputs, targets, 0.1, np.c_[gates, 2 * gates, np.zeros((3, 1))])
    assert solved(twice).certificate.primal == pytest.approx(plain, rel=1e-10)


def test_gated_training_is_below_relu_training_on_the_same_patterns() -> None:
    """Without the cones the program is larger: with all patterns as gates its optimum is below."""
    inputs, targets = gaussian(8, 2, 4)
    exact = solved(so.TwoLayerReLU(inputs, targets, 0.1)).certificate
    draws = np.random.default_rng(0).standard_normal((2, 400))
    gated = solved(so.TwoLayerReLU(inputs, targets, 0.1, draws)).certificate
    assert gated.dual <= exact.primal


def test_each_solver_says_what_it_does_not_take() -> None:
    inputs, targets = gaussian(5, 2)
    exact = so.TwoLayerReLU(inputs, targets, 0.1)
    gated = so.TwoLayerReLU(inputs, targets, 0.1, np.ones((2, 1)))
    vector = so.TwoLayerReLU(inputs, np.c_[targets, targets], 0.1, np.ones((2, 1)))
    for problem, name in (
        (gated, "relu_cone_program"),
        (exact, "gated_group_lasso"),
        (exact, "gated_nuclear_norm"),
        (vector, "gated_group_lasso"),
        (gated, "gated_nuclear_norm"),
    ):
        with pytest.raises(so.SolveError):
            so.solve(problem, name)


def test_wide_matrices_are_refused_by_the_semidefinite_program() -> None:
    rng = np.random.default_rng(0)
    problem = so.TwoLayerReLU(
        rng.standard_normal((70, 70)), rng.standard_normal((70, 2)), 0.1, np.ones((70, 1))
    )
    with pytest.raises(so.SolveError, match="affordable up to 60"):
        so.solve(problem)


def test_a_looser_tolerance_is_kept_and_said() -> None:
    inputs, targets = gaussian(15, 3, 8)
    solution = solved(so.TwoLayerReLU(inputs, targets, 0.01), tolerance=1e-3)
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.accuracy <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.3, 2.0])
@pytest.mark.parametrize("kind", ["exact", "vector"])
def test_limits_are_kept(kind: str, limit: float) -> None:
    """Without a limit they run for ten seconds. The bound leaves room for a busy machine."""
    rng = np.random.default_rng(0)
    if kind == "exact":
        problem = so.TwoLayerReLU(rng.standard_normal((150, 3)), rng.standard_normal(150), 0.1)
    else:
        gates = rng.standard_normal((12, 200))
        inputs, targets = rng.standard_normal((300, 12)), rng.standard_normal((300, 6))
        problem = so.TwoLayerReLU(inputs, targets, 0.5, gates)
    so.solve(so.TwoLayerReLU([[1.0]], [1.0], 0.1))
    start = time.monotonic()
    with pytest.raises(so.SolveError, match="time limit"):
        so.solve(problem, time_limit=limit)
    assert time.monotonic() - start < limit + 5.0
