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
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_array
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.inverse.blocks import (
    Blocks,
    as_flag,
    as_groups,
    as_strength,
    as_weights,
    grouped,
    require_count,
    require_cover,
    single,
    weighted,
)


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
    family : str
        Decides what adds to what: "entries", "groups", "squares", "matrix", or "" for nothing.
    """

    family: ClassVar[str] = ""

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
        x = as_array(x, "x")
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
        return PenaltySum((self, other)) if isinstance(other, Penalty) else NotImplemented

    def __radd__(self, other: object) -> Penalty:
        """Let `sum` start with its 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented


@json_type
@dataclass(frozen=True, eq=False)
class PenaltySum(Penalty):
    """A sum of penalties whose dual is closed; made by ``+``.

    `L1`, `GroupL1`, `SparseGroupL1` and `Ridge` add, as long as all groups are the same, and
    `NuclearNorm` and `Ridge` do. If one of them is for positive coefficients only, so is the sum.

    Parameters
    ----------
    parts : sequence of Penalty

    Raises
    ------
    ProblemError
        For sums whose dual has no closed form: groups that differ (they would overlap),
        `NuclearNorm` with anything but `Ridge`, and `TotalVariation` with anything.

    Notes
    -----
    The strength that a path varies is the sum of those of all parts but `Ridge`, at fixed ratios;
    the ridge stays. Where all are `Ridge`, it is theirs.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> (so.L1(1.0) + so.Ridge(0.5)).value(np.array([2.0, 0.0]))
    3.0
    """

    parts: tuple[Penalty, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.parts, Iterable):
            raise ProblemError(f"parts must be penalties, got {short(self.parts)}")
        parts: list[Penalty] = []
        for part in self.parts:
            if not isinstance(part, Penalty):
                raise ProblemError(f"parts must be penalties, got {short(part)}")
            parts += part.parts if isinstance(part, PenaltySum) else [part]
        if not parts:
            raise ProblemError("a sum of penalties needs at least one")
        _require_one_of_each(parts)
        for part in parts:
            if not part.family and len(parts) > 1:
                name = type(part).__name__
                listed = " and ".join(sorted({type(p).__name__ for p in parts if p is not part}))
                raise ProblemError(
                    f"{name} does not add to {listed or 'others'}: the dual of the sum has no "
                    "closed form; L1, GroupL1, SparseGroupL1 and Ridge add, NuclearNorm and Ridge"
                )
        object.__setattr__(self, "parts", tuple(parts))
        matrices = [part for part in parts if part.family == "matrix"]
        others = [part for part in parts if part.family in ("entries", "groups")]
        if matrices and (others or len(matrices) > 1):
            other = type((others or matrices)[-1]).__name__
            raise ProblemError(
                f"{type(matrices[0]).__name__} does not add to {other}: the dual of the sum has no "
                "closed form; Ridge adds to it"
            )
        grouped = [part for part in parts if part.family == "groups"]
        for part in grouped[1:]:
            if not _same_groups(grouped[0], part):
                raise ProblemError(
                    f"{type(grouped[0]).__name__} and {type(part).__name__} have different groups: "
                    "the dual of their sum has no closed form; list the same groups in both"
                )

    @property
    def roundings(self) -> int:
        """Return a bound: each sum adds one."""
        return 1 + len(self.parts)

    @property
    def positive(self) -> bool:  # type: ignore[override]
        """Whether a part wants it."""
        return any(part.positive for part in self.parts)

    @property
    def ridge(self) -> float:  # type: ignore[override]
        """The sum of the ridges."""
        return math.fsum(part.ridge for part in self.parts)

    @property
    def _varied(self) -> list[Penalty]:
        sparse = [part for part in self.parts if part.family != "squares"]
        return sparse or list(self.parts)

    @property
    def strength(self) -> float:  # type: ignore[override]
        """The sum of the strengths of all parts but ridges, or of those if there is no other."""
        return math.fsum(part.strength for part in self._varied)

    def at(self, strength: float) -> PenaltySum:
        """Return the sum with another strength, at the same ratios; ridges stay."""
        own, varied = self.strength, self._varied
        ratio = strength / own if own else 0.0
        if not own and strength:
            raise ProblemError("all strengths are 0, so their ratio is not known; give one")
        parts = [
            part.at(ratio * part.strength) if any(part is v for v in varied) else part
            for part in self.parts
        ]
        return PenaltySum(tuple(parts))

    def value(self, x: np.ndarray) -> float:
        """Return the penalty of `x`, real or complex."""
        return math.fsum(part.value(x) for part in self.parts)

    @property
    def _grouped(self) -> list[Penalty]:
        return [part for part in self.parts if part.family in ("groups", "matrix")]

    def blocks(self, size: int) -> Blocks:
        """Return the groups, or one block per coefficient."""
        found = [part.blocks(size) for part in self.parts]
        return self._grouped[0].blocks(size) if self._grouped else found[0]

    def limits(self, size: int) -> np.ndarray:
        """Return the sums of the factors of the blocks' norms."""
        parts = self._grouped or self.parts
        return np.asarray(sum(part.limits(size) for part in parts))

    def thresholds(self, size: int) -> np.ndarray | None:
        """Return the sums of the factors of the magnitudes, where there are groups too."""
        if not self._grouped:
            return None
        found = [part.thresholds(size) for part in self._grouped]
        found += [part.limits(size) for part in self.parts if part.family == "entries"]
        kept = [part for part in found if part is not None]
        return np.asarray(sum(kept)) if kept else None


def _require_one_of_each(parts: list[Penalty]) -> None:
    """Refuse two penalties of a kind that makes a question of its own, where one says as much."""
    for first, second in pairwise(parts):
        alike = type(first) is type(second) and first.family in ("", "matrix")
        if alike and getattr(first, "shape", 0) == getattr(second, "shape", 0):
            raise ProblemError(
                f"{type(first).__name__} is given twice; give one with the sum of the strengths"
            )


def _same_groups(first: Any, second: Any) -> bool:
    pairs = first.groups, second.groups
    return len(pairs[0]) == len(pairs[1]) and all(map(np.array_equal, *pairs))


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
    family: ClassVar[str] = "entries"

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
        object.__setattr__(self, "positive", as_flag(self.positive))

    @property
    def roundings(self) -> int:
        """Return 0 without weights: limits are the strength itself."""
        return 0 if self.weights is None else 1

    def blocks(self, size: int) -> Blocks:
        """Return one block per coefficient."""
        require_count(self.weights, size)
        return single(size)

    def limits(self, size: int) -> np.ndarray:
        """Return strength times weight, per coefficient."""
        return weighted(self.strength, self.weights, size)


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
    family: ClassVar[str] = "groups"

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
        object.__setattr__(self, "positive", as_flag(self.positive))

    @cached_property
    def _blocks(self) -> Blocks:
        return grouped(self.groups)

    def blocks(self, size: int) -> Blocks:
        """Return the groups."""
        return require_cover(self._blocks, size)

    def limits(self, size: int) -> np.ndarray:
        """Return strength times weight, per group."""
        return weighted(self.strength, self.weights, len(self.groups))
