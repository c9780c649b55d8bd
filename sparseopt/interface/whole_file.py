"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

from sparseopt.interface.errors import ProblemError


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the path of a file to make, which takes the place of `path` once the block has ended.

    It has the same name, in a folder of its own beside the other; where the block raises, nothing
    is left of it, and what stood at `path` stays. Links stay links: what they point to is written.
    A file keeps its permissions. What is no file, a device or a pipe, is sent the content.

    Raises
    ------
    ProblemError
        If the system refuses any of this.
    """
    given = os.fspath(path)
    try:
        target = os.path.realpath(given)
        if os.path.isdir(target):
            raise ProblemError(f"cannot write {given!r}: it is a folder")
        sent = os.path.exists(given) and not os.path.isfile(given)
        folder = None if sent else os.path.dirname(target)
        with tempfile.TemporaryDirectory(prefix=".sparseopt-", dir=folder) as beside:
            made = os.path.join(beside, os.path.basename(given))
            yield made
            if sent:
                with open(made, "rb") as source, open(given, "wb", buffering=0) as device:
                    shutil.copyfileobj(source, device)
                return
            if os.path.exists(target):
                shutil.copymode(target, made)
            os.replace(made, target)
    except OSError as error:
        raise ProblemError(f"cannot write {given!r}: {_why(error, given)}") from error


def _why(error: OSError, path: str) -> str:
    folder = os.path.dirname(path)
    if isinstance(error, FileNotFoundError) and folder and not os.path.exists(folder):
        return f"there is no folder {folder!r}"
    return error.strerror or str(error)


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a text, in UTF-8, or bytes to a file; see `whole_file`."""
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path) as made, open(made, "wb") as file:
        file.write(data)
