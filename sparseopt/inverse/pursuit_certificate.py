"""The proof of basis pursuit: a vector of least norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from sparseopt.interface.arrays import as_array, as_figure
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.basis_pursuit import BasisPursuit, PursuitAnswer
from sparseopt.inverse.fit import (
    Fit,
    length_of,
    length_within,
    norm_within,
    unit_multiple,
)
from sparseopt.inverse.gap_certificate import (
    ROOM,
    Bracket,
    check_figures,
    number_vector,
    over,
    require_kinds,
    require_rows,
)
from sparseopt.judging.rounding import FUNCTION, above, below, shown_above
from sparseopt.judging.scaling import ScaledArray

_FIGURES = ("primal", "dual", "gap")


@dataclass(frozen=True)
class _Fitted:
    """What the judge finds about a vector and a dual point, in scaled units."""

    bracket: Bracket
    misfit: float


def _norm_above(fit: Fit, x: np.ndarray, norm: float) -> float:
    if norm == 2:
        return norm_within(x)[1]
    if norm == 1:
        return above(fit.sum_above(x))
    largest = float(fit.moduli(x).max())
    return above(largest * (1.0 + FUNCTION)) if fit.is_complex else largest


def _dual_norm_above(fit: Fit, w: np.ndarray, norm: float) -> float:
    """Return an upper bound of the dual norm of ``design.T @ w``."""
    if norm == 1:
        return fit.largest_correlation(w)
    values, errors = fit.correlations(w)
    if norm == 2:
        return norm_within(values, float(np.sum(errors)))[1]
    sizes, errors = fit.sizes(values, errors)
    return above(math.fsum((sizes + errors).tolist()), 4)


def _fitted(problem: BasisPursuit, fit: Fit, x: np.ndarray, w: np.ndarray) -> _Fitted:
    residual, off = fit.residual(x)
    misfit = norm_within(residual, off)[1]
    primal = _norm_above(fit, x, problem.norm) if x.any() else 0.0
    w = unit_multiple(w)
    reach = off if problem.noise == 0.0 else max(misfit, math.ldexp(problem.noise, -fit.unit))
    lost = above(reach * length_within(w)[1], 2)
    if problem.noise == 0.0 and misfit > 0.0:
        lost = above(lost + fit.product_of_moduli(residual, w), 2)
    inner = fit.inner(w)[0] - lost
    dual = 0.0
    if inner > 0.0:
        dual = below(below(inner, 2) / _dual_norm_above(fit, w, problem.norm), 2 + int(fit.room))
    gap = above(primal - dual) if primal > dual else 0.0
    return _Fitted(Bracket(primal, dual, gap, fit.unknown_unit), misfit)


def _correlations(fit: Fit, w: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``design.T @ w`` and a bound of each entry's error.

    Both are right to about the last bit on the support and near the largest, where it matters, and
    as plain arithmetic gives them elsewhere.
    """
    values, errors = (part.copy() for part in fit.rough_correlations(w))
    size = np.add(*fit.sizes(values, errors))
    near = fit.pairs(np.flatnonzero((fit.moduli(x) > 0) | (size >= (1.0 - 2.0**-20) * size.max())))
    values[near], errors[near] = fit.correlations(w, near)
    return values, errors


def _is_unique(
    problem: BasisPursuit, fit: Fit, x: np.ndarray, w: np.ndarray, found: _Fitted
) -> bool:
    """Whether the theorems of `PursuitCertificate` prove that x is the only optimum."""
    noise = math.ldexp(problem.noise, -fit.unit)
    if problem.norm == 2:
        return True
    if not x.any():  # nothing else has norm 0
        return noise == 0.0 or found.misfit <= noise
    if problem.norm == math.inf:
        # The phases of complex numbers are never exact.
        return noise == 0.0 and not fit.is_complex and _is_unique_flat(fit, x, w)
    values, errors = _correlations(fit, unit_multiple(w), x)
    if noise == 0.0:
        return _is_unique_exact(fit, x, values, errors)
    if found.misfit > noise or not found.bracket.dual > 0.0:
        return False
    size, errors = fit.sizes(values, errors)
    norms = fit.norms[: len(size)]
    length = length_within(unit_multiple(w))
    largest = float((size + errors).max())
    # The gap is in units of x, and the dual point has this largest correlation.
    square = 2.0 * noise * found.bracket.gap * largest / length[0]
    radius = above(math.sqrt(square), 8)
    scale = noise / length[1]
    most = (size + errors) * above(noise / length[0]) + norms * radius
    least = float(np.max((size - errors) * below(scale) - norms * radius))
    active = np.flatnonzero(most * (1.0 + fit.room * 2.0**-40) >= least)
    return least > 0.0 and fit.least_value(active) > 0.0


