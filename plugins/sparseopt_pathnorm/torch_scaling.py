"""Tensors of PyTorch with a power of two beside their entries."""

from __future__ import annotations

import math

import numpy as np
import torch

import sparseopt as so
from sparseopt.judging.scaling import ScaledArray, times_power

DTYPES = {"float64": torch.float64, "float32": torch.float32}
# Powers of two that a tensor may span before products of two of them leave the dtype's range.
SPAN = {"float64": 480, "float32": 60}
# Largest and smallest exponent of a tensor before it is scaled back; frees most layers of that.
_DRIFT = {"float64": 200, "float32": 20}
FAR = "two values lie too many powers of two apart for one exponent; one_pass computes it"

Scaled = ScaledArray[torch.Tensor]


class Scaling:
    """Arithmetic on tensors with a power of two each, for one path-norm.

    Parameters
    ----------
    q : float
        Power of the weights.
    dtype : {"float64", "float32"}
    """

    def __init__(self, q: float, dtype: str) -> None:
        self.q = q
        self.dtype = dtype

    def power(self, array: np.ndarray) -> Scaled:
        """Return |array|**q in the dtype of the pass."""
        tensor = torch.from_numpy(array)
        size = torch.empty(tensor.shape, dtype=DTYPES[self.dtype])
        size.copy_(tensor).abs_()
        narrow = array.dtype == np.float32 and self.dtype == "float64" and self.q <= 3
        if narrow:  # nonzero float32 numbers have cubes between 2**-447 and 2**384
            return Scaled(size if self.q == 1 else size.pow_(self.q), 0)
        low, high = _range(size)
        if high == 0.0:
            return Scaled(size, 0)
        shift = math.frexp(high)[1]
        if (shift - math.frexp(low)[1]) * max(1.0, self.q) > SPAN[self.dtype]:
            raise so.Inconclusive(
                "a weight tensor spans too many powers of two for one exponent; "
                "one_pass computes it"
            )
        size.mul_(2.0**-shift)
        if self.q == 1:
            return Scaled(size, shift)
        exponent = math.floor(self.q * shift)
        return Scaled(size.pow_(self.q).mul_(2.0 ** (self.q * shift - exponent)), exponent)

    def settle(self, scaled: Scaled) -> Scaled:
        """Check the range of a tensor, and scale it back if it drifted far from 1."""
        value, exponent = scaled.array, scaled.exponent
        low, high = _range(value)
        if high == 0.0:
            return scaled
        if not high < math.inf:
            raise so.Inconclusive(f"a layer overflows {self.dtype}; one_pass computes it")
        shift = math.frexp(high)[1]
        if shift - math.frexp(low)[1] > SPAN[self.dtype]:
            raise so.Inconclusive(
                "a tensor spans too many powers of two for one exponent; one_pass computes it"
            )
        if abs(shift) <= _DRIFT[self.dtype]:
            return scaled
        return Scaled(times_power(value, -shift), exponent + shift)

    def with_bias(self, value: torch.Tensor, exponent: int, offset: np.ndarray | None) -> Scaled:
        """Add the powers of the biases; `value` may be overwritten."""
        result = Scaled(value, exponent)
        if offset is not None and np.any(offset):
            result = self.added([result, self.power(offset)])
        return self.settle(result)

    def added(self, values: list[Scaled]) -> Scaled:
        """Return the sum of tensors; the first sets the shape, and may be overwritten."""
        tensors, exponent, far = self.aligned(values)
        result = tensors[0]
        for tensor in tensors[1:]:
            result = result.add_(tensor)
        if far:  # what vanished beside a larger number is no loss, what vanished alone is one
            present = values[0].array > 0
            for original in values[1:]:
                present = present | (original.array > 0)
            if bool((present & (result == 0)).any()):
                raise so.Inconclusive(FAR)
        return Scaled(result, exponent)

    def aligned(self, values: list[Scaled]) -> tuple[list[torch.Tensor], int, bool]:
        """Return tensors under one exponent, and whether one is so far off that it may vanish."""
        if len({v.exponent for v in values}) == 1:
            return [v.array for v in values], values[0].exponent, False
        tops = [float(v.array.detach().max()) for v in values]
        known = [math.frexp(t)[1] + v.exponent for t, v in zip(tops, values, strict=True) if t > 0]
        common = max(known, default=0)
        moves = [max(v.exponent - common, -1000) for v in values]
        result = [times_power(v.array, move) for v, move in zip(values, moves, strict=True)]
        return result, common, min(moves) < -SPAN[self.dtype]


def _range(value: torch.Tensor) -> tuple[float, float]:
    """Return the smallest positive entry (or 0 if there is none) and the largest entry."""
    low, high = (float(v) for v in torch.aminmax(value.detach()))
    if low == 0.0 < high:
        low = float(torch.where(value > 0, value.detach(), torch.inf).min())
    return low, high
