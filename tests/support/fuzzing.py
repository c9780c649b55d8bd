"""Files that are mutated at random, and what must come of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from confined import Reader, is_decent
from hypothesis import HealthCheck, event, settings


def examples(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def judge(reader: Reader, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    outcome = reader.read(path)
    event("read" if outcome == "read" else "refused")
    assert is_decent(outcome), outcome


WORDS = [
    *("x", "y", "w", "b", "a", "s", "", "é", "\x1b[2J", "ai.onnx", "location", "NOTSET", "VALID"),
    *("SAME_UPPER", "linear", "nearest", "edge", "reflect", "DCR", "CRD", "axis", "axes", "pads"),
    *(schema.name for schema in onnx.defs.get_all_schemas()),
]


def packed(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()
