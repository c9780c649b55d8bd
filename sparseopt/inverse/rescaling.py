"""Optimal rescaling: what penalties on the factors of a product become, for the product itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_array, as_figure, read_only
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.interface.real_arrays import as_real
from sparseopt.judging.rounding import above, float_above, shown_above, shown_below

LEAST_DEGREE, LARGEST_DEGREE, MOST_FACTORS = 1e-3, 1e3, 1000
DIGITS = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Decimal arithmetic of 50 digits. All its operations, ln and exp too, are correctly rounded."""
CLOSE = Decimal("1e-9")
"""How far products of scalings may be from 1; what is claimed holds for products of exactly 1."""
SLACK = Decimal("1e-30")
"""Above the relative error of everything that is computed here.

Logarithms of floats are below 750, degrees within 1e-3 and 1e3, factors at most 1000: arguments of
exp are off by less than 750 * 1e3 * 1e3 * 10 * 1e-49 < 1e-38, and so are the results, relatively.
The terms of the lower bound are at most 1e4 times b over the degree, and off by 1e-38 of these.
"""


@json_type
@dataclass(frozen=True, eq=False)
class Scalings:
    """The answer to an `OptimalRescaling`.

    Attributes
    ----------
    scalings : ndarray of float64, shape (c,) or (c, q)
        What each factor is multiplied by; for each component their product is 1 up to rounding, or
        all are 0 where the product is zero anyway.
    """

    scalings: np.ndarray

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, scalings: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "scalings", _as_table(self.scalings, "scalings"))

    def __str__(self) -> str:
        return f"scalings of {len(self.scalings)} factors"


@json_type
@dataclass(frozen=True, eq=False)
class OptimalRescaling(Problem[Scalings, "RescalingCertificate"]):
    """Minimise ``sum_i weights_i l_i**degrees_i norms_i`` over l > 0 with ``prod_i l_i = 1``.

    Factor i of a product is multiplied by l_i, which leaves the product as it is and multiplies its
    penalty, homogeneous of degree p_i, by ``l_i**p_i``.

    Parameters
    ----------
    norms : array_like, shape (c,) or (c, q)
        The values of the penalties, at least 0: for a squared norm the square. Row i is that of
        factor i; each of q components (such as a hidden neuron) has scalings of its own.
    degrees : array_like, shape (c,), or float
        The degrees p_i, from 1e-3 to 1e3; 1 for norms, 2 for their squares.
    weights : array_like, shape (c,), or float
        Positive.

    Raises
    ------
    ProblemError
        Entries that are negative, NaN or infinite, a degree out of range, a weight of 0 (the
        others could then be made as small as one likes, at no cost, and no rescaling is best).

    Notes
    -----
    With ``B = sum 1/p_i`` the minimum is ``beta B`` for ``beta = (prod_i (p_i mu_i g_i)^(1/p_i))
    ^(1/B)``, at ``l_i = (beta / (p_i mu_i g_i))^(1/p_i)``: the regularizer of the product that the
    penalties of the factors imply (Cohen, Leplat 2024, arXiv:2403.18517). Two squares give ``2
    sqrt(mu_1 mu_2) |u| |v|``, two 1-norms ``2 sqrt(mu_1 mu_2 |h|_1 |s|_1)``. A component with a
    vanishing penalty has the product zero: the best is to set all of it to zero.

    Examples
    --------
    >>> import sparseopt as so
    >>> solution = so.solve(so.OptimalRescaling([1.0, 16.0], degrees=2, weights=0.5))
    >>> solution.answer.scalings, round(solution.certificate.primal, 12)
    (array([2. , 0.5]), 4.0)
    """

    norms: np.ndarray
    degrees: np.ndarray
    weights: np.ndarray
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = "relative gap"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, norms: ArrayLike, degrees: ArrayLike, weights: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        norms = _as_table(self.norms, "norms")
        count = len(norms)
        if count > MOST_FACTORS:
            raise ProblemError(f"there are {count} factors; at most {MOST_FACTORS} are taken")
        _require(norms >= 0.0, "norms", norms, "at least 0")
        object.__setattr__(self, "norms", norms)
        limits = f"from {LEAST_DEGREE:g} to {LARGEST_DEGREE:g}"
        for name in ("degrees", "weights"):
            value: Any = getattr(self, name)
            if not hasattr(value, "ndim"):
                value = as_array(value, name)
            if value.ndim == 0:
                value = np.repeat(as_array(value, name), count)
            vector = as_real(value, name, 1)
            if len(vector) != count:
                raise ProblemError(f"{name} has {len(vector)} entries for {count} factors")
            if name == "degrees":
                within = (vector >= LEAST_DEGREE) & (vector <= LARGEST_DEGREE)
                _require(within, name, vector, limits)
            else:
                _require(vector > 0.0, name, vector, "positive; otherwise no rescaling is best")
            object.__setattr__(self, name, vector)

    @property
    def vanishing(self) -> np.ndarray:
        """For each component whether a penalty vanishes, so that its product is zero."""
        return (self.norms.reshape(len(self.norms), -1) == 0.0).any(axis=0)

    def evaluate(self, answer: Scalings) -> Mapping[str, float]:
        """Return the sum of the penalties, and how far products of scalings are from 1."""
        norms, scalings = (v.reshape(len(v), -1) for v in (self.norms, answer.scalings))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            cost = self.weights @ (scalings ** self.degrees[:, None] * norms)
            off = np.abs(np.prod(scalings, axis=0) - 1.0)[~self.vanishing]
        return {"objective": float(cost.sum()), "product_error": float(off.max(initial=0.0))}

    def describe(self) -> str:
        """Return one line with the sizes."""
        components = self.norms.size // len(self.norms)
        return f"optimal rescaling of {len(self.norms)} factors, {components} components"


