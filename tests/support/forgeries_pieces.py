"""What the lower bounds of quantization are made of, against rationals and plain enumeration.

Each law is an entry of a bank that is accepted if it holds; each forged one claims that every
rounding costs a little more than the best does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from laws import law, numbered
from piece_laws import (
    FORMS,
    LAST,
    VECTORS,
    angles_are_bounds,
    angles_leave_room,
    brought_near_one,
    distances_are_bounds,
    distances_leave_room,
    exact,
    kept_to_the_border,
    parts_make_up,
    room_is_enough,
    states_are_roundings,
    steps_of,
    sums_hold,
    ties_cost_at_most,
    times_powers,
    unclear_where_midpoints_are_close,
    with_visible_loss,
)
from rank_one_oracle import best_cost, inner, nearest, random_problem

import sparseopt as so
from sparseopt.quantization.exact import scaled
from sparseopt.quantization.least_costs import (
    EXACT_LEAST,
    EXACT_WORK,
    Joint,
    Near,
    Pieces,
    Vector,
    distances,
    joint_bounds,
    least_angle,
    tie_loss,
)
from sparseopt.quantization.pieces import FAR, Sweep
from sparseopt.quantization.rank_one_certificate import proved_least


def taken(found: Fraction, entries: int, rooms: int, *bounds: Any) -> tuple[Any, Fraction]:
    """Return which exact costs are asked for, of bounds in turn, and the least cost taken then."""
    near = Near(found, entries, rooms)
    return [list(near.open(np.array(some))) for some in bounds], near.least


def asks_for_the_least() -> bool:
    """Whether exact costs are asked for below what was found, the least first, up to a limit."""
    half, first = Fraction(1, 2), list(range(EXACT_LEAST))
    below, most = [0.25] * EXACT_LEAST, 2 * EXACT_LEAST
    return (
        taken(half, 3, 1, [0.25, 0.5, 0.125, math.nan, math.inf]) == ([[3, 2, 0]], half)
        and taken(half, EXACT_WORK, 1, below) == ([first], half)
        and taken(half, EXACT_WORK, 1, below, [0.375])
        == ([first, []], Fraction(3, 8) - Fraction(1, 8) / 1024)
        and taken(half, EXACT_WORK, 3, [*below, 0.4375, 0.375])
        == ([first], Fraction(3, 8) - Fraction(3, 8) / 1024)
        and taken(half, EXACT_WORK // most, 1, [0.25] * (most + 1), [0.25])[0]
        == [[*range(most)], []]
        and taken(Fraction(3), 3, 1)[1] == 1
    )


def cost_with(x: Vector, y: Vector, u: Any, power: int) -> Fraction:
    """Return the relative cost of magnitudes u and the best v times a power of two."""
    (a, own), (b, other) = ((exact(z.weights), exact(np.abs(z.values))) for z in (x, y))
    size, cross, two = inner(a, u, u), inner(a, own, u), scaled(Fraction(1), power)
    v = [nearest(cross / size * s / two, y.form) * two if s else Fraction(0) for s in other]
    saved = size * inner(b, v, v) - 2 * cross * inner(b, other, v)
    return 1 + saved / (inner(a, own, own) * inner(b, other, other))


def joint_costs_hold(x: Vector, y: Vector, power: int) -> bool:
    """Whether costs of states with the best v are right, and their bounds below them, by little.

    Of vectors without zeros.
    """
    outer, inside = x.side(), y.side()
    sweep = Sweep(outer, *outer.whole)
    pieces = Pieces.of(sweep)
    kept = np.flatnonzero(sweep.is_wide() & (pieces.angle < math.inf))[:12]
    base = int(-outer.powers[0] - inside.powers[0])
    joint, within = Joint(x, y, False), 0 if inside.is_periodic else power
    bounds = joint_bounds(inside, pieces, kept, pieces.rates[kept], within, outer)
    good = list(joint.powers(inside, pieces.rates[kept], base)) == [
        0 if inside.is_periodic else base
    ]
    for state, bound in zip(kept.tolist(), bounds.tolist(), strict=True):
        numbers, powers = sweep.vector(state)
        apart = 0 if inside.is_periodic else power - base
        right = cost_with(x, y, times_powers(numbers, powers), apart)
        products = x.products(outer, numbers, powers)
        good &= joint.exact(inside, *products, apart) == right
        tie = Fraction(tie_loss(inside)) * Fraction(9, 10)
        good &= right - 2**8 * LAST <= Fraction(bound) <= right - tie
    # The same, as if so much was lost in sums over the first vector that floats tell it.
    visible = with_visible_loss(x)
    rates, loss = pieces.rates[kept], visible.loss
    apart = np.sqrt(distances(inside, np.ldexp(rates, -within))) - loss * np.ldexp(rates, -within)
    saved = pieces.square[kept] / outer.square * (np.maximum(apart, 0.0) * 2.0**within) ** 2
    found = joint_bounds(inside, pieces, kept, rates, within, visible)
    most, least = ((pieces.angle[kept] + saved) * (1.0 - times * loss) for times in (1.0, 4.0))
    return bool(good and (least - 1e-12 <= found).all() and (found <= most + 1e-12).all())


def powers_are_enough(y: Vector, low: float, high: float) -> bool:
    """Whether no other power of two has a nearer multiple of numbers, for some rates."""
    inside = y.side()
    joint = Joint(Vector(np.ones(1), np.ones(1), y.form), y, True)
    listed = joint.powers(inside, np.array([low, high]), 0)
    sizes, weights = exact(inside.sizes), exact(inside.weights)

    def distance(rate: float, power: int) -> Fraction:
        c, two = Fraction(rate), scaled(Fraction(1), power)
        r = [c * s - nearest(c * s / two, y.form) * two for s in sizes]
        return inner(weights, r, r)

    wide = range(min(listed) - 6, max(listed) + 7)
    return len(listed) < 60 and all(
        min(distance(rate, p) for p in listed) == min(distance(rate, p) for p in wide)
        for rate in (low, high)
    )


def ties_are_taken_off(form: Any) -> bool:
    """Whether what is proved is less by what midpoints that are close may cost: here all are."""
    values = np.array([1.3, 1.3 + 2.0**-52, 1.7])
    own, other = so.NumberFormat("F1"), so.NumberFormat(form)
    alone = so.RankOneQuantization(values, [1.0], own, None)
    pair = so.RankOneQuantization(values, [0.7, 1.0], own, other)
    x, y = (Vector(*pair.side(name)) for name in "xy")  # type: ignore[arg-type]
    tie = Fraction(tie_loss(x.side()))
    found = [least_angle(x, Fraction(1), 1), Joint(x, y, False).least(Fraction(1), 1)]
    right = [best_cost(alone), best_cost(pair)]
    return all(b - 3 * tie <= f <= b - tie / 2 for f, b in zip(found, right, strict=True))


def nothing_is_proved() -> bool:
    """Whether 0 is where pieces are too many, by powers also, or rates leave the floats' range."""
    small = Vector(np.array([0.3, 1.1]), np.ones(2), so.NumberFormat("int4"))
    fine = Vector(np.array([0.3, 0.7, 1.1]), np.ones(3), so.NumberFormat("F53"))
    light = Vector(np.array([1.0, 1.5]), np.array([1.0, 2.0**-880]), so.NumberFormat("bf16"))
    ones = Vector(np.ones(2), np.ones(2), so.NumberFormat("F3"))
    pairs = (fine, small), (small, fine), (light, ones)
    found = {Joint(x, y, False).least(Fraction(1, 2**20), 1) for x, y in pairs}
    spread = Vector(np.array([1.0, 2.0**-20]), np.ones(2), so.NumberFormat("int4"))
    long = Vector(np.array([0.3, 0.7, 1.1]), np.ones(3), so.NumberFormat("F24"))
    found.add(Joint(long, spread, True).least(Fraction(1, 2**20), 1))
    return found == {least_angle(fine, Fraction(1), 1)} == {Fraction(0)}


