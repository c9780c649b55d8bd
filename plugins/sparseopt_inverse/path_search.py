"""The lasso with the one strength for which something else holds too.

Basis pursuit with noise, least squares in an l1 ball and the square-root lasso have the solutions
of lassos. Which one, a scalar equation in its strength tells, monotone in it. On a face (support
and signs) that equation is solved in closed form, see `faces`; so a few lassos are enough.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sparseopt import Context, Inconclusive, SolveError, SparseRegression, solve
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.penalty import L1
from sparseopt_inverse.faces import Face, face_of


def scaled_data(problem: Any, fit: Fit) -> tuple[Any, np.ndarray]:
    """Return design and target in the units of a fit, complex where they are."""
    scaled, (m, n) = fit.scaled, problem.shape
    target, design = scaled.joined(fit.target), scaled.design
    if isinstance(design, ColumnOperator):
        exponent = fit.unknown_unit - fit.unit
        given = problem.design
        return given if exponent == 0 else given * math.ldexp(1.0, exponent), target
    if fit.is_complex:
        design = design[:m, :n] + 1j * design[m:, :n]
    return design, target


Precise = tuple[np.ndarray, np.ndarray]
MOST_LASSOS = 60
SMALLEST = 1e-10
"""Strength, over the largest useful one, below which faces are those of strength 0."""


class PathSearch(ABC):
    """Finds the strength; subclasses say what is sought and take what is found.

    Parameters
    ----------
    problem : Problem
        With a `system`.
    context : Context

    Attributes
    ----------
    fit : Fit
        Everything is in its scaled units, and complex numbers are pairs of real ones.
    """

    def __init__(self, problem: Any, context: Context) -> None:
        self.fit, self.context = Fit(problem.system), context
        self.data = scaled_data(problem, self.fit)

    @abstractmethod
    def too_large(self, mu: float, residual: np.ndarray, x: np.ndarray) -> bool:
        """Whether a lasso of this strength, residual and solution lies above the one sought."""

    @abstractmethod
    def on_face(self, face: Face) -> float | None:
        """Return the strength sought if it lies on this face, None if the equation has no root."""

    @abstractmethod
    def take(self, face: Face, chosen: np.ndarray, mu: float) -> bool:
        """Offer the solution of a face; return whether it is as good as was asked."""

    @abstractmethod
    def take_near(self, x: np.ndarray, mu: float, residual: np.ndarray) -> bool:
        """Do it from the solution of a lasso with complex coefficients, whose faces are curved."""

    def run(self, start: float) -> None:
        """Search from a strength, until `take` is content or nothing moves any more."""
        correlation = self.fit.scaled.correlation(self.fit.target)
        largest = float(self.fit.moduli(correlation).max())
        low, high = 0.0, largest
        mu = min(max(start, 1e-9 * largest), 0.999 * largest)
        for _ in range(MOST_LASSOS):
            self.context.check_time("searching the strength of a lasso")
            x = self._lasso(mu)
            chosen = np.flatnonzero(x)
            residual = self.fit.residual(x)[0]
            if self.too_large(mu, residual, x):
                high = mu
            else:
                low = mu
            guess = None
            if self.fit.is_complex:
                if len(chosen) and self.take_near(x, mu, residual):
                    return
                chosen = chosen[:0]
            face = face_of(self.fit, chosen, np.sign(x[chosen]))
            if face is not None:
                guess = self.on_face(face[0])
                if guess is not None and self.take(*face, guess):
                    return
            if not high > max(low * (1.0 + 1e-14), SMALLEST * largest):
                return
            inside = guess is not None and low < guess < high
            mu = guess if inside and guess is not None else _between(low, high)

    def follow(self, mu: float, next_mu: Callable[[float, float], float]) -> Iterator[Precise]:
        """Yield a few lassos in twice the digits, where closed forms on a face have too few.

        Parameters
        ----------
        mu : float
            About the strength sought.
        next_mu : callable(mu, square)
            What it is by the face's equation, from the square of a residual for another mu.
        """
        for _ in range(4):
            x, t = self._precise(mu)
            yield x, t
            whole = t.sum(axis=0)
            following = next_mu(mu, float(whole @ whole))
            if not 0.0 < following < math.inf or abs(following - mu) <= 1e-16 * mu:
                return
            mu = following

    def _precise(self, mu: float) -> Precise:
        """Return coefficients and the dual point of a lasso as one row or two."""
        solution = self._solved(mu, 1e-13)
        t = np.atleast_2d(self.fit.scaled.parts(solution.certificate.dual_point))
        return self.fit.scaled.parts(solution.answer.x), t

    def _lasso(self, mu: float) -> np.ndarray:
        """Return the solution of a lasso, in scaled units."""
        return self.fit.scaled.parts(self._solved(mu, 1e-10).answer.x)

    def _solved(self, mu: float, tolerance: float) -> Any:
        problem = SparseRegression(*self.data, L1(mu))
        remaining = self.context.remaining()
        limit = None if math.isinf(remaining) else max(remaining, 1e-3)
        try:
            return solve(problem, tolerance=tolerance, time_limit=limit)
        except SolveError as error:
            self.context.check_time("solving a lasso on the way")
            raise Inconclusive(f"a lasso on the way had no answer: {error}") from error


def _between(low: float, high: float) -> float:
    return math.sqrt(low * high) if low > 0.0 else 1e-2 * high
