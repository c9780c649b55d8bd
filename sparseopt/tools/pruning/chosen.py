"""Which parameters are pruned, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.networks.layers import LinearLayer, linear_layer
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.pathnorm.path_cost import weight_names

Choice = str | Iterable[str] | Callable[[str, LinearLayer | None], bool] | None
"""Layers: names or patterns such as ``"block*"``, or a function of a node's name and its layer."""


def left_alone(network: Network, in_place: bool) -> dict[str, str]:
    """Return the parameters that cannot be pruned, with the reasons."""
    weights = weight_names(network)
    result = {}
    for node in network.nodes:
        for field in node.op.parameters():
            name = f"{node.name}.{field}"
            if node.name not in network.used:
                result[name] = "left alone: the output does not depend on it"
            elif field == node.op.bias_field:
                result[name] = "left alone: biases are not pruned"
            elif name not in weights:
                result[name] = "left alone: the scale of a normalization or a constant"
            elif in_place and field not in node.origin:
                result[name] = "left alone: it is computed from other tensors of the module"
    return result


def chosen_nodes(network: Network, layers: Choice, exclude: Choice) -> set[str]:
    """Return the nodes with weights that `layers` names (None: all) and `exclude` does not.

    Raises
    ------
    ProblemError
        For a name or pattern that fits no layer with weights.
    """
    nodes = [network.by_name[name] for name in weight_names(network).values()]
    wanted = {n.name for n in nodes} if layers is None else _matching(nodes, layers, "layers")
    return wanted - (set() if exclude is None else _matching(nodes, exclude, "exclude"))


def _matching(nodes: list[Node], choice: Choice, what: str) -> set[str]:
    if callable(choice):
        return {node.name for node in nodes if choice(node.name, linear_layer(node))}
    assert choice is not None
    several = isinstance(choice, Iterable) and not isinstance(choice, str)
    patterns: list[Any] = list(choice) if several else [choice]
    result: set[str] = set()
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise ProblemError(
                f"{what} takes names of layers, or a function of name and layer; got "
                f"{short(pattern)}"
            )
        found = {n.name for n in nodes if any(_fits(name, pattern) for name in _names(n))}
        if not found:
            known = ", ".join(node.name for node in nodes[:12])
            raise ProblemError(
                f"{what} names {pattern!r}, which is no layer with weights; there are {known}"
                + (", ..." if len(nodes) > 12 else "")
            )
        result |= found
    return result


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def _names(node: Node) -> set[str]:
    """Return what a layer may be called: node, parameter, tensor, and module of the tensor."""
    names = {node.name, f"{node.name}.weight"}
    tensor = node.origin.get("weight")
    return names if tensor is None else names | {tensor, tensor.rpartition(".")[0] or tensor}
