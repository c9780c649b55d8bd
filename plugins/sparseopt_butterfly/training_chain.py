"""Training steps of layers by compiled kernels: the product and its gradients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

import sparseopt as so
from sparseopt_butterfly.fused_chain import LARGEST, WORKSPACE, FusedChain, pair_of, whole_of
from sparseopt_butterfly.fused_kernels import VECTOR, blocks
from sparseopt_butterfly.training_kernels import TILE, gradients_of_run, pack, unpack
from sparseopt_butterfly.transposing import transpose_into, transposed

# Bytes of all arrays that are kept for the next step.
SPARE = 2**26


class Run(NamedTuple):
    """A run of factors; see `training_kernels.pack` and `fused_kernels.blocks`.

    ``first`` and ``second`` say, of each value of the run, of which one or two values of the chain
    it is the product.
    """

    first: np.ndarray
    second: np.ndarray
    levels: np.ndarray
    a: int
    size: int
    d: int


def runs_of(architecture: so.Architecture) -> list[Run] | None:
    """Return the runs of a chain in order of application, None if kernels do not take it."""
    patterns = architecture.patterns
    runs, last = [], len(patterns)
    while last:
        first = last - 1
        whole = whole_of(patterns[first:last])
        if whole is None:
            return None
        while first:
            wider = whole_of(patterns[first - 1 : last])
            if wider is None or wider.b > LARGEST:
                break
            whole, first = wider, first - 1
        runs.append(_run(architecture, first, last))
        last = first
    return runs


def _run(architecture: so.Architecture, first: int, last: int) -> Run:
    """Return the run of factors first .. last - 1.

    Where its values come from is found by packing numbers in place of them: those of the one factor
    of each pair, then those of the other, with ones elsewhere.
    """
    patterns = architecture.patterns[first:last]
    starts = [0, *accumulate(pattern.nnz for pattern in architecture.patterns)]
    seconds, k = set(), 0
    while k < len(patterns):
        paired = k + 1 < len(patterns) and pair_of(patterns[k], patterns[k + 1]) is not None
        seconds |= {k + 1} if paired else set()
        k += 2 if paired else 1
    found = []
    for chosen in (set(range(len(patterns))) - seconds, seconds):
        numbers = [
            np.arange(p.nnz, dtype=np.float64).reshape(p.values_shape) + (starts[first + i] + 2)
            if i in chosen
            else np.ones(p.values_shape)
            for i, p in enumerate(patterns)
        ]
        made: Any = FusedChain().prepare(numbers, patterns, 2, np.dtype(np.float64))
        packed, levels, whole, _ = made.args
        places = packed.astype(np.int64)
        found.append(np.where(places == 1, starts[-1], places - 2))
    return Run(found[0], found[1], levels, whole.a, whole.b, whole.d)


class Trained:
    """Multiplies rows by a chain, with gradients.

    Parameters
    ----------
    times : type of torch.autograd.Function
        Takes this object, rows, a bias or None, and the factors.
    written_out : callable(rows, bias, factors)
        The same by operators of torch, for gradients of gradients.
    """

    def __init__(
        self, times: type[torch.autograd.Function], written_out: Callable[..., torch.Tensor]
    ) -> None:
        self._times, self.written_out = times, written_out

    def __call__(
        self, rows: torch.Tensor, bias: torch.Tensor | None, factors: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return the result for (batch, n), contiguous; dtypes agree and are real."""
        made: torch.Tensor = self._times.apply(self, rows, bias, *factors)
        return made


def readable(x: torch.Tensor) -> torch.Tensor:
    """Return a contiguous tensor whose values stand in memory, with their signs."""
    if x.is_neg() or (not x.data_ptr() and x.numel()):
        return torch.empty(x.shape, dtype=x.dtype).copy_(x)
    return x.contiguous()


