"""Compiled by numba: a fast sufficient test for closed supports, and a search around it.

The test is that of `sparseopt_closedness.quick_proofs`, which writes down what it finds as a proof.
Sets of rows and of columns are rows of int64 words of 64 bits each.
"""

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
    obs[:] = 0
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
            part[:] = 0
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
    count = 0
    flags[:] = 0
    for k in range(r):
        if any_of(rows[k]) and any_of(columns[k]):
            a_rows[count], a_columns[count], a_origin[count] = rows[k], columns[k], k
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
        if _matched(a_rows, a_columns, some, obs, False, m, n, work):
            continue
        if _matched(a_rows, a_columns, some, obs, True, n, m, work):
            continue
        for b in some:
            if flags[a_origin[b]] == 0:
                flags[a_origin[b]] = 1
                stuck += 1
    return stuck


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
def unstick(places, given, starts, order, rows, columns, changed, m, n, most):  # type: ignore[no-untyped-def]
    """Drop entries of terms that are stuck until none is."""
    r = len(starts) - 1
    flags = np.zeros(r, dtype=np.int64)
    found = np.zeros(m + n, dtype=np.int64)
    tries = 0
    while True:
        stuck = stuck_terms(rows, columns, m, n, most, flags)
        if stuck == 0:
            return
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
def restore(places, weights, given, rows, columns, changed, m, n, most, mode, near):  # type: ignore[no-untyped-def]
    """Undo changes one by one where the test goes on to hold, in an order that is drawn.

    Only in the terms that `near` marks.
    """
    total = len(places)
    line_keys = np.random.random(max(m, n, len(rows)) + 1)
    keys = np.empty(total)
    count = 0
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
    for p in np.argsort(keys[:count]):
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
    near[:] = 0
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
):
    """Ruin and recreate, `steps` times; return the cost of where it stands and of the best.

    settings: seed, steps, temperature, fine, 1.0 if entries may be added, cost of both states.
    `rows`, `columns` and `changed` are where it stands, `best` the best changes; all in place.
    `wide_rows` and `wide_columns` are those of the given terms: where changes are local, most
    entries elsewhere could not be put back before and cannot now, so they are tried now and then.
    """
    np.random.seed(int(settings[0]))
    temperature, fine, added = settings[2], settings[3], settings[4] > 0.0
    cost, least = settings[5], settings[6]
    found = np.zeros(m + n, dtype=np.int64)
    near = np.zeros(len(rows), dtype=np.int64)
    for _ in range(int(settings[1])):
        old_rows, old_columns, old = rows.copy(), columns.copy(), changed.copy()
        _ruin(places, given, starts, order, added, rows, columns, changed, found)
        unstick(places, given, starts, order, rows, columns, changed, m, n, most)
        mode = np.random.randint(0, 3)
        if added or np.random.random() < 0.1:
            near[:] = 1
        else:
            _neighbours(rows, columns, old_rows, old_columns, wide_rows, wide_columns, near)
        restore(places, weights, given, rows, columns, changed, m, n, most, mode, near)
        new = priced(places, weights, given, changed, m, n, fine)
        worse = new - cost
        if worse <= 0 or (temperature > 0 and np.random.random() < np.exp(-worse / temperature)):
            cost = new
            if cost < least:
                least = cost
                best[:] = changed
        else:
            rows[:], columns[:], changed[:] = old_rows, old_columns, old
    return cost, least
