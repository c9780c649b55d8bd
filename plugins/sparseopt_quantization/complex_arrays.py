"""Many small complex terms at once, in NumPy: the meaning of the compiled passes."""

from __future__ import annotations

import numpy as np

HELD = 1 << 20
"""Pieces that are held at once, about."""
Pair = tuple[np.ndarray, np.ndarray]
"""Real and imaginary parts."""
Vectors = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Real parts, imaginary parts, weights, shape (k, length)."""


def terms(
    left: Vectors,
    right: Vectors,
    u: Pair,
    v: Pair,
    numbers: np.ndarray,
    middles: np.ndarray,
    scales: np.ndarray,
    turns: np.ndarray,
    splits: tuple[float, float],
    again: int,
) -> None:
    """Replace u and v, in place, where a rounding of ``c x``, by parts, costs less.

    It costs ``sum_ij p_i q_j |x_i y_j - u_i v_j|^2``; v is the rounding of ``<u, x> / |u|^2 y``.
    The complex numbers c are those of some arguments: of each, all pieces of the parts of a turned
    x are gone through in the order of ``|c|``. A quarter of a turn changes nothing, nor do powers
    of two.

    Parameters
    ----------
    left, right : parts of x and y, weights
        Without right vectors (length 0) only the angle of u to x counts.
    u, v : parts
        What is there, in F_t.
    numbers, middles, scales, splits
        See `term_arrays.terms`.
    turns : ndarray, shape (turns, 2)
        Cosines and sines of the arguments.
    again : int
        At most so often the best u for v, and the best v for that, are tried at the end.
    """
    (xr, xi, _), (yr, yi, q), (ur, ui), (vr, vi) = left, right, u, v
    count, b, c = xr.shape[0], xr.shape[1], yr.shape[1]
    half = (len(numbers) - 1) // 2
    split_x, split_y = splits
    y2 = _sums(q * (yr * yr + yi * yi)) if c else np.ones(count)
    best = _given(left, right, u, v, y2)
    improved, chosen = np.zeros(count, dtype=bool), np.zeros((count, b, 2))
    rates = np.zeros((count, 2))

    def take(own: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """Take in where a left vector is better than what was there; return where."""
        cost, mr, mi = _costs(left, right, own, split_y, y2, best)
        better = np.flatnonzero(allowed & (cost < best))
        best[better], improved[better], chosen[better] = cost[better], True, own[better]
        rates[better, 0], rates[better, 1] = mr[better], mi[better]
        return better

    # As many arguments at once as there is room for: each step takes as long for few rows.
    together = max(1, HELD // (count * max(2 * b * half, len(scales))))
    for start in range(0, len(turns), together):
        some = turns[start : start + together]
        each = _turned(left, right, best, some, numbers, middles, scales, splits)
        least = each[0].reshape(count, len(some))
        first = least.argmin(axis=1) + np.arange(count) * len(some)
        better = np.flatnonzero(least.min(axis=1) < best)
        places = first[better]
        best[better], improved[better] = each[0][places], True
        chosen[better], rates[better] = each[1][places], each[2][places]
    active = np.flatnonzero(improved)
    for _ in range(again if c else 0):
        own = np.zeros((count, b, 2))
        mr, mi = rates[:, :1], rates[:, 1:]
        tr = _rounded(mr * yr - mi * yi, split_y)
        ti = _rounded(mr * yi + mi * yr, split_y)
        s2 = _sums(q * (tr * tr + ti * ti))
        below = np.where(s2 > 0.0, s2, 1.0)
        mr = (_sums(q * (tr * yr + ti * yi)) / below)[:, None]
        mi = (_sums(q * (tr * yi - ti * yr)) / below)[:, None]
        own[:, :, 0] = _rounded(mr * xr - mi * xi, split_x)
        own[:, :, 1] = _rounded(mr * xi + mi * xr, split_x)
        allowed = np.zeros(count, dtype=bool)
        allowed[active] = True
        active = take(own, allowed & (s2 > 0.0))
        if not active.size:
            break
    ur[improved], ui[improved] = chosen[improved, :, 0], chosen[improved, :, 1]
    mr, mi = rates[:, :1], rates[:, 1:]
    vr[improved] = _rounded(mr * yr - mi * yi, split_y)[improved]
    vi[improved] = _rounded(mr * yi + mi * yr, split_y)[improved]


def _turned(
    left: Vectors,
    right: Vectors,
    given: np.ndarray,
    turns: np.ndarray,
    numbers: np.ndarray,
    middles: np.ndarray,
    scales: np.ndarray,
    splits: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return costs below those given, left vectors and rates, for each term and each argument."""
    left, right = _repeated(left, len(turns)), _repeated(right, len(turns))
    (xr, xi, p), (yr, yi, q) = left, right
    rows, b, c = xr.shape[0], xr.shape[1], yr.shape[1]
    half, every = (len(numbers) - 1) // 2, np.arange(rows)
    cos, sin = (np.tile(z, rows // len(turns))[:, None] for z in turns.T)
    y2 = _sums(q * (yr * yr + yi * yi)) if c else np.ones(rows)
    best, chosen = np.repeat(given, len(turns)), np.zeros((rows, b, 2))
    rates = np.zeros((rows, 2))

    def take(own: np.ndarray, allowed: np.ndarray) -> None:
        cost, mr, mi = _costs(left, right, own, splits[1], y2, best)
        better = np.flatnonzero(allowed & (cost < best))
        best[better], chosen[better] = cost[better], own[better]
        rates[better, 0], rates[better, 1] = mr[better], mi[better]

    turned = np.stack([cos * xr - sin * xi, sin * xr + cos * xi], axis=2)
    flat = turned.reshape(rows, 2 * b)
    size = np.where(flat != 0.0, 2.0 * np.frexp(np.abs(flat))[0], 1.0)
    unit = flat / size  # exact: powers of two
    if not half:
        for scale in scales:
            tried = _rounded(scale * (size * unit), splits[0])
            take(tried.reshape(rows, b, 2), np.ones(rows, dtype=bool))
        return best, chosen, rates
    live = (flat != 0.0) & np.repeat(p > 0.0, 2, axis=1)
    place = np.rint((size - 1.0) * half).astype(np.int64)
    keys = middles[place[:, :, None] + np.arange(half)] * (1.0 / size)[:, :, None]
    keys[~live] = np.inf
    order = np.argsort(keys.reshape(rows, -1), axis=1, kind="stable") // half
    values = numbers[place] * unit
    for e in order.T:
        passed = live[every, e]
        place[every, e] += passed
        values[every, e] = numbers[place[every, e]] * unit[every, e]
        take(values.reshape(rows, b, 2), passed)
    return best, chosen, rates


def _repeated(vectors: Vectors, count: int) -> Vectors:
    """Return each row so many times in turn."""
    xr, xi, p = vectors
    return np.repeat(xr, count, axis=0), np.repeat(xi, count, axis=0), np.repeat(p, count, axis=0)


def _rounded(values: np.ndarray, split: float) -> np.ndarray:
    """Return numbers rounded to the digits that a split stands for."""
    w = split * values
    return w - (w - values)


def _sums(values: np.ndarray) -> np.ndarray:
    """Return the sums of rows, from the left to the right."""
    total = np.zeros(len(values))
    for column in range(values.shape[1]):
        total = total + values[:, column]
    return total


def _costs(
    left: Vectors,
    right: Vectors,
    own: np.ndarray,
    split: float,
    y2: np.ndarray,
    best: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return costs of left vectors with the best right ones, infinity where these are not below
    `best`, and the rates between them."""
    (xr, xi, p), (yr, yi, q) = left, right
    ur, ui, b = own[:, :, 0], own[:, :, 1], own.shape[1]
    s2 = _sums(p * (ur * ur + ui * ui))
    sound = s2 > 0.0
    below = np.where(sound, s2, 1.0)
    mr, mi = _sums(p * (ur * xr + ui * xi)) / below, _sums(p * (ur * xi - ui * xr)) / below
    cost = np.zeros(len(own))
    if b == 2:
        rr = xr[:, 0] * ur[:, 1] - xi[:, 0] * ui[:, 1]
        rr = rr - (xr[:, 1] * ur[:, 0] - xi[:, 1] * ui[:, 0])
        ri = xr[:, 0] * ui[:, 1] + xi[:, 0] * ur[:, 1]
        ri = ri - (xr[:, 1] * ui[:, 0] + xi[:, 1] * ur[:, 0])
        least = y2 * (p[:, 0] * p[:, 1] * (rr * rr + ri * ri))
        sound &= least < best * s2
        cost = least / below
    elif b > 2:
        rr = xr - (mr[:, None] * ur - mi[:, None] * ui)
        ri = xi - (mr[:, None] * ui + mi[:, None] * ur)
        cost = y2 * _sums(p * (rr * rr + ri * ri))
        sound &= cost < best
    tr, ti = mr[:, None] * yr - mi[:, None] * yi, mr[:, None] * yi + mi[:, None] * yr
    rr, ri = tr - _rounded(tr, split), ti - _rounded(ti, split)
    cost = cost + s2 * _sums(q * (rr * rr + ri * ri))
    return np.where(sound, cost, np.inf), mr, mi


def _given(left: Vectors, right: Vectors, u: Pair, v: Pair, y2: np.ndarray) -> np.ndarray:
    """Return the costs of the vectors that are there, with the best factors of the right ones."""
    (xr, xi, p), (yr, yi, q), (ur, ui), (vr, vi) = left, right, u, v
    s2 = _sums(p * (ur * ur + ui * ui))
    below = np.where(s2 > 0.0, s2, 1.0)
    mr = (_sums(p * (ur * xr + ui * xi)) / below)[:, None]
    mi = (_sums(p * (ur * xi - ui * xr)) / below)[:, None]
    rr, ri = xr - (mr * ur - mi * ui), xi - (mr * ui + mi * ur)
    angle = _sums(p * (rr * rr + ri * ri))
    rr, ri = mr * yr - mi * yi - vr, mr * yi + mi * yr - vi
    return np.where(s2 > 0.0, y2 * angle + s2 * _sums(q * (rr * rr + ri * ri)), np.inf)
