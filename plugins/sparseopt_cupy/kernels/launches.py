"""What the host must know of one launch, and what it will move and compute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sparseopt_cupy.kernels.sources import Kernel

Layout = Literal["last", "first"]
Precision = Literal["ieee", "tf32", "tf32x3"]
Order = Literal["abcd", "adbc"]
Pattern = tuple[int, int, int, int]

# C++ names of the data types; NumPy has no bfloat16, so types go by name here.
TYPES = {
    "float16": "half16",
    "bfloat16": "bfloat16",
    "float32": "float",
    "float64": "double",
    "complex64": "Complex<float>",
    "complex128": "Complex<double>",
}
# Entries that are copied together fill at most so many bytes.
VECTOR_BYTES = 16
# Bytes of a sector, the least that memory moves.
SECTOR = 32
# Shared memory that a block may ask for on every device of compute capability 8.0, 9.0 or 10.0; on
# 8.6 and 8.9 it is 99 KiB (the attribute MaxSharedMemoryPerBlockOptin).
SHARED_LIMIT = 163 << 10
# Threads of a block of the register kernels, and 32-bit registers for what such a thread keeps.
THREADS = 128
REGISTERS = 64


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel.

    Attributes
    ----------
    kernel : Kernel
    grid, block : tuple of three int
    arguments : tuple of str, int and float
        In the order of the kernel: the name of an array, or a number (long long or double).
    loaded, stored : mapping from names of arrays to bytes
        What the kernel asks for, entry by entry, from cache or memory.
    floor_bytes : int
        Every entry of every array once: what memory must move at least.
    flops : int
        Multiplications and additions of numbers (of real ones, for complex data).
    """

    kernel: Kernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[str | int | float, ...]
    loaded: Mapping[str, int] = field(default_factory=dict)
    stored: Mapping[str, int] = field(default_factory=dict)
    floor_bytes: int = 0
    flops: int = 0

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        return self.kernel.shared_bytes

    @property
    def predicted_bytes(self) -> int:
        """All that the kernel asks for."""
        return sum(self.loaded.values()) + sum(self.stored.values())


def itemsize(dtype: str) -> int:
    """Return the bytes of one entry."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def sum_bytes(dtype: str) -> int:
    """Return the bytes of a sum of entries: of 16-bit entries it is a float."""
    return max(4, itemsize(dtype))


def flops_per_product(dtype: str) -> int:
    """Return the flops of one product that is added to a sum."""
    return 8 if dtype.startswith("complex") else 2


def vector(dtype: str, alignment: int, *lengths: int) -> int:
    """Return how many entries can be copied together, in runs of such lengths."""
    most = min(VECTOR_BYTES, alignment) // itemsize(dtype)
    return math.gcd(max(1, most), *lengths)


def power_above(value: int) -> int:
    """Return the least power of two that is not below a positive integer."""
    return 1 << (value - 1).bit_length()


def tiles(size: int, tile: int) -> int:
    """Return how many tiles cover a size."""
    return -(-size // tile)


def signature(form: tuple[tuple[str, str], ...], dtype: str) -> tuple[tuple[str, str], ...]:
    """Return C++ types and names of arguments, with the data type filled in."""
    total = "float" if sum_bytes(dtype) > itemsize(dtype) else TYPES[dtype]
    return tuple((kind.format(TYPES[dtype], total), name) for kind, name in form)


def arithmetic(dtype: str, precision: Precision) -> str:
    """Return how products of a data type are computed, in the words of tile.cuh."""
    if dtype in ("float16", "bfloat16"):
        return "HALF"
    return precision.upper() if dtype == "float32" else "IEEE"


def covering(sizes: list[int], size: int) -> int:
    """Return the least tile that covers a size, or the one that wastes least."""
    enough = [tile for tile in sizes if tile >= size]
    return min(enough) if enough else min(sizes, key=lambda t: (tiles(size, t) * t, -t))


def weight_strides(pattern: Pattern, order: Order, transposed: bool) -> tuple[int, int, int, int]:
    """Return the strides of W along (i, j, p, q), p the output and q the input of a block.

    `pattern` is that of the stored factor; for a transposed one, p and q change their roles.
    """
    _, b, c, d = pattern
    if order == "abcd":
        i, j, k, m = b * c * d, 1, c * d, d
    else:
        i, j, k, m = d * b * c, b * c, c, 1
    return (i, j, m, k) if transposed else (i, j, k, m)
