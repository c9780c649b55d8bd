"""`plan`: who may answer a problem, in which order, and why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sparseopt.choosing.availability import Registered
from sparseopt.choosing.discovery import Registry, registry
from sparseopt.choosing.keeping import Kept
from sparseopt.choosing.preference import Preferences, effective
from sparseopt.interface.arrays import as_estimate
from sparseopt.interface.errors import ProblemError, UnknownNameError
from sparseopt.interface.plan import Candidate, Plan, in_words
from sparseopt.interface.printing import raised, short
from sparseopt.interface.problem import Problem
from sparseopt.interface.solver import Solver
from sparseopt.interface.verdict import Accepted, Outranked, Refused, Unavailable, Verdict


class Prepared(NamedTuple):
    """A candidate together with the solver instance that would run (None if it would not)."""

    candidate: Candidate
    solver: Solver[Any] | None
    on_request: bool = False


class _Said(NamedTuple):
    """What a solver says of its prediction: bytes if it knows, and what the cost rests on."""

    memory: float | None
    rests_on: str


class _Willing(NamedTuple):
    """A solver that accepts a problem, before it is compared with others."""

    rank: tuple[Any, ...]
    item: Registered
    solver: Solver[Any]
    verdict: Accepted
    said: _Said
    on_request: bool

    def prepared(self, verdict: Verdict) -> Prepared:
        entry = self.item.entry
        candidate = Candidate(
            self.item.name,
            self.item.plugin.name,
            entry.guarantee,
            verdict,
            left_out=self.item.left_out,
            memory=self.said.memory,
            rests_on=self.said.rests_on,
        )
        return Prepared(candidate, self.solver, self.on_request)


def option_names(cls: type) -> list[str]:
    """Return the options of a solver or analyzer class: the fields of its dataclass."""
    return (
        [f.name for f in dataclasses.fields(cls) if f.init] if dataclasses.is_dataclass(cls) else []
    )


def _ask(solver: Solver[Any], problem: Problem) -> Accepted | Refused:
    """Ask a solver for its verdict; a fault of the solver is a refusal that says so."""
    try:
        verdict = solver.accepts(problem)
    except (Exception, SystemExit) as error:
        return Refused(f"its accepts raised {raised(error)} (a defect of the plugin)")
    if isinstance(verdict, Refused):
        return verdict
    if not isinstance(verdict, Accepted):
        return Refused(
            f"its accepts returned {verdict!r} instead of Accepted() or Refused(reason) "
            "(a defect of the plugin)"
        )
    try:
        cost = float(solver.cost(problem))
    except (Exception, SystemExit) as error:
        return Refused(f"its cost raised {raised(error)} (a defect of the plugin)")
    if not (math.isfinite(cost) and cost >= 0):
        return Refused(f"its cost returned {cost!r}, not finite seconds (a defect of the plugin)")
    return Accepted(cost)


def _asked(
    solver: Solver[Any], problem: Problem, kept: Kept | None
) -> tuple[Accepted | Refused, _Said]:
    """Ask a solver for its verdict and what it says of its prediction; refuse one that changes a
    problem that is kept."""
    verdict = _ask(solver, problem)
    said = _Said(_memory(solver, problem), _rests_on(solver, problem))
    if kept is not None and kept.put_back():
        return Refused("it changed the problem when it was asked (a defect of the plugin)"), said
    return verdict, said


def _memory(solver: Solver[Any], problem: Problem) -> float | None:
    """Return the bytes that a solver predicts; None of a solver whose prediction is of no use."""
    try:
        found = solver.bytes_needed(problem)
        size = None if found is None else float(found)
    except (Exception, SystemExit):
        return None
    return size if size is not None and math.isfinite(size) and size >= 0 else None


def _rests_on(solver: Solver[Any], problem: Problem) -> str:
    """Return what a solver's predicted cost rests on; nothing of one that does not say it."""
    try:
        found = solver.cost_rests_on(problem)
    except (Exception, SystemExit):
        return ""
    return found if type(found) is str else ""