def _is_unique_exact(fit: Fit, x: np.ndarray, values: np.ndarray, errors: np.ndarray) -> bool:
    """Do it for norm 1 without noise, with the correlations of the dual point; x is not 0."""
    support = np.flatnonzero(fit.moduli(x))
    least = fit.least_value(support) / fit.room
    if not least > 0.0:
        return False
    size, off = fit.sizes(values, errors)
    level, parts = float(size[support].max()), fit.pairs(support)
    signs = np.sign(x[parts])
    if fit.is_complex:
        moduli = fit.moduli(x)[support]
        signs = x[parts] / np.append(moduli, moduli)
    missing = level * signs - values[parts]
    rounding = float(np.sum(errors[parts])) + len(parts) * level * 2.0 * FUNCTION
    move = above(norm_within(missing, rounding)[1] / least)
    most = (size + off + fit.norms[: len(size)] * move) * (1.0 + fit.room * 2.0**-40)
    most[support] = 0.0
    return bool((most < level).all())


def _is_unique_flat(fit: Fit, x: np.ndarray, w: np.ndarray) -> bool:
    """Do the same for norm inf without noise; x is not 0."""
    values, errors = fit.correlations(unit_multiple(w))
    flat = np.abs(x) == np.abs(x).max()
    rest = np.flatnonzero(~flat)
    least = fit.least_value(rest) / fit.room
    if not least > 0.0:
        return False
    move = above(norm_within(values[rest], float(np.sum(errors[rest])))[1] / least)
    low = np.sign(x) * values - 2.0 * errors - fit.norms * move * (1.0 + fit.room * 2.0**-40)
    return bool((low[flat] > 0.0).all())


