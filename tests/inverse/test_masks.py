"""Masks that `numpy.asarray` would drop, and truth values that it takes for column numbers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sparseopt as so

X, Y = np.eye(3), np.ones(3)
NUMBER: Any = np.ma.masked_array(2.0, mask=True)
PLACE: Any = np.ma.masked_array(1, mask=True)

MASKED: dict[str, Callable[[], Any]] = {
    "degrees": lambda: so.OptimalRescaling([1.0, 2.0], NUMBER, 1.0),
    "weights": lambda: so.OptimalRescaling([1.0, 2.0], 1.0, NUMBER),
    "degrees in a list": lambda: so.OptimalRescaling([1.0, 2.0], [1.0, NUMBER], 1.0),
    "norms": lambda: so.OptimalRescaling([1.0, NUMBER], 1.0, 1.0),
    "strength": lambda: so.L1(NUMBER),
    "weights of L1": lambda: so.L1(1.0, [1.0, NUMBER]),
    "groups": lambda: so.GroupL1(1.0, [[0, PLACE], [2]]),
    "groups of a sum": lambda: so.SparseGroupL1(1.0, 1.0, [[0, PLACE]]),
    "support": lambda: so.KnownSupportRegression(X, Y, [0, PLACE]),
    "support of a guarantee": lambda: so.RecoveryGuarantee(X, support=[0, PLACE]),
    "supports": lambda: so.Closedness([[[1, PLACE], [0, 1]], np.ones((2, 2))]),
}
MIXED: dict[str, Callable[[], Any]] = {
    "support": lambda: so.KnownSupportRegression(X, Y, [True, 2]),
    "of NumPy": lambda: so.KnownSupportRegression(X, Y, (np.True_, 2)),
    "support of a guarantee": lambda: so.RecoveryGuarantee(X, support=[True, 2]),
    "groups": lambda: so.GroupL1(1.0, [[0, True], [2]]),
    "groups of a sum": lambda: so.SparseGroupL1(1.0, 1.0, [[0, True], [2]]),
    "an order": lambda: so.PermutedKroneckerProduct(
        so.KroneckerProduct([np.ones((1, 2, 2, 1))], [(1, 2, 2, 1)]), [True, 0], [0, 1]
    ),
}


@pytest.mark.parametrize("name", MASKED)
def test_masks_are_refused_in_a_sentence(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(so.ProblemError, match="is a masked array; fill or drop"):
            MASKED[name]()


@pytest.mark.parametrize("name", MIXED)
def test_truth_values_are_no_column_numbers(name: str) -> None:
    with pytest.raises(so.ProblemError, match="holds truth values among numbers"):
        MIXED[name]()
    assert so.KnownSupportRegression(X, Y, [True, False, True]).support.tolist() == [0, 2]
