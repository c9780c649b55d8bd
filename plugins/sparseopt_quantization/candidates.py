"""Rounded vectors, exactly: from the pieces of a table, and the best for a given factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.quantization.exact import dot, exponent_of, rounded_multiples, scaled
from sparseopt_quantization.sides import Part

Data = tuple[np.ndarray, np.ndarray]
"""A vector and its weights."""


@dataclass(frozen=True, eq=False)
class Rounded:
    """A rounded vector u and its products with the vector x.

    Attributes
    ----------
    u : ndarray
    cross, square : Fraction
        ``<x, u>`` and ``|u|^2``.
    bracket : tuple
        The fractions next to the ratio of two entries, where that found it.
    """

    u: np.ndarray
    cross: Fraction
    square: Fraction
    bracket: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, data: Data, u: np.ndarray) -> Rounded:
        """Compute the products, exactly."""
        vector, weights = data
        return cls(u, dot(weights, vector, u), dot(weights, u, u))

    @property
    def rate(self) -> Fraction:
        """The factor that takes u nearest to the vector."""
        return self.cross / self.square

    def times_power(self, power: int) -> Rounded:
        """Return ``2**power u``."""
        two = scaled(Fraction(1), power)
        u = np.ldexp(self.u, power)
        return Rounded(u, self.cross * two, self.square * two * two, self.bracket)


def from_numbers(data: Data, part: Part, numbers: np.ndarray, form: so.NumberFormat) -> Rounded:
    """Return the rounded vector with these magnitudes where entries count."""
    vector, _ = data
    powers = part.powers if part.numbers.is_periodic else np.zeros_like(part.powers)
    # All digits of the least entry are to be floats, and the largest entry, too.
    low = max(0, -1073 + part.numbers.digits - int(powers.min()))
    high = min(0, 1020 - int(powers.max()))
    u = with_powers(numbers, powers + (low or high))
    if u is None:
        raise so.Inconclusive("entries are so far apart that their roundings leave the floats")
    full = np.zeros(len(vector))
    full[part.kept] = u
    found = Rounded.of(data, np.copysign(full, vector) + 0.0)
    rest = vector != 0.0
    rest[part.kept] = False
    if rest.any() and found.cross:
        power = exponent_of(1 / found.rate)
        factor = float(scaled(1 / found.rate, -power))
        with np.errstate(over="ignore", under="ignore"):
            full[rest] = form.round(np.ldexp(np.abs(vector[rest]) * (0.5 * factor), power + 1))
        found = Rounded.of(data, np.copysign(full, vector) + 0.0)
    return found


def with_powers(numbers: np.ndarray, powers: np.ndarray) -> np.ndarray | None:
    """Return numbers times powers of two, or None if a float does not hold one."""
    with np.errstate(over="ignore", under="ignore"):
        found = np.ldexp(numbers, powers)
        is_exact = np.array_equal(np.ldexp(found, -powers), numbers)
    return found if is_exact and np.isfinite(found).all() else None


def best_for(data: Data, rate: Fraction, form: so.NumberFormat) -> Rounded:
    """Return the numbers of a format nearest to a positive factor times a vector.

    In floats, but for entries so close to a midpoint that rounding the product may pass it: those
    in rationals.
    """
    vector, _ = data
    power = exponent_of(rate)
    factor = float(scaled(rate, -power))
    with np.errstate(over="ignore", under="ignore"):
        product = np.ldexp(vector * (0.5 * factor), power + 1)
        # Halved so that it does not overflow; where it is not normal it is not relied upon.
        low, found, high = (form.round(product * (1.0 + e)) for e in (-1e-15, 0.0, 1e-15))
    unsure = (low != high) | (np.abs(product) < 1e-290) | ~(np.abs(product) < 1e300)
    exactly = np.flatnonzero(unsure & (vector != 0.0))
    moved = with_powers(*rounded_multiples(rate, np.abs(vector[exactly]), form.grid))
    if moved is None:
        raise so.Inconclusive("a rounded entry leaves the range of floats; scale the vectors")
    found[exactly] = moved
    return Rounded.of(data, np.copysign(found, vector) + 0.0)


def last_digits(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positive floats as odd integers and powers of two."""
    mantissas, exponents = np.frexp(sizes)
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    lowest = whole & -whole
    return whole // lowest, exponents - 54 + np.frexp(lowest.astype(np.float64))[1]


def primitive(data: Data, found: Rounded) -> Rounded:
    """Return u over the largest odd number that divides all its entries.

    The direction is the same, and where it is that of the vector itself the factor between the two
    becomes a float: a fraction of entries that have no common divisor left.
    """
    sizes = np.abs(found.u[found.u != 0.0])
    odd, _ = last_digits(sizes)
    divisor = math.gcd(*odd.tolist())
    if divisor == 1:
        return found
    # Back to about the size that it had.
    return Rounded.of(data, found.u / divisor).times_power(divisor.bit_length() - 1)


def powers_within(u: np.ndarray, form: so.NumberFormat) -> range:
    """Return the powers of two by which a vector with few digits may be scaled to be in a format.

    Its largest entry must not pass the largest number, and the last digits of all must be there; of
    F_t those that floats hold.
    """
    sizes = np.abs(u[u != 0.0])
    if not sizes.size:
        return range(-4000, 4000)
    _, last = last_digits(sizes)
    lowest = -1074 if form.lowest is None else form.lowest - form.digits + 1
    largest = form.largest if form.is_finite else float(np.finfo(np.float64).max)
    most = exponent_of(Fraction(largest) / Fraction(float(sizes.max())))
    return range(lowest - int(last.min()), most + 1)


def nearest_to_zero(powers: range) -> int:
    """Return the power of the smallest magnitude; the range must not be empty."""
    return min(max(0, powers.start), powers.stop - 1)


def common(one: range, other: range) -> range:
    """Return the intersection of two ranges of step 1."""
    return range(max(one.start, other.start), min(one.stop, other.stop))


def mirrored(powers: range) -> range:
    """Return the negatives of a range of step 1."""
    return range(1 - powers.stop, 1 - powers.start)
