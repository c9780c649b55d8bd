"""Targets in storage: matrices that are read block by block, of zarr, h5py, dask and their like.

None of these libraries is imported: whatever has a shape, a dtype, chunks and slices is read by its
slices, a row or a column of chunks at a time, so that no chunk is decompressed or computed again
for every piece of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sparseopt.interface.arrays import require_finite, to_double, unmasked
from sparseopt.interface.errors import ProblemError
from sparseopt.judging.scaling import times_power

# Chunks are taken together up to so many entries, in pieces of so many columns.
_LEAST, _WIDE = 1 << 16, 256


class Stored:
    """A matrix outside memory. It remembers nothing that it read: every block is read anew.

    Parameters
    ----------
    source : object
        With ``shape``, ``dtype``, ``chunks`` and ``source[rows, columns]`` for two slices, which
        gives what `numpy.asarray` takes. ``chunks`` holds a size for each axis (zarr, h5py), all
        sizes along each axis (dask), or is None (h5py without chunks: whole rows lie together).
    power : int
        What is read is multiplied by ``2**power``.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        Of what is read: native, float64 for integers and booleans.
    chunk : (int, int)
        Rows and columns that are read at once: a chunk, or several if they are small.

    Raises
    ------
    ProblemError
        If shape, dtype or chunks cannot be read, or the shape is not known.
    """

    __slots__ = ("chunk", "dtype", "power", "shape", "source")

    def __init__(self, source: Any, power: int = 0) -> None:
        self.source, self.power = source, power
        try:
            sizes, dtype, chunks = tuple(source.shape), np.dtype(source.dtype), source.chunks
        except Exception as error:
            raise ProblemError(f"{_unreadable('the target', error)}; is its file open?") from error
        if not all(isinstance(size, int | np.integer) for size in sizes):
            raise ProblemError(
                f"the target's shape {sizes} is not known before it is computed; for a dask array, "
                "call compute_chunk_sizes() first"
            )
        self.shape = tuple(int(size) for size in sizes)
        self.dtype = np.dtype(np.float64) if dtype.kind in "biu" else dtype.newbyteorder("=")
        self.chunk = _read_at_once(self.shape, chunks) if len(self.shape) == 2 else (1, 1)

    def __repr__(self) -> str:
        return f"<{self.shape[0]} x {self.shape[1]} {self.dtype} in {type(self.source).__name__}>"

    @property
    def by_rows(self) -> bool:
        """Whether rows of chunks have fewer entries than columns of chunks."""
        return self.chunk[0] * self.shape[1] <= self.chunk[1] * self.shape[0]

    @property
    def strip_entries(self) -> int:
        """Entries of a row, or a column, of chunks, whichever has fewer."""
        return min(self.chunk[0] * self.shape[1], self.chunk[1] * self.shape[0])

    def times_power(self, exponent: int) -> Stored:
        """Return the same matrix times ``2**exponent``, to be multiplied when it is read."""
        return Stored(self.source, self.power + exponent)

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return a block, in memory, as it is stored now.

        Raises
        ------
        ProblemError
            If it cannot be read, is no block of such numbers, or has a NaN or an infinity.
        """
        try:
            block = self.source[rows, columns]
            block = block.compute() if hasattr(block, "compute") else block  # dask keeps masks
        except Exception as error:
            raise ProblemError(_unreadable(_name(rows, columns), error)) from error
        block = np.asarray(unmasked(block, _name(rows, columns)))
        found: np.ndarray = times_power(as_declared(block, self.dtype, rows, columns), self.power)
        return found

    def strips(self) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield the whole matrix by rows, or by columns, of chunks, with their places."""
        (m, n), (height, width) = self.shape, self.chunk
        rows, columns = slice(0, m), slice(0, n)
        size, step = (m, height) if self.by_rows else (n, width)
        for start in range(0, size, step):
            if self.by_rows:
                rows = slice(start, min(start + height, m))
            else:
                columns = slice(start, min(start + width, n))
            yield rows, columns, self.read(rows, columns)


def as_declared(block: np.ndarray, dtype: np.dtype[Any], rows: slice, columns: slice) -> np.ndarray:
    """Return a block of a target in its dtype; refuse other shapes, kinds, NaN and infinity."""
    expected = rows.stop - rows.start, columns.stop - columns.start
    if block.shape != expected or not np.can_cast(block.dtype, dtype):
        raise ProblemError(
            f"{_name(rows, columns)} was read as an array of shape {block.shape} and dtype "
            f"{block.dtype}, where the target declares {expected} and {dtype}"
        )
    corner = rows.start, columns.start
    if block.dtype.kind in "biu":
        block = to_double(block, "target", corner)
    require_finite(block, "target", corner)
    return block.astype(dtype, copy=False)


def _name(rows: slice, columns: slice) -> str:
    return f"target[{rows.start}:{rows.stop}, {columns.start}:{columns.stop}]"


def _unreadable(name: str, error: Exception) -> str:
    return f"{name} cannot be read: {type(error).__name__}: {error}"


def _read_at_once(shape: tuple[int, ...], chunks: Any) -> tuple[int, int]:
    """Return the sizes of blocks to read: chunks, taken together where they are small."""
    m, n = (max(size, 1) for size in shape)
    given = (1, n) if chunks is None else chunks
    try:
        height, width = (int(np.max(sizes, initial=1)) for sizes in given)
    except (TypeError, ValueError, OverflowError) as error:
        raise ProblemError(
            f"the chunks of the target must be a size, or all sizes, for each of two axes, got "
            f"{chunks!r}"[:300]
        ) from error
    height, width = min(height, m), min(width, n)
    width = min(n, width * max(1, min(_WIDE, _LEAST // height) // width))
    return min(m, height * max(1, _LEAST // (height * width))), width
