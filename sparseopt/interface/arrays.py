"""Checks of array arguments shared by the problems; each error names the entry and the remedy."""

from __future__ import annotations

import cmath
import contextlib
import os
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.judging import limits


class SparseMatrix(Protocol):
    """What type checkers know of SciPy's sparse matrices and arrays, which need not have stubs."""

    def toarray(self) -> Any:
        """Return the matrix, written out."""
        ...


_LARGEST_INTEGER = 2**63 - 1
_EXACT = 2.0**53
"""Integers below are floats."""
_FEW = 1 << 12
_FINITE_CHUNK = 1 << 20
NUMBERS = int | float | Fraction | np.integer | np.floating
"""What figures may be, with `isinstance`; booleans, which are of these too, are refused."""

INTEGERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4")
"""Integers, but those of 64 bits without a sign, which turn negative in int64."""

_HELD = frozenset(np.dtype(letter).num for letter in "?bhiBHIefdFD")
"""Dtypes all of whose numbers float64, or complex128, holds; those of long doubles are not."""

MatrixLike = ArrayLike | SparseMatrix
"""What constructors take for a matrix."""

Supports = Sequence[MatrixLike] | np.ndarray
"""What constructors take for a chain of supports."""


def on_device(value: Any) -> bool:
    """Whether `value` is an array of CuPy, which is never imported here."""
    return hasattr(type(value), "__cuda_array_interface__") and hasattr(value, "get")


def beside(array: np.ndarray, sample: Any) -> Any:
    """Return a NumPy array as one of CuPy, on the device of `sample`."""
    with sample.device:
        return library_of(sample).asarray(array)


def library_of(array: Any) -> Any:
    """Return the module that the class of an array comes from; there is one, so it is there."""
    return sys.modules[type(array).__module__.partition(".")[0]]


def require_finite_beside(array: Any, name: str) -> None:
    """Refuse NaN and infinity in an array on a device; it is copied only to name the entry."""
    if not bool((array - array == 0).all()):
        require_finite(array.get(), name)


def as_array(value: Any, name: str) -> np.ndarray:
    """Return `numpy.asarray` of a value, without rounding: it makes floats of large integers where
    a list or a table holds a float, or integers of both signs beyond those of 64 bits.

    Raises
    ------
    ProblemError
        What NumPy makes no array of, a mask, or an integer that float64 does not hold, by entry.
    """
    return value if type(value) is np.ndarray else _as_new_array(value, name)


def _as_new_array(value: Any, name: str) -> np.ndarray:
    if isinstance(value, str | os.PathLike):
        raise ProblemError(f"{name} is {short(str(value))}, no array; load a file first")
    value = _of_tensor(value, name) if hasattr(value, "detach") else value
    _require_unmasked(value, name)  # first: NumPy warns of some masks, and raises at others
    try:
        array = np.asarray(unmasked(np.asanyarray(value), name))
    except ValueError as error:
        raise no_array(name, error) from error
    made = array.dtype.kind in "fc" and not hasattr(value, "dtype")  # else it is of one
    if made and np.abs(array).max(initial=0) >= _EXACT:
        _require_one_dtype(value, name)
        for place, item in np.ndenumerate(np.asarray(value, dtype=object)):
            number = item.item() if hasattr(item, "item") else item
            if isinstance(number, int) and number != array[place].item():
                raise ProblemError(
                    f"{name} holds {short(number)} at entry {place}, which float64 does not; pass "
                    "float64 numbers"
                )
    return array


def _of_tensor(tensor: Any, name: str) -> Any:
    """Return a tensor of torch as an array; NumPy knows neither gradients nor bfloat16."""
    try:
        held = tensor.detach().cpu().resolve_conj().resolve_neg()
        return (held.float() if str(held.dtype) == "torch.bfloat16" else held).numpy()
    except (TypeError, RuntimeError) as error:
        raise ProblemError(
            f"{name} is a tensor that NumPy cannot hold ({tensor.dtype}, {tensor.layout}); pass "
            "dense numbers of a usual dtype"
        ) from error


def as_indices(value: Any, name: str) -> np.ndarray:
    """Return `as_array` of places; refuse truth values among numbers, which would be 0 and 1."""
    if isinstance(value, Sequence) and 0 < sum(map(_is_truth, value)) < len(value):
        raise ProblemError(f"{name} holds truth values among numbers; give numbers only")
    return as_array(value, name)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _require_one_dtype(value: Any, name: str) -> None:
    """Refuse tables of several dtypes: what they give as an array is rounded already."""
    if (
        len(getattr(value, "shape", ())) == 2
        and len(set(map(str, getattr(value, "dtypes", ())))) > 1
    ):
        raise ProblemError(
            f"{name} is a table of several dtypes with numbers from 2^53 on, which float64 need "
            "not hold; pass an array of float64 numbers"
        )


def _require_unmasked(value: Any, name: str) -> None:
    """Refuse masks, also of arrays within lists."""
    if isinstance(value, np.ma.MaskedArray):
        _refuse_mask(name)
    for item in value if _is_list(value) else ():
        if _is_list(item) or isinstance(item, np.ma.MaskedArray):
            _require_unmasked(item, name)


