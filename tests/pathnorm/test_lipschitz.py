"""Lipschitz bounds and the table of path sums."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from bounded_networks import convolutional, normal
from path_oracle import paths, random_graph

import sparseopt as so
from sparseopt.judging.check import check_certificate
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu


@pytest.mark.parametrize("seed", range(6))
def test_the_table_is_the_sum_over_paths(seed: int) -> None:
    graph = random_graph(seed)
    network = so.load_network(graph)
    ends = list(network.output_labels or ())
    right = np.zeros((len(ends), 3))
    for path, phi in paths(graph):
        if path[0] in ("x0", "x1", "x2"):
            right[ends.index(path[-1]), int(path[0][1])] += abs(float(phi))
    np.testing.assert_allclose(so.path_table(network), right, rtol=1e-13, atol=1e-13)


NORMS = [(math.inf, 1), (math.inf, math.inf), (2, 2), (1, 1), (1, math.inf), (2, 1), (3, 1.5)]


@pytest.mark.parametrize(("p_in", "p_out"), NORMS)
def test_bounds_hold_and_are_at_least_the_norm_of_the_table(p_in: float, p_out: float) -> None:
    for network in (convolutional(), so.load_network(random_graph(4).reverse().reverse())):
        network = as_floats(network)
        table = so.path_table(network)
        x = np.abs(normal(500, table.shape[1])) ** 3
        seen = (np.linalg.norm(x @ table.T, p_out, axis=1) / np.linalg.norm(x, p_in, axis=1)).max()
        values = {}
        for solver in ("lipschitz_passes", "lipschitz_table"):
            problem = so.LipschitzBound(network, p_in, p_out)
            if solver == "lipschitz_table" and "table" not in problem.methods():
                continue
            solution = so.solve(problem, solver=solver)
            values[solver] = solution.answer.value
            assert solution.answer.value >= seen * (1 - 1e-12)
            again = so.from_json(so.to_json(solution.certificate))
            assert check_certificate(again).ok
            assert problem.sampled(np.random.default_rng(1), 200) <= solution.answer.value
        if (p_in, p_out) == (2, 2):
            exact = np.linalg.norm(table, 2)
            assert values["lipschitz_passes"] == pytest.approx(exact, rel=1e-3)
        if (p_in, p_out) == (math.inf, math.inf):
            assert values["lipschitz_passes"] == pytest.approx(table.sum(1).max())


def as_floats(network: Network) -> Network:
    arrays = {n: a.astype(np.float64) for n, a in network.parameters().items()}
    return network.with_parameters(arrays)


def test_biases_do_not_count_and_scales_may_be_merged() -> None:
    network = convolutional()
    biased = network.with_parameters({"conv.bias": 1e6 * np.ones(3)})
    one, two, three = (
        so.solve(so.LipschitzBound(n)).answer.value for n in (network, biased, network.merged)
    )
    assert one == two
    assert one == pytest.approx(three, rel=1e-14)
    assert one <= so.solve(so.PathNorm(network)).answer.value


def test_deep_networks_have_finite_logarithms() -> None:
    layers = [layer for _ in range(700) for layer in (Dense(9 * normal(8, 8)), Relu())]
    network = chain((8,), *layers)
    for p_in, p_out in ((math.inf, 1), (2, 2), (1, 1)):
        answer = so.solve(so.LipschitzBound(network, p_in, p_out)).answer
        assert answer.value == math.inf
        assert 700 < answer.log10 < 2000


def test_forged_lipschitz_bounds_are_refused() -> None:
    network = convolutional()
    for p_in, p_out in ((math.inf, 1), (2, 2), (3, 1.5)):
        solution = so.solve(so.LipschitzBound(network, p_in, p_out))
        certificate, answer = solution.certificate, solution.answer
        forged: list[Any] = [
            dataclasses.replace(certificate, answer=dataclasses.replace(answer, **change))
            for change in (
                {"value": answer.value * 0.99},
                {"log10": answer.log10 - 0.01},
                {"log10": math.nan},
                {"method": "magic"},
                {"p_in": 7},
            )
        ]
        if certificate.weights is not None:
            forged.append(dataclasses.replace(certificate, weights=None))
            forged.append(dataclasses.replace(certificate, weights=-certificate.weights))
        assert not any(check_certificate(bad).ok for bad in forged)


@pytest.mark.parametrize("p", [0.5, math.nan, "two", True])
def test_bad_norms_are_refused(p: Any) -> None:
    with pytest.raises(so.ProblemError, match=r"must be a number|from 1 to inf"):
        so.LipschitzBound(convolutional(), p)


def test_tables_of_large_networks_are_refused() -> None:
    weight = np.broadcast_to(1.0, (5000, 5000))
    network = chain((5000,), Dense(weight))
    with pytest.raises(so.ProblemError, match="5000 rows"):
        so.path_table(network)
    assert "table" not in so.LipschitzBound(network, 3, 3).methods()
