"""Distances of path-liftings: by two passes, and by enumeration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.judging.rounding import float_above
from sparseopt.pathnorm.plain import rounding_room
from sparseopt_pathnorm.difference_pass import difference
from sparseopt_pathnorm.neuron_sums import is_small, power_sums_of
from sparseopt_pathnorm.pass_memory import between_bytes, checking_seconds

_EDGES = 20_000
_BEYOND = "the distance leaves the range of float64"
_NORMAL = Fraction(2) ** -1022


@dataclass(frozen=True)
class DistancePasses(so.Solver[so.PathDistance]):
    """Two norms: exact where one setting dominates the other, an upper bound for equal signs, and
    for distances below 1e-308.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers.
    """

    def accepts(self, problem: so.PathDistance) -> so.Accepted | so.Refused:
        """Accept settings without a change of sign."""
        if not problem.same_signs:
            return so.Refused(
                "some parameter changes its sign; then no difference of two norms bounds the "
                "distance"
            )
        return so.Accepted()

    def cost(self, problem: so.PathDistance) -> float:
        """Two passes."""
        return 1e-3 + 2e-9 * problem.network.edge_count + checking_seconds(problem.network, 10.0)

    def bytes_needed(self, problem: so.PathDistance) -> float:
        """Predict two passes, and the setting between."""
        return between_bytes(problem.network)

    def solve(
        self, problem: so.PathDistance, context: so.Context
    ) -> tuple[so.PathDistanceValue, so.Certificate]:
        """Return the distance, or the bound."""
        exact: Fraction | None = None
        if is_small(problem.network):
            large, small = (_total(problem, choose) for choose in (np.maximum, np.minimum))
            found = exact = large - small
        else:
            found = difference(problem.network, problem.other).as_fraction()
        # Below the normal range no float is near the distance, but one is just above it.
        if problem.dominates and (not found or found >= _NORMAL):
            method, kind, value = "dominated", "exact", nearest(found)
        else:
            room = 24 * rounding_room(problem.network) if exact is None else 0.0
            method, kind = "two_pass", "upper bound"
            value = float_above(found * (1 + Fraction(room)))
        if not value < math.inf:
            raise so.Inconclusive(_BEYOND)
        outputs = None if problem.dominates else output_bound(problem)
        answer = so.PathDistanceValue(value, kind, True, exact, outputs)
        return answer, so.PathDistanceCertificate(problem, answer, method)


def nearest(value: Fraction) -> float:
    """Return the nearest float."""
    try:
        return float(value)
    except OverflowError as error:
        raise so.Inconclusive(_BEYOND) from error


@dataclass(frozen=True)
class DistanceThreePasses(so.Solver[so.PathDistance]):
    """Three norms: an upper bound where signs change, through the setting between both.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers.
    """

    def accepts(self, problem: so.PathDistance) -> so.Accepted | so.Refused:
        """Accept settings with a change of sign; for others two passes say the distance."""
        if problem.same_signs:
            return so.Refused("no parameter changes its sign; two passes are enough")
        return so.Accepted()

    def cost(self, problem: so.PathDistance) -> float:
        """Three passes."""
        return 1e-3 + 3e-9 * problem.network.edge_count + checking_seconds(problem.network, 15.0)

    def bytes_needed(self, problem: so.PathDistance) -> float:
        """Predict three passes, and the setting between."""
        return between_bytes(problem.network)

    def solve(
        self, problem: so.PathDistance, context: so.Context
    ) -> tuple[so.PathDistanceValue, so.Certificate]:
        """Return the bound."""
        value = output_bound(problem)
        if value is None:
            raise so.Inconclusive(_BEYOND)
        answer = so.PathDistanceValue(value, "upper bound", False)
        return answer, so.PathDistanceCertificate(problem, answer, "three_pass")


def output_bound(problem: so.PathDistance) -> float | None:
    """Return a bound of the change of outputs by three passes; None where float64 ends.

    It is raised by what rounding may take here and in the check.
    """
    found = difference(problem.network, problem.other, apart=True).as_fraction()
    room = Fraction(24 * rounding_room(problem.network) + 2.0**-40)
    bound = float_above(found * (1 + room))
    return bound if bound < math.inf else None


def _total(problem: so.PathDistance, choose: np.ufunc) -> Fraction:
    """Return the L1 path-norm with the larger or smaller absolute values."""
    other = problem.other.parameters()
    arrays = {
        name: choose(np.abs(array), np.abs(other[name]))
        for name, array in problem.network.parameters().items()
    }
    network = problem.network.with_parameters(arrays)
    return sum(power_sums_of(network.neurons, 1), start=Fraction(0))


@dataclass(frozen=True)
class DistanceEnumeration(so.Solver[so.PathDistance]):
    """Lists the paths of both settings. For small networks; signs may change.

    Time O(E^2), memory O(E), for E edges in two layers; as many paths as there are, times the
    depth.
    """

    def accepts(self, problem: so.PathDistance) -> so.Accepted | so.Refused:
        """Accept small networks."""
        edges = problem.network.edge_count
        if edges > _EDGES:
            return so.Refused(f"the network has {edges} edges between neurons, more than {_EDGES}")
        return so.Accepted()

    def cost(self, problem: so.PathDistance) -> float:
        """A guess from the number of edges: paths are many times more."""
        return 5e-3 + 2e-6 * float(problem.network.edge_count) ** 2

    def bytes_needed(self, problem: so.PathDistance) -> float:
        """Predict the neurons and edges of both as objects."""
        return 2.0**21 + 2e3 * problem.network.edge_count

    def solve(
        self, problem: so.PathDistance, context: so.Context
    ) -> tuple[so.PathDistanceValue, so.Certificate]:
        """Return the exact distance."""
        try:
            lifted = [so.path_lifting(network) for network in (problem.network, problem.other)]
        except so.ProblemError as error:
            raise so.Inconclusive(str(error)) from error
        entries = zip(lifted[0].phi, lifted[1].phi, strict=True)
        found = sum((abs(u - v) for u, v in entries), start=Fraction(0))
        if 0 < found < _NORMAL:
            raise so.Inconclusive("the distance is positive, but below all normal float64 numbers")
        outputs = None if problem.dominates else output_bound(problem)
        answer = so.PathDistanceValue(nearest(found), "exact", problem.same_signs, found, outputs)
        return answer, so.PathDistanceCertificate(problem, answer, "enumeration")
