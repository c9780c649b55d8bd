"""`solve_all`: many problems, in this process or on workers, kept in a file as they are solved."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from operator import length_hint
from pathlib import Path
from typing import Any

from sparseopt.choosing.availability import is_installed
from sparseopt.choosing.parallel import Lost, unordered
from sparseopt.choosing.solving import solve
from sparseopt.choosing.sweep_store import SweepStore
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.plan import Plan, SolveError
from sparseopt.interface.problem import Answer, Problem, Proof
from sparseopt.interface.solution import Solution
from sparseopt.interface.solver import Solver
from sparseopt.judging.check import Check, check_certificate, remember, remembered
from sparseopt.judging.serialization import to_json

Outcome = Solution[Answer, Proof] | SolveError


def solve_all(
    problems: Iterable[Problem[Answer, Proof]],
    solver: str | Solver[Any] | None = None,
    *,
    jobs: int | None = None,
    backend: str | None = None,
    store: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Outcome[Answer, Proof]]:
    """Solve many problems; return what `solve` returns or raises for each, in their order.

    Each problem is solved on one thread where threadpoolctl is installed, so that answers do not
    depend on how many workers there are; name the solver to have the same bits on every backend,
    since a plan may choose by what a process has loaded.

    Parameters
    ----------
    problems : iterable of Problem
        Also a generator, which is read as workers become free.
    solver, options
        As for `solve`, the same for all.
    jobs : int or None
        Workers; 1 solves in this process, -1 takes all processors. None is 1 without a backend,
        and all workers of a backend.
    backend : {"processes", "dask", "ray"} or None
        None takes processes if there is more than one job, or what ``joblib.parallel_config``
        says. "dask" takes the client that is connected, or makes a cluster on this machine.
    store : str, Path or None
        A file of JSON lines to which every solution and error is appended as soon as it is there.
        What it holds for the same problem, solver, options and version of the package is taken
        from it, after its certificate was checked again; errors are tried again. Problems that
        occur twice are solved once.
    progress : callable(fraction, message) or None
        Called after each problem; the fraction stays 0 while their number is not known.

    Returns
    -------
    list of Solution or SolveError
        SolveError where `solve` would raise it, and where a worker ended, twice, while it solved
        this problem: killed, or out of memory.

    Raises
    ------
    ProblemError
        For bad jobs, backends or settings, a library that is missing, a store that cannot be
        used, or problems that it cannot hold. If `solve` raises it for an item, no other is
        started, and it is raised when those that were started are done.

    Examples
    --------
    >>> import sparseopt as so
    >>> problems = [so.Closedness([[[1]], [[1]]]), so.Closedness([[[1, 0]], [[1], [1]]])]
    >>> [solution.answer.value for solution in so.solve_all(problems)]
    ['closed', 'closed']
    """
    sweep = _Sweep(problems, _opened(store, solver, options), progress)
    work = partial(_solved, solver=solver, options=options)
    with contextlib.closing(unordered(work, sweep.open_problems(), jobs, backend)) as results:
        for number, found in results:
            sweep.take(number, found)
    return sweep.outcomes()


def _opened(store: Any, solver: Any, options: dict[str, Any]) -> SweepStore | None:
    if store is None:
        return None
    if solver is not None and not isinstance(solver, str):
        raise ProblemError(
            "with store= name the solver, and give its settings as options: what an instance is "
            "cannot be kept in a file"
        )
    return SweepStore(store, [solver, options])


class _Sweep:
    """What is asked, what is found, and what is kept."""

    def __init__(
        self, problems: Iterable[Problem], store: SweepStore | None, progress: Progress | None
    ) -> None:
        if isinstance(problems, Problem) or not isinstance(problems, Iterable):
            kind = type(problems).__name__
            raise ProblemError(f"solve_all takes problems, got a {kind}: so.solve_all([problem])")
        self._problems, self._store = problems, store
        self._context = Context(progress=progress)
        self._expected = length_hint(problems)
        self._found: dict[int, Outcome[Any, Any]] = {}
        self._open: dict[int, tuple[int, str, Any]] = {}
        self._opened = itertools.count()
        self._first: dict[str, int] = {}
        self._twins: dict[int, int] = {}
        self._error: ProblemError | None = None

    def open_problems(self) -> Iterator[Problem]:
        """Yield the problems that are to be solved, until an error ends the sweep."""
        for i, problem in enumerate(self._problems):
            if self._error is not None:
                return
            is_problem = isinstance(problem, Problem)  # if not, the worker says so
            key = self._store.key(problem) if self._store is not None and is_problem else ""
            if self._store is not None and is_problem:
                if key in self._first:
                    self._twins[i] = self._first[key]
                    continue
                self._first[key] = i
                known = self._store.solution(key, problem)
                if known is not None:
                    self._found[i] = known
                    continue
            self._open[next(self._opened)] = i, key, problem
            yield problem

    def take(self, number: int, found: Any) -> None:
        """Take what came of the open problem of a number, and keep it."""
        i, key, problem = self._open.pop(number)
        words = problem.describe() if isinstance(problem, Problem) else ""
        if isinstance(found, ProblemError):
            self._error = self._error or found
            return
        if isinstance(found, Lost):
            found = SolveError(f"no answer to {words}: {found.reason}", Plan(words, ()))
        elif isinstance(found, tuple):
            found, check = _of(problem, *found)
            if check is not None and isinstance(found, Solution):
                remember(found.certificate, check)
        if self._store is not None:
            self._store.keep(key, found)
        self._found[i] = found
        done = len(self._found) + len(self._twins)
        self._context.report(done / self._expected if self._expected else 0.0, f"{done} solved")

    def outcomes(self) -> list[Outcome[Any, Any]]:
        """Return what was found, in the order of the problems, or raise what ended the sweep."""
        if self._error is not None:
            raise self._error
        found = {**self._found, **{i: self._found[first] for i, first in self._twins.items()}}
        return [found[i] for i in range(len(found))]


def _of(
    problem: Problem, found: Solution, check: Check | None
) -> tuple[Solution | SolveError, Check | None]:
    """Return a worker's solution as one of the problem that it was sent, with its judgement.

    A solver may have changed the worker's copy. Where copies cannot be compared, as they hold
    operators, the certificate is judged again.
    """
    if found.problem is problem:
        return found, check
    changed = SolveError(f"a solver changed the problem: {problem.describe()}", found.plan)
    try:
        if to_json(found.problem) != to_json(problem):
            return changed, None
    except ProblemError:
        if check is not None:
            object.__setattr__(found.certificate, "problem", problem)
            check = check_certificate(found.certificate, problem, found.answer)
            return (dataclasses.replace(found, problem=problem) if check.ok else changed), check
    return found, check


def _solved(
    problem: Problem, solver: Any, options: dict[str, Any]
) -> tuple[Solution, Check | None] | SolveError | ProblemError:
    """Return what `solve` returns or raises, in a worker, with its judgement of the certificate."""
    try:
        with _one_thread():
            solution = solve(problem, solver, **options)
    except (SolveError, ProblemError) as error:
        return error
    return solution, remembered(solution.certificate)


def _one_thread() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which linear algebra takes one thread, if that can be had."""
    if not is_installed("threadpoolctl"):
        return contextlib.nullcontext()
    import threadpoolctl

    return threadpoolctl.threadpool_limits(1)
