"""How products and factors behave along the curve of a proof that supports are not closed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.closedness.limits import LimitCertificate
from sparseopt.interface.finding import SeriesFigure

HALVINGS = 20
"""The curve is followed at t = 1, 1/2, ..., 2 ** -HALVINGS."""


def limit_curve(certificate: LimitCertificate) -> SeriesFigure:
    """Return how near the products come to the limit, and how large the factors grow, as t falls.

    A distance of 0 is NaN: a logarithmic axis has no place for it.
    """
    left, right, observed = certificate.window()
    limit = np.array(certificate.evidence.limit, dtype=object)
    distances, norms = [], []
    for k in range(HALVINGS + 1):
        t = Fraction(1, 2**k)
        x = _at(certificate.evidence.left, left.shape, t)
        y = _at(certificate.evidence.right, right.shape, t)
        distances.append(_norm(np.where(observed, x @ y - limit, 0)) or math.nan)
        norms.append(max(_norm(x), _norm(y)))
    return SeriesFigure(
        "Distance of X(t) Y(t) to its limit, and the larger norm of X(t) and Y(t)",
        "t",
        "Frobenius norm",
        [f"2^-{k}" for k in range(HALVINGS + 1)],
        {"distance": distances, "norm of the factors": norms},
        "line",
        log=True,
    )


def _at(entries: Sequence[Sequence[Any]], shape: tuple[int, int], t: Fraction) -> np.ndarray:
    """Return a factor at t, an object array of rationals."""
    found = np.full(shape, Fraction(0), dtype=object)
    for row, column, terms in entries:
        found[row, column] = sum((Fraction(c) * t**e for e, c in terms.items()), Fraction(0))
    return found


def _norm(matrix: np.ndarray) -> float:
    return math.sqrt(sum(value * value for value in matrix.ravel()))
