"""The relative distance of two products with the same patterns, with a bound of rounding.

In a chainable architecture of rank 1 each entry of the product is one path: the product of one
entry of each factor. So squared norms add up over paths, node by node, in O(nnz). With p and q the
products of two chains along the paths that end in a node, ``p = alpha q + e`` for a number alpha of
the node, and ``|e|^2``, ``<e, q>``, ``|q|^2`` are carried on: rounding then counts against the
difference, not against the products, and numbers that the chains share out among their factors in
different ways do no harm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.butterfly.architecture import Architecture
from sparseopt.butterfly.product import KroneckerProduct, apply_factor
from sparseopt.judging.figures import Figure
from sparseopt.judging.rounding import TINY, UNIT, gamma, lost
from sparseopt.judging.scaling import exponent_of, largest_part, times_power
from sparseopt.quantization.exact import root_above

EXACT_UP_TO = 600
"""Values of a product up to which the error is computed in rationals."""
EXACT_FACTORS = 50
"""Likewise; the digits of the rationals grow with the factors."""
DENSE_UP_TO = 1 << 22
"""Entries of the matrix, for architectures whose paths are not told apart."""
_MORE = 1.0 + 2.0**-30
"""Times a bound that was computed in floats: far more than they lose."""
_FAR = 5000
"""Powers of two beyond which a float is zero or infinite."""
_ZERO = -(2**40)
"""Stands for the power of a column of zeros, far below all others."""


def is_rank_one(architecture: Architecture) -> bool:
    """Whether each entry of the product is one path."""
    return architecture.is_chainable and all(rank == 1 for rank in architecture.ranks)


def relative_error(one: KroneckerProduct, other: KroneckerProduct) -> Figure:
    """Return ``|A - B| / |A|`` in the Frobenius norm; 0 if both are zero, 1 if only A is.

    Parameters
    ----------
    one, other : KroneckerProduct
        A and B, with NumPy factors of the same patterns.

    Returns
    -------
    Figure
        The number, and how far it may be off: hardly at all for up to 600 values in up to 50
        factors, else some 1e-15 of ``|B| / |A|`` for each factor. O(nnz) for chainable
        architectures of rank 1, else O(nnz n).
    """
    chains = list(one.factors), list(other.factors)
    if all(np.array_equal(f, g) for f, g in zip(*chains, strict=True)):
        return Figure(0.0, 0.0)
    if not is_rank_one(one.architecture):
        return _dense(*chains, one.architecture)
    if one.nnz <= EXACT_UP_TO and len(chains[0]) <= EXACT_FACTORS:
        return Figure(root_above(_exact(*chains)), 0.0)
    return _Paths(one.architecture).relative_error(*chains)


def _exact(first: list[np.ndarray], second: list[np.ndarray]) -> Fraction:
    """Return the squared relative error of chains, in rationals."""
    exact = np.vectorize(Fraction, otypes=[object])

    def inner(left: list[np.ndarray], right: list[np.ndarray]) -> Fraction:
        """Return the real part of the inner product of two chains."""
        a, b, _, d = left[0].shape
        p: Any = np.ones(a * b * d, dtype=object)
        q: Any = 0 * p
        for f, g in zip(left, right, strict=True):
            a, b, _, d = f.shape
            (w, x), (v, y) = ((exact(z.real), exact(z.imag)) for z in (f, g))
            real, imaginary = w * v + x * y, x * v - w * y
            p, q = p.reshape(a, b, 1, d), q.reshape(a, b, 1, d)
            p, q = real * p - imaginary * q, real * q + imaginary * p
            p, q = p.sum(axis=1), q.sum(axis=1)
        return Fraction(p.sum())

    chains = [[_wide(f) for f in chain] for chain in (first, second)]
    square = inner(chains[0], chains[0])
    own = inner(chains[1], chains[1])
    if not square:
        return Fraction(int(own != 0))
    return (square - 2 * inner(*chains) + own) / square


@dataclass
class _Sum:
    """Numbers, one for each node, and how far each may be off."""

    value: Any
    room: Any

    def over(self, powers: np.ndarray) -> _Sum:
        """Return the numbers over powers of two; what falls below the range is within `TINY`."""
        shares = np.ldexp(1.0, -powers)
        return _Sum(self.value * shares, self.room * shares + TINY)


class _Paths:
    """The recursion in floats."""

    def __init__(self, architecture: Architecture) -> None:
        self.patterns = list(architecture)

    def relative_error(self, first: list[np.ndarray], second: list[np.ndarray]) -> Figure:
        """Return the figure; infinite room where it cannot be told."""
        rows = self.patterns[0].shape[0]
        one, nothing = np.ones(rows), np.zeros(rows)
        norm, own = _Sum(one, nothing), _Sum(one, nothing)
        square, cross = _Sum(nothing, nothing), _Sum(nothing, nothing)
        alpha: Any = one
        shifts = [np.zeros(rows, dtype=np.int64)] * 2
        last = len(self.patterns) - 1
        with np.errstate(all="ignore"):
            for place, pattern in enumerate(self.patterns):
                w, v = (_wide(chain[place]) for chain in (first, second))
                peaks = [_peaks(f, s) for f, s in zip((w, v), shifts, strict=True)]
                scaled = _shifted(w, shifts[0], peaks[0])
                norm = _grown(norm, scaled)
                alive = [bool((p > _ZERO // 2).any()) for p in peaks]
                if place == last:
                    norm_square = _total(norm, peaks[0])
                    common = np.maximum(*peaks)
                    peaks = [common, common]
                    scaled = _shifted(w, shifts[0], common)
                turned = _shifted(v, shifts[1], peaks[1])
                step = _Step(pattern, scaled, turned, alpha, own, cross)
                alpha = np.ones(step.columns) if place == last else step.best()
                square, cross, own = step.onwards(square, alpha)
                if place < last:  # back near 1, or long chains leave the range of floats
                    e, f = (np.frexp(z.value)[1] // 2 for z in (norm, own))
                    alpha = alpha * np.ldexp(1.0, f - e)
                    norm, square, own = norm.over(2 * e), square.over(2 * e), own.over(2 * f)
                    cross, peaks = cross.over(e + f), [peaks[0] + e, peaks[1] + f]
                shifts = peaks
            if not alive[0]:
                return Figure(float(alive[1]), 0.0)
            return _quotient(_total(square, common), norm_square)


def _wide(factor: np.ndarray) -> np.ndarray:
    """Return a factor in double precision."""
    return factor.astype(np.complex128 if factor.dtype.kind == "c" else np.float64)


def _peaks(factor: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return for each column the exponent of its largest entry, with those of the rows added."""
    a, b, _, d = factor.shape
    sizes = np.maximum(np.abs(factor.real), np.abs(factor.imag))
    powers = np.frexp(sizes)[1].astype(np.int64) + shifts.reshape(a, b, 1, d)
    return np.where(sizes > 0.0, powers, _ZERO).max(axis=1).ravel()


