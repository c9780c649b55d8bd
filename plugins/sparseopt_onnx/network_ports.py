"""The several inputs and outputs of a network, as the layers that take them apart and join them.

A loaded network reads its inputs as one flat value, of which `Select` layers take the parts, and
joins its outputs by a `Concat` of flat parts. A model of it has inputs and outputs by name instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

import sparseopt as so
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Concat, Reshape, Select
from sparseopt.networks.port import Port


@dataclass(frozen=True)
class OutputPart:
    """One of several outputs: entries from `start` on of the value of a node."""

    port: Port
    node: str
    start: int = 0


def entering(network: so.Network) -> dict[str, str]:
    """Return the layers whose value is one of several inputs, with its name."""
    found: dict[str, str] = {}
    ports = several(network.inputs)
    starts = dict(zip(_starts(ports), ports, strict=True))
    for node in network.nodes[1:]:
        if isinstance(node.op, Select) and node.inputs == (network.nodes[0].name,):
            index = node.op.index
            port = starts.get(int(index.flat[0]))
            if port is not None and port.shape == index.shape:
                first = int(index.flat[0])
                if np.array_equal(index.ravel(), np.arange(first, first + index.size)):
                    found[node.name] = port.name
    return found


def leaving(network: so.Network) -> list[OutputPart]:
    """Return of which node each of several outputs is the value, or a part of it."""
    nodes = {node.name: node for node in network.nodes}
    end, ports = nodes[network.output], several(network.outputs)
    sizes = [math.prod(network.shapes[name]) for name in end.inputs]
    flat = all(len(network.shapes[name]) == 1 for name in end.inputs)
    if isinstance(end.op, Concat) and flat and sizes == [port.size for port in ports]:
        return [
            OutputPart(port, _unflattened(network, nodes[name], port))
            for port, name in zip(ports, end.inputs, strict=True)
        ]
    starts = _starts(ports)
    return [OutputPart(port, end.name, start) for port, start in zip(ports, starts, strict=True)]


def _unflattened(network: so.Network, node: Node, port: Port) -> str:
    """Return the name of a node, or of the one that it flattens, where that has the right shape."""
    if isinstance(node.op, Reshape) and network.shapes[node.inputs[0]] == port.shape:
        return node.inputs[0]
    return node.name


def _starts(ports: tuple[Port, ...]) -> list[int]:
    return list(accumulate((port.size for port in ports), initial=0))[:-1]


def value_names(network: so.Network) -> dict[str, str]:
    """Return a name for the value of each node: its own, unless an input or output has that.

    A node whose value is one of several outputs has the name of that.
    """
    given, first = input_names(network), network.nodes[0].name
    ends = {port.name for port in several(network.outputs)}
    outside = {first, *entering(network)}
    found = {} if several(network.inputs) else {first: first}
    for part in leaving(network):
        if (
            part.node not in outside
            and part.port.name not in given
            and network.shapes[part.node] == part.port.shape
        ):
            found.setdefault(part.node, part.port.name)
    taken = {node.name for node in network.nodes} | given | ends
    for node in network.nodes:
        name, count = node.name, 1
        while node.name not in found and name in given | ends:
            count += 1
            name = name if f"{node.name}:{count}" in taken else f"{node.name}:{count}"
        taken.add(name)
        found.setdefault(node.name, name)
    return found


def input_names(network: so.Network) -> set[str]:
    """Return the names of the inputs that a model of the network has."""
    return {port.name for port in several(network.inputs)} or {network.nodes[0].name}


def several(ports: tuple[Port, ...]) -> tuple[Port, ...]:
    """Return ports, or none where there is one only, which is the network's input or output."""
    return ports if len(ports) > 1 else ()
