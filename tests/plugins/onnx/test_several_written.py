"""New models of networks with several inputs and outputs have these by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import (
    Add,
    Concat,
    Dense,
    Input,
    Network,
    Node,
    Port,
    Relu,
    Reshape,
    Select,
    chain,
)

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx_models import two_heads  # noqa: E402

ROWS = np.random.default_rng(0)


def require_same(network: so.Network, path: Path) -> onnx.ModelProto:
    """Compare each output of the file with the network's, and what is read again."""
    network.to_onnx(path)
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(str(path))
    assert [i.name for i in session.get_inputs()] == [p.name for p in network.inputs]
    values = {p.name: ROWS.normal(size=(4, *p.shape)) for p in network.inputs}
    kind = np.float64 if "double" in session.get_inputs()[0].type else np.float32
    found = session.run(None, {name: value.astype(kind) for name, value in values.items()})
    right = network.by_output(network.run(values))
    assert len(found) == len(right)
    for one, (name, other) in zip(found, right.items(), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)
    again = so.load_network(str(path))
    assert again.inputs == network.inputs
    assert [p.size for p in again.outputs] == [p.size for p in network.outputs]
    np.testing.assert_allclose(again.run(values), network.run(values), rtol=1e-5, atol=1e-6)
    return model


def names(model: onnx.ModelProto) -> list[str]:
    return [end.name for end in model.graph.output]


@pytest.mark.parametrize("change", ["as read", "pruned", "canonical", "without dead units"])
def test_of_a_file(tmp_path: Path, change: str) -> None:
    network = so.load_network(two_heads(), example={"y": np.zeros((1, 3, 1))})
    made = {
        "as read": lambda: network,
        "pruned": lambda: so.prune(network, 0.5).network,
        "canonical": lambda: so.canonicalize(network),
        "without dead units": lambda: so.remove_dead(so.prune(network, 0.7).network),
    }[change]()
    model = require_same(made, tmp_path / "new.onnx")
    assert names(model) == ["pa", "pb", "c"]
    read = {name for node in model.graph.node for name in node.input}
    assert all(t.name in read for t in model.graph.initializer), "a constant is not needed"


def by_hand(inputs: list[str], outputs: list[str], inner: str = "inner") -> Network:
    """Return relu(W a) and b of inputs a and b, with layers as readers make them."""
    nodes = (
        Node("inputs", Input((6,))),
        Node("first", Select(np.arange(2)), ("inputs",)),
        Node("second", Select(np.arange(2, 6).reshape(2, 2)), ("inputs",)),
        Node("dense", Dense(np.array([[1.0, 2.0], [3.0, -4.0]])), ("first",)),
        Node(inner, Relu(), ("dense",)),
        Node("flat", Reshape((4,)), ("second",)),
        Node("outputs", Concat(0), (inner, "flat")),
    )
    ports = [(Port(one, (2,)), Port(other, (2, 2))) for one, other in (inputs, outputs)]
    return Network(nodes, "outputs", inputs=ports[0], outputs=ports[1])


def test_layers_that_join_and_take_apart_are_left_out(tmp_path: Path) -> None:
    model = require_same(by_hand(["a", "b"], ["left", "right"]), tmp_path / "new.onnx")
    assert names(model) == ["left", "right"]
    assert [node.op_type for node in model.graph.node] == ["Gemm", "Relu", "Identity"]


@pytest.mark.parametrize(
    ("inputs", "outputs", "inner"),
    [
        (["a", "b"], ["inner", "right"], "inner"),
        (["a", "b"], ["dense", "inner"], "inner"),
        (["dense", "outputs"], ["left", "right"], "inner"),
        (["inputs", "first"], ["flat", "second"], "inner"),
        (["second", "first"], ["dense", "inputs"], "inner:2"),
        (["a:flat", "a"], ["inner:2", "inner"], "inner"),
    ],
)
def test_names_that_layers_have_too(
    tmp_path: Path, inputs: list[str], outputs: list[str], inner: str
) -> None:
    model = require_same(by_hand(inputs, outputs, inner), tmp_path / "new.onnx")
    assert names(model) == outputs


def test_an_output_with_the_name_of_an_input_gets_another(tmp_path: Path) -> None:
    model = require_same(by_hand(["a", "b"], ["b", "right"]), tmp_path / "new.onnx")
    assert names(model) == ["b:output", "right"]


def test_an_input_that_is_handed_on_gets_another_name(tmp_path: Path) -> None:
    model = require_same(by_hand(["a", "b"], ["left", "b"]), tmp_path / "new.onnx")
    assert names(model) == ["left", "b:output"]


def test_the_only_input_keeps_its_name(tmp_path: Path) -> None:
    nodes = (
        Node("x", Input((2,))),
        Node("h", Relu(), ("x",)),
        Node("outputs", Concat(0), ("h", "x")),
    )
    ports = (Port("h", (2,)), Port("x", (2,)))
    network = Network(nodes, "outputs", inputs=(Port("x", (2,)),), outputs=ports)
    assert names(require_same(network, tmp_path / "new.onnx")) == ["h", "x:output"]


def test_one_value_may_be_two_outputs(tmp_path: Path) -> None:
    network = by_hand(["a", "b"], ["left", "right"])
    nodes = (*network.nodes[:-1], Node("outputs", Concat(0), ("inner", "flat", "inner")))
    ports = (Port("left", (2,)), Port("middle", (2, 2)), Port("right", (2,)))
    model = require_same(replace(network, nodes=nodes, outputs=ports), tmp_path / "new.onnx")
    assert names(model) == ["left", "middle", "right"]


def test_of_layers_that_do_not_take_the_ports_apart(tmp_path: Path) -> None:
    weight = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, 1.0], [0.0, 1.0, -1.0]])
    network = replace(
        chain((3,), Dense(weight), Relu()),
        inputs=(Port("left", (2, 1)), Port("right", (1,))),
        outputs=(Port("box", (2,)), Port("score", ())),
    )
    assert names(require_same(network, tmp_path / "new.onnx")) == ["box", "score"]
    # An output that is a shuffle of all, and a part that crosses the ports.
    crossed = (
        Node("x", Input((3,))),
        Node("part", Select(np.arange(1, 3)), ("x",)),
        Node("sum", Add(), ("part", "part")),
        Node("y", Select(np.array([1, 0, 0])), ("sum",)),
    )
    require_same(replace(network, nodes=crossed, output="y"), tmp_path / "crossed.onnx")
