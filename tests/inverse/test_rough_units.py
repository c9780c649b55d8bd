"""Pursuits whose equations or columns differ in size, or nearly depend: proved entry by entry."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy
import scipy.optimize

import sparseopt as so
from sparseopt.inverse.fit import Fit

NORMS = (1, 2, math.inf)
exact_programs = pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17),
    reason="linear programs of older versions of SciPy end too early",
)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((6, 10)), rng.standard_normal(6)


def hilbert(m: int, n: int) -> np.ndarray:
    return 1.0 / (1.0 + np.arange(m)[:, None] + np.arange(n))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("is_complex", [False, True])
def test_units_of_the_equations_change_nothing(norm: float, is_complex: bool) -> None:
    design, target = data()
    if is_complex:
        design = design + 1j * np.roll(design, 1, 0)
    units = 2.0 ** np.arange(-20, 16, 6)
    plain = so.solve(so.BasisPursuit(design, target, norm=norm))
    found = so.solve(so.BasisPursuit(units[:, None] * design, units * target, norm=norm))
    assert (plain.status, found.status) == (so.Status.VERIFIED, so.Status.VERIFIED)
    assert found.certificate.primal == pytest.approx(plain.certificate.primal, rel=1e-12)


@pytest.mark.parametrize("norm", [pytest.param(1, marks=exact_programs), 2])
def test_units_of_the_columns(norm: float) -> None:
    design, target = data()
    design = design * 10.0 ** np.arange(-10, 10, 2)
    solution = so.solve(so.BasisPursuit(design, target, norm=norm))
    assert solution.status is so.Status.VERIFIED


def test_columns_that_no_linear_program_sees_get_an_answer() -> None:
    design, target = data()
    design = design * 10.0 ** np.arange(-10, 10, 2)
    for noise in (0.0, 0.1):
        solution = so.solve(so.BasisPursuit(design, target, noise=noise, norm=math.inf))
        assert solution.answer.feasible
        assert so.verify(solution).ok
        assert solution.certificate.relative_gap < 0.2


@pytest.mark.parametrize("norm", NORMS)
def test_nearly_dependent_equations(norm: float) -> None:
    assert so.solve(so.BasisPursuit(hilbert(6, 9), np.ones(6), norm=norm)).status is (
        so.Status.VERIFIED
    )


@exact_programs
@pytest.mark.parametrize("norm", NORMS)
def test_nearly_dependent_square_equations(norm: float) -> None:
    solution = so.solve(so.BasisPursuit(hilbert(8, 8), np.ones(8), norm=norm))
    assert solution.certificate.accuracy < 1e-11


@pytest.mark.parametrize("noise", [1e-20, 1e-12, 1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("is_complex", [False, True])
def test_slight_noise(noise: float, norm: float, is_complex: bool) -> None:
    design, target = data()
    if is_complex:
        design = design + 1j * np.roll(design, 1, 0)
    planted = 2.0 * design[:, 1] - design[:, 4]
    for y in (target, planted):
        solution = so.solve(so.BasisPursuit(design, y, noise=noise, norm=norm))
        # Entries as small as the noise, of complex columns, are not told from zeros at 1e-12.
        assert solution.certificate.accuracy < (1e-11 if noise == 1e-12 else 1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_no_vector_with_a_smaller_misfit_in_each_entry_is_shorter(seed: int) -> None:
    """The bound against linear programs over all vectors that miss no entry by more."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    design = rng.integers(-3, 4, (m, n)).astype(float)
    target = rng.integers(-4, 5, m) + 0.5
    x = rng.integers(-2, 3, n).astype(float)
    x[0] += not x.any()
    room = np.abs(target - design @ x)
    rows = np.vstack([design, -design])
    for norm in (1, math.inf):
        problem = so.BasisPursuit(design, target, norm=norm)
        if norm == 1:
            done = scipy.optimize.linprog(
                np.ones(2 * n),
                A_ub=np.hstack([rows, -rows]),
                b_ub=np.append(target + room, room - target),
            )
        else:
            sides = np.vstack([np.eye(n), -np.eye(n)])
            done = scipy.optimize.linprog(
                np.append(np.zeros(n), 1.0),
                A_ub=np.block([[rows, np.zeros((2 * m, 1))], [sides, -np.ones((2 * n, 1))]]),
                b_ub=np.concatenate([target + room, room - target, np.zeros(2 * n)]),
                bounds=[(None, None)] * (n + 1),
            )
        assert done.status == 0
        for _ in range(5):
            w = rng.standard_normal(m)
            made = so.PursuitCertificate.build(problem, x, w)[1]
            assert made.dual <= done.fun * (1.0 + 1e-9) + 1e-9
            assert so.verify(made).ok


def test_products_of_magnitudes_are_bounded_from_above() -> None:
    rng = np.random.default_rng(3)
    fit = Fit(so.BasisPursuit([[1.0]], [1.0]).system)
    pairs = Fit(so.BasisPursuit([[1.0 + 1.0j]], [1.0]).system)
    for _ in range(20):
        a, w = rng.standard_normal(6), rng.standard_normal((2, 6))
        assert fit.product_of_moduli(a, w[0]) >= np.sum(np.abs(a * w[0]))
        assert fit.product_of_moduli(a, w) >= np.sum(np.abs(a) * np.abs(w).sum(axis=0))
        moduli = np.hypot(a[:3], a[3:]) * np.hypot(w[0, :3], w[0, 3:])
        assert moduli.sum() <= pairs.product_of_moduli(a, w[0]) <= moduli.sum() * (1.0 + 1e-12)


@pytest.mark.parametrize("kind", ["sparse groups", "positive groups", "both", "ridge"])
@pytest.mark.parametrize("seed", [5, 9, 13, 28])
def test_units_within_groups(kind: str, seed: int) -> None:
    """Units up to 18 decades apart within a group, and the objective in 60 digits."""
    rng = np.random.default_rng(seed)
    m, n = (int(v) for v in rng.integers(2, 25, 2))
    design = rng.standard_normal((m, n)) * 10.0 ** rng.uniform(-10, 8, n)
    target, strength = rng.standard_normal(m), float(10.0 ** rng.uniform(-4, 0))
    labels = rng.integers(0, max(1, n // 2), n)
    groups = [np.flatnonzero(labels == g).tolist() for g in np.unique(labels)]
    positive = kind in ("positive groups", "both")
    single = 0.0 if kind == "positive groups" else strength
    ridge = strength if kind == "ridge" else 0.0
    penalty: so.Penalty = so.GroupL1(strength, groups, positive=positive)
    if single:
        penalty = penalty + so.L1(single, positive=positive)
    if ridge:
        penalty = penalty + so.Ridge(ridge)
    solution = so.solve(so.SparseRegression(design, target, penalty))
    assert solution.status is so.Status.VERIFIED
    certificate = solution.certificate
    with mpmath.workdps(60):
        x = [mpmath.mpf(v) for v in solution.answer.x]
        rows = [mpmath.fdot(map(mpmath.mpf, row), x) for row in design]
        loss = mpmath.fsum((r - mpmath.mpf(t)) ** 2 for r, t in zip(rows, target, strict=True)) / 2
        norms = [mpmath.norm([x[j] for j in group]) for group in groups]
        value = loss + strength * mpmath.fsum(norms) + single * mpmath.fsum(map(abs, x))
        value += mpmath.mpf(ridge) / 2 * mpmath.fsum(v * v for v in x)
        assert certificate.dual <= value <= certificate.primal
        assert value - mpmath.mpf(certificate.dual) <= 1e-12 * value
