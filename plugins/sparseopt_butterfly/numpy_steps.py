"""One level of a hierarchical factorization in NumPy, on blocks that fit in cache.

Every function takes blocks as an array (b, ..., c): entry (j, i, k) is entry (j, k) of block i,
for any number of axes of blocks, see `hierarchy`. Blocks of rank 1 with two rows have a closed
form; rank 1 with more rows is a power iteration on the Gram matrix; any other rank takes the
eigenvectors of the smaller Gram matrix, or the SVD where squaring would lose too much.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Rows from this length on are combined by BLAS, one call per block.
WIDE = 32
# Up to this many steps a power iteration may take before the eigenvectors are computed.
POWER_STEPS = 20


def gap_threshold(dtype: Any) -> float:
    """Return the least lambda_r / lambda_1 of a Gram matrix that is still safe.

    Squaring perturbs the Gram matrix by eps lambda_1, so a direction of size sigma_r is rotated
    by eps (sigma_1 / sigma_r)^2 and misses eps sigma_1^2 / sigma_r: at most 1e3 eps sigma_1 in
    double precision for a ratio of 1e-6 and 32 eps sigma_1 in single precision for 1e-3. Rank 1
    has no such loss.
    """
    return 1e-3 if np.finfo(dtype).eps > 1e-10 else 1e-6


def peel(source: np.ndarray, target: np.ndarray, left: np.ndarray, rank: int) -> None:
    """Approximate every block by U W of rank r.

    Parameters
    ----------
    source : array (b, ..., c)
        The blocks.
    target : array (r, ..., c)
        Receives W; apart from the source.
    left : array (..., b, r)
        Receives U, with orthonormal columns.
    """
    if rank == 1 and len(source) == 2:
        _pairs(source, target, left)
    elif rank == 1:
        _lines(source, target, left)
    else:
        _planes(source, target, left, rank)


def _dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the inner products conj(x) . y over the last axis."""
    if x.shape[-1] >= 8:
        return np.vecdot(x, y)
    return np.einsum("...k,...k->...", x.conj() if x.dtype.kind == "c" else x, y)


def _pairs(source: np.ndarray, target: np.ndarray, left: np.ndarray) -> None:
    """Two rows x, y, rank 1: the top eigenvector of [[|x|^2, x y^H], [y x^H, |y|^2]].

    With delta half the difference of the diagonal and h = hypot(delta, |x y^H|), the eigenvector
    is (delta + h, y x^H) or (x y^H, h - delta), whichever has no cancellation.
    """
    x, y = source
    xx, yy, yx = _dots(x, x).real, _dots(y, y).real, _dots(x, y)
    delta = (xx - yy) / 2
    cross = np.abs(yx)
    h = np.hypot(delta, cross)
    swap = delta < 0
    big = h + np.abs(delta)
    # Up to a unit factor, u = (big, yx) / length or (conj(yx), big) / length.
    length = np.hypot(big, cross)
    zero = length == 0
    length[zero] = 1
    big[zero] = 1
    big /= length
    yx = yx / length
    u0 = np.where(swap, yx.conj(), big)
    u1 = np.where(swap, big, yx)
    left[..., 0, 0] = u0
    left[..., 1, 0] = u1
    if x.shape[-1] >= WIDE:
        row = left[..., 0].conj()[..., None, :]
        np.matmul(row, np.moveaxis(source, 0, -2), out=np.moveaxis(target, 0, -2))
    else:
        np.multiply(x, u0.conj()[..., None], out=target[0])
        target[0] += y * u1.conj()[..., None]


def _lines(source: np.ndarray, target: np.ndarray, left: np.ndarray) -> None:
    """Rank 1: power iteration on the Gram matrix, with its eigenvectors for blocks that are slow.

    The start is the column of the row of largest norm, which is exact for a block of rank one. The
    Rayleigh quotient grows at every step; a block has converged once it grows by less than 4 eps.
    """
    b, *grid, c = source.shape
    blocks = np.moveaxis(source, 0, -2).reshape(-1, b, c)
    many = len(blocks)
    gram = blocks @ blocks.conj().transpose(0, 2, 1)
    best = np.argmax(np.einsum("nii->ni", gram).real, axis=1)
    eps = np.finfo(source.dtype).eps
    u = _unit(gram[np.arange(many), :, best])
    active = np.arange(many)
    value = np.zeros(many, dtype=gram.real.dtype)
    for _ in range(POWER_STEPS):
        old = u[active]
        image = (gram if len(active) == many else gram[active]) @ old[..., None]
        image = image[..., 0]
        quotient = _dots(old, image).real
        u[active] = _unit(image, old)
        slow = quotient - value[active] > 4 * eps * quotient
        value[active] = quotient
        active = active[slow]
        if not len(active):
            break
    if len(active):
        u[active] = np.linalg.eigh(gram[active])[1][..., -1]
    w = u.conj()[:, None, :] @ blocks
    target[0] = w.reshape(*grid, c)
    left[..., 0] = u.reshape(*grid, b)


def _unit(vectors: np.ndarray, fallback: np.ndarray | None = None) -> np.ndarray:
    """Return the vectors scaled to length 1; zero ones replaced."""
    length = np.sqrt(_dots(vectors, vectors).real)[:, None]
    zero = length[:, 0] == 0
    length[zero] = 1
    unit = vectors / length
    if zero.any():
        if fallback is None:
            unit[zero, 0] = 1
        else:
            unit[zero] = fallback[zero]
    return unit


def _planes(source: np.ndarray, target: np.ndarray, left: np.ndarray, rank: int) -> None:
    """Any rank: eigenvectors of the smaller Gram matrix, or the SVD below the gap threshold."""
    b, *grid, c = source.shape
    blocks = np.moveaxis(source, 0, -2).reshape(-1, b, c)
    adjoint = blocks.conj().transpose(0, 2, 1)
    tall = b > c
    gram = adjoint @ blocks if tall else blocks @ adjoint
    values, vectors = np.linalg.eigh(gram)
    top = vectors[..., : -rank - 1 : -1]
    u = np.linalg.qr(blocks @ top)[0] if tall else np.ascontiguousarray(top)
    unsafe = values[:, -rank] <= gap_threshold(source.dtype) * values[:, -1]
    if unsafe.any():
        u[unsafe] = np.linalg.svd(blocks[unsafe], full_matrices=False)[0][..., :rank]
    w = u.conj().transpose(0, 2, 1) @ blocks
    target[...] = np.moveaxis(w.reshape(*grid, rank, c), -2, 0)
    left[...] = u.reshape(*grid, b, rank)
