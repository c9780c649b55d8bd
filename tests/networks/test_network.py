"""The layer graph: validation, parameters, evaluation, unrolling."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Relu, Reshape


def small() -> Network:
    rng = np.random.default_rng(0)
    return chain(
        (3,),
        Dense(rng.standard_normal((4, 3)), rng.standard_normal(4)),
        Relu(),
        Dense(rng.standard_normal((2, 4)).astype(np.float32), rng.standard_normal(2)),
    )


def test_evaluates_like_numpy() -> None:
    net = small()
    w1, b1, w2, b2 = net.parameters().values()
    x = np.array([0.3, -1.0, 2.0])
    np.testing.assert_allclose(net.run(x), w2 @ np.maximum(w1 @ x + b1, 0) + b2, rtol=1e-14)
    np.testing.assert_allclose(net.run(x.tolist()), net.run(x))
    assert net.run([1, 2, 3]).dtype == np.float64


def test_parameters_are_read_only_views() -> None:
    weight = np.ones((2, 2))
    net = chain((2,), Dense(weight))
    (name, held), *_ = net.parameters().items()
    assert name == "0:Dense.weight"
    assert np.shares_memory(held, weight)
    with pytest.raises(ValueError, match="read-only"):
        held[0, 0] = 3.0


def test_replacing_parameters_leaves_the_original_alone() -> None:
    net = small()
    x = np.ones(3)
    before = net.run(x)
    doubled = net.with_parameters({"2:Dense.weight": 2 * net.parameters()["2:Dense.weight"]})
    bias = net.parameters()["2:Dense.bias"]
    np.testing.assert_allclose(doubled.run(x) - bias, 2 * (before - bias), rtol=1e-12)
    np.testing.assert_array_equal(net.run(x), before)
    with pytest.raises(so.ProblemError, match=r"no parameter '7:Dense\.weight'"):
        net.with_parameters({"7:Dense.weight": np.ones(2)})
    with pytest.raises(so.ProblemError, match=r"'2:Dense'.*must stay \(2, 4\)"):
        net.with_parameters({"2:Dense.weight": np.ones((4, 2))})
    with pytest.raises(so.ProblemError, match="nan"):
        net.with_parameters({"2:Dense.bias": np.array([np.nan, 0.0])})


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([Node("x", Input((2,))), Node("x", Relu(), ("x",))], "must be unique and not empty: 'x'"),
        ([Node("x", Input((2,))), Node("", Relu(), ("x",))], "must be unique and not empty: ''"),
        ([Node("x", Input((2,))), Node("y", Relu(), ("z",))], "reads 'z', which no earlier"),
        ([Node("x", Input((2,))), Node("y", Dense(np.ones((1, 3))), ("x",))], "node 'y': a dense"),
        ([Node("x", Input((2,))), Node("y", Input((2,)))], "exactly one Input"),
        ([Node("x", Input((2,)))], "the output 'y' is not a node"),
    ],
)
def test_bad_graphs_are_refused(nodes: list[Node], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        Network(tuple(nodes), "y")


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones(4), r"shape \(4,\); this network takes \(3,\)"),
        (np.ones((2, 2, 3)), "this network takes"),
        (np.array([1.0, np.nan, 0.0]), r"nan at entry \(1,\)"),
        (np.ones(3, dtype=complex), "complex128"),
        ({"a": 1.0}, "no labels"),
    ],
)
def test_bad_inputs_are_refused(x: object, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        small().run(x)


def test_a_value_may_be_read_twice_and_dead_layers_are_skipped() -> None:
    net = Network(
        (
            Node("x", Input((2,))),
            Node("dead", Reshape((1, 2)), ("x",)),
            Node("twice", Add(), ("x", "x")),
            Node("y", Add(), ("twice", "x")),
        ),
        "y",
    )
    np.testing.assert_array_equal(net.run([1.0, -2.0]), [3.0, -6.0])
    assert "dead" not in net.used
    graph = net.neurons  # parallel edges need an identity neuron in between
    assert graph.path_count() == 6
    assert [graph.evaluate([1, -2])[j] for j in graph.outputs] == [3, -6]


def test_unrolled_floats_stay_floats_and_exact_stays_exact() -> None:
    graph = small().unroll()
    assert nx.is_directed_acyclic_graph(graph)
    assert all(isinstance(w, float) for *_, w in graph.edges(data="weight"))
    assert [d["kind"] for _, d in graph.nodes(data=True)].count("relu") == 4
    assert graph.number_of_nodes() == 3 + 4 + 2
    again = so.load_network(graph)
    x = np.array([0.1, 0.2, -0.3])
    np.testing.assert_allclose(again.run(x), small().run(x), rtol=1e-6)
    exact = chain((1,), Scale(np.array([Fraction(1, 3)], dtype=object)))
    assert exact.is_exact
    assert exact.run([2]).tolist() == [Fraction(2, 3)]
    assert exact.run([2.0]).tolist() == [2 / 3]


def test_large_networks_are_not_unrolled() -> None:
    net = chain((1000,), Dense(np.broadcast_to(1.0, (1000, 1000))))
    with pytest.raises(so.ProblemError, match="1000000 edges"):
        net.unroll()


def test_the_layer_graph() -> None:
    net = small()
    assert list(net.graph) == [node.name for node in net.nodes]
    assert net.graph.nodes["0:Dense"]["shape"] == (4,)
    assert net.describe() == "network of 4 layers, 26 parameters, (3,) -> (2,)"
    assert so.from_json(so.to_json(net)).describe() == net.describe()


def test_tied_tensors_are_known() -> None:
    weight = np.eye(2)
    net = Network(
        (
            Node("x", Input((2,))),
            Node("a", Dense(weight), ("x",), {"weight": "fc.weight"}),
            Node("b", Dense(weight), ("a",), {"weight": "fc.weight"}),
        ),
        "b",
    )
    assert net.tied == {"fc.weight": ("a.weight", "b.weight")}


def test_values_of_enormous_size_are_refused_before_they_are_made() -> None:
    with pytest.raises(so.ProblemError, match=r"node 'input', of the shape \(65536, 65536\)"):
        chain((1 << 16, 1 << 16))
    doubled = [Node("x", Input((2,)))]
    for i in range(60):
        doubled.append(Node(f"{i}", Concat(0), (doubled[-1].name, doubled[-1].name)))
    with pytest.raises(so.ProblemError, match="entries together"):
        Network(tuple(doubled), "59")
    half = [Node("x", Input((1 << 28,))), *(Node(f"{i}", Relu(), ("x",)) for i in range(4))]
    Network(tuple(half[:-1]), "2")
    with pytest.raises(so.ProblemError, match="entries together"):
        Network(tuple(half), "3")


@pytest.mark.parametrize("places", [[[0, 0]], [[0, 2]], [[0.0, 1.0]], [0, 1], [[0, 1, 2]]])
def test_a_layout_names_each_entry_of_a_tensor_once(places: list[Any]) -> None:
    op = Dense(np.array([[1.0, 2.0]]))
    given = {"origin": {"weight": "w"}, "layouts": {"weight": np.array(places)}}
    with pytest.raises(so.ProblemError, match="the layout of 'weight' of node 'a'"):
        Node("a", op, ("x",), **given)
    with pytest.raises(so.ProblemError, match="the layout of 'weight'"):
        Node("a", op, ("x",), layouts={"weight": np.array([[1, 0]])})
    assert Node("a", op, ("x",), {"weight": "w"}, (), {"weight": np.array([[1, 0]])}).layouts


def test_nodes_of_files_made_before_there_were_layouts() -> None:
    node = Node("a", Dense(np.eye(2)), ("x",))
    text = so.to_json(node)
    assert '"layouts": {}' in text
    old = so.from_json(text.replace(', "layouts": {}', ""))
    assert (old.name, old.inputs, old.layouts) == ("a", ("x",), {})
    with pytest.raises(so.ProblemError, match="unexpected keyword"):
        so.from_json(text.replace('"layouts"', '"layout"'))


def test_rationals_of_numpy_are_refused() -> None:
    """Fractions of NumPy's integers, which wrap around, come from loops over integer arrays."""
    weight = np.array([[Fraction(v) for v in np.array([2**62, -(2**62)])]], dtype=object)
    assert type(weight[0, 0].numerator) is np.int64
    with pytest.raises(so.ProblemError, match="these of Python's integers"):
        Dense(weight)
    Dense(np.array([[Fraction(v) for v in np.array([2**62, -(2**62)]).tolist()]], dtype=object))
