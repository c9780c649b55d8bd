"""Sums of products in more than one arithmetic.

Every quantity of path-lifting is one pass through the network in which each path multiplies its
weights and a neuron adds up what arrives. Only what "multiply" and "add" mean differs: ordinary
numbers for sums over paths, logarithms where the range of float64 does not suffice, and
(max, +) for the largest path. The linear operators are written once against this interface.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Matmul = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``matmul(a, b)`` for stacks of matrices, with the broadcasting of `numpy.matmul`."""


@dataclass(frozen=True)
class Semiring:
    """An arithmetic for arrays.

    Parameters
    ----------
    name : str
        For messages.
    add, times : numpy.ufunc
        Entrywise operations.
    zero, one : float or int
        Neutral elements of `add` and `times`.
    matmul : Matmul
    """

    name: str
    add: np.ufunc
    times: np.ufunc
    zero: float
    one: float
    matmul: Matmul


def _matmul_by(add: np.ufunc, times: np.ufunc) -> Matmul:
    """Return a matrix product over `add` and `times`, O(m k n) with temporaries of O(m n + m k)."""

    def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        inner, columns = b.shape[-2], b.shape[-1]
        if columns <= inner:  # few right-hand sides: reduce along the inner axis for each
            parts = [add.reduce(times(a, b[..., None, :, j]), axis=-1) for j in range(columns)]
            return np.stack(parts, axis=-1)
        result = times(a[..., :, 0, None], b[..., None, 0, :])
        for k in range(1, inner):
            add(result, times(a[..., :, k, None], b[..., None, k, :]), out=result)
        return result

    return matmul


SUM = Semiring("sum", np.add, np.multiply, 0, 1, np.matmul)
"""Ordinary arithmetic, for floats and for object arrays of exact numbers."""

LOG = Semiring("log2", np.logaddexp2, np.add, -np.inf, 0.0, _matmul_by(np.logaddexp2, np.add))
"""Non-negative numbers by their base-2 logarithms: never overflows, never underflows."""

LARGEST = Semiring("max", np.maximum, np.add, -np.inf, 0.0, _matmul_by(np.maximum, np.add))
"""Base-2 logarithms again, where a neuron keeps its largest path instead of the sum."""
