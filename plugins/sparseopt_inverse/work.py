"""Single steps that cannot be interrupted are not begun when they would outlast the time limit."""

from __future__ import annotations

from sparseopt.interface.context import Context
from sparseopt.interface.errors import TimeLimitReached

# Seconds of one core, generously, over rows times columns times the smaller of both.
SINGULAR_VALUES = 1.5e-9
PIVOTED_QR = 1e-9
PRODUCT = 1.5e-10
DOUBLED_PRODUCT = 1e-7
"""Seconds per entry of a matrix that is multiplied by a vector in doubled precision."""


def begin(context: Context, seconds: float, doing: str) -> None:
    """Raise `TimeLimitReached` unless a step of about that many seconds ends in time."""
    context.check_time(doing)
    if seconds > context.remaining():
        raise TimeLimitReached(
            f"{doing} takes about {seconds:.2g} s, and of the time limit of "
            f"{context.time_limit:g} s {context.remaining():.2g} s are left"
        )
