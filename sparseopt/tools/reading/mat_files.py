"""Matrices in MATLAB's .mat files (level 5), read here.

scipy's reader is not asked: on damaged files it may end the process. What is no matrix of numbers,
such as texts, structures and objects, is left out; every size is compared with the bytes that are
there, and compressed elements are inflated up to a limit.

Source: MAT-File Format, The MathWorks, chapter 1, level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import require_sound_indices
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.judging import limits

_HEADER = 128
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_STORED = {
    _INT8: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    _INT32: "i4",
    _UINT32: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
"""How the numbers of an element are stored, which may take fewer bytes than the array's class."""
_SPARSE = 5
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4"}
_CLASSES |= {14: "i8", 15: "u8", _SPARSE: "f8"}
_COMPLEX, _LOGICAL = 0x08, 0x02
_MOST_ELEMENTS = 10_000
_MOST_LINES = 1 << 27
"""Rows and columns together of a sparse matrix: each takes a number, also where it is empty."""


def read_mat(content: bytes, name: str) -> dict[str, Any]:
    """Return the matrices of a file by name: arrays, sparse ones as scipy's.

    Raises
    ------
    ProblemError
        If it is no such file, is cut short, or would inflate beyond `limits.INFLATED_BYTES`.
    """
    order = _byte_order(content, name)
    found: dict[str, Any] = {}
    room, place, count = limits.INFLATED_BYTES, _HEADER, 0
    while place < len(content):
        count += 1
        if count > _MOST_ELEMENTS:
            raise ProblemError(f"{name} holds more than {_MOST_ELEMENTS} elements")
        kind, body, place = _element(content, place, order, name)
        if kind == _COMPRESSED:
            inflated = _inflated(body, room, name)
            room -= len(inflated)
            kind, body, _ = _element(inflated, 0, order, name)
        if kind == _MATRIX:
            parts = _parts(body, order, name)
            if parts is not None:
                found[printable(parts[2][1].decode("latin-1"))] = _matrix(parts, order, name)
    return found


def _byte_order(content: bytes, name: str) -> str:
    mark = content[126:_HEADER]
    if content.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise ProblemError(f"{name} is of MATLAB's version 7.3 (HDF5); save it with -v7")
    if len(content) < _HEADER or mark not in (b"IM", b"MI"):
        raise ProblemError(f"{name} is not a .mat file of level 5; save it with -v7")
    return "<" if mark == b"IM" else ">"


def _element(content: bytes, place: int, order: str, name: str) -> tuple[int, bytes, int]:
    """Return the kind and the bytes of the element at a place, and the place of the next one."""
    if place + 8 > len(content):
        raise ProblemError(f"{name} is cut short")
    (first, second) = struct.unpack_from(f"{order}II", content, place)
    if first >> 16:  # a small element: its bytes follow its size at once
        kind, size, start, after = first & 0xFFFF, first >> 16, place + 4, place + 8
        if size > 4:
            raise ProblemError(f"{name} is damaged: a small element of {size} bytes")
    else:
        kind, size, start = first, second, place + 8
        after = start + size if kind == _COMPRESSED else start + (size + 7) // 8 * 8
    if start + size > len(content):
        raise ProblemError(f"{name} declares an element of {size} bytes; it is cut short")
    return kind, content[start : start + size], after


def _inflated(body: bytes, room: int, name: str) -> bytes:
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(body, room + 1)
    except zlib.error as error:
        raise ProblemError(f"{name} is damaged: {error}") from error
    if len(content) > room:
        raise ProblemError(
            f"{name} would inflate beyond {limits.INFLATED_BYTES} bytes; save it with -v6"
        )
    return content


def _parts(body: bytes, order: str, name: str) -> list[tuple[int, bytes]] | None:
    """Return flags, shape, name and numbers of an array, None if it is none of numbers."""
    parts: list[tuple[int, bytes]] = []
    place = 0
    while place < len(body):
        kind, part, place = _element(body, place, order, name)
        parts.append((kind, part))
        if len(parts) == 1:
            flags = _flags(part, order) if kind == _UINT32 and len(part) == 8 else (0, 0)
            if flags[0] not in _CLASSES:
                return None
    if len(parts) < 4 or parts[1][0] != _INT32 or len(parts[1][1]) != 8 or parts[2][0] != _INT8:
        return None
    return parts


def _flags(part: bytes, order: str) -> tuple[int, int]:
    """Return class and marks of an array."""
    word = struct.unpack_from(f"{order}I", part)[0]
    return word & 0xFF, word >> 8 & 0xFF


def _matrix(parts: list[tuple[int, bytes]], order: str, name: str) -> Any:
    kind, marks = _flags(parts[0][1], order)
    rows, columns = struct.unpack(f"{order}ii", parts[1][1])
    is_complex = bool(marks & _COMPLEX)
    if min(rows, columns) < 0 or (kind == _SPARSE and rows + columns > _MOST_LINES):
        raise ProblemError(f"{name} declares an array of the shape {rows} x {columns}")
    arrays = [_numbers(part, order, name) for part in parts[3:]]
    if len(arrays) != (3 if kind == _SPARSE else 1) + is_complex:
        raise ProblemError(f"{name} is damaged: an array of {len(arrays)} parts")
    values: Any = arrays[-1 - is_complex]
    if is_complex:
        if len(arrays[-1]) != len(values):
            raise ProblemError(f"{name} is damaged: real and imaginary parts differ in length")
        values = values + 1j * arrays[-1]
    else:
        values = values.astype(bool if marks & _LOGICAL else _CLASSES[kind])
    if kind == _SPARSE:
        return _sparse(arrays[0], arrays[1], values, (rows, columns), name)
    if len(values) != math.prod((rows, columns)):
        raise ProblemError(
            f"{name} declares an array of the shape {rows} x {columns}, but holds {len(values)} "
            "entries; it is cut short"
        )
    return values.reshape((rows, columns), order="F")


def _sparse(
    row: np.ndarray, start: np.ndarray, values: np.ndarray, shape: tuple[int, int], name: str
) -> Any:
    """Return a sparse matrix by columns; room for more entries may follow those that there are."""
    try:
        if len(start) != shape[1] + 1 or not 0 <= (last := int(start[-1])) <= len(values):
            raise ProblemError(f"{len(start)} starts of {shape[1]} columns")
        row, values = row[:last].astype(np.int64), values[:last]
        require_sound_indices("csc", shape, values, row, start.astype(np.int64))
        return scipy.sparse.csc_array((values, row, start.astype(np.int64)), shape=shape)
    except (ProblemError, ValueError) as error:
        raise ProblemError(f"{name} is damaged: {printable(error, 200)}") from error


def _numbers(part: tuple[int, bytes], order: str, name: str) -> np.ndarray:
    kind, content = part
    stored = np.dtype(f"{order}{_STORED[kind]}") if kind in _STORED else None
    if stored is None or len(content) % stored.itemsize:
        raise ProblemError(f"{name} is damaged: numbers of an unknown kind {kind}")
    return np.frombuffer(content, stored).astype(stored.newbyteorder("="))
