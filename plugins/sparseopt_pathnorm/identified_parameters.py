"""What data can determine of the parameters of a network, proved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sparseopt as so
from sparseopt.guarantees.families import Family, Structure, direction
from sparseopt.guarantees.structural import StructuralCertificate
from sparseopt.interface.certificate import Steps
from sparseopt_pathnorm.independence import independent
from sparseopt_pathnorm.jacobian_rank import JacobianRank
from sparseopt_pathnorm.structural_search import found_families, without_rank


@dataclass(frozen=True)
class IdentifiedParameters(so.Analyzer[so.Network]):
    """Says whether some data determine the parameters, locally and up to rescaling.

    Inputs are searched. A network whose units hold constants, copies or nothing that is heard is
    not identifiable from any data, and the report names its units.

    Parameters
    ----------
    most : int
        Parameters up to which the rank is proved; 2,000 take some seconds.
    seconds : float
        Time that the search may take.
    """

    most: int = 2000
    seconds: float = 10.0

    def accepts(self, subject: so.Network) -> so.Accepted | so.Refused:
        """Take networks of layers that the judge knows, up to `most` parameters."""
        try:
            problem = so.Identifiability(subject)
            count = problem.parameters.count
            if count > self.most:
                return so.Refused(
                    f"{count} parameters, more than {self.most}; so.solve(so.Identifiability(...), "
                    "solver='facets_of_units') takes them"
                )
            assert problem.wires
        except so.ProblemError as error:
            return so.Refused(str(error))
        return so.Accepted()

    def analyze(self, subject: so.Network, context: so.Context) -> Iterator[so.Finding]:
        """Yield one finding, with its certificate."""
        problem = so.Identifiability(subject)
        limit = min(self.seconds, context.remaining())
        inner = so.Context(context.seed, limit, context.progress, context.tolerance)
        families, _ = found_families(problem, None)
        if families:
            _, proof = without_rank(problem, families)
            yield _not(problem, proof)
            return
        try:
            answer, certificate = JacobianRank().solve(problem, inner)
        except so.Inconclusive as error:
            yield so.Finding(
                "identifiability",
                so.Severity.INFO,
                "network",
                f"whether data determine the parameters is not known: {error}",
                None,
            )
            return
        assert isinstance(certificate, so.JacobianRankCertificate)
        assert certificate.evidence.inputs is not None
        count = len(certificate.evidence.inputs)
        if answer.value == "identifiable":
            yield so.Finding(
                "identifiable",
                so.Severity.OK,
                "network",
                f"the {answer.parameters} parameters are identifiable up to rescaling, proved from "
                f"{count} inputs",
                answer.parameters,
                certificate=certificate,
            )
            return
        yield so.Finding(
            "identifiability",
            so.Severity.INFO,
            "network",
            f"{count} inputs determine {answer.rank} of {answer.bound} directions of the "
            f"{answer.parameters} parameters; whether others determine the rest is not known",
            answer.gap,
            certificate=certificate,
        )


def _not(problem: so.Identifiability, certificate: StructuralCertificate) -> so.Finding:
    structure = Structure(problem.wires, None)
    families = certificate.families
    number = independent(
        problem.wires,
        problem.scales,
        [direction(Steps(), structure, family) for family in families],
    )
    constant = [family for family in families if family.kind == "constant"]
    words = _constants(structure, constant) if constant else ""
    rest = [w for w in certificate.answer.directions if not (constant and "constant" in w)]
    return so.Finding(
        "not-identifiable",
        so.Severity.WARNING,
        "network",
        words
        if words and not rest
        else "; ".join([*([words] if words else []), *rest])
        + f": {number} directions of the parameters cannot be identified from any data",
        certificate.answer.directions,
        "remove these units: so.remove_dead(network, constants=True), or merge copies",
        certificate=certificate,
    )


def _constants(structure: Structure, families: list[Family]) -> str:
    """Return how many units of each layer are constant, and how many weights leave them."""
    wires, parts = structure.wires, []
    tails = [structure.edges[family.places[0]][0][1] for family in families]
    for position in sorted({int(wires.layer_of[tail]) for tail in tails}):
        layer = wires.layers[position]
        units = sorted({t - layer.start for t in tails if wires.layer_of[t] == position})
        weights = sum(int(wires.layer_of[tail]) == position for tail in tails)
        names = ", ".join(map(str, units))
        parts.append(
            f"{len(units)} of {layer.size} units of {layer.name!r} are constant ({names}): "
            f"{weights} weights cannot be identified from any data"
        )
    return "; ".join(parts)