def _too_much(size: float | None, most: float | None) -> Refused | None:
    if most is None or size is None or size <= most:
        return None
    return Refused(
        f"it needs about {in_words(size)} of memory beside the data, and max_memory allows "
        f"{in_words(most)}"
    )


def _structure_refusal(item: Registered, structure: Mapping[str, Any]) -> Refused | None:
    for key, allowed in item.entry.structure.items():
        if structure.get(key) not in allowed:
            takes = ", ".join(str(value) for value in allowed)
            return Refused(f"{key} is {structure.get(key)} here; this solver takes {takes}")
    return None


def _rank(item: Registered, cost: float, chosen: Preferences) -> tuple[Any, ...]:
    names, wish, entry = (item.name, item.plugin.name), 0, item.entry
    while wish < len(chosen.prefer) and chosen.prefer[wish] not in names:
        wish += 1
    return (
        wish,
        entry.guarantee.rank,
        not item.plugin.first_party,
        entry.on_request,
        cost,
        -entry.priority,
        entry.name,
    )


_RANK_WORDS = (
    "the user prefers it",
    "its guarantee is stronger",
    "it is first-party and of the same guarantee",
    "the other needs an optional library and runs on request",
    "its predicted cost is lower",
    "its declared priority is higher",
    "its name comes first, all else being equal",
)


def _why(winner: tuple[Any, ...], loser: tuple[Any, ...]) -> str:
    return next(word for word, a, b in zip(_RANK_WORDS, winner, loser, strict=True) if a != b)


def _prepare_one(
    item: Registered,
    problem: Problem,
    structure: Mapping[str, Any],
    options: Mapping[str, Any],
    chosen: Preferences,
    max_memory: float | None,
    kept: Kept | None,
) -> Prepared | _Willing:
    def refused(verdict: Refused | Unavailable) -> Prepared:
        return Prepared(Candidate(item.name, item.plugin.name, item.entry.guarantee, verdict), None)

    if item.name in chosen.block or item.plugin.name in chosen.block:
        return refused(Refused("it is on the user's block list"))
    missing = item.installation()
    if missing is not None:
        return refused(missing)
    wrong = _structure_refusal(item, structure)
    if wrong is not None:
        return refused(wrong)
    unavailable = item.availability()
    if unavailable is not None:
        return refused(unavailable)
    for name in options:
        if name not in option_names(item.cls):
            own = ", ".join(option_names(item.cls)) or "none"
            return refused(Refused(f"it has no option {name!r}; its options: {own}"))
    solver = build(item.cls, options) if options else item.plain
    verdict, said = _asked(solver, problem, None if item.plugin.first_party else kept)
    if isinstance(verdict, Refused):
        return refused(verdict)
    large = _too_much(said.memory, max_memory)
    if large is not None:
        return refused(large)
    rank = _rank(item, verdict.cost, chosen)
    waits = item.entry.on_request and rank[0] == len(chosen.prefer)
    return _Willing(rank, item, solver, verdict, said, waits)


def build(cls: type, options: Mapping[str, Any]) -> Any:
    """Build a solver or analyzer with the caller's options; a bad value is a `ProblemError`."""
    try:
        return cls(**options)
    except (TypeError, ValueError) as error:
        shown = ", ".join(f"{k}={v!r}" for k, v in options.items())
        raise ProblemError(f"{cls.__name__} refuses the options {shown}: {error}") from error


def _order(found: Iterable[Prepared | _Willing]) -> list[Prepared]:
    willing: list[_Willing] = []
    rest: list[Prepared] = []
    for each in found:
        if isinstance(each, _Willing):
            willing.append(each)
        else:
            rest.append(each)
    willing.sort(key=lambda each: each.rank)
    rest.sort(key=lambda each: each.candidate.name)
    ordered = [each.prepared(each.verdict) for each in willing[:1]]
    for other in willing[1:]:
        first = willing[0]
        why = _why(first.rank, other.rank)
        ordered.append(other.prepared(Outranked(first.item.name, why, other.verdict.cost)))
    return ordered + rest


def _check_options(found: Sequence[Registered], options: Mapping[str, Any]) -> None:
    available = [item for item in found if item.installation() is None]
    known = {name for item in available for name in option_names(item.cls)}
    for name in options:
        if name not in known:
            raise UnknownNameError("option", name, known)


