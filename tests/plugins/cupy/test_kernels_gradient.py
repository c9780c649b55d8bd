"""The gradient of a factor's weights on the emulated device."""

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
KINDS = {
    "ieee": ("float32", "ieee", 1),
    "tf32": ("float32", "tf32", 2),
    "tf32x3": ("float32", "tf32x3", 7),
    "float16": ("float16", "ieee", 2),
    "bfloat16": ("bfloat16", "ieee", 7),
    "float64": ("float64", "ieee", 7),
    "complex64": ("complex64", "ieee", 7),
    "complex128": ("complex128", "ieee", 8),
}


def cases(kind: str) -> list[tuple[Pattern, int, str]]:
    every = KINDS[kind][2]
    return [
        (pattern, BATCHES[k % len(BATCHES)], ("abcd", "adbc")[k // 2 % 2])
        for k, pattern in enumerate(PATTERNS[::every])
    ]


def launches(pattern: Pattern, n: int, kind: str, layout: str, order: str) -> tuple[Launch, ...]:
    dtype, precision, _ = KINDS[kind]
    return kernel_table.weight_gradient(
        pattern, n, dtype, precision=precision, layout=layout, order=order
    )


def gradient(
    pattern: Pattern, n: int, kind: str, layout: str, order: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return dW by the kernels, and by NumPy from the same stored numbers."""
    dtype = KINDS[kind][0]
    a, b, c, d = pattern
    rng = np.random.default_rng(sum(pattern) + n)
    if layout == "last":
        dy, x = random(rng, (a * b * d, n), dtype), random(rng, (a * c * d, n), dtype)
        left, right = widened(dy, dtype).reshape(a, b, d, n), widened(x, dtype).reshape(a, c, d, n)
        expected = np.einsum("ipjt,iqjt->ipqj", left, right.conj())
    else:
        dy, x = random(rng, (n, a * b * d), dtype), random(rng, (n, a * c * d), dtype)
        left, right = widened(dy, dtype).reshape(n, a, b, d), widened(x, dtype).reshape(n, a, c, d)
        expected = np.einsum("tipj,tiqj->ipqj", left, right.conj())
    if order == "adbc":
        expected = np.ascontiguousarray(expected.transpose(0, 3, 1, 2))
    found = launches(pattern, n, kind, layout, order)
    sums = "float32" if dtype in ("float16", "bfloat16") else dtype
    dw = unwritten(expected.shape, dtype)
    partial = unwritten((kernel_table.partial_entries(found, dtype),), sums)
    run(found, {"dy": dy, "x": x, "dw": dw, "partial": partial})
    return widened(dw, dtype), expected


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_is_summed_to_its_accuracy(kind: str, layout: str) -> None:
    prepare(
        [one for case in cases(kind) for one in launches(case[0], case[1], kind, layout, case[2])]
    )
    for pattern, n, order in cases(kind):
        got, expected = gradient(pattern, n, kind, layout, order)
        assert distance(got, expected) < ALLOWED[kind], (pattern, n, order)


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("kind", ["ieee", "float16"])
def test_a_long_batch_is_split_and_summed_in_order(kind: str, layout: str) -> None:
    for pattern, n in [((1, 17, 18, 2), 700), ((1, 3, 2, 2), 515), ((1, 17, 18, 1), 1024)]:
        found = launches(pattern, n, kind, layout, "abcd")
        assert [one.kernel.struct for one in found[1:]] == ["SumPartials"]
        got, expected = gradient(pattern, n, kind, layout, "abcd")
        assert distance(got, expected) < ALLOWED[kind]
        again, _ = gradient(pattern, n, kind, layout, "abcd")
        assert np.array_equal(got, again)


def test_nothing_is_launched_for_no_columns() -> None:
    assert kernel_table.weight_gradient((2, 17, 19, 3), 0, "float32") == ()


def test_every_template_meets_twenty_odd_patterns() -> None:
    met: dict[str, int] = {}
    for kind in KINDS:
        for layout in ("last", "first"):
            for pattern, n, order in cases(kind):
                for launch in launches(pattern, n, kind, layout, order):
                    met[launch.kernel.struct] = met.get(launch.kernel.struct, 0) + 1
    assert min(met.values()) >= 20, met
    assert set(met) == {"TinyWeights", "Weights", "SumPartials"}
