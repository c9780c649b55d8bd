"""`solve`: run the candidates in order until the core accepts a certificate."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Iterable
from typing import Any, cast

from sparseopt.choosing.keeping import Kept
from sparseopt.choosing.planning import Prepared, prepare
from sparseopt.interface.certificate import Certificate
from sparseopt.interface.context import Context, Progress
from sparseopt.interface.errors import Inconclusive
from sparseopt.interface.plan import Candidate, Plan, SolveError
from sparseopt.interface.printing import printable, raised
from sparseopt.interface.problem import Answer, Problem, Proof
from sparseopt.interface.solution import Solution, Status, described_accuracy
from sparseopt.interface.solver import Solver
from sparseopt.interface.verdict import Refused, Unavailable
from sparseopt.judging.check import check_certificate, remember

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Answered:
    """What a candidate gave that counts, and how far the core vouches for it."""

    answer: Any
    certificate: Certificate
    status: Status
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What happened when a candidate ran.

    Attributes
    ----------
    outcome : str
        In words, the candidate being the subject of the sentence.
    answered : Answered or None
    broken : bool
        Whether it broke a law of solvers.
    error : BaseException or None
        What it raised.
    """

    outcome: str
    answered: Answered | None = None
    broken: bool = False
    error: BaseException | None = None


def _attempt(
    item: Prepared,
    problem: Problem,
    context: Context,
    asked: float | None,
    check: bool,
    chosen: bool,
) -> Attempt:
    """Run one candidate; `asked` is the tolerance, whatever a solver makes of the context."""
    assert item.solver is not None
    kept, result, failed = Kept(problem), None, None
    try:
        result = item.solver.solve(problem, context)
    except Inconclusive as stop:
        failed = Attempt(f"inconclusive: {stop.reason}")
    except (Exception, SystemExit) as error:
        _log.debug("%s raised", item.candidate.name, exc_info=True)
        failed = Attempt(f"raised {raised(error)}", broken=True, error=error)
    if kept.put_back():
        return Attempt("changed the problem", broken=True)
    if failed is not None:
        return failed
    if not (isinstance(result, tuple) and len(result) == 2):
        found = printable(repr(result))
        return Attempt(f"returned {found} instead of (answer, certificate)", broken=True)
    answer, certificate = result
    if not check:
        unchecked = Answered(answer, certificate, Status.UNCHECKED, math.inf)
        return Attempt("answered; the certificate was not checked", unchecked)
    if context.progress is not None:
        context.report(0.0, "checking the certificate")
    verdict = check_certificate(certificate, problem, answer)
    if verdict.outcome == "relies on":
        believed = f"answered; the core cannot check all of it: {verdict.claim}"
        if chosen:
            return Attempt(believed, Answered(answer, certificate, Status.UNCHECKED, math.inf))
        return Attempt(f"{believed}; to get this answer, choose the solver by name")
    if not verdict.ok:
        return Attempt(f"its certificate was refused: {verdict.details[-1]}", broken=True)
    remember(certificate, verdict)
    return _graded(answer, certificate, problem, asked)


def _graded(
    answer: Any, certificate: Certificate, problem: Problem, asked: float | None
) -> Attempt:
    """Compare the accuracy that an accepted certificate proves with what was asked."""
    accepted = "answered; the certificate was accepted"
    if asked is None:
        return Attempt(accepted, Answered(answer, certificate, Status.VERIFIED, math.inf))
    accuracy = float(certificate.accuracy)
    if accuracy <= asked:
        return Attempt(accepted, Answered(answer, certificate, Status.VERIFIED, accuracy))
    words = f"{accepted}, but it proves no more than {described_accuracy(problem, accuracy, asked)}"
    return Attempt(words, Answered(answer, certificate, Status.WEAK, accuracy))


def _may_improve(candidate: Candidate, on: Candidate) -> bool:
    """Whether a candidate's guarantee is as strong as that of one whose answer is weak."""
    if candidate.guarantee is None or on.guarantee is None:
        return False
    return candidate.guarantee.rank <= on.guarantee.rank


