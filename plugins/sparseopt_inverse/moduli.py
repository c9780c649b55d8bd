"""Newton's method where complex entries are not zero: what closed forms on faces are for real ones.

A modulus is smooth away from 0, so that with a known support the optimality conditions are smooth
equations. Complex numbers are pairs of real ones, real parts first, as in `ScaledProblem`.
Residuals are those of doubled precision, so the last steps end at rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import scipy.linalg

from sparseopt.interface.context import Context
from sparseopt.inverse.fit import Fit
from sparseopt_inverse.work import begin

MOST_UNKNOWNS = 3000
_STEPS = 12
Equations = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def solved(slopes: np.ndarray, values: np.ndarray, context: Context) -> np.ndarray:
    """Return the solution of linear equations, the shortest one where they are singular."""
    count = float(len(values))
    begin(context, 3e-10 * count**3, "a step of Newton's method")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)
        factor = scipy.linalg.lu_factor(slopes, check_finite=False)
        found = np.asarray(scipy.linalg.lu_solve(factor, values, check_finite=False))
        missed = float(np.abs(slopes @ found - values).max())
    size = float(np.abs(found).max())
    if missed <= 1e-9 * float(np.abs(values).max()) and size < np.inf:
        return found
    begin(context, 5e-9 * count**3, "a step of Newton's method")
    return np.asarray(scipy.linalg.lstsq(slopes, values, cond=1e-14, check_finite=False)[0])


def newton(equations: Equations, start: np.ndarray, context: Context) -> np.ndarray:
    """Return the best of a few steps from a start; the system may be singular but consistent."""
    z, best, least = start, start, np.inf
    for _ in range(_STEPS):
        values, slopes = equations(z)
        size = float(np.abs(values).max())
        if not size < 0.9 * least:
            break
        best, least = z, size
        z = z - solved(slopes, values, context)
        if not np.isfinite(z).all():
            break
    return best


def phases(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x over its moduli, and the moduli twice over, entries all nonzero."""
    half = len(x) // 2
    size = np.hypot(x[:half], x[half:])
    size = np.append(size, size)
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite is not offered
        return x / size, size


