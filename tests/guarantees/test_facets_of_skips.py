"""Facets where a unit is added to what it reads: its factor is settled by what comes after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import sparseopt as so
from sparseopt.judging.check import check_certificate
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Input, Relu, Reshape


def residual(seed: int, width: int, blocks: int, inputs: int = 12, outputs: int = 5) -> Network:
    """h <- h + relu(B h + b), some times; with a layer before and one behind."""
    rng = np.random.default_rng(seed)

    def dense(rows: int, columns: int) -> Dense:
        return Dense(rng.standard_normal((rows, columns)), rng.standard_normal(rows))

    nodes = [Node("x", Input((inputs,)), ())]
    nodes += [Node("a", dense(width, inputs), ("x",)), Node("h0", Relu(), ("a",))]
    for i in range(blocks):
        nodes += [
            Node(f"b{i}", dense(width, width), (f"h{i}",)),
            Node(f"r{i}", Relu(), (f"b{i}",)),
            Node(f"h{i + 1}", Add(), (f"h{i}", f"r{i}")),
        ]
    nodes.append(Node("c", dense(outputs, width), (f"h{blocks}",)))
    return Network(tuple(nodes), "c")


def derivative(network: Network, points: np.ndarray, blocks: int) -> np.ndarray:
    """Return the derivative of all outputs by all parameters, layer by layer, in float64."""
    arrays = network.parameters()
    rows = []
    for x in points:
        held, on = [x], []
        h = x
        for name in ("a", *(f"b{i}" for i in range(blocks))):
            z = arrays[f"{name}.weight"] @ h + arrays[f"{name}.bias"]
            on.append(z > 0)
            h = np.maximum(z, 0) if name == "a" else h + np.maximum(z, 0)
            held.append(h)
        slope, parts = arrays["c.weight"], []
        for i in range(blocks, -1, -1):
            own = slope * on[i]
            weights = own[:, :, None] * held[i]
            parts += [weights.reshape(len(slope), -1), own]
            if i:
                slope = slope + own @ arrays[f"b{i - 1}.weight"]
        eye = np.eye(len(slope))
        last = np.einsum("ij,k->ijk", eye, held[-1]).reshape(len(slope), -1)
        rows.append(np.concatenate([*parts, last, eye], axis=1))
    return np.concatenate(rows)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("width", "blocks"), [(6, 1), (8, 1), (8, 2)])
def test_the_derivative_has_the_rank_that_is_claimed(seed: int, width: int, blocks: int) -> None:
    """By singular values, at points near those of the facets."""
    network = residual(seed, width, blocks)
    solution = so.solve(so.Identifiability(network), "facets_of_units")
    if solution.answer.value == "unknown":
        pytest.skip("some unit switches nowhere")
    assert so.verify(solution).ok
    assert solution.answer.orbit == width
    pairs = solution.certificate.evidence.pairs.reshape(-1, 12)
    rng = np.random.default_rng(seed)
    size = 1e-3 * np.abs(pairs).mean()
    near = [pairs + size * rng.standard_normal(pairs.shape) for _ in range(12)]
    rows = derivative(network, np.concatenate(near), blocks)
    assert rows.shape[1] == solution.answer.parameters
    values = np.linalg.svd(rows / np.abs(rows).max(axis=0), compute_uv=False)
    rank = solution.answer.rank
    assert rank == rows.shape[1] - width
    assert values[rank - 1] > 1e3 * values[rank]


def test_a_factor_that_no_cell_sees_is_not_settled() -> None:
    """With the last block's units off at every cell, their factors stay open."""
    network = residual(0, 4, 1)
    certificate = so.solve(so.Identifiability(network), "facets_of_units").certificate
    evidence = certificate.evidence
    arrays, seen = network.parameters(), []
    for x in evidence.pairs[evidence.cells, 1]:
        h = np.maximum(arrays["a.weight"] @ x + arrays["a.bias"], 0)
        seen.append(arrays["b0.weight"] @ h + arrays["b0.bias"] > 0)
    for unit in range(4):
        blind = evidence.cells[~np.array(seen)[:, unit]]
        assert 0 < len(blind) < len(evidence.cells)
        forged = replace(certificate, evidence=replace(evidence, cells=blind))
        check = check_certificate(forged)
        assert not check.ok
        assert "FAILED: the outputs settle their parameters" in check.details[-1]


def test_convolutions_with_a_skip_are_proved() -> None:
    rng = np.random.default_rng(1)

    def conv(channels: int, of: int) -> Conv:
        weight = rng.standard_normal((channels, of, 3, 3))
        return Conv(weight, rng.standard_normal(channels), padding=((1, 1), (1, 1)))

    nodes = (
        Node("x", Input((1, 4, 4)), ()),
        Node("a", conv(3, 1), ("x",)),
        Node("h", Relu(), ("a",)),
        Node("b", conv(3, 3), ("h",)),
        Node("r", Relu(), ("b",)),
        Node("s", Add(), ("h", "r")),
        Node("f", Reshape((48,)), ("s",)),
        Node("c", Dense(rng.standard_normal((10, 48)), rng.standard_normal(10)), ("f",)),
    )
    network = Network(nodes, "c")
    solution = so.solve(so.Identifiability(network), "facets_of_units", time_limit=60)
    assert solution.answer.value == "identifiable"
    assert solution.answer.orbit == 3
    assert so.verify(solution).ok
    exact = so.solve(so.Identifiability(network), "jacobian_rank", time_limit=60)
    assert exact.answer.value == "identifiable"
    assert exact.answer.rank == solution.answer.rank
