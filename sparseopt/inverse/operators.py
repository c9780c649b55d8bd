"""Designs of which only products are known, judged column by column and never written out.

A SciPy `LinearOperator` stands for the matrix whose columns are ``matvec(e_j)``, as it rounds
them. A `KroneckerProduct` stands for the exact product of its factors. Applied one by one in
plain arithmetic, with sums of k terms in all, they are off by at most gamma(k) times what the
factors' magnitudes give (Higham 2002, section 3.5): so are correlations, products with the
transpose. Columns are found in doubled precision, which leaves the rounding of each entry at the
end and gamma(k)^2 times the magnitudes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.pattern import KroneckerPattern
from sparseopt.butterfly.product import KroneckerProduct, apply_factor
from sparseopt.interface.arrays import to_double
from sparseopt.interface.errors import ProblemError
from sparseopt.judging.integers import as_integers
from sparseopt.judging.rounding import TINY, UNIT, gamma, lost, norm_bound, two_product

_CHUNK = 1 << 20
_STREAMED = 1 << 24
"""Entries of a product of factors up to which its columns' norms are found column by column."""


class ColumnOperator:
    """A real matrix, known by its columns; a complex one as [[Re, -Im], [Im, Re]].

    Parameters
    ----------
    source : LinearOperator or KroneckerProduct
    is_complex : bool
        Whether coefficients and target are complex.
    entries : ndarray of int, or None
        The columns taken, None for all.
    exponent : int
        Everything is multiplied by two to this power.

    Attributes
    ----------
    is_product : bool
        Whether the source is a product of factors.
    shape : (int, int)
        In real numbers.
    lost : float
        What may underflow in an entry of a column; inf where factors are so many that no bound
        of it is known.
    """

    dtype = np.dtype(np.float64)

    def __init__(
        self,
        source: Any,
        is_complex: bool,
        entries: np.ndarray | None = None,
        exponent: int = 0,
    ) -> None:
        self._given, self._complex = source, is_complex
        self._entries, self._exponent = entries, exponent
        self.is_product = isinstance(source, KroneckerProduct)
        self.source = _times_power(source, exponent) if self.is_product else source
        self._factor = 1.0 if self.is_product else math.ldexp(1.0, exponent)
        self.lost = _lost(self.source) if self.is_product else TINY
        rows, self._given_columns = (int(side) for side in source.shape)
        self._own = rows, self._given_columns if entries is None else len(entries)
        self.shape = (2 * rows, 2 * self._own[1]) if is_complex else self._own

    def some(self, entries: np.ndarray) -> ColumnOperator:
        """Return an operator of some of the columns, counted in complex numbers if it is."""
        known = entries if self._entries is None else self._entries[entries]
        return ColumnOperator(self._given, self._complex, known, self._exponent)

    def times_power(self, exponent: int) -> ColumnOperator:
        """Return the operator times two to a power."""
        total = self._exponent + exponent
        return ColumnOperator(self._given, self._complex, self._entries, total)

    def _picked(self, values: np.ndarray) -> np.ndarray:
        """Return of one value for each column of the source those of the columns taken."""
        return values if self._entries is None else values[self._entries]

    def _column(self, j: int) -> np.ndarray:
        unit = np.zeros(self._given_columns, dtype=self.source.dtype)
        unit[j] = 1.0
        try:
            column = np.asarray(self.source.matvec(unit)).reshape(-1)
        except Exception as error:
            raise ProblemError(
                f"matvec of the design fails for column {j}: {type(error).__name__}: {error}"
            ) from error
        if column.shape != self._own[:1]:
            raise ProblemError(f"matvec of the design returned shape {column.shape}")
        if column.dtype.kind == "c" and np.dtype(self.source.dtype).kind != "c":
            raise ProblemError(
                f"matvec of the design returns complex numbers, but its dtype is "
                f"{self.source.dtype}; give the operator dtype=complex"
            )
        if not np.isfinite(column).all():
            raise ProblemError(f"column {j} of the design has a NaN or an infinity; replace it")
        return to_double(column, f"column {j} of the design") * self._factor

    def __getitem__(self, key: tuple[slice, np.ndarray]) -> np.ndarray:
        """Return some columns, ``operator[:, entries]``, as an array of float64."""
        if self.is_product:
            return self.in_two(key[1]).sum(axis=0)
        return self._real_columns(key[1], self._read)

    def in_two(self, entries: np.ndarray) -> np.ndarray:
        """Return some columns of a product of factors as sums of two, shape (2, m, k).

        Together they are off by `errors_in_two`, and no more for what rounding takes.
        """
        return self._real_columns(entries, self._doubled)

    def exact_columns(self, entries: np.ndarray) -> np.ndarray:
        """Return some columns of a product of factors as integers, times one power of two.

        Exact; for few columns, since every number is one of Python's.
        """
        return self._real_columns(entries, self._integers)

    def _real_columns(
        self, entries: np.ndarray, found: Callable[[np.ndarray], Sequence[np.ndarray]]
    ) -> np.ndarray:
        """Return some columns from the real parts, and imaginary parts, of those of the source."""
        own = np.asarray(entries) % self._own[1]
        real, *imag = found(own if self._entries is None else self._entries[own])
        if not self._complex:
            return real
        first = np.asarray(entries) < self._own[1]
        upper = np.where(first, real, -imag[0])
        return np.concatenate([upper, np.where(first, imag[0], real)], axis=-2)

    def _read(self, columns: np.ndarray) -> list[np.ndarray]:
        found = np.zeros((self._own[0], len(columns)), complex if self._complex else float)
        for i, j in enumerate(columns):
            found[:, i] = self._column(int(j))
        return self._parts(found)

    def _parts(self, values: np.ndarray) -> list[np.ndarray]:
        return [values.real, values.imag][: 1 + self._complex]

    def _doubled(self, columns: np.ndarray) -> list[np.ndarray]:
        """Return columns of a product in doubled precision."""
        values = [[p.astype(np.float64) for p in self._parts(f)] for f in self.source.factors]
        units = self._units(columns) * np.array([1.0, 0.0])[:, None, None]
        found = _applied(values, self.source.architecture, units, _doubled_sum)
        return np.split(found, 1 + self._complex, axis=-1)

    def _integers(self, columns: np.ndarray) -> list[np.ndarray]:
        values = [as_integers(*self._parts(factor))[0] for factor in self._given.factors]
        units = self._units(columns).astype(int).astype(object)
        found = _applied(values, self._given.architecture, units, _exact_sum)
        return np.split(found, 1 + self._complex, axis=1)

    def _units(self, columns: np.ndarray) -> np.ndarray:
        """Return columns of the identity, and beside them their imaginary parts."""
        units = np.zeros((self._given_columns, len(columns) * (1 + self._complex)))
        units[columns, np.arange(len(columns))] = 1.0
        return units

    def _chunks(self) -> list[np.ndarray]:
        step = max(1, _CHUNK // self.shape[0])
        return np.split(np.arange(self.shape[1]), range(step, self.shape[1], step))

    def _complex_of(self, t: np.ndarray) -> np.ndarray:
        return t[: len(t) // 2] + 1j * t[len(t) // 2 :] if self._complex else t

    def _real_of(self, values: np.ndarray) -> np.ndarray:
        return np.append(values.real, values.imag) if self._complex else values.real

    def correlation(self, t: np.ndarray) -> np.ndarray:
        """Return the transpose times `t`, see `correlation_error`."""
        if not self.is_product:
            return np.concatenate([self[:, part].T @ t for part in self._chunks()])
        return self._real_of(self._picked(self._adjoint_times(self._complex_of(t))))

    def _adjoint_times(self, t: np.ndarray) -> np.ndarray:
        return np.conj(self.source.T.one_by_one(np.conj(t)[:, None])).ravel()

    def correlation_error(self, t: np.ndarray, norms: np.ndarray) -> np.ndarray:
        """Return a bound of what each entry of ``correlation(t)`` is off by."""
        if not self.is_product:
            return np.asarray(norm_bound(t) * gamma(self.shape[0] + 8) * norms)
        return self._sums(np.abs(self._complex_of(t))) * self._growth

    @cached_property
    def column_errors(self) -> np.ndarray:
        """Bounds of the norm of what computed columns are off by."""
        # Both parts of a complex number are rounded on their own.
        return self.errors_in_two + (self.norm_bounds(None) * UNIT if self.is_product else 0.0)

    @cached_property
    def errors_in_two(self) -> np.ndarray:
        """The same of columns of a product that come as sums of two."""
        if not self.is_product:
            # Entries that a power of two takes below 2^-1022 lose no more than this.
            lost = math.sqrt(self.shape[0]) * TINY if self._exponent < 0 else 0.0
            return np.full(self.shape[1], lost)
        return self._size_bounds * (4.0 * self._growth**2) + self.lost

    def errors_of(self, entries: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the same bounds of some columns that were read, without reading the others."""
        if not self.is_product:
            return self.column_errors[entries]
        lengths = np.array([norm_bound(column) for column in columns.T])
        # One growth^2 more than above: rounded lengths stand for exact ones.
        return lengths * UNIT + self._size_bounds[entries] * (5.0 * self._growth**2) + self.lost

    @cached_property
    def _magnitudes(self) -> KroneckerProduct:
        factors = [np.abs(f).astype(np.float64) * (1.0 + 4e-7) for f in self.source.factors]
        return KroneckerProduct(factors, self.source.architecture)

    def _sums(self, sizes: np.ndarray) -> np.ndarray:
        """Return bounds of the sums of the columns in the product of magnitudes, rows by `sizes`.

        One per real column. What is added to magnitudes covers the rounding of these sums.
        """
        found = self._picked(self._magnitudes.T.one_by_one(sizes[:, None]).ravel())
        return np.tile(found, 1 + self._complex)

    @property
    def _growth(self) -> float:
        """Relative bound of a product's rounding against that of the magnitudes."""
        return gamma(8 + sum(3 * (max(p.b, p.c) + 1) for p in self.source.architecture))

    @cached_property
    def _size_bounds(self) -> np.ndarray:
        """Bounds of the columns' norms in the product of magnitudes, by the sums of entries."""
        return self._sums(np.ones(self._own[0]))

    @cached_property
    def _measured(self) -> tuple[np.ndarray, float]:
        """The squares of the columns' norms, and the largest entry."""
        squares, largest = [], 0.0
        for part in self._chunks():
            columns = self[:, part]
            squares.append(np.einsum("ij,ij->j", columns, columns))
            largest = max(largest, float(np.abs(columns).max(initial=0.0)))
        return np.concatenate(squares), largest

    @property
    def largest(self) -> float:
        """The largest entry; of a product of factors a bound of it, no column of which is read."""
        return float(self._size_bounds.max()) if self.is_product else self._measured[1]

    @property
    def is_streamed(self) -> bool:
        """Whether it is a product of factors too large to measure its columns."""
        return self.is_product and math.prod(self.shape) > _STREAMED

    def norm_bounds(self, weights: np.ndarray | None) -> np.ndarray:
        """Return upper bounds of the columns' norms, each row by its weight."""
        share = 1.0 if weights is None else math.sqrt(float(weights.max())) * (1.0 + 1e-15)
        if self.is_streamed:
            return (self._size_bounds + self.lost) * share
        rows = self.shape[0]
        found = np.sqrt(self._measured[0] * (1.0 + gamma(rows + 16))) + math.sqrt(rows) * self.lost
        if self.is_product:
            found = found * (1.0 + 4.0 * UNIT) + self._size_bounds * (8.0 * self._growth**2)
        return found * share

    def quickly(self, t: np.ndarray) -> np.ndarray:
        """Return the transpose times `t` by the operator's own adjoint, for engines alone."""
        point = self._complex_of(t)
        if not self.is_product:
            try:
                found = np.asarray(self.source.rmatvec(point)).ravel() * self._factor
            except NotImplementedError:  # an operator without an adjoint
                return self.correlation(t)
        else:
            found = self._adjoint_times(point)
        return self._real_of(self._picked(found))

    def times(self, x: np.ndarray) -> np.ndarray:
        """Return the product with `x` by the operator's own rule, for engines alone."""
        whole = self._complex_of(x)
        if self._entries is not None:
            whole = np.zeros(self._given_columns, whole.dtype)
            whole[self._entries] = self._complex_of(x)
        return self._real_of(np.asarray(self.source.matvec(whole)).ravel() * self._factor)


def _lost(own: KroneckerProduct) -> float:
    """Return what underflows in a column: entries of all factors but the first are at most 1."""
    return lost(*(max(p.b, p.c) for p in own.architecture)) * (1.0 + np.abs(own.factors[0]).max())


def _times_power(product: KroneckerProduct, exponent: int) -> KroneckerProduct:
    """Return a product times two to a power, its factors but for the first with entries of about 1.

    Else products of small entries of some would be lost which those of others make large again.
    """
    own = [math.frexp(float(np.abs(0.5 * f).max()))[1] + 1 for f in product.factors]
    if exponent + sum(own) > sys.float_info.max_exp:
        raise ProblemError(
            f"entries of the product of the factors may be as large as 2^{exponent + sum(own)}, "
            "beyond float64; divide the factors by powers of two"
        )
    shifts = [exponent + sum(own[1:]), *(-power for power in own[1:])]
    return replace(product, factors=tuple(map(_shifted, product.factors, shifts)))


def _shifted(factor: np.ndarray, exponent: int) -> np.ndarray:
    wide = np.ascontiguousarray(to_double(factor, "a factor of the design"))
    return np.ldexp(wide.view(float), exponent).view(wide.dtype)


Terms = list[tuple[np.ndarray, np.ndarray]]
"""Values of a factor, and what they are multiplied with."""


def _applied(
    values: list[list[np.ndarray]],
    architecture: Architecture,
    x: np.ndarray,
    summed: Callable[[Terms, KroneckerPattern], np.ndarray],
) -> np.ndarray:
    """Return a product of factors, given by their parts, times a matrix (..., n, batch).

    If there are imaginary parts they stand beside the real ones in `x` and in what is returned;
    `summed` adds up terms, factors of one pattern times matrices.
    """
    for parts, pattern in reversed(list(zip(values, architecture, strict=True))):
        terms = [(parts[0], x)]
        if len(parts) > 1:
            real, imag = np.split(x, 2, axis=-1)
            terms.append((parts[1], np.concatenate([-imag, real], axis=-1)))
        x = summed(terms, pattern)
    return x


def _exact_sum(terms: Terms, pattern: KroneckerPattern) -> Any:
    return sum(apply_factor(factor, pattern, x) for factor, x in terms)


def _doubled_sum(terms: Terms, pattern: KroneckerPattern) -> np.ndarray:
    """Return the sum, high and low parts, added up without error (Knuth, Dekker)."""
    a, _, c, d = pattern
    total = low = np.zeros(())
    for factor, x in terms:
        high, rest = x.reshape(2, a, 1, c, d, -1)
        for k in range(c):
            value = factor[:, :, k, :, None]
            product, error = two_product(value, high[:, :, k])
            error = error + value * rest[:, :, k]
            added = total + product
            part = added - total
            low = low + (((total - (added - part)) + (product - part)) + error)
            total = added
    high = total + low
    return np.stack([high, low - (high - total)]).reshape(2, pattern.shape[0], -1)
