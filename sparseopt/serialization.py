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
from collections.abc import Callable, Iterable
from enum import Enum
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import scipy.sparse

from sparseopt.errors import ProblemError

T = TypeVar("T")

# Arrays up to this size are written as numbers that a person can read; above it base64 is both
# smaller and an order of magnitude faster to read back.
READABLE_SIZE = 1024
_DTYPE_KINDS = "biufc"
_SPARSE_FORMATS = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}

_types: dict[str, type] = {}
# Set by the registry: imports the declared JSON types of the plugin that owns a tag.
_resolve_foreign: Callable[[str], None] | None = None


def type_tag(cls: type) -> str:
    """Return ``"package:Class"``, which stays valid when a module moves inside its package."""
    return f"{cls.__module__.partition('.')[0]}:{cls.__qualname__}"


def json_type(cls: type[T]) -> type[T]:
    """Class decorator: let a dataclass or an Enum travel through JSON under its `type_tag`.

    A dataclass is written field by field and rebuilt by its constructor. If it defines
    ``to_fields(self) -> dict``, that is written instead, and a classmethod ``from_fields(fields)``
    rebuilds it; reports and solutions use it to be plain lists and words for other programs.
    """
    tag = type_tag(cls)
    other = _types.get(tag)
    if other is not None and other.__module__ != cls.__module__:
        raise TypeError(f"two classes claim the JSON tag {tag!r}: {other!r} and {cls!r}")
    _types[tag] = cls
    return cls


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


def _array_from_json(body: dict[str, Any]) -> np.ndarray:
    shape = tuple(int(size) for size in body["shape"])
    if any(size < 0 for size in shape):
        raise ProblemError(f"negative size in array shape {shape}")
    if body["dtype"] == "object":
        values = [_Decoder().decode(value, "") for value in body["values"]]
        if not all(isinstance(value, int | Fraction) for value in values):
            raise ProblemError("an object array may hold only integers and rationals")
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array.reshape(shape)
    dtype = np.dtype(str(body["dtype"]))
    if dtype.kind not in _DTYPE_KINDS or dtype.itemsize > 16:
        raise ProblemError(f"array dtype {dtype} is not allowed")
    if "base64" in body:
        flat = np.frombuffer(base64.b64decode(body["base64"], validate=True), dtype=dtype)
    elif dtype.kind == "c":
        real = np.dtype(f"<f{dtype.itemsize // 2}")
        flat = np.array([float(value) for value in body["values"]], dtype=real).view(dtype)
    else:
        allowed = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float, str)}[dtype.kind]
        if not all(isinstance(value, allowed) for value in body["values"]):
            raise ProblemError(f"an array of dtype {dtype} holds an entry of another type")
        convert = float if dtype.kind == "f" else int
        flat = np.array([convert(value) for value in body["values"]], dtype=dtype)
    return flat.astype(dtype.newbyteorder("="), copy=True).reshape(shape)


class _Encoder:
    def __init__(self, share: bool = True) -> None:
        self._share = share
        self._seen: dict[int, tuple[str, Any]] = {}

    def encode(self, value: Any, path: str) -> Any:
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
            return {"$fraction": str(value)}
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
        elif _types.get(type_tag(type(value))) is type(value):
            body = self._encode_typed(value, path)
        else:
            place = f" (at {path})" if path else ""
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

    def decode(self, value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [self.decode(item, f"{path}/{i}") for i, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if not any(key.startswith("$") for key in value):
            return {key: self.decode(item, f"{path}/{key}") for key, item in value.items()}
        try:
            return self._decode_special(value, path)
        except ProblemError as error:
            raise (error if path in str(error) else ProblemError(f"at {path}: {error}")) from error
        except Exception as error:
            raise ProblemError(f"at {path or '/'}: {type(error).__name__}: {error}") from error

    def _decode_special(self, value: dict[str, Any], path: str) -> Any:
        if "$type" in value:
            return self._remember(path, self._decode_typed(value, path))
        if len(value) != 1:
            raise ProblemError(f"expected one key, found {sorted(value)}")
        ((key, body),) = value.items()
        if key == "$array":
            return self._remember(path, _array_from_json(body))
        if key == "$sparse":
            parts = [_array_from_json(body[n]["$array"]) for n in ("data", "indices", "indptr")]
            shape = tuple(body["shape"])
            matrix = _SPARSE_FORMATS[body["format"]](tuple(parts), shape=shape)
            matrix.check_format(full_check=True)
            return self._remember(path, matrix)
        if key == "$fraction":
            return Fraction(body)
        if key == "$complex":
            return complex(float(body[0]), float(body[1]))
        if key == "$float":
            return float(body)
        if key == "$tuple":
            return tuple(self.decode(item, f"{path}/$tuple/{i}") for i, item in enumerate(body))
        if key == "$map":
            return dict(map(tuple, self.decode(body, f"{path}/$map")))
        if key == "$ref":
            if body not in self._built:
                raise ProblemError(f"the reference {body!r} points to nothing read before it")
            return self._built[body]
        raise ProblemError(f"unknown key {key!r}")

    def _remember(self, path: str, value: Any) -> Any:
        self._built[path] = value
        return value

    def _decode_typed(self, value: dict[str, Any], path: str) -> Any:
        tag = value["$type"]
        cls = _find_type(tag)
        if issubclass(cls, Enum):
            return cls[value["name"]]
        fields = {k: self.decode(v, f"{path}/{k}") for k, v in value.items() if k != "$type"}
        if hasattr(cls, "from_fields"):
            return cls.from_fields(fields)
        known = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
        extra, missing = set(fields) - known, known - set(fields)
        if extra or missing:
            raise ProblemError(
                f"{tag} has fields {sorted(known)}; unknown: {sorted(extra)}, "
                f"missing: {sorted(missing)}"
            )
        return cls(**fields)


def _find_type(tag: Any) -> type:
    if tag not in _types and _resolve_foreign is not None and isinstance(tag, str):
        _resolve_foreign(tag)
    if tag not in _types:
        raise ProblemError(f"no installed plugin declares the JSON type {tag!r}")
    return _types[tag]


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
    """Return what `to_json` wrote; `ProblemError` with the place if the text is not that."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProblemError(
            f"not JSON, or cut short: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from error
    except RecursionError as error:
        raise ProblemError("the JSON is nested too deeply") from error
    return _Decoder().decode(document, "")


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
