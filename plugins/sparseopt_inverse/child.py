"""A function in a process of its own, for engines whose own time limits come late."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from sparseopt import Inconclusive


def run_within(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of a module returns, None if it was not done in time.

    Function, arguments and result travel by pickle. An error in the process is `Inconclusive`.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from sparseopt_inverse.child import answer; answer()"],
            input=pickle.dumps((function, arguments)),
            capture_output=True,
            timeout=max(seconds, 1e-3),
            check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise Inconclusive(
            f"the engine's process ended with {done.returncode}: {done.stderr[-200:]!r}"
        )
    return pickle.loads(done.stdout)


def answer() -> None:
    """Run the function that a parent process sends, and send the result back."""
    function, arguments = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(pickle.dumps(function(*arguments)))
