"""Rigorous bounds of rounding in double precision, the arithmetic under every inexact claim.

A claim holds for the real numbers behind the stored floats: upper bounds are raised by what
rounding may have taken, lower bounds reduced by it, and figures are printed outward.

Notation of Higham, Accuracy and Stability of Numerical Algorithms (2002), chapter 3:
u = 2^-53 and gamma(k) = k u / (1 - k u). A sum of k products in any order, with or without
fused multiply-add, is off by at most gamma(k) times the sum of the absolute products.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse

UNIT = 2.0**-53
TINY = 2.0**-450
"""Far above anything that underflow loses in scaled data, far below anything that matters."""
FUNCTION = 2.0**-50
"""What NumPy's elementary functions (powers, logarithms, exponentials) may be off, relatively:
eight units, taken on trust where NumPy's own tests hold them to four."""
_GROWTH = 500.0
"""Powers of two by which what underflows early may grow and stay far below `TINY`."""
_SPLITTER = 2.0**27 + 1.0
_PRODUCTS = 1 << 16
"""Products at a time of `row_dots`: its temporaries stay in the cache."""
_FEW = 1000


def gamma(terms: int) -> float:
    """Return the relative error bound of a sum of `terms` products, rounded up; inf from 2^46."""
    if not terms * UNIT < 2.0**-7:
        return math.inf
    return terms * UNIT / (1.0 - terms * UNIT) * (1.0 + 4.0 * UNIT)


def sum_terms(length: int, *arrays: np.ndarray) -> int:
    """Return k such that a sum of that many products of entries is off by gamma(k) of the sum of
    the absolute products; products of such sums by the gamma of the total (Higham, Lemma 3.3).

    The length itself for real numbers. Real and imaginary part of a sum of r complex products are
    sums of 2 r real ones: together off by sqrt(2) gamma(2 r), which is at most gamma(3 r).
    """
    return length * (3 if any(array.dtype.kind == "c" for array in arrays) else 1)


def lost(*lengths: int) -> float:
    """Return a bound of what underflow takes from an entry, or the norm, of a product of factors
    with entries of at most 1 in real and imaginary part, whose sums have so many terms.

    `TINY`; infinity where later factors might make much of what was lost in the first ones.
    """
    return TINY if sum(map(math.log2, lengths)) + 0.5 * len(lengths) <= _GROWTH else math.inf


def above(value: float, operations: int = 1) -> float:
    """Return an upper bound of a nonnegative number, computed with that many roundings."""
    return math.nextafter(value * (1.0 + 2.0 * operations * UNIT), math.inf)


def below(value: float, operations: int = 1) -> float:
    """Return a lower bound of a nonnegative number, computed with that many roundings."""
    return max(math.nextafter(value * (1.0 - 2.0 * operations * UNIT), -math.inf), 0.0)


def float_above(value: Fraction) -> float:
    """Return the smallest float that is not below a rational number; inf beyond their range.

    Examples
    --------
    >>> float_above(Fraction(1, 4)), float_above(Fraction(1, 3)) > 1 / 3
    (0.25, True)
    """
    try:
        nearest = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.nextafter(math.inf, 0.0)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def shown_above(value: float, digits: int = 6) -> str:
    """Return a decimal that is not below `value`, for "at most" in a claim.

    Examples
    --------
    >>> shown_above(1 / 3), shown_above(0.25), shown_above(float("inf")), shown_above(1e-323)
    ('0.333334', '0.25', 'inf', '9.88132e-324')
    """
    return _shown(value, digits, ROUND_CEILING)


def shown_below(value: float, digits: int = 6) -> str:
    """Return a decimal that is not above `value`, for "at least" in a claim.

    Examples
    --------
    >>> shown_below(2 / 3)
    '0.666666'
    """
    return _shown(value, digits, ROUND_FLOOR)


def _shown(value: float, digits: int, rounding: str) -> str:
    if not math.isfinite(value):
        return str(value)
    rounded = Context(prec=digits, rounding=rounding).plus(Decimal(value))
    text = f"{float(rounded):.{digits}g}"
    # Below the normal range a float has fewer digits than it takes to be on the right side.
    return text if Decimal(text) == rounded else f"{rounded:.{digits}g}"


