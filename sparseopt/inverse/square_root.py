"""The square-root lasso: the question, and the proof of an answer."""

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
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.fit import (
    Fit,
    as_nonnegative,
    as_system,
    length_of,
    length_within,
    misfit,
    norm_within,
    take_system,
    unit_multiple,
)
from sparseopt.inverse.gap_certificate import Bracket, GapCertificate
from sparseopt.inverse.objective import CHEAP
from sparseopt.inverse.problem import FLOORED, SparseRegression
from sparseopt.judging.rounding import UNIT, above, below, shown_above
from sparseopt.judging.scaling import times_power

_NEARLY = 1e-9
"""Correlations below that share of both norms are 0 but for rounding."""


@json_type
@dataclass(frozen=True, eq=False)
class SquareRootLasso(Problem[Coefficients, Any]):
    """Minimise |design x - target| + strength |x|_1 over x, the first norm Euclidean.

    Parameters
    ----------
    design : array_like, scipy.sparse csr or csc, LinearOperator or KroneckerProduct, shape (m, n)
        Real or complex; see `SparseRegression`.
    target : array_like, shape (m,)
    strength : float
        Above 0. From ``max |design.T @ target| / |target|`` on, the answer is 0.

    Raises
    ------
    ProblemError
        NaN or infinity, shapes that do not fit, a strength that is not above 0.

    Notes
    -----
    Where the strength is small, the optimum may fit the target without a residual: it is then one
    of basis pursuit (Belloni, Chernozhukov, Wang 2011).

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.SquareRootLasso([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], strength=0.75)
    >>> so.solve(problem).answer.x.round(6)
    array([0.     , 0.59832])
    """

    design: Any
    target: np.ndarray
    strength: float
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = f"relative duality gap {FLOORED}"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, design: MatrixLike | LinearMatrix, target: ArrayLike, strength: float
        ) -> None: ...

    def __post_init__(self) -> None:
        system = take_system(self)
        strength = as_nonnegative(self.strength, "strength", positive=True)
        object.__setattr__(self, "strength", strength)
        fit = Fit(system)
        shift = fit.unknown_unit - fit.unit
        if times_power(times_power(strength, shift), -shift) != strength:
            raise ProblemError(
                f"strength {strength!r} and this design have no common scale in float64; multiply "
                "design and strength by one constant"
            )

    @cached_property
    def system(self) -> SparseRegression:
        """Design and target as a regression without a penalty, which scales them."""
        return as_system(self.design, self.target)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, n) of the design."""
        return self.design.shape  # type: ignore[no-any-return]

    def evaluate(self, answer: Coefficients) -> Mapping[str, float]:
        """Return the objective and its two parts."""
        x = np.asarray(answer.x)
        residual = math.hypot(*misfit(self.system, x))
        penalty = self.strength * math.fsum(np.abs(x).tolist())
        return {"objective": residual + penalty, "residual": residual, "penalty": penalty}

    def describe(self) -> str:
        """Return one line with the sizes and the strength."""
        m, n = self.shape
        return f"square-root lasso, strength {self.strength:g}, design {m} x {n}"


@proves(SquareRootLasso)
@json_type
@dataclass(frozen=True, eq=False)
class SquareRootCertificate(GapCertificate):
    """Proves how far coefficients are from optimal for the square-root lasso.

    Let w be any vector and s the larger of |w| and max |A^T w| / strength. Then
    |y - Ax| + strength |x|_1 >= (w.(y - Ax) + (A^T w).x) / s = w.y / s for every x. So the bound
    holds also where the residual is 0 and has no direction.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.SquareRootLasso([[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], strength=0.1)
    >>> certificate = so.solve(problem).certificate
    >>> round(certificate.dual, 9), certificate.relative_gap < 1e-12
    (0.7, True)
    """

    problem: SquareRootLasso
    answer: Coefficients

    @classmethod
    def _bracket(cls, problem: SquareRootLasso, fit: Fit, x: np.ndarray, w: np.ndarray) -> Bracket:
        residual, off = fit.residual(x)
        # The objective over the unit of the target: strength and x change units together.
        strength = math.ldexp(problem.strength, fit.unknown_unit - fit.unit)
        high = norm_within(residual, off)[1]
        penalty = strength * fit.sum_above(x)
        primal = high + penalty
        primal = above(primal, 5 + int(fit.room)) if primal else 0.0
        w = unit_multiple(fit.scaled.parts(w))
        largest = length_within(w)[1]
        inner = fit.inner(w)[0]
        if w.any() and strength < math.inf:
            reach = fit.largest_correlation(w)
            most = float(fit.norms.max())
            if strength <= CHEAP * most and reach <= _NEARLY * most * largest and w.ndim == 1:
                inner -= above(norm_within(fit.target)[1] * fit.projection(w), 4)
            else:
                largest = max(largest, above(reach / strength))
        dual = below(inner / largest, 2 + int(fit.room)) if inner > 0.0 else 0.0
        gap = above(primal - dual) if primal > dual else 0.0
        return Bracket(primal, dual, gap, fit.unit)

    def _check_answer(self, steps: Steps, fit: Fit) -> None:
        """Every vector is admissible."""

    @property
    def _floor(self) -> float:
        return UNIT * length_of(self.problem.target)

    @property
    def claim(self) -> str:
        """What is proved."""
        return (
            f"|design x - target| + {self.problem.strength!r} |x|_1 is at most "
            f"{shown_above(self.primal, 10)} and exceeds its minimum by at most "
            f"{shown_above(self.gap, 3)}"
        )
