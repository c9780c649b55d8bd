"""A Certificate is evidence that the core checks without the engine that made it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sparseopt.problem import Problem
from sparseopt.serialization import same_content


class CheckFailed(Exception):
    """Raised by `Steps.require`; it never leaves `check_certificate`."""


@dataclass(frozen=True)
class Check:
    """The core's judgement of a certificate.

    Attributes
    ----------
    ok : bool
        Whether every step held.
    claim : str
        What was to be proved, in words.
    details : tuple of str
        One line per step, the failing one last.
    """

    ok: bool
    claim: str
    details: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = "accepted" if self.ok else "REFUSED"
        return "\n".join([f"{head}: {self.claim}", *(f"  {line}" for line in self.details)])


class Steps:
    """Collects the steps of one check and stops at the first that fails."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def require(self, ok: bool, step: str, found: str = "") -> None:
        """Record `step`, a statement that must hold; if not `ok`, refuse and say what was found."""
        if bool(ok):
            self.lines.append(f"ok: {step}")
            return
        self.lines.append(f"FAILED: {step}" + (f" (found: {found})" if found else ""))
        raise CheckFailed(step)

    def note(self, remark: str) -> None:
        """Record a remark that is no condition."""
        self.lines.append(f"note: {remark}")


class Certificate(ABC):
    """Evidence for one answer of one problem. Subclasses: ``@dataclass(frozen=True, eq=False)``.

    The first two fields of every subclass are ``problem`` and ``answer``, the very objects that
    it speaks of; the rest is evidence. Decorate with `json_type`.

    Laws
    ----
    1. Sound: `check` passes only if `claim` is true of `problem` and `answer`, whatever the
       fields hold: every stored figure is recomputed, never believed. It contains no search.
    2. Independent: `check` uses core code only, and none of the engine's.
    3. Actionable: each step is a `Steps.require` whose text says what must hold.
    """

    problem: Problem
    answer: Any

    @property
    @abstractmethod
    def claim(self) -> str:
        """What the certificate proves, in one sentence."""

    @abstractmethod
    def check(self, steps: Steps) -> None:
        """Check every step; use `steps.require`. Any exception counts as a refusal."""

    def explain(self) -> str:
        """Return the proof as a person would write it.

        A hook with a neutral default, the claim alone.
        """
        return self.claim


def check_certificate(
    certificate: Any, problem: Problem | None = None, answer: Any = None
) -> Check:
    """Judge a certificate; with `problem`, also that it speaks of this problem and `answer`.

    Never raises: whatever goes wrong inside a check is a refusal that says so.
    """
    steps = Steps()
    claim = "the certificate states a claim"
    try:
        asked = problem if problem is not None else getattr(certificate, "problem", None)
        steps.require(isinstance(asked, Problem), "the certificate names its problem")
        assert isinstance(asked, Problem)
        allowed = type(asked).certificates
        steps.require(
            type(certificate) in allowed,
            f"the certificate's class is one of those that {type(asked).__name__} lists",
            type(certificate).__name__,
        )
        if problem is not None:
            steps.require(
                same_content(certificate.problem, problem), "the certificate is of this problem"
            )
            steps.require(
                same_content(certificate.answer, answer), "the certificate is of this answer"
            )
        # Looked up on the class: an instance cannot bring its own judge.
        claim = str(type(certificate).claim.fget(certificate))  # type: ignore[attr-defined]
        type(certificate).check(certificate, steps)
    except CheckFailed:
        return Check(False, claim, tuple(steps.lines))
    except Exception as error:
        steps.lines.append(f"FAILED: the check itself broke: {type(error).__name__}: {error}")
        return Check(False, claim, tuple(steps.lines))
    return Check(True, claim, tuple(steps.lines))


# Dear checks need not run twice on one object: what `solve` gated, `analyze` and the HTML page
# take from here. `verify` never does.
_judged: WeakKeyDictionary[Certificate, Check] = WeakKeyDictionary()


def remember(certificate: Certificate, check: Check) -> None:
    """Keep the judgement of a certificate for `judgement`."""
    _judged[certificate] = check


def judgement(certificate: Certificate) -> Check:
    """Return the judgement of a certificate, made now unless it was remembered."""
    if certificate not in _judged:
        _judged[certificate] = check_certificate(certificate)
    return _judged[certificate]
