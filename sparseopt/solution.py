"""A Solution: the answer, the certificate that the core accepted, and how it came about."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sparseopt.certificate import Certificate
from sparseopt.errors import ProblemError
from sparseopt.planning import Plan
from sparseopt.problem import Problem
from sparseopt.serialization import from_json, json_type, to_json


class Status(Enum):
    """How a call of `solve` ended; each value is the message: cause, then remedy."""

    VERIFIED = "The core checked the certificate of the answer and accepts it."
    UNCHECKED = (
        "The certificate was not checked because check=False was given; "
        "call so.verify(solution) to check it."
    )
    UNDECIDED = (
        "No solver could decide; the plan says what each one met. "
        "Install further plugins, or give a larger time limit."
    )
    TIME_LIMIT = "The time limit ran out before a solver was conclusive; give a larger time_limit."

    def __str__(self) -> str:
        return self.value


@json_type
@dataclass(frozen=True, eq=False)
class Solution:
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
    """

    problem: Problem
    answer: Any
    certificate: Certificate | None
    status: Status
    solver: str
    seconds: float
    plan: Plan

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; the status as its name."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "status": self.status.name}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Solution:
        """Inverse of `to_fields`."""
        if not isinstance(fields["problem"], Problem):
            raise ProblemError("problem must hold a problem")
        return cls(**{**fields, "status": Status[fields["status"]]})

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

    def __str__(self) -> str:
        by = f" by {self.solver}" if self.solver else ""
        return (
            f"{self.problem.describe()}\nanswer: {self.answer}\n"
            f"status: {self.status.name}{by} in {self.seconds:.3g} s: {self.status}"
        )
