"""JSON round trip: exact for integers and rationals, lossless for floats.

Plain JSON values stand for themselves. Everything else is an object whose only key starts with
``$``: ``$array``, ``$sparse``, ``$fraction``, ``$complex``, ``$float``, ``$tuple``, ``$map``,
``$type`` (a registered dataclass) and ``$ref``, a pointer to an object met earlier in the same
document, so that a certificate and its solution share one problem. Only registered classes are
ever built, through their validating constructors: reading a file runs no code of the file.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import json
import math
import re
from collections.abc import Iterable
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import require_sound_indices
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import known_types, type_tag
from sparseopt.interface.printing import printable
from sparseopt.interface.seams import import_json_type
from sparseopt.judging.json_types import HOMES, OTHERS

# Arrays up to this size are written as numbers that a person can read; above it base64 is both
# smaller and an order of magnitude faster to read back.
READABLE_SIZE = 1024
_DTYPE_KINDS = "biufc"
_SPARSE_FORMATS = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}

# What a file may ask for; all of it is checked before anything is allocated for it.
MOST_LEVELS = 150
"""Levels of brackets that JSON may be nested."""
MOST_DIGITS = 4000
"""Decimal digits of an integer; below the limit of Python's own conversion."""
MOST_ENTRIES = 2**40
"""Entries that the shape of an array may declare, also where it holds none."""
_PACKAGE = __name__.partition(".")[0]
_FRACTION = re.compile(r"(-?[0-9]+)(?:/([0-9]+))?")
_HEX_FRACTION = re.compile(r"(-?)0x([0-9a-f]+)/0x([0-9a-f]+)")
_FLOAT_WORDS = ("nan", "inf", "-inf")
_DTYPES = {np.dtype(name).str for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")}
_DTYPES |= {np.dtype(name).str for name in ("f2", "f4", "f8", "c8", "c16")}


def _array_to_json(array: np.ndarray) -> dict[str, Any]:
    shape = list(array.shape)
    if array.dtype.kind == "O":
        values = [_Encoder().encode(value, "") for value in array.ravel().tolist()]
        return {"$array": {"dtype": "object", "shape": shape, "values": values}}
    if array.dtype.kind not in _DTYPE_KINDS or array.dtype.itemsize > 16:
        raise ProblemError(f"an array of dtype {array.dtype} cannot be written as JSON")
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if array.size > READABLE_SIZE:
        data = base64.b64encode(little.tobytes()).decode("ascii")
        return {"$array": {"dtype": little.dtype.str, "shape": shape, "base64": data}}
    flat = little.ravel()
    if array.dtype.kind == "c":
        flat = flat.view(little.real.dtype)
    numbers = [_number(value) for value in flat.tolist()]
    return {"$array": {"dtype": little.dtype.str, "shape": shape, "values": numbers}}


def _number(value: Any) -> Any:
    """Return a JSON number, or a word for the floats that JSON lacks."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


@np.errstate(over="ignore")  # a number beyond the range of its dtype is read as infinite
def _array_from_json(body: Any) -> np.ndarray:
    shape, dtype = _declared(body)
    count = math.prod(shape)
    if dtype is None:
        values = [_Decoder().decode(value, "") for value in _values(body, count)]
        if not all(type(value) in (int, Fraction) for value in values):
            raise ProblemError("an object array may hold only integers and rationals")
        array = np.empty(count, dtype=object)
        array[:] = values
        return array.reshape(shape)
    if "base64" in body:
        data = base64.b64decode(body["base64"], validate=True)
        if len(data) != count * dtype.itemsize:
            raise ProblemError(f"an array of shape {shape} holds {len(data)} bytes")
        flat = np.frombuffer(data, dtype=dtype)
        if dtype.kind == "b" and flat.view(np.uint8).max(initial=0) > 1:
            raise ProblemError("an array of booleans holds a byte above 1")
    elif dtype.kind in "fc":
        parts = 2 if dtype.kind == "c" else 1
        numbers = [_as_float(value) for value in _values(body, parts * count)]
        real = f"{dtype.byteorder}f{dtype.itemsize // parts}"
        flat = np.array(numbers, dtype=real).view(dtype)
    else:
        values = _values(body, count)
        if not all(type(value) is (bool if dtype.kind == "b" else int) for value in values):
            raise ProblemError(f"an array of dtype {dtype} holds an entry of another type")
        flat = np.array(values, dtype=dtype)  # OverflowError for integers beyond its range
    return flat.astype(dtype.newbyteorder("="), copy=True).reshape(shape)


def _sparse_from_json(body: Any) -> Any:
    """Return the sparse matrix, whose three arrays must fit its shape before it is made."""
    form, shape, *parts = _members(body, ("format", "shape", "data", "indices", "indptr"))
    arrays = [_array_from_json(*_members(part, ("$array",))) for part in parts]
    if form not in _SPARSE_FORMATS:
        raise ProblemError(f"sparse format {printable(form, 40)!r} is not allowed")
    require_sound_indices(form, _sizes(shape), *arrays)
    matrix = _SPARSE_FORMATS[form](tuple(arrays), shape=tuple(shape))
    # Two numbers at one place would be added up, in a dtype in which the sum may wrap around.
    if not matrix.has_canonical_format:
        raise ProblemError("the indices of a sparse array must ascend, none given twice")
    return matrix


def _members(body: Any, names: tuple[str, ...]) -> list[Any]:
    """Return the values of an object that has these keys and no others."""
    if not isinstance(body, dict) or set(body) != set(names):
        raise ProblemError(f"an object with the keys {', '.join(names)} is needed")
    return [body[name] for name in names]


def _sizes(shape: Any) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, list) else [None]
    if not all(type(size) is int and size >= 0 for size in sizes) or len(sizes) > 32:
        raise ProblemError(f"array shape {printable(shape, 100)} is not a list of sizes")
    return tuple(sizes)


def _declared(body: Any) -> tuple[tuple[int, ...], np.dtype[Any] | None]:
    """Return shape and dtype that an array declares, None for objects, if both are allowed."""
    shape = _sizes(body["shape"])
    # A size of 0 must not hide a size that later code would make an array of.
    if math.prod(max(size, 1) for size in shape) > MOST_ENTRIES:
        raise ProblemError(f"array shape {printable(list(shape), 100)} is too large")
    name = body["dtype"]
    if name == "object":
        return shape, None
    if not isinstance(name, str) or name.replace(">", "<") not in _DTYPES:
        raise ProblemError(f"array dtype {printable(name, 40)} is not allowed")
    return shape, np.dtype(name)


def _values(body: Any, count: int) -> list[Any]:
    values = body["values"]
    if not isinstance(values, list) or len(values) != count:
        raise ProblemError(f"the array's shape asks for a list of {count} values")
    return values


def _as_float(value: Any) -> float:
    if type(value) not in (int, float) and value not in _FLOAT_WORDS:
        raise ProblemError(f"{printable(value, 40)!r} is not a number")
    return float(value)


def _as_complex(body: Any) -> complex:
    real, imaginary = _as_list("$complex", body)
    return complex(_as_float(real), _as_float(imaginary))


def _as_list(key: str, body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise ProblemError(f"{key} needs a list, not a {type(body).__name__}")
    return body


def _fraction_text(value: Fraction) -> str:
    """Return a rational as text; in base 16, without a limit, where it has very many digits."""
    over, under = int(value.numerator), int(value.denominator)
    if max(over.bit_length(), under.bit_length()) < 3 * MOST_DIGITS:
        return str(value)
    return f"{'-' if over < 0 else ''}{abs(over):#x}/{under:#x}"


def _as_fraction(text: Any) -> Fraction:
    """Return the rational of a text: digits, or digits over digits; no exponent, no point."""
    if isinstance(text, str) and (match := _HEX_FRACTION.fullmatch(text)):
        sign, over, under = match.groups()
        top, bottom = int(over, 16), int(under, 16)
        return Fraction(-top if sign else top, bottom)
    match = _FRACTION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ProblemError(f"{printable(text, 40)!r} is not a rational number such as -3/4")
    return Fraction(_as_int(match[1]), _as_int(match[2] or "1"))


def _as_int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ProblemError(f"a number of {len(text)} digits; {MOST_DIGITS} are allowed")
    return int(text)


_ARRAYS = {"$array": _array_from_json, "$sparse": _sparse_from_json}
_NUMBERS = {"$fraction": _as_fraction, "$float": _as_float, "$complex": _as_complex}


class _Encoder:
    def __init__(self, share: bool = True) -> None:
        self._share = share
        self._seen: dict[int, tuple[str, Any]] = {}
        self._level = 0

    def encode(self, value: Any, path: str) -> Any:
        self._level += 1
        if self._level > MOST_LEVELS:
            raise ProblemError(f"it cannot be written: {_too_deep()}")
        try:
            return self._encode(value, path)
        finally:
            self._level -= 1

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
            return {"$fraction": _fraction_text(value)}
        if isinstance(value, complex):
            return {"$complex": [_number(value.real), _number(value.imag)]}
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
            return {key: self.encode(item, f"{path}/{key}") for key, item in value.items()}
        items = [[k, v] for k, v in value.items()]
        return {"$map": self.encode(items, f"{path}/$map")}

    def _encode_shared(self, value: Any, path: str) -> Any:
        """Encode an object that may occur twice: the second time only a pointer is written."""
        if id(value) in self._seen:
            return {"$ref": self._seen[id(value)][0]}
        if isinstance(value, np.ndarray | np.generic):
            body = _array_to_json(np.asarray(value))
        elif scipy.sparse.issparse(value):
            body = self._encode_sparse(value, path)
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

    def _encode_sparse(self, value: Any, path: str) -> Any:
        kind = value.format if value.format in _SPARSE_FORMATS else "csr"
        matrix = _SPARSE_FORMATS[kind](value)
        matrix.sum_duplicates()
        body: dict[str, Any] = {"format": kind, "shape": list(matrix.shape)}
        for name in ("data", "indices", "indptr"):
            body[name] = _array_to_json(getattr(matrix, name))
        return {"$sparse": body}

    def _encode_typed(self, value: Any, path: str) -> Any:
        tag = type_tag(type(value))
        if isinstance(value, Enum):
            return {"$type": tag, "name": value.name}
        if hasattr(value, "to_fields"):
            fields = value.to_fields()
        else:
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        body: dict[str, Any] = {"$type": tag}
        for name, item in fields.items():
            body[name] = self.encode(item, f"{path}/{name}")
        return body


class _Decoder:
    def __init__(self) -> None:
        self._built: dict[str, Any] = {}
        self._level = 0

    def decode(self, value: Any, path: str) -> Any:
        self._level += 1
        if self._level > MOST_LEVELS:
            raise ProblemError(_too_deep())
        try:
            return self._decode(value, path)
        finally:
            self._level -= 1

    def _decode(self, value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [self.decode(item, f"{path}/{i}") for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if not any(key.startswith("$") for key in value):
            return {key: self.decode(item, f"{path}/{key}") for key, item in value.items()}
        try:
            return self._decode_special(value, path)
        except ProblemError as error:
            # The innermost place is the one to tell.
            if str(error).startswith("at /"):
                raise
            raise ProblemError(f"at {_place(path)}: {printable(error, 1000)}") from error
        except Exception as error:
            what = printable(f"{type(error).__name__}: {error}", 300)
            raise ProblemError(f"at {_place(path)}: {what}") from error

    def _decode_special(self, value: dict[str, Any], path: str) -> Any:
        if "$type" in value:
            return self._remember(path, self._decode_typed(value, path))
        if len(value) != 1:
            raise ProblemError(f"expected one key, found {sorted(value)}")
        ((key, body),) = value.items()
        if key in _ARRAYS:
            return self._remember(path, _ARRAYS[key](body))
        if key in _NUMBERS:
            return _NUMBERS[key](body)
        if key == "$tuple":
            items = enumerate(_as_list(key, body))
            return tuple(self.decode(item, f"{path}/$tuple/{i}") for i, item in items)
        if key == "$map":
            return _map_from_pairs(self.decode(_as_list(key, body), f"{path}/$map"))
        if key == "$ref":
            if not isinstance(body, str) or body not in self._built:
                raise ProblemError(
                    f"the reference {printable(body, 100)!r} points to nothing read before it"
                )
            return self._built[body]
        raise ProblemError(f"unknown key {key!r}")

    def _remember(self, path: str, value: Any) -> Any:
        self._built[path] = value
        return value

    def _decode_typed(self, value: dict[str, Any], path: str) -> Any:
        tag = value["$type"]
        cls = _find_type(tag)
        fields = {k: self.decode(v, f"{path}/{k}") for k, v in value.items() if k != "$type"}
        if hasattr(cls, "from_fields"):
            return cls.from_fields(fields)
        if issubclass(cls, Enum):
            return cls[_members(fields, ("name",))[0]]
        known = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
        extra, missing = set(fields) - known, known - set(fields)
        if extra or missing:
            raise ProblemError(
                f"{tag} has fields {sorted(known)}; unknown: {sorted(extra)}, "
                f"missing: {sorted(missing)}"
            )
        return cls(**fields)


def _map_from_pairs(pairs: list[Any]) -> dict[Any, Any]:
    if not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        raise ProblemError("$map needs a list of keys and values, each pair a list of two")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ProblemError("$map has two keys that are equal (1, 1.0 and true are)")
    return found


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
    `MOST_LEVELS`, `MOST_DIGITS` and `MOST_ENTRIES`.
    """
    try:
        document = json.loads(
            text, parse_int=_as_int, parse_float=_finite, parse_constant=_no_constant
        )
        return _Decoder().decode(document, "")
    except json.JSONDecodeError as error:
        raise ProblemError(
            f"not JSON, or cut short: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except RecursionError as error:
        raise ProblemError(_too_deep()) from error


def _too_deep() -> str:
    return f"the JSON is nested more deeply than {MOST_LEVELS} levels"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ProblemError(f"the number {printable(text, 40)} leaves the range of float64")
    return value


def _no_constant(text: str) -> float:
    raise ProblemError(f'{text} is not a JSON number; this format writes {{"$float": "nan"}}')


def same_content(a: Any, b: Any) -> bool:
    """Whether two objects are one, or hold the same values, however they share parts."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    try:
        first, second = (_Encoder(share=False).encode(value, "") for value in (a, b))
        return bool(first == second)
    except ProblemError:
        return False
