"""Tensors that an ONNX model keeps in other files, all of them in its own folder.

Up to `limits.HELD_BYTES` together they are copied into memory. Of larger models the large dense
initializers stay in their files, mapped: a layer is read when a pass comes to it, and the system
takes its pages back. Maps follow the same rules as copies (inside the folder, no link, as many
bytes as declared), which are looked at when the model is read; from then on the files must stay as
they are. A file that is written to changes the weights, and one that is cut short ends the process
at the next page that is gone. Files that are replaced, as this package and careful programs
replace them, leave the map as it was.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.array_files import map_numbers
from sparseopt.judging.files import read_bytes
from sparseopt_onnx.tensors import byte_count

Maps = dict[str, np.ndarray]
"""Initializers that stay in their files, by name."""

_EXTERNAL_KEYS = {"location", "offset", "length", "checksum", "basepath"}
# Raw data are little-endian numbers.
_MAPPED: dict[int, np.dtype[Any]] = {
    onnx.TensorProto.FLOAT: np.dtype(np.float32),
    onnx.TensorProto.DOUBLE: np.dtype(np.float64),
}
_PLAIN_FIELDS = {"name", "dims", "data_type", "data_location", "external_data", "doc_string"}
"""Of a tensor that is nothing but numbers in another file."""
_LEAST_MAPPED = 1 << 16
"""Bytes below which a tensor of a large model is copied all the same."""


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


def load_external(model: onnx.ModelProto, folder: Path, name: str, maps: Maps | None) -> None:
    """Read the tensors that are kept in other files of the model's folder.

    Parameters
    ----------
    maps : dict or None
        Receives the initializers that are mapped; they stay empty in the model. None maps none.
    """
    read: Counter[Path] = Counter()
    mapped = _mapped(model) if maps is not None else set()
    for tensor in tensors(model):
        if not is_external(tensor):
            continue
        where = f"{name}: the data of the tensor {printable(tensor.name)!r}"
        try:
            path, start, count = _place(tensor, folder)
            read[path] += count
            if maps is not None and tensor.name in mapped:
                dtype, shape = _MAPPED[tensor.data_type], tuple(tensor.dims)
                maps[tensor.name] = map_numbers(path, dtype, shape, start)
            else:
                tensor.raw_data = read_bytes(path, count, start, count)
            if read[path] > path.stat().st_size:
                raise so.ProblemError("its file is shorter than all tensors in it together")
        except (so.ProblemError, OSError, ValueError, RuntimeError) as error:
            raise so.ProblemError(f"{where} cannot be read: {error}") from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _mapped(model: onnx.ModelProto) -> set[str]:
    """Return the names of the initializers to map: large ones of a model too large to hold."""
    sizes: dict[str, int] = {}
    if any(a.HasField("g") or a.graphs for node in model.graph.node for a in node.attribute):
        return set()  # names in branches may hide those outside
    for tensor in model.graph.initializer:
        fields = {field.name for field, _ in tensor.ListFields()}
        plain = tensor.data_type in _MAPPED and fields <= _PLAIN_FIELDS
        if is_external(tensor) and plain and all(n >= 0 for n in tensor.dims):
            sizes[tensor.name] = byte_count(tensor)
    if sys.byteorder != "little" or sum(sizes.values()) <= limits.HELD_BYTES:
        return set()
    others = Counter(t.name for t in tensors(model))
    return {n for n, size in sizes.items() if size >= _LEAST_MAPPED and others[n] == 1}


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
