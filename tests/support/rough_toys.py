"""A toy problem whose answers are proved to some accuracy, and one that rests on an outsider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import sparseopt as so


@so.json_type
@dataclass(frozen=True, eq=False)
class SquareError(so.Certificate):
    """States how far the answer squared is from the number, relative to it; exact arithmetic."""

    problem: RealRoot
    answer: float

    @property
    def claim(self) -> str:
        return f"{self.answer} squared is {self.problem.number} up to {float(self._error):.3g}"

    @property
    def _error(self) -> Fraction:
        number = Fraction(self.problem.number)
        return abs(Fraction(self.answer) ** 2 - number) / number

    @property
    def accuracy(self) -> float:
        return float(self._error)

    def check(self, steps: so.Steps) -> None:
        steps.require(type(self.answer) is float, "the answer is a float")


@dataclass(frozen=True, eq=False)
class Square:
    """A root that remembers its square."""

    root: int

    @cached_property
    def value(self) -> int:
        return self.root * self.root


@dataclass(frozen=True, eq=False)
class SquareCertificate(so.Certificate):
    """Proves a root by squares that are remembered, on it and on its answer."""

    problem: RealRoot
    answer: Square

    @cached_property
    def square(self) -> int:
        return self.answer.value

    @property
    def claim(self) -> str:
        return f"{self.answer.root} squared is {self.problem.number}"

    def check(self, steps: so.Steps) -> None:
        steps.require(self.square == self.problem.number, "the square is the number")


@so.json_type
@dataclass(frozen=True, eq=False)
class OracleCertificate(so.Certificate):
    """Believes an oracle that the answer is right."""

    problem: RealRoot
    answer: float

    @property
    def claim(self) -> str:
        return f"{self.answer} is the root of {self.problem.number}"

    def check(self, steps: so.Steps) -> None:
        question = f"{self.answer} {self.problem.number}"
        steps.relies_on("oracle", "it is the root", question)


@so.json_type
@dataclass(frozen=True, eq=False)
class WrappedCertificate(so.Certificate):
    """Holds a certificate of the same problem."""

    problem: RealRoot
    answer: float
    proof: so.Certificate

    @property
    def claim(self) -> str:
        return "what the proof claims"

    def check(self, steps: so.Steps) -> None:
        steps.require_proof(self.proof, of=self.problem)


@dataclass(frozen=True, eq=False)
class LenientError(SquareError):
    """A forged judge: accepts everything."""

    def check(self, steps: so.Steps) -> None:
        steps.require(True, "trust me")


@so.json_type
@dataclass(frozen=True, eq=False)
class SaysClosed(so.Certificate):
    """Lets any answer pass, also one that looks like another problem's."""

    problem: RealRoot
    answer: Any

    @property
    def claim(self) -> str:
        return "nothing"

    def check(self, steps: so.Steps) -> None:
        steps.note("nothing is claimed")


@so.json_type
@dataclass(frozen=True, eq=False)
class RealRoot(so.Problem):
    """Find the square root of a positive number."""

    number: float
    certificates: ClassVar = (
        SquareError,
        OracleCertificate,
        WrappedCertificate,
        SaysClosed,
        SquareCertificate,
    )
    default_tolerance: ClassVar = 1e-9
    accuracy_is: ClassVar = "relative error of the square"

    def evaluate(self, answer: float) -> Mapping[str, float]:
        return {"residual": abs(answer * answer - self.number)}

    def describe(self) -> str:
        return f"square root of {self.number:g}"


@dataclass(frozen=True)
class Newton(so.Solver[RealRoot]):
    """Newton's method from above."""

    rounds: int = 100

    def accepts(self, problem: RealRoot) -> so.Accepted | so.Refused:
        return so.Accepted()

    def solve(self, problem: RealRoot, context: so.Context) -> tuple[float, so.Certificate]:
        x = problem.number + 1.0
        for _ in range(self.rounds):
            x = (x + problem.number / x) / 2
        return x, SquareError(problem, x)

    def cost(self, problem: RealRoot) -> float:
        return 1e-3


@dataclass(frozen=True)
class TwoRounds(Newton):
    """Stops early."""

    rounds: int = 2

    def cost(self, problem: RealRoot) -> float:
        return 1e-6


@dataclass(frozen=True)
class ThreeRounds(TwoRounds):
    """Stops a little later."""

    rounds: int = 3


@dataclass(frozen=True)
class AsksAsked(Newton):
    """Answers with the tolerance that it was asked for."""

    def solve(self, problem: RealRoot, context: so.Context) -> tuple[float, so.Certificate]:
        assert context.tolerance is not None
        return context.tolerance, SquareError(problem, context.tolerance)


@dataclass(frozen=True)
class Oracle(Newton):
    """Believes an oracle."""

    def solve(self, problem: RealRoot, context: so.Context) -> tuple[float, so.Certificate]:
        return 7.0, OracleCertificate(problem, 7.0)


def confirms(question: str) -> Any:
    """The oracle: whether the first number squared is the second."""
    root, number = map(float, question.split())
    return root * root == number
