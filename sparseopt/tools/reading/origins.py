"""The shapes that the tensors behind parameters have in their source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.parameters import Shape


def with_tensor_shapes(network: Network, shape_of: Callable[[str], Shape | None]) -> Network:
    """Return the network with the shape of each tensor that is not that of its parameter.

    Parameters
    ----------
    network : Network
    shape_of : callable
        From the name of a tensor to its shape, or None if the source holds none of this name.
    """

    def known(node: Node) -> Node:
        held = node.op.parameters()
        shapes = {field: shape_of(node.origin[field]) for field in held if field in node.origin}
        others = {
            field: tuple(shape)
            for field, shape in shapes.items()
            if shape is not None and tuple(shape) != held[field].shape
        }
        return replace(node, tensor_shapes=others) if others else node

    return replace(network, nodes=tuple(known(node) for node in network.nodes))
