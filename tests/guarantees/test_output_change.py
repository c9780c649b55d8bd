"""Change of outputs: against exact arithmetic, public cases, limits, and refusals in words."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from typing import Any

import changed_networks
import numpy as np
import pytest
from forgeries_change import METHODS, deep, maps_round_twice, refusals

import sparseopt as so
from sparseopt.guarantees import substitution
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Relu, Select

SOLVERS = tuple(METHODS.values())
exactly = np.frompyfunc(Fraction, 1, 1)


def answers(problem: so.OutputChange) -> dict[str, Any]:
    return {solver: so.solve(problem, solver).answer for solver in SOLVERS}


def test_what_may_underflow_is_left_to_the_judge_before_large_weights() -> None:
    """The value that no path reaches counts as 2^-960 there, times 3e152."""
    net = chain(
        (1, 1),
        Select(np.array([[-1, 0]])),
        Conv(np.array([[[3e152]]])),
    )
    other = net.with_parameters({"1:Conv.weight": np.zeros((1, 1, 1))})
    upper = so.solve(so.OutputChange(net, other, -1, 1), "path_metric").answer.upper
    assert 0 < upper[0, 0] < 1e-100
    assert 3e152 <= upper[0, 1] < 3.0001e152


@pytest.mark.parametrize("seed", range(60))
def test_no_point_of_the_box_changes_more(seed: int) -> None:
    network, other, low, high = changed_networks.pair(seed)
    true = changed_networks.true_changes(network, other, low, high, seed, 24)
    sizes = np.abs(true).reshape(len(true), -1).sum(axis=1)
    for answer in answers(so.OutputChange(network, other, low, high)).values():
        assert (exactly(answer.lower) <= true).all()
        assert (true <= exactly(answer.upper)).all()
        assert max(sizes) <= Fraction(answer.l1)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_no_point_of_many_boxes_changes_more(block: int) -> None:
    for seed in range(1000 + 100 * block, 1100 + 100 * block):
        test_no_point_of_the_box_changes_more(seed)


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_what_is_found_is_not_above_what_is_proved(seed: int) -> None:
    network, other, low, high = changed_networks.pair(seed)
    found = so.largest_change(network, other, low, high, starts=6, steps=8)
    x = exactly(found.x[None])
    change = (network.run(x) - other.run(x))[0]
    assert Fraction(found.l1) <= np.abs(change).sum()
    assert (exactly(found.lower) <= change).all()
    assert (change <= exactly(found.upper)).all()
    for answer in answers(so.OutputChange(network, other, low, high)).values():
        assert found.l1 <= answer.l1


PUBLIC = [
    (
        [[[7, -6], [-6, 7], [0, 4]], [2, 6, 1]],
        [[[7, -6, 6], [-6, -6, -7], [6, 5, 1]], [-4, 1, 7]],
        [[[7, 3, -1], [-6, -5, -6]], [0, -6]],
    )
]


def network_of(*layers: Any) -> Network:
    found: list[Any] = []
    for weight, bias in layers:
        found += [Dense(np.array(weight, dtype=float), np.array(bias, dtype=float)), Relu()]
    return chain((len(layers[0][0][0]),), *found[:-1])


def test_public_case_of_pruning() -> None:
    """Three passes give 792 with the weights of the box, layer by layer 830; the truth is 919/3."""
    network = network_of(*PUBLIC[0])
    arrays = {}
    for name, array in network.parameters().items():
        if name.endswith("weight"):
            arrays[name] = np.where(np.abs(array) <= 2, 0.0, array)
        else:
            arrays[name] = array + np.sign(array)
    other = network.with_parameters(arrays)
    found = answers(so.OutputChange(network, other, [-2, -1], [2, 1]))
    assert 792 <= found["path_metric"].l1 <= 792 * (1 + 1e-9)
    assert Fraction(919, 3) <= Fraction(found["backward_substitution"].l1)
    assert found["backward_substitution"].l1 <= found["signed_intervals"].l1 <= 830


def test_public_case_with_changes_of_sign() -> None:
    a = network_of(
        ([[3, -2, 3], [3, -5, 4], [3, 5, 5], [5, -4, 7]], [-4, -7, -1, 4]), ([[-4, 5, 1, -7]], [2])
    )
    b = network_of(
        ([[4, -1, 1], [3, -4, 3], [1, 7, 7], [7, -5, 9]], [-4, -7, -1, 4]), ([[-5, 5, -1, -7]], [2])
    )
    found = answers(so.OutputChange(a, b, [-2, -1, -3], [2, 1, 3]))
    assert 207 <= found["path_metric"].l1 <= 207 * (1 + 1e-9)
    assert 121 <= found["backward_substitution"].l1 <= found["signed_intervals"].l1 <= 223


def test_the_default_is_the_intervals_and_a_tolerance_asks_for_more() -> None:
    problem = deep()
    first = so.solve(problem)
    assert first.solver == "signed_intervals"
    tight = so.solve(problem, "backward_substitution").answer.l1
    assert tight < 0.9 * first.answer.l1
    again = so.solve(problem, tolerance=1.001 * tight)
    assert (again.solver, again.status) == ("backward_substitution", so.Status.VERIFIED)
    assert so.solve(problem, tolerance=0.5 * tight).status is so.Status.WEAK


def test_equal_networks_change_nothing() -> None:
    network = deep().network
    for answer in answers(so.OutputChange(network, network, -1, 1)).values():
        assert answer.l1 == 0.0
        assert not answer.lower.any()
        assert not answer.upper.any()


def test_at_a_point_signed_bounds_are_exact() -> None:
    problem = deep()
    x = np.array([0.5, -0.25, 1.0])
    network, other = problem.network, problem.other
    change = network.run(x) - other.run(x)
    for solver in SOLVERS[1:]:
        answer = so.solve(so.OutputChange(network, other, x, x), solver).answer
        np.testing.assert_allclose(answer.lower, change, rtol=1e-10)
        np.testing.assert_allclose(answer.upper, change, rtol=1e-10)


def test_without_bends_substitution_is_exact() -> None:
    rng = np.random.default_rng(0)
    lift = np.full(3, 100.0)  # every hidden value is positive
    one, two = (
        chain(
            (3,),
            Dense(rng.standard_normal((3, 3)), lift),
            Relu(),
            Dense(rng.standard_normal((3, 3)), -lift),
        )
        for _ in range(2)
    )
    answer = so.solve(so.OutputChange(one, two, -1, 1), "backward_substitution").answer
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    change = one.run(corners) - two.run(corners)
    np.testing.assert_allclose(answer.upper, change.max(axis=0), rtol=1e-9)
    np.testing.assert_allclose(answer.lower, change.min(axis=0), rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1.0, 1e30, 1e150])
def test_scales_of_numbers(scale: float) -> None:
    net = chain((2,), Dense(np.array([[1.0, -2.0], [3.0, 0.5]]) * scale), Relu(), Dense(np.eye(2)))
    other = net.with_parameters({"0:Dense.weight": np.array([[1.0, -1.0], [3.0, 0.0]]) * scale})
    for solver in SOLVERS:
        answer = so.solve(so.OutputChange(net, other, 0, 1), solver).answer
        assert 1.5 * scale <= answer.l1 <= 3.5 * scale


def test_beyond_float64_is_said() -> None:
    net = chain((1,), *(Dense(np.array([[1e200]])) for _ in range(2)))
    other = net.with_parameters({"0:Dense.weight": np.array([[2e200]])})
    for solver in SOLVERS:
        with pytest.raises(so.SolveError, match="leaves the range of float64"):
            so.solve(so.OutputChange(net, other, 0, 1), solver)


def test_exact_and_float32_parameters() -> None:
    third = np.array([[Fraction(1, 3)]])
    net = chain((1,), Dense(third), Relu(), Dense(np.array([[Fraction(3)]])))
    single = net.with_parameters({n: a.astype(np.float32) for n, a in net.parameters().items()})
    off = 3 * abs(Fraction(float(np.float32(1 / 3))) - Fraction(1, 3))
    for solver in SOLVERS:
        answer = so.solve(so.OutputChange(net, single, 0, 1), solver).answer
        assert off <= Fraction(answer.l1) <= off * (1 + Fraction(1, 10**6))


def test_arrays_may_be_odd() -> None:
    problem = deep()
    low = np.asfortranarray(np.full((3, 2), -1.0))[:, 0]
    again = so.OutputChange(problem.network, problem.other, low, np.ones(3, dtype=np.float32))
    assert so.solve(again).answer.l1 == so.solve(problem).answer.l1
    assert not again.lower.flags.writeable


def test_names_of_nodes_may_differ() -> None:
    net = deep().network
    other = Network(
        tuple(Node("n" + n.name, n.op, tuple("n" + name for name in n.inputs)) for n in net.nodes),
        "n" + net.output,
    )
    assert so.solve(so.OutputChange(net, other, 0, 1)).answer.l1 == 0.0


@pytest.mark.parametrize("words", refusals())
def test_bad_input_is_refused_in_words(words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        refusals()[words]()


def test_time_limit_of_substitution() -> None:
    with pytest.raises(so.SolveError, match="time limit"):
        so.solve(deep(), "backward_substitution", time_limit=1e-9)


def test_maps_round_their_coefficients_and_their_products() -> None:
    assert maps_round_twice()


@pytest.mark.parametrize("entries", [1, 7])
def test_rows_a_few_at_a_time_prove_the_same(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = so.solve(deep(), METHODS["substitution"])
    monkeypatch.setattr(substitution, "_ENTRIES", entries)
    assert so.verify(whole.certificate).ok
    closer = dataclasses.replace(
        whole.certificate,
        answer=so.OutputChangeValue.of(whole.answer.lower / 2, whole.answer.upper / 2),
    )
    assert not so.verify(closer).ok
