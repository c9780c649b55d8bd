"""Tensors of .pt2 files, from raw bytes; pickles of ``torch.save`` are read as data, never run.

A pickle is a program. `saved_tensors` goes through its instructions by `pickletools`, which
executes none, and understands those few by which ``torch.save`` writes a dict of tensors.
"""

from __future__ import annotations

import io
import math
import pickletools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.files import Archive
from sparseopt.tools.reading.budget import MOST_AXES, Budget, require_room

_DTYPES = {
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "BoolStorage": torch.bool,
    "BFloat16Storage": torch.bfloat16,
}


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
        return torch.empty(item.sizes if max(item.sizes) < 1 << 40 else (0,), dtype=item.dtype)
    last = item.offset + sum((n - 1) * s for n, s in zip(item.sizes, item.strides, strict=True))
    held = len(raw) // item.dtype.itemsize
    if last >= held:
        raise so.ProblemError(
            f"its shape {printable(item.sizes)} needs {last + 1} entries, its storage has {held}"
        )
    if count > held:
        require_room(item.sizes)
    if item.dtype == torch.bool and raw and max(raw) > 1:
        raise so.ProblemError("it holds a truth value that is neither 0 nor 1")
    flat = torch.frombuffer(raw, dtype=item.dtype, count=held)
    return flat.as_strided(item.sizes, item.strides, item.offset)


# Pickles of torch.save ----------------------------------------------------------------------


def saved_tensors(content: bytes, name: str, budget: Budget) -> dict[str, torch.Tensor]:
    """Return the dict of tensors that ``torch.save`` wrote; `ProblemError` for anything else."""
    archive = Archive(io.BytesIO(content), name)
    pickled = next((n for n in archive.names if n.endswith("/data.pkl")), "")
    root = pickled.removesuffix("data.pkl")
    if not pickled or archive.size(pickled) > limits.GRAPH_BYTES:
        raise so.ProblemError(f"{name} holds no pickle of a tolerable size")
    require_same_byte_order(archive, root)
    try:
        found = _Reading().run(archive.read(pickled))
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise so.ProblemError(f"{name} is damaged: {printable(error)}") from error
    good = isinstance(found, dict) and all(
        isinstance(key, str) and isinstance(value, Stored) for key, value in found.items()
    )
    if not good:
        raise so.ProblemError(f"{name} holds more than tensors, which only unpickling could read")
    return tensors_of(found, archive, f"{root}data/", budget)


def require_same_byte_order(archive: Archive, root: str) -> None:
    """Refuse numbers in the other byte order."""
    entry = f"{root}byteorder"
    if entry in archive.names and archive.size(entry) < 16:
        order = archive.read(entry).decode("ascii", "replace").strip()
        if order != sys.byteorder:
            raise so.ProblemError(
                f"its numbers are in {printable(order)} byte order; save it again on this machine"
            )


@dataclass(frozen=True)
class _Name:
    """What a pickle calls by name; compared with the names known here, and never looked up."""

    path: str


_MARK = object()
_SIMPLE = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINFLOAT"}


class _Reading:
    """The stack of a pickle, with the instructions that a dict of tensors needs."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        """Return what the pickle describes, with tensors as `Stored`."""
        for instruction, argument, _ in pickletools.genops(content):
            self._step(instruction.name, argument)
            if instruction.name == "STOP":
                return self._stack.pop()
        raise ValueError("the pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _SIMPLE:
            stack.append(_SIMPLE[name])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "GLOBAL":
            stack.append(_Name(argument.replace(" ", ".")))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name in ("SETITEM", "SETITEMS"):
            items = self._since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_called(stack.pop(), arguments))
        elif name == "BUILD" and isinstance(stack[-2], dict):
            stack.pop()  # attributes of an OrderedDict, such as the versions of its modules
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"the pickle holds the instruction {name}")

    def _since_mark(self) -> list[Any]:
        place = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items


def _storage(reference: Any) -> tuple[str, torch.dtype]:
    """Return key and dtype of a storage that lies beside the pickle."""
    what, kind, key, _, _ = reference
    if what != "storage" or not isinstance(key, str) or not kind.path.startswith("torch."):
        raise ValueError("the pickle refers to something else than a storage")
    return key, _DTYPES[kind.path.removeprefix("torch.")]


def _called(function: Any, arguments: Any) -> Any:
    """Return what a call stands for, among those by which torch saves tensors."""
    path = function.path
    if path == "collections.OrderedDict" and arguments == ():
        return {}
    if path == "torch._utils._rebuild_parameter" and isinstance(arguments[0], Stored):
        tensor = arguments[0]
        return Stored(tensor.key, tensor.dtype, tensor.sizes, tensor.strides, tensor.offset, True)
    if path == "torch._utils._rebuild_tensor_v2":
        (key, dtype), offset, sizes, strides, *_ = arguments
        if not _are_ints((offset, *sizes, *strides)):
            raise ValueError("a tensor has sizes that are no integers")
        return Stored(key, dtype, tuple(sizes), tuple(strides), offset)
    raise ValueError(f"the pickle calls {path}, which only unpickling could do")


def _are_ints(values: Iterable[Any]) -> bool:
    return all(type(value) is int for value in values)
