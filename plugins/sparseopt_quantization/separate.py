"""One vector alone: the rounding of the least angle, whatever its scale."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.quantization.exact import exponent_of, scaled
from sparseopt_quantization.candidates import (
    Rounded,
    from_numbers,
    nearest_to_zero,
    powers_within,
    primitive,
    with_powers,
)
from sparseopt_quantization.fractions_nearby import neighbours
from sparseopt_quantization.sides import Engine, Part, Table, cheapest, unbounded


def is_pair(vector: np.ndarray, weights: np.ndarray, form: so.NumberFormat) -> bool:
    """Whether fractions of small numbers give the best rounding of a vector alone."""
    return len(vector) == 2 and bool(vector.all() and weights.all()) and not form.is_finite


def best_alone(
    vector: np.ndarray, weights: np.ndarray, form: so.NumberFormat, engine: Engine
) -> Rounded:
    """Return the numbers of a format whose direction is nearest to that of a vector."""
    wide = unbounded(form)
    if is_pair(vector, weights, wide):
        best = _pair(vector, weights, wide.digits)
    else:
        best = primitive((vector, weights), _least_angle(vector, weights, wide, engine))
    if not form.is_finite or wide.is_finite:
        return best
    powers = powers_within(best.u, form)
    if len(powers):
        return best.times_power(nearest_to_zero(powers))
    best = _least_angle(vector, weights, so.NumberFormat(form.name), engine)
    return primitive((vector, weights), best)


def _least_angle(
    vector: np.ndarray, weights: np.ndarray, form: so.NumberFormat, engine: Engine
) -> Rounded:
    """Go through all pieces; the best few are compared in rationals, the first of equals taken."""
    part = Part.of(vector, weights, form)
    found = engine.table(part)
    angles = _angles(found)
    best: Rounded | None = None
    for piece in cheapest(angles, 2.0 ** (-44 - part.numbers.digits) * part.square):
        numbers = part.numbers.between(found.places(piece), 0.0)
        if not numbers.any():
            continue
        each = from_numbers((vector, weights), part, numbers, form)
        if best is None or _is_nearer(each, best):
            best = each
    if best is None:
        raise so.Inconclusive("entries and weights lie so far apart that sums over them are zero")
    return best


def _angles(found: Table) -> np.ndarray:
    """Return ``|x|^2 - <x, u>^2 / |u|^2`` of each piece."""
    x2 = found.part.square
    _, s2, sound = found.products()
    angle = np.maximum(x2 * found.square - found.cross**2, 0.0) / s2
    return np.where(sound, angle, x2)


def _is_nearer(one: Rounded, other: Rounded) -> bool:
    """Whether a direction is nearer than another."""
    return one.cross**2 * other.square > other.cross**2 * one.square


def _pair(vector: np.ndarray, weights: np.ndarray, digits: int) -> Rounded:
    """Return the best of F_t for two entries, from the fractions next to their ratio."""
    first, second = (Fraction(abs(v)) for v in vector.tolist())
    ratio = second / first
    e = exponent_of(ratio)
    bracket = tuple(neighbours(scaled(ratio, -e - more), 1 << digits) for more in (0, 1))
    best: Rounded | None = None
    own = np.frexp(vector)[1]
    for more, (n1, m1, n2, m2) in enumerate(bracket):
        for n, m in ((n1, m1), (n2, m2)):
            u = _near(np.array([m, n], dtype=np.float64), np.array([0, e + more]), own)
            each = Rounded.of((vector, weights), np.copysign(u, vector))
            if best is None or _is_nearer(each, best):
                best = each
    assert best is not None
    # Where the ratio is met there is nothing to prove.
    is_met = any(row[:2] == row[2:] for row in bracket)
    return best if is_met else Rounded(best.u, best.cross, best.square, bracket)


def _near(numbers: np.ndarray, powers: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return two numbers times powers of two, and a common one that brings them near the vector."""
    top = int((np.frexp(numbers)[1] + powers - own)[np.argmax(own)])
    for shift in (-top, -int(powers.max()) - 60):
        found = with_powers(numbers, powers + shift)
        if found is not None:
            return found
    raise so.Inconclusive("the two entries are so far apart that their roundings leave the floats")
