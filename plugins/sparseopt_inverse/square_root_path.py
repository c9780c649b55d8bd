"""The square-root lasso by the lasso whose strength is in proportion to its residual."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt import (
    Accepted,
    BasisPursuit,
    Context,
    Inconclusive,
    Refused,
    SolveError,
    Solver,
    solve,
)
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.square_root import SquareRootCertificate, SquareRootLasso
from sparseopt_inverse.faces import Face
from sparseopt_inverse.moduli import on_path, sharpened
from sparseopt_inverse.path_search import PathSearch
from sparseopt_inverse.predicting import BASE, design_bytes

_Made = tuple[Coefficients, SquareRootCertificate]


@dataclass(frozen=True)
class SquareRootPath(Solver[SquareRootLasso]):
    """Searches the lasso whose strength is `strength` times the norm of its residual.

    Time O(m n), memory O(m n), for an m x n design and each of a few lassos.

    Notes
    -----
    With residual r the optimality conditions are those of the lasso of strength lambda |r|. On a
    face |r|^2 = rest^2 + mu^2 s.G^-1 s, so that mu = lambda |r| is known in closed form. Where no
    mu > 0 solves it, the optimum fits the target: basis pursuit.
    """

    def accepts(self, problem: SquareRootLasso) -> Accepted | Refused:
        """Every problem is taken."""
        return Accepted()

    def solve(self, problem: SquareRootLasso, context: Context) -> _Made:
        """Return the solution on the last face, or that of basis pursuit."""
        search = _Search(problem, context)
        correlation = search.fit.moduli(search.fit.scaled.correlation(search.fit.target))
        size = float(np.linalg.norm(search.fit.target))
        if not correlation.any() or float(correlation.max()) <= search.strength * size:
            search.offer(np.zeros(search.fit.scaled.size), search.fit.target)
            if search.good:
                return search.result
        search.run(0.5 * search.strength * size)
        if not search.good:
            search.offer_precise()
        if not search.good:
            search.offer_pursuit()
        return search.result

    def cost(self, problem: SquareRootLasso) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 4e-2 + 5e-7 * m * n

    def bytes_needed(self, problem: SquareRootLasso) -> float:
        """Predict copies of the design, and the lassos."""
        return BASE + 1.0 * design_bytes(problem.design)


class _Search(PathSearch):
    def __init__(self, problem: SquareRootLasso, context: Context) -> None:
        super().__init__(problem, context)
        self.problem = problem
        self.strength = math.ldexp(problem.strength, self.fit.unknown_unit - self.fit.unit)
        self._asked = 1e-13 if context.tolerance is None else context.tolerance
        self._made: _Made | None = None
        self._last: tuple[float, float] | None = None

    @property
    def good(self) -> bool:
        return self._made is not None and self._made[1].accuracy <= self._asked

    @property
    def result(self) -> _Made:
        if self._made is None:
            raise Inconclusive("no face of the lasso's path solves it, nor does basis pursuit")
        return self._made

    def offer(self, x: np.ndarray, w: np.ndarray) -> None:
        x = self.fit.scaled.original_coefficients(x)
        made = SquareRootCertificate.build(self.problem, x, self.fit.scaled.joined(w))
        if self._made is None or made[1].accuracy < self._made[1].accuracy:
            self._made = made

    def offer_precise(self) -> None:
        """Offer lassos in twice the digits, at the strength that their own residuals tell."""
        if self._last is None:
            return
        mu, square = self._last
        room = 1.0 - self.strength**2 * square

        def next_mu(mu: float, size: float) -> float:
            rest = size - mu * mu * square
            return self.strength * math.sqrt(rest / room) if rest > 0.0 else 0.0

        for x, t in self.follow(mu, next_mu) if room > 0.0 else ():
            self.offer(x, t[0] if len(t) == 1 else t)
            if self.good:
                return

    def offer_pursuit(self) -> None:
        """Offer the vector of least 1-norm that fits, where it exists."""
        remaining = self.context.remaining()
        problem = BasisPursuit(*self.data)
        try:
            solution = solve(problem, time_limit=None if math.isinf(remaining) else remaining)
        except SolveError:
            return
        if solution.answer.feasible:
            parts = self.fit.scaled.parts
            self.offer(parts(solution.answer.x), parts(solution.certificate.dual_point))

    def too_large(self, mu: float, residual: np.ndarray, x: np.ndarray) -> bool:
        return mu > self.strength * float(np.linalg.norm(residual))

    def on_face(self, face: Face) -> float | None:
        rest = float(face.rest @ face.rest)
        room = 1.0 - self.strength**2 * face.square
        # At 0 the face fits the target, if it is the right one.
        return self.strength * math.sqrt(rest / room) if room > 0.0 else 0.0

    def take(self, face: Face, chosen: np.ndarray, mu: float) -> bool:
        x = np.zeros(self.fit.scaled.size)
        x[chosen] = face.coefficients(mu)
        self.offer(x, face.residual(mu))
        self._last = (mu, face.square) if mu > 0.0 else None
        if not self.good and mu > 0.0:
            self.offer(x, face.sharpened(self.fit, chosen, face.residual(mu), mu))
        if not self.good:
            # Without a residual, or as good as without.
            self.offer(face.exact_fit(self.fit, chosen, len(x)), face.direction)
        return self.good

    def take_near(self, x: np.ndarray, mu: float, residual: np.ndarray) -> bool:
        def condition(
            x: np.ndarray, residual: np.ndarray, pull: np.ndarray, mu: float
        ) -> tuple[float, np.ndarray, float]:
            length = float(np.linalg.norm(residual))
            # Where nothing is left, nothing pulls.
            return mu - self.strength * length, self.strength / (length or 1.0) * pull, 1.0

        found = on_path(self.fit, x, mu, condition, self.context)
        if found is not None and found[2] > 0.0 and np.isfinite(found[0]).all():
            self.offer(*found[:2])
            if not self.good:
                self.offer(found[0], sharpened(self.fit, *found))
        return self.good
