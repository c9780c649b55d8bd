"""What passes hold beside the network, predicted: weights in float64, and windows of values."""

from __future__ import annotations

import math

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.operator import Operator
from sparseopt_pathnorm import layer_parts, scaled_layers

_BASE = float(1 << 20)


def weights_of(op: Operator) -> int:
    """Return the number of parameters of a layer."""
    return sum(array.size for array in op.parameters().values())


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


def repeated_bytes(network: so.Network) -> float:
    """Predict the bytes of many passes, which keep the layers that they can in float64."""
    counts = [weights_of(n.op) for n in network.nodes if not layer_parts.is_large(n.op)]
    kept = min(sum(counts), scaled_layers.KEPT_ENTRIES)
    return 8.0 * kept + 2.0 * forward_bytes(network)
