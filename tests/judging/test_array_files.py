"""Arrays in .npy and .npz files."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from array_files import refused
from typer.testing import CliRunner

import sparseopt as so
from sparseopt.cli.main import app
from sparseopt.judging import limits
from sparseopt.judging.array_files import read_array, read_arrays
from sparseopt.judging.files import Archive, open_regular


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    form = "<H" if version == b"\x01\x00" else "<I"
    return b"\x93NUMPY" + version + struct.pack(form, len(text)) + text + data


def described(shape: str, descr: str = "'<f8'", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


EIGHT = bytes(8)
ARRAYS = {
    "giant": (npy(described("(1000000, 10000000000)"), EIGHT), "declares the shape"),
    "one-more": (npy(described("(2,)"), EIGHT), "declares the shape"),
    "negative": (npy(described("(-1,)"), EIGHT), "declares the shape"),
    "empty-giant": (npy(described(f"(0, {1 << 62})")), "without entries"),
    "empty-long": (npy(described(f"({1 << 21}, 0)")), "without entries"),
    "empty-twice": (npy(described("(1048576, 1048576, 0)")), "without entries"),
    "axes": (npy(described("(" + "1," * 60 + ")"), EIGHT), "declares the shape"),
    "object": (npy(described("(1,)", "'|O'"), pickle.dumps(1)), "nothing is unpickled"),
    "structured": (npy(described("(1,)", "[('a', '<f8')]"), EIGHT), "numbers are read"),
    "subarray": (npy(described("(1,)", "'(10,)f8'"), bytes(80)), "numbers are read"),
    "void": (npy(described("(1,)", "'V8'"), EIGHT), "numbers are read"),
    "date": (npy(described("(1,)", "'<M8[s]'"), EIGHT), "numbers are read"),
    "long-text": (npy(described("(1,)", "'S1000000000'"), EIGHT), "numbers are read"),
    "wide": (npy(described("(1,)", "'V99999999999'"), EIGHT), "not an array saved by numpy"),
    "no-dtype": (npy(described("(1,)", "'zz'"), EIGHT), "not an array saved by numpy"),
    "fortran": (npy(described("(1,)", fortran="2"), EIGHT), "not an array saved by numpy"),
    "shape-text": (npy(described("'x'"), EIGHT), "not an array saved by numpy"),
    "shape-float": (npy(described("(1.0,)"), EIGHT), "not an array saved by numpy"),
    "shape-digits": (npy(described(f"({'9' * 5000},)"), EIGHT), "not an array saved by numpy"),
    "code": (npy("__import__('os').system('true')", EIGHT), "not an array saved by numpy"),
    "deep": (npy("(" * 9000, EIGHT), "not an array saved by numpy"),
    "deeper": (npy("-" * 9000 + "1", EIGHT), "not an array saved by numpy"),
    "long": (
        npy(described("(1,)") + " " * 70_000, EIGHT, b"\x02\x00"),
        "not an array saved by numpy",
    ),
    "version": (npy(described("(1,)"), EIGHT, b"\x09\x00"), "not an array saved by numpy"),
    "nothing": (b"", "not an array saved by numpy"),
    "magic": (b"\x93NUMPY", "not an array saved by numpy"),
    "pickle": (pickle.dumps([1]), "not an array saved by numpy"),
}


@pytest.mark.parametrize("name", list(ARRAYS))
def test_bad_arrays(name: str, tmp_path: Path) -> None:
    content, words = ARRAYS[name]
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    assert words in refused(read_array, path)
    done = CliRunner().invoke(app, ["factorize", str(path), "--architecture", "square-dyadic"])
    assert isinstance(done.exception, so.ProblemError)
    archive = tmp_path / "a.npz"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.npy", content)
    assert words in refused(read_arrays, archive)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(4, dtype=">i2"),
        np.ones((2, 2), np.complex64),
        np.zeros((0, 3)),
        np.float32(3),
        np.array(True),
    ],
)
def test_honest_arrays(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array, other=array)
    for found in (read_array(tmp_path / "a.npy"), *read_arrays(tmp_path / "a.npz").values()):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
    assert list(read_arrays(tmp_path / "a.npz")) == ["other", "arr_0"]


def test_large_matrices_are_mapped_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    rows = 1 << 20
    with path.open("wb") as file:
        file.write(npy(described(f"({rows}, 4096)")))
        file.truncate(file.tell() + rows * 4096 * 8)  # 32 GiB, of holes
    assert read_array(path)[-1, -1] == 0


def archive_of(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def directory_of(path: Path) -> tuple[bytearray, int]:
    """Return an archive, and the place of its only entry in the table of contents."""
    content = bytearray(path.read_bytes())
    return content, content.rindex(b"PK\x01\x02")


def test_strange_archives(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    good = npy(described("(1,)"), EIGHT)
    path.write_bytes(b"junk")
    assert "not a zip archive" in refused(read_arrays, path)
    archive_of(path, {"readme.txt": b"x"})
    assert "is not an array" in refused(read_arrays, path)
    archive_of(path, {"a.npy": good}, zipfile.ZIP_BZIP2)
    assert "a method other than deflate" in refused(read_arrays, path)
    archive_of(path, {"a.npy": good})
    for at, value, words in (
        (8, b"\x01\x00", "is encrypted"),
        (16, b"\0\0\0\0", "damaged"),  # the checksum
        (24, struct.pack("<I", 1 << 30), "two sizes"),
    ):
        content, place = directory_of(path)
        content[place + at : place + at + len(value)] = value
        (tmp_path / "b.npz").write_bytes(content)
        assert words in refused(read_arrays, tmp_path / "b.npz")


def test_what_entries_inflate_to_is_limited(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.npz", {"a.npy": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
    content, place = directory_of(path)
    content[place + 24 : place + 28] = struct.pack("<I", limits.INFLATED_BYTES + 1)
    path.write_bytes(content)
    assert "would inflate to" in refused(read_arrays, path)
    # An entry that inflates to more than it declares is cut off there.
    content[place + 24 : place + 28] = struct.pack("<I", 1 << 10)
    path.write_bytes(content)
    assert "damaged" in refused(read_arrays, path)


def test_entries_that_overlap(tmp_path: Path) -> None:
    """Forty names for one stretch of the file: nothing is compressed, and much is declared."""
    good = npy(described("(10000,)"), bytes(80_000))
    path = archive_of(tmp_path / "a.npz", {"a.npy": good})
    content, place = directory_of(path)
    end = content.rindex(b"PK\x05\x06")
    entry = bytes(content[place:end])
    entries = b"".join(entry.replace(b"a.npy", b"%c.npy" % (97 + i)) for i in range(20))
    tail = struct.pack("<HHII", 20, 20, len(entries), place)
    path.write_bytes(bytes(content[:place]) + entries + b"PK\x05\x06\0\0\0\0" + tail + b"\0\0")
    assert "its entries are larger than the file" in refused(read_arrays, path)


def test_a_giant_table_of_contents_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    size = limits.DIRECTORY_BYTES + 1000
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(b"PK\x05\x06\0\0\0\0" + struct.pack("<HHII", 9, 9, size, 0) + b"\0\0")
    assert "table of contents is too large" in refused(read_arrays, path)


def test_names_of_entries_lead_nowhere(tmp_path: Path) -> None:
    good = npy(described("(1,)"), EIGHT)
    path = archive_of(tmp_path / "a.npz", {"../../a.npy": good, "/etc/b.npy": good})
    assert set(read_arrays(path)) == {"../../a", "/etc/b"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", b"x")
        archive.writestr("a.npy", b"y")
    assert "occurs twice" in refused(read_arrays, tmp_path / "a.npz")


def test_an_archive_in_memory() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"x")
    inner = Archive(stream, "the archive")
    assert inner.read("a") == b"x"
    assert "has no entry 'b'" in refused(inner.read, "b")


def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.npz", {"a.npy": npy(described("(1000,)"), bytes(8000))})
    with open_regular(path) as file:
        archive = Archive(file, "a")
        os.truncate(path, 100)
        assert "damaged" in refused(archive.read, "a.npy")
