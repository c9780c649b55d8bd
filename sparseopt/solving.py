"""`solve`: run the candidates in order until the core accepts a certificate."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterable
from typing import Any

from sparseopt.certificate import check_certificate, remember
from sparseopt.context import Context, Progress
from sparseopt.errors import Inconclusive, SolveError
from sparseopt.planning import Plan, Prepared, prepare
from sparseopt.problem import Problem
from sparseopt.solution import Solution, Status
from sparseopt.solver import Solver
from sparseopt.verdict import Refused, Unavailable

_log = logging.getLogger(__name__)


def _attempt(
    item: Prepared, problem: Problem, context: Context, check: bool
) -> tuple[str, tuple[Any, Any] | None]:
    """Run one candidate; return what happened in words, and its result if it counts."""
    assert item.solver is not None
    try:
        result = item.solver.solve(problem, context)
        answer, certificate = result
    except Inconclusive as stop:
        return f"inconclusive: {stop.reason}", None
    except (Exception, SystemExit) as error:
        _log.debug("%s raised", item.candidate.name, exc_info=True)
        return f"raised {type(error).__name__}: {error}", None
    if not check:
        return "answered; the certificate was not checked", (answer, certificate)
    verdict = check_certificate(certificate, problem, answer)
    if not verdict.ok:
        return f"its certificate was refused: {verdict.details[-1]}", None
    remember(certificate, verdict)
    return "answered; the certificate was accepted", (answer, certificate)


def solve(
    problem: Problem,
    solver: str | Solver[Any] | None = None,
    *,
    check: bool = True,
    seed: int | None = None,
    progress: Progress | None = None,
    time_limit: float | None = None,
    block: Iterable[str] = (),
    prefer: Iterable[str] = (),
    **options: Any,
) -> Solution:
    """Answer `problem` by the first candidate whose certificate the core accepts.

    Parameters
    ----------
    problem : Problem
        The question.
    solver : str, Solver or None
        A registered name or an instance of your own; None lets the plan decide. An explicit
        choice that is refused or fails raises; nothing else is tried.
    check : bool
        Check the certificate before the answer is given out.
    seed : int or None
        Seed of all randomness (None means 0).
    progress : callable(fraction, message) or None
        Called from long work.
    time_limit : float or None
        Seconds for the whole call.
    block, prefer : iterable of str
        Names of plugins or solvers never to use, or to use first.
    **options
        Settings of the solver, the fields of its dataclass.

    Returns
    -------
    Solution

    Raises
    ------
    ProblemError
        Bad input, including unknown solvers and options.
    SolveError
        No candidate was conclusive and the problem has no honest "unknown" answer.

    Examples
    --------
    >>> import sparseopt as so
    >>> solution = so.solve(so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]]))
    >>> solution.answer.value, so.verify(solution).ok
    ('not_closed', True)
    """
    start = time.perf_counter()
    context = Context(seed=seed, time_limit=time_limit, progress=progress)
    prepared = prepare(problem, solver, options, block, prefer)
    if solver is not None and prepared[0].solver is None:
        _raise_refused(problem, prepared)
    candidates = [item.candidate for item in prepared]
    for i, item in enumerate(prepared):
        if item.solver is None or context.remaining() <= 0:
            continue
        outcome, result = _attempt(item, problem, context, check)
        candidates[i] = dataclasses.replace(item.candidate, outcome=outcome)
        if result is not None:
            answer, certificate = result
            status = Status.VERIFIED if check else Status.UNCHECKED
            done = Plan(problem.describe(), tuple(candidates))
            seconds = time.perf_counter() - start
            name = item.candidate.name
            return Solution(problem, answer, certificate, status, name, seconds, done)
    done = Plan(problem.describe(), tuple(candidates))
    timed_out = context.remaining() <= 0
    status = Status.TIME_LIMIT if timed_out else Status.UNDECIDED
    tried = [f"{c.name}: {c.outcome or c.verdict}" for c in candidates]
    unknown = problem.undecided(tried)
    if unknown is None:
        raise SolveError(f"no answer to {problem.describe()}: {status}", done)
    return Solution(problem, unknown, None, status, "", time.perf_counter() - start, done)


def _raise_refused(problem: Problem, prepared: list[Prepared]) -> None:
    candidate = prepared[0].candidate
    assert isinstance(candidate.verdict, Refused | Unavailable)
    done = Plan(problem.describe(), (candidate,))
    raise SolveError(
        f"the chosen solver {candidate.name} cannot take it: {candidate.verdict}", done
    )
