"""A toy problem with an honest and several faulty solvers, for tests of the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import sparseopt as so


@so.json_type
@dataclass(frozen=True, eq=False)
class RootCertificate(so.Certificate):
    """Proves that the answer squared is the number."""

    problem: SquareRoot
    answer: int

    @property
    def claim(self) -> str:
        return f"{self.answer} squared is {self.problem.number}"

    def check(self, steps: so.Steps) -> None:
        steps.require(isinstance(self.answer, int), "the answer is an integer")
        steps.require(
            self.answer * self.answer == self.problem.number,
            "answer times answer is the number",
            str(self.answer * self.answer),
        )


@so.json_type
@dataclass(frozen=True, eq=False)
class SquareRoot(so.Problem):
    """Find an integer square root of a number."""

    number: int
    sign: str = "any"
    certificates: ClassVar = (RootCertificate,)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise so.ProblemError(f"number must not be negative, got {self.number}")

    def evaluate(self, answer: int) -> Mapping[str, float]:
        return {"residual": float(abs(answer * answer - self.number))}

    def describe(self) -> str:
        return f"integer square root of {self.number}"

    def structure(self) -> Mapping[str, str | int | bool]:
        return {"sign": self.sign}


@dataclass(frozen=True)
class Search(so.Solver[SquareRoot]):
    """Counts up."""

    start: int = 0

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError("start must not be negative")

    def accepts(self, problem: SquareRoot) -> so.Accepted | so.Refused:
        return so.Accepted() if problem.number < 10**6 else so.Refused("number is over 10**6")

    def solve(self, problem: SquareRoot, context: so.Context) -> tuple[int, RootCertificate]:
        root = self.start
        while root * root < problem.number:
            context.check_time("counting up")
            root += 1
        if root * root != problem.number:
            raise so.Inconclusive(f"{problem.number} is not a square")
        return root, RootCertificate(problem, root)

    def cost(self, problem: SquareRoot) -> float:
        return 1e-3 + problem.number * 1e-7


@dataclass(frozen=True)
class Guess(Search):
    """Answers wrongly, at lower cost."""

    def solve(self, problem: SquareRoot, context: so.Context) -> tuple[int, RootCertificate]:
        return 7, RootCertificate(problem, 7)

    def cost(self, problem: SquareRoot) -> float:
        return 1e-6


@dataclass(frozen=True)
class LenientCertificate(RootCertificate):
    """A forged judge: accepts everything."""

    def check(self, steps: so.Steps) -> None:
        steps.require(True, "trust me")


@dataclass(frozen=True)
class Forger(Guess):
    """Brings its own judge."""

    def solve(self, problem: SquareRoot, context: so.Context) -> tuple[int, RootCertificate]:
        return 7, LenientCertificate(problem, 7)


@dataclass(frozen=True)
class Swapper(Guess):
    """Proves another problem."""

    def solve(self, problem: SquareRoot, context: so.Context) -> tuple[int, RootCertificate]:
        return 7, RootCertificate(SquareRoot(49), 7)


@dataclass(frozen=True)
class PatchedJudge(Guess):
    """Overrides the judge on the instance."""

    def solve(self, problem: SquareRoot, context: so.Context) -> tuple[int, RootCertificate]:
        certificate = RootCertificate(problem, 7)
        object.__setattr__(certificate, "check", lambda steps: None)
        return 7, certificate


@dataclass(frozen=True)
class Raises(Guess):
    """Raises in the middle."""

    def solve(self, problem: SquareRoot, context: so.Context) -> Any:
        raise RuntimeError("engine on fire")


@dataclass(frozen=True)
class Exits(Guess):
    """Calls sys.exit."""

    def solve(self, problem: SquareRoot, context: so.Context) -> Any:
        raise SystemExit(3)


@dataclass(frozen=True)
class NoTuple(Guess):
    """Forgets the certificate."""

    def solve(self, problem: SquareRoot, context: so.Context) -> Any:
        return 7


@dataclass(frozen=True)
class NoReason(Guess):
    """Refuses without a reason."""

    def accepts(self, problem: SquareRoot) -> Any:
        return so.Refused("")


@dataclass(frozen=True)
class AcceptsNone(Guess):
    """Returns None from accepts."""

    def accepts(self, problem: SquareRoot) -> Any:
        return None


@dataclass(frozen=True)
class BadCost(Guess):
    """Predicts NaN seconds."""

    def cost(self, problem: SquareRoot) -> float:
        return float("nan")


def no_device() -> so.Unavailable:
    """Say that no device is there."""
    return so.Unavailable("no CUDA device is visible", "run on a machine with an NVIDIA GPU")


def unfit_device() -> so.Unavailable:
    """Say that the device does not fit."""
    return so.Unavailable("the device has compute capability 5.0", "use 7.0 or newer")


def good_device() -> None:
    """Say that all is well."""


def broken_probe() -> None:
    """Break while looking."""
    raise OSError("driver library is missing")


@dataclass(frozen=True)
class Parity(so.Analyzer[SquareRoot]):
    """Says whether the number is even, and its root with proof."""

    loud: bool = False

    def accepts(self, subject: SquareRoot) -> so.Accepted | so.Refused:
        return so.Accepted() if subject.number else so.Refused("zero has no interesting parity")

    def analyze(self, subject: SquareRoot, context: so.Context) -> Any:
        solution = so.solve(subject)
        yield so.Finding(
            "root",
            so.Severity.WARNING if self.loud else so.Severity.OK,
            "number",
            f"the root is {solution.answer}",
            solution.answer,
            certificate=solution.certificate,
            figure=so.SeriesFigure("root", "x", "y", ["a"], {"root": [1.0]}),
        )


@dataclass(frozen=True)
class Breaks(Parity):
    """Raises in the middle."""

    def analyze(self, subject: SquareRoot, context: so.Context) -> Any:
        raise RuntimeError("analyzer on fire")


@dataclass(frozen=True)
class Unproved(Parity):
    """Attaches a certificate that does not hold."""

    def analyze(self, subject: SquareRoot, context: so.Context) -> Any:
        wrong = RootCertificate(subject, 1)
        yield so.Finding("root", so.Severity.OK, "number", "1", 1, certificate=wrong)
