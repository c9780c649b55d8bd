"""Launches of the rank-one approximations of one level of the hierarchical factorization."""

from __future__ import annotations

import numpy as np

from sparseopt_cupy.kernels.launches import (
    SHARED_LIMIT,
    THREADS,
    TYPES,
    Launch,
    flops_per_product,
    itemsize,
    power_above,
    signature,
    tiles,
)
from sparseopt_cupy.kernels.sources import Kernel

# Steps of the power iteration before a dense eigensolver takes over, as on the CPU.
STEPS = 20
# Columns that a thread keeps in registers, in bytes of them.
_KEPT_BYTES = 64
# Shared memory of the teams of a thread block.
_TWO_BLOCKS = 100 << 10

_PAIRS = (
    ("In<{0}>", "source"),
    ("Out<{0}>", "left"),
    ("Out<{0}>", "rest"),
    *(("long long", name) for name in ("d", "groups", "c")),
)
_TWICE = (
    ("In<{0}>", "source"),
    *(("Out<{0}>", name) for name in ("left", "next", "rest")),
    *(("long long", name) for name in ("d", "groups", "c")),
)
_LINES = (
    ("In<{0}>", "source"),
    ("Out<{0}>", "left"),
    ("Out<{0}>", "rest"),
    ("Out<int>", "slow"),
    *(("long long", name) for name in ("d", "groups", "b", "c")),
    ("double", "eps"),
)


def _largest_team(size: int) -> int:
    """Return the most threads of a team: 1024 would leave too few registers for complex128."""
    return 512 if size == 16 else 1024


def rank_one(
    b: int, c: int, d: int, groups: int, dtype: str, *, shared_limit: int = SHARED_LIMIT
) -> tuple[Launch, ...]:
    """Return the launch that approximates all blocks of one level by rank one, B = u w + small.

    Parameters
    ----------
    b, c, d, groups : int
        The source is (b d, groups c), rows (j, t), columns (g, k); block (t, g) is b x c.
    dtype : str
        float32, float64, complex64 or complex128.

    Returns
    -------
    tuple of Launch
        One. Arrays: source; left (d, groups, b), all u, of length 1; rest (d, groups c), all w; for
        b != 2 also slow, int32 (d, groups), 1 where the power iteration has not converged and a
        dense eigensolver has to take over. Bytes and flops count one step of the iteration.

    Raises
    ------
    ValueError
        For b != 2 and more than 16 KiB columns to a team, or blocks that do not fit.
    """
    size = itemsize(dtype)
    team = min(32, power_above(c))
    kept = _KEPT_BYTES // size
    while team < _largest_team(size) and team * kept < c:
        team = max(2 * team, THREADS)
    per = power_above(tiles(c, team))
    problems = d * groups
    entries = b * c * problems * size
    stored = {"left": b * problems * size, "rest": c * problems * size}
    threads = max(THREADS, team)
    if b == 2:
        held = per <= kept
        kernel = Kernel(
            "rank_one.cuh",
            "RankOnePairs",
            (TYPES[dtype], team, per if held else 0, threads),
            signature(_PAIRS, dtype),
            threads,
            32 * size if team > 32 else 0,
            resident=max(1, 512 // threads),
        )
        readings, numbers = 1 if held else 2, (d, groups, c)
        arguments: tuple[str | int | float, ...] = ("source", "left", "rest", *numbers)
    else:
        if per > kept:
            raise ValueError(
                f"blocks of {c} columns of {dtype} are too wide for the power iteration: allowed "
                f"are {kept * _largest_team(size)}"
            )
        stored["slow"] = 4 * problems
        scratch = 32 * size if team > 32 else 0
        # Fewer teams where blocks are large; at least a warp, whose lanes exchange values.
        least = max(32, team)
        while threads > least and threads // team * b * c * size > _TWO_BLOCKS:
            threads //= 2
        shared = threads // team * b * c * size + scratch
        held = shared <= shared_limit
        kernel = Kernel(
            "rank_one.cuh",
            "RankOneLines",
            (TYPES[dtype], team, per, held, STEPS, threads),
            signature(_LINES, dtype),
            threads,
            shared if held else scratch,
            resident=max(1, 512 // threads),
            asserted=False,
        )
        readings = 1 if held else 0
        eps = float(np.finfo(dtype).eps)
        arguments = ("source", "left", "rest", "slow", d, groups, b, c, eps)
    launch = Launch(
        kernel,
        (tiles(problems, threads // team), 1, 1),
        (threads, 1, 1),
        arguments,
        {"source": readings * entries} if readings else {},
        stored,
        entries + sum(stored.values()),
        2 * flops_per_product(dtype) * b * c * problems,
    )
    return (launch,)


def rank_one_twice(c: int, d: int, groups: int, dtype: str) -> tuple[Launch, ...]:
    """Return the launch that takes two levels of blocks of two rows at once.

    Parameters
    ----------
    c, d, groups : int
        Of the first level, see `rank_one`; the second has c / 2, d / 2 and 2 groups.

    Returns
    -------
    tuple of Launch
        One. Arrays: source (2 d, groups c); left (d, groups, 2) of the first level; next
        (d / 2, 2 groups, 2) of the second; rest (d / 2, groups c).

    Raises
    ------
    ValueError
        If c or d is odd, or a row of a block does not fit into the registers of a team.
    """
    if c % 2 or d % 2:
        raise ValueError(f"two levels at once need c and d that are even, not {c} and {d}")
    size = itemsize(dtype)
    kept = _KEPT_BYTES // 2 // size
    team = min(32, power_above(c))
    while team < _largest_team(size) and team * kept < c:
        team = max(2 * team, THREADS)
    per = power_above(tiles(c, team))
    if per > kept:
        raise ValueError(
            f"blocks of {c} columns of {dtype} are too wide for two levels at once: allowed are "
            f"{kept * _largest_team(size)}"
        )
    threads = max(THREADS, team)
    kernel = Kernel(
        "rank_one.cuh",
        "RankOneTwice",
        (TYPES[dtype], team, per, threads),
        signature(_TWICE, dtype),
        threads,
        32 * size if team > 32 else 0,
        resident=max(1, 512 // threads),
    )
    problems = d // 2 * groups
    loaded = {"source": 4 * c * problems * size}
    stored = {
        "left": 4 * problems * size,
        "next": 4 * problems * size,
        "rest": c * problems * size,
    }
    launch = Launch(
        kernel,
        (tiles(problems, threads // team), 1, 1),
        (threads, 1, 1),
        ("source", "left", "next", "rest", d, groups, c),
        loaded,
        stored,
        sum(loaded.values()) + sum(stored.values()),
        2 * flops_per_product(dtype) * 6 * c * problems,
    )
    return (launch,)
