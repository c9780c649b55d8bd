"""The proof that coefficients are within a gap of optimal and that their zeros are exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparseopt.arrays import read_only
from sparseopt.certificate import Certificate, Steps
from sparseopt.errors import ProblemError
from sparseopt.recovery.coefficients import Coefficients
from sparseopt.recovery.duality import ORTHOGONAL, Dual, DualityGap
from sparseopt.recovery.scaling import ScaledProblem
from sparseopt.rounding import norm_bound
from sparseopt.serialization import json_type

if TYPE_CHECKING:
    from sparseopt.recovery.problem import SparseRegression

SLACK = 2.0**-50
"""Relative room that `build` leaves, so that another machine's order of summation still fits."""
FIGURES = 1e-12
"""Relative agreement asked of stored figures that are no bounds."""
MARGIN = 1e-9
"""Relative distance from the limit that `build` asks of a proof of zero, for the same reason."""


@json_type
@dataclass(frozen=True, eq=False)
class DualityGapCertificate(Certificate):
    """Proves how far coefficients are from optimal, and which ones vanish in every optimum.

    The dual point is evidence of its own: rebuilt from the residual it would prove only about
    half the digits. Solvers get certificates from `build`.

    Attributes
    ----------
    problem : SparseRegression
    answer : Coefficients
    dual_point : ndarray of float64, shape (m,)
        A feasible point of the dual problem.
    primal, dual : float
        The objective at the answer, and the dual objective.
    gap : float
        A proven upper bound of how far the objective exceeds its minimum. It covers the rounding
        errors of its own evaluation, so it may exceed ``primal - dual``.
    correlation_norm : float
        Euclidean norm of ``design.T @ dual_point``. Every entry of the design enters it, so it
        shows an edit of a column that the answer does not use.
    undecided : ndarray of int
        The zero coefficients for which the gap-safe rule gives no proof; usually none.

    Notes
    -----
    `sparseopt.recovery.duality` has the theorems. With strength 0 the constraint is that the
    columns are orthogonal to the dual point, which no rounded point satisfies exactly. It is
    then asked up to a relative 1e-12, and the claim is about a design whose columns differ from
    the given ones by at most that, relative to their norms. No zero can be proved then.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.SparseRegression([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], so.L1(1.0))
    >>> certificate = so.solve(problem).certificate
    >>> certificate.primal, certificate.gap < 1e-14, certificate.zeros
    (2.625, True, array([1]))
    """

    problem: SparseRegression
    answer: Coefficients
    dual_point: np.ndarray
    primal: float
    dual: float
    gap: float
    correlation_norm: float
    undecided: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "dual_point", read_only(np.asarray(self.dual_point)))
        object.__setattr__(self, "undecided", read_only(np.asarray(self.undecided)))

    @classmethod
    def build(
        cls, problem: SparseRegression, x: np.ndarray, *dual_points: np.ndarray
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Return `x` as an answer, with its exact zeros, and the best certificate at hand.

        Parameters
        ----------
        problem : SparseRegression
        x : ndarray, shape (n,)
            Coefficients of any quality. Those that the gap-safe rule proves to be zero are set
            to zero, none else, whatever their magnitude.
        *dual_points : ndarray, shape (m,)
            Candidates, feasible or not: each is scaled to its best feasible multiple, and the one
            with the largest dual objective is kept. Without any, the residual is taken.

        Returns
        -------
        answer : Coefficients
        certificate : DualityGapCertificate
            It holds however bad `x` and the dual points are; look at its `gap`. O(m n).
        """
        x = np.array(x, dtype=np.float64)
        if x.shape != problem.shape[1:] or not np.isfinite(x).all():
            raise ProblemError(f"x must be {problem.shape[1]} finite numbers, got shape {x.shape}")
        gap = DualityGap(problem)
        x = gap.scaled.original_coefficients(gap.scaled.coefficients(x))
        primal = gap.primal(gap.scaled.coefficients(x))
        points = [gap.scaled.dual_point(t) for t in dual_points] or [primal.residual]
        ready = [gap.make_feasible(t, SLACK) for t in points if np.isfinite(t).all()]
        ready = ready or [gap.make_feasible(np.zeros(problem.shape[0]), SLACK)]
        t, dual = ready[0]
        if len(ready) > 1:
            t, dual = max(ready, key=lambda item: gap.bounds(primal, item[0])[1])
        while True:
            figures = gap.bounds(primal, t)
            proved = gap.proved_zero(dual, figures[2] * (1.0 + 2.0 * MARGIN), MARGIN)
            if not x[proved].any():
                break
            x[proved] = 0.0
            primal = gap.primal(gap.scaled.coefficients(x))
        undecided = np.flatnonzero((x == 0) & ~proved)
        answer = Coefficients(x)
        return answer, cls._state(problem, answer, gap.scaled, t, dual, figures, undecided)

    @classmethod
    def _state(
        cls,
        problem: SparseRegression,
        answer: Coefficients,
        scaled: ScaledProblem,
        t: np.ndarray,
        dual: Dual,
        figures: tuple[float, float, float],
        undecided: np.ndarray,
    ) -> DualityGapCertificate:
        """Return the certificate in the units of the problem."""
        p, d, bound = figures
        return cls(
            problem,
            answer,
            scaled.original_dual_point(t),
            scaled.original_objective(p),
            scaled.original_objective(d),
            scaled.original_objective(bound + 2.0 * SLACK * p),
            scaled.original_correlation(norm_bound(dual.correlation)),
            undecided,
        )

    @property
    def relative_gap(self) -> float:
        """The gap over the objective; 0 if the gap is 0."""
        if self.gap == 0:
            return 0.0
        return self.gap / self.primal if self.primal else math.inf

    @property
    def zeros(self) -> np.ndarray:
        """Indices of the coefficients proved to be zero in every minimiser."""
        proved = np.asarray(self.answer.x) == 0
        proved[self.undecided] = False
        return np.flatnonzero(proved)

    @property
    def claim(self) -> str:
        """The gap, and how many zeros are proved."""
        x = self.answer.x
        zeros = np.count_nonzero(x == 0) - len(self.undecided)
        text = (
            f"the objective {self.primal:.10g} exceeds its minimum by at most {self.gap:.3g}, and "
            f"{zeros} of {len(x)} coefficients are zero in every minimiser"
        )
        if self.problem.penalty.strength == 0:
            text += (
                f" (for a design within a relative {ORTHOGONAL:g} of the given one, column by "
                "column, as the strength is 0)"
            )
        return text

    def check(self, steps: Steps) -> None:
        """Re-derive everything from the problem, the coefficients and the dual point."""
        steps.require(
            type(self.answer) is Coefficients, "the answer is Coefficients", repr(self.answer)
        )
        m, n = self.problem.shape
        x, t = self.answer.x, self.dual_point
        steps.require(x.shape == (n,), f"x has one entry for each of {n} columns", str(x.shape))
        steps.require(
            t.shape == (m,) and t.dtype.kind == "f" and bool(np.isfinite(t).all()),
            f"the dual point has {m} finite entries",
            f"shape {t.shape}, dtype {t.dtype}",
        )
        self._check_undecided(steps)
        gap = DualityGap(self.problem)
        t, scaled_x = gap.scaled.dual_point(t), gap.scaled.coefficients(x)
        steps.require(
            np.array_equal(gap.scaled.original_coefficients(scaled_x), x),
            "no coefficient is so small or large that scaling it loses digits",
        )
        primal, dual = gap.primal(scaled_x), gap.dual(t)
        self._check_feasible(steps, gap, t, dual)
        p, d, bound = gap.bounds(primal, t)
        self._check_figures(steps, gap, dual, p, d)
        unscaled = gap.scaled.original_objective
        steps.require(
            unscaled(bound) <= self.gap <= unscaled(bound + 8.0 * SLACK * p),
            f"the gap, rounding included, is at most {self.gap!r}, and that is tight",
            repr(unscaled(bound)),
        )
        self._check_zeros(steps, gap, dual, bound)

    def _check_undecided(self, steps: Steps) -> None:
        entries = self.undecided
        sound = entries.ndim == 1 and entries.dtype.kind in "iu"
        if sound and entries.size:
            sound = int(entries[0]) >= 0 and int(entries[-1]) < len(self.answer.x)
            sound = sound and bool((entries[1:] > entries[:-1]).all())
        steps.require(sound, "the undecided indices are distinct, sorted and in range")
        nonzero = entries.size > 0 and bool(self.answer.x[entries].any())
        steps.require(not nonzero, "the undecided coefficients are zero in x")

    def _check_feasible(self, steps: Steps, gap: DualityGap, t: np.ndarray, dual: Dual) -> None:
        ok = gap.feasible(t, dual)
        worst = int(np.argmin(ok))
        what = "correlations of the columns with the dual point are within their limits"
        if not gap.penalised:
            what = "columns are orthogonal to the dual point"
        steps.require(
            bool(ok.all()),
            f"the dual point is feasible: all {what}, rounding included",
            f"block {worst} has correlation {dual.upper[worst]:.17g} for the limit "
            f"{gap.scaled.limits[worst]:.17g}, in scaled units",
        )

    def _check_figures(self, steps: Steps, gap: DualityGap, dual: Dual, p: float, d: float) -> None:
        scaled = gap.scaled
        room = FIGURES * scaled.original_objective(p)
        for name, stored, value in (("primal", self.primal, p), ("dual", self.dual, d)):
            found = scaled.original_objective(value)
            steps.require(
                math.isfinite(found) and abs(stored - found) <= room,
                f"the {name} objective is {stored!r}, up to {FIGURES:g} of the primal one",
                repr(found),
            )
        found = scaled.original_correlation(norm_bound(dual.correlation))
        room = FIGURES * found + 2.0 * scaled.original_correlation(norm_bound(dual.error))
        steps.require(
            abs(self.correlation_norm - found) <= room,
            f"the norm of all correlations is {self.correlation_norm!r}, up to rounding",
            repr(found),
        )

    def _check_zeros(self, steps: Steps, gap: DualityGap, dual: Dual, bound: float) -> None:
        claimed = self.zeros
        unproved = claimed[~gap.proved_zero(dual, bound)[claimed]]
        steps.require(
            unproved.size == 0,
            f"the gap-safe rule proves the {len(claimed)} zeros",
            f"no proof for coefficients {unproved[:3].tolist()}",
        )
        proved = gap.proved_zero(dual, bound * (1.0 + 4.0 * MARGIN), 4.0 * MARGIN)
        wrong = np.flatnonzero(proved & (self.answer.x != 0))
        steps.require(
            wrong.size == 0,
            "no coefficient is nonzero where the rule proves a zero",
            f"coefficients {wrong[:3].tolist()}",
        )
