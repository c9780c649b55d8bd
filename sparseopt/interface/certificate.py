"""A Certificate is evidence that the core checks without the engine that made it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sparseopt.interface.printing import printable, short_repr
from sparseopt.interface.problem import Problem
from sparseopt.interface.seams import drawn, notebook_page
from sparseopt.judging.serialization import same_content

OUTCOMES = ("accepted", "refused", "relies on")

Outsiders = Mapping[str, Callable[[str], bool]]
"""Programs outside this library that may be asked: name to a function that confirms a text."""

NOBODY: Outsiders = {}

MOST_CHARACTERS = 2000
"""Of a claim or a step, as it is shown."""


class CheckFailed(Exception):
    """Raised by `Steps.require`; it never leaves `check_certificate`."""


@short_repr
@dataclass(frozen=True)
class Check:
    """The core's judgement of a certificate.

    Attributes
    ----------
    outcome : {"accepted", "refused", "relies on"}
        "relies on": every step held but those that rest on the word of an outside program.
    claim : str
        What was to be proved, in words that the core builds from what it checked.
    details : tuple of str
        One line per step, the failing one last.
    """

    outcome: str
    claim: str
    details: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "claim", printable(self.claim, MOST_CHARACTERS))
        lines = tuple([printable(line, MOST_CHARACTERS) for line in self.details])
        object.__setattr__(self, "details", lines)

    @property
    def ok(self) -> bool:
        """Whether every step held, and none rests on an outsider."""
        return self.outcome == "accepted"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = {"accepted": "accepted", "refused": "REFUSED", "relies on": "NOT CHECKED WHOLLY"}
        lines = [f"{head[self.outcome]}: {self.claim}", *(f"  {line}" for line in self.details)]
        return "\n".join(lines)


class Steps:
    """Collects the steps of one check and stops at the first that fails.

    Parameters
    ----------
    outsiders : mapping of str to callable
        The outside programs that the user allows, see `relies_on`.
    """

    def __init__(self, outsiders: Outsiders = NOBODY) -> None:
        self.lines: list[str] = []
        self.relied_on: list[str] = []
        self._outsiders = outsiders

    def require(self, ok: bool, step: str, found: str = "") -> None:
        """Record `step`, a statement that must hold; if not `ok`, refuse and say what was found."""
        if bool(ok):
            self.lines.append(f"ok: {step}")
            return
        self.lines.append(f"FAILED: {step}" + (f" (found: {found})" if found else ""))
        raise CheckFailed(step)

    def require_proof(self, certificate: Any, *, of: Problem, verdict: str | None = None) -> None:
        """Check a certificate inside another: of the problem `of`, with this verdict if given.

        Its class must be one of those that the problem lists, as for one that stands alone.
        """
        allowed = type(of).certificates
        self.require(
            type(certificate) in allowed,
            f"there is a certificate of a class that {type(of).__name__} lists",
            type(certificate).__name__,
        )
        self.require(same_content(certificate.problem, of), f"it is about {of.describe()}")
        if verdict is not None:
            value = getattr(certificate.answer, "value", None)
            self.require(value == verdict, f"its verdict is {verdict}", f"{value!r}")
        type(certificate).check(certificate, self)

    def relies_on(self, outsider: str, step: str, question: str) -> None:
        """Record a step that only a program outside this library can confirm.

        Unless the user allowed that program, the check ends in "relies on". If so, it is asked
        `question`, a text that the core builds, and the step holds if it confirms it.

        Parameters
        ----------
        outsider : str
            Its name, one of a fixed list of the certificate's class.
        step : str
            What it is believed to have found.
        question : str
            The question in the program's own language.
        """
        if outsider in self._outsiders:
            confirmed = self._outsiders[outsider](question) is True
            self.require(confirmed, f"{outsider} was asked again and confirms that {step}")
            return
        self.lines.append(f"NOT CHECKED: {outsider} is believed that {step}")
        if outsider not in self.relied_on:
            self.relied_on.append(outsider)

    def note(self, remark: str) -> None:
        """Record a remark that is not a condition."""
        self.lines.append(f"note: {remark}")


class Certificate(ABC):
    """Evidence for one answer of one problem. Subclasses: ``@dataclass(frozen=True, eq=False)``.

    The first two fields of every subclass are ``problem`` and ``answer``, the very objects that
    it speaks of; the rest is evidence. Decorate with `json_type`.

    Laws
    ----
    1. Sound: `check` passes only if `claim` is true of `problem` and `answer`, whatever the
       fields hold: every stored figure is recomputed, never believed. It contains no search.
       In floating point: every inequality of the claim holds for the real numbers behind the
       stored floats. The bound of rounding enlarges what is claimed; no stated figure is
       forgiven by a tolerance.
    2. Independent: `check` uses core code only, and none of the engine's.
    3. Actionable: each step is a `Steps.require` whose text says what must hold.
    4. Words: nothing that a file may hold as free text becomes part of the claim.
    """

    problem: Problem
    answer: Any

    def __init_subclass__(cls) -> None:
        """Keep a short repr: that of a dataclass would list every array."""
        super().__init_subclass__()
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    @property
    @abstractmethod
    def claim(self) -> str:
        """What the certificate proves, in one sentence."""

    @abstractmethod
    def check(self, steps: Steps) -> None:
        """Check every step; use `steps.require`. Any exception counts as a refusal."""

    @property
    def accuracy(self) -> float:
        """How good the answer is proved to be: smaller is better, 0 for an exact proof.

        It is the figure that `Problem.accuracy_is` names; `solve` compares it with the tolerance
        that was asked. A hook with a neutral default: infinity, nothing is proved about it.
        """
        return math.inf

    def explain(self) -> str:
        """Return the proof as a person would write it.

        A hook with a neutral default, the claim alone.
        """
        return self.claim

    def plot(self, ax: Any = None) -> Any:
        """Draw the proof, or what it is about, and return the matplotlib Axes (extra ``plot``).

        A proof that supports are not closed shows its window, and how the products and factors of
        its curve behave; one of a path-norm how the norm grows along depth; others show their
        answer or problem. `ProblemError` for what has no picture.
        """
        return drawn(self, ax)

    def _repr_html_(self) -> str:
        return notebook_page(self)

    def __repr__(self) -> str:
        """Return one line; a claim stays one until `verify` accepts it."""
        try:
            claim = printable(self.claim, 400)
        except Exception:  # of a certificate whose fields are nonsense, which is to be seen, too
            claim = "nothing that can be read"
        return f"<{type(self).__name__} claims: {claim}>"


C = TypeVar("C", bound=type[Certificate])


def proves(problem: type[Problem[Any, Any]]) -> Callable[[C], C]:
    """Class decorator: certificates of this class may prove answers of `problem`.

    Raises
    ------
    TypeError
        If problem and certificate come from different packages: only who states a question may
        say what proves an answer to it.

    Examples
    --------
    >>> import sparseopt as so
    >>> so.SingleFactorCertificate in so.Closedness.certificates
    True
    """

    def register(cls: C) -> C:
        homes = {each.__module__.partition(".")[0] for each in (problem, cls)}
        if len(homes) > 1:
            raise TypeError(
                f"{cls.__name__} cannot prove {problem.__name__}: the package that states a "
                "problem also states its certificates"
            )
        problem.certificates = (*vars(problem).get("certificates", ()), cls)
        return cls

    return register
