"""The exceptions that users see. Each message says what was wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from sparseopt.interface.printing import printable_lines


class SparseoptError(Exception):
    """Base of every error that sparseopt raises on purpose.

    Messages quote names and texts of files, so they are made printable here.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(printable_lines(message))


class ProblemError(SparseoptError, ValueError):
    """Bad input: the message names the place (node, row, entry) and the remedy."""


_MOST_NAMED = 40


class UnknownNameError(ProblemError):
    """A solver, analyzer, plugin or option that does not exist; the message lists those that do."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = sorted(known)
        self._asked = kind, name, choices
        close = get_close_matches(name, choices, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        named = f"Known: {', '.join(choices) or '(none)'}."
        if len(choices) > _MOST_NAMED:
            named = f"`sparseopt doctor` lists the {len(choices)} that are known."
        super().__init__(f"unknown {kind} {name!r}.{hint} {named}")

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str]]]:
        """Errors of workers come as copies."""
        return type(self), self._asked


class Inconclusive(SparseoptError):
    """Raised by a solver that ran correctly and cannot decide; the next candidate runs."""

    def __init__(self, reason: str) -> None:
        if not reason:
            raise TypeError("Inconclusive needs a reason: say what was tried and why it stopped")
        super().__init__(reason)
        self.reason = reason


class TimeLimitReached(Inconclusive):
    """The time limit of the call ran out; raised by `Context.check_time`."""
