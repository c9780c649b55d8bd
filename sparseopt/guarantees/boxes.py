"""Boxes that enclose the values of a layer in both networks, and their difference.

For every input x in a box let h be the value of a layer in the first network, h' that in the other
and D = h - h'. Boxes of all three are passed on together. A layer with weights W, W' and biases
b, b' has

    z = W h + b,   z' = W' h' + b',
    z - z' = W D + (W - W') h' + (b - b') = W' D + (W - W') h + (b - b')

and the ReLU of the difference is treated in `bent`. Every bound holds for the real numbers behind
the stored floats: a box is passed on as a centre c and a radius r, W times it lies around the
computed W c within |W| (r + gamma |c|), computed with room, and what underflow may take is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from sparseopt.guarantees.layers import POOLS, WIRING, Layer
from sparseopt.judging.rounding import UNIT, gamma
from sparseopt.networks.linear import Neuron
from sparseopt.networks.operator import Relu

FAINT = 2.0**-960
"""Above what underflow takes of a number that is computed in a few steps, also where later steps
enlarge it: see `sparseopt.guarantees.layers.require_known`."""


@dataclass(frozen=True, eq=False)
class Box:
    """All v with ``low <= v <= high``; arrays with a leading axis of one sample."""

    low: np.ndarray
    high: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """The largest absolute value of each entry."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def enlarged(self, by: float) -> Box:
        """Return a box that is larger on every side."""
        return Box(self.low - by, self.high + by)

    def within(self, other: Box) -> Box:
        """Return what lies in both boxes."""
        return Box(np.maximum(self.low, other.low), np.minimum(self.high, other.high))


@dataclass(frozen=True, eq=False)
class Values:
    """Boxes of the difference h - h', of the other network's h', and of the first one's h."""

    change: Box
    other: Box
    first: Box

    def parts(self) -> tuple[Box, Box, Box]:
        """Return the three boxes in order."""
        return self.change, self.other, self.first


def up(array: np.ndarray) -> np.ndarray:
    """Return the next larger floats."""
    return np.asarray(np.nextafter(array, np.inf))


def down(array: np.ndarray) -> np.ndarray:
    """Return the next smaller floats."""
    return np.asarray(np.nextafter(array, -np.inf))


def minus(a: Box, b: Box) -> Box:
    """Return a box of all differences."""
    return Box(down(a.low - b.high), up(a.high - b.low))


def image(
    layer: Layer, products: Sequence[tuple[list[np.ndarray], Sequence[Box]]], bias: np.ndarray
) -> Box:
    """Return a box of a sum of products of weights and boxes, plus a bias.

    Each rounding is counted: with n terms, all roundings included, the computed W c is off by
    gamma(n) |W| |c|, and what is computed of the radius by a factor of 1 - gamma(n) at least.
    """
    n = layer.terms
    centre, radius = np.zeros(()), np.zeros(())
    for weights, boxes in products:
        if not any(box.low.any() or box.high.any() for box in boxes):
            continue
        middles = [box.low / 2 + box.high / 2 for box in boxes]
        around = [
            np.maximum(box.high - c, c - box.low) * (1 + 8 * UNIT) + (gamma(n) * np.abs(c) + FAINT)
            for box, c in zip(boxes, middles, strict=True)
        ]
        sizes = [np.abs(array) for array in weights]
        centre = centre + layer.forward(weights, middles)
        radius = radius + (layer.forward(sizes, around) * (1 + 4 * gamma(n)) + n * FAINT)
    total = np.broadcast_to(centre + bias, (1, *layer.shape))
    if not np.ndim(radius) and not bias.any():
        return Box(total, total)
    radius = radius + 8 * UNIT * (np.abs(centre) + np.abs(bias)) + FAINT
    radius = radius * (1 + 16 * UNIT)
    # What is no number bounds nothing.
    return Box(np.fmax(total - radius, -np.inf), np.fmin(total + radius, np.inf))


def straight(layer: Layer, values: Sequence[Values]) -> Values:
    """Return the boxes of what a layer makes of its inputs before any ReLU or pool."""
    change, other, first = ([v.parts()[i] for v in values] for i in range(3))
    if isinstance(layer.op, WIRING):
        return Values(*(_wired(layer, boxes) for boxes in (change, other, first)))
    if isinstance(layer.op, Relu | POOLS):
        return values[0]
    ways = [[(layer.first, change)]]
    if layer.moves:
        ways = [[*ways[0], (layer.gap, other)], [(layer.second, change), (layer.gap, first)]]
    changes = (image(layer, way, layer.biases[2]) for way in ways)
    others = image(layer, [(layer.second, other)], layer.biases[1])
    firsts = image(layer, [(layer.first, first)], layer.biases[0])
    return narrowed(Values(reduce(Box.within, changes), others, firsts))


def narrowed(v: Values) -> Values:
    """Return the values with the difference inside that of the ranges."""
    return Values(v.change.within(minus(v.first, v.other)), v.other, v.first)


def _wired(layer: Layer, boxes: Sequence[Box]) -> Box:
    low, high = ([getattr(box, side) for box in boxes] for side in ("low", "high"))
    return Box(layer.forward([], low), layer.forward([], high))


def bends(layer: Layer) -> bool:
    """Whether the layer ends with a ReLU or is a pool."""
    return isinstance(layer.op, Relu | POOLS) or (
        isinstance(layer.op, Neuron) and layer.op.kind == "relu"
    )


def bent(layer: Layer, v: Values) -> Values:
    """Return the boxes behind a ReLU or pool from those before it.

    ReLU, with z, z' and d = z - z': max(0, z) - max(0, z') is between min(0, d) and max(0, d),
    because the ReLU is monotone with slopes in [0, 1]; it is at most d + max(0, -z), because
    max(0, z) = z + max(0, -z) and max(0, z') >= z'; and at least d - max(0, -z') likewise.

    Pools: the k-th largest of some numbers is monotone in each, and grows by c if all do. So
    its change is between the smallest and the largest change in the window.
    """
    d, other, first = v.parts()
    if isinstance(layer.op, POOLS):
        change = Box(-layer.largest(-d.low), layer.largest(d.high))
        pooled = (Box(layer.pooled(b.low), layer.pooled(b.high)) for b in (other, first))
        return narrowed(Values(change, *pooled))
    most = np.minimum(np.maximum(d.high, 0.0), up(d.high + np.maximum(-first.low, 0.0)))
    least = np.maximum(np.minimum(d.low, 0.0), down(d.low - np.maximum(-other.low, 0.0)))
    cut = (Box(np.maximum(b.low, 0.0), np.maximum(b.high, 0.0)) for b in (other, first))
    return narrowed(Values(Box(least, most), *cut))
