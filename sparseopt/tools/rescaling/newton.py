"""The balancing problem of a nonnegative matrix by Newton's method, in time near its size.

With B = exp(z_g - z_h) M[g, h] the gradient of the sum of B is (row sums - column sums of B) and
the Hessian the weighted Laplacian diag(row + column sums) - B - B', definite once the entry of the
pinned group is left out. Conjugate gradients solve for the steps; they would need as many rounds as
the network has layers to carry a change from one end to the other, so every round also solves the
problem for one shift of each whole level, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.sparse import csc_array, csr_array

from sparseopt.interface.context import Progress
from sparseopt.tools.rescaling.coupling import Block, Coupling

_STEPS = 200
_SWEEPS = 4

Solve = Callable[[np.ndarray], np.ndarray]


class _Levels:
    """Which groups form a level, and the pattern of the matrix between levels."""

    def __init__(self, coupling: Coupling) -> None:
        self.of_group = np.zeros(coupling.size, dtype=np.int64)
        for number, groups in enumerate(coupling.levels):
            self.of_group[groups] = number + 1
        self.count = len(coupling.levels) + 1
        self.row_of_entry = np.repeat(np.arange(coupling.size), np.diff(coupling.rest.indptr))
        keys = self.of_group[self.row_of_entry] * self.count + self.of_group[coupling.rest.indices]
        self._pairs, self._place = np.unique(keys, return_inverse=True)

    def between(self, scaled: _Scaled) -> csr_array:
        """Return the sums of B between levels, without those within one."""
        sums = np.bincount(self._place, scaled.rest.data, minlength=len(self._pairs))
        triples = [(self._pairs // self.count, self._pairs % self.count, sums)]
        for block, up, down in scaled.blocks:
            rows, columns = self.of_group[block.rows], self.of_group[block.columns]
            for one in np.unique(columns):
                values = up * (block.sums @ np.where(columns == one, down, 0.0))
                triples.append((rows, np.full(len(rows), one), values))
        r, c, data = (np.concatenate(part) for part in zip(*triples, strict=True))
        off = (r != c) & (data > 0)
        return csr_array((data[off], (r[off], c[off])), shape=(self.count,) * 2)


class _Scaled:
    """B = exp(z_g - z_h) M[g, h], blocks unscaled with factors for their rows and columns."""

    def __init__(self, coupling: Coupling, levels: _Levels, logs: np.ndarray) -> None:
        rest = coupling.rest
        shifts = logs[levels.row_of_entry] - logs[rest.indices]
        data = rest.data * np.exp(np.clip(shifts, -600.0, 600.0, out=shifts), out=shifts)
        self.size = coupling.size
        self.rest = csr_array((data, rest.indices, rest.indptr), shape=rest.shape)
        self._turned = self.rest.T
        self.blocks: list[tuple[Block, np.ndarray, np.ndarray]] = []
        for block in coupling.blocks:
            # Relative to the block's own scale, so that no exponential leaves the range.
            shift = float(np.median(logs[block.rows]))
            up = np.exp(np.clip(logs[block.rows] - shift, -300.0, 300.0))
            down = np.exp(np.clip(shift - logs[block.columns], -300.0, 300.0))
            self.blocks.append((block, up, down))
        ones = np.ones(self.size)
        self.into, self.out = self.times(ones), self.turned_times(ones)

    def times(self, vector: np.ndarray) -> np.ndarray:
        """Return B times a vector."""
        result = np.asarray(self.rest @ vector)
        for block, up, down in self.blocks:
            result[block.rows] += up * (block.sums @ (down * vector[block.columns]))
        return result

    def turned_times(self, vector: np.ndarray) -> np.ndarray:
        """Return the transpose of B times a vector."""
        result = np.asarray(self._turned @ vector)
        for block, up, down in self.blocks:
            result[block.columns] += down * ((up * vector[block.rows]) @ block.sums)
        return result


def minimizer(coupling: Coupling, progress: Progress | None = None) -> np.ndarray:
    """Return z with z_0 = 0 that minimizes the sum of exp(z_g - z_h) M[g, h].

    Every group must lie on a path from group 0 back to it.
    """
    levels = _Levels(coupling)
    logs = _sweep(coupling, levels, np.zeros(coupling.size))
    if levels.count > 2:
        between = levels.between(_Scaled(coupling, levels, logs))
        coarse = Coupling(levels.count, [], between, [])
        shifts = _newton(coarse, _Levels(coarse), np.zeros(levels.count), direct=True)
        logs = _sweep(coupling, levels, logs + shifts[levels.of_group])
    return _newton(coupling, levels, logs, direct=False, progress=progress)


def minimizer_of_circle(matrix: csr_array) -> np.ndarray:
    """Return the same for a sparse matrix whose groups, 0 among them, couple in a circle."""
    size = matrix.shape[0]
    circle = Coupling(size, [], matrix, [])
    return _newton(circle, _Levels(circle), np.zeros(size), direct=True)


def _sweep(coupling: Coupling, levels: _Levels, logs: np.ndarray) -> np.ndarray:
    """Minimize over the groups of every other level, then over the rest, and again.

    Exact where levels couple with their neighbours only, by exp(2 z) = outgoing / incoming; a
    sweep that makes it worse is the last, and not taken.
    """
    best, kept = np.inf, logs
    level = levels.of_group
    halves = (level % 2 == 1, (level % 2 == 0) & (level > 0))
    for number in range(2 * _SWEEPS + 1):
        scaled = _Scaled(coupling, levels, logs)
        moves = np.log(scaled.out / scaled.into)
        if number % 2 == 0:
            error = float(np.abs(moves[1:]).max(initial=0.0))
            if not error < best:
                return kept
            best, kept = error, logs
        logs = np.where(halves[number % 2], logs + 0.5 * moves, logs)
    return kept


def _newton(
    coupling: Coupling,
    levels: _Levels,
    logs: np.ndarray,
    direct: bool,
    progress: Progress | None = None,
) -> np.ndarray:
    """Return the minimizer by damped Newton steps from `logs`.

    `direct` says whether steps are solved for by elimination, of matrices that are sparse.
    """
    best = np.inf
    for _ in range(_STEPS):
        scaled = _Scaled(coupling, levels, logs)
        error = float(np.abs(np.log(scaled.into[1:] / scaled.out[1:])).max(initial=0.0))
        if progress is not None:  # by the digits that the balance has, of 14
            share = -math.log10(max(error, 1e-14)) / 14
            progress(share, f"units are balanced to {error:.0e}")
        if error <= 1e-14 or (error < 1e-11 and error > 0.5 * best):
            break
        best = min(best, error)
        step = _direct(scaled) if direct else _step(scaled, levels)
        # Full steps near the minimum; far from it no factor moves by more than e^2 at once.
        logs = logs + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
    return logs


def _laplacian(weighted: csr_array) -> csc_array:
    """Return the Hessian for a matrix B, without the pinned entry."""
    sums = np.asarray(weighted.sum(axis=0) + weighted.sum(axis=1)).ravel()
    index = np.arange(len(sums))
    diagonal = csr_array((sums, (index, index)), shape=weighted.shape)
    return csc_array((diagonal - weighted - weighted.T)[1:, 1:])


def _direct(scaled: _Scaled) -> np.ndarray:
    """Return the Newton step by elimination, of a problem without blocks."""
    solve = _solver(_laplacian(scaled.rest))
    return np.concatenate([[0.0], solve((scaled.out - scaled.into)[1:])])


def _solver(matrix: csc_array) -> Solve:
    from scipy.sparse.linalg import splu

    try:
        return splu(matrix, permc_spec="MMD_AT_PLUS_A").solve  # type: ignore[no-any-return]
    except RuntimeError:  # entries so far apart that it is singular in floating point
        diagonal = np.maximum(matrix.diagonal(), np.finfo(float).tiny)
        return lambda vector: vector / diagonal


def _step(scaled: _Scaled, levels: _Levels) -> np.ndarray:
    """Return the Newton step by conjugate gradients, levels shifted as a whole in each round."""
    from scipy.sparse.linalg import LinearOperator, cg

    coarse = _solver(_laplacian(levels.between(scaled)))
    diagonal = (scaled.into + scaled.out)[1:]
    padded = np.zeros(scaled.size)
    own = levels.of_group[1:] - 1

    def laplacian(v: np.ndarray) -> np.ndarray:
        padded[1:] = v.ravel()
        return diagonal * v.ravel() - (scaled.times(padded) + scaled.turned_times(padded))[1:]

    def preconditioned(v: np.ndarray) -> np.ndarray:
        residual = v.ravel()
        shifts = coarse(np.bincount(own, residual, minlength=levels.count - 1))
        return residual / diagonal + shifts[own]

    shape = (scaled.size - 1,) * 2
    operator = LinearOperator(shape, matvec=laplacian, dtype=float)
    inverse = LinearOperator(shape, matvec=preconditioned, dtype=float)
    gradient = (scaled.out - scaled.into)[1:]
    step, _ = cg(operator, gradient, rtol=1e-8, maxiter=500, M=inverse)
    return np.concatenate([[0.0], step])
