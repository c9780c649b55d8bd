"""Laws of bounds over many supports, and of independence: what they say, in exact arithmetic."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from truth import rationals, squares

import sparseopt as so
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.independence import smallest_singular_value
from sparseopt.inverse.subset_bounds import Subsets


def projected(columns: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return what is left of a vector beside columns, both of Fractions (Gram and Schmidt)."""
    basis: list[np.ndarray] = []
    for column in [*columns.T, vector]:
        rest = column
        for b in basis:
            rest = rest - b * (rest.dot(b) / b.dot(b))
        basis.append(rest)
    return basis[-1]


def bounds_hold() -> bool:
    """Whether `Subsets.bounds` encloses correlations, norms and residuals, with its own units."""
    rng = np.random.default_rng(5)
    design, target = rng.standard_normal((6, 7)), rng.standard_normal(6)
    problem = so.CardinalityRegression(design, target, 3)
    subsets = Subsets(Fit(problem.system), np.arange(7))
    columns = rationals(subsets._columns)
    y = rationals(np.ldexp(target, -subsets.target_unit - subset_unit(problem)))
    sets = [list(s) for d in (0, 1, 2) for s in itertools.combinations(range(7), d)]
    return all(encloses(subsets, columns, y, chosen) for chosen in sets)


def subset_unit(problem: so.CardinalityRegression) -> int:
    return Fit(problem.system).unit


def encloses(subsets: Subsets, columns: np.ndarray, y: np.ndarray, chosen: Sequence[int]) -> bool:
    found = subsets.bounds(np.array([chosen], dtype=np.intp).reshape(1, len(chosen)))
    left = projected(columns[:, list(chosen)], y)
    right = Fraction(float(found.rest[0])) <= squares(left)
    for j in set(range(columns.shape[1])) - set(chosen):
        h = abs(columns[:, j].dot(left))
        s = squares(projected(columns[:, list(chosen)], columns[:, j]))
        right = right and h <= Fraction(float(found.high[0, j]))
        right = right and Fraction(float(found.least[0, j])) <= s
    return right


def nearly_dependent_columns_are_told() -> bool:
    """Whether a bound of the least singular value is none above it, down to the last bits.

    For [[1, 1], [0, e]] its square is (t - sqrt(t^2 - 4 e^2)) / 2 with t = 2 + e^2, below
    e^2 / 2 (1 + e^2).
    """
    bounds = []
    for k in np.arange(20.0, 54.0, 0.25):
        e = 2.0**-k
        value = smallest_singular_value(np.array([[1.0, 1.0], [0.0, e]]))
        bounds.append(value <= e / math.sqrt(2.0) * (1.0 + e) * (1.0 + 2.0**-50))
    return all(bounds)
