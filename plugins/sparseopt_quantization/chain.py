"""A chain of factors as the engines see it: brought near 1, split into terms, summed over paths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import sparseopt as so

Factors = list[np.ndarray]
_FAR = 4000
_NONE = -(1 << 30)


@dataclass(frozen=True, eq=False)
class Chain:
    """The factors of a product with the powers of two that bring each column near 1.

    The powers are those of rows and columns of inner cuts, which cancel, and of each column of the
    last factor. So chains that differ by powers of two only are the same chain here.

    Attributes
    ----------
    factors : list of float64 or complex128 array (a, b, c, d)
        ``2**powers`` times those of the problem; each column has its largest part in [1/2, 1).
    powers : list of int32 array
        For each value.
    cuts : list of int64 array
        The powers of all cuts: of rows, divided by those of columns.
    last : ndarray of float64
        Weights of the columns of the product, the largest of them 1.
    forms : tuple of NumberFormat or None
    """

    factors: Factors
    powers: list[np.ndarray]
    cuts: list[np.ndarray]
    last: np.ndarray
    forms: tuple[so.NumberFormat | None, ...]

    @classmethod
    def of(cls, product: so.KroneckerProduct, forms: tuple[so.NumberFormat | None, ...]) -> Chain:
        """Return the chain of a product with NumPy factors."""
        factors, powers = [], []
        rows = np.zeros(product.shape[0], dtype=np.int64)
        cuts = [rows]
        for factor in product.factors:
            a, b, _, d = factor.shape
            wide = factor.astype(np.complex128 if factor.dtype.kind == "c" else np.float64)
            sizes = np.maximum(np.abs(wide.real), np.abs(wide.imag))
            own = np.frexp(sizes)[1].astype(np.int64) + rows.reshape(a, b, 1, d)
            columns = np.where(sizes > 0.0, own, _NONE).max(axis=1)
            columns[columns == _NONE] = 0
            shift = rows.reshape(a, b, 1, d) - columns[:, None]
            factors.append(times_powers(wide, shift))
            powers.append(shift.astype(np.int32))
            rows = columns.ravel()
            cuts.append(rows)
        weights = np.ldexp(1.0, np.clip(2 * (rows - rows.max()), -_FAR, 0).astype(np.int32))
        return cls(factors, powers, cuts, weights, forms)

    @property
    def count(self) -> int:
        """How many factors there are."""
        return len(self.factors)

    @cached_property
    def is_real(self) -> bool:
        """Whether no factor is complex."""
        return all(f.dtype.kind == "f" for f in self.factors)

    def digits(self, place: int) -> int:
        """Return the digits of the format of a factor, which must have one."""
        form = self.forms[place]
        assert form is not None
        return form.digits

    def rounded(self, place: int, values: np.ndarray) -> np.ndarray:
        """Return the numbers of the format of a factor nearest to values, in its own scale."""
        form = self.forms[place]
        if form is None:
            return self.factors[place]
        if not form.is_finite:
            return np.asarray(form.round(values))
        powers = self.powers[place]
        with np.errstate(over="ignore", under="ignore"):
            own = np.nan_to_num(times_powers(values, -powers))
            return times_powers(np.asarray(form.round(own)), powers)

    def row_weights(self, place: int) -> np.ndarray:
        """Return weights of the entries of the columns of a factor, shape (k, b), which make them
        count as they do in the factor as it was given."""
        spread = spread_rows(self.cuts[place], self.factors[place].shape)
        return _powers_of_four(-spread)

    def column_weights(self, place: int) -> np.ndarray:
        """Return the same for the entries of the rows, shape (k, c)."""
        return _powers_of_four(spread_columns(self.cuts[place + 1], self.factors[place].shape))

    def nearest(self) -> Factors:
        """Return each value rounded to nearest."""
        return [self.rounded(i, f) for i, f in enumerate(self.factors)]

    def runs(self) -> list[range]:
        """Return the runs of neighbouring factors that are rounded to some digits each, all of
        them real or all complex."""
        found: list[range] = []
        for place, form in enumerate(self.forms):
            if form is None or form.name.startswith("int"):
                continue
            kind = self.factors[place].dtype.kind
            if found and found[-1].stop == place and self.factors[place - 1].dtype.kind == kind:
                found[-1] = range(found[-1].start, place + 1)
            else:
                found.append(range(place, place + 1))
        return found


def _powers_of_four(powers: np.ndarray) -> np.ndarray:
    """Return powers of four, over the largest of each row."""
    above = powers - powers.max(axis=1, keepdims=True)
    return np.ldexp(1.0, np.clip(2 * above, -_FAR, 0).astype(np.int32))


def times_powers(values: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Return values times powers of two, exact within the range of floats."""
    shifts = np.clip(powers, -_FAR, _FAR).astype(np.int32)
    with np.errstate(over="ignore", under="ignore"):
        if values.dtype.kind != "c":
            return np.ldexp(values, shifts)
        found = np.empty(np.broadcast_shapes(values.shape, shifts.shape), dtype=np.complex128)
        found.real, found.imag = np.ldexp(values.real, shifts), np.ldexp(values.imag, shifts)
        return found


