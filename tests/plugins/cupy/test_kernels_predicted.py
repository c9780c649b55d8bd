"""What can be foretold without a device: bytes against the floor, blocks on a multiprocessor.

``pytest -s`` prints the table beside the goals. The bytes are those that the emulated kernels count
on small sizes (test_kernels_factor.py), where the same formulas are compared with what they do.
"""

from __future__ import annotations

import sys

import pytest
from sparseopt_cupy import kernel_table
from sparseopt_cupy.kernels.launches import Launch

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
KINDS = {"tf32": ("float32", "tf32"), "bfloat16": ("bfloat16", "ieee")}


def say(line: str) -> None:
    """Print a line of the table; seen with -s."""
    sys.stdout.write(f"{line}\n")


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


@pytest.mark.parametrize("layout", ["last", "first"])
@pytest.mark.parametrize("kind", KINDS)
def test_kernels_ask_for_little_more_than_the_floor(kind: str, layout: str) -> None:
    dtype, precision = KINDS[kind]
    shares = []
    say(f"\n{kind}, batch {layout}, n = 25088: pattern, kernel, asked / floor, blocks, bound by")
    for pattern in GRID:
        (launch,) = kernel_table.factor(
            pattern, 25088, dtype, precision=precision, layout=layout, order="adbc"
        )
        share, longest = bound(launch, kind)
        kernel = launch.kernel
        say(
            f"{pattern!s:20} {kernel.struct:10} {launch.predicted_bytes / launch.floor_bytes:5.2f} "
            f"{kernel.blocks_at_once():3d} x {kernel.threads:3d}  {longest} {share:.2f}"
        )
        if pattern[1] <= 128 and layout == "last":  # x once, by construction
            assert launch.loaded["x"] + launch.stored["y"] < launch.floor_bytes
        if launch.floor_bytes / MEMORY >= launch.flops / RATES[kind]:
            shares.append(share)
    goal = {"last": 0.80, "first": 0.65}[layout]
    shares.sort()
    say(f"median share of the rate of memory {shares[len(shares) // 2]:.2f}, goal {goal}")
    assert shares[len(shares) // 2] >= goal


def test_a_gradient_asks_for_little_more_than_its_floor() -> None:
    """Goal: dW within 1.5 times its floor."""
    shares = []
    for pattern in GRID:
        launches = kernel_table.weight_gradient(pattern, 25088, "bfloat16")
        floor = launches[0].loaded["dy"] + launches[0].loaded["x"]
        a, b, c, d = pattern
        exact = 25088 * a * d * (b + c) * 2 + 2 * a * b * c * d
        asked = sum(launch.predicted_bytes for launch in launches)
        seconds = max(exact / MEMORY, asked / CACHE, 2 * 25088 * a * b * c * d / RATES["bfloat16"])
        memory = max(exact / MEMORY, 2 * 25088 * a * b * c * d / RATES["bfloat16"])
        shares.append(seconds / memory)
        say(
            f"{pattern!s:20} asked / floor {asked / exact:5.2f}, of x and dy {floor / exact:.2f}, "
            f"time over floor {seconds / memory:.2f}"
        )
    shares.sort()
    assert shares[len(shares) // 2] <= 1.5
