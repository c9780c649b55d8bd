"""Generalization bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from bounded_networks import CASES, PUBLIC, convolutional, normal
from path_oracle import graph_of

import sparseopt as so
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool
from sparseopt.tools.reading.window_cells import max_window, pool_positions


@pytest.mark.parametrize("row", PUBLIC["bound_factor_table"]["rows"], ids=lambda row: str(row[0]))
def test_the_published_table(row: list[float]) -> None:
    setting: dict[str, Any] = {
        "samples": int(0.99 * 1281167),
        "inputs": 150528,
        "outputs": 1000,
        "input_bound": 2.640000104904175,
        "kernel": 9,
        "depth": row[0],
    }
    assert so.bound_factor(pool_kinds=1, **setting) == pytest.approx(row[1], abs=5e-7)
    assert so.bound_factor(pools_on_path=1, **setting) == pytest.approx(row[2], abs=5e-7)


def test_figures_of_a_network() -> None:
    shape = so.pooling_shape(convolutional())
    assert (shape.depth, shape.kernel, shape.kinds, shape.on_path) == (5, 4, 1, 1)
    assert so.pooling_shape(convolutional(), affine="as_is").depth == 6
    plain = so.pooling_shape(chain((2,), Dense(normal(2, 2)), Relu(), Scale(normal(2))))
    assert (plain.depth, plain.kernel, plain.kinds, plain.on_path) == (2, 1, 0, 0)
    network = convolutional()
    bound = so.generalization_bound(network, 7.0, samples=100, input_bound=2.0, sharpened=False)
    factor = so.bound_factor(
        samples=100, depth=5, inputs=50, outputs=2, input_bound=2.0, kernel=4, pool_kinds=1
    )
    assert bound == pytest.approx(math.sqrt(2) * 7 * factor)


def test_small_inputs_do_not_shrink_the_paths_from_biases() -> None:
    """Linear(1, 1) with weight 0 and bias 1, or -1: two functions, whatever the inputs.

    Choosing the better one on n samples has an expected gap of about 0.8 / sqrt(n).
    """
    network = chain((1,), Dense(np.zeros((1, 1)), np.ones(1)))
    setting: dict[str, Any] = {"samples": 100, "loss_constant": 1.0}
    small = so.generalization_bound(network, 1.0, input_bound=1e-3, **setting)
    assert small == so.generalization_bound(network, 1.0, input_bound=1.0, **setting)
    assert small >= 0.079
    assert so.generalization_bound(network, 1.0, input_bound=2.0, **setting) > 1.99 * small


def depth_of(output: str, *nodes: Node) -> int:
    inside = (Node("x", Input((2,))), *nodes)
    return so.pooling_shape(Network(inside, output)).depth


def test_depth_counts_what_cannot_be_fused() -> None:
    """A ReLU or a sum is free where it alone reads a linear layer, and costs a neuron elsewhere."""
    one, two = Dense(normal(2, 2)), Dense(normal(2, 2))
    a, r = Node("a", one, ("x",)), Node("r", Relu(), ("a",))
    assert depth_of("r", a, r) == 1
    assert depth_of("s", a, r, Node("s", Relu(), ("r",))) == 2
    assert depth_of("r", Node("r", Relu(), ("x",))) == 1
    both = Node("y", Add(), ("a", "r"))
    assert depth_of("y", a, r, both) == 3  # a is read twice, so r and y are neurons of their own
    assert depth_of("y", a, r, Node("y", Add(), ("r", "x"))) == 2
    b = Node("b", two, ("r",))
    assert depth_of("y", a, r, b, Node("y", Add(), ("b", "x"))) == 2  # y is b with an edge from x
    assert depth_of("z", a, r, b, Node("y", Add(), ("b", "x")), Node("z", Relu(), ("y",))) == 2
    c = Node("c", Reshape((1, 2)), ("b",))
    assert depth_of("z", a, r, b, c, Node("z", Relu(), ("c",))) == 2
    assert (
        depth_of(
            "z", a, r, b, Node("c", Select(np.array([0, 0])), ("b",)), Node("z", Relu(), ("c",))
        )
        == 3
    )
    joined = Node("c", Concat(0), ("b", "d"))
    assert depth_of("z", a, r, b, Node("d", two, ("x",)), joined, Node("z", Relu(), ("c",))) == 2
    joined = Node("c", Concat(0), ("b", "x"))
    assert depth_of("z", a, r, b, joined, Node("z", Relu(), ("c",))) == 3
    deep = Node("y", Add(), ("a", "s"))  # an edge to the neurons of a from deeper ones
    assert (
        depth_of(
            "y",
            a,
            Node("p", two, ("x",)),
            Node("q", Relu(), ("p",)),
            Node("s", Relu(), ("q",)),
            deep,
        )
        == 3
    )
    pooled = Node("m", MaxPool((max_window(0, pool_positions(2, 2, 1), 2),)), ("a",))
    assert depth_of("z", a, pooled, Node("z", Relu(), ("m",))) == 3
    with pytest.raises(so.ProblemError, match="affine"):
        so.pooling_shape(chain((2,), one), affine="both")


def test_kinds_of_pools() -> None:
    pools = RankPool(0, 1), Reshape((2,)), RankPool(0, 2)
    shape = so.pooling_shape(chain((3, 2), pools[0], Dense(normal(2, 2)), pools[2]))
    assert (shape.kernel, shape.kinds, shape.on_path, shape.depth) == (3, 2, 2, 3)
    neuron = so.load_network(graph_of(CASES["two_outputs_dead"]["graph"]))
    assert so.pooling_shape(neuron).depth >= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": 0}, "samples must be a positive integer, got 0"),
        ({"depth": 0}, "depth must be a positive integer, got 0"),
        ({"kernel": 1.5}, "kernel must be a positive integer, got 1.5"),
        ({"input_bound": -1.0}, "input_bound"),
        ({"pool_kinds": -1}, "negative"),
    ],
)
def test_bad_figures_are_refused(change: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {
        "samples": 10,
        "depth": 2,
        "inputs": 3,
        "outputs": 1,
        "input_bound": 1.0,
    }
    with pytest.raises(so.ProblemError, match=words):
        so.bound_factor(**{**good, **change})


def test_numbers_of_numpy_are_taken_as_they_are() -> None:
    """Those of 32 bits would round down, and integers of few bits wrap around."""
    setting = {"samples": 10_000, "depth": 3, "inputs": 150_528, "outputs": 100_000}
    for bound in (0.1, 2.64, 7.3):
        narrow = np.float32(bound)
        assert so.bound_factor(input_bound=narrow, **setting) == so.bound_factor(
            input_bound=float(narrow), **setting
        )
    narrow_integers = {name: np.int32(value) for name, value in setting.items()}
    assert so.bound_factor(input_bound=1.0, **narrow_integers) == so.bound_factor(
        input_bound=1.0, **setting
    )
    kernels = {"input_bound": 1.0, "pool_kinds": 1, **setting}
    assert so.bound_factor(kernel=np.uint8(90), **kernels) == so.bound_factor(kernel=90, **kernels)
    net, norm = chain((2,), Dense(normal(2, 2))), np.float32(1.1)
    assert so.generalization_bound(
        net, norm, samples=100, input_bound=1.0
    ) == so.generalization_bound(net, float(norm), samples=100, input_bound=1.0)