def _is_list(value: Any) -> bool:
    """Whether it is a list or a tuple, or acts as one: texts hold texts without end, and views of
    memory are arrays, of any dimension."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | memoryview)


def unmasked(value: Any, name: str) -> Any:
    """Return a value as it is; refuse arrays with masks, which `numpy.asarray` would drop."""
    return _refuse_mask(name) if isinstance(value, np.ma.MaskedArray) else value


def _refuse_mask(name: str) -> NoReturn:
    raise ProblemError(
        f"{name} is a masked array; fill or drop the masked entries first (.filled(value))"
    )


def no_array(name: str, error: ValueError) -> ProblemError:
    """Return the error for what NumPy makes no array of, in our words where they are known."""
    ragged = "inhomogeneous" in str(error)
    why = "is ragged: its rows differ in length" if ragged else f"is no array: {error}"
    return ProblemError(f"{name} {why}")


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view of `array` that cannot be written through; no copy."""
    view = array.view()
    view.flags.writeable = False
    return view


def require_sound_indices(
    form: str, shape: Sequence[int], data: np.ndarray, indices: np.ndarray, starts: np.ndarray
) -> None:
    """Refuse the arrays of a compressed sparse array (csr, csc; bsr by its blocks) of a file.

    The compiled code of scipy trusts them: it reads wherever they point. And what scipy checks, it
    checks after it has cut indices to integers and dropped entries beyond the last start. The
    length of `starts` is one side of the shape; the other, which only the shape tells, is limited.

    Parameters
    ----------
    form : {"csr", "csc", "bsr"}
    shape : (int, int)
        Counted in blocks for "bsr".
    data, indices, starts : array
        ``data``, ``indices`` and ``indptr`` of scipy.
    """
    major, minor = reversed(shape) if form == "csc" else shape
    sound = (
        data.ndim == (3 if form == "bsr" else 1)
        and indices.ndim == 1
        and indices.dtype.kind in "iu"
        and starts.dtype.kind in "iu"
        and starts.shape == (major + 1,)
        and minor <= limits.DENSE_ENTRIES
        and starts[0] == 0
        and bool((starts[:-1] <= starts[1:]).all())
        and starts[-1] == len(indices) == len(data)
        and bool(((indices >= 0) & (indices < minor)).all())
    )
    if not sound:
        raise ProblemError("the index arrays of a sparse array do not fit its shape")


def as_figure(value: Any, name: str) -> float:
    """Return a stated number as a float; refuse what float64 does not hold, and all else."""
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        raise ProblemError(f"{name} must be a number, got {short(value)}")
    with contextlib.suppress(OverflowError):
        # NumPy would compare its integers in float64.
        if (x := float(value)) == (value.item() if hasattr(value, "item") else value) or x != x:
            return x
    raise ProblemError(f"{name} is {short(value)}, which float64 does not hold; round it first")


def as_estimate(value: Any, name: str) -> float:
    """Return a number as a float, rounded: of predicted seconds and bytes nothing depends on it."""
    if isinstance(value, NUMBERS) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            return float(value)
    return as_figure(value, name)


def as_count(value: Any, name: str) -> int:
    """Return a positive integer, of Python or NumPy, as an int; refuse everything else."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ProblemError(f"{name} must be a positive integer, got {short(value)}")
    return int(value)


def require_finite(array: np.ndarray, name: str, corner: Sequence[int] = ()) -> None:
    """Refuse NaN and infinity, naming the first bad entry. O(size), no large temporary.

    Of a block of a larger array, `corner` is the place of its first entry.
    """
    if array.dtype.kind not in "fc" or array.size == 0:
        return
    if array.size < _FEW:
        if np.isfinite(array).all():
            return
    else:
        # A NaN or infinity anywhere survives the sum; a finite overflow is settled below.
        with np.errstate(over="ignore", invalid="ignore"):
            if cmath.isfinite(array.sum()):
                return
    rows, count, place = np.atleast_1d(array), 0, ()
    step = max(1, _FINITE_CHUNK * len(rows) // array.size)
    for start in range(0, len(rows), step):
        bad = np.argwhere(~np.isfinite(rows[start : start + step]))
        if len(bad) and not count:
            place = tuple((bad[0] + ([start] + [0] * (rows.ndim - 1))).tolist())[: array.ndim]
        count += len(bad)
    if count:
        whole = tuple(map(sum, zip(place, corner, strict=True))) if corner else place
        raise ProblemError(f"{name} has {bad_entries(array[place], whole, count)}")


def bad_entries(value: Any, place: tuple[int, ...], count: int) -> str:
    """Return in words that an entry is NaN or infinite, how many are, and what to do."""
    article = "an" if str(value).startswith("inf") else "a"
    found = f"{article} {value!s} at entry {place}"
    if count == 1:
        return f"{found}; remove or replace it first"
    return f"{found} ({count} such entries); remove or replace them first"


def to_double(array: np.ndarray, name: str, corner: Sequence[int] = ()) -> np.ndarray:
    """Return float64 or complex128; refuse numbers that float64 does not hold, by entry.

    Of a block of a larger array, `corner` is the place of its first entry.
    """
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, copy=False)
    if array.dtype.num not in _HELD and (array.astype(object) != wide.astype(object)).any():
        place = tuple(np.argwhere(array.astype(object) != wide.astype(object))[0].tolist())
        whole = tuple(map(sum, zip(place, corner, strict=True))) if corner else place
        raise ProblemError(
            f"{name} holds {array[place]} at entry {whole}, which float64 does not; pass "
            "float64 numbers"
        )
    return wide


def as_int64(array: np.ndarray, name: str) -> np.ndarray:
    """Return integers in int64; refuse those that it does not hold, which would turn negative."""
    if array.dtype.kind == "u" and array.size and int(array.max()) > _LARGEST_INTEGER:
        raise ProblemError(f"{name} holds {array.max()}, which int64 does not")
    return array.astype(np.int64, copy=False)
