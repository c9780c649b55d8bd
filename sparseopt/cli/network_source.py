"""The network of a command: the file, the shapes that it leaves open, the part that is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.interface.printing import printable

SUFFIXES = (".onnx", ".pt2")
"""Of files that hold networks."""


def network_or_file(
    file: str,
    shapes: Sequence[str] | None,
    outputs: Sequence[str] | None,
    until: str | None,
) -> Any:
    """Return the network in a file where an option says how to read it, else the file's name.

    Parameters
    ----------
    file : str
    shapes : texts ``NAME=1,3,64,64``, or ``1,3,64,64`` for the only input
    outputs : names of outputs, in the order in which they are read
    until : name of the node to end at
    """
    if not shapes and not outputs and until is None:
        return file
    if not file.lower().endswith(SUFFIXES):
        raise so.ProblemError(
            f"--shape, --output and --until are for networks ({', '.join(SUFFIXES)}), not {file!r}"
        )
    return so.load_network(file, example_of(shapes or ()), outputs=outputs or None, until=until)


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