def takes_off_what_is_left_out() -> bool:
    """Whether what is proved is less by what is left out, of either vector, but not below 0."""
    form = so.NumberFormat("int4")
    values = np.append(2.0**1000, np.array([1.0, 2.0, 2.5, 7.0]) * 2.0**-46)
    weights = np.append(5e-324, np.full(4, 2.0**1020))
    heavy, small = Vector(values, weights, form), Vector(np.array([0.3, 1.1]), np.ones(2), form)
    most = 1 - heavy.left_out(heavy.side())
    pairs = (heavy, small), (small, heavy), (heavy, heavy)
    found = [Joint(x, y, False).least(Fraction(1), 1) for x, y in pairs]
    return (
        least_angle(heavy, Fraction(1), 1) == found[2] == 0 < min(found[:2]) <= max(found) <= most
    )


def weighs_what_is_left_out() -> bool:
    """Whether what a side leaves out weighs its share of the square, and nothing is left else."""
    values, weights = np.array([2.0, 1e-200, 3e-100]), np.array([0.5, 3.0, 1e150])
    vector = Vector(values, weights, so.NumberFormat("int4"))
    side = vector.side()
    parts = [a * x * x for a, x in zip(exact(weights), exact(values), strict=True)]
    none = Vector(values[:1], weights[:1], vector.form)
    return (
        side.kept.tolist() == [0]
        and vector.left_out(side) == (parts[1] + parts[2]) / sum(parts)
        and none.left_out(none.side()) == 0
    )