def _as_table(value: Any, name: str) -> np.ndarray:
    """Return a vector or matrix of real numbers."""
    array = value if isinstance(value, np.ndarray) else as_array(value, name)
    return as_real(array, name, 2 if array.ndim == 2 else 1)


def _require(fine: np.ndarray, name: str, array: np.ndarray, allowed: str) -> None:
    bad = np.argwhere(~fine)
    if bad.size:
        place = tuple(int(i) for i in bad[0])
        raise ProblemError(f"{name} is {array[place]} at entry {place}; it must be {allowed}")


def _logs(values: np.ndarray) -> list[Decimal]:
    return [DIGITS.ln(Decimal(float(v))) for v in values]


def _total(values: list[Decimal]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = DIGITS.add(total, value)
    return total


@proves(OptimalRescaling)
@json_type
@dataclass(frozen=True, eq=False)
class RescalingCertificate(Certificate):
    """Both sides: what scalings cost, and what all of them cost at least.

    Upper side: the cost of the scalings divided by the c-th root of their product, which makes the
    product 1 exactly. Lower side, for any multiplier b > 0 of a component: ``e^x >= e^y (1 + x -
    y)`` at the point where the slope of ``mu g e^(p t)`` is b gives ``mu g l^p >= b/p (1 + log(p mu
    g / b)) + b log l``, and the last terms add up to b log 1 = 0.

    Attributes
    ----------
    problem : OptimalRescaling
    answer : Scalings
    multipliers : ndarray of float64, shape (q,)
        b for each component; 0 where a penalty vanishes.
    primal : float
        The cost is at most this.
    dual : float
        Every rescaling costs at least this.
    gap : float
        The cost exceeds the least by at most this.
    """

    problem: OptimalRescaling
    answer: Scalings
    multipliers: np.ndarray
    primal: float
    dual: float
    gap: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "multipliers", as_real(self.multipliers, "multipliers", 1))
        for name in ("primal", "dual", "gap"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls, problem: OptimalRescaling, scalings: ArrayLike, multipliers: ArrayLike
    ) -> RescalingCertificate:
        """Return the certificate of any positive scalings, by any positive multipliers.

        Raises
        ------
        ProblemError
            Scalings or multipliers of another shape, or that are not positive where they must be.
        """
        answer = Scalings(scalings)
        made = cls(problem, answer, read_only(as_array(multipliers, "multipliers")), 0.0, 0.0, 0.0)
        fault = made._fault()
        if fault:
            raise ProblemError(fault)
        primal, dual, gap = made._figures()
        return cls(problem, answer, made.multipliers, primal, dual, gap)

    def _fault(self) -> str:
        """Return a condition on scalings and multipliers that does not hold, or ""."""
        problem, scalings = self.problem, self.answer.scalings
        if scalings.shape != problem.norms.shape:
            return f"scalings have shape {scalings.shape}, norms {problem.norms.shape}"
        vanishing = problem.vanishing
        if self.multipliers.shape != vanishing.shape:
            return f"there is one multiplier for each of {len(vanishing)} components"
        table = scalings.reshape(len(scalings), -1)
        if table[:, vanishing].any() or self.multipliers[vanishing].any():
            return "scalings and multipliers are 0 where a penalty vanishes"
        if not ((table[:, ~vanishing] > 0.0).all() and (self.multipliers[~vanishing] > 0.0).all()):
            return "scalings and multipliers are positive where no penalty vanishes"
        for q in np.flatnonzero(~vanishing):
            if abs(_total(_logs(table[:, q]))) > CLOSE:
                return f"the scalings of component {q} multiply to 1, up to rounding"
        return ""

    def _figures(self) -> tuple[float, float, float]:
        """Return bounds of the cost, of the least cost, and of the difference."""
        problem, shape = self.problem, (len(self.problem.norms), -1)
        norms, scalings = (v.reshape(shape) for v in (problem.norms, self.answer.scalings))
        degrees = [Decimal(float(p)) for p in problem.degrees]
        weights, powers = _logs(problem.weights), _logs(problem.degrees)
        most, least = Decimal(0), Decimal(0)
        for q in np.flatnonzero(~problem.vanishing):
            sizes = [DIGITS.add(a, b) for a, b in zip(weights, _logs(norms[:, q]), strict=True)]
            logs = _logs(scalings[:, q])
            mean = DIGITS.divide(_total(logs), Decimal(len(logs)))
            b = Decimal(float(self.multipliers[q]))
            offset = DIGITS.subtract(Decimal(1), DIGITS.ln(b))
            for p, power, size, log in zip(degrees, powers, sizes, logs, strict=True):
                moved = DIGITS.multiply(p, DIGITS.subtract(log, mean))
                most = DIGITS.add(most, DIGITS.exp(DIGITS.add(size, moved)))
                share = DIGITS.divide(b, p)
                inner = DIGITS.add(offset, DIGITS.add(power, size))
                least = DIGITS.add(least, DIGITS.multiply(share, inner))
                least = DIGITS.subtract(least, DIGITS.multiply(share, SLACK))
        most = DIGITS.multiply(most, DIGITS.add(Decimal(1), SLACK))
        gap = max(DIGITS.multiply(DIGITS.subtract(most, least), DIGITS.add(1, SLACK)), Decimal(0))
        if max(most, gap) > Decimal("1e300") or least < Decimal("-1e300"):
            return math.inf, -math.inf, math.inf
        above_most, above_gap = (float_above(Fraction(v)) for v in (most, gap))
        return above_most, -float_above(-Fraction(least)), above_gap

    @property
    def relative_gap(self) -> float:
        """The gap over the least cost; 0 if the gap is."""
        if self.gap == 0.0:
            return 0.0
        return above(self.gap / self.dual, 2) if self.dual > 0.0 else math.inf

    @property
    def accuracy(self) -> float:
        """The relative gap."""
        return self.relative_gap

    @property
    def claim(self) -> str:
        """The cost, and the least cost of all rescalings."""
        return (
            f"rescaled in this way, with products of exactly 1, the penalties add up to at most "
            f"{shown_above(self.primal, 12)}; every rescaling costs at least "
            f"{shown_below(self.dual, 12)}"
        )

    def check(self, steps: Steps) -> None:
        """Compute both sides in decimal arithmetic of 50 digits."""
        steps.require(type(self.answer) is Scalings, "the answer is scalings")
        fault = self._fault()
        steps.require(not fault, "scalings and multipliers fit the problem", fault)
        primal, dual, gap = self._figures()
        steps.require(
            primal <= self.primal < math.inf, f"the cost is at most {self.primal!r}", repr(primal)
        )
        steps.require(
            self.dual <= dual, f"every rescaling costs at least {self.dual!r}", repr(dual)
        )
        steps.require(gap <= self.gap < math.inf, f"the gap is at most {self.gap!r}", repr(gap))
