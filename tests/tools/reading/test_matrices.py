"""Matrices of other programs: what they wrote is read, what lies about itself is refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse

import sparseopt as so
from sparseopt.judging import limits
from sparseopt.tools.reading.matrices import read_matrices, read_matrix

RNG = np.random.default_rng(0)
REAL = RNG.standard_normal((4, 3))
COMPLEX = REAL + 1j * RNG.standard_normal((4, 3))
SPARSE = scipy.sparse.random_array((40, 30), density=0.1, random_state=RNG, format="csc")
MASK = (RNG.random((5, 4)) < 0.5).astype(float)


def save_csv(path: Path, matrix: Any) -> None:
    np.savetxt(path, np.asarray(matrix), delimiter=",")


def save_mat(path: Path, matrix: Any, **options: Any) -> None:
    scipy.io.savemat(path, {"A": matrix}, **options)


WRITERS: dict[str, tuple[str, Callable[[Path, Any], None]]] = {
    "npy": ("a.npy", lambda path, m: np.save(path, m)),
    "npy, by columns": ("a.npy", lambda path, m: np.save(path, np.asfortranarray(m))),
    "npz": ("a.npz", lambda path, m: np.savez(path, A=m)),
    "npz, compressed": ("a.npz", lambda path, m: np.savez_compressed(path, A=m)),
    "mtx": ("a.mtx", lambda path, m: scipy.io.mmwrite(path, m)),
    "csv": ("a.csv", save_csv),
    "mat": ("a.mat", save_mat),
    "mat, compressed": ("a.mat", lambda path, m: save_mat(path, m, do_compression=True)),
}


@pytest.mark.parametrize("way", WRITERS)
@pytest.mark.parametrize(
    "matrix",
    [REAL, COMPLEX, MASK, REAL[:1], REAL[:, :1], REAL[:1, :1], 1e-300 * REAL, 1e300 * REAL],
    ids=["real", "complex", "0/1", "a row", "a column", "1 x 1", "tiny", "huge"],
)
def test_what_was_written_is_read(way: str, matrix: np.ndarray, tmp_path: Path) -> None:
    name, write = WRITERS[way]
    write(tmp_path / name, matrix)
    found = read_matrix(tmp_path / name)
    assert np.allclose(found, matrix, rtol=1e-14, atol=0)
    assert found.dtype.kind == matrix.dtype.kind


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint16", "int64", "complex64", "bool"])
def test_other_kinds_of_numbers(dtype: str, tmp_path: Path) -> None:
    matrix = np.array([[1, 0, 1], [0, 1, 1]], dtype=dtype)
    for name, write in (WRITERS["npy"], WRITERS["npz"], WRITERS["mat"]):
        write(tmp_path / name, matrix)
        assert np.array_equal(read_matrix(tmp_path / name), matrix)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.npz", lambda path: scipy.sparse.save_npz(path, SPARSE)),
        ("a.mtx", lambda path: scipy.io.mmwrite(path, SPARSE)),
        ("a.mat", lambda path: save_mat(path, SPARSE)),
        ("b.mat", lambda path: save_mat(path, SPARSE, do_compression=True)),
    ],
)
def test_sparse_matrices(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    (held,) = read_matrices(tmp_path / name).values()
    assert scipy.sparse.issparse(held)
    assert np.allclose(read_matrix(tmp_path / name), SPARSE.toarray())


@pytest.mark.parametrize("field", ["real", "complex", "integer", "pattern"])
@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric", "hermitian"])
@pytest.mark.parametrize("form", ["array", "coordinate"])
def test_matrix_market_against_scipy(field: str, symmetry: str, form: str, tmp_path: Path) -> None:
    if (field == "pattern" and (form == "array" or "symmetric" not in symmetry)) or (
        symmetry == "hermitian" and field != "complex"
    ):
        pytest.skip("the format has no such files")
    rng = np.random.default_rng(3)
    matrix = rng.integers(-3, 4, (5, 5)) * (1 + 1j * (field == "complex"))
    matrix = {
        "general": matrix,
        "symmetric": matrix + matrix.T,
        "skew-symmetric": matrix - matrix.T,
        "hermitian": matrix + matrix.conj().T,
    }[symmetry]
    matrix = (matrix if field == "complex" else matrix.real).astype(
        {"integer": np.int64, "complex": complex}.get(field, float)
    )
    path = tmp_path / "a.mtx"
    given = matrix if form == "array" else scipy.sparse.coo_array(matrix)
    scipy.io.mmwrite(path, given, field=field, symmetry=symmetry)
    expected = scipy.io.mmread(path)
    expected = expected.toarray() if form == "coordinate" else expected
    assert np.array_equal(read_matrix(path), expected)


def test_several_matrices_are_told_apart_by_name(tmp_path: Path) -> None:
    mat, npz = tmp_path / "a.mat", tmp_path / "a.npz"
    others = {"text": "words", "cell": np.array([{"x": 1}, 2], dtype=object), "s": {"a": 1}}
    scipy.io.savemat(mat, {"A": REAL, **others, "B": MASK})
    np.savez(npz, A=REAL, B=MASK)
    for path in (mat, npz):
        assert list(read_matrices(path)) == ["A", "B"]
        assert np.array_equal(read_matrix(path, "B"), MASK)
        with pytest.raises(so.ProblemError, match=r"holds 2 matrices: A, B; name one.*--variable"):
            read_matrix(path)
        with pytest.raises(so.ProblemError, match="holds no 'C', but A, B"):
            read_matrix(path, "C")


def test_files_of_matlab_on_machines_of_the_other_order(tmp_path: Path) -> None:
    flags = struct.pack(">IIII", 6, 8, 6, 0)
    shape = struct.pack(">IIii", 5, 8, 1, 2)
    name = struct.pack(">HHc3x", 1, 1, b"A")
    data = struct.pack(">IIdd", 9, 16, 1.5, -2.0)
    body = flags + shape + name + data
    path = tmp_path / "a.mat"
    path.write_bytes(
        b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + struct.pack(">II", 14, len(body)) + body
    )
    assert np.array_equal(read_matrix(path), [[1.5, -2.0]])


def mat(kind: int, body: bytes) -> bytes:
    return b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", kind, len(body)) + body


def array(shape: tuple[int, int], data: bytes, kind: int = 6) -> bytes:
    body = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<IIii", 5, 8, *shape)
    return body + struct.pack("<HHc3x", 1, 1, b"A") + data


NUMBER = struct.pack("<IId", 9, 8, 1.0)
BAD: list[tuple[str, bytes, str]] = [
    ("a.mat", b"", "not a .mat file"),
    ("a.mat", b"\x89HDF\r\n" * 40, "7.3"),
    ("a.mat", b"MATLAB 7.3 MAT-file".ljust(600), "7.3"),
    ("a.mat", mat(14, array((1, 1), NUMBER))[:-4], "cut short"),
    ("a.mat", mat(14, array((1 << 20, 1 << 20), NUMBER)), "shape"),
    ("a.mat", mat(14, array((-1, 1), NUMBER)), "shape"),
    ("a.mat", mat(14, array((1 << 30, 1 << 30), NUMBER, 5)), "shape"),
    ("a.mat", mat(14, array((1, 1), NUMBER, 5)), "1 parts"),
    ("a.mat", mat(14, array((1, 1), NUMBER * 3, 5)), "starts of"),
    ("a.mat", mat(14, array((1, 1), struct.pack("<IIi4x", 1 << 8, 4, 1))), "unknown kind"),
    ("a.mat", mat(14, array((1, 1), struct.pack("<II", 9, 1 << 31))), "cut short"),
    ("a.mat", mat(15, b"no zlib"), "damaged"),
    ("a.mat", mat(15, zlib.compress(b"")), "cut short"),
    ("a.mat", mat(14, array((1, 1), NUMBER, 17)), "holds 0 matrices"),
    ("a.mat", mat(14, b"words of no form"), "damaged"),
    ("a.mat", mat(14, array((2, 2), NUMBER)), "cut short"),
    ("a.csv", b"", "is empty"),
    ("a.csv", b"# words only\n\n", "is empty"),
    ("a.csv", b"a,b\n1,2\n", "without a heading"),
    ("a.csv", b"1,2\n3\n", "rows of numbers"),
    ("a.csv", b"\xff\xfe", "not text"),
    ("a.mtx", b"", "not a Matrix Market"),
    ("a.mtx", b"%%MatrixMarket matrix array real general\n9999 9999\n1\n", "cut short"),
    (
        "a.mtx",
        b"%%MatrixMarket matrix coordinate real general\n9 9 99999999999\n1 1 1\n",
        "cut short",
    ),
    (
        "a.mtx",
        b"%%MatrixMarket matrix coordinate real general\n999999999 9 1\n1 1 1\n",
        "too large",
    ),
    ("a.mtx", b"%%MatrixMarket matrix coordinate real general\n2 2 1\n3 1 1\n", "outside"),
    ("a.mtx", b"%%MatrixMarket matrix array real general\n2 2\n1\n2\n", "cut short"),
    ("a.mtx", b"%%MatrixMarket matrix array real general\n2 x\n1\n", "state its size"),
    ("a.mtx", b"%%MatrixMarket matrix array real general\n1 1\nx\n", "must hold numbers"),
    ("a.mtx", b"%%MatrixMarket matrix array pattern general\n1 1\n", "without values"),
    ("a.mtx", b"%%MatrixMarket matrix array real symmetric\n1 2\n1\n", "is symmetric"),
    ("a.mtx", b"%%MatrixMarket vector array real general\n1 1\n1\n", "is not a Matrix"),
    ("a.npy", b"no array", "not an array"),
    ("a.npz", b"no archive", "not a zip"),
    ("a.txt", b"1 2", "must end in .npy"),
]


@pytest.mark.parametrize(("name", "content", "words"), BAD)
def test_files_that_are_not_what_they_say(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(so.ProblemError, match=words):
        read_matrix(path)


def test_what_inflates_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "INFLATED_BYTES", 1 << 20)
    path = tmp_path / "a.mat"
    save_mat(path, np.zeros((1000, 1000)), do_compression=True)
    assert path.stat().st_size < 1 << 16
    with pytest.raises(so.ProblemError, match="inflate"):
        read_matrix(path)


def test_a_sparse_matrix_of_too_many_entries_is_not_written_out(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    path.write_text("%%MatrixMarket matrix coordinate real general\n99999 99999 1\n1 1 1\n")
    with pytest.raises(so.ProblemError, match="written out"):
        read_matrix(path)


def test_a_missing_file_and_arrays_of_other_shapes(tmp_path: Path) -> None:
    with pytest.raises(so.ProblemError, match="does not exist"):
        read_matrix(tmp_path / "a.mtx")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(so.ProblemError, match=r"got an array of shape \(3,\)"):
        read_matrix(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array([["a"]]))
    with pytest.raises(so.ProblemError, match="a matrix of numbers"):
        read_matrix(tmp_path / "b.npy")


@pytest.mark.parametrize("way", WRITERS)
def test_supports_of_any_file(way: str, tmp_path: Path) -> None:
    name, write = WRITERS[way]
    write(tmp_path / name, MASK)
    problem = so.read(tmp_path / name)
    assert [s.tolist() for s in problem.supports] == [(MASK != 0).tolist()]


def test_chains_in_one_file(tmp_path: Path) -> None:
    lower, upper = np.tri(2), np.tri(2).T
    np.save(tmp_path / "a.npy", np.array([lower, upper]))
    scipy.io.savemat(tmp_path / "a.mat", {"I": lower != 0, "J": scipy.sparse.csc_array(upper)})
    for name in ("a.npy", "a.mat"):
        assert so.solve(so.read(tmp_path / name)).answer.value == "not_closed"
    save_csv(tmp_path / "a.csv", 2 * MASK)
    with pytest.raises(so.ProblemError, match="only 0 and 1"):
        so.read(tmp_path / "a.csv")
