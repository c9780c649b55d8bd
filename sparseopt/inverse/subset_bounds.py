"""Lower bounds of least squares over many supports at a time, with rounding accounted for.

Everything is read off the Gram matrix of the columns and the target, which are brought to norms
from 1/2 to 1 by powers of two. Let a set I of columns be taken, X any matrix, B = A_I X and
|B^T B - I| <= a <= 1/2. Then B has the range of A_I, and for the projection Q onto it and vectors
v, w of norm at most 1, Qv.w is off (B^T v).(B^T w) by at most |(B^T B)^-1 - I| |B|^2 <= 3 a.
So all of these are known up to a common error e for every column j that is not in I:

    h_j = a_j.(y - Qy),   s_j = |a_j - Q a_j|^2,   rest = |y - Qy|^2.

One more column lowers the squared residual by h_j^2 / s_j. Adding a set T of q columns lowers it
by at most |h_T|^2 / l, where l bounds the smallest eigenvalue of the whole Gram matrix from below:
by interlacing it bounds those of its Schur complements' principal blocks too.

Nearly dependent columns leave little of this, as errors grow with the square of the condition. For
single sets B itself is then formed in doubled precision, for an X from a QR factorization, so that
H = B^T B and g = B^T y are known to the last bits. For any z, with |H - 1| <= a < 1/2,

    |Qy|^2 = g.H^-1 g <= 2 g.z - z.Hz + |g - Hz|^2 / (1 - a).

Or all columns of a set C that may still be used are used. For any w with |A_C^T w| <= t the part of
w in the range of A_C is at most t / sqrt(l), so |y - Ax| >= (w.y - t |y| / sqrt(l)) / |w| for every
x on C. Here w = y - Az with z near the least-squares coefficients on C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparseopt.inverse import independence
from sparseopt.inverse.fit import Fit, norm_within
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.judging.rounding import UNIT, gamma, two_product, two_sums

MOST_WORK = 2**34
"""Multiplications that a check may take, about a minute."""
MOST_SETS = 2**22
"""Sets of one level of the tree."""
MOST_DIRECT = 2**29
"""Multiplications on sets of nearly dependent columns, of which each takes about twenty."""
PLACES = np.int32
"""The type of places."""
_CHUNK = 1 << 20


def distinct_columns(fit: Fit) -> np.ndarray:
    """Return the columns that are not zero, the first of each that are equal or opposite.

    The others add nothing: a support with one of them spans what a smaller support spans. All
    columns where they are not known exactly.
    """
    matrix = fit.scaled.dense()
    if fit.is_complex:
        matrix = matrix[:, : matrix.shape[1] // 2]
    if _column_error(fit) > 0:
        return np.arange(matrix.shape[1])
    return independence.distinct_columns(matrix)


def _column_error(fit: Fit) -> float:
    """Return a bound of what columns are off by, over powers of two near their norms."""
    if not isinstance(fit.scaled.design, ColumnOperator):
        return 0.0
    return float(np.max(fit.scaled.design.column_errors * _units(fit.norms)))


def _units(norms: np.ndarray) -> np.ndarray:
    return np.asarray(np.ldexp(1.0, -np.frexp(norms)[1]))


@dataclass(frozen=True)
class Bounds:
    """What is proved of a batch of N sets of columns, in units of 1/2 ``2**(2 target_unit)``.

    Attributes
    ----------
    rest : ndarray, shape (N,)
        Lower bounds of |y - Qy|^2; minus infinity where nothing is proved.
    high : ndarray, shape (N, n)
        Upper bounds of |h_j|.
    least : ndarray, shape (N, n)
        Lower bounds of s_j, not above 0 where nothing is proved.
    """

    rest: np.ndarray
    high: np.ndarray
    least: np.ndarray


class Subsets:
    """The Gram matrix of some columns of a problem and of its target.

    Parameters
    ----------
    fit : Fit
        Of the whole design; its `room` multiplies every bound of rounding.
    order : ndarray of int, shape (n,)
        Columns, in the order in which sets are enumerated; places below count in it.
    """

    def __init__(self, fit: Fit, order: np.ndarray) -> None:
        self.room = fit.room
        columns = fit.scaled.dense()[:, fit.pairs(order)] * _units(fit.norms[fit.pairs(order)])
        length = norm_within(fit.target)[1]
        # The target over this power of two has a norm of at most 1.
        self.target_unit = int(np.frexp(length)[1]) if length else 0
        target = np.ldexp(fit.target, -self.target_unit)
        self._columns, self._times, off, known = columns, 1, _column_error(fit), target
        self._target, self._direct_left = target, 0 if fit.is_complex or off else MOST_DIRECT
        self._inexact = math.sqrt(columns.shape[1]) * off * (1.0 + 2.0**-40)
        if fit.is_complex:
            # A complex sum of k products is as good as three times as many real ones.
            rows, count, self._times = len(target) // 2, len(order), 3
            columns = columns[:rows, :count] + 1j * columns[rows:, :count]
            known = target[:rows] + 1j * target[rows:]
        self.gram, self.inner = columns.conj().T @ columns, columns.conj().T @ known
        low, high = norm_within(target)
        self.square, self._square_high = low**2 * (1.0 - 8.0 * UNIT), high**2 * (1.0 + 8.0 * UNIT)
        rounding = gamma(self._times * len(known) + 8) + 2.0**-400
        self._error = fit.room * (rounding + 3.0 * off)

    @cached_property
    def least_eigenvalue(self) -> float:
        """A lower bound of the smallest eigenvalue of the exact Gram matrix; 0 if none is known."""
        value = (
            independence.smallest_singular_value(self._columns) * (1.0 - 8.0 * UNIT) - self._inexact
        )
        value = max(value, 0.0) / self.room
        return value * value * (1.0 - 8.0 * UNIT)

    def bounds(self, sets: np.ndarray) -> Bounds:
        """Return the bounds for sets of places, shape (N, d)."""
        d = sets.shape[1]
        if d == 0:
            error = np.full(1, self._error)
            return self._bounds(np.zeros((1, 0)), np.zeros((1, 0, len(self.inner))), error)
        blocks = self.gram[sets[:, :, None], sets[:, None, :]]
        factor = _adjoint(np.linalg.inv(_roots(blocks)))
        near = _adjoint(factor) @ blocks @ factor - np.eye(d)
        size, rounding = _lengths(factor), self.room * gamma(self._times * (2 * d + 8))
        a = _lengths(near) + d * size * size * (self._error + rounding)
        off = size * np.sqrt(d) * (self._error + rounding)
        along = (_adjoint(factor) @ self.inner[sets][:, :, None])[:, :, 0]
        across = _adjoint(factor) @ self.gram[sets]
        # Products of vectors of norm below 1.3, each off by `off`, in sums of d terms.
        error = 3.0 * a + 4.0 * off + 2.0 * rounding + self._error + 8.0 * UNIT * self.room
        error = np.where((a < 0.5) & (off < 0.1), error * (1.0 + 2.0**-20), np.inf)
        return self._bounds(along, across, error)

    def _bounds(self, along: np.ndarray, across: np.ndarray, error: np.ndarray) -> Bounds:
        with np.errstate(invalid="ignore", over="ignore"):
            rest = self.square - _squares(along).sum(axis=1) - error
            h = self.inner - (along[:, None, :].conj() @ across)[:, 0, :].conj()
            s = np.diagonal(self.gram).real - _squares(across).sum(axis=1)
            rest[~np.isfinite(error)] = -np.inf
            return Bounds(rest, np.abs(h) + error[:, None], s - error[:, None])

    def leaves(self, sets: np.ndarray, enough: float) -> np.ndarray:
        """Return lower bounds of the squared residual of each set with each one more place.

        Shape (N, n); 0 where nothing better is proved, infinity for places not after all of the
        set. Bounds below `enough` are tried again directly, as long as the work is bounded.
        """
        found = self.bounds(sets)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            gain = np.square(found.high) / found.least * (1.0 + 8.0 * UNIT)
            left = (found.rest[:, None] - gain) * (1.0 - 8.0 * UNIT)
        left[~(found.least > 0.0) | ~(left > 0.0)] = 0.0
        left = np.where(np.arange(len(self.inner)) > last(sets)[:, None], left, np.inf)
        rows, ends = np.nonzero(left < enough)
        each = len(self._target) * (sets.shape[1] + 1) ** 2
        few, step = min(len(rows), self._direct_left // each), max(1, _CHUNK // each)
        self._direct_left -= few * each
        for start in range(0, few, step):
            i, j = (part[start : min(few, start + step)] for part in (rows, ends))
            left[i, j] = np.maximum(left[i, j], self.direct(np.column_stack([sets[i], j])))
        return left

    def direct(self, sets: np.ndarray) -> np.ndarray:
        """Return lower bounds of |y - Qy|^2 of sets of places, shape (N, d); 0 where none is found.

        Of real columns that are known exactly; more columns than rows span everything. O(N m d^2).
        """
        d = sets.shape[1]
        blocks, y = np.moveaxis(self._columns[:, sets], 0, 1), self._target
        with np.errstate(all="ignore"):  # what is not finite proves nothing below
            x = np.linalg.pinv(np.asarray(np.linalg.qr(blocks, mode="r")))
            x = x @ np.linalg.pinv(np.asarray(np.linalg.qr(blocks @ x, mode="r")))
            basis = _doubled(blocks, x)
            length, sums = _lengths(basis), self.room * gamma(len(y) + d + 16)
            doubled = gamma(3 * d + 4) ** 2 * _lengths(blocks) * _lengths(x)
            off = self.room * (2.0 * UNIT * length + doubled)
            h, g = np.swapaxes(basis, 1, 2) @ basis, (y @ basis)[:, :, None]
            off_h, off_g = sums * length**2 + off * (2.0 * length + off), sums * length + off
            z = np.linalg.pinv(h) @ g
            missed, long = g - h @ z, _lengths(z)
            rest = _lengths(missed) + off_g + (off_h + 8.0 * sums) * long
            # 2 g.z - z.Hz = z.(g + g - Hz)
            seen = (z * (g + missed)).sum(axis=(1, 2)) + 2.0 * rest**2 * (1.0 + 2.0**-20)
            seen = seen + (2.0 * off_g + off_h * long + 16.0 * sums * (1.0 + long)) * long
            left = (self.square - seen) * (1.0 - 8.0 * UNIT) - 16.0 * UNIT
        return np.where((_lengths(h - np.eye(h.shape[1])) + off_h < 0.5) & (left > 0.0), left, 0.0)

    def nodes(self, sets: np.ndarray, more: int, enough: float) -> np.ndarray:
        """Return lower bounds of the squared residual of each set with `more` later places.

        Where the first kind of bound is below `enough`, the second is tried.
        """
        if not self.least_eigenvalue > 0.0:
            return np.zeros(len(sets))
        found = self.bounds(sets)
        after = np.arange(len(self.inner)) > last(sets)[:, None]
        squares = np.where(after, np.square(found.high), 0.0)
        top = np.partition(squares, -more, axis=1)[:, -more:].sum(axis=1)
        with np.errstate(invalid="ignore"):
            gain = top / self.least_eigenvalue * (1.0 + gamma(more + 8))
            left = (found.rest - gain) * (1.0 - 8.0 * UNIT)
        left = np.where(left > 0.0, left, 0.0)
        skipped = last(sets) + 1 - sets.shape[1]
        for count in np.unique(skipped[left < enough]):
            part = np.flatnonzero((left < enough) & (skipped == count))
            left[part] = np.maximum(left[part], self._whole(sets[part], int(count)))
        return left

    @cached_property
    def _inverse(self) -> np.ndarray:
        return np.linalg.inv(self.gram)

    def _whole(self, sets: np.ndarray, skipped: int) -> np.ndarray:
        """Return lower bounds with all later places, for sets that skip as many earlier ones."""
        places = len(self.inner)
        inside = np.arange(places) > last(sets)[:, None]
        np.put_along_axis(inside, sets.astype(np.intp), True, axis=1)
        z = np.broadcast_to(self._inverse @ self.inner, inside.shape)
        if skipped:
            out = np.nonzero(~inside)[1].reshape(len(sets), skipped)
            blocks = self._inverse[out[:, :, None], out[:, None, :]]
            back = np.linalg.solve(blocks, np.take_along_axis(z, out, axis=1)[:, :, None])
            z = z - (_adjoint(self._inverse[out]) @ back)[:, :, 0]
        z = np.where(inside, z, 0.0)
        size = np.abs(z).sum(axis=1)
        # Of sums with coefficients z.
        each = self._error + self.room * gamma(self._times * (2 * places + 16))
        fitted = z @ self.gram.conj()
        correlation = np.where(inside, self.inner - fitted, 0.0)
        along = (z.conj() @ self.inner).real
        missed = np.sqrt(_squares(correlation).sum(axis=1)) + np.sqrt(places) * each * (1 + size)
        shared = missed / np.sqrt(self.least_eigenvalue) * (1.0 + 2.0**-39)
        over = self.square - along - each * (1.0 + size) - shared
        under = self._square_high - 2.0 * along + (fitted * z.conj()).sum(axis=1).real
        under = under + each * (3.0 + 2.0 * size + 2.0 * size * size)
        good = np.isfinite(over) & np.isfinite(under) & (over > 0.0) & (under > 0.0)
        found = np.zeros(len(sets))
        found[good] = np.square(over[good]) / under[good] * (1.0 - 16.0 * UNIT)
        return found

    def chunks(self, sets: np.ndarray) -> list[np.ndarray]:
        """Return batches of sets of bounded work."""
        step = max(1, _CHUNK // (len(self.inner) * (sets.shape[1] + 1)))  # a few megabytes each
        return [sets[i : i + step] for i in range(0, len(sets), step)]


def _lengths(blocks: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(_squares(blocks).sum(axis=(1, 2))))


def _doubled(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return products of blocks, summed without error and rounded at the end, see `two_sums`."""
    shape = (*left.shape[:2], right.shape[2], right.shape[1])
    factors = (left[:, :, None, :], np.swapaxes(right, 1, 2)[:, None, :, :])
    rows = [np.broadcast_to(v, shape).reshape(-1, shape[-1]) for v in factors]
    total, correction, _ = two_sums(*two_product(*rows))
    return np.asarray((total + correction).reshape(shape[:3]))


