"""How much anonymous memory a piece of code takes, told by a process of its own.

Anonymous memory is what a process holds beside the pages of mapped files, which the system takes
back when it needs them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

STATUS = Path("/proc/self/status")
needs_proc = pytest.mark.skipif(not STATUS.exists(), reason="no /proc here")


def anonymous() -> float:
    """Return the MiB of anonymous memory of this process."""
    with STATUS.open(encoding="ascii") as lines:
        return next(int(x.split()[1]) for x in lines if x.startswith("RssAnon")) / 1024


class Peak:
    """Watches this process from the start on; `more` says how many MiB came on top since."""

    def __init__(self) -> None:
        self._start = anonymous()
        self._most = self._start
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self._most = max(self._most, anonymous())
            time.sleep(0.001)

    def more(self) -> float:
        """Return the MiB of the peak beside those of the start."""
        return max(self._most, anonymous()) - self._start


def told_by(code: str, *arguments: Any) -> Any:
    """Run code in a process of its own; return what it prints last, as JSON."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
