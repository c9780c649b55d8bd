"""A chain of factors that multiplies the rows of tensors, compiled; see `row_kernels`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch

import sparseopt as so
from sparseopt.tools.chain_plan import MultiplicationPlan
from sparseopt_butterfly.fused_chain import FusedChain
from sparseopt_butterfly.fused_kernels import VECTOR
from sparseopt_butterfly.row_kernels import digest, multiply_rows

# Bytes of the workspace, which should stay in the second-level cache.
WORKSPACE = 2**20
WORDS = np.zeros(1, dtype=np.uint64)
# The kernels hold the lock of the interpreter, so that one workspace serves all layers.
_rooms: dict[np.dtype, np.ndarray] = {}


class Digest:
    """Whether arrays are as they were, by a number that depends on each of their bits."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self.finite = all(bool(np.isfinite(array).all()) for array in arrays)
        self._hold(arrays)
        self.value = self._now()

    def _hold(self, arrays: Sequence[np.ndarray]) -> None:
        self.arrays = tuple(arrays)  # kept, so that their memory stays theirs
        self.places = np.array([array.ctypes.data for array in arrays], dtype=np.int64)
        self.sizes = np.array([array.nbytes for array in arrays], dtype=np.int64)

    def _now(self) -> np.uint64:
        return np.uint64(digest(self.places, self.sizes, WORDS))

    def holds(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether these arrays have the values of before; from now on they are watched."""
        same = len(arrays) == len(self.arrays)
        if not same or any(a is not b for a, b in zip(arrays, self.arrays, strict=True)):
            if [(a.shape, a.dtype) for a in arrays] != [(a.shape, a.dtype) for a in self.arrays]:
                return False
            self._hold(arrays)
        return bool(self._now() == self.value)


class RowChain:
    """Multiplies rows (batch, n) by a chain that the compiled kernels take as a whole.

    Parameters
    ----------
    arrays : sequence of array (a, b, c, d)
        The factors, float32 or float64; the memory is watched, not copied.
    architecture : Architecture
    plan : MultiplicationPlan
        See `takes`.
    bias : array (n,) or None
    watched : Digest, optional
        Of the arrays.
    """

    def __init__(
        self,
        arrays: Sequence[np.ndarray],
        architecture: so.Architecture,
        plan: MultiplicationPlan,
        bias: np.ndarray | None,
        watched: Digest | None = None,
    ) -> None:
        dtype = arrays[0].dtype
        self._n = architecture.shape[0]
        self._watched = watched or Digest(arrays)
        values, levels, runs = [], [], []
        patterns = architecture.patterns
        for step in reversed(plan.steps):
            run = slice(step.first, step.last + 1)
            work = FusedChain().prepare(arrays[run], patterns[run], 2, dtype)
            packed, sizes, whole, _ = work.args  # type: ignore[attr-defined]
            runs.append([packed.size, whole.a, whole.b, whole.d, len(sizes)])
            values.append(packed)
            levels.append(sizes)
        starts = [0, *accumulate(run[0] for run in runs)]
        firsts = [0, *accumulate(run[4] for run in runs)]
        self._runs = np.array(
            [
                [starts[i], *run[1:4], firsts[i], firsts[i + 1], run[0] // (run[1] * run[3])]
                for i, run in enumerate(runs)
            ]
        )
        self._values, self._levels = np.concatenate(values), np.concatenate(levels)
        alone = FusedChain().prepare(arrays, patterns, 1, dtype)
        self._alone, self._steps = alone.args  # type: ignore[attr-defined]
        self._bias = np.zeros(self._n, dtype=dtype) if bias is None else bias
        lanes, size = VECTOR // dtype.itemsize, max(run[2] for run in runs)
        need = self._n * lanes + 8 * size * lanes
        self._room = _room(dtype, need + max(self._n * lanes, WORKSPACE // dtype.itemsize))
        self.dtype = torch.from_numpy(self._values).dtype

    @staticmethod
    def takes(plan: MultiplicationPlan, architecture: so.Architecture) -> bool:
        """Whether a chain with this plan can be multiplied so."""
        rows, columns = architecture.shape
        return rows == columns and all(step.method == "fused" for step in plan.steps)

    def __call__(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return the result for (batch, n) of the dtype of the factors, contiguous.

        None where a factor is no longer what it was.
        """
        y = torch.empty_like(x)
        done = multiply_rows(
            self._watched.places,
            self._watched.sizes,
            WORDS,
            self._watched.value,
            self._values,
            self._levels,
            self._runs,
            self._alone,
            self._steps,
            self._bias,
            self._room,
            x.data_ptr(),
            y.data_ptr(),
            x.shape[0],
            self._n,
        )
        return y if done else None


def _room(dtype: np.dtype, size: int) -> np.ndarray:
    """Return the workspace of a dtype, with room for this many numbers at least."""
    if dtype not in _rooms or _rooms[dtype].size < size:
        _rooms[dtype] = np.empty(size, dtype=dtype)
    return _rooms[dtype]