def _prepare_named(name: str, problem: Problem, known: Registry) -> Registered:
    found = known.solvers_for(type(problem))
    for item in found:
        if item.name == name:
            return item
    kind = f"solver for {type(problem).__name__}"
    raise UnknownNameError(kind, name, [item.name for item in found])


def _prepare_instance(
    solver: Solver[Any],
    problem: Problem,
    options: Mapping[str, Any],
    max_memory: float | None = None,
) -> Prepared:
    for name in options:
        if name not in option_names(type(solver)):
            raise UnknownNameError("option", name, option_names(type(solver)))
    if options:
        solver = dataclasses.replace(solver, **options)  # type: ignore[type-var]
    verdict, said = _asked(solver, problem, Kept(problem))
    if isinstance(verdict, Accepted):
        verdict = _too_much(said.memory, max_memory) or verdict
    name = type(solver).__qualname__
    candidate = Candidate(name, "(unregistered)", None, verdict, "", "", *said)
    return Prepared(candidate, None if isinstance(verdict, Refused) else solver)


def prepare(
    problem: Problem,
    solver: str | Solver[Any] | None,
    options: Mapping[str, Any],
    block: Iterable[str],
    prefer: Iterable[str],
    max_memory: float | None = None,
) -> list[Prepared]:
    """Return the candidates for `problem` with their solver instances, in running order."""
    if max_memory is not None and not as_estimate(max_memory, "max_memory") > 0:
        raise ProblemError(
            f"max_memory must be a positive number of bytes, got {short(max_memory)}"
        )
    if not isinstance(problem, Problem):
        name = (
            f"the class {problem.__name__}" if isinstance(problem, type) else type(problem).__name__
        )
        raise ProblemError(
            f"solve and plan take a Problem, got {name}; "
            "state one, for example so.Closedness([I, J])"
        )
    if isinstance(solver, Solver):
        return [_prepare_instance(solver, problem, options, max_memory)]
    if solver is not None and not isinstance(solver, str):
        called = isinstance(solver, type) and issubclass(solver, Solver)
        hint = f"; give an instance: {solver.__name__}()" if called else ""
        raise ProblemError(f"solver must be a name or a Solver instance, got {short(solver)}{hint}")
    known = registry()
    chosen = effective(block, prefer, known)
    found = known.solvers_for(type(problem))
    if solver is not None:
        found = [_prepare_named(solver, problem, known)]
    if options:
        _check_options(found, options)
    structure = problem.structure()
    kept = None if all(item.plugin.first_party for item in found) else Kept(problem)
    return _order(
        _prepare_one(item, problem, structure, options, chosen, max_memory, kept) for item in found
    )


def plan(
    problem: Problem,
    solver: str | Solver[Any] | None = None,
    *,
    max_memory: float | None = None,
    block: Iterable[str] = (),
    prefer: Iterable[str] = (),
    **options: Any,
) -> Plan:
    """Return every candidate for `problem` with its verdict, in the order they would run.

    The order: user's choice, user's block list, availability (not installed, import fails),
    declared structure, its device (none, unfit), `Solver.accepts`; then among the accepted ones
    the user's prefer list, guarantee, first-party before third-party, those that are for request
    only last, predicted cost, declared priority, name.

    Parameters
    ----------
    problem : Problem
        The question.
    solver : str, Solver or None
        Consider this one only.
    max_memory : float or None
        Refuse solvers that predict more bytes beside the problem's data, check included.
    block, prefer : iterable of str
        Names of plugins or solvers; see also `preferences`.
    **options
        Settings of the solvers, as in `solve`.

    Returns
    -------
    Plan

    Examples
    --------
    >>> import sparseopt as so
    >>> print(so.plan(so.Closedness([[[1, 0], [1, 1]], [[1, 1], [0, 1]]])).chosen.guarantee)
    Guarantee.EXACT
    """
    ready = prepare(problem, solver, options, block, prefer, max_memory)
    return Plan(problem.describe(), tuple(item.candidate for item in ready))
