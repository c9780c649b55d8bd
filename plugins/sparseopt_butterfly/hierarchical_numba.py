"""Left-to-right hierarchical factorization, compiled by numba: one read of the target."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.interface.arrays import read_only
from sparseopt.judging.scaling import times_power
from sparseopt.tools.hierarchy import Level, Standard, factorize, require_options
from sparseopt_butterfly.kernel_loading import compiled_seconds, loading_left
from sparseopt_butterfly.memory import checked_bytes
from sparseopt_butterfly.numpy_steps import gap_threshold

# Entries of the target between two looks at the clock.
_BREATH = 1 << 26
# Share of the work that the levels take which read columns.
_TURNED = 0.95
# Entries copied at once of an array whose rows are not contiguous, or must be scaled.
_COPIED = 1 << 21


@dataclass(frozen=True)
class HierarchicalNumba(so.Solver[so.ButterflyFactorization]):
    """As `hierarchical_numpy`, compiled, depth first.

    Memory beside the target: the factors twice and b_l n numbers per level (2 n log2 n for a
    butterfly, of size 2048 as little as 0.4 MiB beyond the factors). Of an array in Fortran order,
    blocks of two rows and rank 1 are read as they lie, some 256 bytes of every column at once, with
    as many times the memory per level as that holds numbers; of any other array whose rows are not
    contiguous, or that must be scaled, 2 Mi entries are copied at a time. The first call of a
    process loads or compiles the kernels, which takes seconds, for blocks of two rows and rank 1
    one or two; they are kept on disk for the next.
    Source: Le, Zheng, Riccietti, Gribonval, arXiv 2411.04506; closed forms and order are ours.

    Time O(m n), memory O(m n^0.5 + n m^0.5), as `hierarchical_numpy`, for an m x n target; what the
    check of the error takes is most of it.

    Parameters
    ----------
    bounds, probes
        As in `hierarchical_numpy`.
    """

    bounds: str = "auto"
    probes: int = 0

    def __post_init__(self) -> None:
        require_options(self.bounds, self.probes)

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take arrays, which have rows to read."""
        if problem.kind == "stored":
            return so.Refused(
                "it reads rows that are far apart, and with them every chunk of a stored target "
                "again and again; hierarchical_numpy reads each once"
            )
        if problem.kind == "operator":
            return so.Refused(
                "it reads rows, which a linear operator does not give; hierarchical_numpy reads "
                "columns"
            )
        return so.Accepted()

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Return the factors with their certificate."""
        return factorize(problem, context, depth_first, self.bounds, self.probes, scales=True)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds: a nanosecond per entry, and the loading of the kernels unless this
        process has done it, or earlier calls make up for it; see `kernel_loading`."""
        running = compiled_seconds(problem)
        return running if _is_loaded(problem) else running + loading_left(problem.dtype)

    def cost_rests_on(self, problem: so.ButterflyFactorization) -> str:
        """Say whether the kernels are loaded."""
        return f"kernels loaded: {'yes' if _is_loaded(problem) else 'no'}"

    def bytes_needed(self, problem: so.ButterflyFactorization) -> float:
        """Predict the bytes: the living rows of every level, the factors twice, rows that are
        copied, and what the check takes; 32 MiB for kernels that are not loaded yet."""
        standard, itemsize = Standard.of(problem.architecture), problem.dtype.itemsize
        entries = 2 * problem.architecture.nnz
        entries += sum(level.b for level in standard.levels) * standard.columns
        is_array = problem.kind == "array"
        turned = is_array and not problem.target.flags.c_contiguous
        if turned and standard.only_pairs:  # some 256 bytes of every column at once
            entries += 256 // itemsize * 2 * len(standard.levels) * standard.columns
        if not is_array or turned or problem.exponent:
            entries += min(_COPIED, math.prod(problem.shape))
        kernels = 2.0**20 if _is_loaded(problem) else 2.0**25
        return kernels + float(entries * itemsize) + checked_bytes(problem)


def _is_loaded(problem: so.ButterflyFactorization) -> bool:
    """Whether the kernels that a problem needs are in memory; loads nothing."""
    module = sys.modules.get("sparseopt_butterfly.compiled_run")
    if module is None:
        return False
    standard = Standard.of(problem.architecture)
    return bool(module.is_compiled(problem.dtype, standard.only_pairs))


