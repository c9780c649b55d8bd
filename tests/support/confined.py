"""Reads files in a process of its own, with little memory and little time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# Reads each file named on standard input; prints one line of JSON per file.
_PROGRAM = """
import json, resource, signal, sys, warnings
warnings.simplefilter("ignore")
import sparseopt as so
from sparseopt.array_files import read_array

if sys.argv[2] == "warm":  # the libraries themselves need address space
    import onnx, onnxruntime, torch
    import sparseopt_pathlifting.onnx_reader, sparseopt_pathlifting.torch_reader
limit = int(sys.argv[1]) << 20
with open("/proc/self/statm") as file:
    limit += int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for line in sys.stdin:
    path = line.rstrip("\\n")
    signal.alarm(int(sys.argv[3]))
    try:
        (read_array if path.endswith(".npy") else so.read)(path)
        outcome = "read"
    except so.ProblemError as error:
        outcome = str(error)
    except BaseException as error:
        outcome = f"FAULT: {type(error).__name__}: {error}"
    signal.alarm(0)
    print(json.dumps([path, outcome]), flush=True)
"""


def outcomes(
    paths: Iterable[Path], *, megabytes: int = 3072, seconds: int = 60, warm: bool = True
) -> dict[str, str]:
    """Return what reading each file came to: "read", the text of a `ProblemError`, or a fault.

    Each file gets `megabytes` beyond what the libraries take, and `seconds`. A file at which the
    process ends is a fault, and the rest is read by the next process.
    """
    left = [str(path) for path in paths]
    found: dict[str, str] = {}
    while left:
        mode = "warm" if warm else "cold"
        command = [sys.executable, "-c", _PROGRAM, str(megabytes), mode, str(seconds)]
        done = subprocess.run(
            command,
            input="\n".join(left) + "\n",
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        found.update(json.loads(line) for line in done.stdout.splitlines())
        rest = [path for path in left if path not in found]
        if rest:
            found[rest[0]] = (
                f"FAULT: the process ended with {done.returncode}: {done.stderr[-300:]}"
            )
        left = rest[1:]
    return found
