"""Options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, complete and machine-readable.")]
Seed = Annotated[int | None, typer.Option(help="Seed of all randomness (default 0).")]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds for the whole call.")]
SolverName = Annotated[str | None, typer.Option("--solver", help="Use this solver only.")]
SolverOption = Annotated[
    list[str] | None, typer.Option("--option", help="name=value, a setting; may be repeated.")
]
Block = Annotated[
    list[str] | None, typer.Option(help="Never use this plugin, solver or analyzer; repeatable.")
]
Prefer = Annotated[list[str] | None, typer.Option(help="Use this plugin or solver first.")]
ShowPlan = Annotated[bool, typer.Option("--plan", help="Print which solvers ran, and why.")]
Html = Annotated[str | None, typer.Option("--html", help="Write one self-contained page here.")]
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
        "--output", help="Of a network: read this output, by default all; may be repeated."
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", help="Of a network: read it up to this node.")
]
