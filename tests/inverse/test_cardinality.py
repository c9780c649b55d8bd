"""Best subsets against all supports in rationals, and what the greedy methods recover."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import sparseopt as so
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.subset_bounds import Subsets
from sparseopt.judging.exact import eliminate

CASES = json.loads((Path(__file__).parent / "pursuit_cases.json").read_text())
GREEDY = ["omp", "cosamp", "iht", "htp"]


def solved(design: Any, target: Any, size: int, solver: str | None = None) -> Any:
    solution = so.solve(so.CardinalityRegression(design, target, size), solver)
    assert solution.status is so.Status.VERIFIED, solution.plan
    assert so.verify(so.from_json(so.to_json(solution))).ok
    return solution


def least(design: np.ndarray, target: np.ndarray, size: int) -> Fraction:
    """Return the least objective over all supports of a size, in rationals."""
    columns = [[Fraction(v) for v in column] for column in design.T.tolist()]
    y = [Fraction(v) for v in target.tolist()]

    def dot(u: Any, v: Any) -> Fraction:
        return sum((p * q for p, q in zip(u, v, strict=True)), Fraction(0))

    best = dot(y, y)
    for chosen in itertools.combinations(columns, size):
        rows = [[*(dot(a, b) for b in chosen), dot(a, y)] for a in chosen]
        pivots = eliminate(rows, size)
        x = [Fraction(0)] * size
        for row, pivot in zip(rows, pivots, strict=False):
            x[pivot] = row[size]
        best = min(best, dot(y, y) - sum(c * dot(a, y) for c, a in zip(x, chosen, strict=True)))
    return best / 2


@pytest.mark.parametrize("seed", range(40))
def test_against_all_supports_in_rationals(seed: int) -> None:
    r = np.random.default_rng(seed)
    m, n = int(r.integers(1, 7)), int(r.integers(1, 8))
    size = int(r.integers(1, n + 1))
    design = r.integers(-3, 4, (m, n)).astype(float)
    if seed % 3 == 0:
        design += r.standard_normal((m, n))
    target = r.integers(-5, 6, m).astype(float)
    certificate = solved(design, target, size).certificate
    right = least(design, target, size)
    x = [Fraction(v) for v in certificate.answer.x.tolist()]
    loss = sum(
        (Fraction(t) - sum(Fraction(a) * v for a, v in zip(row, x, strict=True))) ** 2
        for row, t in zip(design.tolist(), target.tolist(), strict=True)
    )
    assert loss / 2 <= Fraction(certificate.primal)
    assert Fraction(certificate.dual) <= right <= loss / 2
    assert float(right) == pytest.approx(certificate.primal, rel=1e-12, abs=1e-13)


def test_public_cases() -> None:
    case = CASES["cardinality"]
    for size, right in case["sizes"].items():
        solution = solved(case["design"], case["target"], int(size))
        x = np.zeros(4)
        for j, value in right["x"].items():
            x[int(j)] = value
        assert np.allclose(solution.answer.x, x, atol=1e-14)
        assert solution.answer.support.tolist() == np.flatnonzero(x).tolist()
        assert solution.certificate.primal == pytest.approx(right["objective"], abs=1e-14)
    case = CASES["thresholding"]
    for size, objective in case["sizes"].items():
        for solver in (None, *GREEDY):
            problem = so.CardinalityRegression(np.eye(5), case["target"], int(size))
            answer = so.solve(problem, solver).answer
            kept = np.where(np.arange(5) < int(size), case["target"], 0.0)
            assert np.allclose(answer.x, kept, atol=1e-14)
            assert problem.evaluate(answer)["objective"] == pytest.approx(objective)


@pytest.mark.parametrize("solver", GREEDY)
@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e100])
def test_greedy_methods_recover_what_is_sparse_enough(solver: str, factor: float) -> None:
    """Also in other units, and with columns of very different norms."""
    r = np.random.default_rng(1)
    design = r.standard_normal((60, 120))
    x = np.zeros(120)
    x[r.choice(120, 6, replace=False)] = 1.0 + r.random(6)
    scales = 10.0 ** r.uniform(-3, 3, 120)
    problem = so.CardinalityRegression(design * scales, factor * (design @ x), 6)
    solution = so.solve(problem, solver)
    assert np.allclose(solution.answer.x * scales / factor, x, atol=1e-9)
    # The objective is as good as 0, and no objective is negative.
    assert solution.status is so.Status.VERIFIED


@pytest.mark.parametrize("solver", GREEDY)
def test_greedy_answers_claim_no_more_than_is_proved(solver: str) -> None:
    r = np.random.default_rng(0)
    design, target = r.standard_normal((10, 30)), r.standard_normal(10)
    best = solved(design, target, 3)
    solution = so.solve(so.CardinalityRegression(design, target, 3), solver)
    assert solution.status is so.Status.WEAK
    assert len(solution.answer.support) <= 3
    assert solution.certificate.primal >= best.certificate.dual
    assert solution.certificate.dual <= best.certificate.primal
    tall = so.solve(so.CardinalityRegression(design.T, np.arange(30.0), 3), solver)
    assert 0 < tall.certificate.dual <= tall.certificate.primal
    zero = so.solve(so.CardinalityRegression(design, 0 * target, 3), solver)
    assert not zero.answer.x.any()
    nothing = so.solve(so.CardinalityRegression(0 * design, target, 3), solver)
    assert not nothing.answer.x.any()


def test_orthogonal_matching_pursuit_divides_by_the_norms() -> None:
    """The second column correlates more only because it is longer."""
    design = np.array([[1.0, 10.0], [0.0, 10.0]])
    answer = so.solve(so.CardinalityRegression(design, [1.0, 0.0], 1), "omp").answer
    assert answer.support.tolist() == [0]


def test_what_greed_misses() -> None:
    """Two columns fit exactly, but a third one correlates most with the target."""
    design = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.1]])
    target = [1.0, 1.0, 0.0]
    assert so.solve(so.CardinalityRegression(design, target, 2), "omp").answer.support[-1] == 2
    assert solved(design, target, 2).answer.support.tolist() == [0, 1]


def test_dependent_columns() -> None:
    r = np.random.default_rng(0)
    design, target = r.standard_normal((8, 5)), r.standard_normal(8)
    right = solved(design, target, 2).certificate.primal
    for more in (design, -design, 0 * design, 2 * design):
        wide = np.hstack([design, more])
        assert solved(wide, target, 2).certificate.primal == pytest.approx(right, rel=1e-12)
    thrice = np.column_stack([design[:3, 0], 2 * design[:3, 0], design[:3, 1]])
    assert solved(thrice, target[:3], 3).certificate.dual > 0
    ones = solved(np.ones((4, 5)), [1, 2, 3, 4], 2)
    assert ones.certificate.primal == pytest.approx(2.5, rel=1e-13)
    zeros = solved(np.zeros((4, 5)), [1, 2, 3, 4], 2)
    assert zeros.certificate.primal == pytest.approx(15, rel=1e-13)
    assert solved(design, 0 * target, 2).certificate.gap == 0.0


def test_scales_and_arrays() -> None:
    r = np.random.default_rng(3)
    design, target = r.standard_normal((8, 9)), r.standard_normal(8)
    right = solved(design, target, 3).answer.x
    for a, b in ((1e148, 1e-130), (1e-130, 1e140), (1.0, 1e-12)):
        assert np.allclose(solved(a * design, b * target, 3).answer.x * (a / b), right, rtol=1e-9)
    spread = 10.0 ** r.uniform(-6, 6, 9)
    assert np.allclose(solved(design * spread, target, 3).answer.x * spread, right, rtol=1e-9)
    for kind in (scipy.sparse.csr_array(design), np.asfortranarray(design), design.tolist()):
        assert np.allclose(solved(kind, target, 3).answer.x, right, atol=1e-12)
    single = solved(design.astype(np.float32), target, 3)
    assert single.answer.support.tolist() == np.flatnonzero(right).tolist()
    assert solved([[2.0]], [4.0], 1).answer.x == pytest.approx(2.0)


@pytest.mark.parametrize("solver", [*GREEDY, "best_subset"])
@pytest.mark.parametrize(
    "powers", [(330, -330, 330, -330, 0), (0, -530, 0, 0, 0), (-200, 90, 0, 0, 300)]
)
def test_units_of_columns_that_are_far_apart(solver: str, powers: tuple[int, ...]) -> None:
    """Powers of two change nothing but the units of the coefficients, to the last bit."""
    r = np.random.default_rng(0)
    design, target = r.integers(-5, 6, (6, 5)) * 1.0, r.integers(-9, 10, 6) * 1.0
    plain = so.solve(so.CardinalityRegression(design, target, 2), solver).answer
    other = so.solve(so.CardinalityRegression(np.ldexp(design, powers), target, 2), solver)
    assert other.answer.support.tolist() == plain.support.tolist() == [0, 1]
    assert np.ldexp(other.answer.x, powers) == pytest.approx(plain.x, rel=1e-13)
    assert so.verify(other).ok
    assert (other.status is so.Status.VERIFIED) == (solver == "best_subset")


@pytest.mark.parametrize("seed", range(8))
def test_closed_branches_against_all_supports(seed: int) -> None:
    """Tall designs with and without a signal, whose branches are closed by either bound."""
    r = np.random.default_rng(seed)
    design = r.standard_normal((25, 9)) @ (np.eye(9) + 0.3 * r.standard_normal((9, 9)))
    target = r.standard_normal(25)
    if seed % 2:
        target = 0.1 * target + design[:, [2, 5]] @ [1.0, -2.0]
    certificate = solved(design, target, 4).certificate
    values = []
    for chosen in itertools.combinations(range(9), 4):
        part = design[:, list(chosen)]
        values.append(0.5 * np.linalg.norm(target - part @ np.linalg.lstsq(part, target)[0]) ** 2)
    assert certificate.primal == pytest.approx(min(values), rel=1e-12)
    assert certificate.dual <= min(values) * (1 + 1e-12)
    assert sum(len(part) for part in certificate.closed) > 0


def test_more_supports_than_can_be_gone_through() -> None:
    r = np.random.default_rng(0)
    design = r.standard_normal((120, 40))
    target = design[:, :2] @ [3.0, -2.0] + 0.1 * r.standard_normal(120)
    problem = so.CardinalityRegression(design, target, 9)
    plan = str(so.plan(problem))
    assert "2.73e+08 supports of 9 columns, more than 10000000; branch_and_bound" in plan
    assert solved(design, target, 9).solver == "branch_and_bound"
    # More columns than rows leave no bound but 0 for a branch.
    wide = so.CardinalityRegression(r.standard_normal((20, 200)), r.standard_normal(20), 7)
    solution = so.solve(wide)
    assert solution.status is so.Status.WEAK
    assert so.verify(solution).ok
    assert solution.certificate.dual == 0.0


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: so.CardinalityRegression(np.eye(3), np.ones(3), 0), "size is 0; it must lie"),
        (lambda: so.CardinalityRegression(np.eye(3), np.ones(3), 4), "between 1 and the 3 columns"),
        (lambda: so.CardinalityRegression(np.eye(3), np.ones(3), 1.0), "size must be an integer"),
        (lambda: so.CardinalityRegression(np.eye(3), np.ones(3), True), "size must be an integer"),
        (lambda: so.CardinalityRegression(np.eye(3), [1, np.nan, 1], 1), "target has a nan"),
    ],
)
def test_bad_input(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        build()


def test_the_search_leaves_time_for_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_inverse import best_subset

    r = np.random.default_rng(0)
    problem = so.CardinalityRegression(r.standard_normal((30, 12)), r.standard_normal(30), 4)
    search = best_subset._Search(problem, so.Context(time_limit=1000.0))
    search._check_time("bounding branches")
    search.bounding = 900.0  # of the 1000 s; a check would take as long again
    with pytest.raises(so.TimeLimitReached, match="in the check of the bounds"):
        search._check_time("bounding branches")
    # Cut before the third level, what is bounded so far is still proved.
    levels = iter([0.0, 0.0])

    def cut(self: Any, doing: str) -> float:
        for now in levels:
            return now
        raise so.TimeLimitReached("cut")

    monkeypatch.setattr(best_subset._Search, "_check_time", cut)
    answer, certificate = best_subset.BranchAndBound().solve(problem, so.Context())
    assert np.count_nonzero(answer.x) <= 4
    assert 0.0 < certificate.dual < certificate.primal
    assert so.verify(certificate).ok


def test_bounds_of_dependent_columns_are_not_looked_for_where_they_are_expensive() -> None:
    r = np.random.default_rng(0)
    design = r.standard_normal((30, 60))
    solution = so.solve(so.CardinalityRegression(design, r.standard_normal(30), 4), "omp")
    assert solution.certificate.dual == 0.0  # as many columns as rows fit everything
    assert so.verify(solution).ok


def nearly_dependent(kind: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    if kind == "hilbert":
        return np.asarray(1.0 / (1 + np.arange(9)[:, None] + np.arange(8)))
    if kind == "time stamps":
        return 1.7e9 + rng.integers(0, 1000, (9, 8)).astype(float)
    if kind == "large":
        return nearly_dependent("hilbert") * 1e120
    return rng.standard_normal((9, 1)) + 1e-6 * rng.standard_normal((9, 8))


@pytest.mark.parametrize("kind", ["hilbert", "time stamps", "near", "large"])
def test_nearly_dependent_columns_are_bounded_over_the_rationals(kind: str) -> None:
    """The direct bound is below the exact least squares, and not far below."""
    design = nearly_dependent(kind)
    target = np.random.default_rng(4).standard_normal(9)
    problem = so.CardinalityRegression(design, target, 3)
    subsets = Subsets(Fit(problem.system), np.arange(8))
    sets = np.array(list(itertools.combinations(range(8), 3)), dtype=np.int32)
    found = subsets.direct(sets)
    unit = Fraction(4) ** (Fit(problem.system).unit + subsets.target_unit)
    y = [Fraction(v) for v in target.tolist()]
    for places, low in zip(sets[::5].tolist(), found[::5].tolist(), strict=True):
        columns = [[Fraction(v) for v in design[:, j].tolist()] for j in places]
        rows = [
            [sum(a * b for a, b in zip(c, d, strict=True)) for d in (*columns, y)] for c in columns
        ]
        right = [row[-1] for row in rows]
        assert len(eliminate(rows, 3)) == 3
        seen = sum(row[-1] * r for row, r in zip(rows, right, strict=True))
        exact = (sum(v * v for v in y) - seen) / unit
        assert Fraction(low) <= exact
        assert exact - Fraction(low) <= Fraction(1, 10**12)


@pytest.mark.parametrize("kind", ["hilbert", "time stamps", "near"])
def test_the_best_of_nearly_dependent_columns_is_proved(kind: str) -> None:
    target = np.random.default_rng(4).standard_normal(9)
    solution = so.solve(so.CardinalityRegression(nearly_dependent(kind), target, 3))
    assert solution.status is so.Status.VERIFIED
    assert so.verify(so.Solution.from_json(solution.to_json())).ok


def test_dependent_columns_have_no_direct_bound() -> None:
    design = np.ones((4, 5))
    design[0] = np.arange(5.0)
    problem = so.CardinalityRegression(design, [1.0, 2.0, 3.0, 5.0], 2)
    subsets = Subsets(Fit(problem.system), np.arange(5))
    assert subsets.direct(np.array([[0, 1, 2], [0, 1, 4]], dtype=np.int32)).tolist() == [0.0, 0.0]
    five = np.arange(5, dtype=np.int32)[None]
    assert subsets.direct(five).tolist() == [0.0]


def test_products_of_factors_beyond_the_floats_are_refused() -> None:
    factors = [np.full((1, 2, 2, 2), 1e200), np.full((2, 2, 2, 1), 1e200)]
    design = so.KroneckerProduct(factors, so.Architecture.square_dyadic(4))
    for build in (
        lambda: so.CardinalityRegression(design, np.ones(4), 2),
        lambda: so.KnownSupportRegression(design, np.ones(4), [1]),
    ):
        with pytest.raises(so.ProblemError, match=r"may be as large as 2\^1330, beyond float64"):
            build()
    fits = so.KroneckerProduct([factors[0], factors[1] / 1e250], design.architecture)
    solution = so.solve(so.CardinalityRegression(fits, np.ones(4), 1))
    assert solution.answer.x[0] == pytest.approx(1e-150)


def test_coefficients_beyond_the_floats_are_said_so() -> None:
    near = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-13], [0.0, 0.0]])
    problem = so.CardinalityRegression(near * 1e-150, np.array([3e150, 5e149, 1e150]), 2)
    with pytest.raises(so.SolveError, match="coefficients of the answer are beyond float64"):
        so.solve(problem)


def test_columns_of_the_least_floats() -> None:
    problem = so.CardinalityRegression([[5e-324, 0.0], [0.0, 1.0]], [0.0, 2.0], 1)
    assert so.solve(problem).answer.x.tolist() == [0.0, 2.0]
