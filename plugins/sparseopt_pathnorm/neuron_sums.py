"""Sums over paths in exact arithmetic, on the graph of neurons of a small network."""

from __future__ import annotations

import math
from fractions import Fraction

from sparseopt.networks.network import Network
from sparseopt.networks.neurons import NeuronGraph

# Edges up to which answers are exact: for rational weights, and for floats.
_EDGES, _FLOAT_EDGES = 100_000, 20_000
# Exact products of floats gain 53 bits per layer; beyond this depth the numbers, not their count,
# would take the time.
_DEPTH = 100


def is_small(network: Network) -> bool:
    """Whether quantities of the network are answered in exact arithmetic."""
    if network.edge_count > (_EDGES if network.is_exact else _FLOAT_EDGES):
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


def power(value: Fraction, q: float) -> Fraction:
    """Return |value|**q: the indicator of nonzero for q = 0, |value| itself for q = inf."""
    if q == 0:
        return Fraction(int(value != 0))
    return abs(value) if q == math.inf else abs(value) ** int(q)


def power_sums_of(graph: NeuronGraph, q: float, bias_paths: bool = True) -> list[Fraction]:
    """Return ``||Phi^(->j)||_q^q`` per output, exactly, by one forward pass. O(edges)."""
    sums: list[Fraction] = []
    for kind, bias, edges in zip(graph.kinds, graph.biases, graph.predecessors, strict=True):
        start = Fraction(kind == "input")
        if bias is not None and bias_paths:
            start = power(bias, q)
        terms = [start, *(sums[u] * power(w, q) for u, w in edges)]
        sums.append(max(terms) if q == math.inf else sum(terms, start=Fraction(0)))
    return [sums[j] for j in graph.outputs]
