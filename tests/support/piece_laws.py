"""What holds of the pieces of one vector: `Side`, `Sweep` and their bounds, against rationals.

Each law says whether it holds of a vector, or of a part of its scales.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from rank_one_oracle import grid_of, inner, nearest

import sparseopt as so
from sparseopt.judging.rounding import UNIT, gamma
from sparseopt.quantization.exact import scaled
from sparseopt.quantization.least_costs import (
    Pieces,
    Vector,
    distances,
    tie_loss,
)
from sparseopt.quantization.pieces import CLOSE, LEAST_WIDTH, Ladder, Side, Sweep

FORMS = ("F1", "F3", "F5", "int4", "e2m1", "e4m3")
LAST = Fraction(1, 2**40)
"""Far above what floats lose here, far below what matters."""
K = 2.0**50 + 2.0**48 + 1.0
"""5 K has all digits of a float; products with 3/2 have more."""
MANY = np.sin(np.arange(1.0, 25.0)) * 3.7
VECTORS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "some": (np.array([1 / 3, -0.7, 1.1, 0.0, 0.1]), np.array([1.0, 0.3, 0.7, 1.0, 5.0])),
    "one": (np.array([1.7]), np.array([0.4])),
    "a power of two": (np.array([2.0**-600]), np.array([3.0])),
    "many": (MANY, np.ones(24)),
    "equal": (np.repeat([0.3, 0.9, 1.5], [5, 30, 2]), np.linspace(0.5, 1.5, 37)),
    "met together": (np.array([1.25, 1.5, 1.0, 3.0, 0.75, 7.0]), np.ones(6)),
    "met together, of all digits": (np.array([3.0 * K, 5.0 * K]), np.ones(2)),
    "just apart": (np.array([3.0 * K, 5.0 * K + 1.0]), np.ones(2)),
    "close": (np.array([1.0, 1.0 - 8.0 * UNIT, 1.5, 1.5 + 4.0 * UNIT, 0.8]), np.ones(5)),
    "far apart": (np.array([1.0, 1e-9, -3e-6]), np.array([1.0, 1e9, 2e3])),
    "of large numbers": (MANY[:6] * 1e180, np.full(6, 1e-200)),
}
"""Vectors and weights."""


def exact(values: Any) -> list[Fraction]:
    """Return floats as rationals."""
    return [Fraction(float(v)) for v in values]


def times_powers(values: Any, powers: Any) -> list[Fraction]:
    """Return floats times powers of two, exactly."""
    return [scaled(Fraction(float(v)), int(p)) for v, p in zip(values, powers, strict=True)]


def about(value: Any, right: Fraction, room: Fraction = Fraction(0)) -> bool:
    """Whether a float is near a rational."""
    return abs(Fraction(float(value)) - right) <= LAST * right + room


def brought_near_one(vector: Vector) -> bool:
    """Whether a side is what was given, but for powers of two; entries of a size are one."""
    x, a, side = np.abs(vector.values), vector.weights, vector.side()
    group = list(side.group)
    heavy = times_powers(a[side.kept], 2 * side.powers)
    shares = [Fraction(0)] * len(side.sizes)
    for k, weight in zip(group, heavy, strict=True):
        shares[k] += weight
    ratio = Fraction(float(side.weights[0])) / shares[0]
    parts = [w * s * s for w, s in zip(exact(side.weights), exact(side.sizes), strict=True)]
    return (
        times_powers(side.sizes[side.group], side.powers) == exact(x[side.kept])
        and np.array_equal(side.kept, np.flatnonzero(x * (a > 0.0)))
        and bool((np.diff(side.sizes) > 0.0).all())
        and all(about(w, ratio * share) for w, share in zip(side.weights, shares, strict=True))
        and about(side.square, sum(parts, Fraction(0)))
        and Fraction(1, 16) < max(parts) < 4 * len(group)
        and side.terms == len(side.sizes) + max(map(group.count, group))
        and 1.0 <= side.sizes[-1] < 2.0
        and (not side.is_periodic or side.sizes[0] >= 1.0)
    )


def kept_to_the_border(form: str, values: Any, weights: Any) -> list[int]:
    """Return the entries that a side keeps."""
    return Side.of(np.array(values), np.array(weights), so.NumberFormat(form)).kept.tolist()


def some_states(sweep: Sweep) -> list[int]:
    """Return states of a sweep, up to twenty, the first and the last among them."""
    last = len(sweep) - 1
    return sorted({*range(0, last, last // 13 + 1), *range(min(5, last)), max(last - 1, 0), last})


def numbers_at(sweep: Sweep, state: int) -> list[Fraction]:
    """Return the number of each size at a state: one for each midpoint that was passed."""
    side = sweep.side
    places = side.ladder.place(sweep.low * side.sizes)
    np.add.at(places, sweep._entry[:state], 1)
    return exact(side.ladder.number(places))


def states_are_roundings(vector: Vector, low: float, high: float) -> bool:
    """Whether states that are wide are the entries times a scale, rounded to nearest."""
    side = vector.side()
    sweep = Sweep(side, low, high)
    edges = [low, *sweep.at.tolist(), high if high < math.inf else 2.0 * sweep.at[-1]]
    pairs = list(itertools.pairwise(edges))
    wide = [a < b for a, b in pairs]
    good = list(sweep.is_wide()) == wide and list(np.diff(sweep.at) >= 0.0).count(False) == 0
    for state in some_states(sweep):
        a, b = pairs[state]
        numbers = numbers_at(sweep, state)
        own = times_powers(*sweep.vector(state))
        powers = side.powers if side.is_periodic else 0 * side.powers
        good &= own == [scaled(numbers[g], int(p)) for g, p in zip(side.group, powers, strict=True)]
        if b > a * (1.0 + 1e-9):
            c = Fraction((a + b) / 2.0)
            good &= numbers == [nearest(c * s, vector.form) for s in exact(side.sizes)]
    zero = [state for state in some_states(sweep) if not any(numbers_at(sweep, state))]
    return bool(good) and zero == list(range(sweep.zeros))


def sums_hold(vector: Vector, low: float, high: float) -> bool:
    """Whether the sums over r are off by no more than is said, and what is said is as derived."""
    side = vector.side()
    sweep = Sweep(side, low, high)
    x, w = exact(side.sizes), exact(side.weights)
    square, loss = inner(w, x, x), Fraction(side.loss)
    cross, squares = sweep.products()
    good = len(sweep.along) == len(sweep.apart) == len(cross) == len(sweep)
    for state in some_states(sweep):
        row = state // sweep.width
        c = Fraction(float(sweep.scales[row]))
        u = numbers_at(sweep, state)
        r = [c * s - v for s, v in zip(x, u, strict=True)]
        along = Fraction(float(sweep.along[state])) - inner(w, r, x)
        apart = Fraction(float(sweep.apart[state])) - inner(w, r, r)
        error, apart_error = (
            Fraction(float(e[row])) for e in (sweep.along_error, sweep.apart_error)
        )
        good &= abs(along) <= error and -((UNIT * c) ** 2) * square <= apart + apart_error
        good &= apart <= apart_error and sweep.row(np.array([state]))[0] == row
        good &= about(cross[state], inner(w, x, u)) and about(squares[state], inner(w, u, u))
        # The sums of what is added up, of the whole row.
        start, end = row * sweep.width, min((row + 1) * sweep.width, len(sweep)) - 1
        own = numbers_at(sweep, start)
        first = sum(a * abs(c * s - v) * s for a, s, v in zip(w, x, own, strict=True))
        second = sum(a * (c * s - v) ** 2 for a, s, v in zip(w, x, own, strict=True))
        for move in range(start, end):
            i = int(sweep._entry[move])
            below, above = exact(side.ladder.number(sweep._place[move] + np.arange(2)))
            step = above - below
            first += w[i] * step * x[i]
            second += w[i] * step * (step + 2 * abs(c * x[i] - below))
        # What is added up in floats is off by a unit of c x, as r is.
        room = loss * c * c * square * Fraction(4 * UNIT)
        good &= about(error, loss * (first + c * square), room)
        good &= about(apart_error, loss * (second + c * first), room)
    near = [sweep.low, *sweep.at[: len(sweep)]]
    return bool(good) and all(s in near for s in sweep.scales)


def room_is_enough(vector: Vector) -> bool:
    """Whether the loss is twice that of the longest sum and 16 operations, and not much more."""
    side = vector.side()
    longest = side.terms + max(LEAST_WIDTH, len(side.sizes)) + 16
    return 2.0 * gamma(longest) <= side.loss <= 8.0 * gamma(longest)


def with_visible_loss(vector: Vector) -> Side:
    """Return the side of a vector as if it had so many entries that rounding lost a thousandth."""
    return replace(vector.side(), terms=1 << 40)


def angles_are_bounds(vector: Vector, low: float, high: float) -> bool:
    """Whether figures of states are right, and angles below the exact ones, by little."""
    side = vector.side()
    sweep = Sweep(side, low, high)
    pieces, x, w = Pieces.of(sweep), exact(side.sizes), exact(side.weights)
    square, good = inner(w, x, x), True
    good &= np.array_equal(pieces.ties, np.where(sweep.is_unclear(), tie_loss(side), 0.0))
    for state in some_states(sweep):
        u = numbers_at(sweep, state)
        size, cross = inner(w, u, u), inner(w, x, u)
        if not size:
            good &= pieces.angle[state] == math.inf and pieces.rates[state] == 1.0
            continue
        angle = 1 - cross * cross / size / square
        found, tie = (Fraction(float(z[state])) for z in (pieces.angle, pieces.ties))
        # Near a vector they are good relatively, at any distance to the last bits.
        row = state // sweep.width
        turns = sweep.scales[min(row + 1, len(sweep.scales) - 1)] < 2.0 * sweep.scales[row]
        least = angle * (1 - 2**10 * LAST) - LAST / (2**4 if turns else 1)
        good &= least <= found + tie and found <= angle - tie * Fraction(9, 10)
        good &= about(pieces.rates[state], cross / size) and about(pieces.square[state], size)
    return bool(good)


def angles_leave_room(vector: Vector, low: float, high: float) -> bool:
    """Whether angles hold whatever the sums are, up to their errors."""
    side = with_visible_loss(vector)
    sweep = Sweep(side, low, high)
    pieces, x, w = Pieces.of(sweep), exact(side.sizes), exact(side.weights)
    square, loss, good = inner(w, x, x), Fraction(side.loss), True
    for state in some_states(sweep):
        u, row = numbers_at(sweep, state), state // sweep.width
        if not any(u):
            continue
        r = [Fraction(float(sweep.scales[row])) * s - v for s, v in zip(x, u, strict=True)]
        errors = (Fraction(float(z[row])) for z in (sweep.along_error, sweep.apart_error))
        along, apart = (
            z + e for z, e in zip((abs(inner(w, r, x)), -inner(w, r, r)), errors, strict=True)
        )
        size, cross = inner(w, u, u), inner(w, x, u)
        most, least = (
            max(
                (-apart - times * loss * inner(w, r, r) - along**2 / square) / size,
                1 - 2 * times * loss - cross**2 / size / square,
                Fraction(0),
            )
            for times in (1, 4)
        )
        found = Fraction(float(pieces.angle[state])) + Fraction(float(pieces.ties[state]))
        good &= least - LAST <= found <= most + LAST
    return bool(good)


def unclear_where_midpoints_are_close(vector: Vector, low: float, high: float) -> bool:
    """Whether states beside midpoints that floats do not tell apart are told, and no others."""
    side = vector.side()
    sweep = Sweep(side, low, high)
    edges = [low, *sweep.at.tolist(), high]
    middles, sizes = exact(side.ladder.middle(sweep._place)), exact(side.sizes[sweep._entry])
    exactly = [m / s for m, s in zip(middles, sizes, strict=True)]
    narrow = [b <= a * (1.0 + 2.0 * CLOSE) for a, b in itertools.pairwise(edges)]
    for state in range(1, len(narrow) - 1):
        narrow[state] &= exactly[state - 1] != exactly[state]
    beside = [any(narrow[max(k - 1, 0) : k + 2]) for k in range(len(narrow))]
    return sweep.is_unclear().tolist() == beside


def least_distance(side: Side, form: so.NumberFormat, rate: float) -> Fraction:
    """Return ``|c y - v|^2`` for the best v, over ``|y|^2``."""
    x, w, c = exact(side.sizes), exact(side.weights), Fraction(rate)
    r = [c * s - nearest(c * s, form) for s in x]
    return inner(w, r, r) / inner(w, x, x)


def distances_are_bounds(vector: Vector, rates: Any) -> bool:
    """Whether distances of multiples are not above the least, and near it."""
    side, rates = vector.side(), np.array(rates)
    found = distances(side, rates)
    right = [least_distance(side, vector.form, rate) for rate in rates.tolist()]
    return all(
        r * (1 - 2**10 * LAST) - LAST * Fraction(rates.max()) ** 2 <= Fraction(float(f)) <= r
        for f, r in zip(found, right, strict=True)
    )


def distances_leave_room(vector: Vector, rates: Any) -> bool:
    """Whether distances hold whatever the sums are, up to their errors."""
    side, rates = with_visible_loss(vector), np.array(rates)
    sweep, found = Sweep(side, rates.min(), rates.max()), distances(side, rates)
    x, w = exact(side.sizes), exact(side.weights)
    square, loss, good = inner(w, x, x), Fraction(side.loss), True
    for rate, distance in zip(rates.tolist(), found.tolist(), strict=True):
        state = int(np.searchsorted(sweep.at, rate))
        row = state // sweep.width
        c = Fraction(float(sweep.scales[row]))
        aside = Fraction(rate) - c
        r = [c * s - v for s, v in zip(x, numbers_at(sweep, state), strict=True)]
        along, apart, moved = inner(w, r, x), inner(w, r, r), aside * aside * square
        error, more = (Fraction(float(z[row])) for z in (sweep.along_error, sweep.apart_error))
        whole = moved + 2 * aside * along + apart - more - 2 * abs(aside) * error
        most, least = (
            max((whole - times * loss * (moved + apart)) / square, Fraction(0)) for times in (2, 8)
        )
        room = LAST * (moved + apart) / square
        good &= least - room <= Fraction(distance) <= most + room
    return bool(good)


def ties_cost_at_most(form: so.NumberFormat) -> bool:
    """Whether no step between numbers, for a midpoint that is close, costs more than is said."""
    numbers = grid_of(form) if not form.is_finite else [Fraction(0), *grid_of(form)]
    costs = [
        2 * (b - a) * Fraction(CLOSE) * c / (c * c)
        for a, b in itertools.pairwise(numbers)
        for c in [(a + b) / 2]
    ]
    side = Side.of(np.ones(1), np.ones(1), form)
    return max(costs) <= Fraction(tie_loss(side)) <= 8 * max(costs)


def steps_of(form: so.NumberFormat) -> bool:
    """Whether numbers, midpoints and places are those of the format, and the limit counts them."""
    ladder, numbers = Ladder.of(form), grid_of(form)
    here = ladder.place(np.array([float(v) for v in numbers]))
    middles = [(a + b) / 2 for a, b in itertools.pairwise(numbers)]
    between = [(3 * a + b) / 4 for a, b in itertools.pairwise(numbers)]
    side = Side.of(np.array([1.3, 1.7]), np.ones(2), form)
    vector = Vector(np.array([1.3, 1.7]), np.ones(2), form)
    first, last = side.counts(*side.whole)
    return (
        exact(ladder.number(here)) == numbers
        and np.diff(here).tolist() == [1] * (len(numbers) - 1)
        and exact(ladder.middle(here[:-1])) == middles
        and ladder.place(np.array([float(v) for v in between])).tolist() == here[:-1].tolist()
        and vector.pieces == int((last - first).sum())
    )


def parts_make_up(vector: Vector, most: int) -> bool:
    """Whether parts follow each other through the whole, and hold about as many pieces as asked."""
    side = vector.side()
    parts, whole = side.parts(most), side.whole
    counts = [len(Sweep(side, low, high).at) for low, high in parts]
    return (
        (parts[0][0], parts[-1][1]) == whole
        and all(a[1] == b[0] for a, b in itertools.pairwise(parts))
        and sum(counts) == vector.pieces
        and max(counts) <= 1.3 * most
        and len(parts) <= 1 + 1.3 * sum(counts) / most
    )
