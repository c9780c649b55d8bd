"""The layers of two networks side by side, as the engines of `OutputChange` compute with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sparseopt.networks.linear import Dense, Neuron
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Operator, Relu
from sparseopt.networks.parameters import Shape, exact
from sparseopt.networks.window import MaxPool, RankPool
from sparseopt.pathnorm import edges

UNIT = 2.0**-53
_POOLS = (MaxPool, RankPool)


class Side(NamedTuple):
    """A layer with weights of one kind, and with their absolute values."""

    op: Operator
    size: Operator


def _with_weight(op: Operator, array: np.ndarray) -> Operator:
    """Return the layer with another weight; `unchecked` takes ten times as long."""
    made = object.__new__(type(op))
    made.__dict__.update(op.__dict__)
    made.__dict__[op.weight_fields[0]] = array
    return made


@dataclass(eq=False)
class PairLayer:
    """A layer of both networks: weights, their difference, biases of all three.

    Parameters
    ----------
    name : str
    inputs : tuple of str
    op, other : Operator
    shapes : list of shape
        Of the inputs.
    shape : tuple of int
        Of the output.
    """

    name: str
    inputs: tuple[str, ...]
    op: Operator
    other: Operator
    shapes: list[Shape]
    shape: Shape

    @cached_property
    def moves(self) -> bool:
        """Whether a weight differs."""
        mine, theirs = self._pair
        return mine is not None and bool((mine != theirs).any())

    @property
    def _pair(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The weights of both networks as they are stored, None without any."""
        fields = self.op.weight_fields
        if not fields or not self.op.has(fields[0]):
            return None, None
        return getattr(self.op, fields[0]), getattr(self.other, fields[0])

    @cached_property
    def weights(self) -> np.ndarray | None:
        """Weights in float64, and their sizes: (2, k, *shape of the weight); None without any.

        k is 3 where a weight differs: of the first network, the other, and the difference, rounded
        once. Else 1.
        """
        mine, theirs = self._pair
        if mine is None or theirs is None:
            return None
        found = np.empty((2, 3 if self.moves else 1, *mine.shape))
        found[0, 0] = mine
        if self.moves:
            found[0, 1] = theirs
            found[0, 2] = _gap(mine, theirs, found[0, 0], found[0, 1])
        np.abs(found[0], out=found[1])
        return found

    @property
    def takes_vectors(self) -> bool:
        """Whether the layer multiplies vectors with a matrix, and no more."""
        return isinstance(self.op, Dense) and len(self.shape) == 1

    @property
    def first(self) -> Side:
        """The layer of the first network."""
        return self._sides[0]

    @property
    def second(self) -> Side:
        """The layer of the other network."""
        return self._sides[1 if self.moves else 0]

    @property
    def gap(self) -> Side:
        """The layer with the differences of the weights, where any differs."""
        return self._sides[2]

    @cached_property
    def _sides(self) -> list[Side]:
        op, weights = self.op, self.weights
        if weights is None:
            # Fixed coefficients, such as those of averages, may have signs too.
            return [Side(op, op.mapped(np.abs))]
        return [
            Side(_with_weight(op, weight), _with_weight(op, size))
            for weight, size in zip(*weights, strict=True)
        ]

    @cached_property
    def bias(self) -> np.ndarray | None:
        """Biases of the first network, the change and the other, or None.

        Where weights change, those of the change again.
        """
        mine, theirs = self.op.offset(), self.other.offset()
        if mine is None or theirs is None:
            return None
        axes = (1,) * (len(self.shape) - mine.ndim)
        found = np.empty((4 if self.moves else 3, *axes, *mine.shape))
        found[0], found[2] = mine, theirs
        found[1::2] = _gap(mine, theirs, found[0], found[2])
        return found

    @cached_property
    def changes(self) -> bool:
        """Whether a weight or a bias differs."""
        return self.moves or (self.bias is not None and bool(self.bias[1].any()))

    def wide(self, offset: np.ndarray) -> np.ndarray:
        """Return an offset with as many axes as the layer's values."""
        return offset.reshape((1,) * (len(self.shape) - offset.ndim) + offset.shape)

    @cached_property
    def room(self) -> float:
        """Four times what the judge counts for a sum over the edges of a neuron, and more."""
        op = self.op  # of a dense layer, what `edges.terms` gives
        terms = op.weight.shape[1] if isinstance(op, Dense) else sum(edges.terms(op, self.shapes))
        return 4.0 * (terms + 24) * UNIT

    @cached_property
    def room_back(self) -> float:
        """The same for a sum over the edges that leave a neuron."""
        return 4.0 * (sum(edges.terms_back(self.op, self.shapes)) + 24) * UNIT

    @property
    def is_relu(self) -> bool:
        """Whether the layer ends with a ReLU."""
        return isinstance(self.op, Relu) or (isinstance(self.op, Neuron) and self.op.kind == "relu")

    @property
    def is_pool(self) -> bool:
        """Whether the layer is a pool."""
        return isinstance(self.op, _POOLS)


def _gap(a: np.ndarray, b: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the difference of two arrays, given in float64 too, rounded once."""
    if "O" in (a.dtype.kind, b.dtype.kind):
        return np.asarray(exact(a) - exact(b), dtype=object).astype(np.float64)
    return mine - theirs


def pair_layers(network: Network, other: Network) -> dict[str, PairLayer]:
    """Return the layers that the output depends on, in order, by name."""
    shapes, used = network.shapes, other.used
    mine = [node for node in network.nodes if node.name in network.used]
    theirs = [node.op for node in other.nodes if node.name in used]
    return {
        node.name: PairLayer(
            node.name,
            node.inputs,
            node.op,
            op,
            [shapes[name] for name in node.inputs],
            shapes[node.name],
        )
        for node, op in zip(mine, theirs, strict=True)
        if node.inputs
    }


def differ(layers: dict[str, PairLayer]) -> bool:
    """Whether the two networks differ at all."""
    return any(layer.changes for layer in layers.values())
