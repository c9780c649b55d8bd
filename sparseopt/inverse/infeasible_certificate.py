"""The proof that nothing fits a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.basis_pursuit import BasisPursuit, PursuitAnswer
from sparseopt.inverse.fit import Fit, norm_within, unit_multiple
from sparseopt.inverse.gap_certificate import (
    ROOM,
    Bracket,
    check_figures,
    number_vector,
    over,
    require_kinds,
)
from sparseopt.judging.rounding import TINY, above, below, shown_above, shown_below

_FIGURES = ("primal", "dual", "gap")


@proves(BasisPursuit)
@json_type
@dataclass(frozen=True, eq=False)
class InfeasibleCertificate(Certificate):
    """Proves that no vector fits the target within the noise.

    Let Q be the orthogonal projection onto the range of A. For any w, u = w - Qw is orthogonal to
    the range, so |Ax - y| >= u.(y - Ax) / |u| = u.y / |u| >= (w.y - |Qw| |y|) / |w| for every x.
    `sparseopt.inverse.least_squares` bounds |Qw|.

    Attributes
    ----------
    dual_point : ndarray of float64 or complex128, shape (m,)
        w, a vector nearly orthogonal to the range.
    primal, dual, gap : float
        The residual of the answer is at most `primal`, and the smallest one at least `dual`,
        which is above the noise.

    Examples
    --------
    >>> import sparseopt as so
    >>> certificate = so.solve(so.BasisPursuit([[1, 2], [2, 4]], [1, 3])).certificate
    >>> round(certificate.dual ** 2, 12)
    0.2
    """

    problem: BasisPursuit
    answer: PursuitAnswer
    dual_point: np.ndarray
    primal: float
    dual: float
    gap: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "dual_point", number_vector(self.dual_point, "dual_point"))
        for name in _FIGURES:
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls, problem: BasisPursuit, x: np.ndarray, w: np.ndarray
    ) -> tuple[PursuitAnswer, Self] | None:
        """Return the answer that nothing fits, None where `w` does not prove it.

        Parameters
        ----------
        problem : BasisPursuit
        x : ndarray, shape (n,)
            A vector of nearly smallest residual.
        w : ndarray, shape (m,)
            A vector nearly orthogonal to all columns, such as that residual.
        """
        fit = Fit(problem.system, ROOM)
        own = _infeasible(fit, fit.coefficients(x), fit.scaled.parts(w))
        primal, dual, gap = own.figures()
        if not dual > problem.noise:
            return None
        answer = PursuitAnswer(x, False, primal, False)
        return answer, cls(problem, answer, w, primal, dual, gap)

    @property
    def unique(self) -> bool:
        """There is no optimum, so none is unique."""
        return False

    @property
    def accuracy(self) -> float:
        """The relative gap of the smallest residual."""
        return self.relative_gap

    @property
    def relative_gap(self) -> float:
        """An upper bound of the gap over the smallest residual."""
        return over(self.gap, self.dual)

    @property
    def claim(self) -> str:
        """What is proved."""
        return (
            f"no vector fits the target within the noise, {self.problem.noise!r}: the smallest "
            f"residual is at least {shown_below(self.dual, 10)}, and that of x is at most "
            f"{shown_above(self.primal, 10)}"
        )

    def check(self, steps: Steps) -> None:
        """Derive both bounds again."""
        answer, (m, n) = self.answer, self.problem.shape
        kind = type(answer)
        steps.require(kind is PursuitAnswer, "the answer is a PursuitAnswer", kind.__name__)
        steps.require(not answer.feasible, "the answer says that nothing fits")
        steps.require(not answer.unique, "the answer claims no unique optimum")
        x, w = answer.x, self.dual_point
        steps.require(x.shape == (n,), f"x has one entry for each of {n} columns", str(x.shape))
        steps.require(w.shape == (m,), f"the dual point has {m} entries", str(w.shape))
        require_kinds(steps, self.problem.system, x, w)
        fit = Fit(self.problem.system)
        own = _infeasible(fit, fit.coefficients(x), fit.scaled.parts(w))
        check_figures(steps, own, self.primal, self.dual, self.gap)
        steps.require(
            self.dual > self.problem.noise,
            "the smallest residual is above the noise",
            f"at least {self.dual!r} for the noise {self.problem.noise!r}",
        )
        steps.require(
            answer.smallest_residual == self.primal,
            "the answer states the residual of x, rounded up",
        )


def _infeasible(fit: Fit, x: np.ndarray, w: np.ndarray) -> Bracket:
    primal = norm_within(*fit.residual(x))[1]
    w = unit_multiple(w)
    shared = fit.projection(w) + TINY
    inner = fit.inner(w)[0] - above(shared * norm_within(fit.target)[1], 2)
    dual = below(below(inner, 2) / norm_within(w)[1], 2 + int(fit.room)) if inner > 0.0 else 0.0
    gap = above(primal - dual) if primal > dual else 0.0
    return Bracket(primal, dual, gap, fit.unit)
