"""``sparseopt analyze FILE...``: every analyzer that applies to a network or to supports."""

from __future__ import annotations

from typing import Annotated

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import (
    leave,
    parse_options,
    progress_display,
    say,
    say_json,
    severity_code,
)
from sparseopt.cli.network_source import Subjects, subject_of
from sparseopt.cli.streams import STREAM, put_text, require_apart, require_one_stream
from sparseopt.tools.report.html import render


def analyze(
    files: Subjects,
    html: opt.Html = None,
    shape: opt.InputShape = None,
    output: opt.OutputName = None,
    until: opt.Until = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run this analyzer only.", autocompletion=opt.analyzer_names),
    ] = None,
    fail_on: opt.FailOn = "problem",
    block: opt.Block = None,
    seed: opt.Seed = None,
    time_limit: opt.TimeLimit = None,
    option: opt.SolverOption = None,
    json: opt.Json = False,
) -> None:
    """Run every analyzer that applies to a network, or to supports.

    Exit code 1 if a finding is a problem, or of the severity that --fail-on names.
    """
    severity_code((), fail_on)  # refused before any work
    require_one_stream(html, json)
    require_apart(html, *files, option="--html")
    with progress_display(not json) as progress:
        report = so.analyze(
            subject_of(files, shape, output, until),
            only or None,
            seed=seed,
            progress=progress,
            time_limit=time_limit,
            block=block or (),
            **parse_options(option or ()),
        )
        if html is not None:
            progress(0.0, f"writing {html}")
            put_text(html, render(report))
    if html == STREAM:
        leave(severity_code((f.severity for f in report), fail_on))
    if json:
        say_json(report.to_json())
    else:
        say(str(report))
        if html is not None:
            say(f"report written to {html}")
    leave(severity_code((f.severity for f in report), fail_on))
