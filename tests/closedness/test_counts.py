"""Counts of cells and terms are exact for every size that fits into memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
from forging import LU, LU_CURVE, LU_LIMIT, LU_TREE, limit
from sparseopt_closedness.lu_windows import find_window

import sparseopt as so
from sparseopt.closedness.proofs import closed_parts
from sparseopt.closedness.proofs.closed_parts import first_incomparable
from sparseopt.closedness.proofs.observed import covered, start
from sparseopt.interface.support_arrays import as_support
from sparseopt.judging.exact import counts

MANY = 2**24 + 1
"""The first integer that float32 does not hold."""


def tall_lu() -> tuple[np.ndarray, np.ndarray]:
    """Return LU with its second row repeated: term 0 has one row more than float32 can count."""
    left = np.ones((MANY, 2), dtype=bool)
    left[0, 1] = False
    return left, np.array(LU[1], dtype=bool)


@pytest.mark.slow
def test_lu_with_more_rows_than_floats_count() -> None:
    """In float32 2^24 + 1 is 2^24: the rows of both terms would seem to be the same."""
    left, right = tall_lu()
    assert first_incomparable(left, right) == (0, 1)
    assert first_incomparable(right.T.copy(), left.T.copy()) == (0, 1)
    problem = so.Closedness([left, right])
    assert not so.verify(so.ComparableCertificate.proved(problem)).ok
    solution = so.solve(problem)
    assert solution.answer.value == "not_closed"
    assert so.verify(solution).ok
    assert so.lu_window_count([left, right]) == MANY - 1


def test_rows_and_columns_are_counted_in_types_that_hold_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def note(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        asked.append(left.shape[1])
        return counts(left, right)

    monkeypatch.setattr(closed_parts, "counts", note)
    assert first_incomparable(np.ones((5, 2), dtype=bool), np.ones((2, 7), dtype=bool)) is None
    assert asked == [5, 7]


def test_sums_of_zeros_and_ones_are_zero_or_one_only_for_none_and_one() -> None:
    """What `covered` and the counts of windows rest on, beyond the exact range too."""
    for ones in (0, 1, 2, 3000, 5000):
        row = (np.arange(5000) < ones).astype(np.float16)
        total = np.cumsum(row, dtype=np.float16)[-1]
        assert (total == ones) == (ones < 2048)
        assert (total > 0) == (ones > 0)
        assert (total == 1) == (ones == 1)


def test_a_cell_that_thousands_of_terms_cover() -> None:
    left, right = np.ones((2, 70_000), dtype=bool), np.ones((70_000, 2), dtype=bool)
    assert covered(left, right).all()
    assert find_window(left, right) is None
    assert so.lu_window_count([left, right]) == 0


def test_window_counts_are_exact_integers() -> None:
    """The second term meets the first in one cell: every pair of other rows and columns counts."""
    n = 300
    left, right = np.ones((n, 2), dtype=bool), np.ones((2, n), dtype=bool)
    left[1:, 1] = right[1, 1:] = False
    assert so.lu_window_count([left, right]) == (n - 1) ** 2


def test_bytes_above_one_are_ones() -> None:
    """A boolean array over someone's bytes: NumPy adds up what they hold."""
    raw = np.frombuffer(bytes([2, 0, 255, 1]), dtype=bool).reshape(2, 2)
    assert raw.view(np.uint8).sum() == 258
    clean = as_support(raw, "support")
    assert clean.view(np.uint8).tolist() == [[1, 0], [1, 1]]
    assert so.Closedness([raw, LU[1]]).supports[0].view(np.uint8).max() == 1
    state = start(*so.Closedness([raw, LU[1]]).supports)
    assert int(state.left.sum()) == 3


def test_supports_hold_nothing_but_their_own_bytes() -> None:
    given = np.array(LU[0], dtype=bool)
    problem = so.Closedness([given, LU[1]])
    given[0, 1] = True
    assert problem.supports[0].tolist() == [[True, False], [True, True]]
    with pytest.raises(ValueError, match="read-only"):
        problem.supports[0][0, 1] = True  # type: ignore[index]


def test_reductions_on_a_large_problem_take_little_memory() -> None:
    """A window proves a pair not closed whose cells alone would take ten gigabytes."""
    m = 100_000
    left, right = np.zeros((m, 2), dtype=bool), np.zeros((2, m), dtype=bool)
    left[-2:], right[:, -2:] = LU[0], LU[1]
    found = limit(
        (left, right), LU_CURVE, LU_LIMIT, LU_TREE, rows=(m - 2, m - 1), columns=(m - 2, m - 1)
    )
    assert so.verify(found).ok
    assert found.reason == (
        f"LU window at rows ({m - 2}, {m - 1}) and columns ({m - 2}, {m - 1}), terms 0 and 1"
    )


def stored(*numbers: float, dtype: str = "float64") -> scipy.sparse.coo_array:
    """Return a sparse matrix with these numbers at (0, 0), each stored, and a one at (1, 1)."""
    places = np.append(np.zeros(len(numbers), dtype=int), 1)
    return scipy.sparse.coo_array((np.array([*numbers, 1], dtype), (places, places)), (2, 2))


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (stored(1, 2**-60), "sum float64 does not hold"),
        (stored(1e-30, 1, -1), "sum float64 does not hold"),
        (stored(1, -1, 1e-30), r"entry \(0, 0\) is 1e-30"),
        (stored(127, 127, 3, dtype="int8"), r"entry \(0, 0\) is 257"),  # 1 in eight bits
        (stored(255, 2, dtype="uint8"), r"entry \(0, 0\) is 257"),
    ],
)
def test_numbers_stored_twice_are_added_up_without_rounding(matrix: Any, words: str) -> None:
    rows = scipy.sparse.csr_array((matrix.data, matrix.col, [0, matrix.nnz - 1, matrix.nnz]))
    for given in (matrix, rows):
        with pytest.raises(so.ProblemError, match=words):
            so.Closedness([given, LU[1]])


@pytest.mark.parametrize(
    ("matrix", "first"),
    [
        (stored(0.5, 0.5), 1),
        (stored(1, -1), 0),
        (stored(0), 0),
        (stored(100, -99, dtype="int8"), 1),
        (stored(True, True, dtype="bool"), 1),
    ],
)
def test_sums_that_are_0_or_1_are_taken(matrix: Any, first: int) -> None:
    assert so.Closedness([matrix, LU[1]]).supports[0].tolist() == [[first, 0], [0, 1]]
