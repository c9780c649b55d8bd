"""Conic solvers through cvxpy: the reference, for all penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver, TimeLimitReached
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.matrix_penalties import NuclearNorm, TotalVariation
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import NO_NORM, ScaledProblem
from sparseopt_inverse.best import Best
from sparseopt_inverse.child import run_within
from sparseopt_inverse.composite import composite
from sparseopt_inverse.cone_program import ConeProgram
from sparseopt_inverse.nuclear import from_rough_matrix
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.refinement import refine
from sparseopt_inverse.variation import from_rough_plateaus, variation
from sparseopt_inverse.working_set import is_least_squares


@dataclass(frozen=True)
class Cvxpy(Solver[SparseRegression]):
    """States the problem as a cone program, takes its dual solution too, and refines both.

    Time O(m n min(m, n)), memory O(m n), for an m x n design.

    Parameters
    ----------
    engine : str
        Name of an installed cvxpy solver that takes quadratic objectives and the cones of the
        penalty. Clarabel, an interior-point method, is the default: its answers are good to many
        digits, where those of OSQP and SCS need far more steps of the refinement.
    """

    engine: str = "CLARABEL"

    def __post_init__(self) -> None:
        if not (isinstance(self.engine, str) and self.engine):
            raise ValueError(f"engine must be the name of a cvxpy solver, got {self.engine!r}")

    def accepts(self, problem: SparseRegression) -> Accepted | Refused:
        """Refuse least squares, and designs whose entries are not known."""
        if is_least_squares(problem):
            return Refused("strength 0 makes it least squares, which needs no cone program")
        if problem.structure()["operator"]:
            return Refused(
                "a cone program needs the entries of the design; working_set takes operators"
            )
        return Accepted()

    def solve(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Run the engine on unit columns and refine its primal and dual solution."""
        scaled = problem.scaled()
        context.check_time("stating the cone program")
        exponents = _exponents(problem)
        program = _stated(problem, exponents)
        name = self.engine.upper()
        if context.time_limit is None:
            result: Any = program.run(name)
        else:
            # cvxpy's reformulation takes no limit, and a step of an engine may take long.
            result = run_within(context.remaining(), ConeProgram.run, program, name)
        if result is None:
            raise TimeLimitReached(f"cvxpy was not done within {context.time_limit:g} s")
        if isinstance(result, str):
            raise Inconclusive(result)
        x, point = result
        x = scaled.original_coefficients(np.ldexp(x, -scaled.blocks.spread(exponents)))
        if scaled.weights is not None:
            point = point * np.sqrt(scaled.weights)
        return _finished(problem, x, scaled.original_dual_point(point), context)

    def cost(self, problem: SparseRegression) -> float:
        """Return seconds from a fit to `benchmarks/inverse.py`."""
        m, n = problem.shape
        if scipy.sparse.issparse(problem.design):
            return 0.02 + 4e-5 * float(problem.design.nnz)
        return 0.02 + 2.5e-8 * m * n * min(m, n)

    def bytes_needed(self, problem: SparseRegression) -> float:
        """Predict the cone program, and its factorization."""
        return BASE + 20.0 * design_bytes(problem.design)


def _finished(
    problem: SparseRegression, x: np.ndarray, point: np.ndarray, context: Context
) -> tuple[Coefficients, DualityGapCertificate]:
    """Return the engine's answer after the last digits that there are for its penalty."""
    if problem.structure()["plain"] and problem.sample_weights is None:
        return refine(problem, x, (point,), context)
    best = Best(problem, problem.scaled(), context)
    best.offer_original(x, point)
    best.offer_original(x)
    if best.good:
        return best.result
    context.check_time("refining the solution of a cone program")
    parts = getattr(problem.penalty, "parts", (problem.penalty,))
    if any(isinstance(part, NuclearNorm) for part in parts):
        from_rough_matrix(problem, x, best, context)
    elif isinstance(problem.penalty, TotalVariation) and not problem.is_complex:
        from_rough_plateaus(problem, x, point, best)
    else:
        is_variation = isinstance(problem.penalty, TotalVariation)
        found = (variation if is_variation else composite)(problem, context, x)
        if found[1].accuracy < best.result[1].accuracy:
            return found
    return best.result


def _is_plain(problem: SparseRegression) -> bool:
    return bool(problem.structure()["plain"]) and problem.sample_weights is None


def _exponents(problem: SparseRegression) -> np.ndarray:
    """Return the power of two of each block's norm, 0 for blocks of zeros.

    All are the same where the penalty ties blocks to each other.
    """
    scaled = problem.scaled()
    norms = scaled.blocks.norms(scaled.column_norm_bounds)
    if not _is_plain(problem):
        norms = np.full(len(norms), float(scaled.column_norm_bounds.max()))
    return np.where(norms > NO_NORM, np.frexp(norms)[1], 0)


def _stated(problem: SparseRegression, exponents: np.ndarray) -> ConeProgram:
    """Return the program with each block of columns divided by its power of two.

    Rows count by the roots of their weights, complex numbers are pairs of real ones.
    """
    scaled: ScaledProblem = problem.scaled()
    blocks, design, target = scaled.blocks, scaled.design, scaled.target
    units = np.ldexp(1.0, -blocks.spread(exponents))
    roots = np.ones(scaled.rows) if scaled.weights is None else np.sqrt(scaled.weights)
    if scipy.sparse.issparse(design):
        rows = scipy.sparse.diags_array(roots) @ design.astype(np.float64)
        design = (rows @ scipy.sparse.diags_array(units)).tocsc()
    else:
        design = roots[:, None] * design * units
    limits, common = np.ldexp(scaled.limits, -exponents), int(exponents[0])
    parts = getattr(problem.penalty, "parts", (problem.penalty,))
    halves = 2 if problem.is_complex else 1
    variation, nuclear, groups = (0.0, 1), (0.0, (0, 0), 1), []
    if isinstance(problem.penalty, TotalVariation):
        variation = (float(limits[0]), halves)
    elif shapes := [part.shape for part in parts if isinstance(part, NuclearNorm)]:
        nuclear = (float(limits[0]), shapes[0], halves)
    else:
        for size in np.unique(blocks.sizes[limits > 0]):
            chosen = np.flatnonzero((blocks.sizes == size) & (limits > 0))
            groups.append((blocks.members(chosen).reshape(len(chosen), -1), limits[chosen]))
    thresholds = scaled.thresholds
    return ConeProgram(
        design,
        roots * target,
        groups,
        None if thresholds is None else np.ldexp(thresholds, -common),
        float(np.ldexp(scaled.ridge, -2 * common)),
        scaled.positive,
        variation,
        nuclear,
    )
