"""How the rounding of a scaled vector changes with the scale, with bounds of all rounding errors.

For a vector x with weights a and a scale c > 0 let u(c) be ``c x`` rounded to a format. It changes
where an entry of ``c x`` passes a midpoint. A `Sweep` holds, for each piece between two such
scales, two sums over ``r = c0 x - u`` with some c0 nearby: ``<r, x>`` and ``|r|^2``. In them
everything else is told without cancellation of large numbers:

    <x, u> = c0 |x|^2 - <r, x>,    |u|^2 = c0^2 |x|^2 - 2 c0 <r, x> + |r|^2,
    |x|^2 - <x, u>^2 / |u|^2 = (|x|^2 |r|^2 - <r, x>^2) / |u|^2.

All inner products carry the weights.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from sparseopt.judging.rounding import UNIT, gamma, two_product
from sparseopt.quantization.number_format import NumberFormat

CLOSE = 4.0 * UNIT
"""Midpoints over entries are off by one unit; scales this close are not told apart."""
FAR = 300
"""Powers of two by which an entry may be below the largest of a vector whose format has ends, and a
third of those by which its part of the square may be below the largest part."""
FEW = 64
"""Roundings of a few operations, beside those of a sum; see `Side.loss`."""
LEAST_WIDTH = 16
"""Of the rows of a `Sweep`."""
SAMPLED = 61
"""Pieces, of which one is looked at where a side is cut into parts; no format has a multiple of
this prime."""


@dataclass(frozen=True, eq=False)
class Ladder:
    """The numbers of a format that are not negative, counted; ``middle(j)`` is above number j.

    For F_t number 0 is 1, and the count goes down without end; else it is 0.
    """

    digits: int
    numbers: np.ndarray | None

    @classmethod
    def of(cls, form: NumberFormat) -> Ladder:
        """Return that of a format."""
        if not form.is_finite:
            return cls(form.digits, None)
        return cls(form.digits, np.concatenate([[0.0], form.positive_numbers()]))

    def number(self, place: np.ndarray) -> np.ndarray:
        """Return numbers by their places, exactly."""
        return self._at(place, 0.0)

    def middle(self, place: np.ndarray) -> np.ndarray:
        """Return what is halfway to the next number, exactly; infinity above the last."""
        if self.numbers is None:
            return self._at(place, 0.5)
        middles = np.append((self.numbers[1:] + self.numbers[:-1]) / 2.0, math.inf)
        return middles[place]

    def _at(self, place: np.ndarray, more: float) -> np.ndarray:
        if self.numbers is not None:
            return self.numbers[place]
        half = 1 << (self.digits - 1)
        powers, steps = place >> (self.digits - 1), place & (half - 1)
        return np.ldexp(1.0 + (steps + more) / half, powers)

    def place(self, values: np.ndarray) -> np.ndarray:
        """Return the places of the nearest numbers of positive ones."""
        if self.numbers is not None:
            return np.searchsorted((self.numbers[1:] + self.numbers[:-1]) / 2.0, values)
        mantissas, powers = np.frexp(values)
        half = 1 << (self.digits - 1)
        steps = np.rint((2.0 * mantissas - 1.0) * half).astype(np.int64)
        return (powers.astype(np.int64) - 1) * half + steps

    @property
    def coarseness(self) -> float:
        """The largest step next to a number, over that number."""
        return 2.0 if self.numbers is not None else 2.0 ** (1 - self.digits)


@dataclass(frozen=True, eq=False)
class Side:
    """One vector, brought near 1 by powers of two; entries that are zero or do not count are out.

    So are those that are too `FAR` below others, so that nothing underflows or overflows in what is
    kept: `Vector.left_out` makes up for them. Entries of one size are one: they pass midpoints
    together.

    Attributes
    ----------
    sizes, weights : ndarray, shape (k,)
        Magnitudes, ascending, the largest from 1 to 2. For F_t all are, as each entry has a power
        of two of its own, which the weights make up for.
    terms : int
        Of a sum over all entries that are kept, one after the other: sizes, and weights of a size.
    kept : ndarray of int, shape (l,)
        The entries that count.
    powers, group : ndarray of int, shape (l,)
        ``sizes[group] * 2**powers`` are the magnitudes of these entries.
    ladder : Ladder
    square : float
        The weighted sum of squares, up to `gamma` of its terms.
    """

    sizes: np.ndarray
    weights: np.ndarray
    terms: int
    kept: np.ndarray
    powers: np.ndarray
    group: np.ndarray
    ladder: Ladder
    square: float

    @classmethod
    def of(cls, vector: np.ndarray, weights: np.ndarray, form: NumberFormat) -> Side:
        """Return the side of a vector that counts somewhere."""
        powers, (heavy, more) = np.frexp(vector)[1], np.frexp(weights)
        kept, parts = np.flatnonzero((vector != 0.0) & (weights != 0.0)), more + 2 * powers
        kept = kept[parts[kept] >= parts[kept].max() - 3 * FAR]
        if form.is_finite:
            kept = kept[powers[kept] >= powers[kept].max() - FAR]
            powers = np.full_like(powers, powers[kept].max())
        powers = powers[kept] - 1
        sizes = np.ldexp(np.abs(vector[kept]), -powers)
        alike, group, counts = np.unique(sizes, return_inverse=True, return_counts=True)
        more = more[kept] + 2 * powers - parts[kept].max()
        shares = np.bincount(group, np.ldexp(heavy[kept], more))
        square, terms = float((shares * alike * alike).sum()), len(alike) + int(counts.max())
        return cls(alike, shares, terms, kept, powers, group, Ladder.of(form), square)

    @property
    def is_periodic(self) -> bool:
        """Whether twice a scale gives twice the rounded vector: for F_t."""
        return self.ladder.numbers is None

    @property
    def loss(self) -> float:
        """Twice the relative error of whatever is summed over the entries here, and more.

        A state of a `Sweep` is reached by at most 2 terms + `LEAST_WIDTH` additions: those of the
        first state of its row, and one for each state that follows. This leaves as much again for
        sums of absolute values that are computed themselves, and 16 operations with the sums.
        """
        return gamma(4 * self.terms + FEW)

    @property
    def whole(self) -> tuple[float, float]:
        """The scales that are enough: an octave, or all."""
        return (1.0, 2.0) if self.is_periodic else (0.0, math.inf)

    def counts(self, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
        """Return for each entry the place of its number at two scales."""
        return self.ladder.place(low * self.sizes), self.ladder.place(high * self.sizes)

    def parts(self, most: int) -> list[tuple[float, float]]:
        """Return intervals of scales that make up the whole, of about `most` pieces or fewer."""
        low, high = self.whole
        entry, place = _passed(*self.counts(low, high), SAMPLED)
        at = np.sort(self.ladder.middle(place) / self.sizes[entry])
        each = most // SAMPLED
        return list(itertools.pairwise(np.unique([low, *at[each::each], high]).tolist()))


def _passed(first: np.ndarray, last: np.ndarray, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of an entry and a place from its first to before its last, or some."""
    ends = np.cumsum(last - first)
    pairs = np.arange(0, ends[-1], step)
    entry = np.searchsorted(ends, pairs, side="right")
    return entry, last[entry] - ends[entry] + pairs


