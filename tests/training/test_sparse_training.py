"""Existence of optima under fixed supports."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.optimize
from sparseopt_closedness.opposite_targets import OppositeTargets
from sparseopt_closedness.training_conditions import TrainingConditions

import sparseopt as so

LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
CONVENTIONS = [(False, False), (True, False), (False, True), (True, True)]


def dense(*sizes: int) -> list[np.ndarray]:
    """Return the supports of a dense network, outputs first."""
    return [np.ones(shape) for shape in pairwise(sizes)]


def network(weights: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """Return the outputs of a network without biases, one row a sample."""
    values = inputs.T
    for depth, matrix in enumerate(reversed(weights), start=1):
        values = matrix @ values
        values = values if depth == len(weights) else np.maximum(values, 0)
    return values.T


def least_error(problem: so.SparseTraining, inputs: np.ndarray, targets: np.ndarray) -> float:
    """Return the least loss that bounded weights of two layers were found to have."""
    first, second = (np.argwhere(s) for s in problem.supports)
    (m, r), n = problem.supports[0].shape, problem.supports[1].shape[1]
    sizes = [len(first), len(second), r * problem.hidden_biases, m * problem.output_biases]

    def residual(values: np.ndarray) -> np.ndarray:
        u, w, hidden, outer = np.split(values, np.cumsum(sizes)[:-1])
        left, right = np.zeros((m, r)), np.zeros((r, n))
        left[tuple(first.T)], right[tuple(second.T)] = u, w
        shift = hidden if problem.hidden_biases else np.zeros(r)
        seen = np.maximum(inputs @ right.T + shift, 0) @ left.T
        return np.ravel(seen + (outer if problem.output_biases else 0) - targets)

    rng = np.random.default_rng(3)
    best = np.inf
    for _ in range(30):
        start = rng.standard_normal(sum(sizes))
        found = scipy.optimize.least_squares(residual, start, bounds=(-30, 30), max_nfev=100)
        best = min(best, 2 * found.cost)
    return best


def test_each_condition() -> None:
    attained = so.solve(so.SparseTraining([[[1, 0]], [[1, 1], [0, 1]]]))
    assert attained.answer.value == "attained"
    infinite = so.solve(so.SparseTraining(LU))
    assert infinite.answer.value == "may_not_be_attained"
    assert "converges to" in infinite.certificate.explain()
    neither = so.solve(so.SparseTraining(dense(2, 3, 3)))
    assert neither.answer.value == "unknown"
    assert "not sufficient" in neither.answer.condition
    for solution in (attained, infinite):
        assert so.verify(so.Solution.from_json(solution.to_json())).ok


@pytest.mark.parametrize("biases", CONVENTIONS)
@pytest.mark.parametrize("sizes", [(2, 2, 2), (2, 2, 3), (3, 3, 4), (6, 5, 5)])
def test_dense_networks_have_data_without_optimum(
    sizes: tuple[int, int, int], biases: tuple[bool, bool]
) -> None:
    solution = so.solve(so.SparseTraining(dense(*sizes), *biases))
    assert solution.answer.value == "may_not_be_attained"
    assert solution.solver == "opposite_targets"
    assert so.verify(so.from_json(so.to_json(solution.certificate))).ok


@pytest.mark.parametrize("biases", CONVENTIONS)
@pytest.mark.parametrize("supports", [LU, dense(2, 2, 3), dense(3, 3, 3), dense(2, 2, 3, 4)])
def test_the_loss_falls_along_the_curve(supports: Any, biases: tuple[bool, bool]) -> None:
    problem = so.SparseTraining(supports, *biases)
    if len(supports) > 2 and all(biases):
        assert so.solve(problem).answer.value == "unknown"
        return
    certificate = so.solve(problem).certificate
    inputs, targets = certificate.data_set()
    losses, largest = [], []
    for t in (1e-1, 1e-2, 1e-3, 1e-4):
        weights = certificate.weights_at(t)
        assert all(not np.any(w[s == 0]) for w, s in zip(weights, problem.supports, strict=True))
        losses.append(np.sum((network(weights, inputs) - targets) ** 2))
        largest.append(max(np.abs(w).max() for w in weights))
    scale = np.sum(targets**2)
    assert losses[-1] < 1e-6 * scale
    assert all(a > 50 * b for a, b in pairwise(losses))
    assert largest[-1] > 100 * largest[1] / 2


@pytest.mark.parametrize("biases", CONVENTIONS)
@pytest.mark.parametrize("supports", [LU, dense(2, 2, 2), dense(2, 2, 3)])
def test_bounded_weights_do_not_attain_them(supports: Any, biases: tuple[bool, bool]) -> None:
    problem = so.SparseTraining(supports, *biases)
    inputs, targets = so.solve(problem).certificate.data_set()
    assert least_error(problem, inputs, targets) > 1e-7 * np.sum(targets**2)


def test_with_output_biases_less_data_is_attained() -> None:
    inputs, targets = so.solve(so.SparseTraining(dense(2, 2, 3))).certificate.data_set()
    attained = so.SparseTraining(dense(2, 2, 3), output_biases=True)
    assert least_error(attained, inputs, targets) < 1e-20


@pytest.mark.parametrize("density", [1.0, 0.5, 0.2])
def test_masks_of_wide_networks(density: float) -> None:
    rng = np.random.default_rng(5)
    supports = [rng.random((60, 50)) < density, rng.random((50, 100)) < density]
    solution = so.solve(so.SparseTraining(supports))
    assert solution.answer.value == "may_not_be_attained"
    assert solution.certificate.data_set()[0].shape == (51, 100)


def test_windows_within_larger_networks() -> None:
    # Ten units feed outputs 2 to 4, more than these can tell apart; two feed outputs 0 and 1.
    first, second = np.zeros((5, 12)), np.ones((12, 6))
    first[:2, :2] = first[2:, 2:] = 1
    for biases in CONVENTIONS:
        solution = so.solve(so.SparseTraining([first, second], *biases))
        assert solution.solver == "opposite_targets"
        assert set(np.flatnonzero(solution.certificate.data_set()[1].any(axis=0))) <= {0, 1}
    # Here output 0 is fed by a third unit, which reads inputs 4 and 5 only.
    first[0, 2], second[2, :4] = 1, 0
    window = so.solve(so.SparseTraining([first, second]))
    assert window.solver == "opposite_targets"
    assert not window.certificate.data_set()[0][:, 4:].any()


def test_conditions_never_contradict_each_other() -> None:
    rng = np.random.default_rng(11)
    counts = {"attained": 0, "may_not_be_attained": 0, "unknown": 0}
    for _ in range(150):
        m, r, n = rng.integers(1, 5, 3)
        supports = [rng.random((m, r)) < 0.5, rng.random((r, n)) < 0.6]
        values = set()
        problem = so.SparseTraining(supports)
        for solver in (OppositeTargets(), TrainingConditions()):  # whatever they would accept
            try:
                answer, certificate = solver.solve(problem, so.Context())
            except so.Inconclusive:
                counts["unknown"] += 1
                continue
            assert so.verify(certificate).ok
            values.add(answer.value)
            counts[answer.value] += 1
        assert not {"attained", "may_not_be_attained"} <= values
        if "attained" in values:
            assert so.solve(so.Closedness(supports)).answer.value != "not_closed"
    assert min(counts.values()) > 10


def is_tree(supports: list[np.ndarray], hidden_biases: bool) -> bool:
    """Return whether the condition for "attained" holds, by paths in a graph."""
    graph = nx.DiGraph()
    depth = len(supports)
    graph.add_nodes_from((0, i) for i in range(supports[0].shape[0]))
    for layer, support in enumerate(supports):
        graph.add_nodes_from((layer + 1, k) for k in range(support.shape[1]))
        graph.add_edges_from(((layer + 1, k), (layer, i)) for i, k in np.argwhere(support).tolist())
    hidden = [node for node in graph if 0 < node[0] < depth]

    def matters(node: tuple[int, int]) -> bool:
        out = any(n[0] == 0 for n in nx.descendants(graph, node))
        return out and (hidden_biases or any(n[0] == depth for n in nx.ancestors(graph, node)))

    graph.remove_nodes_from([node for node in hidden if not matters(node)])
    deeper = [node for node in graph if 1 < node[0] < depth]
    if any(graph.out_degree(node) > 1 for node in deeper):
        return False
    top = graph.subgraph([node for node in graph if node[0] == 0 or 0 < node[0] < min(depth, 2)])
    for part in nx.weakly_connected_components(top):
        if min(sum(node[0] == 0 for node in part), sum(node[0] == 1 for node in part)) > 1:
            return False
    return True


def test_trees_of_units_by_paths_in_a_graph() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(400):
        sizes = rng.integers(1, 4, rng.integers(2, 5))
        pairs = list(pairwise(sizes))
        supports = [(rng.random(pair) < rng.choice([0.3, 0.6])) for pair in pairs]
        biases = bool(rng.integers(2))
        problem = so.SparseTraining(supports, hidden_biases=biases)
        certificate = so.TrainingCertificate.proved(problem)
        found.append(so.verify(certificate).ok)
        assert found[-1] == is_tree(supports, biases)
    assert 100 < sum(found) < 350


def test_forged() -> None:
    problem = so.SparseTraining(LU)
    claim = so.TrainingVerdict("attained", "trust me")
    assert not so.verify(so.TrainingCertificate(problem, claim)).ok
    right = so.TrainingCertificate.proved(problem, so.solve(so.Closedness(LU)).certificate)
    assert so.verify(right).ok
    other = so.SparseTraining(dense(2, 2, 2))
    assert not so.verify(dataclasses.replace(right, problem=other)).ok
    assert not so.verify(dataclasses.replace(right, closedness=None)).ok
    unknown = so.TrainingVerdict("unknown", "x")
    assert not so.verify(dataclasses.replace(right, answer=unknown)).ok


def test_files_of_the_time_before_biases() -> None:
    certificate = so.TrainingCertificate.proved(so.SparseTraining([[[1, 0]], LU[1]]))
    body = json.loads(so.to_json(certificate))
    for name in ("hidden_biases", "output_biases"):
        del body["problem"][name]
    again = so.from_json(json.dumps(body))
    assert so.verify(again).ok
    assert again.problem.hidden_biases is False


def test_bad_input() -> None:
    with pytest.raises(so.ProblemError, match="do not chain"):
        so.SparseTraining([[[1, 0]], [[1]]])
    with pytest.raises(so.ProblemError, match="hidden_biases must be True or False"):
        so.SparseTraining(LU, hidden_biases=1)  # type: ignore[arg-type]
    assert so.SparseTraining(LU, np.bool_(True)).hidden_biases is True  # type: ignore[arg-type]


def test_words_say_which_biases() -> None:
    assert so.SparseTraining(LU, True, True).describe().endswith(", hidden and output biases")
    assert so.SparseTraining(LU, output_biases=True).describe().endswith(", output biases")
    assert "biases" not in so.SparseTraining(LU).describe()


def test_a_time_limit_is_honoured() -> None:
    rng = np.random.default_rng(0)
    supports = [rng.random((10, 128)) < 0.9, rng.random((128, 784)) < 0.9]
    solution = so.solve(so.SparseTraining(supports), time_limit=0.05)
    assert solution.answer.value in ("unknown", "may_not_be_attained")


def test_a_data_set_beyond_float64_is_not_rounded() -> None:
    """Rounded to 0, the inputs would have an optimum: the weights 0."""
    right = so.solve(so.SparseTraining(dense(2, 2, 3))).certificate
    small, large = Fraction(1, 10**400), 10**200
    weights = [
        [[i, k, {int(e): Fraction(c) * large for e, c in powers.items()}] for i, k, powers in layer]
        for layer in right.weights
    ]
    inputs = [[[i, Fraction(value) * small] for i, value in point] for point in right.inputs]
    made = type(right).proved(right.problem, weights, inputs, right.targets, right.opposite)
    assert so.verify(made).ok
    found, targets = made.data_set()
    assert found.dtype == object
    assert targets.dtype == np.float64
    assert {abs(value) for value in found.ravel().tolist()} == {0, small}
    for wrong in (0, -1.0, math.nan, "a"):
        with pytest.raises(so.ProblemError, match="give a positive number"):
            made.weights_at(wrong)
