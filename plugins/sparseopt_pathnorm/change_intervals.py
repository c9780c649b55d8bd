"""Intervals of the values of two networks and of their difference, layer by layer.

The intervals of a layer are an array of shape (2, 3, *shape): lower and upper bounds of the values
of the first network, of their difference to those of the other, and of those. They are passed
through a layer as middles and radii. The radii grow by several times what the judge allows for
rounding, so that what is found here holds the judge's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from sparseopt.networks.operator import Add, Relu
from sparseopt.networks.window import RankPool
from sparseopt_pathnorm.change_layers import UNIT, PairLayer

FAINT = 2.0**-950


def start(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return the intervals of the input."""
    span = np.zeros((2, 3, *lower.shape))
    span[0, ::2], span[1, ::2] = lower, upper
    return span


def through(layer: PairLayer, spans: Sequence[np.ndarray]) -> np.ndarray:
    """Return the intervals of a layer's values from those of its inputs."""
    op = layer.op
    if op.is_wiring:
        sides = op.propagate([span.reshape(6, *span.shape[2:]) for span in spans])
        return sides.reshape(2, 3, *layer.shape)
    if isinstance(op, Relu):
        return rectified(spans[0])
    if layer.is_pool:
        return pooled(layer, spans[0])
    span = linear(layer, spans)
    return rectified(span) if layer.is_relu else span


def linear(layer: PairLayer, spans: Sequence[np.ndarray]) -> np.ndarray:
    """Return the intervals before any ReLU."""
    room = layer.room
    middled = [_middled(span, room) for span in spans]
    if layer.takes_vectors and layer.weights is not None:
        centre, radius = _of_vectors(layer.weights, middled[0])
    else:
        still = not any(map(any_change, spans))
        centre = _products(layer, [middle for middle, _ in middled], still)
        radius = _products(layer, [radius for _, radius in middled], still, sizes=True)
    extra = np.abs(centre)
    bias = layer.bias
    if bias is not None:
        bias = bias[: len(centre)]
        extra += np.abs(bias)
        centre += bias
    extra *= 64 * UNIT
    extra += FAINT / room
    radius *= 1 + 6 * room
    radius += extra
    found = np.empty((2, *centre.shape))
    np.subtract(centre, radius, out=found[0])
    np.add(centre, radius, out=found[1])
    if len(centre) > 3:
        np.maximum(found[0, 1], found[0, 3], out=found[0, 1, ...])
        np.minimum(found[1, 1], found[1, 3], out=found[1, 1, ...])
        found = found[:, :3]
    narrow(found)
    if not layer.changes and not any(map(any_change, spans)):
        found[:, 1] = 0.0
    return found


def _middled(span: np.ndarray, room: float) -> np.ndarray:
    """Return intervals as their middles and radii, with room for what a layer rounds."""
    found = np.empty_like(span)
    middle, radius = found
    np.add(span[0], span[1], out=middle)
    middle *= 0.5
    np.subtract(span[1], middle, out=radius)
    radius += room * np.abs(middle)
    radius += FAINT
    return found


def any_change(span: np.ndarray) -> bool:
    """Whether the interval of the change is more than 0."""
    return bool(span[1, 1].any() or span[0, 1].any())


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


# Which of the three values the weights of the first network, of the other, and their difference
# are multiplied with.
_READ = np.array([[0, 1], [2, 1], [0, 2]])


def _of_vectors(weights: np.ndarray, middled: np.ndarray) -> np.ndarray:
    """Return the same of a dense layer for middles and radii, both ways to the change always.

    In one call of BLAS each: of small layers the calls take longer than the products.
    """
    if weights.shape[1] == 1:
        return np.asarray(middled @ weights[:, 0].swapaxes(1, 2))
    parts = middled[:, _READ] @ weights.swapaxes(2, 3)
    result = parts[:, :2].reshape(2, 4, -1)
    result[:, 3:0:-2] += parts[:, 2]
    return np.asarray(result)


def narrow(span: np.ndarray) -> None:
    """Cut the intervals of the change to those of the difference of the two values, in place."""
    cut_change(span, span[:, 0] - span[::-1, 2])


def cut_change(span: np.ndarray, bounds: np.ndarray) -> None:
    """Cut the intervals of the change to bounds that are sums of two numbers, in place."""
    slack = np.abs(bounds)
    slack *= 4 * UNIT
    slack += FAINT
    np.maximum(span[0, 1], bounds[0] - slack[0], out=span[0, 1, ...])
    np.minimum(span[1, 1], bounds[1] + slack[1], out=span[1, 1, ...])


def rectified(span: np.ndarray) -> np.ndarray:
    """Return the intervals behind a ReLU."""
    after = np.maximum(span, 0.0)
    np.minimum(span[0, 1], 0.0, out=after[0, 1, ...])
    # Where the values are above -c, a ReLU raises them by at most c.
    rise = np.maximum(-span[0, ::2], 0.0)
    bounds = after[:, 0] - after[::-1, 2]
    np.maximum(bounds[0], span[0, 1] - rise[1], out=bounds[0, ...])
    np.minimum(bounds[1], span[1, 1] + rise[0], out=bounds[1, ...])
    cut_change(after, bounds)
    if not any_change(span):
        after[:, 1] = 0.0
    return after


def pooled(layer: PairLayer, span: np.ndarray) -> np.ndarray:
    """Return the intervals behind a pool: of the change, the extremes of each window."""
    op = layer.op
    after = op.run([span.reshape(6, *span.shape[2:])]).reshape(2, 3, *layer.shape)
    if isinstance(op, RankPool):
        after[0, 1], after[1, 1] = span[0, 1].min(axis=op.axis), span[1, 1].max(axis=op.axis)
    else:
        after[0, 1], after[1, 1] = -op.run([-span[:1, 1]])[0], op.run([span[1:, 1]])[0]
    narrow(after)
    if not any_change(span):
        after[:, 1] = 0.0
    return after
