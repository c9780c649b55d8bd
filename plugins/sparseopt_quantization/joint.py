"""Both vectors at once: the best product of two rounded vectors without a real scale."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.quantization.exact import scaled
from sparseopt.quantization.rank_one import RankOneQuantization, RankOneTerm
from sparseopt_quantization.candidates import (
    Data,
    Rounded,
    best_for,
    common,
    from_numbers,
    mirrored,
    nearest_to_zero,
    powers_within,
)
from sparseopt_quantization.sides import Engine, Part, Table, cheapest, unbounded

SMALL = 1 << 14
"""Pieces up to which the bound is computed, as the check does; beyond it is told beforehand."""
TIE = Fraction(1, 2**46)
"""Times ``2**-digits``: what it leaves for midpoints too close to be told apart."""


def best_pair(problem: RankOneQuantization, engine: Engine) -> tuple[RankOneTerm, Fraction | None]:
    """Return the best product, and what every one costs at least if that is to be told."""
    forms = [problem.side(name)[2] for name in "xy"]
    assert all(forms)
    plain = [so.NumberFormat(f.name) for f in forms if f]
    scaled_sides = [f.scale == "power_of_two" for f in forms if f]
    wide = [unbounded(f) for f in plain]
    found = _Pair(problem, wide, any(scaled_sides)).best(engine)
    answer = _placed(found, plain, scaled_sides)
    if answer is None:
        found = _Pair(problem, plain, any(scaled_sides)).best(engine)
        answer = _placed(found, plain, scaled_sides)
        assert answer is not None
        return answer, None
    return answer, _told(problem, answer, wide)


def _told(
    problem: RankOneQuantization, answer: RankOneTerm, wide: list[so.NumberFormat]
) -> Fraction | None:
    """Return what the check will prove, where there are many pieces and no doubt."""
    pieces = max(len(problem.side(n)[0]) << f.digits for n, f in zip("xy", wide, strict=True))
    if pieces < SMALL or any(form.is_finite for form in wide):
        return None
    cost = problem.cost_of(answer)
    digits = min(form.digits for form in wide)
    if cost < scaled(Fraction(1), -26 - digits):
        return None
    return cost - TIE * scaled(Fraction(1), -digits)


Found = tuple[Rounded, Rounded, int]
"""u, v and the power of two by which their product is scaled."""


def _placed(
    found: Found, forms: list[so.NumberFormat], is_scaled: list[bool]
) -> RankOneTerm | None:
    """Return a product scaled into the formats, or None if it does not fit."""
    u, v, power = found
    of_u, of_v = (powers_within(z.u, f) for z, f in zip((u, v), forms, strict=True))
    if not len(of_u) or not len(of_v):
        return None
    if any(is_scaled):
        one, other = nearest_to_zero(of_u), nearest_to_zero(of_v)
        rest = power - one - other
        at_v = 0 if is_scaled == [True, False] else rest
        if is_scaled == [True, True]:
            at_v = rest // 2
        scales = (math.ldexp(1.0, rest - at_v), math.ldexp(1.0, at_v))
        if not all(0.0 < s < math.inf for s in scales):
            raise so.Inconclusive(f"the scale 2**{rest} leaves the range of floats")
        return RankOneTerm(u.times_power(one).u, v.times_power(other).u, *scales)
    both = common(of_u, mirrored(of_v))
    if not len(both):
        return None
    shift = nearest_to_zero(both)
    return RankOneTerm(u.times_power(shift).u, v.times_power(-shift).u)


class _Pair:
    """The search over two formats without scales, their product scaled by powers or not."""

    def __init__(
        self, problem: RankOneQuantization, forms: list[so.NumberFormat], is_scaled: bool
    ) -> None:
        sides = [problem.side(name) for name in "xy"]
        self.data: list[Data] = [(vector, weights) for vector, weights, _ in sides]
        self.forms, self.is_scaled = forms, is_scaled
        # A format with ends is gone through from end to end: no octave of it stands for all.
        self.turned = not forms[0].is_finite and forms[1].is_finite

    def best(self, engine: Engine) -> Found:
        """Return u, v and the power of two of their scale."""
        one, other = (1, 0) if self.turned else (0, 1)
        x_data, y_data, x_form, y_form = (
            self.data[one],
            self.data[other],
            self.forms[one],
            self.forms[other],
        )
        outer, inner = Part.of(*x_data, x_form), Part.of(*y_data, y_form)
        first, second = engine.tables(outer, inner)
        base = 0 if inner.numbers.is_periodic else -int(outer.powers[0]) - int(inner.powers[0])
        powers = [base] if not self._has_powers(inner) else _powers(first, second)
        costs = np.stack([engine.joint(first, second, power) for power in powers])
        room = 2.0 ** (-44 - x_form.digits) * outer.square * inner.square
        best: tuple[Fraction, Rounded, Rounded, int] | None = None
        for flat in cheapest(costs.T.ravel(), room):
            piece, which = divmod(flat, len(powers))
            numbers = outer.numbers.between(first.places(piece), 0.0)
            if not numbers.any():
                continue
            u = from_numbers(x_data, outer, numbers, x_form)
            power = powers[which] - base
            v = best_for(y_data, scaled(u.rate, -power), y_form)
            two = scaled(Fraction(1), power)
            cost = two * two * u.square * v.square - 2 * two * u.cross * v.cross
            if best is None or cost < best[0]:
                best = cost, u, v, power
        if best is None:  # every rounding of either is zero, or worse
            zeros = [Rounded(np.zeros(len(z)), Fraction(0), Fraction(0)) for z, _ in self.data]
            return zeros[0], zeros[1], 0
        _, u, v, power = best
        return (v, u, power) if self.turned else (u, v, power)

    def _has_powers(self, inner: Part) -> bool:
        return self.is_scaled and not inner.numbers.is_periodic


def _powers(outer: Table, inner: Table) -> list[int]:
    """Return all powers of two by which the inner vector may be scaled."""
    s1, s2, sound = outer.products()
    rates = (s1 / s2)[sound]
    listed, sizes = inner.part.numbers.listed, inner.part.sizes
    least = rates.min() * sizes.min() / listed[-1]
    most = 2.0 * rates.max() * sizes.max() / listed[1]
    return list(range(math.frexp(least)[1] - 2, math.frexp(most)[1] + 1))
