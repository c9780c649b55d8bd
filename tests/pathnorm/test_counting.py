"""How many paths a network has."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from path_oracle import powers, random_graph

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("seed", range(8))
def test_counts_of_random_graphs(seed: int) -> None:
    graph = random_graph(seed, hidden=9)
    network = so.load_network(graph)
    assert so.path_count(network, nonzero=True) == sum(powers(graph, 0))
    ones = nx.DiGraph(graph)
    nx.set_edge_attributes(ones, 1, "weight")
    for node, data in ones.nodes(data=True):
        if "bias" in data:
            ones.nodes[node]["bias"] = 1
    assert so.path_count(network) == sum(powers(ones, 0))


def test_a_count_of_hundreds_of_digits() -> None:
    mask = RNG.random((40, 7, 7)) < 0.6
    mask[:, 0, 0] = True
    network = chain((7,), *(Dense(m.astype(float), np.ones(7)) for m in np.repeat(mask, 10, 0)))
    values = [1] * 7
    for m in np.repeat(mask, 10, 0):
        values = [1 + sum(v for v, keep in zip(values, row, strict=True) if keep) for row in m]
    assert so.path_count(network, nonzero=True) == sum(values)
    assert len(str(sum(values))) > 200
    answer = so.solve(so.PathNorm(network, 0)).answer
    assert answer.exact == sum(values)
