"""The path-norm by listing every path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import sparseopt as so
from sparseopt.networks.neurons import NeuronGraph
from sparseopt.pathnorm.exact import has_exact_powers
from sparseopt.pathnorm.powers import Powers
from sparseopt_pathnorm.neuron_sums import is_small, power

# Small enough that a refusal costs no unrolling worth mentioning.
_EDGES = 20_000


@dataclass(frozen=True)
class PathEnumeration(so.Solver[so.PathNorm]):
    """Lists the paths one by one, with exact products. For small networks.

    Time O(E^2), memory O(E), for E edges in two layers; as many paths as there are, times the
    depth.

    Parameters
    ----------
    max_paths : int
        Give up beyond this many paths.
    """

    max_paths: int = 200_000

    def accepts(self, problem: so.PathNorm) -> so.Accepted | so.Refused:
        """Accept small networks and exponents for which powers of rationals are rational."""
        if not has_exact_powers(problem.q):
            return so.Refused(
                f"q = {problem.q:g}: exact powers need q = inf or an integer from 0 to 64"
            )
        edges = problem.network.edge_count
        if edges > _EDGES:
            return so.Refused(f"the network has {edges} edges between neurons, more than {_EDGES}")
        return so.Accepted()

    def cost(self, problem: so.PathNorm) -> float:
        """A guess from the number of edges: paths are many times more."""
        return 3e-3 + 6e-7 * float(problem.network.edge_count) ** 2

    def bytes_needed(self, problem: so.PathNorm) -> float:
        """Predict the neurons and edges as objects."""
        return 2.0**21 + 1e3 * problem.network.edge_count

    def solve(
        self, problem: so.PathNorm, context: so.Context
    ) -> tuple[so.PathNormValue, so.Certificate]:
        """Return the norm with its exact powers."""
        graph = problem.chosen.neurons
        count = graph.path_count()
        if count > self.max_paths:
            raise so.Inconclusive(
                f"the network has {count} paths, more than max_paths={self.max_paths}"
            )
        if not is_small(problem.chosen):
            raise so.Inconclusive("the network is too deep for exact products of its weights")
        exact = tuple(enumerated_power_sums(graph, problem.q, context))
        answer = problem.answer_from(Powers.of_fractions(list(exact)), exact)
        return answer, so.PathNormCertificate(problem, answer)


def enumerated_power_sums(graph: NeuronGraph, q: float, context: so.Context) -> list[Fraction]:
    """Return ``||Phi^(->j)||_q^q`` per output by walking every path backwards from the output."""
    result = []
    for output in graph.outputs:
        total = Fraction(0)
        stack = [(output, Fraction(1))]
        steps = 0
        while stack:
            v, product = stack.pop()
            start = Fraction(1) if graph.kinds[v] == "input" else graph.biases[v]
            if start is not None:
                term = power(product * start, q)
                total = max(total, term) if q == math.inf else total + term
            for u, weight in graph.predecessors[v]:
                stack.append((u, product * weight))
            steps += 1
            if steps % 4096 == 0:
                context.check_time(f"listing the paths to output {graph.labels[output]!r}")
        result.append(total)
    return result
