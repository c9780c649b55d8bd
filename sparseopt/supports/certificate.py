"""The certificate of a factorization with fixed supports."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.judging.figures import ROOMS, Figure
from sparseopt.judging.rounding import shown_above, shown_below
from sparseopt.judging.stated import (
    Interval,
    described,
    gap,
    interval,
    number,
    ratio,
    require_interval,
    stated,
)
from sparseopt.supports.bounds import Optimum, ScaledTarget, optimum
from sparseopt.supports.components import is_tractable
from sparseopt.supports.factors import ATTAINMENTS, SupportedFactors
from sparseopt.supports.problem import FixedSupportFactorization

_FLOATS = (np.float32, np.float64, np.complex64, np.complex128)


@proves(FixedSupportFactorization)
@json_type
@dataclass(frozen=True, eq=False)
class FixedSupportCertificate(Certificate):
    """The error of the factors, a lower bound for all factors, and what follows.

    All figures are bounds of real numbers, proved in spite of rounding: see `bounds`. What is not
    stated is computed by the core when it is first asked for, with three rooms of rounding
    (`figures.Figure`); what is stated is computed again by `check`, and must leave one. An error
    above what some factors are known to reach is refused, however true.

    That the infimum is attained is a statement about the supports, not about these factors: the set
    of products is closed, because rectangles are pairwise disjoint or identical (then it consists
    of all matrices with blocks of bounded rank), or because the attached proof says so.

    Parameters
    ----------
    problem, answer
        What the certificate speaks of.
    stated_error : (float, float) or None
        A lower and an upper bound of the Frobenius error of the factors.
    stated_bound : float or None
        No factors with these supports have a smaller error.
    closedness : Certificate or None
        For a claim about the infimum: that the supports are closed, or that they are not. Over the
        complex numbers if the target is complex.
    """

    problem: FixedSupportFactorization
    answer: SupportedFactors
    stated_error: Interval | None = None
    stated_bound: float | None = None
    closedness: Certificate | None = None

    def __post_init__(self) -> None:
        error, bound = self.stated_error, self.stated_bound
        if error is not None:
            object.__setattr__(self, "stated_error", interval(error, "error"))
        if bound is not None:
            object.__setattr__(self, "stated_bound", number(bound, "lower_bound"))

    def to_fields(self) -> dict[str, Any]:
        """Return what is written to JSON."""
        low, high = self.error_interval
        return {
            "problem": self.problem,
            "answer": self.answer,
            "error": high,
            "error_low": low,
            "lower_bound": self.lower_bound,
            "closedness": self.closedness,
        }

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> FixedSupportCertificate:
        """Inverse of `to_fields`; files of earlier versions state one number for the error."""
        known = {"problem", "answer", "error", "error_low", "lower_bound", "closedness"}
        extra = set(fields) - known
        if extra:
            raise ProblemError(f"a fixed-support certificate has no fields {sorted(extra)}")
        error = fields.get("error_low", 0.0), fields["error"]
        bound = number(fields["lower_bound"], "lower_bound")
        return cls(fields["problem"], fields["answer"], error, bound, fields["closedness"])

    @cached_property
    def _target(self) -> ScaledTarget:
        return ScaledTarget(self.problem.target)

    @cached_property
    def _error(self) -> Figure:
        """The error as the core finds it."""
        return self._target.error(self.answer.left, self.answer.right)

    @cached_property
    def _optimum(self) -> Optimum:
        """What the core finds about the least error."""
        return optimum(self._target, *self.problem.supports)

    @cached_property
    def _norm(self) -> Figure:
        return self._target.norm()

    @property
    def error_interval(self) -> Interval:
        """A lower and an upper bound of the Frobenius error of the factors."""
        return stated(self._error) if self.stated_error is None else self.stated_error

    @property
    def error(self) -> float:
        """Proven upper bound of the Frobenius error of the factors."""
        return self.error_interval[1]

    @property
    def lower_bound(self) -> float:
        """No factors with these supports have a smaller error."""
        return self._optimum.below.low(ROOMS) if self.stated_bound is None else self.stated_bound

    @property
    def gap(self) -> float:
        """The error is above the least possible one by at most this."""
        return gap(self.error, self.lower_bound)

    @property
    def relative_error(self) -> float:
        """Error over the norm of the target, rounded up; 0 for a zero target reached exactly."""
        return ratio(self.error, self._norm)

    @property
    def accuracy(self) -> float:
        """What is proved of (error - least possible error) / norm of the target."""
        return ratio(self.gap, self._norm)

    @property
    def claim(self) -> str:
        """What is proved."""
        text = (
            f"the factors have the asked supports and error {described(self.error_interval)}, and "
            f"no factors with these supports have an error below {shown_below(self.lower_bound)}"
        )
        nearest = (
            "; some factors with these supports are nearest to the target, and the error of these "
            f"is above the least one by at most {shown_above(self.gap)}"
        )
        return text + {
            "attained": nearest,
            "not_attained": "; the infimum is 0 and is not attained",
            "suspected_not_attained": "; the set of products with these supports is not closed",
            "unknown": "",
        }.get(self.answer.attainment, "")

    def check(self, steps: Steps) -> None:
        """Check supports, error, bound and the claim about the infimum."""
        problem, answer = self.problem, self.answer
        steps.require(problem.decay == 0.0, "the problem has no decay")
        supports = problem.supports
        for name, factor, support in zip("XY", answer.factors, supports, strict=True):
            require_factor(steps, name, factor, support)
        require_interval(steps, "the error", self.error_interval, self._error)
        proved = self._optimum.below.low()
        steps.require(
            0.0 <= self.lower_bound <= proved,
            "no factors have an error below the lower bound",
            f"at least {proved:.17g} is proved, {self.lower_bound:.17g} is stated",
        )
        most = self._optimum.guaranteed
        steps.require(
            self._error.low() <= most,
            "the error is not above what some factors are known to reach",
            f"{self._error.low():.17g} against {most:.17g}",
        )
        self._check_attainment(steps)

    def _check_attainment(self, steps: Steps) -> None:
        """Check what is said about the infimum."""
        value, proof = self.answer.attainment, self.closedness
        steps.require(value in ATTAINMENTS, f"attainment is one of {ATTAINMENTS}")
        if value == "unknown" or (value == "attained" and is_tractable(*self.problem.supports)):
            steps.require(proof is None, "no proof is attached that nothing rests on")
            return
        from sparseopt.closedness.problem import Closedness

        kind = self.problem.target.dtype.kind
        asked = Closedness(list(self.problem.supports), "complex" if kind == "c" else "real")
        verdict = "closed" if value == "attained" else "not_closed"
        steps.require_proof(proof, of=asked, verdict=verdict)
        if value == "not_attained":
            limit = proof.limit_matrix()  # type: ignore[union-attr]
            steps.require(is_exactly(self.problem.target, limit), "the target is the very limit")


def require_factor(steps: Steps, name: str, factor: Any, support: np.ndarray) -> None:
    """Require an array of floats with the zeros of a support; a NaN has no error below anything."""
    steps.require(
        type(factor) is np.ndarray and factor.dtype in _FLOATS and factor.shape == support.shape,
        f"{name} is an array of single or double precision with the shape of its support",
    )
    steps.require(not factor[~support].any(), f"{name} is zero outside its support")


def is_exactly(target: np.ndarray, limit: np.ndarray) -> bool:
    """Whether a matrix of floats is a matrix of rationals, as exact numbers."""
    return all(
        Fraction(value) == Fraction(float(target[place].real)) and target[place].imag == 0
        for place, value in np.ndenumerate(limit)
    )
