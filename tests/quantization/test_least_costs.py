"""The lower bounds of the check hold for every rounded vector, and are close."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from rank_one_oracle import best_cost, nearest, random_problem

import sparseopt as so
from sparseopt.quantization.exact import dot, root_above, root_below, rounded_multiples
from sparseopt.quantization.least_costs import Pieces, Vector, least_angle
from sparseopt.quantization.pieces import Side, Sweep
from sparseopt.quantization.rank_one_certificate import _least_joint

FORMS = ["F1", "F3", "F7", "e2m1", "int4", "e4m3", "e3m2"]


def vectors(rng: np.random.Generator) -> list[np.ndarray]:
    return [
        rng.standard_normal(3),
        rng.standard_normal(1) * 1e200,
        np.array([1.0, 0.5, 0.75, 3.0, 0.1]),
        rng.standard_normal(4) * [1.0, 1e-3, 1e3, 1e-9],
        np.full(5, 0.3),
    ]


@pytest.mark.parametrize("name", FORMS)
def test_bounds_of_all_pieces_hold(name: str) -> None:
    rng = np.random.default_rng(0)
    for values in vectors(rng):
        weights = rng.integers(1, 5, len(values)) * 0.3
        vector = Vector(values, weights, so.NumberFormat(name))
        side = vector.side()
        square = dot(weights, values, values)
        sweep = Sweep(side, *side.whole)
        pieces = Pieces.of(sweep)
        for state in range(0, len(sweep), max(1, len(sweep) // 40)):
            s1, s2 = vector.products(side, *sweep.vector(state))
            if not s2:
                continue
            exact = 1 - s1 * s1 / (square * s2)
            bound = Fraction(float(pieces.angle[state]))
            assert bound <= exact * (1 + Fraction(1, 2**50))
            if float(exact) > 1e-6:
                assert bound >= exact * Fraction(9, 10) - Fraction(1, 2**40)


@pytest.mark.parametrize("name", FORMS)
def test_states_are_the_roundings(name: str) -> None:
    rng = np.random.default_rng(1)
    form = so.NumberFormat(name)
    for values in vectors(rng):
        side = Side.of(values, np.ones(len(values)), form)
        sweep = Sweep(side, *side.whole)
        edges = np.concatenate([[sweep.low], sweep.at, [min(sweep.high, 2.0 * sweep.at[-1])]])
        wide = np.flatnonzero(edges[1:] > edges[:-1] * (1.0 + 1e-9))
        for state in wide[:: max(1, len(wide) // 12)]:
            c = Fraction((edges[state] + edges[state + 1]) / 2.0)
            own = [
                abs(Fraction(v)) if side.is_periodic else Fraction(s)
                for v, s in zip(values[side.kept], side.sizes[side.group], strict=True)
            ]
            numbers, powers = sweep.vector(int(state))
            found = [
                Fraction(v) * Fraction(2) ** int(p) for v, p in zip(numbers, powers, strict=True)
            ]
            assert found == [nearest(c * v, form) for v in own]


@pytest.mark.parametrize("pair", [(3, 4), ("e2m1", 3), ("int4", "e2m1"), (5, 2)], ids=str)
def test_the_least_cost_is_found_from_any_start(pair: tuple[Any, Any]) -> None:
    """The bound does not lean on the answer: it is the same from a cost that is far too large."""
    rng = np.random.default_rng(2)
    for _ in range(4):
        problem = random_problem(rng, *pair, most=3)
        if problem.is_zero:
            continue
        best = best_cost(problem)
        sides = [Vector(*problem.side(name)) for name in "xy"]  # type: ignore[arg-type]
        for found in (Fraction(1), 2 * best):
            least = _least_joint(sides, found, 1)
            assert min(best, found) * (1 - Fraction(1, 10**6)) - Fraction(1, 2**40) <= least
            assert least <= best


def test_parts_make_up_the_whole() -> None:
    rng = np.random.default_rng(3)
    for name in ("F6", "e4m3"):
        values = rng.standard_normal(40)
        side = Side.of(values, np.ones(40), so.NumberFormat(name))
        whole = Sweep(side, *side.whole)
        parts = side.parts(200)
        assert len(parts) > 3
        listed = np.concatenate([Sweep(side, low, high).at for low, high in parts])
        assert np.array_equal(np.sort(listed), whole.at)


def test_many_open_pieces_leave_a_lower_bound() -> None:
    rng = np.random.default_rng(4)
    values = rng.standard_normal(300)
    vector = Vector(values, np.ones(300), so.NumberFormat("F5"))
    problem = so.RankOneQuantization(values, [1.0], "F5", None)
    found = Fraction(so.solve(problem).certificate.relative_error) ** 2
    assert 0 < found < Fraction(1, 100)
    best = least_angle(vector, found, 1)
    assert found * (1 - Fraction(1, 10**12)) < best <= found
    more = least_angle(vector, found * Fraction(21, 20), 2)
    assert best * Fraction(9, 10) < more <= least_angle(vector, found * Fraction(21, 20), 1) <= best


def test_roots_and_sums_are_exact() -> None:
    assert dot(np.array([1e300, 1.0, -1e300]), np.array([1.0, 1e-300, 1.0])) == Fraction(1e-300)
    assert dot(np.array([5e-324]), np.array([5e-324])) == Fraction(5e-324) ** 2
    assert root_above(Fraction(1, 4)) == root_below(Fraction(1, 4)) == 0.5
    for value in (Fraction(2), Fraction(1, 3), Fraction(10) ** -700, Fraction(7, 10**50)):
        low, high = root_below(value), root_above(value)
        assert Fraction(low) ** 2 <= value <= Fraction(high) ** 2
        assert high <= np.nextafter(low, np.inf)


def test_multiples_are_rounded_to_nearest_and_to_even() -> None:
    rng = np.random.default_rng(5)
    for name in ("F1", "F4", "e4m3", "e2m1", "int4"):
        form = so.NumberFormat(name)
        for rate in (Fraction(1), Fraction(7, 3), Fraction(1, 10**9)):
            values = np.append(rng.random(20) * 20.0, [1e-300, 1e300, 2.5, 3.5, 17.0, 0.75])
            numbers, powers = rounded_multiples(rate, values, form.grid)
            for value, number, power in zip(values, numbers, powers, strict=True):
                found = Fraction(number) * Fraction(2) ** int(power)
                exact = rate * Fraction(value)
                if rate == 1:
                    assert found == Fraction(form.round(value))
                else:
                    right = form.round(float(exact))
                    near = {right, *(form.round(float(exact) * e) for e in (1 - 1e-15, 1 + 1e-15))}
                    assert abs(found - exact) == min(abs(Fraction(v) - exact) for v in near)


@pytest.mark.parametrize("power", [500, 512, 520, 530, 540])
@pytest.mark.parametrize("scale", ["int8", "int4"])
def test_entries_that_far_weights_make_up_for(power: int, scale: str) -> None:
    """Weights that leave the range of floats, once they are brought near 1, prove nothing."""
    form = so.NumberFormat(scale, None)
    x, y = np.array([2.0**power, 100.0, 37.0]), np.array([1.0, 3.0])
    weights = np.array([2.0 ** max(-2 * power, -1074), 2.0**20, 2.0**20])
    problem = so.RankOneQuantization(x, y, form, form, weights)
    most = form.positive_numbers()[-1]
    costs = []
    for u in ([most, 98, 37], [most, 100, 37], [0, 100, 37], [0, 7, 3], [most, 7, 3], [0, 0, 0]):
        term = so.RankOneTerm(np.minimum(np.array(u, dtype=float), most), np.array([1.0, 3.0]))
        costs.append(problem.cost_of(term))
        proof = so.RankOneCertificate.build(problem, term)
        bound = Fraction(proof.relative_lower_bound)
        assert bound**2 <= costs[-1]
        assert so.verify(proof).ok or bound == 0
    solution = so.solve(problem)
    assert Fraction(solution.certificate.relative_lower_bound) ** 2 <= min(costs)


def test_a_square_that_underflows_is_not_that_of_zero() -> None:
    problem = so.RankOneQuantization(
        np.array([1.0, 1e-3]), np.array([3.0]), "int8", "int8", np.array([2.0**-1074, 2.0**1000])
    )
    proof = so.RankOneCertificate.build(problem, so.RankOneTerm(np.zeros(2), np.zeros(1)))
    one = problem.cost_of(so.RankOneTerm(np.array([1.0, 0.0]), np.array([3.0])))
    assert one < 1
    assert Fraction(proof.relative_lower_bound) ** 2 <= one


@pytest.mark.parametrize("small", [0.0, 1.0, 6.5], ids=str)
def test_entries_far_below_the_others_take_no_answer_away(small: float) -> None:
    """Powers of two that would bring them up were counted from a quotient that had underflowed."""
    form = so.NumberFormat("int4", "power_of_two")
    x, y = [0.3, 0.71, 0.9], [1.0, 0.63]
    near = so.solve(so.RankOneQuantization(x, y, form, form))
    for top, least in ((1.0, 5e-324), (1e160, 1e-165), (1e300, 1e-300), (1e-20, 1e-322)):
        far = [*(np.array(y) * top), least, small * least]
        for one, other in ((x, far), (far, x)):
            problem = so.RankOneQuantization(one, other, form, form)
            solution = so.solve(problem)
            assert solution.status is so.Status.VERIFIED
            found = solution.certificate.relative_error
            # The small entries add nothing that floats tell.
            alone = so.solve(so.RankOneQuantization(np.array(y) * top, x, form, form))
            assert found <= alone.certificate.relative_error * (1 + 1e-12)
    assert near.certificate.relative_error < 0.0603


def test_what_is_left_out_is_made_up_for() -> None:
    """Entries too far below to be gone through cost no more than they weigh, which may be much."""
    form = so.NumberFormat("int4", "free")
    z = np.array([1, 2, 3, 4, 5, 6, 7, 7, 7, 2.5 - 2.0**-30, 2.5 + 2.0**-30])
    x, weights = np.r_[2.0**1000, z * 2.0**-46], np.r_[5e-324, np.full(len(z), 2.0**1020)]
    problem = so.RankOneQuantization(x, [1.0], form, None, weights, None)
    vector = Vector(*problem.side("x"))  # type: ignore[arg-type]
    side = vector.side()
    parts = [Fraction(w) * Fraction(v) ** 2 for v, w in zip(x, weights, strict=True)]
    assert side.kept.tolist() == [0]
    assert vector.left_out(side) == sum(parts[1:]) / sum(parts)
    assert least_angle(vector, Fraction(1), 1) == 0
    assert so.solve(problem).certificate.relative_lower_bound == 0.0
    light = Vector(x, np.r_[1.0, np.full(len(z), 2.0**100)], form)
    assert 0 < light.left_out(light.side()) < Fraction(1, 2**1000)


@pytest.mark.parametrize("name", ["F1", "int4"])
def test_weights_of_one_size_are_added_up_with_their_rounding(name: str) -> None:
    """Weights of 2^-54 beside one of 1, one after the other, add nothing; exactly, 2^-38."""
    count = 1 << 16
    values = np.append(np.ones(count + 1), 1.4797)
    weights = np.concatenate([[1.0], np.full(count, 2.0**-54), [0.1]])
    vector = Vector(values, weights, so.NumberFormat(name))
    side, square = vector.side(), dot(weights, values, values)
    assert side.terms >= count
    sweep = Sweep(side, *side.whole)
    pieces = Pieces.of(sweep)
    for state in range(sweep.zeros, len(sweep)):
        s1, s2 = vector.products(side, *sweep.vector(state))
        exact = 1 - s1 * s1 / (square * s2)
        assert exact - Fraction(1, 2**24) <= Fraction(float(pieces.angle[state])) <= exact
