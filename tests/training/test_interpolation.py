"""Networks of least weights through points, against linear programs and exact sums."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import sparseopt as so

CASES = json.loads(Path(__file__).with_name("interpolation_cases.json").read_text())["records"]


def program(t: np.ndarray, v: np.ndarray, refined: int) -> float:
    """Return the least weight of networks with kinks at the points and between them, by an LP."""
    margin = 0.5 * (t[-1] - t[0])
    ends = [t[0] - margin, *t, t[-1] + margin]
    knots = np.concatenate([np.linspace(a, b, refined, endpoint=False) for a, b in pairwise(ends)])
    both = np.hstack([np.maximum(t[:, None] - knots, 0), np.maximum(knots - t[:, None], 0)])
    columns = np.hstack([both, -both, np.ones((len(t), 1))])
    cost = np.append(np.ones(2 * both.shape[1]), 0.0)
    bounds = [(0.0, None)] * (len(cost) - 1) + [(None, None)]
    found = linprog(cost, A_eq=columns, b_eq=v, bounds=bounds, method="highs")
    assert found.status == 0
    return float(found.fun)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_public_cases(case: dict[str, Any]) -> None:
    solution = so.solve(so.MinimumNormInterpolant(case["t"], case["v"]))
    assert solution.certificate.primal == pytest.approx(case["value"], rel=1e-12)
    assert solution.certificate.dual == pytest.approx(case["value"], rel=1e-12)
    assert solution.certificate.largest_miss == 0.0


@pytest.mark.parametrize("seed", range(12))
def test_the_value_agrees_with_linear_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 9))
    t = np.sort(rng.standard_normal(count))
    v = rng.standard_normal(count) if seed % 2 else np.cumsum(rng.random(count))
    certificate = so.solve(so.MinimumNormInterpolant(t, v)).certificate
    for refined in (1, 8):
        assert certificate.primal == pytest.approx(program(t, v, refined), rel=1e-7)
    assert certificate.accuracy < 1e-12


@pytest.mark.parametrize("seed", range(20))
def test_the_value_is_the_formula_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 7))
    t = np.sort(rng.choice(20, count, replace=False)).tolist()
    v = rng.integers(-5, 6, count).tolist()
    if seed % 2:
        v = np.cumsum(np.abs(v)).tolist()
    s = [Fraction(b - a, d - c) for a, b, c, d in zip(v, v[1:], t, t[1:], strict=False)]
    total = sum(abs(b - a) for a, b in pairwise(s))
    ends = abs(s[0] + s[-1]) if s else Fraction(0)
    value = total if ends <= total else (total + ends) / 2
    solution = so.solve(so.MinimumNormInterpolant(t, v))
    certificate, network = solution.certificate, solution.answer
    assert Fraction(certificate.dual) <= value
    assert float(value) == pytest.approx(certificate.dual, rel=1e-15)
    assert float(value) == pytest.approx(certificate.primal, rel=1e-14)
    assert np.abs(network.outer * network.hidden).sum() == pytest.approx(float(value), rel=1e-14)
    assert len(network.hidden) <= max(count - 1, 0)
    assert network.predict(t) == pytest.approx(np.array(v, dtype=float), abs=1e-12)


def test_no_trained_network_weighs_less() -> None:
    """A network that goes through the points, whatever its kinks, weighs at least the bound."""
    rng = np.random.default_rng(3)
    problem = so.MinimumNormInterpolant([0.0, 1.0, 2.0], [1.0, 0.0, 2.0])
    least = so.solve(problem).certificate.dual
    found = 0
    for _ in range(200):
        hidden, biases = rng.standard_normal((2, 4))
        active = np.maximum(problem.points[:, None] * hidden + biases, 0.0)
        columns = np.hstack([active, np.ones((3, 1))])
        fitted, *_ = np.linalg.lstsq(columns, problem.values, rcond=None)
        if np.abs(columns @ fitted - problem.values).max() < 1e-12:
            assert np.abs(fitted[:4] * hidden).sum() >= least * (1.0 - 1e-9)
            found += 1
    assert found > 50


def test_order_copies_and_shapes_of_points_do_not_matter() -> None:
    t, v = np.array([3.0, 1.0, 2.0, 1.0]), np.array([1.0, 0.0, 5.0, 0.0])
    one = so.solve(so.MinimumNormInterpolant(t, v))
    for points in (t[:, None], t.astype(np.float32), t.tolist()):
        other = so.solve(so.MinimumNormInterpolant(points, v))
        assert other.certificate.primal == one.certificate.primal
    assert one.problem.points.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("scales", [(1e150, 1e-140), (1e-150, 1e140), (1.0, 1e298), (1.0, 1e-300)])
def test_scales(scales: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    t, v = rng.standard_normal(8) * scales[0], rng.standard_normal(8) * scales[1] * 0.1
    solution = so.solve(so.MinimumNormInterpolant(t, v))
    assert solution.status is so.Status.VERIFIED
    assert so.verify(so.Solution.from_json(solution.to_json())).ok


def test_a_flat_line_has_no_neurons() -> None:
    solution = so.solve(so.MinimumNormInterpolant([0.0, 1.0, 5.0], [2.0, 2.0, 2.0]))
    assert len(solution.answer.hidden) == 0
    assert solution.answer.predict(7.0) == 2.0
    assert solution.certificate.accuracy == 0.0


@pytest.mark.parametrize(
    ("words", "points", "values"),
    [
        ("points 0 and 2 are both 1.0 and their values differ, 0.0 and 2.0", [1, 3, 1], [0, 1, 2]),
        ("there are 2 points and 3 values", [1, 2], [0, 1, 2]),
        ("points must be a vector", [[1.0, 2.0]], [0.0]),
        ("at least one entry", [], []),
        ("values has a nan at entry \\(1,\\)", [1, 2], [0, np.nan]),
        ("points has an inf", [np.inf, 2], [0, 1]),
        ("complex", [1j, 2], [0, 1]),
        ("leaves the range of floats", [0.0, 1e-200], [0.0, 1e200]),
    ],
)
def test_bad_input_is_refused(words: str, points: Any, values: Any) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.MinimumNormInterpolant(points, values)


def test_bad_networks_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="one per neuron"):
        so.InterpolatingNetwork([1.0], [1.0, 2.0], [1.0], 0.0)
    with pytest.raises(so.ProblemError, match="offset is nan"):
        so.InterpolatingNetwork([1.0], [1.0], [1.0], float("nan"))
    with pytest.raises(so.ProblemError, match="hidden is ragged"):
        so.InterpolatingNetwork([[1.0, 2.0], [3.0]], [1.0], [1.0], 0.0)
    problem = so.MinimumNormInterpolant([0, 1], [0, 1])
    network = so.InterpolatingNetwork([], [], [], 0.0)
    with pytest.raises(so.ProblemError, match="one integer for each of 1 slopes"):
        so.InterpolantCertificate.build(problem, network, [1, 1])
    assert problem.evaluate(network) == {"objective": 0.0, "largest_miss": 1.0}


@pytest.mark.parametrize("seed", range(20))
def test_what_any_network_misses_is_exact(seed: int) -> None:
    """Also where kinks fall on points, weights vanish and neurons never open."""
    rng = np.random.default_rng(seed)
    count, neurons = int(rng.integers(1, 6)), int(rng.integers(0, 6))
    if seed % 2:
        t, v = rng.choice(9, count, replace=False), rng.integers(-3, 4, count)
        hidden, biases, outer = rng.integers(-2, 3, (3, neurons))
    else:
        t, v = rng.standard_normal((2, count))
        hidden, biases, outer = rng.standard_normal((3, neurons))
    problem = so.MinimumNormInterpolant(t, v)
    network = so.InterpolatingNetwork(hidden, biases, outer, float(rng.standard_normal()))
    certificate = so.InterpolantCertificate.build(problem, network, np.zeros(count - 1, dtype=int))
    assert so.verify(certificate).ok
    missed = Fraction(0)
    for point, value in zip(problem.points.tolist(), problem.values.tolist(), strict=True):
        found = Fraction(network.offset)
        for w, b, a in zip(hidden.tolist(), biases.tolist(), outer.tolist(), strict=True):
            found += Fraction(a) * max(Fraction(w) * Fraction(point) + Fraction(b), Fraction(0))
        missed = max(missed, abs(found - Fraction(value)))
    weight = sum(abs(Fraction(w) * Fraction(a)) for w, a in zip(hidden.tolist(), outer.tolist(),
                                                                strict=True))  # fmt: skip
    for exact, stated in ((missed, certificate.largest_miss), (weight, certificate.primal)):
        assert exact <= Fraction(stated)
        assert float(exact) == pytest.approx(stated, rel=1e-15)