PAIRS: tuple[tuple[Any, Any], ...] = (
    (3, 4),
    (1, 2),
    ("e2m1", 3),
    (2, "int4"),
    ("int4", "e2m1"),
    ("e4m3", 2),
    (so.NumberFormat("int4", "power_of_two"), "e2m1"),
    ("e2m1", so.NumberFormat("e3m2", "power_of_two")),
    (so.NumberFormat("int4", "power_of_two"), 3),
    (4, None),
    ("e4m3", None),
    (None, 2),
    (so.NumberFormat("int4", "free"), so.NumberFormat("e2m1", "free")),
)


def problems() -> Iterator[tuple[str, so.RankOneQuantization]]:
    """Yield small problems whose least cost is known from plain enumeration."""
    rng = np.random.default_rng(7)
    for forms in PAIRS:
        for number in range(3):
            problem = random_problem(rng, *forms, most=3)
            if not problem.is_zero:
                yield f"{problem.describe()}, {number}", problem


def least_costs() -> Iterator[tuple[str, so.RankOneQuantization, Fraction, list[Any]]]:
    """Yield problems, their least cost, and some answers."""
    for name, problem in problems():
        right = problem.y if problem.format_y is None else 0.0 * problem.y
        left = problem.x if problem.format_x is None else 0.0 * problem.x
        answers = [problem.nearest(), so.RankOneTerm(left, right), so.solve(problem).answer]
        yield name, problem, best_cost(problem), answers


def proves(problem: so.RankOneQuantization, best: Fraction, answer: Any) -> bool:
    """Whether nearly the least cost is proved, and no more."""
    own = min(best, problem.cost_of(answer))
    return own * (1 - LAST) - LAST <= proved_least(problem, answer, ((), ())) <= own


def claims(problem: so.RankOneQuantization, least: Fraction, answer: Any) -> so.Check:
    """Return whether it is proved that no rounding costs less."""
    found = proved_least(problem, answer, ((), ())) >= least
    return so.Check(
        "accepted" if found else "refused", "no choice has less", ("FAILED: it is not proved",)
    )


def ranges(form: so.NumberFormat) -> list[tuple[float, float]]:
    """Return intervals of scales: the whole, and some of its parts."""
    if not form.is_finite:
        return [(1.0, 2.0), (1.25, 1.375), (1.5, 1.5)]
    return [(0.0, math.inf), (0.75, 2.0), (2.5, 2.5)]


def everywhere(holds: Callable[[Vector, float, float], bool], vector: Vector) -> bool:
    """Whether a law holds of all ranges of scales."""
    return all(holds(vector, low, high) for low, high in ranges(vector.form))


LAWS: dict[str, Callable[[Vector, float, float], bool]] = {
    "states": states_are_roundings,
    "sums": sums_hold,
    "angles": angles_are_bounds,
    "angles, with room": angles_leave_room,
    "close midpoints": unclear_where_midpoints_are_close,
}


