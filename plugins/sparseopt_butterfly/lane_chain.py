"""Chains of factors with blocks of 2 rows, multiplied with rows as they lie; see `lane_kernels`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

import sparseopt as so
from sparseopt_butterfly.in_place import InPlaceChain
from sparseopt_butterfly.lane_kernels import LANE, gradients, multiply

# Rows that go through all factors at a time, there and back; bytes of their workspace at most.
ROWS, ROWS_BACK, WORKSPACE = 32, 16, 2**23
# Bytes of a row that the first stage takes, rows of later ones, and bytes of each of the latter:
# together with so many rows they should stay in the second-level cache, chunks in the first one.
EXTENT, BLOCK, CHUNK = 4096, 4, 256


class LaneChain(InPlaceChain):
    """Chains that `is_lane_chain` is true of."""

    _multiply, _gradients = staticmethod(multiply), staticmethod(gradients)

    def __init__(self, architecture: so.Architecture, dtype: torch.dtype) -> None:
        super().__init__(architecture, dtype)
        self._passes = _passes([pattern.d for pattern in architecture.patterns[::-1]], self.item)
        self._stages = _stages(self._passes)
        tables = int(self._passes.ctypes.data), int(self._stages.ctypes.data)
        self._numbers = *tables, len(self._stages)
        self._distance = size = self.columns * self.item
        deepest = int(np.diff(self._stages[:, :2]).max())
        self._wide = _wide(ROWS, size), _wide(ROWS_BACK, size * deepest)
        self._needs = _need(size, self._wide[0]), _need(size, self._wide[1] * deepest)

    def room_for_kept(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return where what enters each stage but the first is kept."""
        kept = len(self._stages) - 1
        return x.new_empty((kept, *x.shape)) if kept else None


@lru_cache(maxsize=64)
def is_lane_chain(architecture: so.Architecture, itemsize: int) -> bool:
    """Whether the kernels take an architecture: all factors have blocks of 2 rows; the first ones
    applied have d = 1, 2, 4, .. up to half a vector, all others multiples of a vector."""
    lanes = LANE // itemsize
    rows, columns = architecture.shape
    ds = [p.d for p in architecture.patterns[::-1]]
    within = [1 << k for k in range(lanes.bit_length() - 1)]
    return (
        rows == columns
        and rows % lanes == 0
        and all(p.b == p.c == 2 for p in architecture)
        and ds[: len(within)] == within
        and all(d >= lanes and d & (d - 1) == 0 for d in ds[len(within) :])
    )


def _passes(ds: Sequence[int], itemsize: int) -> np.ndarray:
    """Return the table of passes, see `lane_kernels.multiply`."""
    first = (LANE // itemsize).bit_length() - 1
    table, k = [(0, 0, 0, 0)], first
    while k < len(ds):
        one, two = ds[k], ds[min(k + 1, len(ds) - 1)]
        if one == two:
            table.append((1, k, one * itemsize, 0))
            k += 1
        else:
            table.append((2, k, one * itemsize, two * itemsize))
            k += 2
    return np.array(table, dtype=np.int64)


def _stages(passes: np.ndarray) -> np.ndarray:
    """Return the table of stages: as many passes as mix few enough columns with each other."""
    table: list[list[int]] = []
    for k, (kind, _, *distances) in enumerate(passes.tolist()):
        low, high = min(distances[: max(kind, 1)]), 2 * max(distances)
        if kind == 0:
            table.append([0, 1, LANE, LANE, LANE])
            continue
        _, _, extent, span, _ = table[-1]
        most = EXTENT if span == LANE else BLOCK * span
        if low >= span and max(extent, high) <= most:
            table[-1][1], table[-1][2] = k + 1, max(extent, high)
        else:
            table.append([k, k + 1, high, low, min(low, CHUNK)])
    return np.array(table, dtype=np.int64)


def _wide(rows: int, size: int) -> int:
    """Return how many rows of so many bytes go through at a time."""
    return max(1, min(rows, WORKSPACE // size))


def _need(size: int, rows: int) -> int:
    """Return the bytes of a workspace."""
    return LANE + rows * (size + LANE)
