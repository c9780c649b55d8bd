"""A file of JSON lines that keeps what a sweep has solved, by what was asked."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.plan import SolveError
from sparseopt.interface.problem import Problem
from sparseopt.interface.solution import Solution, Status
from sparseopt.judging.serialization import from_json, same_content, to_json
from sparseopt.judging.verifying import verify

_HEAD = '{"key": "'


class SweepStore:
    """Solutions and errors in a file, one a line, each written as soon as it is there.

    A line has the keys "key" and "solution" or "error". The last line of a key counts; lines that
    are cut off, or not of this kind, are passed over. Keys are digests of the problem, the solver
    and all settings, and the version of the package.

    Parameters
    ----------
    path : str or Path
        Made where it does not exist; its folder must.
    settings : [str or None, dict]
        What besides the problem decides the answer, as JSON can hold it: the solver's name, and the
        options of `solve`.

    Raises
    ------
    ProblemError
        If the file cannot be read or written, or settings cannot be written as JSON.
    """

    def __init__(self, path: str | Path, settings: Any) -> None:
        self._path = Path(path)
        self._settings = to_json([version("sparseopt"), settings])
        self._options = settings[-1]
        self._places: dict[str, int] = {}
        try:
            with self._path.open("ab+") as file:
                self._read(file)
        except OSError as error:
            raise ProblemError(f"store {self._path} cannot be used: {error.strerror}") from error

    def _read(self, file: Any) -> None:
        """Find the lines of the keys; end the last line if it is cut off."""
        file.seek(0)
        place, line = 0, b"\n"
        for line in file:
            head = line[: len(_HEAD) + 64].decode("ascii", "replace")
            if head.startswith(_HEAD) and line.endswith(b"}\n"):
                self._places[head[len(_HEAD) :]] = place
            place += len(line)
        if not line.endswith(b"\n"):
            file.write(b"\n")

    def key(self, problem: Problem) -> str:
        """Return the key of a problem; `ProblemError` if it cannot be written as JSON."""
        asked = f"{self._settings}\n{to_json(problem)}"
        return hashlib.sha256(asked.encode()).hexdigest()

    def solution(self, key: str, problem: Problem) -> Solution | None:
        """Return the solution that is kept, None if none is, or one that does not verify.

        The file may have been anywhere: what claims to be verified is checked again, and must have
        been asked with the same tolerance. Without a certificate only "unknown" is taken.
        """
        if key not in self._places:
            return None
        with self._path.open("rb") as file:
            file.seek(self._places[key])
            line = file.readline()
        try:
            found = from_json(line.decode()).get("solution")
        except (ProblemError, UnicodeDecodeError):
            return None
        if not isinstance(found, Solution) or not same_content(found.problem, problem):
            return None
        if found.status in (Status.UNDECIDED, Status.TIME_LIMIT) and found.certificate is None:
            return found if getattr(found.answer, "value", None) == "unknown" else None
        if found.status is Status.UNCHECKED and self._options.get("check") is False:
            return found
        asked = self._options.get("tolerance", problem.default_tolerance)
        asked = problem.default_tolerance if asked is None else asked
        outcome = "refused" if found.tolerance != asked else verify(found).outcome
        unchecked = found.status is Status.UNCHECKED
        return found if outcome == ("relies on" if unchecked else "accepted") else None

    def keep(self, key: str, found: Solution | SolveError) -> None:
        """Append what was found."""
        entry = ("solution", found) if isinstance(found, Solution) else ("error", str(found))
        with self._path.open("a", encoding="utf-8") as file:
            file.write(to_json({"key": key, entry[0]: entry[1]}) + "\n")