class Sweep:
    """All pieces of a side between two scales.

    State number p is that after p midpoints were passed. States are grouped in rows of a width of
    about the length of the vector, each of which begins with sums made afresh.

    Attributes
    ----------
    at : ndarray of float, shape (N,)
        The scales where midpoints are passed, ascending.
    scales, along_error, apart_error : ndarray
        Of each row c0, and bounds of what the next two are off by: of how much the second is too
        large.
    along, apart : ndarray, shape (N + 1,)
        Of each state ``<r, x>`` and ``|r|^2``, with ``r = c0 x - u``.
    """

    def __init__(self, side: Side, low: float, high: float) -> None:
        self.side, self.low, self.high = side, low, high
        self.width = max(LEAST_WIDTH, len(side.sizes))
        self._first, last = side.counts(low, high)
        entry, place = _passed(self._first, last)
        at = side.ladder.middle(place) / side.sizes[entry]
        order = np.argsort(at)
        self.at, self._entry, self._place = at[order], entry[order], place[order]
        self._below = side.ladder.number(self._place)
        self._step = side.ladder.number(self._place + 1) - self._below
        self._row_numbers = side.ladder.number(self._places_of_rows())
        self._sum_up()

    def __len__(self) -> int:
        return len(self.at) + 1

    def row(self, state: np.ndarray) -> np.ndarray:
        """Return the rows of states."""
        return state // self.width

    def _places_of_rows(self) -> np.ndarray:
        """Return the places of all entries at the first state of each row."""
        rows, length = -(-len(self) // self.width), len(self.side.sizes)
        passed = np.bincount(
            (np.arange(len(self.at)) // self.width + 1) * length + self._entry,
            minlength=(rows + 1) * length,
        )
        return self._first + np.cumsum(passed.reshape(-1, length)[:rows], axis=0)

    def _rows(self, first: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """Return what the first states of the rows begin with, and what the others add, by rows."""
        values: np.ndarray = np.zeros(len(first) * self.width)
        values[1 : len(self)] = moves
        values = values.reshape(-1, self.width)
        values[:, 0] = first @ self.side.weights
        return values

    def _running(self, first: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """Return the sums of all states."""
        return np.cumsum(self._rows(first, moves), axis=1).ravel()[: len(self)]

    def _sum_up(self) -> None:
        """Add the sums over r up, from the first state of each row on.

        Entries of c0 x are off by a unit e, those of r by one of themselves. All moves of an entry
        begin with the same rounded ``c0 x``, so that its ``r^2`` is off by ``2 r e - e^2`` once, to
        which ``|r|`` of the row and all its steps are a bound.
        """
        side, x = self.side, self.side.sizes
        starts = np.arange(len(self._row_numbers)) * self.width + 1
        self.scales = self._edges()[np.minimum(starts, len(self.at))]
        r = self.scales[:, None] * x - self._row_numbers
        own, step = x[self._entry], self._step
        share = side.weights[self._entry] * step
        rest = self.scales[self.row(np.arange(1, len(self)))] * own - self._below
        self.along = self._running(r * x, -share * own)
        self.apart = self._running(r * r, share * (step - 2.0 * rest))
        first = self._rows(np.abs(r) * x, share * own).sum(axis=1)
        second = self._rows(r * r, share * (step + 2.0 * np.abs(rest))).sum(axis=1)
        self.along_error = side.loss * (first + self.scales * side.square)
        self.apart_error = side.loss * (second + self.scales * first)

    def products(self) -> tuple[np.ndarray, np.ndarray]:
        """Return ``<x, u>`` and ``|u|^2`` of all states, sums of numbers that are not negative.

        Each is off by half the loss of the side, relatively.
        """
        u, x = self._row_numbers, self.side.sizes
        share = self.side.weights[self._entry] * self._step
        cross = self._running(u * x, share * x[self._entry])
        return cross, self._running(u * u, share * (2.0 * self._below + self._step))

    @property
    def zeros(self) -> int:
        """At how many states, the first ones, the rounded vector is zero: at one or none."""
        return int(not (self.side.is_periodic or self._first.any()))

    def is_wide(self) -> np.ndarray:
        """Whether states belong to more than one scale; the others are beside one that does."""
        edges = self._edges()
        return edges[1:] > edges[:-1]

    def is_unclear(self) -> np.ndarray:
        """Whether midpoints of two sizes were told apart, next to a state, that are too close.

        Where all others are further off, the vector that is meant at any scale is one of the
        states: a single midpoint may be a little to the left or to the right, but what is before
        it and what is after it is there.
        """
        edges = self._edges()
        close = np.zeros(len(self) + 2, dtype=bool)
        close[1:-1] = edges[1:] <= edges[:-1] * (1.0 + 2.0 * CLOSE)
        pairs = np.flatnonzero(close[2:-2])
        close[2 + pairs[self._are_equal(pairs)]] = False
        return close[:-2] | close[1:-1] | close[2:]

    def _are_equal(self, first: np.ndarray) -> np.ndarray:
        """Whether midpoints over sizes are exactly those that come next: all are passed at once."""
        middles = self.side.ladder.middle(self._place)
        own, other = self._entry[first], self._entry[first + 1]
        products = []
        for middle, size in ((first, other), (first + 1, own)):
            (a, e), (b, f) = np.frexp(middles[middle]), np.frexp(self.side.sizes[size])
            products.append((*two_product(a, b), e + f))
        (p, p_rest, e), (q, q_rest, f) = products
        return (np.ldexp(p, e - f) == q) & (np.ldexp(p_rest, e - f) == q_rest)

    def _edges(self) -> np.ndarray:
        return np.concatenate([[self.low], self.at, [self.high]])

    def places(self, state: int) -> np.ndarray:
        """Return the places of all entries at a state."""
        passed = np.bincount(self._entry[:state], minlength=len(self._first))
        return self._first + passed

    def vector(self, state: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the magnitudes of the rounded vector at a state, exactly, where entries count.

        As numbers and powers of two, which are zero but for F_t.
        """
        numbers = self.side.ladder.number(self.places(state))[self.side.group]
        return numbers, self.side.powers if self.side.is_periodic else 0 * self.side.powers
