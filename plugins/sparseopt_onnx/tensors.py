"""Tensors of ONNX files as arrays, once their declared sizes agree with their data."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.budget import MOST_AXES, Budget, require_room

# Bits of an entry, and the field that holds entries that are not raw.
_TYPES: dict[str, tuple[int, str]] = {
    "FLOAT": (32, "float_data"),
    "DOUBLE": (64, "double_data"),
    "FLOAT16": (16, "int32_data"),
    "BFLOAT16": (16, "int32_data"),
    "INT8": (8, "int32_data"),
    "INT16": (16, "int32_data"),
    "INT32": (32, "int32_data"),
    "INT64": (64, "int64_data"),
    "UINT8": (8, "int32_data"),
    "UINT16": (16, "int32_data"),
    "UINT32": (32, "uint64_data"),
    "UINT64": (64, "uint64_data"),
    "BOOL": (8, "int32_data"),
    "INT4": (4, "int32_data"),
    "UINT4": (4, "int32_data"),
    "FLOAT8E4M3FN": (8, "int32_data"),
    "FLOAT8E4M3FNUZ": (8, "int32_data"),
    "FLOAT8E5M2": (8, "int32_data"),
    "FLOAT8E5M2FNUZ": (8, "int32_data"),
}
_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def _type(tensor: TensorProto) -> tuple[int, str]:
    try:
        name = TensorProto.DataType.Name(tensor.data_type)
    except ValueError:
        name = str(tensor.data_type)
    if name not in _TYPES:
        raise so.ProblemError(f"tensors of type {name} are not read")
    return _TYPES[name]


def byte_count(tensor: TensorProto) -> int:
    """Return how many bytes the shape of a tensor needs in raw form."""
    if len(tensor.dims) > MOST_AXES or any(n < 0 for n in tensor.dims):
        raise so.ProblemError(
            f"the shape {printable(list(tensor.dims))} is not a valid shape of a tensor"
        )
    if 0 in tensor.dims:
        require_room(tensor.dims)
    return -(-math.prod(tensor.dims) * _type(tensor)[0] // 8)


def tensor_array(tensor: TensorProto) -> np.ndarray:
    """Return a tensor as an array; `ProblemError` unless it holds what its shape declares."""
    needed = byte_count(tensor)
    bits, field = _type(tensor)
    if tensor.data_location != TensorProto.DEFAULT or tensor.HasField("segment"):
        raise so.ProblemError("its data are not in the file")
    filled = [f for f in _FIELDS if len(getattr(tensor, f))]
    if tensor.HasField("raw_data"):
        found, due, right = len(tensor.raw_data), needed, []
    else:
        packed = bits < 8  # two entries of four bits share a number
        found, due = len(getattr(tensor, field)), needed if packed else math.prod(tensor.dims)
        right = [field] if due else []
    if found != due or filled != right:
        raise so.ProblemError(
            f"its shape {printable(tuple(tensor.dims))} needs {due} "
            f"{'bytes' if tensor.HasField('raw_data') else 'numbers'}, and it holds {found}"
            f"{', or numbers of another kind' if found == due else ''}"
        )
    array = numpy_helper.to_array(tensor)
    if array.dtype == bool and array.size and array.view(np.uint8).max() > 1:
        raise so.ProblemError("it holds a boolean that is neither 0 nor 1")
    return array


def sparse_array(sparse: onnx.SparseTensorProto, budget: Budget) -> np.ndarray:
    """Return a sparse tensor as a dense array."""
    shape = tuple(sparse.dims)
    if len(shape) > MOST_AXES or any(n < 0 for n in shape):
        raise so.ProblemError(f"the shape {printable(shape)} is not a valid shape of a tensor")
    require_room(shape)
    budget.keep(math.prod(shape))
    values, indices = tensor_array(sparse.values), tensor_array(sparse.indices)
    fits = indices.shape in ((values.size,), (values.size, len(shape)))
    if values.ndim != 1 or indices.dtype != np.int64 or not fits:
        raise so.ProblemError(
            f"a sparse tensor has values of shape {values.shape} and indices of shape "
            f"{indices.shape} and type {indices.dtype}"
        )
    bounds = np.array(shape if indices.ndim == 2 else [math.prod(shape)])
    places = indices.reshape(values.size, -1)
    if ((places < 0) | (places >= bounds)).any():
        raise so.ProblemError(f"a sparse tensor has an index outside {shape}")
    dense = np.zeros(shape, dtype=values.dtype)
    if indices.ndim == 2:
        dense[tuple(places.T)] = values
    else:
        dense.reshape(-1)[indices] = values
    return dense
