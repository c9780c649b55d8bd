"""Pruning in rounds: how much is to be gone after each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short

MOST_ROUNDS = 10_000


def ratios(schedule: int | Sequence[float] | None, ratio: float) -> list[float]:
    """Return the share that is gone after each round; the last is `ratio`.

    Parameters
    ----------
    schedule : int, sequence of float or None
        A number T of rounds: after round t the share ``ratio (1 - (1 - t / T)^3)`` (Zhu & Gupta,
        arXiv 1710.01878); or the shares themselves. None: one round.
    ratio : float
    """
    if schedule is None:
        return [ratio]
    if isinstance(schedule, int | np.integer) and not isinstance(schedule, bool):
        if not 1 <= schedule <= MOST_ROUNDS:
            raise ProblemError(
                f"schedule must be 1 to {MOST_ROUNDS} rounds, or a list of shares, got {schedule}"
            )
        left = 1.0 - np.arange(1, int(schedule) + 1) / int(schedule)
        return [float(v) for v in ratio * (1.0 - left**3)]
    try:
        shares = [float(v) for v in schedule]  # type: ignore[union-attr]
    except (TypeError, ValueError) as error:
        raise ProblemError(
            f"schedule must be a number of rounds, or a list of shares, got {short(schedule)}"
        ) from error
    rising = all(a <= b for a, b in zip([0.0, *shares], shares, strict=False))
    if not shares or not rising or shares[-1] != ratio:
        raise ProblemError(
            f"the shares of a schedule must rise from 0 to the ratio {ratio:g}, got {shares}"
        )
    return shares
