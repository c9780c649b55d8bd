"""Measures what plans assume of a device otherwise: ``python -m sparseopt_cupy.measuring``.

Copy rate and rates of large matrix products by cuBLAS, medians of CUDA events over inputs larger
than twice the second-level cache, kept in the user's cache folder for `Rates.of`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from sparseopt.choosing import offers
from sparseopt_cupy import strided
from sparseopt_cupy.device import device_name
from sparseopt_cupy.kernels.launches import Precision
from sparseopt_cupy.rates import Rates
from sparseopt_cupy.tuning import microseconds

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
    return microseconds(lambda _: call(), [None], _TRIES, calls)


def main() -> int:
    """Measure and keep the figures of the current device, or say in one sentence why not."""
    missing = offers.engine("CudaMultiplication").availability()
    if missing is not None:
        print(f"nothing can be measured here: {missing}")  # noqa: T201
        return 1
    found = measure()
    print(f"{found.name}: {found}; kept in {found.keep()}")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
