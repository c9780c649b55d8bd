"""Memory is asked for before work begins: a process that runs out of it says nothing."""

from __future__ import annotations

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
