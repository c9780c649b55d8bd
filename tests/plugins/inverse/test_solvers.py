"""The engines: published values, closed forms, brute force, agreement, laws, hard cases."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from regression_oracle import brute_force_lasso, instance, public_cases, violation
from sparseopt_inverse.conic import Cvxpy
from sparseopt_inverse.scikit_learn import ScikitLearn
from sparseopt_inverse.working_set import WorkingSet

import sparseopt as so

CASES = {case["name"]: case for case in public_cases()}
SOLVERS = ["working_set", "scikit_learn", "cvxpy"]


def takes(solver: str, penalty: so.Penalty) -> bool:
    return solver != "scikit_learn" or isinstance(penalty, so.L1)


def random_problem(seed: int, m: int, n: int, ratio: float, grouped: bool) -> so.SparseRegression:
    """Return a random problem whose strength is `ratio` times the one at which x vanishes."""
    rng = np.random.default_rng(seed)
    design, target = rng.standard_normal((m, n)), rng.standard_normal(m)
    correlation = design.T @ target
    if not grouped:
        return so.SparseRegression(design, target, so.L1(ratio * np.abs(correlation).max()))
    groups = [list(range(j, n, max(1, n // 4))) for j in range(max(1, n // 4))]
    weights = rng.uniform(0.5, 2.0, len(groups))
    norms = [np.linalg.norm(correlation[g]) for g in groups]
    critical = max(norm / w for norm, w in zip(norms, weights, strict=True))
    return so.SparseRegression(design, target, so.GroupL1(ratio * critical, groups, weights))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", list(CASES))
def test_published_values(name: str, solver: str) -> None:
    case = CASES[name]
    problem = instance(case)
    if not takes(solver, problem.penalty):
        with pytest.raises(so.SolveError, match="this solver takes L1"):
            so.solve(problem, solver)
        return
    solution = so.solve(problem, solver)
    certificate = solution.certificate
    slack = 1e-14 * case["value"]
    assert case["lower"] - slack <= certificate.primal <= case["upper"] + slack
    assert certificate.dual <= case["upper"] + slack
    assert certificate.relative_gap < 1e-13
    assert solution.answer.support.tolist() == sorted(map(int, case["x_nonzero"]))
    for index, value in case["x_nonzero"].items():
        assert solution.answer.x[int(index)] == pytest.approx(value, rel=1e-7, abs=1e-10)
    assert certificate.undecided.size == 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_orthonormal_columns_have_a_closed_form(solver: str) -> None:
    rng = np.random.default_rng(0)
    design = np.linalg.qr(rng.standard_normal((12, 7)))[0]
    target = 3.0 * rng.standard_normal(12)
    correlation = design.T @ target
    soft = np.sign(correlation) * np.maximum(np.abs(correlation) - 1.0, 0.0)
    x = so.solve(so.SparseRegression(design, target, so.L1(1.0)), solver).answer.x
    np.testing.assert_allclose(x, soft, atol=1e-13)
    assert (x[soft == 0] == 0).all()
    groups, weights = [[0, 4], [1, 2, 6], [3], [5]], np.array([1.0, 2.5, 0.5, 9.0])
    penalty = so.GroupL1(1.0, groups, weights)
    if takes(solver, penalty):
        x = so.solve(so.SparseRegression(design, target, penalty), solver).answer.x
        for group, weight in zip(groups, weights, strict=True):
            norm = np.linalg.norm(correlation[group])
            np.testing.assert_allclose(
                x[group], max(0.0, 1.0 - weight / norm) * correlation[group], atol=1e-13
            )


@pytest.mark.parametrize("seed", range(20))
def test_brute_force_over_sign_patterns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 7)), int(rng.integers(1, 6))
    problem = random_problem(seed, m, n, float(rng.uniform(0.01, 1.0)), grouped=False)
    best = brute_force_lasso(problem.design, problem.target, problem.penalty.strength)
    for solver in ("working_set", "scikit_learn"):
        certificate = so.solve(problem, solver).certificate
        assert certificate.primal == pytest.approx(best, rel=1e-12)
        assert certificate.relative_gap < 1e-12


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("grouped", [False, True])
def test_the_engines_agree_and_meet_the_optimality_conditions(seed: int, grouped: bool) -> None:
    m, n = [(8, 20), (20, 8), (15, 15)][seed % 3]
    problem = random_problem(seed, m, n, [0.5, 0.05, 0.001][seed % 3], grouped)
    answers = [
        so.solve(problem, solver).answer.x for solver in SOLVERS if takes(solver, problem.penalty)
    ]
    for x in answers:
        assert violation(problem, x) < 1e-8
        np.testing.assert_allclose(x, answers[0], atol=1e-9 * np.abs(answers[0]).max())
        assert np.flatnonzero(x).tolist() == np.flatnonzero(answers[0]).tolist()


@pytest.mark.parametrize("engine", ["SCS", "OSQP", "clarabel"])
def test_any_conic_engine(engine: str) -> None:
    problem = random_problem(1, 10, 25, 0.2, grouped=False)
    expected = so.solve(problem, "working_set").answer.x
    x = so.solve(problem, "cvxpy", engine=engine).answer.x
    np.testing.assert_allclose(x, expected, atol=1e-12)


def test_an_engine_that_cannot_says_so() -> None:
    problem = random_problem(1, 10, 25, 0.2, grouped=True)
    with pytest.raises(so.SolveError, match=r"cvxpy has no solver 'NOPE' here; it has .*CLARABEL"):
        so.solve(problem, "cvxpy", engine="NOPE")
    with pytest.raises(so.SolveError, match="cvxpy with OSQP failed"):
        so.solve(problem, "cvxpy", engine="OSQP")


@pytest.mark.parametrize("grouped", [False, True])
def test_laws_of_scale_order_and_sign(grouped: bool) -> None:
    problem = random_problem(3, 12, 16, 0.1, grouped)
    x = so.solve(problem).answer.x
    penalty: Any = problem.penalty

    def strength(factor: float) -> so.Penalty:
        if grouped:
            return so.GroupL1(factor * penalty.strength, penalty.groups, penalty.weights)
        return so.L1(factor * penalty.strength)

    def answer(design: Any, target: Any, chosen: so.Penalty) -> np.ndarray:
        return so.solve(so.SparseRegression(design, target, chosen)).answer.x

    a, y, close = problem.design, problem.target, {"atol": 1e-11, "rtol": 1e-9}
    np.testing.assert_allclose(answer(a, 8.0 * y, strength(8.0)), 8.0 * x, **close)
    np.testing.assert_allclose(answer(8.0 * a, y, strength(8.0)), x / 8.0, **close)
    np.testing.assert_allclose(answer(-a, y, strength(1.0)), -x, **close)
    np.testing.assert_allclose(answer(a[::-1], y[::-1], strength(1.0)), x, **close)
    stacked = np.vstack([a, a])
    np.testing.assert_allclose(answer(stacked, np.tile(y, 2), strength(2.0)), x, **close)
    widened = np.hstack([a, np.zeros((12, 2))])
    if not grouped:
        order = np.random.default_rng(0).permutation(16)
        np.testing.assert_allclose(answer(a[:, order], y, strength(1.0)), x[order], **close)
        np.testing.assert_allclose(answer(widened, y, strength(1.0)), [*x, 0.0, 0.0], **close)


def cruel(kind: str, rng: np.random.Generator, m: int, n: int) -> Any:
    """Return a design that is degenerate in one way."""
    design = rng.standard_normal((m, n))
    if kind == "signs":
        return rng.integers(-1, 2, (m, n)).astype(float)
    if kind == "duplicates":
        design[:, n // 2 :] = design[:, [0]]
        return design
    if kind == "opposites":
        return np.hstack([design, -design])
    if kind == "zero columns":
        design[:, ::2] = 0.0
        return design
    if kind == "rank two":
        return rng.standard_normal((m, 2)) @ rng.standard_normal((2, n))
    if kind == "units":
        return design * 10.0 ** rng.uniform(-6, 6, n)
    if kind == "float32":
        return design.astype(np.float32)
    return scipy.sparse.random_array((m, n), density=0.3, format=kind, random_state=0)


@pytest.mark.parametrize(
    "kind",
    [
        "signs",
        "duplicates",
        "opposites",
        "zero columns",
        "rank two",
        "units",
        "float32",
        "csr",
        "csc",
    ],
)
@pytest.mark.parametrize("solver", ["working_set", "scikit_learn"])
def test_degenerate_designs(kind: str, solver: str) -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        m, n = int(rng.integers(1, 20)), int(rng.integers(2, 25))
        design, target = cruel(kind, rng, m, n), rng.standard_normal(m)
        critical = float(np.abs(design.T @ target).max()) or 1.0
        strength = critical * 10.0 ** rng.uniform(-5, 0)
        penalties: list[so.Penalty] = [so.L1(strength)]
        if solver == "working_set":
            columns = rng.permutation(design.shape[1])
            cuts = sorted(rng.choice(np.arange(1, len(columns)), len(columns) // 3, replace=False))
            penalties.append(so.GroupL1(strength, np.split(columns, cuts)))
        for penalty in penalties:
            solution = so.solve(so.SparseRegression(design, target, penalty), solver)
            assert solution.status is so.Status.VERIFIED
            assert solution.certificate.accuracy <= 1e-12


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_by_one(solver: str) -> None:
    for strength, expected in ((0.5, 1.375), (6.0, 0.0), (7.0, 0.0)):
        problem = so.SparseRegression([[2.0]], [3.0], so.L1(strength))
        assert so.solve(problem, solver).answer.x.tolist() == pytest.approx([expected])


@pytest.mark.parametrize("solver", SOLVERS)
def test_zero_target_and_zero_design(solver: str) -> None:
    design = np.random.default_rng(0).standard_normal((3, 4))
    for a, y in ((design, np.zeros(3)), (np.zeros((3, 4)), np.ones(3))):
        solution = so.solve(so.SparseRegression(a, y, so.L1(1.0)), solver)
        assert not solution.answer.x.any()
        assert solution.certificate.zeros.tolist() == [0, 1, 2, 3]


def test_least_squares() -> None:
    rng = np.random.default_rng(0)
    tall, wide = rng.standard_normal((9, 4)), rng.standard_normal((4, 9))
    deficient = np.hstack([tall, tall[:, :2]])
    uneven = tall * np.array([1e-8, 1.0, 1e5, 1e9])
    for design in (tall, wide, deficient, uneven, scipy.sparse.csr_array(tall), np.eye(4)):
        target = rng.standard_normal(design.shape[0])
        for penalty in (so.L1(0.0), so.GroupL1(0.0, [list(range(design.shape[1]))])):
            solution = so.solve(so.SparseRegression(design, target, penalty))
            assert solution.solver == "working_set"
            dense = design.toarray() if scipy.sparse.issparse(design) else design
            units = dense / np.linalg.norm(dense, axis=0)
            best = target - units @ np.linalg.lstsq(units, target, rcond=None)[0]
            expected = 0.5 * float(best @ best)
            assert solution.certificate.primal == pytest.approx(expected, rel=1e-9, abs=1e-28)
            assert solution.certificate.gap <= 1e-12 * 0.5 * float(target @ target)


def test_refusals_give_the_reason() -> None:
    grouped, least = random_problem(0, 5, 4, 0.1, grouped=True), random_problem(0, 5, 4, 0, False)
    assert "no GroupL1 penalty" in ScikitLearn().accepts(grouped).reason
    assert "least squares" in ScikitLearn().accepts(least).reason
    assert "least squares" in Cvxpy().accepts(least).reason
    huge = scipy.sparse.csr_array(([1.0], ([0], [0])), shape=(2**15, 2**15))
    problem = so.SparseRegression(huge, np.ones(2**15), so.L1(0.0))
    assert "would be made dense" in WorkingSet().accepts(problem).reason
    assert isinstance(WorkingSet().accepts(grouped), so.Accepted)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: ScikitLearn(engine_tolerance=2.0), "engine_tolerance must lie between"),
        (lambda: ScikitLearn(max_iter=0), "max_iter must be a positive integer"),
        (lambda: Cvxpy(engine=""), "engine must be the name"),
    ],
)
def test_bad_settings(build: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()


def test_a_gap_that_cannot_be_proved_is_weak() -> None:
    problem = random_problem(0, 8, 12, 0.1, grouped=False)
    solution = so.solve(problem, "working_set", tolerance=1e-30)
    assert solution.status is so.Status.WEAK


def test_a_time_limit_that_suffices_changes_nothing() -> None:
    problem = random_problem(0, 60, 40, 0.001, grouped=False)
    for solver in SOLVERS:
        free = so.solve(problem, solver).answer.x
        limited = so.solve(problem, solver, time_limit=60.0).answer.x
        np.testing.assert_allclose(limited, free, atol=1e-12)


def test_progress_is_reported() -> None:
    seen: list[float] = []
    so.solve(
        random_problem(0, 60, 200, 0.01, grouped=False),
        progress=lambda fraction, message: seen.append(fraction),
    )
    assert seen == sorted(seen)
    assert 0.0 <= seen[0] <= seen[-1] <= 1.0


def test_the_plan_says_which_engine_and_why() -> None:
    dense = so.plan(random_problem(0, 10, 20, 0.1, grouped=False))
    assert dense.chosen is not None
    assert dense.chosen.name == "working_set"
    for other in dense.candidates[1:]:
        optional = other.name in ("skglm", "celer")
        why = "runs on request|is not installed" if optional else "predicted cost is lower"
        assert re.search(why, str(other.verdict))
    grouped = so.plan(random_problem(0, 10, 20, 0.1, grouped=True))
    assert "penalty is GroupL1 here; this solver takes L1" in str(grouped)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_larger_problem_with_many_nonzeros(grouped: bool) -> None:
    problem = random_problem(9, 150, 400, 0.005, grouped)
    solution = so.solve(problem)
    assert solution.certificate.relative_gap < 1e-12
    assert violation(problem, solution.answer.x) < 1e-7
