"""Laws of judging code as entries of a bank of forgeries: accepted if they hold.

They stand beside honest certificates where a line matters only in data that no small certificate
has: more rows than fit in memory, integers that floats do not hold.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import sparseopt as so


def law(holds: Callable[[], Any]) -> Callable[[], so.Check]:
    """Return an entry that is accepted if a law holds."""
    return lambda: so.Check("accepted" if holds() else "refused", "a law", ())


def refusal(build: Callable[[], Any]) -> Callable[[], so.Check]:
    """Return an entry that is refused, in the words of the error, if building something is."""

    def entry() -> so.Check:
        build()
        return so.Check("accepted", "something was built", ())

    return entry


def numbered(
    listed: Callable[[], Iterator[tuple[str, Any]]],
) -> Callable[[], Iterator[tuple[str, Any]]]:
    """Let a bank tell entries of one name apart: the second gets a 2, and so on."""

    @wraps(listed)
    def told() -> Iterator[tuple[str, Any]]:
        met: Counter[str] = Counter()
        for name, entry in listed():
            met[name] += 1
            yield name if met[name] == 1 else f"{name}, {met[name]}", entry

    return told


def border(low: float, high: float, holds: Callable[[float], bool]) -> tuple[float, float] | None:
    """Return neighbouring floats, at the lower of which something holds, and at the other not."""
    if not holds(low) or holds(high):
        return None
    while math.nextafter(low, high) < high:
        middle = low + 0.5 * (high - low)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high
