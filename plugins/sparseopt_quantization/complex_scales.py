"""Complex vectors in formats with a scale: directions of turned vectors, and the best scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.quantization.exact import dot, exponent_of, scaled
from sparseopt.quantization.rank_one import RankOneQuantization, RankOneTerm, parts_of
from sparseopt_quantization.candidates import nearest_to_zero, powers_within, with_powers
from sparseopt_quantization.chain import times_powers
from sparseopt_quantization.separate import best_alone
from sparseopt_quantization.sides import Engine, unbounded

TURNS, ROUNDS = 24, 8
"""Arguments that are tried of a quarter of a turn, and how often each pair is improved."""
MAGNITUDES, KEPT = 96, 8
"""Of factors that are tried where the scale is a power of two, and how many are improved."""
MOST_PIECES = 1 << 16
"""Of a turned vector, to go through for each argument; beyond, it is rounded as it is."""


@dataclass(frozen=True, eq=False)
class Turned:
    """A complex vector, brought near 1, with its weights and its format."""

    vector: np.ndarray
    weights: np.ndarray
    form: so.NumberFormat

    def along(self, factor: complex, engine: Engine) -> np.ndarray:
        """Return the numbers of the format nearest to a real multiple of factor times the vector.

        It is a real problem, of the parts; the best real multiple is among its pieces.
        """
        plain = so.NumberFormat(self.form.name)
        parts = parts_of(np.ascontiguousarray(factor / abs(factor) * self.vector))
        weights = np.repeat(self.weights, 2)
        wide = unbounded(plain)
        each = len(wide.positive_numbers()) if wide.is_finite else 1 << (wide.digits - 1)
        if not (parts * weights).any():
            return np.zeros_like(self.vector)
        if each * len(parts) > MOST_PIECES:
            scale = 1.0 if not plain.is_finite else plain.largest / np.abs(parts).max()
            return np.asarray(plain.round(parts * scale)).view(np.complex128)
        return best_alone(parts, weights, plain, engine).u.copy().view(np.complex128)

    def rate(self, u: np.ndarray) -> complex:
        """Return the factor that takes a vector nearest to this one; 0 for zeros."""
        square = float((self.weights * np.abs(u) ** 2).sum())
        return complex((self.weights * self.vector * u.conj()).sum()) / square if square else 0j


def with_free_scale(
    problem: RankOneQuantization, x: Turned, y: Turned, engine: Engine
) -> Iterator[RankOneTerm]:
    """Yield products with the best real scale, which leaves only directions to be found."""
    for turn in np.arange(TURNS) * (np.pi / 2.0 / TURNS):
        engine.context.check_time("rounding a product of vectors")
        u = x.along(complex(np.exp(1j * turn)), engine)
        for _ in range(ROUNDS):
            if not x.rate(u):
                break
            v = y.along(x.rate(u), engine)
            candidate = _scaled(problem, u, v)
            if candidate is None:
                break
            yield candidate
            again = x.along(y.rate(v), engine)
            if np.array_equal(again, u):
                break
            u = again


def _scaled(problem: RankOneQuantization, u: np.ndarray, v: np.ndarray) -> RankOneTerm | None:
    """Return a product with the best scale, a real one; None where none is a float."""
    (x, a, _), (y, b, _) = problem.side("x"), problem.side("y")
    one, other = parts_of(u), parts_of(v)
    common = dot(a, x, one) * dot(b, y, other)
    one_turned, other_turned = parts_of(1j * u), parts_of(1j * v)
    common -= dot(a, x, one_turned) * dot(b, y, other_turned)
    size = dot(a, one, one) * dot(b, other, other)
    if not size or common <= 0:
        return None
    scale = common / size
    forms = problem.format_x, problem.format_y
    is_free = [form is not None and form.scale == "free" for form in forms]
    shift = exponent_of(scale) // 2 if all(is_free) else 0
    # The whole of it where one scale is free; two share it.
    parts = [scaled(scale, -shift), scaled(Fraction(1), shift)]
    if is_free == [False, True]:
        parts.reverse()
    if not all(Fraction(2) ** -1022 <= z < Fraction(2) ** 1023 for z in parts):
        return None
    return RankOneTerm(u, v, float(parts[0]), float(parts[1]))


def with_power(
    x: Turned, y: Turned, whole: int, context: so.Context
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Yield rounded vectors and the power of two of their product, for ``2**whole x y^T``.

    For factors of many magnitudes and arguments u is the rounding of a multiple of x, and v that of
    the best multiple of y at the powers of two that leave its largest part near the largest number.
    """
    form = so.NumberFormat(x.form.name)
    low = form.positive_numbers()[0] / 2.0 if form.is_finite else 1.0
    sizes = np.geomspace(low, 2.0 * form.largest if form.is_finite else 2.0, MAGNITUDES)
    found: list[tuple[float, np.ndarray]] = []
    for turn in np.arange(TURNS) * (np.pi / 2.0 / TURNS):
        context.check_time("rounding a product of vectors")
        with np.errstate(all="ignore"):
            u = np.asarray(form.round(np.outer(sizes * np.exp(1j * turn), x.vector)))
            costs, _, _ = _answered(u, x, y)
        places = np.argsort(costs, kind="stable")[:KEPT]
        found += [(float(costs[i]), u[i]) for i in places]
    found.sort(key=lambda item: item[0])
    for _, u in found[:KEPT]:
        for _ in range(ROUNDS):
            with np.errstate(all="ignore"):
                _, (v,), (power,) = _answered(u[None], x, y)
                if not (u.any() and v.any()):
                    break
                yield u, v, whole - int(power)
                _, (again,), _ = _answered(v[None], y, x)
            if np.array_equal(again, u):
                break
            u = again


