"""One factor on the emulated device: every template, odd sizes, exact counts of bytes."""

from __future__ import annotations

import numpy as np
import pytest
from cuda_emulator import compiler
from kernel_runs import (
    ALLOWED,
    BATCHES,
    PATTERNS,
    distance,
    prepare,
    random,
    run,
    unwritten,
    widened,
)
from sparseopt_cupy import kernel_table
from sparseopt_cupy.kernels.launches import Launch

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

Pattern = tuple[int, int, int, int]
# Data type, precision, and of how many patterns one is taken.
KINDS = {
    "ieee": ("float32", "ieee", 1),
    "tf32": ("float32", "tf32", 1),
    "float16": ("float16", "ieee", 2),
    "tf32x3": ("float32", "tf32x3", 4),
    "bfloat16": ("bfloat16", "ieee", 3),
    "float64": ("float64", "ieee", 5),
    "complex64": ("complex64", "ieee", 5),
    "complex128": ("complex128", "ieee", 6),
}


def apply(w: np.ndarray, x: np.ndarray, layout: str) -> np.ndarray:
    """Return K x in the layout of x, from the definition of the pattern."""
    a, b, c, d = w.shape
    if layout == "last":
        return np.einsum("ikmj,imjt->ikjt", w, x.reshape(a, c, d, -1)).reshape(a * b * d, -1)
    return np.einsum("ikmj,timj->tikj", w, x.reshape(-1, a, c, d)).reshape(-1, a * b * d)


def cases(kind: str, layout: str) -> list[tuple[Pattern, int, str]]:
    """Return patterns, batch sizes and orders of weights; fewer of the rarer kinds."""
    found = []
    for k, pattern in enumerate(PATTERNS[:: KINDS[kind][2]]):
        n = BATCHES[k % len(BATCHES)]
        found.append((pattern, n, ("abcd", "adbc")[k % 2]))
    if kind == "ieee":
        found += [
            ((1, 7, 3, 5), 21, "adbc"),
            ((9, 4, 8, 1), 18, "abcd"),
            ((2, 5, 5, 3), 35, "abcd"),
        ]
    if layout == "first" and kind in ("ieee", "tf32"):
        found += [((1, 16, 20, 8), 40, "adbc"), ((1, 33, 17, 11), 5, "abcd")]
    return found


def launches(kind: str, layout: str) -> list[Launch]:
    dtype, precision, _ = KINDS[kind]
    return [
        launch
        for pattern, n, order in cases(kind, layout)
        for launch in kernel_table.factor(
            pattern, n, dtype, precision=precision, layout=layout, order=order
        )
    ]


def product(
    pattern: Pattern, n: int, kind: str, layout: str, order: str, **more: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return a product by the kernel, and by NumPy from the same stored numbers."""
    dtype, precision, _ = KINDS[kind]
    a, b, c, d = pattern
    rng = np.random.default_rng(sum(pattern) + n)
    w = random(rng, pattern, dtype)
    matrix = widened(w, dtype)
    if more.get("transposed"):
        matrix, c, b = matrix.transpose(0, 2, 1, 3), b, c
    if more.get("conjugated"):
        matrix = matrix.conj()
    shape = {"last": (a * c * d, n), "first": (n, a * c * d)}[layout]
    x = random(rng, shape, dtype)
    expected = apply(matrix, widened(x, dtype), layout)
    y = unwritten(expected.shape, dtype)
    if order == "adbc":
        w = np.ascontiguousarray(w.transpose(0, 3, 1, 2))
    found = kernel_table.factor(
        pattern, n, dtype, precision=precision, layout=layout, order=order, **more
    )
    run(found, {"x": x, "w": w, "y": y})
    return widened(y, dtype), expected


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_factor_is_multiplied_to_its_accuracy(kind: str, layout: str) -> None:
    prepare(launches(kind, layout))
    for pattern, n, order in cases(kind, layout):
        got, expected = product(pattern, n, kind, layout, order)
        assert distance(got, expected) < ALLOWED[kind], (pattern, n, order)


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("pattern", [(2, 17, 5, 3), (1, 20, 33, 2), (1, 3, 2, 4), (2, 18, 40, 1)])
def test_transposes_and_adjoints_read_the_same_weights(pattern: Pattern, layout: str) -> None:
    for order in ("abcd", "adbc"):
        got, expected = product(pattern, 5, "complex64", layout, order, transposed=True)
        assert distance(got, expected) < 1e-6
    got, expected = product(
        pattern, 6, "complex64", layout, "abcd", transposed=True, conjugated=True
    )
    assert distance(got, expected) < 1e-6
    got, expected = product(pattern, 7, "ieee", layout, "adbc", transposed=True)
    assert distance(got, expected) < 1e-6


def test_every_template_meets_twenty_odd_patterns() -> None:
    """What the tests above run, counted."""
    met: dict[str, set[Pattern]] = {}
    for kind in KINDS:
        for layout in ("last", "first"):
            for (pattern, n, _), launch in zip(
                cases(kind, layout), launches(kind, layout), strict=True
            ):
                how = str(launch.kernel.parameters[1])
                name = launch.kernel.struct + (f" {how}" if how.isupper() else "")
                met.setdefault(name, set()).add((*pattern, n))
    counts = {name: len(patterns) for name, patterns in met.items()}
    wanted = {"TinyLast", "TinyFirst", "Factor IEEE", "Factor HALF", "Factor TF32"}
    assert {name for name, count in counts.items() if count >= 20} >= wanted, counts


def test_nothing_is_launched_for_no_columns() -> None:
    assert kernel_table.factor((2, 17, 19, 3), 0, "float32") == ()
    assert kernel_table.factor((2, 2, 2, 3), 0, "float32", layout="first") == ()


def test_a_nan_stays_in_its_column() -> None:
    """Masked edges multiply zeros by zeros, never by what another column holds."""
    pattern, n = (1, 17, 19, 3), 37
    a, b, c, d = pattern
    rng = np.random.default_rng(1)
    w, x = random(rng, pattern, "float32"), random(rng, (a * c * d, n), "float32")
    x[:, 5] = np.nan
    y = unwritten((a * b * d, n), "float32")
    for precision in ("ieee", "tf32"):
        run(
            kernel_table.factor(pattern, n, "float32", precision=precision),
            {"x": x, "w": w, "y": y},
        )
        assert np.isnan(y).any(axis=0).nonzero()[0].tolist() == [5]


@pytest.mark.parametrize("alignment", [4, 8])
def test_a_view_that_starts_anywhere_is_read_in_smaller_pieces(alignment: int) -> None:
    pattern, n = (1, 18, 20, 2), 32
    a, b, c, d = pattern
    rng = np.random.default_rng(2)
    w = random(rng, pattern, "float32")
    size, offset = a * c * d * n, alignment // 4
    whole = unwritten((size + 8,), "float32")
    start = -whole.ctypes.data // 4 % 4 + offset
    x = whole[start : start + size].reshape(a * c * d, n)
    x[...] = random(rng, x.shape, "float32")
    assert x.ctypes.data % 16 == alignment
    y = unwritten((a * b * d, n), "float32")
    run(kernel_table.factor(pattern, n, "float32", alignment=alignment), {"x": x, "w": w, "y": y})
    assert distance(y, apply(widened(w, "float32"), widened(x, "float32"), "last")) < 1e-6
