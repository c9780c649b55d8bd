"""Tensors of torch as arrays of CuPy: their memory, device and stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sparseopt_cupy.launching import failures_said


@contextmanager
def current_stream(x: torch.Tensor, what: str) -> Iterator[None]:
    """Make torch's device and current stream those of CuPy, for something that may fail."""
    import cupy

    stream = torch.cuda.current_stream(x.device).cuda_stream
    own = cupy.cuda.Device(x.device.index), cupy.cuda.ExternalStream(stream)
    with failures_said(x.device.index or 0, what), own[0], own[1]:
        yield


def as_array(x: torch.Tensor) -> Any:
    """Return the memory of a contiguous tensor as an array of CuPy, by DLPack: no copy."""
    import cupy

    x = x.detach()
    # CuPy need not know bfloat16; its bits are all that the kernels ask for.
    return cupy.from_dlpack(x.view(torch.int16) if x.dtype == torch.bfloat16 else x)
