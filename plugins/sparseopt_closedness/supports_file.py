"""Reads chains of supports from JSON files and files of matrices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.judging.files import read_text
from sparseopt.tools.reading.matrices import SUFFIXES, read_matrices


@dataclass(frozen=True)
class SupportsFile(so.Reader):
    """Reads a chain of supports.

    JSON: a list of 0/1 matrices, an object with ``supports`` (and optionally ``field``) or with
    ``I`` and ``J``, a `Closedness` problem or a solution written by ``to_json``. NPZ and MAT: the
    matrices in the order in which they were saved, or one matrix saved by
    ``scipy.sparse.save_npz``. NPY, MTX and CSV: one matrix, NPY also several of one shape along a
    first axis. Entries must be 0 or 1.
    """

    def read(self, source: Any, example: Any = None) -> so.Closedness:
        """Return the problem that the file at `source` states."""
        path = Path(source)
        if path.suffix.lower() in SUFFIXES:
            return so.Closedness(_supports(path))
        return _read_json(path)


def _supports(path: Path) -> list[Any]:
    """Return the matrices of a file; an array of three axes holds several of one shape."""
    found: list[Any] = []
    for array in read_matrices(path).values():
        stacked = isinstance(array, np.ndarray) and array.ndim == 3
        found += list(array) if stacked else [array]
    return found


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
