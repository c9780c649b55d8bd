"""Fixed-support factorization: optimal values by hand, bounds, valleys at infinity, forgeries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import sparseopt as so
from sparseopt.supports.components import components, is_tractable

LU = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
HEURISTICS = ["alternating_least_squares", "gradient_descent"]


def brute_force_tractable(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether rectangles are pairwise disjoint or identical, cell by cell."""
    cells = [
        frozenset(itertools.product(np.flatnonzero(left[:, k]), np.flatnonzero(right[k])))
        for k in range(left.shape[1])
    ]
    return all(not (p & q) or p == q for p, q in itertools.combinations(cells, 2))


def optimum(target: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """Return the optimal error for tractable supports, from full SVDs of the distinct blocks."""
    rest = np.abs(target.astype(complex)) ** 2
    total = 0.0
    seen: dict[tuple[bytes, bytes], int] = {}
    for k in range(left.shape[1]):
        if left[:, k].any() and right[k].any():
            key = left[:, k].tobytes(), right[k].tobytes()
            seen[key] = seen.get(key, 0) + 1
    for (rows, columns), rank in seen.items():
        chosen = np.ix_(np.frombuffer(rows, bool), np.frombuffer(columns, bool))
        singular = np.linalg.svd(target[chosen], compute_uv=False)
        total += float(np.sum(singular[rank:].astype(float) ** 2))
        rest[chosen] = 0
    return math.sqrt(total + rest.sum())


@st.composite
def tractable(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a target with supports of disjoint or identical rectangles, terms in any order."""
    m, n = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    row_class, column_class = rng.integers(0, 3, m), rng.integers(0, 3, n)
    terms = [(p, q) for p in range(3) for q in range(3) for _ in range(rng.integers(0, 3))]
    terms = [terms[i] for i in rng.permutation(len(terms))] or [(0, 0)]
    left = np.array([row_class == p for p, _ in terms]).T
    right = np.array([column_class == q for _, q in terms])
    target = rng.standard_normal((m, n))
    if draw(st.booleans()):
        target = target + 1j * rng.standard_normal((m, n))
    return target, left, right


@settings(max_examples=60, deadline=None)
@given(tractable())
def test_tractable_supports_are_solved_optimally(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    target, left, right = case
    solution = so.solve(so.FixedSupportFactorization(target, [left, right]))
    assert solution.solver == "block_svd"
    assert solution.answer.attainment == "attained"
    best = optimum(target, left, right)
    assert solution.certificate.error == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert np.linalg.norm(target - solution.answer.to_dense()) == pytest.approx(
        best, rel=1e-9, abs=1e-12
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6))
def test_tractability_and_components_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, r, n = rng.integers(1, 5, 3)
    left, right = rng.random((m, r)) < 0.5, rng.random((r, n)) < 0.5
    assert is_tractable(left, right) == brute_force_tractable(left, right)
    found = components(left, right)
    covered = np.zeros((m, n), dtype=int)
    for terms, cells in found:
        np.testing.assert_array_equal(cells, left[:, terms].astype(int) @ right[terms] > 0)
        covered += cells
    assert covered.max(initial=0) <= 1
    np.testing.assert_array_equal(covered > 0, left.astype(int) @ right.astype(int) > 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_no_product_is_below_the_lower_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, r, n = rng.integers(1, 5, 3)
    left, right = rng.random((m, r)) < 0.6, rng.random((r, n)) < 0.6
    target = rng.standard_normal((m, n))
    problem = so.FixedSupportFactorization(target, [left, right])
    x, y = left * rng.standard_normal((m, r)), right * rng.standard_normal((r, n))
    bound = so.FixedSupportCertificate(problem, so.SupportedFactors(x, y)).lower_bound
    for _ in range(20):
        y = right * np.linalg.lstsq(x, target, rcond=None)[0]
        x = left * np.linalg.lstsq(y.T, target.T, rcond=None)[0].T
        assert np.linalg.norm(target - x @ y) >= bound * (1 - 1e-14)


def test_the_closed_form_of_a_rank_one_block() -> None:
    target = np.array([[3.0, 0.0], [0.0, 4.0]])
    problem = so.FixedSupportFactorization(target, [[[1], [1]], [[1, 1]]])
    assert so.solve(problem).certificate.error == pytest.approx(3.0)


def test_integers_float32_and_other_layouts() -> None:
    block = [[1, 0], [1, 0], [0, 1]], [[1, 1, 0], [0, 0, 1]]
    target = np.arange(9).reshape(3, 3)
    base = so.solve(so.FixedSupportFactorization(target, block)).certificate.error
    wide = np.zeros((3, 6), dtype=np.float32)
    wide[:, ::2] = target
    for same in (np.asfortranarray(target.astype(float)), wide[:, ::2]):
        solution = so.solve(so.FixedSupportFactorization(same, block))
        assert solution.certificate.error == pytest.approx(base, rel=1e-6)
    assert solution.answer.left.dtype == np.float32


@pytest.mark.parametrize("scale", [1e-120, 1e120])
def test_far_scales(scale: float) -> None:
    target = np.array([[1.0, 2.0], [3.0, 4.0]]) * scale
    solution = so.solve(so.FixedSupportFactorization(target, [[[1], [1]], [[1, 1]]]))
    best = np.linalg.svd(target / scale, compute_uv=False)[1]
    assert solution.certificate.error == pytest.approx(best * scale, rel=1e-6)


def test_degenerate_supports() -> None:
    zero = so.solve(so.FixedSupportFactorization(np.ones((2, 3)), [[[0], [0]], [[1, 1, 1]]]))
    assert zero.certificate.error == pytest.approx(math.sqrt(6))
    assert not zero.answer.left.any()
    one = so.solve(so.FixedSupportFactorization([[2.0]], [[[1]], [[1]]]))
    assert one.certificate.error == pytest.approx(0.0, abs=1e-14)
    many = so.FixedSupportFactorization(np.ones((2, 2)), [np.ones((2, 5)), np.ones((5, 2))])
    assert so.solve(many).certificate.error == pytest.approx(0.0, abs=1e-13)
    assert (
        so.solve(
            so.FixedSupportFactorization(np.zeros((2, 2)), [np.ones((2, 1)), np.ones((1, 2))])
        ).certificate.relative_error
        == 0.0
    )


@pytest.mark.parametrize("solver", HEURISTICS)
def test_an_lu_product_is_reached(solver: str) -> None:
    target = np.array([[2.0, 1.0], [1.0, 3.0]])
    solution = so.solve(so.FixedSupportFactorization(target, LU), solver)
    assert solution.certificate.relative_error < 1e-6


@pytest.mark.parametrize("solver", HEURISTICS)
def test_the_infimum_of_the_exchange_is_not_attained(solver: str) -> None:
    solution = so.solve(so.FixedSupportFactorization([[0, 1], [1, 0]], LU), solver)
    assert solution.answer.attainment in ("not_attained", "suspected_not_attained")
    assert solution.certificate.closedness is not None
    assert so.verify(solution).ok
    assert np.linalg.norm(solution.answer.left) > 3


@pytest.mark.parametrize("solver", HEURISTICS)
def test_a_coercive_weight_keeps_the_factors_bounded(solver: str) -> None:
    problem = so.FixedSupportFactorization([[0, 1], [1, 0]], LU)
    free = so.solve(problem, solver).answer
    bounded = so.solve(problem, solver, coercive=1e-2).answer
    assert np.linalg.norm(bounded.left) < np.linalg.norm(free.left)


@pytest.mark.parametrize("solver", HEURISTICS)
def test_heuristics_match_the_optimum_where_it_is_known(solver: str) -> None:
    target = np.random.default_rng(0).standard_normal((5, 4))
    full = np.ones((5, 2), dtype=bool), np.ones((2, 4), dtype=bool)
    solution = so.solve(so.FixedSupportFactorization(target, full), solver)
    assert solution.certificate.error == pytest.approx(optimum(target, *full), 1e-5)


def test_complex_targets_need_least_squares() -> None:
    rng = np.random.default_rng(0)
    target = rng.standard_normal((5, 4)) + 1j * rng.standard_normal((5, 4))
    full = np.ones((5, 2), dtype=bool), np.ones((2, 4), dtype=bool)
    problem = so.FixedSupportFactorization(target, full)
    found = so.solve(problem, "alternating_least_squares").certificate
    assert found.error == pytest.approx(optimum(target, *full), 1e-5)
    with pytest.raises(so.SolveError, match="complex"):
        so.solve(problem, "gradient_descent")


@pytest.mark.parametrize(
    ("target", "supports", "message"),
    [
        (np.ones((2, 2)), [[[1], [1]]], "two 0/1 matrices"),
        (np.ones((2, 2)), [[[1], [2]], [[1, 1]]], "only 0 and 1"),
        (np.ones((2, 2)), [[[1, 1], [1, 1]], [[1, 1]]], "do not chain"),
        (np.ones((3, 2)), [[[1], [1]], [[1, 1]]], "shape"),
        (np.ones((0, 2)), [[[1]], [[1, 1]]], "non-empty"),
        (np.ones(2), [[[1]], [[1, 1]]], "non-empty matrix"),
        (np.array([[np.inf, 1]]), [[[1]], [[1, 1]]], "inf"),
        (np.array([["a"]]), [[[1]], [[1]]], "dtype"),
        (np.array([[1.0]], dtype=np.float16), [[[1]], [[1]]], "float32"),
    ],
)
def test_bad_input(target: np.ndarray, supports: list, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(so.ProblemError, match=message):
        so.FixedSupportFactorization(target, supports)


@pytest.mark.parametrize("solver", HEURISTICS)
@pytest.mark.parametrize("options", [{"restarts": 0}, {"coercive": -1.0}])
def test_bad_options(solver: str, options: dict[str, float]) -> None:
    with pytest.raises(so.ProblemError):
        so.solve(so.FixedSupportFactorization([[0, 1], [1, 0]], LU), solver, **options)
