"""Exact passes over the graph of neurons of a small network."""

from __future__ import annotations

import math
from fractions import Fraction

from sparseopt.network.network import Network
from sparseopt.network.neurons import NeuronGraph

# Work of one exact backward pass per output, in edges.
_EDGES = 400_000
# Exact products of floats gain 53 bits per layer; beyond this depth the numbers, not their count,
# would take the time.
_DEPTH = 100


def is_small(network: Network) -> bool:
    """Whether quantities of the network are computed and checked in exact arithmetic."""
    outputs = math.prod(network.output_shape)
    if network.edge_count * outputs > _EDGES:
        return False
    if network.is_exact or len(network.nodes) <= _DEPTH:
        return True
    return depth(network.neurons) <= _DEPTH


def depth(graph: NeuronGraph) -> int:
    """Return the number of edges of the longest path."""
    depths: list[int] = []
    for edges in graph.predecessors:
        depths.append(1 + max((depths[u] for u, _ in edges), default=-1))
    return max((depths[v] for v in graph.outputs), default=0)


def has_exact_powers(q: float) -> bool:
    """Whether |w|**q is rational for every rational w."""
    return q == math.inf or (float(q).is_integer() and 0 <= q <= 64)


def power(value: Fraction, q: float) -> Fraction:
    """Return |value|**q: the indicator of nonzero for q = 0, |value| itself for q = inf."""
    if q == 0:
        return Fraction(int(value != 0))
    return abs(value) if q == math.inf else abs(value) ** int(q)


def backward_power_sums(graph: NeuronGraph, q: float, bias_paths: bool = True) -> list[Fraction]:
    """Return ``||Phi^(->j)||_q^q`` per output, exactly, by one backward pass for each.

    From output j backwards, each neuron learns the sum (for q = inf the maximum) of |.|^q over
    the paths from it to j; inputs and biases collect. O(outputs x edges) rational operations.
    """
    powered = [[(u, power(w, q)) for u, w in edges] for edges in graph.predecessors]
    starts = [
        Fraction(1) if kind == "input" else _start(bias, q, bias_paths)
        for kind, bias in zip(graph.kinds, graph.biases, strict=True)
    ]
    return [_collect(powered, starts, j, q == math.inf) for j in graph.outputs]


def _start(bias: Fraction | None, q: float, bias_paths: bool) -> Fraction:
    return power(bias, q) if bias is not None and bias_paths else Fraction(0)


def _collect(
    edges: list[list[tuple[int, Fraction]]], starts: list[Fraction], output: int, largest: bool
) -> Fraction:
    ahead: list[Fraction | None] = [None] * (output + 1)
    ahead[output] = Fraction(1)
    total = Fraction(0)
    for v in range(output, -1, -1):
        here = ahead[v]
        if not here:
            continue
        arrived = here * starts[v]
        total = max(total, arrived) if largest else total + arrived
        for u, weight in edges[v]:
            term = here * weight
            old = ahead[u]
            if old is None:
                ahead[u] = term
            else:
                ahead[u] = max(old, term) if largest else old + term
    return total
