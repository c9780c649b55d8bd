"""The pass at few positions, combinations and precisions against one at every position."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from path_oracle import powers, random_graph
from sparseopt_pathnorm.needed_combinations import (
    combinations_of,
    needed_combinations,
    shifted,
    summed,
)
from sparseopt_pathnorm.passes import power_sums

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Permute, Relu, Reshape
from sparseopt.networks.window import MaxPool, Resample
from sparseopt.tools.reading.window_cells import (
    adaptive_positions,
    average_map,
    linear_map,
    max_window,
    pool_positions,
    total_map,
)


def plain(net: Network, q: float) -> np.ndarray:
    """Return the power sums by the definition, in float64 at every position."""

    def power(array: np.ndarray) -> np.ndarray:
        size = np.abs(array.astype(np.float64))
        return (size > 0).astype(np.float64) if q == 0 else size**q

    def visit(node: Node, values: list[Any]) -> np.ndarray:
        result = node.op.mapped(power).propagate(values)
        offset = node.op.offset()
        return result if offset is None else result + power(offset)

    return np.asarray(net.walk(np.ones((1, *net.input_shape)), visit)[0])


class Growing:
    """A random network, layer by layer."""

    def __init__(self, seed: int, channels: int, side: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = [Node("x", Input((channels, side, side + 2)))]
        self.shapes = {"x": (channels, side, side + 2)}

    def add(self, op: Any, *inputs: str) -> str:
        name = f"n{len(self.nodes)}"
        self.shapes[name] = op.shape([self.shapes[i] for i in inputs])
        self.nodes.append(Node(name, op, inputs))
        return name

    def conv(self, x: str, outputs: int, kernel: int, stride: int = 1, **options: Any) -> str:
        groups = options.get("groups", 1)
        weight = self.rng.standard_normal(
            (outputs, self.shapes[x][0] // groups, kernel, kernel)
        ).astype(np.float32)
        weight[self.rng.random(weight.shape) < 0.1] = 0
        bias = self.rng.standard_normal(outputs).astype(np.float32)
        pad = options.pop("pad", kernel // 2)
        padding = ((pad, pad), (pad, max(0, pad - 1)))
        return self.add(Conv(weight, bias, (stride, stride), padding, **options), x)

    def scale(self, x: str, spatial: bool = False) -> str:
        c, h, w = self.shapes[x]
        shape = (c, h, w) if spatial else (c, 1, 1)
        return self.add(Scale(self.rng.standard_normal(shape), self.rng.standard_normal(shape)), x)

    def average(self, x: str, outputs: int) -> str:
        maps = []
        for axis in (1, 2):
            size = self.shapes[x][axis]
            maps.append(average_map(axis, adaptive_positions(size, outputs), size, None))
        return self.add(Resample(tuple(maps)), x)

    def pool(self, x: str) -> str:
        windows = []
        for axis in (1, 2):
            size = self.shapes[x][axis]
            windows.append(max_window(axis, pool_positions(size, 3, 2, (1, 1)), size))
        return self.add(MaxPool(tuple(windows)), x)


def network(seed: int) -> Network:
    g = Growing(seed, 2, 9 + seed)
    rng = g.rng
    x = g.add(Relu(), g.scale(g.conv("x", 4, 3)))
    x = g.pool(x) if seed % 2 else x
    for step in range(4):
        kind = (seed + step) % 6
        branch = g.add(Relu(), g.conv(x, 4, 3))
        branch = g.scale(g.conv(branch, 4, 3 if kind else 1, groups=2), spatial=kind == 5)
        # Both branches must have one shape: asymmetric padding cuts a column per convolution.
        skip = g.conv(g.conv(x, 4, 3), 4, 3 if kind else 1)
        if kind == 3:
            x = g.add(Concat(0), branch, skip)
            x = g.conv(x, 4, 1, pad=0)
        else:
            x = g.add(Relu(), g.add(Add(), branch, skip, skip))
        if kind == 1:
            x = g.conv(x, 4, 3, 2)
        if kind == 2:
            x = g.conv(x, 4, 2, dilation=(2, 2), pad=1)
        if kind == 4:
            x = g.add(Permute((0, 2, 1)), x)
        if min(g.shapes[x][1:]) < 5:
            break
    x = g.average(x, int(rng.integers(1, 4)))
    size = int(np.prod(g.shapes[x]))
    x = g.add(Reshape((size,)), x)
    x = g.add(Dense(rng.standard_normal((3, size)), rng.standard_normal(3)), x)
    return Network(tuple(g.nodes), x)


@pytest.mark.parametrize("seed", range(12))
def test_the_pass_is_the_one_at_every_position(seed: int) -> None:
    net = network(seed)
    assert needed_combinations(net, lambda node: node.op)
    for q in (0, 0.5, 1, 2):
        right = np.log10(plain(net, q))
        np.testing.assert_allclose(power_sums(net, q).log10(), right, atol=1e-12)
        single = power_sums(net, q, dtype=np.float32).log10()
        np.testing.assert_allclose(single, right, atol=3e-6)


@pytest.mark.parametrize("seed", range(3))
def test_merged_and_without_paths_from_biases(seed: int) -> None:
    net = network(seed)
    bare = net.with_parameters(
        {n: np.zeros_like(a) for n, a in net.parameters().items() if n.endswith("bias")}
    )
    found = power_sums(net, 1, bias_paths=False).log10()
    np.testing.assert_allclose(found, np.log10(plain(bare, 1)), atol=1e-12)
    found = power_sums(net.merged_biases, 1).log10()
    np.testing.assert_allclose(found, np.log10(plain(net.merged, 1)), atol=1e-12)


def test_global_average_after_convolutions_needs_few_combinations() -> None:
    ones = np.ones((1, 1, 3, 3))
    pad = ((1, 1), (1, 1))
    mean = Resample(tuple(total_map(axis, 9, True) for axis in (1, 2)))
    net = chain((1, 9, 9), Conv(ones, padding=pad), Relu(), Conv(ones, padding=pad), mean)
    wanted = needed_combinations(net, lambda node: node.op)
    count = {name: [c and len(c.rows) for c in axes] for name, axes in wanted.items()}
    assert count == {"2:Conv": [None, 3, 3], "1:Relu": [None, 3, 3], "0:Conv": [None, 3, 3]} | {
        "2:Conv": [None, 1, 1]
    }


def test_maps_that_are_no_averages() -> None:
    up = linear_map(1, np.linspace(-0.3, 5.2, 13), 6)
    net = chain((2, 6), Conv(np.ones((3, 2, 3)), padding=((1, 1),)), Resample((up,)), Relu())
    np.testing.assert_allclose(power_sums(net, 2).log10(), np.log10(plain(net, 2)), atol=1e-12)


def test_biases_that_vary_along_a_pooled_axis() -> None:
    rng = np.random.default_rng(5)
    windows = tuple(max_window(axis, pool_positions(5, 3, 2), 5) for axis in (1, 2))
    for op in (
        Dense(rng.standard_normal((5, 5)), rng.standard_normal(5)),
        Scale(rng.standard_normal((1, 5, 1)), rng.standard_normal((2, 5, 5))),
        Scale(None, rng.standard_normal((1, 1, 5))),
    ):
        net = chain((2, 5, 5), Conv(np.ones((2, 2, 1, 1))), op, Relu(), MaxPool(windows))
        for q in (0, 0.5, 1):
            found = power_sums(net, q).log10()
            np.testing.assert_allclose(found, np.log10(plain(net, q)), atol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1.0, 1e18, 1e30])
@pytest.mark.parametrize("q", [0, 0.5, 1, 2])
def test_float32_far_from_one(scale: float, q: float) -> None:
    rng = np.random.default_rng(0)
    layers: list[Any] = []
    for _ in range(20):
        weight = (scale * rng.standard_normal((6, 6))).astype(np.float32)
        layers += [Dense(weight, rng.standard_normal(6).astype(np.float32)), Relu()]
    net = chain((6,), *layers)
    single, double = power_sums(net, q, dtype=np.float32), power_sums(net, q)
    np.testing.assert_allclose(single.log10(), double.log10(), atol=1e-5)
    assert np.isfinite(double.log10()).all()


def test_float32_keeps_what_underflows_alone() -> None:
    # Output 0 has only paths of weight 1e-40 and less, far below the other output.
    first = np.diag([1e-20, 1.0]).astype(np.float32)
    net = chain((2,), Dense(first), Relu(), Dense(first), Relu(), Dense(first))
    found = power_sums(net, 1, dtype=np.float32).log10()
    np.testing.assert_allclose(found, [-60, 0], atol=1e-6)


def test_float32_with_dead_channels_and_weights_that_float32_cannot_hold() -> None:
    first = np.array([[1e-300, 1e300], [0.0, 0.0]])
    net = chain((2,), Dense(first), Relu(), Dense(np.array([[1e-290, 1.0], [0.0, 1.0]])))
    for dtype in (np.float32, np.float64):
        found = power_sums(net, 1, dtype=dtype).log10()
        np.testing.assert_allclose(found, [10, -np.inf], atol=1e-9)


def test_a_solver_in_float32_is_checked_in_float64() -> None:
    net = network(3)
    solution = so.solve(so.PathNorm(net), solver="one_pass", dtype="float32")
    assert solution.answer.tolerance == 1e-4
    assert abs(solution.answer.log10 - np.log10(plain(net, 1).sum())) < 1e-5
    with pytest.raises(so.ProblemError, match="float16"):
        so.solve(so.PathNorm(net), solver="one_pass", dtype="float16")


def test_rows_of_combinations() -> None:
    rows = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    combinations = combinations_of(rows)
    assert combinations.rows.tolist() == [[1, 1, 1]]
    assert combinations.places(rows).tolist() == [0, -1, 0]
    with pytest.raises(KeyError):
        combinations.places(np.array([[1.0, 1.0, 0.0]]))
    reads = np.array([[-1, 0], [0, 1], [1, 2]])
    assert shifted(rows[:1], reads, 3).tolist() == [[[1, 1, 0], [1, 1, 1]]]
    assert summed(None, reads, None, 3).tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert summed(rows[:1], reads, None, 3).tolist() == [[2, 2, 1]]


@pytest.mark.parametrize("seed", range(12))
def test_graphs_of_neurons(seed: int) -> None:
    graph = random_graph(seed, hidden=7)
    net = so.load_network(graph)
    for q in (0, 0.5, 1, 2.5, 7, math.inf):
        again = power_sums(so.load_network(net.unroll()), q).log10()
        np.testing.assert_allclose(power_sums(net, q).log10(), again, rtol=1e-12, atol=1e-12)
    right = [math.log10(p) if p else -math.inf for p in powers(graph, 2)]
    np.testing.assert_allclose(power_sums(net, 2).log10(), right, rtol=1e-12, atol=1e-12)


def test_weights_hundreds_of_decades_apart() -> None:
    weight = np.array([[1e-200, 0.0], [0.0, 1e100]])
    net = chain((2,), Dense(weight), Dense(weight), Dense(weight))
    for q in (1, 16):
        logs = power_sums(net, q).root(q).log10()
        np.testing.assert_allclose(logs, [-600, 300], rtol=1e-12)


def test_weights_that_vanish_beside_others_are_kept() -> None:
    """The ends of float64, as floats and as rationals beyond them."""
    floats = np.array([[1e-250, 0.0], [0.0, 1e250]])
    rationals = np.array([[Fraction(1, 10**400), 0], [0, Fraction(10) ** 400]], dtype=object)
    for weight, size in ((floats, 250), (rationals, 400)):
        net = chain((2,), Dense(weight), Relu(), Dense(weight))
        for q in (0.5, 1, 3, math.inf):
            found = power_sums(net, q).log10() / (1 if q == math.inf else q)
            np.testing.assert_allclose(found, [-2 * size, 2 * size], rtol=1e-12)


def test_exact_weights_beyond_float64_in_every_engine() -> None:
    weight = np.array(
        [[Fraction(10) ** 400, Fraction(1, 3)], [Fraction(2), Fraction(1)]], dtype=object
    )
    net = chain((2,), Dense(weight, weight[0]), Relu(), Dense(weight))
    half = net.with_parameters({"0:Dense.weight": weight / 2})
    for problem in (
        so.PathNorm(net, 1.5),
        so.PathCost(net),
        so.LipschitzBound(net, 3, 3),
        so.LipschitzBound(net, 2, 2),
    ):
        assert so.solve(problem).status.name == "VERIFIED"
    with pytest.raises(so.SolveError, match="the distance leaves the range"):
        so.solve(so.PathDistance(net, half))
