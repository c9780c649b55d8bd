"""Many small terms at once, in NumPy: the meaning of the compiled passes, and what stands in."""

from __future__ import annotations

import numpy as np


def terms(
    x: np.ndarray,
    y: np.ndarray,
    p: np.ndarray,
    q: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    numbers: np.ndarray,
    middles: np.ndarray,
    scales: np.ndarray,
    splits: tuple[float, float],
) -> np.ndarray:
    """Replace u and v, in place, where another rounding of ``c x`` costs less.

    It costs ``sum_ij p_i q_j (x_i y_j - u_i v_j)^2``; with v being the rounding of
    ``<x, u> / |u|^2 y``. Without right vectors (c = 0) only the angle of u to x counts.

    Parameters
    ----------
    x, p, u : ndarray, shape (k, b)
        Left vectors, weights, and what is there, in F_t.
    y, q, v : ndarray, shape (k, c)
    numbers, middles : ndarray
        The numbers of F_t in [1, 4], and the midpoints after each: all pieces are gone through. Or
        one number and no midpoint: only `scales` are tried.
    scales : ndarray
        Values of c.
    splits : (float, float)
        ``2**(53 - t) + 1``: rounds to t digits by a product and two differences (Veltkamp).

    Returns
    -------
    ndarray, shape (k,)
        The costs; infinity where nothing counts.
    """
    count, b, c = x.shape[0], x.shape[1], y.shape[1]
    half = (len(numbers) - 1) // 2
    split_x, split_y = splits
    is_zero = x == 0.0
    mantissas, power = np.frexp(np.abs(x))
    power = power.astype(np.int64) - 1
    size, share = 2.0 * mantissas, _ldexp(p, 2 * power)
    size[is_zero], share[is_zero], power[is_zero] = 1.0, 0.0, 0
    own = _ldexp(np.abs(u), -power)
    own = np.where(((u < 0.0) & (x > 0.0)) | ((u > 0.0) & (x < 0.0)), -own, own)
    y2 = _sums(q * y * y) if c else np.ones(count)
    s1, s2 = _sums(share * size * own), _sums(share * own * own)
    sound = s2 > 0.0
    mu = np.where(sound, s1 / np.where(sound, s2, 1.0), 0.0)
    angle = _sums(share * (size - mu[:, None] * own) * (size - mu[:, None] * own))
    rest = _sums(q * (mu[:, None] * y - v) * (mu[:, None] * y - v))
    best = np.where(sound, y2 * angle + s2 * rest, np.inf)
    chosen, rates, improved = own.copy(), np.zeros(count), np.zeros(count, dtype=bool)
    every = np.arange(count)
    steps = len(scales)
    if half:
        place = np.rint((size - 1.0) * half).astype(np.int64)
        own = numbers[place]
        at = place[:, :, None] + np.arange(half)
        keys = middles[at] * (1.0 / size)[:, :, None]
        keys[share == 0.0] = np.inf
        order = np.argsort(keys.reshape(count, -1), axis=1, kind="stable") // half
        steps = b * half
    flat = share[:, 0] * share[:, b - 1]
    for step in range(steps):
        if half:
            e = order[:, step]
            place[every, e] += share[every, e] > 0.0
            own[every, e] = numbers[place[every, e]]
        else:
            t = scales[step] * size
            own = split_x * t - (split_x * t - t)
        s1, s2 = _sums(share * own * size), _sums(share * own * own)
        sound = s2 > 0.0
        if half:  # entries that do not count pass no midpoint
            sound &= share[every, e] > 0.0
        below = np.where(sound, s2, 1.0)
        mu = s1 / below
        if b == 2:
            r = size[:, 0] * own[:, 1] - size[:, 1] * own[:, 0]
            least = y2 * (flat * r * r)
            sound &= least < best * s2
            cost = least / below
        else:
            r = size - mu[:, None] * own
            cost = y2 * _sums(share * r * r)
            sound &= cost < best
        t = mu[:, None] * y
        r = t - (split_y * t - (split_y * t - t))
        cost = cost + s2 * _sums(q * r * r)
        better = np.flatnonzero(sound & (cost < best))
        best[better], rates[better], improved[better] = cost[better], mu[better], True
        chosen[better] = own[better]
    signed = np.copysign(_ldexp(chosen, power), x)
    u[improved] = np.where(is_zero, 0.0, signed)[improved]
    t = rates[:, None] * y
    v[improved] = (split_y * t - (split_y * t - t))[improved]
    return best


