"""The trade-off of error and norm: exponents, warm starts, what is proved and what is suspected."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import sparseopt as so

LU = ([[1, 0], [1, 1]], [[1, 1], [0, 1]])
LU3 = (np.tril(np.ones((3, 3))), np.triu(np.ones((3, 3))))
SWAP = [[0, 1], [1, 0]]


@pytest.fixture(scope="module")
def box2() -> so.DecayPath:
    """The exchange of rows, from its largest useful decay to 1e-5 of it."""
    return so.decay_path(
        so.FixedSupportFactorization(SWAP, LU), [10.0 ** (-0.5 * i) for i in range(11)]
    )


def test_box_2_follows_its_laws(box2: so.DecayPath) -> None:
    assert all(solution.status is so.Status.VERIFIED for solution in box2)
    assert box2.norm_exponent == pytest.approx(-1 / 3, abs=0.01)
    assert box2.loss_exponent == pytest.approx(2 / 3, abs=0.01)
    assert box2.objective_exponent == pytest.approx(2 / 3, abs=0.01)
    assert box2.norms[-1] == pytest.approx(73.6444244, rel=1e-6)
    assert box2.losses[-1] == pytest.approx(3.684936971e-4, rel=1e-6)


def test_losses_fall_and_norms_grow_with_smaller_decays(box2: so.DecayPath) -> None:
    assert all(a >= b for a, b in pairwise(box2.objectives))
    assert all(a >= b for a, b in pairwise(box2.losses))
    assert all(a <= b for a, b in pairwise(box2.norms))
    slopes = [
        (a - b) / (c - d)
        for (a, b), (c, d) in zip(pairwise(box2.objectives), pairwise(box2.decays), strict=True)
    ]
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(slopes))  # concave


def test_no_optimum_is_said_with_the_certificate(box2: so.DecayPath) -> None:
    assert box2.attainment == "not_attained"
    assert box2.closedness is not None
    assert so.verify(box2.closedness).ok
    assert "proved to have no optimum" in box2.words
    assert "decay^-0.33" in str(box2)


def test_the_least_norm_is_a_bound_for_all_factors(box2: so.DecayPath) -> None:
    for t in (0.3, 0.03, 0.003):
        # Factors t-close to the exchange: those of the library's own curve.
        x, y = np.array([[t, 0], [1, 1]]), np.array([[1, 1 / t], [0, -1 / t]])
        loss = 0.5 * float(((x @ y - SWAP) ** 2).sum())
        terms = np.linalg.norm(x, axis=0) @ np.linalg.norm(y, axis=1)
        assert box2.least_norm(loss) <= terms
    best = box2.norms[6]
    assert 0.9 * best < box2.least_norm(box2.losses[6]) <= best * (1 + 1e-9)
    assert box2.least_norm(100.0) == 0.0
    for wrong in (-1.0, float("nan"), "1"):
        with pytest.raises(so.ProblemError, match="loss"):
            box2.least_norm(wrong)  # type: ignore[arg-type]


def test_an_attained_optimum_levels_off() -> None:
    path = so.decay_path(so.FixedSupportFactorization([[1, 1], [1, 2]], LU))
    assert len(path) == 13
    assert path.decays[0] == pytest.approx((3 + 5**0.5) / 2)
    assert path.norms[-1] == pytest.approx(3.0, rel=1e-5)
    assert path.attainment == "unknown"
    assert path.closedness is None
    assert "level off at 3" in path.words
    assert "grow" not in path.words
    assert path.loss_exponent == pytest.approx(2.0, abs=0.01)


def test_a_small_pivot_is_only_suspected() -> None:
    """An optimum exists, with norm 200: the path looks like one without until far below."""
    path = so.decay_path(so.FixedSupportFactorization([[0.01, 1], [1, 0]], LU), [1e-3, 3e-4, 1e-4])
    assert path.attainment == "suspected_not_attained"
    assert "suspected: no optimum (the supports are proved not closed" in path.words
    assert path.norm_exponent is not None
    assert path.norm_exponent < -0.3


def test_a_loss_that_stays_is_said_to() -> None:
    """The exchange of rows beside an entry that nothing covers."""
    target = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]])
    supports = [LU[0], [[1, 1, 0], [0, 1, 0]]]
    path = so.decay_path(so.FixedSupportFactorization(target, supports), [1e-4, 1e-5])
    assert "the loss levels off at 2," in path.words
    assert path.norm_exponent == pytest.approx(-1 / 3, abs=0.01)
    assert path.attainment == "suspected_not_attained"


def test_closed_supports_have_an_optimum() -> None:
    path = so.decay_path(
        so.FixedSupportFactorization(np.eye(2), [[[1], [1]], [[1, 1]]]), [0.1, 0.01]
    )
    assert path.attainment == "attained"
    zero = so.decay_path(so.FixedSupportFactorization(np.zeros((2, 2)), LU))
    assert zero.attainment == "attained"
    assert zero.norm_exponent is None
    assert zero.norms == [0.0] * 13


def test_lu_3_cyclic_by_warm_starts() -> None:
    target = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    path = so.decay_path(
        so.FixedSupportFactorization(target, LU3), [10.0 ** (-0.5 * i) for i in range(11)]
    )
    assert path.norm_exponent == pytest.approx(-0.334, abs=0.005)
    assert path.losses[-1] * path.norms[-1] ** 2 == pytest.approx(11.64, abs=0.03)
    assert all(so.verify(solution).ok for solution in path[::4])
    assert path.attainment in ("suspected_not_attained", "not_attained")


def test_the_order_of_decays_is_kept_and_doubles_are_allowed() -> None:
    path = so.decay_path(so.FixedSupportFactorization(SWAP, LU, 7.0), [0.1, 0.5, 0.1])
    assert isinstance(path, list)
    assert path.decays == [0.1, 0.5, 0.1]
    assert path.objectives[0] == path.objectives[2] == pytest.approx(0.447780629311694, rel=1e-9)
    assert so.decay_path(so.FixedSupportFactorization(SWAP, LU), [0.1]).norm_exponent is None


def test_complex_and_single_precision() -> None:
    turned = so.decay_path(so.FixedSupportFactorization(np.array(SWAP) * 1j, LU), [1e-2, 1e-3])
    assert turned.objectives[0] == pytest.approx(0.107739723393, rel=1e-6)
    assert turned.attainment == "suspected_not_attained"
    single = np.array(SWAP, np.float32)
    path = so.decay_path(so.FixedSupportFactorization(single, LU), [1e-2, 1e-3])
    assert path[0].answer.left.dtype == np.float32
    assert path.objectives[1] == pytest.approx(0.0236843567135, rel=1e-6)


def test_scales() -> None:
    base = so.decay_path(so.FixedSupportFactorization(SWAP, LU), [1e-1, 1e-2])
    for scale in (1e-150, 1e150):
        given = so.FixedSupportFactorization(np.array(SWAP) * scale, LU)
        path = so.decay_path(given, [0.1 * scale, 0.01 * scale])
        assert path.norms[1] == pytest.approx(base.norms[1] * scale, rel=1e-9)
        assert all(solution.status is so.Status.VERIFIED for solution in path)


@pytest.mark.parametrize(
    "decays", [[], [0.0], [-1.0], [0.1, float("nan")], [float("inf")], ["a"], 0.1, [True]]
)
def test_bad_decays_are_refused(decays: Any) -> None:
    with pytest.raises(so.ProblemError, match="decays"):
        so.decay_path(so.FixedSupportFactorization(SWAP, LU), decays)


def test_other_problems_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="FixedSupportFactorization"):
        so.decay_path(so.Closedness(list(LU)))  # type: ignore[arg-type]


def test_a_time_limit_that_is_too_short_is_said() -> None:
    with pytest.raises(so.SolveError):
        so.decay_path(so.FixedSupportFactorization(np.ones((3, 3)), LU3), [1e-3], time_limit=1e-9)
