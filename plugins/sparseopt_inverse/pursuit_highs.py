"""Basis pursuit without noise as a linear program, for HiGHS through SciPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse

from sparseopt import Accepted, Context, Inconclusive, Refused, Solver, TimeLimitReached
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt_inverse.child import run_within
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.pursuit_designs import refused_as_large, row_units, written
from sparseopt_inverse.pursuit_least_squares import nothing_fits, offer_least_norm
from sparseopt_inverse.pursuit_polish import offer_polished


@dataclass(frozen=True)
class Highs(Solver[BasisPursuit]):
    """Runs ``scipy.optimize.linprog`` on columns of norm 1 and refines what it returns.

    Time O(m^2 n), memory O(m n), for an m x n design, if pivots are as many as rows.

    Parameters
    ----------
    method : {"highs-ds", "highs-ipm", "highs"}
        The dual simplex method ends at a vertex, from where the closed form finishes.
    """

    method: str = "highs-ds"

    def __post_init__(self) -> None:
        if self.method not in ("highs-ds", "highs-ipm", "highs"):
            raise ValueError(f"method must be highs-ds, highs-ipm or highs, got {self.method!r}")

    def accepts(self, problem: BasisPursuit) -> Accepted | Refused:
        """Refuse noise, whose ball no linear program holds, and norm 2."""
        if problem.norm == 2:
            return Refused("norm 2 makes it a least-squares problem, not a linear program")
        if problem.system.is_complex:
            return Refused(
                "moduli of complex numbers make it a cone program; douglas_rachford takes norm 1, "
                "pursuit_cvxpy norm inf"
            )
        if problem.noise > 0:
            return Refused(
                "noise makes it a cone program, not a linear program; lasso_path takes it"
            )
        return refused_as_large(problem) or Accepted()

    def solve(self, problem: BasisPursuit, context: Context) -> Made:
        """Return the refined solution of the linear program, or that nothing fits."""
        best = BestPursuit(problem, context)
        if best.is_zero():
            return best.result
        context.check_time("stating the linear program")
        try:
            found = self._run(best, context)
        except Inconclusive:
            best.offer_only()
            if not best.offered:
                raise
            return best.result
        if found is None:
            nothing = nothing_fits(best)
            if nothing is not None:
                return nothing
            best.offer_only()
            if not best.good:
                offer_least_norm(best)
            return best.result
        x, w = found
        offer_polished(best, x, w)
        if not best.good:
            offer_polished(best, x, w, 1e-9 if problem.norm == 1 else 1e-5)
        if not best.good:
            best.offer(x, w)
        if not best.good and problem.norm != 1:
            best.offer_only()
        return best.result

    def cost(self, problem: BasisPursuit) -> float:
        """Return seconds, roughly: pivots about as many as rows, each of one look at the entries.

        Dense solutions, of designs of 5 x 5000 to 150 x 300, take twice as much; sparse ones, of
        up to 300 x 900, as much to a third.
        """
        m, n = problem.shape
        stored = getattr(problem.design, "nnz", m * n)
        return 12e-3 + 3e-8 * m * stored

    def bytes_needed(self, problem: BasisPursuit) -> float:
        """Predict the program with two columns for each, and its copies."""
        return BASE + 40.0 * design_bytes(problem.design)

    def _run(self, best: BestPursuit, context: Context) -> tuple[np.ndarray, np.ndarray] | None:
        """Return primal and dual solution in scaled units, None if HiGHS says infeasible."""
        fit, norm = best.fit, best.problem.norm
        n, design = best.problem.shape[1], written(fit)
        units = 1.0 / np.where(fit.norms > 2.0**-400, fit.norms, 1.0)
        if norm == math.inf:  # the bounds of the entries must stay equal
            units = np.full(n, float(np.min(units)))
        matrix = _scaled(design, units)
        rows = row_units(matrix)
        matrix = _scaled(matrix.T, rows).T
        program = _l1(matrix, units) if norm == 1 else _flat(matrix)
        arguments = (program, rows * fit.target, self.method)
        # HiGHS looks at its clock between steps that may take seconds.
        if self.cost(best.problem) < 0.1 * context.remaining():
            done = _solved(*arguments)
        else:
            done = run_within(context.remaining(), _solved, *arguments)
        if done is None:
            raise TimeLimitReached(f"HiGHS was not done within {context.time_limit:g} s")
        if done.status == 2:
            return None
        if done.x is None or done.eqlin is None:
            raise Inconclusive(f"HiGHS ended with: {done.message}")
        x = done.x[:n] - done.x[n:] if norm == 1 else done.x[:n]
        return x * units, rows * np.asarray(done.eqlin.marginals)


def _solved(program: dict[str, Any], target: np.ndarray, method: str) -> Any:
    tolerances = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    return scipy.optimize.linprog(**program, b_eq=target, method=method, options=tolerances)


def _scaled(design: Any, units: np.ndarray) -> Any:
    if scipy.sparse.issparse(design):
        return design.astype(np.float64) @ scipy.sparse.diags_array(units)
    return np.asarray(design, dtype=np.float64) * units


def _l1(matrix: Any, units: np.ndarray) -> dict[str, Any]:
    """Return the program in positive and negative parts of the entries."""
    stack = scipy.sparse.hstack if scipy.sparse.issparse(matrix) else np.hstack
    # In units of the columns |x|_1 = sum of units times the parts.
    weights = units / units.max()
    return {"c": np.concatenate([weights, weights]), "A_eq": stack([matrix, -matrix])}


def _flat(matrix: Any) -> dict[str, Any]:
    """Return the program in the entries and their bound."""
    m, n = matrix.shape
    eye, ones = scipy.sparse.eye_array(n), scipy.sparse.csc_array(np.ones((n, 1)))
    matrix = scipy.sparse.csc_array(matrix)
    return {
        "c": np.append(np.zeros(n), 1.0),
        "A_eq": scipy.sparse.hstack([matrix, scipy.sparse.csc_array((m, 1))], format="csc"),
        "A_ub": scipy.sparse.vstack(
            [scipy.sparse.hstack([eye, -ones]), scipy.sparse.hstack([-eye, -ones])], format="csc"
        ),
        "b_ub": np.zeros(2 * n),
        # By default linprog takes unknowns to be nonnegative.
        "bounds": [(None, None)] * (n + 1),
    }
