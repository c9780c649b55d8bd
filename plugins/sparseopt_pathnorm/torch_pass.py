"""The walk of a path-norm through the layers, with PyTorch's kernels."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import sparseopt as so
from sparseopt.networks.linear import Conv, ConvTranspose, Dense, Scale
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Permute, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.pathnorm.powers import Powers

DTYPES = {"float64": torch.float64, "float32": torch.float32}
# Powers of two that a tensor may span before products of two of them leave the dtype's range.
_SPAN = {"float64": 480, "float32": 60}
# Largest and smallest exponent of a tensor before it is scaled back; frees most layers of that.
_DRIFT = {"float64": 200, "float32": 20}
_FAR = "two values lie too many powers of two apart for one exponent; one_pass can"

Scaled = tuple[torch.Tensor, int]


def torch_power_sums(network: so.Network, q: float, dtype: str, context: so.Context) -> Powers:
    """Return ``||Phi^(->j)||_q^q`` per output.

    Raises
    ------
    Inconclusive
        Where the entries of one tensor lie too far apart for a common power of two.
    """
    run = Pass(q, dtype, context)
    with torch.no_grad(), shared_memory():
        first = (torch.ones((1, *network.input_shape), dtype=DTYPES[dtype]), 0)
        value, exponent = network.walk(first, run.visit)
    return Powers.of(value[0].double().numpy(), exponent)


@contextmanager
def shared_memory() -> Iterator[None]:
    """Let tensors look at read-only arrays without a warning; nothing here writes to them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        yield


class Pass:
    """The walk through the layers."""

    def __init__(self, q: float, dtype: str, context: so.Context) -> None:
        self.q = q
        self.dtype = dtype
        self._context = context

    def visit(self, node: Node, values: list[Scaled]) -> Scaled:
        self._context.check_time(f"passing layer {node.name!r}")
        return _RULES[type(node.op)](self, node.op, values)

    def power(self, array: np.ndarray) -> Scaled:
        """Return (m, e) with |array|**q = m 2**e, in the dtype of the pass."""
        tensor = torch.from_numpy(array)
        size = torch.empty(tensor.shape, dtype=DTYPES[self.dtype])
        size.copy_(tensor).abs_()
        narrow = array.dtype == np.float32 and self.dtype == "float64" and self.q <= 3
        if narrow:  # nonzero float32 numbers have cubes between 2**-447 and 2**384
            return (size if self.q == 1 else size.pow_(self.q)), 0
        low, high = _range(size)
        if high == 0.0:
            return size, 0
        shift = math.frexp(high)[1]
        if (shift - math.frexp(low)[1]) * max(1.0, self.q) > _SPAN[self.dtype]:
            raise so.Inconclusive(
                "a weight tensor spans too many powers of two for one exponent; one_pass can"
            )
        size.mul_(2.0**-shift)
        if self.q == 1:
            return size, shift
        exponent = math.floor(self.q * shift)
        return size.pow_(self.q).mul_(2.0 ** (self.q * shift - exponent)), exponent

    def settle(self, value: torch.Tensor, exponent: int) -> Scaled:
        """Check the range of a tensor, and scale it back if it drifted far from 1."""
        low, high = _range(value)
        if high == 0.0:
            return value, exponent
        if not high < math.inf:
            raise so.Inconclusive(f"a layer overflows {self.dtype}; one_pass can")
        shift = math.frexp(high)[1]
        if shift - math.frexp(low)[1] > _SPAN[self.dtype]:
            raise so.Inconclusive(
                "a tensor spans too many powers of two for one exponent; one_pass can"
            )
        if abs(shift) <= _DRIFT[self.dtype]:
            return value, exponent
        return value * 2.0**-shift, exponent + shift

    def with_bias(self, value: torch.Tensor, exponent: int, offset: np.ndarray | None) -> Scaled:
        """Add the powers of the biases; `value` may be overwritten."""
        if offset is not None and np.any(offset):
            value, exponent = self.added([(value, exponent), self.power(offset)])
        return self.settle(value, exponent)

    def added(self, values: list[Scaled]) -> Scaled:
        """Return the sum of tensors; the first sets the shape, and may be overwritten."""
        tensors, exponent, far = self.aligned(values)
        result = tensors[0]
        for tensor in tensors[1:]:
            result = result.add_(tensor)
        if far:  # what vanished beside a larger number is no loss, what vanished alone is one
            present = values[0][0] > 0
            for original, _ in values[1:]:
                present = present | (original > 0)
            if bool((present & (result == 0)).any()):
                raise so.Inconclusive(_FAR)
        return result, exponent

    def aligned(self, values: list[Scaled]) -> tuple[list[torch.Tensor], int, bool]:
        """Return tensors under one exponent, and whether one is so far off that it may vanish."""
        if len({e for _, e in values}) == 1:
            return [v for v, _ in values], values[0][1], False
        tops = [float(v.detach().max()) for v, _ in values]
        known = [math.frexp(t)[1] + e for t, (_, e) in zip(tops, values, strict=True) if t > 0]
        common = max(known, default=0)
        moves = [max(e - common, -1000) for _, e in values]
        result = [v * 2.0**move if move else v for (v, _), move in zip(values, moves, strict=True)]
        return result, common, min(moves) < -_SPAN[self.dtype]


