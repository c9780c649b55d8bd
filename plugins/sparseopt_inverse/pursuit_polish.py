"""What closed forms make of a rough answer to basis pursuit with norm 1 or inf.

Once the columns that are used are known, or the entries that are as large as possible, everything
else is algebra, see `faces`; of complex numbers Newton's method finds the moduli, see `moduli`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import scipy.linalg

from sparseopt_inverse.exact_faces import exact_face
from sparseopt_inverse.faces import MOST_ENTRIES, Face, columns_of, face_of, independent
from sparseopt_inverse.moduli import flattest, phases, shortest
from sparseopt_inverse.pursuit_best import BestPursuit
from sparseopt_inverse.pursuit_uniqueness import offer_inner


def offer_polished(best: BestPursuit, x: np.ndarray, w: np.ndarray, small: float = 1e-7) -> None:
    """Offer what the closed forms make of a rough vector and dual point, for norms 1 and inf.

    Entries whose columns carry less than `small` times the most count as zero for norm 1; those
    within that of the largest as equal to it for the other.
    """
    largest = float(best.fit.moduli(x).max())
    if largest == 0.0:
        best.offer(x, w)
        return
    reach = best.fit.moduli(best.fit.scaled.correlation(w))
    size = float(reach.max() if best.problem.norm == 1 else reach.sum())
    w = w / size if size > 0.0 else w
    try:
        if best.fit.is_complex:
            _offer_moduli(best, x, w, small)
        elif best.problem.norm == 1:
            _offer_sparse(best, x, w, small)
        else:
            _offer_flat(best, x, w, np.abs(x) >= largest * (1.0 - small))
            if not best.good:  # what correlates with the dual point is as large as possible
                size = np.abs(best.fit.scaled.correlation(w))
                _offer_flat(best, x, w, size > small * float(size.max()))
    except (ValueError, np.linalg.LinAlgError):
        return


def noise_levels(best: BestPursuit, face: Face) -> Iterator[float]:
    """Yield values of mu for which the residual of a face is the noise, or just below.

    Further and further below, until rounding does not put an answer outside the noise any more.
    """
    if best.noise == 0.0:
        yield 0.0
        return
    for shrink in (0.0, 1e-15, 4e-15, 1.6e-14):
        room = (best.noise * (1.0 - shrink)) ** 2 - float(face.rest @ face.rest)
        if room > 0.0:
            yield math.sqrt(room / face.square)
        if best.good and best.excess == 0.0:
            return


def carrying(best: BestPursuit, x: np.ndarray, small: float) -> np.ndarray:
    """Return the entries whose columns carry more than `small` times the most."""
    size = best.fit.moduli(x)
    size = size * best.fit.norms[: len(size)]
    return np.flatnonzero(size > small * float(size.max()))


def _offer_moduli(best: BestPursuit, x: np.ndarray, w: np.ndarray, small: float) -> None:
    """Offer complex numbers found by Newton's method, for noise further and further inside it."""
    size = best.fit.moduli(x)
    if best.noise == 0.0 and best.problem.norm == 1:
        _offer_few_moduli(best, w, carrying(best, x, small))
        if best.good:
            return
    for shrink in (0.0, 1e-15, 4e-15, 1.6e-14):
        noise = best.noise * (1.0 - shrink)
        if best.problem.norm == 1:
            chosen = carrying(best, x, small)
            found = shortest(best.fit, x, w, chosen, noise, best.context)
        else:
            flat = size >= float(size.max()) * (1.0 - small)
            found = flattest(best.fit, x, w, flat, noise, best.context)
        if found is None:
            return
        best.offer(*found)
        if noise == 0.0 or (best.good and best.excess == 0.0):
            return


def _offer_few_moduli(best: BestPursuit, w: np.ndarray, chosen: np.ndarray) -> None:
    """Offer complex entries of independent columns, which follow in closed form."""
    pairs = best.fit.pairs(chosen)
    if not 0 < len(pairs) <= len(w) or len(pairs) * len(w) > MOST_ENTRIES:
        return
    columns = best.fit.scaled.dense(pairs)
    x = Face(best.fit, columns, np.ones(len(pairs))).exact_fit(
        best.fit, pairs, best.fit.scaled.size
    )
    face = Face(best.fit, columns, phases(x[pairs])[0])
    for share in (0.0, 1.0, 0.5, 0.1, 0.01):
        best.offer(x, face.improved((1.0 - share) * w + share * face.direction))
        if best.good and best.result[0].unique:
            return
        if share == 0.0 and not best.good:
            return


