"""What every command shares: output, progress display, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from inspect import signature
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from sparseopt.choosing.analysis import analyze
from sparseopt.choosing.solving import solve
from sparseopt.cli.options import SEVERITIES
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.finding import Severity
from sparseopt.interface.printing import printable_lines, short
from sparseopt.interface.solution import Solution
from sparseopt.tools.progress import ProgressBar

FINE, FOUND, BAD_INPUT, RELIES_ON, INTERRUPTED, READER_GONE = 0, 1, 2, 3, 130, 141


class OutputError(ProblemError):
    """Standard output takes nothing, errors as JSON neither."""


def put(content: str | bytes) -> None:
    """Write to standard output; who reads it may have gone, and ends this quietly.

    Raises
    ------
    OutputError
        If the system refuses it: a disk that is full.
    """
    try:
        if isinstance(content, str):
            sys.stdout.write(content)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError):  # what is left would be written again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(READER_GONE)
        raise OutputError(f"cannot write standard output: {error.strerror}") from error


def say(text: str) -> None:
    """Print plain text, control characters as their escapes."""
    put(printable_lines(text) + "\n")


def say_proof(text: str) -> None:
    """Print a proof in lines of at most 100 characters, those of lists further in."""
    for line in printable_lines(text).split("\n"):
        inner = line[: len(line) - len(line.lstrip())] + "  "
        put(textwrap.fill(line, 100, subsequent_indent=inner, break_long_words=False) + "\n")


def say_marked(text: str) -> None:
    """Print text with marks of rich; colours where standard output is a terminal."""
    console = Console(soft_wrap=True, highlight=False)
    with console.capture() as shown:
        console.print(text)
    put(shown.get())


def say_json(text: str) -> None:
    """Print JSON as it is."""
    put(text + "\n")


def fail(message: str, as_json: bool) -> None:
    """Print an error, once: on standard output for a program, on standard error for a person."""
    if as_json:
        say_json(json.dumps({"error": message}))
        return
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"[bold red]error:[/] {escape(printable_lines(message))}"
    )


def progress_display(enabled: bool) -> ProgressBar:
    """Return a bar on standard error, shown once the work has lasted a second."""
    return ProgressBar(enabled=enabled)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Return ``name=value`` pairs as a dict; values are JSON where they parse as such."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not (separator and name):
            raise ProblemError(f"--option takes name=value, got {short(pair)}")
        if name in {*signature(solve).parameters, *signature(analyze).parameters}:
            raise ProblemError(f"--option sets what solvers and analyzers have, not {name!r}")
        try:
            options[name] = json.loads(text)
        except json.JSONDecodeError:
            options[name] = text
    return options


def print_solution(solution: Solution, as_json: bool, plan: bool) -> None:
    """Print a solution, with the plan if asked for."""
    if as_json:
        say_json(solution.to_json())
        return
    say(str(solution))
    if plan:
        say(str(solution.plan))


def severity_code(found: Iterable[Severity], fail_on: str) -> int:
    """Return the exit code for findings of these severities.

    Raises
    ------
    ProblemError
        If `fail_on` is no severity to fail on, also where nothing was found.
    """
    if fail_on not in SEVERITIES:
        raise ProblemError(
            f"--fail-on must be one of {', '.join(SEVERITIES)}, got {short(fail_on)}"
        )
    if fail_on == "never":
        return FINE
    least = Severity(fail_on).rank
    return FOUND if any(severity.rank >= least for severity in found) else FINE


def leave(code: int) -> None:
    """End the command with an exit code."""
    raise typer.Exit(code)
