"""Whether there is a CUDA device that the kernels can use, in one true sentence."""

from __future__ import annotations

from typing import Any

from sparseopt.interface.verdict import Unavailable
from sparseopt_cupy.rates import Rates

OLDEST_CUPY = 13
# The kernels copy asynchronously and use mma of tf32 and bfloat16, which come with this one.
OLDEST_CAPABILITY = 80
_UPDATE = "pip install --upgrade 'sparseopt[gpu]'"


def described() -> str | Unavailable:
    """Return the current device in words, or why there is none that fits; never raises.

    CuPy is imported by whoever asks.
    """
    import cupy

    version = str(cupy.__version__)
    if int(version.partition(".")[0]) < OLDEST_CUPY:
        found = f"cupy {version} is too old: {OLDEST_CUPY} or later is needed"
        return Unavailable(found, _UPDATE)
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        if count:
            return _fitness(cupy)
    except Exception as error:  # whatever a driver has to say
        return _without_driver(cupy, error)
    return Unavailable(
        "cupy is installed, but there is no CUDA device",
        "use a machine with one, or make one visible (CUDA_VISIBLE_DEVICES)",
    )


def _without_driver(cupy: Any, error: Exception) -> Unavailable:
    said = " ".join(str(error).split())
    try:
        driver = int(cupy.cuda.runtime.driverGetVersion())
    except Exception:  # asked only to say more
        driver = -1
    if driver == 0:
        return Unavailable(
            f"cupy is installed, but no driver of a CUDA device is ({said})",
            "use a machine with a CUDA device, and install its driver",
        )
    if "cudaErrorInsufficientDriver" in said and driver > 0:
        return Unavailable(
            f"the driver, for CUDA {_version(driver)}, is too old for this cupy ({said})",
            "update the driver, or install 'sparseopt[gpu12]' in place of 'sparseopt[gpu]'",
        )
    return Unavailable(
        f"cupy is installed, but no CUDA device answers ({said})",
        "check the device and its driver with nvidia-smi",
    )


def _fitness(cupy: Any) -> str | Unavailable:
    device = cupy.cuda.Device()
    name = device_name(device.id)
    capability = int(device.compute_capability)
    if capability < OLDEST_CAPABILITY:
        return Unavailable(
            f"device {device.id}, {name}, has compute capability {capability / 10:.1f}; the "
            f"kernels need {OLDEST_CAPABILITY / 10:.1f} or later",
            "use a device of the Ampere generation or later",
        )
    lacking = _without_libraries(cupy)
    return lacking or f"ready on {name}, {Rates.of(name, capability)}"


def _without_libraries(cupy: Any) -> Unavailable | None:
    """Return what CuPy does not bring along and does not find: the compiler, cuBLAS."""
    try:
        cupy.cuda.nvrtc.getVersion()
        cupy.cuda.device.get_cublas_handle()
    except Exception as error:
        said = " ".join(str(error).split())
        return Unavailable(
            f"cupy and a device are there, but NVRTC or cuBLAS is not ({said})",
            "pip install 'sparseopt[gpu]' or 'sparseopt[gpu12]', or install the CUDA toolkit",
        )
    return None


def device_name(identity: int) -> str:
    """Return the name of a device."""
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(identity)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def shared_limit(identity: int) -> int:
    """Return the bytes of shared memory that a thread block may have."""
    import cupy

    attributes = cupy.cuda.Device(identity).attributes
    return int(attributes["MaxSharedMemoryPerBlockOptin"])


def memory_lacking(needed: int) -> str:
    """Return in words that the current device has fewer bytes left than are needed; empty if it
    has them. Asked before work begins."""
    import cupy

    free = cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()
    if needed <= free:
        return ""
    return (
        f"it needs about {needed / 2**30:.3g} GiB on the device, of which {free / 2**30:.3g} GiB "
        "are free"
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
