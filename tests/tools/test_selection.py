"""The best architecture within a budget, against every architecture of the shape."""

from __future__ import annotations

import math

import numpy as np
import pytest

import sparseopt as so
from sparseopt.tools.architectures import architectures
from sparseopt.tools.random_products import random_product
from sparseopt.tools.selection import architecture_front, best_architecture


@pytest.mark.parametrize(
    ("shape", "max_nnz", "max_rank"),
    [((8, 8), 40, 1), ((8, 8), 56, 3), ((6, 4), 23, 2), ((12, 6), 50, 2), ((5, 7), 35, 2)],
)
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_the_list_of_all(
    shape: tuple[int, int], max_nnz: int, max_rank: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    target = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if seed else 0)
    found = best_architecture(target, max_nnz, max_rank)
    bounds = {
        str(a): math.hypot(*so.ButterflyFactorization(target, a).split_errors())
        for a in architectures(*shape, max_rank=max_rank, max_nnz=max_nnz)
    }
    assert str(found.architecture) in bounds
    assert found.architecture.nnz <= max_nnz
    assert found.upper_bound == pytest.approx(bounds[str(found.architecture)], rel=1e-10)
    assert found.upper_bound == pytest.approx(min(bounds.values()), rel=1e-10, abs=1e-12)


def test_the_front_holds_the_best_of_every_smaller_budget() -> None:
    target = np.random.default_rng(0).standard_normal((8, 6))
    front = architecture_front(target, 48, 2)
    sizes = [found.architecture.nnz for found in front]
    bounds = [found.upper_bound for found in front]
    assert sizes == sorted(set(sizes))
    assert bounds == sorted(set(bounds), reverse=True)
    assert bounds[-1] == 0.0
    for budget in range(sizes[0], 49):
        fitting = [found for found in front if found.architecture.nnz <= budget]
        assert best_architecture(target, budget, 2) == fitting[-1]


def test_a_hidden_structure_is_found_with_the_fewest_parameters() -> None:
    hidden = so.Architecture([(1, 3, 4, 6), (2, 12, 5, 1)])
    target = random_product(hidden, np.random.default_rng(0)).to_dense()
    found = best_architecture(target, target.size)
    assert found.upper_bound == 0.0
    assert found.architecture.nnz <= hidden.reduced().nnz
    error = so.solve(so.ButterflyFactorization(target, found.architecture)).certificate
    assert error.relative_error < 1e-14


def test_fast_transforms_are_recognised() -> None:
    order = [0, 4, 2, 6, 1, 5, 3, 7]
    fourier = np.fft.fft(np.eye(8))[:, order]
    for budget in (48, 63, 64):
        found = best_architecture(fourier, budget)
        assert (found.architecture.nnz, found.upper_bound) == (48, 0.0)
    assert best_architecture(fourier, 47).upper_bound > 0.1


def test_a_large_budget_is_the_dense_matrix_and_a_small_one_an_outer_product() -> None:
    target = np.random.default_rng(0).standard_normal((6, 10))
    dense = best_architecture(target, 60)
    assert [tuple(p) for p in dense.architecture] == [(1, 6, 10, 1)]
    outer = best_architecture(target, 16)
    assert outer.architecture.nnz == 16
    with pytest.raises(so.ProblemError, match="16 are enough"):
        best_architecture(target, 15)


@pytest.mark.parametrize("scale", [1e-180, 1e180])
def test_scales_whose_squares_leave_the_range(scale: float) -> None:
    target = np.random.default_rng(0).standard_normal((6, 4))
    base = best_architecture(target, 20)
    scaled = best_architecture(target * scale, 20)
    assert scaled.architecture == base.architecture
    assert scaled.upper_bound == pytest.approx(base.upper_bound * scale, rel=1e-9)


def test_one_by_one_and_zero() -> None:
    assert best_architecture([[2.0]], 1).architecture.shape == (1, 1)
    assert best_architecture(np.zeros((4, 4)), 8).upper_bound == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((2, 2)), 0), "max_nnz"),
        ((np.ones((2, 2)), 4, 0), "max_rank"),
        ((np.ones(3), 4), "matrix"),
        ((np.ones((0, 3)), 4), "non-empty"),
        ((np.array([[np.nan]]), 4), "nan"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(so.ProblemError, match=message):
        best_architecture(*arguments)
