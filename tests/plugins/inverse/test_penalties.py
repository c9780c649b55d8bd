"""Answers under every penalty: small cases after public reports, other software, closed forms."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import sparseopt as so

CASES = {
    case["source"].split()[0] if case["source"] != "own" else case["capability"]: case
    for case in json.loads(Path(__file__).with_name("penalty_cases.json").read_text("utf-8"))
}
RNG = np.random.default_rng(11)
DESIGN, TARGET, ROWS = RNG.standard_normal((15, 12)), RNG.standard_normal(15), RNG.random(15) + 0.5
GROUPS = [[0, 3, 6], [1, 2], [4, 5, 7, 8], [9, 10, 11]]
WEIGHTS = np.array([0, 1, 1, 2, 1, 1, 0.5, 1, 1, 0, 1, 1.0])


def solved(*parts: Any, **options: Any) -> so.Solution[Any, Any]:
    """Return the answer to a regression, which must be proved to the default accuracy."""
    solution = so.solve(so.SparseRegression(*parts), **options)
    assert solution.status is so.Status.VERIFIED
    assert solution.certificate.relative_gap < 1e-12
    return solution


def close(solution: so.Solution[Any, Any], x: Any, objective: Any = None) -> None:
    wanted = np.array([float(Fraction(value)) for value in x])
    np.testing.assert_allclose(solution.answer.x, wanted, rtol=1e-9, atol=1e-12)
    assert solution.answer.support.tolist() == np.flatnonzero(wanted).tolist()
    if objective is not None:
        assert solution.certificate.primal == pytest.approx(float(Fraction(objective)), rel=1e-12)


def test_weights_of_zero() -> None:
    problem, right = (CASES["mathurinm/celer#188"][part] for part in ("problem", "right"))
    for k in (0, 1):
        penalty = so.L1(problem["strength"], problem["weights"][k])
        solution = solved(np.array(problem["design"], dtype=float), problem["target"], penalty)
        close(solution, right[f"x for weights[{k}]"], right[f"objective[{k}]"])


def test_positive_coefficients_and_their_largest_strength() -> None:
    problem, right = (CASES["scikit-learn/scikit-learn#32767"][p] for p in ("problem", "right"))
    design, target = np.array(problem["design"], dtype=float), problem["target"]
    for strength, answer in right["solutions"].items():
        penalty = so.L1(float(Fraction(strength)), positive=True)
        close(solved(design, target, penalty), answer["x"], answer["objective"])
    first = so.path(so.SparseRegression(design, target, so.L1(1.0, positive=True)))
    assert first[0].problem.penalty.strength == pytest.approx(9.0, rel=1e-14)
    assert [len(solution.answer.support) for solution in first[:2]] == [0, 1]
    signed = so.path(so.SparseRegression(design, target, so.L1(1.0)))
    assert signed[0].problem.penalty.strength == pytest.approx(45.0, rel=1e-14)


def test_an_unpenalised_feature_inside_a_group() -> None:
    problem, right = (CASES["scikit-learn-contrib/skglm#332"][p] for p in ("problem", "right"))
    penalty = so.SparseGroupL1(1.0, 1.0, problem["groups"], problem["l1 weights"])
    close(solved(np.eye(5), problem["target"], penalty), right["x"], right["objective"])


def test_paths_with_ties() -> None:
    problem, right = (CASES["mlpack/mlpack#2749"][p] for p in ("problem", "right"))
    for prefix, name in (("", ""), ("all three enter, ", "all three enter: ")):
        design = np.array(problem[f"{name}design"], dtype=float)
        target = [float(value) for value in problem[f"{name}target"]]
        strengths = problem[f"{name}strengths"]
        listed = [float(Fraction(value)) for value in strengths]
        path = so.path(so.SparseRegression(design, target, so.L1(1.0)), listed)
        for strength, solution in zip(strengths, path, strict=True):
            wanted = float(Fraction(right[prefix + strength]["objective"]))
            assert solution.certificate.primal == pytest.approx(wanted, rel=1e-12)
            assert solution.certificate.relative_gap < 1e-12


def test_total_variation_of_two_plateaus() -> None:
    problem, right = (CASES["TomographicImaging/CIL#608"][part] for part in ("problem", "right"))
    for strength in problem["strengths"]:
        answer = right[str(strength)]
        for design in (np.eye(4), scipy.sparse.eye_array(4), aslinearoperator(np.eye(4))):
            solution = solved(design, problem["target"], so.TotalVariation(strength))
            close(solution, answer["x"], answer["objective"])


def test_columns_that_nearly_agree() -> None:
    for case in (c for c in CASES.values() if c["capability"].startswith("lasso, two")):
        problem, right = case["problem"], case["right"]
        penalty = so.L1(problem["strength"])
        solution = so.solve(so.SparseRegression(problem["design"], problem["target"], penalty))
        assert solution.certificate.accuracy < 1e-12
        if "objective" in right:
            assert solution.certificate.primal == pytest.approx(right["objective"], rel=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_time_stamps_under_other_penalties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(2, 10))
    first = np.round(10.0 ** rng.uniform(8, 9.3) + 60.0 * np.arange(m))
    design = np.column_stack([first, first + rng.integers(0, 60, m)])
    target = rng.integers(50, 100, m).astype(float)
    for penalty in (
        so.L1(1.0, [1, 0]),
        so.L1(1.0, positive=True),
        so.L1(1.0) + so.Ridge(1e-3),
        so.GroupL1(1.0, [[0, 1]]),
    ):
        solved(design, target, penalty)


def test_strengths_near_zero_interpolate() -> None:
    case = CASES["lasso, interpolation: strength near 0"]["problem"]
    for strength in case["strengths"]:
        problem = so.SparseRegression(case["design"], case["target"], so.L1(strength))
        solution = so.solve(problem)
        assert solution.status is so.Status.VERIFIED
        if strength:
            assert solution.certificate.relative_gap < 1e-12
            np.testing.assert_allclose(solution.answer.x, [0.0, 0.4, 0.3], atol=1e-12)
        else:  # the objective is zero but for rounding, and the claim says how much that is
            assert solution.certificate.primal < 1e-30
            assert solution.certificate.accuracy < 1e-12


PENALTIES: dict[str, so.Penalty] = {
    "weights": so.L1(1.0, WEIGHTS),
    "positive": so.L1(1.0, WEIGHTS, positive=True),
    "groups": so.GroupL1(1.5, GROUPS, [1, 0, 2, 1]),
    "positive groups": so.GroupL1(1.5, GROUPS, positive=True),
    "ridge": so.Ridge(0.7),
    "elastic": so.L1(1.0) + so.Ridge(0.7),
    "elastic groups": so.GroupL1(1.5, GROUPS) + so.Ridge(0.7),
    "sparse groups": so.SparseGroupL1(0.5, 1.0, GROUPS, WEIGHTS, [1, 0, 2, 1]),
    "all": so.L1(0.3) + so.GroupL1(1.0, GROUPS) + so.Ridge(0.2),
    "variation": so.TotalVariation(0.8),
    "nuclear": so.NuclearNorm(1.0, (3, 4)),
    "nuclear and ridge": so.NuclearNorm(1.0, (3, 4)) + so.Ridge(0.4),
}


def stated(penalty: so.Penalty, x: Any) -> Any:
    """Return a penalty in the words of cvxpy."""
    import cvxpy

    parts = getattr(penalty, "parts", (penalty,))
    total = 0
    for part in parts:
        if isinstance(part, so.L1):
            weights = np.ones(12) if part.weights is None else part.weights
            total += part.strength * (weights @ cvxpy.abs(x))
        elif isinstance(part, so.GroupL1 | so.SparseGroupL1):
            sparse = isinstance(part, so.SparseGroupL1)
            own = part.group_weights if sparse else part.weights
            own = np.ones(len(GROUPS)) if own is None else own
            strength = part.group if sparse else part.strength
            norms = [w * cvxpy.norm(x[g]) for w, g in zip(own, GROUPS, strict=True)]
            total += strength * sum(norms)
            if sparse:
                weights = np.ones(12) if part.l1_weights is None else part.l1_weights
                total += part.l1 * (weights @ cvxpy.abs(x))
        elif isinstance(part, so.Ridge):
            total += part.strength / 2 * cvxpy.sum_squares(x)
        elif isinstance(part, so.TotalVariation):
            total += part.strength * cvxpy.sum(cvxpy.abs(x[1:] - x[:-1]))
        elif isinstance(part, so.NuclearNorm):
            total += part.strength * cvxpy.normNuc(cvxpy.reshape(x, part.shape, order="C"))
    return total


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", list(PENALTIES))
def test_cvxpy_agrees(name: str, weighted: bool) -> None:
    cvxpy = pytest.importorskip("cvxpy")
    penalty, rows = PENALTIES[name], ROWS if weighted else np.ones(15)
    x = cvxpy.Variable(12)
    loss = cvxpy.sum(cvxpy.multiply(rows, cvxpy.square(DESIGN @ x - TARGET))) / 2
    model = cvxpy.Problem(
        cvxpy.Minimize(loss + stated(penalty, x)), [x >= 0] if penalty.positive else []
    )
    model.solve(solver="CLARABEL")
    solution = solved(DESIGN, TARGET, penalty, ROWS if weighted else None)
    assert solution.certificate.primal == pytest.approx(model.value, rel=1e-6)
    assert solution.certificate.dual <= model.value * (1.0 + 1e-6)
    np.testing.assert_allclose(solution.answer.x, x.value, atol=2e-3)


@pytest.mark.parametrize("name", ["weights", "groups", "elastic", "variation", "nuclear", "ridge"])
def test_complex_data_agree_with_cvxpy(name: str) -> None:
    cvxpy = pytest.importorskip("cvxpy")
    design = DESIGN + 1j * DESIGN[::-1, ::-1] ** 2
    x = cvxpy.Variable(12, complex=True)
    loss = cvxpy.sum_squares(design @ x - TARGET) / 2
    model = cvxpy.Problem(cvxpy.Minimize(loss + stated(PENALTIES[name], x)))
    model.solve(solver="SCS" if name == "nuclear" else "CLARABEL")
    for form in (np.asarray, scipy.sparse.csr_array, aslinearoperator):
        solution = solved(form(design), TARGET, PENALTIES[name])
        assert solution.answer.x.dtype == np.complex128
        tolerance = 1e-4 if name == "nuclear" else 1e-6
        assert solution.certificate.primal == pytest.approx(model.value, rel=tolerance)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_scikit_learn_agrees(positive: bool, weighted: bool) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows = ROWS if weighted else np.ones(15)
    total = float(rows.sum())
    engine = linear_model.ElasticNet(
        alpha=1.7 / total, l1_ratio=1.0 / 1.7, fit_intercept=False, positive=positive, tol=1e-13,
        max_iter=100_000,
    )  # fmt: skip
    engine.fit(DESIGN, TARGET, sample_weight=rows)
    penalty = so.L1(1.0, positive=positive) + so.Ridge(0.7)
    solution = solved(DESIGN, TARGET, penalty, ROWS if weighted else None)
    np.testing.assert_allclose(solution.answer.x, engine.coef_, atol=1e-7)


def test_ridge_has_a_closed_form() -> None:
    x = np.linalg.solve(DESIGN.T @ DESIGN + 0.7 * np.eye(12), DESIGN.T @ TARGET)
    np.testing.assert_allclose(solved(DESIGN, TARGET, so.Ridge(0.7)).answer.x, x, rtol=1e-10)


def test_singular_values_are_shrunk() -> None:
    matrix = DESIGN[:5, :7]
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    wanted = (u * np.maximum(s - 1.2, 0.0)) @ v
    solution = solved(np.eye(35), matrix.ravel(), so.NuclearNorm(1.2, (5, 7)))
    np.testing.assert_allclose(solution.answer.x.reshape(5, 7), wanted, atol=1e-12)
    sparse = solved(scipy.sparse.eye_array(35), matrix.ravel(), so.NuclearNorm(1.2, (5, 7)))
    np.testing.assert_allclose(sparse.answer.x, solution.answer.x, atol=1e-12)


@pytest.mark.parametrize("name", list(PENALTIES))
@pytest.mark.parametrize("weighted", [False, True])
def test_operators_give_what_matrices_give(name: str, weighted: bool) -> None:
    rows = ROWS if weighted else None
    expected = solved(DESIGN, TARGET, PENALTIES[name], rows)
    calls = []

    def matvec(x: np.ndarray) -> np.ndarray:
        calls.append(1)
        return DESIGN @ np.ravel(x)

    operator = LinearOperator(
        (15, 12), matvec=matvec, rmatvec=lambda t: DESIGN.T @ np.ravel(t), dtype=np.float64
    )
    solution = solved(operator, TARGET, PENALTIES[name], rows)
    assert calls
    np.testing.assert_allclose(solution.answer.x, expected.answer.x, atol=1e-9)


@pytest.mark.parametrize("name", list(PENALTIES))
def test_float32_designs(name: str) -> None:
    design = DESIGN.astype(np.float32)
    expected = solved(design.astype(np.float64), TARGET, PENALTIES[name])
    for form in (np.asarray, scipy.sparse.csc_array, np.asfortranarray):
        solution = solved(form(design), TARGET, PENALTIES[name])
        np.testing.assert_allclose(solution.answer.x, expected.answer.x, atol=1e-9)


def test_wide_problems_use_working_sets() -> None:
    rng = np.random.default_rng(3)
    design, target = rng.standard_normal((60, 3000)), rng.standard_normal(60)
    critical = float(np.abs(design.T @ target).max())
    groups = [list(range(j, j + 5)) for j in range(0, 3000, 5)]
    for penalty in (
        so.L1(0.4 * critical, positive=True),
        so.L1(0.3 * critical) + so.Ridge(5.0),
        so.SparseGroupL1(0.2 * critical, 0.3 * critical, groups),
    ):
        solution = solved(design, target, penalty)
        assert 0 < len(solution.answer.support) < 100
        assert len(solution.certificate.undecided) == 0


def test_a_wrong_adjoint_proves_nothing_false() -> None:
    """Engines use it, the judge does not."""
    operator = LinearOperator(
        (15, 12),
        matvec=lambda x: DESIGN @ np.ravel(x),
        rmatvec=lambda t: -DESIGN.T @ t,
        dtype=float,
    )
    expected = solved(DESIGN, TARGET, so.L1(1.0)).certificate
    found = so.solve(so.SparseRegression(operator, TARGET, so.L1(1.0))).certificate
    assert found.dual <= expected.primal
    assert found.primal >= expected.dual


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array, aslinearoperator])
def test_odd_shapes_zeros_and_strengths_of_zero(form: Any, weighted: bool) -> None:
    for design, target in (
        (np.ones((1, 1)), [2.0]),
        (np.zeros((2, 3)), [1.0, 2.0]),
        (np.ones((3, 4)), np.zeros(3)),
        (np.ones((2, 2)), [1.0, 1.0]),
    ):
        n = design.shape[1]
        group = [list(range(n))]
        for penalty in (
            so.L1(0.1, np.zeros(n)),
            so.L1(0.1, [0] + [1] * (n - 1), positive=True),
            so.L1(0.0, positive=True),
            so.GroupL1(0.1, group, positive=True),
            so.Ridge(0.1),
            so.Ridge(0.0),
            so.L1(0.1) + so.Ridge(0.1),
            so.SparseGroupL1(0.1, 0.1, group),
            so.SparseGroupL1(0.0, 0.0, group),
            so.TotalVariation(0.1),
            so.TotalVariation(0.0),
            so.NuclearNorm(0.1, (1, n)),
            so.NuclearNorm(0.0, (1, n)),
            so.NuclearNorm(0.1, (n, 1)) + so.Ridge(0.1),
        ):
            rows = np.arange(1.0, len(target) + 1.0) if weighted else None
            solution = so.solve(so.SparseRegression(form(design), target, penalty, rows))
            assert solution.status is so.Status.VERIFIED
