"""spgl1: spectral projected gradients along the Pareto frontier; an optional engine."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import LinearOperator

from sparseopt import Accepted, Context, Refused, Solver
from sparseopt.inverse.basis_pursuit import BasisPursuit
from sparseopt_inverse.affine_projection import projection
from sparseopt_inverse.faces import MOST_ENTRIES
from sparseopt_inverse.predicting import BASE, design_bytes
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.pursuit_crossover import cross_over
from sparseopt_inverse.pursuit_douglas_rachford import split
from sparseopt_inverse.pursuit_least_squares import nothing_fits
from sparseopt_inverse.pursuit_path import NoiseSearch
from sparseopt_inverse.pursuit_polish import offer_polished
from sparseopt_inverse.unit_blocks import require_settings
from sparseopt_inverse.work import PIVOTED_QR, begin


@dataclass(frozen=True)
class Spgl1(Solver[BasisPursuit]):
    """Runs ``spgl1.spgl1`` on columns of norm 1 and finishes what it returns.

    Time O(m n), memory O(m n), for an m x n design and each step.

    Parameters
    ----------
    engine_tolerance : float
        spgl1's own ``opt_tol``, ``bp_tol`` and ``ls_tol``. Rough is enough: the support of what it
        returns is what the finish needs.
    most_steps : int
        Its bound on steps; where it is reached, the finish starts from there.

    Notes
    -----
    Without noise spgl1's last residual is rounding and proves nothing. The dual point is projected
    onto those that prove the support; if there is none, Douglas and Rachford's splitting goes on
    from spgl1's vector. With noise it may end at a vector that is too long (its status 7); then the
    lasso that uses the noise up is searched from its multiplier.
    """

    engine_tolerance: float = 1e-6
    most_steps: int = 5000

    def __post_init__(self) -> None:
        require_settings(self.engine_tolerance, most_steps=self.most_steps)
        if self.most_steps >= 10_000:
            raise ValueError(
                f"spgl1 0.0.3 keeps a history of 10000 steps and fails beyond; most_steps is "
                f"{self.most_steps}"
            )
        if self.engine_tolerance is None:
            raise ValueError("engine_tolerance must be a number between 0 and 1, got None")

    def accepts(self, problem: BasisPursuit) -> Accepted | Refused:
        """Refuse other norms than 1, complex numbers and operators."""
        if problem.norm != 1:
            return Refused(f"spgl1 has no norm {problem.norm:g}; this is for norm 1")
        found = problem.system.structure()
        if found["complex"]:
            return Refused(
                "what spgl1 finds is finished on a face of signs, so it is run on real data only; "
                "douglas_rachford, lasso_path and pursuit_cvxpy take complex ones"
            )
        if found["operator"]:
            return Refused(
                "spgl1 is run on columns of norm 1, which needs the entries of the design; "
                "lasso_path takes operators with noise, douglas_rachford without"
            )
        return Accepted()

    def solve(self, problem: BasisPursuit, context: Context) -> Made:
        """Return the finished vector, or that nothing fits."""
        best = BestPursuit(problem, context)
        if best.is_zero():
            return best.result
        m, n = problem.shape
        if m >= n:  # a wide design fits whatever there is, as a rule
            nothing = nothing_fits(best)
            if nothing is not None:
                return nothing
        x, residual = self._run(best, context)
        reach = float(np.abs(best.fit.scaled.correlation(residual)).max(initial=0.0))
        w = residual / reach if reach > 0.0 else residual
        if best.noise == 0.0:
            cross_over(best, x, w)
        for small in (1e-6, 1e-4, 1e-8):
            if not best.good:
                offer_polished(best, x, w, small)
        if best.good:
            return best.result
        if m < n:
            nothing = nothing_fits(best)
            if nothing is not None:
                return nothing
        if best.noise > 0.0:
            NoiseSearch(best).run(reach)
        elif m * n <= MOST_ENTRIES:
            begin(context, 4.0 * PIVOTED_QR * m * n * min(m, n), "a QR factorization")
            along = projection(best.fit.scaled.dense(), best.fit.target)
            split(best, along, self.most_steps, 0.3, context, start=x if x.any() else None)
        if not best.good:
            best.offer(x, w)
        return best.result

    def _run(self, best: BestPursuit, context: Context) -> tuple[np.ndarray, np.ndarray]:
        """Return vector and residual in scaled units."""
        from spgl1 import spgl1

        fit, m = best.fit, best.problem.shape[0]
        used = np.flatnonzero(fit.norms > 2.0**-400)
        exponents = np.frexp(fit.norms[used])[1]
        design = _unit_columns(fit.scaled.design, used, exponents)
        size = float(np.linalg.norm(fit.target))

        def product(z: np.ndarray) -> np.ndarray:
            context.check_time("running spgl1")
            return np.asarray(design @ z)

        operator = LinearOperator(
            (m, len(used)),
            matvec=product,
            rmatvec=lambda t: np.asarray(design.T @ t),
            dtype=np.float64,
        )
        weights = np.ldexp(1.0, int(exponents.min(initial=0)) - exponents)
        tolerance = self.engine_tolerance
        with _quiet("spgl1"):
            z, residual, _, _ = spgl1(
                operator,
                fit.target / size,
                tau=0,
                sigma=best.noise / size,
                weights=None if (weights == weights[:1]).all() else weights,
                iter_lim=self.most_steps,
                opt_tol=tolerance,
                bp_tol=tolerance,
                ls_tol=tolerance,
            )
        if not (np.isfinite(z).all() and np.isfinite(residual).all()):
            z, residual = np.zeros(len(used)), fit.target
        x = np.zeros(fit.scaled.size)
        x[used] = np.ldexp(size * z, -exponents)
        return x, residual

    def cost(self, problem: BasisPursuit) -> float:
        """Return seconds, roughly."""
        return 2e-2 + 5e-7 * math.prod(problem.shape)

    def bytes_needed(self, problem: BasisPursuit) -> float:
        """Predict copies of the design."""
        return BASE + 3.0 * design_bytes(problem.design)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library from logging that a line search failed: it is the answer that is judged."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _unit_columns(design: Any, used: np.ndarray, exponents: np.ndarray) -> Any:
    """Return columns divided by powers of two, float64."""
    if not scipy.sparse.issparse(design):
        return np.ldexp(design[:, used].astype(np.float64, copy=False), -exponents)
    units = scipy.sparse.diags_array(np.ldexp(1.0, -exponents))
    return (design.tocsc()[:, used].astype(np.float64) @ units).tocsr()
