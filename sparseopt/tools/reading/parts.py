"""A part of a network that is already there: some of its outputs, or all up to a node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Select
from sparseopt.networks.port import Port
from sparseopt.tools.reading.choices import Outputs, chosen, require_one_choice, unknown_node


def part_of(network: Network, outputs: Outputs = None, until: str | None = None) -> Network:
    """Return the network with some of its outputs only, or with a node as its output.

    Parameters
    ----------
    network : Network
    outputs : name or place of an output, or a sequence of such, or None
        Names are those of `Network.outputs`, or where there are none `Network.output_labels`.
    until : str, or None
        Name of a node.

    Raises
    ------
    ProblemError
        For a name that does not exist; for both choices together.
    """
    require_one_choice(outputs, until)
    if until is not None:
        if until not in network.by_name:
            raise unknown_node(until, list(network.by_name), "the network")
        return _trimmed(replace(network, output=until, output_labels=None, outputs=()))
    if outputs is None:
        return network
    ports = network.outputs
    if not ports and network.output_labels is not None:
        ports = tuple(Port(label, (1,)) for label in network.output_labels)
    ports = ports or (Port(network.output, network.output_shape),)
    places = chosen([port.name for port in ports], outputs, "the network")
    kept = tuple(ports[place] for place in places)
    if places == list(range(len(ports))):
        return network
    starts = np.cumsum([0, *(port.size for port in ports)])
    index = np.concatenate([np.arange(starts[i], starts[i] + ports[i].size) for i in places])
    shape = kept[0].shape if len(kept) == 1 and network.outputs else index.shape
    labels = network.output_labels
    name = "outputs"
    while name in network.by_name:
        name += "'"
    made = replace(
        network,
        nodes=(*network.nodes, Node(name, Select(index.reshape(shape)), (network.output,))),
        output=name,
        output_labels=tuple(labels[i] for i in index) if labels and len(shape) == 1 else None,
        outputs=kept if network.outputs else (),
    )
    return _trimmed(made)


def _trimmed(network: Network) -> Network:
    """Return the network without the nodes that its output does not depend on."""
    if len(network.used) == 1 and network.output != network.nodes[0].name:
        raise ProblemError("the output does not depend on the input")
    return replace(network, nodes=tuple(n for n in network.nodes if n.name in network.used))
