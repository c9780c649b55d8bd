"""What the commands share that read a network from a file and write another one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import sparseopt as so
from sparseopt.cli.console import say, say_json
from sparseopt.cli.network_source import Part
from sparseopt.cli.streams import STREAM, put_file, require_apart, require_one_stream, taken
from sparseopt.interface.context import Progress
from sparseopt.interface.printing import short

Source = Annotated[
    str, typer.Argument(metavar="IN", help="A network (.onnx, .pt2); - is standard input.")
]
Output = Annotated[
    str,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT",
        help="The network: of an .onnx file that is read as a whole the same model with other "
        "initializers (.onnx); or a new file (.onnx, .pt2, .json), never IN itself; - is standard "
        "output, the same kind of file.",
    ),
]
New = Annotated[
    bool,
    typer.Option("--new", help="Write a new .onnx file instead of IN with other initializers."),
]
SUFFIXES = (".onnx", ".pt2", ".json")


def load(
    file: str,
    output: str,
    as_json: bool = False,
    progress: Progress | None = None,
    part: Part | None = None,
) -> so.Network:
    """Return the network of a file; refuse an output that cannot be written before any work."""
    require_apart(output, file)
    file = taken(file)
    require_one_stream(output, as_json)
    if output != STREAM and Path(output).suffix.lower() not in SUFFIXES:
        raise so.ProblemError(f"--output must end in {', '.join(SUFFIXES)}, got {short(output)}")
    if not file.lower().endswith((".onnx", ".pt2")):
        raise so.ProblemError(f"{file!r} must end in .onnx or .pt2")
    with options_named():
        return (part or Part()).of(file, progress)


def save(network: so.Network, file: str, output: str, new: bool, part: Part | None = None) -> None:
    """Write a network, like the file that it came from where that can be."""
    file = taken(file)
    if output == STREAM:
        suffix = Path(file).suffix.lower()
        put_file(output, suffix, lambda path: save(network, file, path, new, part))
        return
    with options_named():
        part = part or Part()
        if new or not part.is_whole or not is_like(file, output):
            so.write(network, output)
        else:
            so.write(network, output, like=file, example=part.example)


def is_like(file: str, output: str) -> bool:
    """Whether the output can be the file with other initializers."""
    return file.lower().endswith(".onnx") and output.lower().endswith(".onnx")


@contextlib.contextmanager
def options_named() -> Iterator[None]:
    """Let errors name the option of the command line that helps, where ``--output`` is OUT."""
    try:
        yield
    except so.ProblemError as error:
        text = str(error).replace("leave out like=", "pass --new")
        text = text.replace("(--output)", "(--output-name)")
        text = text.replace("(--output on the command line)", "(--output-name)")
        raise so.ProblemError(text) from error


def tell(lines: list[str], document: dict[str, Any], output: str, as_json: bool) -> None:
    """Print what was done, for people or as JSON."""
    if as_json:
        say_json(so.to_json({**document, "output": output}))
        return
    if output == STREAM:
        return
    for line in lines:
        say(line)
    say(f"written to {output}")
