"""Merging entrywise scales (batch normalization above all) into the layers before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.node import LayerGraph, Node
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import Shape, exact


def merge_biases(network: LayerGraph) -> tuple[Node, ...]:
    """Return the nodes of a network whose path-lifting is, entry by entry, that of `merge_scales`.

    Wherever `merge_scales` would merge a scale y = g x + t into a layer with bias b, the layer
    loses its bias and the scale gets g b + t. A path through the layer then passes one neuron
    more, of its own and with the weight g, which multiplies to the merged weight. No weight is
    touched, so nothing large is copied.
    """
    ops = {node.name: node.op for node in network.nodes}
    host = dict(ops)  # the layer that a scale has been merged into
    moved: dict[str, np.ndarray] = {}  # biases before they were rounded
    for node in network.nodes:
        if not isinstance(node.op, Scale) or node.name not in network.used:
            continue
        source = node.inputs[0]
        alone = len(network.consumers[source]) == 1 and network.output != source
        if not alone or not _fits(host[source], node.op, network.shapes[node.name]):
            continue
        host[node.name] = host[source]
        before = ops[source]
        offset = before.offset()
        if offset is not None:
            ops[source] = replace(before, bias=None)  # type: ignore[type-var, call-arg]
            bias = _moved(node.op, moved.get(source, exact(offset)))
            moved[node.name] = bias
            if not network.is_exact:
                try:
                    bias = bias.astype(np.float64)
                except OverflowError as error:
                    raise _not_merged(node.name, source) from error
            wide = (1,) * (len(network.shapes[node.name]) - bias.ndim) + bias.shape
            ops[node.name] = Scale(node.op.factor, bias.reshape(wide))
    return tuple(replace(node, op=ops[node.name]) for node in network.nodes)


def _moved(scale: Scale, offset: np.ndarray) -> np.ndarray:
    """Return g b + t in exact arithmetic: its two terms may cancel."""
    bias = offset if scale.factor is None else offset * exact(scale.factor)
    return bias if scale.bias is None else bias + exact(scale.bias)


def merge_scales(network: LayerGraph) -> tuple[tuple[Node, ...], str]:
    """Return nodes and output of the network with every `Scale` merged that alone follows a layer
    it fits.

    ``Dense``, ``Conv`` and ``ConvTranspose`` take a scale that is constant over each output
    channel, another ``Scale`` takes any; this repeats along a chain of scales. The function is
    unchanged up to rounding; the path-norm never grows: the paths that went through the bias of
    the layer and those that start at the scale become one path, and |g b + t| <= |g||b| + |t|.
    Merged weights are float64 (exact for exact networks).
    """
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in network.nodes:
        if node.name not in network.used:
            continue
        node = replace(node, inputs=tuple(renamed.get(n, n) for n in node.inputs))
        if isinstance(node.op, Scale) and _alone(network, node):
            target = nodes[node.inputs[0]]
            try:
                with np.errstate(over="ignore", under="ignore"):
                    op = _merge(target.op, node.op, network.shapes[node.name])
            except ProblemError as error:
                raise _not_merged(node.name, target.name) from error
            if op is not None:
                nodes[target.name] = replace(target, op=op, origin={}, layouts={}, tensor_shapes={})
                renamed[node.name] = target.name
                continue
        nodes[node.name] = node
    return tuple(nodes.values()), renamed.get(network.output, network.output)


def _not_merged(scale: str, layer: str) -> ProblemError:
    return ProblemError(
        f"{scale!r} cannot be merged into {layer!r}: products of their parameters leave the normal "
        "range of float64; rescale the weights of either"
    )


def _alone(network: LayerGraph, node: Node) -> bool:
    """Whether nothing but `node` reads the value that it scales."""
    source = network.by_name[node.name].inputs[0]
    return len(network.consumers[source]) == 1 and network.output != source


def _channels(array: np.ndarray | None, axis: int, size: int) -> np.ndarray | None:
    """Return the array as one number per entry of `axis`, or None if it varies along others."""
    if array is None:
        return None
    flat = [n for a, n in enumerate(array.shape) if a != axis and n != 1]
    if flat:
        return None
    return np.broadcast_to(array.reshape(-1), (size,))


@singledispatch
def _fits(before: Operator, scale: Scale, shape: Shape) -> bool:
    """Whether `scale` can be merged into the layer before it; it may stay behind any layer."""
    return False


@_fits.register
def _fits_scale(before: Scale, scale: Scale, shape: Shape) -> bool:
    return True


@_fits.register(Dense | Conv | ConvTranspose)
def _fits_channels(before: Dense | Conv | ConvTranspose, scale: Scale, shape: Shape) -> bool:
    axis = _channel_axis(before, shape)
    arrays = scale.parameters().values()
    return all(_channels(array, axis, shape[axis]) is not None for array in arrays)


@singledispatch
def _channel_axis(layer: Dense | Conv | ConvTranspose, shape: Shape) -> int:
    return 0


@_channel_axis.register
def _channel_axis_dense(layer: Dense, shape: Shape) -> int:
    return len(shape) - 1


@singledispatch
def _merge(before: Operator, scale: Scale, shape: Shape) -> Operator | None:
    """Return the layer with a scale merged into it, None where it stays a layer of its own."""
    return None


@_merge.register(Dense | Conv | ConvTranspose)
def _merge_channels(
    before: Dense | Conv | ConvTranspose, scale: Scale, shape: Shape
) -> Operator | None:
    if not _fits(before, scale, shape):
        return None
    axis = _channel_axis(before, shape)
    factor = _channels(scale.factor, axis, shape[axis])
    shift = _channels(scale.bias, axis, shape[axis])
    bias = _moved_bias(before.bias, factor, shift)
    if factor is None:
        return replace(before, bias=bias)
    return replace(before, weight=_product(before.weight, _spread(before, factor)), bias=bias)


@singledispatch
def _spread(layer: Dense | Conv | ConvTranspose, factor: np.ndarray) -> np.ndarray:
    """Return one factor per weight's output channel, in a shape that broadcasts to the weight."""
    return factor.reshape(-1, *(1,) * (layer.weight.ndim - 1))


