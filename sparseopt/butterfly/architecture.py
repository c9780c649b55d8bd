"""Architectures: sequences of Kronecker-sparse patterns whose matrices multiply.

Source of the algebra: Le, Zheng, Riccietti, Gribonval, "Butterfly factorization with error
guarantees", arXiv 2411.04506.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, overload

import numpy as np

from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.interface.arrays import as_count
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.interface.printing import short
from sparseopt.interface.seams import drawn

Patterns = Iterable[KroneckerPattern | Iterable[int]]
"""What constructors take for an architecture, which is such a sequence itself."""


@json_type
@dataclass(frozen=True)
class Architecture:
    """A sequence of patterns whose matrices multiply.

    Parameters
    ----------
    patterns : list, tuple, array, iterator or Architecture
        Of `KroneckerPattern` or of four numbers (a, b, c, d), at least one; each has as many
        columns as the next has rows.

    Examples
    --------
    >>> import sparseopt as so
    >>> dyadic = so.Architecture.square_dyadic(8)
    >>> [tuple(p) for p in dyadic], dyadic.is_chainable, dyadic.is_redundant
    ([(1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 2, 1)], True, False)
    """

    patterns: tuple[KroneckerPattern, ...]

    def __init_subclass__(cls) -> None:
        raise TypeError("no class is derived from Architecture: results are kept by its equality")

    def __init__(self, patterns: Patterns) -> None:
        # An iterator is not a value of a file: there a text, a map or an object is not a sequence.
        if not isinstance(patterns, list | tuple | np.ndarray | Iterator | Architecture):
            raise ProblemError(
                f"an architecture is a sequence of patterns (a, b, c, d), got {short(patterns)}; "
                "see also Architecture.square_dyadic and Architecture.monarch"
            )
        built = tuple(_pattern(p, i) for i, p in enumerate(patterns))
        if not built:
            raise ProblemError("an architecture needs at least one pattern (a, b, c, d)")
        for i, (one, two) in enumerate(pairwise(built)):
            if one.shape[1] != two.shape[0]:
                raise ProblemError(
                    f"patterns {i} and {i + 1} do not multiply: {tuple(one)} has {one.shape[1]} "
                    f"columns and {tuple(two)} has {two.shape[0]} rows"
                )
        object.__setattr__(self, "patterns", built)

    @staticmethod
    def square_dyadic(n: int) -> Architecture:
        """Return the butterfly of size n = 2^L: patterns (2^(l-1), 2, 2, n / 2^l), l = 1..L.

        Raises
        ------
        ProblemError
            If n is not a power of two of at least 2.
        """
        n = as_count(n, "n")
        if n < 2 or n & (n - 1):
            raise ProblemError(f"square_dyadic needs a power of two of at least 2, got {n}")
        levels = n.bit_length() - 1
        return Architecture(
            KroneckerPattern(2 ** (level - 1), 2, 2, n >> level) for level in range(1, levels + 1)
        )

    @staticmethod
    def monarch(m: int, n: int, p: int, q: int) -> Architecture:
        """Return two factors for an m x n matrix: (1, p, q, m / p), (q, m / p, n / q, 1).

        Examples
        --------
        >>> import sparseopt as so
        >>> print(so.Architecture.monarch(12, 10, 3, 5))
        (1, 3, 5, 4) (5, 4, 2, 1)
        """
        m, n, p, q = (as_count(v, name) for v, name in zip((m, n, p, q), "mnpq", strict=True))
        if m % p or n % q:
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
        """Whether some neighbouring pair could be replaced by its product without loss.

        False if the architecture is not chainable: then products of pairs have no pattern.
        """
        if not self.is_chainable:
            return False
        return any(one.is_redundant_with(two) for one, two in pairwise(self.patterns))

    @property
    def ranks(self) -> tuple[int, ...]:
        """Rank of the blocks at each cut of a chainable architecture, one fewer than patterns."""
        return tuple(one.rank_with(two) for one, two in pairwise(self.patterns))

    @property
    def product(self) -> KroneckerPattern:
        """The pattern of the products of a chainable architecture."""
        return reduce(KroneckerPattern.product, self.patterns)

    @property
    def transpose(self) -> Architecture:
        """The architecture of the transposed products.

        Its factors multiply, but it is chainable only for equal a and d throughout: a must grow
        along a chain, and here it falls. To factorize a matrix over it, factorize the transposed
        matrix over `self`.
        """
        return Architecture(pattern.transpose for pattern in reversed(self.patterns))

    def fuse(self, sizes: Sequence[int]) -> Architecture:
        """Return the architecture with neighbours merged: ``sizes[i]`` patterns become one.

        Parameters
        ----------
        sizes : sequence of int
            Positive, with sum ``len(self)``.

        Examples
        --------
        >>> import sparseopt as so
        >>> print(so.Architecture.square_dyadic(16).fuse([2, 2]))
        (1, 4, 4, 4) (4, 4, 4, 1)
        """
        if any(size < 1 for size in sizes) or sum(sizes) != len(self):
            raise ProblemError(
                f"group sizes must be positive and sum to {len(self)}, got {list(sizes)}"
            )
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return Architecture(
            self[start : start + size].product for start, size in zip(starts, sizes, strict=True)
        )

    def redundant_merges(self) -> tuple[int, ...]:
        """Return the merges that remove redundancy: each merges patterns i and i + 1 of what the
        merges before it have left."""
        return self._merges

    @cached_property
    def _merges(self) -> tuple[int, ...]:
        patterns = list(self.patterns)
        merges: list[int] = []
        while True:
            pairs = enumerate(pairwise(patterns))
            place = next((i for i, (one, two) in pairs if one.is_redundant_with(two)), None)
            if place is None:
                return tuple(merges)
            merges.append(place)
            patterns[place : place + 2] = [patterns[place].product(patterns[place + 1])]

    def reduced(self) -> Architecture:
        """Return a non-redundant architecture with the same set of products.

        Source: arXiv 2411.04506, Algorithm 4.1. For a redundant pair, of rank r >= min(b, c'),
        every matrix with the pattern of the product is a product, so the pair can be replaced;
        this is repeated until no pair is redundant.

        Examples
        --------
        >>> import sparseopt as so
        >>> print(so.Architecture([(1, 4, 4, 1), (1, 4, 4, 1)]).reduced())
        (1, 4, 4, 1)
        """
        patterns = list(self.patterns)
        for place in self.redundant_merges():
            patterns[place : place + 2] = [patterns[place].product(patterns[place + 1])]
        return Architecture(patterns)

    def plot(self, ax: Any = None) -> Any:
        """Draw the support of each factor, and of the product if the chain has one.

        Returns the matplotlib Axes, which holds the panels (extra ``plot``).
        """
        return drawn(self, ax)

    def __str__(self) -> str:
        return " ".join(str(tuple(pattern)) for pattern in self)


def _pattern(value: KroneckerPattern | Iterable[int], place: int) -> KroneckerPattern:
    """Return a pattern from four numbers, naming its place if they are not four."""
    if isinstance(value, KroneckerPattern):
        return value
    numbers = tuple(value) if isinstance(value, list | tuple | np.ndarray) else ()
    if len(numbers) != 4:
        raise ProblemError(
            f"pattern {place} must be four integers (a, b, c, d), got {short(value)}"
        )
    return KroneckerPattern(*numbers)
