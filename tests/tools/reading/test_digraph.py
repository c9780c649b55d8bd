"""Networks from graphs of neurons."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import pytest
from path_oracle import evaluate, graph_of, public_cases, random_graph

import sparseopt as so

CASES = {case["name"]: case for case in public_cases()["cases"]}


@pytest.mark.parametrize("name", list(CASES))
def test_published_values(name: str) -> None:
    case = CASES[name]
    graph = graph_of(case["graph"])
    network = so.load_network(graph)
    assert list(network.output_labels or ()) == case["outputs"]
    assert network.neurons.labels == [node[0] for node in case["graph"]["nodes"]]
    for point in case["points"]:
        x = {name: Fraction(value) for name, value in point["x"].items()}
        found = dict(zip(case["outputs"], network.run(x).tolist(), strict=True))
        assert {name: str(value) for name, value in found.items()} == point["f"]


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_compute_their_definition(seed: int) -> None:
    graph = random_graph(seed)
    network = so.load_network(graph)
    rng = np.random.default_rng(seed)
    x = [Fraction(int(v), 3) for v in rng.integers(-9, 9, size=3)]
    values = evaluate(graph, dict(zip(("x0", "x1", "x2"), x, strict=True)))
    right = [values[str(label)] for label in network.output_labels or ()]
    # Inputs that nothing reads are outputs too, by definition.
    assert network.run(np.array(x, dtype=object)).tolist() == right
    np.testing.assert_allclose(
        network.run([float(v) for v in x]), [float(v) for v in right], rtol=1e-12, atol=1e-12
    )
    again = so.load_network(network.unroll())
    assert again.run(np.array(x, dtype=object)).tolist() == right


def test_unrolling_gives_the_graph_back() -> None:
    graph = random_graph(3)
    again = so.load_network(graph).unroll()
    assert list(again) == list(graph)
    assert {(u, v): w for u, v, w in again.edges(data="weight")} == {
        (u, v): w for u, v, w in graph.edges(data="weight")
    }
    assert dict(again.nodes(data="bias")) == dict(graph.nodes(data="bias"))


def test_node_order_need_not_be_topological() -> None:
    graph = nx.DiGraph()
    graph.add_node("y", kind="id", bias=1)
    graph.add_node("x")
    graph.add_edge("x", "y", weight=2)
    assert so.load_network(graph).run({"x": 3}).tolist() == [7]


def test_floats_stay_floats_and_mixtures_become_exact() -> None:
    graph = nx.DiGraph()
    graph.add_node(0)
    graph.add_node(1, kind="relu", bias=0)
    graph.add_edge(0, 1, weight=0.1)
    assert so.load_network(graph).parameters()["1.weight"].dtype == np.float64
    graph.nodes[1]["bias"] = Fraction(1, 3)
    mixed = so.load_network(graph).parameters()
    assert mixed["1.weight"].tolist() == [Fraction(0.1)]
    assert mixed["1.bias"].tolist() == Fraction(1, 3)


def edges(*pairs: tuple[Any, Any], **nodes: dict[str, Any]) -> nx.DiGraph:
    graph = nx.DiGraph()
    for name, data in nodes.items():
        graph.add_node(name, **data)
    for u, v in pairs:
        graph.add_edge(u, v, weight=1)
    return graph


BAD = {
    "empty": (nx.DiGraph(), "no nodes"),
    "multigraph": (nx.MultiDiGraph([(0, 1)]), "without parallel edges"),
    "undirected": (nx.Graph([(0, 1)]), "networkx.DiGraph"),
    "cycle": (edges(("a", "b"), ("b", "a")), "a -> b is a cycle"),
    "no-kind": (edges(("a", "b")), "node 'b' has kind None"),
    "unknown-kind": (edges(("a", "b"), b={"kind": "tanh"}), "node 'b' has kind 'tanh'"),
    "input-kind": (edges(("a", "b"), b={"kind": "input"}), "exactly the nodes without"),
    "relu-input": (edges(("a", "b"), a={"kind": "relu"}, b={"kind": "id"}), "'a'.*0 predecessors"),
    "input-bias": (edges(("a", "b"), a={"bias": 2}, b={"kind": "id"}), "'a' is an input"),
    "rank": (edges(("a", "b"), b={"kind": "pool", "k": 2}), "k must be an integer from 1 to 1"),
    "k-of-relu": (edges(("a", "b"), b={"kind": "relu", "k": 1}), "is not a pool; remove k"),
    "nan": (edges(("a", "b"), b={"kind": "id", "bias": float("nan")}), "bias of node 'b' is nan"),
    "complex": (edges(("a", "b"), b={"kind": "id", "bias": 1j}), "give an int"),
    "text": (edges(("a", "b"), b={"kind": "id", "bias": "1/2"}), "give an int"),
    "names": (edges((1, "b"), ("1", "b"), b={"kind": "id"}), "same name as text"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_graphs_are_refused_by_name(name: str) -> None:
    graph, words = BAD[name]
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(graph)


def test_a_missing_weight_is_refused() -> None:
    graph = edges(b={"kind": "id"})
    graph.add_edge("a", "b")
    with pytest.raises(so.ProblemError, match="weight of edge 'a' -> 'b' is None"):
        so.load_network(graph)


def test_an_isolated_node_is_input_and_output() -> None:
    graph = edges(("a", "b"), b={"kind": "id"})
    graph.add_node("c")
    network = so.load_network(graph)
    assert network.output_labels == ("b", "c")
    assert network.run([2, 5]).tolist() == [2, 5]


def test_an_example_makes_no_sense_for_a_graph() -> None:
    with pytest.raises(so.ProblemError, match="leave it out"):
        so.load_network(edges(("a", "b"), b={"kind": "id"}), example=[1.0])
