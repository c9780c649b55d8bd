"""Kronecker-sparse patterns: exact integer algebra.

A pattern (a, b, c, d) is the support I_a (x) 1_{b x c} (x) I_d. Source of the algebra: Le, Zheng,
Riccietti, Gribonval, "Butterfly factorization with error guarantees", arXiv 2411.04506.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.interface.arrays import beside
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.seams import drawn


@json_type
@dataclass(frozen=True)
class KroneckerPattern:
    """The support I_a (x) 1_{b x c} (x) I_d.

    Entry (i, j, k, l) of the values, of shape (a, b, c, d), stands at row ``i b d + j d + l`` and
    column ``i c d + k d + l``.

    Parameters
    ----------
    a, b, c, d : int
        Positive.

    Examples
    --------
    >>> import sparseopt as so
    >>> pattern = so.KroneckerPattern(2, 3, 4, 5)
    >>> pattern.shape, pattern.nnz
    ((30, 40), 120)
    """

    a: int
    b: int
    c: int
    d: int

    def __init_subclass__(cls) -> None:
        raise TypeError("no class is derived from KroneckerPattern: results are kept by equality")

    def __post_init__(self) -> None:
        for name in "abcd":
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                given = ", ".join(short(getattr(self, each)) for each in "abcd")
                raise ProblemError(
                    f"pattern ({given}): {name} must be a positive integer, got {short(value)}"
                )
            object.__setattr__(self, name, int(value))

    def __iter__(self) -> Iterator[int]:
        return iter((self.a, self.b, self.c, self.d))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrices with this support."""
        return self.a * self.b * self.d, self.a * self.c * self.d

    @property
    def nnz(self) -> int:
        """Number of entries that may be nonzero."""
        return self.a * self.b * self.c * self.d

    @property
    def values_shape(self) -> tuple[int, int, int, int]:
        """Shape of the array of values."""
        return self.a, self.b, self.c, self.d

    def indices(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns of the values, each of shape (a, b, c, d)."""
        a, b, c, d = self
        i, j, k, h = np.ogrid[:a, :b, :c, :d]
        rows = np.broadcast_to(i * b * d + j * d + h, self.values_shape)
        return rows, np.broadcast_to(i * c * d + k * d + h, self.values_shape)

    def plot(self, ax: Any = None) -> Any:
        """Draw the support; return the matplotlib Axes (extra ``plot``)."""
        return drawn(self, ax)

    def support(self) -> np.ndarray:
        """Return the support as a dense bool array."""
        dense = np.zeros(self.shape, dtype=bool)
        dense[self.indices()] = True
        return dense

    def sparse(self, values: np.ndarray) -> scipy.sparse.csr_array:
        """Return the matrix with these values, shape (a, b, c, d), as CSR."""
        rows, columns = self.indices()
        entries = (values.ravel(), (rows.ravel(), columns.ravel()))
        return scipy.sparse.coo_array(entries, shape=self.shape).tocsr()

    def dense(self, values: Any) -> Any:
        """Return the matrix with these values as a dense array or tensor, as `values` is.

        A view of `values` if the support is full (a = d = 1).
        """
        a, b, c, d = self
        if a == d == 1:
            return values.reshape(b, c)
        if isinstance(values, np.ndarray):
            grid = np.zeros((a, b, d, a, c, d), dtype=values.dtype)
            np.einsum("ijlikl->ijkl", grid)[...] = values
        elif hasattr(values, "new_zeros"):
            grid = values.new_zeros((a, b, d, a, c, d))
            view = grid.diagonal(dim1=0, dim2=3).diagonal(dim1=1, dim2=3)
            view[...] = values.permute(1, 2, 0, 3)
        else:
            outer, inner = (beside(np.eye(size, dtype=values.dtype), values) for size in (a, d))
            grid = values.transpose(0, 1, 3, 2).reshape(a, b, d, 1, c, 1)
            grid = grid * outer.reshape(a, 1, 1, a, 1, 1) * inner.reshape(1, 1, d, 1, 1, d)
        return grid.reshape(self.shape)

    @property
    def transpose(self) -> KroneckerPattern:
        """Pattern of the transposed matrices."""
        return KroneckerPattern(self.a, self.c, self.b, self.d)

    def why_not_chainable(self, other: KroneckerPattern) -> str:
        """Return the condition that fails for the pair (self, other), empty if it is chainable."""
        one, two = tuple(self), tuple(other)
        if self.shape[1] != other.shape[0]:
            return f"{one} has {self.shape[1]} columns and {two} has {other.shape[0]} rows"
        if other.a % self.a:
            return f"a = {self.a} of {one} does not divide a = {other.a} of {two}"
        if self.d % other.d:
            return f"d = {other.d} of {two} does not divide d = {self.d} of {one}"
        if (self.a * self.c) % other.a:
            return (
                f"the rank a c / a' = {self.a * self.c}/{other.a} of {one}, {two} is not an integer"
            )
        return ""

    def is_chainable_with(self, other: KroneckerPattern) -> bool:
        """Whether the product of the supports is again Kronecker-sparse with constant rank."""
        return not self.why_not_chainable(other)

    def _require_chainable(self, other: KroneckerPattern) -> None:
        reason = self.why_not_chainable(other)
        if reason:
            raise ProblemError(f"patterns are not chainable: {reason}")

    def rank_with(self, other: KroneckerPattern) -> int:
        """Return r = a c / a', the rank of the blocks of the product."""
        return _rank(self, other)

    def product(self, other: KroneckerPattern) -> KroneckerPattern:
        """Return the pattern of the product, (a, b d / d', a' c' / a, d')."""
        return _product(self, other)

    def is_redundant_with(self, other: KroneckerPattern) -> bool:
        """Whether every matrix with the product's support is a product: r >= min(b, c')."""
        return self.rank_with(other) >= min(self.b, other.c)


@lru_cache(maxsize=4096)
def _rank(one: KroneckerPattern, two: KroneckerPattern) -> int:
    one._require_chainable(two)
    return one.a * one.c // two.a


@lru_cache(maxsize=4096)  # the products at all splits of a long chain repeat each other
def _product(one: KroneckerPattern, two: KroneckerPattern) -> KroneckerPattern:
    one._require_chainable(two)
    return KroneckerPattern(one.a, one.b * one.d // two.d, two.a * two.c // one.a, two.d)
