"""Left-to-right hierarchical factorization, compiled by numba: one read of the target."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.interface.arrays import read_only
from sparseopt_butterfly.hierarchy import Standard, factorize, require_options
from sparseopt_butterfly.kernel_loading import compiled_seconds, loading_left
from sparseopt_butterfly.memory import require_memory
from sparseopt_butterfly.numpy_steps import gap_threshold

# Entries of the target between two looks at the clock.
_BREATH = 1 << 26
# Rows copied at once from an array whose rows are not contiguous: whole cache lines of its columns.
_PANEL = 32


@dataclass(frozen=True)
class HierarchicalNumba(so.Solver[so.ButterflyFactorization]):
    """As `hierarchical_numpy`, compiled, depth first.

    Memory beside the target: the factors twice and b_l n numbers per level (2 n log2 n for a
    butterfly, of size 2048 as little as 0.4 MiB beyond the factors). An
    array whose rows are not contiguous is copied. The first call of a process
    loads or compiles the kernels, which takes seconds; they are kept on disk for the next.
    Source: Le, Zheng, Riccietti, Gribonval, arXiv 2411.04506; closed forms and order are ours.

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
        return factorize(problem, context, depth_first, self.bounds, self.probes)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds: a nanosecond per entry, and the loading of the kernels unless this
        process has done it, or earlier calls make up for it; see `kernel_loading`."""
        running = compiled_seconds(problem)
        return running if _is_loaded(problem) else running + loading_left(problem.dtype)


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
    from sparseopt_butterfly.compiled_run import Layout, run_leaves

    matrix = standard.matrix(problem)
    if not standard.levels:
        return standard.factors([], np.array(matrix))
    if not matrix.flags.c_contiguous:
        matrix = _by_rows(matrix)
    layout = Layout.of(standard)
    level = standard.levels[0]
    work = np.empty((layout.work_rows, standard.columns), dtype=problem.dtype)
    living = read_only(work)
    left = np.empty(layout.left_size, dtype=problem.dtype)
    rows = layout.rows
    breath = max(1, _BREATH // (level.b * standard.columns))
    for first in range(0, len(rows), breath):
        context.check_time("factorizing")
        context.report(first / len(rows), f"row group {first} of {len(rows)}")
        run_leaves(
            read_only(matrix),
            rows[first : first + breath],
            first,
            layout.table,
            layout.radix,
            layout.order,
            work,
            living,
            left,
            None if standard.only_pairs else gap_threshold(problem.dtype),
        )
    return standard.factors(layout.lefts(left), layout.rest(work))


def _by_rows(matrix: np.ndarray) -> np.ndarray:
    """Return a copy with contiguous rows.

    A panel is first copied as it lies, so that the columns are read in whole cache lines, and then
    turned where it is small: two to three times as fast as `numpy.ascontiguousarray` on a large
    array in Fortran order.
    """
    require_memory(matrix.nbytes, "pass the target in C order (numpy.ascontiguousarray)")
    result = np.empty(matrix.shape, dtype=matrix.dtype)
    for start in range(0, matrix.shape[0], _PANEL):
        rows = slice(start, start + _PANEL)
        result[rows] = np.ascontiguousarray(matrix[rows].T).T
    return result
