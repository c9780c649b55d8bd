"""Rank-one approximations of blocks on the emulated device, against LAPACK's SVD."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_emulator import compiler, emulate
from kernel_runs import prepare, random, run, unwritten, widened
from sparseopt_cupy import kernel_table

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

# b, c, d, groups
PAIRS = [
    (2, 1, 1, 1),
    (2, 1, 3, 37),
    (2, 2, 1, 1),
    (2, 2, 5, 7),
    (2, 3, 4, 9),
    (2, 4, 2, 33),
    (2, 5, 1, 3),
    (2, 7, 3, 5),
    (2, 8, 8, 4),
    (2, 13, 2, 2),
    (2, 16, 3, 3),
    (2, 17, 5, 1),
    (2, 31, 1, 6),
    (2, 32, 2, 2),
    (2, 33, 3, 1),
    (2, 100, 1, 5),
    (2, 127, 2, 1),
    (2, 255, 1, 2),
    (2, 500, 3, 1),
    (2, 700, 1, 2),
    (2, 1500, 2, 1),
]
LINES = [
    (1, 1, 1, 1),
    (1, 5, 2, 3),
    (3, 1, 2, 9),
    (3, 2, 5, 3),
    (3, 3, 3, 3),
    (4, 4, 2, 9),
    (4, 5, 1, 1),
    (5, 4, 3, 4),
    (5, 13, 2, 2),
    (3, 16, 1, 5),
    (16, 3, 4, 3),
    (8, 8, 4, 4),
    (7, 17, 1, 4),
    (17, 7, 2, 3),
    (3, 31, 2, 2),
    (4, 32, 1, 3),
    (3, 33, 1, 3),
    (6, 65, 2, 1),
    (12, 12, 3, 1),
    (3, 130, 1, 2),
    (4, 600, 1, 1),
]


def approximate(
    case: tuple[int, int, int, int], source: np.ndarray, dtype: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return u, w and the marks of slow blocks, by the kernel."""
    b, c, d, groups = case
    left, rest = unwritten((d, groups, b), dtype), unwritten((d, groups * c), dtype)
    slow = np.full((d, groups), -1, np.int32)
    run(
        kernel_table.rank_one(*case, dtype),
        {"source": source, "left": left, "rest": rest, "slow": slow},
    )
    return widened(left, dtype), widened(rest, dtype).reshape(d, groups, c), slow


def blocks_of(case: tuple[int, int, int, int], source: np.ndarray, dtype: str) -> np.ndarray:
    b, c, d, groups = case
    return widened(source, dtype).reshape(b, d, groups, c).transpose(1, 2, 0, 3)


def require_best(
    case: tuple[int, int, int, int], source: np.ndarray, dtype: str, slack: float
) -> None:
    """u has length 1, w = u^H B, and no rank-one matrix is closer, unless said so."""
    eps = float(np.finfo(dtype).eps)
    blocks = blocks_of(case, source, dtype)
    u, w, slow = approximate(case, source, dtype)
    scale = np.linalg.norm(blocks)
    assert np.abs(np.linalg.norm(u, axis=-1) - 1).max() < 16 * eps
    assert np.linalg.norm(np.einsum("tgj,tgjk->tgk", u.conj(), blocks) - w) < 32 * eps * scale
    values = np.linalg.svd(blocks, compute_uv=False)[..., 0]
    short = values**2 - (np.abs(w) ** 2).sum(axis=-1)
    converged = slow != 1
    assert np.all(short[converged] <= slack * eps * scale**2)
    assert np.all(short <= 0.5 * values**2)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64", "complex128"])
def test_blocks_of_two_rows_in_closed_form(dtype: str) -> None:
    every = 1 if dtype == "float32" else 3
    prepare([one for case in PAIRS[::every] for one in kernel_table.rank_one(*case, dtype)])
    rng = np.random.default_rng(0)
    for b, c, d, groups in PAIRS[::every]:
        source = random(rng, (b * d, groups * c), dtype)
        require_best((b, c, d, groups), source, dtype, 32)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64", "complex128"])
def test_blocks_of_any_size_by_power_iteration(dtype: str) -> None:
    every = 1 if dtype == "float32" else 4
    prepare([one for case in LINES[::every] for one in kernel_table.rank_one(*case, dtype)])
    rng = np.random.default_rng(1)
    for case in LINES[::every]:
        b, c, d, groups = case
        # Near rank one, so that twenty steps are enough.
        u, v = random(rng, (d, groups, b), dtype), random(rng, (d, groups, c), dtype)
        noise = random(rng, (d, groups, b, c), dtype)
        blocks = np.einsum("tgj,tgk->tgjk", u, v) + 0.05 * noise
        source = np.ascontiguousarray(
            blocks.transpose(2, 0, 1, 3).reshape(b * d, groups * c).astype(dtype)
        )
        require_best(case, source, dtype, 64)
        assert not approximate(case, source, dtype)[2].any()


def test_blocks_of_rank_one_are_exact_and_zero_blocks_stay_finite() -> None:
    rng = np.random.default_rng(2)
    for case in [(2, 5, 3, 4), (4, 5, 3, 4), (3, 40, 2, 2)]:
        b, c, d, groups = case
        u, v = rng.standard_normal((d, groups, b)), rng.standard_normal((d, groups, c))
        u[0, 0] = 0
        v[1, 1, :-1] = 0
        blocks = np.einsum("tgj,tgk->tgjk", u, v)
        source = np.ascontiguousarray(blocks.transpose(2, 0, 1, 3).reshape(b * d, groups * c))
        left, rest, slow = approximate(case, source, "float64")
        product = np.einsum("tgj,tgk->tgjk", left, rest)
        assert np.abs(product - blocks).max() < 1e-14
        assert np.all(np.linalg.norm(left, axis=-1) > 1 - 1e-14)
        assert not rest[0, 0].any()
        assert b == 2 or not slow.any()