@_spread.register
def _spread_transposed(layer: ConvTranspose, factor: np.ndarray) -> np.ndarray:
    per_input = layer.weight.shape[0] // layer.groups
    rows = np.repeat(factor.reshape(layer.groups, -1), per_input, axis=0)
    return rows.reshape(*layer.weight.shape[:2], *(1,) * (layer.weight.ndim - 2))


@_merge.register
def _merge_scales(before: Scale, scale: Scale, shape: Shape) -> Scale:
    factor = _all_of([before.factor, scale.factor])
    return Scale(factor, _moved_bias(before.bias, scale.factor, scale.bias))


def _all_of(factors: Sequence[np.ndarray | None]) -> np.ndarray | None:
    present = [f for f in factors if f is not None]
    if len(present) == 2:
        return _product(*present)
    return present[0] if present else None


def _wide(array: np.ndarray) -> np.ndarray:
    return array if array.dtype == object else array.astype(np.float64, copy=False)


def _moved_bias(
    bias: np.ndarray | None, factor: np.ndarray | None, shift: np.ndarray | None
) -> np.ndarray | None:
    """Return g b + t, of which parts may be absent."""
    if bias is None:
        return shift
    if factor is not None:
        return _product(bias, factor, shift)
    return bias if shift is None else np.add(_wide(bias), _wide(shift))


def _product(a: np.ndarray, b: np.ndarray, shift: np.ndarray | None = None) -> np.ndarray:
    """Return a b + t; refuse products that underflow and are not small beside what they join.

    A weight that became 0, or lost digits, would make another function of the network.
    """
    product = np.multiply(_wide(a), _wide(b))
    result = product if shift is None else np.add(product, _wide(shift))
    if result.dtype != object:
        small = np.maximum(np.abs(product), np.abs(result)) < np.finfo(float).smallest_normal
        if (small & (a != 0) & (b != 0)).any():
            raise ProblemError("a product underflows")
    return result