def _range(value: torch.Tensor) -> tuple[float, float]:
    """Return the smallest positive entry (or 0 if there is none) and the largest entry."""
    low, high = (float(v) for v in torch.aminmax(value.detach()))
    if low == 0.0 < high:
        low = float(torch.where(value > 0, value.detach(), torch.inf).min())
    return low, high


# One rule per operator ----------------------------------------------------------------------


def _relu(run: Pass, op: Relu, values: list[Scaled]) -> Scaled:
    return values[0]


def _dense(run: Pass, op: Dense, values: list[Scaled]) -> Scaled:
    weight, shift = run.power(op.weight)
    return run.with_bias(F.linear(values[0][0], weight), values[0][1] + shift, op.bias)


def _conv(run: Pass, op: Conv, values: list[Scaled]) -> Scaled:
    value, exponent = values[0]
    weight, shift = run.power(op.weight)
    symmetric = all(a == b >= 0 for a, b in op.padding)
    if not symmetric:
        value = F.pad(value, [w for pair in reversed(op.padding) for w in pair])
    padding = tuple(a for a, _ in op.padding) if symmetric else 0
    dims = len(op.kernel)
    if dims > 3:
        raise so.Inconclusive(f"PyTorch has no convolution over {dims} axes; one_pass can")
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    result = function(value, weight, None, op.stride, padding, op.dilation, op.groups)
    return run.with_bias(result, exponent + shift, op.offset())


def _conv_transpose(run: Pass, op: ConvTranspose, values: list[Scaled]) -> Scaled:
    value, exponent = values[0]
    weight, shift = run.power(op.weight)
    dims = len(op.kernel)
    if dims > 3:
        raise so.Inconclusive(f"PyTorch has no convolution over {dims} axes; one_pass can")
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims - 1]
    result = function(value, weight, None, op.stride, 0, 0, op.groups, op.dilation)
    result = F.pad(result, [-w for pair in reversed(op.padding) for w in pair])
    return run.with_bias(result, exponent + shift, op.offset())


def _scale(run: Pass, op: Scale, values: list[Scaled]) -> Scaled:
    value, exponent = values[0]
    if op.factor is not None:
        factor, shift = run.power(op.factor)
        value, exponent = value * factor, exponent + shift
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
        term = value.index_select(axis, torch.from_numpy(np.maximum(cells, 0)))
        if weights is not None or not inside.all():
            factor = inside.astype(np.float64) if weights is None else weights[:, k] * inside
            term = term * torch.from_numpy(factor).to(value.dtype).reshape(-1, *tail)
        result = term if result is None else result.add_(term)
    assert result is not None
    return result


def _max_pool(run: Pass, op: MaxPool, values: list[Scaled]) -> Scaled:
    value, exponent = values[0]
    for window in op.windows:
        value = _windowed(value, window.axis + 1, window.index, None)
    return run.settle(value, exponent)


def _resample(run: Pass, op: Resample, values: list[Scaled]) -> Scaled:
    value, exponent = values[0]
    for m in op.maps:
        weights = np.abs(m.coefficients(np.dtype(float)))
        smallest = float(weights.min(initial=1.0, where=weights > 0))
        if -math.log2(smallest) * run.q > _SPAN[run.dtype]:
            raise so.Inconclusive("an average has too small weights for its power; one_pass can")
        value = _windowed(value, m.axis + 1, m.index, weights**run.q)
    return run.settle(value, exponent)


def _rank_pool(run: Pass, op: RankPool, values: list[Scaled]) -> Scaled:
    return run.settle(values[0][0].sum(op.axis + 1), values[0][1])


def _add(run: Pass, op: Add, values: list[Scaled]) -> Scaled:
    own = (values[0][0].clone(), values[0][1])
    return run.settle(*run.added([own, *values[1:]]))


def _concat(run: Pass, op: Concat, values: list[Scaled]) -> Scaled:
    tensors, exponent, far = run.aligned(values)
    if far:
        raise so.Inconclusive(_FAR)
    return run.settle(torch.cat(tensors, op.axis + 1), exponent)


def _reshape(run: Pass, op: Reshape, values: list[Scaled]) -> Scaled:
    return values[0][0].reshape(1, *op.size), values[0][1]


def _permute(run: Pass, op: Permute, values: list[Scaled]) -> Scaled:
    return values[0][0].permute(0, *(a + 1 for a in op.axes)), values[0][1]


def _select(run: Pass, op: Select, values: list[Scaled]) -> Scaled:
    flat = values[0][0].reshape(-1)
    index = torch.from_numpy(np.maximum(op.index, 0).ravel())
    picked = flat[index].reshape(1, *op.index.shape)
    if op.index.min() < 0:
        picked = picked * torch.from_numpy(op.index >= 0)
    return picked, values[0][1]


_RULES: dict[type, Any] = {
    Relu: _relu,
    Dense: _dense,
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Scale: _scale,
    MaxPool: _max_pool,
    Resample: _resample,
    RankPool: _rank_pool,
    Add: _add,
    Concat: _concat,
    Reshape: _reshape,
    Permute: _permute,
    Select: _select,
}
