"""A regression with any penalty as a cone program in plain arrays, for cvxpy."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class ConeProgram:
    """Minimise 1/2 |design x - target|^2 plus penalties, in plain arrays.

    Attributes
    ----------
    design : ndarray or scipy.sparse array, shape (m, n)
        Columns of norm about 1.
    target : ndarray, shape (m,)
    blocks : list of (ndarray of int of shape (count, size), ndarray of shape (count,))
        The blocks of each size, and the factors of their norms.
    thresholds : ndarray, shape (n,), or None
        Factors of the magnitudes.
    ridge : float
        Factor of half the square of x.
    positive : bool
    variation : (float, int)
        Factor of the magnitudes of differences of neighbours, 0 for none; 2 where the second half
        of x are imaginary parts, else 1.
    nuclear : (float, (int, int), int)
        Factor of the nuclear norm, 0 for none; the shape of the matrix; as above.
    """

    design: Any
    target: np.ndarray
    blocks: list[tuple[np.ndarray, np.ndarray]]
    thresholds: np.ndarray | None = None
    ridge: float = 0.0
    positive: bool = False
    variation: tuple[float, int] = (0.0, 1)
    nuclear: tuple[float, tuple[int, int], int] = (0.0, (0, 0), 1)

    def run(self, engine: str) -> tuple[np.ndarray, np.ndarray] | str:
        """Return primal and dual solution, or what went wrong."""
        import cvxpy

        if engine not in cvxpy.installed_solvers():
            known = ", ".join(sorted(cvxpy.installed_solvers()))
            return f"cvxpy has no solver {engine!r} here; it has {known}"
        x = cvxpy.Variable(self.design.shape[1])
        residual = cvxpy.Variable(self.design.shape[0])
        fit = self.design @ x + residual == self.target
        terms = [0.5 * cvxpy.sum_squares(residual), *self._penalties(x)]
        limits = [fit, x >= 0] if self.positive else [fit]
        model = cvxpy.Problem(cvxpy.Minimize(sum(terms[1:], terms[0])), limits)
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

    def _penalties(self, x: Any) -> list[Any]:
        """Return the terms of the objective besides the fit."""
        import cvxpy

        terms = []
        for members, limits in self.blocks:
            part = x[members.ravel()]
            norms = cvxpy.abs(part)
            if members.shape[1] > 1:
                norms = cvxpy.norm(cvxpy.reshape(part, members.shape, order="C"), 2, axis=1)
            terms.append(limits @ norms)
        if self.thresholds is not None:
            terms.append(self.thresholds @ cvxpy.abs(x))
        if self.ridge:
            terms.append(0.5 * self.ridge * cvxpy.sum_squares(x))
        limit, parts = self.variation
        if limit:
            rows = cvxpy.reshape(x, (parts, self.design.shape[1] // parts), order="C")
            steps = rows[:, 1:] - rows[:, :-1]
            sizes = cvxpy.norm(steps, 2, axis=0) if parts > 1 else cvxpy.abs(steps)
            terms.append(limit * cvxpy.sum(sizes))
        limit, shape, parts = self.nuclear
        if limit:
            half = self.design.shape[1] // parts
            matrix = cvxpy.reshape(x[:half], shape, order="C")
            if parts > 1:  # each singular value of a complex matrix twice over
                other = cvxpy.reshape(x[half:], shape, order="C")
                matrix = cvxpy.bmat([[matrix, -other], [other, matrix]])
            terms.append(limit / parts * cvxpy.normNuc(matrix))
        return terms
