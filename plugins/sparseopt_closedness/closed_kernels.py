"""Compiled by numba: a fast sufficient test for closed supports.

The test is that of `sparseopt_closedness.quick_proofs`, which writes down what it finds as a proof.
Sets of rows and of columns are rows of int64 words of 64 bits each.
"""

# ruff: noqa: SIM110 - numba compiles no generators

from __future__ import annotations

import numpy as np
from numba import njit

_FIVES, _THREES = 0x5555555555555555, 0x3333333333333333
_NIBBLES, _BYTES = 0x0F0F0F0F0F0F0F0F, 0x0101010101010101


@njit(cache=True, nogil=True)
def lowest(word):  # type: ignore[no-untyped-def]
    """Return the place of the lowest bit of a word that is not 0."""
    below = (word & -word) - 1
    below = below - ((below >> 1) & _FIVES)
    below = (below & _THREES) + ((below >> 2) & _THREES)
    below = (below + (below >> 4)) & _NIBBLES
    return (below * _BYTES) >> 56


@njit(cache=True, nogil=True)
def copied(into, source):  # type: ignore[no-untyped-def]
    """Copy the elements of an array; numba's own assignment takes seconds to compile."""
    for e in range(into.size):
        into.flat[e] = source.flat[e]


@njit(cache=True, nogil=True)
def ascending(keys, count):  # type: ignore[no-untyped-def]
    """Return the order of the first keys by a heap; numba's argsort takes seconds to compile."""
    heap = np.empty(count, dtype=np.int64)
    for p in range(count):
        heap[p] = p
    start, end = count // 2, count
    while end > 1:
        if start > 0:
            start -= 1
        else:
            end -= 1
            heap[0], heap[end] = heap[end], heap[0]
        root = start
        while 2 * root + 1 < end:
            child = 2 * root + 1
            if child + 1 < end and keys[heap[child]] < keys[heap[child + 1]]:
                child += 1
            if keys[heap[root]] >= keys[heap[child]]:
                break
            heap[root], heap[child] = heap[child], heap[root]
            root = child
    return heap


@njit(cache=True, nogil=True)
def any_of(words):  # type: ignore[no-untyped-def]
    """Return whether a set is not empty."""
    for word in words:
        if word != 0:
            return True
    return False


@njit(cache=True, nogil=True)
def at_most_one(words):  # type: ignore[no-untyped-def]
    """Return whether a set has at most one element."""
    found = 0
    for word in words:
        if word != 0:
            if found or (word & (word - 1)) != 0:
                return False
            found = 1
    return True


@njit(cache=True, nogil=True)
def meet(a, b):  # type: ignore[no-untyped-def]
    """Return whether two sets have an element in common."""
    for w in range(len(a)):
        if a[w] & b[w] != 0:
            return True
    return False


@njit(cache=True, nogil=True)
def inside(a, b):  # type: ignore[no-untyped-def]
    """Return whether a set lies in another."""
    for w in range(len(a)):
        if a[w] & ~b[w] != 0:
            return False
    return True


@njit(cache=True, nogil=True)
def _observe(rows, columns, obs):  # type: ignore[no-untyped-def]
    for k in range(len(rows)):
        for w in range(rows.shape[1]):
            word = rows[k, w]
            while word != 0:
                i = w * 64 + lowest(word)
                word &= word - 1
                for v in range(columns.shape[1]):
                    obs[i, v] |= columns[k, v]


@njit(cache=True, nogil=True)
def _split(rows, columns, origin, count, obs, out_rows, out_columns, out_origin):  # type: ignore[no-untyped-def]
    """Split blocks into the parts of their observed graphs and clear the cells of thin parts.

    Returns the number of parts that are left, and whether cells were cleared.
    """
    found, cleared = 0, False
    height, width = rows.shape[1], columns.shape[1]
    for b in range(count):
        while any_of(rows[b]):
            part, across = out_rows[found], out_columns[found]
            for w in range(height):
                part[w] = 0
            first = 0
            while rows[b, first] == 0:
                first += 1
            i = first * 64 + lowest(rows[b, first])
            part[first] = rows[b, first] & -rows[b, first]
            rows[b, first] &= rows[b, first] - 1
            for v in range(width):
                across[v] = obs[i, v] & columns[b, v]
            if not any_of(across):
                continue
            grown = True
            while grown:
                grown = False
                for w in range(height):
                    word = rows[b, w]
                    while word != 0:
                        bit = word & -word
                        word ^= bit
                        i = w * 64 + lowest(bit)
                        if meet(obs[i], across):
                            part[w] |= bit
                            rows[b, w] ^= bit
                            grown = True
                            for v in range(width):
                                across[v] |= obs[i, v] & columns[b, v]
            if at_most_one(part) or at_most_one(across):
                cleared = True
                for w in range(height):
                    word = part[w]
                    while word != 0:
                        i = w * 64 + lowest(word)
                        word &= word - 1
                        for v in range(width):
                            obs[i, v] &= ~across[v]
            else:
                out_origin[found] = origin[b]
                found += 1
    return found, cleared


@njit(cache=True, nogil=True)
def _root(parent, b):  # type: ignore[no-untyped-def]
    while parent[b] != b:
        parent[b] = parent[parent[b]]
        b = parent[b]
    return b


