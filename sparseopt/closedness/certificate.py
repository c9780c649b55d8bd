"""What all certificates of closedness share: the verdict, its words, and how a proof is refused."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from sparseopt.closedness.problem import Closedness, ClosednessVerdict
from sparseopt.interface.certificate import Certificate, Steps
from sparseopt.judging.evidence import EvidenceError


@contextmanager
def proving(steps: Steps, step: str) -> Iterator[None]:
    """Require `step`: it fails with the words of any `EvidenceError` raised inside."""
    try:
        yield
    except EvidenceError as error:
        steps.require(False, step, str(error))
    steps.require(True, step)


@dataclass(frozen=True, eq=False)
class ClosednessCertificate(Certificate):
    """A proof that a set of products is closed, or that it is not."""

    problem: Closedness
    answer: ClosednessVerdict

    @classmethod
    def proved(cls, problem: Closedness, *evidence: Any, **named: Any) -> Self:
        """Return the certificate, with the verdict that the evidence is meant to prove.

        Raises
        ------
        EvidenceError
            If the evidence does not have the form of its kind, so that no verdict can be told.
        """
        draft = cls(problem, ClosednessVerdict("unknown", ""), *evidence, **named)
        return replace(draft, answer=ClosednessVerdict(draft.verdict, draft.reason))

    @property
    @abstractmethod
    def verdict(self) -> str:
        """The value of the verdict that is proved, "closed" or "not_closed"."""

    @property
    @abstractmethod
    def reason(self) -> str:
        """The words of the verdict, built from the evidence alone."""

    @property
    def condition(self) -> str:
        """On what the claim depends, as the end of a sentence; empty for a complete proof."""
        return ""

    @property
    def claim(self) -> str:
        """What is proved."""
        verdict = self.verdict.replace("_", " ")
        return f"{self.problem.describe()}: the set is {verdict}{self.condition}"

    @property
    def accuracy(self) -> float:
        """Exact: 0."""
        return 0.0

    def check(self, steps: Steps) -> None:
        """Check the verdict, the proof, and that the verdict's words are those of the proof."""
        answer = self.answer
        steps.require(answer.value == self.verdict, f"the verdict is {self.verdict}")
        self.prove(steps)
        reason = self.reason
        steps.require(answer.reason == reason, f"the verdict says: {reason}")

    @abstractmethod
    def prove(self, steps: Steps) -> None:
        """Check every step of the proof."""
