"""Compiled passes over many small complex terms; `complex_arrays` does the same in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def _rounded(value: float, split: float) -> float:
    """Return a number rounded to the digits that a split stands for."""
    w = split * value
    return w - (w - value)


@njit(cache=True, nogil=True)
def _cost(
    k: int, left: Any, right: Any, own: np.ndarray, split: float, y2: float, best: float
) -> tuple[float, float, float]:
    """Return the cost of the left vector `own` with the best right one, and the rate between them;
    infinity where it is not below `best`."""
    (xr, xi, p), (yr, yi, q) = left, right
    b, c = xr.shape[1], yr.shape[1]
    s2 = 0.0
    for i in range(b):
        s2 += p[k, i] * (own[i, 0] * own[i, 0] + own[i, 1] * own[i, 1])
    if not s2 > 0.0:
        return np.inf, 0.0, 0.0
    cost = 0.0
    if b == 2:
        rr = xr[k, 0] * own[1, 0] - xi[k, 0] * own[1, 1]
        rr -= xr[k, 1] * own[0, 0] - xi[k, 1] * own[0, 1]
        ri = xr[k, 0] * own[1, 1] + xi[k, 0] * own[1, 0]
        ri -= xr[k, 1] * own[0, 1] + xi[k, 1] * own[0, 0]
        least = y2 * (p[k, 0] * p[k, 1] * (rr * rr + ri * ri))
        if least >= best * s2:
            return np.inf, 0.0, 0.0
        cost = least / s2
    s1r, s1i = 0.0, 0.0
    for i in range(b):
        s1r += p[k, i] * (own[i, 0] * xr[k, i] + own[i, 1] * xi[k, i])
        s1i += p[k, i] * (own[i, 0] * xi[k, i] - own[i, 1] * xr[k, i])
    mr, mi = s1r / s2, s1i / s2
    if b > 2:
        angle = 0.0
        for i in range(b):
            rr = xr[k, i] - (mr * own[i, 0] - mi * own[i, 1])
            ri = xi[k, i] - (mr * own[i, 1] + mi * own[i, 0])
            angle += p[k, i] * (rr * rr + ri * ri)
        cost = y2 * angle
        if cost >= best:
            return np.inf, 0.0, 0.0
    rest = 0.0
    for j in range(c):
        tr, ti = mr * yr[k, j] - mi * yi[k, j], mr * yi[k, j] + mi * yr[k, j]
        rr, ri = tr - _rounded(tr, split), ti - _rounded(ti, split)
        rest += q[k, j] * (rr * rr + ri * ri)
    cost = cost + s2 * rest
    return (cost if cost < best else np.inf), mr, mi


@njit(cache=True, nogil=True)
def _given(k: int, left: Any, right: Any, u: Any, v: Any, y2: float) -> float:
    """Return the cost of the vectors that are there, with the best factor of the right one."""
    (xr, xi, p), (yr, yi, q), (ur, ui), (vr, vi) = left, right, u, v
    s1r, s1i, s2 = 0.0, 0.0, 0.0
    for i in range(xr.shape[1]):
        s1r += p[k, i] * (ur[k, i] * xr[k, i] + ui[k, i] * xi[k, i])
        s1i += p[k, i] * (ur[k, i] * xi[k, i] - ui[k, i] * xr[k, i])
        s2 += p[k, i] * (ur[k, i] * ur[k, i] + ui[k, i] * ui[k, i])
    if not s2 > 0.0:
        return np.inf
    mr, mi = s1r / s2, s1i / s2
    angle, rest = 0.0, 0.0
    for i in range(xr.shape[1]):
        rr = xr[k, i] - (mr * ur[k, i] - mi * ui[k, i])
        ri = xi[k, i] - (mr * ui[k, i] + mi * ur[k, i])
        angle += p[k, i] * (rr * rr + ri * ri)
    for j in range(yr.shape[1]):
        rr = mr * yr[k, j] - mi * yi[k, j] - vr[k, j]
        ri = mr * yi[k, j] + mi * yr[k, j] - vi[k, j]
        rest += q[k, j] * (rr * rr + ri * ri)
    return y2 * angle + s2 * rest


@njit(cache=True, nogil=True)
def terms(
    left: Any,
    right: Any,
    u: Any,
    v: Any,
    numbers: np.ndarray,
    middles: np.ndarray,
    scales: np.ndarray,
    turns: np.ndarray,
    splits: tuple[float, float],
    again: int,
) -> None:
    """Improve u and v, in place; see `complex_arrays.terms`."""
    (xr, xi, p), (yr, yi, q), (ur, ui), (vr, vi) = left, right, u, v
    count, b, c = xr.shape[0], xr.shape[1], yr.shape[1]
    half = (len(numbers) - 1) // 2
    split_x, split_y = splits
    size, unit = np.empty(2 * b), np.empty(2 * b)
    inverse, ahead = np.empty(2 * b), np.empty(2 * b)
    place, final = np.empty(2 * b, dtype=np.int64), np.empty(2 * b, dtype=np.int64)
    own, chosen = np.empty((b, 2)), np.empty((b, 2))
    for k in range(count):
        y2 = 0.0
        for j in range(c):
            y2 += q[k, j] * (yr[k, j] * yr[k, j] + yi[k, j] * yi[k, j])
        if c == 0:
            y2 = 1.0
        best = _given(k, left, right, u, v, y2)
        improved, rate_r, rate_i = False, 0.0, 0.0
        for turn in range(len(turns)):
            cos, sin = turns[turn, 0], turns[turn, 1]
            live = 0
            for i in range(b):
                own[i, 0] = cos * xr[k, i] - sin * xi[k, i]
                own[i, 1] = sin * xr[k, i] + cos * xi[k, i]
                for part in range(2):
                    j, value = 2 * i + part, own[i, part]
                    mantissa, _ = math.frexp(abs(value))
                    size[j] = 2.0 * mantissa if value != 0.0 else 1.0
                    unit[j] = value / size[j]  # exact: a power of two
                    ahead[j] = np.inf
                    if half:
                        inverse[j] = 1.0 / size[j]
                        place[j] = round((size[j] - 1.0) * half)
                        final[j] = place[j] + half
                        own[i, part] = numbers[place[j]] * unit[j]
                        if value != 0.0 and p[k, i] > 0.0:
                            live += 1
                            ahead[j] = middles[place[j]] * inverse[j]
            for step in range(live * half if half else len(scales)):
                if half:
                    e = 0
                    for j in range(1, 2 * b):
                        if ahead[j] < ahead[e]:
                            e = j
                    place[e] += 1
                    own[e // 2, e % 2] = numbers[place[e]] * unit[e]
                    ahead[e] = middles[place[e]] * inverse[e] if place[e] < final[e] else np.inf
                else:
                    for j in range(2 * b):
                        value = scales[step] * (size[j] * unit[j])
                        own[j // 2, j % 2] = _rounded(value, split_x)
                cost, mr, mi = _cost(k, left, right, own, split_y, y2, best)
                if cost < best:
                    best, improved, rate_r, rate_i = cost, True, mr, mi
                    chosen[:] = own
        if not improved:
            continue
        for i in range(b):
            ur[k, i], ui[k, i] = chosen[i, 0], chosen[i, 1]
        # The best left vector for the right one, and so on, while that makes it better.
        for _ in range(again):
            s1r, s1i, s2 = 0.0, 0.0, 0.0
            for j in range(c):
                tr = rate_r * yr[k, j] - rate_i * yi[k, j]
                ti = rate_r * yi[k, j] + rate_i * yr[k, j]
                tr, ti = _rounded(tr, split_y), _rounded(ti, split_y)
                s1r += q[k, j] * (tr * yr[k, j] + ti * yi[k, j])
                s1i += q[k, j] * (tr * yi[k, j] - ti * yr[k, j])
                s2 += q[k, j] * (tr * tr + ti * ti)
            if not s2 > 0.0:
                break
            mr, mi = s1r / s2, s1i / s2
            for i in range(b):
                own[i, 0] = _rounded(mr * xr[k, i] - mi * xi[k, i], split_x)
                own[i, 1] = _rounded(mr * xi[k, i] + mi * xr[k, i], split_x)
            cost, mr, mi = _cost(k, left, right, own, split_y, y2, best)
            if not cost < best:
                break
            best, rate_r, rate_i = cost, mr, mi
            for i in range(b):
                ur[k, i], ui[k, i] = own[i, 0], own[i, 1]
        for j in range(c):
            vr[k, j] = _rounded(rate_r * yr[k, j] - rate_i * yi[k, j], split_y)
            vi[k, j] = _rounded(rate_r * yi[k, j] + rate_i * yr[k, j], split_y)