def _adjoint(blocks: np.ndarray) -> np.ndarray:
    return np.swapaxes(blocks, 1, 2).conj()


def _squares(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "c":
        return np.square(values)
    return np.asarray(np.square(values.real) + np.square(values.imag))


def last(sets: np.ndarray) -> np.ndarray:
    """Return the last place of each ascending set, -1 for the empty one."""
    return sets[:, -1] if sets.shape[1] else np.full(len(sets), -1)


def continuations(sets: np.ndarray, places: int, size: int) -> np.ndarray:
    """Return of each set how many later places keep it able to grow to `size` places."""
    end = places - (size - sets.shape[1]) + 1
    return np.maximum(end - last(sets) - 1, 0)


def children(sets: np.ndarray, places: int, size: int) -> np.ndarray:
    """Return each set with each such place."""
    counts = continuations(sets, places, size)
    parents = np.repeat(np.arange(len(sets)), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    new = np.arange(len(parents)) - starts + last(sets)[parents] + 1
    return np.concatenate([sets[parents], new[:, None].astype(sets.dtype)], axis=1)


def work_of(sets: int, depth: int, places: int) -> int:
    """Return about how many multiplications bounds of sets of that many places take."""
    return sets * (depth + 1) ** 2 * places


def _roots(blocks: np.ndarray) -> np.ndarray:
    """Return Cholesky factors; the identity, which proves nothing, where there is none."""
    try:
        return np.linalg.cholesky(blocks)
    except np.linalg.LinAlgError:
        if len(blocks) == 1:
            return np.eye(blocks.shape[1])[None]
    half = len(blocks) // 2
    return np.concatenate([_roots(blocks[:half]), _roots(blocks[half:])])
