"""The product of two rounded complex vectors, by parts, for many arguments of a factor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import sparseopt as so
from sparseopt.quantization.rank_one import RankOneQuantization, RankOneTerm, parts_of
from sparseopt.quantization.rank_one_certificate import RankOneCertificate
from sparseopt_quantization.candidates import common, powers_within, with_powers
from sparseopt_quantization.chain import times_powers
from sparseopt_quantization.complex_scales import Turned, placed, with_free_scale, with_power
from sparseopt_quantization.limits import BYTES, EXACT, check_time
from sparseopt_quantization.sides import Engine, has_numba
from sparseopt_quantization.terms import Terms

MAGNITUDES, ARGUMENTS, KEPT, ROUNDS = 96, 24, 8, 12
"""Of factors that are tried where a format has a range; how many of them are improved, how long."""
MEMORY = 4e9
"""Bytes that the pieces of one vector may take."""


@dataclass(frozen=True)
class RankOneComplex(so.Solver[RankOneQuantization]):
    """Both vectors complex and both rounded, by parts: u is the rounding of c x for a complex c.

    For F_t, and for formats of digits whose range allows it, all pieces of ``|c|`` for many
    arguments of c, see `complex_arrays.terms`; else c from a grid. From there the best v for u and
    the best u for v in turn. With a free scale only directions are left to be found, see
    `complex_scales`. It is never worse than rounding to nearest.

    Time O(n 2^t), memory O(n 2^t), for n entries of t digits in both vectors, for each of many
    arguments.

    Parameters
    ----------
    compiled : bool or None
        See `RankOneExact`.
    """

    compiled: bool | None = None

    def accepts(self, problem: RankOneQuantization) -> so.Accepted | so.Refused:
        """Take complex vectors that are both rounded."""
        if self.compiled and not has_numba():
            return so.Refused("compiled=True needs numba, which is not installed")
        if not problem.is_complex:
            return so.Refused("it takes two complex vectors with a format each")
        return so.Accepted()

    def cost(self, problem: RankOneQuantization) -> float:
        """Return the predicted seconds."""
        return 3e-2 + 1e-3 * min(len(problem.x) + len(problem.y), 200)

    def bytes_needed(self, problem: RankOneQuantization) -> float:
        """Predict the pieces for one argument, and compiled kernels where there are many."""
        forms = ((problem.x, problem.format_x), (problem.y, problem.format_y))
        pieces = sum(2.0 * len(v) * 2.0 ** min(f.digits - 1, 11) for v, f in forms if f is not None)
        return 2.0**21 + BYTES * pieces

    def solve(
        self, problem: RankOneQuantization, context: so.Context
    ) -> tuple[RankOneTerm, RankOneCertificate]:
        """Try all, and take the least cost in rationals; what there is when the time runs out."""
        entries = EXACT * 4.0 * (len(problem.x) + len(problem.y))
        check_time(context, 5.0 * entries, "computing errors in rationals")
        best = problem.nearest()
        least = problem.cost_of(best)
        if problem.is_zero:
            best = RankOneTerm(0.0 * problem.x, 0.0 * problem.y)
        elif least:
            try:
                for candidate in _candidates(problem, Terms(self.compiled, context, 3.0 * entries)):
                    cost = problem.cost_of(candidate)
                    if cost < least:
                        best, least = candidate, cost
            except so.TimeLimitReached:
                context.report(1.0, "the time is over: the best so far")
        return best, RankOneCertificate.build(problem, best)


def _candidates(problem: RankOneQuantization, engine: Terms) -> Iterator[RankOneTerm]:
    """Yield products of rounded vectors in the formats."""
    first, second = problem.format_x, problem.format_y
    assert first is not None
    assert second is not None
    forms = first, second
    sides = [_near(problem.x, problem.weights_x), _near(problem.y, problem.weights_y)]
    if first.scale is not None or second.scale is not None:
        yield from _of_scales(problem, sides, engine)
        return
    fits = False
    if not any(form.name.startswith("int") for form in forms):
        for u, v in _of_digits(sides, (forms[0].digits, forms[1].digits), engine):
            placed = _placed(u, v, (sides[0][2], sides[1][2]), forms)
            if placed is not None:
                fits = True
                yield placed
    if not fits:
        engine.check_time("rounding a product of vectors")
        yield from _of_ranges(sides, forms, engine)


def _of_scales(
    problem: RankOneQuantization, sides: list[Near], engine: Terms
) -> Iterator[RankOneTerm]:
    """Yield products of numbers with a common factor."""
    forms = [form for form in (problem.format_x, problem.format_y) if form is not None]
    x, y = (Turned(v, p, form) for (v, p, _), form in zip(sides, forms, strict=True))
    if "free" in [form.scale for form in forms]:
        alone = Engine(MEMORY, engine.compiled, engine.context, engine.kept)
        yield from with_free_scale(problem, x, y, alone)
        return
    whole = sides[0][2] + sides[1][2]
    if not any(form.name.startswith("int") for form in forms):
        for u, v in _of_digits(sides, (forms[0].digits, forms[1].digits), engine):
            found = placed(problem, u, v, whole)
            if found is not None:
                yield found
    # Where only the second has ends its rounding is what there are many of.
    turned = not forms[0].is_finite
    for u, v, power in with_power(*((y, x) if turned else (x, y)), whole, engine.context):
        found = placed(problem, *((v, u) if turned else (u, v)), power)
        if found is not None:
            yield found


def _placed(
    u: np.ndarray,
    v: np.ndarray,
    powers: tuple[int, int],
    forms: tuple[so.NumberFormat, so.NumberFormat],
) -> RankOneTerm | None:
    """Return vectors times powers of two that bring them into the formats, near those given."""
    whole = sum(powers)
    of_u, of_v = (powers_within(parts_of(z), f) for z, f in zip((u, v), forms, strict=True))
    both = common(of_u, range(whole - of_v.stop + 1, whole - of_v.start + 1))
    if not u.any() or not v.any() or not len(both):
        return None
    own = min(max(powers[0], both.start), both.stop - 1)
    parts = [with_powers(parts_of(z), np.array(p)) for z, p in ((u, own), (v, whole - own))]
    if parts[0] is None or parts[1] is None:
        return None
    return RankOneTerm(parts[0].view(np.complex128), parts[1].view(np.complex128))


Near = tuple[np.ndarray, np.ndarray, int]
"""A vector with its largest part in [1/2, 1), weights with the largest 1, and the power of two
between the vector and the one that was given."""


def _near(vector: np.ndarray, weights: np.ndarray | None) -> Near:
    """Bring a vector near 1."""
    if weights is None:
        weights = np.ones(len(vector))
    largest = max(np.abs(vector.real).max(), np.abs(vector.imag).max())
    power = int(np.frexp(largest)[1])
    near = np.ldexp(weights, -int(np.frexp(weights.max())[1]) + 1)
    return times_powers(vector, np.array(-power)), near, power


def _of_digits(
    sides: list[Near], digits: tuple[int, int], engine: Terms
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rounded vectors in F_t: one is gone through, and the other; near 1."""
    rounded = [
        np.asarray(so.significand(t).round(vector))[None]
        for (vector, _, _), t in zip(sides, digits, strict=True)
    ]
    data = [(x[None], p[None], u) for (x, p, _), u in zip(sides, rounded, strict=True)]
    u, v = engine.improved(data[0], data[1], digits)
    yield u[0], v[0]
    v, u = engine.improved((*data[1][:2], v), (*data[0][:2], u), digits[::-1])
    yield u[0], v[0]


