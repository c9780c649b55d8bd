"""Inputs of a box where two networks differ much: the lower end of how far they differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.choosing.solving import solve
from sparseopt.guarantees.output_change import OutputChange
from sparseopt.interface.arrays import as_count, require_finite, unmasked
from sparseopt.interface.context import Context
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.solution import Solution
from sparseopt.judging.rounding import shown_below
from sparseopt.networks.network import Network
from sparseopt.tools.gradients import input_gradient, values_of

_FIRST, _LAST = 0.5, 0.002
"""Of the width of the box: the first and the last step of the ascent."""


@json_type
@dataclass(frozen=True, eq=False)
class LargestChange:
    """An input at which two networks differ, and by how much at least.

    Attributes
    ----------
    x : float64 array, shape of the input
    l1 : float
        Proved: ``|f(x) - f'(x)|_1`` is at least this, in real arithmetic.
    lower, upper : float64 array, shape of the output
        Proved bounds of ``f(x) - f'(x)``; they lie apart by rounding only.
    solution : Solution
        Of the `OutputChange` on the box that is the point x.
    """

    x: np.ndarray
    solution: Solution[Any, Any]

    @property
    def l1(self) -> float:
        """The proved lower bound of the largest change."""
        least = np.maximum(np.maximum(self.lower, -self.upper), 0.0)
        return max(0.0, math.nextafter(math.fsum(least.ravel().tolist()), -math.inf))

    @property
    def lower(self) -> np.ndarray:
        """Of the change of each output at x, proved."""
        return np.asarray(self.solution.answer.lower)

    @property
    def upper(self) -> np.ndarray:
        """Of the change of each output at x, proved."""
        return np.asarray(self.solution.answer.upper)

    def __str__(self) -> str:
        return f"at least {shown_below(self.l1, 4)}"


def largest_change(
    network: Network,
    other: Network,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    starts: int = 64,
    steps: int = 60,
    inputs: ArrayLike | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
) -> LargestChange:
    """Look for an input of a box at which two networks differ most, in the L1 norm.

    What is found is an example, hence a lower bound of the largest change; `OutputChange` proves
    an upper one.

    Parameters
    ----------
    network, other : Network
        Of the same layers, see `OutputChange`.
    lower, upper : float, or array of the shape of the input
    starts : int
        Random points, half of them corners, from which the search climbs.
    steps : int
        Of each, along the signs of the gradient of ``|f(x) - f'(x)|_1``, ever shorter ones.
    inputs : array, shape (n, *input), optional
        Further points to start from, cut to the box.
    seed : int, optional
    time_limit : float, optional
        Seconds after which no further step is made.

    Returns
    -------
    LargestChange
        The best input that was met, and what is proved about it.

    Notes
    -----
    O(starts * steps) forward and backward passes of both networks.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.array([[1.0, -2.0]])), Relu(), Dense(np.array([[3.0]])))
    >>> pruned = net.with_parameters({"0:Dense.weight": np.array([[0.0, -2.0]])})
    >>> found = so.largest_change(net, pruned, lower=0, upper=1)
    >>> found.x, round(found.l1, 12)
    (array([1., 0.]), 3.0)
    """
    problem = OutputChange(network, other, lower, upper)
    context = Context(seed=seed, time_limit=time_limit)
    x = _climbed(
        problem,
        _starts(problem, as_count(starts, "starts"), inputs, context),
        as_count(steps, "steps"),
        context,
    )
    solution = solve(OutputChange(network, other, x, x), solver="signed_intervals")
    return LargestChange(x, solution)


def _starts(
    problem: OutputChange, count: int, inputs: ArrayLike | None, context: Context
) -> np.ndarray:
    """Return the points to start from: some random, some corners, those given."""
    rng, shape = context.rng(), problem.lower.shape
    share = rng.random((count, *shape))
    share[::2] = share[::2] < 0.5
    with np.errstate(over="ignore"):
        width = problem.upper - problem.lower
    if not np.isfinite(width).all():
        raise ProblemError("the box is wider than float64 can hold; give closer bounds")
    points = [np.clip(problem.lower + share * width, problem.lower, problem.upper)]
    if inputs is not None:
        held = np.asarray(unmasked(inputs, "inputs"))
        if held.dtype.kind not in "biuf":
            raise ProblemError(f"inputs has dtype {held.dtype}; give an array of real numbers")
        given = held.astype(np.float64)
        require_finite(given, "inputs")
        if given.shape[1:] != shape:
            raise ProblemError(
                f"inputs has shape {given.shape}; give (n, {', '.join(map(str, shape))})"
            )
        points.append(np.clip(given, problem.lower, problem.upper))
    return np.concatenate(points)


def _climbed(problem: OutputChange, x: np.ndarray, steps: int, context: Context) -> np.ndarray:
    """Return the best point that is met on the way up from some points."""
    width = problem.upper - problem.lower
    best, most = x[0], -1.0
    rates = np.geomspace(_FIRST, _LAST, steps) if steps else np.zeros(0)
    for rate in [*rates.tolist(), None]:
        with np.errstate(over="ignore", invalid="ignore"):
            mine, theirs = values_of(problem.network, x), values_of(problem.other, x)
            change = mine[problem.network.output] - theirs[problem.other.output]
            sizes = np.abs(change).reshape(len(x), -1).sum(axis=1)
        sizes = np.where(np.isfinite(sizes), sizes, -1.0)
        if sizes.max() > most:
            most, best = float(sizes.max()), x[int(sizes.argmax())].copy()
        if rate is None or context.remaining() <= 0:
            break
        with np.errstate(over="ignore", invalid="ignore"):
            signs = np.sign(change)
            slope = input_gradient(problem.network, mine, signs)
            slope = slope - input_gradient(problem.other, theirs, signs)
        x = np.clip(x + rate * width * np.sign(slope), problem.lower, problem.upper)
        x = np.where(np.isfinite(x), x, problem.lower)
    return best
