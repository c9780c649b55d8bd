"""Opens .pt2 files: the graph as JSON, the tensors as raw bytes; nothing of the file is run.

``torch.export.load`` unpickles the example inputs, evaluates symbolic sizes as Python, and
resolves the names of operators among all of torch. Here the example inputs are not read, sizes
are numbers or left open, and operators come from a table (see `pt2_program`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.files import Archive, open_regular
from sparseopt.tools.reading.budget import Budget
from sparseopt_torch.pt2_pickles import saved_tensors
from sparseopt_torch.pt2_tensors import Stored, require_same_byte_order, tensors_of

_MODULE = "load it with torch yourself if you trust it, and pass the module or the program"
_SCHEMA = 8

SCALAR_TYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
"""Dtypes by their number in the schema of exported programs."""


@dataclass(frozen=True, eq=False)
class SavedProgram:
    """What a .pt2 file holds, checked for size and nothing else.

    Parameters
    ----------
    program : dict
        The JSON of ``torch._export.serde.schema.ExportedProgram``.
    tensors : dict of str to torch.Tensor
        Parameters and buffers.
    constants : dict of str to torch.Tensor
    """

    program: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    constants: dict[str, torch.Tensor]


def open_program(path: Any, budget: Budget) -> SavedProgram:
    """Return the program in a file of ``torch.export.save``."""
    name = repr(os.fspath(path))
    with open_regular(path) as file:
        try:
            archive = Archive(file, name)
            if "serialized_exported_program.json" in archive.names:
                saved = _old_layout(archive, name, budget)
            else:
                saved = _layout(archive, name, budget)
        except so.ProblemError as error:
            raise so.ProblemError(
                f"{name} is not a program saved by torch.export.save that can be read without "
                f"unpickling, or is cut short: {error}"
            ) from error
    version = saved.program.get("schema_version")
    major = version.get("major") if isinstance(version, dict) else version
    if major != _SCHEMA:
        raise so.ProblemError(
            f"{name} has schema {printable(major)}, {_SCHEMA} is read; save it again with torch "
            "2.6 or later"
        )
    return saved


def _layout(archive: Archive, name: str, budget: Budget) -> SavedProgram:
    """Read the layout of torch 2.8 and later: one folder with models, weights and constants."""
    root = next(
        (n.removesuffix("archive_format") for n in archive.names if n.endswith("archive_format")),
        None,
    )
    if root is None:
        raise so.ProblemError("it has no entry 'archive_format'")
    require_same_byte_order(archive, root)
    models = [n for n in archive.names if n.startswith(f"{root}models/")]
    if models != [f"{root}models/model.json"]:
        raise so.ProblemError(
            f"it holds {len(models)} models ({printable(', '.join(models[:4]))}), but "
            "must hold one, named 'model'"
        )

    def payload(kind: str) -> dict[str, torch.Tensor]:
        folder = f"{root}data/{kind}/"
        pickled = f"{folder}model.pt"
        if pickled in archive.names:  # torch 2.8
            return saved_tensors(archive.read(pickled), f"its entry {pickled!r}", budget)
        config = _json(archive, f"{folder}model_{kind}_config.json")
        stored = _guarded(lambda: {n: _stored(n, m) for n, m in config["config"].items()})
        return tensors_of(stored, archive, folder, budget)

    return SavedProgram(_json(archive, models[0]), payload("weights"), payload("constants"))


def _old_layout(archive: Archive, name: str, budget: Budget) -> SavedProgram:
    """Read the layout before torch 2.8: no folder, and tensors in pickles."""

    def payload(kind: str) -> dict[str, torch.Tensor]:
        entry = f"serialized_{kind}.pt"
        content = archive.read(entry)
        return saved_tensors(content, f"its entry {entry!r}", budget) if content else {}

    program = _json(archive, "serialized_exported_program.json")
    return SavedProgram(program, payload("state_dict"), payload("constants"))


def _json(archive: Archive, entry: str) -> dict[str, Any]:
    if entry in archive.names and archive.size(entry) > limits.GRAPH_BYTES:
        raise so.ProblemError(
            f"its entry {entry!r} has {archive.size(entry)} bytes; that is more than is read"
        )
    content = archive.read(entry)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise so.ProblemError(f"its entry {entry!r} is not JSON: {printable(error)}") from error
    if not isinstance(document, dict):
        raise so.ProblemError(f"its entry {entry!r} is not a JSON object")
    return document


def _guarded(build: Callable[[], Any]) -> Any:
    """Return what is built from JSON; `ProblemError` where it has another form than the schema."""
    try:
        return build()
    except so.ProblemError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise so.ProblemError(
            f"its list of tensors is damaged: {type(error).__name__}: {printable(error)}"
        ) from error


def _stored(name: str, entry: dict[str, Any]) -> Stored:
    if entry["use_pickle"] is not False or entry["tensor_meta"] is None:
        raise so.ProblemError(
            f"the tensor or object {printable(name)!r} is stored as a pickle, which could run "
            f"code; {_MODULE}"
        )
    meta = entry["tensor_meta"]
    if meta["layout"] != 7 or meta["dtype"] not in SCALAR_TYPES:
        raise so.ProblemError(
            f"the tensor {printable(name)!r} is sparse, or of a dtype not read here"
        )
    key = entry["path_name"]
    if not isinstance(key, str):
        raise TypeError("a path is not a string")
    return Stored(
        key,
        SCALAR_TYPES[meta["dtype"]],
        tuple(fixed(n) for n in meta["sizes"]),
        tuple(fixed(n) for n in meta["strides"]),
        fixed(meta["storage_offset"]),
        entry["is_param"] is True,
    )


def fixed(size: dict[str, Any]) -> int:
    """Return a size that is a number."""
    number = size["as_int"]
    if type(number) is not int:
        raise TypeError("a size is not an integer")
    return number