def _sums(values: np.ndarray) -> np.ndarray:
    """Return the sums of rows, from the left to the right."""
    total = np.zeros(len(values))
    for column in range(values.shape[1]):
        total = total + values[:, column]
    return total


def _ldexp(values: np.ndarray, powers: np.ndarray) -> np.ndarray:
    return np.ldexp(values, powers.astype(np.int32))


def directions(x: np.ndarray, p: np.ndarray, limit: int, u: np.ndarray) -> None:
    """Set u, in place, to numbers of F_t with the least angle to x, both of two entries.

    By the continued fraction of the ratio of the entries: of all fractions of whole numbers below
    ``limit = 2**t`` the two next to it, and the two next to its half. O(t) for each pair.

    Parameters
    ----------
    x, p, u : ndarray, shape (k, 2)
        p weights the entries.
    """
    mantissas, powers = np.frexp(np.abs(x))
    powers = powers.astype(np.int64)
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    pair = (whole > 0).all(axis=1)
    first, second = np.where(pair, whole[:, 0], 1), np.where(pair, whole[:, 1], 1)
    e0, e1 = powers[:, 0], powers[:, 1].copy()
    small = second < first
    second, e1 = np.where(small, 2 * second, second), np.where(small, e1 - 1, e1)
    shares = [_ldexp(p[:, 0], 2 * e0), _ldexp(p[:, 1], 2 * e1)]
    none = (shares[0] == 0.0) & (shares[1] == 0.0)
    shares = [
        np.where(none, _ldexp(np.ones(len(x)), 2 * (e0 - e1)), shares[0]),
        np.where(none, 1.0, shares[1]),
    ]
    best = np.full(len(x), np.inf)
    found = np.zeros((len(x), 2))
    for more in range(2):
        for n0, h, apart in _neighbours(second, first << more, limit):
            n1 = h << more
            one, two, r = (z.astype(np.float64) for z in (n0, n1, apart))
            s2 = shares[0] * one * one + shares[1] * two * two
            cost = np.where(s2 > 0.0, r * r / np.where(s2 > 0.0, s2, 1.0), np.inf)
            better = cost < best
            best = np.where(better, cost, best)
            found[better] = np.stack([_ldexp(one, e0), _ldexp(two, e1)], axis=1)[better]
    alone = np.where(mantissas > 0.0, _ldexp(np.full(x.shape, 0.5), powers), 0.0)
    u[:] = np.where(pair[:, None], found, alone)
    u[x < 0.0] *= -1.0


