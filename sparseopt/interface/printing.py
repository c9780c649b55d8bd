"""Texts of files and of other people's code, made fit to be shown."""

from __future__ import annotations


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
