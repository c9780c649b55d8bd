"""Compiled by numba: local search around the fast test for closed supports.

An entry is (factor, row, column); sets of rows and of columns are rows of int64 words of 64 bits.
"""

# ruff: noqa: NPY002 - the generator that numba seeds and draws from within compiled code

from __future__ import annotations

import numpy as np
from numba import njit

from sparseopt_closedness.closed_kernels import ascending, copied, inside, meet, stuck_terms


@njit(cache=True, nogil=True)
def _flip(e, places, rows, columns, changed):  # type: ignore[no-untyped-def]
    factor, a, b = places[e, 0], places[e, 1], places[e, 2]
    if factor == 0:
        rows[b, a >> 6] ^= np.int64(1) << (a & 63)
    else:
        columns[a, b >> 6] ^= np.int64(1) << (b & 63)
    changed[e] ^= 1


@njit(cache=True, nogil=True)
def _there(e, given, changed):  # type: ignore[no-untyped-def]
    return given[e] ^ changed[e]


@njit(cache=True, nogil=True)
def _of_term(k, starts, order, factor, places, given, changed, found):  # type: ignore[no-untyped-def]
    """Collect the entries of a term in a factor that are 1."""
    count = 0
    for s in range(starts[k], starts[k + 1]):
        e = order[s]
        if places[e, 0] == factor and _there(e, given, changed):
            found[count] = e
            count += 1
    return count


@njit(cache=True, nogil=True)
def _thin(k, factor, starts, order, places, given, rows, columns, changed, found):  # type: ignore[no-untyped-def]
    count = _of_term(k, starts, order, factor, places, given, changed, found)
    kept = np.random.randint(0, max(count, 1))
    for s in range(count):
        if s != kept:
            _flip(found[s], places, rows, columns, changed)


@njit(cache=True, nogil=True)
def _ruin(places, given, starts, order, allow_added, rows, columns, changed, found):  # type: ignore[no-untyped-def]
    r, total = len(starts) - 1, len(places)
    if allow_added and np.random.random() < 0.5:
        for _ in range(np.random.randint(1, 6)):
            e = np.random.randint(0, total)
            if not _there(e, given, changed):
                _flip(e, places, rows, columns, changed)
        return
    kind = np.random.randint(0, 4)
    if kind == 0:
        for _ in range(np.random.randint(1, 4)):
            k, factor = np.random.randint(0, r), np.random.randint(0, 2)
            _thin(k, factor, starts, order, places, given, rows, columns, changed, found)
    elif kind == 1:
        chosen = np.random.randint(0, total)
        factor = places[chosen, 0]
        line = places[chosen, 1 + factor]
        for e in range(total):
            same = places[e, 0] == factor and places[e, 1 + factor] == line
            if same and _there(e, given, changed):
                _flip(e, places, rows, columns, changed)
    elif kind == 2:
        share = np.random.random() * 0.15
        for e in range(total):
            if _there(e, given, changed) and np.random.random() < share:
                _flip(e, places, rows, columns, changed)
    else:
        for _ in range(np.random.randint(1, 3)):
            k = np.random.randint(0, r)
            for s in range(starts[k], starts[k + 1]):
                if changed[order[s]]:
                    _flip(order[s], places, rows, columns, changed)


@njit(cache=True, nogil=True)
def unstick(places, given, starts, order, rows, columns, changed, m, n, most, stop):  # type: ignore[no-untyped-def]
    """Drop entries of terms that are stuck until none is; return False if it was stopped before."""
    r = len(starts) - 1
    flags = np.zeros(r, dtype=np.int64)
    found = np.zeros(m + n, dtype=np.int64)
    tries = 0
    while True:
        stuck = stuck_terms(rows, columns, m, n, most, flags)
        if stuck == 0:
            return True
        if stop[0]:
            return False
        chosen = np.random.randint(0, stuck)
        k = 0
        while flags[k] == 0 or chosen > 0:
            chosen -= flags[k]
            k += 1
        tall = _of_term(k, starts, order, 0, places, given, changed, found)
        wide = _of_term(k, starts, order, 1, places, given, changed, found)
        factor = 0 if tall <= wide else 1
        if np.random.random() < 0.1:
            factor = 1 - factor
        tries += 1
        if tries > 50:
            _thin(k, factor, starts, order, places, given, rows, columns, changed, found)
            continue
        count = _of_term(k, starts, order, factor, places, given, changed, found)
        e = found[np.random.randint(0, count)]
        _flip(e, places, rows, columns, changed)


