"""The duality gaps of total variation and of the nuclear norm, and which gap judges which penalty.

Total variation. Let S_k be the sum of the first k entries of A^T t. Summing by parts,
x . A^T t = S_n x_n + sum_k S_k (x_k - x_{k+1}), so the constraints of the dual are S_n = 0 and
|S_k| <= strength for k < n. S_n = u . t for u = A 1, and the projection onto u is taken off as for
free columns: |Q t| = |u . t| / |u|, which moves S_k by at most |A_1| + ... + |A_k| times that.

Nuclear norm. The constraint is |C| <= strength for the spectral norm of the matrix C of A^T t. From
any U, s, V, good or bad, |C| <= |U| |V| max(s) + |C - U diag(s) V| by the triangle inequality, with
|U|^2 <= 1 + |U^H U - I|; and the nuclear norm of C differs from sum(s) by at most what U and V are
off from isometries, times it, plus sqrt(rank) |C - U diag(s) V|. With a ridge the conjugate is the
squared distance of C to {|C| <= strength} over 2 ridge, at most that to any point of the set.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.inverse.blocks import single
from sparseopt.inverse.duality import DualityGap, Look
from sparseopt.inverse.matrix_penalties import NuclearNorm, TotalVariation
from sparseopt.inverse.objective import WILD
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.inverse.penalty import Penalty
from sparseopt.inverse.problem import SparseRegression
from sparseopt.judging.rounding import (
    UNIT,
    above,
    gamma,
    norm_bound,
    product_terms,
    row_dots,
)

_ROUNDED = 16.0 * UNIT
"""Above what a modulus, a sum and a difference round, and what decompositions are off by."""
_MOST_PRODUCTS = 2**24
"""Products that are summed in doubled precision."""


def gap_of(problem: SparseRegression, room: float = 1.0, rough: bool = False) -> DualityGap:
    """Return the evaluation of a problem's primal and dual."""
    kinds: dict[type[Penalty], type[DualityGap]] = {
        TotalVariation: VariationGap,
        NuclearNorm: NuclearGap,
    }
    parts = getattr(problem.penalty, "parts", (problem.penalty,))
    found = [gap for part in parts for kind, gap in kinds.items() if isinstance(part, kind)]
    if not found and problem.is_complex and problem.scaled().thresholds is not None:
        found = [PairedGap]
    return (found[0] if found else DualityGap)(problem, room, rough)


