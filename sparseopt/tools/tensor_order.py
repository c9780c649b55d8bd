"""Parameters of a network in the order of the tensors that they came from, and back.

A reader says by `Node.layouts` where the entries of a parameter stand in its tensor.
"""

from __future__ import annotations

import numpy as np

from sparseopt.networks.node import Node


def of_tensor(node: Node, field: str, array: np.ndarray) -> np.ndarray:
    """Return an array that broadcasts to a parameter, flat, in the order of its tensor."""
    flat = np.array(np.broadcast_to(array, node.op.parameters()[field].shape)).ravel()
    if field not in node.layouts:
        return flat
    result = np.empty_like(flat)
    result[node.layouts[field].ravel()] = flat
    return result


def of_parameter(node: Node, field: str, flat: np.ndarray) -> np.ndarray:
    """Return what is flat, in the order of a tensor, in the shape of the parameter."""
    moved = flat[node.layouts[field].ravel()] if field in node.layouts else flat
    return moved.reshape(node.op.parameters()[field].shape)
