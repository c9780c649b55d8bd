"""Exclusive windows: rectangles inside those of the supports whose cells no other one covers."""

from __future__ import annotations

import itertools

import numpy as np

from sparseopt_butterfly.fixed_support_parts import Task

_MOST_ROWS = 8


def windows(task: Task) -> tuple[float, np.ndarray]:
    """Return a lower bound of the objective of a component, and its windows.

    Returns
    -------
    value : float
        In plain arithmetic.
    labels : int array (b, c)
        For each cell the first term of the rectangle whose window it is in, or -1.
    """
    groups = task.part.groups
    cover = np.zeros(task.target.shape, int)
    for group in groups:
        cover[group.block] += 1
    labels = np.full(task.target.shape, -1)
    total = 0.0
    for group in groups:
        free = cover[group.block] == 1
        if not free.any():
            continue
        block = task.target[group.block]
        value, rows, columns = _best(block, free, len(group.terms), task.decay)
        if value > 0.0:
            labels[np.ix_(group.rows[rows], group.columns[columns])] = group.terms[0]
            total += value
    return total, labels


def _best(
    block: np.ndarray, free: np.ndarray, rank: int, decay: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the window of free cells that promises most: over sets of rows, or grown by rows."""
    if free.shape[0] > free.shape[1]:
        value, columns, rows = _best(block.T, free.T, rank, decay)
        return value, rows, columns
    count = free.shape[0]
    if count <= _MOST_ROWS:
        sets = [
            rows
            for size in range(1, count + 1)
            for rows in itertools.combinations(range(count), size)
        ]
        return max(
            (_promise(block, free, rows, rank, decay) for rows in sets), key=lambda found: found[0]
        )
    order = np.argsort(-np.count_nonzero(free, axis=1), kind="stable").tolist()
    best = _promise(block, free, (order[0],), rank, decay)
    chosen = [order[0]]
    for row in order[1:32]:
        found = _promise(block, free, tuple(sorted([*chosen, row])), rank, decay)
        if found[0] > best[0]:
            best = found
            chosen.append(row)
    return best


def _promise(
    block: np.ndarray, free: np.ndarray, rows: tuple[int, ...], rank: int, decay: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return what the largest window on these rows gives."""
    chosen = np.array(rows)
    columns = np.flatnonzero(free[chosen].all(axis=0))
    if not columns.size:
        return 0.0, chosen, columns
    s = np.linalg.svd(block[np.ix_(chosen, columns)], compute_uv=False)
    over = np.maximum(s[:rank] - decay, 0.0)
    return 0.5 * float((s**2).sum() - (over**2).sum()), chosen, columns
