"""Networks from networkx graphs of neurons."""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any

import networkx as nx
import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.networks.linear import Neuron
from sparseopt.networks.network import Network
from sparseopt.networks.neurons import neuron_attributes
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Concat, Input, Operator, Reshape, Select


def network_from_digraph(graph: nx.DiGraph) -> Network:
    """Return the network that a graph of neurons describes.

    Parameters
    ----------
    graph : networkx.DiGraph
        Acyclic. Nodes: ``kind`` ("input", "id", "relu", "pool"; nodes without predecessors are
        inputs and may omit it), ``bias`` (omitted: no path starts there), ``k`` for pools (the
        k-th largest, 1 by default). Edges: ``weight``. Nodes without successors are the outputs.
        The order of the nodes is the order of inputs and outputs, and decides ties of pools.

        Weights that are all int or Fraction are kept exactly, and so are all that follows from
        them; if all are floats they stay floats; a mixture becomes exact (floats are rationals).

    Raises
    ------
    ProblemError
        Naming the node or edge.

    Examples
    --------
    >>> import networkx as nx
    >>> from fractions import Fraction
    >>> graph = nx.DiGraph()
    >>> graph.add_node("x", kind="input")
    >>> graph.add_node("h", kind="relu", bias=Fraction(1, 3))
    >>> graph.add_node("y", kind="id")
    >>> graph.add_edge("x", "h", weight=Fraction(2, 3))
    >>> graph.add_edge("h", "y", weight=-1)
    >>> network_from_digraph(graph).run({"x": 1})
    array([Fraction(-1, 1)], dtype=object)
    """
    order = _checked_order(graph)
    names = _names(graph)
    position = {node: i for i, node in enumerate(graph.nodes)}
    numbers = _Numbers(graph)
    inputs = [node for node in graph.nodes if graph.in_degree(node) == 0]
    outputs = [node for node in graph.nodes if graph.out_degree(node) == 0]
    taken = set(names.values())
    nodes = [Node(_fresh("input", taken), Input((len(inputs),)))]
    for slot, node in enumerate(inputs):
        nodes.append(Node(names[node], Select(np.array(slot)), (nodes[0].name,)))
    for node in order:
        kind, bias, rank = neuron_attributes(graph, node)
        if kind == "input":
            continue
        before = sorted(graph.predecessors(node), key=position.__getitem__)
        weights = [numbers.edge(u, node) for u in before]
        start = None if bias is None else numbers.array(numbers.bias(node))
        op: Operator = Neuron(numbers.array(weights), start, kind, rank)
        nodes.append(Node(names[node], op, tuple(names[u] for u in before)))
    wires = []
    for node in outputs:
        wires.append(_fresh(f"{names[node]}:output", taken))
        nodes.append(Node(wires[-1], Reshape((1,)), (names[node],)))
    final = _fresh("output", taken)
    nodes.append(Node(final, Concat(0), tuple(wires)))
    return Network(
        tuple(nodes),
        final,
        input_labels=tuple(names[node] for node in inputs),
        output_labels=tuple(names[node] for node in outputs),
    )


def _checked_order(graph: nx.DiGraph) -> list[Any]:
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        raise ProblemError(
            f"a network needs a networkx.DiGraph without parallel edges, got "
            f"{type(graph).__name__}; put an id neuron on one of two parallel edges"
        )
    if graph.number_of_nodes() == 0:
        raise ProblemError("the graph has no nodes")
    position = {node: i for i, node in enumerate(graph.nodes)}
    try:
        return list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))
    except nx.NetworkXUnfeasible as error:
        cycle = " -> ".join(str(edge[0]) for edge in nx.find_cycle(graph))
        raise ProblemError(f"the graph is not acyclic: {cycle} is a cycle; remove it") from error


def _names(graph: nx.DiGraph) -> dict[Any, str]:
    names = {node: str(node) for node in graph.nodes}
    if len(set(names.values())) != len(names):
        raise ProblemError("two nodes of the graph have the same name as text; rename one of them")
    return names


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name


class _Numbers:
    """Reads weights and biases; exact unless all of them are floats."""

    def __init__(self, graph: nx.DiGraph) -> None:
        self._edges = {
            (u, v): _number(data.get("weight"), f"the weight of edge {u!r} -> {v!r}")
            for u, v, data in graph.edges(data=True)
        }
        self._biases = {
            node: _number(data["bias"], f"the bias of node {node!r}")
            for node, data in graph.nodes(data=True)
            if data.get("bias") is not None and graph.in_degree(node)
        }
        values = [*self._edges.values(), *self._biases.values()]
        # A bias of 0 is often written as an integer in a graph of floats; only 0 and 1 are so
        # harmless that they do not make the whole network exact.
        telling = [value for value in values if value not in (0, 1)]
        self.floats = bool(telling) and all(isinstance(value, float) for value in telling)

    def edge(self, u: Any, v: Any) -> Any:
        return self._edges[u, v]

    def bias(self, node: Any) -> Any:
        return self._biases[node]

    def array(self, values: Any) -> np.ndarray:
        if self.floats:
            return np.asarray(values, dtype=np.float64)
        if not isinstance(values, list):
            scalar = np.empty((), dtype=object)
            scalar[()] = Fraction(values)
            return scalar
        result = np.empty(len(values), dtype=object)
        result[:] = [Fraction(value) for value in values]
        return result


def _number(value: Any, what: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ProblemError(f"{what} is {short(value)}; give an int, a Fraction or a float")
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    number = float(value)
    if not math.isfinite(number):
        raise ProblemError(f"{what} is {number}; it must be finite")
    if number != value:
        raise ProblemError(f"{what} is {short(value)}, which float64 does not hold; round it first")
    return number
