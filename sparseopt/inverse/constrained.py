"""Least squares in an l1 ball: the question, and the proof of an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.butterfly.linear import LinearMatrix
from sparseopt.interface.arrays import MatrixLike
from sparseopt.interface.certificate import Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.fit import (
    Fit,
    as_nonnegative,
    as_system,
    misfit,
    norm_within,
    objective_at_zero,
    take_system,
)
from sparseopt.inverse.gap_certificate import Bracket, GapCertificate
from sparseopt.inverse.problem import FLOORED, SparseRegression
from sparseopt.judging.rounding import (
    FUNCTION,
    TINY,
    UNIT,
    above,
    below,
    norm_bound,
    product_terms,
    shown_above,
)


@json_type
@dataclass(frozen=True, eq=False)
class ConstrainedRegression(Problem[Coefficients, Any]):
    """Minimise 1/2 |design x - target|^2 over x with |x|_1 at most a radius.

    Parameters
    ----------
    design : array_like, scipy.sparse csr or csc, LinearOperator or KroneckerProduct, shape (m, n)
        Real or complex; see `SparseRegression`.
    target : array_like, shape (m,)
    radius : float
        Of the l1 ball, above 0.

    Raises
    ------
    ProblemError
        NaN or infinity, shapes that do not fit, a radius that is not above 0.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.ConstrainedRegression([[1.0, 0.0], [0.0, 1.0]], [3.0, 1.0], radius=2.0)
    >>> so.solve(problem).answer.x
    array([2., 0.])
    """

    design: Any
    target: np.ndarray
    radius: float
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = f"relative duality gap {FLOORED}"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, design: MatrixLike | LinearMatrix, target: ArrayLike, radius: float
        ) -> None: ...

    def __post_init__(self) -> None:
        take_system(self)
        radius = as_nonnegative(self.radius, "radius", positive=True)
        object.__setattr__(self, "radius", radius)

    @cached_property
    def system(self) -> SparseRegression:
        """Design and target as a regression without a penalty, which scales them."""
        return as_system(self.design, self.target)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the design."""
        return self.design.shape  # type: ignore[no-any-return]

    def evaluate(self, answer: Coefficients) -> Mapping[str, float]:
        """Return the objective, and by how much the norm exceeds the radius."""
        x = np.asarray(answer.x)
        excess = max(math.fsum(np.abs(x).tolist()) - self.radius, 0.0)
        return {
            "objective": 0.5 * math.fsum(r * r for r in misfit(self.system, x)),
            "excess": excess,
        }

    def describe(self) -> str:
        """Return one line with the sizes and the radius."""
        m, n = self.shape
        return f"least squares in an l1 ball of radius {self.radius:g}, design {m} x {n}"


@proves(ConstrainedRegression)
@json_type
@dataclass(frozen=True, eq=False)
class BallCertificate(GapCertificate):
    """Proves how far coefficients in an l1 ball are from least squares there.

    For every t and every x with |x|_1 <= radius, 1/2 |Ax - y|^2 >= t.(y - Ax) - |t|^2 / 2, and
    t.Ax <= radius max |A^T t|. So no such x has a smaller objective than
    D(t) = t.y - |t|^2 / 2 - radius max |A^T t|. For t = y - Ax the gap is that of Frank and Wolfe,
    radius max |A^T t| - x.A^T t (Jaggi 2013, Revisiting Frank-Wolfe, section 2).

    Where plain least squares lies inside a large ball, the radius would multiply the rounding of
    A^T t. There the dual point 0 stands for t = r - Qr, r the residual and Q the projection onto
    the range of A: A^T t = 0, and the gap is |Qr|^2 / 2; `sparseopt.inverse.least_squares` bounds
    |Qr|.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.ConstrainedRegression([[1.0, 0.0], [0.0, 1.0]], [3.0, 1.0], radius=2.0)
    >>> certificate = so.solve(problem).certificate
    >>> round(certificate.primal, 12), certificate.relative_gap < 1e-12
    (1.0, True)
    """

    problem: ConstrainedRegression
    answer: Coefficients

    @classmethod
    def _bracket(
        cls, problem: ConstrainedRegression, fit: Fit, x: np.ndarray, w: np.ndarray
    ) -> Bracket:
        residual, off = fit.residual(x)
        if not w.any():
            return _everywhere(fit, residual, off)
        t = fit.scaled.dual_point(w)
        loss = [0.5 * term for term in product_terms(residual, residual)]
        error = above(off * norm_bound(residual) + 0.5 * off * off, 8) if off else 0.0
        radius = math.ldexp(problem.radius, -fit.unknown_unit)
        reach = above(radius * fit.largest_correlation(t)) + TINY
        rows = np.atleast_2d(t)
        minus_dual = [0.5 * term for row in rows for term in product_terms(row, row)]
        minus_dual += product_terms(rows[0], rows[1]) if len(rows) > 1 else []
        minus_dual += [term for row in rows for term in product_terms(fit.target, -row)]
        minus_dual += [reach, t.size * TINY]
        primal = _sum_above(fit, [*loss, error])
        gap = max(_sum_above(fit, [*loss, error, *minus_dual]), 0.0)
        # No objective is negative.
        dual = max(-_sum_above(fit, minus_dual), 0.0)
        return Bracket(primal, dual, min(gap, primal), 2 * fit.unit)

    def _check_answer(self, steps: Steps, fit: Fit) -> None:
        excess = beyond(self.answer.x, self.problem.radius)
        steps.require(
            excess <= 0.0, "the l1 norm of x is at most the radius, exactly", repr(excess)
        )

    @property
    def _floor(self) -> float:
        return below(UNIT * objective_at_zero(self.problem.target), 2)

    @property
    def claim(self) -> str:
        """What is proved."""
        return (
            f"x lies in the l1 ball of radius {self.problem.radius!r}, its objective is at most "
            f"{shown_above(self.primal, 10)} and exceeds the least one in that ball by at most "
            f"{shown_above(self.gap, 3)}"
        )


def beyond(x: np.ndarray, radius: float) -> float:
    """Return a number that is positive if the l1 norm of x exceeds a radius.

    `math.fsum` rounds an exact sum, so its sign is right. Moduli of complex numbers are rounded up.
    """
    size = np.abs(x)
    if x.dtype.kind == "c":
        size = np.nextafter(size * (1.0 + 2.0 * FUNCTION), math.inf) * (size > 0)
    return math.fsum([*size.tolist(), -radius])


def _everywhere(fit: Fit, residual: np.ndarray, off: float) -> Bracket:
    """Return what the projected residual proves of all x, in the ball or not."""
    low, high = norm_within(residual, off)
    shared = fit.projection(residual) if residual.any() else 0.0
    missed = above(off + shared, 2) if off + shared else 0.0
    gap = above(0.5 * missed * missed, 3) if missed else 0.0
    primal = above(0.5 * high * high, 3) if high else 0.0
    value = below(0.5 * low * low, 3) - gap
    return Bracket(primal, below(value, 2) if value > 0 else 0.0, min(gap, primal), 2 * fit.unit)


def _sum_above(fit: Fit, terms: list[float]) -> float:
    """Return an upper bound of an exact sum, which `math.fsum` rounds to nearest."""
    total = math.fsum(terms)
    return total + fit.room * math.ulp(total) if total else 0.0
