"""Both ends of how far a change of parameters moves a network's output on a box of inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.guarantees.output_change import OutputChange
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.solution import Solution
from sparseopt.judging.rounding import above, below, shown_above, shown_below
from sparseopt.networks.network import Network
from sparseopt.tools.largest_change import LargestChange, largest_change

_STARTS, _STEPS = 32, 40
_EDGES = 20_000_000
"""Edges between neurons up to which reports say both ends."""


@json_type
@dataclass(frozen=True, eq=False)
class ChangeEnds:
    """How far the output moves on a box of inputs: both ends proved, in the L1 norm.

    Attributes
    ----------
    at_most : Solution
        Of the `OutputChange` on the box.
    at_least : LargestChange
        An input at which the output moves, and by how much at least.
    room : float
        How far the outputs of the networks that are compared may be from those of the networks
        that were given, by rounding of parameters; both ends are moved by as much.
    """

    at_most: Solution[Any, Any]
    at_least: LargestChange
    room: float = 0.0

    @property
    def upper(self) -> float:
        """The proved upper bound."""
        return above(float(self.at_most.answer.l1) + self.room) if self.room else self._most

    @property
    def _most(self) -> float:
        return float(self.at_most.answer.l1)

    @property
    def lower(self) -> float:
        """The proved lower bound of the largest change."""
        return below(max(0.0, self.at_least.l1 - self.room)) if self.room else self.at_least.l1

    def __str__(self) -> str:
        return (
            f"the output moves by at most {shown_above(self.upper, 4)} and by at least "
            f"{shown_below(self.lower, 4)} for inputs in {box_in_words(self.at_most.problem)}"
        )


def box_in_words(problem: Any) -> str:
    """Return the box of an `OutputChange` as a person would write it."""
    return range_in_words(problem.lower, problem.upper)


def range_in_words(low: np.ndarray, high: np.ndarray) -> str:
    """Return a box of inputs, by its least and its largest entries, in the same words."""
    if np.all(low == low.flat[0]) and np.all(high == high.flat[0]):
        power = f"^{low.size}" if low.size > 1 else ""
        return f"[{_said(low.flat[0])}, {_said(high.flat[0])}]{power}"
    return f"a box of {low.size} entries within [{_said(low.min())}, {_said(high.max())}]"


def _said(number: float) -> str:
    """Return a number as it is, in few digits where these are all."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def box_of(inputs: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest entry of a batch, of all its entries."""
    return float(inputs.min()), float(inputs.max())


def change_ends(
    network: Network,
    other: Network,
    inputs: np.ndarray,
    *,
    room: float = 0.0,
    seed: int | None = None,
) -> ChangeEnds:
    """Return both ends for the box that holds some data, ``[min, max]`` in every entry.

    Parameters
    ----------
    network, other : Network
        Of the same layers, see `OutputChange`.
    inputs : float64 array, shape (n, *input)
        The search starts from a few of them, too.
    room : float
        See `ChangeEnds`.
    seed : int, optional

    Raises
    ------
    ProblemError
        If nothing bounds a layer, or the network has too many edges.
    """
    lower, upper = box_of(inputs)
    problem = OutputChange(network, other, lower, upper)
    require_moderate(network)
    found = largest_change(
        network,
        other,
        lower,
        upper,
        starts=_STARTS,
        steps=_STEPS,
        inputs=inputs[:_STARTS],
        seed=seed,
    )
    return ChangeEnds(solve(problem), found, room)


def require_moderate(network: Network) -> None:
    """Refuse networks for which the search takes minutes."""
    if network.edge_count > _EDGES:
        raise ProblemError(
            f"the network has {network.edge_count} edges between neurons, more than the {_EDGES} "
            "for which reports say how far the output moves; ask so.OutputChange and "
            "so.largest_change (sparseopt compare on the command line)"
        )
