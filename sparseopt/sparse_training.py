"""Whether training a ReLU network with fixed supports always has an optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sparseopt.certificate import Certificate, Steps
from sparseopt.closedness import Closedness
from sparseopt.errors import ProblemError
from sparseopt.problem import Problem
from sparseopt.serialization import json_type, same_content

VALUES = ("attained", "may_not_be_attained", "unknown")


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
        if self.value not in VALUES:
            raise ProblemError(f"value must be one of {VALUES}, got {self.value!r}")

    def __str__(self) -> str:
        return f"{self.value.replace('_', ' ')}: {self.condition}"


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

    @property
    def claim(self) -> str:
        """What is proved."""
        words = {
            "attained": "an optimum exists for every data set",
            "may_not_be_attained": "some data set has no optimum",
        }
        return f"{self.problem.describe()}: {words.get(self.answer.value, 'nothing')}"

    def check(self, steps: Steps) -> None:
        """Check the condition."""
        supports = self.problem.supports
        if self.answer.value == "attained":
            steps.require(len(supports) == 2, "the network has one hidden layer")
            steps.require(supports[0].shape[0] == 1, "the network has one output")
            return
        steps.require(self.answer.value == "may_not_be_attained", "the verdict makes a claim")
        proof = self.closedness
        steps.require(type(proof) in Closedness.certificates, "a closedness certificate is there")
        assert proof is not None
        asked = Closedness(list(supports))
        steps.require(same_content(proof.problem, asked), "it is about these supports")
        steps.require(proof.answer.value == "not_closed", "its verdict is not_closed")
        type(proof).check(proof, steps)

    def explain(self) -> str:
        """Return the condition, and the proof that it rests on."""
        proof = f"\n{self.closedness.explain()}" if self.closedness is not None else ""
        return f"{self.answer.condition}.{proof}"


@json_type
@dataclass(frozen=True, eq=False)
class SparseTraining(Problem):
    """Does training ``W_1 relu(W_2 ... relu(W_L x))`` with fixed supports always have an optimum?

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

    supports: Sequence[np.ndarray]
    certificates: ClassVar[tuple[type[Certificate], ...]] = (TrainingCertificate,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "supports", Closedness(self.supports).supports)

    def evaluate(self, answer: TrainingVerdict) -> Mapping[str, float]:
        """Return 1 for an answer that leaves the question open."""
        return {"undecided": float(answer.value == "unknown")}

    def describe(self) -> str:
        """Return one line with the sizes."""
        shapes = " and ".join(f"{s.shape[0]} x {s.shape[1]}" for s in self.supports)
        return f"training with supports {shapes}"

    def undecided(self, tried: Sequence[str]) -> Any:
        """Return the honest "unknown"."""
        return TrainingVerdict("unknown", "no condition applies: " + "; ".join(tried))
