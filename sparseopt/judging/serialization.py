"""JSON round trip: exact for integers and rationals, lossless for floats.

Plain JSON values stand for themselves. Everything else is an object whose only key starts with
``$``: ``$array``, ``$sparse``, ``$fraction``, ``$complex``, ``$float``, ``$tuple``, ``$map``,
``$type`` (a registered dataclass) and ``$ref``, a pointer to an object met earlier in the same
document, so that a certificate and its solution share one problem. Only registered classes are
ever built, through their validating constructors: reading a file runs no code of the file.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import sys
from collections.abc import Iterable
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import known_types, type_tag
from sparseopt.interface.printing import printable
from sparseopt.interface.seams import import_json_type
from sparseopt.judging.json_arrays import (
    array_from_json,
    array_to_json,
    members,
    sparse_from_json,
    sparse_to_json,
)
from sparseopt.judging.json_numbers import (
    as_complex,
    as_finite,
    as_float,
    as_fraction,
    as_int,
    as_list,
    float_or_word,
    fraction_text,
    refuse_constant,
)
from sparseopt.judging.json_types import HOMES, OTHERS

# What a file may nest; it is checked before anything is made of it.
MOST_LEVELS = 150
"""Levels of brackets that JSON may be nested."""
MOST_PARTS = 1 << 23
"""Parts that JSON may have, but for entries of arrays, with shared ones written out: whoever walks
through what was read meets a part as often as it is referred to."""
_PACKAGE = __name__.partition(".")[0]
_ARRAYS = {"$array": array_from_json, "$sparse": sparse_from_json}
_KEYS = (bool, int, float)
_NUMBERS = {"$fraction": as_fraction, "$float": as_float, "$complex": as_complex}


class _Encoder:
    def __init__(self, share: bool = True) -> None:
        self._share = share
        self._seen: dict[int, tuple[str, Any]] = {}
        self._level = 0

    def encode(self, value: Any, path: str) -> Any:
        self._level += 1
        if self._level > MOST_LEVELS:
            raise ProblemError(f"it cannot be written: {_too_deep()}")
        found = self._encode(value, path)
        self._level -= 1
        return found

    def _encode(self, value: Any, path: str) -> Any:
        if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
            return value
        if isinstance(value, float | np.floating) and not isinstance(
            value, np.float32 | np.float16
        ):
            number = float(value)
            return number if math.isfinite(number) else {"$float": repr(number)}
        if isinstance(value, np.bool_ | np.integer):
            return value.item()
        if isinstance(value, Fraction):
            return {"$fraction": fraction_text(value)}
        if isinstance(value, complex):
            return {"$complex": [float_or_word(value.real), float_or_word(value.imag)]}
        if isinstance(value, list):
            return [self.encode(item, f"{path}/{i}") for i, item in enumerate(value)]
        if isinstance(value, tuple):
            inner = f"{path}/$tuple"
            return {"$tuple": [self.encode(x, f"{inner}/{i}") for i, x in enumerate(value)]}
        if isinstance(value, dict):
            return self._encode_dict(value, path)
        return self._encode_shared(value, path)

    def _encode_dict(self, value: dict[Any, Any], path: str) -> Any:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {k: self.encode(v, _step(path, k)) for k, v in value.items()}
        items = [[k, v] for k, v in value.items()]
        return {"$map": self.encode(items, f"{path}/$map")}

    def _encode_shared(self, value: Any, path: str) -> Any:
        """Encode an object that may occur twice: the second time only a pointer is written."""
        if id(value) in self._seen:
            return {"$ref": self._seen[id(value)][0]}
        if isinstance(value, np.ndarray | np.generic):
            body = array_to_json(np.asarray(value))
        elif scipy.sparse.issparse(value):
            body = sparse_to_json(value)
        elif known_types.get(type_tag(type(value))) is type(value):
            body = self._encode_typed(value, path)
        else:
            place = f" (at {path})" if path else ""
            if hasattr(value, "matvec"):
                raise ProblemError(
                    f"a {type(value).__name__} is code and cannot be written as JSON{place}; state "
                    "the problem with the matrix, a SciPy sparse array or a KroneckerProduct, or "
                    "judge the solution here by so.verify"
                )
            raise ProblemError(
                f"{type(value).__name__} cannot be written as JSON{place}; arrays, numbers, "
                "strings, containers and classes decorated with json_type can"
            )
        if self._share:
            self._seen[id(value)] = (path, value)  # keeps value alive: its id stays unique
        return body

    def _encode_typed(self, value: Any, path: str) -> Any:
        tag = type_tag(type(value))
        if isinstance(value, Enum):
            return {"$type": tag, "name": value.name}
        if hasattr(value, "to_fields"):
            fields = type(value).to_fields(value)  # an instance cannot bring its own
        else:
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        body: dict[str, Any] = {"$type": tag}
        for name, item in fields.items():
            body[name] = self.encode(item, f"{path}/{name}")
        return body


class _Decoder:
    def __init__(self) -> None:
        self._built: dict[str, tuple[Any, int]] = {}
        self._parts = 0

    def decode(self, value: Any, path: str, level: int = 1) -> Any:
        self._parts += 1
        if level > MOST_LEVELS or self._parts > MOST_PARTS:
            raise ProblemError(_too_deep())
        if isinstance(value, list):
            return [self.decode(item, f"{path}/{i}", level + 1) for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if not any(key.startswith("$") for key in value):
            return {k: self.decode(v, _step(path, k), level + 1) for k, v in value.items()}
        try:
            return self._decode_special(value, path, level + 1)
        except ProblemError as error:
            # The innermost place is the one to tell.
            if str(error).startswith("at /"):
                raise
            raise ProblemError(f"at {_place(path)}: {printable(error, 1000)}") from error
        except Exception as error:
            what = printable(f"{type(error).__name__}: {error}", 300)
            raise ProblemError(f"at {_place(path)}: {what}") from error

    def _decode_special(self, value: dict[str, Any], path: str, level: int) -> Any:
        if "$type" in value:
            return self._remember(path, self._parts, self._decode_typed(value, path, level))
        if len(value) != 1:
            raise ProblemError(f"expected one key, found {sorted(value)}")
        ((key, body),) = value.items()
        if key in _ARRAYS:
            return self._remember(path, self._parts, _ARRAYS[key](body))
        if key in _NUMBERS:
            return _NUMBERS[key](body)
        if key == "$tuple":
            items = enumerate(as_list(key, body))
            return tuple(self.decode(item, f"{path}/$tuple/{i}", level) for i, item in items)
        if key == "$map":
            return _map_from_pairs(self.decode(as_list(key, body), f"{path}/$map", level))
        if key == "$ref":
            if not isinstance(body, str) or body not in self._built:
                raise ProblemError(
                    f"the reference {printable(body, 100)!r} points to nothing read before it"
                )
            self._parts += self._built[body][1]
            return self._built[body][0]
        raise ProblemError(f"unknown key {key!r}")

    def _remember(self, path: str, before: int, value: Any) -> Any:
        """Keep what was read, and of how many parts; `before` were met before these."""
        self._built[path] = value, self._parts - before + 1
        return value

    def _decode_typed(self, value: dict[str, Any], path: str, level: int) -> Any:
        tag = value["$type"]
        cls = _find_type(tag)
        fields = {k: self.decode(v, f"{path}/{k}", level) for k, v in value.items() if k != "$type"}
        if hasattr(cls, "from_fields"):
            return cls.from_fields(fields)
        if issubclass(cls, Enum):
            return cls[members(fields, ("name",))[0]]
        known = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
        if known != set(fields):
            extra, missing = set(fields) - known, known - set(fields)
            raise ProblemError(
                f"{tag} has fields {sorted(known)}; unknown: {sorted(extra)}, "
                f"missing: {sorted(missing)}"
            )
        return cls(**fields)


def _step(path: str, key: str) -> str:
    """Return the path of what a key leads to, as JSON pointers (RFC 6901) write it."""
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"


def _map_from_pairs(pairs: list[Any]) -> dict[Any, Any]:
    if not all(type(pair) is list and len(pair) == 2 and _is_key(pair[0]) for pair in pairs):
        raise ProblemError(
            "$map needs a list of keys and values, each pair a list of two; keys are texts, and "
            "numbers below 2^61 - 1 in magnitude"
        )
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ProblemError("$map has two keys that are equal (1, 1.0 and true are)")
    return found


def _is_key(key: Any) -> bool:
    """Whether it is not one of many that may have one hash: a dict of those takes time by the
    square."""
    return type(key) is str or (type(key) in _KEYS and abs(key) < sys.hash_info.modulus)


def _place(path: str) -> str:
    """Return a place in the document for people: its beginning and end where it is long."""
    return printable((path if len(path) <= 120 else f"{path[:60]}…{path[-60:]}") or "/", 130)


def _find_type(tag: Any) -> type:
    if not isinstance(tag, str):
        raise ProblemError("the tag of a type must be a text")
    if tag not in known_types:
        package, _, name = tag.partition(":")
        if package == _PACKAGE:
            importlib.import_module(HOMES.get(name, OTHERS))
        else:
            import_json_type(tag)
    if tag not in known_types:
        raise ProblemError(f"no installed plugin declares the JSON type {printable(tag, 100)!r}")
    return known_types[tag]


def import_types(paths: Iterable[str]) -> None:
    """Import ``"module:Class"`` paths, so that their `json_type` decorators run."""
    for path in paths:
        module, _, name = path.partition(":")
        getattr(importlib.import_module(module), name)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return `value` as JSON text. O(size).

    Examples
    --------
    >>> from fractions import Fraction
    >>> to_json([Fraction(1, 3), 0.1])
    '[{"$fraction": "1/3"}, 0.1]'
    """
    return json.dumps(_Encoder().encode(value, ""), allow_nan=False, indent=indent)


def from_json(text: str) -> Any:
    """Return what `to_json` wrote; `ProblemError` with the place if the text is not that.

    The text may come from a stranger: what it asks for is limited before it is made, see
    `MOST_LEVELS`, `json_numbers.MOST_DIGITS` and `json_arrays.MOST_ENTRIES`.
    """
    try:
        document = json.loads(
            text, parse_int=as_int, parse_float=as_finite, parse_constant=refuse_constant
        )
        return _Decoder().decode(document, "")
    except json.JSONDecodeError as error:
        raise ProblemError(
            f"not JSON, or cut short: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except RecursionError as error:
        raise ProblemError(_too_deep()) from error


def _too_deep() -> str:
    return (
        f"the JSON is nested more deeply than {MOST_LEVELS} levels, or has over {MOST_PARTS} parts"
    )


def same_content(a: Any, b: Any) -> bool:
    """Whether two objects are one, or hold the same values, however they share parts."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    try:
        # As text: trees call 0, 0.0, -0.0 and False the same.
        one, two = (json.dumps(_Encoder(share=False).encode(v, ""), sort_keys=True) for v in (a, b))
        return one == two
    except ProblemError:
        return False
