"""Optimal rescaling of homogeneous penalties, against other optimizers and closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import sparseopt as so


@pytest.mark.parametrize("seed", range(12))
def test_the_value_agrees_with_a_general_optimizer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 5))
    norms, weights = rng.lognormal(0, 2, count), rng.lognormal(0, 2, count)
    degrees = rng.choice([0.5, 1, 2, 3], count)
    certificate = so.solve(so.OptimalRescaling(norms, degrees, weights)).certificate

    def cost(free: np.ndarray) -> float:
        logs = np.append(free, -free.sum())
        return float(np.log((weights * norms * np.exp(degrees * logs)).sum()))

    found = scipy.optimize.minimize(cost, np.zeros(count - 1), tol=1e-14)
    assert math.log(certificate.primal) == pytest.approx(found.fun, abs=1e-9)
    assert certificate.dual <= math.exp(found.fun) * (1.0 + 1e-12)
    assert certificate.accuracy < 1e-14


def test_the_implicit_regularizer_of_a_product() -> None:
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal(5), rng.standard_normal(7)
    squares = so.OptimalRescaling([u @ u, v @ v], 2, [0.3, 0.7])
    value = so.solve(squares).certificate.primal
    product = np.linalg.norm(u) * np.linalg.norm(v)
    assert value == pytest.approx(2.0 * math.sqrt(0.21) * product, rel=1e-14)
    ones = so.OptimalRescaling([np.abs(u).sum(), np.abs(v).sum()], 1, 1)
    value = so.solve(ones).certificate.primal
    assert value == pytest.approx(2.0 * math.sqrt(np.abs(np.outer(u, v)).sum()), rel=1e-14)


def test_hidden_neurons_end_up_balanced() -> None:
    """Neural balance: incoming and outgoing norms agree, and the penalty is not larger."""
    rng = np.random.default_rng(1)
    hidden, outer = rng.standard_normal((6, 3)), rng.standard_normal((2, 6))
    norms = [(hidden**2).sum(axis=1), (outer**2).sum(axis=0)]
    solution = so.solve(so.OptimalRescaling(norms, 2, 0.5))
    scalings = solution.answer.scalings
    hidden, outer = hidden * scalings[0][:, None], outer * scalings[1]
    assert np.allclose(np.linalg.norm(hidden, axis=1), np.linalg.norm(outer, axis=0))
    after = 0.5 * ((hidden**2).sum() + (outer**2).sum())
    assert after <= 0.5 * np.sum(norms) + 1e-12
    assert after == pytest.approx(solution.certificate.primal, rel=1e-14)


def test_only_the_weighted_product_of_the_weights_matters() -> None:
    degrees = np.array([1.0, 2.0, 4.0])
    values = []
    for weights in ([1.0, 1.0, 1.0], [2.0, 0.25, 1.0], [1.0, 4.0, 2.0**-4]):
        assert np.prod(np.array(weights) ** (1 / degrees)) == pytest.approx(1.0)
        problem = so.OptimalRescaling([3.0, 0.1, 20.0], degrees, weights)
        values.append(so.solve(problem).certificate.primal)
    assert values == pytest.approx([values[0]] * 3, rel=1e-13)


def test_a_component_that_vanishes_is_set_to_zero() -> None:
    solution = so.solve(so.OptimalRescaling([[0.0, 1.0], [5.0, 4.0]], 2, 0.5))
    assert solution.answer.scalings[:, 0].tolist() == [0.0, 0.0]
    assert solution.certificate.primal == pytest.approx(2.0)
    nothing = so.solve(so.OptimalRescaling([0.0, 5.0], 1, 1)).certificate
    assert (nothing.primal, nothing.dual, nothing.accuracy) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("norms is -1.0 at entry \\(1,\\); it must be at least 0", ([1.0, -1.0], 2, 1)),
        ("norms has a nan", ([1.0, np.nan], 2, 1)),
        ("complex", ([1j, 1], 2, 1)),
        ("at least one entry", ([], 2, 1)),
        ("must be a vector", (np.ones((1, 1, 1)), 2, 1)),
        ("degrees is 0.0 at entry \\(1,\\)", ([1.0, 1.0], [1.0, 0.0], 1)),
        ("degrees has 3 entries for 2 factors", ([1.0, 1.0], [1.0, 2.0, 1.0], 1)),
        ("weights is 0.0 at entry \\(0,\\); it must be positive", ([1.0, 1.0], 1, [0.0, 1.0])),
        ("weights has an inf", ([1.0, 1.0], 1, np.inf)),
        ("there are 1001 factors", (np.ones(1001), 1, 1)),
    ],
)
def test_bad_input_is_refused(words: str, arguments: Any) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.OptimalRescaling(*arguments)


def test_a_certificate_is_not_built_for_scalings_that_do_not_fit() -> None:
    problem = so.OptimalRescaling([1.0, 2.0], 1, 1)
    with pytest.raises(so.ProblemError, match="multiply to 1"):
        so.RescalingCertificate.build(problem, [1.0, 2.0], [1.0])


def test_scalings_beyond_floats_are_said() -> None:
    problem = so.OptimalRescaling([1e-300, 1e300], [0.01, 0.01], 1)
    with pytest.raises(so.SolveError, match="range of floats"):
        so.solve(problem)


def test_evaluate_needs_no_solver() -> None:
    problem = so.OptimalRescaling([1.0, 16.0], 2, 0.5)
    figures = problem.evaluate(so.Scalings([1.0, 1.0]))
    assert figures == {"objective": 8.5, "product_error": 0.0}
