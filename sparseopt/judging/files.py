"""Files from strangers: regular ones only, never waited for, bounded before they are read."""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable, shown_path
from sparseopt.judging import limits

Path = str | os.PathLike[str]

_ENCRYPTED = 0x1


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; `ProblemError` for anything else.

    Looked at before it is opened, because opening some devices acts and opening a pipe waits; and
    once more afterwards, in case it was exchanged in between.
    """
    name = shown_path(path)
    try:
        _require_regular(os.stat(path), name)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    except (OSError, ValueError) as error:
        raise ProblemError(f"{name} cannot be read: {_reason(error)}") from error
    with open(descriptor, "rb") as file:
        _require_regular(os.fstat(descriptor), name)
        yield file


_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def _require_regular(found: os.stat_result, name: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
        raise ProblemError(f"{name} is {kind}; give the path of a regular file")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    return getattr(error, "strerror", None) or str(error)


def read_bytes(path: Path, limit: int, start: int = 0, count: int | None = None) -> bytes:
    """Return `count` bytes of a file from `start` on (the rest if None), at most `limit`."""
    name = shown_path(path)
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        count = size - start if count is None else count
        if start < 0 or count < 0 or start + count > size:
            raise ProblemError(
                f"{name} has {size} bytes, where bytes {start} to {start + count} are needed; it "
                "is cut short"
            )
        if count > limit:
            raise ProblemError(f"{name} is too large: {count} bytes, at most {limit} are read")
        try:
            file.seek(start)
            content = file.read(count)
        except OSError as error:
            raise ProblemError(f"{name} cannot be read: {_reason(error)}") from error
    if len(content) != count:
        raise ProblemError(f"{name} became shorter while it was read")
    return content


def read_text(path: Path, limit: int = limits.TEXT_BYTES) -> str:
    """Return the text of a file; `ProblemError` if it is missing, too large, or is not text."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProblemError(
            f"{os.fspath(path)!r} is not text in UTF-8: see byte {error.start}"
        ) from error


class _Counted(io.RawIOBase):
    """A file that gives at most `limit` bytes, as long as there is a limit."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        super().__init__()
        self._file = file
        self.limit: int | None = limit

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        if self.limit is None:
            return self._file.read(size) or b""
        size = self.limit + 1 if size < 0 else min(size, self.limit + 1)
        content = self._file.read(size) or b""
        self.limit -= len(content)
        if self.limit < 0:
            raise zipfile.BadZipFile("its table of contents is too large")
        return content


class Archive:
    """The entries of a zip file, each read into memory when it is asked for; none is written.

    So names that lead out of a folder and entries that are links mean nothing. Refused when the
    archive is opened: a table of contents above `limits.DIRECTORY_BYTES`, two entries of one name,
    encryption, compression other than deflate, entries that overlap, and compressed entries that
    declare more than `limits.INFLATED_BYTES` together; no entry inflates beyond what it declares.

    Parameters
    ----------
    file : binary file
        Open for as long as entries are read.
    name : str
        Of the file, for messages.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        counted = _Counted(file, limits.DIRECTORY_BYTES)
        try:
            self._zip = zipfile.ZipFile(counted)  # type: ignore[arg-type]
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ProblemError(
                f"{name} is not a zip archive, or is cut short: {printable(error, 200)}"
            ) from error
        counted.limit = None
        self._entries: dict[str, zipfile.ZipInfo] = {}
        stored = inflated = 0
        for entry in self._zip.infolist():
            self._require_plain(entry)
            self._entries[entry.filename] = entry
            stored += entry.compress_size
            inflated += entry.file_size if entry.compress_type != zipfile.ZIP_STORED else 0
        if stored > file.seek(0, os.SEEK_END):
            raise ProblemError(
                f"{name} is not a sound archive: its entries are larger than the file"
            )
        if inflated > limits.INFLATED_BYTES:
            raise ProblemError(
                f"{name} would inflate to {inflated} bytes, at most {limits.INFLATED_BYTES} are "
                "allowed; store it without compression"
            )

    def _require_plain(self, entry: zipfile.ZipInfo) -> None:
        where = f"{self._name}: the entry {printable(entry.filename)!r}"
        if entry.filename in self._entries:
            raise ProblemError(f"{where} occurs twice")
        if entry.flag_bits & _ENCRYPTED:
            raise ProblemError(f"{where} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ProblemError(f"{where} is compressed by a method other than deflate")
        if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
            raise ProblemError(f"{where} is stored with two sizes")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries, in the archive's order."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Return how many bytes an entry declares."""
        return self._entries[name].file_size

    def read(self, name: str) -> bytes:
        """Return the bytes of an entry."""
        entry = self._entries.get(name)
        if entry is None:
            raise ProblemError(f"{self._name} has no entry {printable(name)!r}; it is incomplete")
        try:
            with self._zip.open(entry) as stream:
                content = stream.read()
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,  # NotImplementedError, and what zipfile says of flags it does not know
        ) as error:
            raise ProblemError(
                f"{self._name}: the entry {printable(name)!r} is damaged: {printable(error, 200)}"
            ) from error
        if len(content) != entry.file_size:
            raise ProblemError(
                f"{self._name}: the entry {printable(name)!r} is shorter than it declares"
            )
        return content
