"""Many independent items: one after the other, in processes, or on a cluster, by joblib."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from sparseopt.choosing.availability import is_installed
from sparseopt.choosing.solving import solve
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.problem import Answer, Problem, Proof
from sparseopt.interface.solution import Solution
from sparseopt.interface.solver import Solver

T = TypeVar("T")
R = TypeVar("R")


def map_items(function: Callable[[T], R], items: Iterable[T], jobs: int = 1) -> Iterator[R]:
    """Yield ``function(item)`` for every item, in order, each as soon as it is there.

    Parameters
    ----------
    function : callable
        For more than one job it must be importable: defined at the top of a module.
    items : iterable
    jobs : int
        Processes; 1 computes in this one, -1 takes all processors. ``joblib.parallel_config``
        chooses another backend, such as dask's or ray's, and then means its workers.

    Raises
    ------
    ProblemError
        For a number of jobs that makes no sense, or more than one without joblib.

    Examples
    --------
    >>> list(map_items(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or not (jobs >= 1 or jobs == -1):
        raise ProblemError(
            f"jobs must be a positive number, or -1 for all processors, not {jobs!r}"
        )
    if jobs == 1:
        return map(function, items)
    if not is_installed("joblib"):
        raise ProblemError(
            "more than one job needs joblib: pip install 'sparseopt[parallel]', or take jobs=1"
        )
    import joblib

    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator")
    return parallel(joblib.delayed(function)(item) for item in items)  # type: ignore[no-any-return]


def solve_all(
    problems: Iterable[Problem[Answer, Proof]],
    solver: str | Solver[Any] | None = None,
    *,
    jobs: int = 1,
    **options: Any,
) -> Iterator[Solution[Answer, Proof]]:
    """Solve many problems; yields the solutions in the order of the problems.

    Parameters
    ----------
    problems : iterable of Problem
    solver, options
        As for `solve`, the same for all.
    jobs : int
        As for `map_items`.

    Examples
    --------
    >>> import sparseopt as so
    >>> problems = [so.Closedness([[[1]], [[1]]]), so.Closedness([[[1, 0]], [[1], [1]]])]
    >>> [solution.answer.value for solution in so.solve_all(problems)]
    ['closed', 'closed']
    """
    return map_items(partial(solve, solver=solver, **options), problems, jobs)
