"""Matrices in MATLAB's .mat files (level 5), looked at before scipy reads them.

A .mat file may ask for more memory than it has bytes, and may hold objects of any class. So its
elements are gone through here: compressed ones are inflated up to a limit, what is no matrix of
numbers is left out, every size is compared with the bytes that are there, and scipy is given a file
that holds the rest.

Source: MAT-File Format, The MathWorks, chapter 1, level 5.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from typing import Any

import scipy.io

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.judging import limits

_HEADER = 128
_INT32, _UINT32, _INT8, _MATRIX, _COMPRESSED = 5, 6, 1, 14, 15
_SPARSE = 5
_NUMBERS = {_SPARSE, *range(6, 16)}
"""Classes of arrays: sparse, double, single, and the integers, of which logical arrays are."""
_MOST_ELEMENTS = 10_000
_MOST_LINES = 1 << 27
"""Rows and columns together of a sparse matrix."""


def read_mat(content: bytes, name: str) -> dict[str, Any]:
    """Return the matrices of a file by name: arrays, sparse ones as scipy's.

    Raises
    ------
    ProblemError
        If it is no such file, is cut short, or would inflate beyond `limits.INFLATED_BYTES`.
    """
    order = _byte_order(content, name)
    kept = [content[:_HEADER]]
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
        if kind == _MATRIX and _is_of_numbers(body, order, name):
            kept.append(struct.pack(f"{order}II", _MATRIX, len(body)) + body)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = scipy.io.loadmat(io.BytesIO(b"".join(kept)))
    except Exception as error:  # scipy raises whatever it meets in elements that do not fit
        raise ProblemError(f"{name} is damaged: {printable(error, 200)}") from error
    return {key: value for key, value in found.items() if not key.startswith("__")}


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


def _is_of_numbers(body: bytes, order: str, name: str) -> bool:
    """Whether an array is a matrix of numbers; all its parts must have their bytes."""
    parts, place = [], 0
    while place < len(body) and (not parts or _class(parts[0], order) in _NUMBERS):
        kind, part, place = _element(body, place, order, name)
        parts.append((kind, part))
    if len(parts) < 4 or parts[1][0] != _INT32 or len(parts[1][1]) % 4 or parts[2][0] != _INT8:
        return False
    shape = struct.unpack(f"{order}{len(parts[1][1]) // 4}i", parts[1][1])
    if _class(parts[0], order) == _SPARSE:
        possible = sum(shape) <= _MOST_LINES
    else:
        possible = math.prod(shape) <= len(body)  # each entry takes a byte or more
    if min(shape, default=-1) < 0 or not possible:
        raise ProblemError(f"{name} declares an array of the shape {shape}; it is cut short")
    return True


def _class(flags: tuple[int, bytes], order: str) -> int | None:
    """Return the class of an array, None if these are not the flags that it must begin with."""
    kind, part = flags
    return part[0 if order == "<" else 3] if kind == _UINT32 and len(part) == 8 else None