def curvature(unit: np.ndarray, size: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the second derivative of the weighted sum of moduli, a dense matrix."""
    half = len(unit) // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.diag((1.0 - unit * unit) / size * np.append(weights, weights))
        mixed = -unit[:half] * unit[half:] / size[:half] * weights
    first = np.arange(half)
    found[first, first + half] = mixed
    found[first + half, first] = mixed
    return found


def _of_unit(w: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return noise w / |w| and its derivative."""
    if noise == 0.0:
        return np.zeros_like(w), np.zeros((len(w), len(w)))
    length = float(np.linalg.norm(w))
    unit = w / length
    return noise * unit, noise / length * (np.eye(len(w)) - np.outer(unit, unit))


def shortest(
    fit: Fit, x: np.ndarray, w: np.ndarray, chosen: np.ndarray, noise: float, context: Context
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return x of least 1-norm with residual of norm `noise`, supported on `chosen`, and its w.

    A_S^T w = x_S / |x_S| and y - A x = noise w / |w|. None where it is too large.
    """
    pairs, m = fit.pairs(chosen), len(w)
    if not len(pairs) or len(pairs) + m > MOST_UNKNOWNS:
        return None
    columns, k = fit.scaled.dense(pairs), len(pairs)

    def spread(part: np.ndarray) -> np.ndarray:
        whole = np.zeros(len(x))
        whole[pairs] = part
        return whole

    def equations(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        unit, size = phases(z[:k])
        along, turned = _of_unit(z[k:], noise)
        values = np.append(columns.T @ z[k:] - unit, fit.residual(spread(z[:k]))[0] - along)
        bent = curvature(unit, size, np.ones(k // 2))
        return values, np.block([[-bent, columns.T], [-columns, -turned]])

    found = newton(equations, np.append(x[pairs], w), context)
    return spread(found[:k]), found[k:]


def flattest(
    fit: Fit, x: np.ndarray, w: np.ndarray, is_flat: np.ndarray, noise: float, context: Context
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return x of least largest modulus, which the entries `is_flat` have, and its w.

    A_j^T w = nu_j x_j / |x_j| for these, 0 for the others, and the nu_j add to 1.
    """
    n, m, flat = len(x) // 2, len(w), np.flatnonzero(is_flat)
    f, pairs = len(flat), fit.pairs(flat)
    if not f or 2 * n + m + f > MOST_UNKNOWNS:
        return None
    matrix = fit.scaled.dense()

    def equations(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, w, nu, level = z[: 2 * n], z[2 * n : 2 * n + m], z[2 * n + m : -1], z[-1]
        unit, size = phases(own[pairs])
        along, turned = _of_unit(w, noise)
        pull = matrix.T @ w
        pull[pairs] -= np.append(nu, nu) * unit
        values = np.concatenate(
            [pull, fit.residual(own)[0] - along, size[:f] - level, [nu.sum() - 1.0]]
        )
        slopes = np.zeros((len(values), len(z)))
        slopes[np.ix_(pairs, pairs)] = -curvature(unit, size, nu)
        slopes[: 2 * n, 2 * n : 2 * n + m] = matrix.T
        places = np.arange(f)
        slopes[pairs[:f], 2 * n + m + places] = -unit[:f]
        slopes[pairs[f:], 2 * n + m + places] = -unit[f:]
        slopes[2 * n : 2 * n + m, : 2 * n] = -matrix
        slopes[2 * n : 2 * n + m, 2 * n : 2 * n + m] = -turned
        slopes[2 * n + m + places, pairs[:f]] = unit[:f]
        slopes[2 * n + m + places, pairs[f:]] = unit[f:]
        slopes[2 * n + m : -1, -1] = -1.0
        slopes[-1, 2 * n + m : -1] = 1.0
        return values, slopes

    sizes = np.hypot(x[:n], x[n:])[flat]
    nu = fit.moduli(matrix.T @ w)[flat]
    nu, scale = nu / nu.sum(), nu.sum()
    if not np.isfinite(nu).all() or not scale > 0:
        return None
    start = np.concatenate([x, w / scale, nu, [sizes.mean()]])
    found = newton(equations, start, context)
    return found[: 2 * n], found[2 * n : 2 * n + m]


def sharpened(fit: Fit, x: np.ndarray, residual: np.ndarray, mu: float) -> np.ndarray:
    """Return two rows that correlate with the support of x as its phases times mu, see `Face`."""
    pairs = fit.pairs(np.flatnonzero(fit.moduli(x)))
    missing = mu * phases(x[pairs])[0] - fit.correlations(residual, pairs)[0]
    columns = fit.scaled.dense(pairs)
    return np.stack([residual, scipy.linalg.lstsq(columns.T, missing, check_finite=False)[0]])


Condition = Callable[[np.ndarray, np.ndarray, np.ndarray, float], tuple[float, np.ndarray, float]]
"""From the entries on the support, the residual, its correlations with them and mu: a value, and
its slopes in x and in mu."""


def on_path(
    fit: Fit, x: np.ndarray, mu: float, condition: Condition, context: Context
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Return the lasso solution near x whose strength meets a scalar condition, with residual, mu.

    A_S^T r = mu x_S / |x_S|.
    """
    chosen = np.flatnonzero(fit.moduli(x))
    pairs = fit.pairs(chosen)
    k = len(pairs)
    if not k or k > MOST_UNKNOWNS:
        return None
    columns = fit.scaled.dense(pairs)
    gram = columns.T @ columns

    def spread(part: np.ndarray) -> np.ndarray:
        whole = np.zeros(len(x))
        whole[pairs] = part
        return whole

    def equations(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        unit, size = phases(z[:k])
        residual = fit.residual(spread(z[:k]))[0]
        pull = columns.T @ residual
        value, slope, rate = condition(z[:k], residual, pull, float(z[k]))
        values = np.append(pull - z[k] * unit, value)
        bent = -gram - z[k] * curvature(unit, size, np.ones(k // 2))
        return values, np.block([[bent, -unit[:, None]], [slope[None], np.array([[rate]])]])

    found = newton(equations, np.append(x[pairs], mu), context)
    whole = spread(found[:k])
    return whole, fit.residual(whole)[0], float(found[k])
