"""Columns of size 1e8 to 2e9 that nearly agree, with weights of the rows, squares, free columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sparseopt as so


def _stamps(seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(4, 12))
    first = np.rint(float(rng.choice([1e8, 1e9, 1.7e9, 2e9])) + 60 * np.arange(rows))
    columns = [first, first + rng.integers(30, 52, rows)]
    if seed % 3 == 0:
        columns.append(first + rng.integers(100, 130, rows))
    return np.column_stack(columns), rng.integers(60, 101, rows).astype(float), rng


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["l1", "one free", "squares", "groups"])
def test_time_stamps_with_weights(kind: str, seed: int) -> None:
    design, target, rng = _stamps(seed)
    count = design.shape[1]
    penalty: Any = {
        "l1": so.L1(1.0),
        "one free": so.L1(1.0, [0.0] + [1.0] * (count - 1)),
        "squares": so.L1(1.0, [0.0] + [1.0] * (count - 1)) + so.Ridge(0.3),
        "groups": so.GroupL1(1.0, [list(range(count))]),
    }[kind]
    uneven = rng.uniform(0.1, 2.0, len(target))
    zero = np.append(0.0, rng.integers(1, 5, len(target) - 1))
    for weights in (uneven, rng.integers(1, 5, len(target)), zero):
        solution: Any = so.solve(so.SparseRegression(design, target, penalty, weights))
        assert solution.status is so.Status.VERIFIED, solution
        assert so.verify(solution).ok


def test_integer_weights_are_repeated_rows() -> None:
    design, target, rng = _stamps(2)
    times = rng.integers(1, 5, len(target))
    weighted: Any = so.solve(so.SparseRegression(design, target, so.L1(1.0), times))
    rows = np.repeat(np.arange(len(target)), times)
    repeated: Any = so.solve(so.SparseRegression(design[rows], target[rows], so.L1(1.0)))
    first, second = weighted.certificate, repeated.certificate
    assert first.dual <= second.primal
    assert second.dual <= first.primal
    assert first.primal == pytest.approx(second.primal, rel=1e-11)


@pytest.mark.parametrize("seed", range(4))
def test_time_stamps_in_constrained_and_square_root_forms(seed: int) -> None:
    design, target, _ = _stamps(seed)
    problems: list[Any] = [
        so.ConstrainedRegression(design, target, 1.0),
        so.SquareRootLasso(design, target, 0.1),
        so.SquareRootLasso(design, target, 1e-3),
        so.KnownSupportRegression(design, target, [0, 1]),
        so.SparseRegression(design + 0j, target, so.L1(1.0)),
    ]
    for problem in problems:
        solution: Any = so.solve(problem)
        assert solution.status is so.Status.VERIFIED, solution
        assert so.verify(solution).ok
