"""Networks of the same layers with other weights, to see whether a figure is large."""

from __future__ import annotations

import math

import numpy as np

import sparseopt as so
from sparseopt.judging import limits
from sparseopt.networks.layers import linear_layers
from sparseopt.networks.linear import Scale


def is_copied(network: so.Network) -> bool:
    """Whether a network with as many weights may be made beside it."""
    held = sum(array.nbytes for array in network.parameters().values())
    return held <= limits.HELD_BYTES


def at_initialization(network: so.Network, seed: int = 0) -> so.Network | None:
    """Return the network with weights as they are drawn before training.

    None for a network with exact numbers, which no training has made, and for a large one.

    Weights are normal with variance 2 / fan-in (He et al., arXiv 1502.01852), also where they are
    zero now; biases are 0, batch normalizations do nothing.
    """
    exact = any(array.dtype == object for array in network.parameters().values())
    if exact or not is_copied(network):
        return None
    rng = np.random.default_rng(seed)
    arrays = {name: np.zeros_like(array) for name, array in network.parameters().items()}
    for node in network.nodes:
        if isinstance(node.op, Scale):
            for field, array in node.op.parameters().items():
                if field in node.op.weight_fields:
                    arrays[f"{node.name}.{field}"] = np.ones_like(array)
    for layer in linear_layers(network):
        shape = layer.weight.shape
        inputs = shape[0] * math.prod(shape[2:]) // layer.groups
        fan_in = inputs if layer.kind == "conv_transpose" else math.prod(shape[1:])
        drawn = rng.standard_normal(shape) * math.sqrt(2.0 / max(fan_in, 1))
        arrays[f"{layer.name}.weight"] = drawn.astype(layer.weight.dtype)
    return network.with_parameters(arrays)


def without_zeros(network: so.Network) -> so.Network:
    """Return the network with all weights and biases 1: its paths are those of the dense network.

    A bias or a weight that is zero is one that pruning, or training, may have removed.
    """
    ones = {name: np.ones_like(array) for name, array in network.parameters().items()}
    return network.with_parameters(ones)
