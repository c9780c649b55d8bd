"""Operators that onnx's reference implementation lacks in old operator sets, or gets wrong.

It has DequantizeLinear from operator set 19 on only, and allocates as many copies of a scale as
``block_size`` says. Before operator set 14 it normalizes batches as if training went on. For OneHot
it takes no depth of shape (1,), which the standard allows and exporters write.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference.op_run import OpRun


class DequantizeLinear(OpRun):
    """``(x - zero) * scale``, per tensor, per axis, or per block along an axis."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        zero: np.ndarray | None = None,
        axis: int = 1,
        block_size: int = 0,
        output_dtype: int = 0,
    ) -> tuple[np.ndarray]:
        wide = x.astype(np.float32)
        if zero is not None:
            wide = wide - _spread(zero.astype(np.float32), x.shape, axis, block_size)
        result = wide * _spread(scale.astype(np.float32), x.shape, axis, block_size)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(output_dtype) if output_dtype else scale.dtype
        return (result.astype(dtype),)


def _spread(values: np.ndarray, shape: tuple[int, ...], axis: int, block: int) -> np.ndarray:
    """Return scales or zero points in a form that broadcasts to `shape`."""
    if values.size == 1:
        return values.reshape(())
    count = shape[axis]
    if block > 0:
        due = (*shape[: axis % len(shape)], -(-count // block), *shape[axis % len(shape) + 1 :])
        if values.shape != due:
            raise ValueError(f"blocks of {block} need scales of shape {due}, not {values.shape}")
        return np.take(values, np.arange(count) // block, axis=axis)
    if values.shape != (count,):
        raise ValueError(f"axis {axis} needs {count} scales, not an array of shape {values.shape}")
    return values.reshape(-1, *(1,) * (len(shape) - 1 - axis % len(shape)))


class BatchNormalization(OpRun):
    """Batch normalization with the statistics that the file gives."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        bias: np.ndarray,
        mean: np.ndarray,
        variance: np.ndarray,
        epsilon: float = 1e-5,
        **others: Any,
    ) -> tuple[np.ndarray]:
        tail = (1,) * (x.ndim - 2)
        scale, bias, mean, variance = (a.reshape(-1, *tail) for a in (scale, bias, mean, variance))
        return ((scale * (x - mean) / np.sqrt(variance + epsilon) + bias).astype(x.dtype),)


class OneHot(OpRun):
    """One value at an index, which counts from the end if it is negative, another elsewhere."""

    op_domain = ""

    def _run(
        self, indices: np.ndarray, depth: np.ndarray, values: np.ndarray, axis: int = -1
    ) -> tuple[np.ndarray]:
        count = int(depth.reshape(()))
        axis = axis % (indices.ndim + 1)
        places = np.expand_dims(indices.astype(np.int64), axis)
        cells = np.arange(count).reshape(-1, *(1,) * (indices.ndim - axis))
        hot = (places == cells) | (places + count == cells)
        return (np.where(hot, values[1], values[0]).astype(values.dtype),)


OLD_OPERATORS = [DequantizeLinear, BatchNormalization, OneHot]
