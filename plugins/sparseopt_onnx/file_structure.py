"""Loads ONNX models from files of strangers: counted before they are parsed, data in their folder.

Protocol buffers run no code. What they can do is ask for memory: small messages by the million,
tensors in files elsewhere, functions that call functions. Each is counted before it is obeyed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging.files import read_bytes
from sparseopt_onnx.external_data import Maps, is_external, load_external, tensors
from sparseopt_onnx.functions import give_defaults, require_few_nodes
from sparseopt_onnx.message_fields import parse

# Protocol buffers end at 2 GiB; larger models keep their tensors in other files.
_LARGEST = 2**31


def files_beside(path: Any) -> list[str]:
    """Return the files in which a model keeps tensors."""
    model = parse(read_bytes(path, _LARGEST), repr(os.fspath(path)))
    entries = (e for t in tensors(model) if is_external(t) for e in t.external_data)
    folder = Path(path).parent
    return sorted({str(folder / e.value) for e in entries if e.key == "location"})


def load(source: Any, maps: Maps | None = None) -> tuple[onnx.ModelProto, str]:
    """Return the model of a path or a ``ModelProto``, functions inlined, and a name for it.

    `maps` receives the initializers that stay in their files, see `external_data`.
    """
    if isinstance(source, onnx.ModelProto):
        model, name = onnx.ModelProto(), "the model"
        model.CopyFrom(source)
        external = next((t for t in tensors(model) if is_external(t)), None)
        if external is not None:
            raise so.ProblemError(
                f"the data of the tensor {printable(external.name)!r} are in another file and were "
                "not loaded; give the path of the model"
            )
    else:
        name = repr(os.fspath(source))
        model = parse(read_bytes(source, _LARGEST), name)
        load_external(model, Path(source).parent, name, maps)
    if not model.opset_import or not model.graph.node:
        raise so.ProblemError(
            f"{name} is not an ONNX model with a graph; if it is a file, it may be of another kind "
            "or cut short"
        )
    require_few_nodes(model, name)
    if model.functions:
        give_defaults(model, name)
        try:
            model = onnx.inliner.inline_local_functions(model)
            if model.functions:  # of another operator set than the model, where that can be bridged
                with suppress(Exception):
                    model = onnx.inliner.inline_local_functions(model, convert_version=True)
        except Exception as error:  # the inliner is native code, and raises what it meets
            raise so.ProblemError(
                f"{name}: its functions cannot be written out: {printable(error)}"
            ) from error
    return model, name
