"""What certificates of least objectives under linear data share: two bounds and their gap."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from sparseopt.interface.arrays import as_array, as_figure, read_only, require_finite, to_double
from sparseopt.interface.certificate import Certificate, Steps
from sparseopt.interface.errors import ProblemError
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import above
from sparseopt.judging.scaling import ScaledArray

ROOM = 3.0
"""How many times over a certificate is made with each bound of rounding, see `Fit`."""


@dataclass(frozen=True)
class Bracket:
    """Bounds that hold for real numbers, in units of ``2**exponent``.

    Attributes
    ----------
    primal : float
        The objective at the answer is not above it.
    dual : float
        The least objective is not below it.
    gap : float
        The objective exceeds the least one by at most this.
    """

    primal: float
    dual: float
    gap: float
    exponent: int

    def scaled(self) -> list[ScaledArray[float]]:
        """Return the three with their power of two."""
        return [ScaledArray(v, self.exponent) for v in (self.primal, self.dual, self.gap)]

    def figures(self) -> tuple[float, float, float]:
        """Return the three as floats, rounded outwards."""
        primal, dual, gap = self.scaled()
        return primal.above(), dual.below(), gap.above()


def number_vector(value: Any, name: str, or_two_rows: bool = False) -> np.ndarray:
    """Return a finite read-only vector of float64 or complex128; or two rows, where allowed."""
    array = as_array(value, name)
    is_vector = array.ndim == 1 or (or_two_rows and array.ndim == 2 and len(array) == 2)
    if not is_vector or array.dtype.kind not in "iufc":
        raise ProblemError(f"{name} must be a vector of numbers, got shape {array.shape}")
    array = to_double(array, name)
    require_finite(array, name)
    return read_only(array)


def require_rows(steps: Steps, w: np.ndarray, size: int) -> None:
    """Require that a dual point has that many entries, or two rows of them."""
    steps.require(
        w.shape in ((size,), (2, size)),
        f"the dual point has {size} entries, or two rows of them",
        str(w.shape),
    )


def require_kinds(steps: Steps, system: SparseRegression, *vectors: np.ndarray) -> None:
    """Require that evidence is real where the data are."""
    steps.require(
        system.is_complex or all(vector.dtype.kind != "c" for vector in vectors),
        "coefficients and evidence are real where design and target are",
    )


@dataclass(frozen=True, eq=False)
class GapCertificate(Certificate):
    """Brackets the least objective; subclasses say by which theorem.

    Attributes
    ----------
    dual_point : ndarray of float64 or complex128, shape (m,) or (2, m)
        Two rows stand for their sum, where one has too few digits. Evidence. Any vector proves
        something; none proves anything false.
    primal : float
        The objective at the answer is at most this.
    dual : float
        No admissible vector has a smaller objective than this.
    gap : float
        The objective exceeds the least one by at most this; found without cancellation, and so
        it may be less than `primal` minus `dual`.
    """

    problem: Any
    answer: Any
    dual_point: np.ndarray
    primal: float
    dual: float
    gap: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "dual_point", number_vector(self.dual_point, "dual_point", True))
        for name in ("primal", "dual", "gap"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(cls, problem: Any, x: np.ndarray, *dual_points: np.ndarray) -> tuple[Any, Self]:
        """Return `x` as an answer, and the certificate by the best of some dual points.

        Parameters
        ----------
        problem : Problem
            Of the class that this certificate proves.
        x : ndarray, shape (n,)
            Admissible coefficients of any quality. Those that scaling would lose become 0.
        *dual_points : ndarray, shape (m,) or (2, m)
            Of any scale; none of them need be feasible. Without any the residual is taken.

        Returns
        -------
        answer
        certificate
            It holds however bad its ingredients are; look at its `gap`. O(m n).
        """
        fit = Fit(problem.system, ROOM)
        scaled = fit.scaled.coefficients(as_array(x, "x"))
        points = list(dual_points) or [
            fit.scaled.original_dual_point(fit.residual(scaled)[0]),
        ]
        made = [(w, cls._bracket(problem, fit, scaled, w)) for w in points]
        w, best = min(made, key=lambda item: item[1].gap)
        answer = Coefficients(fit.scaled.original_coefficients(scaled))
        return answer, cls(problem, answer, w, *best.figures())

    @classmethod
    @abstractmethod
    def _bracket(cls, problem: Any, fit: Fit, x: np.ndarray, w: np.ndarray) -> Bracket:
        """Return what scaled coefficients, in real numbers, and a dual point as stored prove."""

    @abstractmethod
    def _check_answer(self, steps: Steps, fit: Fit) -> None:
        """Require that the answer is admissible."""

    @property
    @abstractmethod
    def _floor(self) -> float:
        """An objective that no data in float64 tell from zero."""

    @property
    def accuracy(self) -> float:
        """An upper bound of the gap over the objective, or over one as good as zero; 0 if it is."""
        return over(self.gap, max(self.dual, self._floor))

    @property
    def relative_gap(self) -> float:
        """An upper bound of the gap over the objective, however small that is."""
        return over(self.gap, self.dual)

    def check(self, steps: Steps) -> None:
        """Derive everything again from the problem, the coefficients and the dual point."""
        kind, (m, n) = type(self.answer), self.problem.shape
        steps.require(kind is Coefficients, "the answer is Coefficients", kind.__name__)
        x, w = self.answer.x, self.dual_point
        steps.require(x.shape == (n,), f"x has one entry for each of {n} columns", str(x.shape))
        require_rows(steps, w, m)
        require_kinds(steps, self.problem.system, x, w)
        fit = Fit(self.problem.system)
        self._check_answer(steps, fit)
        own = self._bracket(self.problem, fit, fit.coefficients(x), w)
        check_figures(steps, own, self.primal, self.dual, self.gap)


def check_figures(steps: Steps, own: Bracket, primal: float, dual: float, gap: float) -> None:
    """Require that stated figures follow from those that the judge has found."""
    most, least, between = own.scaled()
    text = f"the objective is at most {primal!r}, rounding included"
    steps.require(most.at_most(primal), text, repr(most.above()))
    text = f"the minimum is at least {dual!r}, rounding included"
    steps.require(least.at_least(dual), text, repr(least.below()))
    text = f"the gap is at most {gap!r}, rounding included"
    steps.require(between.at_most(gap), text, repr(between.above()))


def over(gap: float, size: float) -> float:
    """Return an upper bound of a gap over a size; 0 if the gap is, infinity if only the size is."""
    if gap == 0:
        return 0.0
    return above(gap / size, 2) if size > 0 else math.inf
