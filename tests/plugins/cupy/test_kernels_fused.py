"""Runs of factors in one pass on the emulated device: x is read once and y written once."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_emulator import compiler
from kernel_runs import ALLOWED, distance, prepare, random, run, unwritten, widened
from sparseopt_cupy import kernel_table
from sparseopt_cupy.kernels.launches import Launch

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

Pattern = tuple[int, int, int, int]
# a, d of the merged pattern, number of factors, columns.
PAIRS = [
    (1, 1, 1, 1),
    (1, 1, 1, 5),
    (3, 1, 1, 7),
    (1, 5, 1, 6),
    (2, 3, 2, 1),
    (3, 5, 2, 7),
    (1, 1, 2, 64),
    (2, 9, 2, 3),
    (1, 1, 3, 37),
    (2, 3, 3, 33),
    (5, 1, 3, 4),
    (1, 16, 3, 5),
    (1, 11, 3, 1),
    (1, 1, 5, 37),
    (3, 2, 5, 7),
    (1, 17, 5, 40),
    (2, 8, 5, 9),
    (1, 1, 7, 20),
    (2, 3, 7, 6),
    (1, 9, 7, 5),
    (1, 1, 10, 9),
]
RUNS: list[tuple[list[Pattern], int]] = [
    ([(1, 1, 1, 1)], 1),
    ([(2, 3, 2, 5)], 7),
    ([(1, 4, 4, 4), (4, 4, 4, 1)], 5),
    ([(1, 4, 4, 4), (4, 4, 4, 1)], 36),
    ([(2, 3, 5, 12), (10, 4, 6, 3)], 37),
    ([(1, 3, 2, 12), (2, 6, 5, 2), (10, 2, 3, 1)], 9),
    ([(1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 2, 1)], 12),
    ([(1, 5, 1, 1), (1, 1, 7, 1)], 3),
    ([(3, 1, 2, 3), (6, 3, 1, 1)], 8),
    ([(1, 7, 7, 3), (7, 3, 3, 1)], 10),
    ([(1, 16, 16, 2), (16, 2, 2, 1)], 4),
    ([(1, 2, 3, 20), (3, 4, 5, 5), (15, 5, 2, 1)], 6),
    ([(2, 6, 6, 9)], 11),
    ([(1, 9, 4, 8), (4, 2, 2, 4)], 21),
    ([(1, 3, 3, 27), (3, 3, 3, 9), (9, 3, 3, 3)], 2),
    ([(1, 3, 3, 27), (3, 3, 3, 9), (9, 3, 3, 3), (27, 3, 3, 1)], 13),
    ([(4, 5, 6, 1)], 33),
    ([(1, 8, 8, 8), (8, 8, 8, 1)], 16),
    ([(2, 2, 5, 14), (10, 7, 3, 2)], 1),
    ([(1, 10, 10, 10), (10, 10, 10, 1)], 3),
]


def chain(factors: list[np.ndarray], x: np.ndarray, layout: str) -> np.ndarray:
    """Return the product factor by factor, from the definition of the patterns."""
    for w in reversed(factors):
        a, b, c, d = w.shape
        if layout == "last":
            x = np.einsum("ikmj,imjt->ikjt", w, x.reshape(a, c, d, -1)).reshape(a * b * d, -1)
        else:
            x = np.einsum("ikmj,timj->tikj", w, x.reshape(-1, a, c, d)).reshape(-1, a * b * d)
    return x


def patterns_of(a: int, d: int, count: int) -> list[Pattern]:
    return [(a << level, 2, 2, d << (count - 1 - level)) for level in range(count)]


def error(
    patterns: list[Pattern], n: int, dtype: str, layout: str, launches: tuple[Launch, ...]
) -> float:
    rng = np.random.default_rng(n)
    factors = [random(rng, pattern, dtype) for pattern in patterns]
    features = patterns[-1][0] * patterns[-1][2] * patterns[-1][3]
    x = random(rng, {"last": (features, n), "first": (n, features)}[layout], dtype)
    expected = chain([widened(w, dtype) for w in factors], widened(x, dtype), layout)
    y = unwritten(expected.shape, dtype)
    packed = np.concatenate([w.transpose(0, 3, 1, 2).ravel() for w in factors])
    (launch,) = launches
    run(launches, {"x": x, "w": packed, "y": y})
    assert (launch.loaded["x"], launch.stored["y"]) == (x.nbytes, y.nbytes)
    return distance(widened(y, dtype), expected)


@pytest.mark.parametrize("layout", ["last", "first"])
def test_a_run_of_pairs_is_one_pass(layout: str) -> None:
    made = {
        case: kernel_table.fused_pairs(*case, "float32", layout=layout)  # type: ignore[arg-type]
        for case in PAIRS
    }
    prepare([launch for launches in made.values() for launch in launches])
    for (a, d, count, n), launches in made.items():
        assert error(patterns_of(a, d, count), n, "float32", layout, launches) < ALLOWED["ieee"]


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64", "complex128"])
def test_pairs_of_all_data_types(dtype: str, layout: str) -> None:
    for a, d, count, n in [(1, 3, 4, 5), (2, 1, 4, 12)]:
        launches = kernel_table.fused_pairs(a, d, count, n, dtype, layout=layout)
        assert error(patterns_of(a, d, count), n, dtype, layout, launches) < ALLOWED[dtype]


def test_a_run_of_any_blocks_is_one_pass() -> None:
    made = [
        (
            patterns,
            n,
            (layout := ("last", "first")[k % 2]),
            kernel_table.fused_chain(patterns, n, "float32", layout=layout),
        )
        for k, (patterns, n) in enumerate([*RUNS, *RUNS[5:8]])
    ]
    prepare([launch for *_, launches in made for launch in launches])
    for patterns, n, layout, launches in made:
        assert error(patterns, n, "float32", layout, launches) < ALLOWED["ieee"], patterns


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64", "complex128"])
def test_any_blocks_of_all_data_types(dtype: str) -> None:
    patterns, n = RUNS[5]
    for layout in ("last", "first"):
        launches = kernel_table.fused_chain(patterns, n, dtype, layout=layout)
        assert error(patterns, n, dtype, layout, launches) < ALLOWED[dtype]


def test_nothing_is_launched_for_no_columns() -> None:
    assert kernel_table.fused_pairs(1, 1, 3, 0, "float32") == ()
    assert kernel_table.fused_chain([(1, 2, 3, 4)], 0, "float32") == ()


def test_runs_that_do_not_fit_are_refused() -> None:
    longest = kernel_table.longest_run("float32")
    assert longest >= 11  # one pass for N = 2^11
    (launch,) = kernel_table.fused_pairs(1, 1, longest, 4096, "float32")
    assert launch.shared_bytes <= 227 << 10
    with pytest.raises(ValueError, match=f"take at most {longest}"):
        kernel_table.fused_pairs(1, 1, longest + 1, 4096, "float32")
    with pytest.raises(ValueError, match="rows of float32 does not fit"):
        kernel_table.fused_chain([(1, 100, 100, 100), (100, 100, 100, 1)], 4096, "float32")


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "complex128"])
def test_chains_take_as_few_passes_as_is_asked(dtype: str) -> None:
    """Goal: at most 1.3 passes over x for N <= 2^11 and 2.5 for N <= 2^16, of n >= 4096 columns."""
    n, longest = 4096, kernel_table.longest_run("float32")
    for levels in (8, 11, 12, 14, 16):
        runs = [levels] if levels <= longest else [levels - levels // 2, levels // 2]
        moved = 0
        before = levels
        for count in runs:
            before -= count
            (launch,) = kernel_table.fused_pairs(
                1 << sum(runs) - before - count, 1 << before, count, n, dtype
            )
            moved += launch.floor_bytes
        one_pass = 2 * (n << levels) * (moved and np.dtype(dtype).itemsize)
        assert moved / one_pass <= (1.3 if levels <= 11 else 2.5)
