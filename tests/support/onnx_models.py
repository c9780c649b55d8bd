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
