"""Conic solvers through cvxpy: the reference, for both penalties."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver
from sparseopt.recovery import Coefficients, DualityGapCertificate, SparseRegression
from sparseopt.recovery.scaling import ScaledProblem
from sparseopt_convex.refinement import refine

_TIME_LIMITS = {
    "CLARABEL": "time_limit",
    "OSQP": "time_limit",
    "SCS": "time_limit_secs",
}


@dataclass(frozen=True)
class Cvxpy(Solver[SparseRegression]):
    """States the problem as a cone program, takes its dual solution too, and refines both.

    Parameters
    ----------
    engine : str
        Name of an installed cvxpy solver that takes quadratic objectives or second-order cones.
        Clarabel, an interior-point method, is the default: its answers are good to many digits,
        where those of OSQP and SCS need far more steps of the refinement.
    """

    engine: str = "CLARABEL"

    def __post_init__(self) -> None:
        if not (isinstance(self.engine, str) and self.engine):
            raise ValueError(f"engine must be the name of a cvxpy solver, got {self.engine!r}")

    def accepts(self, problem: SparseRegression) -> Accepted | Refused:
        """Refuse least squares."""
        if problem.penalty.strength == 0:
            return Refused("strength 0 makes it least squares, which needs no cone program")
        return Accepted()

    def solve(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Run the engine on the scaled problem and refine its primal and dual solution."""
        scaled = ScaledProblem(problem)
        x, point = self._run(scaled, context)
        context.check_time("running cvxpy")
        point = scaled.original_dual_point(point)
        x = scaled.original_coefficients(x)
        return refine(problem, x, (point,), context)

    def _run(self, scaled: ScaledProblem, context: Context) -> tuple[np.ndarray, np.ndarray]:
        import cvxpy

        name = self.engine.upper()
        if name not in cvxpy.installed_solvers():
            known = ", ".join(sorted(cvxpy.installed_solvers()))
            raise Inconclusive(f"cvxpy has no solver {self.engine!r} here; it has {known}")
        x = cvxpy.Variable(scaled.design.shape[1])
        residual = cvxpy.Variable(scaled.design.shape[0])
        fit = scaled.design @ x + residual == scaled.target
        penalty = _penalty(cvxpy, x, scaled)
        model = cvxpy.Problem(cvxpy.Minimize(0.5 * cvxpy.sum_squares(residual) + penalty), [fit])
        options: dict[str, Any] = {}
        if context.time_limit is not None and name in _TIME_LIMITS:
            options[_TIME_LIMITS[name]] = max(context.remaining(), 1e-3)
        try:
            with warnings.catch_warnings():
                # An inaccurate answer is refined, and judged by its gap like any other.
                warnings.simplefilter("ignore")
                model.solve(solver=name, **options)
        except (cvxpy.error.SolverError, cvxpy.error.DCPError, ValueError) as error:
            raise Inconclusive(f"cvxpy with {name} failed: {error}") from error
        if x.value is None or fit.dual_value is None:
            raise Inconclusive(f"cvxpy with {name} ended with status {model.status!r}")
        return np.asarray(x.value), np.asarray(fit.dual_value)

    def cost(self, problem: SparseRegression) -> float:
        """Return seconds from a fit to `benchmarks/convex.py`."""
        m, n = problem.shape
        if scipy.sparse.issparse(problem.design):
            return 0.02 + 4e-5 * float(problem.design.nnz)
        return 0.02 + 1.3e-8 * m * n * min(m, n)


def _penalty(cvxpy: Any, x: Any, scaled: ScaledProblem) -> Any:
    """Return the penalty as an expression, one term for all blocks of one size."""
    blocks = scaled.blocks
    terms = []
    for size in np.unique(blocks.sizes):
        chosen = np.flatnonzero(blocks.sizes == size)
        part = x[blocks.members(chosen)]
        norms = cvxpy.abs(part)
        if size > 1:
            shaped = cvxpy.reshape(part, (len(chosen), int(size)), order="C")
            norms = cvxpy.norm(shaped, 2, axis=1)
        terms.append(scaled.limits[chosen] @ norms)
    return sum(terms[1:], terms[0])
