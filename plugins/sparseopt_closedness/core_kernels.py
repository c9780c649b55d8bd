"""The most violated windows of a lower bound on repairs: plain loops, compiled where numba is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

Kernel = Callable[..., int]


@cache
def compiled(kernel: Kernel, fast: bool) -> Any:
    """Return a kernel, compiled by numba if `fast`."""
    if not fast:
        return kernel
    from numba import njit

    return njit(cache=True, nogil=True)(kernel)


def blockers(left, right, owner, x_price, y_price, row_best, row_at, column_best, column_at):  # type: ignore[no-untyped-def]
    """Fill in the cheapest blocker of every term in every row and column, infinite if none.

    A blocker of term c in row i is a cell (i3, j3) that c owns, as it does (i, j3), with i3 != i.
    `owner` holds the term that owns a cell, or -1.
    """
    (m, r), n = left.shape, right.shape[1]
    row_best[:] = np.inf
    column_best[:] = np.inf
    for c in range(r):
        for j in range(n):
            if not right[c, j]:
                continue
            for i in range(m):
                if owner[i, j] != c:
                    continue
                price = x_price[i, c] + y_price[c, j]
                for other in range(m):
                    if other != i and owner[other, j] == c and price < row_best[c, other]:
                        row_best[c, other] = price
                        row_at[c, other, 0], row_at[c, other, 1] = i, j
                for other in range(n):
                    if other != j and owner[i, other] == c and price < column_best[c, other]:
                        column_best[c, other] = price
                        column_at[c, other, 0], column_at[c, other, 1] = i, j
    return 0


def blocked_windows(  # type: ignore[no-untyped-def]
    left, right, count, cover, x_price, y_price, row_best, column_best, k, i2, out, price_out
):
    """Write the cheapest window (i1, j1, l) for every j2 of term k and row i2, if below 1.

    `cover` holds the `count` terms of every cell; out takes (i1, j1, j2, l).
    """
    m, n = left.shape[0], right.shape[1]
    found = 0
    for j2 in range(n):
        if not right[k, j2] or count[i2, j2] < 2:
            continue
        least = 1.0
        for i1 in range(m):
            if i1 == i2 or not left[i1, k]:
                continue
            first = x_price[i1, k] + x_price[i2, k] + y_price[k, j2]
            if first >= least:
                continue
            for j1 in range(n):
                if j1 == j2 or not right[k, j1]:
                    continue
                price = first + y_price[k, j1]
                for corner in range(3):
                    i = i1 if corner < 2 else i2
                    j = j2 if corner == 1 else j1
                    for s in range(count[i, j]):
                        c = cover[i, j, s]
                        if c == k:
                            continue
                        one = left[i1, c] and right[c, j1]
                        two = left[i1, c] and right[c, j2]
                        three = left[i2, c] and right[c, j1]
                        # Every term is counted at the first of its corners.
                        if (corner == 1 and one) or (corner == 2 and (one or two)):
                            continue
                        if two and three:
                            price = np.inf
                        elif two and one:
                            price += row_best[c, i1]
                        elif three and one:
                            price += column_best[c, j1]
                        else:
                            price += min(row_best[c, i], column_best[c, j])
                    if price >= least:
                        break
                if price >= least:
                    continue
                for s in range(count[i2, j2]):
                    ell = cover[i2, j2, s]
                    if ell == k or (right[ell, j1] and (left[i1, ell] or left[i2, ell])):
                        continue
                    if left[i1, ell]:
                        continue
                    whole = price + x_price[i2, ell] + y_price[ell, j2]
                    if whole < least:
                        least = whole
                        out[found, 0], out[found, 1] = i1, j1
                        out[found, 2], out[found, 3] = j2, ell
                        price_out[found] = whole
        if least < 1.0:
            found += 1
    return found


def zero_windows(left, right, count, cover, x_price, y_price, with_ones, k, i2, out, price_out):  # type: ignore[no-untyped-def]
    """Write the cheapest LU window for every j2 of term k and row i2, if below 1.

    Priced are the cheapest zeros that keep every other term off the three cells, for each term a
    vertex cover of the path i2 - j1 - i1 - j2; and, `with_ones`, the six ones.
    """
    (m, r), n = left.shape, right.shape[1]
    found = 0
    for j2 in range(n):
        if not right[k, j2] or count[i2, j2] < 2:
            continue
        least = 1.0
        for i1 in range(m):
            if i1 == i2 or not left[i1, k] or count[i1, j2] != 1:
                continue
            for j1 in range(n):
                if j1 == j2 or not right[k, j1] or count[i1, j1] != 1 or count[i2, j1] != 1:
                    continue
                price = 0.0
                if with_ones:
                    price = x_price[i1, k] + x_price[i2, k] + y_price[k, j1] + y_price[k, j2]
                for c in range(r):
                    if price >= least:
                        break
                    if c == k:
                        continue
                    best = np.inf
                    if not right[c, j1] and not left[i1, c]:
                        best = y_price[c, j1] + x_price[i1, c]
                    if not left[i2, c] and not left[i1, c]:
                        best = min(best, x_price[i2, c] + x_price[i1, c])
                    if not right[c, j1] and not right[c, j2]:
                        best = min(best, y_price[c, j1] + y_price[c, j2])
                    price += best
                if price >= least:
                    continue
                for s in range(count[i2, j2]):
                    ell = cover[i2, j2, s]
                    if ell == k:
                        continue
                    whole = price
                    if with_ones:
                        whole += x_price[i2, ell] + y_price[ell, j2]
                    if whole < least:
                        least = whole
                        out[found, 0], out[found, 1] = i1, j1
                        out[found, 2], out[found, 3] = j2, ell
                        price_out[found] = whole
        if least < 1.0:
            found += 1
    return found
