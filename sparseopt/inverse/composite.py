"""Penalties made of others: l1 with norms of groups, squares, and sums."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.matrix_penalties import NuclearNorm
from sparseopt.inverse.penalty import (
    L1,
    Blocks,
    GroupL1,
    Penalty,
    as_groups,
    as_strength,
    as_weights,
    grouped,
    require_cover,
    single,
)


@json_type
@dataclass(frozen=True, eq=False)
class SparseGroupL1(Penalty):
    """A weighted l1 norm plus weighted norms of groups: groups vanish, and entries within them.

    l1 sum_j v_j |x_j| + group sum_g w_g |x_g|, of Simon, Friedman, Hastie and Tibshirani (2013).

    Parameters
    ----------
    l1, group : float
        Not negative.
    groups : sequence of sequences of int
        Every coefficient 0, ..., n - 1 in exactly one group.
    l1_weights : sequence of float or None
        v, one per coefficient; None means 1 for each.
    group_weights : sequence of float or None
        w, one per group; None means 1 for each.

    Notes
    -----
    The strength that a path varies is ``l1 + group``, at a fixed ratio of the two.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> so.SparseGroupL1(1.0, 2.0, [[0, 2], [1]]).value(np.array([3.0, -1.0, 4.0]))
    20.0
    """

    l1: float
    group: float
    groups: tuple[np.ndarray, ...]
    l1_weights: np.ndarray | None = None
    group_weights: np.ndarray | None = None

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self,
            l1: SupportsFloat,
            group: SupportsFloat,
            groups: Iterable[ArrayLike],
            l1_weights: ArrayLike | None = None,
            group_weights: ArrayLike | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", as_strength(self.l1, "l1"))
        object.__setattr__(self, "group", as_strength(self.group, "group"))
        groups = as_groups(self.groups)
        object.__setattr__(self, "groups", groups)
        size = sum(map(len, groups))
        for name, count in (("l1_weights", size), ("group_weights", len(groups))):
            if (weights := getattr(self, name)) is not None:
                object.__setattr__(self, name, as_weights(weights, count, name))

    @property
    def strength(self) -> float:  # type: ignore[override]
        """The sum of both strengths."""
        return self.l1 + self.group

    @cached_property
    def _blocks(self) -> Blocks:
        return grouped(self.groups)

    def blocks(self, size: int) -> Blocks:
        """Return the groups."""
        return require_cover(self._blocks, size)

    def limits(self, size: int) -> np.ndarray:
        """Return the strength of groups times weight, per group."""
        count = len(self.groups)
        return self.group * (np.ones(count) if self.group_weights is None else self.group_weights)

    def thresholds(self, size: int) -> np.ndarray:
        """Return the strength of single coefficients times weight."""
        return self.l1 * (np.ones(size) if self.l1_weights is None else self.l1_weights)

    def at(self, strength: float) -> SparseGroupL1:
        """Return the penalty with another sum of the strengths, at the same ratio."""
        share = self.l1 / self.strength if self.strength else 0.5
        return replace(self, l1=share * strength, group=(1.0 - share) * strength)


@json_type
@dataclass(frozen=True, eq=False)
class Ridge(Penalty):
    """Half the squared Euclidean norm times `strength`.

    Added to another penalty, as in ``so.L1(1.0) + so.Ridge(0.5)``, it makes the elastic net of Zou
    and Hastie (2005).

    Parameters
    ----------
    strength : float
        Not negative.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> so.Ridge(0.5).value(np.array([1.0, -2.0, 0.0]))
    1.25
    """

    strength: float

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, strength: SupportsFloat) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", as_strength(self.strength))

    @property
    def ridge(self) -> float:  # type: ignore[override]
        """The strength."""
        return self.strength

    def blocks(self, size: int) -> Blocks:
        """Return one block per coefficient."""
        return single(size)

    def limits(self, size: int) -> np.ndarray:
        """Return zeros: no norm is penalised but its square."""
        return np.zeros(size)


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
            raise ProblemError(f"parts must be penalties, got {self.parts!r}")
        parts: list[Penalty] = []
        for part in self.parts:
            parts += part.parts if isinstance(part, PenaltySum) else [part]
        if not parts:
            raise ProblemError("a sum of penalties needs at least one")
        for part in parts:
            if not isinstance(part, ADDABLE):
                name = type(part).__name__
                others = " and ".join(sorted({type(p).__name__ for p in parts if p is not part}))
                raise ProblemError(
                    f"{name} does not add to {others or 'others'}: the dual of the sum has no "
                    "closed form; L1, GroupL1, SparseGroupL1 and Ridge add, NuclearNorm and Ridge"
                )
        object.__setattr__(self, "parts", tuple(parts))
        others = [part for part in parts if not isinstance(part, NuclearNorm | Ridge)]
        nuclear = [part for part in parts if isinstance(part, NuclearNorm)]
        if nuclear and (others or len(nuclear) > 1):
            name = type((others or nuclear)[0]).__name__
            raise ProblemError(
                f"NuclearNorm does not add to {name}: the dual of the sum has no closed form; Ridge "
                "adds to it"
            )
        grouped = [part for part in parts if isinstance(part, GroupL1 | SparseGroupL1)]
        for part in grouped[1:]:
            if not _same_groups(grouped[0].groups, part.groups):
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
        sparse = [part for part in self.parts if not isinstance(part, Ridge)]
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
        kinds = (GroupL1, SparseGroupL1, NuclearNorm)
        return [part for part in self.parts if isinstance(part, kinds)]

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
        found += [part.limits(size) for part in self.parts if isinstance(part, L1)]
        kept = [part for part in found if part is not None]
        return np.asarray(sum(kept)) if kept else None


ADDABLE = (L1, GroupL1, SparseGroupL1, Ridge, NuclearNorm)


def _same_groups(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))
