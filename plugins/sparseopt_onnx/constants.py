"""Computes constant nodes of ONNX graphs: those whose results have a size known beforehand.

Weights are often stored transposed, quantized, or behind a chain of shape arithmetic. Only
operators of the table below are computed, and only once the number of entries that they will give
has been counted; so a graph that doubles a tensor sixty times stops at the first step too many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt.tools.reading.budget import MOST_AXES, Budget, require_room
from sparseopt_onnx.tensors import sparse_array, tensor_array

Arrays = Sequence[np.ndarray]


def _as_first(inputs: Arrays, attributes: dict[str, Any]) -> int:
    """Return an upper bound for operators that do not make their first input larger."""
    return max(inputs[0].size, inputs[0].ndim)


def _together(inputs: Arrays, attributes: dict[str, Any]) -> int:
    return sum(a.size for a in inputs)


def _broadcast(inputs: Arrays, attributes: dict[str, Any]) -> int:
    return math.prod(np.broadcast_shapes(*(a.shape for a in inputs)))


def _ints(array: np.ndarray, each: int = 1) -> list[int]:
    """Return the sizes that an array holds, `each` for every axis of a tensor."""
    if array.dtype.kind not in "iu" or array.size > each * MOST_AXES:
        raise so.ProblemError(
            f"sizes of at most {MOST_AXES} axes are expected, and it has {array.size} entries of "
            f"type {array.dtype}"
        )
    return [int(n) for n in array.ravel()]


def _expand(inputs: Arrays, attributes: dict[str, Any]) -> int:
    return math.prod(np.broadcast_shapes(inputs[0].shape, tuple(_ints(inputs[1]))))


def _tile(inputs: Arrays, attributes: dict[str, Any]) -> int:
    return inputs[0].size * math.prod(max(0, n) for n in _ints(inputs[1]))


def _gather(inputs: Arrays, attributes: dict[str, Any]) -> int:
    axis = attributes.get("axis", 0)
    return inputs[1].size * inputs[0].size // max(1, inputs[0].shape[axis])


def _range(inputs: Arrays, attributes: dict[str, Any]) -> int:
    start, stop, step = (a.reshape(()).item() for a in inputs)
    if not step or not all(map(math.isfinite, (start, stop, step))):
        raise so.ProblemError(f"there is no range from {start} to {stop} in steps of {step}")
    return max(0, math.ceil((stop - start) / step))


def _one_hot(inputs: Arrays, attributes: dict[str, Any]) -> int:
    indices, depth, values = inputs
    if depth.size != 1 or values.shape != (2,) or depth.dtype.kind not in "iuf":
        raise so.ProblemError(
            "it takes one depth and two values, and its inputs have shapes "
            f"{indices.shape}, {depth.shape} and {values.shape}"
        )
    count, axis = float(depth.reshape(())), int(attributes.get("axis", -1))
    if not 1 <= count < math.inf or not -indices.ndim - 1 <= axis <= indices.ndim:
        raise so.ProblemError(
            f"its depth is {count:g} and its axis {axis}; a depth of at least 1 and an axis from "
            f"{-indices.ndim - 1} to {indices.ndim} are expected"
        )
    return indices.size * int(count)


def _product(inputs: Arrays, attributes: dict[str, Any]) -> int:
    a, b = (m.shape if m.ndim > 1 else (*m.shape, 1) for m in inputs[:2])
    rows = a[-1] if attributes.get("transA", 0) or inputs[0].ndim == 1 else a[-2]
    columns = b[-2] if attributes.get("transB", 0) else b[-1]
    return math.prod(np.broadcast_shapes(a[:-2], b[:-2])) * rows * columns


def _pad(inputs: Arrays, attributes: dict[str, Any]) -> int:
    x = inputs[0]
    pads = _ints(inputs[1], 2) if len(inputs) > 1 else attributes["pads"]
    if len(inputs) > 3 or len(pads) != 2 * x.ndim:
        raise so.ProblemError("the pads of a constant must name every axis")
    ends = zip(x.shape, pads[: x.ndim], pads[x.ndim :], strict=True)
    return math.prod(n + max(0, a) + max(0, b) for n, a, b in ends)


def _like_second(inputs: Arrays, attributes: dict[str, Any]) -> int:
    return inputs[1].size


def _nonzero(inputs: Arrays, attributes: dict[str, Any]) -> int:
    return inputs[0].size * max(1, inputs[0].ndim)


Size = Callable[[Arrays, dict[str, Any]], int]

_UNARY = (
    "Abs Acos Acosh ArgMax ArgMin Asin Asinh Atan Atanh Cast CastLike Ceil CumSum DepthToSpace "
    "DequantizeLinear Elu Erf Exp EyeLike Flatten Floor HardSigmoid IsInf IsNaN LeakyRelu Log "
    "Neg Not Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean "
    "ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Selu Shape Sigmoid Sign "
    "Sin Sinh Size Slice Softplus Softsign SpaceToDepth Split Sqrt Squeeze Tan Tanh Transpose "
    "Trilu Unsqueeze"
)
_ENTRYWISE = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Clip Div Equal Greater GreaterOrEqual Less "
    "LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
)
_SIZES: dict[str, Size] = {
    **dict.fromkeys(_UNARY.split(), _as_first),
    **dict.fromkeys(_ENTRYWISE.split(), _broadcast),
    "Concat": _together,
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _like_second,
    "Gemm": _product,
    "MatMul": _product,
    "NonZero": _nonzero,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "ScatterElements": _as_first,
    "ScatterND": _as_first,
    "Tile": _tile,
}

# The reference implementation goes through these entry by entry, in Python.
_STEPS = {"ScatterElements": 10_000, "ScatterND": 10_000}
_NUMBERS = tuple(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(code)) for code in "?bBhHiIlLefd")


def compute(
    node: onnx.NodeProto, inputs: list[np.ndarray], opset: int, budget: Budget
) -> list[np.ndarray]:
    """Return the outputs of a node whose inputs are all constant.

    Raises
    ------
    ProblemError
        For operators that are not computed, and results that are too large.
    """
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Constant":
        return [_constant(attributes, budget)]
    if node.op_type == "Identity":
        return inputs
    if node.op_type == "ConstantOfShape":
        return [_filled(_ints(inputs[0]), attributes.get("value"), budget)]
    results = evaluate(node, inputs, opset, budget)
    budget.keep(_together(results, attributes))
    return results


def evaluate(
    node: onnx.NodeProto, inputs: list[np.ndarray], opset: int, budget: Budget
) -> list[np.ndarray]:
    """Return the outputs of a node of the table above, once there is room for them."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type not in _SIZES:
        raise so.ProblemError("this operator is not computed; fold the constants of the model")
    if node.op_type == "Cast" and attributes["to"] not in _NUMBERS:
        raise so.ProblemError("constants are cast to ordinary numbers only")
    if attributes.get("num_outputs", len(node.output)) != len(node.output):
        raise so.ProblemError(f"num_outputs differs from its {len(node.output)} outputs")
    count = _SIZES[node.op_type](inputs, attributes)
    require_room((count,))
    budget.compute(count, _steps(node, inputs) * max(count, _together(inputs, attributes)))
    return _evaluated(node, inputs, opset)


