"""Conic solvers through cvxpy: the reference, for both penalties."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver, TimeLimitReached
from sparseopt.inverse.certificate import DualityGapCertificate
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.problem import SparseRegression
from sparseopt.inverse.scaling import NO_NORM, ScaledProblem
from sparseopt_inverse.plain import plain_only
from sparseopt_inverse.refinement import refine


@dataclass(frozen=True, eq=False)
class ConeProgram:
    """Minimise 1/2 |design x - target|^2 plus limits times block norms, in plain arrays.

    Attributes
    ----------
    design : ndarray or scipy.sparse array, shape (m, n)
        Columns of norm about 1.
    target : ndarray, shape (m,)
    blocks : list of (ndarray of int of shape (count, size), ndarray of shape (count,))
        The blocks of each size, and their limits.
    """

    design: Any
    target: np.ndarray
    blocks: list[tuple[np.ndarray, np.ndarray]]

    def run(self, engine: str) -> tuple[np.ndarray, np.ndarray] | str:
        """Return primal and dual solution, or what went wrong."""
        import cvxpy

        if engine not in cvxpy.installed_solvers():
            known = ", ".join(sorted(cvxpy.installed_solvers()))
            return f"cvxpy has no solver {engine!r} here; it has {known}"
        x = cvxpy.Variable(self.design.shape[1])
        residual = cvxpy.Variable(self.design.shape[0])
        fit = self.design @ x + residual == self.target
        terms = [0.5 * cvxpy.sum_squares(residual)]
        for members, limits in self.blocks:
            part = x[members.ravel()]
            norms = cvxpy.abs(part)
            if members.shape[1] > 1:
                norms = cvxpy.norm(cvxpy.reshape(part, members.shape, order="C"), 2, axis=1)
            terms.append(limits @ norms)
        model = cvxpy.Problem(cvxpy.Minimize(sum(terms[1:], terms[0])), [fit])
        try:
            with warnings.catch_warnings():
                # An inaccurate answer is refined, and judged by its gap like any other.
                warnings.simplefilter("ignore")
                model.solve(solver=engine)
        except (cvxpy.error.SolverError, cvxpy.error.DCPError, ValueError) as error:
            return f"cvxpy with {engine} failed: {error}"
        if x.value is None or fit.dual_value is None:
            return f"cvxpy with {engine} ended with status {model.status!r}"
        return np.asarray(x.value), np.asarray(fit.dual_value)

    def run_within(self, engine: str, seconds: float) -> tuple[np.ndarray, np.ndarray] | str | None:
        """Do the same in a process of its own; return None if it was not done in time.

        cvxpy's reformulation takes no limit, and a step of an engine may take long.
        """
        code = "from sparseopt_inverse.conic import answer_parent; answer_parent()"
        paths = os.pathsep.join(path for path in sys.path if path)
        try:
            done = subprocess.run(
                [sys.executable, "-c", code],
                input=pickle.dumps((self, engine)),
                capture_output=True,
                timeout=seconds,
                check=False,
                env={**os.environ, "PYTHONPATH": paths},
            )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode:
            return f"the process of cvxpy ended with {done.returncode}: {done.stderr[-200:]!r}"
        result: tuple[np.ndarray, np.ndarray] | str = pickle.loads(done.stdout)
        return result


def answer_parent() -> None:
    """Run the program that a parent process sends, and send the result back."""
    program, engine = pickle.load(sys.stdin.buffer)
    sys.stdout.buffer.write(pickle.dumps(program.run(engine)))


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
        reason = plain_only(problem, "this cone program")
        if reason:
            return Refused(reason)
        return Accepted()

    def solve(
        self, problem: SparseRegression, context: Context
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Run the engine on unit columns and refine its primal and dual solution."""
        scaled = problem.scaled()
        context.check_time("stating the cone program")
        exponents = _unit_exponents(scaled)
        program = _cone_program(scaled, exponents)
        name = self.engine.upper()
        if context.time_limit is None:
            result: Any = program.run(name)
        else:
            result = program.run_within(name, max(context.remaining(), 1e-3))
        if result is None:
            raise TimeLimitReached(f"cvxpy was not done within {context.time_limit:g} s")
        if isinstance(result, str):
            raise Inconclusive(result)
        x, point = result
        x = np.ldexp(x, -scaled.blocks.spread(exponents))
        return refine(
            problem,
            scaled.original_coefficients(x),
            (scaled.original_dual_point(point),),
            context,
        )

    def cost(self, problem: SparseRegression) -> float:
        """Return seconds from a fit to `benchmarks/inverse.py`."""
        m, n = problem.shape
        if scipy.sparse.issparse(problem.design):
            return 0.02 + 4e-5 * float(problem.design.nnz)
        return 0.02 + 1.3e-8 * m * n * min(m, n)


def _unit_exponents(scaled: ScaledProblem) -> np.ndarray:
    """Return the power of two of each block's norm, 0 for blocks of zeros."""
    norms = scaled.blocks.norms(scaled.column_norm_bounds())
    return np.where(norms > NO_NORM, np.frexp(norms)[1], 0)


def _cone_program(scaled: ScaledProblem, exponents: np.ndarray) -> ConeProgram:
    """Return the program with each block of columns divided by its power of two."""
    blocks = scaled.blocks
    units = np.ldexp(1.0, -blocks.spread(exponents))
    if scipy.sparse.issparse(scaled.design):
        design = (scaled.design.astype(np.float64) @ scipy.sparse.diags_array(units)).tocsc()
    else:
        design = scaled.design * units
    limits = np.ldexp(scaled.limits, -exponents)
    parts = []
    for size in np.unique(blocks.sizes):
        chosen = np.flatnonzero(blocks.sizes == size)
        parts.append((blocks.members(chosen).reshape(len(chosen), int(size)), limits[chosen]))
    return ConeProgram(design, scaled.target, parts)
