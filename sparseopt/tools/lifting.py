"""The path-lifting itself: every path of a small network, its activation, the product formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short, short_repr
from sparseopt.networks.network import Network
from sparseopt.networks.neurons import NeuronGraph
from sparseopt.networks.parameters import exact
from sparseopt.networks.unrolling import LIMIT as EDGES

LIMIT = 500_000
"""Paths up to which a path-lifting is listed."""


@short_repr
@dataclass(frozen=True, eq=False)
class PathLifting:
    """The path-lifting Phi of a small network, entry by entry, in exact arithmetic.

    Made by `path_lifting`. For every input x and output j the product formula holds:
    ``f_j(x) = sum over paths p ending at j of Phi_p a_p(x) x_{start of p}``, where the activation
    a_p is 0 or 1 and x is 1 for paths that start at a bias.

    Attributes
    ----------
    graph : NeuronGraph
    paths : list of tuple of int
        Neurons along each path, as positions in ``graph.labels``.
    phi : list of Fraction
        Products of the weights along each path, times the bias where it starts at one.
    """

    graph: NeuronGraph
    paths: list[tuple[int, ...]]
    phi: list[Fraction]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The paths by the names of their neurons."""
        names = self.graph.labels
        return [tuple(names[v] for v in path) for path in self.paths]

    def activations(self, x: Sequence[Any] | Mapping[str, Any]) -> list[bool]:
        """Return a_p(x) for every path.

        A path is active if all its ReLU neurons, the first included, are positive, and every
        pool on it takes its value from the path's predecessor: the first in node order that
        attains the pooled value. Floats are taken as the rationals that they are.
        """
        values = self.graph.evaluate(self._inputs(x))
        winners = {
            v: self._winner(v, values) for v, k in enumerate(self.graph.kinds) if k == "pool"
        }
        return [self._is_active(path, values, winners) for path in self.paths]

    def evaluate(self, x: Sequence[Any] | Mapping[str, Any]) -> dict[str, Fraction]:
        """Return the outputs by the product formula, by label."""
        inputs = self._inputs(x)
        start = dict(zip(self.graph.inputs, inputs, strict=True))
        totals = {self.graph.labels[j]: Fraction(0) for j in self.graph.outputs}
        active = self.activations(inputs)
        for path, phi, is_on in zip(self.paths, self.phi, active, strict=True):
            if is_on:
                totals[self.graph.labels[path[-1]]] += phi * start.get(path[0], Fraction(1))
        return totals

    def _inputs(self, x: Sequence[Any] | Mapping[str, Any]) -> list[Fraction]:
        if isinstance(x, Mapping):
            x = [x[self.graph.labels[v]] for v in self.graph.inputs]
        if len(x) != len(self.graph.inputs):
            raise ProblemError(f"the network has {len(self.graph.inputs)} inputs, got {len(x)}")
        return [Fraction(value) for value in x]

    def _winner(self, v: int, values: list[Any]) -> int:
        """Return the predecessor that gives a pool its value."""
        edges = self.graph.predecessors[v]
        pooled = sorted((values[u] * w for u, w in edges), reverse=True)[self.graph.ranks[v] - 1]
        return next(u for u, w in edges if values[u] * w == pooled)

    def _is_active(self, path: tuple[int, ...], values: list[Any], winners: dict[int, int]) -> bool:
        for place, v in enumerate(path):
            kind = self.graph.kinds[v]
            if kind == "relu" and not values[v] > 0:
                return False
            if kind == "pool" and place and winners[v] != path[place - 1]:
                return False
        return True


def path_lifting(network: Network, affine: str = "as_is", limit: int = LIMIT) -> PathLifting:
    """Return the path-lifting of a small network.

    Parameters
    ----------
    network : Network
        Float weights are taken as the rationals that they are.
    affine : {"as_is", "merged"}
        See `PathNorm`.
    limit : int
        Refuse networks with more paths than this.

    Raises
    ------
    ProblemError
        If there are more than `limit` paths.

    Examples
    --------
    >>> import networkx as nx
    >>> import sparseopt as so
    >>> graph = nx.DiGraph()
    >>> graph.add_node("x", kind="input")
    >>> graph.add_node("y", kind="relu", bias=-1)
    >>> graph.add_edge("x", "y", weight=2)
    >>> lifting = so.path_lifting(so.load_network(graph))
    >>> lifting.labels, lifting.phi
    ([('x', 'y'), ('y',)], [Fraction(2, 1), Fraction(-1, 1)])
    >>> lifting.evaluate({"x": 3})
    {'y': Fraction(5, 1)}
    """
    if affine not in ("as_is", "merged"):
        raise ProblemError(f"affine must be 'as_is' or 'merged', not {short(affine)}")
    if affine == "merged" and network.edge_count <= EDGES:
        # Products and sums of floats, too, are taken exactly.
        network = network.with_parameters({n: exact(a) for n, a in network.parameters().items()})
        network = network.merged
    graph = network.neurons
    count = graph.path_count()
    if count > limit:
        raise ProblemError(
            f"the network has {count} paths, more than the limit of {limit}; use PathNorm, which "
            "needs no list of them"
        )
    paths: list[tuple[int, ...]] = []
    phi: list[Fraction] = []
    for output in graph.outputs:
        stack: list[tuple[tuple[int, ...], Fraction]] = [((output,), Fraction(1))]
        while stack:
            path, product = stack.pop()
            first = path[0]
            start = Fraction(1) if graph.kinds[first] == "input" else graph.biases[first]
            if start is not None:
                paths.append(path)
                phi.append(product * start)
            for u, weight in reversed(graph.predecessors[first]):
                stack.append(((u, *path), product * weight))
    order = sorted(range(len(paths)), key=lambda i: paths[i])
    return PathLifting(graph, [paths[i] for i in order], [phi[i] for i in order])