class PairedGap(DualityGap):
    """Of moduli of complex coefficients together with norms of groups.

    Attributes
    ----------
    half_blocks : Blocks
        Of the complex coefficients.
    own_thresholds : ndarray
        Per complex coefficient.
    """

    def __init__(self, problem: SparseRegression, room: float = 1.0, rough: bool = False) -> None:
        super().__init__(problem, room, rough)
        count = problem.shape[1]
        self.half_blocks = problem.penalty.blocks(count)
        assert self.scaled.thresholds is not None
        assert self.thresholds_low is not None
        self.own_thresholds = self.scaled.thresholds[:count]
        self._own_low = self.thresholds_low[:count]
        self._pairs = single(count).doubled()

    def _moduli(self, values: np.ndarray) -> np.ndarray:
        """Return moduli, off by at most gamma(6) of themselves, which `_ROUNDED` is above."""
        return self._pairs.norms(values)

    def _single_terms(self, x: np.ndarray, support: np.ndarray) -> list[float]:
        # Moduli and products are off by less than `_growth`, whose sizes count both parts.
        return product_terms(self.own_thresholds, self._moduli(x))

    def _sizes(self, correlation: np.ndarray, error: np.ndarray) -> np.ndarray:
        size = (self._moduli(correlation) + self._moduli(error)) * (1.0 + _ROUNDED)
        return np.append(size, np.zeros_like(size))  # the modulus in the place of the real part

    def _block_bounds(
        self, correlation: np.ndarray, error: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        size, off = self._moduli(correlation), self._moduli(error)
        high = (size + off) * (1.0 + _ROUNDED) - self._own_low
        low = (size - off * (1.0 + _ROUNDED)) * (1.0 - _ROUNDED) - self.own_thresholds
        upper = self.half_blocks.norms(np.maximum(high, 0.0)) * (1.0 + self._growth)
        return self.half_blocks.norms(np.maximum(low, 0.0)), upper

    def excess(self, correlation: np.ndarray) -> np.ndarray:
        """Return by how much norms of what thresholds leave of moduli exceed their limits."""
        size = np.maximum(self._moduli(correlation) - self.own_thresholds, 0.0)
        return np.maximum(self.half_blocks.norms(size) - self.scaled.limits, 0.0)


class VariationGap(DualityGap):
    """Of total variation."""

    def __init__(self, problem: SparseRegression, room: float = 1.0, rough: bool = False) -> None:
        super().__init__(problem, room, rough)
        self.parts = 2 if problem.is_complex else 1

    def _penalty(self, x: np.ndarray, support: np.ndarray) -> tuple[list[float], float]:
        steps = np.diff(x.reshape(self.parts, -1), axis=1)
        sizes = np.abs(steps[0]) if self.parts == 1 else np.hypot(steps[0], steps[1])
        terms = product_terms(np.full(len(sizes), self.scaled.limits[0]), sizes)
        error = math.fsum(terms) * self.room * 8.0 * UNIT
        return terms, error

    def excess(self, correlation: np.ndarray) -> np.ndarray:
        """Return by how much the largest partial sum exceeds the limit."""
        sums = np.cumsum(correlation.reshape(self.parts, -1), axis=1)[:, :-1]
        size = float(np.hypot.reduce(sums).max(initial=0.0))
        return np.maximum(size - self.scaled.limits, 0.0)

    @cached_property
    def sum_of_columns(self) -> tuple[np.ndarray, float, float]:
        """Return u for real coefficients as two rows, what that is off by, and a bound of its norm.

        The bound, of the weighted norm and from below, is infinity if u is zero, exactly.
        """
        scaled = self.scaled
        own = np.arange(scaled.size // self.parts)
        columns = scaled.columns(own).astype(np.float64)
        high, bounds = row_dots(_rows(columns), np.ones(len(own)))
        with_sum = _rows(_side_by_side(columns, high))
        low, left = row_dots(with_sum, np.append(np.ones(len(own)), -1.0))
        off, lost = norm_bound(left), 0.0
        roots = np.ones(len(high)) if self.roots is None else self.roots
        if isinstance(scaled.design, ColumnOperator):
            lost = float(scaled.design.column_errors[own].sum())
            lost = above(lost, len(own)) if lost else 0.0
        least = roots * np.maximum(np.abs(high) - bounds, 0.0)
        size = float(np.linalg.norm(least)) * (1.0 - self.room * gamma(len(least) + 16))
        size = max(size - above(lost * float(roots.max()), 2), 0.0)
        if not least.any() and not lost and self._is_zero(own):
            size = math.inf
        return np.stack([high, low]), above(off + lost, 2), size

    def _drift(self, t: np.ndarray) -> float:
        """Return a bound of the norm of the projection onto u, for complex numbers onto i u too."""
        u, off, size = self.sum_of_columns
        if math.isinf(size):
            return 0.0
        whole = sum(map(self.dual_norm, t))
        rows, half = [u], u.shape[1] // 2
        if self.parts == 2:
            rows.append(np.hstack([-u[:, half:], u[:, :half]]))
        listed = np.stack([np.tile(np.concatenate([r[0], r[1]]), len(t)) for r in rows])
        values, bounds = row_dots(listed, np.repeat(t, 2, axis=0).ravel())
        along = norm_bound(np.abs(values) + bounds) + 2.0 * off * above(sum(map(norm_bound, t)), 4)
        return self.room * min(above(along / size, 8) if size > 0 else math.inf, whole)

    def _is_zero(self, own: np.ndarray) -> bool:
        """Say whether the columns add to zero: sums of floats are rounded correctly by `fsum`."""
        rows = self.scaled.as_rows(own, 1).T
        if scipy.sparse.issparse(rows):
            listed = rows.tocsr()
            rows = np.split(listed.data, listed.indptr[1:-1])
        return all(math.fsum(row.tolist()) == 0.0 for row in rows)

    def look(self, t: np.ndarray) -> Look:
        """Bound the largest partial sum of the correlations, and the drift to a sum of 0."""
        if not self.penalised:
            return super().look(t)
        scaled = self.scaled
        if not t.any():
            return Look(np.zeros(1))
        every = np.arange(scaled.size)
        correlation, error = self.exact_correlations(t, every)
        if (found := self._all_projected(correlation, t)) is not None:
            return found
        sums, off = _partial_sums(correlation.reshape(self.parts, -1))
        off = self.room * (off + np.cumsum(error.reshape(self.parts, -1), axis=1) * (1.0 + 1e-9))
        drift = self._drift(t)
        norms = np.cumsum(self.norms.reshape(self.parts, -1)[0]) * (1.0 + 1e-9)
        moved = np.abs(sums[:, :-1]) + off[:, :-1]
        moved = (moved[0] if self.parts == 1 else np.hypot(moved[0], moved[1])) * (1 + 8 * UNIT)
        reach = float(np.max(moved + norms[:-1] * (drift * 1.5), initial=0.0))
        return Look(np.array([reach * (1.0 + self.room * 8.0 * UNIT)]), None, drift)

    def proved_zero(self, look: Look, excess: float) -> np.ndarray:
        """Say that no single coefficient is."""
        return np.zeros(self.scaled.size, dtype=bool)


def _rows(matrix: Any) -> Any:
    return matrix.tocsr() if scipy.sparse.issparse(matrix) else matrix


def _side_by_side(columns: Any, last: np.ndarray) -> Any:
    if scipy.sparse.issparse(columns):
        return scipy.sparse.hstack([columns, scipy.sparse.csr_array(last[:, None])], format="csr")
    return np.column_stack([columns, last])


def _partial_sums(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the partial sums of each row to about the last bit, and what they are off by.

    The leading bits of all entries, on one grid, add without error.
    """
    total = float(np.abs(values).sum())
    if not 0 < total < math.inf:
        return np.cumsum(values, axis=1), np.full(values.shape, 0.0 if total == 0 else math.inf)
    grid = math.ldexp(1.0, math.frexp(total)[1] - 51)
    high = np.rint(values / grid) * grid
    low = values - high
    sums = np.cumsum(high, axis=1) + np.cumsum(low, axis=1)
    count = values.shape[1]
    off = gamma(count + 4) * float(np.abs(low).sum()) * (1.0 + gamma(count + 4))
    return sums, np.abs(sums) * (2.0 * UNIT) + off


class NuclearGap(DualityGap):
    """Of the nuclear norm, with or without a ridge."""

    def __init__(self, problem: SparseRegression, room: float = 1.0, rough: bool = False) -> None:
        super().__init__(problem, room, rough)
        parts = getattr(problem.penalty, "parts", (problem.penalty,))
        self.matrix_shape = next(part.shape for part in parts if isinstance(part, NuclearNorm))
        self._complex = problem.is_complex

    def excess(self, correlation: np.ndarray) -> np.ndarray:
        """Return by how much singular values exceed the limit."""
        sizes = np.linalg.svd(self.matrix(correlation), compute_uv=False)
        return np.asarray(np.maximum(sizes - self.scaled.limits, 0.0))

    def matrix(self, values: np.ndarray) -> np.ndarray:
        """Return coefficients or correlations as a matrix."""
        half = len(values) // 2
        whole = values[:half] + 1j * values[half:] if self._complex else values
        return np.asarray(whole.reshape(self.matrix_shape))

    def _real(self, values: np.ndarray) -> np.ndarray:
        """Return the matrix of real numbers that acts as the matrix does.

        Of a complex one it has every singular value twice.
        """
        matrix = self.matrix(values)
        if not self._complex:
            return matrix
        return np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])

    def _penalty(self, x: np.ndarray, support: np.ndarray) -> tuple[list[float], float]:
        limit, matrix, copies = float(self.scaled.limits[0]), self._real(x), 1 + self._complex
        u, s, v = _decomposed(matrix)
        left, right = _off_isometry(u), _off_isometry(v.T)
        size = math.fsum(s.tolist()) / copies
        error = size * (left + right + left * right)
        error += math.sqrt(len(s)) * _missing(matrix, u, s, v) / copies
        terms = [limit * size]
        error = limit * (error + size * 4.0 * UNIT) * self.room
        if self.scaled.ridge:
            half = self.scaled.ridge * (0.5 * float(x @ x))
            terms, error = [*terms, half], error + half * self.room * gamma(len(x) + 8)
        return terms, above(error, 16)

    @WILD
    def look(self, t: np.ndarray) -> Look:
        """Bound the spectral norm of the correlations; with a ridge, limit plus distance."""
        if not self.penalised:
            return super().look(t)
        if not t.any():
            return Look(np.zeros(1))
        correlation, error = self.exact_correlations(t, np.arange(self.scaled.size))
        if (found := self._all_projected(correlation, t)) is not None:
            return found
        matrix, off = self._real(correlation), norm_bound(error)
        u, s, v = _decomposed(matrix)
        gain = (1.0 + self.room * _off_isometry(u)) * (1.0 + self.room * _off_isometry(v.T))
        if self.scaled.ridge:
            limit = float(self.limits_low[0])
            kept = np.minimum(s, limit) / gain * (1.0 - 8.0 * UNIT)
            distance = _missing(matrix, u, kept, v, self.room) / math.sqrt(1 + self._complex)
            distance = off + distance
            # Taking the limit off again must not lose any of it.
            return Look(self.limits_low + above(distance + 4.0 * UNIT * limit, 8))
        reach = float(s.max(initial=0.0)) * gain + off + self.room * _missing(matrix, u, s, v)
        return Look(np.array([above(reach, 8)]))

    def proved_zero(self, look: Look, excess: float) -> np.ndarray:
        """Say that no single coefficient is."""
        return np.zeros(self.scaled.size, dtype=bool)


def _decomposed(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a singular value decomposition; zeros where the matrix is not finite."""
    if not np.isfinite(matrix).all():
        matrix = np.zeros_like(matrix)
    return np.linalg.svd(matrix, full_matrices=False)


def _product(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a product, and a bound of the Frobenius norm of what it is off by.

    To about the last bit, but for large matrices, whose products are plain.
    """
    if len(left) * right.size > _MOST_PRODUCTS:
        size = norm_bound(left.ravel()) * norm_bound(right.ravel())
        return left @ right, gamma(len(right) + 8) * size
    columns = [row_dots(left, column) for column in right.T]
    values, bounds = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    return values, norm_bound(bounds.ravel())


def _off_isometry(u: np.ndarray) -> float:
    """Return e such that all singular values of u lie within 1 - e and 1 + e.

    They are roots of the eigenvalues of u^T u, and roots are nearer to 1 than what they are of.
    """
    gram, lost = _product(u.T, u)
    gram[np.diag_indices(len(gram))] -= 1.0
    usual = _ROUNDED * math.sqrt(len(gram))
    return above(norm_bound(gram.ravel()) + lost + usual, 16)


def _missing(
    matrix: np.ndarray, u: np.ndarray, s: np.ndarray, v: np.ndarray, room: float = 1.0
) -> float:
    """Return a bound of the Frobenius norm of ``matrix - u diag(s) v``; rounding `room` times."""
    product, lost = _product(u * s, v)
    # The entries of u times s are rounded, and so is the difference.
    lost += UNIT * norm_bound((u * s).ravel()) * norm_bound(v.ravel())
    lost += _ROUNDED * norm_bound(matrix.ravel())
    return above(norm_bound((matrix - product).ravel()) + room * lost, 16)
