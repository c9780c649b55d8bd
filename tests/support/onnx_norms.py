"""Path-norms straight from the nodes of an ONNX model, by PyTorch's float64 kernels.

Shares no code with the library: neither its reader nor its layers nor its passes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper

Scaled = tuple[torch.Tensor, float]


def path_norm_log10(path: str, q: float) -> float:
    """Return the decimal logarithm of the L^(q,1) path-norm, every layer kept as it is."""
    model = onnx.load(path)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    (given,) = [i for i in model.graph.input if i.name not in constants]
    shape = [d.dim_value or 1 for d in given.type.tensor_type.shape.dim]
    values: dict[str, Scaled] = {given.name: (torch.ones(shape, dtype=torch.float64), 0.0)}
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if not any(name in values for name in node.input):
            constants[node.output[0]] = _constant(node, attributes, constants)
            continue
        arguments = [values.get(name, constants.get(name)) for name in node.input]
        if node.op_type in ("Softmax", "Dropout", "Identity", "Relu"):
            value, shift = arguments[0]
        else:
            value, shift = _layer(node.op_type, arguments, attributes, q)
        top = float(value.max())  # logarithms of a common factor, so that nothing overflows
        values[node.output[0]] = value / top, shift + math.log10(top)
    value, shift = values[model.graph.output[0].name]
    norms = torch.log10(value).flatten() / q + shift / q
    largest = norms.max()
    return float(largest + torch.log10((10 ** (norms - largest)).sum()))


def _constant(node: Any, attributes: dict[str, Any], constants: dict[str, Any]) -> np.ndarray:
    if node.op_type == "ConstantOfShape":
        fill = numpy_helper.to_array(attributes["value"])
        return np.full(constants[node.input[0]], fill[0])
    if node.op_type == "Constant":
        return numpy_helper.to_array(attributes["value"])
    if node.op_type == "Unsqueeze":
        return np.expand_dims(constants[node.input[0]], tuple(attributes["axes"]))
    raise NotImplementedError(node.op_type)


def _power(array: np.ndarray, q: float) -> torch.Tensor:
    return torch.from_numpy(np.abs(array.astype(np.float64)) ** q)


def _layer(kind: str, arguments: list[Any], attributes: dict[str, Any], q: float) -> Scaled:
    moving = [a for a in arguments if isinstance(a, tuple)]
    fixed = [a for a in arguments if not isinstance(a, tuple) and a is not None]
    common = max(shift for _, shift in moving)
    tensors = [value * 10 ** (shift - common) for value, shift in moving]
    one = 10.0**-common  # what a bias has to be multiplied by
    x = tensors[0]
    if kind == "Conv":
        x = _convolution(x, fixed[0], attributes, q)
        if len(fixed) > 1:
            x = x + _power(fixed[1], q).reshape(1, -1, 1, 1) * one
    elif kind == "BatchNormalization":
        scale, bias, mean, variance = (a.astype(np.float64) for a in fixed)
        factor = scale / np.sqrt(variance + attributes.get("epsilon", 1e-5))
        tail = (1, -1) + (1,) * (x.ndim - 2)
        x = x * _power(factor, q).reshape(tail)
        x = x + _power(bias - factor * mean, q).reshape(tail) * one
    elif kind in ("Add", "Sum"):
        x = sum(tensors[1:], start=x)
        for constant in fixed:
            x = x + _power(constant, q) * one
    elif kind == "Mul":
        x = x * _power(fixed[0], q)
    elif kind in ("Gemm", "MatMul"):
        weight = _power(fixed[0], q)
        x = x @ (weight.T if attributes.get("transB", 0) else weight)
        if len(fixed) > 1:
            x = x + _power(fixed[1], q) * one
    elif kind in ("MaxPool", "AveragePool"):
        x = _window(x, kind == "AveragePool", attributes, q)
    elif kind == "GlobalAveragePool":
        x = x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3]) ** q
    elif kind == "ReduceMean":
        axes = attributes["axes"]
        count = math.prod(x.shape[a] for a in axes)
        x = x.sum(tuple(axes), keepdim=bool(attributes.get("keepdims", 1))) / count**q
    elif kind == "Concat":
        x = torch.cat(tensors, attributes["axis"])
    elif kind == "Transpose":
        x = x.permute(*attributes["perm"])
    elif kind == "Reshape":
        x = x.reshape([x.shape[i] if n == 0 else int(n) for i, n in enumerate(fixed[0])])
    elif kind == "Flatten":
        x = x.flatten(1)
    elif kind == "Squeeze":
        x = x.squeeze(tuple(attributes["axes"]))
    elif kind == "Pad":
        x = F.pad(x, _trailing(attributes.get("pads", fixed[0] if fixed else None)))
    else:
        raise NotImplementedError(kind)
    return x, common


def _trailing(pads: Any) -> list[int]:
    """Return ONNX's pads (all befores, all afters) in PyTorch's order, last axis first."""
    half = len(pads) // 2
    return [int(p) for i in reversed(range(half)) for p in (pads[i], pads[half + i])]


def _same(size: int, kernel: int, stride: int, lower: bool) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    small = total // 2
    return (total - small, small) if lower else (small, total - small)


def _padded(x: torch.Tensor, kernel: list[int], attributes: dict[str, Any]) -> torch.Tensor:
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    if automatic.startswith("SAME"):
        strides = attributes.get("strides", [1, 1])
        pairs = [
            _same(n, k, s, automatic.endswith("LOWER"))
            for n, k, s in zip(x.shape[2:], kernel, strides, strict=True)
        ]
        return F.pad(x, [w for pair in reversed(pairs) for w in pair])
    return F.pad(x, _trailing(attributes.get("pads", [0] * 4)))


def _convolution(
    x: torch.Tensor, weight: np.ndarray, attributes: dict[str, Any], q: float
) -> torch.Tensor:
    padded = _padded(x, list(weight.shape[2:]), attributes)
    strides, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    groups = attributes.get("group", 1)
    return F.conv2d(padded, _power(weight, q), None, strides, 0, dilations, groups)


def _window(x: torch.Tensor, average: bool, attributes: dict[str, Any], q: float) -> torch.Tensor:
    kernel = attributes["kernel_shape"]
    strides = attributes.get("strides", [1, 1])

    def total(y: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(_padded(y, kernel, attributes), kernel, strides) * math.prod(kernel)

    result = total(x)
    if not average:
        return result
    if attributes.get("count_include_pad", 0):
        return result / math.prod(kernel) ** q
    return result / total(torch.ones_like(x)).round() ** q
