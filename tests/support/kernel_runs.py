"""Launches of the table on the emulated machine, and the same products by NumPy in float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cuda_emulator import Counts, build, emulate
from sparseopt_cupy.kernels.launches import Launch

# Relative errors (Frobenius) that a product may have, by precision or data type.
ALLOWED = {
    "ieee": 1e-6,
    "tf32x3": 3e-6,
    "tf32": 1e-3,
    "float16": 1e-2,
    "bfloat16": 1e-2,
    "float64": 1e-14,
    "complex64": 1e-6,
    "complex128": 1e-14,
}
# Sizes that are no multiple of any tile, and some that are: d = 1 and d > 1, one entry, one column.
PATTERNS = [
    (1, 1, 1, 1),
    (1, 1, 1, 3),
    (3, 1, 1, 1),
    (1, 2, 2, 1),
    (1, 2, 2, 5),
    (3, 2, 4, 2),
    (2, 8, 8, 4),
    (2, 5, 3, 1),
    (1, 3, 5, 9),
    (2, 7, 16, 3),
    (1, 6, 33, 2),
    (1, 34, 6, 2),
    (1, 1, 40, 2),
    (1, 40, 1, 3),
    (2, 15, 15, 1),
    (1, 12, 70, 1),
    (1, 4, 4, 16),
    (3, 2, 2, 32),
    (2, 3, 8, 7),
    (1, 8, 2, 6),
    (1, 16, 16, 1),
    (2, 17, 19, 3),
    (1, 33, 18, 1),
    (1, 20, 65, 2),
    (2, 18, 40, 1),
    (1, 65, 17, 1),
    (1, 17, 33, 5),
    (3, 31, 16, 2),
    (1, 24, 24, 9),
    (1, 16, 129, 1),
    (1, 130, 16, 1),
    (2, 16, 48, 4),
    (1, 48, 32, 8),
    (1, 19, 21, 17),
    (5, 16, 17, 1),
    (1, 66, 16, 3),
    (2, 32, 32, 1),
    (1, 64, 20, 2),
    (1, 21, 30, 4),
    (4, 16, 24, 1),
    (1, 29, 16, 16),
]
BATCHES = [1, 3, 16, 40, 37, 64, 130, 33]


def stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return values in a data type; bfloat16 as its bits, rounded towards zero."""
    if dtype == "bfloat16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return np.ascontiguousarray(values.astype(dtype))


def widened(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return what is stored, exactly, in float64 or complex128."""
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return values.astype(np.result_type(values.dtype, np.float64))


def random(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return random numbers of mean 0 in a data type."""
    values = rng.standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 1j * rng.standard_normal(shape)
    return stored(values, dtype)


def unwritten(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return an array of NaN."""
    array = np.empty(shape, np.uint16 if dtype == "bfloat16" else dtype)
    array.view(np.uint8 if array.size else array.dtype)[...] = 255
    return array


def distance(got: np.ndarray, expected: np.ndarray) -> float:
    """Return the relative error; infinite where something is NaN."""
    error = float(np.linalg.norm(got - expected))
    return error / float(np.linalg.norm(expected) or 1.0) if error == error else np.inf


def prepare(launches: Sequence[Launch]) -> None:
    """Compile the kernels of some launches together."""
    build((launch.kernel.source, launch.kernel.name) for launch in launches)


def run(launches: Sequence[Launch], arrays: dict[str, np.ndarray]) -> list[Counts]:
    """Run launches in order; no faults, and the bytes are those that the table predicts."""
    seen = []
    for launch in launches:
        given = [arrays[v] if isinstance(v, str) else v for v in launch.arguments]
        counts = emulate(
            launch.kernel.source,
            launch.kernel.name,
            launch.grid,
            launch.block,
            given,
            launch.shared_bytes,
        )
        words = (launch.kernel.name, launch.arguments, counts)
        assert counts.faults == 0, words
        for place, value in enumerate(launch.arguments):
            if isinstance(value, str):
                assert counts.loaded[place] == launch.loaded.get(value, 0), (value, words)
                assert counts.stored[place] == launch.stored.get(value, 0), (value, words)
        assert sum(counts.touched) == launch.floor_bytes, words
        seen.append(counts)
    return seen
