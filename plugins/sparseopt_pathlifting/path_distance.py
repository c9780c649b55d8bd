"""Distances of path-liftings: by two passes, and by enumeration."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sparseopt as so

_EDGES = 20_000


@dataclass(frozen=True)
class DistancePasses(so.Solver[so.PathDistance]):
    """Two norms: exact where one setting dominates the other, an upper bound for equal signs."""

    def accepts(self, problem: so.PathDistance) -> so.Accepted | so.Refused:
        """Accept settings without a change of sign."""
        if not problem.same_signs:
            return so.Refused(
                "some parameter changes its sign; then no difference of norms bounds the distance"
            )
        return so.Accepted()

    def cost(self, problem: so.PathDistance) -> float:
        """Two passes."""
        return 1e-3 + 2e-9 * problem.network.edge_count

    def solve(
        self, problem: so.PathDistance, context: so.Context
    ) -> tuple[so.PathDistanceValue, so.Certificate]:
        """Return the distance, or the bound."""
        found = problem.by_two_passes()
        exact = found if isinstance(found, Fraction) else None
        method, kind = ("dominated", "exact") if problem.dominates else ("two_pass", "upper bound")
        answer = so.PathDistanceValue(float(found), kind, True, exact)
        return answer, so.PathDistanceCertificate(problem, answer, method)


@dataclass(frozen=True)
class DistanceEnumeration(so.Solver[so.PathDistance]):
    """Lists the paths of both settings. For small networks; signs may change."""

    def accepts(self, problem: so.PathDistance) -> so.Accepted | so.Refused:
        """Accept small networks."""
        edges = problem.network.edge_count
        if edges > _EDGES:
            return so.Refused(f"the network has {edges} edges between neurons, more than {_EDGES}")
        return so.Accepted()

    def cost(self, problem: so.PathDistance) -> float:
        """A guess from the number of edges: paths are many times more."""
        return 2e-3 + 2e-3 * problem.network.edge_count

    def solve(
        self, problem: so.PathDistance, context: so.Context
    ) -> tuple[so.PathDistanceValue, so.Certificate]:
        """Return the exact distance."""
        try:
            found = problem.by_enumeration()
        except so.ProblemError as error:
            raise so.Inconclusive(str(error)) from error
        answer = so.PathDistanceValue(float(found), "exact", problem.same_signs, found)
        return answer, so.PathDistanceCertificate(problem, answer, "enumeration")