def _shifted(factor: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return a factor with rows times and columns over powers of two.

    An entry that falls below the range is less than ``2**-1000`` of its column: see `TINY`.
    """
    a, b, c, d = factor.shape
    powers = rows.reshape(a, b, 1, d) - columns.reshape(a, 1, c, d)
    powers = np.clip(powers, -_FAR, _FAR).astype(np.int32)
    found = np.empty_like(factor)
    if factor.dtype.kind == "c":
        found.real, found.imag = np.ldexp(factor.real, powers), np.ldexp(factor.imag, powers)
        return found
    return np.ldexp(factor, powers)


def _grown(norm: _Sum, factor: np.ndarray) -> _Sum:
    """Return the squared norms one factor on."""
    a, b, _, d = factor.shape
    squares = factor.real**2 + factor.imag**2
    value = (norm.value.reshape(a, b, 1, d) * squares).sum(axis=1).ravel()
    room = (norm.room.reshape(a, b, 1, d) * squares).sum(axis=1).ravel()
    return _Sum(value, (room + gamma(b + 8) * value) * _MORE + TINY)


class _Step:
    """One factor of each chain: from the nodes of its rows to those of its columns.

    In exact arithmetic, for the numbers alpha as they are, with ``delta = alpha_i w - alpha_k v``::

        |e'|^2  = sum_i |e|^2 |w|^2 + 2 Re(<e, q> w conj(delta)) + |q|^2 |delta|^2
        <e',q'> = sum_i conj(v) (<e, q> w + |q|^2 delta)
        |q'|^2  = sum_i |q|^2 |v|^2

    and the rooms are what these sums may be off by: what their terms are, and what rounding adds.
    """

    def __init__(
        self, pattern: Any, w: np.ndarray, v: np.ndarray, alpha: Any, own: _Sum, cross: _Sum
    ) -> None:
        self.a, self.b, self.c, self.d = pattern
        self.columns = self.a * self.c * self.d
        self.w, self.v = w, v
        self.alpha, self.own, self.cross = (
            self._rows(alpha),
            _Sum(self._rows(own.value), self._rows(own.room)),
            _Sum(self._rows(cross.value), self._rows(cross.room)),
        )
        self.loss = gamma(3 * self.b + 40)

    def _rows(self, values: Any) -> Any:
        return values.reshape(self.a, self.b, 1, self.d)

    def _sum(self, terms: Any) -> Any:
        return terms.sum(axis=1).ravel()

    def best(self) -> Any:
        """Return for each column the number that takes q' nearest to p', about."""
        common = self.alpha * self.own.value + self.cross.value
        inner = self._sum(common * self.w * self.v.conj())
        square = self._sum(self.own.value * np.abs(self.v) ** 2)
        found = inner / square
        # None so small that a power of two would round it.
        return np.where(np.isfinite(found) & (np.abs(found) > 2.0**-900), found, 0.0)

    def onwards(self, square: _Sum, alpha: Any) -> tuple[_Sum, _Sum, _Sum]:
        """Return the three sums for the columns."""
        w, v, own, cross, loss = self.w, self.v, self.own, self.cross, self.loss
        before = _Sum(self._rows(square.value), self._rows(square.room))
        left, right = self.alpha * w, alpha.reshape(self.a, 1, self.c, self.d) * v
        delta = left - right
        size_w, size_v, size = np.abs(w), np.abs(v), np.abs(delta)
        off = loss * (np.abs(left) + np.abs(right)) + TINY
        most, size_cross = size + off, np.abs(cross.value)
        terms = before.value * size_w**2 + own.value * size**2
        terms = terms + 2.0 * (cross.value * w * delta.conj()).real
        sums = (
            np.abs(before.value) * size_w**2
            + 2.0 * size_cross * size_w * size
            + own.value * size**2
        )
        rooms = before.room * size_w**2 + own.room * most**2
        rooms += 2.0 * size_w * (cross.room * most + size_cross * off)
        rooms += own.value * (size + most) * off + loss * sums
        found = _Sum(self._sum(terms), self._sum(rooms) * _MORE + TINY)
        terms = v.conj() * (cross.value * w + own.value * delta)
        sums = size_v * (size_cross * size_w + own.value * size)
        rooms = size_v * (cross.room * size_w + own.room * most + own.value * off) + loss * sums
        crossing = _Sum(self._sum(terms), self._sum(rooms) * _MORE + TINY)
        value = self._sum(own.value * size_v**2)
        room = (self._sum(own.room * size_v**2) + loss * value) * _MORE + TINY
        return found, crossing, _Sum(value, room)


def _total(sums: _Sum, powers: np.ndarray) -> tuple[float, float, int]:
    """Return the sum of ``value 4**power``, its room, and the power of four that both are over."""
    top = int(powers.max())
    shares = np.maximum(2 * (powers - top), -_FAR).astype(np.int32)
    value = math.fsum(np.ldexp(sums.value, shares).tolist())
    room = float(np.ldexp(sums.room, shares).sum()) * _MORE + 8.0 * UNIT * abs(value)
    return value, room + len(powers) * TINY, top


def _quotient(above: tuple[float, float, int], below: tuple[float, float, int]) -> Figure:
    """Return the root of a quotient of two sums."""
    least, most = _enclosed(*above[:2], *below[:2])
    return _between(math.sqrt(least), math.sqrt(most), above[2] - below[2])


def _enclosed(value: float, room: float, norm: float, norm_room: float) -> tuple[float, float]:
    """Return two numbers between which a quotient lies that is not negative."""
    if not norm > 2.0 * norm_room:
        return 0.0, math.inf
    return max(value - room, 0.0) / (norm + norm_room), max(value + room, 0.0) / (norm - norm_room)


def _between(least: float, most: float, exponent: int) -> Figure:
    """Return the figure that lies between two numbers, each computed with four roundings."""
    return Figure(0.5 * (most + least), 0.5 * (most - least) + 4.0 * UNIT * most, exponent)


def _dense(first: list[np.ndarray], second: list[np.ndarray], patterns: Architecture) -> Figure:
    """Return the figure from the matrices themselves.

    Each entry is a sum over paths of products of as many entries as there are factors: off by at
    most gamma times the same sum of magnitudes.
    """
    if not all(f.any() for f in first):  # zero
        return Figure(0.5, 0.5) if all(f.any() for f in second) else Figure(0.0, 0.0)
    terms = sum(pattern.c for pattern in patterns) + 4 * len(patterns) + 8
    loss, small = gamma(3 * terms) * _MORE, lost(*(pattern.c for pattern in patterns))
    eye = np.eye(patterns.shape[1])
    whole, sizes, powers = [], [], list[int]()
    with np.errstate(under="ignore"):
        for chain in (first, second):
            own = [exponent_of(largest_part(f)) for f in chain]
            near = [times_power(_wide(f), -p) for f, p in zip(chain, own, strict=True)]
            whole.append(_applied(near, patterns, eye))
            sizes.append(float(np.linalg.norm(_applied([np.abs(f) for f in near], patterns, eye))))
            # Zero has no exponent: it is zero in units of the other.
            powers.append(sum(own) if all(f.any() for f in chain) else powers[0])
        one, other = (2.0 ** (p - max(powers)) for p in powers)
        difference = whole[0] * one - whole[1] * other
    norm, value = float(np.linalg.norm(whole[0])), float(np.linalg.norm(difference))
    norm_room = loss * sizes[0] + gamma(4 * difference.size) * norm + small
    room = loss * (sizes[0] * one + sizes[1] * other) + gamma(4 * difference.size) * value + small
    return _between(*_enclosed(value, room, norm, norm_room), max(powers) - powers[0])


def _applied(factors: list[np.ndarray], patterns: Architecture, x: np.ndarray) -> np.ndarray:
    """Return a chain times a matrix."""
    for factor, pattern in reversed(list(zip(factors, patterns, strict=True))):
        x = apply_factor(factor, pattern, x)
    return x
