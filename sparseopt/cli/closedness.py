"""``sparseopt closedness FILE...``: verdict and proof for supports, or for layers of a network."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import (
    FINE,
    RELIES_ON,
    leave,
    parse_options,
    print_solution,
    progress_display,
    say,
    say_json,
    say_proof,
    severity_code,
)
from sparseopt.cli.network_source import Part, Subjects, chain_of
from sparseopt.cli.streams import STREAM, put_text, require_apart, require_one_stream, taken
from sparseopt.networks.layers import consecutive_linear_pairs
from sparseopt.tools.growing.growth import WHAT_IT_IS
from sparseopt.tools.report.html import render

_SEVERITIES = {
    "closed": so.Severity.OK,
    "unknown": so.Severity.INFO,
    "not_closed": so.Severity.WARNING,
}

_HINT = 0.9
"""Seconds for the hint beside an unknown; time limits are kept within one."""


def closedness(
    files: Subjects,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the proof as a person would write it.")
    ] = False,
    repair: Annotated[
        str | None,
        typer.Option(help="As `sparseopt repair`, which replaces it.", hidden=True),
    ] = None,
    html: opt.Html = None,
    shape: opt.InputShape = None,
    output: opt.OutputName = None,
    until: opt.Until = None,
    solver: opt.SolverName = None,
    option: opt.SolverOption = None,
    block: opt.Block = None,
    prefer: opt.Prefer = None,
    seed: opt.Seed = None,
    time_limit: opt.TimeLimit = None,
    fail_on: opt.FailOn = "problem",
    plan: opt.ShowPlan = False,
    json: opt.Json = False,
) -> None:
    """Decide whether the set of products with these supports is closed.

    Where it cannot be decided, a numeric hint is told: whether weights grow in fits to targets at
    which they would if the set were not closed. --explain says what that is.

    Ends with 3 where a verdict rests on the word of an outside program.

    Of a network, any two consecutive linear layers are examined if one of them has zeros. For
    --fail-on, not closed is a warning.
    """
    severity_code((), fail_on)  # refused before any work
    require_one_stream(html, json)
    require_apart(html, *files, option="--html")
    paths = [taken(file) for file in files]
    subject = _subject(paths, Part(shape, output, until))
    problems = _problems(paths[0], subject)
    settings: dict[str, Any] = {
        "seed": seed,
        "time_limit": time_limit,
        "block": block or (),
        "prefer": prefer or (),
    }
    if repair is not None:  # refused before any work
        repairs = {n: so.NearestClosedSupport(p.supports, repair) for n, p in problems.items()}
    documents, found, rests = [], [], False
    for name, problem in problems.items():
        with progress_display(not json) as progress:
            chosen = {**settings, "progress": progress, **parse_options(option or ())}
            solution = so.solve(problem, solver, **chosen)
            closed = so.solve(repairs[name], progress=progress, **settings) if repair else None
        found.append(_SEVERITIES[solution.answer.value])
        rests |= solution.status is so.Status.UNCHECKED
        if json:
            documents.append(_document(name, solution, closed))
        if json or html == STREAM:
            continue
        if name:
            say(f"{name}:")
        print_solution(solution, False, plan)
        if explain and solution.certificate is not None:
            say_proof(solution.certificate.explain())
        if solution.answer.value == "unknown":
            say(f"hint: {so.weight_growth(problem.supports, seed=seed or 0, time_limit=_HINT)}")
            if explain:
                say(WHAT_IT_IS)
        if closed is not None:
            say(f"LU windows: {so.lu_window_count(problem.supports)}")
            say_proof(closed.certificate.explain() if explain else str(closed.answer))  # type: ignore[union-attr]
    if json:
        single = list(problems) == [""] and repair is None
        say_json(so.to_json(documents[0] if single else documents))
    if html is not None:
        only = None if isinstance(subject, so.Closedness) else ["support_closedness"]
        report = so.analyze(subject, only, seed=seed, time_limit=time_limit, block=block or ())
        put_text(html, render(report))
        if not json and html != STREAM:
            say(f"report written to {html}")
    leave(severity_code(found, fail_on) or (RELIES_ON if rests else FINE))


def _subject(paths: list[str], part: Part) -> Any:
    """Return the supports, or the network, in the files."""
    for path in paths:
        part.require_network(path)
    if part.is_asked and len(paths) == 1:
        return part.of(paths[0])
    return so.read(paths[0]) if len(paths) == 1 else chain_of(paths)


def _problems(file: str, subject: Any) -> dict[str, so.Closedness]:
    """Return the problems that a file states; one without a name for a chain of supports."""
    if isinstance(subject, so.Closedness):
        return {"": subject}
    if not isinstance(subject, so.Network):
        raise so.ProblemError(f"{file!r} holds neither supports nor a network")
    pairs = [pair for pair in consecutive_linear_pairs(subject) if pair.is_sparse]
    if not pairs:
        raise so.ProblemError(
            f"{file!r} has no two consecutive linear layers of which one has zeros: without zeros "
            "there is nothing to decide, dense layers are closed"
        )
    return {
        f"{pair.first.name} -> {pair.second.name}": so.Closedness(list(pair.supports))
        for pair in pairs
    }


def _document(name: str, solution: so.Solution, closed: so.Solution | None) -> Any:
    """Return the solution, with its layers and its repair where there are any."""
    if not name and closed is None:
        return solution
    parts: dict[str, Any] = {"layers": name, "solution": solution}
    if closed is not None:
        parts["repair"] = closed
    return parts
