"""Groups of units on no path from the input or a bias to the output, and networks without them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Neuron
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Relu
from sparseopt.tools.change_ends import change_ends
from sparseopt.tools.quantizing.bounds import as_inputs, example_from
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.groups import PINNED, RescalingGroups
from sparseopt.tools.rescaling.smaller import Cut, Unfit, without


def remove_dead(
    subject: Any, *, example: Any = None, inputs: Any = None, constants: bool = False
) -> Network:
    """Return the network without units that lie on no path from the input or a bias to the output.

    A unit is dead if every weight into it and its bias are zero, or every weight out of it, or if
    it only leads from or to dead units. Units that are coupled, by sums, normalizations or groups
    of convolutions, go together or not at all; see `RescalingGroups`. Layers get smaller arrays,
    so that less is computed and stored.

    Parameters
    ----------
    subject : Network, or anything that `load_network` takes
        It is left as it is. ``remove_dead(module, example=x).to_torch()`` is a smaller module.
    example : array or tensor, optional
        An input, for subjects that do not fix their input shape; the default is one of `inputs`.
    inputs : array or tensor, shape (n, *input), optional
        Data. The last of the network's `notes` then says how far the output moves at most, and at
        least, for all inputs between their least and their largest entry: proved by
        `OutputChange`, which does not know that units are dead.
    constants : bool
        Whether units go as well that hold 0 at every input because nothing but a bias below 0
        comes into their ReLU. They lie on paths that are never active: the function stays, the
        path-norm falls.

    Returns
    -------
    Network
        It computes the same function, to the order of its sums, and has the same paths. Its
        parameters have the names and origins of before; where nothing is dead, it is the same.

    Notes
    -----
    Every layer keeps at least one unit. O(parameters) for each round of a search that ends after
    as many rounds as sums of layers hang together.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> first, last = np.array([[1.0], [2.0], [0.0]]), np.array([[3.0, 0.0, 5.0]])
    >>> remove_dead(chain((1,), Dense(first), Relu(), Dense(last))).parameters()
    {'0:Dense.weight': array([[1.]]), '2:Dense.weight': array([[3.]])}
    """
    if isinstance(subject, Network) or not hasattr(subject, "network"):
        network = load_network(subject, example_from(subject, inputs, example))
    else:
        raise ProblemError(
            f"a {type(subject).__name__} is no network; pass its network, for example "
            "remove_dead(pruning.network)"
        )
    groups = RescalingGroups(network, scaled=False)
    living = linked_groups(groups, constants)
    if living.all() and len(network.used) == len(network.nodes):
        return network
    removal = _Removal(groups, living)
    smaller = removal.network()
    batch = as_inputs(inputs, network)
    if batch is None:
        return smaller
    ends = change_ends(network, removal.silenced(), batch)
    return replace(smaller, notes=(*smaller.notes, f"without units that are dead: {ends}"))


def linked_groups(groups: RescalingGroups, constants: bool = False) -> np.ndarray:
    """Return which groups, the pinned one first, lie on a path from the input or a bias to the
    output: a bool array of shape (1 + groups,).

    Where `constants`, a bias below 0 that only ReLUs read starts no path: if nothing else comes
    in, these hold 0.
    """
    network = groups.network
    arrays = network.parameters()
    edges = []
    for name, (head, tail) in groups.weights.items():
        weight = arrays[name]
        present = np.asarray(weight != 0)
        if weight.ndim:
            flat = tuple(a for a in range(weight.ndim) if head.shape[a] == tail.shape[a] == 1)
            present = np.asarray(present.any(axis=flat, keepdims=True))
        edges.append((head, tail, present))
    reached = np.zeros(groups.count + 1, dtype=bool)
    reached[PINNED] = True
    for name, labels in groups.biases.items():
        starts = arrays[name] != 0
        node = name.rpartition(".")[0]
        users = [network.by_name[user].op for user in network.consumers[node]]
        if constants and node != network.output and all(isinstance(op, Relu) for op in users):
            starts = arrays[name] > 0
        present, wide = np.broadcast_arrays(starts, labels)
        reached[wide[present]] = True
    reaching = np.zeros_like(reached)
    reaching[PINNED] = True
    _spread(edges, reached)
    _spread([(tail, head, present) for head, tail, present in reversed(edges)], reaching)
    return reached & reaching


def _spread(edges: list[tuple[np.ndarray, np.ndarray, np.ndarray]], marked: np.ndarray) -> None:
    """Mark what edges (to, from, whether there is one) lead to from what is marked."""
    before = -1
    while before != (now := int(marked.sum())):
        before = now
        for to, start, present in edges:
            hit = present & marked[start]
            others = tuple(a for a in range(hit.ndim) if to.shape[a] == 1)
            hit = np.asarray(hit.any(axis=others, keepdims=True))
            marked[np.broadcast_to(to, hit.shape)[hit]] = True


@dataclass(eq=False)
class _Removal:
    """A network that is to lose dead groups, and which of them it can lose."""

    groups: RescalingGroups
    living: np.ndarray

    def network(self) -> Network:
        """Return the network without the groups that can go."""
        network = self.groups.network
        self.living = self.living.copy()
        used = [node for node in network.nodes if node.name in network.used]
        while True:
            before = int(self.living.sum())
            cuts = {node.name: self._cut(node) for node in used}
            nodes = [self._rewritten(node, cuts) for node in used]
            if int(self.living.sum()) == before:
                break
        kept = tuple(node for node in nodes if node is not None)
        return replace(network, nodes=kept)

    def silenced(self) -> Network:
        """Return the network with zeros for all parameters of the groups that went.

        It is the smaller network, with idle units beside it, in the layers of the larger one.
        """
        network = self.groups.network
        arrays = network.parameters()
        gone, zeros = ~self.living, {}
        for name, (head, tail) in self.groups.weights.items():
            lost = np.broadcast_to(gone[head] | gone[tail], arrays[name].shape)
            zeros[name] = np.where(lost, arrays[name].dtype.type(0), arrays[name])
        for name, labels in self.groups.biases.items():
            lost = np.broadcast_to(gone[labels], arrays[name].shape)
            zeros[name] = np.where(lost, arrays[name].dtype.type(0), arrays[name])
        return network.with_parameters(zeros)

    def _dead(self, node: Node) -> np.ndarray:
        return np.asarray(~self.living[self.groups.values[node.name]])

    def _revive(self, labels: Any) -> None:
        self.living[np.asarray(labels)] = True

    def _cut(self, node: Node) -> Cut | None:
        """Return what a value loses; groups that it cannot lose are marked as living."""
        dead = self._dead(node)
        if not dead.any():
            return None
        labels = self.groups.values[node.name]
        network = self.groups.network
        if not dead.ndim:  # a single neuron: it goes, with its weights out
            users = [network.by_name[name] for name in network.consumers[node.name]]
            if all(isinstance(user.op, Neuron) for user in users):
                return Cut(0, np.zeros(0, dtype=np.int64))
            self._revive(labels)
            return None
        if dead.all():
            self._revive(labels.ravel()[:1])
            dead = self._dead(node)
            if not dead.any():
                return None
        for axis in range(dead.ndim):
            others = tuple(a for a in range(dead.ndim) if a != axis)
            along = dead.any(axis=others)
            if np.array_equal(along, dead.all(axis=others)):
                size = network.shapes[node.name][axis]
                return Cut(axis, np.flatnonzero(~np.broadcast_to(along, (size,))))
        self._revive(labels[dead])
        return None

    def _rewritten(self, node: Node, cuts: dict[str, Cut | None]) -> Node | None:
        """Return the smaller layer; None for a single neuron that goes."""
        network = self.groups.network
        own, inputs = cuts[node.name], [cuts[name] for name in node.inputs]
        if network.shapes[node.name] == () and own is not None:
            return None
        shapes = [network.shapes[name] for name in node.inputs]
        try:
            return without(node.op, node, inputs, own, shapes, network.shapes[node.name])
        except ProblemError as error:
            raise ProblemError(f"layer {node.name!r}: {error}") from error
        except Unfit:
            for name in (node.name, *node.inputs):
                self._revive(self.groups.values[name])
            return node
