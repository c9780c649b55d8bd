"""Chains of factors with larger blocks, multiplied with rows as they lie; see `panel_kernels`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

import sparseopt as so
from sparseopt_butterfly import in_place
from sparseopt_butterfly.in_place import InPlaceChain, address
from sparseopt_butterfly.panel_kernels import LANE, WIDE, gradients, multiply
from sparseopt_butterfly.training_chain import runs_of

# Bytes of the rows that go through all factors at a time, and the least number of rows; these times
# the transposed values of a block should stay in the second-level cache.
ROWS, LEAST, BLOCK = 2**20, 16, 2**19


class PanelChain(InPlaceChain):
    """Chains that `is_panel_chain` is true of."""

    def __init__(self, architecture: so.Architecture, dtype: torch.dtype) -> None:
        super().__init__(architecture, dtype)
        applied, item = architecture.patterns[::-1], self.item
        self._table = np.array([[p.a, p.b, p.c, p.d] for p in applied], dtype=np.int64)
        between = [pattern.shape[0] for pattern in applied[:-1]]
        self._kept = sum(between)
        widest = max(self.rows, self.columns, *between)
        self._gap = widest * item + LANE
        self._wide = max(LEAST, ROWS // (widest * item))
        self._need = LANE + 2 * self._wide * self._gap + _copies(architecture, self._wide, item)
        self._fixed = self.like, item, int(self._table.ctypes.data), len(applied), self._at

    def room_for_kept(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return where what enters each factor but the first is kept."""
        return x.new_empty(len(x) * self._kept) if self._kept else None

    def times(self, x: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Return the result, see `InPlaceChain.times`."""
        square = self.rows == self.columns
        y = torch.empty_like(x) if square else x.new_empty((x.size(0), self.rows))
        _memory, room = in_place.workspace(self._need)
        multiply(
            *self._fixed,
            self._gap,
            address(x),
            address(y),
            x.size(0),
            self._bias or room,
            self._biased,
            0 if kept is None else address(kept),
            room,
            self._wide,
        )
        return y

    def gradients(
        self,
        x: torch.Tensor,
        kept: torch.Tensor | None,
        cotangent: torch.Tensor,
        of_rows: torch.Tensor | None,
        of_bias: torch.Tensor | None,
        of_factors: Sequence[torch.Tensor],
    ) -> None:
        """Write and add gradients, see `InPlaceChain.gradients`."""
        self._results[:] = list(map(address, reversed(of_factors)))
        _memory, room = in_place.workspace(self._need)
        gradients(
            *self._fixed,
            self._to,
            self._gap,
            address(x),
            address(cotangent),
            0 if of_rows is None else address(of_rows),
            x.size(0),
            0 if of_bias is None else address(of_bias),
            0 if kept is None else address(kept),
            room,
            self._wide,
        )


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
