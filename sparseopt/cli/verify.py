"""``sparseopt verify FILE``: re-check a solution, certificate or report made elsewhere."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

import sparseopt as so
from sparseopt.cli import options as opt
from sparseopt.cli.console import FINE, FOUND, leave, say, say_json


def verify(
    file: Annotated[str, typer.Argument(help="JSON written by to_json or by --json.")],
    json: opt.Json = False,
) -> None:
    """Check every certificate in FILE by the core alone. Exit code 1 if one is refused."""
    check = so.verify(file)
    if json:
        body = {"ok": check.ok, "claim": check.claim, "details": list(check.details)}
        say_json(json_module.dumps(body))
    else:
        say(str(check))
    leave(FINE if check.ok else FOUND)
