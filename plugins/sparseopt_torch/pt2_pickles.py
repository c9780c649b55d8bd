"""Pickles of ``torch.save`` in .pt2 files, read as data and never run.

A pickle is a program. `saved_tensors` goes through its instructions by `pickletools`, which
executes none, and understands those few by which ``torch.save`` writes a dict of tensors.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.files import Archive
from sparseopt.tools.reading.budget import Budget
from sparseopt_torch.pt2_tensors import Stored, require_same_byte_order, tensors_of

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


def saved_tensors(content: bytes, name: str, budget: Budget) -> dict[str, torch.Tensor]:
    """Return the dict of tensors that ``torch.save`` wrote; `ProblemError` for anything else."""
    archive = Archive(io.BytesIO(content), name)
    pickled = next((n for n in archive.names if n.endswith("/data.pkl")), "")
    root = pickled.removesuffix("data.pkl")
    if not pickled or archive.size(pickled) > limits.GRAPH_BYTES:
        raise so.ProblemError(f"{name} holds no pickle, or one that is too large")
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
        raise ValueError("the pickle refers to something other than a storage")
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
        (key, dtype), offset, sizes, strides, _, _, *metadata = arguments
        if any(metadata):
            raise ValueError("a tensor is stored as the negative or conjugate of its numbers")
        if not _are_ints((offset, *sizes, *strides)):
            raise ValueError("a tensor has sizes that are not integers")
        return Stored(key, dtype, tuple(sizes), tuple(strides), offset)
    raise ValueError(f"the pickle calls {path}, which only unpickling could do")


def _are_ints(values: Iterable[Any]) -> bool:
    return all(type(value) is int for value in values)
