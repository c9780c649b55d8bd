"""Intervals of the values of two networks and of their difference, layer by layer.

Arrays have a leading axis of three: the difference of the values, the first network's values, the
other's. An interval is passed through a layer as its middle and its radius. The radius grows by
several times what the judge allows for rounding, so that what is found here holds the judge's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from sparseopt.networks.operator import Add
from sparseopt.networks.window import MaxPool, RankPool
from sparseopt_pathnorm.change_layers import UNIT, PairLayer

Span = tuple[np.ndarray, np.ndarray]
"""Lower and upper bounds, each (3, *shape): of the change, the first network, the other."""

FAINT = 2.0**-1050


def start(lower: np.ndarray, upper: np.ndarray) -> Span:
    """Return the intervals of the input."""
    nothing = np.zeros_like(lower)
    return np.stack([nothing, lower, lower]), np.stack([nothing, upper, upper])


def through(layer: PairLayer, spans: Sequence[Span]) -> Span:
    """Return the intervals of a layer's values from those of its inputs."""
    if layer.is_pool:
        return pooled(layer, *spans[0])
    span = linear(layer, spans)
    return rectified(*span) if layer.is_relu else span


def linear(layer: PairLayer, spans: Sequence[Span]) -> Span:
    """Return the intervals before any ReLU."""
    op = layer.op
    if op.is_wiring:
        low, high = (op.propagate([span[side] for span in spans]) for side in (0, 1))
        return low, high
    if layer.is_relu and not op.weight_fields:
        return spans[0]
    quiet = not layer.moves and not any(low[0].any() or high[0].any() for low, high in spans)
    middles, radii = [], []
    for low, high in spans:
        middle = 0.5 * low + 0.5 * high
        middles.append(middle)
        radii.append((high - middle) * (1 + 2 * layer.room) + layer.room * np.abs(middle) + FAINT)
    if isinstance(op, Add):
        centre, radius = reduce(np.add, middles), reduce(np.add, radii)
    else:
        centre, radius = _products(layer, middles, radii)
    bias = layer.bias
    extra = np.abs(centre)
    if bias is not None:
        extra = extra + np.abs(bias)
        centre = centre + bias
        quiet = quiet and not bias[0].any()
    radius = radius * (1 + 4 * layer.room) + ((64 * UNIT) * extra + FAINT / layer.room)
    low, high = centre - radius, centre + radius
    narrow(low, high)
    if quiet:
        low[0] = high[0] = 0.0
    return low, high


def _products(
    layer: PairLayer, middles: list[np.ndarray], radii: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return middles and radii behind the weights."""
    if not layer.op.weight_fields:
        side = layer.first
        return side.op.propagate(middles), side.size.propagate(radii)
    found = []
    sides = (layer.first, layer.second, layer.gap)
    for arrays, ops in ((middles, [s.op for s in sides]), (radii, [s.size for s in sides])):
        result = np.empty((3, *layer.shape))
        others = [array[2:] for array in arrays]
        result[:2] = ops[0].propagate([array[:2] for array in arrays])
        result[2:] = ops[1].propagate(others)
        if layer.moves:
            result[:1] += ops[2].propagate(others)
        found.append(result)
    return found[0], found[1]


def narrow(low: np.ndarray, high: np.ndarray) -> None:
    """Cut the intervals of the change to those of the difference of the two values, in place."""
    least, most = low[1] - high[2], high[1] - low[2]
    least -= (4 * UNIT) * np.abs(least) + FAINT
    most += (4 * UNIT) * np.abs(most) + FAINT
    np.maximum(low[0], least, out=low[0])
    np.minimum(high[0], most, out=high[0])


def rectified(low: np.ndarray, high: np.ndarray) -> Span:
    """Return the intervals behind a ReLU."""
    after, above = np.maximum(low, 0.0), np.maximum(high, 0.0)
    falls = np.maximum(-low[1:], 0.0)
    most, least = high[0] + falls[0], low[0] - falls[1]
    most += (4 * UNIT) * np.abs(most) + FAINT
    least -= (4 * UNIT) * np.abs(least) + FAINT
    quiet = not (low[0].any() or high[0].any())
    after[0] = np.maximum(np.minimum(low[0], 0.0), least)
    above[0] = np.minimum(above[0], most)
    narrow(after, above)
    if quiet:
        after[0] = above[0] = 0.0
    return after, above


def pooled(layer: PairLayer, low: np.ndarray, high: np.ndarray) -> Span:
    """Return the intervals behind a pool: of the change, the extremes of each window."""
    op = layer.op
    after, above = op.run([low]), op.run([high])
    quiet = not (low[0].any() or high[0].any())
    top: MaxPool | RankPool = op  # type: ignore[assignment]
    if isinstance(top, RankPool):
        after[0], above[0] = low[0].min(axis=top.axis), high[0].max(axis=top.axis)
    else:
        after[0], above[0] = -op.run([-low[:1]])[0], op.run([high[:1]])[0]
    narrow(after, above)
    if quiet:
        after[0] = above[0] = 0.0
    return after, above
