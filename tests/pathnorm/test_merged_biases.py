"""Biases of networks whose scales are merged into the layers before them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Input, Relu
from sparseopt.pathnorm import exact
from sparseopt.pathnorm.biases import biases


@pytest.mark.parametrize("seed", range(6))
def test_merged_biases_are_those_of_the_merged_network(seed: int) -> None:
    """In exact arithmetic, for chains of scales of all kinds behind layers of all kinds."""
    rng = np.random.default_rng(seed)

    def whole(*shape: int) -> np.ndarray:
        values = np.empty(shape, dtype=object)
        values[...] = rng.integers(-2, 3, shape).astype(object)
        return values

    layers: list[Any] = []
    for _ in range(6):
        kind = rng.integers(6)
        bias = whole(2) if rng.random() < 0.7 else None
        if kind == 0:
            layers.append(Conv(whole(2, 2, 1, 1), bias))
        elif kind == 1:
            layers.append(Dense(whole(2, 2), bias))
        elif kind == 2:
            layers.append(Relu())
        else:
            shape = [(2, 1, 1), (1, 1, 2), (2, 2, 2)][kind - 3]
            layers.append(Scale(whole(*shape), whole(*shape) if rng.random() < 0.7 else None))
    network = chain((2, 2, 2), *layers)
    merged = network.merged
    for q in (0, 1, 2):
        right = exact.power_sums(merged, q, biases(merged))
        assert exact.power_sums(network, q, biases(network, "merged")) == right
        trick = network.merged_biases
        assert exact.power_sums(trick, q, biases(trick)) == right


def test_scales_are_merged_only_where_they_alone_read() -> None:
    def net(*more: Node, output: str) -> Network:
        nodes = (
            Node("x", Input((1,))),
            Node("a", Dense(np.ones((1, 1)), np.ones(1)), ("x",)),
            Node("b", Scale(np.array([-1.0]), np.ones(1)), ("a",)),
        )
        return Network((*nodes, *more), output)

    alone = biases(net(output="b"), "merged")
    assert alone["a"] is None
    assert alone["b"] == 0
    both = biases(net(Node("c", Add(), ("a", "b")), output="c"), "merged")
    assert both["a"] == both["b"] == 1
    unused = biases(net(output="a"), "merged")
    assert unused == {"x": None, "a": 1}


def test_merged_biases_that_cancel() -> None:
    """(1 - e)(1 + e) - 1 = -e^2, which float64 rounds to 0."""
    e = 2.0**-30
    layers = (
        Dense(np.zeros((1, 1)), np.array([1 + e])),
        Scale(np.array([1 - e]), np.array([-1.0])),
    )
    answer = so.solve(so.PathNorm(chain((1,), *layers), affine="merged")).answer
    assert answer.value == e**2
    assert so.solve(so.PathNorm(chain((1,), *layers), 0, affine="merged")).answer.exact == 1