def test_blocks_that_need_more_steps_are_named() -> None:
    """Two equal singular values: any direction is best, close ones are slow to tell apart."""
    case = (3, 3, 1, 2)
    blocks = np.zeros((2, 3, 3))
    blocks[0] = np.diag([1.0, 0.0, 0.0])
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    blocks[1] = rotation @ np.diag([1.0, 0.97, 0.95]) @ rotation.T
    source = np.ascontiguousarray(blocks.transpose(1, 0, 2).reshape(3, 6))
    *_, slow = approximate(case, source, "float64")
    assert slow.tolist() == [[0, 1]]


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_float32_blocks_far_from_one(scale: float) -> None:
    rng = np.random.default_rng(4)
    source = (scale * rng.standard_normal((8, 15))).astype(np.float32)
    require_best((2, 5, 4, 3), source, "float32", 32)


def test_blocks_that_fit_nowhere_are_read_again() -> None:
    """Too large for registers or shared memory: the same numbers, from memory each time."""
    rng = np.random.default_rng(5)
    u, v = rng.standard_normal(40), rng.standard_normal(30)
    source = np.outer(u, v) + 0.01 * rng.standard_normal((40, 30))
    (launch,) = kernel_table.rank_one(40, 30, 1, 1, "float64", shared_limit=1 << 10)
    left, rest = unwritten((40,), "float64"), unwritten((30,), "float64")
    slow = np.full((1,), -1, np.int32)
    arrays = {"source": source, "left": left, "rest": rest, "slow": slow}
    counts = emulate(
        launch.kernel.source,
        launch.kernel.name,
        launch.grid,
        launch.block,
        [arrays[v] if isinstance(v, str) else v for v in launch.arguments],
        launch.shared_bytes,
    )
    assert counts.faults == 0
    assert slow[0] == 0
    best = np.linalg.svd(source, compute_uv=False)
    assert np.linalg.norm(source - np.outer(left, rest)) < best[1:].max() * 6
    assert abs(np.linalg.norm(rest) - best[0]) < 1e-12 * best[0]
    with pytest.raises(ValueError, match="too wide"):
        kernel_table.rank_one(3, 10**6, 1, 1, "float32")


# c, d, groups of the first of two levels
TWICE = [
    (2, 2, 1),
    (2, 2, 37),
    (2, 6, 5),
    (4, 4, 1),
    (4, 2, 9),
    (6, 4, 3),
    (8, 8, 2),
    (10, 2, 2),
    (12, 6, 1),
    (16, 4, 3),
    (22, 2, 5),
    (30, 2, 2),
    (32, 4, 2),
    (34, 2, 1),
    (64, 6, 1),
    (66, 2, 3),
    (100, 4, 1),
    (250, 2, 1),
    (256, 2, 2),
    (300, 2, 2),
    (1000, 2, 1),
]


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64", "complex128"])
def test_two_levels_at_once_are_two_levels(dtype: str) -> None:
    every = 1 if dtype == "float32" else 4
    cases = TWICE[::every]
    prepare([one for case in cases for one in kernel_table.rank_one_twice(*case, dtype)])
    rng = np.random.default_rng(6)
    eps = float(np.finfo(dtype).eps)
    for c, d, groups in cases:
        source = random(rng, (2 * d, groups * c), dtype)
        left, rest = unwritten((d, groups, 2), dtype), unwritten((d // 2, groups * c), dtype)
        second = unwritten((d // 2, 2 * groups, 2), dtype)
        run(
            kernel_table.rank_one_twice(c, d, groups, dtype),
            {"source": source, "left": left, "next": second, "rest": rest},
        )
        u, w, _ = approximate((2, c, d, groups), source, dtype)
        assert np.abs(left - u).max() < 32 * eps
        middle = np.ascontiguousarray(w.reshape(d, groups * c).astype(dtype))
        blocks = blocks_of((2, c // 2, d // 2, 2 * groups), middle, dtype)
        got = widened(rest, dtype).reshape(d // 2, 2 * groups, c // 2)
        exact = np.einsum("tgj,tgjk->tgk", widened(second, dtype).conj(), blocks)
        scale = np.linalg.norm(blocks)
        assert np.linalg.norm(exact - got) < 64 * eps * scale
        best = np.linalg.svd(blocks, compute_uv=False)[..., 0] ** 2
        assert np.abs(best - (np.abs(got) ** 2).sum(axis=-1)).max() < 64 * eps * scale**2


def test_what_two_levels_at_once_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match="even, not 3 and 4"):
        kernel_table.rank_one_twice(3, 4, 1, "float32")
    with pytest.raises(ValueError, match="allowed are 8192"):
        kernel_table.rank_one_twice(8194, 4, 1, "float32")


def test_a_factorization_moves_little_more_than_its_target() -> None:
    """Goal: at most three reads of an 8192 x 8192 dyadic target, at the rate of memory."""
    n = 8192
    once = twice = 0
    for level in range(12):
        d, groups = n >> level + 1, 2 << level
        (launch,) = kernel_table.rank_one(2, n // groups, d, groups, "float32")
        assert launch.loaded["source"] == 2 * d * n * 4
        once += launch.predicted_bytes
        if level % 2 == 0:
            (launch,) = kernel_table.rank_one_twice(n // groups, d, groups, "float32")
            twice += launch.predicted_bytes
    assert once <= 3.01 * (n * n * 4)
    assert twice <= 1.68 * (n * n * 4)
