"""Which architecture compression chooses for a matrix."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from compressed_models import front
from sparseopt_butterfly.layer_choice import allocate, candidates_of, front_of, ranked

import sparseopt as so


@pytest.mark.parametrize("shape", [(12, 8), (7, 5), (1, 6), (6, 1), (1, 1), (16, 16)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_bounds_of_the_front_are_those_of_the_problem(shape: tuple[int, int], dtype: Any) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal(shape)
    weight = (weight + (1j * rng.standard_normal(shape) if dtype == np.complex128 else 0)).astype(
        dtype
    )
    found = front(weight, weight.size, 2)
    scale = float(np.linalg.norm(weight))
    assert found[-1].error < 1e-5 * scale
    for one, two in itertools.pairwise(found):
        assert one.nnz < two.nnz
        assert one.error > two.error
    for choice in candidates_of(weight, weight.size, 2):
        bound = math.hypot(*so.ButterflyFactorization(weight, choice.architecture).split_errors())
        assert choice.error == pytest.approx(bound, abs=2e-7 * scale)
        assert choice.nnz == choice.architecture.nnz
        assert not choice.architecture.is_redundant


def test_the_ranking_has_every_structure_once() -> None:
    weight = np.random.default_rng(0).standard_normal((12, 8))
    candidates = candidates_of(weight, 90, 2)
    order = ranked(candidates, 60)
    assert order[0].error == front_of(c for c in candidates if c.nnz <= 60)[-1].error
    assert [c.error for c in order] == sorted(c.error for c in order)
    assert len({c.structure for c in order}) == len(order)
    assert {c.structure for c in order} == {c.structure for c in candidates if c.nnz <= 60}
    for choice in order:
        for other in candidates:
            if other.nnz <= 60 and other.structure == choice.structure:
                assert choice.error <= other.error


def test_low_rank_of_any_rank_is_found() -> None:
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((40, 9)) @ rng.standard_normal((9, 30)) * 1e200
    found = front(weight, 9 * 70, 2)[-1]
    assert found.architecture == so.Architecture([(1, 40, 9, 1), (1, 9, 30, 1)])
    assert found.error == 0.0
    assert front(np.ones((5, 5)), 4, 2) == []


@pytest.mark.parametrize("seed", range(60))
def test_the_distribution_is_the_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fronts = []
    for _ in range(int(rng.integers(1, 5))):
        count = int(rng.integers(1, 5))
        sizes = sorted(int(s) for s in rng.choice(20, count, replace=False) + 1)
        fronts.append(list(zip(sizes, sorted(rng.random(count), reverse=True), strict=True)))
    budget = int(rng.integers(3, 45))
    sums = [
        (sum(size for size, _ in choice), sum(error for _, error in choice))
        for choice in itertools.product(*fronts)
    ]
    fitting = [error for size, error in sums if size <= budget]
    found = allocate(fronts, budget)
    if found is None:
        assert not fitting
        return
    assert sum(front[i][0] for i, front in zip(found, fronts, strict=True)) <= budget
    error = sum(front[i][1] for i, front in zip(found, fronts, strict=True))
    assert error == pytest.approx(min(fitting), abs=1e-12)


def test_many_layers_are_distributed_within_a_range_each() -> None:
    rng = np.random.default_rng(0)
    fronts = [
        list(zip(range(1000, 101000, 1000), sorted(rng.random(100), reverse=True), strict=True))
        for _ in range(12)
    ]
    fronts = [[(size + int(rng.integers(900)), error) for size, error in f] for f in fronts]
    budget = 500_000

    def best(limit: int) -> float:
        """Relaxed from below: the best multiplier of the budget bounds the sum of errors."""
        values = []
        for slope in np.geomspace(1e-8, 1e-3, 400):
            least = sum(min(e + slope * s for s, e in f) for f in fronts)
            values.append(least - slope * limit)
        return max(values)

    found = allocate(fronts, budget)
    assert found is not None
    assert sum(f[i][0] for i, f in zip(found, fronts, strict=True)) <= budget
    error = sum(f[i][1] for i, f in zip(found, fronts, strict=True))
    assert best(budget) <= error + 1e-12
    assert error <= best(budget) + 0.05
