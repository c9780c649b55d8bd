"""Levenberg-Marquardt on many small fits of a product with fixed supports at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_MOST_ENTRIES = 4_000_000
"""Entries of the derivatives that are held at a time."""
_LEAST_DAMPING = 1e-13
"""Relative to the mean square of the derivatives, so that the systems are not singular."""


class Fits:
    """Products of factors with given supports, many at a time, fitted to a target each.

    Parameters
    ----------
    supports : sequence of bool array
        Of the factors.
    targets : float array, shape (fits, rows, columns)
    factors : list of float array, shape (fits, ...)
        Where the fits start; changed in place.
    """

    def __init__(
        self, supports: Sequence[np.ndarray], targets: np.ndarray, factors: list[np.ndarray]
    ) -> None:
        self.places = [np.nonzero(support) for support in supports]
        self.targets = targets
        self.factors = factors
        self.variables = sum(len(rows) for rows, _ in self.places)
        self.cells = targets.shape[1] * targets.shape[2]
        self.errors = np.sum(self.residuals(slice(None)) ** 2, axis=1)

    def residuals(self, chosen: slice | np.ndarray) -> np.ndarray:
        """Return product minus target of some fits, one row a fit."""
        product = self.factors[0][chosen]
        for factor in self.factors[1:]:
            product = product @ factor[chosen]
        return (product - self.targets[chosen]).reshape(len(product), -1)

    def derivatives(self, chosen: np.ndarray) -> np.ndarray:
        """Return the derivatives of the products of some fits, shape (fits, cells, variables)."""
        factors = [factor[chosen] for factor in self.factors]
        count, rows, columns = len(chosen), self.targets.shape[1], self.targets.shape[2]
        before = [np.broadcast_to(np.eye(rows), (count, rows, rows))]
        for factor in factors[:-1]:
            before.append(before[-1] @ factor)
        after = [np.broadcast_to(np.eye(columns), (count, columns, columns))]
        for factor in reversed(factors[1:]):
            after.insert(0, factor @ after[0])
        parts = []
        for left, right, (i, k) in zip(before, after, self.places, strict=True):
            outer = left[:, :, None, i] * right[:, k].transpose(0, 2, 1)[:, None]
            parts.append(outer.reshape(count, self.cells, len(i)))
        return np.concatenate(parts, axis=2)

    def run(self, iterations: int, tick: Callable[[], bool]) -> None:
        """Make some steps of each fit; `tick` returns whether to go on."""
        damping = np.full(len(self.targets), 1e-2)
        norms = np.sum(self.targets**2, axis=(1, 2))
        size = max(1, _MOST_ENTRIES // max(1, self.cells * self.variables))
        for _ in range(iterations):
            left = np.flatnonzero((self.errors > 1e-26 * norms) & (damping < 1e12))
            if not left.size:
                return
            for start in range(0, len(left), size):
                if not tick():
                    return
                self._step(left[start : start + size], damping)

    def _step(self, chosen: np.ndarray, damping: np.ndarray) -> None:
        residuals, derivatives = self.residuals(chosen), self.derivatives(chosen)
        scale = np.einsum("bcv,bcv->b", derivatives, derivatives) / self.variables
        ridge = (damping[chosen] * (scale + 1e-30))[:, None, None]
        turned = derivatives.transpose(0, 2, 1)
        if self.cells < self.variables:
            system = derivatives @ turned + ridge * np.eye(self.cells)
            move = -turned @ np.linalg.solve(system, residuals[:, :, None])
        else:
            system = turned @ derivatives + ridge * np.eye(self.variables)
            move = -np.linalg.solve(system, turned @ residuals[:, :, None])
        kept = [factor[chosen].copy() for factor in self.factors]
        at = 0
        for factor, (rows, columns) in zip(self.factors, self.places, strict=True):
            factor[chosen[:, None], rows, columns] += move[:, at : at + len(rows), 0]
            at += len(rows)
        errors = np.sum(self.residuals(chosen) ** 2, axis=1)
        better = errors < self.errors[chosen]
        worse = chosen[~better]
        for factor, old in zip(self.factors, kept, strict=True):
            factor[worse] = old[~better]
        self.errors[chosen] = np.where(better, errors, self.errors[chosen])
        damping[chosen] = np.maximum(damping[chosen] * np.where(better, 0.2, 5.0), _LEAST_DAMPING)
