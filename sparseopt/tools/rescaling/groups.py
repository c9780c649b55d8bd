"""Groups of neurons that a positive rescaling must treat alike.

A ReLU network computes the same function when the weights into a hidden neuron, its bias
included, are multiplied by some c > 0 and the weights out of it are divided by c. In a network
of layers, neurons share weights (the positions of a convolution), meet in sums, or pass through
pools, normalizations and reshapings, so their factors are tied: each group below is a smallest
set of neurons that can be rescaled on its own. Neurons tied to inputs or outputs keep the factor
1, and a constant that many neurons share, such as the 6 of ReLU6, ties them. The ties are found
by union-find over the entries of all values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short_repr
from sparseopt.networks.network import Network
from sparseopt.tools.rescaling.ties import PINNED, Ties


@short_repr
@dataclass(frozen=True, eq=False)
class RescalingGroups:
    """The groups of a network, numbered 1 to `count`; group 0 holds what must keep its scale.

    Parameters
    ----------
    network : Network
    fixed : collection of str
        Parameters, as ``"node.field"``, that must keep their values.
    scaled : bool
        False for the groups of units that can only be left out together: a constant that units
        share, such as the 6 of ReLU6, does not tie them then; the groups of a convolution do, and
        padding that is added to them.

    Raises
    ------
    ProblemError
        For a name in `fixed` that is not a parameter.

    Notes
    -----
    O(values) memory and nearly O(values) time, values being the entries of all layers; the
    positions of an image count once.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.ones((3, 2))), Relu(), Dense(np.ones((1, 3))))
    >>> groups = RescalingGroups(net)
    >>> groups.count, groups.names
    (3, ('0:Dense[0]', '0:Dense[1]', '0:Dense[2]'))
    """

    network: Network
    fixed: frozenset[str] = frozenset()
    scaled: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed", frozenset(self.fixed))
        unknown = sorted(self.fixed - set(self.network.parameters()))
        if unknown:
            raise ProblemError(f"the network has no parameter {unknown[0]!r} to keep fixed")

    @property
    def count(self) -> int:
        """How many groups are free."""
        return len(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The first unit of each group, as ``"node[unit]"``."""
        result: dict[int, str] = {}
        for node, groups in self.layers.items():
            first = dict(zip(self.units[node][::-1].tolist(), self._places(node), strict=True))
            result.update({group: f"{node}[{first[group]}]" for group in groups.tolist()})
        return tuple(result[group] for group in sorted(result))

    def _places(self, node: str) -> range:
        return range(len(self.units[node]) - 1, -1, -1)

    @cached_property
    def layers(self) -> dict[str, np.ndarray]:
        """For each layer that has any, the groups of its units that no earlier layer has."""
        seen = {PINNED}
        result = {}
        for node, labels in self.units.items():
            fresh = [group for group in dict.fromkeys(labels.tolist()) if group not in seen]
            seen.update(fresh)
            if fresh:
                result[node] = np.array(fresh)
        return result

    @cached_property
    def units(self) -> dict[str, np.ndarray]:
        """For each layer with weights, the group of each of its output units."""
        return {node: self._final(labels) for node, labels in self._ties.units.items()}

    @cached_property
    def weights(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """For each weight array, by ``"node.field"``, the groups at the head and at the tail of
        its edges, in shapes that broadcast to that of the array.
        """
        return {
            name: (self._final(head), self._final(tail))
            for name, (head, tail) in self._ties.weights.items()
        }

    @cached_property
    def biases(self) -> dict[str, np.ndarray]:
        """For each bias array, by ``"node.field"``, the group of each entry, likewise."""
        return {name: self._final(labels) for name, labels in self._ties.biases.items()}

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        """For each node, the group of each entry of its value, in a shape that broadcasts to it."""
        return {node: self._final(labels) for node, labels in self._ties.labels.items()}

    @cached_property
    def _ties(self) -> Ties:
        ties = Ties(self.network, self.scaled)
        for name in sorted(self.fixed):
            for labels in (*ties.weights.get(name, ()), *ties.biases.get(name, ())):
                ties.unite(labels, np.zeros_like(labels))
        return ties

    def _final(self, labels: np.ndarray) -> np.ndarray:
        return self._numbering[labels]

    @cached_property
    def _numbering(self) -> np.ndarray:
        """Map from provisional labels to groups, in order of first appearance among the units."""
        components = self._ties.components()
        seen = [components[labels.ravel()] for labels in self._ties.units.values()]
        order = np.concatenate([components[[PINNED]], *seen])
        unique, first = np.unique(order, return_index=True)
        ranks = np.empty(len(unique), dtype=np.int64)
        ranks[np.argsort(first, kind="stable")] = np.arange(len(unique))
        # Padding that meets no unit has a label, but any factor suits it.
        numbering = np.zeros(int(components.max()) + 1, dtype=np.int64)
        numbering[unique] = ranks
        return numbering[components]
