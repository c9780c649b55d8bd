"""Distances of two settings of one network."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from bounded_networks import PUBLIC, convolutional, normal
from path_oracle import graph_of

import sparseopt as so
from sparseopt.judging.check import check_certificate
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("pair", PUBLIC["pairs"], ids=[p["name"] for p in PUBLIC["pairs"]])
def test_published_distances(pair: dict[str, Any]) -> None:
    a, b = (so.load_network(graph_of(pair[key])) for key in "ab")
    problem = so.PathDistance(a, b)
    answer = so.solve(problem, solver="distance_enumeration").answer
    assert str(answer.exact) == pair["path_metric"]
    assert answer.same_signs == pair["same_sign"]
    x = {key: Fraction(value) for key, value in pair["x"].items()}
    gap = sum(abs(u - v) for u, v in zip(a.run(x), b.run(x), strict=True))
    assert str(gap) == pair["gap_l1"]
    if not pair["same_sign"]:
        assert gap > answer.value  # the distance alone says nothing about the outputs
        largest = float(max(map(abs, x.values())))
        with pytest.raises(so.SolveError, match="changes its sign"):
            so.solve(problem, solver="distance_passes")
        passes = so.solve(problem, solver="distance_three_passes").answer
        assert gap <= passes.output_bound(largest) <= answer.output_bound(largest)
        older = dataclasses.replace(answer, outputs=None)
        with pytest.raises(so.ProblemError, match="changes its sign"):
            older.output_bound(1.0)
        return
    bound = answer.output_bound(float(max(map(abs, x.values()))))
    assert bound == pytest.approx(float(Fraction(pair["rhs"])))
    assert gap <= bound
    two = so.solve(problem, solver="distance_passes").answer
    assert str(two.exact) == pair["two_pass_upper"]
    assert two.kind == ("exact" if pair["name"] == "dominated" else "upper bound")


def test_distances_of_layers() -> None:
    network = convolutional()
    weight = network.parameters()["conv.weight"]
    pruned = network.with_parameters({"conv.weight": np.where(np.abs(weight) < 0.7, 0.0, weight)})
    fast = so.solve(so.PathDistance(network, pruned), solver="distance_passes").answer
    slow = so.solve(so.PathDistance(network, pruned), solver="distance_enumeration").answer
    assert fast.kind == "exact"
    assert fast.value == pytest.approx(slow.value, rel=1e-12)
    x = normal(100, 2, 5, 5)
    gap = np.abs(network.run(x) - pruned.run(x)).sum(axis=1)
    bounds = [slow.output_bound(float(np.abs(sample).max())) for sample in x]
    assert (gap <= bounds).all()
    scaled = network.with_parameters({"conv.weight": weight * RNG.uniform(0.5, 2, weight.shape)})
    upper = so.solve(so.PathDistance(network, scaled), solver="distance_passes").answer
    exact = so.solve(so.PathDistance(network, scaled), solver="distance_enumeration").answer
    assert upper.kind == "upper bound"
    assert upper.value >= exact.value


def test_distances_of_large_networks() -> None:
    network = chain((200,), *(Dense(normal(200, 200)) for _ in range(4)))
    name, weight = next(iter(network.parameters().items()))
    smaller = network.with_parameters({name: weight * (np.abs(weight) > 1)})
    answer = so.solve(so.PathDistance(network, smaller)).answer
    norms = [so.solve(so.PathNorm(n)).answer.value for n in (network, smaller)]
    assert answer.value == pytest.approx(norms[0] - norms[1], rel=1e-9)
    flipped = network.with_parameters({name: -weight})
    turned = so.solve(so.PathDistance(network, flipped)).answer
    assert (turned.kind, turned.same_signs) == ("upper bound", False)
    assert turned.value == pytest.approx(2 * norms[0], rel=1e-9)
    x = normal(20, 200)
    gap = np.abs(network.run(x) - flipped.run(x)).sum(axis=1)
    assert (gap <= [turned.output_bound(float(np.abs(sample).max())) for sample in x]).all()


def test_forged_distances_are_refused() -> None:
    network = convolutional()
    other = network.with_parameters({"dense.weight": 2 * network.parameters()["dense.weight"]})
    for solver in ("distance_passes", "distance_enumeration"):
        solution = so.solve(so.PathDistance(network, other), solver=solver)
        again = so.from_json(so.to_json(solution.certificate))
        assert check_certificate(again).ok
        for change in (
            {"value": solution.answer.value * 0.9},
            {"same_signs": False},
            {"kind": "upper bound"},
            {"exact": Fraction(1)},
        ):
            answer = dataclasses.replace(solution.answer, **change)
            assert not check_certificate(dataclasses.replace(again, answer=answer)).ok
    flipped = network.with_parameters({"dense.weight": -network.parameters()["dense.weight"]})
    problem = so.PathDistance(network, flipped)
    wrong = so.PathDistanceValue(0.0, "upper bound", False)
    assert not check_certificate(so.PathDistanceCertificate(problem, wrong, "two_pass")).ok


def test_output_bounds_are_rounded_up() -> None:
    exactly = so.PathDistanceValue(1 / 3, "exact", True, Fraction(1, 3))
    assert Fraction(exactly.output_bound(0.5)) >= Fraction(1, 3)
    assert exactly.output_bound(3.0) == 1.0
    about = so.PathDistanceValue(1.0, "exact", True)
    assert 1 + 1e-9 <= about.output_bound(1.0) <= 1 + 3e-9
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(so.ProblemError, match="input_bound"):
            exactly.output_bound(bad)


@pytest.mark.parametrize("seed", range(6))
def test_output_bounds_by_three_passes(seed: int) -> None:
    """Never weaker than two passes, and true for all signs."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    for _ in range(3):
        layers += [Dense(rng.normal(size=(3, 3))), Relu()]
    a = chain((3,), *layers)
    spread = {n: w * rng.uniform(0.5, 2, w.shape) for n, w in a.parameters().items()}
    two = so.solve(so.PathDistance(a, a.with_parameters(spread)), "distance_passes").answer
    assert two.kind == "upper bound"
    assert two.output_bound(1.0) <= two.value
    turned = {n: w * rng.choice([1.0, -1.0], w.shape) for n, w in spread.items()}
    b = a.with_parameters(turned)
    three = so.solve(so.PathDistance(a, b), "distance_three_passes").answer
    listed = so.solve(so.PathDistance(a, b), "distance_enumeration").answer
    assert listed.exact <= three.value
    assert listed.outputs == pytest.approx(three.value, rel=1e-9)
    x = rng.uniform(-2, 2, (200, 3))
    gap = np.abs(a.run(x) - b.run(x)).sum(axis=1).max()
    assert gap <= min(answer.output_bound(2.0) for answer in (three, listed))


