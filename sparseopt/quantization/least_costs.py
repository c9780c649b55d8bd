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
from typing import Any

import numpy as np

from sparseopt.judging.rounding import float_above
from sparseopt.quantization.exact import dot, rounded_multiples, scaled
from sparseopt.quantization.number_format import NumberFormat
from sparseopt.quantization.pieces import CLOSE, Side, Sweep

MOST_PIECES = 1 << 28
"""Of one vector, with each power of two that the other's scale may be; more takes many minutes."""
AT_ONCE = 1 << 16
"""Pieces that are held at once, about."""
EXACT_WORK = 1 << 14
"""Entries of vectors whose cost is computed in rationals; what is beyond keeps its bound."""
EXACT_LEAST = 16
"""Vectors whose cost is, whatever their length."""


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
        self.least, self._rooms = min(found, Fraction(1)), Fraction(rooms, 1024)
        self.found = float_above(found)
        self._left = max(EXACT_WORK // entries, EXACT_LEAST)

    def open(self, bounds: np.ndarray) -> Iterator[int]:
        """Yield where an exact cost is needed: `take` it. NaN are open, too."""
        bounds = np.nan_to_num(bounds, nan=0.0)
        places = np.flatnonzero(bounds < self.found)
        places = places[np.argsort(bounds[places], kind="stable")]
        if len(places) > self._left:
            bound = Fraction(float(bounds[places[self._left]]))
            self.take(bound - self._rooms * (Fraction(self.found) - bound))
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
    ties : ndarray
        What was told apart wrongly there may cost so much less, see `tie_loss`.
    angle : ndarray
        Lower bounds of ``1 - <x, u>^2 / (|x|^2 |u|^2)``, less the ties; infinity for u = 0.
    """

    rates: np.ndarray
    square: np.ndarray
    ties: np.ndarray
    angle: np.ndarray

    @classmethod
    def of(cls, sweep: Sweep) -> Pieces:
        """Compute them; the angle in two ways, the one fit for near, the other for far vectors.

        Every sum is off by half the loss, `Side.square` too. Near, this makes one loss of what is
        divided, which is at most ``|r|^2`` where it is positive at all; far, two of 1. This leaves
        as much again for the operations here.
        """
        side, zero = sweep.side, np.arange(len(sweep)) < sweep.zeros
        row, x2, loss = sweep.row(np.arange(len(sweep))), side.square, side.loss
        cross, square = (np.where(zero, 1.0, sums) for sums in sweep.products())
        along = np.abs(sweep.along) + sweep.along_error[row]
        apart = sweep.apart * (1.0 - 2.0 * loss) - sweep.apart_error[row]
        near = (apart - along * along / x2) / square
        far = 1.0 - 4.0 * loss - cross * cross / square / x2
        # What left the range of floats, or is no number, bounds nothing.
        angle = np.nan_to_num(np.maximum(near, far), posinf=0.0).clip(0.0)
        ties = np.where(sweep.is_unclear(), tie_loss(side), 0.0)
        return cls(cross / square, square, ties, np.where(zero, math.inf, angle - ties))


@np.errstate(all="ignore")  # see `Joint.least`
def least_angle(vector: Vector, found: Fraction, rooms: int) -> Fraction:
    """Return a lower bound, at most `found`, of ``1 - <x, u>^2 / (|x|^2 |u|^2)`` over all u."""
    if vector.pieces > MOST_PIECES:
        return Fraction(0)
    side = vector.side()
    near = Near(found, len(vector.values), rooms)
    square = dot(vector.weights, vector.values, vector.values)
    for low, high in side.parts(AT_ONCE):
        sweep = Sweep(side, low, high)
        pieces = Pieces.of(sweep)
        for state in near.open(np.where(sweep.is_wide(), pieces.angle, math.inf)):
            s1, s2 = vector.products(side, *sweep.vector(state))
            near.take(1 - s1 * s1 / (square * s2) - Fraction(float(pieces.ties[state])))
    return max(near.least - vector.left_out(side), Fraction(0))


def tie_loss(side: Side) -> float:
    """Return what pieces that were told apart wrongly may cost more, over ``|x|^2 |y|^2``.

    Entry by entry ``|c x - u|^2`` is larger by at most ``2 step CLOSE c x``, a step at most the
    coarseness times ``2 c x``. Twice that.
    """
    return 8.0 * CLOSE * side.ladder.coarseness


def distances(side: Side, rates: np.ndarray) -> np.ndarray:
    """Return lower bounds of ``|c y - v|^2`` over all v, for many c > 0, over ``|y|^2``.

    But for ties, where it may be less by `tie_loss` times ``c^2``. From the sums over
    ``r = c0 y - v``, as ``c y - v = (c - c0) y + r``; the product of the two is at most the mean of
    their squares. Of these half a loss is in the square of y, as much in both where they are
    divided by it, and the rest is for the operations here.
    """
    powers: Any = 0
    if side.is_periodic:
        # Within an octave, and as near to each other as they are.
        powers = np.frexp(rates / rates.min())[1]
        rates = np.ldexp(rates, -powers)
    sweep = Sweep(side, float(rates.min()), float(rates.max()))
    state = np.searchsorted(sweep.at, rates)
    row = sweep.row(state)
    along, apart, aside = sweep.along[state], sweep.apart[state], rates - sweep.scales[row]
    moved = aside * aside * side.square
    room = sweep.apart_error[row] + 2.0 * np.abs(aside) * sweep.along_error[row]
    room += 4.0 * side.loss * (moved + np.abs(apart))
    least = np.maximum(moved + 2.0 * aside * along + apart - room, 0.0)
    return np.ldexp(least / side.square, 2 * powers)


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

        Where all numbers of v are up to half the largest, half that power has the same v: numbers
        are at most twice what is rounded to them. Where all entries are once and a half the largest
        number or more, twice that power has a nearer v. Nothing underflows: sizes are within `FAR`.
        """
        if inner.is_periodic:
            return range(1)
        if not self.is_scaled:
            return range(base, base + 1)
        assert inner.ladder.numbers is not None
        sizes = inner.sizes / inner.ladder.numbers.max()
        least, most = rates.min() * sizes.min(), rates.max() * sizes.max()
        return range(math.frexp(least)[1] - 1, math.frexp(most)[1] + 2)

    def work(self, inner: Side, base: int) -> int:
        """Return how many pieces with powers of two there are, about."""
        return self.x.pieces * len(self.powers(inner, np.ones(1), base))

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
        if self.work(inner, base) > MOST_PIECES:
            return Fraction(0)
        near = Near(found, len(self.x.values) + len(self.y.values), rooms)
        for low, high in outer.parts(AT_ONCE):
            sweep = Sweep(outer, low, high)
            pieces, wide = Pieces.of(sweep), sweep.is_wide()
            kept = np.flatnonzero(wide & (pieces.angle < math.inf))
            if not kept.size:
                continue
            rates = pieces.rates[kept]
            if not ((rates > 0.0) & (rates < math.inf)).all():
                return Fraction(0)
            for power in self.powers(inner, rates, base):
                bounds = joint_bounds(inner, pieces, kept, rates, power, outer)
                for i in near.open(bounds):
                    products = self.x.products(outer, *sweep.vector(int(kept[i])))
                    cost = self.exact(inner, *products, power - base)
                    near.take(cost - Fraction(float(pieces.ties[kept[i]])))
        return max(near.least - self.x.left_out(outer) - self.y.left_out(inner), Fraction(0))


def joint_bounds(
    inner: Side, pieces: Pieces, kept: np.ndarray, rates: np.ndarray, power: int, outer: Side
) -> np.ndarray:
    """Return lower bounds of the relative cost of states with the best v times ``2**power``.

    The distance of ``c y`` to the numbers, which is at most ``c |y|``, changes by at most ``|y|``
    times the change of c. Rates are off by the loss, once two sums are divided, the two squares by
    half of it each; ``c^2 |u|^2`` is at most ``|x|^2``, which leaves the ties as they are.
    """
    loss, moved = outer.loss, np.ldexp(rates, -power)
    apart = np.maximum(np.sqrt(distances(inner, moved)) - loss * moved, 0.0)
    cost = pieces.square[kept] / outer.square * np.ldexp(apart * apart, 2 * power)
    cost = (pieces.angle[kept] + cost) * (1.0 - 2.0 * loss) - tie_loss(inner)
    return np.nan_to_num(cost, posinf=0.0)
