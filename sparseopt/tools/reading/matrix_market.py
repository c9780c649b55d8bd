"""Matrices in files of Matrix Market (.mtx), read here.

scipy's reader is not asked: on damaged files it may end the process.

Source: Boisvert, Pozo, Remington, The Matrix Market exchange formats, NISTIR 5935 (1996).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable

_FORMS = ("coordinate", "array")
_FIELDS = {"real": 1, "integer": 1, "double": 1, "complex": 2, "pattern": 0}
"""Numbers that each entry has besides its place."""
_SYMMETRIES = ("general", "symmetric", "skew-symmetric", "hermitian")
_MOST_LINES = 1 << 27
"""Rows and columns together: each takes a number, also where it is empty."""


def read_matrix_market(text: str, name: str) -> Any:
    """Return the matrix of a file: an array, or a sparse array of its entries.

    Raises
    ------
    ProblemError
        If it is no such file, is cut short, has entries outside of the matrix, or integers that
        float64 need not hold.
    """
    head, _, rest = text.partition("\n")
    words = head.lower().split()
    known = len(words) == 5 and words[0] == "%%matrixmarket" and words[1] == "matrix"
    if (
        not known
        or words[2] not in _FORMS
        or words[3] not in _FIELDS
        or words[4] not in _SYMMETRIES
    ):
        raise ProblemError(f"{name} is not a Matrix Market file: it begins {printable(head)!r}")
    form, field, symmetry = words[2:]
    if form == "array" and field == "pattern":
        raise ProblemError(f"{name} is an array without values")
    lines = (line for line in rest.splitlines() if line.strip() and not line.startswith("%"))
    sizes = _sizes(next(lines, ""), form, name)
    numbers = _numbers(" ".join(lines), name)
    if field == "integer" and np.abs(numbers).max(initial=0) >= 2.0**53:
        raise ProblemError(f"{name} holds integers from 2^53 on, which float64 need not hold")
    if form == "array":
        return _array(numbers, sizes, field, symmetry, name)
    return _coordinates(numbers, sizes, field, symmetry, name)


def _sizes(line: str, form: str, name: str) -> list[int]:
    words = line.split()
    count = 2 if form == "array" else 3
    if len(words) != count or not all(w.isdecimal() and w.isascii() and len(w) < 16 for w in words):
        raise ProblemError(f"{name} must state its size, got {printable(line)!r}")
    sizes = [int(word) for word in words]
    if sizes[0] + sizes[1] > _MOST_LINES:
        raise ProblemError(f"{name} declares {sizes[0]} x {sizes[1]} entries; it is too large")
    return sizes


def _numbers(text: str, name: str) -> np.ndarray:
    try:
        return np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise ProblemError(f"{name} must hold numbers: {printable(error, 200)}") from error


def _require_count(numbers: np.ndarray, needed: int, name: str) -> None:
    if len(numbers) != needed:
        raise ProblemError(f"{name} holds {len(numbers)} numbers, not {needed}; it is cut short")


def _array(
    numbers: np.ndarray, sizes: list[int], field: str, symmetry: str, name: str
) -> np.ndarray:
    """Return an array from its entries, column after column; of a symmetric one the lower half."""
    rows, columns = sizes
    each = _FIELDS[field]
    if symmetry == "general":
        _require_count(numbers, rows * columns * each, name)
        return _values(numbers, field).reshape(columns, rows).T
    skew = int(symmetry == "skew-symmetric")
    if rows != columns:
        raise ProblemError(f"{name} is {symmetry}, but {rows} x {columns}")
    _require_count(numbers, rows * (rows + 1 - 2 * skew) // 2 * each, name)
    values = _values(numbers, field)
    # Of a matrix by columns the lower half, which is by rows the upper half of the transpose.
    column, row = np.triu_indices(rows, skew)
    full = np.zeros((rows, rows), dtype=values.dtype)
    full[row, column] = values
    full[column, row] = _mirrored(values, symmetry)
    return full


def _coordinates(
    numbers: np.ndarray, sizes: list[int], field: str, symmetry: str, name: str
) -> Any:
    rows, columns, entries = sizes
    each = 2 + _FIELDS[field]
    _require_count(numbers, entries * each, name)
    table = numbers.reshape(entries, each)
    places = table[:, :2]
    fits = (places >= 1) & (places <= (rows, columns)) & (places == np.floor(places))
    if not fits.all():
        entry = int(np.argmin(fits.all(axis=1)))
        raise ProblemError(f"{name}: entry {entry + 1} stands outside of the {rows} x {columns}")
    row, column = places.astype(np.int64).T - 1
    values = np.ones(entries) if field == "pattern" else _values(table[:, 2:].ravel(), field)
    if symmetry != "general":
        if rows != columns:
            raise ProblemError(f"{name} is {symmetry}, but {rows} x {columns}")
        off = row != column
        mirrored = _mirrored(values[off], symmetry)
        row, column = np.append(row, column[off]), np.append(column, row[off])
        values = np.append(values, mirrored)
    return scipy.sparse.coo_array((values, (row, column)), shape=(rows, columns))


def _values(numbers: np.ndarray, field: str) -> np.ndarray:
    return numbers[::2] + 1j * numbers[1::2] if field == "complex" else numbers


def _mirrored(values: np.ndarray, symmetry: str) -> np.ndarray:
    if symmetry == "skew-symmetric":
        return -values
    return values.conj() if symmetry == "hermitian" else values
