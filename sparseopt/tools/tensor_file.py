"""Files of tensors in the format of safetensors: names, shapes and bytes, and nothing that runs.

The format: eight bytes with the size of a header, little-endian; the header, JSON that names each
tensor with its dtype, shape and place, and texts under ``__metadata__``; then the bytes. It is read
and written here without the library of that name, whose files these are.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.interface.whole_file import whole_file
from sparseopt.judging import limits
from sparseopt.judging.files import open_regular

SIZES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "C64": 8}
"""Bytes of an entry of each dtype that is read here."""


@dataclass(frozen=True)
class Tensor:
    """One tensor: its dtype as in `SIZES`, its shape, and its entries in C order, little-endian."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: its dtype as in the header, its shape, its first byte and their number.

    In C order, little-endian.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], texts: Mapping[str, str]
) -> None:
    """Write a file completely or not at all; `ProblemError` if the folder refuses it."""
    header: dict[str, Any] = {"__metadata__": dict(texts)}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + len(tensor.data)
        shape = list(tensor.shape)
        header[name] = {"dtype": tensor.dtype, "shape": shape, "data_offsets": [begin, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)  # entries are aligned
    with whole_file(path) as made, open(made, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for tensor in tensors.values():
            file.write(tensor.data)


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file and its texts; `ProblemError` if it is not of this format."""
    with open_regular(path) as file:
        found, texts = _directory(file, repr(os.fspath(path)), SIZES)
        start = file.tell()
        end = sum(place.size for place in found.values())
        data = file.read(end)
    if len(data) != end:
        raise ProblemError(f"{os.fspath(path)!r} changed while it was read")
    tensors = {
        key: Tensor(p.dtype, p.shape, data[p.start - start : p.start - start + p.size])
        for key, p in found.items()
    }
    return tensors, texts


def places(path: str | os.PathLike[str], sizes: Mapping[str, int]) -> dict[str, Place]:
    """Return where the tensors of a file lie, read from its header alone.

    Parameters
    ----------
    path : path
    sizes : dict of str to int
        Bytes of an entry of each dtype that is allowed.

    Raises
    ------
    ProblemError
        If the file is not of this format, or has other bytes than its header names.
    """
    with open_regular(path) as file:
        return _directory(file, repr(os.fspath(path)), sizes)[0]


def _directory(
    file: BinaryIO, name: str, sizes: Mapping[str, int]
) -> tuple[dict[str, Place], dict[str, str]]:
    """Return places and texts of an open file, and leave it at the first byte of its tensors."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > size - 8:
        raise ProblemError(f"{name} is no file of safetensors: it ends inside its header")
    if length > limits.DIRECTORY_BYTES:
        raise ProblemError(
            f"the header of {name} is too large: {length} bytes, at most "
            f"{limits.DIRECTORY_BYTES} are read"
        )
    header = _parsed(file.read(length), name)
    texts = header.pop("__metadata__", {})
    if not isinstance(texts, dict) or not all(isinstance(t, str) for t in texts.values()):
        raise ProblemError(f"__metadata__ of {name} must hold texts only")
    spans = {
        key: _span(entry, f"{printable(key)!r} of {name}", sizes) for key, entry in header.items()
    }
    end = 0
    for key, (_, _, begin, stop) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if begin != end:
            raise ProblemError(
                f"{printable(key)!r} of {name} starts at byte {begin}, and {end} is next: "
                "tensors lie side by side, and no two share bytes"
            )
        end = stop
    if end != size - 8 - length:
        raise ProblemError(
            f"{name} holds {size - 8 - length} bytes of tensors, and its header names {end}"
        )
    found = {
        key: Place(dtype, shape, 8 + length + begin, stop - begin)
        for key, (dtype, shape, begin, stop) in spans.items()
    }
    return found, texts


def _parsed(head: bytes, name: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name stands there twice")
        return found

    try:
        header = json.loads(head, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ProblemError(f"the header of {name} is no JSON of tensors: {error}") from error
    if not isinstance(header, dict):
        raise ProblemError(f"the header of {name} is a {type(header).__name__}, not an object")
    return header


def _span(entry: Any, what: str, sizes: Mapping[str, int]) -> tuple[str, tuple[int, ...], int, int]:
    """Return dtype, shape, first byte and end of a tensor of the header."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ProblemError(f"{what} needs dtype, shape and data_offsets, and nothing else")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in sizes:
        known = ", ".join(sizes)
        raise ProblemError(f"{what} is of dtype {printable(dtype)}; read here are {known}")
    for value, kind in ((shape, "shape"), (place, "data_offsets")):
        if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
            raise ProblemError(f"{kind} of {what} must be a list of integers from 0 on")
    if len(place) != 2 or len(shape) > 32 or place[1] - place[0] != math.prod(shape) * sizes[dtype]:
        raise ProblemError(f"shape and data_offsets of {what} do not agree")
    return dtype, tuple(shape), place[0], place[1]
