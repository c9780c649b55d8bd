"""Matrices outside memory, for tests: of zarr, h5py and dask, and one that counts what is read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

KINDS = ("counted", "zarr", "h5py", "dask")
Chunks = tuple[int, int] | None


class Counted:
    """An array that is read by slices only, and counts how often each of its chunks is."""

    def __init__(self, array: np.ndarray, chunks: Any) -> None:
        self.array, self.chunks = array, chunks
        self.shape, self.dtype = array.shape, array.dtype
        self.reads: Counter[tuple[int, int]] = Counter()
        self.largest = 0

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        rows, columns = place
        assert 0 <= rows.start < rows.stop <= self.shape[0]
        assert 0 <= columns.start < columns.stop <= self.shape[1]
        height, width = self.chunks or (1, self.shape[1])
        for i in range(rows.start // height, -(-rows.stop // height)):
            for j in range(columns.start // width, -(-columns.stop // width)):
                self.reads[i, j] += 1
        found = self.array[place].copy()
        self.largest = max(self.largest, found.size)
        return found


def stored(kind: str, folder: Path, array: np.ndarray, chunks: Chunks) -> Any:
    """Return an array in storage, or skip the test where its library is not installed."""
    if chunks is not None:
        chunks = min(chunks[0], array.shape[0]), min(chunks[1], array.shape[1])
    if kind == "counted":
        return Counted(array, chunks)
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        return zarr.create_array(str(folder / "a.zarr"), data=array, chunks=chunks or array.shape)
    if kind == "h5py":
        h5py = pytest.importorskip("h5py")
        return h5py.File(folder / "a.h5", "w").create_dataset("a", data=array, chunks=chunks)
    dask = pytest.importorskip("dask.array")
    return dask.from_array(array, chunks=chunks or array.shape)
