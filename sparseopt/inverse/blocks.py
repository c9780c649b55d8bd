"""Blocks of coefficients that vanish together; checks of groups, weights and strengths."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.interface.arrays import (
    as_array,
    as_figure,
    as_indices,
    read_only,
    require_finite,
    to_double,
    unmasked,
)
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short


@dataclass(frozen=True, eq=False)
class Blocks:
    """A partition of the coefficients 0, ..., n - 1 into blocks that vanish together.

    Parameters
    ----------
    order : ndarray of int, shape (n,)
        The members of block 0, then of block 1, and so on.
    sizes : ndarray of int, shape (n_blocks,)
        Every size is positive.
    """

    order: np.ndarray
    sizes: np.ndarray

    @cached_property
    def single(self) -> bool:
        """Whether block j is the coefficient j alone."""
        count = len(self.order)
        return len(self.sizes) == count and bool((self.order == np.arange(count)).all())

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each block starts in `order`."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)

    @cached_property
    def labels(self) -> np.ndarray:
        """The block of each coefficient."""
        labels = np.empty(len(self.order), dtype=np.intp)
        labels[self.order] = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return labels

    def norms(self, vector: np.ndarray) -> np.ndarray:
        """Return the Euclidean norm of each block of `vector`.

        Off by at most gamma(size + 4) of itself, see `rounding`, whatever the magnitudes; exact
        for blocks of one.
        """
        if self.single:
            return np.abs(vector)
        ordered = vector[self.order]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            squares = np.add.reduceat(np.square(ordered), self.starts)
            if not ((squares > 2.0**-900) & (squares < 2.0**900)).all():
                return self._scaled_norms(np.abs(ordered))
        return np.sqrt(squares)

    def _scaled_norms(self, magnitudes: np.ndarray) -> np.ndarray:
        """Return the norms by way of each block over its largest entry's power of two."""
        exponents = np.frexp(np.maximum.reduceat(magnitudes, self.starts))[1]
        shares = np.ldexp(magnitudes, -np.repeat(exponents, self.sizes))
        return np.ldexp(np.sqrt(np.add.reduceat(np.square(shares), self.starts)), exponents)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return per coefficient the value of its block."""
        return values if self.single else values[self.labels]

    def members(self, chosen: np.ndarray) -> np.ndarray:
        """Return the coefficients of the blocks `chosen`, block by block."""
        if self.single:
            return chosen
        starts, sizes = self.starts[chosen], self.sizes[chosen]
        ends = np.cumsum(sizes)
        offsets = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes)
        return self.order[np.repeat(starts, sizes) + offsets]

    def doubled(self) -> Blocks:
        """Return blocks of 2 n coefficients in which j and n + j go together, for complex ones."""
        return Blocks(np.argsort(np.tile(self.labels, 2), kind="stable"), 2 * self.sizes)


def as_strength(value: Any, name: str = "strength") -> float:
    """Return a finite number that is not negative; arrays and tensors without axes are taken."""
    value = unmasked(value, name)
    strength = as_figure(value.item() if getattr(value, "shape", None) == () else value, name)
    if not math.isfinite(strength):
        raise ProblemError(f"{name} is {strength}; give a finite number")
    if strength < 0:
        raise ProblemError(
            f"{name} is {strength:g}; a penalty cannot be negative, give 0 or a positive number"
        )
    return strength


def as_flag(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ProblemError(f"positive must be True or False, got {short(value)}")
    return bool(value)


def single(size: int) -> Blocks:
    return Blocks(np.arange(size), np.ones(size, dtype=np.intp))


def require_count(weights: np.ndarray | None, size: int) -> None:
    if weights is not None and len(weights) != size:
        raise ProblemError(
            f"weights must be {size} numbers, one per column, got shape {weights.shape}"
        )


def grouped(groups: tuple[np.ndarray, ...]) -> Blocks:
    sizes = np.array([len(group) for group in groups], dtype=np.intp)
    return Blocks(read_only(np.concatenate(groups)), read_only(sizes))


def require_cover(blocks: Blocks, size: int) -> Blocks:
    if len(blocks.order) != size:
        raise ProblemError(
            f"the groups hold the entries 0 to {len(blocks.order) - 1}, but the design has "
            f"{size} columns; every column must be in exactly one group"
        )
    return blocks


def as_groups(groups: Iterable[Any]) -> tuple[np.ndarray, ...]:
    """Return the groups as read-only index arrays; they partition 0, ..., n - 1."""
    try:
        listed = [as_indices(group, "a group") for group in groups]
    except (TypeError, ValueError) as error:
        raise ProblemError(f"groups must be a list of lists of column numbers ({error})") from error
    if not listed:
        raise ProblemError("groups is empty; give one list of column numbers per group")
    for g, group in enumerate(listed):
        if group.ndim != 1 or group.size == 0 or group.dtype.kind not in "iuf":
            raise ProblemError(
                f"group {g} must be a non-empty list of column numbers; as an array it has shape "
                f"{group.shape} and dtype {group.dtype}"
            )
    sizes, entries = [len(group) for group in listed], np.concatenate(listed)
    owners = np.repeat(np.arange(len(listed)), sizes)
    bad = np.flatnonzero(~((entries == np.floor(entries)) & (entries >= 0) & (entries <= 2**53)))
    if bad.size:
        raise ProblemError(
            f"group {owners[bad[0]]} holds {entries[bad[0]]}, which is not a column number"
        )
    _require_partition(entries, owners)
    return tuple(map(read_only, np.split(entries.astype(np.intp), np.cumsum(sizes)[:-1])))


def _require_partition(entries: np.ndarray, owners: np.ndarray) -> None:
    """Refuse entries that are not 0, ..., n - 1 once each, naming the first one at fault."""
    ranked = np.argsort(entries, kind="stable")
    ordered = entries[ranked]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if twice.size:
        first, second = (int(owners[i]) for i in ranked[twice[0] : twice[0] + 2])
        where = f"groups {first} and {second}" if first != second else f"group {first} twice"
        raise ProblemError(
            f"entry {int(ordered[twice[0]])} is in {where}; every column must be in exactly one "
            "group (duplicate the column to let groups overlap)"
        )
    gaps = np.flatnonzero(ordered != np.arange(len(ordered)))
    if gaps.size:
        raise ProblemError(
            f"the groups miss entry {int(gaps[0])} (they go up to {int(ordered[-1])}); every "
            "column must be in exactly one group"
        )


def as_weights(weights: Any, count: int | None = None, name: str = "weights") -> np.ndarray:
    """Return weights as float64: finite, not negative, `count` of them if that is given."""
    array = as_array(weights, name)
    if array.dtype.kind not in "iuf" or array.ndim != 1 or count not in (None, len(array)):
        wanted = "a vector of" if count is None else str(count)
        each = "row" if name == "sample_weights" else "group" if count else "column"
        raise ProblemError(
            f"{name} must be {wanted} numbers, one per {each}, got shape {array.shape} and dtype "
            f"{array.dtype}"
        )
    array = to_double(array, name)
    require_finite(array, name)
    bad = np.flatnonzero(array < 0)
    if bad.size:
        raise ProblemError(
            f"{name} has {array[bad[0]]:g} at entry {int(bad[0])}; weights must not be negative"
        )
    return read_only(array)


def weighted(strength: float, weights: np.ndarray | None, count: int) -> np.ndarray:
    """Return strength times weights, of which None stands for ones."""
    return np.full(count, strength) if weights is None else _times(strength, weights)


def _times(strength: float, weights: np.ndarray) -> np.ndarray:
    """Return the products: not 0 where neither factor is, but what is refused as too small."""
    return np.maximum(strength * weights, 5e-324 * ((weights > 0) & (strength > 0)))
