"""Sums of weights between groups: blocks against plain sums; balance of deep and wide networks."""

from __future__ import annotations

import itertools
import tracemalloc

import networkx as nx
import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu, Reshape
from sparseopt.tools.rescaling import coupling
from sparseopt.tools.rescaling.coupling import Coupling
from sparseopt.tools.rescaling.dead import settle
from sparseopt.tools.rescaling.newton import minimizer, minimizer_of_circle
from tests.tools.rescaling.test_rescaling import mlp, residual_network


def dense(net: Network, groups: so.RescalingGroups, p: float) -> np.ndarray:
    """Return M by its definition, weight by weight."""
    matrix = np.zeros((groups.count + 1,) * 2)
    arrays = net.parameters()
    for name, (head, tail) in groups.weights.items():
        up, down, w = np.broadcast_arrays(head, tail, arrays[name])
        np.add.at(matrix, (up.ravel(), down.ravel()), np.abs(w.ravel().astype(float)) ** p)
    for name, labels in groups.biases.items():
        values = np.abs(arrays[name].ravel().astype(float)) ** p
        np.add.at(matrix, (np.broadcast_to(labels, arrays[name].shape).ravel(), 0), values)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def whole(found: Coupling) -> np.ndarray:
    result = found.rest.toarray()
    for block in found.blocks:
        result[np.ix_(block.rows, block.columns)] += block.sums
    return result


def flattened() -> Network:
    rng = np.random.default_rng(1)
    return chain(
        (3, 5, 5),
        Conv(rng.standard_normal((6, 3, 3, 3)), rng.standard_normal(6)),
        Relu(),
        Conv(rng.standard_normal((8, 3, 2, 2)), None, groups=2),
        Relu(),
        Reshape((32,)),
        Dense(rng.standard_normal((7, 32)), rng.standard_normal(7)),
        Relu(),
        Dense(rng.standard_normal((2, 7))),
    )


NETS = {"flat": flattened(), "residual": residual_network(), "mlp": mlp((3, 9, 8, 7, 2))}


@pytest.mark.parametrize("name", list(NETS))
@pytest.mark.parametrize("least", [1, 1 << 14])
@pytest.mark.parametrize("piece", [5, 1 << 20])
@pytest.mark.parametrize("p", [1.0, 2.0, 0.7])
def test_sums_are_those_of_the_weights(
    name: str, least: int, piece: int, p: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coupling, "_DENSE", least)
    monkeypatch.setattr(coupling, "_PIECE", piece)
    net = NETS[name]
    groups = so.RescalingGroups(net)
    found, right = Coupling.of(net, groups, p), dense(net, groups, p)
    assert bool(found.blocks) == (least == 1)
    np.testing.assert_allclose(whole(found), right, rtol=1e-12)
    v = np.random.default_rng(0).standard_normal(found.size)
    np.testing.assert_allclose(found.into(v), right @ v, rtol=1e-9)
    np.testing.assert_allclose(found.out(v), right.T @ v, rtol=1e-9)
    some = np.array([1, 3, 4])
    for into in (True, False):
        lines = found.lines(some, into).toarray()
        expected = np.zeros_like(right)
        expected[some] = (right if into else right.T)[some]
        np.testing.assert_allclose(lines, expected, rtol=1e-12)
    kept = np.ones(found.size, dtype=bool)
    kept[[2, 5]] = False
    np.testing.assert_allclose(whole(found.within(kept)), right[np.ix_(kept, kept)], rtol=1e-12)
    assert np.array_equal(np.sort(np.concatenate(found.levels)), np.arange(1, found.size))


@pytest.mark.parametrize("least", [1, 1 << 14])
def test_what_is_reached_is_what_a_graph_says(least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coupling, "_DENSE", least)
    rng = np.random.default_rng(2)
    for seed in range(20):
        net = mlp((3, 6, 5, 6, 2), seed)
        arrays = {n: a * (rng.random(a.shape) < 0.25) for n, a in net.parameters().items()}
        net = net.with_parameters(arrays)
        groups = so.RescalingGroups(net)
        right = nx.from_numpy_array(dense(net, groups, 1).T, create_using=nx.DiGraph)
        reached, reaching = Coupling.of(net, groups, 1.0).reach()
        assert set(np.flatnonzero(reached)) == {0} | nx.descendants(right, 0)
        assert set(np.flatnonzero(reaching)) == {0} | nx.ancestors(right, 0)


