"""``sparseopt verify FILE``: re-check a solution, certificate or report made elsewhere."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import FINE, FOUND, RELIES_ON, leave, progress_display, say, say_json
from sparseopt.cli.streams import taken


def verify(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="JSON written by to_json or by --json; - is standard input."
        ),
    ],
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Outside program that may be asked again, such as z3; repeatable."),
    ] = None,
    json: opt.Json = False,
) -> None:
    """Check every certificate in FILE by the core alone.

    Exit code 1 if one is refused, 3 if one rests on an outside program that is not allowed.
    """
    with progress_display(not json) as progress:
        check = so.verify(taken(file), allow=allow or (), progress=progress)
    if json:
        body = {
            "ok": check.ok,
            "outcome": check.outcome,
            "claim": check.claim,
            "details": list(check.details),
        }
        say_json(json_module.dumps(body))
    else:
        say(str(check))
    leave({"accepted": FINE, "refused": FOUND, "relies on": RELIES_ON}[check.outcome])
