"""Lipschitz bounds by a few passes through the layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.pathlifting.lipschitz import lipschitz_answer, spectral_weights
from sparseopt.pathlifting.passes import Powers


@dataclass(frozen=True)
class LipschitzPasses(so.Solver[so.LipschitzBound]):
    """The smallest of the bounds that take a few passes, and of the table's where it is small.

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
        passes = 2 * self.iterations if "spectral" in problem.methods() else 2
        table = min(self._table_cost(problem), self.table_work)
        return 1e-4 + 2e-9 * (problem.network.edge_count * passes + table)

    def _table_cost(self, problem: so.LipschitzBound) -> float:
        return float(problem.network.edge_count) * math.prod(problem.network.output_shape)

    def solve(
        self, problem: so.LipschitzBound, context: so.Context
    ) -> tuple[so.LipschitzValue, so.Certificate]:
        """Return the smallest bound."""
        methods = problem.methods()
        if self._table_cost(problem) > self.table_work and "table" in methods:
            methods.remove("table")
        weights = None
        if "spectral" in methods:
            weights = spectral_weights(problem.network, self.iterations)
        bounds = {}
        for method in methods:
            try:
                bounds[method] = problem.bound(method, weights)
            except so.ProblemError:  # a table beyond float64; the sums carry their exponents
                continue
        return best(problem, bounds, weights)


@dataclass(frozen=True)
class LipschitzTable(so.Solver[so.LipschitzBound]):
    """The bound from the table of all inputs and outputs, where that is the best one.

    The norm of the table itself for p_out = inf and p_in = 1; otherwise no worse than the row
    and column sums.
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

    def solve(
        self, problem: so.LipschitzBound, context: so.Context
    ) -> tuple[so.LipschitzValue, so.Certificate]:
        """Return the bound."""
        return best(problem, {"table": problem.bound("table")}, None)


def best(
    problem: so.LipschitzBound, bounds: dict[str, Powers], weights: np.ndarray | None
) -> tuple[so.LipschitzValue, so.Certificate]:
    """Return the smallest bound with its certificate."""
    method = min(bounds, key=lambda name: float(bounds[name].log10()))
    answer = lipschitz_answer(problem, method, bounds[method])
    evidence = weights if method == "spectral" else None
    return answer, so.LipschitzCertificate(problem, answer, evidence)
