"""Tensors that an ONNX model keeps in other files, all of them in its own folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging.files import read_bytes
from sparseopt_onnx.tensors import byte_count

_EXTERNAL_KEYS = {"location", "offset", "length", "checksum", "basepath"}


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of the model outside the graphs of control flow."""
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for nodes in (model.graph.node, *(f.node for f in model.functions)):
        for node in nodes:
            for attribute in node.attribute:
                yield from (attribute.t, *attribute.tensors)
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether the data are in another file."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def load_external(model: onnx.ModelProto, folder: Path, name: str) -> None:
    """Read the tensors that are kept in other files of the model's folder."""
    read: Counter[Path] = Counter()
    for tensor in tensors(model):
        if not is_external(tensor):
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
