"""Adam and alternating least squares: recovery, monotone histories, scales, limits, ranking."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from sparseopt_butterfly.butterfly_adam import ButterflyAdam
from sparseopt_butterfly.butterfly_alternating import ButterflyAlternating

import sparseopt as so
from sparseopt.interface.verdict import Outranked
from sparseopt.tools.random_products import random_product

BOTH = ["butterfly_adam", "butterfly_alternating"]
CHAINS = [
    [(1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 2, 1)],
    [(1, 3, 4, 4), (2, 8, 3, 1)],  # rank 2, not square
    [(2, 2, 4, 4), (4, 4, 4, 2), (8, 4, 3, 1)],  # a_1 > 1
    [(1, 2, 2, 4), (2, 2, 2, 2)],  # d_L > 1
    [(1, 3, 3, 1), (1, 3, 2, 1)],  # redundant
    [(1, 3, 2, 1)],
]


def problem(
    patterns: list[tuple[int, int, int, int]], dtype: Any = np.float64, noise: float = 0.0
) -> so.ButterflyFactorization:
    rng = np.random.default_rng(len(patterns))
    target = random_product(patterns, rng, dtype).to_dense()
    target = (target + noise * rng.standard_normal(target.shape)).astype(dtype)
    return so.ButterflyFactorization(target, so.Architecture(patterns))


@pytest.mark.parametrize("patterns", CHAINS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_alternating_recovers_exact_products_from_random_factors(patterns: Any, dtype: Any) -> None:
    solution = so.solve(problem(patterns, dtype), "butterfly_alternating", seed=1)
    eps = float(np.finfo(dtype).eps)
    assert solution.certificate.relative_error < 64 * eps
    assert solution.answer.dtype == dtype
    assert so.verify(solution).ok


@pytest.mark.parametrize("patterns", CHAINS, ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.complex64])
def test_adam_comes_near_the_least_error(patterns: Any, dtype: Any) -> None:
    given = problem(patterns, dtype, noise=0.1)
    solution = so.solve(given, "butterfly_adam", restarts=2, iterations=200)
    assert solution.certificate.error <= 1.05 * so.solve(given).certificate.upper_bound + 1e-6
    assert solution.answer.dtype == dtype


def test_alternating_starts_from_the_hierarchical_answer_and_lowers_its_error() -> None:
    rng = np.random.default_rng(0)
    given = so.ButterflyFactorization(
        rng.standard_normal((32, 32)), so.Architecture.square_dyadic(32)
    )
    plain = so.solve(given).certificate
    refined = so.solve(given, "butterfly_alternating", start="hierarchical").certificate
    assert plain.lower_bound <= refined.error < 0.999 * plain.error


def test_the_error_of_alternating_never_rises_and_is_the_true_one() -> None:
    history: list[tuple[float, float]] = []
    given = problem(CHAINS[2], noise=0.3)
    solver = ButterflyAlternating(sweeps=6, watch=lambda *point: history.append(point))
    solution = so.solve(given, solver)
    seconds, errors = np.array(history).T
    assert (np.diff(errors) <= 1e-12).all()
    assert (np.diff(seconds) >= 0).all()
    assert errors[-1] == pytest.approx(solution.certificate.relative_error, rel=1e-9)


def test_each_step_is_the_least_squares_solution_for_its_factor() -> None:
    """The last factor solved for agrees with a dense least-squares problem."""
    given = problem(CHAINS[1], np.complex128, noise=0.5)
    for sweeps, own in ((1, 1), (2, 0)):
        factors = so.solve(given, "butterfly_alternating", sweeps=sweeps).answer.factors
        pattern = given.architecture[own]
        columns = []
        for index in np.ndindex(pattern.values_shape):
            unit = np.zeros(pattern.values_shape, dtype=complex)
            unit[index] = 1
            changed = list(factors)
            changed[own] = unit
            columns.append(so.KroneckerProduct(changed, given.architecture).to_dense().ravel())
        best = np.linalg.lstsq(np.array(columns).T, given.target.ravel(), rcond=None)[0]
        np.testing.assert_allclose(factors[own].ravel(), best, atol=1e-12)


def test_the_history_of_adam_ends_below_its_start() -> None:
    history: list[tuple[float, float]] = []
    hadamard = scipy.linalg.hadamard(16).astype(float)
    given = so.ButterflyFactorization(hadamard, so.Architecture.square_dyadic(16))
    solver = ButterflyAdam(watch=lambda *point: history.append(point))
    solution = so.solve(given, solver)
    assert history[0][1] > 0.5
    assert min(e for _, e in history) == pytest.approx(
        solution.certificate.relative_error, abs=1e-14
    )
    assert solution.certificate.relative_error < 1e-6


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e150, 1e300])
def test_squares_that_leave_the_range(name: str, scale: float) -> None:
    given = problem(CHAINS[1])
    scaled = so.ButterflyFactorization(np.asarray(given.target) * scale, given.architecture)
    assert so.solve(scaled, name).certificate.relative_error < 0.03


@pytest.mark.parametrize("name", BOTH)
def test_zero_one_by_one_read_only_and_strided_targets(name: str) -> None:
    dyadic = so.Architecture.square_dyadic(4)
    assert (
        so.solve(so.ButterflyFactorization(np.zeros((4, 4)), dyadic), name).certificate.error == 0
    )
    one = so.ButterflyFactorization([[3.0]], [(1, 1, 1, 1)])
    assert so.solve(one, name).answer.to_dense() == [[3.0]]
    big = np.ones((8, 12))
    big.setflags(write=False)
    strided = so.ButterflyFactorization(big[::2, 11::-3], dyadic)
    assert so.solve(strided, name).certificate.relative_error < 1e-6


@pytest.mark.parametrize("name", BOTH)
def test_equal_seeds_give_equal_factors_and_others_do_not(name: str) -> None:
    given = problem(CHAINS[0], noise=1.0)
    answers = [so.solve(given, name, seed=seed).answer.factors[0] for seed in (3, 3, 4)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


@pytest.mark.parametrize("name", BOTH)
def test_the_clock_ends_a_run_with_the_best_so_far(name: str) -> None:
    rng = np.random.default_rng(0)
    given = so.ButterflyFactorization(
        rng.standard_normal((64, 64)), so.Architecture.square_dyadic(64)
    )
    endless: dict[str, Any] = {"butterfly_adam": {"iterations": 10**7}}.get(
        name, {"sweeps": 10**7, "tolerance": 0.0}
    )
    solution = so.solve(given, name, time_limit=0.5, restarts=100, **endless)
    assert solution.certificate.relative_error < 1.0


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (ButterflyAdam, {"iterations": 0}),
        (ButterflyAdam, {"learning_rate": float("nan")}),
        (ButterflyAdam, {"restarts": 0}),
        (ButterflyAlternating, {"sweeps": 0}),
        (ButterflyAlternating, {"tolerance": -1.0}),
        (ButterflyAlternating, {"start": "zero"}),
    ],
)
def test_bad_options_are_refused(cls: type, options: dict[str, Any]) -> None:
    with pytest.raises(so.ProblemError, match=r"must be (at least|one of)|and restarts must be"):
        cls(**options)


def test_the_hierarchical_engines_go_first() -> None:
    plan = so.plan(problem(CHAINS[0]))
    assert "hierarchical" in plan.chosen.name
    verdicts = {c.name: c.verdict for c in plan}
    for name in BOTH:
        assert isinstance(verdicts[name], Outranked)


def test_a_tensor_target() -> None:
    torch = pytest.importorskip("torch")
    given = problem(CHAINS[1])
    tensor = torch.tensor(np.array(given.target))
    for name in BOTH:
        solution = so.solve(so.ButterflyFactorization(tensor, given.architecture), name)
        assert solution.certificate.relative_error < 0.03
