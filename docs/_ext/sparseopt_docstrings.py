"""Docstrings are written to be read in a terminal: here they become reStructuredText."""

from __future__ import annotations

import re
from typing import Any


def escaped(text: str) -> str:
    """Escape, outside of literals, the bars of norms and the star of ``(batch, *shape)``.

    >>> print(escaped("``|x|`` is |x|_1"))
    ``|x|`` is \\|x\\|_1
    """
    pieces = re.split(r"(``.*?``|`[^`]*`)", text, flags=re.DOTALL)
    return "".join(p if p.startswith("`") else _plain(p) for p in pieces)


def _plain(text: str) -> str:
    return re.sub(r"(?<=[(, ])\*(?=\w+[),])", r"\\*", text.replace("|", r"\|"))


def _paragraphs(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape the prose of a docstring, but not its examples; numpydoc knows no section Laws."""
    done: list[str] = []
    text = re.sub(
        r"^Laws\n-+$",
        "Notes\n-----\nLaws:\n",
        "\n".join(lines),
        flags=re.M,
    )
    for paragraph in re.split(r"(\n\s*\n)", text):
        is_example = paragraph.lstrip().startswith(">>>")
        done.append(paragraph if is_example else escaped(paragraph))
    lines[:] = "".join(done).split("\n")


def _foreign(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from another library; its own documentation tells that."""
    home = getattr(obj, "__module__", None) or getattr(getattr(obj, "fget", None), "__module__", "")
    return None if str(home).startswith("sparseopt") or not callable(obj) else True


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx: before numpydoc reads the docstring."""
    from numpydoc.docscrape import NumpyDocString

    NumpyDocString.sections["Laws"] = []  # where it reads one itself, for the signature
    app.connect("autodoc-process-docstring", _paragraphs, priority=100)
    app.connect("autodoc-skip-member", _foreign)
    return {"parallel_read_safe": True}