def solve(
    problem: Problem[Answer, Proof],
    solver: str | Solver[Any] | None = None,
    *,
    tolerance: float | None = None,
    check: bool = True,
    seed: int | None = None,
    progress: Progress | None = None,
    time_limit: float | None = None,
    max_memory: float | None = None,
    block: Iterable[str] = (),
    prefer: Iterable[str] = (),
    **options: Any,
) -> Solution[Answer, Proof]:
    """Answer `problem` by the first candidate whose certificate the core accepts.

    An answer that is proved, but less accurately than was asked, is kept while further candidates
    of an equal or stronger guarantee run, but for those on request; if none does better, the best
    of them is handed out with status WEAK.

    Parameters
    ----------
    problem : Problem
        The question.
    solver : str, Solver or None
        A registered name or an instance of your own; None lets the plan decide. An explicit
        choice that is refused or fails raises; nothing else is tried. Its answer is handed out
        also where it is WEAK, or rests on an outside program (UNCHECKED).
    tolerance : float or None
        The accuracy asked for, compared with ``certificate.accuracy``; None means
        ``problem.default_tolerance``, which asks for none where it is None.
    check : bool
        Check the certificate before the answer is given out.
    seed : int or None
        Seed of all randomness (None means 0).
    progress : callable(fraction, message) or None
        Called from long work.
    time_limit : float or None
        Seconds for the whole call.
    max_memory : float or None
        Bytes beside the problem's data, check included: solvers that predict more are refused
        before they start. Those that predict nothing are not, see `plan`.
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
    if tolerance is None:
        tolerance = getattr(problem, "default_tolerance", None)
    context = Context(seed=seed, time_limit=time_limit, progress=progress, tolerance=tolerance)
    asked = context.tolerance
    prepared = prepare(problem, solver, options, block, prefer, max_memory)
    if solver is not None and prepared[0].solver is None:
        _raise_refused(problem, prepared)
    candidates = [item.candidate for item in prepared]
    best: tuple[Candidate, Answered] | None = None
    broken: Attempt | None = None
    for i, item in enumerate(prepared):
        if item.solver is None or context.remaining() <= 0:
            continue
        if best is not None and (item.on_request or not _may_improve(item.candidate, best[0])):
            continue
        attempt = _attempt(item, problem, context, asked, check, solver is not None)
        candidates[i] = item.candidate.after(attempt.outcome + _late(context))
        broken = broken or (attempt if attempt.broken else None)
        result = attempt.answered
        if result is not None and (best is None or result.accuracy < best[1].accuracy):
            best = item.candidate, result
        if result is not None and result.status is not Status.WEAK:
            break
    context.report(1.0, "done")
    done = Plan(problem.describe(), tuple(candidates))
    if best is not None:
        candidate, result = best
        return Solution(
            problem,
            result.answer,
            cast(Proof, result.certificate),
            result.status,
            candidate.name,
            time.perf_counter() - start,
            done,
            asked,
        )
    if solver is not None and broken is not None:
        name = candidates[0].name
        raise SolveError(f"the chosen solver {name}: {broken.outcome}", done) from broken.error
    timed_out = context.remaining() <= 0
    status = Status.TIME_LIMIT if timed_out else Status.UNDECIDED
    tried = [_tried(candidate) for candidate in candidates]
    unknown = problem.undecided(tried)
    if unknown is None:
        cause = None if broken is None else broken.error
        words = f"no answer to {problem.describe()}: {status.after(done)}"
        raise SolveError(words, done) from cause
    none = cast(Proof, None)
    return Solution(problem, unknown, none, status, "", time.perf_counter() - start, done, asked)


def _late(context: Context) -> str:
    """Return in words by how much the time limit of the call has been passed, if by a second."""
    if context.time_limit is None:
        return ""
    over = time.monotonic() - context.started - context.time_limit
    return f"; the time limit was passed by {over:.3g} s" if over > 1 else ""


def _tried(candidate: Candidate) -> str:
    without = f" ({candidate.left_out})" if candidate.left_out else ""
    return f"{candidate.name}: {candidate.outcome or candidate.verdict}{without}"


def _raise_refused(problem: Problem, prepared: list[Prepared]) -> None:
    candidate = prepared[0].candidate
    assert isinstance(candidate.verdict, Refused | Unavailable)
    done = Plan(problem.describe(), (candidate,))
    raise SolveError(
        f"the chosen solver {candidate.name} cannot take it: {candidate.verdict}", done
    )