def depth_first(
    problem: so.ButterflyFactorization, standard: Standard, context: so.Context
) -> list[np.ndarray]:
    """Run all levels depth first."""
    matrix = standard.matrix(problem)
    power = problem.exponent if problem.kind == "array" else 0
    if not standard.levels:
        return standard.factors([], np.array(times_power(matrix, -power)))
    if matrix.flags.c_contiguous:
        return standard.factors(*_run(standard, standard.levels, matrix, context, power))
    lefts: list[np.ndarray] = []
    if matrix.flags.f_contiguous and not power:
        lefts, matrix = _run_columns(standard, matrix, context)
    if len(lefts) == len(standard.levels):
        return standard.factors(lefts, matrix)
    done = _TURNED if lefts else 0.0
    others, rest = _run(standard, standard.levels[len(lefts) :], matrix, context, power, done)
    return standard.factors([*lefts, *others], rest)


def _run(
    standard: Standard,
    levels: tuple[Level, ...],
    matrix: np.ndarray,
    context: so.Context,
    power: int = 0,
    done: float = 0.0,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Run some levels, down to the last, on what the levels before left, row by row.

    Rows that are not contiguous, or must be scaled by 2**-power, are copied some at a time.
    """
    from sparseopt_butterfly.compiled_run import Layout, run_leaves

    layout = Layout.of(levels)
    work = np.empty((layout.work_rows, standard.columns), dtype=matrix.dtype)
    living = read_only(work)
    left = np.empty(layout.left_size, dtype=matrix.dtype)
    rows = layout.rows
    copied = bool(power) or not matrix.flags.c_contiguous
    entries = levels[0].b * standard.columns
    breath = _COPIED if copied else _BREATH
    for first, last in _spans(len(rows), entries, context, (done, 1.0), breath):
        source, own = matrix, rows[first:last]
        if copied:
            source, own = _copied(matrix, own)
            source = times_power(source, -power)
        run_leaves(
            read_only(source),
            own,
            first,
            layout.table,
            layout.radix,
            layout.order,
            work,
            living,
            left,
            None if standard.only_pairs else gap_threshold(matrix.dtype),
        )
    return layout.lefts(left), layout.rest(work)


def _copied(matrix: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return some rows of a matrix, contiguous, and the places of those that were asked for."""
    rows, places = np.unique(own, return_inverse=True)
    if matrix.strides[1] == matrix.itemsize:
        return matrix[rows], places.reshape(own.shape)
    from sparseopt_butterfly.turning import turned

    return turned(matrix, rows), places.reshape(own.shape)


def _run_columns(
    standard: Standard, matrix: np.ndarray, context: so.Context
) -> tuple[list[np.ndarray], np.ndarray]:
    """Run the first levels on a matrix in Fortran order, as many as need no turning.

    Returns
    -------
    lefts : list of array (d, groups, 2, 1)
        U of these levels; maybe none.
    rest : array
        What they leave, in C order; the matrix itself if there are none.
    """
    from sparseopt_butterfly.compiled_lanes import lanes_of, rest_of, run_lanes, wide_levels
    from sparseopt_butterfly.compiled_run import Layout

    dtype, lanes = matrix.dtype, lanes_of(matrix.dtype)
    levels = wide_levels(standard, lanes)
    if not levels:
        return [], matrix
    layout = Layout.of(levels)
    work = np.empty((layout.work_rows, standard.columns, lanes), dtype=dtype)
    panel = np.empty((2, levels[0].c, lanes), dtype=dtype)
    left = np.empty(layout.left_size * lanes, dtype=dtype)
    for first, last in _spans(len(layout.order), 2 * work[0].size, context, (0.0, _TURNED)):
        run_lanes(
            read_only(matrix.T),
            first,
            last,
            layout.table,
            layout.radix,
            layout.order,
            panel,
            1j if dtype.kind == "c" else 0.0,
            work,
            left,
        )
    sizes = np.cumsum([0, *(2 * level.d * level.groups * lanes for level in levels)])
    lefts = [
        left[start:stop].reshape(level.d * lanes, level.groups, 2, 1)
        for start, stop, level in zip(sizes[:-1], sizes[1:], levels, strict=True)
    ]
    return lefts, rest_of(work, layout)


def _spans(
    leaves: int,
    entries: int,
    context: so.Context,
    done: tuple[float, float],
    most: int = _BREATH,
) -> Iterator[tuple[int, int]]:
    """Yield ranges of leaves of so many entries each, with a look at the clock before each.

    They bring the whole from the first of two shares to the second.
    """
    breath = max(1, most // entries)
    for first in range(0, leaves, breath):
        context.check_time("factorizing")
        share = done[0] + (done[1] - done[0]) * first / leaves
        context.report(share, f"row group {first} of {leaves}")
        yield first, min(first + breath, leaves)
