"""The emulator finds the bugs that a comparison of results does not, or only by luck.

Bugs are planted into the text of the kernels; each text is found exactly once.
"""

from __future__ import annotations

import dataclasses

import cuda_emulator
import numpy as np
import pytest
from cuda_emulator import Counts, compiler, emulate
from kernel_runs import distance, random, unwritten
from sparseopt_cupy import kernel_table
from sparseopt_cupy.kernels.launches import Launch

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed")

PATTERN = (1, 18, 60, 2)


def run_planted(
    launch: Launch, text: str, instead: str, w: np.ndarray, x: np.ndarray, y: np.ndarray
) -> Counts:
    kernel = launch.kernel
    assert kernel.source.count(text) == 1
    arrays = {"x": x, "w": w, "y": y}
    return emulate(
        kernel.source.replace(text, instead),
        kernel.name,
        launch.grid,
        launch.block,
        [arrays[v] if isinstance(v, str) else v for v in launch.arguments],
        launch.shared_bytes,
    )


def factor_with(text: str, instead: str, n: int = 33, precision: str = "tf32") -> tuple:
    a, b, c, d = PATTERN
    rng = np.random.default_rng(0)
    w, x = random(rng, PATTERN, "float32"), random(rng, (a * c * d, n), "float32")
    y = unwritten((a * b * d, n), "float32")
    (launch,) = kernel_table.factor(PATTERN, n, "float32", precision=precision)  # type: ignore[arg-type]
    counts = run_planted(launch, text, instead, w, x, y)
    expected = np.einsum("ikmj,imjt->ikjt", w.astype(float), x.reshape(a, c, d, n).astype(float))
    return counts, distance(y, expected.reshape(y.shape))


def test_a_missing_barrier_that_leaves_the_result_right() -> None:
    """The tile of y is written where another thread may still read its operands."""
    barrier = "__syncthreads();  // the tile of y takes the place of the stages"
    counts, error = factor_with(barrier, "")
    assert error < 1e-3
    assert counts.races > 0
    assert counts.out_of_bounds == 0


def test_a_missing_barrier_between_stages() -> None:
    barrier = (
        "__syncthreads();  // step is here, and all are done with the stage that is filled next"
    )
    counts, _ = factor_with(barrier, "")
    assert counts.races > 0


def test_a_missing_wait_for_copies_gives_nan() -> None:
    """What the hardware would mostly have copied in time is never there before it is waited for."""
    counts, error = factor_with("copies_arrived<STAGES - 2>();", "")
    assert error == np.inf
    assert counts.faults == 0


def test_a_dropped_store_mask() -> None:
    counts, _ = factor_with("if (m0 + p < b && n0 + t < n)", "if (m0 + p < b)", n=37)
    assert counts.out_of_bounds > 0
    assert counts.races > 0  # and rows that write into each other


def test_a_dropped_load_mask() -> None:
    counts, _ = factor_with(
        "const bool inside = q0 + q < c && n0 + t < n;", "const bool inside = true;"
    )
    assert counts.out_of_bounds > 0


def test_vectors_off_their_multiple() -> None:
    """Columns that lie at odd places cannot be copied four at a time."""
    (launch,) = kernel_table.factor(PATTERN, 36, "float32")
    arguments = tuple(33 if value == 36 else value for value in launch.arguments)
    a, b, c, d = PATTERN
    w, x = np.zeros(PATTERN, np.float32), np.zeros((a * c * d, 33), np.float32)
    y = unwritten((a * b * d, 33), "float32")
    launch = dataclasses.replace(launch, arguments=arguments)
    counts = run_planted(launch, "// instantiation\n", "// instantiation\n", w, x, y)
    assert counts.misaligned > 0


def test_a_barrier_that_some_threads_never_reach() -> None:
    counts, _ = factor_with(
        "__syncthreads();  // the tile of y takes the place of the stages",
        "if (threadIdx.x > 31) __syncthreads();",
    )
    assert counts.stuck > 0


def test_a_missing_barrier_between_factors_of_a_run() -> None:
    rng = np.random.default_rng(0)
    (launch,) = kernel_table.fused_pairs(1, 1, 6, 20, "float32")
    x, w = random(rng, (64, 20), "float32"), random(rng, (6 * 128,), "float32")
    barrier = "        }\n        __syncthreads();\n    }\n    // Reads HELD columns"
    counts = run_planted(
        launch,
        barrier,
        barrier.replace("__syncthreads();", ""),
        w,
        x,
        unwritten(x.shape, "float32"),
    )
    assert counts.races > 0
    steps = [(1, 4, 4, 4), (4, 4, 4, 1)]
    (launch,) = kernel_table.fused_chain(steps, 20, "float32")
    x, w = random(rng, (16, 20), "float32"), random(rng, (128,), "float32")
    barrier = "__syncthreads();  // the next factor reads what others wrote"
    counts = run_planted(launch, barrier, "", w, x, unwritten(x.shape, "float32"))
    assert counts.races > 0


def test_two_threads_that_write_one_entry() -> None:
    source = """
extern "C" __global__ void both(Out<float> y) { store(y, 0, float(blockIdx.x)); }
"""
    kernel = kernel_table.factor((1, 2, 2, 1), 4, "float32")[0].kernel
    head = kernel.source.split("// instantiation\n")[0]
    y = np.zeros(1, np.float32)
    assert emulate(head + source, "both", (2,), (1,), [y]).races == 1
    assert emulate(head + source, "both", (1,), (1,), [y]).races == 0


def test_arguments_that_are_not_those_of_the_kernel() -> None:
    (launch,) = kernel_table.factor((1, 2, 2, 1), 4, "float32")
    with pytest.raises(TypeError, match="not those of the kernel"):
        emulate(launch.kernel.source, launch.kernel.name, (1,), (1,), [1, 2, 3])


def test_no_kernel_is_compiled_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not beside others, nor in another process; what differs in one letter is."""
    kernels = [kernel_table.factor((1, b, 2, 1), 4, "float32")[0].kernel for b in (2, 3, 4)]
    sources = {kernel.name: kernel.source for kernel in kernels}
    cuda_emulator.build((source, name) for name, source in sources.items())
    texts = []
    monkeypatch.setattr(cuda_emulator, "_compile", lambda text, *_: texts.append(text))
    cuda_emulator._library.cache_clear()
    for name, source in sources.items():
        cuda_emulator.build([(source, name)])
        assert cuda_emulator._library(source, name)[f"emulate_{name}"]
    assert not texts
    cuda_emulator.build([(f"{source}\n", name) for name, source in sources.items()])
    assert len(texts) == 1
    assert all(f"emulate_{name}" in texts[0] for name in sources)
