"""Which lines of the library run when a certificate is judged from its JSON."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

import sparseopt as so

ROOT = Path(__file__).parents[2]
_OWN = (str(ROOT / "sparseopt") + "/", str(ROOT / "plugins") + "/")


def judged_lines(text: str) -> tuple[so.Check, dict[str, set[int]]]:
    """Return the check of a JSON text, and the lines that ran by file, relative to the root."""
    ran: dict[str, set[int]] = defaultdict(set)

    def in_frame(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            ran[frame.f_code.co_filename].add(frame.f_lineno)
        return in_frame

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        return in_frame if frame.f_code.co_filename.startswith(_OWN) else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        check = so.verify(so.from_json(text))
    finally:
        sys.settrace(before)
    return check, {str(Path(name).relative_to(ROOT)): lines for name, lines in ran.items()}
