"""Answers reach the default accuracy from strong penalties to none, however the columns lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from regression_oracle import exact_gap, exact_minimum
from sparseopt_inverse.joint_rounding import rounded_jointly

import sparseopt as so

SIZES = {"tall": (40, 12), "wide": (12, 40), "square": (20, 20), "tiny": (2, 3)}


def conditioned(design: np.ndarray, condition: float) -> np.ndarray:
    """Return the design with singular values from 1 down to 1 / condition."""
    left, values, right = np.linalg.svd(design, full_matrices=False)
    return left * np.geomspace(1.0, 1.0 / condition, len(values)) @ right


def designs() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (name, design, target) of every shape, well and badly conditioned."""
    for name, (m, n) in SIZES.items():
        rng = np.random.default_rng(1)
        design, target = rng.standard_normal((m, n)), rng.standard_normal(m)
        units = 10.0 ** rng.uniform(-6, 6, n)
        yield name, design, target
        twice = np.hstack([design, design[:, :2], np.zeros((m, 1))])
        yield f"{name}, duplicate and zero columns", twice, target
        yield f"{name}, opposite columns", np.hstack([design, -design]), target
        yield f"{name}, units", design * units, target
        yield f"{name}, exact fit", design, design @ np.ones(n)
        for condition in (1e4, 1e8):
            yield f"{name}, condition {condition:g}", conditioned(design, condition), target
    grid = np.linspace(-1.0, 1.0, 60)
    yield "polynomials", np.vander(grid, 25), np.exp(grid)
    yield "Hilbert", scipy.linalg.hilbert(8), np.ones(8)


DESIGNS = {name: (design, target) for name, design, target in designs()}
# Rounding to float64 the one solution of a square system costs this much of the fit.
INHERENT = {
    "square, condition 10000",
    "square, condition 1e+08",
    "Hilbert",
}


def swept(name: str, grouped: bool, powers: list[int | None]) -> None:
    design, target = DESIGNS[name]
    n = design.shape[1]
    critical = float(np.abs(design.T @ target).max())
    for power in powers:
        strength = 0.0 if power is None else 0.9 * critical * 10.0**-power
        groups = [list(range(j, min(j + 3, n))) for j in range(0, n, 3)]
        penalty = so.GroupL1(strength, groups) if grouped else so.L1(strength)
        solution = so.solve(so.SparseRegression(design, target, penalty), "working_set")
        assert solution.accuracy is not None
        if power is None and name in INHERENT:
            assert solution.accuracy < 1e-3
            continue
        assert solution.status is so.Status.VERIFIED, (power, solution.accuracy)
        assert solution.accuracy <= 1e-12


@pytest.mark.parametrize("name", list(DESIGNS))
def test_some_strengths(name: str) -> None:
    swept(name, False, [1, 9, 16, None])


@pytest.mark.slow
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", list(DESIGNS))
def test_all_strengths(name: str, grouped: bool) -> None:
    swept(name, grouped, [*range(17), None])


@pytest.mark.parametrize("solver", ["scikit_learn", "cvxpy"])
def test_other_engines_get_there_too(solver: str) -> None:
    design, target = DESIGNS["wide"]
    for strength in (1e-2, 1e-9, 1e-16):
        problem = so.SparseRegression(design, target, so.L1(strength))
        assert so.solve(problem, solver).status is so.Status.VERIFIED


def reports() -> dict[str, Any]:
    cases = json.loads((Path(__file__).parent / "report_cases.json").read_text())["cases"]
    return {f"{case['name']}, strength {case['strength']:g}": case for case in cases}


@pytest.mark.parametrize("name", list(reports()))
@pytest.mark.parametrize("solver", [None, "working_set", "scikit_learn"])
def test_public_reports(name: str, solver: str | None) -> None:
    """Small inputs made after public reports of faults; values by exact rationals."""
    case = reports()[name]
    if case["strength"] == 0 and solver == "scikit_learn":
        return
    problem = so.SparseRegression(case["design"], case["target"], so.L1(case["strength"]))
    solution = so.solve(problem, solver)
    certificate = solution.certificate
    assert solution.status is so.Status.VERIFIED
    value = Fraction(case["objective"])
    at_zero = Fraction(float(np.square(problem.target).sum())) / 2
    slack = max(value, at_zero / 2**53) / 10**12
    assert value <= Fraction(certificate.primal) <= value + slack
    assert value - slack <= Fraction(certificate.dual) <= value
    assert value == exact_minimum(problem)[0]
    assert exact_gap(certificate)[0] or case["strength"] == 0


def test_a_dual_point_has_two_rows_only_where_it_needs_them() -> None:
    design, target = DESIGNS["wide"]
    plain = so.solve(so.SparseRegression(design, target, so.L1(0.1))).certificate
    assert plain.dual_point.shape == (12,)
    times = next(case for case in reports().values() if case["name"] == "time stamps")
    problem = so.SparseRegression(times["design"], times["target"], so.L1(1.0))
    certificate = so.solve(problem).certificate
    assert certificate.dual_point.shape == (2, 8)
    feasible, gap = exact_gap(certificate)
    assert feasible
    assert 0 <= gap <= certificate.gap


def test_an_asked_tolerance_ends_the_search_early() -> None:
    rng = np.random.default_rng(0)
    design, target = rng.standard_normal((60, 200)), rng.standard_normal(60)
    problem = so.SparseRegression(design, target, so.L1(2.0))
    for solver in ("working_set", "scikit_learn", "cvxpy"):
        rough = so.solve(problem, solver, tolerance=1e-3)
        assert rough.status is so.Status.VERIFIED
        assert rough.accuracy is not None
        assert rough.accuracy <= 1e-3
    assert so.solve(problem, "working_set", tolerance=1e-3).accuracy > 1e-12
    assert so.solve(problem, tolerance=0.0).status is so.Status.WEAK


def test_coefficients_are_rounded_together() -> None:
    """Of the float64 vectors near the solution, one that fits far better than the nearest."""
    rng = np.random.default_rng(0)
    columns = conditioned(rng.standard_normal((8, 8)), 1e10)
    exact = np.stack([rng.standard_normal(8) * 1e8, rng.standard_normal(8) * 1e-9])
    x = rounded_jointly(columns, exact)
    np.testing.assert_allclose(x, exact[0], rtol=1e-9)

    def miss(chosen: np.ndarray) -> float:
        left = [
            sum(
                Fraction(float(a)) * (Fraction(float(c)) - Fraction(float(h)) - Fraction(float(v)))
                for a, c, h, v in zip(row, chosen, *exact, strict=True)
            )
            for row in columns
        ]
        return float(sum(value * value for value in left)) ** 0.5

    assert miss(x) < 1e-3 * miss(exact[0])


@pytest.mark.parametrize("power", [0, 200, -200])
@pytest.mark.parametrize("strength", [1.9052897530623546e-13, 1e-13, 3e-13, 1e-3])
def test_a_step_that_ends_on_a_smaller_face(strength: float, power: int) -> None:
    """In whole numbers a Newton step may make a coefficient 0 exactly, as here in some runs."""
    design = np.ldexp(np.array([[0.0, 3.0, 0.0], [2.0, 2.0, -2.0], [1.0, -3.0, 2.0]]), power)
    penalty = so.L1(float(np.ldexp(strength, power)))
    problem = so.SparseRegression(design, [0.0, 3.0, -1.0], penalty)
    solution = so.solve(problem, "working_set")
    assert solution.status is so.Status.VERIFIED
    x = np.ldexp(solution.answer.x, power)
    assert x == pytest.approx([2 / 3, 0.0, -5 / 6], rel=1e-2, abs=1e-12)
