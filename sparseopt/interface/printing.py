"""Texts of files and of other people's code, made fit to be shown."""

from __future__ import annotations

import os
import reprlib
import traceback
from typing import TypeVar

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")

MOST_REPR = 1200
"""Characters of the repr of any answer: notebooks and logs show it."""

T = TypeVar("T")


def short_repr(cls: type[T]) -> type[T]:
    """Class decorator: let the repr of a dataclass end after `MOST_REPR` characters.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @short_repr
    ... @dataclass
    ... class Costs:
    ...     each: list[int]
    >>> Costs([1, 2])
    Costs(each=[1, 2])
    >>> len(repr(Costs([0] * 10**5))) == MOST_REPR
    True
    """
    whole = cls.__repr__

    def __repr__(self: T) -> str:
        words = whole(self)
        return words if len(words) <= MOST_REPR else words[: MOST_REPR - 1] + "…"

    cls.__repr__ = __repr__  # type: ignore[method-assign, assignment]
    return cls


def printable(text: object, most: int = 80) -> str:
    """Return a text without control characters, cut to `most` characters.

    Whatever could move a cursor, change colours or reverse the direction of writing is shown as
    its escape, so that no text of a file can pass for a line of ours.

    Examples
    --------
    >>> printable("layer\\x1b[2K 1")
    'layer\\\\x1b[2K 1'
    >>> printable("a" * 9, most=5)
    'aaaa…'
    """
    words = str(text)
    if len(words) > most:
        words = words[: most - 1] + "…"
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)


def printable_lines(text: object) -> str:
    """Do the same line by line, at any length: for texts of ours that hold those of others.

    Examples
    --------
    >>> printable_lines("plan\\n  layer\\x1b[2K 1")
    'plan\\n  layer\\\\x1b[2K 1'
    """
    return "\n".join(printable(line, len(line) + 1) for line in str(text).split("\n"))


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return a path in quotes for an error, cut: some are texts that somebody took for one."""
    return printable(repr(os.fspath(path)), 300)


def short(value: object) -> str:
    """Return what somebody passed in a few words, for an error: of an array its shape.

    Examples
    --------
    >>> short("magnitud")
    "'magnitud'"
    >>> short(list(range(1000)))
    '[0, 1, 2, 3, 4, 5, ...]'
    """
    try:
        shape = getattr(value, "shape", None)
    except Exception:  # of other people's code
        shape = None
    if isinstance(shape, tuple) and shape and not isinstance(value, type):
        return f"a {type(value).__name__} of shape {tuple(shape)}"
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        return "a long number"


def raised(error: BaseException) -> str:
    """Return an error of others' code in words, with the last line outside the core it came from.

    Examples
    --------
    >>> raised(KeyError("weight"))
    "KeyError: 'weight'"
    """
    kind = type(error).__name__
    try:
        words = f"{kind}: {error}" if str(error) else kind
    except Exception as broken:
        words = f"{kind} (its own words raise {type(broken).__name__})"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(_PACKAGE):
            return f"{words} ({os.path.basename(frame.filename)}, line {frame.lineno})"
    return words
