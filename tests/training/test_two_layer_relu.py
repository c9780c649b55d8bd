"""The question of two-layer training: validation, patterns, figures of an answer, JSON."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.training.two_layer_bounds import cost, gated_reach, lower_bound

RNG = np.random.default_rng(11)
INPUTS, TARGETS, GATES = (
    RNG.standard_normal((6, 3)),
    RNG.standard_normal(6),
    RNG.standard_normal((3, 4)),
)
TALL = np.ones((20_000, 1))
MANY = RNG.standard_normal((200, 10)), RNG.standard_normal(200)


def bad() -> list[tuple[str, Any]]:
    """Return what is refused, by a part of the message."""
    nan, holes = INPUTS.copy(), TARGETS.copy()
    nan[2, 1], holes[3] = np.nan, np.inf
    masked = np.ma.masked_array(INPUTS, INPUTS > 1)
    return [
        ("at least one sample", (np.zeros((0, 3)), [], 0.1)),
        ("at least one sample", (np.zeros((6, 0)), TARGETS, 0.1)),
        (r"inputs has a nan at entry \(2, 1\)", (nan, TARGETS, 0.1)),
        (r"targets has an inf at entry \(3,\)", (INPUTS, holes, 0.1)),
        ("gates has a nan", (INPUTS, TARGETS, 0.1, GATES * np.nan)),
        ("targets has shape", (INPUTS, TARGETS[:5], 0.1)),
        ("targets has shape", (INPUTS, np.zeros((6, 0)), 0.1, GATES)),
        ("targets must have 1 or 2 axes", (INPUTS, 1.0, 0.1)),
        ("inputs must have 2 axes", (TARGETS, TARGETS, 0.1)),
        ("inputs is complex", (INPUTS * 1j, TARGETS, 0.1)),
        ("inputs is ragged", ([[1.0], [1.0, 2.0]], [1.0, 2.0], 0.1)),
        ("inputs is a masked array", (masked, TARGETS, 0.1)),
        ("inputs has dtype", (INPUTS.astype(str), TARGETS, 0.1)),
        ("decay must be a positive number", (INPUTS, TARGETS, 0.0)),
        ("decay must be a positive number", (INPUTS, TARGETS, -1.0)),
        ("decay must be a positive number", (INPUTS, TARGETS, np.nan)),
        ("decay must be a number", (INPUTS, TARGETS, "0.1")),
        ("gates has shape", (INPUTS, TARGETS, 0.1, GATES.T)),
        ("gates has shape", (INPUTS, TARGETS, 0.1, GATES[:, :0])),
        ("copositive", (INPUTS, INPUTS, 0.1)),
        ("up to 2355463369918080 activation patterns", (*MANY, 0.1)),
        (
            "need 300000000 numbers",
            (np.ones((20_000, 1)), np.ones(20_000), 1, np.ones((1, 15_000))),
        ),
        ("largest entry of inputs", (INPUTS * 1e160, TARGETS, 0.1)),
        ("largest entry of targets", (INPUTS, TARGETS * 1e-160, 0.1)),
        ("no scaling holds", ([[1e150, 1e-300]], [1.0], 0.1)),
        ("no scaling holds", ([[1e150]], [1e150], 1e-300)),
    ]


@pytest.mark.parametrize(("message", "arguments"), bad())
def test_bad_input_is_refused_when_the_problem_is_built(message: str, arguments: Any) -> None:
    with pytest.raises(so.ProblemError, match=message):
        so.TwoLayerReLU(*arguments)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("hidden has 2 neurons", ([[1.0, 2.0]], [1.0])),
        ("gates has shape", ([[1.0]], [1.0], [[1.0, 2.0]])),
        ("hidden has a nan", ([[np.nan]], [1.0])),
        ("hidden must have 2 axes", ([1.0], [1.0])),
    ],
)
def test_bad_networks_are_refused(message: str, arguments: Any) -> None:
    with pytest.raises(so.ProblemError, match=message):
        so.TwoLayerNetwork(*arguments)


def test_more_neurons_than_memory_are_refused() -> None:
    problem = so.TwoLayerReLU(np.ones((20_000, 1)), np.ones(20_000), 0.1, np.ones((1, 1)))
    with pytest.raises(so.ProblemError, match="15000 neurons need 300000000 numbers"):
        problem.evaluate(so.TwoLayerNetwork(np.ones((1, 15_000)), np.ones(15_000)))


def test_predict_says_which_inputs_it_takes() -> None:
    with pytest.raises(so.ProblemError, match="inputs has 2 features, the network takes 1"):
        so.TwoLayerNetwork([[1.0]], [1.0]).predict([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("n", "d", "count"), [(10, 2, 20), (20, 2, 40), (12, 3, 134), (20, 3, 382), (7, 1, 2)]
)
def test_patterns_in_general_position_are_counted(n: int, d: int, count: int) -> None:
    problem = so.TwoLayerReLU(np.random.default_rng(0).standard_normal((n, d)), np.ones(n), 0.1)
    assert problem.pattern_bound == count


def test_parallel_zero_and_dependent_inputs_count_less() -> None:
    rows = np.array([[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0], [0.0, 0.0], [1.0, 0.0]])
    assert so.TwoLayerReLU(rows, np.ones(5), 0.1).pattern_bound == 4
    lifted = rows @ np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    assert so.TwoLayerReLU(lifted, np.ones(5), 0.1).pattern_bound == 4
    assert so.TwoLayerReLU(np.zeros((2, 3)), np.ones(2), 0.1).pattern_bound == 1


def test_gate_patterns_are_exact_signs() -> None:
    """In floating point the first product is 2^-54, or zero, depending on the order of sums."""
    inputs = np.array([[1.0, 1.0, -1.0], [1e-200, 1e-200, 0.0], [0.0, 0.0, 0.0], [3.0, -3.0, 0.0]])
    gates = np.array([[1.0, 0.0, 1e300], [2.0**-60, 0.0, 5e-324], [1.0, 1.0, 1e300]])
    gates = np.c_[gates, [0.0, 5e-324, 0.0], [1e300, -1e300, 5e-324]]
    found = so.TwoLayerReLU(inputs, np.ones(4), 0.1, gates).patterns
    exact = [
        [
            sum(Fraction(a) * Fraction(b) for a, b in zip(row, gate, strict=True)) > 0
            for gate in gates.T.tolist()
        ]
        for row in inputs.tolist()
    ]
    assert found.tolist() == exact
    assert found[0, 0]
    assert found[1, 0]


def exact_objective(problem: so.TwoLayerReLU, network: so.TwoLayerNetwork) -> Fraction:
    """Return the objective in exact arithmetic."""

    def rows(array: np.ndarray) -> list[list[Fraction]]:
        return [[Fraction(float(v)) for v in row] for row in np.atleast_2d(array)]

    outer = rows(network.outer.reshape(len(network.outer), -1))
    total = Fraction(0)
    gates = None if network.gates is None else rows(network.gates.T)
    for x, y in zip(
        rows(problem.inputs), rows(problem.targets.reshape(len(problem.inputs), -1)), strict=True
    ):
        values = []
        for j, w in enumerate(rows(network.hidden.T)):
            value = sum((a * b for a, b in zip(x, w, strict=True)), Fraction(0))
            gate = value if gates is None else sum(a * b for a, b in zip(x, gates[j], strict=True))
            values.append(value if gate > 0 else Fraction(0))
        for k, target in enumerate(y):
            out = sum((v * a[k] for v, a in zip(values, outer, strict=True)), Fraction(0))
            total += (out - target) ** 2 / 2
    weights = [*network.hidden.ravel().tolist(), *network.outer.ravel().tolist()]
    return total + Fraction(problem.decay) / 2 * sum(Fraction(w) ** 2 for w in weights)


@pytest.mark.parametrize("scale", [1.0, 1e140])
@pytest.mark.parametrize("kind", ["relu", "gated", "vector"])
def test_figures_enclose_the_exact_objective(kind: str, scale: float) -> None:
    targets = np.c_[TARGETS, -TARGETS] if kind == "vector" else TARGETS
    gates = None if kind == "relu" else GATES
    problem = so.TwoLayerReLU(INPUTS * scale, targets * scale, 0.1 * scale**2, gates)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        hidden = rng.standard_normal((3, 4))
        outer = rng.standard_normal((4, 2) if kind == "vector" else 4)
        network = so.TwoLayerNetwork(hidden, outer, gates)
        figure = cost(problem, network)
        exponent = 2 * problem.units().b
        exact = exact_objective(problem, network) / Fraction(2) ** exponent
        assert Fraction(figure.low()) <= exact <= Fraction(figure.high())
        assert figure.high() - figure.low() <= 1e-12 * figure.high()
        evaluated = problem.evaluate(network)
        assert evaluated["objective"] == pytest.approx(
            float(exact_objective(problem, network) / Fraction(scale) ** 2) * scale**2, rel=1e-12
        )


def test_the_lower_bound_is_below_the_exact_one() -> None:
    problem = so.TwoLayerReLU(INPUTS, TARGETS, 0.1)
    targets = problem.units().targets[:, 0]
    for seed in range(50):
        t = targets * (1 + 0.1 * np.random.default_rng(seed).standard_normal(6))
        pairs = [
            (Fraction(a), Fraction(b)) for a, b in zip(targets.tolist(), t.tolist(), strict=True)
        ]
        exact = sum(a * b - b * b / 2 for a, b in pairs)
        found = lower_bound(problem, t)
        assert Fraction(found.low()) <= exact
        assert found.low() >= float(exact) * (1 - 1e-14)


def test_the_reach_of_gates_is_above_the_singular_values() -> None:
    problem = so.TwoLayerReLU(INPUTS, np.c_[TARGETS, TARGETS**2], 0.1, GATES)
    inputs = problem.units().inputs
    for seed in range(20):
        t = np.random.default_rng(seed).standard_normal((6, 2))
        found = gated_reach(problem, t)
        for k, active in enumerate(problem.patterns.T):
            correlation = (inputs * active[:, None]).T @ t
            most = np.linalg.norm(correlation, 2)
            assert most * (1 - 1e-15) <= found[k] <= most * (1 + 1e-12)
            # A unit pair of vectors attains at most the bound, in exact arithmetic.
            u, _, v = np.linalg.svd(correlation)
            a, b = [Fraction(x) for x in u[:, 0].tolist()], [Fraction(x) for x in v[0].tolist()]
            value = sum(
                Fraction(float(inputs[i, p]))
                * int(active[i])
                * a[p]
                * Fraction(float(t[i, q]))
                * b[q]
                for i in range(6)
                for p in range(3)
                for q in range(2)
            )
            norms = sum(x * x for x in a) * sum(x * x for x in b)
            assert value**2 <= Fraction(float(found[k])) ** 2 * norms


def test_it_goes_through_json_and_keeps_its_dtypes() -> None:
    problem = so.TwoLayerReLU(
        np.asfortranarray(INPUTS.astype(np.float32))[::-1], TARGETS[::-1], 1, GATES
    )
    again = so.from_json(so.to_json(problem))
    assert again.inputs.dtype == np.float32
    assert np.array_equal(again.patterns, problem.patterns)
    assert "4 gates" in problem.describe()
    with pytest.raises(ValueError, match="read-only"):
        problem.inputs[0, 0] = 1.0
