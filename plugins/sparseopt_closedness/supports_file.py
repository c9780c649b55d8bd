"""Reads chains of supports from JSON and NPZ files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so
from sparseopt.interface.arrays import require_sound_indices
from sparseopt.interface.printing import printable
from sparseopt.judging.array_files import read_arrays
from sparseopt.judging.files import read_text


@dataclass(frozen=True)
class SupportsFile(so.Reader):
    """Reads a chain of supports.

    JSON: a list of 0/1 matrices, an object with ``supports`` (and optionally ``field``) or with
    ``I`` and ``J``, a `Closedness` problem or a solution written by ``to_json``. NPZ: the
    matrices in the order in which they were saved, or one matrix saved by
    ``scipy.sparse.save_npz``. Entries must be 0 or 1.
    """

    def read(self, source: Any, example: Any = None) -> so.Closedness:
        """Return the problem that the file at `source` states."""
        path = Path(source)
        if path.suffix.lower() == ".npz":
            return so.Closedness(_read_npz(path))
        return _read_json(path)


def _read_npz(path: Path) -> list[Any]:
    arrays = read_arrays(path)
    if "format" in arrays and "data" in arrays:
        return [_sparse(path, arrays)]
    return list(arrays.values())


def _sparse(path: Path, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the matrix that scipy wrote; its arrays are looked at before."""
    try:
        data, form = arrays["data"], str(np.array(arrays["format"]).astype(str))
        if form in ("csr", "csc", "bsr"):
            sides = [int(side) for side in arrays["shape"]]
            if form == "bsr":
                sides = [n // block for n, block in zip(sides, data.shape[1:], strict=True)]
            require_sound_indices(form, sides, data, arrays["indices"], arrays["indptr"])
        matrix = scipy.sparse.load_npz(path)
    except Exception as error:  # scipy raises whatever it meets in arrays that do not fit
        raise so.ProblemError(
            f"{str(path)!r} holds no sparse matrix that scipy can read: {printable(error, 200)}"
        ) from error
    return matrix


def _read_json(path: Path) -> so.Closedness:
    text = read_text(path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise so.ProblemError(f"{str(path)!r} is not JSON, or cut short: {error}") from error
    if isinstance(document, list):
        return so.Closedness(document)
    if isinstance(document, dict):
        field = document.get("field", "real")
        if "$type" in document:
            return _from_object(path, text)
        if "supports" in document:
            return so.Closedness(document["supports"], field=field)
        if "I" in document and "J" in document:
            return so.Closedness([document["I"], document["J"]], field=field)
    raise so.ProblemError(
        f"{str(path)!r} holds no supports: give a list of 0/1 matrices, or an object with "
        "'supports', or with 'I' and 'J'"
    )


def _from_object(path: Path, text: str) -> so.Closedness:
    value = so.from_json(text)
    problem = getattr(value, "problem", value)
    if not isinstance(problem, so.Closedness):
        raise so.ProblemError(f"{str(path)!r} holds a {type(value).__name__}, not supports")
    return problem
