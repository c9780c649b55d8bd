"""The input shapes of saved and exported programs, whose open sizes an example settles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.budget import require_room
from sparseopt.tools.reading.choices import by_input, shape_help
from sparseopt_torch.graph import input_names
from sparseopt_torch.pt2_archive import SavedProgram, fixed
from sparseopt_torch.pt2_arguments import one

Shapes = dict[str, tuple[int, ...]]
"""Of the inputs of a program, by name and in order."""


def file_shapes(saved: SavedProgram, example: Any) -> Shapes:
    """Return the input shapes of a saved program, with sizes that it leaves open from `example`."""
    try:
        graph = saved.program["graph_module"]
        specs = [one(spec) for spec in graph["signature"]["input_specs"]]
        users = [value["arg"] for tag, value in specs if tag == "user_input"]
        given = {}
        for user in users:
            if "as_tensor" not in user:
                raise so.ProblemError("an input of the program is no tensor; pass the module")
            name = user["as_tensor"]["name"]
            meta = graph["graph"]["tensor_values"][name]
            sizes = [one(size) for size in meta["sizes"]]
            known = [fixed({tag: value}) if tag == "as_int" else None for tag, value in sizes]
            words = [str(v if tag == "as_int" else v["expr_str"]) for tag, v in sizes]
            given[name] = (known, words)
    except so.ProblemError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise so.ProblemError(f"its input is damaged: {printable(error)}") from error
    shapes = _settled(given, example)
    for shape in shapes.values():
        require_room(shape)
    return shapes


def _settled(given: dict[str, tuple[list[int | None], list[str]]], example: Any) -> Shapes:
    if not given:
        raise so.ProblemError("the program takes no input; a network needs one")
    examples = by_input(example, list(given), "the program")
    return {
        name: settled_shape(known, words, examples.get(name), name)
        for name, (known, words) in given.items()
    }


def settled_shape(
    known: list[int | None], words: list[str], example: Any, name: str
) -> tuple[int, ...]:
    """Return a shape whose open sizes (None) come from an example; an open batch becomes 1."""
    sizes = list(known)
    if example is not None:
        given = tuple(np.shape(example))
        if len(given) == len(known) - 1:
            given = (1, *given)
        pairs = zip(given[1:], known[1:], strict=False)
        if len(given) != len(known) or any(n not in (None, m) for m, n in pairs):
            wanted = ", ".join("?" if n is None else str(n) for n in known)
            raise so.ProblemError(
                f"the example has shape {np.shape(example)}, the program takes ({wanted}) as its "
                f"input {printable(name)!r}"
            )
        sizes = [m if n is None else n for m, n in zip(given, known, strict=True)]
    if known and known[0] is None:
        sizes[0] = 1
    if any(n is None for n in sizes):
        raise so.ProblemError(
            f"the program has the dynamic input shape ({printable(', '.join(words))}); "
            f"{shape_help(name)}"
        )
    shape = tuple(int(n or 0) for n in sizes)
    if min(shape, default=1) < 1:
        raise so.ProblemError(f"the input of the program has the shape {shape}, without entries")
    return shape


def program_shapes(program: torch.export.ExportedProgram, example: Any) -> Shapes:
    """Return the input shapes of a program; a symbolic batch is 1, other sizes need an example."""
    values = {n.name: n.meta["val"] for n in program.graph.nodes if n.op == "placeholder"}
    given = {}
    for name in input_names(program):
        sizes = values[name].shape
        fixed = [n if isinstance(n, int) else None for n in sizes]
        given[name] = (fixed, [str(n) for n in sizes])
    return _settled(given, example)
