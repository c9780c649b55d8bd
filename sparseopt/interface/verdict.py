"""Verdicts on a candidate solver: what `accepts`, the availability stages and the ranking say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sparseopt.interface.arrays import as_estimate
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short


@json_type
class Guarantee(Enum):
    """What a solver promises about its answers, declared in its plugin's manifest."""

    EXACT = "exact"
    """The answer solves the problem, up to the rounding of its dtype."""
    CERTIFIED = "certified"
    """The answer comes with a proven gap or bound."""
    HEURISTIC = "heuristic"
    """The answer is a candidate; the certificate proves only what it says."""

    @property
    def rank(self) -> int:
        """Position in the order of preference; 0 is the strongest."""
        return _RANKS[self]


_RANKS = {guarantee: place for place, guarantee in enumerate(Guarantee)}


def _require_reason(text: object, what: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise TypeError(f"{what} needs a non-empty text that a user can act on, got {short(text)}")


@json_type
@dataclass(frozen=True)
class Accepted:
    """The solver can take the problem.

    Parameters
    ----------
    cost : float
        Predicted seconds, filled in from `Solver.cost` by the plan.
    """

    cost: float = 0.0

    def __post_init__(self) -> None:
        as_estimate(self.cost, "Accepted.cost")

    def __str__(self) -> str:
        return f"accepted (predicted {self.cost:.2g} s)"


@json_type
@dataclass(frozen=True)
class Refused:
    """The solver cannot take the problem; a refusal without a reason is a TypeError."""

    reason: str

    def __post_init__(self) -> None:
        _require_reason(self.reason, "Refused")

    def __str__(self) -> str:
        return f"refused: {self.reason}"


@json_type
@dataclass(frozen=True)
class Unavailable:
    """The solver cannot run on this machine: the reason, and what would change that."""

    reason: str
    remedy: str

    def __post_init__(self) -> None:
        _require_reason(self.reason, "Unavailable")
        _require_reason(self.remedy, "Unavailable.remedy")

    def __str__(self) -> str:
        return f"unavailable: {self.reason} (remedy: {self.remedy})"


@json_type
@dataclass(frozen=True)
class Outranked:
    """The solver accepts the problem, but another one goes first."""

    by: str
    why: str
    cost: float = 0.0

    def __post_init__(self) -> None:
        _require_reason(self.by, "Outranked.by")
        _require_reason(self.why, "Outranked.why")
        as_estimate(self.cost, "Outranked.cost")

    def __str__(self) -> str:
        return f"outranked by {self.by}: {self.why} (predicted {self.cost:.2g} s)"


Verdict = Accepted | Refused | Unavailable | Outranked
