"""Regularization paths: one problem at many strengths, each answer with its certificate."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.interface.context import Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.plan import SolveError
from sparseopt.interface.printing import short
from sparseopt.interface.solution import Solution
from sparseopt.inverse.blocks import as_strength
from sparseopt.inverse.kinds import gap_of
from sparseopt.inverse.problem import SparseRegression

_COUNT, _SPAN = 50, 1e-3
"""Strengths of the default grid, and the share of the largest at which it ends."""


def path(
    problem: SparseRegression,
    strengths: Iterable[float] | None = None,
    *,
    tolerance: float | None = None,
    time_limit: float | None = None,
    progress: Progress | None = None,
) -> list[Solution[Any, Any]]:
    """Answer a problem at several strengths of its penalty, each from the answer before.

    Parameters
    ----------
    problem : SparseRegression
        Its own strength does not matter. Of a sum of penalties all strengths but those of `Ridge`
        vary together, and of `SparseGroupL1` both, at their ratios.
    strengths : iterable of float or None
        Not negative, in any order; falling ones make the most of the start from the answer before.
        None means 50 from `largest_strength` down to 0.001 times it, evenly on a logarithmic scale.
    tolerance : float or None
        Of each answer, see `solve`.
    time_limit : float or None
        Seconds for all; strengths that are not reached in time are left out.
    progress : callable(fraction, message) or None

    Returns
    -------
    list of Solution
        One per strength, in the order given: ``solution.problem.penalty.strength`` tells it, and
        ``solution.certificate`` proves it.

    Raises
    ------
    ProblemError
        Strengths that are not numbers, negative or none at all.
    SolveError
        If the first strength cannot be answered.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.SparseRegression([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], so.L1(1.0))
    >>> [solution.answer.x.tolist() for solution in so.path(problem, [3.0, 1.0, 0.25])]
    [[0.0, 0.0], [2.0, 0.0], [2.75, 0.25]]
    """
    if not isinstance(problem, SparseRegression):
        raise ProblemError(f"path takes a SparseRegression, got {type(problem).__name__}")
    grid = _default_grid(problem) if strengths is None else _as_strengths(strengths)
    started = time.monotonic()
    found: list[Solution[Any, Any]] = []
    for k, strength in enumerate(grid):
        left = None if time_limit is None else time_limit - (time.monotonic() - started)
        if left is not None and left <= 0 and found:
            break
        here = dataclasses.replace(problem, penalty=problem.penalty.at(strength))
        start = found[-1].answer.x if found else None
        try:
            found.append(_solved(here, start, tolerance, left if left is None else max(left, 1e-3)))
        except SolveError:
            if not found or left is None:
                raise
            break
        if progress is not None:
            progress((k + 1) / len(grid), f"strength {strength:.3g}")
    return found


def _solved(
    problem: SparseRegression,
    start: np.ndarray | None,
    tolerance: float | None,
    time_limit: float | None,
) -> Solution[Any, Any]:
    """Return what the solver that takes a start makes of it, or else what any solver does."""
    limits: dict[str, Any] = {"tolerance": tolerance, "time_limit": time_limit}
    if start is not None:
        try:
            return solve(problem, "working_set", start=start, **limits)
        except SolveError:
            pass
    return solve(problem, **limits)


def largest_strength(problem: SparseRegression) -> float:
    """Return the least strength at which no penalised coefficient is needed.

    For `L1` it is the largest magnitude of the correlations over the weights, for
    ``positive=True`` the largest correlation; other columns come first where some have weight 0.
    Infinity where no strength suffices, as for `Ridge` alone; 0 where none is needed.

    Parameters
    ----------
    problem : SparseRegression

    Examples
    --------
    >>> import sparseopt as so
    >>> from sparseopt.tools.regularization import largest_strength
    >>> problem = so.SparseRegression([[1.0, 0.0], [0.0, 1.0]], [-3.0, 0.5], so.L1(1.0))
    >>> largest_strength(problem)
    3.0
    """
    unit = dataclasses.replace(problem, penalty=problem.penalty.at(_size(problem)))
    gap = gap_of(unit)
    scaled = gap.scaled
    if not (scaled.limits.any() or (scaled.thresholds is not None and scaled.thresholds.any())):
        return math.inf
    roots = np.ones(scaled.rows) if gap.roots is None else gap.roots
    residual = roots * scaled.target
    free = _unpenalised(gap)
    if free.shape[1]:
        free = free * roots[:, None]
        residual = residual - free @ np.linalg.lstsq(free, residual, rcond=None)[0]
    correlation = scaled.correlation(roots * residual)
    correlation[gap.free] = 0.0
    plain = scaled.thresholds is None and type(gap).__name__ == "DualityGap"
    if plain:
        size = np.maximum(correlation, 0.0) if scaled.positive else np.abs(correlation)
        norms, used = scaled.blocks.norms(size), scaled.limits > 0
        times = float(np.max(norms[used] / scaled.limits[used], initial=0.0))
    else:
        times = _least_multiple(gap, correlation)
    return times * unit.penalty.strength


def _size(problem: SparseRegression) -> float:
    """Return a power of two as strength of moderate size for a problem, whatever its own."""
    design, target = problem.largest_entries
    return math.ldexp(1.0, math.frexp(design * target)[1])


def _unpenalised(gap: Any) -> np.ndarray:
    """Return the columns that cost nothing, dense."""
    if hasattr(gap, "sum_of_columns"):
        total = gap.sum_of_columns[0][0]
        half = len(total) // 2
        turned = [np.append(-total[half:], total[:half])] if gap.parts == 2 else []
        return np.stack([total, *turned], axis=1)
    return np.asarray(gap.scaled.dense(gap.free))


def _least_multiple(gap: Any, correlation: np.ndarray) -> float:
    """Return the least f for which ``correlation / f`` exceeds no limit, by bisection."""
    if not np.abs(correlation).max(initial=0.0) > 0:
        return 0.0
    high = 1.0
    while gap.excess(correlation / high).any():
        high *= 4.0
        if high > 1e305:
            return math.inf
    low = high
    while low > 1e-300 and not gap.excess(correlation / low).any():
        low /= 4.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        if gap.excess(correlation / middle).any():
            low = middle
        else:
            high = middle
    return high


def _default_grid(problem: SparseRegression) -> list[float]:
    largest = largest_strength(problem)
    if math.isinf(largest):
        # Squares never make a coefficient zero: begin where they outweigh the columns.
        largest = 1e3 * float(problem.scaled().column_norm_bounds.max() ** 2) or 1.0
        largest *= (problem.largest_entries[0] or 1.0) ** 2 if largest < 1e-200 else 1.0
    if largest == 0.0:
        largest = _size(problem)
    return np.geomspace(largest, _SPAN * largest, _COUNT).tolist()


def _as_strengths(strengths: Iterable[Any]) -> list[float]:
    try:
        listed = list(strengths)
    except TypeError as error:
        raise ProblemError(
            f"strengths must be a list of numbers, got {short(strengths)}"
        ) from error
    if not listed:
        raise ProblemError("strengths is empty; give at least one, or None for a grid")
    return [as_strength(value, f"strength {k}") for k, value in enumerate(listed)]