def test_distances_need_two_settings_of_one_network() -> None:
    network = convolutional()
    with pytest.raises(so.ProblemError, match="differ in their layers"):
        so.PathDistance(network, network.merged)
    with pytest.raises(so.ProblemError, match="must be a Network"):
        so.PathDistance(network, 3)
    without = chain((2,), Dense(np.ones((2, 2))))
    with pytest.raises(so.ProblemError, match=r"0:Dense\.bias"):
        so.PathDistance(without, chain((2,), Dense(np.ones((2, 2)), np.ones(2))))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("width", "scale"), [(3, 1e-300), (3, 1e-155), (200, 1e-300)])
def test_distances_below_the_normal_floats_are_bounded(width: int, scale: float, sign: int) -> None:
    """Found again in exact arithmetic, by the matrices; the bound is the next float above."""
    rng = np.random.default_rng(0)
    first = rng.integers(1, 9, (width, 2)) * scale
    last = rng.integers(1, 9, (1, width)) * scale
    network = chain((2,), Dense(first), Relu(), Dense(last))
    other = network.with_parameters({"0:Dense.weight": sign * first / 2})
    problem = so.PathDistance(network, other)
    solution = so.solve(problem)
    assert so.verify(solution).ok
    paths = sum(
        Fraction(float(w)) * sum(map(Fraction, row.tolist()))
        for w, row in zip(last[0], first, strict=True)
    )
    true = paths / 2 if sign == 1 else paths * Fraction(3, 2)
    assert 0 < true < Fraction(2) ** -1020
    least = math.nextafter(0.0, 1.0)
    for bound in (solution.answer.value, solution.answer.output_bound(1.0)):
        assert true <= Fraction(bound) <= true * (1 + Fraction(1, 10**6)) + 2 * Fraction(least)
    below = dataclasses.replace(solution.answer, value=0.0)
    assert not check_certificate(dataclasses.replace(solution.certificate, answer=below)).ok
    above = dataclasses.replace(solution.answer, value=solution.answer.value * 2 + 2 * least)
    assert not check_certificate(dataclasses.replace(solution.certificate, answer=above)).ok
