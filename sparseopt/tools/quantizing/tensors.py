"""The weight tensors of a network in blocks that share a scale, with what their errors cost.

The measure. To first order, changing the weights w of a network by e changes its path-lifting by
at most ``sum_i g_i |e_i|`` in the L1 norm, where ``g_i = sum over the paths through i of |Phi_p| /
|w_i|`` is the derivative of the path-norm by |w_i|. Rescaling the hidden units multiplies w_i by
some s_i and divides g_i by it, so the relative errors alone count, weighted by the path costs
``g_i |w_i|``, which no rescaling changes (Gonon et al., arXiv 2405.15006, section 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.convolution import ConvTranspose
from sparseopt.networks.linear import Neuron
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Operator
from sparseopt.tools.rescaling.groups import RescalingGroups


@dataclass(frozen=True, eq=False)
class Blocks:
    """A weight tensor, one row for each block that has a scale of its own.

    Attributes
    ----------
    key : str
        The tensor of the source, or the parameter.
    names : tuple of str
        Parameters, ``"node.weight"``, that are this tensor.
    op : Operator
        The first layer that it belongs to.
    weight, cost : float64 arrays, shape (blocks, entries)
        Values, 0 where no path passes, and the derivative of the path-norm by their absolute
        values.
    head, tail : int64 arrays, the same shape
        Groups of units at the ends of each weight.
    """

    key: str
    names: tuple[str, ...]
    op: Operator
    weight: np.ndarray
    cost: np.ndarray
    head: np.ndarray
    tail: np.ndarray

    def ratios(self, factors: np.ndarray) -> np.ndarray:
        """Return what each weight is multiplied by, from the factors of all groups."""
        found: np.ndarray = factors[self.head] / factors[self.tail]
        return found


def blocks_of(
    network: Network,
    groups: RescalingGroups,
    weights: dict[str, list[str]],
    costs: dict[str, np.ndarray],
    living: dict[str, np.ndarray],
    by_channel: bool,
) -> list[Blocks]:
    """Return the blocks of the weight tensors, each once with the costs of all its uses."""
    arrays = network.parameters()
    result = []
    for key, names in weights.items():
        first = names[0]
        op = network.by_name[first.rpartition(".")[0]].op
        array = arrays[first].astype(np.float64)
        shape = array.shape
        alive = np.any([np.broadcast_to(living[name], shape) for name in names], axis=0)
        array = np.where(alive, array, 0.0)
        cost = np.where(array != 0, np.sum([costs[name] for name in names], axis=0), 0.0)
        head, tail = (np.broadcast_to(labels, shape) for labels in groups.weights[first])
        values, costs_of, heads, tails = (
            in_blocks(op, part, by_channel) for part in (array, cost, head, tail)
        )
        result.append(Blocks(key, tuple(names), op, values, costs_of, heads, tails))
    return result


def in_blocks(op: Operator, array: np.ndarray, by_channel: bool) -> np.ndarray:
    """Return the entries as rows, one for each block."""
    if not by_channel:
        return np.ascontiguousarray(array).reshape(1, -1)
    return np.ascontiguousarray(_channels_first(op, array))


def out_of_blocks(
    op: Operator, rows: np.ndarray, shape: tuple[int, ...], by_channel: bool
) -> np.ndarray:
    """Return the tensor whose entries the rows of `in_blocks` hold."""
    places = in_blocks(op, np.arange(rows.size).reshape(shape), by_channel)
    result = np.empty(rows.size, dtype=rows.dtype)
    result[places.ravel()] = rows.ravel()
    return result.reshape(shape)


@singledispatch
def _channels_first(op: Operator, array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


@_channels_first.register
def _channels_of_transposed(op: ConvTranspose, array: np.ndarray) -> np.ndarray:
    split = array.reshape(op.groups, -1, *array.shape[1:])
    return np.moveaxis(split, 2, 1).reshape(op.groups * array.shape[1], -1)


@_channels_first.register
def _channel_of_a_neuron(op: Neuron, array: np.ndarray) -> np.ndarray:
    return array.reshape(1, -1)


def derivatives(
    network: Network, names: list[str], radius: np.ndarray
) -> tuple[dict[str, np.ndarray], float]:
    """Return the derivatives of the L1 path-norm by absolute values of weights, and the norm.

    Paths that start at an input count with its radius. One pass forwards and one backwards. Uses
    of one tensor in several places count as parameters of their own.

    Raises
    ------
    ProblemError
        If a sum over paths leaves the range of float64.
    """
    wanted = {name.rpartition(".")[0]: name for name in names}
    entering: dict[str, list[np.ndarray]] = {}
    layers: dict[str, Any] = {}

    def visit(node: Node, values: list[np.ndarray]) -> np.ndarray:
        layers[node.name] = node.op.mapped(_sizes)
        entering[node.name] = values
        result: np.ndarray = layers[node.name].propagate(values)
        offset = node.op.offset()
        return result if offset is None else result + _sizes(offset)

    with np.errstate(over="ignore", invalid="ignore"):
        first = np.broadcast_to(radius, network.input_shape)[None].astype(np.float64)
        last = network.walk(first, visit)
        found = _backwards(network, layers, entering, wanted)
        norm = float(last.sum())
    if not np.isfinite(norm) or not all(np.isfinite(part).all() for part in found.values()):
        raise ProblemError(
            "the sums over the paths of the network leave the range of float64; rescale its "
            "inputs or outputs"
        )
    return found, norm


def _backwards(
    network: Network,
    layers: dict[str, Any],
    entering: dict[str, list[np.ndarray]],
    wanted: dict[str, str],
) -> dict[str, np.ndarray]:
    """Return the derivatives by parameter, by a pass backwards."""
    pending = {network.output: [np.ones((1, *network.output_shape))]}
    found = {}
    for node in reversed(network.nodes[1:]):
        if node.name not in network.used:
            continue
        parts = pending.pop(node.name)
        value = parts[0] if len(parts) == 1 else np.sum(parts, axis=0)
        op, values = layers.pop(node.name), entering.pop(node.name)
        if node.name in wanted:
            found[wanted[node.name]] = op.weight_adjoint(value, values)
        shapes = [network.shapes[name] for name in node.inputs]
        for name, back in zip(node.inputs, op.adjoint(value, shapes), strict=True):
            pending.setdefault(name, []).append(back)
    return found


def _sizes(array: np.ndarray) -> np.ndarray:
    """Return absolute values in double precision."""
    return np.abs(array).astype(np.float64)