def _answered(u: np.ndarray, x: Turned, y: Turned) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of left vectors, shape (k, m), the costs with the best right ones, these, and their
    powers of two."""
    inner = (x.weights * x.vector * u.conj()).sum(axis=1)
    square = (x.weights * np.abs(u) ** 2).sum(axis=1)
    rates = inner / np.where(square > 0.0, square, 1.0)
    wanted, form = np.outer(rates, y.vector), so.NumberFormat(y.form.name)
    tops = np.frexp(np.abs(wanted.view(np.float64)).max(axis=1))[1].astype(np.int64)
    first = (np.frexp(form.largest)[1] if form.is_finite else 0) - tops
    angles = (x.weights * np.abs(x.vector - rates[:, None] * u) ** 2).sum(axis=1)
    y2 = float((y.weights * np.abs(y.vector) ** 2).sum())
    costs = np.full(len(u), np.inf)
    best, powers = np.zeros_like(wanted), np.zeros(len(u), dtype=np.int64)
    for more in range(-2, 2) if form.is_finite else (0,):
        power = first + more
        v = np.asarray(form.round(times_powers(wanted, power[:, None])))
        rest = wanted - times_powers(v, -power[:, None])
        cost = angles * y2 + square * (y.weights * np.abs(rest) ** 2).sum(axis=1)
        better = (cost < costs) & (square > 0.0) & (inner != 0.0)
        costs[better], best[better], powers[better] = cost[better], v[better], power[better]
    return costs, best, powers


def placed(
    problem: RankOneQuantization, u: np.ndarray, v: np.ndarray, power: int
) -> RankOneTerm | None:
    """Return ``2**power u v^T`` in the formats, the power shared out among the scales that are
    powers of two; None where they do not hold it."""
    forms = [problem.format_x, problem.format_y]
    parts = [parts_of(u), parts_of(v)]
    inside = [powers_within(z, f) for z, f in zip(parts, forms, strict=True) if f is not None]
    if not all(len(z) for z in inside):
        return None
    shifts = [nearest_to_zero(z) for z in inside]
    takes = [form is not None and form.scale == "power_of_two" for form in forms]
    rest = power - sum(shifts)
    first = rest if takes == [True, False] else 0 if takes == [False, True] else rest // 2
    scales = [math.ldexp(1.0, z) if -1074 <= z <= 1023 else 0.0 for z in (first, rest - first)]
    made = [with_powers(z, np.array(p)) for z, p in zip(parts, shifts, strict=True)]
    if 0.0 in scales or made[0] is None or made[1] is None:
        return None
    left, right = (z.view(np.complex128) for z in made if z is not None)
    return RankOneTerm(left, right, *scales)
