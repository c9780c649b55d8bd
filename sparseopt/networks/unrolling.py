"""From layers to single neurons."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.neurons import NeuronGraph
from sparseopt.networks.node import LayerGraph
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import cast
from sparseopt.networks.semiring import Semiring, _matmul_by

LIMIT = 200_000
"""Edges up to which a network is unrolled."""


class _Terms:
    """A formal sum of (neuron, weight): what arrives at a neuron, edge by edge."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[tuple[int, Fraction], ...]) -> None:
        self.items = items


_NOTHING = _Terms(())
_join = np.frompyfunc(lambda a, b: _Terms(a.items + b.items), 2, 1)


def _weigh(a: Any, b: Any) -> _Terms:
    terms, weight = (a, b) if isinstance(a, _Terms) else (b, a)
    return _Terms(tuple((u, w * weight) for u, w in terms.items))


_scale = np.frompyfunc(_weigh, 2, 1)

# The layers are written against a semiring. In this one numbers are lists of edges, so that each
# operator itself tells which neuron is joined to which, and with what weight.
FORMAL = Semiring("edges", _join, _scale, _NOTHING, None, _matmul_by(_join, _scale))  # type: ignore[arg-type]


def unroll(network: LayerGraph) -> NeuronGraph:
    """Return the graph of single neurons of a small network, with exact weights.

    Cost about 5 microseconds per edge.

    Raises
    ------
    ProblemError
        If the network has more than `LIMIT` edges between neurons.
    """
    if network.edge_count > LIMIT:
        raise ProblemError(
            f"the network has {network.edge_count} edges between neurons; graphs of neurons are "
            f"made up to {LIMIT}, larger networks stay graphs of layers"
        )
    builder = _Builder()
    labels = network.input_labels or _labels("x", network.input_shape)
    first = np.empty(math.prod(network.input_shape), dtype=object)
    first[:] = [_Terms(((builder.add(label, "input"), Fraction(1)),)) for label in labels]

    def visit(node: Any, values: list[np.ndarray]) -> np.ndarray:
        if node.op.neuron_kind()[0] == "pool":
            values = [builder.with_zeros(value) for value in values]
        terms = node.op.propagate(values, FORMAL)
        if node.op.is_wiring:
            return terms
        return builder.layer(node.name, node.op, terms)

    result = network.walk(first.reshape(1, *network.input_shape), visit)
    return builder.finish(result.ravel().tolist())


def _labels(name: str, shape: tuple[int, ...]) -> list[str]:
    if shape == ():
        return [name]
    return [f"{name}[{','.join(map(str, place))}]" for place in np.ndindex(*shape)]


class _Builder:
    def __init__(self) -> None:
        self.labels: list[str] = []
        self.kinds: list[str] = []
        self.ranks: list[int] = []
        self.biases: list[Fraction | None] = []
        self.predecessors: list[list[tuple[int, Fraction]]] = []

    def add(
        self,
        label: str,
        kind: str,
        bias: Fraction | None = None,
        terms: tuple[tuple[int, Fraction], ...] = (),
        rank: int = 1,
    ) -> int:
        edges: list[tuple[int, Fraction]] = []
        met = set()
        for u, weight in terms:
            if u in met:  # a second edge between the same neurons goes through an identity neuron
                u = self.add(f"{label}:copy{len(self.labels)}", "id", None, ((u, Fraction(1)),))
            met.add(u)
            edges.append((u, weight))
        self.labels.append(label)
        self.kinds.append(kind)
        self.ranks.append(rank)
        self.biases.append(bias)
        self.predecessors.append(sorted(edges))
        return len(self.labels) - 1

    def with_zeros(self, terms: np.ndarray) -> np.ndarray:
        """Return terms with a neuron that is 0 where there are none: a pool counts it."""
        found = terms.copy()
        for i, value in enumerate(terms.ravel().tolist()):
            if not value.items:
                zero = self.add(f"zero{len(self.labels)}", "id")
                found.flat[i] = _Terms(((zero, Fraction(1)),))
        return found

    def layer(self, name: str, op: Operator, terms: np.ndarray) -> np.ndarray:
        """Add the neurons of a layer whose incoming edges are `terms`."""
        shape = terms.shape[1:]
        offset = op.offset()
        biases: list[Any] = [None] * terms.size
        if offset is not None:
            wide = np.broadcast_to(cast(offset, np.dtype(object)), shape)
            biases = [Fraction(b) for b in wide.ravel().tolist()]
        kind, rank = op.neuron_kind()
        result = np.empty(terms.size, dtype=object)
        entries = zip(_labels(name, shape), terms.ravel().tolist(), biases, strict=True)
        for i, (label, value, bias) in enumerate(entries):
            v = self.add(label, kind, bias, value.items, rank)
            result[i] = _Terms(((v, Fraction(1)),))
        return result.reshape(terms.shape)

    def finish(self, outputs: list[_Terms]) -> NeuronGraph:
        """Fuse ReLUs, drop what reaches no output, and number the neurons anew."""
        ends = self._outputs(outputs)
        fused = self._fuse(set(ends))
        needed = set(ends)
        for v in range(len(self.labels) - 1, -1, -1):
            if v in needed:
                needed.update(u for u, _ in self.predecessors[v])
        kept = [v for v, kind in enumerate(self.kinds) if v in needed or kind == "input"]
        kept = [v for v in kept if v not in fused]
        new = {v: i for i, v in enumerate(kept)}
        return NeuronGraph(
            [self.labels[v] for v in kept],
            [self.kinds[v] for v in kept],
            [self.ranks[v] for v in kept],
            [self.biases[v] for v in kept],
            [[(new[u], w) for u, w in self.predecessors[v]] for v in kept],
            [new[v] for v in kept if self.kinds[v] == "input"],
            [new[v] for v in ends],
        )

    def _outputs(self, outputs: list[_Terms]) -> list[int]:
        """Return a neuron per output entry: no input, no successors, all distinct."""
        sources = [terms.items[0][0] if terms.items else None for terms in outputs]
        taken = Counter(u for edges in self.predecessors for u, _ in edges)
        taken.update(v for v in sources if v is not None)
        ends: list[int] = []
        for j, (terms, v) in enumerate(zip(outputs, sources, strict=True)):
            if v is None or taken[v] > 1 or self.kinds[v] == "input":
                v = self.add(f"output[{j}]", "id", None, terms.items)
            ends.append(v)
        return ends

    def _fuse(self, ends: set[int]) -> set[int]:
        """Move each ReLU that alone follows an identity neuron into that neuron."""
        successors = [0] * len(self.labels)
        for edges in self.predecessors:
            for u, _ in edges:
                successors[u] += 1
        fused = set()
        for v, kind in enumerate(self.kinds):
            if kind != "relu" or self.biases[v] is not None or len(self.predecessors[v]) != 1:
                continue
            ((u, weight),) = self.predecessors[v]
            alone = self.kinds[u] == "id" and successors[u] == 1 and u not in ends
            if weight == 1 and alone and u not in fused:
                self.predecessors[v] = self.predecessors[u]
                self.biases[v] = self.biases[u]
                fused.add(u)
        return fused
