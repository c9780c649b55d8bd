"""Results of a saved program by name, and the program up to some of its values.

The JSON of the file is cut before anything is built of it, so what is not read is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.choices import Outputs, chosen, unknown_node
from sparseopt_torch.pt2_archive import SavedProgram
from sparseopt_torch.pt2_arguments import names, one

_DEEPEST = 20


def select(
    saved: SavedProgram, outputs: Outputs, until: str | None
) -> tuple[SavedProgram, list[str]]:
    """Return the program that gives what is asked for, and the names of its results."""
    try:
        module = saved.program["graph_module"]
        if until is not None:
            return _up_to(saved, until), [until]
        found = _results(module)
        if not found:
            raise so.ProblemError("the output of the module does not depend on its input")
        places = chosen([name for name, _ in found], outputs, "the program")
        picked = [found[place] for place in places]
        if outputs is not None:
            saved = _giving(saved, [value for _, value in picked], module["graph"]["nodes"])
        return saved, [name for name, _ in picked]
    except so.ProblemError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise so.ProblemError(f"its outputs are damaged: {printable(error, 200)}") from error


def _results(module: dict[str, Any]) -> list[tuple[str, str]]:
    """Return names of results, and of the values that they are, for those that are tensors."""
    specs = [one(spec)[0] for spec in module["signature"]["output_specs"]]
    given = module["graph"]["outputs"]
    users = [v for tag, v in zip(specs, given, strict=True) if tag == "user_output"]
    known = _result_names(module, len(users))
    return [
        (name, value["as_tensor"]["name"])
        for name, value in zip(known, users, strict=True)
        if "as_tensor" in value
    ]


def _result_names(module: dict[str, Any], count: int) -> list[str]:
    """Return a name for each result, from how the program packs them; by place in other files."""
    plain = [f"output_{i}" for i in range(count)]
    try:
        packed = json.loads(module["module_call_graph"][0]["signature"]["out_spec"])[1]
        if packed["type"] is None and count == 1:
            return ["output"]
        found = [".".join(path) for path in _paths(packed, (), _DEEPEST)]
    except (KeyError, TypeError, ValueError, IndexError, RecursionError):
        return plain
    found = [printable(f"output_{n}" if n[:1].isdigit() else n, 80) for n in found]
    return found if len(set(found)) == len(found) == count and all(found) else plain


def _paths(spec: dict[str, Any], path: tuple[str, ...], depth: int) -> Iterator[tuple[str, ...]]:
    """Yield the keys that lead to each tensor of what is packed in tuples and dicts."""
    if spec["type"] is None:
        yield path
        return
    if depth == 0:
        raise ValueError("nested too deeply")
    parts = spec["children_spec"]
    keys = json.loads(spec["context"]) if spec["type"].endswith("dict") else None
    if not isinstance(keys, list) or len(keys) != len(parts):
        keys = list(range(len(parts)))
    for key, part in zip(keys, parts, strict=True):
        yield from _paths(part, (*path, str(key)), depth - 1)


def _up_to(saved: SavedProgram, until: str) -> SavedProgram:
    """Return the program that ends with a node, or with the last one of a submodule."""
    nodes = saved.program["graph_module"]["graph"]["nodes"]
    place, value = -1, until
    known: dict[str, None] = {}
    for i, node in enumerate(nodes):
        made = [name for union in node["outputs"] for name in names(union)]
        inside = set(_modules(node))
        if until in made:
            place, value = i, until
            break
        if until in inside and made:
            place, value = i, made[0]
        known.update(dict.fromkeys([*made, *inside]))
    if place < 0:
        raise unknown_node(until, list(known), "the program")
    return _giving(saved, [value], nodes[: place + 1])


def _modules(node: dict[str, Any]) -> Iterator[str]:
    """Yield the paths of the submodules that a node stands in; of later calls with ``@1``."""
    for entry in node.get("metadata", {}).get("nn_module_stack", "").split(";"):
        key, *rest = entry.split(",", 2)
        if rest and rest[0]:
            call = key.partition("@")[2]
            yield f"{rest[0]}@{call}" if call else rest[0]


def _giving(saved: SavedProgram, values: list[str], nodes: list[Any]) -> SavedProgram:
    """Return the program that consists of these nodes and gives these values."""
    module = saved.program["graph_module"]
    results = [{"as_tensor": {"name": name}} for name in values]
    made = {
        **module,
        "graph": {**module["graph"], "nodes": nodes, "outputs": results},
        "signature": {
            **module["signature"],
            "output_specs": [{"user_output": {"arg": result}} for result in results],
        },
    }
    return replace(saved, program={**saved.program, "graph_module": made})
