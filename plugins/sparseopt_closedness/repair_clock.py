"""How much time a search for repairs has left."""

from __future__ import annotations

import time


class Clock:
    """Counts down `seconds`; parts of it may be given away."""

    def __init__(self, seconds: float) -> None:
        self.total = max(seconds, 1e-3)
        self._end = time.monotonic() + seconds

    def seconds(self) -> float:
        """Return the seconds that are left, negative once they are over."""
        return self._end - time.monotonic()

    def share(self) -> float:
        """Return the part of the time that is left."""
        return self.seconds() / self.total

    def part(self, share: float, most: float = float("inf")) -> Clock:
        """Return a clock of a share of the whole, of at most some seconds and what is left."""
        return Clock(min(self.seconds(), share * self.total, most))