@numbered
def honest() -> Iterator[tuple[str, Any]]:
    """Yield laws that hold."""
    for form in map(so.NumberFormat, FORMS):
        yield f"numbers of {form.name}", law(partial(steps_of, form))
        yield f"ties in {form.name}", law(partial(ties_cost_at_most, form))
        for name, (values, weights) in VECTORS.items():
            vector, words = Vector(values, weights, form), f"{name}, in {form.name}"
            yield f"a side: {words}", law(partial(brought_near_one, vector))
            yield f"room: {words}", law(partial(room_is_enough, vector))
            rates = [0.3, 1.0, 1.1, 1.75, 5.0] if form.is_finite else [0.6, 0.7, 1.0, 1.3, 3.0]
            for some in (rates, rates[1:2], [1e3]):
                yield f"distances: {words}", law(partial(distances_are_bounds, vector, some))
            some = [0.6, 0.75, 0.9]
            yield f"distances, with room: {words}", law(partial(distances_leave_room, vector, some))
            for kind, holds in LAWS.items():
                yield f"{kind}: {words}", law(partial(everywhere, holds, vector))
    yield "exact costs", law(asks_for_the_least)
    yield "what is left out", law(weighs_what_is_left_out)
    yield "nothing is proved", law(nothing_is_proved)
    yield "what is left out is taken off", law(takes_off_what_is_left_out)
    for second in ("F2", "F3"):
        yield f"ties beside {second}", law(partial(ties_are_taken_off, second))
    yield from borders()
    yield from joint_laws()
    for name, problem, best, answers in least_costs():
        for number, answer in enumerate(answers):
            yield f"{name}, {number}", law(partial(proves, problem, best, answer))


def borders() -> Iterator[tuple[str, Any]]:
    """Yield which entries a side keeps, and of how many pieces its parts are."""
    for form in ("F3", "int4"):
        for weight, kept in ((-3 * FAR, [0, 1]), (-3 * FAR - 1, [0])):
            found = partial(kept_to_the_border, form, [1.0, 1.0, 0.0], [1.0, 2.0**weight, 1.0])
            yield f"weights in {form}, {weight}", law(partial(_equal, found, kept))
    for power, kept in ((-FAR, [1, 2]), (-FAR - 1, [1])):
        found = partial(kept_to_the_border, "e4m3", [0.0, 1.0, 2.0**power], [1.0, 1.0, 2.0**500])
        yield f"sizes, {power}", law(partial(_equal, found, kept))
    long = np.cos(np.arange(1.0, 601.0)) * 2.9
    for form, most in (("F4", 610), ("F6", 2000), ("int4", 1000), ("e4m3", 9000), ("F2", 9000)):
        vector = Vector(long, np.ones(600), so.NumberFormat(form))
        yield f"parts in {form}", law(partial(parts_make_up, vector, most))


def _equal(found: Callable[[], Any], right: Any) -> bool:
    return bool(found() == right)


def joint_laws() -> Iterator[tuple[str, Any]]:
    """Yield what holds of both vectors."""
    x, y = np.array([0.3, -0.7, 1.1]), np.array([1.9, 0.2, -3.3])
    a, b = np.array([1.0, 0.4, 2.0]), np.array([0.5, 2.0, 3.0])
    for first, second in (("F3", "F4"), ("e2m1", "F3"), ("int4", "e2m1"), ("e4m3", "int4")):
        one, other = (so.NumberFormat(name) for name in (first, second))
        for scale in (1.0, 2.0**-7):
            pair = Vector(scale * x, a, one), Vector(y, b, other)
            for power in (-1, 0, 3):
                yield f"costs in {first}, {second}", law(partial(joint_costs_hold, *pair, power))
    near = Vector(np.ones(1), a[:1], so.NumberFormat("F1"))
    for form in ("F5", "F9"):
        other = Vector(y, b, so.NumberFormat(form))
        yield f"small costs in {form}", law(partial(joint_costs_hold, near, other, 0))
    for form in ("int4", "e2m1", "e3m2"):
        for values in (y, y[:1], [1.9], [7.0], [1.0, 60.0], [1.0, 1.0]):
            vector = Vector(np.array(values), b[: len(values)], so.NumberFormat(form))
            for low, high in ((1.0, 1.0), (0.3, 0.35), (3.5, 7.0), (4.0 / 1.9, 4.0 / 1.9)):
                yield f"powers in {form}", law(partial(powers_are_enough, vector, low, high))


def forged() -> Iterator[tuple[str, Any]]:
    """Yield claims that every rounding costs a little more than the best does."""
    for name, problem, best, answers in least_costs():
        if 0 < best < problem.cost_of(answers[0]):
            more = best * (1 + Fraction(1, 2**20))
            yield f"it is not proved | {name}", partial(claims, problem, more, answers[0])