class TrainedChain(Trained):
    """By runs of factors.

    Parameters
    ----------
    runs : list
        Of `runs_of`.
    written_out : callable
        As in `Trained`.
    """

    def __init__(self, runs: list[Run], written_out: Callable[..., torch.Tensor]) -> None:
        super().__init__(_Times, written_out)
        self.runs = runs
        # For the levels of a block; `blocks` takes what WORKSPACE says, and a vector of each row.
        levels = max(len(run.levels) for run in runs)
        self._size = max(levels * LARGEST * TILE, WORKSPACE // 4) + LARGEST * VECTOR // 4

    def rooms(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the workspaces of the kernels."""
        return np.empty(self._size, dtype=dtype), np.empty(LARGEST * TILE, dtype=dtype)


class _Loan:
    """An array that is handed on to the next step once nothing holds it any more.

    Memory that is fresh from the system at each step takes longer to get than the step itself.
    """

    _free: ClassVar[dict[Any, list[np.ndarray]]] = defaultdict(list)
    _bytes: ClassVar[int] = 0

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        try:  # another thread may take the last one
            self.array = self._free[shape, dtype].pop()
            _Loan._bytes -= self.array.nbytes
        except IndexError:
            self.array = np.empty(shape, dtype=dtype)

    def __del__(self) -> None:
        array = self.array
        if array.nbytes > SPARE:
            return
        if _Loan._bytes + array.nbytes > SPARE:  # rather for the shape of now than for earlier ones
            self._free.clear()
            _Loan._bytes = 0
        self._free[array.shape, array.dtype].append(array)
        _Loan._bytes += array.nbytes


class _Times(torch.autograd.Function):
    """Rows times a chain, plus a bias."""

    @staticmethod
    def forward(
        ctx: Any,
        chain: TrainedChain,
        rows: torch.Tensor,
        bias: torch.Tensor | None,
        *factors: torch.Tensor,
    ) -> torch.Tensor:
        values = _joined(factors)
        shape = rows.shape[1], rows.shape[0]
        entering = [_Loan(shape, values.dtype) for _ in range(len(chain.runs) + 1)]
        transpose_into(rows.detach().numpy(), entering[0].array)
        room = chain.rooms(values.dtype)[0]
        packed = []
        for run, (x, y) in zip(chain.runs, pairwise(entering), strict=True):
            packed.append(np.empty(run.first.size, dtype=values.dtype))
            pack(values, run.first, run.second, packed[-1])
            wide = WORKSPACE // (run.size * VECTOR)
            blocks(packed[-1], *run[2:], wide, x.array, y.array, room)
        made = transposed(entering.pop().array, None if bias is None else bias.detach().numpy())
        ctx.chain, ctx.entering, ctx.packed = chain, entering, packed
        ctx.bias = bias  # of which gradients need no value
        ctx.save_for_backward(rows, *factors)
        return torch.from_numpy(made)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:
        rows, *factors = ctx.saved_tensors
        cotangent = cotangents[0]
        if torch.is_grad_enabled():  # these gradients will be differentiated
            return (None, *gradients_by_torch(ctx, ctx.chain, rows, ctx.bias, factors, cotangent))
        values = _joined(factors)
        result = np.zeros_like(values)
        room, work = ctx.chain.rooms(values.dtype)
        loan = _Loan(ctx.entering[0].array.shape, values.dtype)
        back = loan.array
        transpose_into(readable(cotangent).numpy(), back)
        steps = zip(ctx.chain.runs, ctx.packed, ctx.entering, strict=True)
        for run, packed, x in reversed(list(steps)):
            found = np.zeros_like(packed)
            gradients_of_run(packed, *run[2:], x.array, back, found, room, work)
            unpack(values, run.first, run.second, found, result)
        wanted = ctx.needs_input_grad
        of_rows = torch.from_numpy(transposed(back)) if wanted[1] else None
        of_bias = cotangent.sum(0) if wanted[2] else None
        parts = torch.from_numpy(result[:-1]).split([factor.numel() for factor in factors])
        of_factors = (
            part.view(factor.shape) if wants else None
            for part, factor, wants in zip(parts, factors, wanted[3:], strict=True)
        )
        return (None, of_rows, of_bias, *of_factors)


def gradients_by_torch(
    ctx: Any,
    chain: Any,
    rows: torch.Tensor,
    bias: torch.Tensor | None,
    factors: Sequence[torch.Tensor],
    cotangent: torch.Tensor,
) -> list[torch.Tensor | None]:
    """Return the gradients, differentiable themselves."""
    y = chain.written_out(rows, bias, factors)
    every = [rows, bias, *factors]
    wanted = [t for t, w in zip(every, ctx.needs_input_grad[1:], strict=True) if w]
    found = iter(torch.autograd.grad(y, wanted, cotangent, create_graph=True))
    return [next(found) if w else None for w in ctx.needs_input_grad[1:]]


def _joined(factors: Sequence[torch.Tensor]) -> np.ndarray:
    """Return all values one after the other, and a 1."""
    arrays = [factor.detach().numpy().reshape(-1) for factor in factors]
    return np.concatenate([*arrays, np.ones(1, dtype=arrays[0].dtype)])
