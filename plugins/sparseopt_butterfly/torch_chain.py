"""Applies a chain of torch factors, neighbours merged or not.

Everything about shapes is worked out beforehand as plain integers, so that compilers and exporters
of torch see operations on tensors only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch

import sparseopt as so
from sparseopt_butterfly.multiplication import merged_pattern

Numbers = tuple[int, int, int, int]


class Merge(NamedTuple):
    """One product of neighbours; `flipped` if it is the pair of transposes that is chainable."""

    left: Numbers
    right: Numbers
    flipped: bool


class Group(NamedTuple):
    """Factors first .. last - 1, how they are merged from the left, and into which pattern."""

    first: int
    last: int
    merges: tuple[Merge, ...]
    pattern: Numbers


def group_of(architecture: so.Architecture, first: int, last: int) -> Group | None:
    """Return the group of factors first .. last - 1, None if they have no Kronecker product."""
    pattern = architecture[first]
    merges = []
    for right in architecture.patterns[first + 1 : last]:
        whole = merged_pattern(pattern, right)
        if whole is None:
            return None
        if pattern.is_chainable_with(right):
            merges.append(Merge(_numbers(pattern), _numbers(right), False))
        else:
            pair = _numbers(right.transpose), _numbers(pattern.transpose)
            merges.append(Merge(*pair, True))
        pattern = whole
    return Group(first, last, tuple(merges), _numbers(pattern))


def groups_of(architecture: so.Architecture, sizes: Sequence[int]) -> tuple[Group, ...]:
    """Return groups of these sizes, raising `ProblemError` if one has no Kronecker product."""
    if any(size < 1 for size in sizes) or sum(sizes) != len(architecture):
        raise so.ProblemError(
            f"sizes of merged groups must be positive and sum to {len(architecture)}, "
            f"got {list(sizes)}"
        )
    groups = []
    for first, last in pairwise((0, *accumulate(sizes))):
        group = group_of(architecture, first, last)
        if group is None:
            raise so.ProblemError(
                f"factors {first} to {last - 1} of {architecture} have no Kronecker-sparse "
                "product; merge fewer of them"
            )
        groups.append(group)
    return tuple(groups)


def merged(factors: Sequence[torch.Tensor], group: Group) -> torch.Tensor:
    """Return the values (a, b, c, d) of the product of a group."""
    values = factors[group.first]
    for i, merge in enumerate(group.merges, group.first + 1):
        if merge.flipped:
            one, two = factors[i].transpose(1, 2), values.transpose(1, 2)
            values = _merge(one, two, merge).transpose(1, 2)
        else:
            values = _merge(values, factors[i], merge)
    return values


def _merge(x: torch.Tensor, y: torch.Tensor, merge: Merge) -> torch.Tensor:
    """Return the values of a product, blockwise; the index map is that of
    `sparseopt.butterfly.splitting`."""
    (a1, b1, c1, d1), (a2, _, c2, d2) = merge.left, merge.right
    q, p, rank = a2 // a1, d1 // d2, a1 * c1 // a2
    left = x.reshape(a1, b1, q, rank, p, d2).permute(0, 2, 4, 5, 1, 3)
    right = y.reshape(a1, q, rank, p, c2, d2).permute(0, 1, 3, 5, 2, 4)
    blocks = (left @ right).permute(0, 3, 4, 2, 1, 5)  # (a1, d2, b1, p, q, c2)
    return blocks.reshape(a1, d2, b1 * p, q * c2).permute(0, 2, 3, 1)


def apply(values: torch.Tensor, pattern: Numbers, x: torch.Tensor) -> torch.Tensor:
    """Return one factor times a matrix (a c d, batch), in any strides."""
    a, _, c, d = pattern
    if a == d == 1:
        return plain(values) @ x
    if d > 1 or c < 4:  # few neighbouring rows are read together: transposing first pays
        x = x.contiguous()
    if d == 1:
        return torch.bmm(values.flatten(2), x.unflatten(0, (a, c))).flatten(0, 1)
    if a == 1:
        blocks = values.flatten(0, 1).permute(2, 0, 1)
        y = torch.bmm(blocks, x.unflatten(0, (c, d)).transpose(0, 1))
        return y.transpose(0, 1).flatten(0, 1)
    y = values.permute(0, 3, 1, 2) @ x.unflatten(0, (a, c, d)).transpose(1, 2)
    return y.transpose(1, 2).flatten(0, 2)


def apply_apart(values: torch.Tensor, pattern: Numbers, x: torch.Tensor) -> torch.Tensor:
    """Return one factor times (samples, a c d, cells), sample by sample.

    The number of samples is written into no shape, so that exported programs take any.
    """
    a, b, c, d = pattern
    if a == d == 1:
        return plain(values) @ x
    cells = x.reshape(-1, a, c, d, x.shape[-1]).transpose(2, 3)
    y = values.permute(0, 3, 1, 2) @ cells
    return y.transpose(2, 3).reshape(-1, a * b * d, x.shape[-1])


def plain(values: torch.Tensor) -> torch.Tensor:
    """Return the matrix of a pattern (1, b, c, 1)."""
    return values.flatten(0, 1).flatten(1)


def _numbers(pattern: so.KroneckerPattern) -> Numbers:
    return pattern.a, pattern.b, pattern.c, pattern.d
