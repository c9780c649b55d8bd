"""How much time a search for repairs has left."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import numpy as np


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


class Alarm:
    """A flag in an array that is set once the seconds of a `with` block are over.

    Compiled code without the lock of the interpreter reads it; another thread writes it.
    """

    def __init__(self, seconds: float) -> None:
        self.flag = np.zeros(1, dtype=np.int64)
        self._timer = threading.Timer(max(seconds, 0.0), self.flag.fill, (1,))
        self._timer.daemon = True

    def __enter__(self) -> np.ndarray:
        self._timer.start()
        return self.flag

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
