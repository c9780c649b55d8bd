"""Left-to-right hierarchical factorization in NumPy, for every chainable architecture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt_kronecker.hierarchy import Run, Standard, finish, require_options, run_safely
from sparseopt_kronecker.memory import require_memory
from sparseopt_kronecker.numpy_steps import peel


@dataclass(frozen=True)
class HierarchicalNumpy(so.Solver[so.ButterflyFactorization]):
    """Peel one factor after the other from the left; each step is optimal for its two factors.

    The left factors come out with orthonormal columns in every block, so the squared residuals of
    the steps add up to the squared error, and no QR decomposition is needed between the steps.
    Source: Le, Zheng, Riccietti, Gribonval, arXiv 2411.04506.

    Parameters
    ----------
    bounds : {"auto", "always", "never"}
        Whether the certificate states the lower and the upper bound; "auto" does so when it is
        cheap. They can always be asked for later.
    probes : int
        Number of random vectors with which the certificate is checked; 0 expands the product.
    """

    bounds: str = "auto"
    probes: int = 0

    def __post_init__(self) -> None:
        require_options(self.bounds, self.probes)

    def accepts(self, problem: so.ButterflyFactorization) -> so.Accepted | so.Refused:
        """Take every chainable architecture."""
        return so.Accepted()

    def solve(
        self, problem: so.ButterflyFactorization, context: so.Context
    ) -> tuple[so.KroneckerProduct, so.ButterflyCertificate]:
        """Return the factors with their certificate.

        Memory beside the target: r / b of it for the first level (half of it for a butterfly of
        2 x 2 blocks), the factors, and tiles of 64 Ki entries.
        """
        standard = Standard.of(problem.architecture)
        _require_memory(problem, standard)
        run = run_safely(problem, standard, context, factorize)
        return finish(problem, standard, run, self.bounds, self.probes)

    def cost(self, problem: so.ButterflyFactorization) -> float:
        """Predict the seconds: a few nanoseconds per entry."""
        return 3e-4 + 5e-9 * problem.shape[0] * problem.shape[1]


def _require_memory(problem: so.ButterflyFactorization, standard: Standard) -> None:
    """Ask for the first rest and the factors, or, with one factor, for the whole matrix."""
    entries = standard.rows * standard.columns
    if standard.levels:
        entries = entries * standard.levels[0].rank // standard.levels[0].b
    entries += problem.architecture.nnz
    remedy = "split the target into blocks of rows and columns, or take float32"
    require_memory(entries * problem.dtype.itemsize, remedy)


def factorize(problem: so.ButterflyFactorization, standard: Standard, context: so.Context) -> Run:
    """Run all levels in NumPy."""
    levels = standard.levels
    if not levels:
        rest = next(matrix for _, _, matrix in standard.slices(problem, 1))
        return Run([], np.array(rest), 0.0, 1.0)
    lefts = []
    residual = energy = 0.0
    rest = np.empty(0)
    for i, level in enumerate(levels):
        context.check_time("factorizing")
        context.report(i / len(levels), f"factor {i + 1} of {len(levels) + 1}")
        shape = (level.d, level.groups, level.b, level.rank)
        left = np.empty(shape, dtype=problem.dtype)
        if i == 0:
            rest, kept, all_ = _first(problem, standard, left)
            energy = all_
        else:
            blocks = rest.reshape(level.b, level.d, level.groups, level.c)
            rest = blocks[: level.rank]
            kept, all_ = peel(blocks, rest, left, level.rank)
        residual += max(all_ - kept, 0.0)
        lefts.append(left)
    return Run(lefts, rest, residual, energy)


def _first(
    problem: so.ButterflyFactorization, standard: Standard, left: np.ndarray
) -> tuple[np.ndarray, float, float]:
    """Run the first level, reading the target by column groups if it is no array."""
    level = standard.levels[0]
    out = np.empty((level.rank, level.d, level.groups, level.c), dtype=problem.dtype)
    kept = energy = 0.0
    for first, last, matrix in standard.slices(problem, level.groups):
        blocks = matrix.reshape(level.b, level.d, last - first, level.c)
        span = slice(first, last)
        one, all_ = peel(blocks, out[:, :, span], left[:, span], level.rank)
        kept += one
        energy += all_
    return out, kept, energy
