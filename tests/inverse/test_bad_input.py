"""Each refusal is one true sentence: the place, what is allowed there, and the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import sparseopt as so

A = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])
Y = np.array([1.0, 2.0])
PURSUITS: dict[str, Callable[[Any], Any]] = {
    "BasisPursuit": lambda design: so.BasisPursuit(design, Y),
    "ConstrainedRegression": lambda design: so.ConstrainedRegression(design, Y, 1.0),
    "SquareRootLasso": lambda design: so.SquareRootLasso(design, Y, 0.1),
    "CardinalityRegression": lambda design: so.CardinalityRegression(design, Y, 1),
    "KnownSupportRegression": lambda design: so.KnownSupportRegression(design, Y, [0]),
}


@pytest.mark.parametrize("name", list(PURSUITS))
@pytest.mark.parametrize("scale", [1e160, 1e-160])
def test_scales_that_leave_the_range_are_refused_with_a_range_that_works(
    name: str, scale: float
) -> None:
    words = "lies between 1e-151 and 1e\\+151, and what it is weighed against .* accordingly"
    with pytest.raises(so.ProblemError, match=words):
        PURSUITS[name](scale * A)
    so.solve(PURSUITS[name]((1e149 if scale > 1 else 1e-149) * A))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: so.SparseRegression(A, Y, so.L1(1.0), [1.0]), "2 numbers, one per row"),
        (lambda: so.BasisPursuit([[1, np.inf]], [1]), r"an inf at entry \(0, 1\); remove or re"),
        (lambda: so.BasisPursuit(A, [np.nan, np.nan]), r"a nan at entry \(0,\) \(2 such entries\)"),
        (
            lambda: so.BasisPursuit(scipy.sparse.csr_array(A * [1, -np.inf, 1]), Y),
            r"design has a -inf at entry \(0, 1\) \(2 such entries\)",
        ),
        (lambda: so.TwoLayerReLU(scipy.sparse.csr_array(A), Y, 0.1), r"give inputs\.toarray\(\)"),
        (lambda: so.TwoLayerReLU(None, Y, 0.1), "inputs is None; give an array"),
        (lambda: so.TwoLayerReLU(1e150 * A, 1e150 * Y, 0.1), "take a larger one"),
        (lambda: so.TwoLayerReLU(A, Y, 1e-140, np.ones((3, 1))), "1e-130 from no decay"),
        (
            lambda: so.FixedSupportFactorization(scipy.sparse.csr_array(A), [A != 0, A.T != 0], 1),
            r"give target\.toarray\(\)",
        ),
        (lambda: so.solve(so.BasisPursuit), "got the class BasisPursuit"),
    ],
)
def test_the_place_and_the_way_out_are_named(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        build()


@pytest.mark.parametrize("gates", [None, np.ones((3, 2))])
def test_the_least_decay_is_proved(gates: np.ndarray | None) -> None:
    largest = 6.0  # of the inputs times of the targets
    problem = so.TwoLayerReLU(A, Y, 2e-130 * largest, gates)
    assert so.solve(problem).status is so.Status.VERIFIED
    assert so.solve(so.TwoLayerReLU(0 * A, Y, 2e-130 * 2, gates)).status is so.Status.VERIFIED
    with pytest.raises(so.ProblemError, match="take a larger one"):
        so.TwoLayerReLU(0 * A, Y, 1e-200, gates)


def test_a_dual_point_that_no_multiple_makes_feasible_ends_the_search() -> None:
    problem = so.TwoLayerReLU(0 * A, Y, 1e-100, np.ones((3, 2)))
    object.__setattr__(problem, "decay", 1e-200)  # below what can be stated, so below any bound
    with pytest.raises(so.SolveError, match="below the bounds of rounding"):
        so.solve(problem)


def test_costs_beyond_floats_are_an_honest_inconclusive() -> None:
    with pytest.raises(so.SolveError, match="divide the norms by a constant"):
        so.solve(so.OptimalRescaling([1e300, 2e300], 2, 1))
    scaled = so.solve(so.OptimalRescaling([1e200, 2e200], 2, 1))
    assert scaled.status is so.Status.VERIFIED
