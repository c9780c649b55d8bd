"""Units do not matter: powers of two change no bit, and what no scaling holds is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings, strategies as st

import sparseopt as so

RNG = np.random.default_rng(3)
DESIGN, TARGET = RNG.standard_normal((6, 9)), RNG.standard_normal(6)
GROUPS = [[0, 3, 6], [1], [2, 4, 5, 7, 8]]
STRENGTH = 0.1 * float(np.abs(DESIGN.T @ TARGET).max())
KINDS: dict[str, Any] = {
    "working_set": (("l1", "groups", "least squares"), 40),
    "scikit_learn": (("l1",), 25),
    "cvxpy": (("l1", "groups"), 8),
}
CASES = [(solver, kind, count) for solver, (kinds, count) in KINDS.items() for kind in kinds]


def penalty(kind: str, strength: float) -> so.Penalty:
    if kind == "least squares":
        return so.L1(0.0)
    return so.L1(strength) if kind == "l1" else so.GroupL1(strength, GROUPS)


def posed(kind: str, design: Any, target: Any, strength: float) -> so.SparseRegression | None:
    """Return the problem, or None if it is refused as it should be."""
    try:
        return so.SparseRegression(design, target, penalty(kind, strength))
    except so.ProblemError as error:
        if "multiply" not in str(error) and "scaling" not in str(error):
            raise
        return None


@pytest.mark.parametrize(("solver", "kind", "count"), CASES)
@pytest.mark.parametrize("form", ["dense", "float32", "csc"])
def test_powers_of_two_change_no_bit(solver: str, kind: str, count: int, form: str) -> None:
    convert = {
        "dense": lambda a: a,
        "float32": lambda a: a.astype(np.float32),
        "csc": scipy.sparse.csc_array,
    }[form]
    reach = 120 if form == "float32" else 1000
    start = DESIGN.astype(np.float32).astype(float) if form == "float32" else DESIGN
    base = so.solve(so.SparseRegression(convert(start), TARGET, penalty(kind, STRENGTH)), solver)

    @settings(max_examples=count // 2 + 2, deadline=None, derandomize=True)
    @given(st.integers(-reach, reach), st.integers(-1000, 1000))
    def law(a: int, b: int) -> None:
        strength = float(np.ldexp(STRENGTH, a + b)) if -1000 < a + b < 990 else 1e301
        problem = posed(kind, convert(np.ldexp(start, a)), np.ldexp(TARGET, b), strength)
        if problem is None:
            return
        solution = so.solve(problem, solver)
        np.testing.assert_array_equal(solution.answer.x, np.ldexp(base.answer.x, b - a))
        assert solution.certificate.gap == np.ldexp(base.certificate.gap, 2 * b)
        assert solution.certificate.accuracy == base.certificate.accuracy

    law()


@pytest.mark.parametrize(("solver", "kind", "count"), CASES)
def test_any_scale_is_solved_or_refused(solver: str, kind: str, count: int) -> None:
    base = so.solve(so.SparseRegression(DESIGN, TARGET, penalty(kind, STRENGTH))).answer.x

    @settings(max_examples=count, deadline=None, derandomize=True)
    @given(st.floats(-300, 300), st.floats(-300, 300))
    def law(a: float, b: float) -> None:
        strength = STRENGTH * 10.0 ** (a + b) if -300 < a + b < 300 else 1e301
        problem = posed(kind, DESIGN * 10.0**a, TARGET * 10.0**b, strength)
        if problem is not None:
            solution = so.solve(problem, solver)
            assert solution.status is so.Status.VERIFIED
            with np.errstate(over="ignore", under="ignore"):
                x = solution.answer.x * 10.0**a * 10.0**-b
            if np.isfinite(x).all() and kind != "least squares":
                np.testing.assert_allclose(x, base, rtol=1e-8, atol=1e-10)

    law()


@pytest.mark.parametrize(("solver", "kind", "count"), [c for c in CASES if c[0] != "cvxpy"])
def test_columns_of_any_scales(solver: str, kind: str, count: int) -> None:
    """Each column has its own unit; either all is well, or the problem is refused when posed."""

    @settings(max_examples=count, deadline=None, derandomize=True)
    @given(st.lists(st.floats(-300, 300), min_size=9, max_size=9), st.floats(-22, 0))
    def law(powers: list[float], depth: float) -> None:
        design = DESIGN * 10.0 ** np.array(powers)
        strength = float(np.abs(design.T @ TARGET).max()) * 10.0**depth
        problem = posed(kind, design, TARGET, strength)
        if problem is not None:
            solution = so.solve(problem, solver)
            assert so.verify(solution).ok

    law()


@pytest.mark.parametrize(
    ("design", "target"),
    [
        ([[2.0**-292, 2.0**-416], [-(2.0**-9), 2.0**-196]], [2.0**50, -(2.0**247)]),
        ([[-(2.0**-271), 2.0**-383], [-(2.0**-64), 2.0**377]], [2.0**76, -(2.0**-386)]),
        ([[-(2.0**-132), 2.0**439], [-(2.0**-331), 2.0**-379]], [2.0**-415, -(2.0**69)]),
    ],
)
def test_entries_far_apart_need_no_warning(design: list[list[float]], target: list[float]) -> None:
    (a, b), (c, d) = ([Fraction(v) for v in row] for row in design)
    s, t = map(Fraction, target)
    x = [(s * d - t * b) / (a * d - b * c), (a * t - c * s) / (a * d - b * c)]
    # No floats fit both rows; what is claimed of those next to them holds of these fractions.
    assert so.solve(so.BasisPursuit(design, target)).certificate.dual <= sum(map(abs, x))
