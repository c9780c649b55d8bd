"""ONNX models with several inputs and outputs, and parts of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import ints, model_with, normal, two_heads

import sparseopt as so


def without_heads(model: onnx.ModelProto, x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    held = {t.name: numpy_helper.to_array(t).astype(float) for t in model.graph.initializer}
    a = np.maximum(x @ held["w"], 0) @ held["a"]
    b = y.ravel() @ held["w"] @ held["b"]
    return [a, np.concatenate([b, b])[1:5], held["c"][0]]


def test_outputs_are_joined_with_labels() -> None:
    model = two_heads()
    network = so.load_network(model, example={"y": np.zeros((1, 3, 1))})
    assert [(p.name, p.shape) for p in network.inputs] == [("x", (3,)), ("y", (3, 1))]
    assert [(p.name, p.shape) for p in network.outputs] == [("pa", (2,)), ("pb", (4,)), ("c", (2,))]
    assert network.output_labels is not None
    assert network.output_labels[:3] == ("pa[0]", "pa[1]", "pb[0]")
    assert not any("not compared" in note for note in network.notes)
    x, y = np.array([0.5, -1.0, 2.0]), np.array([[1.0], [0.25], [-3.0]])
    found = network.by_output(network.run({"x": x, "y": y}))
    for name, right in zip(("pa", "pb", "c"), without_heads(model, x, y), strict=True):
        assert found[name] == pytest.approx(right, rel=1e-6)
    answer = so.solve(so.PathNorm(network)).answer
    alone = 0.0
    for name in ("pa", "pb"):
        part = so.load_network(model, example={"y": np.zeros((1, 3, 1))}, outputs=name)
        alone += so.solve(so.PathNorm(part)).answer.value
    constant = network.by_output(10.0**answer.per_output_log10)["c"]
    assert answer.value == pytest.approx(alone + constant.sum(), rel=1e-9)
    report = so.analyze(network, only="path_norms")
    finding = next(f for f in report.findings if f.rule == "path-norm")
    assert "by output: pa " in finding.message
    parts = finding.value["log10_by_output"]
    assert sum(10**part for part in parts.values()) == pytest.approx(answer.value, rel=1e-9)
    slow = so.solve(so.PathNorm(network), solver="path_enumeration").answer
    assert slow.value == pytest.approx(answer.value, rel=1e-12)


def test_open_sizes_of_what_is_not_needed_stay_open(tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    onnx.save(two_heads(), path)
    with pytest.raises(so.ProblemError, match=r"has no output '1\.5'"):
        so.load_network(path, outputs=1.5)
    network = so.load_network(path, outputs=["pa"])
    assert [port.name for port in network.inputs] == ["x"]
    assert network.outputs[0].name == "pa"
    for until, shape in (("bent", (4,)), ("first", (4,)), ("za", (2,))):
        assert so.load_network(path, until=until).output_shape == shape
    with pytest.raises(so.ProblemError, match=r"'y' has the dynamic shape .*--shape y=1,3,64,64"):
        so.load_network(path)


@pytest.mark.parametrize("batch", [1, 4])
def test_fixed_batches_of_all_inputs(batch: int) -> None:
    model = two_heads(batch)
    model.graph.output.pop()  # the constant, which is one for all samples
    network = so.load_network(model, example={"y": np.zeros((batch, 3, 1))})
    assert network.input_shape == (6,)
    assert not any("not compared" in note for note in network.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"until": "bend"}, r"no node 'bend'; did you mean 'bent'"),
        ({"outputs": "p"}, r"no output 'p'; its outputs are pa, pb, c"),
        ({"outputs": ["pa", 0]}, "twice"),
        ({"outputs": [3]}, "no output '3'"),
        ({"outputs": [True]}, "no output 'True'"),
        ({"outputs": []}, "empty"),
        ({"outputs": ["c"]}, "does not depend on the input"),
        ({"outputs": "pa", "until": "bent"}, "not both"),
        ({"until": 3}, "until is 3; give the name of a node"),
        ({"example": np.zeros((1, 3))}, "takes 2 inputs"),
        ({"example": {"z": np.zeros((1, 3))}}, "no input 'z'; its inputs are x, y"),
    ],
)
def test_choices_that_do_not_fit(options: dict[str, Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(two_heads(), **options)


def test_refusals_name_the_option_that_helps() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], name="bent"),
        helper.make_node("Erf", ["r"], ["e"], name="curved"),
        helper.make_node("Neg", ["x"], ["m"], name="turned"),
    ]
    model = model_with(nodes, (1, 3), {}, outputs=("e", "m"))
    with pytest.raises(so.ProblemError, match=r"until='bent' \(--until.*outputs= \(--output\)"):
        so.load_network(model)
    assert so.load_network(model, until="bent").output_shape == (3,)
    assert so.load_network(model, outputs="m").run([1.0, -2.0, 0.0]).tolist() == [-1, 2, 0]


def test_integers_are_refused_in_one_sentence_and_only_where_they_are_needed() -> None:
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["row"]),
        helper.make_node("Relu", ["x"], ["y"]),
    ]
    model = model_with(nodes, (1, 3), {"table": normal(5, 3)}, outputs=("row", "y"))
    model.graph.input.append(helper.make_tensor_value_info("ids", TensorProto.INT64, (1,)))
    with pytest.raises(so.ProblemError, match=r"'ids' has dtype INT64.*embedding.*outputs="):
        so.load_network(model)
    assert [port.name for port in so.load_network(model, outputs="y").inputs] == ["x"]


def test_a_constant_output_must_be_a_number() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Shape", ["x"], ["s"])]
    model = model_with(nodes, (1, 3), {}, outputs=("y", "s"))
    with pytest.raises(so.ProblemError, match=r"'s' is a constant of dtype int64.*outputs="):
        so.load_network(model)
    assert so.load_network(model, outputs=0).output_shape == (3,)


def test_entries_are_moved_after_entrywise_heads_only() -> None:
    for head, fits in (("Sigmoid", True), ("Tanh", True), ("Softmax", False)):
        nodes = [
            helper.make_node(head, ["x"], ["p"]),
            helper.make_node("Gather", ["p", "i"], ["y"], axis=1),
        ]
        model = model_with(nodes, (1, 3), {"i": ints(2, 0)})
        if fits:
            assert so.load_network(model).run([1.0, 2.0, 3.0]).tolist() == [3, 1]
        else:
            with pytest.raises(so.ProblemError, match="only understood at the end"):
                so.load_network(model)


def test_a_leading_size_that_is_mixed_is_no_batch() -> None:
    nodes = [
        helper.make_node("ReduceSum", ["x", "first"], ["s"], keepdims=0),
        helper.make_node("Add", ["x", "y"], ["t"]),
    ]
    model = model_with(nodes, (4, 3), {"first": ints(0)}, outputs=("s", "t"))
    model.graph.input.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, (4, 3)))
    network = so.load_network(model)
    assert [port.shape for port in network.outputs] == [(3,), (4, 3)]
    assert not any("not compared" in note for note in network.notes)
