"""What it costs to load the compiled kernels: a second, or once on a machine a compilation."""

from __future__ import annotations

import importlib.util
from pathlib import Path

COLD = 25.0
"""Seconds to compile all kernels, on a slow core; numba keeps them in its cache."""
WARM = 1.0
"""Seconds to load them from the cache."""
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
            return COLD
    return WARM
