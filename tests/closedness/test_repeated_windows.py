"""Masks of dense blocks and bands: not closed by blocks of an LU window, and near a diagonal."""

from __future__ import annotations

import numpy as np
import pytest
from second_judge import assert_both_accept
from sparseopt_closedness.lu_windows import find_window
from sparseopt_closedness.repeated_windows import find_repeated

import sparseopt as so


def blocks(rng: np.random.Generator, size: int, width: int, share: float) -> np.ndarray:
    coarse = rng.random((size, size)) < share
    return np.kron(coarse, np.ones((width, width))).astype(bool)


def banded(size: int, width: int) -> np.ndarray:
    i, j = np.indices((size, size))
    return np.abs(i - j) <= width


def test_blocks_have_windows_where_the_coarse_masks_have() -> None:
    rng, hits = np.random.default_rng(0), 0
    for number in range(120):
        size, width = int(rng.integers(2, 5)), int(rng.integers(2, 4))
        share = float(rng.random())
        pair = [blocks(rng, size, width, share) for _ in range(2)]
        if number % 2:  # shuffled rows, terms and columns are blocks as before
            terms = rng.permutation(size * width)
            pair[0] = pair[0][rng.permutation(size * width)][:, terms]
            pair[1] = pair[1][terms][:, rng.permutation(size * width)]
        found = find_repeated(so.Closedness(pair))
        coarse = pair[0][::width, ::width], pair[1][::width, ::width]
        if number % 2 == 0 and find_window(*coarse) is not None:
            assert found is not None
        if found is not None:
            hits += 1
            if hits <= 12:
                assert_both_accept(found)
            else:
                assert so.verify(found).ok
    assert hits > 10


def test_too_few_rows_for_the_terms_are_refused() -> None:
    # LU with every term twice and every row and column once: products are all 2 x 2 matrices.
    lu = np.array([[1, 0], [1, 1]]), np.array([[1, 1], [0, 1]])
    twice = [np.repeat(lu[0], 2, axis=1), np.repeat(lu[1], 2, axis=0)]
    assert find_repeated(so.Closedness(twice)) is None
    assert so.solve(so.Closedness(twice)).answer.value == "closed"
    # The same with every row and column twice is not closed, with three it is not either.
    for count in (2, 3):
        wide = [np.repeat(twice[0], count, axis=0), np.repeat(twice[1], count, axis=1)]
        found = find_repeated(so.Closedness(wide))
        assert found is not None
        assert_both_accept(found)
    # The other class must have as many terms.
    fewer = [twice[0][:, :3].repeat(2, axis=0), twice[1][:3].repeat(2, axis=1)]
    assert find_repeated(so.Closedness(fewer)) is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 2), (1, 4, 1), (4, 4, 4)])
def test_odd_shapes(shape: tuple[int, int, int]) -> None:
    m, r, n = shape
    for fill in (np.zeros, np.ones):
        pair = [fill((m, r), dtype=bool), fill((r, n), dtype=bool)]
        assert find_repeated(so.Closedness(pair)) is None


def test_blocks_that_people_use() -> None:
    rng = np.random.default_rng(0)
    solution = so.solve(so.Closedness([blocks(rng, 16, 4, 0.33), blocks(rng, 16, 4, 0.33)]))
    assert solution.answer.value == "not_closed"
    assert solution.solver == "lu_pattern"
    assert_both_accept(solution.certificate)


@pytest.mark.parametrize(("size", "width"), [(9, 1), (16, 2), (64, 3)])
def test_bands(size: int, width: int) -> None:
    band = banded(size, width)
    solution = so.solve(so.Closedness([band, band]), time_limit=30)
    assert solution.answer.value == "not_closed"
    assert_both_accept(solution.certificate)
