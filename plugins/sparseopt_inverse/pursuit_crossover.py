"""From a rough iterate of basis pursuit to a vertex and the dual point that proves it."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.optimize import nnls

from sparseopt.inverse.fit import Fit
from sparseopt_inverse.faces import MOST_ENTRIES, columns_of
from sparseopt_inverse.pursuit_best import BestPursuit
from sparseopt_inverse.pursuit_polish import offer_polished

FITS = 1e-10
"""Relative misfit of columns that span the target."""
NOTHING = 1e-9
"""Relative size of coefficients that count as zero among columns that span the target."""
EXTRA = 6
"""Columns that are added because the misfit correlates with them."""
ROOM = 0.99
"""Correlation that columns off the support are brought down to: below 1 proves uniqueness."""
ROUNDS = 20
MOST_BOUNDS = 200
"""Bounds that a dual point is projected onto at most, for their multipliers are dense."""


def cross_over(best: BestPursuit, scores: np.ndarray, w: np.ndarray) -> None:
    """Offer the vertex near an iterate for norm 1 without noise, if there is one.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        Large in magnitude where the solution is likely not to be zero.
    w : ndarray, shape (m,)
        A rough dual point, whose correlations are to be 1 in magnitude.

    Notes
    -----
    Half as many columns as rows almost always contain the support long before the iterates settle,
    and where they do, their least-squares solution is the answer. So far from settled, the dual
    point is far from feasible; it is projected onto those that fit the answer.
    """
    if best.fit.is_complex:  # moduli have no vertices
        return
    found = _vertex(best.fit, scores)
    if found is None:
        return
    support, values = found
    point = dual_point_on_face(best.fit, support, np.sign(values), w)
    if point is None:
        return
    x = np.zeros(best.fit.scaled.size)
    x[support] = values
    offer_polished(best, x, point, NOTHING)


def _vertex(fit: Fit, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return few columns that make the target, and their coefficients."""
    rows = len(fit.target)
    count = min(rows // 2, len(scores))
    if count == 0 or (count + EXTRA) * rows > MOST_ENTRIES:
        return None
    sizes = np.abs(scores)
    chosen = np.argpartition(-sizes, count - 1)[:count]
    chosen = chosen[sizes[chosen] > 0.0]
    target = float(np.linalg.norm(fit.target))
    for _ in range(EXTRA):
        columns = columns_of(fit, chosen)
        values = scipy.linalg.lstsq(columns, fit.target, lapack_driver="gelsy", check_finite=False)[
            0
        ]
        residual = fit.target - columns @ values
        if np.linalg.norm(residual) <= FITS * target:
            kept = np.abs(values) > NOTHING * np.abs(values).max(initial=0.0)
            return (chosen[kept], values[kept]) if kept.any() else None
        reach = np.abs(fit.scaled.correlation(residual))
        reach[chosen] = 0.0
        chosen = np.append(chosen, np.argmax(reach))
    return None


def dual_point_on_face(
    fit: Fit, support: np.ndarray, signs: np.ndarray, w: np.ndarray
) -> np.ndarray | None:
    """Return the dual point nearest to `w` among those that prove a support with signs.

    Its correlations are the signs on the support and below 1 in magnitude elsewhere. None where
    the columns of the support depend on each other, or no such point was found.

    Notes
    -----
    The bounds that are violated are imposed, those only, until none is: a least-distance problem
    with few bounds (Lawson, Hanson 1974, chapter 23), by nonnegative least squares.
    """
    columns = columns_of(fit, support)
    left, upper = scipy.linalg.qr(columns, mode="economic", check_finite=False)
    pivots = np.abs(np.diagonal(upper))
    if len(pivots) < len(support) or not pivots.min() > 1e-12 * pivots.max():
        return None
    for _ in range(2):
        missing = signs - columns.T @ w
        w = w + left @ scipy.linalg.solve_triangular(upper, missing, trans=1, check_finite=False)
    base, bounds = w, np.zeros(0, dtype=np.intp)
    rows, room = np.zeros((0, len(w))), np.zeros(0)
    for _ in range(ROUNDS):
        reach = fit.scaled.correlation(w)
        reach[support] = 0.0
        if np.abs(reach).max(initial=0.0) <= 0.5 * (1.0 + ROOM):
            return w
        new = np.setdiff1d(np.flatnonzero(np.abs(reach) > ROOM), bounds)
        if not len(new) or len(bounds) + len(new) > MOST_BOUNDS:
            return None
        signed = (columns_of(fit, new) * np.sign(reach[new])).T
        rows = np.vstack([rows, signed - (signed @ left) @ left.T])
        room = np.append(room, ROOM - signed @ base)
        bounds = np.append(bounds, new)
        step = _least_step(rows, room)
        if step is None:
            return None
        w = base + step
    return None


def _least_step(rows: np.ndarray, room: np.ndarray) -> np.ndarray | None:
    """Return the shortest d with ``rows @ d <= room``, None if there is none."""
    stacked = np.vstack([-rows.T, -room])
    last = np.zeros(len(stacked))
    last[-1] = 1.0
    try:
        rest = stacked @ nnls(stacked, last, maxiter=10 * len(room) + 100)[0] - last
    except (RuntimeError, np.linalg.LinAlgError):
        return None
    return None if abs(rest[-1]) < 1e-10 else -rest[:-1] / rest[-1]
