"""Sums over paths with proven rounding, as the judge computes them, against exact rationals."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from path_judging import rationals, require_within
from path_networks import dense, image, large, wide
from path_oracle import powers, random_graph

import sparseopt as so
from sparseopt.judging.rounding import UNIT, gamma
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Concat, Input
from sparseopt.pathnorm import differences, exact, floats, plain, wides
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.effort import TooLarge
from sparseopt.pathnorm.floats import Floats, FloatWeights
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.rounded import OutOfRange
from sparseopt.pathnorm.wides import Wides

RNG = np.random.default_rng(4)
systems = pytest.mark.parametrize("system", [Floats, Wides])


@pytest.mark.parametrize("seed", range(15))
def test_exact_sums_are_those_of_the_enumerated_paths(seed: int) -> None:
    graph = random_graph(seed, hidden=8)
    network = so.load_network(graph)
    for q in (0, 1, 2, 3, math.inf):
        assert exact.power_sums(network, q, biases(network)) == powers(graph, q)


@systems
@pytest.mark.parametrize("q", [0, 1, 2, 5, 64, math.inf])
def test_the_stated_rounding_holds(system: Any, q: float) -> None:
    for seed in range(4):
        for network in (dense(5, 9, 7, 6, 3, seed=seed), image(), as_float32(image())):
            offsets = biases(network, "merged")
            a = system(q)
            found = a.powers(plain.forward(network, a, offsets))
            require_within(found, exact.power_sums(network, q, offsets))


def as_float32(network: Network) -> Network:
    arrays = {n: a.astype(np.float32) for n, a in network.parameters().items()}
    return network.with_parameters(arrays)


@systems
def test_roundings_of_long_sums_are_counted(system: Any) -> None:
    """Adding up thirds a thousand times in float64 errs by more than one rounding."""
    network = chain((3000,), Dense(np.full((1, 3000), 1 / 3)), Dense(np.full((2, 1), 0.1)))
    a = system(1)
    found = a.powers(plain.forward(network, a, {}))
    right = [3000 * Fraction(1 / 3) * Fraction(0.1)] * 2
    require_within(found, right)
    assert found.error >= 3000 * UNIT


@systems
@pytest.mark.parametrize("q", [0.25, 0.5, 1.5, 2.5])
def test_real_powers(system: Any, q: float) -> None:
    """Powers that are multiples of a quarter are those of the fourth roots."""
    roots = RNG.random((4, 3)) + 0.1
    network = chain((3,), Dense(2.0**-40 * roots**4))
    a = system(q)
    found = a.powers(plain.forward(network, a, {}))
    # 4 q is a whole number; roots**4 was rounded four times.
    right = [sum(Fraction(v) ** int(4 * q) for v in row) for row in roots.tolist()]
    right = [v / Fraction(2) ** int(40 * q) for v in right]
    for value, true in zip(rationals(found), right, strict=True):
        assert abs(value / true - 1) <= Fraction(found.error) + 8 * Fraction(q) * Fraction(UNIT)


def test_outputs_apart_are_judged_with_an_exponent_each() -> None:
    network = wide(1e200, 12)
    with pytest.raises(OutOfRange):
        plain.forward(network, Floats(1), {})
    found = plain.power_sums(network, 1, {})
    entry = Fraction(1e200) ** 12, Fraction(1 / 1e200) ** 12
    require_within(found, [entry[1], entry[0]])


def test_faint_summands_beside_large_ones() -> None:
    """A bias of 1 behind weights of 1e300 is lost without harm; where it stands alone it counts."""
    weight = np.diag([1e300, 1e300])
    deep = chain((2,), *(Dense(weight) for _ in range(4)), Dense(np.ones((1, 2)), np.ones(1)))
    offsets = biases(deep)
    a = Floats(1)
    require_within(a.powers(plain.forward(deep, a, offsets)), exact.power_sums(deep, 1, offsets))
    alone = deep.with_parameters({"4:Dense.weight": np.zeros((1, 2))})
    lonely = chain(
        (2,),
        *(Dense(weight) for _ in range(4)),
        Dense(np.array([[1.0, 1.0], [0.0, 0.0]]), np.ones(2)),
    )
    with pytest.raises(OutOfRange):
        plain.forward(lonely, Floats(1), biases(lonely))
    for network in (alone, lonely):
        offsets = biases(network)
        found = plain.power_sums(network, 1, offsets)
        require_within(found, exact.power_sums(network, 1, offsets))


def test_values_under_different_exponents_side_by_side() -> None:
    nodes = [Node("x", Input((1,)))]
    for name, weight in (("a", 1e-200), ("b", 1e60)):
        nodes.append(Node(name, Dense(np.array([[weight]])), ("x",)))
        nodes.append(Node(f"{name}2", Dense(np.array([[weight]])), (name,)))
    nodes.append(Node("y", Concat(0), ("a2", "b2")))
    near = Network((*nodes[:2], nodes[3], Node("y", Concat(0), ("a", "b"))), "y")
    a = Floats(1)
    require_within(a.powers(plain.forward(near, a, {})), [Fraction(1e-200), Fraction(1e60)])
    with pytest.raises(OutOfRange):
        plain.forward(Network(tuple(nodes), "y"), Floats(1), {})


@pytest.mark.parametrize(
    "raw",
    [
        np.array([[1e-90, 1.0]]),
        np.array([[1e-310, 1e-305]]),
        np.array([[1e200, 1e210]]),
        np.array([[5e-324, 0.0]]),
        np.array([[1e-30, 3e38]], dtype=np.float32),
        np.array([[1e-45, 0.0]], dtype=np.float32),
        np.array([[Fraction(10) ** 400, Fraction(10) ** 390 / 3]], dtype=object),
    ],
)
@pytest.mark.parametrize("q", [1, 2, 3])
def test_powers_of_weights_anywhere(raw: np.ndarray, q: int) -> None:
    for weights in (FloatWeights(raw, q), FloatWeights(raw[None], q)):
        array = weights.all().ravel()
        assert weights.least <= floats._least(array) or not array.any()
        for value, true in zip(array.tolist(), raw.ravel().tolist(), strict=True):
            found = Fraction(value) * Fraction(2) ** weights.shift
            right = abs(Fraction(true)) ** q
            assert abs(found - right) <= Fraction(gamma(weights.roundings)) * right
    wide_weights = wides.WideWeights(raw, q)
    for number, true in zip(wide_weights.all().ravel().tolist(), raw.ravel().tolist(), strict=True):
        found = Fraction(number[0]) * Fraction(2) ** number[1] if number[0] else Fraction(0)
        right = abs(Fraction(true)) ** q
        assert abs(found - right) <= Fraction(gamma(wide_weights.roundings)) * right


@pytest.mark.parametrize(
    ("raw", "q"),
    [
        (np.array([[1e-200, 1e200]]), 1),
        (np.array([[1e-20, 1.0]]), 16),
        (np.array([[1e-200, 1e200]]), 0.5),
        (np.array([[Fraction(1, 10**200), Fraction(10) ** 200]], dtype=object), 1),
    ],
)
def test_weights_too_far_apart_for_one_exponent(raw: np.ndarray, q: float) -> None:
    with pytest.raises(OutOfRange):
        FloatWeights(raw, q)


def test_enormous_powers_prove_nothing() -> None:
    assert gamma(2**45) < 0.01
    assert gamma(2**46) == gamma(2**53) == gamma(2**60) == math.inf
    problem = so.PathNorm(chain((1,), Dense(np.ones((1, 1)))), 2**53 + 2)
    assert not so.verify(
        so.PathNormCertificate(problem, problem.answer_from(Powers.of(np.ones(1), 0, math.inf)))
    ).ok


def test_exact_work_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    network = dense(3, 3, 2)
    offsets = biases(network)
    with pytest.raises(TooLarge, match="take over 1e-06 s"):
        exact.power_sums(network, 1, offsets, work=1e3)
    with monkeypatch.context() as patch:
        patch.setattr(exact, "_BITS", 500)
        with pytest.raises(TooLarge, match="weights of too many digits"):
            exact.power_sums(network, 1, offsets)
    monkeypatch.setattr(exact, "EDGES", 10)
    monkeypatch.setattr(differences, "EDGES", 10)
    for call in (
        lambda: exact.power_sums(network, 1, offsets),
        lambda: differences.exact_difference(network, network),
    ):
        with pytest.raises(TooLarge, match="more than 10 edges"):
            call()


def test_claims_say_what_was_checked() -> None:
    def claim(problem: Any, **options: Any) -> str:
        return so.verify(so.solve(problem, **options)).claim

    ones = chain((2,), Dense(np.ones((1, 2))))
    name = "path-norm (as_is) of a network of 2 layers, 2 parameters, (2,) -> (1,)"
    within = "it and the norm over the paths of each output are within a relative 1e-09"
    assert claim(so.PathNorm(ones), solver="one_pass") == f"the L^(1,1) {name} is 2.0; {within}"
    details = so.verify(so.solve(so.PathNorm(ones))).details
    assert "note: computed again in exact arithmetic" in details
    details = so.verify(so.solve(so.PathNorm(large()))).details
    assert any("computed again with a relative error of at most" in line for line in details)
    assert claim(so.PathNorm(ones, 0)).endswith("; the exact powers per output are right")
    dead = chain((2,), Dense(np.zeros((1, 2))))
    assert f"{name} is 0.0; " in claim(so.PathNorm(dead), solver="one_pass")
    beyond = chain((1,), *(Dense(np.array([[1e200]])) for _ in range(2)))
    assert "is 10^400.0; " in claim(so.PathNorm(beyond), solver="one_pass")
    below = chain((1,), *(Dense(np.array([[1e-160]])) for _ in range(2)))
    assert "is 10^-320.0; " in claim(so.PathNorm(below), solver="one_pass")
    assert claim(so.LipschitzBound(ones)) == (
        "outputs change by at most 2 in the 1-norm per unit of change of the inputs in the inf-norm"
    )
    assert "by at most 0 in" in claim(so.LipschitzBound(dead))
    for network in (beyond, below):
        assert "by at most 10^" in claim(so.LipschitzBound(network))
    near_one = so.LipschitzBound(ones, 1.0000001, 1.0000001)
    assert "in the 1.0000001-norm" in claim(near_one)
    assert "L^(1.0000001,1) path-norm" in claim(so.PathNorm(ones, 1.0000001))
    half = ones.with_parameters({"0:Dense.weight": np.full((1, 2), 0.5)})
    words = "the L1 distance of the two path-liftings"
    assert claim(so.PathDistance(ones, half)) == (
        f"{words} is 1.0, within a relative 1e-09 (in `exact` without rounding); "
        "no parameter changes its sign"
    )
    third = chain((1,), Dense(np.full((1, 1), 1 / 3)), Dense(np.full((1, 1), 1 / 3)))
    changed = third.with_parameters(
        {"0:Dense.weight": np.ones((1, 1)), "1:Dense.weight": np.zeros((1, 1))}
    )
    upper = so.solve(so.PathDistance(third, changed), solver="distance_passes")
    assert f"{words} is at most 0.333333333333334 (in" in so.verify(upper).claim
    turned = ones.with_parameters({"0:Dense.weight": np.array([[1.0, -1.0]])})
    assert claim(so.PathDistance(ones, turned)).endswith("; some parameter changes its sign")
    assert claim(so.PathCost(ones)) == (
        "the path costs of 2 weights in 1 layers are those of the network of 2 layers, "
        "2 parameters, (2,) -> (1,), each to a relative 1e-09, or to 1e-290 where that is more"
    )


def test_accuracies() -> None:
    network = dense(3, 3, 2)
    norm = so.solve(so.PathNorm(network), solver="one_pass").certificate
    assert norm.accuracy == 1e-9
    assert so.solve(so.PathNorm(network), solver="path_enumeration").certificate.accuracy == 0.0
    assert so.solve(so.PathCost(network)).certificate.accuracy == 1e-9
    half = network.with_parameters({"0:Dense.weight": network.parameters()["0:Dense.weight"] / 2})
    exactly = so.solve(so.PathDistance(network, half)).certificate
    assert exactly.accuracy == 0.0
    about = dataclasses.replace(exactly, answer=dataclasses.replace(exactly.answer, exact=None))
    assert so.verify(about).ok
    assert about.accuracy == 1e-9
    weight = network.parameters()["0:Dense.weight"]
    mixed = network.with_parameters({"0:Dense.weight": weight * np.array([[0.5, 1, 2]])})
    upper = so.solve(so.PathDistance(network, mixed), solver="distance_passes")
    assert upper.certificate.accuracy == math.inf
    assert so.solve(so.LipschitzBound(network)).certificate.accuracy == math.inf
