"""The input shape of saved and exported programs, whose open sizes an example settles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.budget import require_room
from sparseopt_torch.pt2_archive import SCALAR_TYPES, SavedProgram, fixed
from sparseopt_torch.pt2_arguments import one


def file_shape(saved: SavedProgram, example: Any) -> tuple[int, ...]:
    """Return the input shape of a saved program, with sizes that it leaves open from `example`."""
    try:
        graph = saved.program["graph_module"]
        specs = [one(spec) for spec in graph["signature"]["input_specs"]]
        users = [value["arg"] for tag, value in specs if tag == "user_input"]
        if len(users) != 1 or "as_tensor" not in users[0]:
            raise so.ProblemError(f"the program takes {len(users)} inputs; a network here has one")
        meta = graph["graph"]["tensor_values"][users[0]["as_tensor"]["name"]]
        if SCALAR_TYPES.get(meta["dtype"]) not in (torch.float32, torch.float64):
            raise so.ProblemError("the input of the program is not a tensor of floats")
        sizes = [one(size) for size in meta["sizes"]]
        known = [fixed({tag: value}) if tag == "as_int" else None for tag, value in sizes]
        words = [str(value if tag == "as_int" else value["expr_str"]) for tag, value in sizes]
    except so.ProblemError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise so.ProblemError(f"its input is damaged: {printable(error)}") from error
    shape = settled_shape(known, words, example)
    require_room(shape)
    return shape


def settled_shape(known: list[int | None], words: list[str], example: Any) -> tuple[int, ...]:
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
                f"the example has shape {np.shape(example)}, the program takes ({wanted})"
            )
        sizes = [m if n is None else n for m, n in zip(given, known, strict=True)]
    if known and known[0] is None:
        sizes[0] = 1
    if any(n is None for n in sizes):
        raise so.ProblemError(
            f"the program has the dynamic input shape ({printable(', '.join(words))}); pass "
            "example=, an input of the right shape"
        )
    shape = tuple(int(n or 0) for n in sizes)
    if min(shape, default=1) < 1:
        raise so.ProblemError(f"the input of the program has the shape {shape}, without entries")
    return shape


def program_shape(program: torch.export.ExportedProgram, example: Any) -> tuple[int, ...]:
    """Return the input shape of a program; a symbolic batch is 1, other sizes need an example."""
    names = program.graph_signature.user_inputs
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in names]
    if len(nodes) != 1:
        raise so.ProblemError(f"the program takes {len(nodes)} inputs; a network here has one")
    tensor = nodes[0].meta["val"]
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        raise so.ProblemError("the input of the program is not a tensor of floats")
    fixed = [n if isinstance(n, int) else None for n in tensor.shape]
    return settled_shape(fixed, [str(n) for n in tensor.shape], example)
