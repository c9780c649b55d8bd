"""The layers of two networks side by side, as the engines of `OutputChange` compute with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.guarantees.layers import partner
from sparseopt.networks.linear import Neuron
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Operator, Relu
from sparseopt.networks.parameters import Shape, cast, exact
from sparseopt.networks.window import MaxPool, RankPool
from sparseopt.pathnorm import edges

UNIT = 2.0**-53
_FLOAT = np.dtype(np.float64)


@dataclass(frozen=True, eq=False)
class Side:
    """A layer with weights of one kind, and with their absolute values."""

    op: Operator
    size: Operator


def _side(op: Operator, arrays: dict[str, np.ndarray]) -> Side:
    sizes = {name: np.abs(array) for name, array in arrays.items()}
    return Side(_copy(op, arrays), _copy(op, sizes))


def _copy(op: Operator, arrays: dict[str, np.ndarray]) -> Operator:
    """Return the layer with other arrays; `unchecked` takes ten times as long."""
    made = object.__new__(type(op))
    made.__dict__.update(op.__dict__, **arrays)
    return made


@dataclass(frozen=True, eq=False)
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
    def _weights(self) -> list[dict[str, np.ndarray]]:
        found: list[dict[str, np.ndarray]] = [{}, {}, {}]
        for name in self.op.weight_fields:
            if self.op.has(name):
                a, b = getattr(self.op, name), getattr(self.other, name)
                mine, theirs = cast(a, _FLOAT), cast(b, _FLOAT)
                exactly = object in (a.dtype, b.dtype)
                gap = _gap(a, b) if exactly else mine - theirs
                for arrays, array in zip(found, (mine, theirs, gap), strict=True):
                    arrays[name] = array
        return found

    @cached_property
    def moves(self) -> bool:
        """Whether a weight differs."""
        return any(bool(gap.any()) for gap in self._weights[2].values())

    @cached_property
    def first(self) -> Side:
        """The layer of the first network."""
        return self._of(0)

    @cached_property
    def second(self) -> Side:
        """The layer of the other network."""
        return self._of(1)

    @cached_property
    def gap(self) -> Side:
        """The layer with the differences of the weights."""
        return self._of(2)

    def _of(self, which: int) -> Side:
        arrays = self._weights[which]
        if arrays:
            return _side(self.op, arrays)
        # Fixed coefficients, such as those of averages, may have signs too.
        return Side(self.op, self.op.mapped(np.abs))

    @cached_property
    def bias(self) -> np.ndarray | None:
        """Biases of the first network, the change and the other, or None.

        Where weights change, those of the change again.
        """
        mine, theirs = self.op.offset(), self.other.offset()
        if mine is None or theirs is None:
            return None
        gap = _gap(mine, theirs)
        parts = [cast(mine, _FLOAT), gap, cast(theirs, _FLOAT), *([gap] if self.moves else [])]
        return np.stack([self.wide(part) for part in parts])

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
        return 4.0 * (sum(edges.terms(self.op, self.shapes)) + 24) * UNIT

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
        return isinstance(self.op, MaxPool | RankPool)


def _gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the difference, rounded once."""
    if object in (a.dtype, b.dtype):
        return np.asarray(exact(a) - exact(b), dtype=object).astype(np.float64)
    return cast(a, _FLOAT) - cast(b, _FLOAT)


def pair_layers(network: Network, other: Network) -> dict[str, PairLayer]:
    """Return the layers that the output depends on, in order, by name."""
    theirs = partner(network, other)
    found: dict[str, PairLayer] = {}
    for node in network.nodes[1:]:
        if node.name in theirs:
            shapes = [network.shapes[name] for name in node.inputs]
            shape, op = network.shapes[node.name], theirs[node.name].op
            found[node.name] = PairLayer(node.name, node.inputs, node.op, op, shapes, shape)
    return found


def differ(layers: dict[str, PairLayer]) -> bool:
    """Whether the two networks differ at all."""
    return any(layer.changes for layer in layers.values())


def in_range(array: Any, what: str) -> None:
    """Give up where numbers leave the range of float64."""
    if not np.isfinite(array).all():
        raise so.Inconclusive(f"{what} leaves the range of float64; rescale the network")
