"""Columns of a design of any kind: as floats with bounds, and exactly, as integers.

What proofs of recovery take. Nothing else is asked of a design, so arrays, sparse matrices and
operators are judged by the same lines. Columns of operators are products with unit vectors, see
`sparseopt.inverse.operators`; whole designs up to a size are kept once they were read, others are
gone through a few columns at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.inverse.operators import ColumnOperator
from sparseopt.judging.integers import as_integers
from sparseopt.judging.rounding import FUNCTION, TINY, above, gamma, norm_bound, sum_terms
from sparseopt.judging.scaling import exponent_of, largest_part, times_power

MOST_ENTRIES = 2**22
"""Of a sparse design or an operator whose columns are kept."""
_FEW_ENTRIES = 2**16
"""Of a product of factors whose columns are read rather than multiplied by its own rule."""
_CHUNK = 1 << 20


def product(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``left @ right`` and a bound of each entry's error, of its modulus if complex."""
    terms = sum_terms(left.shape[-1], left, right)
    size = np.abs(left) @ np.abs(right)
    # gamma(k) of the true sizes is at most gamma(2 k) of those found, which are off by gamma(k).
    return left @ right, size * gamma(2 * terms + 8) + TINY


def moduli(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return upper bounds of the moduli of what lies within `bounds` of values, before sums."""
    sizes = np.abs(values)
    return (sizes * (1.0 + FUNCTION) if values.dtype.kind == "c" else sizes) + bounds


def largest(values: Iterable[float]) -> float:
    """Return the largest of some numbers of at least 0; NaN if one is NaN, 0 if there are none."""
    return float(np.max([0.0, *values]))


@dataclass(frozen=True, eq=False)
class Part:
    """Some scaled columns.

    Attributes
    ----------
    entries : ndarray of int
        Their numbers.
    columns : ndarray of float64 or complex128, shape (m, k)
    errors : ndarray of float64, shape (k,), or None
        Bounds of the norm of what each is off by; None if they are exact.
    """

    entries: np.ndarray
    columns: np.ndarray
    errors: np.ndarray | None

    def correlations(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``columns^H @ w`` of an array (m, c), and a bound of each entry's error."""
        values, bounds = product(self.columns.conj().T, w)
        if self.errors is not None:
            bounds = bounds + np.outer(self.errors, lengths(w)) * (1.0 + FUNCTION)
        return values, bounds

    def combined_error(self, weights: np.ndarray) -> np.ndarray:
        """Return bounds of what ``columns @ weights`` is off by for inexact columns."""
        if self.errors is None:
            return np.zeros(weights.shape[1:])
        return (self.errors @ np.abs(weights)) * (1.0 + gamma(2 * len(weights) + 8) + FUNCTION)


def lengths(w: np.ndarray) -> np.ndarray:
    """Return upper bounds of the norms of columns."""
    pairs = np.concatenate([w.real, w.imag]) if w.dtype.kind == "c" else w
    return np.array([norm_bound(column) for column in pairs.T])


class DesignColumns:
    """Columns of a design, scaled by a power of two so that its largest part is below 1.

    It is at least 1/2, but for products of factors, whose entries are bounded by their factors.

    Parameters
    ----------
    design : ndarray of float64 or complex128, scipy.sparse csr or csc, or ColumnOperator
        An operator's magnitudes lie where no power of two loses digits that its bounds do not
        count.
    shape : (int, int)
    is_complex : bool
    """

    def __init__(self, design: Any, shape: tuple[int, int], is_complex: bool) -> None:
        self._design, self.shape, self.is_complex = design, shape, is_complex
        self._operator = isinstance(design, ColumnOperator)
        self.is_array = isinstance(design, np.ndarray)
        if self._operator:
            self.exponent = exponent_of(design.largest)
            self._scaled = design.times_power(-self.exponent)
        else:
            data = design if self.is_array else design.data
            self.exponent = exponent_of(largest_part(data))

    @property
    def fits(self) -> bool:
        """Whether all columns may be kept at once."""
        return self.is_array or math.prod(self.shape) <= MOST_ENTRIES

    @cached_property
    def all(self) -> Part:
        """All columns."""
        return self._read(np.arange(self.shape[1]))

    @cached_property
    def _stored(self) -> Any:
        return self._design if self.is_array else self._design.tocsc()

    def _read(self, entries: np.ndarray) -> Part:
        if not self._operator:
            found = self._stored[:, entries]
            if not self.is_array:
                found = found.toarray()
                found = found.astype(np.complex128 if self.is_complex else np.float64)
            return Part(entries, times_power(found, -self.exponent), None)
        found = self._scaled[:, entries].astype(np.float64, copy=False)
        errors = self._scaled.errors_of(entries, found)
        if self.is_complex:  # the columns of [[Re, -Im], [Im, Re]] on its left
            found = found[: self.shape[0]] + 1j * found[self.shape[0] :]
        return Part(entries, found, errors)

    def part(self, entries: Any) -> Part:
        """Return some columns."""
        entries = np.asarray(entries, dtype=np.intp)
        if not self.fits or (len(entries) < self.shape[1] and "all" not in self.__dict__):
            return self._read(entries)
        every = self.all
        errors = None if every.errors is None else every.errors[entries]
        return Part(entries, every.columns[:, entries], errors)

    def parts(self, without: Any = (), most: int | None = None) -> Iterator[Part]:
        """Yield all columns but some, at most `most` at a time or as many as may be kept."""
        rest = np.ones(self.shape[1], dtype=bool)
        rest[list(without)] = False
        entries = np.flatnonzero(rest)
        step = len(entries) if self.fits else max(1, _CHUNK // self.shape[0])
        step = max(1, min(step, step if most is None else most))
        for start in range(0, len(entries), step):
            yield self.part(entries[start : start + step])

    def others(self, support: Any, w: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield ``columns^H @ w`` of all columns off a set, with bounds, a few rows at a time.

        Of large products of factors by their own rule, one column of w at a time.
        """
        is_product = self._operator and self._design.is_product
        if not is_product or math.prod(self.shape) <= _FEW_ENTRIES:
            yield from (part.correlations(w) for part in self.parts(without=support))
            return
        rest = np.delete(np.arange(self.shape[1]), list(support))
        found = [self._by_factors(column) for column in w.T]
        values, bounds = (np.stack(item, axis=1)[rest] for item in zip(*found, strict=True))
        yield values, bounds

    def _by_factors(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``columns^H @ w`` in plain arithmetic, and a bound of each modulus's error."""
        t = np.append(w.real, w.imag) if self.is_complex else w.real
        values, off = self._scaled.correlation(t), self._scaled.correlation_error(t, np.zeros(0))
        if not self.is_complex:
            return values, off + TINY
        half = self.shape[1]
        joined = values[:half] + 1j * values[half:]
        return joined, (off[:half] + off[half:]) * (1.0 + FUNCTION) + TINY

    @property
    def is_unrounded(self) -> bool:
        """Whether scaling loses no digit that the bounds of errors do not count."""
        if self._operator:
            return True
        data = self._design if self.is_array else self._design.data
        data = data.astype(np.complex128 if self.is_complex else np.float64, copy=False)
        back = times_power(times_power(data, -self.exponent), self.exponent)
        return np.array_equal(back, data)

    def pairs(self, columns: Any) -> np.ndarray:
        """Return the columns of [[Re, -Im], [Im, Re]] that stand for some; those if it is real."""
        entries = np.asarray(columns, dtype=np.intp)
        return np.append(entries, entries + self.shape[1]) if self.is_complex else entries

    def whole(self, entries: Any) -> np.ndarray:
        """Return columns of [[Re, -Im], [Im, Re]], or of a real design, in integers.

        Exactly, up to one power of two; entries from 0 to 2 n - 1, or to n - 1.
        """
        entries, n = np.asarray(entries, dtype=np.intp), self.shape[1]
        if self._operator and self._design.is_product:
            return self._design.exact_columns(entries)
        if self._operator:
            return as_integers(self._design[:, entries])[0][0]
        found = self._stored[:, entries % n]
        found = found if self.is_array else found.toarray()
        if not self.is_complex:
            return as_integers(found)[0][0]
        first = entries < n
        upper = np.where(first, found.real, -found.imag)
        return as_integers(np.vstack([upper, np.where(first, found.imag, found.real)]))[0][0]


def coherence(columns: DesignColumns, by_size: bool) -> float:
    """Return an upper bound of the coherence; infinity if a column is zero. O(m n^2).

    Of ``|a_i^H a_j| / |a_i|^2`` if sizes count, else of ``|a_i^H a_j| / (|a_i| |a_j|)``, largest
    over i != j.
    """
    width = columns.shape[1]
    low, worst = np.zeros(width), 0.0
    for part in columns.parts(most=1024):
        squares = np.square(part.columns.real).sum(axis=0)
        squares += np.square(part.columns.imag).sum(axis=0)
        found = np.sqrt(squares * (1.0 - gamma(columns.shape[0] + 16))) * (1.0 - FUNCTION)
        low[part.entries] = found if part.errors is None else found - 2.0 * part.errors
    if not (low > math.sqrt(TINY)).all():
        return math.inf
    for part in columns.parts(most=1024):
        for other in columns.parts(most=1024):
            values, bounds = part.correlations(other.columns)
            if other.errors is not None:
                reach = lengths(part.columns) + (0.0 if part.errors is None else part.errors)
                bounds = bounds + np.outer(reach, other.errors) * (1.0 + FUNCTION)
            most = moduli(values, bounds)
            most[part.entries[:, None] == other.entries] = 0.0
            first = low[part.entries][:, None]
            with np.errstate(over="ignore", under="ignore"):
                # The least normal number: a quotient that underflowed is below it.
                share = most / first / (first if by_size else low[other.entries])
                worst = largest([worst, above(float(share.max()), 16) + TINY])
    return worst