def as_columns(factor: np.ndarray) -> np.ndarray:
    """Return the columns of a factor, shape (k, b): the left vectors of its terms."""
    return np.ascontiguousarray(factor.transpose(0, 2, 3, 1)).reshape(-1, factor.shape[1])


def as_rows(factor: np.ndarray) -> np.ndarray:
    """Return the rows of a factor, shape (k, c): the right vectors of the terms before it."""
    return np.ascontiguousarray(factor.transpose(0, 1, 3, 2)).reshape(-1, factor.shape[2])


def from_columns(columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `as_columns`."""
    a, b, c, d = shape
    return np.ascontiguousarray(columns.reshape(a, c, d, b).transpose(0, 3, 1, 2))


def from_rows(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `as_rows`."""
    a, b, c, d = shape
    return np.ascontiguousarray(rows.reshape(a, b, d, c).transpose(0, 1, 3, 2))


def spread_rows(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers of the rows of a factor, one for each entry of its columns, shape (k, b)."""
    a, b, _, d = shape
    return as_columns(np.broadcast_to(values.reshape(a, b, 1, d), shape))


def spread_columns(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers of the columns of a factor, one for each entry of its rows, shape (k, c)."""
    a, _, c, d = shape
    return as_rows(np.broadcast_to(values.reshape(a, 1, c, d), shape))


@dataclass(frozen=True, eq=False)
class Side:
    """Sums over the paths on one side of a cut, node by node.

    Of the rounded chain q and the given one p: ``square = |q|^2``, ``ratio = <q, p> / |q|^2``. With
    all other factors fixed, a value w between two nodes is best replaced by what is nearest to the
    product of w and both ratios, an error that counts the product of both squares.
    """

    square: np.ndarray
    ratio: Any

    @classmethod
    def start(cls, square: np.ndarray) -> Side:
        """Return the sums at the end of the chain."""
        return cls(square, np.ones(len(square)))

    def past(self, given: np.ndarray, rounded: np.ndarray, to_columns: bool) -> Side:
        """Return the sums past one factor, from rows to columns or back."""
        a, b, c, d = given.shape
        shape, axis = ((a, b, 1, d), 1) if to_columns else ((a, 1, c, d), 2)
        share, ratio = self.square.reshape(shape), self.ratio.reshape(shape)
        weighted = share * rounded.conj()
        square = (weighted * rounded).real.sum(axis=axis).ravel()
        inner = (weighted * ratio * given).sum(axis=axis).ravel()
        return Side(
            square, np.where(square > 0.0, inner / np.where(square > 0.0, square, 1.0), 0.0)
        )