def _neighbours(
    a: np.ndarray, b: np.ndarray, limit: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return denominators, numerators and remainders of the fractions next to ``a / b``."""
    one, zero = np.ones_like(a), np.zeros_like(a)
    h0, k0, h1, k1 = zero, one, one, zero
    active = b > 0
    while active.any():
        safe = np.where(b > 0, b, 1)
        whole = a // safe
        steps = np.minimum(whole, np.where(h1 > 0, (limit - 1 - h0) // np.maximum(h1, 1), whole))
        steps = np.minimum(steps, np.where(k1 > 0, (limit - 1 - k0) // np.maximum(k1, 1), whole))
        h, k, r = h0 + steps * h1, k0 + steps * k1, a - steps * b
        h0, k0, a = (np.where(active, new, old) for new, old in ((h1, h0), (k1, k0), (b, a)))
        h1, k1, b = (np.where(active, new, old) for new, old in ((h, h1), (k, k1), (r, b)))
        active &= (steps == whole) & (b > 0)
    return [(k1, h1, b), (k0, h0, a)]


def angles(
    x: np.ndarray,
    p: np.ndarray,
    numbers: np.ndarray,
    middles: np.ndarray,
    costs: np.ndarray,
    found: np.ndarray,
) -> None:
    """Set `found`, in place, to the roundings of ``c x`` of the least angles, the best first.

    Parameters
    ----------
    x, p : ndarray, shape (k, 2)
    numbers, middles : ndarray
        See `terms`.
    costs : ndarray, shape (k, most)
        Infinity; set to ``|x|^2`` times the squared sines of the angles, with weights.
    found : ndarray, shape (k, most, 2)
        Magnitudes, over the powers of two of the entries.
    """
    count, half = len(x), (len(numbers) - 1) // 2
    is_zero = x == 0.0
    mantissas, power = np.frexp(np.abs(x))
    size = np.where(is_zero, 1.0, 2.0 * mantissas)
    share = np.where(is_zero, 0.0, _ldexp(p, 2 * (power - 1)))
    place = np.rint((size - 1.0) * half).astype(np.int64)
    own = numbers[place]
    keys = middles[place[:, :, None] + np.arange(half)] * (1.0 / size)[:, :, None]
    keys[share == 0.0] = np.inf
    order = np.argsort(keys.reshape(count, -1), axis=1, kind="stable") // half
    flat, every = share[:, 0] * share[:, 1], np.arange(count)
    every_cost, every_pair = [costs], [found]
    for e in order.T:
        live = share[every, e] > 0.0
        place[every, e] += live
        own[every, e] = numbers[place[every, e]]
        s2 = _sums(share * own * own)
        r = size[:, 0] * own[:, 1] - size[:, 1] * own[:, 0]
        sound = live & (s2 > 0.0)
        cost = np.where(sound, flat * r * r / np.where(sound, s2, 1.0), np.inf)
        every_cost.append(cost[:, None])
        every_pair.append(own[:, None].copy())
    stacked, pairs = np.concatenate(every_cost, axis=1), np.concatenate(every_pair, axis=1)
    best = np.argsort(stacked, axis=1, kind="stable")[:, : costs.shape[1]]
    # Where there are too few, what was there before comes last.
    costs[:] = np.take_along_axis(stacked, best, axis=1)
    found[:] = np.take_along_axis(pairs, best[:, :, None], axis=1)


def ahead(
    w: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    mus: np.ndarray,
    squares: np.ndarray,
    costs: np.ndarray,
    y: np.ndarray,
    q: np.ndarray,
    numbers: np.ndarray,
    middles: np.ndarray,
    split: float,
    chosen: np.ndarray,
) -> None:
    """Choose, in place, for each two columns of a factor those candidates that suit what follows.

    Parameters
    ----------
    w : ndarray, shape (blocks, 2, m)
        Blocks of the next factor, whose rows are the columns chosen for.
    rows, columns : ndarray of int, shapes (blocks, 2), (blocks, m)
        Numbers of its rows and columns.
    mus, squares, costs : ndarray, shape (columns, most)
        Of each candidate: what its column leaves to the next factor, its squared norm, and the
        error that it makes for certain.
    y, q : ndarray, shapes (k, c)
        Rows of the factor after, their weights.
    numbers, middles, split
        See `terms`.
    chosen : ndarray of int, shape (blocks, 2)
        Which candidates make the error of these and the best next two factors least.
    """
    most, count = mus.shape[1], len(w)
    best = np.full(count, np.inf)
    for first in range(most):
        for second in range(most):
            i0, i1 = rows.T
            total = costs[i0, first] + costs[i1, second]
            for m in range(w.shape[2]):
                k = columns[:, m]
                x = np.stack([mus[i0, first] * w[:, 0, m], mus[i1, second] * w[:, 1, m]], axis=1)
                p = np.stack([squares[i0, first], squares[i1, second]], axis=1)
                least = least_costs(x, y[k], p, q[k], numbers, middles, split)
                total = total + least
            better = total < best
            best[better] = total[better]
            chosen[better] = first, second


def least_costs(
    x: np.ndarray,
    y: np.ndarray,
    p: np.ndarray,
    q: np.ndarray,
    numbers: np.ndarray,
    middles: np.ndarray,
    split: float,
) -> np.ndarray:
    """Return the least cost of each term, see `terms`; 0 for vectors that do not count."""
    u, v = np.zeros_like(x), np.zeros_like(y)
    costs = terms(x, y, p, q, u, v, numbers, middles, np.zeros(0), (1.0, split))
    return np.where(np.isfinite(costs), costs, 0.0)
