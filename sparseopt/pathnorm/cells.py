"""Reading and writing cells by their index; -1 stands for none."""

from __future__ import annotations

import numpy as np

from sparseopt.pathnorm.arithmetic import Arithmetic


def gather(x: np.ndarray, index: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return ``x[..., index]``, with zero where the index is -1."""
    return np.take(with_zero(x, index, zero), index, axis=-1)


def with_zero(x: np.ndarray, index: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Return the samples with a zero behind, as the last entry, which -1 picks; if it is needed."""
    if index.min() >= 0:
        return x
    return np.concatenate([x, np.full((*x.shape[:-1], 1), zero, dtype=x.dtype)], axis=-1)


def scatter(y: np.ndarray, index: np.ndarray, size: int, a: Arithmetic) -> np.ndarray:
    """Return the transpose of `gather`: entry c is the sum of ``y[..., k]`` with index c.

    Cells that occur several times are served in rounds, each cell at most once in a round.
    """
    flat = index.ravel()
    lead = y.shape[: y.ndim - index.ndim]
    values = y.reshape(*lead, -1)
    result = np.full((*lead, size), a.zero, dtype=y.dtype)
    order = np.argsort(flat, kind="stable")
    cells, first = np.unique(flat[order], return_index=True)
    stops = np.append(first[1:], len(flat))
    inside = cells >= 0
    cells, first, stops = cells[inside], first[inside], stops[inside]
    while cells.size:
        picked = values[..., order[first]]
        result[..., cells] = a.add(result[..., cells], picked)
        first = first + 1
        more = first < stops
        cells, first, stops = cells[more], first[more], stops[more]
    return result
