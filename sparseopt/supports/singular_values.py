"""Upper bounds of singular values from decompositions that are not believed."""

from __future__ import annotations

import math

import numpy as np

from sparseopt.judging.rounding import TINY, UNIT, gamma, sum_terms


def singular_value_bounds(blocks: np.ndarray, room: float = 1.0) -> np.ndarray:
    """Return numbers that no singular value exceeds, in descending order as these are.

    Parameters
    ----------
    blocks : array (..., b, c)
        float64 or complex128, scaled so that squares are safe.
    room : float
        Every bound of rounding is taken that many times.

    Returns
    -------
    array (..., min(b, c))

    Notes
    -----
    For any U, S >= 0, V with a >= |U^H U - I|, b >= |V V^H - I|, e >= |B - U S V| (Frobenius):
    s_i(B) <= s_i(U S V) + e (Weyl) <= |U|_2 S_i |V|_2 + e <= sqrt((1 + a)(1 + b)) S_i + e.
    A product of k terms is off by gamma(k) times the product of absolute values, in norm at most
    the sum over terms of the products of the norms of columns, numbers and rows. So a good
    decomposition gives bounds that exceed the truth by some units, a bad one only large bounds.
    """
    u, s, v = np.linalg.svd(blocks, full_matrices=False)
    s = np.abs(s)
    b, c = blocks.shape[-2:]
    g = room * gamma(sum_terms(b + c + 8, blocks))
    off = _norms(blocks - (u * s[..., None, :]) @ v) * (1.0 + g)
    columns, rows = _norms(u.swapaxes(-1, -2)[..., None, :]), _norms(v[..., None, :])
    off = off + g * (columns * s * rows).sum(axis=-1) + TINY
    defects = (1.0 + _defect(u.conj().swapaxes(-1, -2), g)) * (1.0 + _defect(v, g))
    grown = s * np.sqrt(defects)[..., None] * (1.0 + 8.0 * UNIT) + off[..., None]
    # The computed numbers may lack the order, which their largest-so-far from behind has.
    return np.asarray(np.maximum.accumulate(grown[..., ::-1], axis=-1)[..., ::-1])


def _norms(stack: np.ndarray) -> np.ndarray:
    """Return the Frobenius norms of a stack of matrices, in plain arithmetic."""
    return np.asarray(np.sqrt((np.abs(stack) ** 2).sum(axis=(-1, -2))))


def _defect(rows: np.ndarray, g: float) -> np.ndarray:
    """Return a bound of ``|Q Q^H - I|`` for a stack of matrices Q, for g as above."""
    count = rows.shape[-2]
    gram = rows @ rows.conj().swapaxes(-1, -2)
    norms = (np.abs(rows) ** 2).sum(axis=-1).max(axis=-1, initial=0.0)
    return (_norms(gram - np.eye(count)) + count * g * norms) * (1.0 + g)


def thresholded_below(
    singular: np.ndarray, squares: np.ndarray, rank: int, limit: float, room: float = 1.0
) -> np.ndarray:
    """Return lower bounds of min 1/2 |B - C|^2 + limit |C|_* over C of rank at most `rank`.

    Parameters
    ----------
    singular : array (..., k)
        Upper bounds of the singular values, in descending order.
    squares : array (...)
        Lower bounds of ``|B|^2``.
    rank : int
    limit : float
    room : float

    Notes
    -----
    By von Neumann's inequality ``|<B, C>| <= sum s_i(B) s_i(C)`` the minimum is the sum over i of
    min over t >= 0 of (s_i - t)^2 / 2 + limit t, with t = 0 beyond the rank: it is
    1/2 |B|^2 - 1/2 sum_{i <= rank} (s_i - limit)_+^2.
    """
    over = np.maximum(singular[..., :rank] - limit, 0.0)
    over = over * (1.0 + 4.0 * UNIT)
    won = (over**2).sum(axis=-1) * (1.0 + room * gamma(rank + 8))
    found = 0.5 * squares - 0.5 * won
    return np.asarray(found - 4.0 * room * UNIT * (squares + won))


def square_below(block: np.ndarray, room: float = 1.0) -> float:
    """Return a lower bound of ``|B|^2`` for a scaled block."""
    square = float(np.vdot(block, block).real)
    least = square * (1.0 - room * gamma(sum_terms(block.size + 8, block))) - TINY
    return max(least, 0.0) if math.isfinite(square) else 0.0
