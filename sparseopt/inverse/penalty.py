"""Penalties that make coefficients vanish: l1, and the sum of the norms of groups."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import read_only, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type


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
        return len(self.sizes) == len(self.order) and bool(
            np.array_equal(self.order, np.arange(len(self.order)))
        )

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


class Penalty(ABC):
    """A weighted sum of the Euclidean norms of blocks of coefficients.

    Subclasses are frozen dataclasses decorated with `json_type` that hold a ``strength``.
    """

    strength: float

    @abstractmethod
    def blocks(self, size: int) -> Blocks:
        """Return the blocks of `size` coefficients; `ProblemError` if they do not fit."""

    @abstractmethod
    def limits(self, size: int) -> np.ndarray:
        """Return the factor of each block's norm, the strength times the block's weight."""

    def value(self, x: np.ndarray) -> float:
        """Return the penalty of `x`."""
        norms = self.blocks(len(x)).norms(np.asarray(x, dtype=np.float64))
        limits = self.limits(len(x))
        return math.fsum(limit * norm for limit, norm in zip(limits, norms, strict=True))


def _as_strength(value: Any) -> float:
    if isinstance(value, bool | np.bool_ | complex | np.complexfloating | str | None):
        raise ProblemError(f"strength must be a number, got {value!r}")
    try:
        strength = float(value)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"strength must be a number, got {value!r}") from error
    if not math.isfinite(strength):
        raise ProblemError(f"strength is {strength}; give a finite number")
    if strength < 0:
        raise ProblemError(
            f"strength is {strength:g}; a penalty cannot be negative, give 0 or a positive number"
        )
    return strength


@json_type
@dataclass(frozen=True, eq=False)
class L1(Penalty):
    """The l1 norm times `strength`.

    Parameters
    ----------
    strength : float
        Not negative; in the units of ``design.T @ target``.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> so.L1(0.5).value(np.array([1.0, -2.0, 0.0]))
    1.5
    """

    strength: float

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, strength: SupportsFloat) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", _as_strength(self.strength))

    def blocks(self, size: int) -> Blocks:
        """Return one block per coefficient."""
        return Blocks(np.arange(size), np.ones(size, dtype=np.intp))

    def limits(self, size: int) -> np.ndarray:
        """Return the strength, `size` times."""
        return np.full(size, self.strength)


@json_type
@dataclass(frozen=True, eq=False)
class GroupL1(Penalty):
    """The sum over groups of weight times Euclidean norm, times `strength`.

    Parameters
    ----------
    strength : float
        Not negative.
    groups : sequence of sequences of int
        Every coefficient 0, ..., n - 1 in exactly one group.
    weights : sequence of float or None
        One positive weight per group; None means 1 for each. Take the square roots of the sizes
        for the group lasso of Yuan and Lin (2006).

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> so.GroupL1(2.0, [[0, 2], [1]]).value(np.array([3.0, -1.0, 4.0]))
    12.0
    """

    strength: float
    groups: tuple[np.ndarray, ...]
    weights: np.ndarray | None = None

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            strength: SupportsFloat,
            groups: Iterable[ArrayLike],
            weights: ArrayLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", _as_strength(self.strength))
        groups = _as_groups(self.groups)
        object.__setattr__(self, "groups", groups)
        if self.weights is not None:
            object.__setattr__(self, "weights", _as_weights(self.weights, len(groups)))

    @cached_property
    def _blocks(self) -> Blocks:
        sizes = np.array([len(group) for group in self.groups], dtype=np.intp)
        return Blocks(read_only(np.concatenate(self.groups)), read_only(sizes))

    def blocks(self, size: int) -> Blocks:
        """Return the groups."""
        blocks = self._blocks
        if len(blocks.order) != size:
            raise ProblemError(
                f"the groups hold the entries 0 to {len(blocks.order) - 1}, but the design has "
                f"{size} columns; every column must be in exactly one group"
            )
        return blocks

    def limits(self, size: int) -> np.ndarray:
        """Return strength times weight, per group."""
        weights = np.ones(len(self.groups)) if self.weights is None else self.weights
        return self.strength * weights


def _as_groups(groups: Iterable[Any]) -> tuple[np.ndarray, ...]:
    """Return the groups as read-only index arrays; they partition 0, ..., n - 1."""
    try:
        listed = [np.asarray(group) for group in groups]
    except (TypeError, ValueError) as error:
        raise ProblemError(f"groups must be a list of lists of column numbers ({error})") from error
    if not listed:
        raise ProblemError("groups is empty; give one list of column numbers per group")
    for g, group in enumerate(listed):
        if group.ndim != 1 or group.size == 0 or group.dtype.kind not in "iuf":
            raise ProblemError(
                f"group {g} must be a non-empty list of column numbers, got {group.tolist()!r}"
            )
    sizes = [len(group) for group in listed]
    entries = np.concatenate(listed)
    owners = np.repeat(np.arange(len(listed)), sizes)
    whole = np.isfinite(entries) & (entries == np.floor(entries)) & (entries >= 0)
    bad = np.flatnonzero(~whole | (entries > 2**53))
    if bad.size:
        raise ProblemError(
            f"group {owners[bad[0]]} holds {entries[bad[0]]}, which is no column number"
        )
    entries = entries.astype(np.intp)
    _require_partition(entries, owners)
    return tuple(read_only(part) for part in np.split(entries, np.cumsum(sizes)[:-1]))


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


def _as_weights(weights: Any, count: int) -> np.ndarray:
    array = np.asarray(weights)
    if array.dtype.kind not in "iuf" or array.shape != (count,):
        raise ProblemError(
            f"weights must be {count} numbers, one per group, got shape {array.shape} and dtype "
            f"{array.dtype}"
        )
    array = array.astype(np.float64)
    require_finite(array, "weights")
    bad = np.flatnonzero(array <= 0)
    if bad.size:
        raise ProblemError(f"weight {int(bad[0])} is {array[bad[0]]:g}; weights must be positive")
    return read_only(array)
