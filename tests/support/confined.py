"""Reads files in a process of its own, with little memory and little time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

# Reads each file named on standard input; prints one line of JSON per file.
_PROGRAM = """
import json, logging, resource, signal, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import sparseopt as so
from sparseopt.judging.array_files import read_array
import onnx, onnxruntime, torch  # the libraries themselves need address space
import onnx.reference, sparseopt_onnx.reader, sparseopt_torch.reader

limit = int(sys.argv[1]) << 20
with open("/proc/self/statm") as file:
    limit += int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for line in sys.stdin:
    path = json.loads(line)
    signal.alarm(int(sys.argv[2]))  # ends the process
    try:
        (read_array if path.endswith(".npy") else so.read)(path)
        outcome = "read"
    except so.ProblemError as error:
        outcome = str(error)
    except BaseException as error:
        outcome = f"FAULT: {type(error).__name__}: {error}"
    signal.alarm(0)
    print(json.dumps(outcome), flush=True)
"""


class Reader:
    """A process that reads files, `megabytes` beyond what its libraries take, `seconds` for each.

    Where it ends, the next file is read by another.
    """

    def __init__(self, megabytes: int = 3072, seconds: int = 60) -> None:
        self._command = [sys.executable, "-c", _PROGRAM, str(megabytes), str(seconds)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        return process.wait()

    def read(self, path: Path) -> str:
        """Return "read", the text of a `ProblemError`, or what went wrong, after "FAULT"."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(str(path)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        return json.loads(line) if line else f"FAULT: the process ended with {self._end()}"


def outcomes(paths: Iterable[Path]) -> dict[str, str]:
    """Return what reading each file came to, by its name without suffix."""
    with Reader() as reader:
        return {path.stem: reader.read(path) for path in paths}


def is_decent(outcome: str) -> bool:
    """Whether it is an answer, or one printable sentence of tolerable length."""
    return outcome.isprintable() and len(outcome) < 900 and not outcome.startswith("FAULT")
