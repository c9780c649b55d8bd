"""Collects the checks of one object, prints how many ran, and fails loudly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import raised
from sparseopt.interface.problem import Problem


@dataclass
class Conformance:
    """What the kit found about one solver or analyzer.

    Attributes
    ----------
    subject : str
        What was tested.
    passed, failed, excused : list of str
        One line per check; excused ones are the expected failures.
    """

    subject: str
    expected: Mapping[str, str]
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)
    _cause: BaseException | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, reason in self.expected.items():
            if not isinstance(reason, str) or not reason.strip():
                raise TypeError(f"the expected failure {name!r} needs a reason")

    def run(self, law: str, where: str, check: Callable[[], None]) -> bool:
        """Run one check of a law; an AssertionError or any other exception is a failure."""
        place = f"{law} ({where})" if where else law
        try:
            check()
        except (Exception, SystemExit) as error:
            words = str(error) or type(error).__name__
            if not isinstance(error, AssertionError):
                words = self.raised(error)
            if law in self.expected:
                self.excused.append(f"{place}: {words} [expected: {self.expected[law]}]")
            else:
                self.failed.append(f"{place}: {words}")
            return False
        self.passed.append(place)
        return True

    def raised(self, error: BaseException) -> str:
        """Return an error in words, with the last line outside sparseopt that it went through.

        The first is kept: it becomes the cause of what `finish` raises.
        """
        self._cause = self._cause or error
        return raised(error)

    def finish(self) -> Conformance:
        """Print the tally; raise AssertionError if anything failed or nothing was checked.

        An error of what was tested is its cause, so that its traceback is shown.
        """
        ran = len(self.passed) + len(self.failed) + len(self.excused)
        failures = list(self.failed)
        if not ran:
            failures.append("no check ran: give at least one problem or subject that it accepts")
        excused_laws = {line.partition(" (")[0].partition(":")[0] for line in self.excused}
        for law in self.expected:
            if law not in excused_laws:
                failures.append(f"{law}: expected to fail, but it does not; remove the excuse")
        tally = f"{self.subject}: {ran} checks ran, {len(failures)} failed"
        if self.excused:
            tally += f", {len(self.excused)} expected failures"
        print(tally)  # noqa: T201
        if failures:
            raise AssertionError("\n  ".join([tally, *failures])) from self._cause
        return self


def listed(items: Any, name: str, call: str) -> list[Any]:
    """Return a list of subjects or problems; one that stands alone is an error that says so."""
    if isinstance(items, Iterable) and not isinstance(items, str | bytes | Mapping | Problem):
        return list(items)
    raise ProblemError(f"{name} is a list, got a {type(items).__name__}: {call}")


def require(condition: bool, words: str) -> None:
    """Fail a check with `words` unless `condition` holds."""
    if not condition:
        raise AssertionError(words)
