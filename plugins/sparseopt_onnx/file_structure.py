"""Loads ONNX models from files of strangers: counted before they are parsed, data in their folder.

Protocol buffers run no code. What they can do is ask for memory: small messages by the million,
tensors in files elsewhere, functions that call functions. Each is counted before it is obeyed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.files import read_bytes
from sparseopt_onnx.tensors import byte_count

# Protocol buffers end at 2 GiB; larger models keep their tensors in other files.
_LARGEST = 2**31
_DEEPEST = 100
_EXTERNAL_KEYS = {"location", "offset", "length", "checksum", "basepath"}


def load(source: Any) -> tuple[onnx.ModelProto, str]:
    """Return the model of a path or a ``ModelProto``, functions inlined, and a name for it."""
    if isinstance(source, onnx.ModelProto):
        model, name = onnx.ModelProto(), "the model"
        model.CopyFrom(source)
        external = next((t for t in _tensors(model) if _is_external(t)), None)
        if external is not None:
            raise so.ProblemError(
                f"the data of the tensor {printable(external.name)!r} are in another file and were "
                "not loaded; give the path of the model"
            )
    else:
        name = repr(os.fspath(source))
        model = _parse(read_bytes(source, _LARGEST), name)
        _load_external(model, Path(source).parent, name)
    if not model.opset_import or not model.graph.node:
        raise so.ProblemError(
            f"{name} is not an ONNX model with a graph; if it is a file, it may be of another kind "
            "or cut short"
        )
    _require_few_nodes(model, name)
    if model.functions:
        try:
            model = onnx.inliner.inline_local_functions(model)
        except Exception as error:  # the inliner is native code, and raises what it meets
            raise so.ProblemError(
                f"{name}: its functions cannot be written out: {printable(error)}"
            ) from error
    return model, name


# Parsing ------------------------------------------------------------------------------------


def _parse(content: bytes, name: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        _count_fields(content, 0, len(content), model.DESCRIPTOR, 0, _DEEPEST)
        model.ParseFromString(content)
    except (DecodeError, IndexError, RecursionError) as error:
        raise so.ProblemError(
            f"{name} is not an ONNX file, or is cut short; export it again"
        ) from error
    except so.ProblemError as error:
        raise so.ProblemError(f"{name} cannot be read: {error}") from error
    return model


def _count_fields(
    content: bytes, place: int, end: int, message: Any, count: int, depth: int
) -> int:
    """Return `count` plus the fields of the message between two places, those of parts included.

    Walks the wire format, https://protobuf.dev/programming-guides/encoding, without allocating;
    numbers and texts are skipped. `ProblemError` above the limit.
    """
    if depth == 0:
        raise so.ProblemError("its parts are nested too deeply")
    parts = {f.number: f.message_type for f in message.fields if f.message_type is not None}
    while place < end:
        count += 1
        tag, place = _varint(content, place)
        kind = tag & 7
        if kind == _BYTES:
            size, place = _varint(content, place)
            part = parts.get(tag >> 3)
            if part is not None:
                stop = min(place + size, end)
                count = _count_fields(content, place, stop, part, count, depth - 1)
            place += size
        elif kind == _NUMBER:
            _, place = _varint(content, place)
        elif kind in _FIXED:
            place += _FIXED[kind]
        else:  # groups, which ONNX does not have
            raise DecodeError("unknown wire type")
        if count > limits.MESSAGES:
            raise so.ProblemError(f"it has more than {limits.MESSAGES} fields")
    return count


_NUMBER, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, and the place after it; `IndexError` at the end."""
    number = content[place]
    place += 1
    if number < 128:
        return number, place
    number &= 127
    for shift in range(7, 70, 7):
        byte = content[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
    raise DecodeError("a number is too long")


# Data in other files ------------------------------------------------------------------------


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of the model outside the graphs of control flow."""
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for nodes in (model.graph.node, *(f.node for f in model.functions)):
        for node in nodes:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)


def _is_external(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _load_external(model: onnx.ModelProto, folder: Path, name: str) -> None:
    """Read the tensors that are kept in other files of the model's folder."""
    read: Counter[Path] = Counter()
    for tensor in _tensors(model):
        if not _is_external(tensor):
            continue
        where = f"{name}: the data of the tensor {printable(tensor.name)!r}"
        try:
            path, start, count = _place(tensor, folder)
            read[path] += count
            tensor.raw_data = read_bytes(path, count, start, count)
            if read[path] > path.stat().st_size:
                raise so.ProblemError("its file is shorter than all tensors in it together")
        except (so.ProblemError, OSError, ValueError) as error:
            raise so.ProblemError(f"{where} cannot be read: {error}") from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _place(tensor: onnx.TensorProto, folder: Path) -> tuple[Path, int, int]:
    """Return file, first byte and number of bytes of an external tensor."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    if not set(entries) <= _EXTERNAL_KEYS or len(entries) != len(tensor.external_data):
        raise so.ProblemError(f"unknown or repeated keys {printable(sorted(entries))}")
    location = entries.get("location", "")
    path = folder / location
    away = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    if not location or away or ".." in PureWindowsPath(location).parts or "\0" in location:
        raise so.ProblemError(
            f"its place {printable(location)!r} does not lie in the folder of the model; move it "
            "there"
        )
    if path.resolve() != folder.resolve() / location:
        raise so.ProblemError(
            f"its place {printable(location)!r} is a link; put the file itself beside the model"
        )
    start = _number(entries.get("offset", "0"), "offset")
    needed = byte_count(tensor)
    if "length" in entries and _number(entries["length"], "length") != needed:
        raise so.ProblemError(
            f"it declares {printable(entries['length'])} bytes where its shape needs {needed}"
        )
    return path, start, needed


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise so.ProblemError(f"its {what} is {printable(text)!r}, no number of bytes")
    return int(text)


# Functions ----------------------------------------------------------------------------------


def _require_few_nodes(model: onnx.ModelProto, name: str) -> None:
    """Refuse graphs that are too large once functions are written out, and recursive functions."""
    functions = {(f.domain, f.name): f for f in model.functions}
    if len(functions) != len(model.functions):
        raise so.ProblemError(f"{name} defines one function twice; export it again")
    calls = {
        key: {(n.domain, n.op_type) for n in _all_nodes(function.node)} & set(functions)
        for key, function in functions.items()
    }
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        raise so.ProblemError(f"{name}: its functions call each other without end") from error
    sizes: dict[tuple[str, str], int] = {}
    for key in order:
        sizes[key] = _expanded(functions[key].node, sizes)
    if max([_expanded(model.graph.node, sizes), *sizes.values()]) > limits.NODES:
        raise so.ProblemError(
            f"{name} has more than {limits.NODES} nodes, functions written out; so many are not "
            "read"
        )


def _expanded(nodes: Iterable[onnx.NodeProto], sizes: dict[tuple[str, str], int]) -> int:
    """Return how many nodes there are once functions are written out, up to above the limit."""
    count = sum(sizes.get((n.domain, n.op_type), 1) for n in _all_nodes(nodes))
    return min(count, limits.NODES + 1)


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and those in the graphs of control flow."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)
