"""Value by value on the matrix itself: for products whose paths are not told apart.

With all other factors fixed, the squared error is a quadratic function of the values of one factor
W between P, the product of those before it, and S, of those after it. Its best value at row i and
column j, all others fixed, is the nearest number to ``w + R_ij / (G_ii H_jj)`` with
``G = P* P``, ``H = S S*`` and ``R = P* (A - P W S) S*``. So the error never grows.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt_quantization.chain import times_powers
from sparseopt_quantization.products import Work

MOST_WORK = 2.0**37
"""Operations of a pass beyond which none is made."""
AT_ONCE = 1 << 18
"""Updates after which the clock is looked at."""


def updated(
    first: int,
    last: int,
    places: np.ndarray,
    values: np.ndarray,
    rest: np.ndarray,
    left: Any,
    right: Any,
    limits: tuple[float, float, float, float],
    is_complex: bool,
) -> None:
    """Replace values, one after the other, by the best for all others as they are, in place.

    Plain loops, compiled by numba where it is: the same bits either way.

    Parameters
    ----------
    first, last : int
        Which values.
    places : ndarray of int, shape (k, 2)
        Rows and columns of the values.
    values : ndarray, shape (k, 2)
        Real and imaginary parts.
    rest : ndarray, shape (rows, columns, 2)
        R, see above; kept up to date where G and H are not zero.
    left, right : (starts, indices, entries of shape (., 2), diagonal)
        Of each column of G, and of each row of H, the entries that are not zero.
    limits : (split, below, spacing, largest)
        To round to some digits; numbers less than `below` lie evenly.
    is_complex : bool
    """
    left_starts, left_at, left_entries, left_diagonal = left
    right_starts, right_at, right_entries, right_diagonal = right
    split, below, spacing, largest = limits
    for k in range(first, last):
        i, j = places[k, 0], places[k, 1]
        curvature = left_diagonal[i] * right_diagonal[j]
        if not curvature > 0.0:
            continue
        moved_real, moved_imaginary = 0.0, 0.0
        for part in range(2 if is_complex else 1):
            value = values[k, part] + rest[i, j, part] / curvature
            if abs(value) < below:
                new = spacing * np.rint(value / spacing)
            else:
                w = split * value
                new = w - (w - value)
            new = min(max(new, -largest), largest)
            if part == 0:
                moved_real = new - values[k, 0]
            else:
                moved_imaginary = new - values[k, 1]
            values[k, part] = new
        if moved_real == 0.0 and moved_imaginary == 0.0:
            continue
        for s in range(left_starts[i], left_starts[i + 1]):
            own, real, imaginary = left_at[s], left_entries[s, 0], left_entries[s, 1]
            x = real * moved_real - imaginary * moved_imaginary
            y = real * moved_imaginary + imaginary * moved_real
            for t in range(right_starts[j], right_starts[j + 1]):
                h, hi = right_entries[t, 0], right_entries[t, 1]
                rest[own, right_at[t], 0] -= x * h - y * hi
                rest[own, right_at[t], 1] -= x * hi + y * h


@cache
def _compiled() -> Any:
    """Return `updated`, compiled."""
    from numba import njit

    return njit(cache=True, nogil=True)(updated)


class Descent:
    """The factors of a quantized product and of what it is to be near, brought near 1."""

    def __init__(self, work: Work, start: so.KroneckerProduct) -> None:
        self.work, self.patterns = work, list(work.product.architecture)
        self.powers = [_power_of(f) for f in work.product.factors]
        self.given = self._near(work.product)
        self.found = self._near(start)
        self.target = self._dense(self.given)

    def _near(self, product: so.KroneckerProduct) -> list[np.ndarray]:
        """Return factors over the powers of two."""
        pairs = zip(product.factors, self.powers, strict=True)
        wide = [np.complex128 if f.dtype.kind == "c" else np.float64 for f in product.factors]
        return [
            times_powers(f.astype(w), np.array(-p)) for (f, p), w in zip(pairs, wide, strict=True)
        ]

    def _matrix(self, place: int, factor: np.ndarray) -> np.ndarray:
        """Return a factor as a matrix."""
        found: np.ndarray = self.patterns[place].dense(factor)
        return found

    def _dense(self, factors: list[np.ndarray]) -> np.ndarray:
        """Return the product of all."""
        whole = self._matrix(0, factors[0])
        for place, factor in enumerate(factors[1:], 1):
            whole = whole @ self._matrix(place, factor)
        return whole

    @property
    def work_of_a_pass(self) -> float:
        """Operations that a pass takes, about."""
        sizes = [p.shape for p in self.patterns]
        rows, columns = sizes[0][0], sizes[-1][1]
        each = [
            m * (rows * columns + m * rows) + n * (m * columns + n * columns + m * m)
            for m, n in sizes
        ]
        return 4.0 * float(sum(each))

    def product(self) -> so.KroneckerProduct | None:
        """Return the quantized product, or None where it leaves the range of its dtype."""
        factors = []
        with np.errstate(over="ignore", under="ignore"):
            for f, p, given in zip(self.found, self.powers, self.work.product.factors, strict=True):
                factors.append(times_powers(f, np.array(p)).astype(given.dtype))
        for i, form in enumerate(self.work.forms):
            if not np.isfinite(factors[i]).all():
                return None
            if form is not None and not form.contains(factors[i]):
                factors[i] = form.round(factors[i])
        return so.KroneckerProduct(factors, self.work.product.architecture)

    def run(self) -> None:
        """Improve all values once, from the first factor to the last."""
        suffixes: list[np.ndarray] = [np.eye(self.patterns[-1].shape[1])]
        for place in range(len(self.found) - 1, 0, -1):
            suffixes.append(self._matrix(place, self.found[place]) @ suffixes[-1])
        prefix = np.eye(self.patterns[0].shape[0])
        for place, form in enumerate(self.work.forms):
            suffix = suffixes.pop()
            if form is not None:
                self.work.engine.check_time("rounding value by value")
                self._improve(place, form, prefix, suffix)
            prefix = prefix @ self._matrix(place, self.found[place])

    def _improve(
        self, place: int, form: so.NumberFormat, prefix: np.ndarray, suffix: np.ndarray
    ) -> None:
        """Improve the values of one factor."""
        factor = self.found[place]
        kept = (self.given[place] != 0.0).ravel()
        rows, columns = (z.reshape(-1)[kept] for z in self.patterns[place].indices())
        gram, other = prefix.conj().T @ prefix, suffix @ suffix.conj().T
        difference = self.target - prefix @ self._matrix(place, factor) @ suffix
        rest = prefix.conj().T @ difference @ suffix.conj().T
        values = _as_parts(factor.ravel()[kept])
        places = np.stack([rows, columns], axis=1).astype(np.int64)
        sides = _sparse(gram.T), _sparse(other)
        run: Any = updated
        each = max(1, len(sides[0][1]) * len(sides[1][1]) // max(gram.size, 1))
        if self.work.engine.is_compiled(each * len(values) * 16):
            run = _compiled()
        parts, step = _as_parts(rest), max(1, AT_ONCE // each)
        for start in range(0, len(values), step):
            self.work.engine.check_time("rounding value by value")
            end = min(start + step, len(values))
            run(
                start,
                end,
                places,
                values,
                parts,
                *sides,
                _limits(form, self.powers[place]),
                factor.dtype.kind == "c",
            )
        new = factor.copy().ravel()
        new[kept] = values[:, 0] + 1j * values[:, 1] if factor.dtype.kind == "c" else values[:, 0]
        self.found[place] = new.reshape(factor.shape)


def _power_of(factor: np.ndarray) -> int:
    """Return the power of two above the largest part."""
    largest = max(np.abs(factor.real).max(initial=0.0), np.abs(factor.imag).max(initial=0.0))
    return int(np.frexp(float(largest))[1])


def _as_parts(values: np.ndarray) -> np.ndarray:
    """Return real and imaginary parts along a last axis."""
    return np.stack([values.real, values.imag], axis=-1).astype(np.float64)


def _sparse(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return where the rows of a matrix begin, columns and entries that are not zero, diagonal."""
    rows, columns = np.nonzero(matrix)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(matrix)))])
    entries = _as_parts(matrix[rows, columns])
    return starts.astype(np.int64), columns.astype(np.int64), entries, matrix.diagonal().real.copy()


def _limits(form: so.NumberFormat, power: int) -> tuple[float, float, float, float]:
    """Return what `updated` rounds by, for numbers over a power of two."""
    split = 2.0 ** (53 - form.digits) + 1.0
    if form.lowest is None:
        return split, 0.0, 1.0, math.inf
    below = math.ldexp(1.0, min(max(form.lowest - power, -1000), 1000))  # all values are below 1
    spacing = math.ldexp(below, 1 - form.digits)
    largest = math.ldexp(form.largest, -power) if power > -900 else math.inf
    return split, below, spacing, largest
