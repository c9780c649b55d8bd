"""Small ONNX models for the tests of the reader."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(3)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def model_of(
    shape: tuple[Any, ...],
    op: str,
    constants: dict[str, np.ndarray] | None = None,
    order: list[str] | None = None,
    opset: int = 13,
    **attributes: Any,
) -> onnx.ModelProto:
    """Return the model of one operator on ``x``, with constants after it."""
    constants = constants or {}
    names = order or ["x", *constants]
    node = helper.make_node(op, names, ["y"], name="the_node", **attributes)
    return model_with([node], shape, constants, opset)


def model_with(
    nodes: list[onnx.NodeProto],
    shape: tuple[Any, ...],
    constants: dict[str, np.ndarray],
    opset: int = 13,
    outputs: tuple[str, ...] = ("y",),
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name],
    )
    ir = 8 if opset < 20 else 10
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def nested_functions(depth: int, loop: bool = False) -> onnx.ModelProto:
    """Return functions of which each calls the next one twice, or the first one."""
    model = model_of((1, 3), "F0")
    model.graph.node[0].domain = "f"
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("f", 1)]
    for i in range(depth):
        last = "F0" if loop else "Relu"
        name = f"F{i + 1}" if i + 1 < depth else last
        domain = "" if name == "Relu" else "f"
        body = [helper.make_node(name, [a], [b], domain=domain) for a, b in ("ab", "bc")]
        model.functions.append(helper.make_function("f", f"F{i}", ["a"], ["c"], body, opsets))
    model.opset_import.append(helper.make_opsetid("f", 1))
    return model


def nested_branches(depth: int) -> onnx.ModelProto:
    end = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    inner = helper.make_graph([helper.make_node("Relu", ["x"], ["o"])], "g", [], end)
    for _ in range(depth):
        branch = helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([branch], "g", [], end)
    top = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    return model_with([top], (1, 3), {"c": np.array(True)})


def sparse(dims: list[int], places: np.ndarray) -> onnx.ModelProto:
    model = model_with([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], (1, 4), {})
    values = numpy_helper.from_array(np.ones(len(places), np.float32), "w")
    indices = numpy_helper.from_array(places, "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, dims))
    return model


def two_heads(batch: Any = "n") -> onnx.ModelProto:
    """Two inputs through one layer, a head each, and a constant."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="bent"),
        helper.make_node("Reshape", ["y", "flat"], ["v"]),
        helper.make_node("Gemm", ["v", "w"], ["k"], name="second"),
        helper.make_node("Gemm", ["r", "a"], ["za"], name="a"),
        helper.make_node("Softmax", ["za"], ["pa"], name="softmax"),
        helper.make_node("Gemm", ["k", "b"], ["zb"], name="b"),
        helper.make_node("Sigmoid", ["zb"], ["sb"], name="sigmoid"),
        helper.make_node("Tanh", ["zb"], ["tb"], name="tanh"),
        helper.make_node("Concat", ["tb", "sb"], ["both"], axis=1),
        helper.make_node("Slice", ["both", "one", "five"], ["pb"], name="cut"),
    ]
    constants = {
        "w": normal(3, 4),
        "a": normal(4, 2),
        "b": normal(4, 3),
        "c": normal(1, 2),
        "flat": ints(0, -1),
        "one": ints(0, 1),
        "five": ints(9, 5),
    }
    model = model_with(nodes, (batch, 3), constants, outputs=("pa", "pb", "c"))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (batch, 3, "m"))
    model.graph.input.append(y)
    return model
