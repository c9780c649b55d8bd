"""Floats as integers over one power of two, and arrays as they are taken for real numbers."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.interface.real_arrays import as_real
from sparseopt.judging.integers import as_integers

ARRAYS = [
    np.zeros((2, 0)),
    np.zeros(3),
    np.array([[0.0, -0.0], [1.0, -3.0]]),
    np.array([5e-324, 1.7976931348623157e308, -1.0 / 3.0]),
    np.array([2.0**60, 2.0**-60]),
    np.random.default_rng(0).standard_normal((4, 5)) * 1e-310,
]


@pytest.mark.parametrize("array", ARRAYS, ids=range(len(ARRAYS)))
def test_integers_are_exact(array: np.ndarray) -> None:
    (whole,), exponent = as_integers(array)
    assert whole.shape == array.shape
    for number, value in zip(whole.flat, array.flat, strict=True):
        assert type(number) is int
        assert number * Fraction(2) ** exponent == Fraction(float(value))
    if array.any():
        assert any(number % 2 for number in whole.flat)


def test_arrays_share_one_exponent() -> None:
    (one, two), exponent = as_integers(np.array([0.5]), np.array([[3.0]]))
    assert (one.tolist(), two.tolist(), exponent) == ([1], [[6]], -1)


@pytest.mark.parametrize("dtype", ["f4", "f2", "i1", "u8", "i8", "?"])
def test_numbers_are_kept(dtype: str) -> None:
    array = np.array([[0, 1, 1]]).astype(dtype)
    real = as_real(array, "x", 2)
    assert real.dtype == np.float64
    assert not real.flags.writeable
    assert real.tolist() == [[0.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    "array",
    [np.array([0, 2**53 + 1]), np.array([0, -(2**53) - 1]), np.array([0, 2**64 - 1], dtype="u8")],
)
def test_integers_that_floats_do_not_hold_are_refused(array: Any) -> None:
    with pytest.raises(so.ProblemError, match=r"x holds -?\d+ at entry \(1,\)"):
        as_real(array, "x", 1)
    assert as_real(np.array([2**53, -(2**62)]), "x", 1).tolist() == [2.0**53, -(2.0**62)]


@pytest.mark.parametrize(("dtype", "value"), [("<i8", 2**63), ("<i8", -(10**30)), ("|u1", 256)])
def test_integers_beyond_their_dtype_are_refused_in_words(dtype: str, value: int) -> None:
    body = {"$array": {"dtype": dtype, "shape": [1], "values": [value]}}
    with pytest.raises(so.ProblemError, match=r"out of bounds|too large|too big"):
        so.from_json(json.dumps(body))
