"""Penalties lost among roundings: judged as none, against least squares in rationals."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import sparseopt as so
from sparseopt.inverse.kinds import gap_of

STRENGTHS = (1e-12, 1e-18, 1e-25, 1e-60, 1e-300)
GROUPS = [[0, 1, 2], [3, 4]]


def least_error(design: np.ndarray, target: np.ndarray, weights: Any = None) -> Fraction:
    """Return the least 1/2 sum w (A x - y)^2, by elimination on the normal equations."""
    v = [Fraction(1)] * len(target) if weights is None else [Fraction(float(w)) for w in weights]
    rows = [[Fraction(float(a)) for a in row] for row in design]
    y = [Fraction(float(b)) for b in target]
    n = len(rows[0])
    table = [
        [sum(w * r[i] * r[j] for w, r in zip(v, rows, strict=True)) for j in range(n)]
        + [sum(w * r[i] * b for w, r, b in zip(v, rows, y, strict=True))]
        for i in range(n)
    ]
    square = sum(w * b * b for w, b in zip(v, y, strict=True))
    pull = [row[-1] for row in table]
    x, used = [Fraction(0)] * n, []
    for column in range(n):
        pivot = next((i for i in range(len(used), n) if table[i][column]), None)
        if pivot is None:
            continue
        k = len(used)
        table[k], table[pivot] = table[pivot], table[k]
        table[k] = [a / table[k][column] for a in table[k]]
        for i in range(n):
            if i != k and table[i][column]:
                factor = table[i][column]
                table[i] = [a - factor * b for a, b in zip(table[i], table[k], strict=True)]
        used.append(column)
    for k, column in enumerate(used):
        x[column] = table[k][-1]
    return (square - sum(a * b for a, b in zip(x, pull, strict=True))) / 2


def data(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    design, target = rng.integers(-9, 10, (9, 5)).astype(float), rng.integers(-9, 10, 9) * 1.0
    if kind == "twice":
        design[:, 4] = design[:, 1]
    if kind == "dependent":
        design[:, 4] = design[:, 1] - 2.0 * design[:, 0]
    if kind == "zeros":
        design[:, 2] = 0.0
    if kind == "units":
        design = design * 2.0 ** np.array([0, 30, -30, 10, -10])
    return design, target


def penalties(strength: float) -> dict[str, so.Penalty]:
    return {
        "l1": so.L1(strength),
        "weighted": so.L1(strength, weights=[0.0, 1.0, 2.0, 3.0, 4.0]),
        "groups": so.GroupL1(strength, GROUPS),
        "both": so.SparseGroupL1(strength, strength, GROUPS),
        "net": so.L1(strength) + so.Ridge(strength),
        "ridge": so.Ridge(strength),
        "variation": so.TotalVariation(strength),
        "nuclear": so.NuclearNorm(strength, (5, 1)),
    }


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", list(penalties(1.0)))
def test_a_tall_design_is_proved_at_any_strength(name: str, strength: float) -> None:
    design, target = data("plain")
    solution = so.solve(so.SparseRegression(design, target, penalties(strength)[name]))
    assert solution.status is so.Status.VERIFIED
    least = least_error(design, target)
    assert Fraction(solution.certificate.primal) >= least
    room = Fraction(100 * strength)
    assert Fraction(solution.certificate.dual) <= least + room
    again = so.Solution.from_json(solution.to_json())
    assert so.verify(again).ok


@pytest.mark.parametrize("kind", ["twice", "dependent", "units"])
@pytest.mark.parametrize("strength", [1e-40, 1e-200])
def test_columns_that_depend_or_differ_in_size(kind: str, strength: float) -> None:
    design, target = data(kind)
    for penalty in (so.L1(strength), so.Ridge(strength), so.GroupL1(strength, GROUPS)):
        solution = so.solve(so.SparseRegression(design, target, penalty))
        assert solution.status is so.Status.VERIFIED
        assert Fraction(solution.certificate.dual) <= least_error(design, target)


def test_columns_of_zeros() -> None:
    design, target = data("zeros")
    solution = so.solve(so.SparseRegression(design, target, so.L1(1e-40)))
    assert solution.status is so.Status.VERIFIED
    assert solution.answer.x[2] == 0.0


@pytest.mark.parametrize("strength", [1e-14, 1e-40])
def test_weights_of_rows_and_other_designs(strength: float) -> None:
    design, target = data("plain")
    weights = np.arange(1.0, 10.0)
    problem = so.SparseRegression(design, target, so.L1(strength), sample_weights=weights)
    solution = so.solve(problem)
    assert solution.status is so.Status.VERIFIED
    least = least_error(design, target, weights)
    assert Fraction(solution.certificate.dual) <= least + Fraction(100 * strength)
    for other in (
        scipy.sparse.csr_array(design),
        scipy.sparse.linalg.aslinearoperator(design),
        design.astype(np.float32),
        design + 1j * design[::-1],
    ):
        found = so.solve(so.SparseRegression(other, target, so.L1(strength)))
        assert found.status is so.Status.VERIFIED


@pytest.mark.parametrize("strength", STRENGTHS)
def test_positive_coefficients_and_a_single_column(strength: float) -> None:
    design, target = data("plain")
    for shape in ((9, 5), (9, 1), (5, 5), (1, 1)):
        part = design[: shape[0], : shape[1]]
        problem = so.SparseRegression(part, target[: shape[0]], so.L1(strength, positive=True))
        assert so.solve(problem).status is so.Status.VERIFIED


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_ridge_on_a_wide_design_of_any_rank(strength: float) -> None:
    design, target = data("plain")
    wide, twice = design.T, np.vstack([design.T[:3], design.T[:2]])
    for rows in (wide, twice):
        for problem in (
            so.SparseRegression(rows, target[:5], so.Ridge(strength)),
            so.SparseRegression(rows, target[:5], so.Ridge(strength), [1.0, 2.0, 3.0, 4.0, 5.0]),
        ):
            assert so.solve(problem).status is so.Status.VERIFIED


@pytest.mark.parametrize("strength", [*STRENGTHS, 1e-28])
def test_square_root_lassos(strength: float) -> None:
    design, target = data("plain")
    solution = so.solve(so.SquareRootLasso(design, target, strength))
    assert solution.status is so.Status.VERIFIED
    least = 2 * least_error(design, target)
    assert Fraction(solution.certificate.dual) ** 2 <= least * (1 + Fraction(1, 10**9))
    if strength < 1e-20:
        assert Fraction(solution.certificate.dual) ** 2 <= least


@pytest.mark.parametrize("seed", range(40))
def test_no_dual_point_proves_more_than_there_is(seed: int) -> None:
    """Whatever the point and the strength, the bound stays below the least error and penalty."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    design = rng.integers(-3, 4, (m, n)) * 2.0 ** rng.integers(-20, 20, n)
    design[:, 0] += not design.any()
    target = rng.integers(-5, 6, m) + 0.5
    strength = float(10.0 ** rng.integers(-40, -10))
    x, *_ = np.linalg.lstsq(design, target, rcond=None)
    # The optimum costs no more than these coefficients do, each number taken exactly.
    rest = [
        Fraction(float(b))
        - sum(Fraction(float(a)) * Fraction(float(v)) for a, v in zip(row, x, strict=True))
        for row, b in zip(design, target, strict=True)
    ]
    most = sum(r * r for r in rest) / 2 + Fraction(strength) * sum(
        abs(Fraction(float(v))) for v in x
    )
    kinds = [so.L1(strength), so.GroupL1(strength, [list(range(n))]), so.TotalVariation(strength)]
    for penalty in [*kinds, so.NuclearNorm(strength, (n, 1))]:
        gap = gap_of(so.SparseRegression(design, target, penalty))
        scaled = gap.scaled
        primal = gap.primal(scaled.coefficients(x))
        for shift in (0.0, 1e-16, 1e-12, 1e-6, 1.0):
            t = (scaled.target - scaled.design @ scaled.coefficients(x))[None]
            t = t + shift * rng.standard_normal(t.shape)
            look = gap.look(t)
            if gap.penalised and gap.feasible(look.reach).all():
                bound = scaled.original_below(gap.bounds(primal, t, look).dual)
                assert Fraction(bound) <= most


