"""Both ends of how far a change of parameters moves a network's output on a box of inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.guarantees.output_change import OutputChange
from sparseopt.interface.json_type import json_type
from sparseopt.interface.solution import Solution
from sparseopt.judging.rounding import shown_above, shown_below
from sparseopt.networks.network import Network
from sparseopt.tools.largest_change import LargestChange, largest_change

_STARTS, _STEPS = 32, 40


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
    """

    at_most: Solution[Any, Any]
    at_least: LargestChange

    @property
    def upper(self) -> float:
        """The proved upper bound."""
        return float(self.at_most.answer.l1)

    @property
    def lower(self) -> float:
        """The proved lower bound of the largest change."""
        return self.at_least.l1

    def __str__(self) -> str:
        return (
            f"the output moves by at most {shown_above(self.upper, 4)} and by at least "
            f"{shown_below(self.lower, 4)} for inputs in {box_in_words(self.at_most.problem)}"
        )


def box_in_words(problem: Any) -> str:
    """Return the box of an `OutputChange` as a person would write it."""
    low, high = problem.lower, problem.upper
    if np.all(low == low.flat[0]) and np.all(high == high.flat[0]):
        power = f"^{low.size}" if low.size > 1 else ""
        return f"[{low.flat[0]:g}, {high.flat[0]:g}]{power}"
    return f"a box of {low.size} entries within [{low.min():g}, {high.max():g}]"


def box_of(inputs: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest entry of a batch."""
    return float(inputs.min()), float(inputs.max())


def change_ends(
    network: Network,
    other: Network,
    lower: Any,
    upper: Any,
    *,
    inputs: np.ndarray | None = None,
    seed: int | None = None,
    solver: str | None = None,
    time_limit: float | None = None,
) -> ChangeEnds:
    """Return a proved upper bound of the change, and the largest change that was found.

    Parameters
    ----------
    network, other : Network
    lower, upper : float, or array of the shape of the input
    inputs : array, shape (n, *input), optional
        Further starting points of the search.
    seed, solver, time_limit
        Of `solve`.
    """
    problem = OutputChange(network, other, lower, upper)
    solution = solve(problem, solver, time_limit=time_limit)
    found = largest_change(
        network,
        other,
        lower,
        upper,
        starts=_STARTS,
        steps=_STEPS,
        inputs=inputs,
        seed=seed,
        time_limit=time_limit,
    )
    return ChangeEnds(solution, found)