def _of_ranges(
    sides: list[Near], forms: tuple[so.NumberFormat, so.NumberFormat], engine: Terms
) -> Iterator[RankOneTerm]:
    """Yield products of numbers with a range, for factors of many magnitudes and arguments."""
    (x, p, power), (y, q, more) = sides
    two = power + more
    found: list[tuple[float, np.ndarray]] = []
    tops = [min(form.largest, 2.0**60) for form in forms]
    floor = tops[0] / 2.0**24 if not forms[0].is_finite else forms[0].positive_numbers()[0] / 2.0
    # What leaves v in its range, too: v is about 2^two y / c.
    reach = np.clip(np.array([floor, 2.0 * tops[0]]), 2.0**-900, 2.0**900)
    sizes = np.geomspace(reach[0], reach[1], MAGNITUDES)
    for turn in np.arange(ARGUMENTS) * (np.pi / 2.0 / ARGUMENTS):
        engine.check_time("rounding a product of vectors")
        with np.errstate(all="ignore"):
            u = np.asarray(forms[0].round(np.outer(sizes * np.exp(1j * turn), x)))
            costs, _ = _costs(u, (x, p), (y, q), forms[1], two)
        places = np.argsort(costs, kind="stable")[:KEPT]
        found += [(float(costs[i]), u[i]) for i in places]
    found.sort(key=lambda item: item[0])
    for _, u in found[:KEPT]:
        for _ in range(ROUNDS):
            with np.errstate(all="ignore"):
                _, v = _costs(u[None], (x, p), (y, q), forms[1], two)
                if not (u.any() and v[0].any()):
                    break
                yield RankOneTerm(u, v[0])
                _, again = _costs(v, (y, q), (x, p), forms[0], two)
            if np.array_equal(again[0], u):
                break
            u = again[0]


def _costs(
    u: np.ndarray,
    left: tuple[np.ndarray, np.ndarray],
    right: tuple[np.ndarray, np.ndarray],
    form: so.NumberFormat,
    two: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the costs of left vectors with the best right ones for ``2**two x y^T``, and these."""
    (x, p), (y, q) = left, right
    s1, s2 = (p * x * u.conj()).sum(axis=1), (p * np.abs(u) ** 2).sum(axis=1)
    rates = np.where(s2 > 0.0, s1 / np.where(s2 > 0.0, s2, 1.0), 0.0)
    wanted = np.outer(rates, y)
    v = np.asarray(form.round(times_powers(wanted, np.array(two))))
    rest = wanted - times_powers(v, np.array(-two))
    angle = (p * np.abs(x - rates[:, None] * u) ** 2).sum(axis=1)
    y2 = float((q * np.abs(y) ** 2).sum())
    costs = angle * y2 + s2 * (q * np.abs(rest) ** 2).sum(axis=1)
    return np.nan_to_num(np.where(s2 > 0.0, costs, np.inf), nan=np.inf), v
