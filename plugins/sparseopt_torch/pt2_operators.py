"""Operators that a program of a stranger may run here: arithmetic that checks its arguments.

ATen also has operators that map files, view memory out of bounds or trust their indices. They are
not reached: a file's operator is looked up in `find`, and what is computed while reading or
compared afterwards is looked up in `is_runnable`.
"""

from __future__ import annotations

import re
from functools import cache
from operator import add, floordiv, getitem, mul, sub
from typing import Any

import torch

_NUMBERS = {f.__name__: f for f in (getitem, mul, add, sub, floordiv)}

# Operators that make or change constants; those that have rules of their own come on top.
_WORDS = """
    _weight_norm _weight_norm_interface abs acos add addmm addmv alias amax amin arange asin atan
    atan2 baddbmm bitwise_and bitwise_not bitwise_or bitwise_xor bmm broadcast_to cat ceil chunk
    clamp clamp_max clamp_min clone concat constant_pad_nd contiguous copy cos cosh cumprod cumsum
    detach detach_ diag diag_embed diagonal div dot empty eq erf exp expand expand_as expm1 eye
    fill flatten flip floor floor_divide fmod full full_like gather ge gt index index_select
    isfinite isinf isnan le lift_fresh lift_fresh_copy linalg_vector_norm linspace log log10 log1p
    log2 logical_and logical_not logical_or logical_xor lt masked_fill matmul max maximum mean
    meshgrid min minimum mm movedim mul mv narrow ne neg new_full new_ones new_zeros norm ones
    ones_like outer permute pow prod reciprocal relu remainder repeat reshape roll round rsqrt
    rsub scalar_tensor select sigmoid sign sin sinh slice split split_with_sizes sqrt square
    squeeze stack std sub sum t tan tanh tile to transpose tril triu trunc type_as unbind
    unflatten unsqueeze var view view_as where zeros zeros_like _to_copy _unsafe_view
"""
_CONSTANTS = frozenset(_WORDS.split())


def find(target: str, rules: frozenset[str]) -> Any | None:
    """Return the operator of this name in a file, or None where a file may not name it.

    `rules` are the operators that the reader has rules for or reasons against, such as
    ``"aten.relu"``.
    """
    if target.startswith("_operator."):
        return _NUMBERS.get(target.removeprefix("_operator."))
    named = re.fullmatch(r"torch\.ops\.aten\.(\w+)\.(\w+)", target, re.ASCII)
    if named is None or named[1].startswith("__"):
        return None
    packet = getattr(torch.ops.aten, named[1], None)
    if not isinstance(packet, torch._ops.OpOverloadPacket) or named[2] not in packet.overloads():
        return None
    operator = getattr(packet, named[2])
    writes_elsewhere = any(a.is_out for a in operator._schema.arguments)
    known = is_runnable(operator, rules) or operator in _defined_by_others()
    return operator if known and not writes_elsewhere else None


def is_runnable(operator: Any, rules: frozenset[str]) -> bool:
    """Whether an operator may run on the numbers of a file."""
    if operator in _NUMBERS.values():
        return True
    namespace, _, rest = str(operator).partition(".")
    name = rest.partition(".")[0]
    if namespace != "aten":
        return False
    plain = name.removesuffix("_")
    return (
        str(operator) in rules
        or f"aten.{name}" in rules
        or f"aten.{plain}" in rules
        or name in _CONSTANTS
        or plain in _CONSTANTS
    )


@cache
def _defined_by_others() -> frozenset[Any]:
    """Return the operators that torch replaces by their definitions, without running them."""
    return frozenset(torch.export.default_decompositions())
