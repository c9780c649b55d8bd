"""Supports near given ones that a theorem proves closed, whatever the given ones are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


def structured(
    given: Pair, allow: str, may: Callable[[float], bool] = lambda seconds: True
) -> Iterator[tuple[float, Pair]]:
    """Yield supports that a theorem proves closed, by changes that are allowed.

    With each pair goes how long a proof takes, roughly, in seconds for each of rows x terms x
    columns. Pairs that take long to find are left out where there `may` not be so many seconds.
    """
    left, right = given
    pairs_of_terms = 4e-6 * left.shape[1] ** 2
    if allow != "add":
        yield 1e-9, _single_rows(left, right)
        one, two = _single_rows(right.T, left.T)
        yield 1e-9, (two.T, one.T)
        if may(pairs_of_terms):
            yield 8e-9, _comparable(left, right)
    if allow != "remove":
        if may(pairs_of_terms):
            yield 4e-9, _full(left, right)
        yield 4e-9, _spanning(left, right)
        two, one = _spanning(right.T, left.T)
        yield 4e-9, (one.T, two.T)


def _single_rows(left: np.ndarray, right: np.ndarray) -> Pair:
    """Keep one row of each term, the one that the fewest terms have: a coordinate subspace."""
    result = np.zeros_like(left)
    load = left.sum(axis=1).astype(float)
    for k in range(left.shape[1]):
        rows = np.flatnonzero(left[:, k])
        if len(rows):
            result[rows[np.argmin(load[rows])], k] = True
    return result, right.copy()


def _comparable(left: np.ndarray, right: np.ndarray) -> Pair:
    """Shrink rectangles until any two are disjoint or comparable, largest kept."""
    left, right = left.copy(), right.copy()
    order = np.argsort(-(left.sum(axis=0) * right.sum(axis=1)), kind="stable")
    for place, k in enumerate(order):
        for other in order[:place]:
            rows, columns = left[:, k] & left[:, other], right[k] & right[other]
            if not rows.any() or not columns.any():
                continue
            inside = not (left[:, k] & ~left[:, other]).any()
            outside = not (left[:, other] & ~left[:, k]).any()
            narrow = not (right[k] & ~right[other]).any()
            wide = not (right[other] & ~right[k]).any()
            if (inside and wide) or (outside and narrow):
                continue
            if rows.sum() <= columns.sum():
                left[rows, k] = False
            else:
                right[k, columns] = False
    return left, right


def _full(left: np.ndarray, right: np.ndarray) -> Pair:
    """Fill the rows and the columns of all terms that meet, until rectangles are equal."""
    from scipy.sparse.csgraph import connected_components

    meet = (left.T.astype(int) @ left > 0) & (right.astype(int) @ right.T > 0)
    count, label = connected_components(meet, directed=False)
    left, right = left.copy(), right.copy()
    for part in range(count):
        terms = label == part
        left[np.ix_(left[:, terms].any(axis=1), terms)] = True
        right[np.ix_(terms, right[terms].any(axis=0))] = True
    return left, right


def _spanning(left: np.ndarray, right: np.ndarray) -> Pair:
    """Give each row a term of its own with all columns: every matrix on these rows."""
    from scipy.optimize import linear_sum_assignment

    used, columns = np.flatnonzero(left.any(axis=1)), right.any(axis=0)
    left, right = left.copy(), right.copy()
    if len(used) > left.shape[1]:
        return _full(left, right)
    missing = (columns & ~right).sum(axis=1)
    cost = missing[None, :] + (~left[used]).astype(int)
    rows, terms = linear_sum_assignment(cost)
    left[used[rows], terms] = True
    right[np.ix_(terms, columns)] = True
    return left, right
