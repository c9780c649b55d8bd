"""Networks whose identifiability is known, by the generator of the public cases."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Input, Relu, Reshape
from sparseopt.networks.window import AxisWindow, MaxPool


class Draws:
    """s <- (1103515245 s + 12345) mod 2^31, of which the upper bits are used."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def _drawn(self, shape: tuple[int, ...], size: int) -> np.ndarray:
        found = []
        for _ in range(int(np.prod(shape))):
            self._state = (1103515245 * self._state + 12345) % 2**31
            found.append(float((self._state >> 16) % size - size // 2))
        return np.array(found).reshape(shape)

    def weights(self, *shape: int, nonzero: bool = False) -> np.ndarray:
        """Return integers from -7 to 7, 0 replaced by 3 if asked."""
        drawn = self._drawn(shape, 15)
        return np.where(drawn == 0, 3.0, drawn) if nonzero else drawn

    def inputs(self, *shape: int) -> np.ndarray:
        """Return integers from -15 to 15."""
        return self._drawn(shape, 31)

    def layers(self, *sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return weights and biases of dense layers."""
        return [(self.weights(b, a), self.weights(b)) for a, b in pairwise(sizes)]


def mlp(layers: Any, size: int | None = None) -> Network:
    """Return the multilayer perceptron of weights and biases."""
    ops: list[Any] = []
    for weight, bias in layers:
        ops += [Dense(weight, bias), Relu()]
    return chain((size or np.shape(layers[0][0])[1],), *ops[:-1])


def all_free(network: Network, first: Any = None) -> dict[str, np.ndarray]:
    """Return masks that free every entry, of the first array those that are given."""
    free = {name: np.ones(a.shape, dtype=bool) for name, a in network.parameters().items()}
    return free if first is None else {**free, next(iter(free)): first}


Case = tuple[Network, np.ndarray, Mapping[str, np.ndarray]]


def plain() -> Case:
    """3-5-4-2, identifiable."""
    draws = Draws(102)
    network = mlp(draws.layers(3, 5, 4, 2))
    return network, draws.inputs(60, 3), all_free(network)


def copies() -> Case:
    """3-5-2 with a copy of a unit, and one that is never active."""
    draws = Draws(1100)
    layers = draws.layers(3, 5, 2)
    inputs = draws.inputs(50, 3)
    (weight, bias), _ = layers
    weight[1], bias[1] = 2 * weight[0], 2 * bias[0]
    weight[4], bias[4] = 0, -3
    network = mlp(layers)
    mask = np.ones((5, 3), dtype=bool)
    mask[4] = False
    return network, inputs, all_free(network, mask)


def pooled() -> Case:
    """Convolution, pool, convolution, dense layer; ties of pools by equal expressions."""
    draws = Draws(2100)
    kernels = draws.weights(2, 1, 3, 3, nonzero=True), draws.weights(2, 2, 2, 2, nonzero=True)
    biases = draws.weights(2), draws.weights(2)
    last = Dense(draws.weights(3, 2, nonzero=True), draws.weights(3))
    halves = np.array([[0, 1], [2, 3]])
    network = chain(
        (1, 4, 4),
        Conv(kernels[0], biases[0], padding=((1, 1), (1, 1))),
        Relu(),
        MaxPool((AxisWindow(1, halves), AxisWindow(2, halves))),
        Conv(kernels[1], biases[1]),
        Relu(),
        Reshape((2,)),
        last,
    )
    inputs = draws.inputs(40, 16)
    inputs[:3] = 0.0
    inputs[1, 10], inputs[2] = 5.0, 1.0
    return network, inputs.reshape(40, 1, 4, 4), all_free(network)


def convolved() -> Case:
    """Convolution, dense layer."""
    draws = Draws(2101)
    kernel, last = draws.weights(2, 1, 2, nonzero=True), draws.weights(3, 6, nonzero=True)
    network = chain(
        (1, 4),
        Conv(kernel, draws.weights(2)),
        Relu(),
        Reshape((6,)),
        Dense(last, draws.weights(3)),
    )
    return network, draws.inputs(40, 4).reshape(40, 1, 4), all_free(network)


def skip() -> Case:
    """A residual block between dense layers."""
    draws = Draws(3107)
    first, one, two, last = (Dense(*layer) for layer in draws.layers(3, 3, 4, 3, 2))
    nodes = (
        Node("x", Input((3,))),
        Node("first", first, ("x",)),
        Node("h", Relu(), ("first",)),
        Node("one", one, ("h",)),
        Node("inner", Relu(), ("one",)),
        Node("two", two, ("inner",)),
        Node("sum", Add(), ("h", "two")),
        Node("outer", Relu(), ("sum",)),
        Node("y", last, ("outer",)),
    )
    network = Network(nodes, "y")
    return network, draws.inputs(80, 3), all_free(network)


def tied() -> Case:
    """One tensor twice on each path."""
    draws = Draws(4100)
    weight, last = draws.weights(3, 3, nonzero=True), draws.weights(2, 3, nonzero=True)
    origin = {"weight": "shared"}
    nodes = (
        Node("x", Input((3,))),
        Node("a", Dense(weight), ("x",), origin),
        Node("b", Relu(), ("a",)),
        Node("c", Dense(weight), ("b",), origin),
        Node("d", Relu(), ("c",)),
        Node("y", Dense(last), ("d",)),
    )
    network = Network(nodes, "y")
    return network, draws.inputs(60, 3), all_free(network)


def always_active() -> Case:
    """2-4-2, two units active at every input."""
    draws = Draws(5101)
    layers = draws.layers(2, 4, 2)
    inputs = np.abs(draws.inputs(60, 2))
    weight, bias = layers[0]
    for unit in (0, 1):
        weight[unit] = np.abs(weight[unit]) + 1 + unit
        weight[unit, 0] += 2 * unit
        bias[unit] = 1 + unit
    network = mlp(layers)
    return network, inputs, all_free(network)


CASES = {
    "plain": plain,
    "copies": copies,
    "pooled": pooled,
    "convolved": convolved,
    "skip": skip,
    "tied": tied,
    "always active": always_active,
}


def problems() -> list[so.Problem]:
    """Return the cases with all entries free and with the nonzero ones, and some that search."""
    found: list[so.Problem] = []
    for case in CASES.values():
        network, inputs, free = case()
        found += [so.Identifiability(network, inputs, free), so.Identifiability(network, inputs)]
    shallow = mlp(Draws(5).layers(3, 5, 2))
    searched = plain()[0], copies()[0], shallow
    return [*found, *map(so.Identifiability, searched)]
