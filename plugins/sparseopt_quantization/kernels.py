"""Compiled passes over the pieces of a vector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from sparseopt_quantization.limits import NOTHING


@njit(cache=True, nogil=True, inline="always")
def _number(place: int, digits: int, listed: np.ndarray, middle: bool) -> float:
    """Return a number by its place, or what is halfway to the next."""
    if listed.size:
        return 0.5 * (listed[place] + listed[place + 1]) if middle else listed[place]
    half = 1 << (digits - 1)
    octave = place >> (digits - 1)
    value = (half + (place & (half - 1)) + (0.5 if middle else 0.0)) / half
    while octave > 0:
        value *= 2.0
        octave -= 1
    return value


@njit(cache=True, nogil=True)
def scales(
    first: np.ndarray, counts: np.ndarray, sizes: np.ndarray, digits: int, listed: np.ndarray
) -> np.ndarray:
    """Return all midpoints over entries, entry by entry."""
    found = np.empty(counts.sum(), dtype=np.float64)
    k = 0
    for i in range(len(sizes)):
        for place in range(first[i], first[i] + counts[i]):
            found[k] = _number(place, digits, listed, True) / sizes[i]
            k += 1
    return found


@njit(cache=True, nogil=True)
def sweep(
    entries: np.ndarray,
    first: np.ndarray,
    sizes: np.ndarray,
    weights: np.ndarray,
    digits: int,
    listed: np.ndarray,
    width: int,
) -> Any:
    """Return the scales in order, those of rows, and the two sums of each piece."""
    count = len(entries)
    place = first.copy()
    at, row_scales = np.empty(count), np.empty(-(-count // width))
    cross, square = np.empty(count + 1), np.empty(count + 1)
    c, row = 1.0, 0
    for p in range(count):
        e = entries[p]
        own, share = sizes[e], weights[e]
        if p % width == 0:
            c = _number(place[e], digits, listed, True) / own
            row_scales[row] = c
            row += 1
            one, two = 0.0, 0.0
            for i in range(len(sizes)):
                r = c * sizes[i] - _number(place[i], digits, listed, False)
                one += r * sizes[i] * weights[i]
                two += r * r * weights[i]
            cross[p], square[p] = one, two
        below = _number(place[e], digits, listed, False)
        above = _number(place[e] + 1, digits, listed, False)
        at[p] = 0.5 * (below + above) / own
        step, rest = above - below, c * own - below
        cross[p + 1] = cross[p] - share * own * step
        square[p + 1] = square[p] + share * step * (step - 2.0 * rest)
        place[e] += 1
    return at, row_scales, cross, square


@njit(cache=True, nogil=True)
def joint(
    outer: Any, outer_sizes: Any, inner: Any, inner_sizes: Any, octaves: bool, power: int
) -> Any:
    """Return the cost of each piece of the outer vector with the best inner one.

    Parameters
    ----------
    outer : (row scales, cross, square)
    inner : (at, row scales, cross, square)
    outer_sizes, inner_sizes : (float, int)
        Squared norm, and pieces of a row.
    octaves : bool
        Whether the inner pieces are those of one octave, which stands for all.
    power : int
        The inner vector is scaled by ``2**power``.
    """
    x_scales, x_cross, x_square = outer
    y_at, y_scales, y_cross, y_square = inner
    (x2, x_width), (y2, y_width) = outer_sizes, inner_sizes
    costs = np.empty(len(x_cross))
    q, count = 0, len(y_at)
    for p in range(len(x_cross)):
        c = x_scales[min(p // x_width, len(x_scales) - 1)]
        s1 = c * x2 - x_cross[p]
        s2 = c * c * x2 - 2.0 * c * x_cross[p] + x_square[p]
        if not (s1 > NOTHING * c * x2 and s2 > NOTHING * c * c * x2):
            costs[p] = x2 * y2
            continue
        rate, back = math.ldexp(s1 / s2, -power), power
        if octaves:
            mantissa, exponent = math.frexp(rate)
            rate, back = 2.0 * mantissa, exponent - 1
        # The piece of this rate: near the last one mostly.
        tries = 0
        while q > 0 and y_at[q - 1] >= rate and tries < 64:
            q -= 1
            tries += 1
        while q < count and y_at[q] < rate and tries < 64:
            q += 1
            tries += 1
        if tries == 64:
            q = int(np.searchsorted(y_at, rate))
        row = min(q // y_width, len(y_scales) - 1)
        aside = rate - y_scales[row]
        apart = aside * aside * y2 + 2.0 * aside * y_cross[q] + y_square[q]
        angle = max(x2 * x_square[p] - x_cross[p] * x_cross[p], 0.0) / s2
        costs[p] = y2 * angle + s2 * math.ldexp(max(apart, 0.0), 2 * back)
    return costs


@njit(cache=True, nogil=True)
def sort(keys: np.ndarray) -> np.ndarray:
    """Return unsigned keys in order.

    Scales lie evenly enough that their first bits put each next to its place: as many buckets as
    keys, and within a bucket insertion. Full buckets, of equal scales, are sorted as usual.
    """
    count, top = len(keys), np.uint64(0)
    for key in keys:
        top = max(top, key)
    bits, width = 0, 0
    while bits < 63 and np.uint64(1) << np.uint64(bits) < count:
        bits += 1
    while width < 64 and top >> np.uint64(width):
        width += 1
    shift = np.uint64(max(width - bits, 0))
    starts = np.zeros((1 << bits) + 2, dtype=np.int64)
    for key in keys:
        starts[np.int64(key >> shift) + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    found = np.empty_like(keys)
    for key in keys:
        own = np.int64(key >> shift) + 1
        found[starts[own]] = key
        starts[own] += 1
    for bucket in range(len(starts) - 2):
        low, high = int(starts[bucket]), int(starts[bucket + 1])
        if high - low > 24:
            found[low:high].sort()
            continue
        for i in range(low + 1, high):
            key, j = found[i], i
            while j > low and found[j - 1] > key:
                found[j] = found[j - 1]
                j -= 1
            found[j] = key
    return found
