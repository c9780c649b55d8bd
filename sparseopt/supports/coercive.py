"""The coercive objective and lower bounds of it, with all rounding.

For factors X, Y with supports let P = 1/2 |A - X Y|^2 + decay/2 (|X|^2 + |Y|^2). Write C_g for the
sum of the q_g terms with one rectangle R_g.

Lower bound by norms. Since |x|^2 + |y|^2 >= 2 |x||y| and by the triangle inequality,
decay/2 (|X|^2 + |Y|^2) >= decay sum |C_g|_*. So for every matrix Z, zero outside the rectangles,
with spectral norms |Z_g|_2 <= decay on all of them,

    P - D(Z) >= 1/2 |A - sum C_g - Z|^2 + sum_g (decay |C_g|_* - <C_g, Z>) >= 0
    for D(Z) = <A, Z> - 1/2 |Z|^2 + 1/2 |A outside the rectangles|^2.

Every multiple of a matrix by at most decay / max |Z_g|_2 will do: none can prove anything false.

Lower bound by windows. Let W_g be a rectangle inside R_g whose cells no other group covers. Leaving
out all other cells, and restricting C_g to W_g, which raises neither rank nor nuclear norm, P is at
least the sum over g of the minima of 1/2 |A_W - C|^2 + decay |C|_* over C of rank q_g. A component
with one rectangle is its own window, and there the bound is the optimum: balanced factors of C_g
reach decay |C_g|_*.

Lower bound by intervals. Where a component has one rectangle R_g and besides only terms on one cell
e inside it, P is at least F(c) = phi(A - c e) + decay |c| for c the sum of the latter and phi(B) as
before, of rank q_g. phi(B) = 1/2 |B|^2 - 1/2 sum_{i <= q} (s_i(B) - decay)_+^2, and the last sum is
convex in B (a monotone convex function of singular values), so F(c) - c^2 / 2 is concave on an
interval [a, b] of one sign and at least its chord there: F(c) is at least the chord of F less
(c - a)(b - c) / 2, a parabola. Beyond the last interval F(c) >= decay |c|.

Zero terms. Let p be a bound of P for some factors and r = sqrt(2 (p - D(Z))), of one component. For
optimal factors, R = A - sum C_g has |R - Z| <= r; and if C_g were not 0, decay would be a singular
value of R_g. So |Z_g|_2 + r < decay proves C_g = 0, and with it, as optimal factors have
sum |x_k||y_k| = |C_g|_*, all its terms. A term alone with copies vanishes if |A_g|_2 < decay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparseopt.judging.exact import counts
from sparseopt.judging.figures import NormSum
from sparseopt.judging.rounding import TINY, UNIT, above, gamma, sum_terms
from sparseopt.judging.scaling import (
    exponent_of,
    largest_part,
    times_power,
    times_power_not_to_zero,
)
from sparseopt.supports.components import joined_terms, same_rectangle
from sparseopt.supports.problem import FixedSupportFactorization
from sparseopt.supports.singular_values import (
    singular_value_bounds,
    thresholded_below,
)

_WILD = np.errstate(over="ignore", under="ignore", invalid="ignore")
"""Wild numbers overflow here; what comes out is not finite, and no check accepts it."""
_ENTRIES = 1 << 18
"""Of a stack of matrices, at most."""
_MOST = 2.0**300
_LARGEST_FACTOR = 2.0**60
"""Of factors, where the target has size 1: numbers that underflow, times this, stay below TINY."""


@dataclass(frozen=True, eq=False)
class Group:
    """Terms with one rectangle, whose rows and columns are counted within the component."""

    terms: list[int]
    rows: np.ndarray
    columns: np.ndarray

    @cached_property
    def block(self) -> tuple[np.ndarray, ...]:
        """Index of the rectangle in an array of the component."""
        return np.ix_(self.rows, self.columns)


@dataclass(frozen=True, eq=False)
class Part:
    """A component: its terms, rows, columns, which cells it covers, and its rectangles."""

    terms: list[int]
    rows: np.ndarray
    columns: np.ndarray
    cells: np.ndarray
    groups: list[Group]

    @property
    def place(self) -> tuple[np.ndarray, ...]:
        """Index of the component in an array of the target's shape."""
        return np.ix_(self.rows, self.columns)

    @property
    def left(self) -> tuple[np.ndarray, ...]:
        """Index of its terms in X."""
        return np.ix_(self.rows, np.array(self.terms))

    @property
    def right(self) -> tuple[np.ndarray, ...]:
        """Index of its terms in Y."""
        return np.ix_(np.array(self.terms), self.columns)


