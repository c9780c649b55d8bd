"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from sparseopt.interface.errors import ProblemError


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a file to write into, which takes the path once the block has ended without an error.

    Raises
    ------
    ProblemError
        If the folder refuses it; what stood at the path stays.
    """
    whole = os.path.abspath(path)
    try:
        handle, part = tempfile.mkstemp(dir=os.path.dirname(whole), prefix=".sparseopt.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(part, 0o666 & ~mask)
            os.replace(part, whole)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        reason = error.strerror or error
        raise ProblemError(f"cannot write {os.fspath(path)!r}: {reason}") from error
