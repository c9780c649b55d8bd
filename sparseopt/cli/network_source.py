"""The network of a command: the file, the shapes that it leaves open, the part that is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import sparseopt as so
from sparseopt.cli.streams import INPUT_NAME, taken
from sparseopt.interface.context import Progress
from sparseopt.interface.printing import printable

SUFFIXES = (".onnx", ".pt2")
"""Of files that hold networks."""


Subjects = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="A network (.onnx, .pt2), or supports (.json, .npy, .npz, .mtx, .csv, .mat), also one "
        "file for each support; - is standard input.",
    ),
]
SUPPORTS = (".json", ".npy", ".npz", ".mtx", ".csv", ".mat")


def subject_of(
    files: Sequence[str],
    shapes: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    until: str | None = None,
) -> Any:
    """Return what `so.analyze` takes: the file, its network, or the chain of several supports."""
    paths = [taken(file) for file in files]
    if len(paths) == 1:
        return network_or_file(paths[0], shapes, outputs, until)
    return chain_of(paths)


def chain_of(paths: Sequence[str]) -> so.Closedness:
    """Return the chain of the supports in several files."""
    if len(set(paths)) < len(paths) and any(Path(p).name.startswith(INPUT_NAME) for p in paths):
        raise so.ProblemError("- stands for one file; give it once")
    supports: list[Any] = []
    for path in paths:
        if not path.lower().endswith(SUPPORTS):
            raise so.ProblemError(
                f"several files are supports, one after the other ({', '.join(SUPPORTS)}), not "
                f"{path!r}"
            )
        supports += so.read(path, produces="sparseopt:Closedness").supports
    return so.Closedness(supports)


@dataclass(frozen=True)
class Part:
    """How a command is to read its network: what ``--shape``, ``--output``, ``--until`` say.

    Attributes
    ----------
    shapes : texts ``NAME=1,3,64,64``, or ``1,3,64,64`` for the only input
    outputs : names of outputs, in the order in which they are read
    until : name of the node to end at
    """

    shapes: Sequence[str] | None = None
    outputs: Sequence[str] | None = None
    until: str | None = None

    @property
    def is_asked(self) -> bool:
        """Whether any of the options is given."""
        return bool(self.shapes or self.outputs) or self.until is not None

    @property
    def is_whole(self) -> bool:
        """Whether all of the file is read, so that it can be written with other values."""
        return not self.outputs and self.until is None

    @property
    def example(self) -> Any:
        """Inputs of the shapes that are given, for `so.load_network` and `so.write`."""
        return example_of(self.shapes or ())

    def of(self, file: str, progress: Progress | None = None) -> so.Network:
        """Return the network in a file."""
        self.require_network(file)
        outputs = list(self.outputs) if self.outputs else None
        return so.load_network(file, self.example, outputs, self.until, progress=progress)

    def require_network(self, file: str) -> None:
        """Refuse the options for a file of another kind."""
        if self.is_asked and not file.lower().endswith(SUFFIXES):
            raise so.ProblemError(
                f"--shape, --output-name and --until are for networks ({', '.join(SUFFIXES)}), not "
                f"{file!r}"
            )


def network_or_file(
    file: str,
    shapes: Sequence[str] | None,
    outputs: Sequence[str] | None,
    until: str | None,
) -> Any:
    """Return the network in a file where an option says how to read it, else the file's name."""
    part = Part(shapes, outputs, until)
    return part.of(file) if part.is_asked else file


def example_of(shapes: Sequence[str]) -> Any:
    """Return example inputs of the shapes that are given, or None if there are none."""
    found: dict[str, np.ndarray] = {}
    for text in shapes:
        name, separator, sizes = text.rpartition("=")
        if (separator and not name) or not re.fullmatch(r"[1-9]\d{0,8}(,[1-9]\d{0,8})*", sizes):
            raise so.ProblemError(
                f"--shape takes NAME=1,3,64,64, or 1,3,64,64 for the only input, got "
                f"{printable(text, 200)!r}"
            )
        if name in found:
            raise so.ProblemError(f"--shape gives {name or 'a shape without name'!r} twice")
        # A number seen through a shape: only the shape of an example matters.
        found[name] = np.broadcast_to(np.float32(0), tuple(map(int, sizes.split(","))))
    if "" in found and len(found) > 1:
        raise so.ProblemError("--shape without a name is for networks with one input; name all")
    return found.get("", found) if found else None
