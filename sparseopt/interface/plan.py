"""The Plan: all candidates for one problem with their verdicts, in the order they would run."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sparseopt.interface.arrays import as_estimate
from sparseopt.interface.errors import ProblemError, SparseoptError
from sparseopt.interface.json_type import json_type, require_kinds
from sparseopt.interface.printing import printable
from sparseopt.interface.seams import notebook_page
from sparseopt.interface.verdict import Accepted, Guarantee, Verdict


def in_words(size: float) -> str:
    """Return a number of bytes in MiB, from 1 GiB on in GiB."""
    return f"{size / 2**30:.2g} GiB" if size >= 2**30 else f"{max(size / 2**20, 0.1):.2g} MiB"


@json_type
@dataclass(frozen=True)
class Candidate:
    """One solver considered for a problem.

    Attributes
    ----------
    name, plugin : str
        The solver and the plugin that offers it.
    guarantee : Guarantee or None
        As declared in the manifest; None for an instance used without registration.
    verdict : Accepted, Refused, Unavailable or Outranked
        What the selection says.
    outcome : str
        What happened when it ran; empty if it did not.
    left_out : str
        What it goes without here, for want of a library; empty if nothing.
    memory : float or None
        Predicted bytes beside the problem's data, from `Solver.bytes_needed`; None if not said.
    rests_on : str
        What the predicted cost depends on besides the problem, from `Solver.cost_rests_on`.
    """

    name: str
    plugin: str
    guarantee: Guarantee | None
    verdict: Verdict
    outcome: str = ""
    left_out: str = ""
    memory: float | None = None
    rests_on: str = ""

    def after(self, outcome: str) -> Candidate:
        """Return the candidate with what happened when it ran."""
        # dataclasses.replace takes longer than the smallest problems can spare.
        return Candidate(
            self.name,
            self.plugin,
            self.guarantee,
            self.verdict,
            outcome,
            self.left_out,
            self.memory,
            self.rests_on,
        )

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; of memory and `rests_on` what is said."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        unsaid = ("memory", None), ("rests_on", "")
        return {name: value for name, value in found.items() if (name, value) not in unsaid}

    @classmethod
    def from_fields(cls, given: dict[str, Any]) -> Candidate:
        """Return what JSON holds."""
        kinds = {
            "name": str,
            "plugin": str,
            "guarantee": Guarantee | None,
            "verdict": Verdict,
            "outcome": str,
            "left_out": str | None,
            "memory": float | int | None,
            "rests_on": str | None,
        }
        require_kinds("a candidate", given, kinds)
        memory = given.get("memory")
        memory = None if memory is None else as_estimate(memory, "memory of a candidate")
        texts = {name: given.get(name) or "" for name in ("left_out", "rests_on")}
        return cls(**{**given, **texts, "memory": memory})

    def __str__(self) -> str:
        promise = self.guarantee.value if self.guarantee else "no declared guarantee"
        line = f"{self.name} ({self.plugin}, {promise}): {self.verdict}"
        line += f" ({self.left_out})" if self.left_out else ""
        line += f", {self.rests_on}" if self.rests_on else ""
        line += f", about {in_words(self.memory)} of memory" if self.memory is not None else ""
        return printable(f"{line} -> {self.outcome}" if self.outcome else line, 2000)


@json_type
@dataclass(frozen=True)
class Plan:
    """All candidates for one problem, in the order they would run; printable."""

    problem: str
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        lines = [f"plan for {printable(self.problem, 2000)}"]
        lines += [f"  {i}. {c}" for i, c in enumerate(self.candidates, 1)]
        return "\n".join(lines) if self.candidates else f"{lines[0]}: no solver is installed for it"

    def __repr__(self) -> str:
        """Return one line; `str` lists the candidates."""
        first = f", first {printable(self.candidates[0].name)}" if self.candidates else ""
        about = printable(self.problem, 400)
        return f"<Plan for {about}: {len(self.candidates)} candidates{first}>"

    def _repr_html_(self) -> str:
        return notebook_page(self)

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON; the candidates as a plain list."""
        return {"problem": self.problem, "candidates": list(self.candidates)}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Plan:
        """Inverse of `to_fields`."""
        require_kinds("a plan", fields, {"problem": str, "candidates": list})
        if not all(isinstance(item, Candidate) for item in fields["candidates"]):
            raise ProblemError("candidates of a plan must hold candidates only")
        return cls(fields["problem"], tuple(fields["candidates"]))

    def __iter__(self) -> Any:
        return iter(self.candidates)

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that runs first, or None."""
        first = self.candidates[:1]
        return first[0] if first and isinstance(first[0].verdict, Accepted) else None


class SolveError(SparseoptError):
    """No candidate gave an answer whose certificate the core accepts.

    Attributes
    ----------
    message : str
        What failed, without the plan.
    plan : Plan
        Every candidate with what happened to it.
    """

    def __init__(self, message: str, plan: Plan) -> None:
        super().__init__(f"{message}\n{plan}")
        self.message, self.plan = message, plan

    def __reduce__(self) -> tuple[type[SolveError], tuple[str, Plan]]:
        """Errors of workers come as copies."""
        return type(self), (self.message, self.plan)