@njit(cache=True, nogil=True)
def restore(places, weights, given, rows, columns, changed, m, n, most, mode, near, stop):  # type: ignore[no-untyped-def]
    """Undo changes one by one where the test goes on to hold, in an order that is drawn.

    Only in the terms that `near` marks.
    """
    total = len(places)
    line_keys = np.random.random(max(m, n, len(rows)) + 1)
    keys = np.empty(total)
    count = np.int64(0)
    at = np.empty(total, dtype=np.int64)
    for e in range(total):
        if changed[e] and near[places[e, 2 - places[e, 0]]]:
            key = np.random.random()
            if mode == 1:  # term by term
                key = 0.05 * key + line_keys[places[e, 2 - places[e, 0]]]
            elif mode == 2:  # line by line
                key = 0.05 * key + line_keys[places[e, 1 + places[e, 0]]]
            keys[count] = key - 0.5 * weights[e]
            at[count] = e
            count += 1
    flags = np.zeros(len(rows), dtype=np.int64)
    for p in ascending(keys, count):
        if stop[0]:
            return
        e = at[p]
        _flip(e, places, rows, columns, changed)
        if stuck_terms(rows, columns, m, n, most, flags) != 0:
            _flip(e, places, rows, columns, changed)


@njit(cache=True, nogil=True)
def priced(places, weights, given, changed, m, n, fine):  # type: ignore[no-untyped-def]
    """Return what changes cost, with a fine for every line that is cut off."""
    lines = np.zeros((2, max(m, n)), dtype=np.int64)
    total = 0.0
    for e in range(len(places)):
        factor, line = places[e, 0], places[e, 1 + places[e, 0]]
        if given[e]:
            lines[factor, line] |= 1
        if _there(e, given, changed):
            lines[factor, line] |= 2
        if changed[e]:
            total += weights[e]
    if fine > 0.0:
        for factor in range(2):
            for line in range(max(m, n)):
                if lines[factor, line] == 1:
                    total += fine
    return total


@njit(cache=True, nogil=True)
def _neighbours(rows, columns, old_rows, old_columns, wide_rows, wide_columns, near):  # type: ignore[no-untyped-def]
    """Mark the terms whose rectangles, as wide as they may be, meet those of terms that changed."""
    r = len(rows)
    for k in range(r):
        near[k] = 0
    for k in range(r):
        same = inside(rows[k], old_rows[k]) and inside(old_rows[k], rows[k])
        same = same and inside(columns[k], old_columns[k]) and inside(old_columns[k], columns[k])
        if same:
            continue
        for c in range(r):
            if meet(wide_rows[k], wide_rows[c]) and meet(wide_columns[k], wide_columns[c]):
                near[c] = 1
        near[k] = 1


@njit(cache=True, nogil=True)
def search(  # type: ignore[no-untyped-def]
    places,
    weights,
    given,
    starts,
    order,
    rows,
    columns,
    changed,
    best,
    wide_rows,
    wide_columns,
    m,
    n,
    most,
    settings,
    stop,
):
    """Ruin and recreate, `steps` times; return the cost of where it stands and of the best.

    settings: seed, steps, temperature, fine, 1.0 if entries may be added, cost of both states.
    `rows`, `columns` and `changed` are where it stands, `best` the best changes; all in place.
    `wide_rows` and `wide_columns` are those of the given terms: where changes are local, most
    entries elsewhere could not be put back before and cannot now, so they are tried now and then.
    It ends soon after another thread writes to `stop`.
    """
    np.random.seed(int(settings[0]))
    temperature, fine, added = settings[2], settings[3], settings[4] > 0.0
    cost, least = settings[5], settings[6]
    found = np.zeros(m + n, dtype=np.int64)
    near = np.zeros(len(rows), dtype=np.int64)
    for _ in range(int(settings[1])):
        old_rows, old_columns, old = rows.copy(), columns.copy(), changed.copy()
        _ruin(places, given, starts, order, added, rows, columns, changed, found)
        if not unstick(places, given, starts, order, rows, columns, changed, m, n, most, stop):
            copied(rows, old_rows)
            copied(columns, old_columns)
            copied(changed, old)
            break
        mode = np.random.randint(0, 3)
        if added or np.random.random() < 0.1:
            for k in range(len(near)):
                near[k] = 1
        else:
            _neighbours(rows, columns, old_rows, old_columns, wide_rows, wide_columns, near)
        restore(places, weights, given, rows, columns, changed, m, n, most, mode, near, stop)
        new = priced(places, weights, given, changed, m, n, fine)
        worse = new - cost
        if worse <= 0 or (temperature > 0 and np.random.random() < np.exp(-worse / temperature)):
            cost = new
            if cost < least:
                least = cost
                copied(best, changed)
        else:
            copied(rows, old_rows)
            copied(columns, old_columns)
            copied(changed, old)
        if stop[0]:
            break
    return cost, least
