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
import time
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.butterfly.product import KroneckerProduct
from sparseopt.interface.errors import ProblemError
from sparseopt.judging.integers import as_integers
from sparseopt.judging.rounding import TINY, UNIT, gamma, norm_bound, two_product

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
    shape : (int, int)
        In real numbers.
    seconds : float
        What it took to go through all columns, once that was done.
    """

    dtype = np.dtype(np.float64)

    def __init__(
        self,
        source: Any,
        is_complex: bool,
        entries: np.ndarray | None = None,
        exponent: int = 0,
    ) -> None:
        self._given, self._complex, self.seconds = source, is_complex, 0.0
        self._entries, self._exponent = entries, exponent
        self._exact = not isinstance(source, KroneckerProduct)
        self.source = source if self._exact else _times_power(source, exponent)
        rows, columns = (int(side) for side in source.shape)
        self._own = rows, columns if entries is None else len(entries)
        self._given_columns = columns
        self.shape = (2 * rows, 2 * self._own[1]) if is_complex else self._own
        self._factor = math.ldexp(1.0, exponent) if self._exact else 1.0

    @property
    def is_product(self) -> bool:
        """Whether the source is a product of factors."""
        return not self._exact

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
        j = j if self._entries is None else int(self._entries[j])
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
        wide = np.complex128 if column.dtype.kind == "c" else np.float64
        return column.astype(wide) * self._factor

    def _own_columns(self, entries: np.ndarray) -> np.ndarray:
        if self._exact:
            found = [self._column(int(j)) for j in entries]
            return np.stack(found, axis=1) if found else np.zeros((self._own[0], 0))
        chosen = entries if self._entries is None else self._entries[entries]
        units = np.zeros((self._given_columns, len(entries)))
        units[chosen, np.arange(len(entries))] = 1.0
        return doubled_product(self.source, units)

    @property
    def _double(self) -> Any:
        wide = self._complex or np.dtype(self.source.dtype).kind == "c"
        return np.complex128 if wide else np.float64

    def __getitem__(self, key: tuple[slice, np.ndarray]) -> np.ndarray:
        """Return some columns, ``operator[:, entries]``, as an array of float64."""
        entries = np.asarray(key[1])
        if not self._complex:
            return np.asarray(self._own_columns(entries), dtype=np.float64)
        half = self._own[1]
        columns = self._own_columns(entries % half)
        first = entries < half
        upper = np.where(first, columns.real, -columns.imag)
        return np.vstack([upper, np.where(first, columns.imag, columns.real)])

    def _chunks(self) -> list[np.ndarray]:
        step = max(1, _CHUNK // self.shape[0])
        return [
            np.arange(start, min(start + step, self.shape[1]))
            for start in range(0, self.shape[1], step)
        ]

    def _complex_of(self, t: np.ndarray) -> np.ndarray:
        half = len(t) // 2
        return t[:half] + 1j * t[half:] if self._complex else t

    def _real_of(self, values: np.ndarray) -> np.ndarray:
        return np.append(values.real, values.imag) if self._complex else values.real

    def correlation(self, t: np.ndarray) -> np.ndarray:
        """Return the transpose times `t`, see `correlation_error`."""
        if self._exact:
            return np.concatenate([self[:, part].T @ t for part in self._chunks()])
        point = self._complex_of(t).astype(self._double)[:, None]
        return self._real_of(self._picked(np.asarray(self._adjoint.one_by_one(point)).ravel()))

    def correlation_error(self, t: np.ndarray, norms: np.ndarray) -> np.ndarray:
        """Return a bound of what each entry of ``correlation(t)`` is off by."""
        if self._exact:
            return np.asarray(norm_bound(t) * gamma(self.shape[0] + 8) * norms)
        size = np.abs(self._complex_of(t))[:, None]
        found = self._picked(np.asarray(self._magnitudes.T.one_by_one(size)).ravel())
        found = found * (self._growth * (1.0 + self._growth))
        return np.append(found, found) if self._complex else np.asarray(found)

    @cached_property
    def column_errors(self) -> np.ndarray:
        """Bounds of the norm of what computed columns are off by."""
        if self._exact:
            # Entries that a power of two takes below 2^-1022 lose no more than this.
            lost = math.sqrt(self.shape[0]) * TINY if self._exponent < 0 else 0.0
            return np.full(self.shape[1], lost)
        # Both parts of a complex number are rounded on their own.
        return self.norm_bounds(None) * UNIT + self._size_bounds * (4.0 * self._growth**2)

    def errors_of(self, entries: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the same bounds of some columns that were read, without reading the others."""
        if self._exact:
            return self.column_errors[entries]
        lengths = np.array([norm_bound(column) for column in columns.T])
        return lengths * UNIT + self._size_bounds[entries] * (5.0 * self._growth**2) + TINY

    @cached_property
    def _adjoint(self) -> KroneckerProduct:
        return self.source.H  # type: ignore[no-any-return]

    @cached_property
    def _magnitudes(self) -> KroneckerProduct:
        factors = [np.abs(f).astype(np.float64) * (1.0 + 4e-7) for f in self.source.factors]
        return KroneckerProduct(factors, self.source.architecture)

    @property
    def _growth(self) -> float:
        """Relative bound of a product's rounding against that of the magnitudes."""
        steps = sum(3 * (max(pattern.b, pattern.c) + 1) for pattern in self.source.architecture)
        return gamma(steps + 8)

    @cached_property
    def _size_bounds(self) -> np.ndarray:
        """Bounds of the columns' norms in the product of magnitudes, one per real column.

        The largest gain of each factor's blocks times what the last factor makes of a column,
        whose entries may be too small for their squares.
        """
        *others, last = self._magnitudes.factors
        pattern = self.source.architecture[-1]
        own = self._picked(np.sqrt(np.square(last).sum(axis=1)).reshape(pattern.shape[1])) + TINY
        gain = math.prod(map(_largest_gain, others))
        found = own * gain * (1.0 + 1e-9)
        return np.append(found, found) if self._complex else np.asarray(found)

    @cached_property
    def _measured(self) -> tuple[np.ndarray, float]:
        """The squares of the columns' norms, and the largest entry."""
        started, squares, largest = time.perf_counter(), [], 0.0
        for part in self._chunks():
            columns = self[:, part]
            squares.append(np.einsum("ij,ij->j", columns, columns))
            largest = max(largest, float(np.abs(columns).max(initial=0.0)))
        self.seconds = time.perf_counter() - started
        return np.concatenate(squares), largest

    def exact_columns(self, entries: np.ndarray) -> np.ndarray:
        """Return some columns of a product of factors as integers, times one power of two.

        Exact; for few columns, since every number is one of Python's.
        """
        own = entries % self._own[1] if self._complex else entries
        chosen = own if self._entries is None else self._entries[own]
        units = np.zeros((self._given_columns, len(chosen)), dtype=object)
        units[chosen, np.arange(len(chosen))] = 1
        real, imag = units, np.zeros_like(units)
        for factor, pattern in reversed(
            list(zip(self._given.factors, self._given.architecture, strict=True))
        ):
            a, _, c, d = pattern
            parts = as_integers(np.stack([factor.real, factor.imag]).astype(np.float64))[0][0]
            left = [part[..., None] for part in parts]
            blocks = [part.reshape(a, 1, c, d, len(chosen)) for part in (real, imag)]
            real = (left[0] * blocks[0] - left[1] * blocks[1]).sum(axis=2)
            imag = (left[0] * blocks[1] + left[1] * blocks[0]).sum(axis=2)
            real, imag = real.reshape(-1, len(chosen)), imag.reshape(-1, len(chosen))
        if not self._complex:
            return real
        first = entries < self._own[1]
        return np.vstack([np.where(first, real, -imag), np.where(first, imag, real)])

    @property
    def largest(self) -> float:
        """The largest entry, or a bound of it."""
        if self._exact or math.prod(self.shape) <= _STREAMED:
            return self._measured[1]
        return float(self._size_bounds.max())

    @property
    def largest_bound(self) -> float:
        """A bound of the largest entry: of a product of factors without reading its columns."""
        return self.largest if self._exact else float(self._size_bounds.max())

    def norm_bounds(self, weights: np.ndarray | None) -> np.ndarray:
        """Return upper bounds of the columns' norms, each row by its weight."""
        share = 1.0 if weights is None else math.sqrt(float(weights.max())) * (1.0 + 1e-15)
        if not self._exact and math.prod(self.shape) > _STREAMED:
            return self._size_bounds * share
        rows = self.shape[0]
        found = np.sqrt(self._measured[0] * (1.0 + gamma(rows + 16))) + math.sqrt(rows) * TINY
        if not self._exact:
            found = found * (1.0 + 4.0 * UNIT) + self._size_bounds * (8.0 * self._growth**2)
        return found * share

    def quickly(self, t: np.ndarray) -> np.ndarray:
        """Return the transpose times `t` by the operator's own adjoint, for engines alone."""
        point = self._complex_of(t)
        if self._exact:
            try:
                found = np.asarray(self.source.rmatvec(point)).ravel() * self._factor
            except NotImplementedError:  # an operator without an adjoint
                return self.correlation(t)
        else:
            found = np.asarray(self._adjoint.one_by_one(point[:, None])).ravel()
        return self._real_of(self._picked(found))

    def times(self, x: np.ndarray) -> np.ndarray:
        """Return the product with `x` by the operator's own rule, for engines alone."""
        whole = self._complex_of(x)
        if self._entries is not None:
            whole = np.zeros(self._given_columns, whole.dtype)
            whole[self._entries] = self._complex_of(x)
        return self._real_of(np.asarray(self.source.matvec(whole)).ravel() * self._factor)


