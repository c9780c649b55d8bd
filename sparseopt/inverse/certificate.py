"""The proof that coefficients are within a gap of optimal and that their zeros are exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.interface.arrays import INTEGERS, as_figure, read_only
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.building import best_evidence
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.duality import ROUGH, Bounds, DualityGap, Look
from sparseopt.inverse.kinds import gap_of
from sparseopt.inverse.objective import Primal
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import UNIT, above, below, shown_above


@proves(SparseRegression)
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
    dual_point : ndarray of float64, shape (m,) or (2, m)
        A feasible point of the dual problem. Where columns are so large that rounding its entries
        would cost accuracy, it is the sum of two rows. Without a penalty a point near one, see
        `sparseopt.inverse.duality`.
    primal, dual : float
        The objective at the answer is at most `primal`, and its minimum is at least `dual`.
    gap : float
        The objective exceeds its minimum by at most this. All three cover the rounding errors of
        their own evaluation.
    undecided : ndarray of int
        The zero coefficients for which the gap-safe rule gives no proof; usually none.

    Notes
    -----
    `sparseopt.inverse.duality` has the theorems. With strength 0 no zero can be proved.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.SparseRegression([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], so.L1(1.0))
    >>> certificate = so.solve(problem).certificate
    >>> round(certificate.primal, 12), certificate.accuracy < 1e-12, certificate.zeros
    (2.625, True, array([1]))
    """

    problem: SparseRegression
    answer: Coefficients
    dual_point: np.ndarray
    primal: float
    dual: float
    gap: float
    undecided: np.ndarray

    def __post_init__(self) -> None:
        point, rest = np.asarray(self.dual_point), np.asarray(self.undecided)
        if rest.ndim != 1 or rest.dtype.str[1:] not in INTEGERS or (rest < 0).any():
            raise ProblemError("undecided must be a vector of indices, integers of at least 0")
        wide = np.complex128 if point.dtype.kind == "c" else np.float64
        point = point.astype(wide, casting="same_kind", copy=False)
        object.__setattr__(self, "dual_point", read_only(point))
        object.__setattr__(self, "undecided", read_only(rest.astype(np.intp, copy=False)))
        for name in ("primal", "dual", "gap"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> DualityGapCertificate:
        """Return what JSON holds.

        Files that still hold a ``correlation_norm`` state the objectives to twelve digits, not as
        bounds.
        """
        if fields.pop("correlation_norm", None) is not None:
            room = 2e-12 * abs(fields["primal"])
            fields |= {"primal": fields["primal"] + room, "dual": fields["dual"] - room}
        return cls(**fields)

    @classmethod
    def build(
        cls,
        problem: SparseRegression,
        x: np.ndarray,
        *dual_points: np.ndarray,
        rough: bool = False,
    ) -> tuple[Coefficients, DualityGapCertificate]:
        """Return `x` as an answer, with its exact zeros, and the best certificate at hand.

        Parameters
        ----------
        problem : SparseRegression
        x : ndarray, shape (n,)
            Coefficients of any quality. Those that the gap-safe rule proves to be zero are set
            to zero, none else, whatever their magnitude.
        *dual_points : ndarray, shape (m,) or (2, m)
            Candidates, feasible or not: each is scaled to its best feasible multiple, and the one
            with the largest dual objective is kept. Without any, the residual is taken.
        rough : bool
            Take plain arithmetic: faster, and the gap that is stated is at least 1e-9 of the
            objective.

        Returns
        -------
        answer : Coefficients
        certificate : DualityGapCertificate
            It holds however bad `x` and the dual points are; look at its `gap`. O(m n); without
            a penalty O(m n min(m, n)).
        """
        evidence = best_evidence(problem, x, dual_points, rough)
        answer = Coefficients(evidence.x)
        return answer, cls(problem, answer, *evidence.fields)

    @cached_property
    def _evaluated(self) -> tuple[DualityGap, np.ndarray, Primal]:
        """The coefficients in scaled units, and the objective there, as the judge finds them."""
        for rough in (self.gap > ROUGH * self.primal, False):
            gap = gap_of(self.problem, rough=rough)
            x = gap.scaled.coefficients(self.answer.x)
            primal = gap.primal(x)
            low, high = gap.objective(primal)
            if low >= (1.0 - ROUGH) * high:  # more digits would say the same
                break
        return gap, x, primal

    @property
    def accuracy(self) -> float:
        """An upper bound of the gap over the objective.

        Where the objective is below 2^-53 times that of x = 0, which no data in float64 tell from
        zero, that takes its place. It is 0 if the gap is 0.
        """
        return self._over_objective(UNIT)

    @property
    def relative_gap(self) -> float:
        """An upper bound of the gap over the objective, however small that is; 0 if the gap is."""
        return self._over_objective(0.0)

    def _over_objective(self, share: float) -> float:
        """Return an upper bound of the gap over the objective, at least a share of that at 0."""
        if self.gap == 0:
            return 0.0
        gap, _, primal = self._evaluated
        least = below(share * gap.objective_at_zero(), 2) if share else 0.0
        size = gap.scaled.original_below(max(gap.objective(primal)[0], least))
        return above(self.gap / size, 2) if size > 0 else math.inf

    @cached_property
    def zeros(self) -> np.ndarray:
        """Indices of the coefficients proved to be zero in every minimiser."""
        proved = np.asarray(self.answer.x) == 0
        proved[self.undecided] = False
        return read_only(proved.nonzero()[0])

    @property
    def claim(self) -> str:
        """The gap, and how many zeros are proved."""
        count = len(self.answer.x)
        return (
            f"the objective is at most {shown_above(self.primal, 10)} and exceeds its minimum by "
            f"at most {shown_above(self.gap, 3)}, and {len(self.zeros)} of {count} coefficients "
            "are zero in every minimiser"
        )

    def check(self, steps: Steps) -> None:
        """Re-derive everything from the problem, the coefficients and the dual point."""
        kind, (m, n) = type(self.answer), self.problem.shape
        steps.require(kind is Coefficients, "the answer is Coefficients", kind.__name__)
        x, t = self.answer.x, np.atleast_2d(self.dual_point)
        steps.require(x.shape == (n,), f"x has one entry for each of {n} columns", str(x.shape))
        steps.require(
            t.shape in ((1, m), (2, m)),
            f"the dual point has {m} entries, or two rows of them",
            str(self.dual_point.shape),
        )
        zeros = self.zeros
        steps.require(
            len(zeros) + len(self.undecided) == n - np.count_nonzero(x),
            "the undecided coefficients are distinct, and zero in x",
        )
        self._check_kinds(steps)
        gap, scaled_x, primal = self._evaluated
        t = gap.scaled.dual_point(t)
        steps.require(
            np.array_equal(gap.scaled.original_coefficients(scaled_x), x),
            "no coefficient is so small or large that scaling it loses digits",
        )
        look, bounds = self._judged(gap, primal, t)
        if gap.rough and not self._holds(gap, look, bounds, zeros):
            gap = gap_of(self.problem)
            look, bounds = self._judged(gap, gap.primal(scaled_x), t)
        if gap.penalised:
            self._check_feasible(steps, gap, look.reach)
        self._check_figures(steps, gap, bounds)
        unproved = zeros[~gap.scaled.per_coefficient(gap.proved_zero(look, bounds.excess))[zeros]]
        steps.require(
            unproved.size == 0,
            f"the gap-safe rule proves the {len(zeros)} zeros",
            f"no proof for coefficients {unproved[:3].tolist()}",
        )

    @staticmethod
    def _judged(gap: DualityGap, primal: Primal, t: np.ndarray) -> tuple[Look, Bounds]:
        look = gap.look(t)
        return look, gap.bounds(primal, t, look)

    def _holds(self, gap: DualityGap, look: Look, bounds: Bounds, zeros: np.ndarray) -> bool:
        """Say whether plain arithmetic proves it all; if not, more digits may."""
        objective = gap.scaled.objective
        return bool(
            (not gap.penalised or gap.feasible(look.reach).all())
            and bounds.primal <= objective(self.primal)
            and objective(self.dual) <= bounds.dual
            and bounds.gap <= objective(self.gap)
            and gap.scaled.per_coefficient(gap.proved_zero(look, bounds.excess))[zeros].all()
        )

    def _check_kinds(self, steps: Steps) -> None:
        x, point, problem = self.answer.x, self.dual_point, self.problem
        steps.require(
            problem.is_complex or "c" not in (x.dtype.kind, point.dtype.kind),
            "coefficients and dual point are real where design and target are",
        )
        if problem.penalty.positive:
            steps.require(
                not (x < 0).any(), "no coefficient is negative", f"entry {int(np.argmin(x))}"
            )

    def _check_feasible(self, steps: Steps, gap: DualityGap, reach: np.ndarray) -> None:
        worst = int(np.argmin(ok := gap.feasible(reach)))
        found = f"{reach[worst]:.17g} for the limit {gap.scaled.limits[worst]:.17g}"
        steps.require(
            bool(ok.all()),
            "the dual point is feasible: all correlations of the columns with it are within their "
            "limits, rounding included",
            f"block {worst} has correlation {found}, in scaled units",
        )

    def _check_figures(self, steps: Steps, gap: DualityGap, bounds: Bounds) -> None:
        units = gap.scaled
        primal, dual, own = map(units.objective, (self.primal, self.dual, self.gap))
        text = f"the objective is at most {self.primal!r}, rounding included"
        found = repr(units.original_above(bounds.primal))
        steps.require(bounds.primal <= primal < math.inf, text, found)
        text = f"the minimum is at least {self.dual!r}, rounding included"
        steps.require(dual <= bounds.dual, text, repr(units.original_below(bounds.dual)))
        text = f"the gap is at most {self.gap!r}, rounding included"
        steps.require(bounds.gap <= own < math.inf, text, repr(units.original_above(bounds.gap)))
