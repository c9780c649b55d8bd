"""What docstrings state of how cost grows, as text and as numbers.

An engine's docstring has one sentence of the form

    Time O(m n log(n)), memory O(m n), for m rows and n columns.

A letter stands for a size that the sentence names, a space for a product, ``^`` for a power. That
is the only place where it is stated: the tables of `scaling.py` read it there.
"""

from __future__ import annotations

import inspect
import math
import re
from typing import Any, NamedTuple

_SENTENCE = re.compile(r"Time\s+O\((?P<time>.+?)\),\s+memory\s+O\((?P<memory>.+?)\)[.,;]", re.S)


class Stated(NamedTuple):
    """The formulas of a docstring."""

    time: str
    memory: str


def stated(engine: Any) -> Stated | None:
    """Return what the docstring of a class or function states, None if nothing."""
    found = _SENTENCE.search(inspect.getdoc(engine) or "")
    if found is None:
        return None
    return Stated(*(" ".join(found[part].split()) for part in ("time", "memory")))


def value(formula: str, symbols: dict[str, float]) -> float:
    """Return a formula's value; `NameError` for a letter that `symbols` lacks."""
    products = re.sub(r"(?<=[\w)])\s+(?=[\w(])", " * ", formula.replace("^", "**"))
    names = {"log": math.log2, "min": min, "max": max, "__builtins__": {}}
    return float(eval(products, names, symbols))
