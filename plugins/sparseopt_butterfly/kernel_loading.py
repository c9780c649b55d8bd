"""When compiled kernels are worth loading: counted, not timed.

Loading the kernels of a dtype takes about a second (compiling them, once per machine, two to nine).
The calls that went to NumPy meanwhile are counted by what the compiled engine is predicted to save
on each; once that exceeds the loading, the loading no longer counts against it. So the choice
depends on the calls before, and on no clock.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

import sparseopt as so

LOADING = 1.0
"""Seconds to import numba and to load the kernels of one dtype from disk."""

_saved: dict[np.dtype[Any], float] = defaultdict(float)


def numpy_seconds(problem: so.ButterflyFactorization) -> float:
    """Predict a run in NumPy, left to right, with its check: a few nanoseconds per entry.

    Of a stored target every chunk is read four times, each time in some two milliseconds: that is
    what dask's and zarr's chunks of 512 x 512 take.
    """
    seconds = 3e-4 + 7e-9 * problem.shape[0] * problem.shape[1]
    if problem.kind == "stored":
        sides = zip(problem.shape, problem.target.chunk, strict=True)
        seconds += 1e-2 + 9e-3 * math.prod(-(-size // step) for size, step in sides)
    return seconds


def compiled_seconds(problem: so.ButterflyFactorization) -> float:
    """Predict a compiled run, the kernels loaded: a nanosecond per entry, two for the check."""
    return 2e-4 + 3e-9 * problem.shape[0] * problem.shape[1]


def count(problem: so.ButterflyFactorization) -> None:
    """Count a run in NumPy."""
    _saved[problem.dtype] += numpy_seconds(problem) - compiled_seconds(problem)


def loading_left(dtype: np.dtype[Any]) -> float:
    """Return the seconds of loading that earlier calls have not made up for."""
    return max(0.0, LOADING - _saved[dtype])
