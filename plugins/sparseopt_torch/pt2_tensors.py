"""Tensors of .pt2 files, from raw bytes."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging.files import Archive
from sparseopt.tools.reading.budget import MOST_AXES, Budget, require_room


@dataclass(frozen=True)
class Stored:
    """A tensor as a file describes it: entries of a storage.

    Parameters
    ----------
    key : str
        Of the storage: name of an entry of the archive.
    dtype : torch.dtype
    sizes, strides : tuple of int
    offset : int
        Of the first entry.
    is_parameter : bool
    """

    key: str
    dtype: torch.dtype
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    is_parameter: bool = False


def tensors_of(
    stored: Mapping[str, Stored], archive: Archive, folder: str, budget: Budget
) -> dict[str, torch.Tensor]:
    """Return tensors that share storages as the file says, each inside its storage.

    What several tensors see of one storage, or a stride of 0 repeats, counts as computed.
    """
    raw: dict[str, bytearray] = {}
    seen: set[str] = set()
    result = {}
    for name, item in stored.items():
        try:
            if item.key not in raw:
                raw[item.key] = bytearray(archive.read(folder + item.key))
            tensor = _view(raw[item.key], item)
            if item.key in seen or tensor.numel() * tensor.itemsize > len(raw[item.key]):
                budget.keep(tensor.numel())
            seen.add(item.key)
        except so.ProblemError as error:
            raise so.ProblemError(
                f"the tensor {printable(name)!r} cannot be read: {error}"
            ) from error
        result[name] = torch.nn.Parameter(tensor, False) if item.is_parameter else tensor
    return result


def _view(raw: bytearray, item: Stored) -> torch.Tensor:
    """Return the entries of a storage that a tensor consists of."""
    if len(item.sizes) > MOST_AXES or len(item.sizes) != len(item.strides):
        raise so.ProblemError(f"it has {len(item.sizes)} sizes and {len(item.strides)} strides")
    if min((*item.sizes, *item.strides, item.offset)) < 0:
        raise so.ProblemError("its sizes, strides and offset must not be negative")
    count = math.prod(item.sizes)
    if not count:
        require_room(item.sizes)
        return torch.empty(item.sizes, dtype=item.dtype)
    last = item.offset + sum((n - 1) * s for n, s in zip(item.sizes, item.strides, strict=True))
    held = len(raw) // item.dtype.itemsize
    if last >= held:
        raise so.ProblemError(
            f"its shape {printable(item.sizes)} needs {last + 1} entries, its storage has {held}"
        )
    if count > held:
        require_room(item.sizes)
    if item.dtype == torch.bool and raw and max(raw) > 1:
        raise so.ProblemError("it holds a boolean that is neither 0 nor 1")
    flat = torch.frombuffer(raw, dtype=item.dtype, count=held)
    return flat.as_strided(item.sizes, item.strides, item.offset)


def require_same_byte_order(archive: Archive, root: str) -> None:
    """Refuse numbers in the other byte order."""
    entry = f"{root}byteorder"
    if entry in archive.names and archive.size(entry) < 16:
        order = archive.read(entry).decode("ascii", "replace").strip()
        if order != sys.byteorder:
            raise so.ProblemError(
                f"its numbers are in {printable(order)} byte order; save it again on this machine"
            )
