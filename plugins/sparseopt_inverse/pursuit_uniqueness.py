"""Dual points that prove an answer to basis pursuit unique: they leave other columns room."""

from __future__ import annotations

import numpy as np
import scipy.optimize

from sparseopt_inverse.faces import Face
from sparseopt_inverse.pursuit_best import BestPursuit

MOST_PROGRAM = 40_000
"""Entries of the design up to which a linear program looks for a proof of uniqueness."""


def offer_inner(best: BestPursuit, x: np.ndarray, w: np.ndarray, face: Face) -> None:
    """Offer dual points that leave columns off the support room, to prove x unique.

    A vertex of the dual problem, as a simplex method finds it, has ties; the shortest vector
    with the right correlations on the support (Fuchs 2004), or one on the way to it, may not.
    """
    for share in (1.0, 0.5, 0.1, 0.01):
        inner = face.improved((1.0 - share) * w + share * face.direction)
        if _room_off(best, inner, face) > 1e-9:
            best.offer(x, inner)
        if best.result[0].unique:
            return
    if len(w) * len(x) > MOST_PROGRAM:
        return
    roomy = most_room(best.fit.scaled.dense(), np.flatnonzero(x), face.signs)
    if roomy is not None:
        best.offer(x, face.improved(roomy))


def _room_off(best: BestPursuit, w: np.ndarray, face: Face) -> float:
    """Return 1 minus the largest correlation of columns that are not on the face."""
    reach, on = np.abs(best.fit.scaled.correlation(w)), len(face.signs)
    off = np.partition(reach, -on)[:-on]  # those on the face correlate most
    return 1.0 - float(off.max(initial=0.0))


def most_room(matrix: np.ndarray, support: np.ndarray, signs: np.ndarray) -> np.ndarray | None:
    """Return the dual point that is exact on the support and smallest off it, by HiGHS."""
    m, n = matrix.shape
    off = np.setdiff1d(np.arange(n), support)
    rows = np.hstack([matrix[:, off].T, -np.ones((len(off), 1))])
    flipped = np.hstack([-matrix[:, off].T, -np.ones((len(off), 1))])
    done = scipy.optimize.linprog(
        np.append(np.zeros(m), 1.0),
        A_ub=np.vstack([rows, flipped]),
        b_ub=np.zeros(2 * len(off)),
        A_eq=np.hstack([matrix[:, support].T, np.zeros((len(support), 1))]),
        b_eq=signs,
        bounds=[(None, None)] * (m + 1),
        options={"time_limit": 5.0},
    )
    return None if done.x is None or not done.x[m] < 1.0 - 1e-9 else done.x[:m]
