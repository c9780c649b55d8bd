"""Chains of factors with blocks of 2 rows, multiplied with rows as they lie; see `lane_kernels`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt_butterfly.lane_kernels import LANE, gradients, multiply
from sparseopt_butterfly.training_chain import Trained, gradients_by_torch

# Rows that go through all factors at a time, there and back; bytes of their workspace at most.
ROWS, ROWS_BACK, WORKSPACE = 32, 16, 2**23
# Bytes of a row that the first stage takes, rows of later ones, and bytes of each of the latter:
# together with so many rows they should stay in the second-level cache, chunks in the first one.
EXTENT, BLOCK, CHUNK = 4096, 4, 256
DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
_pointer, _contiguous, _type = (
    torch.Tensor.data_ptr,
    torch.Tensor.is_contiguous,
    attrgetter("dtype"),
)
# The kernels hold the lock of the interpreter, so that one workspace serves all layers: the memory,
# the address of its first whole vector, and the bytes from there.
_room: tuple[Any, int, int] = (None, 0, 0)


class LaneChain:
    """What kernels need to know of an architecture, for one dtype.

    Nothing is held of the values of factors: they are read where they are, at each call.
    """

    def __init__(self, architecture: so.Architecture, dtype: torch.dtype) -> None:
        self.dtype, self.n = dtype, architecture.shape[0]
        self.like = DTYPES[dtype].type(0)
        item = DTYPES[dtype].itemsize
        self.bytes = self.n * item
        applied = architecture.patterns[::-1]
        self.shapes = [pattern.values_shape for pattern in architecture]
        self._passes = _passes([pattern.d for pattern in applied], item)
        self._stages = _stages(self._passes)
        self.kept = len(self._stages) - 1
        deepest = int(np.diff(self._stages[:, :2]).max())
        self._wide = [_wide(ROWS, self.bytes), _wide(ROWS_BACK, self.bytes * deepest)]
        self._needs = [_need(self.bytes, self._wide[0]), _need(self.bytes, self._wide[1] * deepest)]
        self._tables = int(self._passes.ctypes.data), int(self._stages.ctypes.data)
        self._seen: list[Any] = []
        self._places = np.zeros(len(applied), dtype=np.int64)
        self._at = int(self._places.ctypes.data)
        self._fixed = (self.like, *self._tables, self.kept + 1, self._at, self.bytes)
        self._results = np.zeros_like(self._places)
        self._to = int(self._results.ctypes.data)
        self._bias = self._biased = 0

    def reads(self, factors: Sequence[torch.Tensor], bias: torch.Tensor | None) -> bool:
        """Whether the kernels can read these factors and this bias, which they will from now on."""
        parameters = factors if bias is None else [*factors, bias]
        seen = [*map(_pointer, parameters), *map(_contiguous, parameters), *map(_type, parameters)]
        if seen == self._seen:
            return True
        self._seen = []
        if not all(p.dtype is self.dtype and p.is_cpu and p.is_contiguous() for p in parameters):
            return False
        if [tuple(factor.shape) for factor in factors] != self.shapes:
            return False
        if bias is not None and bias.shape != (self.n,):
            return False
        self._places[:] = seen[: len(factors)][::-1]
        self._bias, self._biased = (_pointer(bias), 1) if bias is not None else (0, 0)
        self._seen = seen
        return True

    def times(self, x: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Return the result for (batch, n), contiguous, by what `reads` looked at last."""
        y = torch.empty_like(x)
        room = _workspace(self._needs[0])
        multiply(
            *self._fixed,
            _pointer(x),
            _pointer(y),
            x.size(0),
            self._bias or room,
            self._biased,
            0 if kept is None else _pointer(kept),
            room,
            self._wide[0],
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
        """Write the gradient of the rows, and add those of the bias and of all factors."""
        self._results[:] = list(map(_pointer, reversed(of_factors)))
        gradients(
            self.like,
            *self._tables,
            self.kept + 1,
            self._at,
            self._to,
            self.bytes,
            _pointer(x),
            _pointer(cotangent),
            0 if of_rows is None else _pointer(of_rows),
            x.size(0),
            0 if of_bias is None else _pointer(of_bias),
            0 if kept is None else _pointer(kept),
            _workspace(self._needs[1]),
            self._wide[1],
        )


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


class TrainedLanes(Trained):
    """Of factors and a bias that `LaneChain.reads` has just looked at.

    Parameters
    ----------
    chain : LaneChain
    written_out : callable
        As in `Trained`.
    """

    def __init__(self, chain: LaneChain, written_out: Callable[..., torch.Tensor]) -> None:
        super().__init__(_Times, written_out)
        self.chain = chain


class _Times(torch.autograd.Function):
    """Rows times a chain, plus a bias."""

    @staticmethod
    def forward(
        ctx: Any,
        trained: TrainedLanes,
        rows: torch.Tensor,
        bias: torch.Tensor | None,
        *factors: torch.Tensor,
    ) -> torch.Tensor:
        chain, x = trained.chain, rows.contiguous()
        ctx.trained, ctx.kept = trained, None
        if chain.kept:
            ctx.kept = x.new_empty((chain.kept, *x.shape))
        ctx.save_for_backward(rows, bias, *factors)
        return chain.times(x, ctx.kept)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:
        rows, bias, *factors = ctx.saved_tensors
        wanted, cotangent = ctx.needs_input_grad, cotangents[0]
        if torch.is_grad_enabled():  # these gradients will be differentiated
            return None, *gradients_by_torch(ctx, ctx.trained, rows, bias, factors, cotangent)
        chain, x = ctx.trained.chain, rows.contiguous()
        _require(chain, factors, bias)
        of_rows = torch.empty_like(x) if wanted[1] else None
        of_bias = torch.zeros_like(bias) if wanted[2] else None
        parts = list(map(torch.zeros_like, factors))
        chain.gradients(x, ctx.kept, cotangent.contiguous(), of_rows, of_bias, parts)
        if all(wanted[3:]):
            return None, of_rows, of_bias, *parts
        some = (p if wants else None for p, wants in zip(parts, wanted[3:], strict=True))
        return None, of_rows, of_bias, *some


def _require(chain: LaneChain, factors: Sequence[torch.Tensor], bias: torch.Tensor | None) -> None:
    """Raise if the tensors are no longer what was looked at before: kernels read their memory."""
    if not chain.reads(factors, bias):
        raise RuntimeError("a factor or the bias of a layer has changed its type or its layout")


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


def _workspace(size: int) -> int:
    """Return the address of so many bytes, of which those of the first vector are 0."""
    global _room
    if _room[2] < size:
        memory = np.zeros(size + LANE, dtype=np.uint8)
        address = int(memory.ctypes.data)
        _room = memory, address + -address % LANE, size
    return _room[1]
