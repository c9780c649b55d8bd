"""Error and lower bound of a factorization with fixed supports, with all rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparseopt.judging.figures import Figure, NormSum
from sparseopt.judging.low_rank import DistanceToRank
from sparseopt.judging.rounding import TINY, UNIT, gamma, sum_terms
from sparseopt.judging.scaling import exponent_of, largest_part, times_power
from sparseopt.supports.components import components, is_tractable


class ScaledTarget:
    """A target in double precision with its largest entry between 1/2 and 1, by a power of two.

    Attributes
    ----------
    matrix : array (m, n)
        The target times ``2**-exponent``. Entries that underflow change it by less than `TINY`.
    """

    def __init__(self, target: np.ndarray) -> None:
        self.exponent = exponent_of(largest_part(target))
        self.matrix = np.asarray(times_power(_double(target), -self.exponent))

    def figure(self, found: Figure) -> Figure:
        """Return a figure of the scaled matrix as one of the target."""
        lost = TINY if found.value or found.room else 0.0
        return Figure(found.value, found.room + lost, self.exponent)

    def norm(self) -> Figure:
        """Return the Frobenius norm of the target."""
        norm = NormSum()
        norm.add(self.matrix)
        return self.figure(norm.figure())

    def error(self, left: np.ndarray, right: np.ndarray) -> Figure:
        """Return ``|A - X Y|`` for X (m, r) and Y (r, n).

        Each column of X is scaled to largest entry 1, its row of Y in return. The product is off by
        at most gamma(r) |X| |Y| entry by entry, in norm at most gamma(r) times the sum over terms
        of the norms of column and row; its subtraction rounds once more. Numbers that underflow
        change a term by less than TINY times its size, and all by less than TINY.
        """
        x, y = _double(left), _double(right)
        powers = np.array([exponent_of(largest_part(column)) for column in x.T], dtype=int)
        x, y = _times_powers(x, -powers), _times_powers(y, (powers - self.exponent)[:, None])
        columns, rows = (np.sqrt(_squares(part)) for part in (x.T, y))
        residual = NormSum()
        with np.errstate(over="ignore", invalid="ignore"):
            size = float(columns @ rows)
            residual.add(self.matrix - x @ y)
        found = residual.figure()
        terms = sum_terms(x.shape[1], x, y)
        room = found.room + 2.0 * UNIT * found.value + (1.01 * gamma(terms) + TINY) * size
        # Not the scaled ones: in these what is tiny has become 0.
        is_zero = not ((left != 0).any(axis=0) & (right != 0).any(axis=1)).any()
        is_exact = found.value == 0.0 and room == 0.0 and is_zero
        return self.figure(Figure(found.value, room if is_exact else room + TINY))


@dataclass(frozen=True)
class Optimum:
    """What is known about the least error over all factors with given supports.

    Attributes
    ----------
    below : Figure
        A number that the least error is at least, and that it is if the supports are tractable.
    guaranteed : float
        An error that some factors reach.
    """

    below: Figure
    guaranteed: float


def optimum(target: ScaledTarget, left: np.ndarray, right: np.ndarray) -> Optimum:
    """Return bounds of the least error.

    Proof. Every product is a sum over components C of matrices M_C that vanish outside the cells
    of C and have rank at most r_C, the number of terms of C. Cells of different components are
    disjoint, so the squared error is the mass of the target on uncovered cells plus, per
    component, ``|A_C - M_C|^2`` with A_C the target restricted to these cells, and this is at least
    the squared distance of A_C to rank r_C. For tractable supports A_C is a rectangle on which
    every matrix of rank r_C is a sum of terms, so the bound is the optimal value; and then a best
    approximation captures at least the share r_C / min(b, c) of a block b x c, of which half is
    guaranteed, so that no precision makes it a matter of rounding. In general the zero product
    guarantees the norm of the target.
    """
    covered = np.zeros(target.matrix.shape, dtype=bool)
    values, rooms, kept = [], [], []
    for terms, cells in components(left, right):
        covered |= cells
        rows, columns = cells.any(axis=1), cells.any(axis=0)
        block = np.where(cells, target.matrix, 0)[np.ix_(rows, columns)]
        distance = DistanceToRank(len(terms))
        distance.add(block)
        found = distance.figure()
        values.append(found.value)
        rooms.append(found.room)
        share = min(1.0, len(terms) / min(block.shape))
        part = NormSum()
        part.add(block)
        kept.append(math.sqrt(1.0 - share / 2.0) * part.figure().high())
    rest = NormSum()
    rest.add(target.matrix[~covered])
    outside = rest.figure()
    # All at once: there may be as many components as cells. It is off by a unit in the last place.
    value, size = math.hypot(*values, outside.value), sum(covered.shape)
    room = (math.hypot(*rooms) + outside.room) * (1.0 + gamma(size))
    found = Figure(value, room + gamma(size) * value)
    most = math.hypot(*kept, outside.high())
    if not is_tractable(left, right):
        most = target.norm().high()
        return Optimum(target.figure(found), most)
    return Optimum(target.figure(found), target.figure(Figure(most, gamma(size) * most)).high())


def _double(array: np.ndarray) -> np.ndarray:
    """Return the array in double precision: figures are judged more finely than they were made."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _times_powers(array: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Return real or complex numbers times a power of two each."""
    if array.dtype.kind == "c":
        return np.asarray(times_power(array.real, powers) + 1j * times_power(array.imag, powers))
    return np.asarray(times_power(array, powers))


def _squares(rows: np.ndarray) -> np.ndarray:
    """Return the squared norm of each row; not finite if it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.vecdot(rows, rows).real)
