"""Arrays in JSON, dense and sparse: what one declares is checked before anything is made of it."""

from __future__ import annotations

import base64
import math
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import require_sound_indices
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.json_numbers import as_float, as_fraction, float_or_word, fraction_text

# Arrays up to this size are written as numbers that a person can read; above it base64 is both
# smaller and an order of magnitude faster to read back.
READABLE_SIZE = 1024
MOST_ENTRIES = 2**40
"""Entries that the shape of an array may declare."""
_DTYPE_KINDS = "biufc"
_SPARSE_FORMATS = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}
_DTYPES = {np.dtype(name).str for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")}
_DTYPES |= {np.dtype(name).str for name in ("f2", "f4", "f8", "c8", "c16")}


def array_to_json(array: np.ndarray) -> dict[str, Any]:
    shape = list(array.shape)
    if array.dtype.kind == "O":
        values = [_rational_to_json(value) for value in array.ravel().tolist()]
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
    numbers = [float_or_word(value) for value in flat.tolist()]
    return {"$array": {"dtype": little.dtype.str, "shape": shape, "values": numbers}}


@np.errstate(over="ignore")  # a number beyond the range of its dtype is read as infinite
def array_from_json(body: Any) -> np.ndarray:
    shape, dtype = _declared(body)
    count = math.prod(shape)
    if dtype is None:
        values = [_rational(value) for value in _values(body, count)]
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
        part = np.empty(0, dtype).real.dtype
        values = _values(body, count * dtype.itemsize // part.itemsize)
        flat = np.array([as_float(value) for value in values], dtype=part).view(dtype)
    else:
        values = _values(body, count)
        if not all(type(value) is (bool if dtype.kind == "b" else int) for value in values):
            raise ProblemError(f"an array of dtype {dtype} holds an entry of another type")
        flat = np.array(values, dtype=dtype)  # OverflowError for integers beyond its range
    return flat.astype(dtype.newbyteorder("="), copy=True).reshape(shape)


def _rational_to_json(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"$fraction": fraction_text(value)}
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ProblemError("an object array may hold only integers and rationals")
    return int(value)


def _rational(value: Any) -> int | Fraction:
    if type(value) is not int and not (isinstance(value, dict) and [*value] == ["$fraction"]):
        raise ProblemError("an object array may hold only integers and rationals")
    return as_fraction(value["$fraction"]) if isinstance(value, dict) else value


def sparse_to_json(value: Any) -> dict[str, Any]:
    """Return a csr or csc matrix as it is, others as csr."""
    kind = value.format if value.format in _SPARSE_FORMATS else "csr"
    matrix = _SPARSE_FORMATS[kind](value)
    matrix.sum_duplicates()
    body: dict[str, Any] = {"format": kind, "shape": list(matrix.shape)}
    for name in ("data", "indices", "indptr"):
        body[name] = array_to_json(getattr(matrix, name))
    return {"$sparse": body}


def sparse_from_json(body: Any) -> Any:
    """Return the sparse matrix, whose three arrays must fit its shape before it is made."""
    form, shape, *parts = members(body, ("format", "shape", "data", "indices", "indptr"))
    arrays = [array_from_json(*members(part, ("$array",))) for part in parts]
    if form not in _SPARSE_FORMATS:
        raise ProblemError(f"sparse format {printable(form, 40)!r} is not allowed")
    require_sound_indices(form, _sizes(shape), *arrays)
    matrix = _SPARSE_FORMATS[form](tuple(arrays), shape=tuple(shape))
    # Two numbers at one place would be added up, in a dtype in which the sum may wrap around.
    if not matrix.has_canonical_format:
        raise ProblemError("the indices of a sparse array must ascend, none given twice")
    return matrix


def members(body: Any, names: tuple[str, ...]) -> list[Any]:
    """Return the values of an object that has these keys and no others."""
    if not isinstance(body, dict) or set(body) != set(names):
        raise ProblemError(f"an object with the keys {', '.join(names)} is needed")
    return [body[name] for name in names]


def _sizes(dims: Any) -> tuple[int, ...]:
    if type(dims) is not list or len(dims) > 32 or any(type(n) is not int or n < 0 for n in dims):
        raise ProblemError(f"array shape {printable(dims, 100)} is not a list of sizes")
    return tuple(dims)


def _declared(body: Any) -> tuple[tuple[int, ...], np.dtype[Any] | None]:
    """Return shape and dtype that an array declares, None for objects, if both are allowed."""
    shape = _sizes(body["shape"])
    if limits.hides_sizes(shape) or math.prod(shape) > MOST_ENTRIES:
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
