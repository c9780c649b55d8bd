"""``sparseopt analyze FILE``: every analyzer that applies to a network or to supports."""

from __future__ import annotations

from typing import Annotated

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import FINE, FOUND, leave, parse_options, progress_display, say, say_json
from sparseopt.cli.network_source import network_or_file


def analyze(
    file: Annotated[str, typer.Argument(help="A network (.onnx, .pt2) or supports (.json, .npz).")],
    html: opt.Html = None,
    shape: opt.InputShape = None,
    output: opt.OutputName = None,
    until: opt.Until = None,
    only: Annotated[list[str] | None, typer.Option(help="Run this analyzer only.")] = None,
    block: opt.Block = None,
    seed: opt.Seed = None,
    time_limit: opt.TimeLimit = None,
    option: opt.SolverOption = None,
    json: opt.Json = False,
) -> None:
    """Run every analyzer that applies to FILE. Exit code 1 if a finding is a problem."""
    with progress_display(not json) as progress:
        report = so.analyze(
            network_or_file(file, shape, output, until),
            only or None,
            seed=seed,
            progress=progress,
            time_limit=time_limit,
            block=block or (),
            **parse_options(option or ()),
        )
        if html is not None:
            progress(0.0, f"writing {html}")
            report.to_html(html)
    if json:
        say_json(report.to_json())
    else:
        say(str(report))
        if html is not None:
            say(f"report written to {html}")
    leave(FINE if report.ok else FOUND)
