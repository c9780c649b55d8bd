"""Compiled passes over many small terms; `term_arrays` does the same in NumPy, bit by bit."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def _brought_near(value: float, weight: float) -> tuple[float, float, int]:
    """Return a magnitude in [1, 2), the weight that makes up for it, and the power between."""
    if value == 0.0:
        return 1.0, 0.0, 0
    mantissa, exponent = math.frexp(abs(value))
    return 2.0 * mantissa, math.ldexp(weight, 2 * (exponent - 1)), exponent - 1


@njit(cache=True, nogil=True)
def _pair(
    sizes: tuple[float, float],
    shares: tuple[float, float],
    y: np.ndarray,
    q: np.ndarray,
    k: int,
    y2: float,
    numbers: np.ndarray,
    middles: np.ndarray,
    split: float,
    best: float,
) -> tuple[float, float, float, float]:
    """Return the least cost below `best` of a left vector of two entries, its numbers, its rate."""
    (size0, size1), (share0, share1) = sizes, shares
    half, c = (len(numbers) - 1) // 2, y.shape[1]
    first, second = round((size0 - 1.0) * half), round((size1 - 1.0) * half)
    most0, most1 = first + half, second + half
    n0, n1 = numbers[first], numbers[second]
    inverse0, inverse1 = 1.0 / size0, 1.0 / size1
    ahead0 = middles[first] * inverse0 if share0 > 0.0 else np.inf
    ahead1 = middles[second] * inverse1 if share1 > 0.0 else np.inf
    flat, found0, found1, rate = share0 * share1, 0.0, 0.0, -1.0
    while True:
        if ahead1 < ahead0:
            second += 1
            n1 = numbers[second]
            ahead1 = middles[second] * inverse1 if second < most1 else np.inf
        elif ahead0 < np.inf:
            first += 1
            n0 = numbers[first]
            ahead0 = middles[first] * inverse0 if first < most0 else np.inf
        else:
            return best, found0, found1, rate
        w0, w1 = share0 * n0, share1 * n1
        s2 = w0 * n0 + w1 * n1
        r = size0 * n1 - size1 * n0
        least = y2 * (flat * r * r)
        if not s2 > 0.0 or least >= best * s2:
            continue
        mu, rest = (w0 * size0 + w1 * size1) / s2, 0.0
        for j in range(c):
            t = mu * y[k, j]
            w = split * t
            r = t - (w - (w - t))
            rest += q[k, j] * r * r
        cost = least / s2 + s2 * rest
        if cost < best:
            best, found0, found1, rate = cost, n0, n1, mu


@njit(cache=True, nogil=True)
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
) -> None:
    """Improve u and v, in place; see `term_arrays.terms`."""
    count, b, c = x.shape[0], x.shape[1], y.shape[1]
    half = (len(numbers) - 1) // 2
    split_x, split_y = splits
    size, share, power = np.empty(b), np.empty(b), np.empty(b, dtype=np.int64)
    own, ahead, place = np.empty(b), np.empty(b), np.empty(b, dtype=np.int64)
    final, inverse = np.empty(b, dtype=np.int64), np.empty(b)
    for k in range(count):
        live = 0
        for i in range(b):
            size[i], share[i], power[i] = _brought_near(x[k, i], p[k, i])
            inverse[i] = 1.0 / size[i]
            live += share[i] > 0.0
            own[i] = math.ldexp(abs(u[k, i]), -power[i])
            if (u[k, i] < 0.0 and x[k, i] > 0.0) or (u[k, i] > 0.0 and x[k, i] < 0.0):
                own[i] = -own[i]
        y2 = 0.0
        for j in range(c):
            y2 += q[k, j] * y[k, j] * y[k, j]
        if c == 0:
            y2 = 1.0
        # What the vectors that are there cost.
        s1, s2 = 0.0, 0.0
        for i in range(b):
            s1 += share[i] * size[i] * own[i]
            s2 += share[i] * own[i] * own[i]
        best = np.inf
        if s2 > 0.0:
            mu = s1 / s2
            angle, rest = 0.0, 0.0
            for i in range(b):
                r = size[i] - mu * own[i]
                angle += share[i] * r * r
            for j in range(c):
                r = mu * y[k, j] - v[k, j]
                rest += q[k, j] * r * r
            best = y2 * angle + s2 * rest
        improved, rate = False, 0.0
        steps = len(scales)
        if half and b == 2:
            best, n0, n1, rate = _pair(
                (size[0], size[1]),
                (share[0], share[1]),
                y,
                q,
                k,
                y2,
                numbers,
                middles,
                split_y,
                best,
            )
            steps, improved = 0, rate >= 0.0
            if improved:
                u[k, 0], u[k, 1] = n0, n1
        elif half:
            steps = live * half
            for i in range(b):
                place[i] = round((size[i] - 1.0) * half)
                own[i] = numbers[place[i]]
                ahead[i] = middles[place[i]] * inverse[i] if share[i] > 0.0 else np.inf
                final[i] = place[i] + half
        flat = share[0] * share[b - 1]
        for step in range(steps):
            if half:
                e = 0
                for i in range(1, b):
                    if ahead[i] < ahead[e]:
                        e = i
                place[e] += 1
                own[e] = numbers[place[e]]
                ahead[e] = middles[place[e]] * inverse[e] if place[e] < final[e] else np.inf
            else:
                for i in range(b):
                    t = scales[step] * size[i]
                    w = split_x * t
                    own[i] = w - (w - t)
            s1, s2 = 0.0, 0.0
            for i in range(b):
                w = share[i] * own[i]
                s1 += w * size[i]
                s2 += w * own[i]
            if not s2 > 0.0:
                continue
            if b == 2:
                r = size[0] * own[1] - size[1] * own[0]
                least = y2 * (flat * r * r)
                if least >= best * s2:
                    continue
                mu = s1 / s2
                cost = least / s2
            else:
                mu, angle = s1 / s2, 0.0
                for i in range(b):
                    r = size[i] - mu * own[i]
                    angle += share[i] * r * r
                cost = y2 * angle
                if cost >= best:
                    continue
            rest = 0.0
            for j in range(c):
                t = mu * y[k, j]
                w = split_y * t
                r = t - (w - (w - t))
                rest += q[k, j] * r * r
            cost = cost + s2 * rest
            if cost < best:
                best, improved, rate = cost, True, mu
                for i in range(b):
                    u[k, i] = own[i]
        if improved:
            for i in range(b):
                value = math.ldexp(u[k, i], power[i])
                u[k, i] = value if x[k, i] > 0.0 else (-value if x[k, i] < 0.0 else 0.0)
            for j in range(c):
                t = rate * y[k, j]
                w = split_y * t
                v[k, j] = w - (w - t)


@njit(cache=True, nogil=True)
def directions(x: np.ndarray, p: np.ndarray, limit: int, u: np.ndarray) -> None:
    """Set u to the best pairs of whole numbers below a limit; see `term_arrays.directions`."""
    found = np.empty((4, 3), dtype=np.int64)
    for k in range(x.shape[0]):
        m0, e0 = math.frexp(abs(x[k, 0]))
        m1, e1 = math.frexp(abs(x[k, 1]))
        if m0 == 0.0 or m1 == 0.0:
            u[k, 0] = math.ldexp(0.5, e0) if m0 > 0.0 else 0.0
            u[k, 1] = math.ldexp(0.5, e1) if m1 > 0.0 else 0.0
        else:
            first, second = int(m0 * 9007199254740992.0), int(m1 * 9007199254740992.0)
            if second < first:
                second, e1 = 2 * second, e1 - 1
            share0, share1 = math.ldexp(p[k, 0], 2 * e0), math.ldexp(p[k, 1], 2 * e1)
            if share0 == 0.0 and share1 == 0.0:
                share0, share1 = math.ldexp(1.0, 2 * (e0 - e1)), 1.0
            for more in range(2):
                a, b = second, first << more
                h0, k0, h1, k1 = 0, 1, 1, 0
                while b > 0:
                    whole = a // b
                    steps = whole
                    if h1 > 0:
                        steps = min(steps, (limit - 1 - h0) // h1)
                    if k1 > 0:
                        steps = min(steps, (limit - 1 - k0) // k1)
                    h, m, r = h0 + steps * h1, k0 + steps * k1, a - steps * b
                    h0, k0, a = h1, k1, b
                    h1, k1, b = h, m, r
                    if steps < whole:
                        break
                # Either both neighbours, or the number itself and the convergent before it.
                found[2 * more, 0], found[2 * more, 1], found[2 * more, 2] = k1, h1 << more, b
                found[2 * more + 1, 0], found[2 * more + 1, 1] = k0, h0 << more
                found[2 * more + 1, 2] = a
            best = np.inf
            for j in range(4):
                n0, n1, apart = float(found[j, 0]), float(found[j, 1]), float(found[j, 2])
                s2 = share0 * n0 * n0 + share1 * n1 * n1
                if s2 > 0.0:
                    cost = apart * apart / s2
                    if cost < best:
                        best = cost
                        u[k, 0], u[k, 1] = math.ldexp(n0, e0), math.ldexp(n1, e1)
        for i in range(2):
            if x[k, i] < 0.0:
                u[k, i] = -u[k, i]


@njit(cache=True, nogil=True)
def angles(
    x: np.ndarray,
    p: np.ndarray,
    numbers: np.ndarray,
    middles: np.ndarray,
    costs: np.ndarray,
    found: np.ndarray,
) -> None:
    """Set `found` to the pairs of least angle of each vector; see `term_arrays.angles`."""
    half, most = (len(numbers) - 1) // 2, costs.shape[1]
    for k in range(x.shape[0]):
        size0, share0, _ = _brought_near(x[k, 0], p[k, 0])
        size1, share1, _ = _brought_near(x[k, 1], p[k, 1])
        first, second = round((size0 - 1.0) * half), round((size1 - 1.0) * half)
        most0, most1 = first + half, second + half
        n0, n1 = numbers[first], numbers[second]
        inverse0, inverse1 = 1.0 / size0, 1.0 / size1
        ahead0 = middles[first] * inverse0 if share0 > 0.0 else np.inf
        ahead1 = middles[second] * inverse1 if share1 > 0.0 else np.inf
        flat = share0 * share1
        while True:
            if ahead1 < ahead0:
                second += 1
                n1 = numbers[second]
                ahead1 = middles[second] * inverse1 if second < most1 else np.inf
            elif ahead0 < np.inf:
                first += 1
                n0 = numbers[first]
                ahead0 = middles[first] * inverse0 if first < most0 else np.inf
            else:
                break
            s2 = share0 * n0 * n0 + share1 * n1 * n1
            r = size0 * n1 - size1 * n0
            if not s2 > 0.0:
                continue
            cost = flat * r * r / s2
            if cost < costs[k, most - 1]:
                j = most - 1
                while j > 0 and costs[k, j - 1] > cost:
                    costs[k, j] = costs[k, j - 1]
                    found[k, j, 0], found[k, j, 1] = found[k, j - 1, 0], found[k, j - 1, 1]
                    j -= 1
                costs[k, j], found[k, j, 0], found[k, j, 1] = cost, n0, n1


@njit(cache=True, nogil=True)
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
    """Choose among candidates of each two columns; see `term_arrays.ahead`."""
    most = mus.shape[1]
    sums = np.empty(y.shape[0])
    for k in range(y.shape[0]):
        total = 0.0
        for j in range(y.shape[1]):
            total += q[k, j] * y[k, j] * y[k, j]
        sums[k] = total
    for block in range(w.shape[0]):
        i0, i1 = rows[block, 0], rows[block, 1]
        best = np.inf
        for first in range(most):
            for second in range(most):
                cost = costs[i0, first] + costs[i1, second]
                if not cost < best:
                    continue
                for m in range(w.shape[2]):
                    k = columns[block, m]
                    x0, x1 = mus[i0, first] * w[block, 0, m], mus[i1, second] * w[block, 1, m]
                    size0, share0, _ = _brought_near(x0, squares[i0, first])
                    size1, share1, _ = _brought_near(x1, squares[i1, second])
                    if not (share0 > 0.0 or share1 > 0.0):
                        continue
                    found = _pair(
                        (size0, size1),
                        (share0, share1),
                        y,
                        q,
                        k,
                        sums[k],
                        numbers,
                        middles,
                        split,
                        best,
                    )
                    cost += found[0]
                    if not cost < best:
                        break
                if cost < best:
                    best = cost
                    chosen[block, 0], chosen[block, 1] = first, second
