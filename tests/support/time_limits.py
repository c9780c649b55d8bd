"""Limits on the time and the memory of one piece of Python code."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GIGABYTE = 1 << 30


class TooLong(BaseException):
    """The code ran on; no `except Exception` swallows it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TooLong` after some seconds."""

    def stop(number: int, frame: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def bounded(gigabytes: float) -> Iterator[None]:
    """Let so much more memory be taken, then raise `MemoryError`; no limit where /proc is not."""
    held, before = Path("/proc/self/statm"), resource.getrlimit(resource.RLIMIT_AS)
    if held.exists():
        used = int(held.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(gigabytes * GIGABYTE), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
