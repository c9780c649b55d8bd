"""What a butterfly factorization may approximate: arrays, files, tensors and linear operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.arrays import read_only, require_finite
from sparseopt.errors import ProblemError
from sparseopt.kronecker.product import KroneckerProduct

_FLOATS = ("float32", "float64", "complex64", "complex128")
_WANTED = "use float32, float64, complex64 or complex128"


def is_tensor(value: Any) -> bool:
    """Whether `value` is a torch tensor; torch itself is never imported here."""
    return hasattr(value, "detach") and hasattr(value, "device")


def is_operator(value: Any) -> bool:
    """Whether `value` is known by its products only."""
    return not isinstance(value, np.ndarray) and not is_tensor(value)


def accept_target(value: Any) -> Any:
    """Return a validated target: a read-only array view, a tensor, or a linear operator.

    Raises
    ------
    ProblemError
        Not a non-empty matrix, a dtype without a factorization, NaN or infinity by place.
    """
    if is_tensor(value):
        target = _accept_tensor(value.detach())
    elif isinstance(value, KroneckerProduct):
        target = value
    elif scipy.sparse.issparse(value) or (hasattr(value, "matvec") and hasattr(value, "shape")):
        from scipy.sparse.linalg import aslinearoperator

        target = aslinearoperator(value)
    else:
        target = _accept_array(value)
    if len(target.shape) != 2 or 0 in target.shape:
        raise ProblemError(
            f"target must be a non-empty matrix, got an object of shape {tuple(target.shape)}"
        )
    target_dtype(target)
    return target


def _accept_array(value: Any) -> np.ndarray:
    if isinstance(value, np.ma.MaskedArray):
        raise ProblemError("target is a masked array: fill the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ProblemError(f"target is ragged: its rows differ in length ({error})") from error
    if array.dtype.kind == "O":
        raise ProblemError(
            f"target holds Python objects (dtype object); {_WANTED}, for example "
            "np.asarray(target, dtype=float)"
        )
    if array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.name not in _FLOATS:
        raise ProblemError(f"target has dtype {array.dtype}; {_WANTED}")
    require_finite(array, "target")
    return read_only(array)


def _accept_tensor(tensor: Any) -> Any:
    name = str(tensor.dtype).rpartition(".")[2]
    if name.startswith(("int", "uint", "bool")):
        tensor, name = tensor.double(), "float64"
    if name not in _FLOATS:
        raise ProblemError(f"target has dtype {name}; {_WANTED}")
    if not bool(tensor.isfinite().all()):
        place = tuple(int(i) for i in (~tensor.isfinite()).nonzero()[0])
        raise ProblemError(
            f"target has a NaN or an infinity at entry {place}; remove or replace it first"
        )
    return tensor


def target_dtype(target: Any) -> np.dtype[Any]:
    """Return the NumPy dtype in which the target is factorized."""
    name = str(target.dtype).rpartition(".")[2] if is_tensor(target) else str(target.dtype)
    if is_operator(target) and target.dtype is not None:
        kind = np.dtype(name).kind if hasattr(np, name) else "f"
        name = "float64" if kind in "biu" else name
    if name not in _FLOATS:
        raise ProblemError(f"target has dtype {name}; {_WANTED}")
    return np.dtype(name)


def read_columns(target: Any, start: int, stop: int) -> np.ndarray:
    """Return columns start..stop as an array (m, stop - start); a view where there is one.

    Of an operator, the columns are its products with those of the identity.
    """
    if isinstance(target, np.ndarray):
        return target[:, start:stop]
    if is_tensor(target):
        columns = target[:, start:stop].cpu().resolve_conj().resolve_neg()
        return np.asarray(columns.numpy())
    dtype = target_dtype(target)
    identity = np.zeros((target.shape[1], stop - start), dtype=dtype)
    identity[np.arange(start, stop), np.arange(stop - start)] = 1
    columns = np.asarray(_applied(target, identity))
    if columns.shape != (target.shape[0], stop - start):
        raise ProblemError(
            f"the target operator of shape {target.shape} maps a block of shape {identity.shape} "
            f"to one of shape {columns.shape}"
        )
    require_finite(columns, f"columns {start} to {stop} of the target operator")
    return columns.astype(dtype, copy=False)


def multiply(target: Any, x: np.ndarray) -> np.ndarray:
    """Return target times a double precision matrix, as an array."""
    if is_operator(target):
        return np.asarray(_applied(target, x))
    if is_tensor(target):
        tensor = target.cpu().resolve_conj().resolve_neg().numpy()
        return np.asarray(tensor @ x)
    return np.asarray(target @ x)


def _applied(operator: Any, x: np.ndarray) -> Any:
    """Return an operator's product with a matrix; a tensor comes back as an array."""
    if isinstance(operator, KroneckerProduct):
        operator = operator.to_numpy()
    return operator.matmat(x)
