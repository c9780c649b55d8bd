"""Kernels of repairs: loaded from numba's cache, compiled first by processes beside this one."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

SOURCES = ("closed_kernels", "core_kernels", "line_kernels", "repair_kernels")
PARTS = ("lines", "entries")
"""What is compiled side by side: half of the time each."""


LOADING = 1.0
"""Seconds to load them from numba's cache."""


def are_loaded() -> bool:
    """Return whether this process has used them."""
    from sparseopt_closedness import repair_kernels

    return bool(repair_kernels.search.signatures)


def are_cached() -> bool:
    """Return whether loading takes a second at most, as a process has compiled them."""
    if are_loaded():
        return True
    written = stamp()
    return all(path.is_file() and path.read_text() == written for path in map(_note, PARTS))


def remember(part: str) -> None:
    """Note beside numba's cache that it holds a part of the kernels as they are now."""
    _note(part).write_text(stamp())


def stamp() -> str:
    """Return what tells the kernels from those of other sources, versions and processors.

    With the time at which the sources were written: some versions of numba compile again for it.
    One that does not finds all in its cache, so that the note is renewed in a second.
    """
    import llvmlite.binding
    import numba

    of = [numba.__version__, platform.python_version(), llvmlite.binding.get_host_cpu_name()]
    for name in SOURCES:
        about = Path(__file__).with_name(f"{name}.py").stat()
        of += [str(about.st_mtime_ns), str(about.st_size)]
    return hashlib.sha256(" ".join(of).encode()).hexdigest()


def _note(part: str) -> Path:
    from sparseopt_closedness import repair_kernels

    return Path(repair_kernels.search.stats.cache_path) / f"repairs-{part}.stamp"


class Compiling:
    """Processes that compile the kernels into numba's cache; those not done at the end are killed.

    Compiling cannot be interrupted, so that under a time limit it is left to other processes. Each
    function is cached once it is compiled: the next time, what was killed begins further on.
    """

    def __enter__(self) -> Compiling:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "sparseopt_closedness.repair_rounds", part],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for part in PARTS
            if sys.executable
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def done(self) -> bool:
        """Return whether all have ended."""
        return all(process.poll() is not None for process in self._processes)

    def wait(self, seconds: float) -> None:
        """Wait until all have ended, or the time is up."""
        end = time.monotonic() + seconds
        while not self.done() and time.monotonic() < end:
            time.sleep(0.02)
