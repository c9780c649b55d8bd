"""Kronecker-sparse patterns and architectures: exact integer algebra.

A pattern (a, b, c, d) is the support I_a (x) 1_{b x c} (x) I_d. Source of the algebra: Le, Zheng,
Riccietti, Gribonval, "Butterfly factorization with error guarantees", arXiv 2411.04506.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np
import scipy.sparse

from sparseopt.errors import ProblemError
from sparseopt.serialization import json_type


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

    def __post_init__(self) -> None:
        for name in "abcd":
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ProblemError(
                    f"pattern {tuple(getattr(self, n) for n in 'abcd')}: {name} must be a "
                    f"positive integer, got {value!r}"
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
            return f"the rank a c / a' = {self.a * self.c}/{other.a} of {one}, {two} is no integer"
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
        self._require_chainable(other)
        return self.a * self.c // other.a

    def product(self, other: KroneckerPattern) -> KroneckerPattern:
        """Return the pattern of the product, (a, b d / d', a' c' / a, d')."""
        self._require_chainable(other)
        return KroneckerPattern(
            self.a, self.b * self.d // other.d, other.a * other.c // self.a, other.d
        )

    def is_redundant_with(self, other: KroneckerPattern) -> bool:
        """Whether every matrix with the product's support is a product: r >= min(b, c')."""
        return self.rank_with(other) >= min(self.b, other.c)


@json_type
@dataclass(frozen=True)
class Architecture:
    """A sequence of patterns whose matrices multiply.

    Parameters
    ----------
    patterns : iterable of KroneckerPattern or of (a, b, c, d)
        At least one; shapes must chain.

    Examples
    --------
    >>> import sparseopt as so
    >>> dyadic = so.Architecture.square_dyadic(8)
    >>> [tuple(p) for p in dyadic], dyadic.is_chainable, dyadic.is_redundant
    ([(1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 2, 1)], True, False)
    """

    patterns: tuple[KroneckerPattern, ...]

    def __init__(self, patterns: Iterable[KroneckerPattern | Iterable[int]]) -> None:
        built = tuple(
            p if isinstance(p, KroneckerPattern) else KroneckerPattern(*p) for p in patterns
        )
        if not built:
            raise ProblemError("an architecture needs at least one pattern")
        for i, (one, two) in enumerate(pairwise(built)):
            if one.shape[1] != two.shape[0]:
                raise ProblemError(
                    f"patterns {i} and {i + 1} do not multiply: {tuple(one)} has {one.shape[1]} "
                    f"columns and {tuple(two)} has {two.shape[0]} rows"
                )
        object.__setattr__(self, "patterns", built)

    @staticmethod
    def square_dyadic(n: int) -> Architecture:
        """Return the butterfly of size n = 2^L: patterns (2^(l-1), 2, 2, n / 2^l)."""
        if n < 2 or n & (n - 1):
            raise ProblemError(f"square_dyadic needs a power of two of at least 2, got {n}")
        levels = n.bit_length() - 1
        return Architecture(
            KroneckerPattern(2 ** (level - 1), 2, 2, n >> level) for level in range(1, levels + 1)
        )

    @staticmethod
    def monarch(m: int, n: int, p: int, q: int) -> Architecture:
        """Return two factors for an m x n matrix: (1, p, q, m / p), (q, m / p, n / q, 1)."""
        if p < 1 or q < 1 or m % p or n % q:
            raise ProblemError(
                f"monarch needs p | m and q | n, got p = {p}, m = {m}, q = {q}, n = {n}"
            )
        return Architecture(
            [KroneckerPattern(1, p, q, m // p), KroneckerPattern(q, m // p, n // q, 1)]
        )

    @overload
    def __getitem__(self, index: int) -> KroneckerPattern: ...
    @overload
    def __getitem__(self, index: slice) -> Architecture: ...
    def __getitem__(self, index: int | slice) -> KroneckerPattern | Architecture:
        found = self.patterns[index]
        return Architecture(found) if isinstance(found, tuple) else found

    def __len__(self) -> int:
        return len(self.patterns)

    def __iter__(self) -> Iterator[KroneckerPattern]:
        return iter(self.patterns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the products."""
        return self.patterns[0].shape[0], self.patterns[-1].shape[1]

    @property
    def nnz(self) -> int:
        """Number of parameters."""
        return sum(pattern.nnz for pattern in self)

    @property
    def why_not_chainable(self) -> str:
        """The first pair and condition that fail; empty if chainable."""
        for i, (one, two) in enumerate(pairwise(self.patterns)):
            reason = one.why_not_chainable(two)
            if reason:
                return f"patterns {i} and {i + 1}: {reason}"
        return ""

    @property
    def is_chainable(self) -> bool:
        """Whether every neighbouring pair is chainable; then every grouping is."""
        return not self.why_not_chainable

    @property
    def is_redundant(self) -> bool:
        """Whether some neighbouring pair could be replaced by its product without loss."""
        return any(one.is_redundant_with(two) for one, two in pairwise(self.patterns))

    @property
    def product(self) -> KroneckerPattern:
        """The pattern of the products of a chainable architecture."""
        result = self.patterns[0]
        for pattern in self.patterns[1:]:
            result = result.product(pattern)
        return result

    @property
    def transpose(self) -> Architecture:
        """The architecture of the transposed products."""
        return Architecture(pattern.transpose for pattern in reversed(self.patterns))

    def __str__(self) -> str:
        return " ".join(str(tuple(pattern)) for pattern in self)
