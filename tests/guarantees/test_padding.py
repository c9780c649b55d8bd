"""Entries that are 0 whatever the input and the parameters: what rescalings do around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from identifiability_claims import pruned, structural

import sparseopt as so
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Relu, Reshape, Select
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, RankPool, Resample
from sparseopt.tools.rescaling.groups import RescalingGroups

PAIRS = MaxPool((AxisWindow(0, np.array([[0, 1], [2, 3]])),))


def padded(*places: int) -> Select:
    return Select(np.array(places))


def beside_the_input(w: float) -> Network:
    """max(relu(w x), 0), which is not read, and max(relu(x), 0)."""
    nodes = (
        Node("x", Input((1,))),
        Node("h", Dense(np.array([[w]])), ("x",)),
        Node("a", Relu(), ("h",)),
        Node("r", Relu(), ("x",)),
        Node("c", Concat(0), ("a", "r")),
        Node("s", padded(0, -1, 1, -1), ("c",)),
        Node("p", PAIRS, ("s",)),
        Node("y", Dense(np.array([[0.0, 1.0]])), ("p",)),
    )
    return Network(nodes, "y")


def test_pools_of_different_zeros_have_scales_of_their_own() -> None:
    network = beside_the_input(2.0)
    assert so.are_rescaling_equivalent(network, beside_the_input(4.0))
    solution = so.solve(so.Identifiability(network, [[1.0], [2.0]]))
    assert solution.answer.value == "identifiable"
    assert so.verify(solution).ok


def test_the_orbit_of_pools_with_padding_is_that_of_the_groups() -> None:
    first = Dense(np.array([[2.0, 1.0], [5.0, -3.0]]), np.array([1.0, -1.0]))
    last = Dense(np.array([[3.0, 1.0]]))
    network = chain((2,), first, Relu(), padded(0, -1, 1, -1), PAIRS, last)
    problem = so.Identifiability(network)
    assert problem.orbit == RescalingGroups(network).count == 2
    assert so.solve(problem).answer.value == "identifiable"


OVERLAPPING = {
    "pools": (padded(0, -1, 1), MaxPool((AxisWindow(0, np.array([[0, 1], [1, 2]])),))),
    "sides of an image": (
        padded(0, -1, 1),
        Reshape((3, 1)),
        MaxPool((AxisWindow(0, np.array([[0, 1], [1, 2]])), AxisWindow(1, np.array([[0, -1]])))),
        Reshape((2,)),
    ),
    "averages": (
        padded(0, -1, 1),
        Resample((AxisMap(0, np.array([[0, 1], [1, 2]]), np.ones((2, 2)), np.ones(2, dtype=int)),)),
    ),
}


@pytest.mark.parametrize("name", OVERLAPPING)
def test_windows_that_share_padding_have_scales_of_their_own(name: str) -> None:
    """Both networks are x -> (10 max(x, 0), 21 max(x, 0)), or without the maxima, by any factor."""

    def made(factor: float) -> Network:
        first = Dense(np.array([[2.0 * factor], [3.0]]))
        return chain((1,), first, *OVERLAPPING[name], Dense(np.diag([5.0 / factor, 7.0])))

    problem = so.Identifiability(made(1.0), [[1.0], [2.0]])
    assert problem.orbit == RescalingGroups(made(1.0)).count == 2
    assert so.are_rescaling_equivalent(made(1.0), made(2.0))
    solution = so.solve(problem)
    assert solution.answer.value == "identifiable"
    assert so.verify(solution).ok


def test_a_pruned_unit_ties_no_pools() -> None:
    first = Dense(np.array([[2.0], [0.0], [3.0]]))
    last = Dense(np.diag([5.0, 7.0]))
    problem = so.Identifiability(chain((1,), first, padded(0, 1, 2, 1), PAIRS, last), [[1.0]])
    assert problem.orbit == 2
    solution = so.solve(problem)
    assert solution.answer.value == "identifiable"
    assert so.verify(solution).ok


def test_sums_that_share_padding_have_scales_of_their_own() -> None:
    nodes: list[Any] = [Node("x", Input((1,))), Node("h", Dense(np.array([[2.0], [3.0]])), ("x",))]
    nodes += [Node("z", padded(-1, -1), ("h",)), Node("s", Add(), ("z", "h"))]
    nodes += [Node("y", Dense(np.array([[5.0, 7.0]])), ("s",))]
    network = Network(tuple(nodes), "y")
    assert so.Identifiability(network).orbit == RescalingGroups(network).count == 2


def test_a_bias_makes_a_neuron_of_padding() -> None:
    """A pool of a unit and of a constant: the unit cannot be scaled without the constant."""
    network = chain(
        (1,),
        Dense(np.array([[2.0], [3.0]])),
        padded(0, -1, 1, -1),
        Scale(None, np.array([0.0, 1.0, 0.0, 4.0])),
        PAIRS,
        Dense(np.array([[5.0, 7.0]])),
    )
    assert RescalingGroups(network).count == 2
    scaled = so.rescale(network, [2.0, 4.0])
    inputs = np.array([[-1.0], [0.25], [1.0], [3.0]])
    assert np.array_equal(scaled.run(inputs), network.run(inputs))


NOTHING = {
    "relu": (padded(0, -1), Relu()),
    "a pool": (padded(0, 0, -1, -1), PAIRS),
    "a further entry": (Select(np.array([[0, 0], [-1, -1]])), RankPool(1, 2)),
    "two pools": (padded(0, 0, -1, -1), PAIRS, Relu(), padded(0, 0, 1, 1), PAIRS),
    "averages": (
        padded(0, -1),
        Resample((AxisMap(0, np.array([[0], [1]]), np.ones((2, 1)), np.ones(2, dtype=int)),)),
    ),
    "factors": (padded(0, -1), Scale(np.array([2.0, 3.0])), Relu()),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_zeros_alone_make_has_no_scale(name: str) -> None:
    """The weight of what is 0 in any case is free, and rescalings do not move it."""

    def made(weight: float) -> Network:
        return chain((1,), *NOTHING[name], Dense(np.array([[1.0, weight]])))

    assert not so.are_rescaling_equivalent(made(5.0), made(7.0))
    problem = so.Identifiability(made(5.0), [[1.0], [2.0]])
    assert (problem.orbit, problem.bound) == (0, 2)
    assert so.solve(problem).answer.value != "identifiable"


def test_sums_of_zeros_have_no_scale() -> None:
    nodes: list[Any] = [Node("x", Input((1,))), Node("s", padded(-1, -1), ("x",))]
    nodes += [Node("t", Add(), ("s", "s")), Node("u", Add(), ("t", "s"))]
    nodes += [Node("c", Concat(0), ("x", "u")), Node("y", Dense(np.ones((1, 3))), ("c",))]
    problem = so.Identifiability(Network(tuple(nodes), "y"), [[1.0], [2.0]])
    assert (problem.orbit, problem.parameters.count) == (0, 3)
    assert so.solve(problem).answer.value != "identifiable"


def test_outputs_of_zeros_alone_are_zero() -> None:
    network = chain((1,), Dense(np.array([[3.0]])), padded(-1, 0), Relu())
    problem = so.Identifiability(network, [[1.0], [2.0]])
    assert problem.wires.outputs[0] == -1
    solution = so.solve(problem)
    assert solution.answer.value == "identifiable"
    assert so.verify(solution).ok


@pytest.mark.parametrize("case", list(pruned()), ids=lambda case: case[0])
def test_what_a_pruned_unit_feeds_ties_nothing(case: Any) -> None:
    _, problem, orbit, family = case
    assert problem.orbit == orbit
    solution = so.solve(problem)
    assert solution.answer.value == "identifiable"
    assert so.verify(solution).ok
    if family:
        assert "FAILED: a direction is no rescaling" in str(so.verify(structural(problem, family)))
