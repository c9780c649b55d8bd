"""Chains of factors with larger blocks, multiplied with rows as they lie; see `panel_kernels`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

import sparseopt as so
from sparseopt_butterfly.in_place import InPlaceChain
from sparseopt_butterfly.panel_kernels import LANE, WIDE, gradients, multiply
from sparseopt_butterfly.training_chain import runs_of

# Bytes of the rows that go through all factors at a time, and the least number of rows; these times
# the transposed values of a block should stay in the second-level cache.
ROWS, LEAST, BLOCK = 2**20, 16, 2**19


class PanelChain(InPlaceChain):
    """Chains that `is_panel_chain` is true of."""

    _multiply, _gradients = staticmethod(multiply), staticmethod(gradients)

    def __init__(self, architecture: so.Architecture, dtype: torch.dtype) -> None:
        super().__init__(architecture, dtype)
        applied, item = architecture.patterns[::-1], self.item
        self._table = np.array([[p.a, p.b, p.c, p.d] for p in applied], dtype=np.int64)
        self._numbers = item, int(self._table.ctypes.data), len(applied)
        between = [pattern.shape[0] for pattern in applied[:-1]]
        self._kept = sum(between)
        widest = max(self.rows, self.columns, *between)
        wide = max(LEAST, ROWS // (widest * item))
        self._distance = widest * item + LANE
        need = LANE + 2 * wide * self._distance + _copies(architecture, wide, item)
        self._needs, self._wide = (need, need), (wide, wide)

    def room_for_kept(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return where what enters each factor but the first is kept."""
        return x.new_empty(len(x) * self._kept) if self._kept else None


@lru_cache(maxsize=64)
def is_panel_chain(architecture: so.Architecture, itemsize: int) -> bool:
    """Whether the kernels take an architecture: d of each factor is a multiple of a vector, or 1
    and its blocks consist of whole vectors, there and transposed, that are not too many. Chains
    whose factors can be applied several at once are left to other kernels."""
    lanes = LANE // itemsize

    def fits(p: so.KroneckerPattern) -> bool:
        if p.d > 1:
            return p.d % lanes == 0
        return p.b % lanes == p.c % lanes == 0 and p.b * p.c * itemsize <= BLOCK

    return all(map(fits, architecture)) and runs_of(architecture) is None


def _copies(architecture: so.Architecture, rows: int, item: int) -> int:
    """Return the bytes of what the kernels copy at a time, of so many rows and of values."""
    most = 0
    for p in architecture:
        per_vector = LANE // item if p.d == 1 else 1
        copied = rows * ((p.b + p.c) // per_vector + 2) * LANE
        values = p.b * p.c * item if p.d == 1 else WIDE * max(p.b, p.c) * LANE
        most = max(most, copied + values)
    return most