def parts_of(left: np.ndarray, right: np.ndarray) -> list[Part]:
    """Return the components of two supports."""
    found = []
    for terms in joined_terms(left, right):
        x, y = left[:, terms], right[terms]
        rows, columns = np.flatnonzero(x.any(axis=1)), np.flatnonzero(y.any(axis=0))
        x, y = x[rows], y[:, columns]
        groups = [
            Group(
                [terms[k] for k in same], np.flatnonzero(x[:, same[0]]), np.flatnonzero(y[same[0]])
            )
            for same in same_rectangle(x, y)
        ]
        cells = counts(x, y) > 0
        found.append(Part(terms, rows, columns, cells, groups))
    return found


@dataclass(frozen=True, eq=False)
class Evidence:
    """What lower bounds are made of, besides the target.

    Attributes
    ----------
    dual_point : array (m, n) or None
        The matrix Z; its multiples are taken as they fit. None for zero.
    windows : int array (m, n) or None
        For each cell the first term of the group whose window it belongs to, or -1.
    intervals : mapping of int to array
        For a component with one rectangle and one cell: its first term to the ends of intervals,
        ascending, 0 among them.
    """

    dual_point: np.ndarray | None = None
    windows: np.ndarray | None = None
    intervals: Mapping[int, np.ndarray] | None = None


@dataclass(frozen=True)
class Bounds:
    """Proven bounds in scaled units, of one component or of all.

    Attributes
    ----------
    low, primal : float
        The objective of the factors lies between them.
    dual : float
        No factors have an objective below.
    zeros : list of int
        Terms that vanish in all optimal factors.
    """

    low: float
    primal: float
    dual: float
    zeros: list[int]

    @property
    def gap(self) -> float:
        """The objective exceeds the least one by at most this."""
        return 0.0 if self.primal <= self.dual else above(self.primal - self.dual)