@pytest.mark.parametrize("strength", [1e-3, 1e-7, 1e-11, 1e-15])
@pytest.mark.parametrize("ridge", [0.0, 1.0])
@pytest.mark.parametrize("is_complex", [False, True])
def test_nuclear_norms_of_interpolants(strength: float, ridge: float, is_complex: bool) -> None:
    """What is seen of a matrix in turned coordinates is completed by zeros, shrunk a little."""
    rng = np.random.default_rng(3)
    draws = rng.standard_normal((2, 4, 4))
    if is_complex:
        draws = draws + 1j * rng.standard_normal((2, 4, 4))
    left, right = (np.linalg.qr(draw)[0] for draw in draws)
    seen = np.array([3.0, 2.0, 1.0])
    # Row k takes the inner product with u_k v_k^H, so that |x|_* is at least their sum, shrunk.
    rows = [np.outer(left[:, k], right[:, k].conj()).conj().ravel() for k in range(3)]
    penalty = so.NuclearNorm(strength, (4, 4)) + so.Ridge(ridge * strength)
    solution = so.solve(so.SparseRegression(np.stack(rows), seen, penalty))
    assert solution.status is so.Status.VERIFIED
    shrunk = (seen - strength) / (1.0 + ridge * strength)
    least = 0.5 * np.sum((seen - shrunk) ** 2) + strength * np.sum(shrunk + 0.5 * ridge * shrunk**2)
    assert solution.certificate.primal == pytest.approx(least, rel=1e-11)
    assert solution.certificate.dual == pytest.approx(least, rel=1e-11)
    expected = (left[:, :3] * shrunk) @ right[:, :3].conj().T
    np.testing.assert_allclose(solution.answer.x.reshape(4, 4), expected, atol=1e-7)


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_faint_nuclear_norms_are_verified(kind: int, seed: int) -> None:
    """Fewer rows than coefficients: the objective is next to nothing, and proved to 1e-12."""
    rng = np.random.default_rng(10 * seed + kind)
    p, q = (int(v) for v in rng.integers(2, 5, 2))
    m = int(rng.integers(1, p * q))
    design, target = rng.standard_normal((m, p * q)), rng.standard_normal(m)
    if kind == 1:
        design, target = np.rint(3.0 * design), np.rint(3.0 * target) + 0.5
    if kind == 2:
        design = design + 1j * rng.standard_normal((m, p * q))
    penalty = so.NuclearNorm(float(10.0 ** rng.uniform(-16, -3)), (p, q))
    solution = so.solve(so.SparseRegression(design, target, penalty))
    assert solution.status is so.Status.VERIFIED
    assert so.verify(so.Solution.from_json(solution.to_json())).ok
