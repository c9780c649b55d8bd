"""Intervals of the values of two networks and of their difference, layer by layer.

Arrays have a leading axis of three: the values of the first network, their difference to those of
the other, and those. An interval is passed through a layer as its middle and its radius. The radius
grows by several times what the judge allows for rounding, so that what is found here holds the
judge's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from sparseopt.networks.operator import Add
from sparseopt.networks.window import RankPool
from sparseopt_pathnorm.change_layers import UNIT, PairLayer

Span = tuple[np.ndarray, np.ndarray]
"""Lower and upper bounds, each (3, *shape): of the first network, the change, the other."""

FAINT = 2.0**-950


def start(lower: np.ndarray, upper: np.ndarray) -> Span:
    """Return the intervals of the input."""
    nothing = np.zeros_like(lower)
    return np.stack([lower, nothing, lower]), np.stack([upper, nothing, upper])


def through(layer: PairLayer, spans: Sequence[Span]) -> Span:
    """Return the intervals of a layer's values from those of its inputs."""
    if layer.is_pool:
        return pooled(layer, *spans[0])
    span = linear(layer, spans)
    return rectified(*span) if layer.is_relu else span


def linear(layer: PairLayer, spans: Sequence[Span]) -> Span:
    """Return the intervals before any ReLU."""
    op, room = layer.op, layer.room
    if op.is_wiring:
        low, high = (op.propagate([span[side] for span in spans]) for side in (0, 1))
        return low, high
    if layer.is_relu and not op.weight_fields:
        return spans[0]
    middles, radii = [], []
    for low, high in spans:
        middle = 0.5 * low + 0.5 * high
        middles.append(middle)
        radius = (high - middle) * (1 + 2 * room)
        radius += room * np.abs(middle)
        radius += FAINT
        radii.append(radius)
    still = not any(any_change(span) for span in spans)
    centre, radius = _products(layer, middles, still), _products(layer, radii, still, sizes=True)
    extra = np.abs(centre)
    if layer.bias is not None:
        bias = layer.bias[: len(centre)]
        extra += np.abs(bias)
        centre = centre + bias
    extra *= 64 * UNIT
    extra += FAINT / room
    radius = radius * (1 + 4 * room) + extra
    low, high = centre - radius, centre + radius
    if len(low) > 3:
        np.maximum(low[1:2], low[3:], out=low[1:2])
        np.minimum(high[1:2], high[3:], out=high[1:2])
        low, high = low[:3], high[:3]
    narrow(low, high)
    if still and not layer.changes:
        low[1] = high[1] = 0.0
    return low, high


def any_change(span: Span) -> bool:
    """Whether the interval of the change is more than 0."""
    return bool(span[0][1].any() or span[1][1].any())


def _products(
    layer: PairLayer, arrays: list[np.ndarray], still: bool, sizes: bool = False
) -> np.ndarray:
    """Return what the weights make of values, or their sizes of radii; without biases.

    The second part, the change, is ``W D + (W - W') h'``; unless D is 0 so far (`still`) there is a
    fourth, the change again as ``W' D + (W - W') h``.
    """
    op = layer.op
    if isinstance(op, Add):
        return np.asarray(reduce(np.add, arrays))
    first = layer.first.size if sizes else layer.first.op
    if not layer.moves:
        return first.propagate(arrays)
    second, gap = ((side.size if sizes else side.op) for side in (layer.second, layer.gap))
    if still:
        mine, theirs = [array[:1] for array in arrays], [array[2:] for array in arrays]
        parts = first.propagate(mine), gap.propagate(theirs), second.propagate(theirs)
        return np.concatenate(parts)
    result = np.empty((4, *layer.shape))
    result[:2] = first.propagate([array[:2] for array in arrays])
    result[2:] = second.propagate([array[:0:-1] for array in arrays])
    result[3:0:-2] += gap.propagate([array[::2] for array in arrays])
    return result


def narrow(low: np.ndarray, high: np.ndarray) -> None:
    """Cut the intervals of the change to those of the difference of the two values, in place."""
    least, most = low[:1] - high[2:3], high[:1] - low[2:3]
    least -= (4 * UNIT) * np.abs(least) + FAINT
    most += (4 * UNIT) * np.abs(most) + FAINT
    np.maximum(low[1:2], least, out=low[1:2])
    np.minimum(high[1:2], most, out=high[1:2])


def rectified(low: np.ndarray, high: np.ndarray) -> Span:
    """Return the intervals behind a ReLU."""
    after, above = np.maximum(low, 0.0), np.maximum(high, 0.0)
    most, least = high[1] + np.maximum(-low[0], 0.0), low[1] - np.maximum(-low[2], 0.0)
    most += (4 * UNIT) * np.abs(most) + FAINT
    least -= (4 * UNIT) * np.abs(least) + FAINT
    after[1] = np.maximum(np.minimum(low[1], 0.0), least)
    above[1] = np.minimum(above[1], most)
    narrow(after, above)
    if not any_change((low, high)):
        after[1] = above[1] = 0.0
    return after, above


def pooled(layer: PairLayer, low: np.ndarray, high: np.ndarray) -> Span:
    """Return the intervals behind a pool: of the change, the extremes of each window."""
    op = layer.op
    after, above = op.run([low]), op.run([high])
    if isinstance(op, RankPool):
        after[1], above[1] = low[1].min(axis=op.axis), high[1].max(axis=op.axis)
    else:
        after[1], above[1] = -op.run([-low[1:2]])[0], op.run([high[1:2]])[0]
    narrow(after, above)
    if not any_change((low, high)):
        after[1] = above[1] = 0.0
    return after, above
