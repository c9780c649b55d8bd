"""Disjoint paths from the inputs of a network to the units of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import maximum_flow


@dataclass(frozen=True)
class Paths:
    """Paths that share no unit.

    Attributes
    ----------
    ends : tuple of int
        The unit of the upper layer where each ends.
    places : tuple of tuple of int
        Where each goes through, from the input to its end.
    """

    ends: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]

    def weights(self, used: Sequence[tuple[int, ...]]) -> list[list[list[object]]]:
        """Return the weights, the upper layer first, that carry inputs along some paths."""
        layers = len(self.places[0]) - 1 if self.places else 0
        return [
            [[path[depth], path[depth - 1], {0: 1}] for path in used]
            for depth in range(layers, 0, -1)
        ]


def disjoint_paths(supports: Sequence[np.ndarray], inputs: int) -> Paths:
    """Return as many disjoint paths as there are, by a maximum flow through units of capacity 1.

    Parameters
    ----------
    supports : sequence of bool array
        Of the layers between, the upper one first; none if the inputs are the units wanted.
    inputs : int
        The number of inputs.
    """
    if not supports:
        return Paths(tuple(range(inputs)), tuple((i,) for i in range(inputs)))
    layers = list(reversed(supports))
    sizes = [inputs, *(layer.shape[0] for layer in layers)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    total = int(starts[-1])
    # Unit u is entered at u and left at total + u; then the source and the sink.
    source, sink = 2 * total, 2 * total + 1
    units = np.arange(total)
    edges = [(units, total + units)]
    edges.append((np.full(inputs, source), np.arange(inputs)))
    last = np.arange(starts[-2], total)
    edges.append((total + last, np.full(len(last), sink)))
    for depth, layer in enumerate(layers):
        upper, lower = np.nonzero(layer)
        edges.append((total + starts[depth] + lower, starts[depth + 1] + upper))
    tail, head = (np.concatenate(part) for part in zip(*edges, strict=True))
    capacity = np.ones(len(tail), dtype=np.int32)
    graph = scipy.sparse.csr_matrix((capacity, (tail, head)), shape=(sink + 1, sink + 1))
    flow = maximum_flow(graph, source, sink).flow.tocoo()
    sent = flow.data > 0
    following = dict(zip(flow.row[sent].tolist(), flow.col[sent].tolist(), strict=True))
    places = []
    for first in range(inputs):
        if total + first in following:
            path, unit = [first], first
            for depth in range(1, len(sizes)):
                unit = following[total + unit]
                path.append(unit - int(starts[depth]))
            places.append(tuple(path))
    return Paths(tuple(path[-1] for path in places), tuple(places))
