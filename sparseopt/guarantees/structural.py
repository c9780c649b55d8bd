"""A proof that parameters are not identifiable, by directions seen in the structure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from sparseopt.guarantees.families import Direction, Family, Structure, described, direction
from sparseopt.guarantees.identifiability import Identifiability, IdentifiabilityVerdict
from sparseopt.guarantees.orbit import is_moved
from sparseopt.guarantees.rank import RankEvidence, require_figures, scope
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type


@proves(Identifiability)
@json_type
@dataclass(frozen=True, eq=False)
class StructuralCertificate(Certificate):
    """Directions along which the outputs do not change, and that are no rescalings.

    Theorem. Let the outputs at the inputs be those at the given parameters for all parameters
    ``theta + t v`` with small t > 0, and let one such point, with no sign changed, be no rescaling
    of theta. Then the parameters are not identifiable. Proof: that theta + t v is a rescaling is a
    set of equations, linear in log(1 + t v_i / theta_i), so analytic in t as long as no sign
    changes: they fail at one t, hence for all small t > 0.

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
        head = f"the {answer.parameters} free parameters are not identifiable up to rescaling"
        moved = "; ".join(answer.directions)
        words = f"{head} from {data}: {moved}, can move without any change of the outputs"
        rank = f"; the derivative at {where} has rank at least {answer.rank} of {answer.bound}"
        return words + (rank if answer.rank else "")

    def check(self, steps: Steps) -> None:
        """Check each direction, and that one is no rescaling."""
        problem, answer = self.problem, self.answer
        rank = require_figures(steps, problem, answer, self.evidence)
        steps.require(answer.value == "not_identifiable", "the verdict is that of a direction")
        steps.require(rank < problem.bound, "the rank that is proved leaves a direction open")
        given = self.from_any_data or problem.inputs is not None
        steps.require(given, "the problem has inputs")
        structure = Structure(problem.wires, None if self.from_any_data else problem.pattern)
        moved = [self._is_moved(direction(steps, structure, each)) for each in self.families]
        steps.require(any(moved), "a direction is no rescaling")
        words = described(structure, self.families)
        steps.require(answer.directions == words, "the words are those of the directions")

    def _is_moved(self, change: Direction) -> bool:
        """Whether a small step along a direction leaves the rescalings."""
        wires = self.problem.wires
        old = [Fraction(wires.exact[wires.parameters.first[column]]) for column in change]
        sizes = [abs(v / o) for v, o in zip(change.values(), old, strict=True) if o]
        step = Fraction(1, 2) / (1 + max(sizes, default=Fraction(0)))
        new = {c: o + step * v for (c, v), o in zip(change.items(), old, strict=True)}
        return is_moved(wires, old, new)
