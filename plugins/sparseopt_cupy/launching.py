"""Launches on the device of their arrays, on CuPy's current stream: nothing waits, none copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from sparseopt_cupy.kernels.launches import Launch
from sparseopt_cupy.kernels.sources import OPTIONS, Kernel

# More dynamic shared memory than this is asked for.
_USUAL_SHARED = 48 << 10


def launch_all(launches: Sequence[Launch], arrays: Mapping[str, Any]) -> None:
    """Run launches in order.

    Parameters
    ----------
    launches : sequence of Launch
    arrays : mapping
        The CuPy arrays, contiguous, by the names in `Launch.arguments`; all on the current device.
    """
    for launch in launches:
        given = tuple(_argument(value, arrays) for value in launch.arguments)
        function = compiled(launch.kernel, current_device())
        function(launch.grid, launch.block, given, shared_mem=launch.shared_bytes)


def _argument(value: str | int | float, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return arrays[value]
    return np.float64(value) if isinstance(value, float) else np.int64(value)


@lru_cache(maxsize=4096)
def compiled(kernel: Kernel, device: int) -> Any:
    """Return the function of a kernel on the current device, compiled at its first use.

    CuPy keeps what it compiled on disk, for later processes.
    """
    import cupy

    module = cupy.RawModule(code=kernel.source, options=OPTIONS)
    function = module.get_function(kernel.name)
    if kernel.shared_bytes > _USUAL_SHARED:
        function.max_dynamic_shared_size_bytes = kernel.shared_bytes
    return function


def current_device() -> int:
    """Return the number of the current device."""
    import cupy

    return int(cupy.cuda.Device().id)


def alignment(*arrays: Any) -> int:
    """Return the bytes, 16 at most, of which all addresses are multiples."""
    found = 16
    for array in arrays:
        found = min(found, array.data.ptr & -array.data.ptr or 16)
    return found


@contextmanager
def failures_said(place: int, what: str) -> Iterator[None]:
    """Say in one sentence that a device failed: all errors of driver and libraries are such.

    Torch's own error of memory says what it needs, and passes.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        said = " ".join(str(error).split())
        raise RuntimeError(
            f"CUDA device {place} stopped while {what}: {said}; factors and operand were not "
            "written to; if the device itself failed, start a new process"
        ) from error
