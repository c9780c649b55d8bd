"""Closed forms on a face: where support and signs of a solution are known, the rest is algebra.

With columns B and signs s, the solutions of the lasso, of basis pursuit, of least squares in an l1
ball and of the square-root lasso all are c = B^+ y - mu G^-1 s with G = B^T B and a residual
r = y - B B^+ y + mu B G^-1 s, for which B^T r = mu s. Only mu differs.
"""

from __future__ import annotations

import contextlib

import numpy as np
import scipy.linalg
import scipy.sparse

from sparseopt.inverse.fit import Fit

MOST_ENTRIES = 2**25
"""Entries of the columns of a face, which are made dense."""


def columns_of(fit: Fit, chosen: np.ndarray) -> np.ndarray:
    """Return some columns of the scaled design as a dense matrix of float64."""
    return np.asfortranarray(fit.scaled.dense(chosen))


class Face:
    """Independent columns with signs.

    Parameters
    ----------
    fit : Fit
    columns : ndarray, shape (m, k)
        k at most m, independent up to rounding; `ValueError` if not.
    signs : ndarray, shape (k,)
    target : ndarray, shape (m,), or None
        None means that of the fit.

    Attributes
    ----------
    fitted : ndarray, shape (k,)
        B^+ y.
    slope : ndarray, shape (k,)
        G^-1 s.
    rest : ndarray, shape (m,)
        y - B B^+ y.
    direction : ndarray, shape (m,)
        B G^-1 s, of square s.G^-1 s.
    """

    def __init__(
        self,
        fit: Fit,
        columns: np.ndarray,
        signs: np.ndarray,
        target: np.ndarray | None = None,
    ) -> None:
        target = fit.target if target is None else target
        if columns.shape[1] > columns.shape[0] or columns.shape[1] == 0:
            raise ValueError("more columns than rows, or none")
        norms = np.linalg.norm(columns, axis=0)
        if not norms.min() > 0.0:
            raise ValueError("a column of zeros")
        self._units = 1.0 / norms
        self._left, self._upper = scipy.linalg.qr(
            columns * self._units, mode="economic", check_finite=False
        )
        pivots = np.abs(np.diagonal(self._upper))
        if not pivots.min() > 1e-13 * pivots.max():
            raise ValueError("dependent columns")
        self.columns, self.signs = columns, signs
        self.fitted = self._solved(self._left.T @ target)
        self.rest = target - columns @ self.fitted
        correction = self._solved(self._left.T @ self.rest)
        self.fitted = self.fitted + correction
        self.rest = target - columns @ self.fitted
        self.rest = self.rest - self._left @ (self._left.T @ self.rest)
        half = self._transposed(signs)
        self.direction = self._left @ half
        self.slope = self._solved(half)

    def _solved(self, values: np.ndarray) -> np.ndarray:
        found = scipy.linalg.solve_triangular(self._upper, values, check_finite=False)
        return np.asarray(self._units * found)

    def _transposed(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(
            scipy.linalg.solve_triangular(
                self._upper, values * self._units, trans=1, check_finite=False
            )
        )

    @property
    def square(self) -> float:
        """s.G^-1 s."""
        return float(self.direction @ self.direction)

    def coefficients(self, mu: float) -> np.ndarray:
        """Return the coefficients for this mu."""
        return self.fitted - mu * self.slope

    def residual(self, mu: float) -> np.ndarray:
        """Return the residual for this mu, which has the correlations mu s."""
        return self.rest + mu * self.direction

    def correction(self, residual: np.ndarray) -> np.ndarray:
        """Return B^+ times a residual."""
        return self._solved(self._left.T @ residual)

    def improved(self, w: np.ndarray) -> np.ndarray:
        """Return `w` moved as little as possible so that its correlations are the signs."""
        for _ in range(2):
            missing = self.signs - self.columns.T @ w
            w = w + self._left @ self._transposed(missing)
        return w

    def sharpened(self, fit: Fit, chosen: np.ndarray, w: np.ndarray, level: float) -> np.ndarray:
        """Return two rows for which the columns `chosen` correlate as the signs times a level.

        To twice the digits: `w` is the first of them.
        """
        return self.sharpened_by(fit.correlations(w, chosen)[0], w, level)

    def sharpened_by(self, values: np.ndarray, w: np.ndarray, level: float) -> np.ndarray:
        """Do the same where the columns correlate with `w` by these values."""
        missing = level * self.signs - values
        return np.stack([w, self._left @ self._transposed(missing)])

    def exact_fit(self, fit: Fit, chosen: np.ndarray, size: int) -> np.ndarray:
        """Return the coefficients, spread to `size`, refined in doubled precision."""
        x = np.zeros(size)
        x[chosen] = self.fitted
        for _ in range(2):
            x[chosen] += self.correction(fit.residual(x)[0])
        return x


def independent(columns: np.ndarray) -> np.ndarray:
    """Return columns that are independent and span the others, up to rounding, ascending."""
    norms = np.linalg.norm(columns, axis=0)
    upper, order = scipy.linalg.qr(
        columns / np.where(norms > 0, norms, 1.0), mode="r", pivoting=True, check_finite=False
    )
    pivots = np.abs(np.diagonal(upper))
    return np.asarray(np.sort(order[: np.count_nonzero(pivots > 1e-11 * pivots[0])]))


def face_of(fit: Fit, chosen: np.ndarray, signs: np.ndarray) -> tuple[Face, np.ndarray] | None:
    """Return the face of some columns, less those that depend on others of them, and its columns.

    None where there are none, or too many to be made dense.
    """
    if len(chosen) == 0 or len(chosen) * len(fit.target) > MOST_ENTRIES:
        return None
    columns = columns_of(fit, chosen)
    with contextlib.suppress(ValueError):
        return Face(fit, columns, signs), chosen
    kept = independent(columns)
    try:
        return Face(fit, columns[:, kept], signs[kept]), chosen[kept]
    except ValueError:
        return None