def _offer_sparse(best: BestPursuit, x: np.ndarray, w: np.ndarray, small: float) -> None:
    """Offer what the signs of a real vector that is sparse lead to."""
    chosen = every = carrying(best, x, small)
    made = face_of(best.fit, chosen, np.sign(x[chosen]))
    if made is None:
        return
    face, chosen = made
    if best.noise == 0.0:
        found = face.exact_fit(best.fit, chosen, len(x))
        best.offer(found, face.improved(w))
        if not best.good:
            best.offer(found, face.sharpened(best.fit, chosen, face.improved(w), 1.0))
        if not best.good:
            best.offer(found, _on_active(best, w, x, chosen))
        if not best.good:
            best.offer_exact(every, w)
        if not best.good:
            best.offer_only(w)
        if best.good and not best.result[0].unique:
            offer_inner(best, found, face.improved(w), face)
        return
    for mu in noise_levels(best, face):
        found = np.zeros(len(x))
        found[chosen] = face.coefficients(mu)
        best.offer(found, face.residual(mu))
        if not best.good:
            best.offer(found, face.sharpened(best.fit, chosen, face.residual(mu), mu))


def _on_active(best: BestPursuit, w: np.ndarray, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return `w` moved so that all correlations near 1 are 1, those off the support too."""
    reach = best.fit.correlations(w)[0]
    near = np.union1d(np.flatnonzero(np.abs(reach) > 1.0 - 1e-6), chosen)
    if len(near) * len(w) > MOST_ENTRIES:
        return w
    signs = np.sign(reach[near])
    signs[np.isin(near, chosen)] = np.sign(x[chosen])
    columns = columns_of(best.fit, near)
    for _ in range(2):
        missing = signs - columns.T @ w
        w = w + scipy.linalg.lstsq(columns.T, missing, check_finite=False)[0]
    return w


def _offer_flat(best: BestPursuit, x: np.ndarray, w: np.ndarray, is_flat: np.ndarray) -> None:
    """Offer what the signs of the largest entries lead to, which move together, for norm inf.

    Columns of the others that depend on each other keep their entries, but for a basis.
    """
    flat, rest = np.flatnonzero(is_flat), np.flatnonzero(~is_flat)
    signs = np.sign(x[flat])
    together = columns_of(best.fit, flat) @ signs
    others = columns_of(best.fit, rest)
    kept = independent(others) if len(rest) else rest
    fixed = np.setdiff1d(np.arange(len(rest)), kept)
    target = best.fit.target - others[:, fixed] @ x[rest[fixed]]
    columns = np.column_stack([together, others[:, kept]])
    first = np.zeros(columns.shape[1])
    first[0] = 1.0
    face = Face(best.fit, columns, first, target)
    for mu in noise_levels(best, face):
        c, found = face.coefficients(mu), x.copy()
        found[flat], found[rest[kept]] = c[0] * signs, c[1:]
        if best.noise > 0.0:
            best.offer(found, face.residual(mu))
            if not best.good:
                c = c + face.correction(best.fit.residual(found)[0] - face.residual(mu))
                found[flat], found[rest[kept]] = c[0] * signs, c[1:]
                values = best.fit.correlations(face.residual(mu))[0]
                values = np.append(values[flat] @ signs, values[rest[kept]])
                best.offer(found, face.sharpened_by(values, face.residual(mu), mu))
            continue
        for _ in range(2):
            c = c + face.correction(best.fit.residual(found)[0])
            found[flat], found[rest[kept]] = c[0] * signs, c[1:]
        best.offer(found, face.improved(w))
        if best.good:
            return
        made = exact_face(columns, target, np.zeros_like(w), best.context, math.inf)
        if made is not None:
            found = found.copy()
            found[flat], found[rest[kept]] = made[0][0] * signs, made[0][1:]
            best.offer(found, made[1])
