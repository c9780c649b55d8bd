"""Training steps of layers whose factors have larger blocks: matrix products of torch.

A factor (a, b, c, d) takes rows as ``a d`` matrices (batch, c), of neighbouring entries for d = 1
and of entries d apart otherwise, and multiplies each by a matrix (c, b) of its own. What operators
of torch do beside these products, bringing operand, values and all gradients from one order
into the other entry by entry, takes longer than the products; here compiled kernels do it, as
seldom as the chain permits.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

import sparseopt as so
from sparseopt_butterfly.torch_chain import Numbers
from sparseopt_butterfly.training_chain import Trained, gradients_by_torch, readable
from sparseopt_butterfly.transposing import swap_into

# Numbers of values, operand and result below which torch's own operators take less time: the calls
# count, not the numbers. Measured with Monarch chains of 256 and 1024 and batches from 1 on.
LEAST = 12_000


def is_block_chain(architecture: so.Architecture, batch: int) -> bool:
    """Whether there is enough to bring from one order into the other."""
    numbers = architecture.nnz + batch * sum(architecture.shape)
    return numbers >= LEAST and any(p.a > 1 or p.d > 1 for p in architecture)


class TrainedBlocks(Trained):
    """By one product of matrices for each factor.

    Parameters
    ----------
    architecture : Architecture
    written_out : callable
        As in `Trained`.
    """

    def __init__(
        self, architecture: so.Architecture, written_out: Callable[..., torch.Tensor]
    ) -> None:
        super().__init__(_Times, written_out)
        self.patterns: list[Numbers] = [(p.a, p.b, p.c, p.d) for p in architecture]


class _Times(torch.autograd.Function):
    """Rows times a chain, plus a bias."""

    @staticmethod
    def forward(
        ctx: Any,
        chain: TrainedBlocks,
        rows: torch.Tensor,
        bias: torch.Tensor | None,
        *factors: torch.Tensor,
    ) -> torch.Tensor:
        patterns = chain.patterns[::-1]
        values = [_packed(f, p) for f, p in zip(reversed(factors), patterns, strict=True)]
        a, _, c, d = patterns[0]
        entering = [_to_blocks(rows.contiguous(), a, c, d)]
        for k, (one, two) in enumerate(pairwise(patterns)):
            entering.append(_between(torch.bmm(entering[k], values[k].mT), one, _turned(two)))
        a, b, _, d = patterns[-1]
        made = _to_rows(torch.bmm(entering[-1], values[-1].mT), a, b, d)
        ctx.chain, ctx.entering, ctx.packed = chain, entering, values
        ctx.bias = bias  # of which gradients need no value
        ctx.save_for_backward(rows, *factors)
        return made if bias is None else made.add_(bias)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> Any:
        rows, *factors = ctx.saved_tensors
        cotangent, wanted = cotangents[0], ctx.needs_input_grad
        if torch.is_grad_enabled():  # these gradients will be differentiated
            return (None, *gradients_by_torch(ctx, ctx.chain, rows, ctx.bias, factors, cotangent))
        patterns = ctx.chain.patterns
        a, b, _, d = patterns[0]
        back, found = _to_blocks(readable(cotangent), a, b, d), []
        steps = list(zip(ctx.entering, ctx.packed, strict=True))[::-1]
        for k, (pattern, (entered, values)) in enumerate(zip(patterns, steps, strict=True)):
            of_factor = wanted[3 + k]
            found.append(_unpacked(torch.bmm(back.mT, entered), pattern) if of_factor else None)
            if not any((wanted[1], *wanted[4 + k :])):
                found += [None] * (len(patterns) - len(found))
                break
            back = torch.bmm(back, values)
            if k + 1 < len(patterns):
                back = _between(back, _turned(pattern), patterns[k + 1])
        a, _, c, d = patterns[-1]
        of_rows = _to_rows(back, a, c, d) if wanted[1] else None
        of_bias = cotangent.sum(0) if wanted[2] else None
        return (None, of_rows, of_bias, *found)


def _turned(pattern: Numbers) -> Numbers:
    """Return the pattern of a transposed factor."""
    a, b, c, d = pattern
    return a, c, b, d


def _packed(values: torch.Tensor, pattern: Numbers) -> torch.Tensor:
    """Return values (a, b, c, d) as matrices (a d, b, c)."""
    a, b, c, d = pattern
    values = values.detach()
    if d == 1:
        return values.view(a, b, c)
    size, packed = b * c, values.new_empty(a * d, b, c)
    _swap(values, packed, (a, 1, size, d), (size * d, 0, d), (size * d, 0, size))
    return packed


def _unpacked(packed: torch.Tensor, pattern: Numbers) -> torch.Tensor:
    """Return matrices (a d, b, c) as values (a, b, c, d)."""
    a, b, c, d = pattern
    if d == 1:
        return packed.view(a, b, c, 1)
    size, values = b * c, packed.new_empty(pattern)
    _swap(packed, values, (a, 1, d, size), (size * d, 0, size), (size * d, 0, d))
    return values


def _to_blocks(rows: torch.Tensor, a: int, c: int, d: int) -> torch.Tensor:
    """Return rows (batch, a c d) as matrices (a d, batch, c)."""
    batch = rows.shape[0]
    if d == 1:
        return rows.view(batch, a, c).transpose(0, 1)
    blocks = rows.new_empty(a * d, batch, c)
    if a == 1:
        _swap(rows, blocks, (1, 1, batch * c, d), (0, 0, d), (0, 0, batch * c))
    else:
        steps, strides = (a * c * d, c * d, d), (c, d * batch * c, batch * c)
        _swap(rows, blocks, (batch, a, c, d), steps, strides)
    return blocks


def _to_rows(blocks: torch.Tensor, a: int, b: int, d: int) -> torch.Tensor:
    """Return matrices (a d, batch, b) as rows (batch, a b d), contiguous."""
    batch = blocks.shape[1]
    rows = blocks.new_empty(batch, a * b * d)
    if d == 1:
        rows.view(batch, a, b).copy_(blocks.transpose(0, 1))
    elif a == 1:
        _swap(blocks, rows, (1, 1, d, batch * b), (0, 0, batch * b), (0, 0, d))
    else:
        steps, strides = (b, d * batch * b, batch * b), (a * b * d, b * d, d)
        _swap(blocks, rows, (batch, a, d, b), steps, strides)
    return rows


def _between(blocks: torch.Tensor, one: Numbers, two: Numbers) -> torch.Tensor:
    """Return what a factor gave, matrices (a d, batch, b), as what the next one takes.

    ``two`` is the pattern of the latter with b and c exchanged: what it takes, as if it gave it.
    """
    a, b, _, d = one
    after, width, _, apart = two
    batch = blocks.shape[1]
    turns = (d == 1 == after and b == apart) or (a == 1 == apart and d == width)
    if not turns:
        return _to_blocks(_to_rows(blocks, a, b, d), after, width, apart)
    count, made = a * d, blocks.new_empty(b, batch, a * d)
    _swap(blocks, made, (batch, 1, count, b), (b, 0, batch * b), (count, 0, batch * count))
    return made


def _swap(x: torch.Tensor, y: torch.Tensor, *how: Any) -> None:
    """Write matrices transposed, see `transposing.swap_into`."""
    swap_into(x.numpy(), y.numpy(), *how)