def _times_power(product: KroneckerProduct, exponent: int) -> KroneckerProduct:
    """Return a product times two to a power, its factors but for the first with entries of about 1.

    Else products of small entries of some would be lost which those of others make large again.
    What factors lose below 2^-1022 counts as underflow, see `rounding.TINY`.
    """
    factors, rest = [], exponent
    for factor in product.factors:
        largest = max(float(np.abs(part).max(initial=0.0)) for part in (factor.real, factor.imag))
        own = math.frexp(largest)[1]
        factors.append((factor, own))
        rest += own
    wide = [np.complex128 if f.dtype.kind == "c" else np.float64 for f, _ in factors]
    shifts = [-own for _, own in factors]
    shifts[0] += rest
    scaled = [
        _shifted(factor.astype(kind), shift)
        for (factor, _), kind, shift in zip(factors, wide, shifts, strict=True)
    ]
    return KroneckerProduct(scaled, product.architecture, product.compiled)


def _shifted(factor: np.ndarray, exponent: int) -> np.ndarray:
    if factor.dtype.kind != "c":
        return np.ldexp(factor, exponent)
    return np.asarray(np.ldexp(factor.real, exponent) + 1j * np.ldexp(factor.imag, exponent))


def _largest_gain(factor: np.ndarray) -> float:
    """Return a bound of the largest gain of the blocks of a factor of magnitudes.

    The norm of a matrix is at most the root of its largest row sum times its largest column sum.
    """
    sums = (float(factor.sum(axis=axis).max()) for axis in (1, 2))
    return math.prod(map(math.sqrt, sums)) * (1.0 + 1e-9)