def _split(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    c = _SPLITTER * a
    high = c - (c - a)
    return high, a - high


def two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return p, e with p = fl(a b) and p + e = a b exactly (Dekker 1971).

    Holds for magnitudes below 2^990; where the product falls below 2^-968, e is off by at most
    2^-1070, which `TINY` covers.
    """
    p = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return p, a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)


def two_sums(products: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two numbers a row whose sum is that of ``products + errors``, up to a bound.

    A binary tree of TwoSum (Knuth) turns each row, without error, into one sum and as many
    corrections as additions. With width w and T the sum of |products| the corrections add up to
    at most (2 + log2 w) u T in magnitude, so summing these 2 w numbers in plain arithmetic loses
    at most gamma(3 w) gamma(3 + log2 w) T.
    """
    width = products.shape[1]
    if width == 0:
        return np.zeros(len(products)), np.zeros(len(products)), np.zeros(len(products))
    magnitude = np.abs(products).sum(axis=1)
    correction = errors.sum(axis=1)
    levels = 0
    while products.shape[1] > 1:
        half = products.shape[1] // 2
        a, b = products[:, :half], products[:, half : 2 * half]
        total = a + b
        part = total - a
        correction += ((a - (total - part)) + (b - part)).sum(axis=1)
        products = np.concatenate([total, products[:, 2 * half :]], axis=1)
        levels += 1
    loss = gamma(3 * width + 3) * gamma(levels + 4) * (1.0 + gamma(width + 1))
    return products[:, 0], correction, loss * magnitude + TINY


def row_dots(rows: Any, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``rows @ vector`` to about the last bit, and a bound of each entry's error.

    Parameters
    ----------
    rows : ndarray or scipy.sparse csr, shape (k, w)
        float32 or float64.
    vector : ndarray of float64, shape (w,)

    Returns
    -------
    values, bounds : ndarray of float64, shape (k,)
        ``|values - exact| <= bounds``. O(k w), about 20 flops an entry, in chunks of bounded size.
        What `two_sums` loses and, by the last addition, u |value|: the bound of Dot2 (Ogita, Rump,
        Oishi 2005) for its order of summation.
    """
    count, width = rows.shape
    values, bounds = np.zeros(count), np.full(count, TINY)
    is_sparse = scipy.sparse.issparse(rows)
    if is_sparse:
        lengths = np.diff(rows.indptr)
        width = int(lengths.max(initial=0))
    step = max(1, _PRODUCTS // max(1, width))
    for start in range(0, count, step):
        part = slice(start, min(count, start + step))
        if is_sparse:
            left, right = _padded(rows, part, lengths[part], vector)
        else:
            left = np.asarray(rows[part], dtype=np.float64)
            right = np.broadcast_to(vector, left.shape)
        total, correction, loss = two_sums(*two_product(left, right))
        np.add(total, correction, out=values[part])  # which refuses complex numbers
        bounds[part] = UNIT * np.abs(values[part]) * (1.0 + 4.0 * UNIT) + loss
    return values, bounds


def _padded(
    rows: Any, part: slice, lengths: np.ndarray, vector: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored entries of some sparse rows and their partners, padded with zeros."""
    shape = (len(lengths), int(lengths.max(initial=0)))
    left, right = np.zeros(shape), np.zeros(shape)
    stored = slice(int(rows.indptr[part.start]), int(rows.indptr[part.stop]))
    where = np.arange(shape[1]) < lengths[:, None]
    left[where] = rows.data[stored]
    right[where] = vector[rows.indices[stored]]
    return left, right


def product_terms(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Return floats whose exact sum is the dot product of `a` and `b`; for `math.fsum`."""
    p, e = two_product(a, b)
    return [*p.tolist(), *e.tolist()]


def product_sum(a: np.ndarray, b: np.ndarray) -> tuple[list[float], float]:
    """Return floats whose exact sum is the dot product, up to a bound that is returned too.

    Up to a thousand entries they are those of `product_terms` and the bound is 0; beyond there are
    two, and it is far below the last bit of the sum of the magnitudes, see `two_sums`.
    """
    if len(a) <= _FEW or not (a.any() and b.any()):
        return product_terms(a[:_FEW], b[:_FEW]), 0.0
    total, correction, loss = two_sums(*two_product(a[None], b[None]))
    return [float(total[0]), float(correction[0])], float(loss[0])


def norm_bound(vector: np.ndarray) -> float:
    """Return an upper bound of the Euclidean norm."""
    square = float(np.dot(vector, vector))
    return math.sqrt(square * (1.0 + gamma(len(vector) + 16))) + math.sqrt(len(vector)) * TINY
