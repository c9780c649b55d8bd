"""``-`` for a file: standard input and standard output."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import sparseopt as so
from sparseopt.choosing import offers
from sparseopt.cli.console import put
from sparseopt.interface.whole_file import whole_file, write_whole

STREAM = "-"
_LIMIT = 1 << 32
INPUT_NAME = "standard-input"


class _Input:
    """What standard input holds, read once and kept in a file for as long as the process lasts."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._path = ""

    def path(self) -> str:
        """Return the path of the file."""
        if self._folder is None:
            if sys.stdin is None or sys.stdin.isatty():
                raise so.ProblemError("- is standard input; pipe a file into it")
            content = sys.stdin.buffer.read(_LIMIT + 1)
            if len(content) > _LIMIT:
                raise so.ProblemError(f"standard input is too large: more than {_LIMIT} bytes")
            if not content:
                raise so.ProblemError("standard input is empty; give a file, or pipe one into -")
            self._folder = tempfile.TemporaryDirectory(prefix="sparseopt-")
            file = Path(self._folder.name, INPUT_NAME + suffix_of(content))
            file.write_bytes(content)
            self._path = str(file)
        return self._path

    def named(self, message: str) -> str:
        """Return a message that calls the file what a person calls it."""
        return message.replace(self._path, "standard input") if self._path else message

    def forget(self) -> None:
        """Remove the file, so that standard input can be read again."""
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = None


_input = _Input()


def taken(file: str) -> str:
    """Return the path of a file; for ``-`` of one with what standard input holds."""
    return _input.path() if file == STREAM else file


def named(message: str) -> str:
    """Return a message in which the file of standard input is called so."""
    return _input.named(message)


def forget_input() -> None:
    """Let the next ``-`` read standard input anew: for commands in one process."""
    _input.forget()


def suffix_of(content: bytes) -> str:
    """Return the suffix that fits the first bytes of a file; files of ONNX begin with no word.

    Examples
    --------
    >>> suffix_of(b"[[1, 0]]"), suffix_of(b"1,0\\n0,1\\n"), suffix_of(b"%%MatrixMarket matrix")
    ('.json', '.csv', '.mtx')
    """
    for begin, suffix in (
        (b"\x93NUMPY", ".npy"),
        (b"%%MatrixMarket", ".mtx"),
        (b"MATLAB", ".mat"),
        (b"\x89HDF", ".mat"),
    ):
        if content.startswith(begin):
            return suffix
    if content.startswith(b"PK"):
        return _suffix_of_archive(content)
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8:
        return ".safetensors"
    begin = content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    if begin.startswith((b"{", b"[")):
        return ".json"
    words = begin.replace(b",", b" ").split()
    return ".csv" if words and all(_is_number(word) for word in words[:1]) else ".onnx"


def _suffix_of_archive(content: bytes) -> str:
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return ".npz"  # whose reader says what is wrong with it
    return ".npz" if all(name.endswith(".npy") for name in names) else ".pt2"


def _is_number(word: bytes) -> bool:
    try:
        complex(word.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return False
    return True


def require_one_stream(output: str | None, as_json: bool) -> None:
    """Refuse two results on standard output."""
    if output == STREAM and as_json:
        raise so.ProblemError("--json and an output - both go to standard output; leave one out")


def require_apart(output: str | None, *inputs: str | None, option: str = "--output") -> None:
    """Refuse an output that is one of the files that a command reads, by whatever name.

    What a command writes is another thing than what it read, and nobody else may have the latter.
    """
    if output is None or output == STREAM:
        return
    if Path(output).is_dir():
        raise so.ProblemError(f"cannot write {output!r}: it is a folder")
    if not Path(output).absolute().parent.is_dir():
        folder = str(Path(output).parent)
        raise so.ProblemError(f"cannot write {output!r}: there is no folder {folder!r}")
    if not Path(output).exists():
        return
    for file in (part for each in inputs if each is not None for part in _parts(each)):
        if _is_same(output, file):
            raise so.ProblemError(
                f"{option} {output!r} is the file that is read, which would be lost; give another "
                "path"
            )


def _parts(file: str) -> list[str]:
    """Return a file and those beside it that hold parts of it."""
    if not Path(file).is_file():
        return [file]
    with contextlib.suppress(so.ProblemError):  # other files; wrong ones are refused when read
        return [file, *offers.reader_of(file).files_beside(file)]
    return [file]


def _is_same(output: str, file: str) -> bool:
    """Whether both are one file; for ``-`` the one that standard input was opened on."""
    try:
        if file == STREAM:
            return os.path.samestat(os.fstat(sys.stdin.fileno()), os.stat(output))
        return os.path.samefile(output, file)
    except (OSError, ValueError, AttributeError):  # one of them does not exist, or is no file
        return False


def put_text(path: str, text: str) -> None:
    """Write a text to a file, or for ``-`` to standard output."""
    if path != STREAM:
        write_whole(path, text)
        return
    put(text if text.endswith("\n") else text + "\n")


def put_arrays(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to an .npz file, completely or not at all."""
    with whole_file(path) as made, open(made, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def put_file(path: str, suffix: str, write: Callable[[str], None]) -> None:
    """Let `write` write a file; for ``-`` send what it writes to standard output."""
    if path != STREAM:
        write(path)
        return
    with tempfile.TemporaryDirectory(prefix="sparseopt-") as folder:
        file = Path(folder, f"standard-output{suffix}")
        write(str(file))
        put(file.read_bytes())
