"""Least squares on a support against rationals, NumPy and its laws."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from forgeries_known_support import distances_are_over_norms

import sparseopt as so
from sparseopt.judging.exact import eliminate


def solved(*data: Any) -> Any:
    solution = so.solve(so.KnownSupportRegression(*data))
    assert solution.status is so.Status.VERIFIED
    assert so.verify(so.from_json(so.to_json(solution))).ok
    return solution


def shortest(design: np.ndarray, target: np.ndarray) -> tuple[list[Fraction], Fraction, int]:
    """Return the minimiser of least norm, the minimum and the rank, in rationals."""
    a = [[Fraction(v) for v in row] for row in design.tolist()]
    y = [Fraction(v) for v in target.tolist()]
    m, n = design.shape
    columns = list(zip(*a, strict=True))

    def dot(u: Any, v: Any) -> Fraction:
        return sum((p * q for p, q in zip(u, v, strict=True)), Fraction(0))

    gram = [[dot(p, q) for q in columns] for p in columns]
    # x = A^T w with A^T A A^T w = A^T y.
    rows = [[dot(gram[i], row) for row in a] + [dot(columns[i], y)] for i in range(n)]
    w = [Fraction(0)] * m
    pivots = eliminate(rows, m)
    for row, pivot in zip(rows, pivots, strict=False):
        w[pivot] = row[m]
    x = [dot(column, w) for column in columns]
    residual = [t - dot(row, x) for row, t in zip(a, y, strict=True)]
    return x, dot(residual, residual) / 2, len(pivots)


@pytest.mark.parametrize("seed", range(40))
def test_against_rationals(seed: int) -> None:
    r = np.random.default_rng(seed)
    m, n = int(r.integers(1, 6)), int(r.integers(1, 6))
    design = r.integers(-3, 4, (m, n)).astype(float)
    if seed % 2 and n > 1:
        design[:, 0] = design[:, 1:].sum(axis=1)
    target = r.integers(-5, 6, m).astype(float)
    x, least, rank = shortest(design, target)
    solution = solved(design, target, range(n))
    certificate, answer = solution.certificate, solution.answer
    assert answer.rank == rank
    assert answer.rank_deficient == (rank < n)
    assert np.allclose(answer.x, [float(v) for v in x], atol=1e-12)
    found = [Fraction(v) for v in answer.x.tolist()]
    rows = [[Fraction(v) for v in row] for row in design.tolist()]
    loss = sum(
        (Fraction(t) - sum(a * b for a, b in zip(row, found, strict=True))) ** 2
        for row, t in zip(rows, target, strict=True)
    )
    if certificate.distance == 0.0:
        assert loss / 2 <= Fraction(certificate.primal)
        assert Fraction(certificate.dual) <= least
        assert loss / 2 - least <= Fraction(certificate.gap)
        assert Fraction(certificate.least_norm) ** 2 <= sum(v * v for v in x)
    assert sum(v * v for v in found) <= Fraction(certificate.norm) ** 2


@pytest.mark.parametrize(("m", "k", "rank"), [(30, 10, 10), (30, 40, 30), (30, 12, 4), (9, 9, 3)])
def test_against_the_pseudoinverse(m: int, k: int, rank: int) -> None:
    r = np.random.default_rng(0)
    design = r.standard_normal((m, k))
    if rank < min(m, k):
        design = r.standard_normal((m, rank)) @ r.standard_normal((rank, k))
    target = r.standard_normal(m)
    solution = solved(design, target, range(k))
    assert np.allclose(solution.answer.x, np.linalg.pinv(design) @ target, atol=1e-10)
    assert solution.answer.rank == rank
    assert solution.answer.rank_deficient == (rank < k)
    assert solution.certificate.relative_distance < 1e-13


def test_lesson_three() -> None:
    answer = solved([[1, 1, 0], [1, 1, 1]], [2, 4], [0, 1]).answer
    assert np.allclose(answer.x, [1.5, 1.5, 0.0], atol=1e-15)
    assert (answer.rank, answer.rank_deficient) == (1, True)
    assert answer.support.tolist() == [0, 1]
    # Another minimiser: it is accepted as one, and no more than that is claimed of its norm.
    problem = so.KnownSupportRegression([[1, 1, 0], [1, 1, 1]], [2, 4], [0, 1])
    other = so.KnownSupportCertificate.build(
        problem, np.array([3.0, 0.0]), np.array([0]), np.array([[1.0, 1.0]]), np.ones(1)
    )[1]
    assert so.verify(other).ok
    assert other.relative_gap < 1e-12
    assert other.norm_gap == pytest.approx(np.sqrt(2) - 1, rel=1e-12)


def test_scales_and_arrays() -> None:
    r = np.random.default_rng(1)
    design, target = r.standard_normal((12, 6)), r.standard_normal(12)
    right = np.linalg.lstsq(design[:, [1, 4]], target)[0]
    mask = [False, True, False, False, True, False]
    for data in (
        (design, target, [4, 1]),
        (design, target, np.array([1, 4], dtype=np.uint8)),
        (design, target, mask),
        (scipy.sparse.csr_array(design), target, [1, 4]),
        (np.asfortranarray(design), target, [1, 4]),
    ):
        assert np.allclose(solved(*data).answer.x[[1, 4]], right, atol=1e-13)
    for a, b in ((1e148, 1e-130), (1e-130, 1e140)):
        assert np.allclose(solved(a * design, b * target, [1, 4]).answer.x[[1, 4]] * (a / b), right)
    single = solved(design.astype(np.float32), target.astype(np.float32), [1, 4])
    assert np.allclose(single.answer.x[[1, 4]], right, atol=1e-5)
    zero = solved(design, 0.0 * target, [1, 4])
    assert not zero.answer.x.any()
    assert zero.certificate.gap == 0.0
    spread = design * np.logspace(-9, 9, 6)
    assert solved(spread, target, range(6)).certificate.accuracy < 1e-12
    assert solved([[2.0]], [4.0], [0]).answer.x == pytest.approx(2.0)
    nothing = solved(np.zeros((3, 2)), [1.0, 2.0, 3.0], [0, 1])
    assert (nothing.answer.rank, nothing.answer.rank_deficient) == (0, True)


@pytest.mark.parametrize(
    ("support", "words"),
    [
        ([], "support is empty"),
        ([0, 3], "entry 1 of support is 3, but the design has columns 0 to 2"),
        ([-1], "entry 0 of support is -1"),
        ([0, 0], "names column 0 twice"),
        ([0.5], "must be a list of column numbers"),
        ([[0]], "must be a list of column numbers"),
        ("a", "must be a list of column numbers"),
        ([True, False], "must be a list of column numbers, or 3 booleans"),
        ([[0], [1, 2]], "must be a list of column numbers"),
    ],
)
def test_bad_supports(support: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.KnownSupportRegression(np.eye(3), np.ones(3), support)


@pytest.mark.parametrize(
    "build",
    [
        lambda: so.SupportedCoefficients(np.zeros(2), True, False),
        lambda: so.SupportedCoefficients(np.zeros(2), -1, False),
        lambda: so.SupportedCoefficients(np.zeros(2), 1, 0),
        lambda: so.SupportedCoefficients([np.nan], 1, False),
    ],
)
def test_bad_answers(build: Callable[[], Any]) -> None:
    with pytest.raises(so.ProblemError):
        build()


def test_a_distance_is_over_the_norm_of_a_column() -> None:
    assert distances_are_over_norms()


def test_columns_below_the_normal_floats_have_units_of_their_own() -> None:
    small = np.array([2.0**-1030, 2.0**-1029])
    design = np.column_stack([small, np.ones(2)])
    solution = so.solve(so.KnownSupportRegression(design, small * 2.0**535, [0]))
    assert solution.answer.x.tolist() == [2.0**535, 0.0]
    assert solution.answer.rank == 1
    assert so.verify(so.Solution.from_json(solution.to_json())).ok
