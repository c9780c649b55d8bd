"""Which lines of the library run when a certificate is judged from its JSON."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from sparseopt.judging.serialization import from_json
from sparseopt.judging.verifying import verify

ROOT = Path(__file__).parents[2]
_OWN = (str(ROOT / "sparseopt") + "/", str(ROOT / "plugins") + "/")

Lines = dict[str, set[int]]
"""Lines by file, relative to the root."""


def judged_lines(text: str) -> Lines:
    """Return the lines that run while a JSON text, which must not be refused, is judged.

    It is judged twice, and the second time is traced: the lines of modules that are imported at
    first use define functions, they do not judge.
    """
    assert verify(from_json(text)).outcome != "refused"
    return lines_of(lambda: verify(from_json(text)))


def lines_of(run: Callable[[], Any]) -> Lines:
    """Return the lines of the library that a function runs."""
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
        run()
    finally:
        sys.settrace(before)
    return {str(Path(name).relative_to(ROOT)): lines for name, lines in ran.items()}
