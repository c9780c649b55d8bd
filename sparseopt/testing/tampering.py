"""Edits the JSON of a certificate, one entry at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

_UNPROVED = {"condition", "reason", "remark"}
"""Texts for people, which no certificate proves."""


def entries(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every number, text and boolean below `node`."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in _UNPROVED and not (key.startswith("$") and isinstance(value, str)):
                yield from entries(value, (*path, key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from entries(value, (*path, i))
    elif node is not None:
        yield path


def edited(value: Any) -> Any:
    """Return another value of the same kind, clearly different."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return 2.0 * value + 1.0
    return value + "?"


def tampered(text: str, most: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Yield (path in words, edited JSON) for up to `most` entries of a certificate.

    The problem itself is left alone: what changes is the answer and the evidence.
    """
    body = json.loads(text)
    paths = [path for path in entries(body) if path[0] != "problem"]
    if len(paths) > most:
        paths = [paths[i] for i in sorted(rng.choice(len(paths), most, replace=False))]
    for path in paths:
        body = json.loads(text)
        node = body
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = edited(node[path[-1]])
        yield "/".join(map(str, path)), json.dumps(body)
