"""Memory is asked for before work begins: a process that runs out of it says nothing."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import sparseopt as so


def available() -> float | None:
    """Return the bytes that can be had without swapping; None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = next(line for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return float(found.split()[1]) * 1024


def require_memory(needed: float, remedy: str) -> None:
    """Raise `Inconclusive` if more bytes are needed than there are.

    Parameters
    ----------
    needed : float
        Bytes beside the target.
    remedy : str
        What the user can do.
    """
    there = available()
    if there is not None and needed > there:
        raise so.Inconclusive(
            f"it needs about {needed / 2**30:.3g} GiB of memory beside the target, of which "
            f"{there / 2**30:.3g} GiB are free; {remedy}"
        )


def checked_bytes(problem: so.ButterflyFactorization) -> float:
    """Predict what the error's check takes: two groups of factors in double precision.

    Four times their values at the cut where these are fewest, and pieces of the target. Of a stored
    target also rows or columns of chunks.
    """
    complex_too, read = 2 if problem.dtype.kind == "c" else 1, 0.0
    if problem.kind == "stored":  # a strip of chunks, the next one, and what it is read into
        read = 3.0 * problem.target.strip_entries * problem.dtype.itemsize
    return read + complex_too * (32.0 * _fewest(problem.architecture) + 2.0**22)


@lru_cache(maxsize=256)
def _fewest(architecture: so.Architecture) -> int:
    """Return the values of both groups of factors at the cut where these are fewest."""
    firsts = accumulate(architecture, so.KroneckerPattern.product)
    lasts = [*accumulate(architecture.patterns[::-1], lambda p, q: q.product(p))][-2::-1]
    cuts = (one.nnz + two.nnz for one, two in zip(firsts, lasts, strict=False))
    return min(cuts, default=architecture.nnz)
