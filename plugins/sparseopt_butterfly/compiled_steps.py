"""Compiled kernels (numba) that approximate the blocks of one row group by rank r.

A row group consists of b rows of N = groups * c numbers; block g is the b x c matrix of columns
g c .. (g + 1) c. Each kernel writes U of every block into a flat array, block after block, entry
(j, rho) at j r + rho, and W of every block into r output rows. Blocks whose squares underflow, in
a target of safe size, are too small to count: they get some U, and stay finite.

Sums may be reordered and fused by the compiler (never assuming that numbers are finite), which is
what lets it use vector instructions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# Divisors are not zero: with NumPy's model of errors that is not tested at every division.
compiled = numba.njit(
    cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"}
)

# Steps of a power or subspace iteration before LAPACK takes over.
STEPS = 20


@compiled
def square(z: Any) -> Any:
    return z.real * z.real + z.imag * z.imag


@compiled
def top(xx: float, yy: float, yx: Any, left: Any, place: int) -> None:
    """Set two entries of `left` to the top eigenvector of [[xx, conj(yx)], [yx, yy]]."""
    delta = 0.5 * (xx - yy)
    cross2 = np.float64(square(yx))
    big = np.sqrt(delta * delta + cross2) + abs(delta)
    length = np.sqrt(big * big + cross2)
    u0, u1 = yx - yx + 1.0, yx - yx + 0.0
    if length > 0:
        if delta < 0:
            u0 = np.conj(yx) / length
            u1 = u1 + big / length
        else:
            u0 = u0 * (big / length)
            u1 = yx / length
    left[place] = u0
    left[place + 1] = u1


@compiled
def pairs(source: Any, rows: Any, groups: int, c: int, left: Any, target: Any, out: Any) -> None:
    """Two rows, rank 1, in closed form; see `numpy_steps`."""
    for g in range(groups):
        # Views that start at 0: an index that might be negative is checked at every step.
        x = source[rows[0], g * c : (g + 1) * c]
        y = source[rows[1], g * c : (g + 1) * c]
        w = target[out[0], g * c : (g + 1) * c]
        yx = x[0] - x[0]
        xx = yy = yx.real
        for k in range(c):
            xx += square(x[k])
            yy += square(y[k])
            yx += np.conj(x[k]) * y[k]
        top(np.float64(xx), np.float64(yy), yx, left, 2 * g)
        v0, v1 = np.conj(left[2 * g]), np.conj(left[2 * g + 1])
        for k in range(c):
            w[k] = v0 * x[k] + v1 * y[k]


@compiled
def lines(source: Any, rows: Any, groups: int, c: int, left: Any, target: Any, out: Any) -> None:
    """Any number of rows, rank 1: power iteration, capped, then eigenvectors.

    It starts from the row of largest norm, which is exact for a block of rank one, and ends when
    |W|^2, which never falls, grows by less than 4 eps.
    """
    b = len(rows)
    eps = np.finfo(source.dtype).eps
    u = np.zeros(b, source.dtype)
    for g in range(groups):
        lo, hi = g * c, (g + 1) * c
        w = target[out[0], lo:hi]
        best = 0.0
        pivot = 0
        for j in range(b):
            row = source[rows[j], lo:hi]
            norm = row[0].real - row[0].real
            for k in range(c):
                norm += square(row[k])
            if norm > best:
                best, pivot = np.float64(norm), j
        _copy(source[rows[pivot], lo:hi], w)
        value = 0.0
        converged = False
        for _ in range(STEPS):
            if not _image(source, rows, w, lo, hi, u):
                for j in range(b):
                    u[j] = 0
                u[pivot] = 1
                _copy(source[rows[pivot], lo:hi], w)
                converged = True
                break
            old, value = value, _combine(source, rows, w, lo, hi, u)
            if value - old <= 4 * eps * value:
                converged = True
                break
        if not converged:
            _slow_line(source, rows, lo, hi, u)
            _combine(source, rows, w, lo, hi, u)
        for j in range(b):
            left[g * b + j] = u[j]


@compiled
def _copy(source: Any, target: Any) -> None:
    """Copy a row, as a loop: an assignment compiles the words of its errors too, in seconds."""
    for k in range(len(target)):
        target[k] = source[k]


@compiled
def _image(source: Any, rows: Any, w: Any, lo: int, hi: int, u: Any) -> bool:
    """Set u to B w^H, normalized; False if its square underflows, as that of a zero block does."""
    norm = 0.0
    for j in range(len(rows)):
        row = source[rows[j], lo:hi]
        value = row[0] - row[0]
        for k in range(len(w)):
            value += row[k] * np.conj(w[k])
        u[j] = value
        norm += square(value)
    if norm == 0:
        return False
    norm = 1 / np.sqrt(norm)
    for j in range(len(rows)):
        u[j] *= norm
    return True


@compiled
def _combine(source: Any, rows: Any, w: Any, lo: int, hi: int, u: Any) -> float:
    """Set w to u^H B and return its squared norm."""
    for k in range(len(w)):
        w[k] = 0
    for j in range(len(rows)):
        row, weight = source[rows[j], lo:hi], np.conj(u[j])
        for k in range(len(w)):
            w[k] += weight * row[k]
    norm = w[0].real - w[0].real
    for k in range(len(w)):
        norm += square(w[k])
    return np.float64(norm)


@compiled
def _slow_line(source: Any, rows: Any, lo: int, hi: int, u: Any) -> None:
    """Set u to the top left singular vector, from the smaller Gram matrix."""
    block = np.empty((len(rows), hi - lo), source.dtype)
    for j in range(len(rows)):
        _copy(source[rows[j], lo:hi], block[j])
    with numba.objmode():
        _lapack_line(block, u)


def _lapack_line(block: np.ndarray, u: np.ndarray) -> None:
    """Set u to the top left singular vector of a block, from the smaller Gram matrix."""
    adjoint = block.conj().T
    if block.shape[0] <= block.shape[1]:
        u[:] = np.linalg.eigh(block @ adjoint)[1][:, -1]
    else:
        top = block @ np.linalg.eigh(adjoint @ block)[1][:, -1]
        u[:] = top / np.linalg.norm(top)


@compiled
def planes(
    source: Any, rows: Any, groups: int, c: int, left: Any, target: Any, out: Any, threshold: float
) -> None:
    """Any rank: subspace iteration on the smaller Gram matrix, or LAPACK.

    It starts from r pivoted columns of the Gram matrix, which is exact for a block of rank r, and
    ends when the trace captured, which never falls, grows by less than 4 eps. LAPACK takes over
    when that needs too many steps, or when lambda_r / lambda_1 is below `threshold`, where squaring
    would lose too much (see `numpy_steps.gap_threshold`).
    """
    b, rank = len(rows), len(out)
    tall = b > c
    size = c if tall else b
    block = np.empty((b, c), source.dtype)
    gram = np.empty((size, size), source.dtype)
    basis = np.empty((rank, size), source.dtype)
    image = np.empty((rank, size), source.dtype)
    u = np.empty((rank, b), source.dtype)
    rest = np.empty(size)
    for g in range(groups):
        for j in range(b):
            _copy(source[rows[j], g * c : (g + 1) * c], block[j])
        total = 0.0
        _gram(block, tall, gram)
        for i in range(size):
            total += gram[i, i].real
        safe = _subspace(gram, basis, image, rest, threshold, total)
        if safe and tall:
            # Columns B v, made orthonormal: v is conjugated in `basis`, whose rows span it.
            for rho in range(rank):
                for j in range(b):
                    value = block[j, 0] - block[j, 0]
                    for k in range(c):
                        value += block[j, k] * basis[rho, k]
                    u[rho, j] = value
            safe = _orthonormal(u, rank) > 0
        elif safe:
            for rho in range(rank):
                for j in range(b):
                    u[rho, j] = basis[rho, j]
        if not safe:
            _slow_plane(block, u)
        for rho in range(rank):
            w = target[out[rho], g * c : (g + 1) * c]
            for k in range(c):
                w[k] = 0
            for j in range(b):
                left[(g * b + j) * rank + rho] = u[rho, j]
                weight, row = np.conj(u[rho, j]), block[j]
                for k in range(c):
                    w[k] += weight * row[k]


@compiled
def _gram(block: Any, tall: bool, gram: Any) -> None:
    """Set `gram` to B^H B if the block is tall, else to B B^H."""
    b, c = block.shape
    if tall:
        for i in range(c):
            for k in range(c):
                gram[i, k] = 0
        for j in range(b):
            for i in range(c):
                weight = np.conj(block[j, i])
                for k in range(c):
                    gram[i, k] += weight * block[j, k]
        return
    for i in range(b):
        for j in range(i + 1):
            value = block[0, 0] - block[0, 0]
            for k in range(c):
                value += block[i, k] * np.conj(block[j, k])
            gram[i, j] = value
            gram[j, i] = np.conj(value)


@compiled
def _subspace(gram: Any, basis: Any, image: Any, rest: Any, threshold: float, total: float) -> bool:
    """Set the rows of `basis` to an orthonormal basis of the top invariant subspace of `gram`.

    Returns whether it converged with lambda_r / lambda_1 above `threshold`.
    """
    rank, size = basis.shape
    if total == 0.0:
        for rho in range(rank):
            for i in range(size):
                basis[rho, i] = 0
            basis[rho, rho] = 1
        return True
    eps = np.finfo(gram.dtype).eps
    if not _pivoted_start(gram, basis, rest):
        return False
    captured = 0.0
    for _ in range(STEPS):
        trace = 0.0
        largest, smallest = 0.0, total
        for rho in range(rank):
            norm = 0.0
            for i in range(size):
                value = gram[i, 0] - gram[i, 0]
                for k in range(size):
                    value += gram[i, k] * basis[rho, k]
                image[rho, i] = value
                trace += (np.conj(basis[rho, i]) * value).real
                norm += square(value)
            largest = max(largest, np.sqrt(norm))
        for rho in range(rank):
            for i in range(size):
                basis[rho, i] = image[rho, i]
        smallest = _orthonormal(basis, rank)
        if smallest <= threshold * largest:
            return False
        if trace - captured <= 4 * eps * trace:
            return True
        captured = trace
    return False


@compiled
def _pivoted_start(gram: Any, basis: Any, rest: Any) -> bool:
    """Set the rows of `basis` to orthonormal vectors that span r columns of `gram`.

    The columns are those of a pivoted Cholesky factorization: each is the one least explained by
    those before it. `rest` is workspace, the diagonal that is not explained yet.
    """
    rank, size = basis.shape
    eps = np.finfo(gram.dtype).eps
    for i in range(size):
        rest[i] = gram[i, i].real
    top = 0.0
    for rho in range(rank):
        pivot = 0
        for i in range(size):
            if rest[i] > rest[pivot]:
                pivot = i
        top = max(top, rest[pivot])
        if rest[pivot] <= 8 * eps * top:
            return False
        scale = 1 / np.sqrt(rest[pivot])
        for i in range(size):
            value = gram[i, pivot]
            for earlier in range(rho):
                value -= basis[earlier, i] * np.conj(basis[earlier, pivot])
            basis[rho, i] = value * scale
        for i in range(size):
            rest[i] -= square(basis[rho, i])
    return _orthonormal(basis, rank) > 0.0


@compiled
def _orthonormal(rows: Any, count: int) -> float:
    """Make the first rows orthonormal (Gram and Schmidt, twice).

    Returns the least norm met, 0 if a row depended on those before it.
    """
    least = np.inf
    eps = np.finfo(rows.dtype).eps
    size = rows.shape[1]
    for rho in range(count):
        row = rows[rho]
        before = _length(row)
        for _ in range(2):
            for earlier in range(rho):
                other = rows[earlier]
                part = row[0] - row[0]
                for k in range(size):
                    part += np.conj(other[k]) * row[k]
                for k in range(size):
                    row[k] -= part * other[k]
        norm = _length(row)
        if norm <= 8 * eps * before:
            return 0.0
        for k in range(size):
            row[k] /= norm
        least = min(least, norm)
    return least


@compiled
def _length(row: Any) -> float:
    total = 0.0
    for k in range(len(row)):
        total += square(row[k])
    return np.sqrt(total)


@compiled
def _slow_plane(block: Any, u: Any) -> None:
    """Set the rows of `u` to the top left singular vectors, by LAPACK."""
    with numba.objmode():
        _lapack_plane(block, u)


def _lapack_plane(block: np.ndarray, u: np.ndarray) -> None:
    """Set the rows of `u` to the top left singular vectors of a block."""
    u[:] = np.linalg.svd(block, full_matrices=False)[0].T[: len(u)]
