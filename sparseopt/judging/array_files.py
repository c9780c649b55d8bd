"""Arrays of numbers in .npy and .npz files, checked against the file before they are allocated."""

from __future__ import annotations

import io
import math
import os
import tokenize
from typing import Any, BinaryIO

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.files import Archive, Path, open_regular

# Numbers, and the short words that scipy.sparse.save_npz writes.
_KINDS = "biufcSU"
_LONGEST_ITEM = 64
_MOST_AXES = 32


def read_array(path: Path) -> np.ndarray:
    """Return the array of a .npy file, mapped into memory.

    Raises
    ------
    ProblemError
        If the file is not an array of numbers, or is shorter than its header declares. Nothing is
        unpickled.
    """
    name = repr(os.fspath(path))
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        shape, fortran, dtype = _header(file, size, name)
        order = "F" if fortran else "C"
        try:
            return np.memmap(file, dtype, "r", file.tell(), shape, order)  # type: ignore[call-overload, no-any-return]
        except (OSError, ValueError) as error:  # an empty array, which cannot be mapped
            raise ProblemError(f"{name} holds an array of shape {shape}: {error}") from error


def map_numbers(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], start: int, private: bool = False
) -> np.ndarray:
    """Return numbers that lie in a file from byte `start` on, mapped into memory, read-only.

    With `private` they may be written to, in memory: the file stays as it is.
    The file must be regular and hold all of them now. What is read of the map later is what the
    file holds then: it must neither be changed nor cut short as long as the array is used.
    """
    name = repr(os.fspath(path))
    needed = math.prod(shape) * dtype.itemsize
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if start + needed > size:
            raise ProblemError(
                f"{name} has {size} bytes, where bytes {start} to {start + needed} are needed; it "
                "is cut short"
            )
        try:
            return np.memmap(file, dtype, "c" if private else "r", start, shape)
        except (OSError, ValueError) as error:
            raise ProblemError(f"{name} cannot be mapped: {printable(error, 200)}") from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name, in the order in which they were saved."""
    name = repr(os.fspath(path))
    arrays = {}
    with open_regular(path) as file:
        archive = Archive(file, name)
        for entry in archive.names:
            where = f"{name}: the entry {printable(entry)!r}"
            if not entry.endswith(".npy"):
                raise ProblemError(f"{where} is not an array; save arrays with numpy.savez")
            content = archive.read(entry)
            stream = io.BytesIO(content)
            shape, fortran, dtype = _header(stream, len(content), where)
            flat = np.frombuffer(content, dtype, math.prod(shape), stream.tell())
            arrays[entry.removesuffix(".npy")] = flat.reshape(shape, order="F" if fortran else "C")
    return arrays


def _header(stream: BinaryIO, size: int, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of an array whose file has `size` bytes; leave the stream at its data."""
    try:
        version = np.lib.format.read_magic(stream)  # type: ignore[arg-type]
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"version {version} of the format is not known")
        shape, fortran, dtype = readers[version](stream)  # type: ignore[arg-type]
    except (
        ValueError,
        TypeError,
        SyntaxError,
        OSError,
        EOFError,
        MemoryError,  # what Python's parser raises for deep nesting
        RecursionError,
        tokenize.TokenError,
    ) as error:
        raise ProblemError(f"{name} is not an array saved by numpy, or is cut short") from error
    if dtype.kind not in _KINDS or dtype.itemsize > _LONGEST_ITEM:
        raise ProblemError(
            f"{name} holds entries of dtype {printable(dtype)}; numbers are read, nothing is "
            "unpickled: convert it with .astype(float)"
        )
    needed = math.prod(shape) * dtype.itemsize
    possible = len(shape) <= _MOST_AXES and min(shape, default=0) >= 0
    if not possible or needed > size - stream.tell():
        raise ProblemError(
            f"{name} declares the shape {str(shape)[:80]} of dtype {dtype}, but holds "
            f"{size - stream.tell()} bytes; it is cut short"
        )
    if limits.hides_sizes(shape):
        raise ProblemError(f"{name} declares the shape {str(shape)[:80]}, without entries")
    return tuple(int(n) for n in shape), bool(fortran), dtype
