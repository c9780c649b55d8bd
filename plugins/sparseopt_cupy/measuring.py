"""Measures what plans assume of a device otherwise: ``python -m sparseopt_cupy.measuring``.

Copy rate and rates of large matrix products by cuBLAS, medians of CUDA events over inputs larger
than twice the second-level cache, kept in the user's cache folder for `Rates.of`.
"""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from sparseopt_cupy import strided
from sparseopt_cupy.device import described, device_name
from sparseopt_cupy.kernels.launches import Precision
from sparseopt_cupy.rates import Rates

_TRIES = 15
_COPIED = 1 << 29
_SIZE = 8192
_KINDS: dict[str, tuple[str, Precision]] = {
    "ieee": ("float32", "ieee"),
    "tf32": ("float32", "tf32"),
    "half": ("float16", "ieee"),
    "double": ("float64", "ieee"),
}


def measure() -> Rates:
    """Return the figures of the current device; it takes seconds and 3 GiB."""
    import cupy

    source = cupy.zeros(_COPIED, "uint8")
    target = cupy.empty_like(source)
    copy = 2 * _COPIED / _microseconds(lambda: cupy.copyto(target, source))
    rates = {name: _products(*kind) for name, kind in _KINDS.items()}
    little = cupy.zeros(1, "float32")
    launch = _microseconds(lambda: little.fill(0), calls=100)
    name = device_name(cupy.cuda.Device().id)
    today = datetime.datetime.now(datetime.UTC).date()
    return Rates(name, f"measured {today}", copy, launch=launch, **rates)


def _products(dtype: str, precision: Precision) -> float:
    """Return flops per microsecond of a product of square matrices of random numbers."""
    import cupy

    size = _SIZE // (2 if dtype == "float64" else 1)
    x, w = (cupy.random.random((size, size)).astype(dtype) for _ in range(2))
    y = cupy.empty((size, size), dtype)
    pattern = 1, size, size, 1

    def call() -> None:
        strided.multiply(y, w, x, pattern, size, dtype, precision, "last")

    return 2.0 * size**3 / _microseconds(call)


def _microseconds(call: Callable[[], Any], calls: int = 1) -> float:
    """Return the median time of a call on the device."""
    import cupy

    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    call()
    times = []
    for _ in range(_TRIES):
        begin.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        times.append(1e3 * cupy.cuda.get_elapsed_time(begin, end) / calls)
    return float(np.float64(statistics.median(times)))


if __name__ == "__main__":
    print(described())  # noqa: T201
    found = measure()
    print(f"{found.name}: {found}; kept in {found.keep()}")  # noqa: T201
