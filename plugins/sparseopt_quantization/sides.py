"""One vector as the engines go through it: midpoints of its entries in order, sums over pieces."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt_quantization.limits import (
    BYTES,
    COMPILED_FROM,
    DUST,
    FEW,
    NOTHING,
    SECONDS,
    check_time,
)


def has_numba() -> bool:
    """Whether the compiled kernels can be loaded."""
    return importlib.util.find_spec("numba") is not None


@dataclass(frozen=True, eq=False)
class Numbers:
    """The numbers of a format from zero or, for F_t, from 1 to 4.

    Attributes
    ----------
    digits : int
    listed : ndarray
        All numbers of a hardware format, ascending from 0. Empty for F_t, whose number k is
        ``2**(k // h) (1 + (k % h) / h)`` with ``h = 2**(digits - 1)``.
    """

    digits: int
    listed: np.ndarray

    @classmethod
    def of(cls, form: so.NumberFormat) -> Numbers:
        """Return those of a format."""
        listed = np.append(0.0, form.positive_numbers()) if form.is_finite else np.zeros(0)
        return cls(form.digits, listed)

    @property
    def is_periodic(self) -> bool:
        """Whether it is F_t."""
        return not self.listed.size

    def between(self, place: np.ndarray, fraction: float) -> np.ndarray:
        """Return numbers by their places, or what is a fraction of the way to the next one."""
        if self.listed.size:
            low = self.listed[place]
            return low + fraction * (self.listed[place + 1] - low) if fraction else low
        half = 1 << (self.digits - 1)
        return np.exp2(place // half) * (half + place % half + fraction) / half

    def places(self, values: np.ndarray) -> np.ndarray:
        """Return the places of the numbers that values are rounded to."""
        if self.listed.size:
            return np.searchsorted((self.listed[:-1] + self.listed[1:]) / 2.0, values)
        half = 1 << (self.digits - 1)
        octave = np.floor(np.log2(values)).astype(np.int64)
        octave += (np.exp2(octave + 1.0) <= values).astype(np.int64)
        octave -= (np.exp2(octave) > values).astype(np.int64)
        return octave * half + np.rint((values * np.exp2(-octave) - 1.0) * half).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Part:
    """A vector with weights, brought near 1.

    Attributes
    ----------
    sizes, weights : ndarray, shape (k,)
        Magnitudes of the entries that count; for F_t in [1, 2), each with a power of its own that
        the weights make up for.
    kept, powers : ndarray of int, shape (k,)
        Which entries they are; ``sizes 2**powers`` are the magnitudes as given.
    numbers : Numbers
    square : float
    """

    sizes: np.ndarray
    weights: np.ndarray
    kept: np.ndarray
    powers: np.ndarray
    numbers: Numbers
    square: float

    @classmethod
    def of(cls, vector: np.ndarray, weights: np.ndarray, form: so.NumberFormat) -> Part:
        """Return the part of a vector that counts, without what is below `DUST` of the square."""
        (heavy, more), exponents = np.frexp(weights), np.frexp(vector)[1] - 1
        parts = more + 2 * exponents
        kept = np.flatnonzero((vector != 0.0) & (weights > 0.0))
        kept = kept[parts[kept] > parts[kept].max() - DUST]
        powers = exponents[kept]
        if form.is_finite:
            powers = np.full_like(powers, powers.max() + 1)
        sizes = np.ldexp(np.abs(vector[kept]), -powers)
        # Weights times the squares of the powers, over the largest such: only ratios count.
        shares = np.ldexp(heavy[kept], more[kept] + 2 * powers - parts[kept].max())
        square = float(np.dot(shares, sizes * sizes))
        return cls(sizes, shares, kept, powers, Numbers.of(form), square)

    @property
    def pieces(self) -> int:
        """How many pieces there are, about."""
        if self.numbers.is_periodic:
            return len(self.sizes) << (self.numbers.digits - 1)
        return len(self.sizes) * (len(self.numbers.listed) - 1)

    @property
    def width(self) -> int:
        """After how many pieces sums are made afresh."""
        return max(16, len(self.sizes))

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of all entries at the first scale and at the last."""
        if self.numbers.is_periodic:
            first = self.numbers.places(self.sizes)
            return first, first + (1 << (self.numbers.digits - 1))
        zero = np.zeros(len(self.sizes), dtype=np.int64)
        return zero, zero + len(self.numbers.listed) - 1


@dataclass(frozen=True, eq=False)
class Table:
    """Sums for all pieces of a part, in the order of the scales.

    With r = c x - u: ``<r, x>`` and ``|r|^2`` for each piece, c being that of its row, the pieces
    of which are `width` many. ``at`` holds the N scales at the ends of the N + 1 pieces.
    """

    part: Part
    entries: np.ndarray
    first: np.ndarray
    at: np.ndarray
    scales: np.ndarray
    cross: np.ndarray
    square: np.ndarray

    def row(self, piece: Any) -> Any:
        """Return the rows of pieces."""
        return np.minimum(piece // self.part.width, len(self.scales) - 1)

    def products(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ``<x, u>``, ``|u|^2`` and whether u is not almost zero, for each piece."""
        c, x2 = self.scales[self.row(np.arange(len(self.cross)))], self.part.square
        s1, s2 = c * x2 - self.cross, c * c * x2 - 2.0 * c * self.cross + self.square
        sound = (s1 > NOTHING * c * x2) & (s2 > NOTHING * c * c * x2)
        return np.where(sound, s1, 1.0), np.where(sound, s2, 1.0), sound

    def places(self, piece: int) -> np.ndarray:
        """Return the places of all entries in a piece."""
        passed = np.bincount(self.entries[:piece], minlength=len(self.first))
        return self.first + passed


def table(part: Part, compiled: bool) -> Table:
    """Return the sums of all pieces. O(N log N) for N of them."""
    first, last = part.ends()
    entries = _sorted_entries(part, first, last, compiled)
    if compiled:
        from sparseopt_quantization import kernels

        at, scales, cross, square = kernels.sweep(
            entries,
            first,
            part.sizes,
            part.weights,
            part.numbers.digits,
            part.numbers.listed,
            part.width,
        )
    else:
        at, scales, cross, square = _sums(part, entries, first)
    return Table(part, entries, first, at, scales, cross, square)


def _sorted_entries(part: Part, first: np.ndarray, last: np.ndarray, compiled: bool) -> np.ndarray:
    """Return the entries in the order in which they pass midpoints.

    A key holds a scale, which as a positive float sorts like its bits, and the entry in its last
    bits. Where that leaves less than all bits of the scale, those very close together may change
    places, which the check would tell.
    """
    counts = last - first
    bits = max(int(len(part.sizes) - 1).bit_length(), 1)
    if compiled:
        from sparseopt_quantization import kernels

        scales = kernels.scales(first, counts, part.sizes, part.numbers.digits, part.numbers.listed)
    else:
        place = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts - first, counts)
        scales = part.numbers.between(place, 0.5) / np.repeat(part.sizes, counts)
    keys = scales.view(np.uint64)
    keys -= keys.min()
    if shift := 64 - int(keys.max()).bit_length():
        keys <<= np.uint64(min(shift, 63))
    mask = np.uint64((1 << bits) - 1)
    keys &= ~mask
    keys |= np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
    if compiled:
        keys = kernels.sort(keys)
    else:
        keys.sort()
    keys &= mask
    return keys.view(np.int64)


def _sums(
    part: Part, entries: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return scales, those of rows, and the two sums of each piece, in NumPy."""
    x, a, numbers, width = part.sizes, part.weights, part.numbers, part.width
    count, length = len(entries), len(x)
    # The how-many-th time each entry passes a midpoint: its rank among its own.
    order = np.argsort(entries, kind="stable")
    tally = np.bincount(entries, minlength=length)
    place = np.empty(count, dtype=np.int64)
    starts = np.repeat(np.cumsum(tally) - tally - first, tally)
    place[order] = np.arange(count) - starts
    at = numbers.between(place, 0.5) / x[entries]
    rows = -(-count // width)
    scales = at[::width].copy()
    row_of = np.minimum(np.arange(1, count + 1) // width, rows - 1)
    below, above = numbers.between(place, 0.0), numbers.between(place + 1, 0.0)
    step, rest = above - below, scales[row_of] * x[entries] - below
    moves = np.stack([-a[entries] * x[entries] * step, a[entries] * step * (step - 2.0 * rest)])
    passed = np.zeros((rows, length), dtype=np.int64)
    full = (rows - 1) * width
    if rows > 1:
        flat = (np.arange(full) // width + 1) * length + entries[:full]
        passed = np.bincount(flat, minlength=rows * length).reshape(rows, length)
    r = scales[:, None] * x - numbers.between(first + np.cumsum(passed, axis=0), 0.0)
    begin = np.stack([(r * x) @ a, (r * r) @ a])
    sums = np.zeros((2, rows * width + 1))
    sums[:, 1 : count + 1] = moves
    sums[:, 0 : rows * width : width] = begin
    body = np.cumsum(sums[:, :-1].reshape(2, rows, width), axis=2).reshape(2, -1)
    total = np.append(body, np.zeros((2, 1)), axis=1)
    total[:, -1] = body[:, -1] + sums[:, -1]
    return at, scales, total[0, : count + 1].copy(), total[1, : count + 1].copy()


def unbounded(form: so.NumberFormat) -> so.NumberFormat:
    """Return F_t for a format with many exponents: fewer pieces, and numbers enough."""
    many = form.is_finite and len(form.positive_numbers()) >= 2 ** (form.digits + 2)
    return so.significand(form.digits) if many else so.NumberFormat(form.name)


def cheapest(costs: np.ndarray, room: float) -> list[int]:
    """Return the places of the least cost and of all that are as small but for rounding."""
    least = float(costs.min())
    places = np.flatnonzero(costs <= least * (1.0 + 2.0**-36) + room)
    if len(places) > FEW:
        places = np.sort(places[np.argsort(costs[places], kind="stable")[:FEW]])
    return places.tolist()


@dataclass(frozen=True)
class Engine:
    """How tables are made: the memory that they may take, compiled or not, and the clock.

    `kept` are the predicted seconds to judge the answer, see `limits.check_time`.
    """

    memory: float
    compiled: bool | None
    context: so.Context
    kept: float = 0.0

    def check_time(self, doing: str) -> None:
        """Raise `TimeLimitReached` if there is no more time than judging takes."""
        check_time(self.context, self.kept, doing)

    def is_compiled(self, *parts: Part) -> bool:
        """Whether to load the compiled passes for these parts."""
        if self.compiled is not None:
            return self.compiled
        return max(part.pieces for part in parts) >= COMPILED_FROM and has_numba()

    def table(self, part: Part) -> Table:
        """Return the table of a part, if memory allows."""
        return self.tables(part)[0]

    def tables(self, *parts: Part) -> list[Table]:
        """Return the tables of parts, if memory allows."""
        for part in parts:
            if BYTES * part.pieces > self.memory:
                raise so.Inconclusive(
                    f"the best numbers leave the range of the format, and to go through all of it "
                    f"{part.pieces:.2g} pieces take {BYTES * part.pieces / 1e9:.3g} GB; allow that "
                    f"by memory={BYTES * part.pieces:.2g}"
                )
        found = []
        for part in parts:
            seconds = self.kept + SECONDS * part.pieces
            check_time(self.context, seconds, "going through the pieces of a vector")
            found.append(table(part, self.is_compiled(*parts)))
        self.check_time("going through the pieces of a vector")
        return found

    def joint(self, outer: Table, inner: Table, power: int) -> np.ndarray:
        """Return the cost of each piece with the best inner vector, scaled by ``2**power``."""
        is_periodic = inner.part.numbers.is_periodic
        if not self.is_compiled(outer.part, inner.part):
            return _joint(outer, inner, is_periodic, power)
        from sparseopt_quantization import kernels

        return kernels.joint(
            (outer.scales, outer.cross, outer.square),
            (outer.part.square, outer.part.width),
            (inner.at, inner.scales, inner.cross, inner.square),
            (inner.part.square, inner.part.width),
            is_periodic,
            power,
        )


def _joint(outer: Table, inner: Table, is_periodic: bool, power: int) -> np.ndarray:
    """Return the costs in NumPy."""
    s1, s2, sound = outer.products()
    x2, y2 = outer.part.square, inner.part.square
    rates = np.ldexp(s1 / s2, -power)
    back = np.full(len(rates), power)
    if is_periodic:
        mantissas, exponents = np.frexp(rates)
        rates, back = 2.0 * mantissas, back + exponents - 1
    piece = np.searchsorted(inner.at, rates)
    aside = rates - inner.scales[inner.row(piece)]
    apart = aside * aside * y2 + 2.0 * aside * inner.cross[piece] + inner.square[piece]
    angle = np.maximum(x2 * outer.square - outer.cross**2, 0.0) / s2
    costs = y2 * angle + s2 * np.ldexp(np.maximum(apart, 0.0), 2 * back)
    return np.where(sound, costs, x2 * y2)
