"""What data determine of parameters: public cases, exact ranks over the rationals, bad input."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import identifiable_networks as networks
import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu, Reshape

# Parameters, regular inputs, orbit, bound, rank, gap: all entries free, and the nonzero ones.
FIGURES: dict[str, list[tuple[int, ...]]] = {
    "plain": [(54, 55, 9, 45, 45, 0), (49, 55, 9, 40, 40, 0)],
    "copies": [(29, 47, 5, 24, 20, 4), (25, 47, 5, 20, 17, 3)],
    "pooled": [(47, 37, 4, 43, 43, 0)],
    "skip": [(51, 78, 7, 44, 44, 0), (47, 78, 7, 40, 40, 0)],
    "tied": [(15, 58, 1, 14, 14, 0)],
    "always active": [(22, 59, 4, 18, 14, 4), (21, 59, 4, 17, 13, 4)],
}
EXCLUDED = {"plain": [3, 7, 32, 36, 54], "pooled": [13, 15, 39], "tied": [10, 16]}


def solve(*args: Any, **options: Any) -> so.Solution:
    solution = so.solve(so.Identifiability(*args), **options)
    assert solution.certificate is None or so.verify(solution.certificate).ok
    return solution


@pytest.mark.parametrize(
    ("name", "number"), [(name, i) for name, rows in FIGURES.items() for i in range(len(rows))]
)
def test_public_cases(name: str, number: int) -> None:
    network, inputs, free = networks.CASES[name]()
    answer = solve(network, inputs, None if number else free).answer
    regular = len(inputs) - len(answer.excluded)
    figures = answer.parameters, regular, answer.orbit, answer.bound, answer.rank, answer.gap
    assert figures == FIGURES[name][number]
    assert answer.value == ("identifiable" if not answer.gap else "not_identifiable")
    found = [index for index, _ in answer.excluded]
    assert found == EXCLUDED.get(name, found)


@pytest.mark.parametrize("name", ["plain", "convolved", "skip"])
def test_facets_agree_with_the_rank(name: str) -> None:
    network = networks.CASES[name]()[0]
    one, other = (solve(network, solver=s).answer for s in ("jacobian_rank", "facets_of_units"))
    assert one.value == other.value == "identifiable"
    assert one.rank == other.rank == one.bound


def test_a_network_with_opposite_units_is_identifiable_locally() -> None:
    """Only copies with a positive factor leave a direction open."""
    draws = networks.Draws(7)
    (weight, bias), last = draws.layers(3, 4, 2)
    weight[1], bias[1] = -2 * weight[0], -2 * bias[0]
    assert solve(networks.mlp([(weight, bias), last]), draws.inputs(60, 3)).answer.gap == 0


@pytest.mark.parametrize("scale", [2.0**500, 2.0**-500, 2.0**-1000])
def test_scales(scale: float) -> None:
    network, inputs, free = networks.plain()
    held = network.parameters()
    changes = {name: held[name] * scale for name in ("0:Dense.weight", "0:Dense.bias")}
    scaled = network.with_parameters({**changes, "2:Dense.weight": held["2:Dense.weight"] / scale})
    answer = solve(scaled, inputs, free).answer
    assert (answer.value, answer.rank, len(answer.excluded)) == ("identifiable", 45, 5)


def test_dtypes_and_exact_weights() -> None:
    network, inputs, free = networks.plain()
    turned = np.frompyfunc(lambda value: Fraction(value) / 3, 1, 1)
    for change in (lambda a: a.astype(np.float32), lambda a: np.asarray(turned(a), object)):
        arrays = {name: change(array) for name, array in network.parameters().items()}
        # A third of every weight and bias: scale of the layers, and biases that are not scaled so.
        assert solve(network.with_parameters(arrays), inputs, free).answer.rank >= 40
    assert solve(network, inputs.astype(np.float32)[::-1], free).answer.rank == 45
    assert solve(network, np.asfortranarray(inputs), free).answer.rank == 45


def test_one_number_alone() -> None:
    network = chain((1,), Dense(np.ones((1, 1))))
    assert solve(network, [[1.0]]).answer.value == "identifiable"
    assert solve(network, [[0.0]]).answer.value == "unknown"


def test_units_that_hold_constants() -> None:
    """What is constant, or not heard, is named, whatever the inputs."""
    first = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0]])
    last = np.array([[2.0, 3.0, 0.0]])
    layers = [(first, np.array([1.0, 4.0, 2.0])), (last, np.array([1.0]))]
    found = solve(networks.mlp(layers)).answer
    assert found.value == "not_identifiable"
    assert any("unit 1 of '0:Dense', constant" in words for words in found.directions)
    assert any("unit 2 of '0:Dense', which no output hears" in w for w in found.directions)
    # Nothing but a nonzero bias, in and out, is covered by the rescaling of the unit.
    layers[1] = (np.array([[2.0, 0.0, 5.0]]), np.array([1.0]))
    assert solve(networks.mlp(layers)).answer.value == "identifiable"


def test_linear_layers_in_a_row() -> None:
    rng = np.random.default_rng(0)
    weights = [rng.integers(1, 9, shape) * 1.0 for shape in ((4, 3), (2, 4))]
    network = chain((3,), Dense(weights[0]), Dense(weights[1], np.ones(2)))
    answer = solve(network, rng.standard_normal((20, 3))).answer
    assert (answer.parameters, answer.orbit, answer.rank, answer.gap) == (22, 4, 8, 10)
    assert "merge" in answer.directions[0]


def test_a_bias_of_zero_alone_makes_every_input_irregular() -> None:
    layers = [(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([1.0, 0.0]))]
    layers.append((np.array([[2.0, 3.0]]), np.array([1.0])))
    answer = solve(networks.mlp(layers), np.ones((4, 2))).answer
    assert answer.value == "not_identifiable"
    assert [unit for _, unit in answer.excluded] == ["unit 1 of '1:Relu'"] * 4
    assert any("0 with nothing else coming in" in words for words in answer.directions)


def test_no_regular_input_is_said() -> None:
    first = np.array([[1.0], [-1.0]]), np.array([0.0, 1.0])
    network = networks.mlp([first, (np.array([[2.0, 3.0]]), np.zeros(1))])
    solution = solve(network, [[0.0], [1.0]])
    assert solution.answer.value == "unknown"
    assert [index for index, _ in solution.answer.excluded] == [0, 1]
    assert "no input is regular" in str(solution.plan)
    # Inputs of 0 where biases are 0 leave the outgoing weights open.
    layers = [(np.ones((2, 2)) + np.eye(2), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))]
    assert solve(networks.mlp(layers), np.zeros((3, 2))).answer.value == "not_identifiable"


def test_bad_input() -> None:
    network, inputs, _ = networks.plain()
    wrong = inputs.copy()
    wrong[2, 1] = np.nan
    for args, words in (
        ((3,), "network is a int"),
        ((network, wrong), r"inputs has a nan at entry \(2, 1\)"),
        ((network, inputs[:, :2]), r"inputs have shape \(60, 2\); this network takes \(n, 3\)"),
        ((network, inputs[:0]), "n at least 1"),
        ((network, inputs.astype(np.float16)), "dtype float16; convert"),
        ((network, [[1.0], [1.0, 2.0]]), "ragged"),
        ((network, inputs, {"none": 1}), "free names 'none'"),
        ((network, inputs, {"0:Dense.bias": [1, 0]}), r"shape \(2,\), must be \(5,\)"),
        ((network, inputs, {"0:Dense.bias": [2] * 5}), "must hold 0 and 1"),
        ((network, inputs, 3), "free is a int"),
        ((chain((2,), Relu()),), "has no weight|no free parameter"),
    ):
        with pytest.raises(so.ProblemError, match=words):
            so.Identifiability(*args)  # type: ignore[arg-type]


def test_shared_tensors_hold_the_same() -> None:
    network = networks.tied()[0]
    other = network.with_parameters({"c.weight": np.ones((3, 3))})
    with pytest.raises(so.ProblemError, match="hold different values"):
        so.Identifiability(other)
    mask = {"c.weight": np.eye(3)}
    with pytest.raises(so.ProblemError, match="free in one layer only"):
        so.Identifiability(network, None, mask)


def test_report() -> None:
    kernel = np.arange(1.0, 10.0).reshape(1, 1, 3, 3) - 4.5
    last = np.array([[1.0, 2.0, 3.0, 4.0]])
    network = chain((1, 4, 4), Conv(kernel, np.ones(1)), Relu(), Reshape((4,)), Dense(last))
    report = so.analyze(network, only=["identified_parameters"])
    (finding,) = report.findings
    assert finding.rule == "identifiable"
    assert so.verify(finding).ok
    dead = networks.copies()[0]
    (finding,) = so.analyze(dead, only=["identified_parameters"]).findings
    assert finding.rule == "not-identifiable"
    assert "1 of 5 units" in finding.message
    assert so.verify(finding).ok


def test_dead_units_are_removed() -> None:
    """Units with nothing but a bias below 0 hold 0: they go if asked, and the rest is proved."""
    network, _, _ = networks.copies()
    assert so.remove_dead(network) is network
    smaller = so.remove_dead(network, constants=True)
    x = np.random.default_rng(0).standard_normal((50, 3))
    np.testing.assert_allclose(smaller.run(x), network.run(x), atol=1e-12)
    assert smaller.parameters()["0:Dense.weight"].shape == (4, 3)
    found = {f.rule: f for f in so.analyze(network, only=["neural_balance"]).findings}
    assert found["dead-units"].value.tolist() == [4]
