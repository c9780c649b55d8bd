"""Numbers that the passes over pieces share, and the clock with what judging takes."""

from __future__ import annotations

import sparseopt as so

COMPILED_FROM = 1 << 15
"""Pieces from which loading the compiled kernels is worth its second."""
BYTES = 96
"""Of memory that one piece takes at the peak, about."""
SECONDS = 2e-7
"""That one piece takes, about: a pass is not interrupted."""
NOTHING = 2.0**-36
"""Of the square of the scaled vector: a rounded vector of less is taken for zero."""
DUST = 200
"""Powers of two by which an entry may be below another's part of the square, and not be left to be
rounded once the others are."""
FEW = 48
"""Pieces whose cost is computed exactly, at most."""
EXACT = 2e-6
"""Seconds that an entry of a vector takes in the error of a term, computed in rationals."""
PROVED = 1.5e-6
"""Seconds that a piece takes in a proof that no other is better, about."""
GRACE = 0.5
"""Seconds by which judging an answer may pass a time limit, which is kept within a second."""


def check_time(context: so.Context, kept: float, doing: str) -> None:
    """Raise `TimeLimitReached` once no more is left than the answer takes to be judged.

    Parameters
    ----------
    context : Context
    kept : float
        Predicted seconds from here to the end of the check, without what is being done.
    doing : str
    """
    context.check_time(doing)
    if context.time_limit is not None and context.remaining() < kept - GRACE:
        raise so.TimeLimitReached(
            f"the time limit of {context.time_limit:g} s leaves too little for {doing}: what comes "
            f"after it, up to the check of the answer, takes about {kept:.2g} s"
        )
