""".pt2 files and their parts."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sparseopt as so


def write(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(f"model/{name}", content)
    return path


def edited(entries: dict[str, bytes], entry: str, edit: Callable[[Any], Any]) -> dict[str, bytes]:
    document = json.loads(entries[entry])
    edit(document)
    return {**entries, entry: json.dumps(document).encode()}


def refused(path: Path, **more: Any) -> str:
    with pytest.raises(so.ProblemError) as caught:
        so.load_network(path, **more)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


def write_old(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path
