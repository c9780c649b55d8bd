"""What a call hands to an engine besides the problem: seed, clock and progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sparseopt.interface.arrays import NUMBERS, as_figure
from sparseopt.interface.errors import ProblemError, TimeLimitReached
from sparseopt.interface.printing import short

Progress = Callable[[float, str], None]


class _Forward:
    """A callback that is never told of less than it was told before."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._reached = progress, 0.0

    def __call__(self, fraction: float, message: str) -> None:
        if fraction > self._reached:  # NaN is not
            self._reached = min(1.0, float(fraction))
        self._progress(self._reached, message)


@dataclass(frozen=True)
class Context:
    """Settings of one call of `solve` or `analyze`.

    Parameters
    ----------
    seed : int or None
        Seed of all randomness; None means 0, so that a call is reproducible unless the caller
        asks otherwise.
    time_limit : float or None
        Seconds for the whole call.
    progress : callable(fraction, message) or None
        Called by `report`; `fraction` is in [0, 1], and never less than before.
    tolerance : float or None
        The accuracy that is asked for, see `Certificate.accuracy`; an engine may stop there.

    Examples
    --------
    >>> import sparseopt as so
    >>> context = so.Context(seed=3, time_limit=60.0)
    >>> int(context.rng().integers(100)) == int(context.rng().integers(100))
    True
    """

    seed: int | None = None
    time_limit: float | None = None
    progress: Progress | None = None
    tolerance: float | None = None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.progress is not None and not isinstance(self.progress, _Forward):
            if not callable(self.progress):
                raise ProblemError(
                    "progress must be a function of a fraction and a message, for instance "
                    f"so.ProgressBar(), got {short(self.progress)}"
                )
            object.__setattr__(self, "progress", _Forward(self.progress))
        limit, seed = self.time_limit, self.seed
        if limit is not None and not (_is_number(limit) and limit > 0):
            raise ProblemError(
                f"time_limit must be a positive number of seconds, got {short(limit)}"
            )
        if seed is not None and not (isinstance(seed, int | np.integer) and seed >= 0):
            raise ProblemError(f"seed must be a nonnegative integer, got {short(seed)}")
        asked = self.tolerance
        if asked is not None and not (_is_number(asked) and 0 <= asked < float("inf")):
            raise ProblemError(f"tolerance must be a finite number, at least 0, got {short(asked)}")
        if asked is not None:
            object.__setattr__(self, "tolerance", as_figure(asked, "tolerance"))

    def rng(self) -> np.random.Generator:
        """Return a fresh NumPy generator; two calls give the same stream."""
        return np.random.default_rng(0 if self.seed is None else self.seed)

    def remaining(self) -> float:
        """Return the seconds left, `inf` without a limit, never negative."""
        if self.time_limit is None:
            return float("inf")
        return max(0.0, self.time_limit - (time.monotonic() - self.started))

    def check_time(self, doing: str) -> None:
        """Raise `TimeLimitReached` naming `doing` once the limit has passed."""
        if self.time_limit is not None and self.remaining() <= 0.0:
            raise TimeLimitReached(f"the time limit of {self.time_limit:g} s ran out while {doing}")

    def report(self, fraction: float, message: str) -> None:
        """Tell the caller how far the work is; a bar never goes back."""
        if self.progress is not None:
            self.progress(fraction, message)

    def part(self, start: float, stop: float) -> Progress | None:
        """Return the callback of a part of the work: its 0 and 1 are `start` and `stop` here.

        For the `progress` of calls that are steps of a longer work.

        Examples
        --------
        >>> import sparseopt as so
        >>> context = so.Context(progress=lambda fraction, message: print(fraction, message))
        >>> context.part(0.5, 1.0)(0.5, "second half")
        0.75 second half
        """
        whole = self.progress
        if whole is None:
            return None
        return lambda fraction, message: whole(
            start + (stop - start) * min(1.0, max(0.0, fraction)), message
        )


def _is_number(value: object) -> bool:
    return isinstance(value, NUMBERS) and not isinstance(value, bool)
