"""The rank of a matrix modulo a prime, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

_TERMS = 512
"""Products of residues below 2^22 whose sum stays below 2^53."""
_PLAIN = 16
"""Rows that are eliminated one after the other."""


@dataclass(eq=False)
class Echelon:
    """Rows in reduced echelon form modulo a prime, with those that they come from.

    Parameters
    ----------
    prime : int
        Below 2^22.
    width : int
    tick : callable
        Called now and then, so that a caller may watch the time.
    """

    prime: int
    width: int
    tick: Callable[[], None] = lambda: None
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    reduced: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    seen: int = 0

    def __post_init__(self) -> None:
        self.reduced = np.empty((0, self.width))

    @property
    def rank(self) -> int:
        """Number of independent rows so far."""
        return len(self.rows)

    def add(self, batch: np.ndarray) -> int:
        """Take further rows, and return how many are independent of those before."""
        rest = batch.astype(np.float64)
        kept = self._outside(rest)
        rest = rest[kept]
        if self.rank:
            rest = self._less(rest, rest[:, self.columns], self.reduced)
        rows, columns, new = self._echelon(rest)
        if rows:
            old = self._less(self.reduced, self.reduced[:, columns], new)
            self.reduced = np.concatenate([old, new])
        self.rows += [self.seen + int(kept[row]) for row in rows]
        self.columns += columns
        self.seen += len(batch)
        return len(rows)

    def _outside(self, batch: np.ndarray) -> np.ndarray:
        """Return which rows are to be eliminated.

        Once the kernel is small, those that it annihilates are told faster than by elimination:
        they depend on the rows before.
        """
        if 4 * (self.width - self.rank) > self.rank:
            return np.arange(len(batch))
        self.tick()
        kernel = self.kernel().T
        return np.flatnonzero(self._less(np.zeros((1, kernel.shape[1])), batch, kernel).any(axis=1))

    def _echelon(self, a: np.ndarray) -> tuple[list[int], list[int], np.ndarray]:
        """Return independent rows, their pivots, and the reduced form."""
        self.tick()
        if len(a) <= _PLAIN:
            return self._plain(a)
        half = len(a) // 2
        rows, columns, top = self._echelon(a[:half])
        rest = self._less(a[half:], a[half:][:, columns], top) if rows else a[half:]
        below, further, bottom = self._echelon(rest)
        if below:
            top = self._less(top, top[:, further], bottom)
        both = np.concatenate([top, bottom])
        return [*rows, *(half + row for row in below)], [*columns, *further], both

    def _plain(self, a: np.ndarray) -> tuple[list[int], list[int], np.ndarray]:
        work = a.copy()
        rows, columns = list[int](), list[int]()
        for row in range(len(work)):
            found = np.flatnonzero(work[row])
            if not found.size:
                continue
            column = int(found[0])
            pivot = int(work[row, column])
            scale = pow(pivot, -1, self.prime)
            work[row] = self._modulo(work[row] * scale)
            factors = work[:, column].copy()
            factors[row] = 0.0
            work = self._modulo(work - factors[:, None] * work[row])
            rows.append(row)
            columns.append(column)
        return rows, columns, work[rows]

    def _less(self, a: np.ndarray, factors: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return ``a - factors @ b``."""
        for start in range(0, factors.shape[1], _TERMS):
            part = slice(start, start + _TERMS)
            a = self._modulo(a - factors[:, part] @ b[part])
        return a

    def _modulo(self, a: np.ndarray) -> np.ndarray:
        quotient = a * (1.0 / self.prime)
        np.floor(quotient, out=quotient)
        quotient *= self.prime
        a = a - quotient
        a[a < 0] += self.prime
        a[a >= self.prime] -= self.prime
        return a

    def kernel(self) -> np.ndarray:
        """Return a basis of the vectors that all rows annihilate, (width - rank, width)."""
        free = np.setdiff1d(np.arange(self.width), self.columns)
        basis = np.zeros((len(free), self.width))
        basis[np.arange(len(free)), free] = 1.0
        if self.rank:
            basis[:, self.columns] = self._modulo(-self.reduced[:, free].T)
        return basis
