"""Lower bounds of least squares over many supports at a time, with rounding accounted for.

Everything is read off the Gram matrix of the columns and the target, which are brought to norms
from 1/2 to 1 by powers of two. Let a set I of columns be taken, X any matrix, B = A_I X and
|B^T B - I| <= a <= 0.4. Then B has the range of A_I, and for the projection Q onto it and vectors
v, w of norm at most 1, Qv.w is off (B^T v).(B^T w) by at most |(B^T B)^-1 - I| |B|^2 <= 7/3 a.
So all of these are known up to a common error e for every column j that is not in I:

    h_j = a_j.(y - Qy),   s_j = |a_j - Q a_j|^2,   rest = |y - Qy|^2.

One more column lowers the squared residual by h_j^2 / s_j. Adding a set T of q columns lowers it
by at most |h_T|^2 / l, where l bounds the smallest eigenvalue of the whole Gram matrix from below:
by interlacing it bounds those of its Schur complements' principal blocks too.

Nearly dependent columns leave little of this, as errors grow with the square of the condition. For
single sets B itself is then formed in doubled precision, for an X from a QR factorization. For any
z and r = y - Bz, with |B^T B - I| <= a <= 1/2,

    |y - Qy| = |r - Qr| >= |r| - |Qr|^2 / |r|,   |Qr|^2 <= |B^T r|^2 / (1 - a).

Or all columns of a set C that may still be used are used. For any w with |A_C^T w| <= t the part of
w in the range of A_C is at most t / sqrt(l), so |y - Ax| >= (w.y - t |y| / sqrt(l)) / |w| for every
x on C. Here w = y - Az with z near the least-squares coefficients on C.

Rounding: every bound of a sum counts eight terms more than there are, or twice as many, and norms
and singular values come with sixteen last bits taken off or added. Vectors have norms of at most 1
here, so this covers the few operations that follow. A set whose e is large proves nothing.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparseopt.inverse import independence
from sparseopt.inverse.fit import Fit, norm_within
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.judging.rounding import gamma, two_product, two_sums

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

    The others add nothing: a support with one of them spans what a smaller support spans. The first
    column if all are zero; all columns where they are not known exactly.
    """
    every = np.arange(len(fit.norms) // (2 if fit.is_complex else 1))
    if _column_error(fit) > 0:
        return every
    found = independence.distinct_columns(fit.scaled.dense(every))
    return found if len(found) else every[:1]


def _column_error(fit: Fit) -> float:
    """Return a bound of what columns are off by, over powers of two near their norms."""
    if not isinstance(fit.scaled.design, ColumnOperator):
        return 0.0
    return float(np.max(fit.scaled.design.column_errors * _units(fit.norms)))


def _units(norms: np.ndarray) -> np.ndarray:
    return np.asarray(np.ldexp(1.0, -np.frexp(norms)[1]))


@dataclass(frozen=True, eq=False)
class Bounds:
    """What is proved of a batch of N sets of columns, in units of 1/2 ``2**(2 target_unit)``.

    Attributes
    ----------
    rest : ndarray, shape (N,)
        Lower bounds of |y - Qy|^2; below 0, or no number, where nothing is proved.
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
        norms = norm_within(fit.target)
        # The target over this power of two has a norm of at most 1.
        self.target_unit = math.frexp(norms[1])[1]
        target = np.ldexp(fit.target, -self.target_unit)
        self._columns, self._times, off, known = columns, 1, _column_error(fit), target
        self._target, self._direct_left = target, 0 if fit.is_complex or off else MOST_DIRECT
        self._inexact = math.sqrt(columns.shape[1]) * off
        if fit.is_complex:
            # A complex sum of k products is as good as three times as many real ones.
            rows, count, self._times = len(target) // 2, len(order), 3
            columns = columns[:rows, :count] + 1j * columns[rows:, :count]
            known = target[:rows] + 1j * target[rows:]
        self.gram, self.inner = columns.conj().T @ columns, columns.conj().T @ known
        self.square, self._square_high = (math.ldexp(v, -self.target_unit) ** 2 for v in norms)
        self._error = fit.room * (gamma(self._times * len(known) + 8) + 3.0 * off)

    @cached_property
    def least_eigenvalue(self) -> float:
        """A lower bound of the smallest eigenvalue of the exact Gram matrix; 0 if none is known."""
        value = independence.smallest_singular_value(self._columns) - self._inexact
        return (max(value, 0.0) / self.room) ** 2

    def bounds(self, sets: np.ndarray) -> Bounds:
        """Return the bounds for sets of places, shape (N, d)."""
        d = sets.shape[1]
        if d == 0:
            error = np.full(1, self._error)
            return self._bounds(np.zeros((1, 0)), np.zeros((1, 0, len(self.inner))), error)
        blocks = self.gram[sets[:, :, None], sets[:, None, :]]
        factor = _adjoint(np.linalg.inv(_roots(blocks)))
        near = _adjoint(factor) @ blocks @ factor - np.eye(d)
        size, rounding = _norms(factor), self.room * gamma(self._times * (2 * d + 8))
        a = _norms(near) + d * size * size * (self._error + rounding)
        off = size * np.sqrt(d) * (self._error + rounding)
        along = (_adjoint(factor) @ self.inner[sets][:, :, None])[:, :, 0]
        across = _adjoint(factor) @ self.gram[sets]
        # Products of vectors of norm below 1.3, each off by `off`, in sums of d terms.
        error = 3.0 * a + 4.0 * off + 2.0 * rounding + self._error
        return self._bounds(along, across, np.where((a < 0.4) & (off < 0.1), error, np.inf))

    def _bounds(self, along: np.ndarray, across: np.ndarray, error: np.ndarray) -> Bounds:
        with np.errstate(invalid="ignore", over="ignore"):
            rest = self.square - _squares(along).sum(axis=1) - error
            h = self.inner - (along[:, None, :].conj() @ across)[:, 0, :].conj()
            s = np.diagonal(self.gram).real - _squares(across).sum(axis=1)
            return Bounds(rest, np.abs(h) + error[:, None], s - error[:, None])

    def leaves(self, sets: np.ndarray, enough: float) -> np.ndarray:
        """Return lower bounds of the squared residual of each set with each one more place.

        Shape (N, n); 0 where nothing better is proved, infinity for places not after all of the
        set. Bounds below `enough` are tried again directly, as long as the work is bounded.
        """
        found = self.bounds(sets)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            left = found.rest[:, None] - np.square(found.high) / found.least
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
        blocks, y, d = np.moveaxis(self._columns[:, sets], 0, 1), self._target, sets.shape[1]
        with np.errstate(all="ignore"):  # what is not finite proves nothing below
            x = np.linalg.pinv(np.asarray(np.linalg.qr(blocks, mode="r")))
            x = x @ np.linalg.pinv(np.asarray(np.linalg.qr(blocks @ x, mode="r")))
            basis, lost = _doubled(blocks, x)
            sums, few = (gamma(count + d + 16) for count in (len(y), 0))
            # What B is off by, with sums of d products; and what long sums of products with B are.
            size = _norms(basis)
            off = self.room * (few * size + lost)
            each = self.room * sums * size + off
            gram = np.swapaxes(basis, 1, 2) @ basis
            near = _norms(gram - np.eye(gram.shape[1]))
            z = np.linalg.pinv(gram) @ (y @ basis)[:, :, None]
            r = y[:, None] - basis @ z
            long, length = _norms(z), _norms(r)
            pull = _norms(np.swapaxes(basis, 1, 2) @ r) + 4.0 * each * (length + long)
            left = length * (1.0 - self.room * sums) - 2.0 * pull**2 / length - off * long
            return np.where((near + 4.0 * each * size < 0.4) & (left > 0.0), left**2, 0.0)

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
            gain = top / self.least_eigenvalue * (1.0 + gamma(2 * more))
            left = np.fmax(found.rest - gain, 0.0)  # 0 also for no number
        skipped = last(sets) + 1 - sets.shape[1]
        for count in np.unique(skipped[left < enough]):
            part = np.flatnonzero((left < enough) & (skipped == count))
            with contextlib.suppress(np.linalg.LinAlgError):  # for want of an inverse
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
        shared = missed / np.sqrt(self.least_eigenvalue)
        over = self.square - along - each * (1.0 + size) - shared
        under = self._square_high - 2.0 * along + (fitted * z.conj()).sum(axis=1).real
        under = under + each * (3.0 + 2.0 * size + 2.0 * size * size)
        good = np.isfinite(over) & np.isfinite(under) & (over > 0.0) & (under > 0.0)
        return np.where(good, np.square(over) / np.where(good, under, 1.0), 0.0)

    def chunks(self, sets: np.ndarray) -> list[np.ndarray]:
        """Return batches of sets of bounded work."""
        step = max(1, _CHUNK // (len(self.inner) * (sets.shape[1] + 1)))  # a few megabytes each
        return [sets[i : i + step] for i in range(0, len(sets), step)]


def _norms(blocks: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(blocks, axis=(1, 2)))


def _doubled(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return products of blocks, and bounds of the norm of what they lost before the last rounding.

    They are summed without error, see `two_sums`.
    """
    shape = (*left.shape[:2], right.shape[2], right.shape[1])
    factors = (left[:, :, None, :], np.swapaxes(right, 1, 2)[:, None, :, :])
    rows = [np.broadcast_to(v, shape).reshape(-1, shape[-1]) for v in factors]
    total, correction, loss = two_sums(*two_product(*rows))
    return (total + correction).reshape(shape[:3]), _norms(loss.reshape(shape[:3]))


def _adjoint(blocks: np.ndarray) -> np.ndarray:
    return np.swapaxes(blocks, 1, 2).conj()


def _squares(values: np.ndarray) -> np.ndarray:
    return np.asarray((values * values.conj()).real)


def last(sets: np.ndarray) -> np.ndarray:
    """Return the last place of each ascending set, -1 for the empty one."""
    return sets[:, -1] if sets.shape[1] else np.full(len(sets), -1)


def continuations(sets: np.ndarray, places: int, size: int) -> np.ndarray:
    """Return of each set how many later places keep it able to grow to `size` places."""
    return np.maximum(places - size + sets.shape[1] - last(sets), 0)


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
    return np.concatenate([_roots(part) for part in np.array_split(blocks, 2)])
