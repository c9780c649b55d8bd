"""The goals on a GPU, and what can be foretold of each without one: the table in `docs/gpu.md`.

After a change of kernels or planner, ``python tests/support/gpu_goals.py`` writes it anew; a test
keeps it true. `benchmarks/gpu.py` prints it beside what it measures. Bytes are those of the table
of kernels, which tests compare with what the emulated kernels count.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from sparseopt_cupy import kernel_table
from sparseopt_cupy.kernels.launches import Launch
from sparseopt_cupy.rates import Rates

import sparseopt as so
from sparseopt.interface.verdict import Unavailable

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"
BEGINS, ENDS = "<!-- goals begin -->\n", "<!-- goals end -->\n"

Pattern = tuple[int, int, int, int]
# The grid of the benchmark: the paper's range, Monarch, butterflies, transformers.
GRID: list[Pattern] = [
    (1, 48, 48, 1),
    (4, 64, 64, 4),
    (64, 64, 64, 1),
    (1, 64, 64, 64),
    (6, 64, 64, 1),
    (1, 768, 192, 2),
    (16, 48, 192, 4),
    (4, 192, 48, 16),
    (2, 96, 384, 16),
    (4, 128, 128, 4),
    (16, 128, 128, 2),
    (2, 256, 256, 4),
    (16, 256, 256, 1),
    (1, 512, 512, 4),
    (4, 1024, 1024, 1),
    (96, 48, 48, 2),
    (1, 32, 32, 32),
    (32, 32, 32, 1),
    (1, 2, 2, 2048),
    (64, 2, 2, 32),
    (2048, 2, 2, 1),
    (32, 4, 4, 32),
    (16, 16, 16, 16),
    (8, 3584, 512, 1),
    (1, 512, 3584, 8),
]
# Rates of an H100 in units of 1e12: memory, second cache, products on tensor cores by mma.sync.
MEMORY, CACHE, RATES = 3.0, 6.0, {"tf32": 250.0, "bfloat16": 450.0}
# The library's rates, by wgmma.
LIBRARY = {"tf32": 400.0, "bfloat16": 798.0}
COLUMNS = 25088
KINDS = {"tf32": ("float32", "tf32"), "bfloat16": ("bfloat16", "ieee")}


def bound(launch: Launch, kind: str) -> tuple[float, str]:
    """Return what share of the time memory alone would take, by rates, and what takes longest."""
    asked = sum(launch.stored.values()) + launch.loaded["x"]
    if launch.kernel.struct == "Factor":  # elsewhere weights come from the first cache
        asked += launch.loaded["w"]
    times = {
        "memory": launch.floor_bytes / MEMORY,
        "cache": asked / CACHE,
        "flops": launch.flops / RATES[kind],
    }
    longest = max(times, key=lambda name: times[name])
    return times["memory"] / times[longest], longest


def shares(kind: str, layout: str) -> list[float]:
    """Return what share of the rate of memory each pattern of the grid is predicted to reach, where
    memory sets the pace."""
    dtype, precision = KINDS[kind]
    found = []
    for pattern in GRID:
        (launch,) = kernel_table.factor(
            pattern, COLUMNS, dtype, precision=precision, layout=layout, order="adbc"
        )
        if launch.floor_bytes / MEMORY >= launch.flops / RATES[kind]:
            found.append(bound(launch, kind)[0])
    return found


def over_permuted(kind: str) -> list[float]:
    """Return the time of permute, bmm, permute over ours, batch last, where d > 1.

    It moves operand and result three times; its products run at the library's rate.
    """
    dtype, precision = KINDS[kind]
    size = 4 if dtype == "float32" else 2
    found = []
    for pattern in GRID:
        a, b, c, d = pattern
        (launch,) = kernel_table.factor(pattern, COLUMNS, dtype, precision=precision, order="adbc")
        if d == 1 or launch.floor_bytes / MEMORY < launch.flops / RATES[kind]:
            continue
        theirs = size * (3 * COLUMNS * a * d * (b + c) + a * b * c * d) / MEMORY
        ours = launch.floor_bytes / MEMORY / bound(launch, kind)[0]
        found.append(max(theirs, launch.flops / LIBRARY[kind]) / ours)
    return found


def over_strided() -> list[float]:
    """Return the planned time of cuBLAS on strided views over that of the plan, batch last."""
    from sparseopt_cupy.multiplication import CudaMultiplication

    found = []
    for pattern in GRID:
        held: Any = [np.ones(pattern, np.float32)], so.Architecture([pattern]), "tf32"
        either, strided = (
            CudaMultiplication(*held, _nothing, **more) for more in ({}, {"allowed": ("strided",)})
        )
        plans = [one.plan(COLUMNS, "float32", "last") for one in (strided, either)]
        if plans[0].steps[0].method == "strided":
            found.append(plans[0].microseconds / plans[1].microseconds)
    return found


def _nothing() -> Unavailable:
    return Unavailable("no device", "none is needed")


def passes(exponents: range) -> tuple[int, float]:
    """Return in how many passes over x dyadic chains with 4096 columns are planned at most, and the
    planned time over that of reading x and writing y once."""
    copy = Rates.of("an H100").copy
    found, times = [], []
    for exponent in exponents:
        n = 1 << exponent
        dyadic = so.Architecture.square_dyadic(n)
        ones = [np.ones(p.values_shape, np.float32) for p in dyadic]
        plan = so.KroneckerProduct(ones, dyadic).plan(4096, device="cuda")
        found.append(len(plan.steps))
        times.append(plan.microseconds * copy / (8 * n * 4096))
    return max(found), max(times)


def gradient_shares() -> list[float]:
    """Return the predicted time of dW over its floor."""
    found = []
    for pattern in GRID:
        a, b, c, d = pattern
        launches = kernel_table.weight_gradient(pattern, COLUMNS, "bfloat16")
        exact = COLUMNS * a * d * (b + c) * 2 + 2 * a * b * c * d
        asked = sum(launch.predicted_bytes for launch in launches)
        floor = max(exact / MEMORY, 2 * COLUMNS * a * b * c * d / RATES["bfloat16"])
        found.append(max(floor, asked / CACHE) / floor)
    return found


def reads(exponent: int = 13) -> float:
    """Return the bytes of a dyadic float32 factorization, two levels at once, in reads of it."""
    n, moved = 1 << exponent, 0
    for level in range(0, exponent - 1, 2):
        d, groups = n >> level + 1, 2 << level
        (launch,) = kernel_table.rank_one_twice(n // groups, d, groups, "float32")
        moved += launch.predicted_bytes
    return moved / (4 * n * n)


def goals() -> list[tuple[str, str, str]]:
    """Return the rows of the table: case, goal, what is predicted."""
    last, first = (
        [statistics.median(shares(kind, layout)) for kind in KINDS] for layout in ("last", "first")
    )
    permuted = [statistics.median(over_permuted(kind)) for kind in KINDS]
    strided = over_strided()
    short, long = passes(range(10, 12)), passes(range(12, 17))
    return [
        (
            "bandwidth-bound, batch last, tf32 and bfloat16: share of the copy rate, median",
            "0.80",
            f"{last[0]:.2f} and {last[1]:.2f}",
        ),
        ("the same, batch first", "0.65", f"{first[0]:.2f} and {first[1]:.2f}"),
        (
            "d > 1, batch last, over the best of torch's bmm, einsum, BSR, CSR and dense, median",
            "2 x",
            f"{permuted[0]:.1f} x and {permuted[1]:.1f} x over permuted bmm",
        ),
        (
            "over the zero-copy product, bmm or cuBLAS on strided views (`bmm0`, `strided`)",
            "never under 0.95 x; median 1.2 x",
            f"{min(strided):.2f} x at least, median {statistics.median(strided):.2f} x (tf32)",
        ),
        (
            "over lazylinop's CuPy backend, batch last, d > 1: b, c up to 64 in float32; from 128 "
            "in tf32x3; float16",
            "1.2 x; 1.8 x; 3 x",
            "-",
        ),
        ("b, c from 128, ieee: share of cuBLAS's float32 rate", "0.80", "-"),
        (
            "dyadic chains of 4096 columns, up to 2^11 and 2^12 to 2^16: passes over x",
            "1.3 and 2.5",
            f"{short[0]} and {long[0]} by bytes; {short[1]:.1f} and {long[1]:.1f} of the time as "
            "planned, launches and rereading of weights included",
        ),
        ("butterfly layer of torch-structured, batch first", "none: it is shown beside", "-"),
        (
            "errors: ieee, tf32x3, tf32, 16 bits",
            "1e-6, 3e-6, 1e-3, 1e-2",
            "met by the emulated kernels",
        ),
        (
            "dx over a forward; dW over its floor, median",
            "1.1; 1.5",
            f"the same kernel; {statistics.median(gradient_shares()):.2f} (bfloat16)",
        ),
        (
            "factorization of an 8192 x 8192 float32 dyadic target: reads of it",
            "3",
            f"{reads():.2f}",
        ),
        ("energy of a call, ours and the fastest torch peer, by NVML", "none: it is shown", "-"),
    ]


def table() -> str:
    """Return the table in Markdown."""
    lines = [("case", "goal", "predicted"), ("---",) * 3, *goals()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page() -> str:
    """Return `docs/gpu.md` with the table of today."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGINS)
    _, after = rest.split(ENDS)
    return f"{before}{BEGINS}\n{table()}{ENDS}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
