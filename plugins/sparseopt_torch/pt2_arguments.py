"""Arguments of operators in the JSON of a .pt2 file: unions of a tag and a value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt_torch.pt2_archive import SCALAR_TYPES

_MEMORY_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}


def one(union: Mapping[str, Any]) -> tuple[str, Any]:
    """Return tag and value of a union of the schema."""
    ((tag, value),) = union.items()
    return tag, value


def argument(union: Mapping[str, Any], nodes: Mapping[str, torch.fx.Node]) -> Any:
    """Return an argument: a node, a number, or one of the enumerations that are read."""
    tag, value = one(union)
    if tag == "as_none":
        return None
    if tag == "as_tensor":
        return nodes[value["name"]]
    if tag in ("as_tensors", "as_optional_tensors", "as_sym_ints"):
        items = [{"as_tensor": v} for v in value] if tag == "as_tensors" else value
        return [argument(item, nodes) for item in items]
    if tag in ("as_optional_tensor", "as_sym_int"):
        return argument(value, nodes)
    if tag == "as_name":
        return nodes[value]
    if tag in ("as_int", "as_bool", "as_string", "as_float"):
        return _number(tag, value)
    if tag in ("as_ints", "as_bools", "as_floats"):
        return [_number(tag.removesuffix("s"), v) for v in value]
    if tag == "as_scalar_type":
        return SCALAR_TYPES[value]
    if tag == "as_memory_format":
        return _MEMORY_FORMATS[value]
    if tag == "as_layout" and value == 7:
        return torch.strided
    if tag == "as_device":
        return torch.device("cpu")
    raise so.ProblemError(f"an argument of the kind {printable(tag)!r} is not read")


def _number(tag: str, value: Any) -> Any:
    """Return a value of a plain type, as the tag says."""
    if tag == "as_float":
        words = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
        if isinstance(value, str):
            return words[value]
        if type(value) in (int, float):
            return float(value)
    elif type(value) is {"as_int": int, "as_bool": bool, "as_string": str}[tag]:
        return value
    raise TypeError(f"{tag} holds a {type(value).__name__}")


def names(union: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the values in an argument."""
    tag, value = one(union)
    if tag == "as_tensor":
        yield value["name"]
    elif tag == "as_tensors":
        yield from (v["name"] for v in value)
    elif tag == "as_name":
        yield value
    elif tag in ("as_sym_int", "as_sym_bool", "as_sym_float", "as_optional_tensor"):
        yield from names(value)
    elif tag in ("as_sym_ints", "as_optional_tensors"):
        for item in value:
            yield from names(item)
