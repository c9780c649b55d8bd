"""Bounds of singular values against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from sparseopt.supports import singular_values
from sparseopt.supports.singular_values import singular_value_bounds, thresholded_below

rng = np.random.default_rng(0)


def rational(block: np.ndarray) -> list[list[Fraction]]:
    """Return a real matrix with the same singular values, those of a complex one twice."""
    if block.dtype.kind == "c":
        block = np.block([[block.real, -block.imag], [block.imag, block.real]])
    return [[Fraction(float(v)) for v in row] for row in block]


def at_least(block: np.ndarray, bound: float) -> int:
    """Return how many singular values are at least a number: the inertia of B^T B - bound^2."""
    rows = rational(block if block.shape[0] >= block.shape[1] else block.T)
    n = len(rows[0])
    gram = [[sum(r[i] * r[j] for r in rows) for j in range(n)] for i in range(n)]
    for i in range(n):
        gram[i][i] -= Fraction(bound) ** 2
    negative = 0
    for k in range(n):
        pivot = gram[k][k]
        assert pivot != 0 or not any(gram[k][k + 1 :]), "a pivot vanishes; take another matrix"
        negative += pivot < 0
        for i in range(k + 1, n):
            factor = gram[i][k] / pivot if pivot else Fraction(0)
            for j in range(k, n):
                gram[i][j] -= factor * gram[k][j]
    count = n - negative
    return count // 2 if block.dtype.kind == "c" else count


BLOCKS = {
    "square": rng.standard_normal((4, 4)),
    "wide": rng.standard_normal((2, 5)),
    "tall": rng.standard_normal((5, 3)),
    "one": np.array([[0.3]]),
    "complex": rng.standard_normal((3, 2)) + 1j * rng.standard_normal((3, 2)),
    "rank one": np.outer([0.1, 0.7, 0.3], [1.1, 0.9, 0.7]),
    "near": np.eye(3) + 1e-9 * rng.standard_normal((3, 3)),
    "graded": np.diag([1.0, 1e-8, 1e-16]) @ rng.standard_normal((3, 3)),
    "tiny": 1e-100 * rng.standard_normal((3, 3)),
    "repeated": np.array([[0.6, 0.8], [-0.8, 0.6]]),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_bounds_hold_exactly(name: str) -> None:
    block = BLOCKS[name]
    low, high = singular_value_bounds(block)
    size = min(block.shape)
    assert low.shape == high.shape == (size,)
    for i in range(size):
        assert low[i] == 0.0 or at_least(block, low[i]) >= i + 1
        assert at_least(block, np.nextafter(high[i], np.inf)) <= i
    assert all(a >= b for a, b in pairwise(high))
    assert all(a >= b for a, b in pairwise(low))
    assert (high - low).max() < 1e-12 * high[0]


def test_stacks_are_taken_as_their_blocks() -> None:
    stack = rng.standard_normal((3, 2, 4))
    low, high = singular_value_bounds(stack)
    for i, block in enumerate(stack):
        alone = singular_value_bounds(block)
        np.testing.assert_allclose(low[i], alone[0], rtol=1e-14)
        np.testing.assert_allclose(high[i], alone[1], rtol=1e-14)


def test_zeros_have_bounds_that_are_nearly_zero() -> None:
    low, high = singular_value_bounds(np.zeros((2, 3)))
    assert not low.any()
    assert high.max() < 1e-100


@pytest.mark.parametrize("fault", ["u", "s", "v", "order", "sign", "zero"])
def test_a_wrong_decomposition_gives_wide_bounds_only(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = BLOCKS["square"]
    u, s, v = np.linalg.svd(block)
    given = {
        "u": (u * 1.1, s, v),
        "s": (u, s * 0.9, v),
        "v": (u, s, v[::-1]),
        "order": (u[:, ::-1], s[::-1], v[::-1]),
        "sign": (u, -s, v),
        "zero": (u * 0, s, v * 0),
    }[fault]
    monkeypatch.setattr(singular_values.np.linalg, "svd", lambda *_, **__: given)
    low, high = singular_value_bounds(block)
    assert (low <= s * (1 + 1e-14)).all()
    assert (high >= s * (1 - 1e-14)).all()


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("limit", [0.0, 0.1, 0.8, 5.0])
def test_the_thresholded_minimum_is_that_of_the_scalar_problems(rank: int, limit: float) -> None:
    s = np.array([2.0, 0.9, 0.5])
    t = np.linspace(0, 3, 300_001)
    scalars = [0.5 * (v - t) ** 2 + limit * t for v in s]
    best = sum(float(f.min() if i < rank else f[0]) for i, f in enumerate(scalars))
    found = float(thresholded_below(s, rank, limit))
    assert found <= best + 1e-12
    assert found == pytest.approx(best, abs=1e-9)
