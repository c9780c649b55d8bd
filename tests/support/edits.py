"""Every small edit of a file: of numbers, texts, arrays, lists and whole fields, one at a time.

Unlike the random changes of `mutations` they are the same in every run, and each is one that an
attacker would try: numbers of another type or beyond all ranges, arrays of another shape, type or
order, fields swapped, entries left out or given twice.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

Edits = Iterator[tuple[str, Any]]
Path = tuple[Any, ...]

NAN, INF = {"$float": "nan"}, {"$float": "inf"}
HUGE = 10**30


def edits(text: str) -> Iterator[tuple[str, str]]:
    """Yield (place: what was done, JSON text) for every edit of a document."""
    root = json.loads(text)
    for path, node in _nodes(root, ()):
        for words, value in _changed(node):
            yield f"{'/'.join(map(str, path))}: {words}", json.dumps(_with(root, path, value))
        if isinstance(node, dict) and "$type" in node:
            yield from _fields(root, path, node)


def _fields(root: Any, path: Path, node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Leave fields of a class out, add one, and swap those that follow each other."""
    names = [name for name in node if name != "$type"]
    place = "/".join(map(str, path))
    for name in names:
        left = {k: v for k, v in node.items() if k != name}
        yield f"{place}: without {name}", json.dumps(_with(root, path, left))
    yield f"{place}: one more", json.dumps(_with(root, path, {**node, "more": 0}))
    for one, two in itertools.pairwise(names):
        swapped = {**node, one: node[two], two: node[one]}
        yield f"{place}: {one} and {two} swapped", json.dumps(_with(root, path, swapped))


def _nodes(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield the places that are edited: of long lists the first two and the last."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("$array", "$type"):
                yield from _nodes(value, (*path, key))
    elif isinstance(node, list):
        for i in sorted({0, 1, len(node) - 1} & set(range(len(node)))):
            yield from _nodes(node[i], (*path, i))


def _with(root: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    found = copy.deepcopy(root)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


def _changed(node: Any) -> Edits:
    if isinstance(node, bool):
        yield "the other", not node
        yield "an integer", int(node)
        yield "a text", str(node)
    elif isinstance(node, int):
        yield from _of_integer(node)
    elif isinstance(node, float):
        yield from _of_number(node)
    elif isinstance(node, str):
        yield "another text", f"{node}?"
        yield "an integer", 0
        yield "none", None
        yield "a list", [node]
    elif node is None:
        yield "zero", 0
        yield "an empty list", []
        yield "false", False
    elif isinstance(node, list):
        yield from _of_list(node)
    elif "$array" in node:
        yield from _of_array(node["$array"])
    elif "$float" in node:
        yield "zero", 0.0
        yield "the text", node["$float"]


def _of_integer(value: int) -> Edits:
    yield "one more", value + 1
    yield "one less", value - 1
    yield "its negative", -value
    yield "huge", HUGE
    yield "a float", float(value)
    yield "half more", value + 0.5
    yield "a text", str(value)
    yield "true", True
    yield "none", None
    yield "a list", [value]
    yield "no number", NAN
    yield "a fraction", {"$fraction": f"{value}/1"}


def _of_number(value: float) -> Edits:
    yield "the next above", math.nextafter(value, math.inf)
    yield "the next below", math.nextafter(value, -math.inf)
    yield "the negative", -value
    yield "zero", 0.0
    yield "half", 0.5 * value
    yield "twice", 2.0 * value
    yield "huge", 1e308
    yield "tiny", 5e-324
    yield "a huge integer", HUGE
    yield "no number", NAN
    yield "infinite", INF
    yield "less than all", {"$float": "-inf"}
    yield "a text", repr(value)
    yield "true", True
    yield "none", None
    yield "a list", [value]
    yield "a fraction", {"$fraction": "1/3"}
    yield "complex", {"$complex": [value, 0.0]}


def _of_list(values: list[Any]) -> Edits:
    yield "empty", []
    yield "none", None
    yield "a text", "list"
    yield "in a tuple", {"$tuple": values}
    if values:
        yield "without the last", values[:-1]
        yield "the first twice", [values[0], *values]
        yield "in another order", values[::-1]
        yield "all the first", [values[0]] * len(values)
        yield "as a map", {"$map": [[i, value] for i, value in enumerate(values)]}


def _of_array(body: dict[str, Any]) -> Edits:
    yield "none", None
    yield "zero", 0
    shape = body["shape"]
    yield "one more axis", {"$array": {**body, "shape": [1, *shape]}}
    yield "turned", {"$array": {**body, "shape": shape[::-1]}}
    yield "flat", {"$array": {**body, "shape": [math.prod(shape)]}}
    if "values" not in body:
        return
    values, dtype = body["values"], body["dtype"]

    def holding(new: list[Any], dtype: str = dtype, shape: list[int] = shape) -> Any:
        return {"$array": {**body, "dtype": dtype, "shape": shape, "values": new}}

    yield "empty", holding([], shape=[0] * len(shape))
    yield "a list", values
    if not values:
        return
    rest = [math.prod(shape[1:])] if shape else [1]
    yield "without the last", holding(values[: -rest[0]], shape=[shape[0] - 1, *shape[1:]])
    yield "in another order", holding(values[::-1])
    yield "all the first", holding([values[0]] * len(values))
    for words, other in (("complex", "<c16"), ("single", "<f4"), ("half", "<f2"), ("bytes", "|u1")):
        new = [part for v in values for part in (v, 0.0)] if other == "<c16" else values
        yield f"of type {words}", holding(new, dtype=other)
    yield "objects", holding(values, dtype="object")
    if dtype[1] in "fc":
        yield from _of_floats(values, holding)
    elif dtype[1] in "iu":
        whole = [2**53 + 1, *values[1:]]
        yield "not held by floats", holding(whole, dtype="<i8")
        yield "unsigned and huge", holding([2**64 - 1, *values[1:]], dtype="<u8")
        yield "one more", holding([values[0] + 1, *values[1:]])
        yield "the first negative", holding([-1, *values[1:]], dtype="<i8")
        yield "floats", holding([float(v) for v in values], dtype="<f8")
        yield "truth values", holding([bool(v) for v in values], dtype="|b1")


def _of_floats(values: list[Any], holding: Any) -> Edits:
    for words, first in (
        ("no number", "nan"), ("infinite", "inf"), ("huge", 1e308), ("tiny", 5e-324), ("zero", 0.0),
    ):  # fmt: skip
        yield f"the first {words}", holding([first, *values[1:]])
    numbers = [v for v in values if isinstance(v, int | float)]
    if len(numbers) < len(values):
        return
    yield "the first by a bit", holding([math.nextafter(values[0], math.inf), *values[1:]])
    yield "zeros", holding([0.0] * len(values))
    yield "negative", holding([-v for v in values])
    yield "twice", holding([2.0 * v for v in values])
    yield "cancelling", holding([1e17, -1e17, *values[2:]][: len(values)])
    yield "whole numbers", holding([2**53 + 1, *map(int, values[1:])], dtype="<i8")
