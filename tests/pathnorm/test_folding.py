"""Path costs on few positions, of the judge and of the engine, against passes over all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, RankPool, Resample
from sparseopt.pathnorm import contractions, path_cost, plain
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.floats import Floats
from sparseopt.pathnorm.folding import folded
from sparseopt.pathnorm.rounded import RoundedSums
from sparseopt.pathnorm.wides import Wides


def oracle(network: Network) -> dict[str, np.ndarray]:
    """Return the shares by the operators' own methods at every position."""
    entering: dict[str, Any] = {}

    def visit(node: Node, values: list[np.ndarray]) -> np.ndarray:
        op: Any = node.op.mapped(np.abs)
        entering[node.name] = op, values
        value, offset = op.propagate(values), node.op.offset()
        return np.asarray(value if offset is None else value + np.abs(offset))

    end = network.walk(np.ones((1, *network.input_shape)), visit)
    pending = {network.output: np.ones_like(end) / (end.sum() or 1.0)}
    shares = {}
    for node in reversed(network.nodes[1:]):
        op, values = entering[node.name]
        y = pending.pop(node.name)
        if isinstance(node.op, contractions.Contraction):
            shares[f"{node.name}.weight"] = op.weight * op.weight_adjoint(y, values)
        backs = op.adjoint(y, [v.shape[1:] for v in values])
        for name, back in zip(node.inputs, backs, strict=True):
            pending[name] = pending.get(name, 0) + back
    return shares


def judged(network: Network, arithmetic: RoundedSums) -> dict[str, np.ndarray]:
    """Return the shares that the judge finds."""
    ops: dict[str, Any] = {f"{node.name}.weight": node.op for node in network.nodes}
    shares = {n: np.zeros(network.parameters()[n].shape) for n in path_cost.weight_names(network)}
    for name, rows, part, total in path_cost.each_part(network, arithmetic):
        kernel = contractions.kernel(ops[name], np.zeros(shares[name].shape))
        kernel[:, rows] = arithmetic.shares(part, total)[0]
        back = np.zeros(shares[name].shape)
        at = contractions.kernel(ops[name], np.arange(back.size).reshape(back.shape))
        back.flat[at.ravel()] = kernel.ravel()
        shares[name] += back
    return shares


