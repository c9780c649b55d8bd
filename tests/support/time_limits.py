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
def limited(seconds: float, of_processor: bool = False) -> Iterator[None]:
    """Raise `TooLong` after some seconds, of the processor if a busy machine must not count."""
    timer, number = signal.ITIMER_REAL, signal.SIGALRM
    if of_processor:
        timer, number = signal.ITIMER_PROF, signal.SIGPROF

    def stop(_: int, frame: Any) -> None:
        raise TooLong

    before = signal.signal(number, stop)
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(number, before)


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
