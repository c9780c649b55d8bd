"""The dtype of a format, for modules that can compute in it."""

from __future__ import annotations

import copy
from typing import Any

from sparseopt.quantization.number_format import NumberFormat

_DTYPES = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "e4m3": "float8_e4m3fn",
    "e5m2": "float8_e5m2",
}
"""Formats without a scale, and torch's names for them."""


def why_not(module: Any, form: NumberFormat | None, operand: Any) -> str:
    """Return why a module cannot compute in the dtype of a format; empty if it can.

    Parameters
    ----------
    module : torch.nn.Module
        A copy of it is tried.
    form : NumberFormat or None
    operand : tensor
        Of any dtype.
    """
    import torch

    if form is None:
        return "digits that are found have no dtype"
    if form.scale is not None or form.name not in _DTYPES:
        return f"torch has no dtype for {form}"
    dtype = getattr(torch, _DTYPES[form.name])
    try:
        with torch.no_grad():
            copy.deepcopy(module).to(dtype)(operand.to(dtype))
    except Exception as error:  # torch raises many kinds where it has no kernel
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"torch does not compute it in {_DTYPES[form.name]} here: {line}"
    return ""


def store(module: Any, form: NumberFormat) -> str:
    """Make all parameters and buffers of a module tensors of the dtype of a format.

    Returns
    -------
    str
        Why they were left as they were: some of them would be rounded. Empty if they were not.
    """
    import torch

    dtype = getattr(torch, _DTYPES[form.name])
    real = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
    made = [tensor.data.to(dtype) for tensor in real]
    for tensor, new in zip(real, made, strict=True):
        if not torch.equal(new.to(tensor.dtype), tensor.data):
            return f"it holds other values, which {_DTYPES[form.name]} would round"
    for tensor, new in zip(real, made, strict=True):
        tensor.data = new
        tensor.detach().copy_(new)  # what a layer remembers goes by torch's counters
    return ""
