"""How much one reading of a network may compute and keep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import singledispatch

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.judging import limits
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import Shape

MOST_AXES = 32
"""Axes of a value."""


class Budget:
    """Counts the numbers that a reader is about to compute, and stops it before it does."""

    def __init__(self) -> None:
        self._entries = limits.COMPUTED_ENTRIES
        self._work = limits.COMPUTED_WORK

    def keep(self, count: int) -> None:
        """Count numbers that stay; `ProblemError` if they are too many with those before."""
        if count > self._entries:
            raise so.ProblemError(
                f"it needs {count} computed numbers, with which the network would hold more than "
                f"{limits.COMPUTED_ENTRIES}; make it smaller, or store them in the file"
            )
        self._entries -= count

    def compute(self, most: int, steps: int) -> None:
        """Allow for a constant of at most so many numbers, which takes so many steps."""
        self.keep(most)
        self._entries += most  # what it really needs is counted once it is there
        self._work -= steps
        if self._work < 0:
            raise so.ProblemError(
                "computing its constants takes too long; fold them before the model is saved"
            )


def require_room(shape: Iterable[int]) -> None:
    """Refuse a value of a shape that is too large, before anything of its size is made."""
    shape = tuple(int(n) for n in shape)
    if len(shape) > MOST_AXES:
        raise so.ProblemError(f"a value has {len(shape)} axes; at most {MOST_AXES} are read")
    if limits.hides_sizes(shape):
        raise so.ProblemError(f"a value has the shape {printable(shape)}, without entries")
    if math.prod(shape) > limits.VALUE_ENTRIES:
        raise so.ProblemError(
            f"a value of shape {shape} has {math.prod(shape)} entries; at most "
            f"{limits.VALUE_ENTRIES} are read"
        )


def is_comparable(network: so.Network) -> bool:
    """Whether evaluating the network a few times takes minutes at most, and no giant buffers."""
    cost = widest = 0
    for node in network.nodes:
        if node.name in network.used:
            shape = network.shapes[node.name]
            edges = node.op.edges([network.shapes[name] for name in node.inputs], shape)
            steps, written = _evaluation(node.op, edges, shape)
            cost, widest = cost + steps, max(widest, written)
    return cost <= limits.COMPARED_EDGES and widest <= limits.LIVE_ENTRIES


@singledispatch
def _evaluation(op: Operator, edges: int, output: Shape) -> tuple[int, int]:
    """Return what evaluating a layer costs, in products of a matrix, and how much it writes out.

    Layers that are not matrix products pass their edges one by one, with nothing in between.
    """
    return 32 * edges, 0


@_evaluation.register
def _evaluation_dense(op: Dense, edges: int, output: Shape) -> tuple[int, int]:
    return edges, 0


@_evaluation.register(Conv | ConvTranspose)
def _evaluation_conv(op: Conv | ConvTranspose, edges: int, output: Shape) -> tuple[int, int]:
    return edges, edges // min(output[0], op.weight.shape[0])  # libraries write its windows out


def require_affordable(network: so.Network) -> None:
    """Refuse networks that take too long to evaluate, or too much memory."""
    if network.edge_count > limits.EDGES:
        raise so.ProblemError(
            f"the network has {network.edge_count} edges; at most {limits.EDGES} are read"
        )
    most = live = 0
    left = {name: len(users) for name, users in network.consumers.items()}
    left[network.output] += 1
    for node in network.nodes:
        if node.name not in network.used:
            continue
        live += math.prod(network.shapes[node.name])
        most = max(most, live)
        for name in node.inputs:
            left[name] -= 1
            if not left[name]:
                live -= math.prod(network.shapes[name])
    if most > limits.LIVE_ENTRIES:
        raise so.ProblemError(
            f"evaluating the network holds {most} numbers at once; at most "
            f"{limits.LIVE_ENTRIES} are allowed"
        )


@singledispatch
def require_room_within(op: Operator, spatial: Sequence[int]) -> None:
    """Refuse layers that hold values larger than what they read and give.

    Those are convolutions, by their padded input or uncut output; no other layer holds any.
    """


@require_room_within.register
def _require_room_within_conv(op: Conv, spatial: Sequence[int]) -> None:
    _require_room_of(op, [n + a + b for n, (a, b) in zip(spatial, _pads(op), strict=True)])


@require_room_within.register
def _require_room_within_conv_transpose(op: ConvTranspose, spatial: Sequence[int]) -> None:
    sizes = zip(spatial, op.stride, op.extent, strict=True)
    _require_room_of(op, [(n - 1) * s + extent for n, s, extent in sizes])


def _pads(op: Conv) -> list[tuple[int, int]]:
    return [(max(0, a), max(0, b)) for a, b in op.padding]


def _require_room_of(op: Conv | ConvTranspose, spatial: Sequence[int]) -> None:
    require_room((op.weight.shape[1] * op.groups, *spatial))
