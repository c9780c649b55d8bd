"""What the reader of ONNX refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import ints, model_of, model_with, normal

import sparseopt as so

NETWORKS = Path(__file__).parents[3] / "examples" / "networks"


def custom_domain() -> onnx.ModelProto:
    model = model_of((1, 3), "Relu", domain="com.example")
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return model


def training_norm() -> onnx.ModelProto:
    four = {name: np.ones(3, np.float32) for name in "sbmv"}
    return model_of((1, 3), "BatchNormalization", four, opset=15, training_mode=1)


def cyclic() -> onnx.ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    return model_with([*nodes, helper.make_node("Relu", ["b"], ["y"])], (1, 3), {})


def interior_softmax() -> onnx.ModelProto:
    nodes = [helper.make_node("Softmax", ["x"], ["p"]), helper.make_node("Relu", ["p"], ["y"])]
    return model_with(nodes, (1, 3), {})


def nan_weight() -> onnx.ModelProto:
    weight = normal(3, 3)
    weight[1, 2] = np.nan
    return model_of((1, 3), "Gemm", {"w": weight}, transB=1)


def constant_output() -> onnx.ModelProto:
    return model_with([helper.make_node("Relu", ["c"], ["y"])], (1, 3), {"c": normal(1, 3)})


def no_output() -> onnx.ModelProto:
    model = model_of((1, 3), "Relu")
    del model.graph.output[:]
    return model


def constant_first() -> onnx.ModelProto:
    return model_with([helper.make_node("Gemm", ["w", "x"], ["y"])], (3, 1), {"w": normal(2, 3)})


def minus_infinity() -> onnx.ModelProto:
    mask, low = np.array([True, False, True]), np.float32(-np.inf)
    node = helper.make_node("Where", ["m", "x", "low"], ["y"])
    return model_with([node], (1, 3), {"m": mask, "low": np.array(low)})


def integer_input() -> onnx.ModelProto:
    return model_with([helper.make_node("Relu", ["x"], ["y"])], (1,), {}, dtype=TensorProto.INT64)


def interior_tanh() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Relu", ["t"], ["y"], name="bent"),
    ]
    return model_with(nodes, (1, 3), {})


def silu() -> onnx.ModelProto:
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    return model_with(nodes, (1, 3), {})


def branch() -> onnx.ModelProto:
    end = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    parts = [
        helper.make_graph([helper.make_node(op, ["x"], ["o"])], op, [], end)
        for op in ("Relu", "Neg")
    ]
    node = helper.make_node("If", ["c"], ["y"], then_branch=parts[0], else_branch=parts[1])
    many = helper.make_node("Greater", ["x", "zero"], ["all"])
    each = helper.make_node("Squeeze", ["all"], ["c"])
    return model_with([many, each, node], (1,), {"zero": np.float32(0)})


def twice() -> onnx.ModelProto:
    nodes = [helper.make_node(op, ["x"], ["a"]) for op in ("Relu", "Neg")]
    return model_with([*nodes, helper.make_node("Relu", ["a"], ["y"])], (1, 3), {})


def norm_with(**changed: np.ndarray) -> onnx.ModelProto:
    four = {name: np.ones(2, np.float32) for name in "sbmv"} | changed
    return model_of((1, 2), "BatchNormalization", four)


NAN = np.array([np.nan, 1.0], np.float32)
REFUSED: dict[str, tuple[Any, str]] = {
    "silu": (silu, r"\(Mul\).*the result of Sigmoid"),
    "no output": (no_output, "has no outputs"),
    "constant first matrix": (constant_first, "its first matrix is constant"),
    "minus infinity": (minus_infinity, r"has a -inf at entry \(1,\)"),
    "swish": (lambda: model_of((1, 3), "Swish", opset=24), "SiLU is not"),
    "group-norm": (
        lambda: model_of(
            (1, 4, 2, 2),
            "GroupNormalization",
            {"s": normal(4), "b": normal(4)},
            opset=21,
            num_groups=2,
        ),
        "divides by a function",
    ),
    "instance-norm": (
        lambda: model_of((1, 4, 2, 2), "InstanceNormalization", {"s": normal(4), "b": normal(4)}),
        "divides by a function",
    ),
    "attention": (
        lambda: model_of((1, 2, 3, 4), "Attention", {}, ["x", "x", "x"], opset=23),
        "attention multiplies",
    ),
    "branch": (branch, r"\(Squeeze\) is refused: it reads a condition|control flow"),
    "twice": (twice, "'a' is provided twice"),
    "nowhere": (
        lambda: model_with([helper.make_node("Add", ["x", "z"], ["y"])], (1, 3), {}),
        "reads 'z', which no earlier node provides",
    ),
    "empty-weight": (
        lambda: model_of((1, 4), "Gemm", {"w": np.zeros((4, 0), np.float32)}),
        r"'the_node' \(Gemm\).*zero-size layer",
    ),
    "gemm-misfit": (lambda: model_of((1, 4), "Gemm", {"w": normal(3, 2)}), "needs 3 entries"),
    "channels-misfit": (
        lambda: model_of((1, 4, 5, 5), "Conv", {"w": normal(2, 3, 3, 3)}),
        "needs 3 channels",
    ),
    "kernel-misfit": (
        lambda: model_of((1, 4, 2, 2), "Conv", {"w": normal(2, 4, 3, 3)}),
        "does not fit",
    ),
    "inf-bias": (
        lambda: model_of((1, 4), "Gemm", {"w": normal(4, 2), "b": np.float32([np.inf, 0])}),
        r"bias has a.? inf at entry \(0,\)",
    ),
    "nan-mean": (lambda: norm_with(m=NAN), "mean holds a NaN"),
    "negative-variance": (lambda: norm_with(v=np.float32([-1, 1])), "not positive"),
    "nothing-left": (
        lambda: model_of((1, 4), "Slice", {"a": ints(2), "b": ints(2), "i": ints(1)}),
        "without entries",
    ),
    "gelu": (lambda: model_of((1, 3), "Gelu", opset=20), r"'the_node' \(Gelu\).*GELU is not"),
    "tanh": (interior_tanh, r"'bent' \(Relu\) is refused.*Tanh, which is not piecewise linear"),
    "hard-swish": (lambda: model_of((1, 3), "HardSwish", opset=14), "two values that depend"),
    "layer-norm": (
        lambda: model_of((1, 3), "LayerNormalization", {"s": normal(3)}, opset=17),
        "divides by a function",
    ),
    "unknown": (
        lambda: model_of((1, 3), "CumProd", {"a": ints(1)}, opset=26),
        "not among|no oper|knows those up to",
    ),
    "square": (lambda: model_of((1, 3), "Mul", {}, ["x", "x"]), "two values that both depend"),
    "bilinear": (lambda: model_of((1, 3, 3), "MatMul", {}, ["x", "x"]), "both depend"),
    "reciprocal": (lambda: model_of((1, 3), "Div", {"c": normal(1)}, ["c", "x"]), "divides by a"),
    "divide-by-0": (lambda: model_of((1, 3), "Div", {"c": np.zeros(1, np.float32)}), "is 0 some"),
    "training": (training_norm, "training mode"),
    "softmax": (interior_softmax, "only understood at the end"),
    "custom": (custom_domain, "domain 'com.example'"),
    "cubic": (
        lambda: model_of(
            (1, 1, 3, 3), "Resize", {"": normal(4), "s": np.ones(4, np.float32) * 2}, mode="cubic"
        ),
        "mode 'cubic'",
    ),
    "nan": (nan_weight, r"'the_node' \(Gemm\).*nan at entry \(1, 2\)"),
    "float16": (
        lambda: model_of((1, 3), "Cast", {}, to=TensorProto.FLOAT16),
        "anything but float32",
    ),
    "constant": (constant_output, "does not depend on the input"),
    "integers": (integer_input, "INT64"),
    "cycle": (cyclic, "cycle"),
    "old": (lambda: model_of((1, 3), "Relu", opset=6), "version_converter"),
    "open": (lambda: model_of(("N", 3, "H", "W"), "Relu"), "pass example="),
    "empty": (onnx.ModelProto, "not an ONNX model"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_refusals_name_node_and_reason(name: str) -> None:
    build, words = REFUSED[name]
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(build())


def test_functions_of_a_model_are_read_through() -> None:
    model = model_of((1, 3), "Twice")
    model.graph.node[0].domain = "here"
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opsets = [helper.make_opsetid("", 13)]
    model.functions.append(helper.make_function("here", "Twice", ["a"], ["b"], body, opsets))
    model.opset_import.append(helper.make_opsetid("here", 1))
    assert so.load_network(model).run([1.0, -2.0, 3.0]).tolist() == [2, -4, 6]


def test_examples_fix_open_sizes() -> None:
    model = model_of(("N", 3, "H", "W"), "Relu")
    assert so.load_network(model, example=np.zeros((4, 3, 5, 6))).input_shape == (3, 5, 6)
    assert so.load_network(model, example=np.zeros((3, 5, 6))).input_shape == (3, 5, 6)
    for wrong in ((1, 4, 5, 6), (5, 6), (1, 1, 3, 5, 6)):
        with pytest.raises(so.ProblemError, match=r"the example has shape .*\(\?, 3, \?, \?\)"):
            so.load_network(model, example=np.zeros(wrong))


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(so.ProblemError, match="does not exist"):
        so.load_network(tmp_path / "missing.onnx")
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"this is not a protobuf message at all \xff\xfe")
    with pytest.raises(so.ProblemError, match=r"junk\.onnx"):
        so.load_network(junk)
    junk.write_bytes(b"")
    with pytest.raises(so.ProblemError, match="not an ONNX model"):
        so.load_network(junk)
    whole = (NETWORKS / "digits_mlp.onnx").read_bytes()
    for part in (0.1, 0.5, 0.9, 0.999):
        junk.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(so.ProblemError, match="cut short"):
            so.load_network(junk)
    junk.write_bytes(whole.replace(b"Relu", b"Re\xef\xbf"))
    with pytest.raises(so.ProblemError, match=r"junk\.onnx.*is not UTF-8; the file is damaged"):
        so.load_network(junk)


def test_a_misread_operator_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_onnx import reader as onnx_reader

    wrong = {**onnx_reader.OPERATORS, "Abs": onnx_reader.OPERATORS["Relu"]}
    monkeypatch.setattr(onnx_reader, "OPERATORS", wrong)
    with pytest.raises(so.ProblemError, match="differ by"):
        so.load_network(model_of((1, 3), "Abs"))