def balanced(net: Network, p: float = 2) -> float:
    """Return how far from 1 a ratio of norms is."""
    ratio = so.neural_balance(so.canonicalize(net, p), p).ratio
    return float(np.abs(ratio[np.isfinite(ratio)] - 1).max())


@pytest.mark.parametrize("least", [1, 1 << 14])
@pytest.mark.parametrize("name", list(NETS))
def test_blocks_give_the_same_form(name: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = so.canonicalize(NETS[name])
    monkeypatch.setattr(coupling, "_DENSE", least)
    scaled = so.rescale(NETS[name], so.random_factors(NETS[name], seed=3))
    found = so.canonicalize(scaled)
    for key, array in plain.parameters().items():
        np.testing.assert_allclose(found.parameters()[key], array, rtol=1e-10)
    assert balanced(scaled) < 1e-12


def test_deep_networks_are_balanced() -> None:
    net = mlp((4,) * 601)
    scaled = so.rescale(net, so.random_factors(net, seed=0))
    one, two = so.canonicalize(net), so.canonicalize(scaled)
    assert balanced(scaled) < 1e-11
    for name, array in one.parameters().items():
        np.testing.assert_allclose(two.parameters()[name], array, rtol=1e-8)


def test_graphs_of_many_neurons_are_balanced() -> None:
    rng = np.random.default_rng(0)
    graph = nx.DiGraph()
    for v in range(1500):
        kind = "input" if v < 10 else "relu"
        graph.add_node(v, kind=kind)
        if v >= 10:
            graph.nodes[v]["bias"] = float(rng.standard_normal())
            for u in {int(u) for u in rng.integers(max(0, v - 60), v, 4)}:
                graph.add_edge(u, v, weight=float(rng.standard_normal()))
    net = so.load_network(graph)
    assert balanced(net) < 1e-12


def test_extreme_matrices_are_balanced() -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        net = mlp((2, 5, 5, 5, 1))
        powers = {n: 10.0 ** rng.uniform(-12, 12, a.shape) for n, a in net.parameters().items()}
        assert balanced(net.with_parameters(powers)) < 1e-9


def test_a_circle_is_balanced_by_itself() -> None:
    from scipy.sparse import csr_array

    matrix = np.array([[0.0, 3.0, 0.0], [0.0, 0.0, 2.0], [5.0, 0.0, 0.0]])
    logs = minimizer_of_circle(csr_array(matrix))
    scaled = np.exp(logs)[:, None] * matrix * np.exp(-logs)[None, :]
    np.testing.assert_allclose(scaled.sum(axis=0), scaled.sum(axis=1), rtol=1e-12)
    assert logs[0] == 0.0


def test_nothing_is_settled_where_nothing_is_dead() -> None:
    net = mlp((2, 3, 1))
    found = Coupling.of(net, so.RescalingGroups(net), 2.0)
    logs = minimizer(found)
    alive = np.ones(found.size, dtype=bool)
    np.testing.assert_array_equal(settle(found, alive, logs, minimizer_of_circle), logs)


def test_memory_is_a_small_multiple_of_the_parameters() -> None:
    rng = np.random.default_rng(0)
    sizes = (400, 1000, 1000, 400)
    layers = [
        Dense(rng.standard_normal((n, m)).astype(np.float32)) for m, n in itertools.pairwise(sizes)
    ]
    net = chain((400,), layers[0], Relu(), layers[1], Relu(), layers[2])
    size = sum(a.nbytes for a in net.parameters().values())
    for go in (so.canonicalize, lambda n: so.solve(so.PathCost(n), solver="path_costs")):
        go(mlp((2, 3, 1)))  # what is imported at first use
        tracemalloc.start()
        go(net)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= 5 * size
