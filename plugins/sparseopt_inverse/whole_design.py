"""Designs whose columns are all kept while an engine works."""

from __future__ import annotations

import math

import numpy as np

import sparseopt as so
from sparseopt.inverse.recovery import RecoveryGuarantee
from sparseopt.inverse.recovery_columns import MOST_ENTRIES
from sparseopt.judging.rounding import row_dots


def refused_if_large(problem: RecoveryGuarantee) -> so.Refused | None:
    """Refuse sparse designs and operators whose columns are not all kept."""
    if problem.columns.fits:
        return None
    return so.Refused(
        f"it needs all columns at once, which are kept up to {MOST_ENTRIES} entries; there are "
        f"{math.prod(problem.design.shape)}. On a given support recovery_conditions reads a few "
        "at a time"
    )


def reading_seconds(problem: RecoveryGuarantee) -> float:
    """Return how long reading all columns takes, predicted, where they are not at hand."""
    m, n = problem.design.shape
    if problem.columns.is_array:
        return 0.0
    if isinstance(problem.design, so.KroneckerProduct):
        return 2e-6 * m * n
    return 1e-8 * m * n if hasattr(problem.design, "nnz") else 1e-5 * n + 2e-9 * m * n * n


def split(problem: RecoveryGuarantee, support: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the scaled columns on a support, and the others."""
    others = np.delete(np.arange(problem.design.shape[1]), list(support))
    return problem.scaled[:, list(support)], problem.scaled[:, others]


def image_of(design: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return ``design @ h`` to about the last bit; real or complex."""
    if design.dtype.kind != "c":
        return row_dots(design, h)[0]
    parts = np.concatenate([h.real, h.imag])
    real = row_dots(np.hstack([design.real, -design.imag]), parts)[0]
    return np.asarray(real + 1j * row_dots(np.hstack([design.imag, design.real]), parts)[0])
