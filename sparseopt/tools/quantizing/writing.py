"""Quantized networks back in files of the kind that they were read from."""

from __future__ import annotations

import numpy as np

from sparseopt.choosing import offers
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.in_place import PRODUCES


def write_like(network: Network, source: str, path: str) -> None:
    """Write a network with other parameters to a file, all else as in the file it came from.

    Parameters
    ----------
    network : Network
        Of the layers of the one in `source`.
    source, path : str

    Raises
    ------
    ProblemError
        If layers were merged, or a parameter that changed is no tensor of the file as it stands;
        if the file cannot be written, or is not what was meant.
    """
    given = load_network(source)
    lost = [node.name for node in given.nodes if node.name not in network.by_name]
    if [name for name in lost if name in given.used]:
        raise ProblemError(
            f"the layer {lost[0]!r} was merged into the one before it, which {source!r} does not "
            "show; export the model with merged normalizations, or write JSON"
        )
    before, tensors = given.parameters(), {}
    for name, array in network.parameters().items():
        if np.array_equal(array, before[name]):
            continue
        owner, _, field = name.rpartition(".")
        tensor = network.by_name[owner].origin.get(field)
        if tensor is None:
            raise ProblemError(
                f"{name} is no tensor of {source!r} as it stands there, so it cannot be written "
                "back; write JSON"
            )
        tensors[tensor] = array
    offers.reader_of(source, PRODUCES).save(source, tensors, path)
    after = load_network(path).parameters()
    if any(not np.array_equal(array, after[name]) for name, array in network.parameters().items()):
        raise ProblemError(f"{path!r} is not what was meant: a tensor is used in two ways")