def _steps(node: onnx.NodeProto, inputs: Arrays) -> int:
    """Return how often the operator touches a number, up to a factor."""
    if _SIZES[node.op_type] is not _product:
        return _STEPS.get(node.op_type, 1)
    inner = max(inputs[0].shape[-2:], default=1)
    return inner if inputs[0].dtype.kind in "iu" else 1 + inner // 64  # floats go through BLAS


def _constant(attributes: dict[str, Any], budget: Budget) -> np.ndarray:
    if len(attributes) != 1:
        raise so.ProblemError("a constant has one value")
    ((name, value),) = attributes.items()
    if name == "value":
        return tensor_array(value)
    if name == "sparse_value":
        return sparse_array(value, budget)
    if name in ("value_int", "value_ints"):
        return np.array(value, dtype=np.int64)
    if name in ("value_float", "value_floats"):
        return np.array(value, dtype=np.float32)
    raise so.ProblemError("constants of text are not read")


def _filled(shape: list[int], fill: onnx.TensorProto | None, budget: Budget) -> np.ndarray:
    """Return one number seen through a shape: 143 million equal weights stay light."""
    if any(n < 0 for n in shape):
        raise so.ProblemError(f"a constant of shape {tuple(shape)} has a negative size")
    one = np.zeros(1, np.float32) if fill is None else tensor_array(fill)
    require_room(shape)
    budget.keep(math.prod(shape))
    return np.broadcast_to(one.reshape(()), shape)


def _evaluated(node: onnx.NodeProto, inputs: list[np.ndarray], opset: int) -> list[np.ndarray]:
    """Run one node by the reference implementation of the standard."""
    from onnx.reference import ReferenceEvaluator

    from sparseopt_onnx.reference import OLD_OPERATORS

    feeds = dict(zip((n for n in node.input if n), inputs, strict=True))
    infos = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    ends = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "constant", infos, ends)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    evaluator = ReferenceEvaluator(model, new_ops=OLD_OPERATORS)
    with np.errstate(all="ignore"):
        return [np.asarray(result) for result in evaluator.run(None, feeds)]
