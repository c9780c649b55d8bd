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
from sparseopt.inverse.subset_bounds import Subsets, _doubled
from sparseopt.inverse.subset_certificate import least_on
from sparseopt.judging.rounding import UNIT, gamma


def projected(columns: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return what is left of a vector beside columns, both of Fractions (Gram and Schmidt)."""
    basis: list[np.ndarray] = []
    for column in [*columns.T, vector]:
        rest = column
        for b in basis:
            rest = rest - b * (rest.dot(b) / b.dot(b))
        if rest.any():
            basis.append(rest)
    return rest


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


def complex_bounds_hold() -> bool:
    """Whether they do for complex numbers, and are no farther off than rounding explains."""
    rng = np.random.default_rng(6)
    design = rng.standard_normal((5, 4)) + 1j * rng.standard_normal((5, 4))
    target = rng.standard_normal(5) + 1j * rng.standard_normal(5)
    return _near(so.CardinalityRegression(design, target, 3))


def product_bounds_hold() -> bool:
    """Whether they do for a product of factors, whose columns are known up to rounding."""
    rng = np.random.default_rng(7)
    patterns = so.Architecture([so.KroneckerPattern(1, 2, 2, 3), so.KroneckerPattern(2, 3, 2, 1)])
    factors = [1e6 * rng.standard_normal(tuple(p)) for p in patterns]
    product = so.KroneckerProduct(factors, patterns)
    problem = so.CardinalityRegression(product, rng.standard_normal(6), 2)
    fit = Fit(problem.system)
    rounded = so.CardinalityRegression(fit.scaled.dense(), problem.target, 2)
    own, other = (Subsets(Fit(p.system), np.arange(4)) for p in (problem, rounded))
    lost = float(np.max(fit.scaled.design.column_errors * np.ldexp(1.0, -np.frexp(fit.norms)[1])))
    apart = own._error >= other._error + 2.9 * lost
    return _near(problem) and apart and own.least_eigenvalue < other.least_eigenvalue


def _near(problem: so.CardinalityRegression) -> bool:
    """Whether bounds of all small sets lie on the right side of plain results, and near them.

    They leave the room that the columns' Gram matrix, and products with the roots of parts of it,
    may take by rounding.
    """
    fit, count = Fit(problem.system), problem.shape[1]
    subsets = Subsets(fit, np.arange(count))
    half = len(fit.target) // 2
    columns, y = subsets._columns, np.ldexp(fit.target, -subsets.target_unit)
    if fit.is_complex:
        columns, y = columns[:half, :count] + 1j * columns[half:, :count], y[:half] + 1j * y[half:]
    right = []
    for chosen in (list(s) for d in (0, 1, 2) for s in itertools.combinations(range(count), d)):
        d, times = len(chosen), 3 if fit.is_complex else 1
        found = subsets.bounds(np.array([chosen], dtype=np.intp).reshape(1, d))
        basis, roots = np.linalg.qr(columns[:, chosen])
        size = np.linalg.norm(np.linalg.inv(roots)) if d else 0.0
        left = y - basis @ (basis.conj().T @ y)
        others = columns - basis @ (basis.conj().T @ columns)
        rest, least = np.linalg.norm(left) ** 2, np.linalg.norm(others, axis=0) ** 2
        high = np.abs(columns.conj().T @ left)
        pairs = ((rest - found.rest[0]), (found.high[0] - high), (least - found.least[0]))
        rounding = gamma(times * (2 * d + 8))
        each = 3.0 * d * size**2 + 4.0 * size * math.sqrt(d)
        room = each * (subsets._error + rounding) + 2.0 * rounding + subsets._error if d else 0.0
        # Of plain results a few last bits are not known.
        right += [bool(np.all((0.985 * room - 1e-15 < p) & (p < 1e-12))) for p in pairs]
    return all(right)


def direct_bounds_take_what_they_say() -> bool:
    """Whether direct bounds are what the formula says, rounding included, in exact arithmetic.

    With roundings that count as many as 2^40 of them, so that every part of the formula is seen.
    """
    rng, right = np.random.default_rng(8), []
    design, target = rng.standard_normal((6, 5)), rng.standard_normal(6)
    close = design.copy()
    close[:, 1] = close[:, 0] + 2.0**-30 * close[:, 1]
    fitted = design[:, :2] @ np.ones(2) + 1e-4 * target
    for columns, y, size in (
        (design, target, 1),
        (design, target, 3),
        (design, fitted, 2),
        (close, target, 2),
        (np.hstack([design[:, :1], design[:, :1]]), target, 2),
        (design[:2], target[:2], 3),
    ):
        problem = so.CardinalityRegression(columns, y, 1)
        for room in (1.0, *2.0 ** np.arange(36.0, 48.0)):
            subsets = Subsets(Fit(problem.system, room), np.arange(columns.shape[1]))
            found = float(subsets.direct(np.arange(size)[None])[0])
            right.append(_is_direct(subsets, size, found))
    return all(right)


def _is_direct(subsets: Subsets, size: int, found: float) -> bool:
    columns, y, room = subsets._columns[:, :size], subsets._target, subsets.room
    square, whole = squares(projected(rationals(columns), rationals(y))), squares(rationals(y))
    length, long = math.sqrt(square), math.sqrt(whole - square)
    if not square or np.linalg.matrix_rank(columns, tol=1e-13) < size:
        return found == 0.0
    if room == 1.0:
        return Fraction(found) <= square <= Fraction(found * (1.0 + 1e-8))
    inverse = np.abs(np.linalg.inv(np.linalg.qr(columns, mode="r")))
    lost = float(np.linalg.norm(np.abs(columns) @ inverse))
    lost *= gamma(3 * size + 3) * gamma((size - 1).bit_length() + 4)
    count = math.sqrt(size)
    sums = room * gamma(len(y) + size + 16)
    off = room * (gamma(size + 16) * count + lost)
    pull = 4.0 * (sums * count + off) * (length + long)
    left = length * (1.0 - sums) - 2.0 * pull**2 / length - off * long
    proves = left > 0.0 and 4.0 * (sums * count + off) * count < 0.4
    # Where the columns nearly depend on each other, what is lost is known to a part of it only.
    return abs(math.sqrt(found) - (left if proves else 0.0)) <= 2e-9 + 0.2 * room * lost


def doubled_products_hold() -> bool:
    """Whether products of blocks are off by half a last bit, and what they say is lost."""
    rng = np.random.default_rng(9)
    left, right = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 4, 2))
    left[:, :, 1], right[:, 1] = left[:, :, 0], -right[:, 0] * (1.0 + 2.0**-50)
    right[:, :2] *= 2.0**60
    found, lost = _doubled(left, right)
    held = []
    for a, b, c, bound in zip(left, right, found, lost, strict=True):
        off = rationals(c) - rationals(a).dot(rationals(b))
        allowed = UNIT * np.linalg.norm(c) * (1.0 + 4.0 * UNIT) + bound
        held.append(squares(off.ravel()) <= Fraction(float(allowed)) ** 2)
    return all(held)


def many_gains_add_up() -> bool:
    """Whether bounds with many later places allow for the rounding of the sum of their gains."""
    many = 150
    target = np.append(np.random.default_rng(10).uniform(0.0015, 0.003, many), 0.75)
    problem = so.CardinalityRegression(np.eye(many + 1)[:, :many], target, many)
    subsets = Subsets(Fit(problem.system), np.arange(many))
    root = np.zeros((1, 0), dtype=np.intp)
    found, left = subsets.bounds(root), float(subsets.nodes(root, many - 5, 0.0)[0])
    most = sorted(Fraction(float(v)) ** 2 for v in found.high[0])[5:]
    gain = sum(most) / Fraction(subsets.least_eigenvalue) * (1 + Fraction(gamma(many - 5)))
    return left > 0.0 and Fraction(left) <= Fraction(float(found.rest[0])) - gain + Fraction(
        4 * UNIT
    )


def nearly_dependent_columns_are_bounded() -> bool:
    """Whether the bound on a support is near the least objective, 1/8, where rounding is large."""
    design = np.array([[1.0, 1.0], [0.0, 2.0**-50], [0.0, 0.0]])
    problem = so.CardinalityRegression(design, [0.25, 0.25, 0.5], 2)
    found = least_on(problem, np.arange(2), 1.0)
    return (
        Fraction(12, 100) < Fraction(found.array) * Fraction(2) ** found.exponent <= Fraction(1, 8)
    )
