"""Matrices in files of other programs: .npy, .npz, .mtx, .csv, .mat."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import require_sound_indices
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.interface.sparse_arrays import summed
from sparseopt.judging import limits
from sparseopt.judging.array_files import read_array, read_arrays
from sparseopt.judging.files import read_bytes, read_text
from sparseopt.tools.reading.mat_files import read_mat
from sparseopt.tools.reading.matrix_market import read_matrix_market

SUFFIXES = (".npy", ".npz", ".mtx", ".csv", ".mat")


def read_matrices(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a file holds, by name: arrays, or scipy's sparse matrices.

    Parameters
    ----------
    path : str or path
        NumPy's .npy and .npz (also of ``scipy.sparse.save_npz``), .mtx of Matrix Market, .csv with
        commas, .mat of MATLAB up to -v7. Nothing in it is run or unpickled, and what it asks for
        is bounded before it is made. Decimal numbers become the nearest float64.

    Returns
    -------
    dict of str to array or sparse array
        In the order of the file; "" is the name in formats that give none.

    Raises
    ------
    ProblemError
        If the file is not what its suffix says, is cut short, or asks for too much.
    """
    suffix, name = Path(path).suffix.lower(), repr(os.fspath(path))
    if suffix == ".npy":
        return {"": np.asarray(read_array(path))}
    if suffix == ".npz":
        return _of_archive(path, name)
    if suffix == ".mtx":
        return {"": read_matrix_market(read_text(path), name)}
    if suffix == ".csv":
        return {"": _of_table(read_text(path), name)}
    if suffix == ".mat":
        return read_mat(read_bytes(path, limits.TEXT_BYTES), name)
    raise ProblemError(f"{name} must end in {', '.join(SUFFIXES)}")


def read_matrix(path: str | os.PathLike[str], variable: str | None = None) -> np.ndarray:
    """Return the one matrix of a file, or the one of a name, as a dense array.

    Raises
    ------
    ProblemError
        As `read_matrices`; if there are several and none is named, or what is named is not there
        or no matrix of numbers.
    """
    found, name = read_matrices(path), repr(os.fspath(path))
    if variable is None and len(found) != 1:
        listed = ", ".join(printable(key) for key in list(found)[:20])
        remedy = "; name one of them by variable= (--variable on the command line)"
        held = f": {listed}{remedy}" if found else ""
        raise ProblemError(f"{name} holds {len(found)} matrices{held}")
    if variable is not None and variable not in found:
        listed = ", ".join(printable(key) or "one without a name" for key in list(found)[:20])
        raise ProblemError(f"{name} holds no {variable!r}, but {listed}")
    matrix = found[variable] if variable is not None else next(iter(found.values()))
    if matrix.ndim != 2 or matrix.dtype.kind not in "biufc":
        raise ProblemError(
            f"{name} must hold a matrix of numbers, got an array of shape {matrix.shape} and "
            f"dtype {matrix.dtype}"
        )
    if scipy.sparse.issparse(matrix):
        if matrix.shape[0] * matrix.shape[1] > limits.DENSE_ENTRIES:
            raise ProblemError(
                f"{name} holds a sparse matrix of shape {matrix.shape}; written out, at most "
                f"{limits.DENSE_ENTRIES} entries are allowed"
            )
        matrix = summed(matrix, scipy.sparse.csr_array, name).toarray()
    return np.asarray(matrix)


def _of_archive(path: str | os.PathLike[str], name: str) -> dict[str, Any]:
    arrays = read_arrays(path)
    if not ("format" in arrays and "data" in arrays):
        return dict(arrays)
    try:  # one matrix that scipy wrote: its arrays are looked at before
        form = str(np.array(arrays["format"]).astype(str))
        if form in ("csr", "csc", "bsr"):
            data, sides = arrays["data"], [int(side) for side in arrays["shape"]]
            if form == "bsr":
                sides = [n // block for n, block in zip(sides, data.shape[1:], strict=True)]
            require_sound_indices(form, sides, data, arrays["indices"], arrays["indptr"])
        return {"": scipy.sparse.load_npz(path)}
    except Exception as error:  # scipy raises whatever it meets in arrays that do not fit
        raise ProblemError(
            f"{name} holds no sparse matrix that scipy can read: {printable(error, 200)}"
        ) from error


def _of_table(text: str, name: str) -> np.ndarray:
    text = text.removeprefix("\ufeff")  # which spreadsheets put in front
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ProblemError(f"{name} is empty")
    kind = complex if "j" in text else float
    try:
        return np.loadtxt(lines, dtype=kind, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ProblemError(
            f"{name} must hold rows of numbers with commas between them, without a heading: "
            f"{printable(error, 200)}"
        ) from error
