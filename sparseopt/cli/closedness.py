"""``sparseopt closedness FILE``: verdict and certificate of a chain of supports."""

from __future__ import annotations

from typing import Annotated

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import parse_options, print_solution, progress_display, say


def closedness(
    file: Annotated[str, typer.Argument(help="A chain of supports (.json, .npz).")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the proof as a person would write it.")
    ] = False,
    html: opt.Html = None,
    solver: opt.SolverName = None,
    option: opt.SolverOption = None,
    block: opt.Block = None,
    prefer: opt.Prefer = None,
    seed: opt.Seed = None,
    time_limit: opt.TimeLimit = None,
    plan: opt.ShowPlan = False,
    json: opt.Json = False,
) -> None:
    """Decide whether the set of products with these supports is closed."""
    problem = so.read(file, produces="sparseopt:Closedness")
    with progress_display(not json) as progress:
        solution = so.solve(
            problem,
            solver,
            seed=seed,
            progress=progress,
            time_limit=time_limit,
            block=block or (),
            prefer=prefer or (),
            **parse_options(option or ()),
        )
    print_solution(solution, json, plan)
    if explain and not json and solution.certificate is not None:
        say(solution.certificate.explain())
    if html is not None:
        so.analyze(problem, seed=seed, time_limit=time_limit, block=block or ()).to_html(html)
        if not json:
            say(f"report written to {html}")
