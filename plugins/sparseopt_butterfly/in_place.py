"""Chains of factors that compiled kernels multiply with rows as they lie in tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt_butterfly.fused_kernels import VECTOR
from sparseopt_butterfly.parameter_lock import LOCK
from sparseopt_butterfly.training_chain import Trained, gradients_by_torch, readable

DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
address = torch.Tensor.data_ptr
# What has to be as it was for the kernels to read the same numbers of a tensor.
_LOOKS = address, torch.Tensor.is_contiguous, torch.Tensor.is_neg, attrgetter("nbytes")
# The kernels hold the lock of the interpreter, so that one workspace serves all layers: the memory,
# the address of its first whole vector, and the bytes from there.
_room: tuple[Any, int, int] = (None, 0, 0)


class InPlaceChain:
    """What kernels need to know of an architecture, for one dtype.

    Nothing is held of the values of factors: they are read where they are, at each call. Who calls
    `reads`, and then one of the others, holds the `LOCK`.

    Subclasses have the two kernels, and in `__init__` set what these take first after the type of
    numbers, the distance of rows in the workspace, and, there and back, the bytes of the workspace
    and the rows that go through it at a time.
    """

    _multiply: Callable[..., None]
    _gradients: Callable[..., None]
    _numbers: tuple[int, ...]
    _distance: int
    _needs: tuple[int, int]
    _wide: tuple[int, int]

    def __init__(self, architecture: so.Architecture, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.like = DTYPES[dtype].type(0)
        self.item = DTYPES[dtype].itemsize
        self.rows, self.columns = architecture.shape
        self.shapes = [pattern.values_shape for pattern in architecture]
        self._seen: list[Any] = []
        self.looks = 0  # how often something else was seen than before
        self._places = np.zeros(len(self.shapes), dtype=np.int64)
        self._results = np.zeros_like(self._places)
        self._at, self._to = int(self._places.ctypes.data), int(self._results.ctypes.data)
        self._bias = self._biased = 0

    def reads(self, factors: Sequence[torch.Tensor], bias: torch.Tensor | None) -> bool:
        """Whether the kernels can read these factors and this bias, which they will from now on."""
        parameters = factors if bias is None else [*factors, bias]
        seen = [list(map(look, parameters)) for look in _LOOKS]
        if seen == self._seen:
            return True
        self._seen, self.looks = [], self.looks + 1
        if not all(p.dtype is self.dtype and p.is_cpu and p.is_contiguous() for p in parameters):
            return False
        if not all(seen[0]) or any(seen[2]):
            return False
        if [tuple(factor.shape) for factor in factors] != self.shapes:
            return False
        if bias is not None and bias.shape != (self.rows,):
            return False
        self._places[:] = seen[0][: len(factors)][::-1]
        self._bias, self._biased = (address(bias), 1) if bias is not None else (0, 0)
        self._seen = seen
        return True

    def room_for_kept(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return where `times` keeps what the gradients need, None if they need nothing."""
        raise NotImplementedError

    def times(self, x: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
        """Return the result for (batch, columns), contiguous, by what `reads` looked at last."""
        square = self.rows == self.columns
        y = torch.empty_like(x) if square else x.new_empty((x.size(0), self.rows))
        _memory, room = workspace(self._needs[0])
        self._multiply(
            self.like,
            *self._numbers,
            self._at,
            self._distance,
            address(x),
            address(y),
            x.size(0),
            self._bias or room,
            self._biased,
            0 if kept is None else address(kept),
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
        self._results[:] = list(map(address, reversed(of_factors)))
        _memory, room = workspace(self._needs[1])
        self._gradients(
            self.like,
            *self._numbers,
            self._at,
            self._to,
            self._distance,
            address(x),
            address(cotangent),
            0 if of_rows is None else address(of_rows),
            x.size(0),
            0 if of_bias is None else address(of_bias),
            0 if kept is None else address(kept),
            room,
            self._wide[1],
        )


class TrainedInPlace(Trained):
    """Of factors and a bias that `InPlaceChain.reads` has just looked at.

    Parameters
    ----------
    chain : InPlaceChain
    written_out : callable
        As in `Trained`.
    """

    def __init__(self, chain: InPlaceChain, written_out: Callable[..., torch.Tensor]) -> None:
        super().__init__(_Times, written_out)
        self.chain, self.looks = chain, chain.looks


class _Times(torch.autograd.Function):
    """Rows times a chain, plus a bias."""

    @staticmethod
    def forward(
        ctx: Any,
        trained: TrainedInPlace,
        rows: torch.Tensor,
        bias: torch.Tensor | None,
        *factors: torch.Tensor,
    ) -> torch.Tensor:
        x = rows.contiguous()
        ctx.trained, ctx.bias = trained, bias  # of which gradients need no value
        ctx.kept = trained.chain.room_for_kept(x)
        ctx.save_for_backward(rows, *factors)
        with LOCK:
            if trained.chain.looks != trained.looks:  # another thread was here meanwhile
                _require(trained.chain, factors, bias)
            return trained.chain.times(x, ctx.kept)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:
        rows, *factors = ctx.saved_tensors
        bias, wanted, cotangent = ctx.bias, ctx.needs_input_grad, cotangents[0]
        if torch.is_grad_enabled():  # these gradients will be differentiated
            return None, *gradients_by_torch(ctx, ctx.trained, rows, bias, factors, cotangent)
        chain, x, cotangent = ctx.trained.chain, readable(rows), readable(cotangent)
        of_rows = torch.empty_like(x) if wanted[1] else None
        of_bias = torch.zeros_like(bias) if wanted[2] else None
        parts = list(map(torch.zeros_like, factors))
        with LOCK:
            _require(chain, factors, bias)
            chain.gradients(x, ctx.kept, cotangent, of_rows, of_bias, parts)
        if all(wanted[3:]):
            return None, of_rows, of_bias, *parts
        some = (p if wants else None for p, wants in zip(parts, wanted[3:], strict=True))
        return None, of_rows, of_bias, *some


def _require(
    chain: InPlaceChain, factors: Sequence[torch.Tensor], bias: torch.Tensor | None
) -> None:
    """Raise if the tensors are no longer what was looked at before: kernels read their memory."""
    if not chain.reads(factors, bias):
        raise RuntimeError("a factor or the bias of a layer has changed its type or its layout")


def workspace(size: int) -> tuple[Any, int]:
    """Return memory, and the address there of so many bytes, of which those of the first vector
    are 0."""
    global _room
    if _room[2] < size:
        memory = np.zeros(size + VECTOR, dtype=np.uint8)
        first = int(memory.ctypes.data)
        _room = memory, first + -first % VECTOR, size
    return _room[:2]
