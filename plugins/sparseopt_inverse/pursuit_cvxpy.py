"""Basis pursuit for any conic solver of cvxpy: the reference, and the engine for norm inf."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver, TimeLimitReached
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt_inverse.child import run_within
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.pursuit_designs import refused_as_large, row_units, written
from sparseopt_inverse.pursuit_least_squares import nothing_fits, offer_least_norm
from sparseopt_inverse.pursuit_polish import offer_polished
from sparseopt_inverse.pursuit_slight_noise import without_noise

Found = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class NormProgram:
    """Minimise a norm of x subject to |design x - target| <= noise, in plain arrays."""

    design: Any
    target: np.ndarray
    noise: float
    norm: float
    is_complex: bool = False

    def run(self, engine: str) -> Found | str:
        """Return primal and dual solution, or what went wrong."""
        import cvxpy

        if engine not in cvxpy.installed_solvers():
            known = ", ".join(sorted(cvxpy.installed_solvers()))
            return f"cvxpy has no solver {engine!r} here; it has {known}"
        x = cvxpy.Variable(self.design.shape[1])
        rest = cvxpy.Variable(len(self.target))
        fit = self.design @ x + rest == self.target
        within = cvxpy.norm(rest, 2) <= self.noise if self.noise else rest == 0
        parts = cvxpy.abs(x)
        if self.is_complex:
            pairs = cvxpy.reshape(x, (2, self.design.shape[1] // 2), order="C")
            parts = cvxpy.norm(pairs, 2, axis=0)
        size = cvxpy.max(parts) if self.norm == math.inf else cvxpy.sum(parts)
        model = cvxpy.Problem(cvxpy.Minimize(size), [fit, within])
        try:
            with warnings.catch_warnings():
                # An inaccurate answer is refined, and judged by its gap like any other.
                warnings.simplefilter("ignore")
                model.solve(solver=engine)
        except (cvxpy.error.SolverError, cvxpy.error.DCPError, ValueError) as error:
            return f"cvxpy with {engine} failed: {error}"
        if x.value is None or fit.dual_value is None:
            return f"cvxpy with {engine} ended with status {model.status!r}"
        return np.asarray(x.value), -np.asarray(fit.dual_value)


@dataclass(frozen=True)
class PursuitCvxpy(Solver[BasisPursuit]):
    """States the problem as a cone program, takes its dual solution too, and finishes both.

    Time O(m n min(m, n)), memory O(m n), for an m x n design.

    Parameters
    ----------
    engine : str
        Name of an installed cvxpy solver that takes second-order cones.
    """

    engine: str = "CLARABEL"

    def __post_init__(self) -> None:
        if not (isinstance(self.engine, str) and self.engine):
            raise ValueError(f"engine must be the name of a cvxpy solver, got {self.engine!r}")

    def accepts(self, problem: BasisPursuit) -> Accepted | Refused:
        """Refuse norm 2, whose closed form is better."""
        if problem.norm == 2:
            return Refused("norm 2 has a closed form, least_norm, and needs no cone program")
        return refused_as_large(problem) or Accepted()

    def solve(self, problem: BasisPursuit, context: Context) -> Made:
        """Return the refined solution of the cone program, or that nothing fits."""
        best = BestPursuit(problem, context)
        if best.is_zero():
            return best.result
        if (found := without_noise(best)) is not None:
            return found
        context.check_time("stating the cone program")
        fit = best.fit
        exponent = math.frexp(float(fit.norms.max()))[1]
        design = written(fit)
        if scipy.sparse.issparse(design):
            design = design.astype(np.float64).tocsc()
        design, rows = design * math.ldexp(1.0, -exponent), np.ones(len(fit.target))
        if best.noise == 0.0:
            rows = row_units(design)
            if scipy.sparse.issparse(design):
                design = scipy.sparse.diags_array(rows) @ design
            else:
                design = rows[:, None] * design
        program = NormProgram(
            design,
            rows * fit.target,
            best.noise,
            problem.norm,
            fit.is_complex,
        )
        name = self.engine.upper()
        if context.time_limit is None:
            result: Any = program.run(name)
        else:
            result = run_within(context.remaining(), NormProgram.run, program, name)
        if result is None:
            raise TimeLimitReached(f"cvxpy was not done within {context.time_limit:g} s")
        if isinstance(result, str):
            nothing = nothing_fits(best)
            if nothing is not None:
                return nothing
            offer_least_norm(best)
            try:
                return best.result
            except Inconclusive:
                raise Inconclusive(result) from None
        x, w = np.ldexp(result[0], -exponent), rows * result[1]
        for small in (1e-6, 1e-4, 1e-8):
            offer_polished(best, x, w, small)
            if best.good:
                return best.result
        best.offer(x, w)
        return best.result

    def cost(self, problem: BasisPursuit) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 1e-2 + 4e-8 * m * n * min(m, n)

    def bytes_needed(self, problem: BasisPursuit) -> float:
        """Predict the cone program, and its factorization."""
        return BASE + 20.0 * design_bytes(problem.design)
