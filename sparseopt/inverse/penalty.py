"""Penalties that make coefficients vanish: l1, the sum of the norms of groups, and their sums.

All but those of `matrix_penalties` have one form: with blocks g that partition the coefficients,

    sum_g L_g |x_g| + sum_j l_j |x_j| + ridge / 2 |x|^2,    where asked for x >= 0 only.

Its dual is closed: with c = A^T t and shr(c)_j = max(|c_j| - l_j, 0), or max(c_j - l_j, 0) for
x >= 0, the conjugate is sum_g max(|shr(c)_g| - L_g, 0)^2 / (2 ridge), and without a ridge the
constraint |shr(c)_g| <= L_g. For the distance of c_g to the sum of a box, a ball and an orthant is
what is left of it once each has taken what it can.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import read_only, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type

if TYPE_CHECKING:
    from sparseopt.inverse.composite import PenaltySum


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

    def doubled(self) -> Blocks:
        """Return the blocks of 2 n coefficients where j and n + j share a block, for complex ones."""
        count = len(self.order)
        parts = np.split(self.order, self.starts[1:])
        order = np.concatenate([index for part in parts for index in (part, part + count)])
        return Blocks(order, 2 * self.sizes)


class Penalty(ABC):
    """A weighted sum of the Euclidean norms of blocks of coefficients.

    Subclasses are frozen dataclasses decorated with `json_type`. Penalties are added by ``+``, see
    `PenaltySum`.

    Attributes
    ----------
    strength : float
        What a path varies.
    positive : bool
        Whether coefficients below zero cost infinity.
    ridge : float
        Factor of half the squared norm.
    """

    strength: float
    positive: bool = False
    ridge: float = 0.0

    @property
    def roundings(self) -> int:
        """How many roundings there are in limits and thresholds; 0 only for blocks of one."""
        return 1

    @abstractmethod
    def blocks(self, size: int) -> Blocks:
        """Return the blocks of `size` coefficients; `ProblemError` if they do not fit."""

    @abstractmethod
    def limits(self, size: int) -> np.ndarray:
        """Return the factor of each block's norm, the strength times the block's weight."""

    def thresholds(self, size: int) -> np.ndarray | None:
        """Return the factor of each coefficient's magnitude, None if there are none."""
        return None

    def at(self, strength: float) -> Penalty:
        """Return the penalty with another strength."""
        return replace(self, strength=strength)  # type: ignore[type-var]

    def value(self, x: np.ndarray) -> float:
        """Return the penalty of `x`, real or complex."""
        x = np.asarray(x)
        size, blocks = len(x), self.blocks(len(x))
        parts = x.astype(np.float64) if x.dtype.kind != "c" else np.append(x.real, x.imag)
        if self.positive and (x.dtype.kind == "c" or (parts < 0).any()):
            return math.inf
        norms = (blocks.doubled() if x.dtype.kind == "c" else blocks).norms(parts)
        terms = [limit * norm for limit, norm in zip(self.limits(size), norms, strict=True)]
        if (thresholds := self.thresholds(size)) is not None:
            terms += (thresholds * np.abs(x)).tolist()
        if self.ridge:
            terms += (0.5 * self.ridge * np.square(parts)).tolist()
        return math.fsum(terms)

    def __add__(self, other: object) -> PenaltySum:
        """Return the sum of two penalties."""
        from sparseopt.inverse.composite import PenaltySum  # which builds on this

        return PenaltySum((self, other)) if isinstance(other, Penalty) else NotImplemented

    def __radd__(self, other: object) -> Penalty:
        """Let `sum` start with its 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented


def as_strength(value: Any, name: str = "strength") -> float:
    """Return a finite number that is not negative."""
    if isinstance(value, bool | np.bool_ | complex | np.complexfloating | str | None):
        raise ProblemError(f"{name} must be a number, got {value!r}")
    try:
        strength = float(value)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"{name} must be a number, got {value!r}") from error
    if not math.isfinite(strength):
        raise ProblemError(f"{name} is {strength}; give a finite number")
    if strength < 0:
        raise ProblemError(
            f"{name} is {strength:g}; a penalty cannot be negative, give 0 or a positive number"
        )
    return strength


def _as_flag(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ProblemError(f"positive must be True or False, got {value!r}")
    return bool(value)


def single(size: int) -> Blocks:
    return Blocks(np.arange(size), np.ones(size, dtype=np.intp))


def _require_count(weights: np.ndarray | None, size: int) -> None:
    if weights is not None and len(weights) != size:
        raise ProblemError(
            f"weights must be {size} numbers, one per column, got shape {weights.shape}"
        )


@json_type
@dataclass(frozen=True, eq=False)
class L1(Penalty):
    """The l1 norm times `strength`.

    Parameters
    ----------
    strength : float
        Not negative; in the units of ``design.T @ target``.
    weights : sequence of float or None
        One for each coefficient, which multiplies its magnitude; None means 1. Weight 0 leaves a
        coefficient unpenalised: its column is projected out, so there is no cost in accuracy.
    positive : bool
        Whether coefficients must not be negative.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> so.L1(0.5).value(np.array([1.0, -2.0, 0.0]))
    1.5
    >>> so.L1(0.5, [1, 0, 1]).value(np.array([1.0, -2.0, 0.0]))
    0.5
    """

    strength: float
    weights: np.ndarray | None = None
    positive: bool = False

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            strength: SupportsFloat,
            weights: ArrayLike | None = None,
            positive: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", as_strength(self.strength))
        if self.weights is not None:
            object.__setattr__(self, "weights", as_weights(self.weights))
        object.__setattr__(self, "positive", _as_flag(self.positive))

    @property
    def roundings(self) -> int:
        """Return 0 without weights: limits are the strength itself."""
        return 0 if self.weights is None else 1

    def blocks(self, size: int) -> Blocks:
        """Return one block per coefficient."""
        _require_count(self.weights, size)
        return single(size)

    def limits(self, size: int) -> np.ndarray:
        """Return strength times weight, per coefficient."""
        return np.full(size, self.strength) * (1.0 if self.weights is None else self.weights)


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
        One weight per group; None means 1 for each. Take the square roots of the sizes for the
        group lasso of Yuan and Lin (2006). Weight 0 leaves a group unpenalised.
    positive : bool
        Whether coefficients must not be negative.

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
    positive: bool = False

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            strength: SupportsFloat,
            groups: Iterable[ArrayLike],
            weights: ArrayLike | None = None,
            positive: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", as_strength(self.strength))
        groups = as_groups(self.groups)
        object.__setattr__(self, "groups", groups)
        if self.weights is not None:
            object.__setattr__(self, "weights", as_weights(self.weights, len(groups)))
        object.__setattr__(self, "positive", _as_flag(self.positive))

    @cached_property
    def _blocks(self) -> Blocks:
        return grouped(self.groups)

    def blocks(self, size: int) -> Blocks:
        """Return the groups."""
        return require_cover(self._blocks, size)

    def limits(self, size: int) -> np.ndarray:
        """Return strength times weight, per group."""
        weights = np.ones(len(self.groups)) if self.weights is None else self.weights
        return self.strength * weights


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


def as_weights(weights: Any, count: int | None = None, name: str = "weights") -> np.ndarray:
    """Return weights as float64: finite, not negative, `count` of them if that is given."""
    try:
        array = np.asarray(weights)
    except ValueError as error:
        raise ProblemError(f"{name} must be a list of numbers ({error})") from error
    if array.dtype.kind not in "iuf" or array.ndim != 1 or count not in (None, len(array)):
        wanted = "a vector of" if count is None else str(count)
        raise ProblemError(
            f"{name} must be {wanted} numbers, one per {'group' if count else 'column'}, got shape "
            f"{array.shape} and dtype {array.dtype}"
        )
    array = array.astype(np.float64)
    require_finite(array, name)
    bad = np.flatnonzero(array < 0)
    if bad.size:
        raise ProblemError(
            f"{name} has {array[bad[0]]:g} at entry {int(bad[0])}; weights must not be negative"
        )
    return read_only(array)
