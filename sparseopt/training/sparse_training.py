"""Whether training a ReLU network with fixed supports always has an optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparseopt.closedness.problem import Closedness
from sparseopt.interface.arrays import Supports
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import printable
from sparseopt.interface.problem import Problem

VALUES = ("attained", "may_not_be_attained", "unknown")
CONDITIONS = {
    "attained": "one hidden layer and one output: an optimum exists for all data",
    "may_not_be_attained": "the set of products with these supports is not closed, so some data "
    "set has no optimum",
}
"""The conditions that give a verdict, in words."""


@json_type
@dataclass(frozen=True)
class TrainingVerdict:
    """The answer, and the condition that gives it.

    Attributes
    ----------
    value : str
        ``"attained"``: an optimum exists for every data set. ``"may_not_be_attained"``: for some
        data set there is none. ``"unknown"``: neither condition applies.
    condition : str
        The condition used, in words.
    """

    value: str
    condition: str

    def __post_init__(self) -> None:
        if type(self.value) is not str or self.value not in VALUES:
            raise ProblemError(f"value must be one of {VALUES}, got {self.value!r}")
        if type(self.condition) is not str:
            raise ProblemError(f"condition must be a text, got {type(self.condition).__name__}")

    def __str__(self) -> str:
        return printable(f"{self.value.replace('_', ' ')}: {self.condition}", 2000)


@json_type
@dataclass(frozen=True, eq=False)
class SparseTraining(Problem[TrainingVerdict, "TrainingCertificate | None"]):
    """Does training a ReLU network with fixed supports have an optimum for all data?

    The network is ``W_1 relu(W_2 ... relu(W_L x))``.

    Parameters
    ----------
    supports : sequence of 0/1 arrays
        I_1, ..., I_L as for `Closedness`: the first is that of the output layer.

    Examples
    --------
    >>> import sparseopt as so
    >>> print(so.solve(so.SparseTraining([[[1, 0, 1]], [[1, 1], [0, 1], [1, 0]]])).answer.value)
    attained
    """

    supports: tuple[np.ndarray, ...]

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, supports: Supports) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "supports", Closedness(self.supports).supports)

    def evaluate(self, answer: TrainingVerdict) -> Mapping[str, float]:
        """Return 1 for an answer that leaves the question open."""
        return {"undecided": float(answer.value == "unknown")}

    def describe(self) -> str:
        """Return one line with the sizes."""
        shapes = " and ".join(f"{s.shape[0]} x {s.shape[1]}" for s in self.supports)
        return f"training with supports {shapes}"

    def undecided(self, tried: Sequence[str]) -> TrainingVerdict:
        """Return the honest "unknown"."""
        return TrainingVerdict("unknown", "no condition applies: " + "; ".join(tried))


@proves(SparseTraining)
@json_type
@dataclass(frozen=True, eq=False)
class TrainingCertificate(Certificate):
    """The condition that holds, with the closedness certificate where it rests on one.

    Conditions of Le, Riccietti, Gribonval (arXiv 2306.02666): with one hidden layer and one
    output an optimum exists for all supports and data; if training has an optimum for every data
    set, then the set of products of matrices with these supports is closed, so supports that are
    not closed have data without an optimum.
    """

    problem: SparseTraining
    answer: TrainingVerdict
    closedness: Certificate | None = None

    @classmethod
    def proved(
        cls, problem: SparseTraining, closedness: Certificate | None = None
    ) -> TrainingCertificate:
        """Return the certificate, with the verdict that it is meant to prove."""
        value = "attained" if closedness is None else "may_not_be_attained"
        return cls(problem, TrainingVerdict(value, CONDITIONS[value]), closedness)

    @property
    def claim(self) -> str:
        """What is proved."""
        words = {
            "attained": "an optimum exists for every data set",
            "may_not_be_attained": "some data set has no optimum",
        }
        return f"{self.problem.describe()}: {words.get(self.answer.value, 'nothing')}"

    @property
    def accuracy(self) -> float:
        """Exact: 0."""
        return 0.0

    def check(self, steps: Steps) -> None:
        """Check the condition."""
        supports, answer = self.problem.supports, self.answer
        steps.require(type(answer) is TrainingVerdict, "the answer is a verdict on training")
        steps.require(answer.value in CONDITIONS, "the verdict makes a claim")
        condition = CONDITIONS[answer.value]
        steps.require(answer.condition == condition, f"the verdict says: {condition}")
        if answer.value == "attained":
            steps.require(len(supports) == 2, "the network has one hidden layer")
            steps.require(supports[0].shape[0] == 1, "the network has one output")
            steps.require(self.closedness is None, "it rests on no certificate of closedness")
        else:
            asked = Closedness(list(supports))
            steps.require_proof(self.closedness, of=asked, verdict="not_closed")

    def explain(self) -> str:
        """Return the condition, and the proof that it rests on."""
        proof = f"\n{self.closedness.explain()}" if self.closedness is not None else ""
        return f"{CONDITIONS.get(self.answer.value, 'Nothing is claimed')}.{proof}"
