"""The path-norm solver in PyTorch: range, refusals, certificates."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from path_oracle import random_graph

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Concat, Input, Operator, Relu

RNG = np.random.default_rng(0)


def deep(depth: int, scale: float, dtype: type = np.float64) -> Network:
    layers: list[Operator] = []
    for _ in range(depth):
        weight = (scale * RNG.uniform(0.5, 1.5, size=(6, 6))).astype(dtype)
        layers += [Dense(weight, RNG.uniform(0.5, 1, size=6).astype(dtype)), Relu()]
    return chain((6,), *layers)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_deep_networks(dtype: str, scale: float) -> None:
    network = deep(600, scale)
    for q in (1, 4):
        fast = so.solve(so.PathNorm(network, q), solver="one_pass_torch", dtype=dtype).answer
        right = so.solve(so.PathNorm(network, q), solver="one_pass").answer
        assert fast.log10 == pytest.approx(right.log10, abs=1e-8 if dtype == "float64" else 1e-3)


def test_the_sparse_and_the_float32() -> None:
    weight = RNG.standard_normal((8, 4, 3, 3)).astype(np.float32)
    weight[RNG.random(weight.shape) < 0.8] = 0
    network = chain((4, 9, 9), Conv(weight, None, (2, 2), ((1, 1), (1, 1))), Relu())
    for q in (1, 2, 3, 9):
        fast = so.solve(so.PathNorm(network, q), solver="one_pass_torch").answer
        right = so.solve(so.PathNorm(network, q), solver="one_pass").answer
        np.testing.assert_allclose(fast.per_output_log10, right.per_output_log10, atol=1e-12)


def test_what_does_not_fit_one_exponent_is_left_to_others() -> None:
    nodes = [Node("x", Input((1,)))]
    for name, weight in (("a", 1e-250), ("b", 1e250)):
        before = "x"
        for i in range(4):
            nodes.append(Node(f"{name}{i}", Dense(np.array([[weight]])), (before,)))
            before = f"{name}{i}"
    nodes.append(Node("y", Concat(0), ("a3", "b3")))
    network = Network(tuple(nodes), "y")
    with pytest.raises(so.SolveError, match="powers of two"):
        so.solve(so.PathNorm(network), solver="one_pass_torch")
    weight = np.array([[1e-200, 0.0], [0.0, 1e200]])
    with pytest.raises(so.SolveError, match="powers of two"):
        so.solve(so.PathNorm(chain((2,), Dense(weight))), solver="one_pass_torch")
    so.solve(so.PathNorm(network, r=math.inf))


def test_refusals() -> None:
    exact = so.load_network(random_graph(0))
    network = deep(2, 1.0)
    for problem, words in (
        (so.PathNorm(exact), "not for this solver"),
        (so.PathNorm(network, 0), "q = 0"),
        (so.PathNorm(network, math.inf), "q = inf"),
    ):
        assert words in str(so.plan(problem))
    with pytest.raises(so.ProblemError, match="float16"):
        so.solve(so.PathNorm(network), solver="one_pass_torch", dtype="float16")


@pytest.mark.parametrize("problem", [so.PathNorm, so.PathCost])
def test_plans_say_whether_pytorch_is_loaded(
    problem: type[so.Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its import is counted among the predicted seconds."""
    stated = problem(deep(1, 1.0))

    def line() -> str:
        return next(str(c) for c in so.plan(stated) if c.name.endswith("_torch"))

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert "PyTorch loaded: no" in line()
    monkeypatch.setitem(sys.modules, "torch", math)
    assert "PyTorch loaded: yes" in line()
