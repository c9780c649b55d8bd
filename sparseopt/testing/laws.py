"""Laws that solvers and analyzers share."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.verdict import Accepted, Refused
from sparseopt.judging.serialization import to_json
from sparseopt.testing.outcome import require


def settings_only(cls: type) -> None:
    """The class is a frozen dataclass whose fields all have defaults."""
    require(dataclasses.is_dataclass(cls), f"{cls.__name__} is not a dataclass")
    parameters = cls.__dataclass_params__  # type: ignore[attr-defined]
    require(parameters.frozen, f"{cls.__name__} is not frozen: @dataclass(frozen=True)")
    for field in dataclasses.fields(cls):
        missing = field.default is field.default_factory is dataclasses.MISSING
        require(not missing, f"the setting {field.name!r} has no default")


HEAVY = ("torch", "cupy", "cvxpy", "sympy", "onnx", "sklearn", "numba", "matplotlib", "z3")
"""Libraries to import inside `solve` or `analyze`: a plan imports every solver's module."""


def imports_quietly(cls: type) -> None:
    """Importing the module neither ends the process, nor prints, nor loads a heavy library."""
    module = cls.__module__
    if module == "__main__":
        return
    path = [entry for entry in sys.path if entry]
    loaded = f"[name for name in {HEAVY!r} if name in sys.modules]"
    code = (
        f"import sys; sys.path[:0] = {path!r}; import {module}; "
        f"sys.stdout.write('done:' + ' '.join({loaded}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    tail = done.stderr.strip().splitlines()[-1:] or [""]
    printed, finished, heavy = done.stdout.rpartition("done:")
    require(
        done.returncode == 0 and bool(finished),
        f"importing {module} ends the process with {done.returncode}: {tail[0]}",
    )
    require(not printed, f"importing {module} prints {printed[:80]!r}")
    require(not heavy, f"importing {module} loads {heavy}; import it where it is used")


def accepts_lawfully(engine: Any, subject: Any) -> None:
    """`accepts` returns Accepted() or Refused(reason), the same twice, and never raises."""
    first, second = engine.accepts(subject), engine.accepts(subject)
    require(
        type(first) in (Accepted, Refused),
        f"accepts returned {first!r} instead of Accepted() or Refused(reason)",
    )
    require(first == second, f"accepts said {first} and then {second}")


def content(value: Any) -> str:
    """Return what identifies the content of a problem, an answer or a subject."""
    try:
        return to_json(value)
    except ProblemError:
        return repr(value)


def bases(value: Any) -> list[bytes]:
    """Return the bytes of the caller's arrays behind the views that a problem keeps."""
    found = []
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            for array in item if isinstance(item, list | tuple) else [item]:
                if isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
                    found.append(array.base.tobytes())
    return found