class Grower:
    """Grows a network of random layers on images."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = [Node("x", Input((2, 19, 17)))]
        self.shapes = {"x": (2, 19, 17)}

    def put(self, op: Operator, *inputs: str) -> str:
        name = f"n{len(self.nodes)}"
        self.shapes[name] = op.shape([self.shapes[i] for i in inputs])
        self.nodes.append(Node(name, op, inputs))
        return name

    def numbers(self, *shape: int) -> np.ndarray:
        values = self.rng.standard_normal(shape)
        values[self.rng.random(shape) < 0.1] = 0.0
        return values

    def conv(self, x: str) -> str:
        c, groups = self.shapes[x][0], int(self.rng.choice([1, 2]))
        groups = groups if c % groups == 0 else 1
        kernel = tuple(int(k) for k in self.rng.choice([1, 2, 3], 2))
        padding = tuple((int(a), int(b)) for a, b in self.rng.integers(-1, 3, (2, 2)))
        stride, dilation = self.rng.integers(1, 3, 2), self.rng.integers(1, 3, 2)
        bias = self.numbers(2 * groups) if self.rng.random() < 0.5 else None
        weight = self.numbers(2 * groups, c // groups, *kernel)
        return self.put(Conv(weight, bias, tuple(stride), padding, tuple(dilation), groups), x)

    def transposed(self, x: str) -> str:
        weight = self.numbers(self.shapes[x][0], 2, 2, 3)
        return self.put(ConvTranspose(weight, None, (2, 1), ((1, 0), (1, 1))), x)

    def scale(self, x: str) -> str:
        sizes = [n if self.rng.random() < 0.4 else 1 for n in self.shapes[x]]
        bias = self.numbers(*self.shapes[x]) if self.rng.random() < 0.2 else None
        return self.put(Scale(self.numbers(*sizes), bias), x)

    def pool(self, x: str) -> str:
        axis = int(self.rng.integers(1, 3))
        size = self.shapes[x][axis]
        index = np.arange(0, size, 2)[:, None] + np.arange(-1, 2)
        index[index >= size] = -1
        return self.put(MaxPool((AxisWindow(axis, np.maximum(index, -1)),)), x)

    def average(self, x: str) -> str:
        axis = int(self.rng.integers(1, 3))
        size = self.shapes[x][axis]
        index = np.minimum(np.arange(size)[:, None] + np.arange(2), size - 1)
        weight = np.where(np.arange(size)[:, None] < size // 2, [[1.0, 2.0]], [[2.0, 1.0]])
        return self.put(Resample((AxisMap(axis, index, weight, np.full(size, 3)),)), x)

    def branches(self, x: str) -> str:
        c = self.shapes[x][0]
        other = self.put(Conv(self.numbers(c, c, 3, 3), None, (), ((1, 1), (1, 1))), x)
        kind = self.rng.integers(3)
        if kind == 0:
            return self.put(Add(), x, other, x)
        return self.put(Concat(int(self.rng.integers(0, 3))), x, other)

    def wiring(self, x: str) -> str:
        kind, shape = self.rng.integers(3), self.shapes[x]
        if kind == 0:
            return self.put(Permute((0, 2, 1)), x)
        if kind == 1:
            flat = np.arange(math.prod(shape)).reshape(shape)
            index = np.concatenate([flat[:, ::-1], np.full_like(flat[:, :1], -1)], axis=1)
            return self.put(Select(index), x)
        return self.put(Dense(self.numbers(3, shape[2])), x)

    def network(self) -> Network:
        x = self.conv("x") if self.rng.random() < 0.7 else self.scale("x")
        ways = [self.conv, self.transposed, self.scale, self.pool, self.average, self.branches]
        ways.append(self.wiring)
        for _ in range(7):
            if min(self.shapes[x][1:]) < 7 or math.prod(self.shapes[x]) > 4000:
                break
            x = self.put(Relu(), ways[int(self.rng.integers(len(ways)))](x))
        if self.rng.random() < 0.3:
            x = self.put(RankPool(int(self.rng.integers(1, 3))), x)
        size = math.prod(self.shapes[x])
        x = self.put(Dense(self.numbers(3, size)), self.put(Reshape((size,)), x))
        return Network(tuple(self.nodes), x)


@pytest.mark.parametrize("seed", range(40))
def test_random_networks(seed: int) -> None:
    network = Grower(seed).network()
    right = oracle(network)
    answer = so.solve(so.PathCost(network), solver="path_costs").answer
    for found in (answer.shares, judged(network, Floats(1)), judged(network, Wides(1))):
        assert found.keys() == right.keys()
        for name, share in right.items():
            np.testing.assert_allclose(found[name], share, rtol=1e-12, atol=1e-300)


def test_positions_are_stored_once() -> None:
    """Where all are alike, and each where they are not."""
    kernel = np.ones((1, 1, 3, 3))
    nodes = [
        Node("x", Input((1, 100, 50))),
        Node("c", Conv(kernel, padding=((1, 1), (0, 0))), ("x",)),
    ]
    nodes.append(Node("s", Scale(None, np.ones((1, 100, 1))), ("c",)))
    nodes.append(Node("y", Reshape((4800,)), ("s",)))
    network = Network(tuple(nodes), "y")
    shapes = {step.name: step.shape for step in folded(network, biases(network))}
    assert shapes["c"] == (1, 3, 1)
    assert shapes["s"] == (1, 100, 1)
    assert shapes["y"] == (4800,)


def test_the_folded_network_has_the_norm() -> None:
    """Also without any weight, where there is no cost to compare."""
    network = Network((Node("x", Input((2, 3))), Node("y", Permute((1, 0)), ("x",))), "y")
    assert list(path_cost.each_part(network, Floats(1))) == []
    assert plain.power_sums(network, 1, {}).norm(1).as_float() == 6.0
