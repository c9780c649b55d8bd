"""Values of findings as tables of HTML: rows and columns, never Python's own notation."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np

from sparseopt.interface.printing import printable_lines
from sparseopt.tools.report.numbers import number

MOST_ROWS = 60
_MOST_DEEP = 4
_FEW = 12


def escape(text: object) -> str:
    """Return a text of a report as it may stand in the page."""
    return html.escape(printable_lines(text))


def shown(value: Any, depth: int = 0) -> str:
    """Return a value as HTML.

    A mapping of columns of one length, and a list of mappings, become a table with a head; other
    mappings one of names and values; a list of numbers one of places and values.
    """
    value = _plain(value)
    if depth > _MOST_DEEP:
        return escape("...")
    if isinstance(value, Mapping):
        return _mapping(value, depth)
    if isinstance(value, list):
        if value and all(isinstance(item, Mapping) for item in value):
            return _records(value, depth)
        if not value:
            return "none"
        if all(isinstance(item, Number | str) for item in value):
            if depth and len(value) <= _FEW:
                return escape(" x ".join(map(number, value)))
            return _table(["place", "value"], list(enumerate(value)), depth)
        return _table(["place", "value"], list(enumerate(value)), depth)
    if isinstance(value, str):
        return escape(value.replace("_", " ") if value.isidentifier() else value)
    return escape(number(value))


def _mapping(value: Mapping[Any, Any], depth: int) -> str:
    items = [(str(name), _plain(each)) for name, each in value.items()]
    lengths = {len(each) for _, each in items if isinstance(each, list)}
    columns = [(n, each) for n, each in items if isinstance(each, list)]
    flat = all(not isinstance(e, list | Mapping) for _, each in columns for e in each)
    if len(columns) > 1 and len(lengths) == 1 and max(lengths) > 2 and flat:
        rest = {n: each for n, each in items if not isinstance(each, list)}
        rows = list(zip(*(each for _, each in columns), strict=True))
        return (_mapping(rest, depth) if rest else "") + _table(
            [n for n, _ in columns], rows, depth
        )
    if depth:
        return _table(["", ""], items, depth)
    # At the top what has parts of its own stands below the rest, as wide as the page.
    nested = [(name, each) for name, each in items if not _fits_a_cell(each)]
    plain = [(name, each) for name, each in items if _fits_a_cell(each)]
    above = _table(["", ""], plain, depth) if plain else ""
    return above + "".join(
        f'<h4>{escape(_words(name))}</h4><div class="wide">{shown(each, depth + 1)}</div>'
        for name, each in nested
    )


def _fits_a_cell(value: Any) -> bool:
    """Whether a value is one word or a few numbers."""
    if isinstance(value, list):
        return len(value) <= _FEW and all(isinstance(item, Number | str) for item in value)
    return not (isinstance(value, Mapping) and value)


def _records(value: list[Mapping[Any, Any]], depth: int) -> str:
    names = list(dict.fromkeys(str(name) for item in value for name in item))
    rows = [[item.get(name) for name in names] for item in value]
    return _table(names, rows, depth)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], depth: int) -> str:
    heading = ""
    if any(head):
        names = "".join(f'<th scope="col">{escape(_words(name))}</th>' for name in head)
        heading = f"<thead><tr>{names}</tr></thead>"
    body = []
    for row in rows[:MOST_ROWS]:
        first = f'<th scope="row">{escape(_words(row[0]))}</th>' if not any(head) else ""
        cells = "".join(_cell(cell, depth) for cell in (row[1:] if first else row))
        body.append(f"<tr>{first}{cells}</tr>")
    more = len(rows) - MOST_ROWS
    rest = f'<p class="soft">{more} more rows: report.to_json() has them</p>' if more > 0 else ""
    table = f"<table>{heading}<tbody>{''.join(body)}</tbody></table>{rest}"
    return f'<div class="wide">{table}</div>' if depth == 0 else table


def _cell(cell: Any, depth: int) -> str:
    kind = ' class="number"' if _is_number(cell) else ""
    text = escape(cell) if isinstance(cell, str) else shown(cell, depth + 1)
    return f"<td{kind}>{text}</td>"


def _words(name: object) -> str:
    """Return a name of ours in words: what is no identifier, such as a layer's name, stays."""
    text = str(name)
    return text.replace("_", " ") if text.isidentifier() else text


def _is_number(cell: Any) -> bool:
    return isinstance(cell, Number) and not isinstance(cell, bool)


def _plain(value: Any) -> Any:
    """Return arrays, tuples and scalars of NumPy as Python's own."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.ndim else value.item()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    if isinstance(value, np.generic):
        return value.item()
    return value
