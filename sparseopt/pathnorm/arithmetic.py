"""How the numbers of a plain pass are added and multiplied, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, Protocol

import numpy as np

# Entries of a block of largest products.
_ENTRIES = 1 << 16


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """How numbers are added and multiplied.

    Parameters
    ----------
    add, times : callable
        Entrywise, with broadcasting.
    matmul : callable
        As `numpy.matmul`.
    zero : array of shape ()
        What adding changes nothing.
    """

    add: Callable[[Any, Any], Any]
    times: Callable[[Any, Any], Any]
    matmul: Callable[[Any, Any], Any]
    zero: np.ndarray


def largest_products(a: np.ndarray, b: np.ndarray, times: Any, larger: Any) -> np.ndarray:
    """Return a matrix product with the largest instead of the sum of the products."""
    columns = max(1, _ENTRIES // a.shape[-2])
    parts = []
    for start in range(0, b.shape[-1], columns):
        piece = b[..., start : start + columns]
        terms = (times(a[..., :, i, None], piece[..., None, i, :]) for i in range(a.shape[-1]))
        parts.append(reduce(larger, terms))
    return np.concatenate(parts, axis=-1)


def of_largest(larger: Any, times: Any, zero: np.ndarray) -> Arithmetic:
    """Return the arithmetic in which the larger of two numbers takes the place of their sum."""
    return Arithmetic(larger, times, partial(largest_products, times=times, larger=larger), zero)


def whole_power(x: np.ndarray, q: int, times: Callable[[Any, Any], Any]) -> np.ndarray:
    """Return the q-th power of an array, q at least 1, with q - 1 products along each way."""
    result: np.ndarray | None = None
    while True:
        if q & 1:
            result = x if result is None else times(result, x)
        q >>= 1
        if not q:
            assert result is not None
            return result
        x = times(x, x)


class Weights(Protocol):
    """A tensor of weights in the numbers of an arithmetic."""

    def part(self, outputs: slice) -> np.ndarray:
        """Return the weights of some outputs of a kernel (groups, outputs, inputs)."""

    def all(self) -> np.ndarray:
        """Return all weights."""
