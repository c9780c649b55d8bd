"""How a path-norm passes each layer with PyTorch's kernels."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.operator import Add, Concat, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt_pathnorm.torch_scaling import FAR, SPAN, Scaled, Scaling


@singledispatch
def through(op: Operator, run: Scaling, values: list[Scaled]) -> Scaled:
    """Return the path sums behind a layer from those before it.

    The layers that are registered here are those of `torch_fitness.LAYERS`.
    """
    raise so.Inconclusive(
        f"a {type(op).__name__} is not a layer that this solver takes; one_pass takes it"
    )


@through.register
def _relu(op: Relu, run: Scaling, values: Any) -> Scaled:
    result: Scaled = values[0]
    return result


@through.register
def _dense(op: Dense, run: Scaling, values: Any) -> Scaled:
    value, weight = values[0], run.power(op.weight)
    exponent = value.exponent + weight.exponent
    return run.with_bias(F.linear(value.array, weight.array), exponent, op.bias)


@through.register
def _conv(op: Conv, run: Scaling, values: Any) -> Scaled:
    value, weight = values[0].array, run.power(op.weight)
    exponent = values[0].exponent + weight.exponent
    symmetric = all(a == b >= 0 for a, b in op.padding)
    if not symmetric:
        value = F.pad(value, [w for pair in reversed(op.padding) for w in pair])
    padding = tuple(a for a, _ in op.padding) if symmetric else 0
    dims = len(op.kernel)
    if dims > 3:
        raise so.Inconclusive(f"PyTorch has no convolution over {dims} axes; one_pass computes it")
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    result = function(value, weight.array, None, op.stride, padding, op.dilation, op.groups)
    return run.with_bias(result, exponent, op.offset())


@through.register
def _conv_transpose(op: ConvTranspose, run: Scaling, values: Any) -> Scaled:
    value, weight = values[0].array, run.power(op.weight)
    exponent = values[0].exponent + weight.exponent
    dims = len(op.kernel)
    if dims > 3:
        raise so.Inconclusive(f"PyTorch has no convolution over {dims} axes; one_pass computes it")
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims - 1]
    result = function(value, weight.array, None, op.stride, 0, 0, op.groups, op.dilation)
    result = F.pad(result, [-w for pair in reversed(op.padding) for w in pair])
    return run.with_bias(result, exponent, op.offset())


@through.register
def _scale(op: Scale, run: Scaling, values: Any) -> Scaled:
    value, exponent = values[0].array, values[0].exponent
    if op.factor is not None:
        factor = run.power(op.factor)
        value, exponent = value * factor.array, exponent + factor.exponent
    elif op.bias is not None:
        value = value.clone()
    return run.with_bias(value, exponent, op.bias)


def _windowed(value: torch.Tensor, axis: int, index: np.ndarray, weights: Any) -> torch.Tensor:
    """Add up the cells of each window along an axis, times weights (None for ones)."""
    result: torch.Tensor | None = None
    tail = (1,) * (value.ndim - axis - 1)
    for k in range(index.shape[1]):
        cells = index[:, k]
        inside = cells >= 0
        term = value.index_select(axis, torch.from_numpy(np.maximum(cells, 0)).to(value.device))
        if weights is not None or not inside.all():
            factor = inside.astype(np.float64) if weights is None else weights[:, k] * inside
            term = term * torch.from_numpy(factor).to(value).reshape(-1, *tail)
        result = term if result is None else result.add_(term)
    assert result is not None
    return result


@through.register
def _max_pool(op: MaxPool, run: Scaling, values: Any) -> Scaled:
    value, exponent = values[0].array, values[0].exponent
    for window in op.windows:
        value = _windowed(value, window.axis + 1, window.index, None)
    return run.settle(Scaled(value, exponent))


@through.register
def _resample(op: Resample, run: Scaling, values: Any) -> Scaled:
    value, exponent = values[0].array, values[0].exponent
    for m in op.maps:
        weights = np.abs(m.coefficients(np.dtype(float)))
        smallest = float(weights.min(initial=1.0, where=weights > 0))
        if -math.log2(smallest) * run.q > SPAN[run.dtype]:
            raise so.Inconclusive(
                "an average has weights too small for its power; one_pass computes it"
            )
        value = _windowed(value, m.axis + 1, m.index, weights**run.q)
    return run.settle(Scaled(value, exponent))


@through.register
def _rank_pool(op: RankPool, run: Scaling, values: Any) -> Scaled:
    return run.settle(Scaled(values[0].array.sum(op.axis + 1), values[0].exponent))


@through.register
def _add(op: Add, run: Scaling, values: Any) -> Scaled:
    own = Scaled(values[0].array.clone(), values[0].exponent)
    return run.settle(run.added([own, *values[1:]]))


@through.register
def _concat(op: Concat, run: Scaling, values: Any) -> Scaled:
    tensors, exponent, far = run.aligned(values)
    if far:
        raise so.Inconclusive(FAR)
    return run.settle(Scaled(torch.cat(tensors, op.axis + 1), exponent))


@through.register
def _reshape(op: Reshape, run: Scaling, values: Any) -> Scaled:
    return Scaled(values[0].array.reshape(1, *op.size), values[0].exponent)


@through.register
def _permute(op: Permute, run: Scaling, values: Any) -> Scaled:
    return Scaled(values[0].array.permute(0, *(a + 1 for a in op.axes)), values[0].exponent)


@through.register
def _select(op: Select, run: Scaling, values: Any) -> Scaled:
    flat = values[0].array.reshape(-1)
    index = torch.from_numpy(np.maximum(op.index, 0).ravel()).to(flat.device)
    picked = flat[index].reshape(1, *op.index.shape)
    if op.index.min() < 0:
        picked = picked * torch.from_numpy(op.index >= 0).to(picked.device)
    return Scaled(picked, values[0].exponent)
