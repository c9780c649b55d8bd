"""What it costs to load the compiled kernels: a second, or once on a machine a compilation."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

COLD = 25.0
"""Seconds of the processor to compile all kernels, on a slow core; numba's cache keeps them."""
WARM = 1.0
"""Seconds to load them from the cache."""
PROBE = 0.02
"""Seconds of the processor after which it is told how much of it this process gets."""
LAST = ("core_kernels.zero_windows", "line_kernels.line_search", "repair_kernels.search")
"""The kernels that are compiled last of their kinds."""


def loading_seconds() -> float:
    """Predict what loading takes: nothing later in a process, else by what numba's cache has.

    The cache is numba's, so what it holds is read off the names of its files: they are newer than
    the module that they were compiled from, or numba compiles it again.
    """
    if importlib.util.find_spec("numba") is None:
        return float("inf")
    from sparseopt_closedness import repair_kernels

    if repair_kernels.search.signatures:
        return 0.0
    cache = Path(repair_kernels.search.stats.cache_path)
    source = Path(repair_kernels.__file__).parent
    for name in LAST:
        module = source / f"{name.split('.')[0]}.py"
        newest = max((p.stat().st_mtime for p in cache.glob(f"{name}-*.nbi")), default=0.0)
        if newest < module.stat().st_mtime:
            return COLD * slowness()
    return WARM


def slowness() -> float:
    """Return how many seconds pass now for one of the processor: many on a machine that is shared.

    Compiling cannot be interrupted, so under a time limit it is begun only if it will end in time.
    """
    began, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < PROBE:
        pass
    return max(1.0, (time.perf_counter() - began) / PROBE)
