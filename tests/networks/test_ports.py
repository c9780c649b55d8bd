"""Networks that remember several inputs and outputs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks import Dense, Input, Network, Node, Port, Relu, chain


def two_by_two() -> Network:
    weight = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, 1.0], [0.0, 1.0, -1.0]])
    network = chain((3,), Dense(weight), Relu())
    return replace(
        network,
        inputs=(Port("left", (2, 1)), Port("right", (1,))),
        outputs=(Port("box", (2,)), Port("score", ())),
    )


def test_inputs_are_given_as_array_tuple_or_mapping() -> None:
    network = two_by_two()
    whole = network.run([1.0, 2.0, 4.0])
    assert np.array_equal(network.run((np.array([[1.0], [2.0]]), np.array([4.0]))), whole)
    assert np.array_equal(network.run({"right": [4.0], "left": [[1.0], [2.0]]}), whole)
    many = network.run({"left": np.ones((5, 2, 1)), "right": np.zeros((5, 1))})
    assert many.shape == (5, 3)
    assert np.array_equal(many[2], network.run([1.0, 1.0, 0.0]))


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ({"left": np.ones((2, 1))}, r"one array for each of \['left', 'right'\], got \['left'\]"),
        ((np.ones((2, 1)),), "takes 2 inputs"),
        ({"left": np.ones(2), "right": [1.0]}, r"'left' has shape \(2,\); it takes \(2, 1\)"),
        ({"left": np.ones((5, 2, 1)), "right": np.zeros((4, 1))}, "different numbers of samples"),
        ({"left": np.ones((5, 2, 1)), "right": [1.0]}, "different numbers of samples"),
        ({"left": np.ones((5, 5, 2, 1)), "right": [1.0]}, "'left' has shape"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x: object, says: str) -> None:
    with pytest.raises(so.ProblemError, match=says):
        two_by_two().run(x)


def test_figures_are_taken_apart_by_output() -> None:
    network = two_by_two()
    parts = network.by_output(network.run(np.ones((4, 3))))
    assert {name: part.shape for name, part in parts.items()} == {"box": (4, 2), "score": (4,)}
    answer = so.solve(so.PathNorm(network)).answer
    norms = network.by_output(10**answer.per_output_log10)
    assert sum(part.sum() for part in norms.values()) == pytest.approx(answer.value, rel=1e-12)
    assert norms["box"] == pytest.approx([6.0, 1.5])
    with pytest.raises(so.ProblemError, match=r"shape \(2,\); the output of this network has"):
        network.by_output(np.ones(2))
    plain = chain((2,), Relu())
    assert np.array_equal(plain.by_output([1.0, 2.0])[plain.output], [1.0, 2.0])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"inputs": (Port("a", (2,)),)}, "inputs are a .*not the entries of a value of shape"),
        ({"outputs": (Port("a", (2,)), Port("b", (2,)))}, "outputs are"),
        ({"outputs": (Port("a", (2,)), Port("a", (1,)))}, "two outputs have one name"),
    ],
)
def test_ports_that_do_not_fit_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(so.ProblemError, match=says):
        replace(two_by_two(), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0,), (-1, -2), (2, -1)])
def test_ports_have_entries(shape: tuple[int, ...]) -> None:
    with pytest.raises(so.ProblemError, match="every size must be positive"):
        Port("a", shape)


def test_json_keeps_ports_and_old_files_have_none() -> None:
    network = two_by_two()
    again = so.from_json(so.to_json(network))
    assert (again.inputs, again.outputs) == (network.inputs, network.outputs)
    old = json.loads(so.to_json(chain((2,), Relu())))
    fields = old
    while "inputs" not in fields or "notes" not in fields:
        fields = next(v for v in fields.values() if isinstance(v, dict))
    del fields["inputs"], fields["outputs"]
    assert so.from_json(json.dumps(old)).inputs == ()


def test_an_input_stands_first_and_alone() -> None:
    first = Node("x", Input((1,)))
    for nodes in ((), (Node("y", Input((1,))), first), (Node("y", Relu(), ("x",)), first)):
        with pytest.raises(so.ProblemError, match=r"exactly one Input|not a node|no earlier"):
            Network(nodes, "x")
