"""The network of least weights through given points of one variable."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_array, as_figure, as_int64, read_only, to_double
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.interface.real_arrays import as_real
from sparseopt.judging.integers import as_integers
from sparseopt.judging.rounding import above, float_above, shown_above, shown_below


@json_type
@dataclass(frozen=True, eq=False)
class InterpolatingNetwork:
    """The answer to a `MinimumNormInterpolant`: ``offset + sum_j outer_j relu(hidden_j t + b_j)``.

    Attributes
    ----------
    hidden, biases, outer : ndarray of float64, shape (k,)
        Input weights, biases and output weights of the hidden neurons; k may be 0.
    offset : float

    Examples
    --------
    >>> import sparseopt as so
    >>> network = so.InterpolatingNetwork([1.0, -1.0], [0.0, 0.0], [2.0, 3.0], 0.5)
    >>> network.predict([1.0, 0.0, -1.0])
    array([2.5, 0.5, 3.5])
    """

    hidden: np.ndarray
    biases: np.ndarray
    outer: np.ndarray
    offset: float

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(
            self, hidden: ArrayLike, biases: ArrayLike, outer: ArrayLike, offset: float
        ) -> None: ...

    def __post_init__(self) -> None:
        for name in ("hidden", "biases", "outer"):
            given = as_array(getattr(self, name), name)
            array = as_real(given, name, 1) if given.shape != (0,) else read_only(np.zeros(0))
            object.__setattr__(self, name, array)
        counts = [len(part) for part in (self.hidden, self.biases, self.outer)]
        if len(set(counts)) > 1:
            raise ProblemError(f"hidden, biases and outer have {counts} entries; one per neuron")
        offset = as_figure(self.offset, "offset")
        if not math.isfinite(offset):
            raise ProblemError(f"offset is {offset}; it must be finite")
        object.__setattr__(self, "offset", offset)

    def predict(self, inputs: ArrayLike) -> np.ndarray:
        """Return the outputs for inputs of any shape. O(size k)."""
        t = as_array(inputs, "inputs")
        if t.dtype.kind not in "biuf":
            raise ProblemError(f"inputs has dtype {t.dtype}; give an array of real numbers")
        t = to_double(t, "inputs")
        active = np.maximum(t[..., None] * self.hidden + self.biases, 0.0)
        return np.asarray(active @ self.outer + self.offset)

    def __str__(self) -> str:
        return f"a network with {len(self.hidden)} hidden neurons"


@json_type
@dataclass(frozen=True, eq=False)
class MinimumNormInterpolant(Problem[InterpolatingNetwork, "InterpolantCertificate"]):
    """Minimise ``sum_j |a_j w_j|`` over ReLU networks ``c + sum_j a_j relu(w_j t + b_j)`` through
    given points; biases and the offset are free, and there may be any number of neurons.

    It is what weight decay, ``1/2 sum_j (a_j^2 + w_j^2)``, comes to after rescaling.

    Parameters
    ----------
    points : array_like, shape (n,) or (n, 1)
        Kept as float64, sorted; a point that is given twice with one value counts once.
    values : array_like, shape (n,)

    Raises
    ------
    ProblemError
        NaN, infinity, complex or no data, other shapes, one point with two values, and points so
        close that a slope leaves the range of floats.

    Notes
    -----
    Let ``s_1, ..., s_{n-1}`` be the slopes of the polyline through the points, V the sum of
    ``|s_{k+1} - s_k|`` and S their ends' sum ``s_1 + s_{n-1}``. The minimum is ``max(V, (V + |S|) /
    2)``: that of ``max(V', |S'|)`` over all functions through the points, V' the total variation of
    the slope and S' the sum of the slopes at both infinities (Savarese, Evron, Soudry, Srebro
    2019).

    Examples
    --------
    >>> import sparseopt as so
    >>> zigzag = so.MinimumNormInterpolant([0, 1, 2, 3, 4], [0, 1, 0, 1, 0])
    >>> solution = so.solve(zigzag)
    >>> solution.certificate.primal, solution.answer.predict([0.5, 1.0])
    (6.0, array([0.5, 1. ]))
    """

    points: np.ndarray
    values: np.ndarray
    default_tolerance: ClassVar = 1e-8
    accuracy_is: ClassVar = "relative gap, plus the largest miss over the range of the values"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, points: ArrayLike, values: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        points: Any = self.points
        if not isinstance(points, np.ndarray):
            points = as_array(points, "points")
        if points.ndim == 2 and points.shape[1] == 1:
            points = points[:, 0]
        points, values = as_real(points, "points", 1), as_real(self.values, "values", 1)
        if points.shape != values.shape:
            raise ProblemError(f"there are {len(points)} points and {len(values)} values")
        order = np.argsort(points, kind="stable")
        same = np.flatnonzero(np.diff(points[order]) == 0.0)
        for i in same.tolist():
            one, two = int(order[i]), int(order[i + 1])
            if values[one] != values[two]:
                raise ProblemError(
                    f"points {one} and {two} are both {points[one]} and their values differ, "
                    f"{values[one]} and {values[two]}; no function goes through both"
                )
        kept = np.delete(order, same + 1)
        object.__setattr__(self, "points", read_only(points[kept]))
        object.__setattr__(self, "values", read_only(values[kept]))
        for place, slope in enumerate(self.slopes):
            if abs(slope) > 10**300:
                raise ProblemError(
                    f"the slope between {self.points[place]} and {self.points[place + 1]} "
                    "leaves the range of floats; multiply the values by a small constant"
                )

    @cached_property
    def slopes(self) -> list[Fraction]:
        """The slopes of the polyline, exactly."""
        (points,), t = as_integers(self.points)
        (values,), v = as_integers(self.values)
        unit = Fraction(2) ** (v - t)
        return [
            unit * Fraction(rise, run)
            for rise, run in zip(np.diff(values), np.diff(points), strict=True)
        ]

    @cached_property
    def spread(self) -> Fraction:
        """The difference of the largest and the smallest value."""
        return Fraction(float(self.values.max())) - Fraction(float(self.values.min()))

    def evaluate(self, answer: InterpolatingNetwork) -> Mapping[str, float]:
        """Return the sum of the weights and the largest miss, in floats."""
        cost = float(np.abs(answer.outer * answer.hidden).sum())
        missed = float(np.abs(answer.predict(self.points) - self.values).max())
        return {"objective": cost, "largest_miss": missed}

    def describe(self) -> str:
        """Return one line with the size."""
        return f"ReLU network of least weights through {len(self.points)} points"


@proves(MinimumNormInterpolant)
@json_type
@dataclass(frozen=True, eq=False)
class InterpolantCertificate(Certificate):
    """Both sides: what a network weighs and misses, and what all weigh at least.

    Lower side: numbers p_1, ..., p_{n-1} with ``|p_k| <= 1`` and ``|p_k - p_1| <= 1``. Take the
    function that is p_k at point k, 0 at the last, linear between and constant outside. It is
    ``phi(u) = sum_i m_i (t_i - u)_+`` with ``sum_i m_i = 0`` and ``sum_i m_i t_i = p_1``; and
    ``sum_i m_i (u - t_i)_+ = phi(u) - p_1``. So the sum of ``m_i f(t_i)`` is at most ``|a w|`` in
    magnitude for one neuron f = a relu(w t + b), whichever way it opens, and 0 for the offset. For
    the values it is ``s_1 p_1 + sum_k (s_k - s_{k-1}) p_k``: no network through the points weighs
    less.

    Attributes
    ----------
    problem : MinimumNormInterpolant
    answer : InterpolatingNetwork
    test : ndarray of int, shape (n - 1,)
        The numbers p_k.
    primal : float
        ``sum_j |a_j w_j|`` is at most this.
    dual : float
        Every network through the points weighs at least this.
    gap : float
        The network weighs at most this more than any that interpolates; 0 also if it weighs less,
        which it may if it misses points.
    largest_miss : float
        ``|f(t_i) - v_i|`` is at most this, for the real numbers behind the stored floats.
    """

    problem: MinimumNormInterpolant
    answer: InterpolatingNetwork
    test: np.ndarray
    primal: float
    dual: float
    gap: float
    largest_miss: float

    def __post_init__(self) -> None:
        test = np.asarray(self.test)
        if test.ndim != 1 or (test.dtype.kind not in "iu" and test.size):
            raise ProblemError("test must be a vector of integers")
        test = as_int64(test, "test") if test.size else np.zeros(0, dtype=np.int64)
        object.__setattr__(self, "test", read_only(test))
        for name in ("primal", "dual", "gap", "largest_miss"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls, problem: MinimumNormInterpolant, network: InterpolatingNetwork, test: ArrayLike
    ) -> InterpolantCertificate:
        """Return the certificate of any network, also of one that was trained."""
        made = cls(problem, network, as_array(test, "test"), 0.0, 0.0, 0.0, 0.0)
        if made.test.shape != (len(problem.points) - 1,):
            raise ProblemError(f"test has one integer for each of {len(problem.points) - 1} slopes")
        primal, dual = weight(network), made._least()
        gap = max(primal - dual, Fraction(0))
        missed = float_above(largest_miss(problem, network))
        figures = (float_above(primal), -float_above(-dual), float_above(gap))
        return cls(problem, network, made.test, *figures, missed)

    def _least(self) -> Fraction:
        """Return what the test proves."""
        slopes, p = self.problem.slopes, self.test.tolist()
        jumps = [
            slope - before for before, slope in zip([Fraction(0), *slopes], slopes, strict=False)
        ]
        return sum((d * k for d, k in zip(jumps, p, strict=True)), start=Fraction(0))

    @property
    def relative_gap(self) -> float:
        """The gap over the least weight; 0 if the gap is."""
        return _over(self.gap, Fraction(max(self.dual, 0.0)))

    @property
    def accuracy(self) -> float:
        """The relative gap, plus the largest miss over the range of the values."""
        return self.relative_gap + _over(self.largest_miss, self.problem.spread)

    @property
    def claim(self) -> str:
        """The weight, what is missed, and the least weight."""
        return (
            f"the network weighs at most {shown_above(self.primal, 12)} and misses values by at "
            f"most {shown_above(self.largest_miss, 3)}; every network through the points weighs "
            f"at least {shown_below(self.dual, 12)}"
        )

    def check(self, steps: Steps) -> None:
        """Compute all figures over the rationals."""
        problem, network = self.problem, self.answer
        steps.require(type(network) is InterpolatingNetwork, "the answer is a network")
        p = self.test.tolist()
        count = len(problem.points) - 1
        steps.require(len(p) == count, f"the test has {count} numbers", str(len(p)))
        steps.require(
            all(abs(v) <= 1 and abs(v - p[0]) <= 1 for v in p),
            "the numbers of the test, and their differences to the first, are within 1",
        )
        primal, dual, missed = weight(network), self._least(), largest_miss(problem, network)
        for name, own, stated in (
            ("the network weighs at most", primal, self.primal),
            ("it misses values by at most", missed, self.largest_miss),
            ("it weighs more than the least by at most", primal - dual, self.gap),
        ):
            holds = 0.0 <= stated < math.inf and own <= Fraction(stated)
            steps.require(holds, f"{name} {stated!r}", f"{float_above(own)!r}")
        steps.require(
            -math.inf < self.dual < math.inf and Fraction(self.dual) <= dual,
            f"every network weighs at least {self.dual!r}",
            f"{-float_above(-dual)!r}",
        )


def weight(network: InterpolatingNetwork) -> Fraction:
    """Return ``sum_j |a_j w_j|`` exactly."""
    (outer, hidden), exponent = as_integers(network.outer, network.hidden)
    return Fraction(2) ** (2 * exponent) * sum(map(abs, outer * hidden))


def largest_miss(problem: MinimumNormInterpolant, network: InterpolatingNetwork) -> Fraction:
    """Return the largest ``|f(t_i) - v_i|`` exactly, n points and k neurons. O((n + k) log k)."""
    (points, hidden), e = as_integers(problem.points, network.hidden)
    (biases,), b = as_integers(network.biases)
    (outer,), a_unit = as_integers(network.outer)
    shared = min(2 * e, b)
    hidden, biases = hidden * 2 ** (2 * e - shared), biases * 2 ** (b - shared)
    neurons = list(zip(hidden, biases, outer, strict=True))
    # From left to right: neurons that open to the right come in at their kinks, others go out.
    kinks = sorted(
        (Fraction(-c, w), abs(w) * a, c * a * (1 if w > 0 else -1)) for w, c, a in neurons if w
    )
    slope = sum(w * a for w, _, a in neurons if w < 0)
    level = sum(c * a for w, c, a in neurons if w < 0 or (w == 0 and c > 0))
    unit, most, place = Fraction(2) ** (a_unit + shared), Fraction(0), 0
    for t, value in zip(points, problem.values.tolist(), strict=True):
        while place < len(kinks) and kinks[place][0] <= t:
            slope, level = slope + kinks[place][1], level + kinks[place][2]
            place += 1
        found = unit * (slope * t + level) + Fraction(network.offset)
        most = max(most, abs(found - Fraction(value)))
    return most


def _over(value: float, size: Fraction) -> float:
    if value == 0.0:
        return 0.0
    # A size beyond the floats counts as the largest of them.
    whole = min(size, Fraction(sys.float_info.max))
    return above(value / float(whole), 4) if size > 0 else math.inf
