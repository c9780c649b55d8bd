"""Blind deconvolution with sparse filter and signal: the pair of least norms is trivial."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sparseopt.interface.arrays import as_figure
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.problem import Problem
from sparseopt.interface.real_arrays import as_real
from sparseopt.judging.rounding import above, below, row_dots, shown_above, shown_below
from sparseopt.judging.scaling import ScaledArray, exponent_of, largest_part, times_power

_ENTRIES = 1 << 21
"""Entries of the circulant matrix that are held at once."""
_MOST_PRODUCTS = 1 << 34
"""Products of entries that a convolution may take: some three minutes."""


@json_type
@dataclass(frozen=True, eq=False)
class FilterAndSignal:
    """The answer to a `BlindDeconvolution`.

    Attributes
    ----------
    filter, signal : ndarray of float64, shape (n,)
        Their circular convolution is the target, up to the residual that the certificate states.
    """

    filter: np.ndarray
    signal: np.ndarray

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, filter: ArrayLike, signal: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        for name in ("filter", "signal"):
            object.__setattr__(self, name, as_real(getattr(self, name), name, 1))
        if self.filter.shape != self.signal.shape:
            raise ProblemError(
                f"filter has {len(self.filter)} entries and signal {len(self.signal)}; a circular "
                "convolution takes two of one length"
            )

    def __str__(self) -> str:
        counts = [np.count_nonzero(part) for part in (self.filter, self.signal)]
        return f"a filter with {counts[0]} nonzeros and a signal with {counts[1]}"


@json_type
@dataclass(frozen=True, eq=False)
class BlindDeconvolution(Problem[FilterAndSignal, "BlindDeconvolutionCertificate"]):
    """Minimise ``|h|_1 + |s|_1`` over filters h and signals s with ``h * s = target``, circularly.

    Parameters
    ----------
    target : array_like, shape (n,)
        Real; kept as float64.

    Raises
    ------
    ProblemError
        Complex, empty or other than one-dimensional targets, NaN, infinity, and targets whose
        1-norm leaves the range of floats.

    Notes
    -----
    The minimum is ``2 sqrt(|target|_1)``, at the spike ``h = sqrt(|target|_1) d_0``: as ``|h * s|_1
    <= |h|_1 |s|_1`` and ``a + b >= 2 sqrt(a b)``, no pair costs less. So the filter and the signal
    that a target was made of are never better than the spike, which says nothing about them; they
    are as good, after balancing, where no two products of entries of opposite signs fall on one
    place (Benichoux, Vincent, Gribonval 2013: a fundamental pitfall).

    Examples
    --------
    >>> import sparseopt as so
    >>> solution = so.solve(so.BlindDeconvolution([0.0, 3.0, 0.0, -1.0]))
    >>> solution.answer.filter, solution.answer.signal
    (array([2., 0., 0., 0.]), array([ 0. ,  1.5,  0. , -0.5]))
    """

    target: np.ndarray
    default_tolerance: ClassVar = 1e-12
    accuracy_is: ClassVar = "relative gap, plus the residual over the norm of the target"

    # What the constructor takes, for type checkers; the fields are what becomes of it.
    if TYPE_CHECKING:

        def __init__(self, target: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        target = as_real(self.target, "target", 1)
        object.__setattr__(self, "target", target)
        if not _one_norm(target * 0.25) < 4e307:
            raise ProblemError(
                "the 1-norm of the target is beyond the range of floats; divide the target by a "
                "constant"
            )

    @cached_property
    def exponent(self) -> int:
        """Half the power of two that the target is divided by to bring it near 1."""
        return exponent_of(largest_part(self.target)) // 2

    @cached_property
    def norm(self) -> float:
        """The 1-norm of the target over ``4**exponent``, correctly rounded."""
        return _one_norm(times_power(self.target, -2 * self.exponent))

    @property
    def least(self) -> float:
        """A lower bound of the minimum, ``2 sqrt(|target|_1)`` up to its rounding."""
        return math.ldexp(below(2.0 * math.sqrt(below(self.norm, 2)), 2), self.exponent)

    def evaluate(self, answer: FilterAndSignal) -> Mapping[str, float]:
        """Return the norms, and the 1-norm of what the pair misses of the target."""
        missed = BlindDeconvolutionCertificate.build(self, answer.filter, answer.signal)
        cost = _one_norm(answer.filter) + _one_norm(answer.signal)
        return {"objective": cost, "residual": missed.residual}

    def describe(self) -> str:
        """Return one line with the size."""
        return f"blind deconvolution of a target with {len(self.target)} entries"


def _one_norm(*arrays: np.ndarray) -> float:
    """Return the sum of the magnitudes, correctly rounded; infinity beyond floats."""
    try:
        return math.fsum(abs(v) for array in arrays for v in array.tolist())
    except OverflowError:
        return math.inf


def _circulant(filter: np.ndarray, signal: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the convolution, some entries at a time, as rows to be multiplied by the filter."""
    n, on = len(signal), np.flatnonzero(filter)
    step = max(1, _ENTRIES // max(1, len(on)))
    for start in range(0, n, step):
        part = np.arange(start, min(n, start + step))
        yield slice(start, start + len(part)), signal[(part[:, None] - on) % n]


@proves(BlindDeconvolution)
@json_type
@dataclass(frozen=True, eq=False)
class BlindDeconvolutionCertificate(Certificate):
    """Both sides: what a pair costs and misses, and what every pair costs at least.

    Solvers get it from `build`, for any pair, a planted one as well.

    Attributes
    ----------
    problem : BlindDeconvolution
    answer : FilterAndSignal
    primal : float
        ``|h|_1 + |s|_1`` is at most this.
    dual : float
        Every pair with ``h * s = target`` costs at least this.
    gap : float
        The pair costs at most this more than `dual`; 0 also if it costs less, which a pair may
        that misses the target.
    residual : float
        ``|h * s - target|_1`` is at most this.
    """

    problem: BlindDeconvolution
    answer: FilterAndSignal
    primal: float
    dual: float
    gap: float
    residual: float

    def __post_init__(self) -> None:
        for name in ("primal", "dual", "gap", "residual"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls, problem: BlindDeconvolution, filter: ArrayLike, signal: ArrayLike
    ) -> BlindDeconvolutionCertificate:
        """Return the certificate of a pair, however bad it is.

        O(n) for each nonzero of one; `ProblemError` where that is more than 2^34 products.
        """
        answer = FilterAndSignal(filter, signal)
        if answer.filter.shape != problem.target.shape:
            raise ProblemError(
                f"the target has {len(problem.target)} entries and the pair {len(answer.filter)}"
            )
        primal, residual = cls._figures(problem, answer)
        # Rooms for another machine's rounding.
        primal, residual, dual = _raised(primal), _raised(residual), below(problem.least, 4)
        return cls(problem, answer, primal, dual, _raised(max(primal - dual, 0.0)), residual)

    @staticmethod
    def _figures(problem: BlindDeconvolution, answer: FilterAndSignal) -> tuple[float, float]:
        """Return upper bounds of what the pair costs and of what it misses."""
        half = problem.exponent
        parts = [times_power(part, -half) for part in (answer.filter, answer.signal)]
        parts.sort(key=np.count_nonzero)
        vector = parts[0][parts[0] != 0]
        if vector.size * len(problem.target) > _MOST_PRODUCTS:
            raise ProblemError(
                f"the convolution takes {vector.size} x {len(problem.target)} products, and up to "
                f"{_MOST_PRODUCTS} are computed; give a pair of which one has fewer nonzeros"
            )
        target = times_power(problem.target, -2 * half)
        missed = []
        for place, rows in _circulant(*parts):
            values, bounds = row_dots(rows, vector)
            missed.append(_raised(_one_norm(values - target[place])))
            missed.append(_one_norm(bounds) if vector.size else 0.0)
        cost = _raised(_one_norm(answer.filter, answer.signal))
        return cost, ScaledArray(_raised(math.fsum(missed)), 2 * half).above()

    @property
    def relative_gap(self) -> float:
        """The gap over the minimum; 0 if the gap is."""
        return _over(self.gap, self.problem.least)

    @property
    def accuracy(self) -> float:
        """The relative gap, plus the residual over the 1-norm of the target."""
        missed = ScaledArray(self.residual, -2 * self.problem.exponent).above()
        return self.relative_gap + _over(missed, below(self.problem.norm))

    @property
    def claim(self) -> str:
        """The cost, what is missed, and the least cost of all."""
        return (
            f"the pair costs at most {shown_above(self.primal, 12)} and misses the target by at "
            f"most {shown_above(self.residual, 3)} in 1-norm; every pair that does not miss it "
            f"costs at least {shown_below(self.dual, 12)}"
        )

    def check(self, steps: Steps) -> None:
        """Compute all figures from the pair, with bounds of their rounding."""
        problem, answer, half = self.problem, self.answer, self.problem.exponent
        steps.require(type(answer) is FilterAndSignal, "the answer is a filter and a signal")
        steps.require(
            answer.filter.shape == problem.target.shape,
            f"filter and signal have {len(problem.target)} entries each",
            str(answer.filter.shape),
        )
        exact = ((answer.filter, half), (answer.signal, half), (problem.target, 2 * half))
        steps.require(
            all(np.array_equal(times_power(times_power(v, -e), e), v) for v, e in exact),
            "no entry is so small that scaling it loses digits",
        )
        primal, residual = self._figures(problem, answer)
        found = above(max(self.primal - self.dual, 0.0)) if self.primal > self.dual else 0.0
        for name, own, stated in (
            ("the pair costs at most", primal, self.primal),
            ("it misses the target by at most", residual, self.residual),
            ("it costs more than the least by at most", found, self.gap),
        ):
            steps.require(own <= stated < math.inf, f"{name} {stated!r}", repr(own))
        least = problem.least
        steps.require(self.dual <= least, f"every pair costs at least {self.dual!r}", repr(least))


def _raised(value: float) -> float:
    """Return an upper bound of what was computed with up to four roundings; 0 for exactly 0."""
    return above(value, 4) if value else 0.0


def _over(value: float, size: float) -> float:
    if value == 0.0:
        return 0.0
    return above(value / size, 2) if size > 0.0 else math.inf
