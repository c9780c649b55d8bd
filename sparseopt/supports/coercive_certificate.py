"""The certificate of a factorization with fixed supports and a decay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sparseopt.interface.arrays import as_figure, read_only
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.judging.rounding import UNIT, above, shown_above, shown_below
from sparseopt.supports.certificate import require_factor
from sparseopt.supports.coercive import Bounds, CoerciveBounds, Evidence
from sparseopt.supports.coercive_building import fitting
from sparseopt.supports.factors import SupportedFactors
from sparseopt.supports.problem import FixedSupportFactorization

_ROOM = 3.0
"""How many times over each bound of rounding is taken by who builds, see `CoerciveBounds`."""


@proves(FixedSupportFactorization)
@json_type
@dataclass(frozen=True, eq=False)
class CoerciveCertificate(Certificate):
    """How far factors can be from the least value of the objective with a decay.

    The objective is not convex. Where the gap is 0 up to rounding the factors are a global
    optimum all the same; where it is not, either the factors or the lower bound can be better.
    `sparseopt.supports.coercive` has the theorems. Solvers get certificates from `build`.

    Attributes
    ----------
    problem : FixedSupportFactorization
        With a decay above 0.
    answer : SupportedFactors
    dual_point : array (m, n) or None
        A matrix Z, of which the largest feasible multiple is taken, up to Z itself; zero on
        components that consist of one rectangle, which need none. In units of the target.
    windows : int array (m, n) or None
        Exclusive windows: for each cell the first term of the rectangle that it stands for, or -1.
    intervals : dict of int to array
        For components of one rectangle and one cell inside it, by their first term: ends of the
        intervals in which the cell's own term is searched.
    primal, dual : float
        The objective of the factors is at most `primal`, and no factors with these supports have
        one below `dual`.
    gap : float
        The objective exceeds the least one by at most this. All three cover the rounding errors
        of their own evaluation.
    zero_terms : tuple of int
        Columns of X, rows of Y, that vanish in all optimal factors, in ascending order.

    Examples
    --------
    >>> import sparseopt as so
    >>> supports = [[1, 0], [1, 1]], [[1, 1], [0, 1]]
    >>> problem = so.FixedSupportFactorization([[1, 2], [3, 4]], supports, 5.5)
    >>> certificate = so.solve(problem).certificate
    >>> round(certificate.primal, 9), certificate.zero_terms
    (15.0, (0, 1))
    """

    problem: FixedSupportFactorization
    answer: SupportedFactors
    dual_point: np.ndarray | None
    windows: np.ndarray | None
    intervals: dict[int, np.ndarray]
    primal: float
    dual: float
    gap: float
    zero_terms: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dual_point is not None:
            point = np.asarray(self.dual_point)
            if point.dtype not in (np.float64, np.complex128):
                raise ProblemError(f"dual_point must be in double precision, not {point.dtype}")
            object.__setattr__(self, "dual_point", read_only(point))
        if self.windows is not None:
            windows = np.asarray(self.windows)
            if windows.dtype.kind != "i":
                raise ProblemError(f"windows must hold integers, not {windows.dtype}")
            object.__setattr__(self, "windows", read_only(windows))
        intervals, terms = self.intervals, self.zero_terms
        if not isinstance(intervals, Mapping) or not all(
            type(k) is int and isinstance(v, np.ndarray) and v.dtype == np.float64
            for k, v in intervals.items()
        ):
            raise ProblemError("intervals must be a dict of terms to arrays of float64")
        if not isinstance(terms, list | tuple) or not all(type(k) is int for k in terms):
            raise ProblemError("zero_terms must be integers")
        ends = {k: read_only(np.asarray(v)) for k, v in intervals.items()}
        object.__setattr__(self, "intervals", ends)
        object.__setattr__(self, "zero_terms", tuple(terms))
        for name in ("primal", "dual", "gap"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls,
        problem: FixedSupportFactorization,
        answer: SupportedFactors,
        dual_point: np.ndarray | None = None,
        windows: np.ndarray | None = None,
        intervals: Mapping[int, np.ndarray] | None = None,
    ) -> tuple[SupportedFactors, CoerciveCertificate]:
        """Return the answer, zeros that are proved set to zero, and a certificate of it.

        Parameters
        ----------
        problem : FixedSupportFactorization
            With a decay above 0.
        answer : SupportedFactors
            Factors of any quality.
        dual_point : array (m, n) or None
            Any matrix: what does not fit in is scaled. None takes the residual ``A - X Y``, which
            is right where the factors are optimal and the bound by norms is tight.
        windows, intervals
            As in the class; what does not fit counts nothing.

        Returns
        -------
        answer : SupportedFactors
        certificate : CoerciveCertificate
            It holds however bad all of these are; look at its `gap`. O(m n r), and a singular
            value decomposition of every rectangle.
        """
        if not problem.decay:
            raise ProblemError("without a decay the certificate is a FixedSupportCertificate")
        for name, factor, support in zip("XY", answer.factors, problem.supports, strict=True):
            if np.shape(factor) != support.shape:
                raise ProblemError(
                    f"{name} must have the shape {support.shape} of its support, got "
                    f"{np.shape(factor)}"
                )
        judge = CoerciveBounds(problem, _ROOM)
        if dual_point is None:
            with np.errstate(all="ignore"):
                dual_point = problem.target - answer.left @ answer.right
        evidence = Evidence(fitting(judge, dual_point), windows, dict(intervals or {}))
        parts = judge.bounds(*answer.factors, evidence)
        zeros = sorted(k for part in parts for k in part.zeros)
        if answer.left[:, zeros].any() or answer.right[zeros].any():
            left, right = np.array(answer.left), np.array(answer.right)
            left[:, zeros], right[zeros] = 0, 0
            answer = replace(answer, left=left, right=right)
            parts = judge.bounds(*answer.factors, evidence)
        whole = _whole(judge, parts)
        if not math.isfinite(whole.primal):
            raise ProblemError("the factors are so large that the objective leaves the floats")
        certificate = cls(
            problem,
            answer,
            evidence.dual_point,
            windows,
            dict(intervals or {}),
            judge.original_above(whole.primal),
            judge.original_below(whole.dual),
            judge.original_above(_gap(parts)),
            tuple(sorted(k for part in parts for k in part.zeros)),
        )
        return answer, certificate

    @cached_property
    def _judged(self) -> tuple[CoerciveBounds, list[Bounds]]:
        """What the judge finds."""
        judge = CoerciveBounds(self.problem)
        evidence = Evidence(self.dual_point, self.windows, self.intervals)
        return judge, judge.bounds(self.answer.left, self.answer.right, evidence)

    @property
    def accuracy(self) -> float:
        """An upper bound of the gap over the objective on the cells that the supports cover.

        Where the objective is below 2^-53 times that of zero factors, that takes its place. It is
        0 if the gap is 0.
        """
        return self._over_objective(UNIT)

    @property
    def relative_gap(self) -> float:
        """An upper bound of the gap over the objective on covered cells; 0 if the gap is."""
        return self._over_objective(0.0)

    def _over_objective(self, least: float) -> float:
        if self.gap == 0.0:
            return 0.0
        judge, parts = self._judged
        covered = math.fsum(part.low for part in parts) * (1.0 - 8.0 * UNIT)
        at_zero = float(np.linalg.norm(judge.target)) ** 2 / 2.0 * (1.0 - 1e-9)
        size = judge.original_below(max(covered, least * max(at_zero - judge.outside[1], 0.0)))
        return above(self.gap / size, 2) if size > 0.0 else math.inf

    @property
    def claim(self) -> str:
        """The objective, the gap, and what follows."""
        text = (
            f"the factors have the asked supports and objective at most "
            f"{shown_above(self.primal, 10)}, no factors with these supports have one below "
            f"{shown_below(self.dual, 10)}, and that of these is above the least one by at most "
            f"{shown_above(self.gap, 3)}"
        )
        if self.zero_terms:
            count = self.problem.supports[0].shape[1]
            text += f"; {len(self.zero_terms)} of {count} terms vanish in all optimal factors"
        if self.relative_gap <= 1e-8:
            return f"{text}; so they are a global optimum, to that accuracy"
        return f"{text}; this is a lower bound, and does not show that the factors are optimal"

    def check(self, steps: Steps) -> None:
        """Re-derive everything from the problem, the factors and the evidence."""
        problem, answer = self.problem, self.answer
        steps.require(problem.decay > 0.0, "the problem has a decay")
        for name, factor, support in zip("XY", answer.factors, problem.supports, strict=True):
            require_factor(steps, name, factor, support)
        steps.require(
            answer.attainment in ("attained", "unknown"), "with a decay the least value is attained"
        )
        judge, parts = self._check_evidence(steps)
        whole = _whole(judge, parts)
        found = judge.original_above(whole.primal)
        steps.require(
            found <= self.primal < math.inf,
            f"the objective is at most {self.primal!r}, rounding included",
            repr(found),
        )
        found = judge.original_below(whole.dual)
        steps.require(
            self.dual <= found,
            f"no factors have an objective below {self.dual!r}, rounding included",
            repr(found),
        )
        found = judge.original_above(_gap(parts))
        steps.require(
            found <= self.gap < math.inf,
            f"the gap is at most {self.gap!r}, rounding included",
            repr(found),
        )
        zeros = {k for part in parts for k in part.zeros}
        unproved = [k for k in self.zero_terms if k not in zeros]
        steps.require(
            not unproved, f"{len(self.zero_terms)} terms are proved to be zero", f"{unproved[:3]}"
        )
        ascending = all(a < b for a, b in zip(self.zero_terms, self.zero_terms[1:], strict=False))
        steps.require(ascending, "the zero terms are distinct, in ascending order")

    def _check_evidence(self, steps: Steps) -> tuple[CoerciveBounds, list[Bounds]]:
        """Check the shapes of what the bounds are made of, and make them."""
        shape = self.problem.target.shape
        for name, array in (("dual point", self.dual_point), ("windows", self.windows)):
            steps.require(
                array is None or (array.shape == shape and bool(np.isfinite(array).all())),
                f"the {name} have the shape of the target, and are finite, if there are any",
            )
        judge, parts = self._judged
        z, many = self.dual_point, np.zeros(shape, bool)
        for part in judge.parts:
            if len(part.groups) > 1:
                many[part.place] |= part.cells
        steps.require(
            z is None or not z[~many].any(),
            "the dual point is zero outside the components of several rectangles",
        )
        return judge, parts


def _whole(judge: CoerciveBounds, parts: list[Bounds]) -> Bounds:
    """Return the bounds of all components together, with what nothing covers."""
    low, high = judge.outside
    grown = 1.0 + 8.0 * UNIT
    return Bounds(
        (low + math.fsum(part.low for part in parts)) / grown,
        (high + math.fsum(part.primal for part in parts)) * grown,
        (low + math.fsum(part.dual for part in parts)) / grown,
        [],
    )


def _gap(parts: list[Bounds]) -> float:
    """Return a bound of the distance to the least objective; what nothing covers has no part."""
    total = math.fsum(part.gap for part in parts)
    return total * (1.0 + 8.0 * UNIT) if total else 0.0
