"""What passes hold beside the network, predicted: weights in float64, and windows of values."""

from __future__ import annotations

import math
import sys

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.operator import Operator
from sparseopt_pathnorm import layer_parts, scaled_layers

_BASE = float(1 << 20)
EXACT_EDGES = 250_000
"""Edges up to which networks are checked in rational numbers, about."""


def weights_of(op: Operator) -> int:
    """Return the number of parameters of a layer."""
    return sum(array.size for array in op.parameters().values())


def all_weights(network: so.Network) -> int:
    """Return the number of parameters of all layers."""
    return sum(weights_of(node.op) for node in network.nodes)


def all_values(network: so.Network) -> int:
    """Return the number of entries of the values of all nodes."""
    return sum(math.prod(shape) for shape in network.shapes.values())


def checking_seconds(network: so.Network, passes: float = 1.0) -> float:
    """Predict the seconds of so many passes of the core: networks of few edges go through rational
    numbers, larger ones through floats, at some nanoseconds a weight."""
    weights = all_weights(network)
    if network.edge_count <= EXACT_EDGES:
        return passes * 2e-6 * (weights + all_values(network))
    return passes * 7e-9 * weights


def loading_seconds() -> float:
    """Predict the seconds for importing PyTorch; once that is done, for calls of its kernels."""
    return 2e-3 if "torch" in sys.modules else 1.0


def loaded_in_words() -> str:
    """Return what `loading_seconds` rests on."""
    return f"PyTorch loaded: {'yes' if 'torch' in sys.modules else 'no'}"


def forward_bytes(network: so.Network) -> float:
    """Predict the bytes of one pass: of the layer for which most is held.

    Of a dense layer as many weights as `layer_parts` takes at once; of any other its weights twice
    and the windows of its values twice.
    """
    most = 0.0
    for node in network.nodes:
        count = weights_of(node.op)
        if isinstance(node.op, Dense):
            held = 8.0 * min(count, max(layer_parts.MOST_WEIGHTS, node.op.weight.shape[1]))
        else:
            window = math.prod(getattr(node.op, "kernel", ()))
            held = 16.0 * (count + window * sum(math.prod(network.shapes[x]) for x in node.inputs))
        most = max(most, held)
    values = max(math.prod(shape) for shape in network.shapes.values())
    return _BASE + most + 32.0 * values


def torch_bytes(network: so.Network) -> float:
    """Predict the bytes of one pass in PyTorch: layers in float64 with their values, and twice the
    largest."""
    counts = [weights_of(node.op) for node in network.nodes]
    return 4.0 * _BASE + 8.0 * (2.0 * max(counts) + all_values(network))


def between_bytes(network: so.Network) -> float:
    """Predict the bytes of passes with two settings and one between both."""
    return 8.0 * all_weights(network) + forward_bytes(network)


def exact_bytes(network: so.Network) -> float:
    """Predict the bytes of a pass in exact numbers: objects for values, and weights a layer at a
    time."""
    values = max(math.prod(shape) for shape in network.shapes.values())
    most = max(weights_of(node.op) for node in network.nodes)
    return forward_bytes(network) + 200.0 * values + 32.0 * most


def repeated_bytes(network: so.Network) -> float:
    """Predict the bytes of many passes, which keep the layers that they can in float64."""
    counts = [weights_of(n.op) for n in network.nodes if not layer_parts.is_large(n.op)]
    kept = min(sum(counts), scaled_layers.KEPT_ENTRIES)
    return 8.0 * kept + 2.0 * forward_bytes(network)
