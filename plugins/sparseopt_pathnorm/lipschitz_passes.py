"""Lipschitz bounds by a few passes through the layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.interface.arrays import read_only
from sparseopt.judging.rounding import FUNCTION, float_above
from sparseopt.pathnorm.lipschitz import dual, raised
from sparseopt.pathnorm.plain import rounding_room
from sparseopt.pathnorm.powers import Powers
from sparseopt_pathnorm.neuron_sums import is_small, power_sums_of
from sparseopt_pathnorm.pass_memory import (
    checking_seconds,
    exact_bytes,
    forward_bytes,
    repeated_bytes,
)
from sparseopt_pathnorm.passes import power_sums
from sparseopt_pathnorm.scaled_layers import ScaledLayers, path_table


@dataclass(frozen=True)
class LipschitzPasses(so.Solver[so.LipschitzBound]):
    """The smallest of the bounds that take a few passes, and of the table's where it is small.

    Time O(E), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers, for each pass.

    Parameters
    ----------
    iterations : int
        Power iterations for the spectral norm (p_in = p_out = 2), at most.
    table_work : float
        Include the table of all inputs and outputs if edges times outputs are at most this.
    """

    iterations: int = 15
    table_work: float = 1e9

    def accepts(self, problem: so.LipschitzBound) -> so.Accepted | so.Refused:
        """Accept everything."""
        return so.Accepted()

    def cost(self, problem: so.LipschitzBound) -> float:
        """About two nanoseconds per edge and pass."""
        spectral = "spectral" in problem.methods()
        passes = 2 * self.iterations if spectral else 2
        table = min(self._table_cost(problem), self.table_work)
        own = 1e-4 + 2e-9 * (problem.network.edge_count * passes + table)
        return own + checking_seconds(problem.network, 0.2 if spectral else 1.0)

    def bytes_needed(self, problem: so.LipschitzBound) -> float:
        """Predict the bytes of one pass, or of the layers that several keep in float64; of exact
        networks of rational numbers."""
        if problem.network.is_exact:
            return exact_bytes(problem.network)
        if problem.methods() == ["rows"]:
            return forward_bytes(problem.network)
        return repeated_bytes(problem.network)

    def _table_cost(self, problem: so.LipschitzBound) -> float:
        return float(problem.network.edge_count) * math.prod(problem.network.output_shape)

    def solve(
        self, problem: so.LipschitzBound, context: so.Context
    ) -> tuple[so.LipschitzValue, so.Certificate]:
        """Return the smallest bound."""
        methods = problem.methods()
        network = problem.network
        if methods == ["rows"] and problem.p_out in (1, math.inf) and is_small(network):
            sums = power_sums_of(network.neurons, 1, bias_paths=False)
            exact = max(sums) if problem.p_out == math.inf else sum(sums, start=Fraction(0))
            answer = answer_of(problem, "rows", exact)
            return answer, so.LipschitzCertificate(problem, answer)
        if self._table_cost(problem) > self.table_work and "table" in methods:
            methods.remove("table")
        weights = None
        if "spectral" in methods:
            weights = spectral_weights(problem.network, self.iterations)
        found = {method: bound(problem, method, weights) for method in methods}
        return best(problem, {name: value for name, value in found.items() if value}, weights)


@dataclass(frozen=True)
class LipschitzTable(so.Solver[so.LipschitzBound]):
    """The bound from the table of all inputs and outputs, where that is the best one.

    The norm of the table itself for p_out = inf and p_in = 1; otherwise no worse than the row
    and column sums.

    Time O(E o), memory O(P + V), for a network of E edges and P parameters, with V values between
    layers and o outputs.
    """

    def accepts(self, problem: so.LipschitzBound) -> so.Accepted | so.Refused:
        """Accept pairs of norms that the table improves on, if it is affordable."""
        if "table" not in problem.methods():
            return so.Refused(
                "for these norms one pass gives the same bound, or one backward pass per output "
                f"({math.prod(problem.network.output_shape)}) takes too long"
            )
        return so.Accepted()

    def cost(self, problem: so.LipschitzBound) -> float:
        """One backward pass per output."""
        outputs = math.prod(problem.network.output_shape)
        return 1e-4 + 2e-9 * problem.network.edge_count * outputs

    def bytes_needed(self, problem: so.LipschitzBound) -> float:
        """Predict many passes, and one row of the table for each output."""
        return repeated_bytes(problem.network)

    def solve(
        self, problem: so.LipschitzBound, context: so.Context
    ) -> tuple[so.LipschitzValue, so.Certificate]:
        """Return the bound."""
        found = bound(problem, "table", None)
        if found is None:
            raise so.Inconclusive("the table of path sums leaves the range of float64")
        return best(problem, {"table": found}, None)


def bound(problem: so.LipschitzBound, method: str, weights: np.ndarray | None) -> Powers | None:
    """Return the bound by one method, see `LipschitzBound`; None beyond the range of float64."""
    network = problem.network
    layers = ScaledLayers(network)
    if method == "spectral":
        assert weights is not None
        forward = layers.forward(weights[None])
        back = layers.backward(forward.array)
        square = np.asarray((back.array[0] / weights).max())
        return Powers.of(square, forward.exponent + back.exponent).root(2)
    if method == "table":
        return _hoelder(path_table(network), problem.p_in, problem.p_out)
    rows = columns = None
    if method != "columns":
        rows = power_sums(network, 1, bias_paths=False)
    if method != "rows":
        value = layers.backward(np.ones((1, *network.output_shape)))
        columns = Powers.of(value.array.ravel(), value.exponent)
    if rows is not None and columns is not None:
        return _interpolated(columns.norm(math.inf), rows.norm(math.inf), problem.p_in)
    if rows is not None:
        return rows.norm(problem.p_out)
    assert columns is not None
    return columns.norm(dual(problem.p_in))


def spectral_weights(network: so.Network, passes: int) -> np.ndarray:
    """Return a positive vector for the method ``spectral``, by at most `passes` power iterations.

    Stops early once the bound that the vector gives is within 0.1 % of the one before.
    """
    layers = ScaledLayers(network)
    v = np.ones((1, *network.input_shape))
    last = math.inf
    for _ in range(passes):
        forward = layers.forward(v)
        back = layers.backward(forward.array)
        top = float(back.array.max())
        if top == 0.0:
            break
        found = math.log2(float((back.array / v).max())) + forward.exponent + back.exponent
        # The floor keeps v positive; inputs below it hardly matter for the norm.
        v = np.maximum(back.array / top, 1e-12)
        if found > last - 2e-3:
            break
        last = found
    return read_only(v[0])


def _interpolated(one: Powers, infinity: Powers, p: float) -> Powers:
    if not one.array or not infinity.array:
        return Powers.of(np.zeros(()))
    logs = [float(np.log2(x.array)) + float(x.exponent) for x in (one, infinity)]
    return Powers.of_log2(np.asarray(logs[0] / p + logs[1] * (1 - 1 / p)))


def _hoelder(table: np.ndarray, p_in: float, p_out: float) -> Powers | None:
    top = float(table.max())
    if not 1e-250 < top < math.inf:  # entries may have been lost
        return None
    table = table / top
    by_rows = _norms(_norms(table, dual(p_in)), p_out)
    by_columns = _norms(_norms(table.T, p_out), dual(p_in))
    return Powers.of(np.asarray(min(by_rows, by_columns) * top))


def _norms(table: np.ndarray, p: float) -> np.ndarray:
    """Return the p-norm of each row, scaled by its largest entry."""
    top = table.max(axis=-1, keepdims=True)
    ratios = table / np.where(top > 0, top, 1.0)
    return np.asarray(np.linalg.norm(ratios, p, axis=-1) * top[..., 0])


def best(
    problem: so.LipschitzBound, bounds: dict[str, Powers], weights: np.ndarray | None
) -> tuple[so.LipschitzValue, so.Certificate]:
    """Return the smallest bound with its certificate."""
    method = min(bounds, key=lambda name: float(bounds[name].log10()))
    found = bounds[method]
    # What rounding may take in this computation and in the one that checks it.
    network = problem.network
    logs = 1.0 + abs(float(found.exponent))
    sizes = math.prod(network.output_shape) + math.prod(network.input_shape)
    room = 4 * rounding_room(network) + FUNCTION * (32 + logs + sizes)
    answer = answer_of(problem, method, Powers(found.array, found.exponent, room))
    evidence = weights if method == "spectral" else None
    return answer, so.LipschitzCertificate(problem, answer, evidence)


def answer_of(
    problem: so.LipschitzBound, method: str, bound: Powers | Fraction
) -> so.LipschitzValue:
    """Return the answer that states an exact bound, or one raised by three times its error."""
    if isinstance(bound, Fraction):
        wide, value = Powers.of_fractions([bound]), float_above(bound)
    else:
        wide = Powers(bound.array, bound.exponent, 3 * bound.error)
        value = float_above(raised(wide))
    log10 = wide.log10().item() + 2 * wide.log10_error().item()
    return so.LipschitzValue(value, log10, problem.p_in, problem.p_out, method)