@njit(cache=True, nogil=True)
def _compare(rows, columns, count, obs, parent, good):  # type: ignore[no-untyped-def]
    """Join blocks that share an observed cell; mark classes whose blocks are full, comparable."""
    for b in range(count):
        parent[b] = b
        good[b] = 1
    for b in range(count):
        for c in range(b):
            if not meet(rows[b], rows[c]) or not meet(columns[b], columns[c]):
                continue
            shared = False
            for w in range(rows.shape[1]):
                word = rows[b, w] & rows[c, w]
                while word != 0 and not shared:
                    i = w * 64 + lowest(word)
                    word &= word - 1
                    for v in range(columns.shape[1]):
                        if obs[i, v] & columns[b, v] & columns[c, v] != 0:
                            shared = True
            if shared:
                parent[_root(parent, b)] = _root(parent, c)
            below = inside(rows[b], rows[c]) and inside(columns[c], columns[b])
            above = inside(rows[c], rows[b]) and inside(columns[b], columns[c])
            if not (below or above):
                good[b] = 0
    for b in range(count):
        for w in range(rows.shape[1]):
            word = rows[b, w]
            while word != 0:
                i = w * 64 + lowest(word)
                word &= word - 1
                if not inside(columns[b], obs[i]):
                    good[b] = 0
    for b in range(count):
        if good[b] == 0:
            good[_root(parent, b)] = 0


@njit(cache=True, nogil=True)
def _bit(words, i):  # type: ignore[no-untyped-def]
    return (words[i >> 6] >> (i & 63)) & 1


@njit(cache=True, nogil=True)
def _matched(rows, columns, members, obs, turned, lines, across, work):  # type: ignore[no-untyped-def]
    """Return whether in every column the observed rows can be matched to distinct blocks.

    Where `turned`, in every row the columns. `work` holds five arrays.
    """
    there, need, holder, came, queue = work[0], work[1], work[2], work[3], work[4]
    for j in range(across):
        count = 0
        for b in members:
            if _bit(rows[b] if turned else columns[b], j):
                there[count] = b
                holder[count] = -1
                count += 1
        wanted = 0
        for i in range(lines):
            seen = _bit(obs[j], i) if turned else _bit(obs[i], j)
            if not seen:
                continue
            for t in range(count):
                if _bit(columns[there[t]] if turned else rows[there[t]], i):
                    need[wanted] = i
                    wanted += 1
                    break
        if wanted > count:
            return False
        for p in range(wanted):
            for t in range(count):
                came[t] = -1
            queue[0] = p
            begin, end, free = 0, 1, -1
            while begin < end and free < 0:
                u = queue[begin]
                begin += 1
                for t in range(count):
                    if came[t] >= 0:
                        continue
                    if _bit(columns[there[t]] if turned else rows[there[t]], need[u]):
                        came[t] = u
                        if holder[t] < 0:
                            free = t
                            break
                        queue[end] = holder[t]
                        end += 1
            if free < 0:
                return False
            while True:
                u = came[free]
                before = -1
                for t in range(count):
                    if holder[t] == u:
                        before = t
                holder[free] = u
                if before < 0:
                    break
                free = before
    return True


@njit(cache=True, nogil=True)
def stuck_terms(rows, columns, m, n, most, flags):  # type: ignore[no-untyped-def]
    """Mark the terms that the test cannot prove closed; return how many there are.

    `rows` and `columns` hold those of every term; `most` parts are room enough.
    """
    r, height, width = len(rows), rows.shape[1], columns.shape[1]
    obs = np.zeros((m, width), dtype=np.int64)
    _observe(rows, columns, obs)
    a_rows = np.empty((most, height), dtype=np.int64)
    a_columns = np.empty((most, width), dtype=np.int64)
    b_rows, b_columns = np.empty_like(a_rows), np.empty_like(a_columns)
    a_origin, b_origin = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    count = np.int64(0)  # as a literal it would compile what it is handed to a second time
    for k in range(r):
        flags[k] = 0
        if any_of(rows[k]) and any_of(columns[k]):
            for w in range(height):
                a_rows[count, w] = rows[k, w]
            for v in range(width):
                a_columns[count, v] = columns[k, v]
            a_origin[count] = k
            count += 1
    cleared = True
    while cleared and count:
        count, cleared = _split(
            a_rows, a_columns, a_origin, count, obs, b_rows, b_columns, b_origin
        )
        a_rows, b_rows = b_rows, a_rows
        a_columns, b_columns = b_columns, a_columns
        a_origin, b_origin = b_origin, a_origin
    if count == 0:
        return 0
    parent, good = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    _compare(a_rows, a_columns, count, obs, parent, good)
    work = np.zeros((5, max(count, m, n) + 1), dtype=np.int64)
    members = np.zeros(count, dtype=np.int64)
    stuck = 0
    for root in range(count):
        if _root(parent, root) != root or good[root]:
            continue
        size = 0
        for b in range(count):
            if _root(parent, b) == root:
                members[size] = b
                size += 1
        some = members[:size]
        free = False
        for turned in range(2):
            lines, across = (n, m) if turned else (m, n)
            if not free and _matched(a_rows, a_columns, some, obs, turned, lines, across, work):
                free = True
        if free:
            continue
        for b in some:
            if flags[a_origin[b]] == 0:
                flags[a_origin[b]] = 1
                stuck += 1
    return stuck
