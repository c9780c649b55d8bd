"""Penalties of single coefficients and groups at once, and of squares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.json_type import json_type
from sparseopt.inverse.blocks import (
    Blocks,
    as_groups,
    as_strength,
    as_weights,
    grouped,
    require_cover,
    single,
    weighted,
)
from sparseopt.inverse.penalty import Penalty


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
    family: ClassVar[str] = "groups"

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
        return weighted(self.group, self.group_weights, len(self.groups))

    def thresholds(self, size: int) -> np.ndarray:
        """Return the strength of single coefficients times weight."""
        return weighted(self.l1, self.l1_weights, size)

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
    family: ClassVar[str] = "squares"

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
