"""The proof of least squares on a support: optimal, of least norm, and of which rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from sparseopt.interface.arrays import as_figure, as_int64, read_only, require_finite, to_double
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.fit import (
    Fit,
    norm_within,
    objective_at_zero,
    unit_multiple,
)
from sparseopt.inverse.gap_certificate import (
    ROOM,
    Bracket,
    check_figures,
    number_vector,
    over,
    require_kinds,
)
from sparseopt.inverse.independence import smallest_singular_value
from sparseopt.inverse.known_support import KnownSupportRegression, SupportedCoefficients
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.judging.rounding import UNIT, above, below, norm_bound, row_dots, shown_above
from sparseopt.judging.scaling import ScaledArray

_FIGURES = ("primal", "dual", "gap", "norm", "least_norm", "distance")
_STEPS = 64.0
"""Combinations in multiples of 1/64 are looked at exactly where everything is a small integer."""


@dataclass(frozen=True)
class _Found:
    """What the judge finds, in scaled units; `distance` over ``2**design_unit``."""

    bracket: Bracket
    norm: float
    least_norm: float
    distance: float


def _is_combined_exactly(basis: np.ndarray, combination: np.ndarray, matrix: np.ndarray) -> bool:
    """Whether basis times combination is the matrix, where integers make products exact."""
    steps = combination * _STEPS
    size = np.abs(basis) @ np.abs(steps)
    small = max(float(size.max(initial=0.0)), _STEPS * float(np.abs(matrix).max())) < 2.0**52
    whole = all(np.array_equal(part, np.rint(part)) for part in (basis, steps, matrix))
    return small and whole and np.array_equal(basis @ steps, matrix * _STEPS)


def _distance(fit: Fit, chosen: np.ndarray, combination: np.ndarray, matrix: np.ndarray) -> float:
    """Return an upper bound of the Frobenius norm of basis times combination minus matrix."""
    basis, count = matrix[:, chosen], matrix.shape[1]
    every = np.array_equal(chosen, np.arange(count))
    if every and np.array_equal(combination, np.eye(count)):
        return 0.0
    lost = 0.0
    if isinstance(fit.scaled.design, ColumnOperator):
        errors = fit.scaled.design.column_errors
        inexact = errors + errors[chosen] @ np.abs(combination)
        lost = above(norm_bound(inexact), len(chosen) + 8) if inexact.any() else 0.0
    if not lost and _is_combined_exactly(basis, combination, matrix):
        return 0.0
    sizes = []
    for column, c in zip(matrix.T, combination.T, strict=True):
        found, bounds = row_dots(np.column_stack([basis, column]), np.append(c, -1.0))
        sizes.append(norm_within(found, fit.room * float(np.sum(bounds)))[1])
    return above(norm_within(np.array(sizes))[1] + lost)


def _least_value(fit: Fit, matrix: np.ndarray, chosen: np.ndarray, units: np.ndarray) -> float:
    """Return a lower bound of the smallest singular value of some columns in units."""
    least = smallest_singular_value(matrix[:, chosen] * units)
    if isinstance(fit.scaled.design, ColumnOperator):
        off = fit.scaled.design.column_errors[chosen] * units
        least = below(least - above(float(off.sum()), len(chosen) + 2), 2)
    return least


def _found(
    problem: KnownSupportRegression,
    room: float,
    x: np.ndarray,
    chosen: np.ndarray,
    combination: np.ndarray,
    v: np.ndarray,
) -> _Found:
    """Bound what the theorems of `KnownSupportCertificate` speak of, for x on the support.

    Complex numbers are pairs of real ones, and so are the columns.
    """
    fit = Fit(problem.system, room, problem.support)
    matrix, x, v = fit.scaled.dense(), fit.coefficients(x), fit.scaled.parts(v)
    places, chosen = chosen, fit.pairs(chosen)
    if fit.is_complex:
        real, imag = combination.real, combination.imag
        combination = np.block([[real, -imag], [imag, real]])
    distance = _distance(fit, chosen, combination, matrix)
    length = norm_within(x)[1]
    residual, off = fit.residual(x)
    off = above(off + distance * length, 2) if off or x.any() else 0.0
    low, high = norm_within(residual, off)
    shared, least_value, units = 0.0, math.inf, np.ones(len(chosen))
    if len(chosen) and residual.any():
        shared = Fit(problem.system, room, problem.support[places]).projection(residual)
    if len(chosen):
        # Columns in units of powers of two, of norms from 1 to 2; that is exact.
        units = np.ldexp(1.0, -np.frexp(fit.norms[chosen])[1])
        least_value = _least_value(fit, matrix, chosen, units) / room
    missed = above(off + shared, 2) if off + shared else 0.0
    gap = above(0.5 * missed * missed, 3) if missed else 0.0
    primal = above(0.5 * high * high, 3) if high else 0.0
    dual = max(below(0.5 * low * low, 3) - above(gap), 0.0) * (1.0 - 2.0 * UNIT)
    bracket = Bracket(primal, dual, min(gap, primal), 2 * fit.unit)
    least = 0.0
    if x.any() and least_value > 0.0:
        values, bounds = row_dots(np.ascontiguousarray(combination.T), v)
        error = room * float(np.sum(bounds))
        along = math.fsum((values * x).tolist())
        lost = error * length + math.fsum(np.abs(values * x).tolist()) * 4.0 * UNIT * room
        inner = along - above(lost + missed / least_value * norm_within(v * units)[1], 8)
        if inner > 0.0:
            least = below(below(inner, 2) / norm_within(values, error)[1], 2 + int(room))
    return _Found(bracket, length if x.any() else 0.0, least, distance)


@proves(KnownSupportRegression)
@json_type
@dataclass(frozen=True, eq=False)
class KnownSupportCertificate(Certificate):
    """Proves that coefficients on a support are optimal there, of least norm, and which rank.

    Rounding makes dependent columns independent, and the other way round. So what is claimed is
    claimed of a design of proven rank next to the given one. Let A hold the columns of the
    support, B some of them that are proved to be independent, and C any matrix; then B C has at
    most the rank of B. `distance` bounds |A - B C| in the Frobenius norm; it is 0 where all columns
    are in B, and where the others are seen to be combinations exactly. C gives each column of B as
    itself, so the rank of B C is that of B. Let Q project onto the range of B and
    r = y - B C x, which is the residual of x up to distance |x|.

    * 1/2 |r|^2 exceeds its minimum over all x by 1/2 |Qr|^2; `sparseopt.inverse.least_squares`
      bounds |Qr|, which is 0 if the residual is orthogonal to the columns.
    * Every minimiser z has B C z = Qy, so B (C z - C x) = Qr. With a diagonal D (units of the
      columns) |D^-1 (C z - C x)| <= |Qr| / s, s the least singular value of B D. Hence for any v
      |C^T v| |z| >= v.C z >= (C^T v).x - |D v| |Qr| / s: no minimiser is shorter than
      `least_norm`. If x lies in the row space, x = C^T v makes that |x|.

    Attributes
    ----------
    basis : ndarray of int, shape (r,)
        Columns of B, as places in the support; all of them where they are independent.
    combination : ndarray of float64, shape (r, k)
        C: all k columns as combinations of those.
    row_point : ndarray of float64, shape (r,)
        v.
    primal, dual, gap : float
        The objective is at most `primal`, the least one on the support at least `dual`.
    norm, least_norm : float
        |x| is at most the first, and no minimiser has a norm below the second.
    distance : float
        From the given columns to those of rank r of which the rest is claimed.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.KnownSupportRegression([[1, 1, 0], [1, 1, 1]], [2, 4], [0, 1])
    >>> certificate = so.solve(problem).certificate
    >>> round(certificate.primal, 9), certificate.accuracy < 1e-12, certificate.distance
    (1.0, True, 0.0)
    """

    problem: KnownSupportRegression
    answer: SupportedCoefficients
    basis: np.ndarray
    combination: np.ndarray
    row_point: np.ndarray
    primal: float
    dual: float
    gap: float
    norm: float
    least_norm: float
    distance: float

    def __post_init__(self) -> None:
        basis, combination = np.asarray(self.basis), np.asarray(self.combination)
        if basis.ndim != 1 or (basis.size and basis.dtype.kind not in "iu"):
            raise ProblemError("basis must be a vector of integers")
        if combination.ndim != 2 or combination.dtype.kind not in "iufc":
            raise ProblemError("combination must be a matrix of numbers")
        combination = to_double(combination, "combination")
        require_finite(combination, "combination")
        object.__setattr__(self, "basis", read_only(as_int64(basis, "basis").astype(np.intp)))
        object.__setattr__(self, "combination", read_only(combination))
        object.__setattr__(self, "row_point", number_vector(self.row_point, "row_point"))
        for name in _FIGURES:
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls,
        problem: KnownSupportRegression,
        x: np.ndarray,
        basis: np.ndarray,
        combination: np.ndarray,
        row_point: np.ndarray,
    ) -> tuple[SupportedCoefficients, Self]:
        """Return coefficients on the support as an answer, and their certificate.

        Parameters
        ----------
        problem : KnownSupportRegression
        x : ndarray, shape (k,)
            The coefficients of the support's k columns.
        basis, combination, row_point
            See the attributes.
        """
        v = unit_multiple(row_point)
        found = _found(problem, ROOM, x, basis, combination, v)
        whole = np.zeros(problem.shape[1], dtype=x.dtype)
        whole[problem.support] = x
        answer = SupportedCoefficients(whole, len(basis), len(basis) < len(problem.support))
        fit = Fit(problem.system, 1.0, problem.support)
        norm, least_norm, distance = _scaled(found, fit)
        return answer, cls(
            problem,
            answer,
            basis,
            combination,
            v,
            *found.bracket.figures(),
            norm.above(),
            least_norm.below(),
            distance.above(),
        )

    @property
    def accuracy(self) -> float:
        """The relative gap of the objective.

        For dependent columns the relative gap of the norm, or the relative distance, if that is
        more.
        An objective below 2^-53 times that of x = 0 counts as that, as for a
        `DualityGapCertificate`.
        """
        floor = below(UNIT * objective_at_zero(self.problem.target), 2)
        gap = over(self.gap, max(self.dual, floor))
        if not self.answer.rank_deficient:  # the minimiser is unique
            return gap
        return max(gap, self.norm_gap, self.relative_distance)

    @property
    def relative_gap(self) -> float:
        """An upper bound of the gap over the objective, however small that is."""
        return over(self.gap, self.dual)

    @property
    def norm_gap(self) -> float:
        """An upper bound of what the norm exceeds the least one by, over that."""
        excess = above(self.norm - self.least_norm) if self.norm > self.least_norm else 0.0
        return over(excess, self.least_norm)

    @property
    def relative_distance(self) -> float:
        """The distance over the norm of the largest column, rounded up."""
        if self.distance == 0.0:
            return 0.0
        fit = Fit(self.problem.system, 1.0, self.problem.support)
        unit = fit.unit - fit.unknown_unit
        return over(self.distance, ScaledArray(fit.largest_norm(), unit).below())

    @property
    def claim(self) -> str:
        """What is proved."""
        count, rank = len(self.problem.support), self.answer.rank
        value = (
            f"the objective is at most {shown_above(self.primal, 10)} and exceeds its minimum by "
            f"at most {shown_above(self.gap, 3)}"
        )
        if rank == count:
            return (
                f"the {count} columns of the support are independent, so one x is optimal; {value}"
            )
        return (
            f"the {count} columns of the support are within {shown_above(self.distance, 3)} of "
            f"columns of rank {rank}, and for these {value}, and the norm of x exceeds that of the "
            f"shortest minimiser by at most {shown_above(self.norm_gap, 3)} of it"
        )

    def check(self, steps: Steps) -> None:
        """Derive everything again from the problem, the coefficients and the evidence."""
        problem, answer, n = self.problem, self.answer, self.problem.shape[1]
        kind = type(answer)
        steps.require(
            kind is SupportedCoefficients, "the answer is SupportedCoefficients", kind.__name__
        )
        x, basis, k, r = answer.x, self.basis, len(problem.support), len(self.basis)
        steps.require(x.shape == (n,), f"x has one entry for each of {n} columns", str(x.shape))
        steps.require(not np.delete(x, problem.support).any(), "x vanishes off the support")
        distinct = len(np.unique(basis)) == r and bool(((basis >= 0) & (basis < k)).all())
        steps.require(distinct, "the basis names distinct columns of the support")
        steps.require(
            self.combination.shape == (r, k) and self.row_point.shape == (r,),
            f"the combination is {r} x {k}, and the row point has {r} entries",
            f"{self.combination.shape}, {self.row_point.shape}",
        )
        steps.require(
            np.array_equal(self.combination[:, basis], np.eye(r)),
            "the combination gives each column of the basis as itself, so its rank is theirs",
        )
        steps.require(answer.rank == r, "the answer states the number of columns in the basis")
        steps.require(
            answer.rank_deficient == (r < k), "the answer says whether that is less than all"
        )
        steps.require(
            r < k or self.distance == 0.0, "independent columns are taken as they are", repr(k)
        )
        require_kinds(steps, problem.system, x, self.combination, self.row_point)
        columns = Fit(problem.system, 1.0, problem.support[basis]) if r else None
        steps.require(
            columns is None or columns.least_value() > 0.0,
            "the columns of the basis are independent",
        )
        found = _found(problem, 1.0, x[problem.support], basis, self.combination, self.row_point)
        self._check_figures(steps, found)

    def _check_figures(self, steps: Steps, found: _Found) -> None:
        fit = Fit(self.problem.system, 1.0, self.problem.support)
        norm, least_norm, distance = _scaled(found, fit)
        check_figures(steps, found.bracket, self.primal, self.dual, self.gap)
        text = f"the norm of x is at most {self.norm!r}"
        steps.require(norm.at_most(self.norm), text, repr(norm.above()))
        text = f"no minimiser has a norm below {self.least_norm!r}"
        steps.require(least_norm.at_least(self.least_norm), text, repr(least_norm.below()))
        text = f"the columns are within {self.distance!r} of those combinations"
        steps.require(distance.at_most(self.distance), text, repr(distance.above()))


def _scaled(found: _Found, fit: Fit) -> tuple[ScaledArray[float], ...]:
    """Return norm, least norm and distance with their powers of two."""
    unit = fit.unknown_unit
    norms = ScaledArray(found.norm, unit), ScaledArray(found.least_norm, unit)
    return *norms, ScaledArray(found.distance, fit.unit - unit)
