"""What certificates of recovery share."""

from __future__ import annotations

from typing import ClassVar

from sparseopt.interface.certificate import Certificate, Steps
from sparseopt.inverse.recovery import RecoveryGuarantee, RecoveryVerdict


class RecoveryCertificate(Certificate):
    """A verdict on recovery, in words that the certificate itself builds."""

    value: ClassVar[str]
    """The verdict that certificates of a class prove."""

    problem: RecoveryGuarantee
    answer: RecoveryVerdict

    @property
    def accuracy(self) -> float:
        """A verdict: 0."""
        return 0.0

    @classmethod
    def verdict(cls, problem: RecoveryGuarantee, condition: str) -> RecoveryVerdict:
        """Return the answer that a condition proves."""
        return RecoveryVerdict(cls.value, f"{problem.method}: {condition}")

    def require_verdict(self, steps: Steps, condition: str) -> None:
        """Require that the answer is that verdict, in the words that go with the condition."""
        answer, own = self.answer, self.verdict(self.problem, condition)
        steps.require(type(answer) is RecoveryVerdict, "the answer is a verdict on recovery")
        steps.require(
            answer.value == own.value, f"the verdict is {own.value!r}", repr(answer.value)
        )
        steps.require(answer.condition == own.condition, f"the verdict says: {own.condition}")
