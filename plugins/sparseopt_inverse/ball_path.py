"""Least squares in an l1 ball by the lasso whose solution lies on the ball's boundary."""

from __future__ import annotations

import contextlib
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
    SparseRegression,
    solve,
)
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.constrained import BallCertificate, ConstrainedRegression, beyond
from sparseopt.inverse.penalty import L1
from sparseopt.judging.scaling import times_power
from sparseopt_inverse.faces import MOST_ENTRIES, Face
from sparseopt_inverse.moduli import on_path, phases, sharpened
from sparseopt_inverse.path_search import PathSearch
from sparseopt_inverse.predicting import BASE, design_bytes

_Made = tuple[Coefficients, BallCertificate]


@dataclass(frozen=True)
class BallPath(Solver[ConstrainedRegression]):
    """Searches the strength of the lasso whose solution has the radius as its l1 norm.

    Time O(m n), memory O(m n), for an m x n design and each of a few lassos.

    Notes
    -----
    On each face that strength is known in closed form, so that a few lassos are enough; they are
    stated as `SparseRegression` and solved by whichever solver is best for them. Where plain least
    squares stays inside the ball, that is the answer.
    """

    def accepts(self, problem: ConstrainedRegression) -> Accepted | Refused:
        """Every problem is taken."""
        return Accepted()

    def solve(self, problem: ConstrainedRegression, context: Context) -> _Made:
        """Return the solution on the last face."""
        search = _Search(problem, context)
        radius = search.radius
        start = np.abs(search.fit.scaled.correlation(search.fit.target))
        if not start.any():
            search.offer(np.zeros(search.fit.scaled.size), search.fit.target)
            return search.result
        search.run(0.1 * float(start.max()))
        if not search.good and search.smallest_norm <= radius:
            search.offer_inside()
        return search.result

    def cost(self, problem: ConstrainedRegression) -> float:
        """Return seconds, roughly."""
        m, n = problem.shape
        return 2e-2 + 1e-7 * m * n

    def bytes_needed(self, problem: ConstrainedRegression) -> float:
        """Predict copies of the design, and the lassos."""
        return BASE + 0.7 * design_bytes(problem.design)


class _Search(PathSearch):
    def __init__(self, problem: ConstrainedRegression, context: Context) -> None:
        super().__init__(problem, context)
        self.problem = problem
        self.radius = times_power(problem.radius, -self.fit.unknown_unit)
        if self.radius == math.inf:
            raise Inconclusive(
                "radius is so large beside the coefficients that no scale holds both"
            )
        self.smallest_norm = math.inf
        self._asked = 1e-13 if context.tolerance is None else context.tolerance
        self._made: _Made | None = None

    @property
    def good(self) -> bool:
        return self._made is not None and self._made[1].accuracy <= self._asked

    @property
    def result(self) -> _Made:
        if self._made is None:
            raise Inconclusive("no face of the lasso's path lies on the boundary of the ball")
        return self._made

    def offer(self, x: np.ndarray, w: np.ndarray) -> None:
        """Certify coefficients, brought into the ball, by a dual point or their residual."""
        x = self.fit.scaled.original_coefficients(x)
        x = _inside(x, self.problem.radius)
        points = [self.fit.scaled.original_dual_point(w)]
        scaled = self.fit.coefficients(x)
        points.append(self.fit.scaled.original_dual_point(self.fit.residual(scaled)[0]))
        made = BallCertificate.build(self.problem, x, *points)
        m, n = self.problem.shape
        if made[1].accuracy > self._asked and n < m and m * n <= MOST_ENTRIES:
            # Perhaps it is least squares, which a dual point of 0 stands for.
            free = BallCertificate.build(self.problem, x, np.zeros(m))
            made = min(made, free, key=lambda item: item[1].accuracy)
        if self._made is None or made[1].accuracy < self._made[1].accuracy:
            self._made = made

    def offer_inside(self) -> None:
        """Offer least squares, which lies in the ball; else a shortest vector that fits."""
        problem = SparseRegression(*self.data, L1(0.0))
        solution = solve(problem, tolerance=1e-12)
        parts = self.fit.scaled.parts
        self.offer(parts(solution.answer.x), parts(solution.certificate.dual_point))
        if self.good or not self.fit.is_complex:
            return
        remaining = self.context.remaining()
        limit = None if math.isinf(remaining) else max(remaining, 1e-3)
        with contextlib.suppress(SolveError):
            fitting = solve(BasisPursuit(*self.data), time_limit=limit)
            if fitting.answer.feasible:
                self.offer(parts(fitting.answer.x), parts(fitting.certificate.dual_point))

    def too_large(self, mu: float, residual: np.ndarray, x: np.ndarray) -> bool:
        size = float(self.fit.moduli(x).sum())
        self.smallest_norm = size
        return size < self.radius

    def on_face(self, face: Face) -> float | None:
        # At 0 or below, least squares on this face lies in the ball.
        return max((float(face.signs @ face.fitted) - self.radius) / face.square, 0.0)

    def take(self, face: Face, chosen: np.ndarray, mu: float) -> bool:
        x = np.zeros(self.fit.scaled.size)
        x[chosen] = face.coefficients(mu)
        self.offer(x, face.residual(mu))
        if not self.good and mu > 0.0:
            self.offer(x, face.sharpened(self.fit, chosen, face.residual(mu), mu))
        return self.good

    def take_near(self, x: np.ndarray, mu: float, residual: np.ndarray) -> bool:
        def condition(
            x: np.ndarray, residual: np.ndarray, pull: np.ndarray, mu: float
        ) -> tuple[float, np.ndarray, float]:
            unit, size = phases(x)
            return 0.5 * float(size.sum()) - self.radius, unit, 0.0

        found = on_path(self.fit, x, mu, condition, self.context)
        if found is not None and found[2] > 0.0 and np.isfinite(found[0]).all():
            self.offer(*found[:2])
            if not self.good:
                self.offer(found[0], sharpened(self.fit, *found))
        return self.good


def _inside(x: np.ndarray, radius: float) -> np.ndarray:
    """Return coefficients whose exact l1 norm is at most the radius, next to the given ones."""
    x = x.copy()
    size = math.fsum(np.abs(x).tolist())
    if size > radius:
        x *= radius / size
    if x.dtype.kind == "c":
        for k in range(60):
            if not beyond(x, radius) > 0.0:
                return x
            x *= 1.0 - 2.0 ** (k - 53)
    largest = int(np.argmax(np.abs(x)))
    step = 1
    while (excess := beyond(x, radius)) > 0.0:
        less = max(abs(x[largest]) - excess * step, 0.0)
        less = min(less, math.nextafter(abs(x[largest]), 0.0))
        x[largest] = math.copysign(less, x[largest])
        step *= 2
        if x[largest] == 0.0:
            largest = int(np.argmax(np.abs(x)))
    return x
