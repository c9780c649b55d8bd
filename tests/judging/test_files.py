"""Reading of regular files, and supports in files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from array_files import refused

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.judging.array_files import read_arrays
from sparseopt.judging.files import read_bytes, read_text


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "pipe", "a pipe, socket or device"),
        (Path("/dev/zero"), "a pipe, socket or device"),
        (tmp_path, "is a folder"),
        (tmp_path / "missing", "does not exist"),
        (tmp_path / "nul\0", "cannot be read"),
    ):
        assert words in refused(read_text, path)
    assert "a pipe, socket or device" in refused(so.verify, tmp_path / "pipe")


def test_a_pipe_put_in_the_place_of_a_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    usual = os.open

    def exchanged(name: Any, *more: Any, **options: Any) -> int:
        path.unlink()
        os.mkfifo(path)
        return usual(name, *more, **options)

    monkeypatch.setattr(os, "open", exchanged)
    assert "a pipe, socket or device" in refused(read_text, path)


def test_sizes_are_looked_at_first(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xff")
    assert "not text in UTF-8" in refused(read_text, path)
    with path.open("wb") as file:
        file.truncate(limits.TEXT_BYTES + 1)  # a hole, which takes no room
    assert "is too large" in refused(read_text, path)
    assert "cut short" in refused(read_bytes, path, 10, limits.TEXT_BYTES, 5)
    assert read_bytes(path, 10, 3, 2) == b"\0\0"


def test_texts_are_shown_short_and_printable() -> None:
    assert printable("a\x1b[2J\n") == "a\\x1b[2J\\n"
    assert len(printable("x" * 1000)) == 80
    assert printable("é") == "é"


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
def test_sparse_supports(form: str, tmp_path: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "a.npz", scipy.sparse.eye_array(3, format=form))
    problem = so.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(problem.supports[0], np.eye(3, dtype=bool))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": np.array([1 << 30, 1 << 30])}, "no sparse matrix"),
        ({"shape": np.array([-3, 3])}, "no sparse matrix"),
        ({"indices": np.array([0, 1, 99])}, "no sparse matrix"),
        ({"indices": np.array([0, 1, -9])}, "no sparse matrix"),
        ({"indptr": np.array([0, 1, 2, 999])}, "no sparse matrix"),
        ({"indptr": np.array([0, 1, 3_222_787, -1_880_445_338], np.int32)}, "do not fit"),
        ({"indptr": np.array([0, 2, 1, 3])}, "do not fit"),
        ({"format": np.array(b"xyz")}, "no sparse matrix"),
        ({"format": np.array("csr\x1b[2J")}, "no sparse matrix"),
        ({"format": np.array(b"coo"), "row": np.arange(3), "col": np.arange(3),
          "shape": np.array([1 << 40, 1 << 40])}, "are stored dense"),
        ({"format": np.array(b"dia"), "offsets": np.array([0]), "data": np.ones((1, 3)),
          "shape": np.array([1 << 40, 1 << 40])}, "are stored dense"),
    ],
)  # fmt: skip
def test_bad_sparse_supports(change: dict[str, np.ndarray], words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    scipy.sparse.save_npz(path, scipy.sparse.eye_array(3, format="csr"))
    np.savez(path, **{**read_arrays(path), **change})
    assert words in refused(so.read, path)
