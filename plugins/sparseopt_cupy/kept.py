"""What was measured of devices, as JSON in the user's cache folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def path_of(name: str) -> Path:
    """Return where a file of figures lies, whether it is there or not."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(folder) / "sparseopt" / name


def read(name: str) -> dict[str, Any]:
    """Return what was kept, by device; nothing where the file is not there or not whole."""
    try:
        found = json.loads(path_of(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(name: str, device: str, figures: Any) -> Path:
    """Write the figures of one device beside those of others; return the file."""
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**read(name), device: figures}, indent=1, sort_keys=True)
    made = path.with_suffix(f".{os.getpid()}")
    made.write_text(text, encoding="utf-8")
    os.replace(made, path)  # whole or not at all
    return path
