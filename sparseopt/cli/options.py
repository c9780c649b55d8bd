"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

import sparseopt as so

SEVERITIES = ("problem", "warning", "info", "never")


def _solvers() -> list[str]:
    return [entry.name for entry in so.solvers()]


def _blockable() -> list[str]:
    plugins = [plugin.name for plugin in so.plugins()]
    return [*plugins, *_solvers(), *analyzer_names()]


def analyzer_names() -> list[str]:
    """Return the names of all analyzers, for shells that complete words."""
    return [entry.name for entry in so.analyzers()]


Json = Annotated[bool, typer.Option("--json", help="Print JSON, complete and machine-readable.")]
Seed = Annotated[int | None, typer.Option(help="Seed of all randomness (default 0).")]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds for the whole call.")]
SolverName = Annotated[
    str | None, typer.Option("--solver", help="Use this solver only.", autocompletion=_solvers)
]
SolverOption = Annotated[
    list[str] | None, typer.Option("--option", help="name=value, a setting; may be repeated.")
]
Block = Annotated[
    list[str] | None,
    typer.Option(
        help="Never use this plugin, solver or analyzer; repeatable.", autocompletion=_blockable
    ),
]
Prefer = Annotated[
    list[str] | None,
    typer.Option(help="Use this plugin or solver first.", autocompletion=_blockable),
]
ShowPlan = Annotated[bool, typer.Option("--plan", help="Print which solvers ran, and why.")]
Html = Annotated[
    str | None,
    typer.Option(
        "--html",
        help="Write one self-contained page here, no file that is read; - is standard output.",
    ),
]
FailOn = Annotated[
    str,
    typer.Option(
        help="Exit with 1 from this severity on: problem, warning, info; never for not at all.",
        autocompletion=lambda: list(SEVERITIES),
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        help="Of a network: NAME=1,3,64,64, the shape of an input that the file leaves open; "
        "repeatable.",
    ),
]
OutputName = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        "--output-name",
        help="Of a network: read this output, by default all; may be repeated.",
    ),
]
OutputRead = Annotated[
    list[str] | None,
    typer.Option(
        "--output-name",
        metavar="NAME",
        help="Of a network: read this output, by default all; may be repeated. OUT holds no other.",
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", help="Of a network: read it up to this node.")
]
