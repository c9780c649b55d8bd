"""Plain passes through the layers of a network, in any arithmetic; the judge's view of it.

Replace every weight and bias by the q-th power of its absolute value, every ReLU by the identity
and every pool by a sum: at the all-ones input the network then adds up |Phi_p|^q over the paths p
that end at each output (Gonon et al., arXiv 2310.01225, Theorem A.1). Backwards from all ones the
same layers add it up over the paths that start at each neuron.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import reduce
from typing import Any, Protocol, TypeVar

import numpy as np

from sparseopt.judging.rounding import UNIT
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add
from sparseopt.networks.parameters import Shape
from sparseopt.pathnorm import edges
from sparseopt.pathnorm.biases import Offsets
from sparseopt.pathnorm.contractions import Layer
from sparseopt.pathnorm.effort import DOUBLES, EACH_LAYER, Effort, of_layer
from sparseopt.pathnorm.floats import Floats
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import OutOfRange, RoundedSums
from sparseopt.pathnorm.wides import Wides

T = TypeVar("T")


class Forward(Protocol):
    """What a forward pass needs of an arithmetic; tensors are its own affair."""

    def ones(self, shape: Shape, samples: int = 1) -> Any: ...

    def constant(self, raw: np.ndarray, shape: Shape) -> Any: ...

    def forward(self, op: Any, values: Sequence[Any], output: Shape) -> Any: ...

    def plus(self, a: Any, b: Any) -> Any: ...


def in_floats(network: Network, q: float, run: Callable[[RoundedSums], T], passes: int = 1) -> T:
    """Return what `run` makes of the fastest arithmetic of rounded numbers that suffices.

    Parameters
    ----------
    passes : int
        How many it makes through the network; 0 if it counts what it takes by itself.

    Raises
    ------
    TooLarge
        If they would take too long.
    """
    for arithmetic in (Floats(q), Wides(q)):
        Effort().spend(passes * nanoseconds(network, arithmetic.NANOSECONDS))
        with suppress(OutOfRange):
            return run(arithmetic)
    raise OutOfRange


def power_sums(network: Network, q: float, offsets: Offsets) -> Powers:
    """Return ``||Phi^(->j)||_q^q`` per output with a proven bound of the relative error.

    For q = 0 the number of paths without a zero, for q = inf the largest |Phi_p|. One pass, which
    visits every edge.
    """
    return in_floats(network, q, lambda a: a.powers(forward(network, a, offsets)))


def through(
    arithmetic: Forward, op: Layer, values: Sequence[Any], output: Shape, bias: Any = None
) -> Any:
    """Return what the edges of a layer bring, and its bias; sums of values are the arithmetic's."""
    adds = isinstance(op, Add)
    value = reduce(arithmetic.plus, values) if adds else arithmetic.forward(op, values, output)
    return value if bias is None else arithmetic.plus(value, arithmetic.constant(bias, output))


def forward(
    network: Network,
    arithmetic: Forward,
    offsets: Offsets,
    first: Any = None,
    seen: Callable[[Node, list[Any], Any], None] | None = None,
) -> Any:
    """Return the output's tensor when the input has all ones, or the tensor `first`.

    ``seen(node, inputs, value)`` is called at each layer.
    """

    def visit(node: Node, values: list[Any]) -> Any:
        shape, bias = network.shapes[node.name], offsets.get(node.name)
        value = through(arithmetic, node.op, values, shape, bias)
        if seen is not None:
            seen(node, values, value)
        return value

    start = arithmetic.ones(network.input_shape) if first is None else first
    return network.walk(start, visit)


def backward(
    network: Network,
    arithmetic: RoundedSums,
    last: Any,
) -> Any:
    """Return the input's tensor when the output has the tensor `last`."""
    pending: dict[str, list[Any]] = {network.output: [last]}
    for node in reversed(network.nodes[1:]):
        if node.name not in pending:
            continue
        value = reduce(arithmetic.plus, pending.pop(node.name))
        shapes = [network.shapes[name] for name in node.inputs]
        for name, back in zip(
            node.inputs, arithmetic.backward(node.op, value, shapes), strict=True
        ):
            pending.setdefault(name, []).append(back)
    return reduce(arithmetic.plus, pending[network.nodes[0].name])


def rounding_room(network: Network, q: float = 1) -> float:
    """Return about how far two plain passes in float64 may be apart, relatively.

    Who builds a certificate of an inexact bound states three times this much more than it found.
    """

    def visit(node: Node, values: list[float]) -> float:
        return max(values) + sum(edges.terms(node.op, [network.shapes[n] for n in node.inputs])) + 2

    return UNIT * float(network.walk(0.0, visit)) * max(1.0, math.ceil(q) if q < math.inf else 1.0)


def nanoseconds(network: Network, costs: tuple[float, float] = DOUBLES) -> float:
    """Return how long a pass takes, as predicted; see `effort`."""
    return len(network.used) * EACH_LAYER + _numbers(network, costs)


def _numbers(network: Network, costs: tuple[float, float]) -> float:
    """Return how long the numbers of all layers take together."""
    shapes, used = network.shapes, (n for n in network.nodes[1:] if n.name in network.used)
    return sum(of_layer(n.op, [shapes[i] for i in n.inputs], shapes[n.name], costs) for n in used)


def edge_count(network: Network) -> int:
    """Return how many edges between neurons a pass visits."""
    return int(_numbers(network, (1, 0)))
