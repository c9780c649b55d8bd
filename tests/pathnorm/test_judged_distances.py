"""Distances of settings, as the judge computes them, against exact rationals."""

from __future__ import annotations

from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from path_judging import require_within
from path_networks import image
from path_oracle import paths, random_graph

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Operator, Reshape
from sparseopt.networks.window import AxisMap, RankPool, Resample
from sparseopt.pathnorm import differences, exact, path_pairs
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.effort import TooLarge


@pytest.mark.parametrize("seed", range(8))
def test_distances_by_all_routes(seed: int) -> None:
    graph = random_graph(seed, hidden=6)
    rng = np.random.default_rng(seed)
    other = nx.DiGraph(graph)
    factors = [Fraction(int(rng.integers(0, 5)), 2) for _ in graph.edges]
    for (u, v, data), factor in zip(graph.edges(data=True), factors, strict=True):
        other.add_edge(u, v, weight=data["weight"] * factor)
    a, b = so.load_network(graph), so.load_network(other)
    entries = zip(paths(graph), paths(other), strict=True)
    right = sum((abs(p - r) for (_, p), (_, r) in entries), start=Fraction(0))
    assert path_pairs.enumerated_distance(a, b) == right
    upper = differences.exact_difference(a, b)
    assert upper >= right
    names = a.parameters()
    sizes = [np.abs(names[n]) for n in names], [np.abs(b.parameters()[n]) for n in names]
    norms = []
    for choose in (np.maximum, np.minimum):
        arrays = dict(
            zip(names, (np.asarray(choose(x, y)) for x, y in zip(*sizes, strict=True)), strict=True)
        )
        chosen = a.with_parameters(arrays)
        norms.append(sum(exact.power_sums(chosen, 1, biases(chosen))))
    assert upper == norms[0] - norms[1]
    found = differences.difference(a, b)
    require_within(found, [upper])


def test_the_last_bit_of_a_weight_is_seen() -> None:
    network = image()
    weight = network.parameters()["e.weight"].copy()
    weight[0, 0, 0, 0] *= 1 + 2.0**-52
    other = network.with_parameters({"e.weight": weight})
    right = differences.exact_difference(network, other)
    assert 0 < right < Fraction(1, 10**9)
    require_within(differences.difference(network, other), [right])
    assert path_pairs.enumerated_distance(network, other) == right
    answer = so.solve(so.PathDistance(network, other), solver="distance_passes").answer
    assert answer.exact == right


def test_too_many_paths_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_pairs, "PATHS", 10)
    with pytest.raises(TooLarge, match="more than 10 paths"):
        path_pairs.enumerated_distance(image(), image())


def wide(*layers: Operator, inputs: int) -> tuple[Network, Network]:
    """A network, and one whose weights all have the other sign."""
    net = chain((inputs,), *layers, Dense(np.arange(1.0, 2.0)[None]))
    return net, net.with_parameters({name: -v for name, v in net.parameters().items()})


def test_wide_sums_of_paths_look_at_each_path_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that hand all paths on for each further term would touch 5 * 10**9 of them."""
    net, other = wide(Dense(np.arange(1.0, 100_001.0)[None]), inputs=100_000)
    assert path_pairs.enumerated_distance(net, net) == 0
    assert path_pairs.enumerated_distance(net, other) == 0  # two signs, one product
    pool = wide(Reshape((1, 100_000)), RankPool(1), inputs=100_000)
    with pytest.raises(TooLarge, match="paths"):
        path_pairs.enumerated_distance(*pool)
    with pytest.raises(TooLarge, match="edges"):
        path_pairs.enumerated_distance(*wide(Dense(np.zeros((1, 300_000))), inputs=300_000))
    monkeypatch.setattr(path_pairs, "BITS", 1000)
    with pytest.raises(TooLarge, match="more than 1000 bits"):
        path_pairs.enumerated_distance(net, other)


def resampled(factor: float) -> Network:
    """One with a coefficient below 0 that is no parameter."""
    less = AxisMap(1, np.array([[0, 1]]), np.array([[1.0, -1.0]]), np.array([1]))
    return chain((1, 2), Scale(np.array([[factor]])), Resample((less,)))


@pytest.mark.parametrize("factor", [-1.0, 2.0, 0.5])
def test_coefficients_below_0_count_by_their_size(factor: float) -> None:
    a, b = resampled(1.0), resampled(factor)
    right = path_pairs.enumerated_distance(a, b)
    assert right == 2 * abs(Fraction(factor) - 1)
    for solver in ("distance_three_passes" if factor < 0 else "distance_passes", None):
        solution = so.solve(so.PathDistance(a, b), solver=solver)
        assert so.verify(solution.certificate).ok
        assert solution.answer.value >= right


def test_many_digits_are_seen_before_they_are_multiplied() -> None:
    """Of weights and biases of 4000 digits, and of sums of branches without a denominator."""
    weights = [Fraction(1, 10**4000 + k) for k in range(30)]
    op = Scale(np.array(weights, dtype=object))
    for net in (
        chain((30,), op, *(Dense(np.ones((30, 30))) for _ in range(3))),
        chain((30,), *(Dense(np.ones((30, 30))) for _ in range(2)), Scale(None, op.factor)),
    ):
        with pytest.raises(TooLarge, match="more than 4000000000 bits"):
            path_pairs.enumerated_distance(net, net)


def test_settings_of_other_layers_have_no_distance() -> None:
    """Padding on the other side leaves all shapes as they are."""
    weight = np.ones((1, 1, 2))
    nets = [chain((1, 3), Conv(weight, padding=(pad,))) for pad in ((0, 1), (1, 0))]
    with pytest.raises(so.ProblemError, match="differ in their layers"):
        so.PathDistance(*nets)


@pytest.mark.parametrize("gap", [Fraction(1, 2**60), Fraction(1, 10**30)])
def test_rationals_nearer_than_floats_are_told_apart(gap: Fraction) -> None:
    weights = np.array([[Fraction(1, 3), Fraction(2, 7)]], dtype=object)
    a, b = (chain((2,), Dense(values)) for values in (weights, weights + gap))
    right = differences.exact_difference(a, b)
    assert right == 2 * gap
    require_within(differences.difference(a, b), [right])
