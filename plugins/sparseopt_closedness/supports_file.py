"""Reads chains of supports from JSON and NPZ files."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so


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
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            if "format" in names and "data" in names:
                return [scipy.sparse.load_npz(path)]
            matrices = [archive[name] for name in names]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise so.ProblemError(
            f"{str(path)!r} is no archive of numpy.savez or scipy.sparse.save_npz: {error}"
        ) from error
    return matrices


def _read_json(path: Path) -> so.Closedness:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise so.ProblemError(f"{str(path)!r} is not JSON, or cut short: {error}") from error
    if isinstance(document, list):
        return so.Closedness(document)
    if isinstance(document, dict):
        field = document.get("field", "real")
        if "$type" in document:
            return _from_object(path)
        if "supports" in document:
            return so.Closedness(document["supports"], field=field)
        if "I" in document and "J" in document:
            return so.Closedness([document["I"], document["J"]], field=field)
    raise so.ProblemError(
        f"{str(path)!r} holds no supports: give a list of 0/1 matrices, or an object with "
        "'supports', or with 'I' and 'J'"
    )


def _from_object(path: Path) -> so.Closedness:
    value = so.from_json(path.read_text(encoding="utf-8"))
    problem = getattr(value, "problem", value)
    if not isinstance(problem, so.Closedness):
        raise so.ProblemError(f"{str(path)!r} holds a {type(value).__name__}, not supports")
    return problem
