"""Reading and writing cells by their index; -1 stands for none."""

from __future__ import annotations

from functools import reduce

import numpy as np

from sparseopt.pathnorm.arithmetic import Arithmetic

_ROUNDS = 64
"""Entries of one cell that are added one after the other."""


def gather(x: np.ndarray, index: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return ``x[..., index]``, with zero where the index is -1."""
    return np.take(with_zero(x, index, zero), index, axis=-1)


def picked(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return ``x[..., index]``; without a copy where that is all of x in its order."""
    whole = index.shape == (1, x.shape[-1]) and np.array_equal(index[0], np.arange(x.shape[-1]))
    return x if whole else np.take(x, index, axis=-1)


def most_uses(index: np.ndarray) -> int:
    """Return how often a cell is read, at most."""
    return int(np.bincount(index[index >= 0].ravel(), minlength=1).max())


def with_zero(x: np.ndarray, index: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return the samples with a zero behind, as the last entry, which -1 picks; if it is needed."""
    if index.min() >= 0:
        return x
    return np.concatenate([x, np.full((*x.shape[:-1], 1), zero, dtype=x.dtype)], axis=-1)


def scatter(y: np.ndarray, index: np.ndarray, size: int, a: Arithmetic) -> np.ndarray:
    """Return the transpose of `gather`: entry c is the sum of ``y[..., k]`` with index c.

    In rounds, in each of which a cell reads the next entry that it has, or none. Where some cell
    has many, the sums of a few entries each are formed first, and then added in the same way.
    """
    flat = index.ravel()
    lead = y.shape[: y.ndim - index.ndim]
    order = np.append(np.argsort(flat, kind="stable"), -1)
    cells = flat[order[:-1]]
    starts = np.searchsorted(cells, np.arange(size + 1))
    most = max(1, np.diff(starts).max())
    if most > _ROUNDS:
        new = (np.arange(len(flat)) - starts[cells]) % _ROUNDS == 0
        parts = np.empty_like(index)
        parts.flat[order[:-1]] = np.cumsum(new) - 1
        return scatter(scatter(y, parts, int(new.sum()), a), cells[new], size, a)
    rounds = np.arange(most)[:, None] + starts[:-1]
    reads = np.where(rounds < starts[1:], order[np.minimum(rounds, len(flat))], -1)
    values = with_zero(y.reshape(*lead, -1), reads, a.zero)
    return reduce(a.add, (picked(values, each[None]).reshape(*lead, -1) for each in reads))
