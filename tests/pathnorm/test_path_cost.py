"""Path costs against zeroing, enumeration, each other, and forged answers."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import networkx as nx
import numpy as np
import pytest

import sparseopt as so
from sparseopt.judging.check import check_certificate
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Input, Relu, Reshape
from sparseopt.pathnorm import path_cost
from tests.tools.rescaling.test_rescaling import mlp, residual_network

SOLVERS = ["path_costs", "path_costs_torch"]


def norm(network: Network) -> float:
    return float(so.solve(so.PathNorm(network), check=False).answer.value)


def shares(network: Network, solver: str = "path_costs") -> dict[str, np.ndarray]:
    if solver == "path_costs_torch":
        pytest.importorskip("torch")
    return so.solve(so.PathCost(network), solver=solver).answer.shares


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_cost_is_what_the_norm_loses(solver: str) -> None:
    network = residual_network()
    total, arrays, rng = norm(network), network.parameters(), np.random.default_rng(0)
    for name, share in shares(network, solver).items():
        for _ in range(6):
            place = tuple(rng.integers(n) for n in share.shape)
            changed = arrays[name].copy()
            changed[place] = 0
            lost = 1 - norm(network.with_parameters({name: changed})) / total
            assert share[place] == pytest.approx(lost, abs=1e-13)


@pytest.mark.parametrize("solver", SOLVERS)
def test_rescaling_by_powers_of_two_changes_no_bit(solver: str) -> None:
    network = residual_network()
    scaled = so.rescale(network, so.random_factors(network, seed=2))
    before, after = shares(network, solver), shares(scaled, solver)
    for name, share in before.items():
        np.testing.assert_array_equal(share, after[name])


def test_the_cost_is_the_sum_over_the_paths() -> None:
    network = mlp((2, 3, 2), seed=3)
    lifted = so.path_lifting(network)
    total = float(sum(abs(v) for v in lifted.phi))
    found = shares(network)
    for unit in range(3):
        paths = [abs(v) for p, v in zip(lifted.paths, lifted.phi, strict=True) if 2 + unit in p]
        expected = float(sum(paths)) / total
        assert found["2:Dense.weight"][:, unit].sum() == pytest.approx(expected, rel=1e-13)


def test_layers_share_the_norm() -> None:
    """Through the weights into the outputs goes everything but the output biases."""
    network = residual_network()
    last = np.abs(network.parameters()["y.bias"]).sum() / norm(network)
    assert shares(network)["y.weight"].sum() == pytest.approx(1 - last, rel=1e-12)


def test_deep_networks_neither_overflow_nor_vanish() -> None:
    rng = np.random.default_rng(0)
    for scale in (4.0, 0.01):
        layers: list[object] = []
        for _ in range(400):
            layers += [Dense(scale * rng.standard_normal((8, 8))), Relu()]
        network = chain((8,), *layers)  # type: ignore[arg-type]
        for share in shares(network).values():
            assert share.sum() == pytest.approx(1.0, rel=1e-9)


def test_float32_promises_less() -> None:
    pytest.importorskip("torch")
    network = residual_network(dtype=np.float32)
    found = so.solve(so.PathCost(network), solver="path_costs_torch", dtype="float32").answer
    assert found.tolerance == 1e-3
    for name, share in shares(network).items():
        np.testing.assert_allclose(found.shares[name], share, rtol=1e-4)


def test_zero_and_dead_weights_cost_nothing() -> None:
    first = np.array([[1.0, 2.0], [0.0, 3.0]])
    network = chain((2,), Dense(first), Relu(), Dense(np.array([[0.0, 5.0]])))
    found = shares(network)
    np.testing.assert_array_equal(found["0:Dense.weight"], [[0, 0], [0, 1]])
    dead = network.with_parameters({"2:Dense.weight": np.zeros((1, 2))})
    assert all(not share.any() for share in shares(dead).values())


@pytest.mark.parametrize("kind", ["scaled", "one", "swapped", "zeroed", "negative", "invented"])
def test_forged_costs_are_refused(kind: str) -> None:
    network = residual_network()
    problem = so.PathCost(network)
    solution = so.solve(problem)
    forged = {k: v.copy() for k, v in solution.answer.shares.items()}
    if kind == "scaled":
        forged["hidden.weight"] *= 1 + 1e-6
    elif kind == "one":
        forged["stem.weight"][3, 1, 0, 2] *= 1.001
    elif kind == "swapped":
        forged["y.weight"][:] = forged["y.weight"][::-1].copy()
    elif kind == "zeroed":
        smallest = np.argmin(forged["hidden.weight"])
        forged["hidden.weight"].ravel()[smallest] = 0.0
    elif kind == "negative":
        forged["hidden.weight"][0, 0] *= -1
    else:
        arrays = {"hidden.weight": network.parameters()["hidden.weight"].copy()}
        arrays["hidden.weight"][2, 2] = 0.0
        problem = so.PathCost(network.with_parameters(arrays))
        forged = {k: v.copy() for k, v in so.solve(problem).answer.shares.items()}
        forged["hidden.weight"][2, 2] = 1e-30
    answer = dataclasses.replace(solution.answer, shares=forged)
    check = check_certificate(so.PathCostCertificate(problem, answer), problem, answer)
    assert not check.ok


def test_tied_weights_met_twice_are_refused() -> None:
    weight, shared = np.ones((2, 2)), {"weight": "fc.weight"}
    twice = (
        Node("x", Input((2,))),
        Node("a", Dense(weight), ("x",), shared),
        Node("r", Relu(), ("a",)),
        Node("b", Dense(weight), ("r",), shared),
    )
    with pytest.raises(so.ProblemError, match=r"meets the tensor 'fc\.weight' twice"):
        so.PathCost(Network(twice, "b"))


@pytest.mark.parametrize("at_once", [1, 2, 4096])
@pytest.mark.parametrize("seed", range(30))
def test_tensors_met_twice_against_all_pairs(
    seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On random graphs: a tensor is met twice if one of its layers leads to another."""
    monkeypatch.setattr(path_cost, "_TENSORS", at_once)
    rng = np.random.default_rng(seed)
    nodes = [Node("0", Input((1,)))]
    for i in range(1, 16):
        origin = {"weight": f"t{rng.integers(12)}"}
        nodes.append(Node(str(i), Dense(np.ones((1, 1))), (str(rng.integers(i)),), origin))
    network = Network((*nodes, Node("sum", Add(), ("13", "14", "15"))), "sum")
    ends = {(a, b) for a in network.used for b in nx.descendants(network.graph, a) & network.used}
    right = {
        tensor
        for tensor, names in network.tied.items()
        if ends & set(itertools.permutations((name.split(".")[0] for name in names), 2))
    }
    found = path_cost.met_twice(network)
    assert found in right if right else found is None


