"""Claims that look proved and are false: each is refused, and no solver makes it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.guarantees.facets import FacetCertificate, FacetEvidence
from sparseopt.guarantees.families import Family, Structure, described
from sparseopt.guarantees.rank import RankEvidence
from sparseopt.guarantees.second_network import SecondNetworkCertificate, moved_words
from sparseopt.guarantees.structural import StructuralCertificate
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Concat, Input, Relu, Reshape, Select
from sparseopt.networks.window import AxisMap, RankPool, Resample

PRIME = 4194301
NOTHING = np.zeros((0, 2), dtype=int), np.zeros(0, dtype=int)
POINTS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 3.0], [-1.0, 4.0]])


def exactly(array: Any) -> np.ndarray:
    return np.asarray(np.frompyfunc(Fraction, 1, 1)(np.asarray(array, dtype=object)), dtype=object)


def structural(problem: so.Identifiability, *families: Family) -> so.Check:
    """Judge the claim, from given inputs, that families of directions are open."""
    words = described(Structure(problem.wires, problem.pattern), families)
    answer = problem.verdict("not_identifiable", 0, words)
    evidence = RankEvidence(None, PRIME, *NOTHING)
    return so.verify(StructuralCertificate(problem, answer, evidence, families, False))


def frozen(network: Network, **free: Any) -> dict[str, Any]:
    """Return masks with the given ones, by name, and nothing else free."""
    none = {name: np.zeros(a.shape, dtype=bool) for name, a in network.parameters().items()}
    return {**none, **{name.replace("__", "."): mask for name, mask in free.items()}}


def test_units_that_mix_are_linear_ones() -> None:
    draw = np.random.default_rng(0)
    layers = Dense(draw.integers(1, 8, (3, 2)) * 1.0, np.array([1.0, -2.0, 3.0])), Relu()
    last = Dense(np.array([[1.0, 2.0, -3.0], [2.0, -5.0, 1.0]]), np.array([1.0, 2.0]))
    problem = so.Identifiability(chain((2,), *layers, last), draw.integers(-9, 9, (60, 2)) * 1.0)
    assert so.solve(problem).answer.value == "identifiable"
    (relu,) = (layer for layer in problem.wires.layers if layer.kind == "relu")
    check = structural(problem, Family("mix", (relu.start, relu.start + 1)))
    assert "two units pass on linearly" in check.details[-1]
    alone = so.Identifiability(chain((2,), Dense(POINTS[:3], np.arange(3.0))), POINTS)
    assert not structural(alone, Family("shift", (0,))).ok


def test_two_edges_from_one_unit_are_not_one() -> None:
    nodes = (
        Node("x", Input((2,))),
        Node("s", Select(np.array([0, 0, 1])), ("x",)),
        Node("uv", Dense(np.array([[0.0, 0, 2], [3.0, 0, 0]]), np.ones(2)), ("s",)),
        Node("y", Dense(np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([5.0, 7.0])), ("uv",)),
    )
    network = Network(nodes, "y")
    free = {"uv.weight": [[0, 0, 1], [0, 1, 0]], "uv.bias": [1, 0], "y.bias": [0, 0]}
    problem = so.Identifiability(network, POINTS, {**free, "y.weight": [[1, 1], [1, 1]]})
    assert so.solve(problem).answer.value != "not_identifiable"
    start = problem.wires.layers[0].start
    assert not structural(problem, Family("mix", (start, start + 1))).ok


def test_units_behind_a_kink_are_not_silent() -> None:
    """|y1| + |y2| = |b - 2|, so the input 1, on the kink, determines b."""
    first = Dense(np.array([[-2.0]]), np.array([2.0])), Dense(np.array([[1.0], [-1.0]]))
    network = chain((1,), *first, Relu(), Dense(np.eye(2)), Relu())
    (bias,) = (name for name in network.parameters() if name.endswith("bias"))
    free = {**frozen(network), bias: np.ones(1, dtype=bool)}
    problem = so.Identifiability(network, [[1.0]], free)
    assert so.solve(problem).answer.value == "unknown"
    assert not structural(problem, Family("unheard", (0,))).ok


def test_the_second_largest_entry_may_change_places_on_the_way() -> None:
    cells = Dense(np.array([[0.0, 0, 0], [1, 0, -1], [0, 1, -1], [1, 1, 0], [-1, 0, 1]]))
    nodes = (
        Node("x", Input((1,))),
        Node("pq", Dense(np.zeros((2, 1)), np.array([1.0, 2.0])), ("x",)),
        Node("pq1", Concat(0), ("pq", "x")),
        Node("lin", cells, ("pq1",)),
        Node("cells", Select(np.array([0, 1, 2])), ("lin",)),
        Node("pool", RankPool(0, 2), ("cells",)),
        Node("one", Reshape((1,)), ("pool",)),
        Node("sum", Select(np.array([3])), ("lin",)),
        Node("neg", Select(np.array([4])), ("lin",)),
        Node("r", Relu(), ("neg",)),
        Node("y", Concat(0), ("one", "sum", "r")),
    )
    network = Network(nodes, "y")
    free = frozen(network, pq__bias=np.ones(2, dtype=bool))
    problem = so.Identifiability(network, [[1.0]], free)
    columns = np.arange(2)
    answer = problem.verdict("not_identifiable", 0, (moved_words(problem, columns),))
    evidence = RankEvidence(None, PRIME, *NOTHING)
    values = Fraction(2), Fraction(1)
    made = SecondNetworkCertificate(problem, answer, evidence, columns, values)
    assert "pools take the largest entry" in so.verify(made).details[-1]


def test_a_pool_whose_values_overflow_takes_what_it_does() -> None:
    network = chain((1,), Dense(np.array([[1000.0], [1.0]]), np.array([0.0, 0.5])), RankPool(0, 1))
    network = Network((*network.nodes, Node("y", Reshape((1,)), (network.output,))), "y")
    problem = so.Identifiability(network, [[1.0], [2.0], [1e306], [1.5e306]])
    assert so.solve(problem).answer.value != "identifiable"
    (taken,) = (takes for takes in problem.pattern.takes if takes.size)
    assert len(np.unique(taken)) == 1


def test_a_weight_below_float64_counts() -> None:
    tiny, shift = Fraction(1, 10**330), -Fraction(1, 10**25)
    first = Dense(exactly([[tiny]]), exactly([shift]))
    network = chain((1,), first, Relu(), Dense(exactly([[1]]), exactly([0])))
    inputs = np.array([[1e308], [1.5e308], [1.2e308], [1e307]])
    right = [tiny * Fraction(x) + shift > 0 for x in inputs[:, 0].tolist()]
    (taken,) = (t for t in so.Identifiability(network, inputs).pattern.takes if t.size)
    assert taken[0].tolist() == right


def test_points_with_zeros_hide_units() -> None:
    """relu(x) - relu(-x) = x: another network has the same function, and is no rescaling."""
    nodes = (
        Node("x", Input((2,))),
        Node("w", Dense(np.array([[1.0, 0], [-1.0, 0], [0, 1.0]])), ("x",)),
        Node("r", Relu(), ("w",)),
        Node("c", Concat(0), ("r", "x")),
        Node("y", Dense(np.array([[2.0, 3, 5, 7, 11]])), ("c",)),
    )
    problem = so.Identifiability(Network(nodes, "y"))
    pairs = np.array([[[0.0, 0], [1, 0]], [[0, 0], [-1, 0]], [[0, -1], [0, 1]], [[0, 0], [0, 1]]])
    units, cells = tuple(np.array([i]) for i in range(3)), np.arange(4)
    evidence = FacetEvidence(pairs, units, cells, PRIME, 0)
    made = FacetCertificate(problem, problem.verdict("identifiable", problem.bound), evidence)
    assert "no entry of a point is 0" in so.verify(made).details[-1]


def test_averages_along_two_axes_are_exact() -> None:
    """Both units are max(0, x - 1), one by way of an average of three copies of x."""
    maps = (
        AxisMap(0, np.array([[0, 1, 2]]), np.ones((1, 3)), np.array([3])),
        AxisMap(1, np.array([[0]]), np.ones((1, 1)), np.array([1])),
    )
    nodes = (
        Node("x", Input((1,))),
        Node("copies", Select(np.zeros((3, 1), dtype=int)), ("x",)),
        Node("average", Resample(maps), ("copies",)),
        Node("flat", Reshape((1,)), ("average",)),
        Node("c", Concat(0), ("flat", "x")),
        Node("b", Scale(None, np.array([-1.0, -1.0])), ("c",)),
        Node("r", Relu(), ("b",)),
        Node("y", Dense(np.array([[2.0, 5.0]])), ("r",)),
    )
    free = {"y.weight": [[1, 1]], "b.bias": [0, 0]}
    inputs = np.array([[2.0], [3.0], [5.0], [9.0], [-4.0]])
    answer = so.solve(so.Identifiability(Network(nodes, "y"), inputs, free)).answer
    assert (answer.value != "identifiable", answer.rank) == (True, 1)


def test_many_edges_from_one_unit_are_summed_modulo_the_prime() -> None:
    """Two units are copies, by sums of 6000 weights in two ways."""
    rng, count = np.random.default_rng(0), 6000
    one, two = rng.integers(-(2**20), 2**20, (2, count))
    two[0] += one.sum() - two.sum()
    weight = np.stack([one, two]) * (1.0 if one.sum() > 0 else -1.0) / 2.0**20
    nodes = (
        Node("x", Input((1,))),
        Node("s", Select(np.zeros(count, dtype=int)), ("x",)),
        Node("w", Dense(weight), ("s",)),
        Node("r", Relu(), ("w",)),
        Node("y", Dense(np.array([[1.0, 2.0]])), ("r",)),
    )
    free = {"w.weight": np.zeros(weight.shape, dtype=bool)}
    inputs = np.abs(rng.standard_normal((8, 1)))
    answer = so.solve(so.Identifiability(Network(nodes, "y"), inputs, free)).answer
    assert (answer.value != "identifiable", answer.rank) == (True, 1)


@pytest.mark.parametrize(("sign", "bias", "active"), [(1.0, -1e-140, True), (-1.0, 1e-140, False)])
def test_signs_are_decided_by_errors_that_underflow(sign: float, bias: float, active: bool) -> None:
    """What two averages make of 1e300 + 1e270 - 1e300 is 1e-130, in floats 0 by two roundings."""
    maps = [
        AxisMap(axis, np.array([[0]]), np.array([[1e-200]]), np.array([1])) for axis in range(2)
    ]
    net = chain(
        (3,),
        Dense(np.array([[1.0, 1.0, -1.0]]) * sign),
        Reshape((1, 1)),
        Resample(tuple(maps)),
        Scale(None, np.array([[bias]])),
        Relu(),
        Dense(np.array([[1.0]])),
    )
    free = {name: np.zeros(a.shape, dtype=bool) for name, a in net.parameters().items()}
    free["5:Dense.weight"][:] = True
    problem = so.Identifiability(net, np.array([[1e300, 1e270, 1e300]]), free)
    answer = so.solve(problem).answer
    assert answer.value == ("identifiable" if active else "not_identifiable")


def test_units_of_layers_at_several_positions_are_named_as_their_entries_lie() -> None:
    """Feature 1 of 3 is thrown away at both positions: entries 1 and 4 of the output."""
    weight = np.array([[1.0, 2.0], [3.0, 1.0], [1.0, 1.0]])
    net = chain(
        (2, 2),
        Dense(weight, np.array([1.0, 2.0, 3.0])),
        Relu(),
        Select(np.array([0, 2, 3, 5])),
        Dense(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([1.0])),
    )
    solution = so.solve(so.Identifiability(net))
    assert so.verify(solution).ok
    assert solution.answer.directions == (
        "2 parameters into unit 1 of '0:Dense', which no output hears",
    )
