"""Basis pursuit with slight noise, from the answer without noise."""

from __future__ import annotations

import contextlib
import math

import numpy as np

import sparseopt as so
from sparseopt_inverse.faces import Face, columns_of
from sparseopt_inverse.moduli import phases
from sparseopt_inverse.pursuit_best import BestPursuit, Made
from sparseopt_inverse.pursuit_polish import carrying, noise_levels, offer_polished

_SLIGHT = 1e-8
"""Noise below that share of the target moves the answer without noise a little, as a rule."""


def without_noise(best: BestPursuit) -> Made | None:
    """Return what the answer of the problem without noise leads to, where noise is slight.

    None where that is not as good as asked.
    """
    length = float(np.linalg.norm(best.fit.target))
    if not 0.0 < best.noise < _SLIGHT * length:
        return None
    problem, remaining = best.problem, best.context.remaining()
    plain = so.BasisPursuit(problem.design, problem.target, norm=problem.norm)
    limit = None if math.isinf(remaining) else remaining
    try:
        found = so.solve(plain, time_limit=limit)
    except so.SolveError:
        return None
    if not found.answer.feasible:
        return None
    parts = best.fit.scaled.parts
    x, w = best.fit.coefficients(found.answer.x), parts(found.certificate.dual_point)
    best.offer(x, w)
    best.offer(x * (1.0 - best.noise / length), w)  # shorter, and within the noise
    if not best.good:
        offer_polished(best, x, np.atleast_2d(w)[0], 0.0)
    if not best.good and problem.norm == 1:
        with contextlib.suppress(ValueError, np.linalg.LinAlgError):
            _offer_moved(best, x)
    return best.result if best.good else None


def _offer_moved(best: BestPursuit, x: np.ndarray) -> None:
    """Offer what slight noise makes of the answer without: phases move with its square."""
    pairs = best.fit.pairs(carrying(best, x, 0.0))
    if not 0 < len(pairs) <= best.fit.scaled.rows:
        return
    signs = phases(x[pairs])[0] if best.fit.is_complex else np.sign(x[pairs])
    face = Face(best.fit, columns_of(best.fit, pairs), signs)
    for mu in noise_levels(best, face):
        moved = x.copy()
        moved[pairs] -= mu * face.slope
        best.offer(moved, face.direction)
