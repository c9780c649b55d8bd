"""Graphs of single neurons with exact weights, and networks from networkx graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np

from sparseopt.interface.errors import ProblemError


@dataclass(frozen=True, eq=False)
class NeuronGraph:
    """Neurons in topological order, weights exact; a value object for exact passes.

    Parameters
    ----------
    labels : list of str
    kinds : list of {"input", "id", "relu", "pool"}
    ranks : list of int
        Of pools; 1 for the others.
    biases : list of Fraction or None
        None where no path starts.
    predecessors : list of list of (int, Fraction)
        For each neuron its predecessors in node order, with the edge weights.
    inputs, outputs : list of int
        Outputs have no successors and are all distinct.
    """

    labels: list[str]
    kinds: list[str]
    ranks: list[int]
    biases: list[Fraction | None]
    predecessors: list[list[tuple[int, Fraction]]]
    inputs: list[int]
    outputs: list[int]

    def evaluate(self, x: Sequence[Any]) -> list[Any]:
        """Return the value of every neuron for the input values `x`; exact for exact `x`."""
        values: list[Any] = [Fraction(0)] * len(self.labels)
        for position, value in zip(self.inputs, x, strict=True):
            values[position] = value
        for v, kind in enumerate(self.kinds):
            if kind == "input":
                continue
            products = [values[u] * w for u, w in self.predecessors[v]]
            if kind == "pool":
                value = sorted(products, reverse=True)[self.ranks[v] - 1]
            else:
                value = sum(products, start=Fraction(0))
            bias = self.biases[v]
            value = value if bias is None else value + bias
            values[v] = max(value, Fraction(0)) if kind == "relu" else value
        return values

    def path_count(self) -> int:
        """Return the number of paths: from an input or a biased neuron to an output."""
        counts: list[int] = []
        for v, kind in enumerate(self.kinds):
            start = 1 if kind == "input" or self.biases[v] is not None else 0
            counts.append(start + sum(counts[u] for u, _ in self.predecessors[v]))
        return sum(counts[v] for v in self.outputs)

    def to_digraph(self, exact: bool = True) -> nx.DiGraph:
        """Return a networkx graph with the attributes that `network_from_digraph` reads.

        A neuron that nothing enters, a constant, gets an edge of weight 0 from the first input,
        because in a graph exactly the inputs have no predecessors.
        """
        graph = nx.DiGraph()
        number = (lambda f: f) if exact else float
        for v, label in enumerate(self.labels):
            attributes: dict[str, Any] = {"kind": self.kinds[v]}
            bias = self.biases[v]
            if bias is not None:
                attributes["bias"] = number(bias)
            if self.kinds[v] == "pool":
                attributes["k"] = self.ranks[v]
            graph.add_node(label, **attributes)
            edges = self.predecessors[v]
            if not edges and self.kinds[v] != "input":
                edges = [(self.inputs[0], Fraction(0))]
            for u, weight in edges:
                graph.add_edge(self.labels[u], label, weight=number(weight))
        return graph


_KINDS = {
    "input": "input",
    "id": "id",
    "identity": "id",
    "linear": "id",
    "relu": "relu",
    "pool": "pool",
    "k-pool": "pool",
    "kpool": "pool",
    "maxpool": "pool",
    "max-pool": "pool",
}


def neuron_attributes(graph: nx.DiGraph, node: Any) -> tuple[str, Any, int]:
    """Return (kind, bias or None, rank) of a node; `ProblemError` naming it for bad attributes."""
    data = graph.nodes[node]
    fan_in = graph.in_degree(node)
    name = data.get("kind", "input" if fan_in == 0 else None)
    kind = _KINDS.get(str(name).lower())
    if kind is None:
        raise ProblemError(
            f"node {node!r} has kind {name!r}; set its attribute kind to input, id, relu or pool"
        )
    if (kind == "input") != (fan_in == 0):
        raise ProblemError(
            f"node {node!r} has kind {name!r} and {fan_in} predecessors; exactly the nodes "
            "without predecessors are inputs"
        )
    bias = data.get("bias")
    if kind == "input" and bias:
        raise ProblemError(f"node {node!r} is an input and has the bias {bias!r}; remove it")
    rank = data.get("k", data.get("rank"))
    if kind != "pool":
        if rank is not None:
            raise ProblemError(f"node {node!r} has k={rank!r} but is not a pool; remove k")
        return kind, None if kind == "input" else bias, 1
    rank = 1 if rank is None else rank
    if not isinstance(rank, int | np.integer) or not 1 <= rank <= fan_in:
        raise ProblemError(
            f"node {node!r} is a pool of {fan_in} predecessors with k={rank!r}; "
            f"k must be an integer from 1 to {fan_in}"
        )
    return kind, bias, int(rank)
