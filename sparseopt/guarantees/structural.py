"""A proof that parameters are not identifiable, by directions seen in the structure."""

from __future__ import annotations

from dataclasses import dataclass

from sparseopt.guarantees.families import Family, Structure, described, direction, independent
from sparseopt.guarantees.identifiability import Identifiability, IdentifiabilityVerdict
from sparseopt.guarantees.rank import RankEvidence, require_figures, scope
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type


@proves(Identifiability)
@json_type
@dataclass(frozen=True, eq=False)
class StructuralCertificate(Certificate):
    """Directions along which the outputs do not change, and that are no rescalings.

    Theorem. Let v be no tangent of the rescalings, and let the outputs at the inputs be those at
    the given parameters for all parameters ``theta + t v`` with small t. Then the parameters are
    not identifiable: if they were rescalings of theta for some t going to 0, v would be a limit of
    tangents, which are closed.

    Parameters
    ----------
    families : tuple of Family
        See `sparseopt.guarantees.families`.
    from_any_data : bool
        Whether no use is made of the inputs.
    """

    problem: Identifiability
    answer: IdentifiabilityVerdict
    evidence: RankEvidence
    families: tuple[Family, ...]
    from_any_data: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "families", tuple(self.families))
        if any(type(family) is not Family for family in self.families):
            raise ProblemError("families must be a list of families")
        if type(self.from_any_data) is not bool:
            raise ProblemError("from_any_data must be true or false")

    @property
    def accuracy(self) -> float:
        """0: the directions are exact."""
        return 0.0

    @property
    def claim(self) -> str:
        """The verdict, with what moves."""
        answer = self.answer
        where = scope(self.problem, self.evidence)
        data = "any finite set of inputs" if self.from_any_data else where
        words = (
            f"the {answer.parameters} free parameters are not identifiable up to rescaling from "
            f"{data}: {'; '.join(answer.directions)}, can move without any change of the outputs"
        )
        if not answer.rank:
            return words
        rank = f"rank at least {answer.rank} of at most {answer.bound}"
        return f"{words}; the derivative at {where} has {rank}"

    def check(self, steps: Steps) -> None:
        """Check each direction, and that one is no rescaling."""
        problem, answer = self.problem, self.answer
        rank = self.evidence.rank(steps, problem)
        require_figures(steps, problem, answer, rank)
        steps.require(answer.value == "not_identifiable", "the verdict is that of a direction")
        if not self.from_any_data:
            steps.require(problem.inputs is not None, "the problem has inputs")
        structure = Structure(problem.wires, None if self.from_any_data else problem.pattern)
        directions = [direction(steps, structure, family) for family in self.families]
        found = independent(problem.wires, problem.scales, directions) if directions else 0
        steps.require(found > 0, "a direction is no rescaling")
        words = described(structure, self.families)
        steps.require(answer.directions == words, "the words are those of the directions")
        steps.note(f"at least {found} directions are independent of each other and of rescalings")
        if rank + found == problem.bound and not problem.excluded:
            steps.note(f"the rank of the derivative is {rank} exactly")
