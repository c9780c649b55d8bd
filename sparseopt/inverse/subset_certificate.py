"""The proof that no support of a given size does much better: a tree of bounded supports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from sparseopt.interface.arrays import as_array, as_figure, as_int64, read_only
from sparseopt.interface.certificate import Certificate, Steps, proves
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.inverse.cardinality import CardinalityRegression
from sparseopt.inverse.coefficients import Coefficients
from sparseopt.inverse.fit import (
    Fit,
    norm_within,
    objective_at_zero,
)
from sparseopt.inverse.gap_certificate import ROOM, over, require_kinds
from sparseopt.inverse.subset_bounds import (
    MOST_SETS,
    MOST_WORK,
    PLACES,
    Subsets,
    children,
    continuations,
    distinct_columns,
    work_of,
)
from sparseopt.judging.rounding import UNIT, above, below, shown_above, shown_below
from sparseopt.judging.scaling import ScaledArray

_CHEAP = 2**13  # products; the columns depend on each other, so it takes exact elimination
MOST_SINGLED = 2000
"""Supports that a certificate may single out; each takes a least-squares problem."""


def least_on(problem: Any, support: np.ndarray, room: float) -> ScaledArray[float]:
    """Return a lower bound of the objective on a support.

    For any x on it 1/2 |y - Ax|^2 exceeds the least value by 1/2 |Q (y - Ax)|^2, where Q projects
    onto the range of the columns; `sparseopt.inverse.least_squares` bounds such norms.
    """
    fit = Fit(problem.system, room, support)
    units = np.ldexp(1.0, -np.frexp(fit.norms)[1])
    matrix = fit.scaled.dense() * units
    x = np.zeros(matrix.shape[1])
    for _ in range(2):  # any x will do; this one makes the bound good
        x = x + units * np.linalg.lstsq(matrix, fit.residual(x)[0])[0]
    residual, off = fit.residual(x)
    low = norm_within(residual, off)[0]
    missed = above(off + fit.projection(residual), 2)
    value = below(0.5 * low * low, 3) - above(0.5 * missed * missed, 4)
    if missed > 2.0**-20 * low:
        # Nearly dependent columns, whose best x is far away: |y - Qy|^2 = |y|^2 - |Qy|^2.
        whole = norm_within(fit.target)[0]
        seen = above(fit.projection(fit.target) / room, 2 + int(2**4 * (room - 1.0)))
        value = max(value, below(0.5 * whole * whole, 3) - above(0.5 * seen * seen, 4))
    # The difference is rounded less than what was taken off the first square.
    return ScaledArray(max(0.0, value), 2 * fit.unit)


def objective_on(problem: Any, x: np.ndarray, room: float) -> ScaledArray[float]:
    """Return an upper bound of the objective."""
    fit = Fit(problem.system, room)
    high = norm_within(*fit.residual(fit.coefficients(x)))[1]
    return ScaledArray(above(0.5 * high * high, 3) if high else 0.0, 2 * fit.unit)


def in_subset_units(subsets: Subsets, unit: int, value: float) -> float:
    """Return twice an objective in the units of `Subsets`, rounded up."""
    return 2.0 * ScaledArray(value, -2 * (unit + subsets.target_unit)).above()


@proves(CardinalityRegression)
@json_type
@dataclass(frozen=True, eq=False)
class SubsetCertificate(Certificate):
    """Proves a lower bound over all supports of a size, and so how far one is from the best.

    Supports are the paths of a tree: places in `order`, ascending. Every support is part of one
    of full size, and columns that are zero, equal or opposite to others are left out, because a
    support with them spans no more than one without. A set of places is closed if all full
    supports that continue it are shown, by one bound of `sparseopt.inverse.subset_bounds`, to do
    no better than `dual`; otherwise its continuations are examined. One place before full size
    there is a bound for each last place. Supports for which that is not good enough are singled
    out, and bounded one by one.

    The work of a check is counted first; a certificate that asks for more than a minute's work is
    refused. Where `order` is empty, `dual` bounds least squares with all columns, and so all
    supports.

    Attributes
    ----------
    order : ndarray of int
        The columns, distinct ones only, in the order of the tree.
    closed : tuple of ndarray of int
        For each number of places from 0 to size - 2, which of the sets are closed, by their number
        among the continuations of those that are not.
    singled_out : ndarray of int, shape (count, size)
        Columns of supports.
    primal, dual : float
        The objective is at most `primal`; no x with as few nonzeros has one below `dual`.

    Examples
    --------
    >>> import sparseopt as so
    >>> problem = so.CardinalityRegression([[1, 0, 1], [0, 1, 1], [0, 0, 1]], [4, -3, 1], size=2)
    >>> certificate = so.solve(problem).certificate
    >>> round(certificate.primal, 12), certificate.accuracy < 1e-12
    (0.5, True)
    """

    problem: CardinalityRegression
    answer: Coefficients
    order: np.ndarray
    closed: tuple[np.ndarray, ...]
    singled_out: np.ndarray
    primal: float
    dual: float

    def __post_init__(self) -> None:
        for name, ndim in (("order", 1), ("singled_out", 2)):
            object.__setattr__(self, name, _indices(getattr(self, name), name, ndim))
        if not isinstance(self.closed, list | tuple):
            raise ProblemError("closed must be a list of vectors")
        object.__setattr__(self, "closed", tuple(_indices(v, "closed", 1) for v in self.closed))
        for name in ("primal", "dual"):
            object.__setattr__(self, name, as_figure(getattr(self, name), name))

    @classmethod
    def build(
        cls,
        problem: CardinalityRegression,
        x: np.ndarray,
        dual: float = 0.0,
        order: np.ndarray | None = None,
        closed: tuple[np.ndarray, ...] = (),
        singled_out: np.ndarray | None = None,
    ) -> tuple[Coefficients, Self]:
        """Return `x` as an answer, and its certificate.

        Parameters
        ----------
        problem : CardinalityRegression
        x : ndarray, shape (n,)
            With at most `size` nonzeros.
        dual, order, closed, singled_out
            See the attributes. Without an order, `dual` is what all columns together prove.
        """
        if order is None:
            order = np.zeros(0, dtype=np.intp)
            columns = distinct_columns(Fit(problem.system))
            dual = 0.0
            m, n = problem.shape
            # As many columns as rows fit everything, as a rule.
            if len(columns) < m or m * n * min(m, n) <= _CHEAP:
                dual = least_on(problem, columns, ROOM).below()
        if singled_out is None:
            singled_out = np.zeros((0, problem.size), dtype=np.intp)
        primal = objective_on(problem, x, ROOM).above()
        answer = Coefficients(x)
        return answer, cls(problem, answer, order, closed, singled_out, primal, dual)

    @property
    def gap(self) -> float:
        """The objective exceeds the least one by at most this."""
        return above(self.primal - self.dual) if self.primal > self.dual else 0.0

    @property
    def accuracy(self) -> float:
        """The gap over the least objective, or over one as good as zero if that is more."""
        floor = below(UNIT * objective_at_zero(self.problem.target), 2)
        return over(self.gap, max(self.dual, floor))

    @property
    def relative_gap(self) -> float:
        """An upper bound of the gap over the least objective, however small that is."""
        return over(self.gap, self.dual)

    @property
    def claim(self) -> str:
        """What is proved."""
        return (
            f"x has at most {self.problem.size} nonzeros and an objective of at most "
            f"{shown_above(self.primal, 10)}, and no such vector has one below "
            f"{shown_below(self.dual, 10)}"
        )

    def check(self, steps: Steps) -> None:
        """Bound the supports again, set by set of the tree."""
        problem, n = self.problem, self.problem.shape[1]
        kind, x = type(self.answer), self.answer.x
        steps.require(kind is Coefficients, "the answer is Coefficients", kind.__name__)
        steps.require(x.shape == (n,), f"x has one entry for each of {n} columns", str(x.shape))
        require_kinds(steps, problem.system, x)
        count = int(np.count_nonzero(x))
        steps.require(count <= problem.size, f"x has at most {problem.size} nonzeros", str(count))
        found = objective_on(problem, x, 1.0)
        text = f"the objective is at most {self.primal!r}, rounding included"
        steps.require(found.at_most(self.primal), text, repr(found.above()))
        steps.require(math.isfinite(self.dual), f"the minimum is at least {self.dual!r}")
        if self.dual <= 0.0:
            steps.note("no objective is negative")
            return
        fit = Fit(problem.system)
        columns = distinct_columns(fit)
        if len(self.order) == 0:
            self._check_on(steps, columns, "with all columns together")
            return
        steps.require(
            np.array_equal(np.sort(self.order), columns),
            "the order holds each of the distinct columns once",
        )
        steps.require(
            problem.size < len(columns), "there are more distinct columns than may be used"
        )
        self._check_singled_out(steps)
        self._check_tree(steps, Subsets(fit, self.order), fit.unit)

    def _check_on(self, steps: Steps, columns: np.ndarray, where: str) -> None:
        own = least_on(self.problem, columns, 1.0)
        text = f"{where} the minimum is at least {self.dual!r}"
        found = f"at least {own.below()!r} on {columns.tolist()}"
        steps.require(own.at_least(self.dual), text, found)

    def _check_singled_out(self, steps: Steps) -> None:
        chosen, k = self.singled_out, self.problem.size
        steps.require(
            chosen.shape[1] == k and len(chosen) <= MOST_SINGLED,
            f"at most {MOST_SINGLED} supports of {k} columns are singled out",
            str(chosen.shape),
        )
        inside = bool(np.isin(chosen, self.order).all())
        steps.require(inside, "they consist of columns of the order")
        for support in chosen:
            self._check_on(steps, support, "on a support that is singled out")

    def _check_tree(self, steps: Steps, subsets: Subsets, unit: int) -> None:
        k, places = self.problem.size, len(self.order)
        steps.require(len(self.closed) == k - 1, f"there are {k - 1} levels before the last one")
        least = in_subset_units(subsets, unit, self.dual)
        sets, work = np.zeros((1, 0), dtype=PLACES), 0
        for depth, closed in enumerate(self.closed):
            inside = bool((closed < len(sets)).all()) and len(np.unique(closed)) == len(closed)
            steps.require(inside, "the closed sets are sets of their level, none listed twice")
            for part in subsets.chunks(sets[closed]):
                low = float(subsets.nodes(part, k - depth, least).min(initial=math.inf))
                text = "no continuation of a closed set does better than the bound"
                steps.require(low >= least, text, f"{low!r} for {least!r}")
            open_sets = np.delete(sets, closed, axis=0)
            # Counted before they are made.
            count = int(continuations(open_sets, places, k).sum())
            work += work_of(count, depth + 1, places) + len(closed) * places**2
            bounded = count <= MOST_SETS and work <= MOST_WORK
            found = f"{count} sets, {work} multiplications"
            steps.require(bounded, "the work of the check is bounded", found)
            sets = children(open_sets, places, k)
        known = {tuple(sorted(support)) for support in self.singled_out.tolist()}
        text = "every support that the bounds of the tree leave open is singled out"
        for part in subsets.chunks(sets):
            rows, last = np.nonzero(subsets.leaves(part, least) < least)
            for i, j in zip(rows.tolist(), last.tolist(), strict=True):
                support = tuple(sorted(self.order[[*part[i].tolist(), j]].tolist()))
                steps.require(support in known, text, str(support))


def _indices(value: Any, name: str, ndim: int) -> np.ndarray:
    array = as_array(value, name)
    if array.ndim != ndim or (array.size and array.dtype.kind not in "iu"):
        raise ProblemError(f"{name} must be an array of indices with {ndim} axes")
    if array.size and int(array.min()) < 0:
        raise ProblemError(f"{name} holds {int(array.min())}, which is not an index")
    return read_only((as_int64(array, name) if array.size else array).astype(np.intp))
