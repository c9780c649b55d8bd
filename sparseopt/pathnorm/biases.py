"""The biases at which paths start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import Shape, exact
from sparseopt.pathnorm import edges
from sparseopt.pathnorm.effort import Effort, of_sums

Offsets = Mapping[str, np.ndarray | None]
"""Biases by node, in shapes that broadcast to the value."""


def biases(network: Network, affine: str = "as_is") -> Offsets:
    """Return the biases at which paths start.

    With ``affine="merged"`` those of the network in which every entrywise scale that alone follows
    a layer it fits (as in `Network.merged`) is merged into that layer. The merged weights are the
    products along two edges, so only biases differ: b before a scale g x + t becomes g b + t
    behind it, in exact arithmetic, since the two terms may cancel; `TooLarge` if that takes
    too long.
    """
    result = {n.name: edges.offset(n.op) for n in network.nodes if n.name in network.used}
    if affine == "as_is":
        return result
    host, effort = {node.name: node.op for node in network.nodes}, Effort()
    for node in network.nodes:
        op = node.op
        if node.name not in result or not isinstance(op, Scale):
            continue
        (source,) = node.inputs
        is_alone = len(network.consumers[source]) == 1 and source != network.output
        if not is_alone or not _fits(host[source], op, network.shapes[source]):
            continue
        host[node.name] = host[source]
        moved, result[source] = result[source], None
        if moved is not None:
            moved = exact(moved) if op.factor is None else exact(moved) * exact(op.factor)
            moved = result[node.name] = moved if op.bias is None else moved + exact(op.bias)
            effort.spend(of_sums(moved.ravel()))
    return result


@singledispatch
def _varying(layer: Operator, shape: Shape) -> Sequence[int] | None:
    """Return the axes along which a scale that a layer takes may vary, None if it takes none."""
    return None


@_varying.register
def _varying_scale(layer: Scale, shape: Shape) -> Sequence[int] | None:
    return range(len(shape))


@_varying.register
def _varying_dense(layer: Dense, shape: Shape) -> Sequence[int] | None:
    return (len(shape) - 1,)


@_varying.register(Conv | ConvTranspose)
def _varying_conv(layer: Conv | ConvTranspose, shape: Shape) -> Sequence[int] | None:
    return (0,)


def _fits(layer: Operator, scale: Scale, shape: Shape) -> bool:
    """Whether a layer takes a scale: any other scale does, and where it varies by channel only."""
    axes = _varying(layer, shape)
    return axes is not None and all(
        size == 1 or axis in axes
        for array in (scale.factor, scale.bias)
        if array is not None
        for axis, size in enumerate(array.shape)
    )
