"""ONNX files that nobody wrote in good faith, or that a disk has damaged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from confined import is_decent, outcomes
from onnx import TensorProto, helper, numpy_helper
from onnx_models import (
    ints,
    model_of,
    model_with,
    nested_branches,
    nested_functions,
    normal,
    sparse,
)

import sparseopt as so

HUGE = 1 << 40


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def chain(op: str, count: int, **constants: np.ndarray) -> onnx.ModelProto:
    """Return a model that doubles a constant `count` times, and adds a part of it to x."""
    nodes = []
    for i in range(count):
        inputs = f"c{i} c{i}" if op in ("Concat", "Einsum") else f"c{i} {' '.join(constants)}"
        extra = {"axis": 0} if op == "Concat" else {}
        nodes.append(node(op, inputs, f"c{i + 1}", **extra))
    nodes += [node("ReduceMax", f"c{count}", "m", keepdims=0), node("Add", "x m", "y")]
    return model_with(nodes, (1, 4), {"c0": np.ones(2, np.float32), **constants})


def doubled_value(count: int) -> onnx.ModelProto:
    nodes = [
        node("Concat", f"{f'v{i}' if i else 'x'} {f'v{i}' if i else 'x'}", f"v{i + 1}", axis=1)
        for i in range(count)
    ]
    return model_with([*nodes, node("ReduceMax", f"v{count}", "y")], (1, 4), {})


def constant(op: str, order: str, constants: dict[str, np.ndarray], **extra: Any) -> Any:
    """Return a model that adds the result of a constant node to x."""
    opset = extra.pop("opset", 13)
    nodes = [node(op, order, "result", **extra), node("Cast", "result", "f", to=1)]
    nodes += [node("ReduceMax", "f", "m", keepdims=0), node("Add", "x m", "y")]
    return model_with(nodes, (1, 4), constants, opset)


def conv(shape: tuple[int, ...] = (1, 1, 5, 5), **attributes: Any) -> onnx.ModelProto:
    return model_of(shape, "Conv", {"w": normal(1, 1, 3, 3)}, **attributes)


def pool(op: str = "MaxPool", **attributes: Any) -> onnx.ModelProto:
    return model_of((1, 1, 5, 5), op, **{"kernel_shape": [2, 2], **attributes})


def resized(scales: list[float], **attributes: Any) -> onnx.ModelProto:
    return model_of(
        (1, 1, 4, 4), "Resize", {"": normal(1), "s": np.float32(scales)}, mode="nearest"
    )


def tensor(edit: Callable[[TensorProto], Any]) -> onnx.ModelProto:
    """Return a dense layer whose weight was changed."""
    model = model_of((1, 4), "Gemm", {"w": normal(4, 3)})
    edit(model.graph.initializer[0])
    return model


def with_dims(*dims: int) -> onnx.ModelProto:
    def edit(t: TensorProto) -> None:
        del t.dims[:]
        t.dims.extend(dims)

    return tensor(edit)


def typed(kind: int, **fields: Any) -> onnx.ModelProto:
    def edit(t: TensorProto) -> None:
        t.ClearField("raw_data")
        t.data_type = kind
        for name, values in fields.items():
            getattr(t, name).extend(values)

    return tensor(edit)


def twice_named() -> onnx.ModelProto:
    model = model_of((1, 4), "Gemm", {"w": normal(4, 3)})
    model.graph.initializer.append(model.graph.initializer[0])
    return model


def two_opsets() -> onnx.ModelProto:
    model = model_of((1, 4), "Relu")
    model.opset_import.append(helper.make_opsetid("", 9))
    return model


def declared(*shape: int) -> onnx.ModelProto:
    return model_of(shape, "Relu")


def many_nodes(count: int) -> onnx.ModelProto:
    nodes = [node("Relu", f"v{i}" if i else "x", f"v{i + 1}") for i in range(count)]
    return model_with(nodes, (1, 2), {}, outputs=(f"v{count}",))


def many_live(count: int) -> onnx.ModelProto:
    """Return a sum of many large values, all of which are needed at once."""
    names = [f"v{i}" for i in range(count)]
    nodes = [node("Relu", "x", name) for name in names]
    return model_with([*nodes, node("Sum", " ".join(names), "y")], (1, 1 << 27), {})


def many_indices(count: int) -> onnx.ModelProto:
    """Return a chain of transpositions of blocks, each of which holds positions."""
    nodes = [
        node("Slice", f"{f'v{i}' if i else 'x'} a b axis s", f"v{i + 1}") for i in range(count)
    ]
    places = {"a": ints(-1), "b": ints(-(1 << 62)), "axis": ints(1), "s": ints(-1)}
    return model_with([*nodes, node("ReduceMax", f"v{count}", "y")], (1, 1 << 24), places)


def many_copies(count: int) -> onnx.ModelProto:
    """Return scaled copies of one large matrix."""
    names = [f"v{i}" for i in range(count)]
    nodes = [node("Gemm", "x w", name, alpha=2.0) for name in names]
    nodes.append(node("Sum", " ".join(names), "y"))
    return model_with(nodes, (1, 1 << 10), {"w": np.ones((1 << 10, 1 << 12), np.float32)})


def many_folds(count: int) -> onnx.ModelProto:
    """Return maxima of one large constant, each of which is soon said and long computed."""
    fill = numpy_helper.from_array(np.float32([1]))
    nodes = [node("ConstantOfShape", "s", "c", value=fill)]
    nodes += [node("ReduceMax", "c", f"m{i}", keepdims=0) for i in range(count)]
    nodes.append(node("Sum", " ".join(["x", *(f"m{i}" for i in range(count))]), "y"))
    return model_with(nodes, (1, 4), {"s": ints(1 << 26)})


def equal_names(count: int) -> onnx.ModelProto:
    model = many_nodes(count)
    for item in model.graph.node:
        item.name = "same"
    return model


def escape() -> onnx.ModelProto:
    model = model_of((1, 3), "Evil\x1b[2J")
    return model


def unknown_attribute(op: str, **attributes: Any) -> onnx.ModelProto:
    return model_of((1, 4, 4, 4), op, **attributes)


def strange_reference() -> onnx.ModelProto:
    model = model_of((1, 3), "LeakyRelu", alpha=0.1)
    model.graph.node[0].attribute[0].ref_attr_name = "outer"
    return model


def repeated_attribute() -> onnx.ModelProto:
    model = model_of((1, 3), "LeakyRelu", alpha=0.1)
    model.graph.node[0].attribute.append(helper.make_attribute("alpha", 0.2))
    return model


def dequantized(**attributes: Any) -> onnx.ModelProto:
    nodes = [
        node("DequantizeLinear", "q s", "w", **attributes),
        node("Gemm", "x w", "y", transB=1),
    ]
    constants = {"q": np.ones((4, 4), np.int8), "s": np.ones((4, 2), np.float32)}
    return model_with(nodes, (1, 4), constants, opset=21)


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    # Constants that grow
    "concat": (lambda: chain("Concat", 60), "Concat.*at most"),
    "tile": (lambda: chain("Tile", 60, r=ints(2)), "Tile.*at most"),
    "expand": (lambda: constant("Expand", "a s", {"a": normal(1), "s": ints(HUGE)}), "at most"),
    "of-shape": (lambda: constant("ConstantOfShape", "s", {"s": ints(HUGE, HUGE)}), "at most"),
    "of-shape-negative": (lambda: constant("ConstantOfShape", "s", {"s": ints(-2)}), "negative"),
    "range": (lambda: constant("Range", "a b c", {"a": np.array(0), "b": np.array(HUGE),
                                                  "c": np.array(1)}), "at most"),
    "range-0": (lambda: constant("Range", "a b c", {"a": np.array(0), "b": np.array(5),
                                                    "c": np.array(0)}), "no range"),
    "pad": (lambda: constant("Pad", "a p", {"a": normal(1), "p": ints(HUGE, 0)}), "at most"),
    "one-hot": (lambda: constant("OneHot", "a d v", {"a": ints(1, 2), "d": np.array(HUGE),
                                                     "v": ints(0, 1)}), "at most"),
    "outer": (lambda: constant("Mul", "a b", {"a": np.ones((1 << 15, 1), np.float32),
                                              "b": np.ones((1, 1 << 15), np.float32)}), "at most"),
    "outer-matmul": (lambda: constant("MatMul", "a b", {"a": np.ones((1 << 15, 1), np.float32),
                                                        "b": np.ones((1, 1 << 15), np.float32)}),
                     "at most"),
    "gather": (lambda: constant("Gather", "a i", {"a": np.ones((1, 1 << 15), np.float32),
                                                  "i": np.zeros(1 << 15, np.int64)}), "at most"),
    "outputs": (lambda: constant("Split", "a", {"a": normal(4)}, num_outputs=HUGE, opset=18),
                "num_outputs"),
    "blocks": (lambda: dequantized(axis=1, block_size=HUGE), "blocks of"),
    "random": (lambda: constant("RandomNormal", "", {}, shape=[HUGE]), "not computed"),
    "folds": (lambda: many_folds(2000), "too long"),
    # Values that grow
    "value-concat": (lambda: doubled_value(60), "Concat.*at most"),
    "value-expand": (lambda: model_of((1, 4), "Expand", {"s": ints(HUGE, 4)}), "at most"),
    "value-tile": (lambda: model_of((1, 4), "Tile", {"r": ints(HUGE, 1)}), "at most"),
    "value-pad": (lambda: model_of((1, 4), "Pad", {"p": ints(0, HUGE, 0, 0)}), "at most"),
    "value-gather": (lambda: model_of((1, 1 << 14), "Gather",
                                      {"i": np.zeros(1 << 15, np.int64)}), "at most"),
    "value-add": (lambda: model_of((1, 1 << 15, 1), "Add",
                                   {"b": np.ones((1, 1 << 15), np.float32)}), "at most"),
    "value-resize": (lambda: resized([1, 1, 1e9, 1e9]), "at most"),
    "resize-nan": (lambda: resized([1, 1, float("nan"), 1]), "do not fit"),
    "resize-0": (lambda: resized([1, 1, 0, 1]), "do not fit"),
    "conv-pads": (lambda: conv(pads=[HUGE] * 4), "at most"),
    "conv-strided-pads": (lambda: conv(pads=[HUGE] * 4, strides=[HUGE] * 2), "at most"),
    "conv-dilation": (lambda: conv(pads=[HUGE] * 4, dilations=[HUGE] * 2), "at most"),
    "conv-stride-0": (lambda: conv(strides=[0, 0]), "strides"),
    "conv-stride-negative": (lambda: conv(strides=[-1, -1]), "strides"),
    "conv-pads-negative": (lambda: conv(pads=[-1] * 4), "pads"),
    "conv-groups-0": (lambda: conv(group=0), "groups"),
    "transpose-stride": (lambda: model_of((1, 1, 5, 5), "ConvTranspose",
                                          {"w": normal(1, 1, 3, 3)}, strides=[HUGE, 1]),
                         "at most"),
    "transpose-cut": (lambda: model_of((1, 1, 5, 5), "ConvTranspose", {"w": normal(1, 1, 3, 3)},
                                       strides=[HUGE, 1], output_shape=[3, 3]), "at most"),
    "pool-kernel": (lambda: pool(kernel_shape=[HUGE, 2], pads=[HUGE, 0, HUGE, 0]), "hold more"),
    "pool-pads": (lambda: pool(pads=[HUGE] * 4), "hold more"),
    "pool-stride-0": (lambda: pool(strides=[0, 1]), "strides"),
    "average-dilation": (lambda: pool("AveragePool", strides=[HUGE, 1], pads=[HUGE, 0, HUGE, 0]),
                         "padding|hold more"),
    "input": (lambda: declared(1, HUGE, HUGE), "at most"),
    "batch": (lambda: declared(HUGE, 4), "at most"),
    "axes": (lambda: declared(*[1] * 50), "axes"),
    "live": (lambda: many_live(5), "holds"),
    "indices": (lambda: many_indices(40), "hold more"),
    "copies": (lambda: many_copies(200), "hold more"),
    "edges": (lambda: model_of((1, 1, 1 << 12, 1 << 12), "AveragePool",
                               kernel_shape=[1 << 12] * 2, pads=[1 << 11] * 4), "edges"),
    # Graphs
    "functions": (lambda: nested_functions(60), "more than 100000 nodes"),
    "recursion": (lambda: nested_functions(3, loop=True), "without end"),
    "branches": (lambda: nested_branches(12), "^read$"),
    "many": (lambda: many_nodes(100_001), "more than 100000 nodes"),
    "escape": (escape, r"\(Evil\\x1b"),
    # Tensors
    "dims-huge": (lambda: with_dims(HUGE, HUGE), "needs"),
    "dims-negative": (lambda: with_dims(-1, 3), "shape"),
    "dims-more": (lambda: with_dims(5, 3), "needs 60 bytes, and it holds 48"),
    "dims-less": (lambda: with_dims(3, 3), "needs 36 bytes, and it holds 48"),
    "dims-many": (lambda: with_dims(*[1] * 2000), "shape"),
    "raw-short": (lambda: tensor(lambda t: setattr(t, "raw_data", b"123")), "holds 3"),
    "typed-short": (lambda: typed(1, float_data=[1.0]), "needs 12 numbers, and it holds 1"),
    "typed-wrong": (lambda: typed(1, double_data=[1.0] * 12), "holds 0"),
    "typed-both": (lambda: tensor(lambda t: t.float_data.extend([1.0] * 12)), "another kind"),
    "no-type": (lambda: typed(0), "type UNDEFINED"),
    "strange-type": (lambda: typed(99), "type 99"),
    "text": (lambda: typed(8, string_data=[b"a"] * 12), "type STRING"),
    "complex": (lambda: typed(14, float_data=[1.0] * 24), "type COMPLEX64"),
    "truth": (lambda: constant("Cast", "a", {"a": np.frombuffer(b"\x02\x01", bool)}, to=1),
              "neither 0 nor 1"),
    "segment": (lambda: tensor(lambda t: t.segment.SetInParent()), "not in the file"),
    "sparse-huge": (lambda: sparse([HUGE, HUGE], ints(1)), "at most"),
    "sparse-outside": (lambda: sparse([3, 4], ints(12)), "outside"),
    "sparse-before": (lambda: sparse([3, 4], ints(-1)), "outside"),
    "sparse-pairs": (lambda: sparse([3, 4], np.array([[3, 0]])), "outside"),
    "sparse-dims": (lambda: sparse([-3, -4], ints(1)), "shape"),
    "sparse-misfit": (lambda: sparse([3, 4], np.array([[0, 0, 0]])), "indices of shape"),
    "same-name": (twice_named, "two initializers"),
    "two-opsets": (two_opsets, "uses operator set"),
    "opset-99": (lambda: model_of((1, 3), "Relu", opset=99), "update onnx"),
    # Attributes
    "attribute": (lambda: unknown_attribute("Relu", power=2), "'power' is unknown"),
    "space-crd": (lambda: unknown_attribute("SpaceToDepth", blocksize=2, mode="CRD"), "mode"),
    "depth-mode": (lambda: unknown_attribute("DepthToSpace", blocksize=2, mode="DRC"), "'DRC'"),
    "depth-block": (lambda: unknown_attribute("DepthToSpace", blocksize=0), "blocks of 0"),
    "auto-pad": (lambda: conv(auto_pad="SAME"), "auto_pad 'SAME'"),
    "kernel": (lambda: conv(kernel_shape=[1, 1]), "contradicts"),
    "pad-mode": (lambda: model_of((1, 4), "Pad", {"p": ints(0, 1, 0, 1)}, mode="mirror"),
                 "mode 'mirror'"),
    "flag": (lambda: model_of((1, 4), "Gemm", {"w": normal(4, 4)}, transB=2), "transB is 2"),
    "attribute-type": (lambda: model_of((1, 4), "LeakyRelu", alpha=1), "not have the type"),
    "attribute-reference": (strange_reference, "not have the type"),
    "attribute-twice": (repeated_attribute, "attribute twice"),
    "attribute-missing": (lambda: model_of((1, 4), "Concat", {"c": normal(1, 4)}), "is missing"),
    "inputs": (lambda: model_of((1, 4), "Relu", {"c": normal(4)}), "2 inputs; 1 are expected"),
    "float-shape": (lambda: model_of((1, 4), "Reshape", {"s": np.float32([2.7, 2])}), "integers"),
    "long-shape": (lambda: model_of((1, 4), "Reshape", {"s": np.full(1 << 16, 1 << 40)}),
                   "integers"),
    "hidden-sizes": (lambda: model_of((1, 4), "Concat", {"c": normal(1 << 21, 0)}, axis=0),
                     "without entries"),
    "axis": (lambda: model_of((1, 4), "ReduceMax", axes=[7]), "axes"),
    "perm": (lambda: model_of((1, 4), "Transpose", perm=[0, 0]), "perm"),
    "transpose-pad": (lambda: model_of((1, 4), "Slice", {"a": ints(0), "b": ints(3), "i": ints(1),
                                                         "s": ints(0)}), "do not fit"),
}  # fmt: skip
LONG = {"concat", "folds", "indices"}


def test_hostile_models_are_refused_in_one_sentence(tmp_path: Path) -> None:
    refuse(set(MODELS) - LONG, tmp_path)


@pytest.mark.slow
def test_models_that_are_long_in_asking_too_much(tmp_path: Path) -> None:
    refuse(LONG, tmp_path)


def refuse(names: set[str], folder: Path) -> None:
    """Read models from files, in a process with little memory to spare."""
    for name in names:
        (folder / f"{name}.onnx").write_bytes(MODELS[name][0]().SerializeToString())
    found = outcomes(folder / f"{name}.onnx" for name in sorted(names))
    wrong = {
        name: outcome
        for name, outcome in found.items()
        if not re.search(MODELS[name][1], outcome) or not is_decent(outcome)
    }
    assert wrong == {}
    assert len(found) == len(names)


def test_equal_names_take_no_quadratic_time() -> None:
    assert len(so.load_network(equal_names(5_000)).nodes) == 5_001


def test_parts_that_nothing_needs_are_not_run() -> None:
    """The comparison with other software gets those nodes only that the reader has read."""
    nodes = [node("Relu", "x", "y"), node("ConstantOfShape", "s", "unused")]
    network = so.load_network(model_with(nodes, (1, 4), {"s": ints(HUGE)}))
    assert network.notes == ()


def test_millions_of_fields_are_counted_before_they_are_parsed(tmp_path: Path) -> None:
    nodes = b"\x0a\x00" * 2_000_001
    path = tmp_path / "fields.onnx"
    path.write_bytes(b"\x3a" + _varint(len(nodes)) + nodes)
    (outcome,) = outcomes([path]).values()
    assert "has more than 2000000 fields" in outcome


def test_deep_messages_are_refused(tmp_path: Path) -> None:
    graph = b""
    for _ in range(200):  # graph.node.attribute.g
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            graph = tag + _varint(len(graph)) + graph
    path = tmp_path / "deep.onnx"
    path.write_bytes(b"\x3a" + _varint(len(graph)) + graph)
    with pytest.raises(so.ProblemError, match="nested too deeply"):
        so.load_network(path)


def _varint(number: int) -> bytes:
    result = b""
    while number > 127:
        result += bytes([number & 127 | 128])
        number >>= 7
    return result + bytes([number])


@pytest.mark.parametrize("kind", ["hostile", "pipe", "device"])
def test_the_command_ends_with_code_2(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.onnx"
    if kind == "hostile":
        path.write_bytes(chain("Concat", 60).SerializeToString())
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    done = subprocess.run(
        [sys.executable, "-m", "sparseopt", "analyze", str(path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr
