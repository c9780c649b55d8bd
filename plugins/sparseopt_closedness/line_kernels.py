"""Compiled by numba: the largest supports in which every column can be solved for.

In every column the covered rows are matched to distinct terms; then for generic X the columns can
be solved for Y, and the set of products is a coordinate subspace (`Matchings`). One matching a
column is kept, and grows by augmenting paths. The property is not monotone: removing an entry of I
may leave a row covered by a term that is matched elsewhere, so after removals all is matched anew,
and rows that find no term lose their entries in the terms of that column.
"""

# ruff: noqa: NPY002 - the generator that numba seeds and draws from within compiled code

from __future__ import annotations

import numpy as np
from numba import njit

from sparseopt_closedness.closed_kernels import ascending, copied, lowest
from sparseopt_closedness.repair_kernels import priced


@njit(cache=True, nogil=True)
def _augment(j, row, row_terms, column_terms, term_at, row_at, came, queue, log, logged):  # type: ignore[no-untyped-def]
    """Give a row of a column a term along an augmenting path; return the new length of the log.

    -1 if there is none. The log holds (column, row, its old term, new term).
    """
    for c in range(len(came)):
        came[c] = -1
    queue[0] = row
    begin, end, free = 0, 1, -1
    while begin < end and free < 0:
        u = queue[begin]
        begin += 1
        for w in range(row_terms.shape[1]):
            word = row_terms[u, w] & column_terms[j, w]
            while word != 0:
                c = w * 64 + lowest(word)
                word &= word - 1
                if came[c] < 0:
                    came[c] = u
                    if row_at[j, c] < 0:
                        free = c
                        break
                    queue[end] = row_at[j, c]
                    end += 1
            if free >= 0:
                break
    if free < 0:
        return -1
    while True:
        u = came[free]
        before = term_at[j, u]
        log[logged, 0], log[logged, 1] = j, u
        log[logged, 2], log[logged, 3] = before, free
        logged += 1
        term_at[j, u] = free
        row_at[j, free] = u
        if before < 0:
            return logged
        free = before


@njit(cache=True, nogil=True)
def _undo(term_at, row_at, log, logged):  # type: ignore[no-untyped-def]
    for s in range(logged - 1, -1, -1):
        j, u, before, after = log[s, 0], log[s, 1], log[s, 2], log[s, 3]
        if row_at[j, after] == u:
            row_at[j, after] = -1
        term_at[j, u] = before
        if before >= 0:
            row_at[j, before] = u


@njit(cache=True, nogil=True)
def _bit(words, i):  # type: ignore[no-untyped-def]
    return (words[i >> 6] >> (i & 63)) & 1


@njit(cache=True, nogil=True)
def add_entry(  # type: ignore[no-untyped-def]
    factor, a, b, left, right, row_terms, column_terms, term_at, row_at, came, queue, log
):
    """Add an entry if every column can still be matched; return whether it was added."""
    logged = np.int64(0)
    if factor == 0:
        row_terms[a, b >> 6] |= np.int64(1) << (b & 63)
        for j in range(right.shape[1]):
            if right[b, j] and term_at[j, a] < 0:
                longer = _augment(
                    j, a, row_terms, column_terms, term_at, row_at, came, queue, log, logged
                )
                if longer < 0:
                    _undo(term_at, row_at, log, logged)
                    row_terms[a, b >> 6] ^= np.int64(1) << (b & 63)
                    return False
                logged = longer
        left[a, b] = 1
        return True
    column_terms[b, a >> 6] |= np.int64(1) << (a & 63)
    for i in range(left.shape[0]):
        if left[i, a] and term_at[b, i] < 0:
            longer = _augment(
                b, i, row_terms, column_terms, term_at, row_at, came, queue, log, logged
            )
            if longer < 0:
                _undo(term_at, row_at, log, logged)
                column_terms[b, a >> 6] ^= np.int64(1) << (a & 63)
                return False
            logged = longer
    right[a, b] = 1
    return True


@njit(cache=True, nogil=True)
def _fill(array, value):  # type: ignore[no-untyped-def]
    for a in range(array.shape[0]):
        for b in range(array.shape[1]):
            array[a, b] = value


@njit(cache=True, nogil=True)
def match_all(left, right, row_terms, column_terms, term_at, row_at, came, queue, log, stop):  # type: ignore[no-untyped-def]
    """Match all columns anew; rows without a term lose entries until every column is matched.

    Returns False if it was stopped before.
    """
    (m, r), n = left.shape, right.shape[1]
    _fill(row_terms, 0)
    _fill(column_terms, 0)
    for i in range(m):
        for k in range(r):
            if left[i, k]:
                row_terms[i, k >> 6] |= np.int64(1) << (k & 63)
    for k in range(r):
        for j in range(n):
            if right[k, j]:
                column_terms[j, k >> 6] |= np.int64(1) << (k & 63)
    again = True
    while again:
        again = False
        _fill(term_at, -1)
        _fill(row_at, -1)
        for j in range(n):
            if stop[0]:
                return False
            for i in range(m):
                covered = False
                for w in range(row_terms.shape[1]):
                    if row_terms[i, w] & column_terms[j, w] != 0:
                        covered = True
                if not covered:
                    continue
                if (
                    _augment(j, i, row_terms, column_terms, term_at, row_at, came, queue, log, 0)
                    >= 0
                ):
                    continue
                again = True
                for k in range(r):
                    if left[i, k] and right[k, j]:
                        left[i, k] = 0
                for w in range(row_terms.shape[1]):
                    row_terms[i, w] &= ~column_terms[j, w]
    return True