@proves(BasisPursuit)
@json_type
@dataclass(frozen=True, eq=False)
class PursuitCertificate(Certificate):
    """Proves that a vector fits the target, and that nothing that does is much shorter.

    In floating point Ax = y can rarely hold exactly. So x, which has a misfit of at most `misfit`,
    is compared with a larger set. With noise let `reach` be the noise or the misfit of x, whichever
    is larger: every vector with a misfit of at most `reach`, so every one that solves the problem,
    has a norm of at least `dual`. Without noise it is every vector that misses no entry of the
    target by more than x does. For a misfit of a few units in the last place this says: x is within
    the gap of optimal for a target that differs from the given one by no more than `misfit`. The
    accuracy counts the misfit beyond the noise.

    Any w proves it: with r = y - Ax, |x| >= w.Ax / |A^T w|* = (w.y - w.r) / |A^T w|*, with the dual
    norm, and w.r <= reach |w|, or the sum of |w_i| |r_i|.

    Uniqueness. For norm 2 it is a theorem (the norm is strictly convex). For norm 1 without noise
    (Fuchs 2004): if the columns of the support are independent, some w* has
    A_j^T w* = level sign(x_j) on it and |A_j^T w*| < level off it, then x is the only vector of
    least norm that is mapped to A x. Such a w* lies within
    |level sign - A_S^T w| / (smallest singular value of A_S) of w. With noise e: all optima have
    one residual r*, of norm e, and |r* - e w/|w|| <= sqrt(2 e gap max|A^T w| / |w|), because the
    level set of a linear function on a ball is that small; nonzero entries have the largest
    |A_j^T r*|, so if the columns that may reach it are independent, the optimum is unique. For norm
    inf without noise, let R be the entries of x below the largest, and their columns independent.
    Some w* within |A_R^T w| / (smallest singular value of A_R) of w has A_R^T w* = 0; if its other
    correlations have the signs of x, strictly, then any z with Az = Ax and no larger a norm agrees
    with x off R, as w*.Az = w*.Ax is the largest possible there, and so on R.

    Complex numbers have moduli for magnitudes, and x_j / |x_j| for signs; Re(w.Ax) takes the place
    of w.Ax.

    Attributes
    ----------
    dual_point : ndarray of float64 or complex128, shape (m,) or (2, m)
        Two rows stand for their sum, where one has too few digits. Evidence. Any vector proves
        something; none proves anything false.
    primal, dual, gap : float
        The norm of x is at most `primal`, that of the others at least `dual`.
    misfit : float
        |design x - target| is at most this.

    Examples
    --------
    >>> import sparseopt as so
    >>> certificate = so.solve(so.BasisPursuit([[1, 0, 1], [0, 1, 1]], [0.3, 0.7])).certificate
    >>> round(certificate.primal, 12), certificate.accuracy < 1e-12
    (0.7, True)
    """

    problem: BasisPursuit
    answer: PursuitAnswer
    dual_point: np.ndarray
    primal: float
    dual: float
    gap: float
    misfit: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "dual_point", number_vector(self.dual_point, "dual_point", True))
        for name in (*_FIGURES, "misfit"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls, problem: BasisPursuit, x: np.ndarray, *dual_points: np.ndarray
    ) -> tuple[PursuitAnswer, Self]:
        """Return `x` as an answer, and the certificate by the best of some dual points.

        Parameters
        ----------
        problem : BasisPursuit
        x : ndarray, shape (n,)
            A vector of any quality. Entries that scaling would lose become 0.
        *dual_points : ndarray, shape (m,) or (2, m)
            Of any scale; at least one.

        Returns
        -------
        answer : PursuitAnswer
            Its `unique` is as far as can be proved.
        certificate : PursuitCertificate
            It holds however bad its ingredients are; look at its `accuracy`.
        """
        fit = Fit(problem.system, ROOM)
        scaled = fit.scaled.coefficients(as_array(x, "x"))
        made = [(w, _fitted(problem, fit, scaled, fit.scaled.parts(w))) for w in dual_points]
        w, best = min(made, key=lambda item: item[1].bracket.gap)
        unique = _is_unique(problem, fit, scaled, fit.scaled.parts(w), best)
        answer = PursuitAnswer(fit.scaled.original_coefficients(scaled), True, None, unique)
        misfit = ScaledArray(best.misfit, fit.unit).above()
        return answer, cls(problem, answer, w, *best.bracket.figures(), misfit)

    @property
    def unique(self) -> bool:
        """Whether it is proved that no other vector of least norm exists."""
        return self.answer.unique

    @property
    def excess(self) -> float:
        """The misfit beyond the noise, at most."""
        return above(self.misfit - self.problem.noise) if self.misfit > self.problem.noise else 0.0

    @property
    def accuracy(self) -> float:
        """The relative gap, or the excess over the norm of the target if that is more."""
        return max(self.relative_gap, over(self.excess, length_of(self.problem.target)))

    @property
    def relative_gap(self) -> float:
        """An upper bound of the gap over the least norm; 0 if the gap is."""
        return over(self.gap, self.dual)

    @property
    def claim(self) -> str:
        """What is proved."""
        noise, p = self.problem.noise, self.problem.norm
        norm = "maximum norm" if math.isinf(p) else f"{p:g}-norm"
        fits = f"x fits the target within the noise, {noise!r}"
        others = "every vector that does"
        if self.excess:
            reach = shown_above(self.misfit)
            fits = f"x misses the target by at most {reach}, where the noise is {noise!r}"
            others = "every vector that misses it by no more than x"
            if noise == 0:
                others = "every vector that misses no entry of it by more than x"
        text = (
            f"{fits}, its {norm} is at most {shown_above(self.primal, 10)}, and {others} has a "
            f"{norm} smaller by at most {shown_above(self.gap, 3)}"
        )
        if not self.unique:
            return text
        if self.problem.norm == 2:
            return f"{text}; at most one vector solves the problem"
        if noise == 0:
            return (
                f"{text}; among the vectors that the design maps to design @ x, x alone has the "
                "least norm"
            )
        return f"{text}; the vector of least norm is unique"

    def check(self, steps: Steps) -> None:
        """Derive everything again from the problem, the vector and the dual point."""
        answer, (m, n) = self.answer, self.problem.shape
        kind = type(answer)
        steps.require(kind is PursuitAnswer, "the answer is a PursuitAnswer", kind.__name__)
        steps.require(answer.feasible, "the answer says that x fits")
        steps.require(answer.smallest_residual is None, "it states no smallest residual")
        x, w = answer.x, self.dual_point
        steps.require(x.shape == (n,), f"x has one entry for each of {n} columns", str(x.shape))
        require_rows(steps, w, m)
        require_kinds(steps, self.problem.system, x, w)
        fit = Fit(self.problem.system)
        scaled, w = fit.coefficients(x), fit.scaled.parts(w)
        found = _fitted(self.problem, fit, scaled, w)
        misfit = ScaledArray(found.misfit, fit.unit)
        text = f"x misses the target by at most {self.misfit!r}, rounding included"
        steps.require(misfit.at_most(self.misfit), text, repr(misfit.above()))
        check_figures(steps, found.bracket, self.primal, self.dual, self.gap)
        if answer.unique:
            steps.require(
                _is_unique(self.problem, fit, scaled, w, found),
                "the columns of the support are independent, and the others correlate strictly "
                "less with the dual point",
            )
