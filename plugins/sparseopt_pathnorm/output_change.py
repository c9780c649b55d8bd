"""How far two networks differ on a box: eq. (8), signed intervals, backward substitution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.networks.operator import Add, unchecked
from sparseopt_pathnorm import change_intervals
from sparseopt_pathnorm.change_layers import PairLayer, differ, pair_layers
from sparseopt_pathnorm.pass_memory import forward_bytes

Proof = tuple[so.OutputChangeValue, so.Certificate]

_FAINT = 2.0**-915
"""More than the judge leaves at each layer for what underflows, which later weights enlarge."""
_TOO_LARGE = "a bound leaves the range of float64; rescale the network"


@dataclass(frozen=True)
class PathMetricBound(so.Solver[so.OutputChange]):
    """Eq. (8) for any signs: ``N(theta) + N(theta') - 2 N(meet)`` per output, three passes.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers.
    """

    def accepts(self, problem: so.OutputChange) -> so.Accepted | so.Refused:
        """Accept everything."""
        return so.Accepted()

    def cost(self, problem: so.OutputChange) -> float:
        """Three passes; run on request, for what the boxes prove is far below."""
        return 4e-3 + 1e-7 * problem.network.edge_count

    def bytes_needed(self, problem: so.OutputChange) -> float:
        """Predict three passes, and the setting between."""
        return 4.0 * forward_bytes(problem.network)

    def solve(self, problem: so.OutputChange, context: so.Context) -> Proof:
        """Return the bound of each output, with both signs."""
        layers = pair_layers(problem.network, problem.other)
        if not differ(layers):
            nothing = np.zeros(problem.network.output_shape)
            return proof(problem, nothing, nothing, "path_metric")
        reach = np.maximum(np.abs(problem.lower), np.abs(problem.upper))
        sums = np.stack([reach, np.zeros_like(reach), np.zeros_like(reach)])
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            found = problem.network.walk(sums, lambda node, given: _sums(layers[node.name], given))
        room = sum(layer.room for layer in layers.values())
        most = (found[1] + found[2]) * (1 + 4 * room) + 2.0**-900  # what underflow may take
        return proof(problem, -most, most, "path_metric")


def _sums(layer: PairLayer, given: list[np.ndarray]) -> np.ndarray:
    """Return N(meet), and how much N is larger for each network."""
    op = layer.op
    if not layer.moves:
        side = layer.first.size
        result = np.array(sum(given) if isinstance(op, Add) else side.propagate(given))
    else:
        (name,) = op.weight_fields
        meet, more, others = _split(getattr(op, name), getattr(layer.other, name))
        least = [g[:1] for g in given]
        result = np.concatenate(
            [
                unchecked(op, **{name: meet}).propagate(least),
                layer.first.size.propagate([g[1:2] for g in given])
                + unchecked(op, **{name: more}).propagate(least),
                layer.second.size.propagate([g[2:] for g in given])
                + unchecked(op, **{name: others}).propagate(least),
            ]
        )
    if layer.bias is not None:
        starts = _split(layer.op.offset(), layer.other.offset())
        result = result + np.stack([layer.wide(part) for part in starts])
    return result + _FAINT


def _split(a: np.ndarray | None, b: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """Return the meet, and how much larger the absolute values are in each network."""
    assert a is not None
    assert b is not None
    kind = object if object in (a.dtype, b.dtype) else np.float64
    x, y = np.abs(a).astype(kind), np.abs(b).astype(kind)
    meet = np.where(
        (np.asarray(a > 0) & (b > 0)) | (np.asarray(a < 0) & (b < 0)), np.minimum(x, y), 0
    )
    return tuple(np.asarray(part, dtype=np.float64) for part in (meet, x - meet, y - meet))


@dataclass(frozen=True)
class SignedIntervals(so.Solver[so.OutputChange]):
    """Intervals of the values of both networks and of their difference, layer by layer.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers.
    """

    def accepts(self, problem: so.OutputChange) -> so.Accepted | so.Refused:
        """Accept everything."""
        return so.Accepted()

    def cost(self, problem: so.OutputChange) -> float:
        """Six passes."""
        return 3e-3 + 6e-8 * problem.network.edge_count

    def bytes_needed(self, problem: so.OutputChange) -> float:
        """Predict the layers of both networks by the signs of their weights."""
        return 4.0 * forward_bytes(problem.network)

    def solve(self, problem: so.OutputChange, context: so.Context) -> Proof:
        """Return the intervals of the output."""
        found = spans(problem)
        low, high = found[:, 1]
        return proof(problem, low, high, "signed_intervals")


def spans(problem: so.OutputChange) -> np.ndarray:
    """Return the intervals of the output: of the first network, the change, the other."""
    layers = pair_layers(problem.network, problem.other)
    first = change_intervals.start(problem.lower, problem.upper)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        found: np.ndarray = problem.network.walk(
            first, lambda node, given: change_intervals.through(layers[node.name], given)
        )
    return found


def proof(
    problem: so.OutputChange,
    low: np.ndarray,
    high: np.ndarray,
    method: str,
    bounds: dict[str, np.ndarray] | None = None,
) -> Proof:
    """Return the answer with its certificate."""
    try:
        answer = so.OutputChangeValue.of(low, high)
    except ValueError as error:  # an end is NaN or infinite
        raise so.Inconclusive(_TOO_LARGE) from error
    if not answer.l1 < math.inf:
        raise so.Inconclusive(_TOO_LARGE)
    return answer, so.OutputChangeCertificate(problem, answer, method, bounds or {})
