"""Tensors of torch as arrays of CuPy: their memory, device and stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def current_stream(x: torch.Tensor) -> Iterator[None]:
    """Make torch's device and current stream those of CuPy."""
    import cupy

    stream = torch.cuda.current_stream(x.device).cuda_stream
    with cupy.cuda.Device(x.device.index), cupy.cuda.ExternalStream(stream):
        yield


def as_array(x: torch.Tensor) -> Any:
    """Return the memory of a contiguous tensor as an array of CuPy, by DLPack: no copy."""
    import cupy

    x = x.detach()
    # CuPy need not know bfloat16; its bits are all that the kernels ask for.
    return cupy.from_dlpack(x.view(torch.int16) if x.dtype == torch.bfloat16 else x)