def test_many_tied_tensors_are_looked_at_in_one_sweep() -> None:
    """Layers beside each other of one tensor, before many others: not a search from each."""
    weight, shared = np.ones((1, 1)), {"weight": "w"}
    side = [Node(f"d{i}", Dense(weight), ("x",), shared) for i in range(3000)]
    nodes = [Node("x", Input((1,))), *side, Node("0", Add(), tuple(node.name for node in side))]
    nodes += [Node(str(i), Relu(), (str(i - 1),)) for i in range(1, 3000)]
    network = Network(tuple(nodes), "2999")
    visits = 0

    class Counted(Network):
        def walk(self, first: Any, visit: Any) -> Any:
            def counted(node: Node, values: list[Any]) -> Any:
                nonlocal visits
                visits += 1
                return visit(node, values)

            return network.walk(first, counted)

    assert path_cost.met_twice(Counted(network.nodes, network.output)) is None
    assert visits == len(nodes) - 1


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (Dense(np.ones((3, 4))), (2, 4)),
        (Conv(np.ones((4, 2, 3, 2)), None, (2, 1), ((1, 0), (-1, 2)), (1, 2), 2), (4, 6, 7)),
        (
            ConvTranspose(np.ones((4, 3, 2, 3)), None, (2, 1), ((1, 0), (-1, 1)), (1, 2), 2),
            (4, 3, 4),
        ),
    ],
)
def test_weight_adjoint_is_the_transpose(op: Dense, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *shape))
    weight = rng.standard_normal(op.weight.shape)
    y = op.with_parameters(weight=weight).propagate([x])
    value = rng.standard_normal(y.shape)
    assert (op.weight_adjoint(value, [x]) * weight).sum() == pytest.approx((value * y).sum())


def test_networks_without_prunable_weights() -> None:
    network = chain((2, 2), Reshape((4,)))
    assert shares(network) == {}
