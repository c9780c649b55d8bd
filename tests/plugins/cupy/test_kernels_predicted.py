"""What can be foretold without a device: bytes against the floor, blocks on a multiprocessor.

The table of goals in `docs/gpu.md` shows it; ``pytest -s`` prints every pattern. Bytes are those
that the emulated kernels count on small sizes (test_kernels_factor.py), where the same formulas are
compared with what they do.
"""

from __future__ import annotations

import statistics
import sys

import gpu_goals
import pytest
from gpu_goals import CACHE, GRID, KINDS, MEMORY, RATES, bound
from sparseopt_cupy import kernel_table


def say(line: str) -> None:
    """Print a line of the table; seen with -s."""
    sys.stdout.write(f"{line}\n")


def test_the_table_of_goals_is_that_of_today() -> None:
    pytest.importorskip("torch")
    found = gpu_goals.PAGE.read_text(encoding="utf-8")
    assert found == gpu_goals.page(), "write it anew by: python tests/support/gpu_goals.py"


def test_bytes_meet_the_goals() -> None:
    for kind in KINDS:
        assert statistics.median(gpu_goals.over_permuted(kind)) >= 2
    assert min(gpu_goals.over_strided()) >= 0.95
    assert gpu_goals.passes(range(10, 12))[0] <= 1.3
    assert gpu_goals.passes(range(12, 17))[0] <= 2.5
    assert statistics.median(gpu_goals.gradient_shares()) <= 1.5
    assert gpu_goals.reads() <= 3


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
