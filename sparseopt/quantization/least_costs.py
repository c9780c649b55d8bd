"""A proven lower bound of what every product of rounded vectors costs.

Every piece of one vector is gone through, with the best other vector for it: a lower bound from the
sums of `Sweep` for most pieces, the exact cost in rationals for the few whose bound is not above
the cost in question. Where midpoints of several sizes are `CLOSE` to each other their order may be
wrong, and pieces between them are not those that are meant. There both numbers are about as near,
so that the vectors that were gone through cost at most `tie_loss` more than those that were meant:
for the best v, ``cost(u, v)`` is a constant and ``|v|^2 |c x - u|^2``, and ``c |v| <= |y|``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from sparseopt.judging.rounding import UNIT, float_above, gamma
from sparseopt.quantization.exact import dot, rounded_multiples, scaled
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.quantization.pieces import CLOSE, Side, Sweep

MOST_PIECES = 1 << 28
"""Of one vector; more would take many minutes."""
AT_ONCE = 1 << 16
"""Pieces that are held at once, about."""
EXACT_WORK = 1 << 14
"""Entries of vectors whose cost is computed in rationals; what is beyond keeps its bound."""


@dataclass(frozen=True, eq=False)
class Vector:
    """One of the two vectors: entries, weights, format."""

    values: np.ndarray
    weights: np.ndarray
    form: NumberFormat

    def side(self) -> Side:
        """Return it brought near 1."""
        return Side.of(self.values, self.weights, self.form)

    @property
    def pieces(self) -> int:
        """How many pieces it has, at most: midpoints of all entries."""
        if self.form.is_finite:
            return len(self.values) * len(self.form.positive_numbers())
        return len(self.values) << (self.form.digits - 1)

    def products(
        self, side: Side, numbers: np.ndarray, powers: np.ndarray
    ) -> tuple[Fraction, Fraction]:
        """Return ``<x, u>`` and ``|u|^2`` for magnitudes u of the kept entries, exactly."""
        x, a, u = np.abs(self.values[side.kept]), self.weights[side.kept], numbers
        return dot(a, x, u, powers=powers), dot(a, u, u, powers=2 * powers)

    def left_out(self, side: Side) -> Fraction:
        """Return what the entries that a side leaves out weigh, over ``|x|^2``.

        With them no rounding of the vector, whatever the other one is, costs less than without
        them by more: ``s^2 |v|^2 u^2 - 2 s <y, v> x u`` is at least ``-x^2 <y, v>^2 / |v|^2``.
        """
        x, a = (np.delete(z, side.kept) for z in (self.values, self.weights))
        return dot(a, x, x) / dot(self.weights, self.values, self.values)


class Near:
    """Collects the least cost of what is not proved to cost as much as something found.

    Parameters
    ----------
    found : Fraction
        The cost in question.
    entries : int
        Of both vectors.
    rooms : int
        Where too many costs would have to be computed exactly the bounds in floats stand for them,
        less so many times a thousandth of how far they are below: another machine rounds otherwise.
    """

    def __init__(self, found: Fraction, entries: int, rooms: int) -> None:
        # Zero costs 1.
        self.least, self._rooms = min(found, Fraction(1)), rooms
        self.found = float_above(found)
        self._left = max(EXACT_WORK // entries, 16)

    def open(self, bounds: np.ndarray, counts: np.ndarray) -> Iterator[int]:
        """Yield where an exact cost is needed: `take` it. NaN are open, too."""
        bounds = np.nan_to_num(bounds, nan=0.0)
        places = np.flatnonzero(counts & (bounds < self.found))
        places = places[np.argsort(bounds[places], kind="stable")]
        if len(places) > self._left:
            bound = Fraction(float(bounds[places[self._left]]))
            self.take(bound - self._rooms * abs(Fraction(self.found) - bound) / 1024)
            places = places[: self._left]
        self._left -= len(places)
        yield from places.tolist()

    def take(self, cost: Fraction) -> None:
        """Take a cost in."""
        self.least = min(self.least, cost)


@dataclass(frozen=True, eq=False)
class Pieces:
    """Figures of all states of a sweep.

    Attributes
    ----------
    rates : ndarray
        ``<x, u> / |u|^2``; 1 for u = 0.
    square : ndarray
        ``|u|^2``.
    off : float
        Relative errors of the two, together.
    angle : ndarray
        Lower bounds of ``|x|^2 - <x, u>^2 / |u|^2``; infinity for u = 0.
    """

    rates: np.ndarray
    square: np.ndarray
    off: float
    angle: np.ndarray

    @classmethod
    def of(cls, sweep: Sweep) -> Pieces:
        """Compute them; the angle in two ways, the one fit for near, the other for far vectors."""
        row, x2 = sweep.row(np.arange(len(sweep))), sweep.side.square
        cross, square, off = sweep.products()
        zero = np.arange(len(sweep)) < sweep.zeros
        cross, square = np.where(zero, 1.0, cross), np.where(zero, 1.0, square)
        loss = gamma(sweep.side.terms + 32)
        error, apart_error = sweep.along_error[row], sweep.apart_error[row]
        along, apart = sweep.along, np.abs(sweep.apart)
        near = x2 * sweep.apart - along**2 - loss * (x2 * apart + along**2)
        near -= x2 * apart_error + (2.0 * np.abs(along) + error) * error
        far = x2 - cross * cross / square - 8.0 * off * x2
        # What left the range of floats, or is no number, bounds nothing.
        angle = np.nan_to_num(np.maximum(near / square * (1.0 - 4.0 * off), far), posinf=0.0)
        return cls(cross / square, square, 4.0 * off, np.where(zero, math.inf, angle.clip(0.0)))


@np.errstate(all="ignore")  # see `Joint.least`
def least_angle(vector: Vector, found: Fraction, rooms: int) -> Fraction:
    """Return a lower bound, at most `found`, of ``1 - <x, u>^2 / (|x|^2 |u|^2)`` over all u."""
    if vector.pieces > MOST_PIECES:
        return Fraction(0)
    side = vector.side()
    near, loss = Near(found, len(vector.values), rooms), tie_loss(side)
    square = dot(vector.weights, vector.values, vector.values)
    for low, high in side.parts(AT_ONCE):
        sweep = Sweep(side, low, high)
        bounds = Pieces.of(sweep).angle / side.square * (1.0 - gamma(side.terms + 8))
        losses = np.where(sweep.is_unclear(), float(loss), 0.0)
        # Not the rounding to zero, the first state.
        counts = sweep.is_wide() & (np.arange(len(sweep)) >= sweep.zeros)
        for state in near.open(bounds - losses, counts):
            s1, s2 = vector.products(side, *sweep.vector(state))
            cost = 1 - s1 * s1 / (square * s2)
            near.take(cost - Fraction(float(losses[state])))
    return max(near.least - vector.left_out(side), Fraction(0))


def tie_loss(side: Side) -> Fraction:
    """Return what pieces that were told apart wrongly may cost more, over ``|x|^2 |y|^2``.

    Entry by entry ``|c x - u|^2`` is larger by at most ``2 step CLOSE c x``, a step at most the
    coarseness times ``2 c x``.
    """
    return 8 * Fraction(CLOSE) * Fraction(side.ladder.coarseness)


def distances(side: Side, rates: np.ndarray) -> np.ndarray:
    """Return lower bounds of ``|c y - v|^2`` over all v, for many c > 0, over ``|y|^2``."""
    low, high = rates.min() * (1.0 - 1e-12), rates.max() * (1.0 + 1e-12)
    powers = np.zeros(len(rates), dtype=np.int64)
    if side.is_periodic and high >= 2.0 * low:
        low, high = 1.0, 2.0
        mantissas, powers = np.frexp(rates)
        rates, powers = 2.0 * mantissas, powers - 1
    sweep = Sweep(side, low, high)
    state = np.searchsorted(sweep.at, rates)
    row = sweep.row(state)
    along, apart, y2 = sweep.along[state], sweep.apart[state], side.square
    aside = rates - sweep.scales[row]
    found = aside * aside * y2 + 2.0 * aside * along + apart
    sizes = aside * aside * y2 + 2.0 * np.abs(aside * along) + np.abs(apart)
    room = sweep.apart_error[row] + 2.0 * np.abs(aside) * sweep.along_error[row]
    # The last: entries whose midpoint is close, see `tie_loss`.
    room += gamma(side.terms + 32) * sizes + float(tie_loss(side)) * rates * rates * y2
    least = np.maximum(found - 2.0 * room, 0.0) / y2
    return np.ldexp(least * (1.0 - gamma(side.terms + 8)), 2 * powers)


@dataclass(frozen=True)
class Joint:
    """Both vectors are rounded, to formats without a free scale.

    Attributes
    ----------
    x, y : Vector
        The first is gone through. If only one format is F_t it is that of y: for the other one a
        factor of 2 counts, unless ``is_scaled``.
    is_scaled : bool
        Whether the product is also scaled by any power of two.
    """

    x: Vector
    y: Vector
    is_scaled: bool

    def powers(self, inner: Side, rates: np.ndarray, base: int) -> range:
        """Return the powers of two by which v may be scaled for any of the rates.

        Above them all entries of v are rounded to zero, below them all are the largest number
        even for a power more, which is then nearer. As sizes are within `FAR` nothing underflows.
        """
        if inner.is_periodic:
            return range(1)
        if not self.is_scaled:
            return range(base, base + 1)
        numbers = inner.ladder.numbers
        assert numbers is not None
        least = rates.min() * inner.sizes.min() / numbers[-1]
        most = 2.0 * rates.max() * inner.sizes.max() / numbers[1]
        return range(math.frexp(least)[1] - 3, math.frexp(most)[1] + 2)

    def exact(self, inner: Side, s1: Fraction, s2: Fraction, power: int) -> Fraction:
        """Return the relative cost of u, given by its products, and the best v ``2**power``."""
        y, two = self.y, scaled(Fraction(1), power)
        sizes = np.abs(y.values[inner.kept])
        v = rounded_multiples(s1 / s2 / two, sizes, y.form.grid)
        q1, q2 = y.products(inner, *v)
        return 1 + two * (two * s2 * q2 - 2 * s1 * q1) / self.square

    @cached_property
    def square(self) -> Fraction:
        """``|x|^2 |y|^2``."""
        x, y = self.x, self.y
        return dot(x.weights, x.values, x.values) * dot(y.weights, y.values, y.values)

    @np.errstate(all="ignore")
    def least(self, found: Fraction, rooms: int) -> Fraction:
        """Return a lower bound, at most `found`, of the relative cost of all u and v.

        Sums over vectors that span all floats may leave their range: a bound that is no number then
        is 0, so that the cost is computed in rationals; without a rate nothing is proved.
        """
        if max(self.x.pieces, self.y.pieces) > MOST_PIECES:
            return Fraction(0)
        outer, inner = self.x.side(), self.y.side()
        base = int(-outer.powers[0] - inner.powers[0])
        near = Near(found, len(self.x.values) + len(self.y.values), rooms)
        for low, high in outer.parts(AT_ONCE):
            sweep = Sweep(outer, low, high)
            pieces, wide = Pieces.of(sweep), sweep.is_wide()
            losses = np.where(sweep.is_unclear(), float(tie_loss(outer)), 0.0)
            kept = np.flatnonzero(wide & (pieces.angle < math.inf))
            if not kept.size:
                continue
            rates = pieces.rates[kept]
            if not ((rates > 0.0) & (rates < math.inf)).all():
                return Fraction(0)
            for power in self.powers(inner, rates, base):
                bounds = joint_bounds(inner, pieces, kept, rates, power, outer) - losses[kept]
                for i in near.open(bounds, np.ones(len(kept), dtype=bool)):
                    products = self.x.products(outer, *sweep.vector(int(kept[i])))
                    cost = self.exact(inner, *products, 0 if inner.is_periodic else power - base)
                    near.take(cost - Fraction(float(losses[kept[i]])))
        return max(near.least - self.x.left_out(outer) - self.y.left_out(inner), Fraction(0))


def joint_bounds(
    inner: Side, pieces: Pieces, kept: np.ndarray, rates: np.ndarray, power: int, outer: Side
) -> np.ndarray:
    """Return lower bounds of the relative cost of states with the best v times ``2**power``.

    The distance of ``c y`` to the numbers changes by at most ``|y|`` times the change of c.
    """
    moved = np.ldexp(rates, -power)
    off = pieces.off + 8.0 * UNIT
    apart = np.maximum(np.sqrt(distances(inner, moved)) * (1.0 - 4.0 * UNIT) - off * moved, 0.0)
    square = pieces.square[kept] * (1.0 - off)
    cost = pieces.angle[kept] + square * np.ldexp(apart * apart, 2 * power)
    return np.nan_to_num(cost / outer.square * (1.0 - gamma(outer.terms + 64)), posinf=0.0)