@njit(cache=True, nogil=True)
def _ruin(left, right):  # type: ignore[no-untyped-def]
    (m, r), n = left.shape, right.shape[1]
    kind = np.random.randint(0, 4)
    if kind == 0:
        for _ in range(np.random.randint(1, 4)):
            i = np.random.randint(0, m)
            for k in range(r):
                left[i, k] = 0
    elif kind == 1:
        share = np.random.random() * 0.3
        for i in range(m):
            for k in range(r):
                if np.random.random() < share:
                    left[i, k] = 0
    elif kind == 2:
        for _ in range(np.random.randint(1, 4)):
            j = np.random.randint(0, n)
            for k in range(r):
                right[k, j] = 0
    else:
        for _ in range(np.random.randint(1, 5)):
            k = np.random.randint(0, r)
            for i in range(m):
                left[i, k] = 0
            if np.random.random() < 0.5:
                for j in range(n):
                    right[k, j] = 0


@njit(cache=True, nogil=True)
def _ordered(places, weights, left, right, spare, at):  # type: ignore[no-untyped-def]
    """Return an order in which to try the entries that are missing: drawn, or row by row."""
    m = left.shape[0]
    mode = np.random.randint(0, 4)
    keys = np.empty(len(places))
    row_keys = np.random.random(m)
    if mode == 1:  # some rows first
        for i in range(m):
            row_keys[i] = 0.0 if row_keys[i] < 3.0 / m else 1.0
    count = np.int64(0)
    for e in range(len(places)):
        a, b = places[e, 1], places[e, 2]
        if (left[a, b] if places[e, 0] == 0 else right[a, b]) != 0:
            continue
        key = np.random.random()
        if places[e, 0] == 0 and mode in (1, 2):
            key = 0.3 * key + row_keys[a]
        elif places[e, 0] == 1 and mode == 3:
            key -= 1.0
        keys[count] = key - spare * weights[e]
        at[count] = e
        count += 1
    return ascending(keys, count)


@njit(cache=True, nogil=True)
def line_search(places, weights, given, changed, best, left, right, settings, stop):  # type: ignore[no-untyped-def]
    """Ruin and recreate, `steps` times; return the cost of where it stands and of the best.

    settings: seed, steps, temperature, fine, cost of where it stands, cost of the best. It ends
    soon after another thread writes to `stop`.
    """
    (m, r), n = left.shape, right.shape[1]
    np.random.seed(int(settings[0]))
    temperature, fine, cost, least = settings[2], settings[3], settings[4], settings[5]
    words = (r + 63) // 64
    row_terms = np.zeros((m, words), dtype=np.int64)
    column_terms = np.zeros((n, words), dtype=np.int64)
    term_at, row_at = np.zeros((n, m), dtype=np.int64), np.zeros((n, r), dtype=np.int64)
    came, queue = np.zeros(r, dtype=np.int64), np.zeros(m + 1, dtype=np.int64)
    log = np.zeros((n * m * 2 + m * m + 16, 4), dtype=np.int64)
    at = np.zeros(len(places), dtype=np.int64)
    for _ in range(int(settings[1])):
        old_left, old_right, old = left.copy(), right.copy(), changed.copy()
        _ruin(left, right)
        if not match_all(
            left, right, row_terms, column_terms, term_at, row_at, came, queue, log, stop
        ):
            copied(left, old_left)
            copied(right, old_right)
            break
        for p in _ordered(places, weights, left, right, 0.5, at):
            if stop[0]:
                break
            e = at[p]
            add_entry(
                places[e, 0],
                places[e, 1],
                places[e, 2],
                left,
                right,
                row_terms,
                column_terms,
                term_at,
                row_at,
                came,
                queue,
                log,
            )
        for e in range(len(places)):
            a, b = places[e, 1], places[e, 2]
            changed[e] = 0 if (left[a, b] if places[e, 0] == 0 else right[a, b]) else 1
        new = priced(places, weights, given, changed, m, n, fine)
        worse = new - cost
        if worse <= 0 or (temperature > 0 and np.random.random() < np.exp(-worse / temperature)):
            cost = new
            if cost < least:
                least = cost
                copied(best, changed)
        else:
            copied(left, old_left)
            copied(right, old_right)
            copied(changed, old)
        if stop[0]:
            break
    return cost, least