class CoerciveBounds:
    """Evaluates objective and lower bounds of one problem.

    In scaled units: the target times 4^-k with its largest entry in [1/4, 1), decay in proportion,
    factors times 2^-k, so objectives times 16^-k.

    Parameters
    ----------
    problem : FixedSupportFactorization
        With a decay above 0.
    room : float
        Every bound of rounding is taken that many times. With 1 all bounds hold for the exact
        numbers; whoever builds a certificate takes 3, so that they hold by another's evaluation.
    """

    def __init__(self, problem: FixedSupportFactorization, room: float = 1.0) -> None:
        self.room = room
        self.half = -(-exponent_of(largest_part(problem.target)) // 2)
        self.target = self.scaled(problem.target, -2 * self.half)
        self._nonzero = problem.target != 0  # scaling may lose what is tiny
        self.left, self.right = problem.supports
        decay = float(times_power(problem.decay, -2 * self.half))
        # A smaller decay gives smaller objectives: lower bounds may take one in the safe range.
        self.decay_low = min(decay, _MOST) if decay > 2.0**-900 else 0.0
        self.decay_high = max(decay, 2.0**-900)

    @staticmethod
    def scaled(array: np.ndarray, exponent: int) -> np.ndarray:
        """Return an array in double precision times a power of two."""
        dtype = np.complex128 if array.dtype.kind == "c" else np.float64
        return np.asarray(times_power(array.astype(dtype), exponent))

    def original_above(self, value: float) -> float:
        """Return an upper bound, in units of the target, of an objective in scaled units."""
        found = float(times_power(value, 4 * self.half))
        return (
            found
            if times_power(found, -4 * self.half) >= value
            else math.nextafter(found, math.inf)
        )

    def original_below(self, value: float) -> float:
        """Return a lower bound, in units of the target, of an objective in scaled units."""
        found = float(times_power(value, 4 * self.half))
        exact = times_power(found, -4 * self.half) <= value
        return found if exact else max(math.nextafter(found, -math.inf), 0.0)

    @cached_property
    def parts(self) -> list[Part]:
        """The components of the supports."""
        return parts_of(self.left, self.right)

    @cached_property
    def outside(self) -> tuple[float, float]:
        """A lower and an upper bound of 1/2 |A|^2 over the cells that nothing covers."""
        covered = counts(self.left, self.right) > 0
        rest = NormSum()
        rest.add(self.target[~covered])
        figure = rest.figure()
        low, high = figure.low(self.room), figure.high(self.room)
        lost = TINY if self._nonzero[~covered].any() else 0.0
        return max(0.5 * low**2 * (1.0 - 8.0 * UNIT) - lost, 0.0), (
            0.5 * high**2 * (1.0 + 8.0 * UNIT) + lost
        )

    @_WILD
    def bounds(self, left: np.ndarray, right: np.ndarray, evidence: Evidence) -> list[Bounds]:
        """Return the bounds component by component, and last those of terms that cover nothing."""
        x, y = (times_power_not_to_zero(self.scaled(f, 0), -self.half) for f in (left, right))
        found = [self._part(part, x, y, evidence) for part in self.parts]
        used = {k for part in self.parts for k in part.terms}
        rest = [k for k in range(x.shape[1]) if k not in used]
        nothing = np.zeros((0, 0))
        nowhere = np.zeros((0, 0), bool)
        low, high = self._objective(nothing, nowhere, nowhere, x[:, rest], y[rest])
        return [*found, Bounds(low, high, 0.0, rest)]

    def _objective(
        self,
        block: np.ndarray,
        cells: np.ndarray,
        nonzero: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
    ) -> tuple[float, float]:
        """Return a lower and an upper bound of the objective of terms on a component.

        The product is off by gamma(r) of the sum of the products of norms, see `bounds`.
        """
        room = self.room
        columns, rows = np.linalg.norm(x, axis=0), np.linalg.norm(y, axis=1)
        size = float(columns @ rows)
        if not max(columns.max(initial=0.0), rows.max(initial=0.0)) < _LARGEST_FACTOR:
            return 0.0, math.inf
        residual = NormSum()
        residual.add(np.where(cells, block - x @ y, 0.0) if block.size else block)
        norm = residual.figure()
        terms = sum_terms(x.shape[1] + 4, x, y)
        off = 1.01 * room * gamma(terms) * size + 2.0 * room * UNIT * norm.value
        if nonzero.any() or (x.any() and y.any()):
            off += TINY
        low, high = max(norm.low(room) - off, 0.0), norm.high(room) + off
        squares = NormSum()
        squares.add(x)
        squares.add(y)
        size_figure = squares.figure()
        least, most = size_figure.low(room), size_figure.high(room)
        penalty = self.decay_high * most**2 + TINY if most else 0.0
        return (
            0.5 * (low**2 + self.decay_low * least**2) * (1.0 - 8.0 * UNIT),
            0.5 * (high**2 + penalty) * (1.0 + 8.0 * UNIT),
        )

    def _part(self, part: Part, x: np.ndarray, y: np.ndarray, evidence: Evidence) -> Bounds:
        block = np.where(part.cells, self.target[part.place], 0.0)
        x, y = x[part.left], y[part.right]
        nonzero = part.cells & self._nonzero[part.place]
        low, high = self._objective(block, part.cells, nonzero, x, y)
        if len(part.groups) == 1:
            least, most = singular_value_bounds(block, self.room)
            dual = float(thresholded_below(least, len(part.terms), self.decay_low, self.room))
            zeros = part.terms if most[0] < self.decay_low else []
            return Bounds(low, high, dual, list(zeros))
        dual, zeros = self._by_norms(part, block, high, evidence)
        if evidence.windows is not None:
            dual = max(dual, self._by_windows(part, block, evidence.windows[part.place]))
        ends = (evidence.intervals or {}).get(part.terms[0])
        if ends is not None:
            dual = max(dual, self._by_intervals(part, block, ends))
        return Bounds(low, high, dual, zeros)

    def _by_norms(
        self, part: Part, block: np.ndarray, primal: float, evidence: Evidence
    ) -> tuple[float, list[int]]:
        """Return the lower bound by the dual point, and the terms that it proves to be zero."""
        z = evidence.dual_point
        if z is None:
            return 0.0, []
        z = np.where(part.cells, self.scaled(z[part.place], -2 * self.half), 0.0)
        norms = [float(singular_value_bounds(z[g.block], self.room)[1][0]) for g in part.groups]
        # TINY is what the scaling of z and target loses: the scaled z itself is the dual point.
        t = min(1.0, self.decay_low / max(norms) * (1.0 - 4.0 * UNIT))
        terms = self.room * gamma(sum_terms(block.shape[1] + 4, block, z))
        size = float(np.vecdot(np.abs(block), np.abs(z)).sum())
        inner = math.fsum(np.vecdot(block, z).real.tolist()) - 1.01 * terms * size
        norm = NormSum()
        norm.add(z)
        square = norm.figure().high(self.room) ** 2
        lost = self.room * (8.0 * UNIT * (t * abs(inner) + t * t * square) + TINY)
        dual = max(t * inner - 0.5 * t * t * square - lost, 0.0)
        if not (math.isfinite(dual) and math.isfinite(primal)):
            return 0.0, []
        reach = math.sqrt(2.0 * max(primal - dual, 0.0)) * (1.0 + 8.0 * UNIT)
        zeros = [
            k
            for g, norm_bound in zip(part.groups, norms, strict=True)
            if (t * norm_bound + reach) * (1.0 + 8.0 * UNIT) < self.decay_low
            for k in g.terms
        ]
        return dual, sorted(zeros)

    def _by_windows(self, part: Part, block: np.ndarray, windows: np.ndarray) -> float:
        """Return the lower bound by windows, the smallest rectangles around the cells of a label.

        Those that are not inside their group's, or not exclusive, count nothing.
        """
        cover = np.zeros(block.shape, int)
        for group in part.groups:
            cover[group.block] += 1
        total = 0.0
        for group in part.groups:
            mine, own = windows == group.terms[0], np.zeros(block.shape, bool)
            own[group.block] = True
            place = np.ix_(mine.any(axis=1), mine.any(axis=0))
            if not mine.any() or not own[place].all() or cover[place].max() > 1:
                continue
            least = singular_value_bounds(block[place], self.room)[0]
            rank = len(group.terms)
            total += float(thresholded_below(least, rank, self.decay_low, self.room))
        return total * (1.0 - self.room * gamma(len(part.groups) + 4))

    def _by_intervals(self, part: Part, block: np.ndarray, ends: np.ndarray) -> float:
        """Return the lower bound by intervals; 0 where they or the component are not fit."""
        found = one_cell(part)
        ends = self.scaled(np.asarray(ends), -2 * self.half)
        fits = ends.ndim == 1 and bool(np.isfinite(ends).all()) and bool((np.diff(ends) > 0).all())
        if found is None or block.dtype.kind == "c" or not fits or 0.0 not in ends:
            return 0.0
        group, cell = found
        values = self._values_below(block, group, cell, ends)
        # With t = c - a and w = b - a the bound is F(a) + s t - t (w - t) / 2, least at w / 2 - s;
        # a t that is off by some units adds less than their square.
        at_a, at_b, w = values[:-1], values[1:], np.diff(ends)
        slope = (at_b - at_a) / w
        t = np.clip(0.5 * w - slope, 0.0, w)
        size = at_a + at_b + w**2
        least = at_a + slope * t - 0.5 * t * (w - t) - 32.0 * self.room * UNIT * size - TINY
        tail = self.decay_low * min(-ends[0], ends[-1]) * (1.0 - 4.0 * UNIT)
        worst = min(float(least.min(initial=math.inf)), float(tail))
        return worst if 0.0 < worst < math.inf else 0.0

    def _values_below(
        self, block: np.ndarray, group: Group, cell: tuple[int, int], ends: np.ndarray
    ) -> np.ndarray:
        """Return lower bounds of F at numbers c.

        The entry of A - c e rounds, which moves singular values by as much.
        """
        found = np.zeros(len(ends))
        step = max(1, _ENTRIES // block.size)
        for start in range(0, len(ends), step):
            some = slice(start, start + step)
            stack = np.repeat(block[None], len(ends[some]), axis=0)
            stack[:, cell[0], cell[1]] -= ends[some]
            moved = 2.0 * self.room * UNIT * np.abs(stack[:, cell[0], cell[1]]) + TINY
            low = np.maximum(singular_value_bounds(stack, self.room)[0] - moved[:, None], 0.0)
            low = low * (1.0 - 2.0 * UNIT)
            phi = thresholded_below(low, len(group.terms), self.decay_low, self.room)
            sums = phi + self.decay_low * np.abs(ends[some])
            found[some] = np.maximum(sums * (1.0 - 4.0 * self.room * UNIT) - TINY, 0.0)
        return found


def one_cell(part: Part) -> tuple[Group, tuple[int, int]] | None:
    """Return the rectangle of a component that consists of it and one cell inside, and the cell."""
    if len(part.groups) != 2:
        return None
    whole, single = sorted(part.groups, key=lambda g: -g.rows.size * g.columns.size)
    if single.rows.size * single.columns.size != 1:
        return None  # one cell shares cells with the other rectangle only if it is inside
    return whole, (int(single.rows[0]), int(single.columns[0]))
