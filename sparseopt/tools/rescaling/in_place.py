"""Networks to rescale, also those that live in objects of another library."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np

from sparseopt.choosing import offers
from sparseopt.interface.context import Progress
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.groups import RescalingGroups
from sparseopt.tools.tensor_order import of_tensor
from sparseopt.training.two_layer_network import TwoLayerNetwork

PRODUCES = "sparseopt:Network"


def groups_of(
    subject: Any, example: Any = None, progress: Progress | None = None
) -> RescalingGroups:
    """Return the groups of a network, or of an object or file that `load_network` takes.

    In an object that is changed in place, parameters that are not tensors of their own (products
    of others, constants in the code) keep their values.
    """
    if isinstance(subject, RescalingGroups):
        return subject
    network = load_network(subject, example, progress=progress)
    fixed = without_tensor(network) if changes_in_place(subject) else ()
    return RescalingGroups(network, frozenset(fixed))


def changes_in_place(subject: Any) -> bool:
    """Whether the subject is an object whose own tensors are changed, not a network or a file."""
    plain = Network | RescalingGroups | TwoLayerNetwork | nx.Graph | str | os.PathLike
    if isinstance(subject, plain):
        return False
    return offers.reader_of(subject, PRODUCES).writes


def multiply_in_place(
    subject: Any, example: Any, factors: Mapping[str, np.ndarray], expected: Network
) -> None:
    """Multiply tensors of an object, and see that it has become `expected`.

    Raises
    ------
    ProblemError
        If the object uses one of its tensors in a way that its network does not show; it is
        left as it was.
    """
    undo = offers.reader_of(subject, PRODUCES).multiply(subject, factors)
    arrays, found = expected.parameters(), load_network(subject, example).parameters()
    # Constants that a layer computes from its tensors, as a batch normalization does, are rounded
    # anew in the dtype of those.
    rtol = 1e-4 if any(array.dtype == np.float32 for array in arrays.values()) else 1e-9
    for name, array in arrays.items():
        top = float(np.abs(array).max())
        if name not in found or not np.allclose(array, found[name], rtol, rtol * top):
            undo()
            raise ProblemError(
                f"{name} of the changed {type(subject).__name__} is not what was meant: one of "
                "its tensors is used in another place too, or has too few digits for the change; "
                "load it by so.load_network and work on the network"
            )


def tensor_factors(network: Network, factors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the factors of parameters, ``"node.field"``, by the tensors behind them."""
    result: dict[str, np.ndarray] = {}
    for name, factor in factors.items():
        owner, _, field = name.rpartition(".")
        node = network.by_name[owner]
        if field in node.origin:
            result[node.origin[field]] = of_tensor(node, field, factor)
        for tensor in () if field in node.origin else node.shifts:
            result[tensor] = factor
    return result


def without_tensor(network: Network) -> list[str]:
    """Return the parameters that are no tensors of the source, and no zeros either."""
    names = []
    for node in network.nodes:
        for field, array in node.op.parameters().items():
            is_shift = field == node.op.bias_field and node.shifts
            if field not in node.origin and not is_shift and np.any(array):
                names.append(f"{node.name}.{field}")
    return names
