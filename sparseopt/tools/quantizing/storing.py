"""The dtype of a format, for modules that can compute in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sparseopt.quantization.number_format import NumberFormat

_DTYPES = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "e4m3": "float8_e4m3fn",
    "e5m2": "float8_e5m2",
}
"""Formats without a scale, and torch's names for them."""


def stored(module: Any, form: NumberFormat, run: Callable[[Any], Any]) -> str:
    """Make all parameters and buffers of a module tensors of the format's dtype, if it can be.

    Parameters
    ----------
    module : torch.nn.Module
    form : NumberFormat
    run : callable(dtype)
        Calls the module on an operand of that dtype.

    Returns
    -------
    str
        Why they were left as they were; empty if they were not.
    """
    import torch

    if form.scale is not None or form.name not in _DTYPES:
        return f"torch has no dtype for {form}"
    dtype = getattr(torch, _DTYPES[form.name])
    tensors = [*module.parameters(), *module.buffers()]
    real = [t for t in tensors if t.is_floating_point()]
    if any(not torch.equal(t.detach().to(dtype).to(t.dtype), t.detach()) for t in real):
        return f"it holds other parameters, which {_DTYPES[form.name]} would round"
    before = [tensor.data for tensor in real]
    try:
        _replace(real, [tensor.data.to(dtype) for tensor in real])
        with torch.no_grad():
            run(dtype)
    except Exception as error:  # torch raises many kinds where it has no kernel
        _replace(real, before)
        line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        return f"torch does not compute it in {_DTYPES[form.name]} here: {line}"
    return ""


def _replace(tensors: list[Any], data: list[Any]) -> None:
    """Replace the data of tensors."""
    for tensor, new in zip(tensors, data, strict=True):
        tensor.data = new
    for tensor in tensors:
        tensor.detach().mul_(1)  # what a layer remembers goes by torch's counters
