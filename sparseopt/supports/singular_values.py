"""Bounds of singular values from decompositions that are not believed."""

from __future__ import annotations

import numpy as np

from sparseopt.judging.rounding import TINY, UNIT, gamma, sum_terms


def singular_value_bounds(blocks: np.ndarray, room: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of all singular values, in descending order as these are.

    Parameters
    ----------
    blocks : array (..., b, c)
        float64 or complex128, scaled so that squares are safe.
    room : float
        Every bound of rounding is taken that many times.

    Returns
    -------
    low, high : array (..., min(b, c))

    Notes
    -----
    For any U, S >= 0, V with a >= |U^H U - I|, b >= |V V^H - I|, e >= |B - U S V| (Frobenius):
    s_i(B) and s_i(U S V) differ by at most e (Weyl), and the latter lies between
    sqrt((1 - a)(1 - b)) and sqrt((1 + a)(1 + b)) times the i-th largest number of S. A product of k
    terms is off by gamma(k) times the product of absolute values, in norm at most the sum over
    terms of the products of the norms of columns, numbers and rows. So a good decomposition gives
    bounds that are off by some units, a bad one only wide bounds.
    """
    u, s, v = np.linalg.svd(blocks, full_matrices=False)
    s = np.abs(s)
    b, c = blocks.shape[-2:]
    g = room * gamma(sum_terms(b + c + 8, blocks))
    off = _norms(blocks - (u * s[..., None, :]) @ v) * (1.0 + g)
    columns, rows = _norms(u.swapaxes(-1, -2)[..., None, :]), _norms(v[..., None, :])
    off = (off + g * (columns * s * rows).sum(axis=-1) + TINY)[..., None]
    defects = _defect(u.conj().swapaxes(-1, -2), g), _defect(v, g)
    least = [np.where(d < 0.5, np.sqrt(np.maximum(1.0 - d, 0.0)), 0.0) for d in defects]
    most = [np.sqrt(1.0 + defect) for defect in defects]
    s = np.sort(s, axis=-1)[..., ::-1]
    low = s * (least[0] * least[1])[..., None] * (1.0 - 8.0 * room * UNIT) - off
    high = s * (most[0] * most[1])[..., None] * (1.0 + 8.0 * room * UNIT) + off
    return np.maximum(low, 0.0), high


def _norms(stack: np.ndarray) -> np.ndarray:
    """Return the Frobenius norms of a stack of matrices, in plain arithmetic."""
    return np.asarray(np.sqrt((np.abs(stack) ** 2).sum(axis=(-1, -2))))


def _defect(rows: np.ndarray, g: float) -> np.ndarray:
    """Return a bound of ``|Q Q^H - I|`` for a stack of matrices Q, for g as above."""
    count = rows.shape[-2]
    gram = rows @ rows.conj().swapaxes(-1, -2)
    norms = (np.abs(rows) ** 2).sum(axis=-1).max(axis=-1, initial=0.0)
    return np.asarray((_norms(gram - np.eye(count)) + count * g * norms) * (1.0 + g))


def thresholded_below(low: np.ndarray, rank: int, limit: float, room: float = 1.0) -> np.ndarray:
    """Return lower bounds of min 1/2 |B - C|^2 + limit |C|_* over C of rank at most `rank`.

    Parameters
    ----------
    low : array (..., k)
        Lower bounds of the singular values s_i of B, in descending order.
    rank : int
    limit : float
    room : float

    Notes
    -----
    By von Neumann's inequality ``|<B, C>| <= sum s_i(B) s_i(C)`` the minimum is the sum over i of
    min over t >= 0 of (s_i - t)^2 / 2 + limit t, with t = 0 beyond the rank: s_i^2 / 2 there and
    where s_i <= limit, limit (s_i - limit / 2) elsewhere. All of them grow with s_i.
    """
    halves = 0.5 * low**2
    kept = np.where(low <= limit, halves, limit * (low - 0.5 * limit))
    kept[..., rank:] = halves[..., rank:]
    lost = room * (gamma(low.shape[-1] + 16) + TINY)
    return np.asarray(np.maximum(kept.sum(axis=-1) * (1.0 - lost) - room * TINY, 0.0))
