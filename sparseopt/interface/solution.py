"""A Solution: the answer, the certificate that the core accepted, and how it came about."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, cast

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.certificate import Certificate
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type, require_kinds
from sparseopt.interface.plan import Plan
from sparseopt.interface.printing import printable
from sparseopt.interface.problem import Answer, Problem, Proof
from sparseopt.interface.seams import drawn, notebook_page
from sparseopt.judging.check import remembered
from sparseopt.judging.rounding import shown_above
from sparseopt.judging.serialization import from_json, to_json


class Status(Enum):
    """How a call of `solve` ended; each value is the message: cause, then remedy."""

    VERIFIED = "The core checked the certificate of the answer and accepts it."
    WEAK = (
        "The core accepts the certificate, but it proves less accuracy than was asked; "
        "the plan says what each solver proved. Prefer another solver, or ask for less."
    )
    UNCHECKED = (
        "The core did not check all of the certificate, because check=False was given or because "
        "it rests on an outside program; call so.verify(solution), with allow= to ask that program "
        "(sparseopt verify, with --allow on the command line)."
    )
    UNDECIDED = (
        "No solver could decide; the plan says what each one met. "
        "Install further plugins, or give a larger time limit."
    )
    TIME_LIMIT = "The time limit ran out before a solver was conclusive; give a larger time_limit."

    def __str__(self) -> str:
        return self.value

    def after(self, plan: Plan) -> str:
        """Return the message, with the remedy that fits where no other solver was considered."""
        return _ALONE if self is Status.UNDECIDED and len(plan) == 1 else self.value


_ALONE = (
    "The one solver that was asked could not decide; the plan says what it met. If it was chosen "
    "by name, leave the choice out (solver=, or --solver); else install further plugins, or give "
    "a larger time limit."
)


@json_type
@dataclass(frozen=True, eq=False)
class Solution(Generic[Answer, Proof]):
    """What `solve` returns.

    Attributes
    ----------
    problem : Problem
    answer : object
        Of the problem's own answer type.
    certificate : Certificate or None
        None only when the answer claims nothing (status UNDECIDED or TIME_LIMIT).
    status : Status
    solver : str
        Name of the solver that gave the answer, empty if none did.
    seconds : float
        Wall time of the call, the check included.
    plan : Plan
        Every candidate with its verdict and what happened to it.
    tolerance : float or None
        The accuracy that was asked for; None if none was.

    Raises
    ------
    ProblemError
        If `seconds` or `tolerance` is not a finite number, at least 0.
    """

    problem: Problem[Answer, Proof]
    answer: Answer
    certificate: Proof
    status: Status
    solver: str
    seconds: float
    plan: Plan
    tolerance: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("seconds", self.seconds), ("tolerance", self.tolerance)):
            if value is not None and not 0 <= as_figure(value, name) < math.inf:
                raise ProblemError(f"{name} must be a finite number, at least 0, got {value}")

    @property
    def accuracy(self) -> float | None:
        """What the certificate proves of `Problem.accuracy_is`; None where none was asked."""
        if self.certificate is None or self.tolerance is None:
            return None
        return float(cast(Certificate, self.certificate).accuracy)

    @property
    def checked(self) -> bool:
        """Whether the core accepted in this process, for this problem and answer, a certificate
        that proves what the status says."""
        certificate = cast(Certificate | None, self.certificate)
        if not remembered(certificate, self.problem, self.answer):
            return False
        enough = self.accuracy is None or self.accuracy <= cast(float, self.tolerance)
        return enough or self.status is not Status.VERIFIED

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; the status as its name, and the accuracy."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "status": self.status.name, "accuracy": self.accuracy}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Solution:
        """Inverse of `to_fields`; the accuracy follows from the certificate."""
        kinds: dict[str, Any] = {
            "problem": Problem,
            "certificate": Certificate | None,
            "answer": object,
            "status": str,
            "solver": str,
            "seconds": int | float,
            "plan": Plan,
            "tolerance": int | float | None,
            "accuracy": int | float | None,
        }
        require_kinds("a solution", fields, kinds)
        own = {name: value for name, value in fields.items() if name != "accuracy"}
        return cls(**{**own, "status": Status[fields["status"]]})

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the solution as JSON that `sparseopt verify` and `from_json` read."""
        return to_json(self, indent=indent)

    @staticmethod
    def from_json(text: str) -> Solution:
        """Return what `to_json` wrote. Nothing is checked: call `so.verify` on the result."""
        solution = from_json(text)
        if not isinstance(solution, Solution):
            raise ProblemError(f"the JSON holds a {type(solution).__name__}, not a Solution")
        return solution

    def plot(self, ax: Any = None) -> Any:
        """Draw the proof, else the answer, else the problem; return the matplotlib Axes."""
        return drawn(self, ax)

    def _repr_html_(self) -> str:
        return notebook_page(self)

    def __repr__(self) -> str:
        """Return one line: problem, certificate and plan hold whole arrays."""
        by = f" by {printable(self.solver, 100)}" if self.solver else ""
        answer = printable(self.answer, 200)
        return f"<Solution of {type(self.problem).__name__}: {answer}; {self.status.name}{by}>"

    def __str__(self) -> str:
        by = f" by {printable(self.solver, 100)}" if self.solver else ""
        answer = printable(self.answer, 2000)
        lines = [printable(self.problem.describe(), 2000)]
        judged = self.checked
        if self.status in (Status.VERIFIED, Status.WEAK) and not judged:
            lines.append(f"answer (not checked here): {answer}")
            lines.append(f"status: {self.status.name}{by}, says the file; so.verify checks it")
            return "\n".join(lines)
        lines.append(f"answer: {answer}")
        if self.accuracy is not None and self.certificate is not None:
            words = described_accuracy(self.problem, self.accuracy, self.tolerance)
            lines.append(f"accuracy{'' if judged else ' (not checked)'}: {words}")
        message = self.status.after(self.plan)
        lines.append(f"status: {self.status.name}{by} in {self.seconds:.3g} s: {message}")
        if self.status is Status.WEAK and (limit := self.problem.limited_by(self.answer)):
            lines.append(f"limited by: {printable(limit, 2000)}")
        return "\n".join(lines)


def described_accuracy(problem: Problem, accuracy: float, asked: float | None) -> str:
    """Return a figure with what it measures, and what was asked, for people."""
    if accuracy == 0:
        figure = f"{problem.accuracy_is} 0"
    else:
        shown = shown_above(accuracy, 3)
        if asked is not None and accuracy <= asked < float(shown):
            shown = repr(float(asked))  # or it would read as more than was asked
        figure = f"{problem.accuracy_is} at most {shown}"
    return figure if asked is None else f"{figure} (asked: {asked:g})"