Parts = list[tuple[np.ndarray, np.ndarray]]
"""Real part, and imaginary part if there is one, each a sum of two arrays."""


def doubled_product(product: KroneckerProduct, x: np.ndarray) -> np.ndarray:
    """Return the product with a real matrix (n, batch), rounded from doubled precision."""
    parts: Parts = [(x, np.zeros_like(x))]
    pairs = list(zip(product.factors, product.architecture, strict=True))
    for factor, (a, _, c, d) in reversed(pairs):
        shape = (a, 1, c, d, x.shape[1])
        blocks = [tuple(part.reshape(shape) for part in pair) for pair in parts]
        real, imag = factor.real.astype(np.float64), factor.imag.astype(np.float64)
        terms = [[(real, blocks[0])]]
        if len(blocks) > 1 or factor.dtype.kind == "c":
            terms.append([(imag, blocks[0])])
        if len(blocks) > 1:
            terms[0].append((-imag, blocks[1]))
            terms[1].append((real, blocks[1]))
        parts = [_accumulated(listed, x.shape[1]) for listed in terms]
    found = [high + low for high, low in parts]
    return found[0] if len(found) == 1 else found[0] + 1j * found[1]


def _accumulated(terms: list[Any], batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of factors times blocks, term by term without error (Knuth, Dekker)."""
    a, b, _, d = terms[0][0].shape
    total, low = np.zeros((a, b, d, batch)), np.zeros((a, b, d, batch))
    for factor, (high, rest) in terms:
        for k in range(factor.shape[2]):
            value = factor[:, :, k, :, None]
            product, error = two_product(value, high[:, :, k])
            error = error + value * rest[:, :, k]
            added = total + product
            part = added - total
            low += ((total - (added - part)) + (product - part)) + error
            total = added
    high = total + low
    shape = (a * b * d, batch)
    return high.reshape(shape), (low - (high - total)).reshape(shape)
