"""What is found of products in few bits, against exact arithmetic: digits, errors, their rooms.

Each entry is a function that returns a `Check`: accepted if a statement holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.judging.figures import ROOMS, Figure
from sparseopt.judging.rounding import TINY, gamma
from sparseopt.quantization import chain_error
from sparseopt.quantization.chain_error import relative_error
from sparseopt.quantization.product_certificate import ProductQuantizationCertificate, digits_of

Entry = tuple[str, Callable[[], so.Check]]
CHAIN = [(1, 13, 2, 16), (2, 4, 3, 4), (6, 4, 5, 1)]
"""Chainable with rank 1, of unlike sizes, and with more values than are taken exactly."""
PATTERN = (2, 3, 2, 2)


def said(statement: Callable[[], bool]) -> Callable[[], so.Check]:
    """Return an entry that is accepted if a statement holds."""
    return lambda: so.Check("accepted" if statement() else "refused", "a statement", ())


def statements() -> Iterator[Entry]:
    """Yield statements that hold."""
    for name, statement in {**digits(), **zeros()}.items():
        yield name, said(statement)
    yield "steps of a recursion", said(steps_are_enclosed)
    yield "steps of a recursion, of zeros", said(steps_of_zeros)
    yield "sums of squares of columns", said(norms_are_enclosed)
    yield "totals", said(totals_are_enclosed)


def digits() -> dict[str, Callable[[], bool]]:
    """Return statements about digits, and what a certificate says of rounding to nearest."""
    found: dict[str, Callable[[], bool]] = {}
    for values, count in (
        ([0.0, 1.0, -8.0], 1),
        ([0.0], 1),
        ([1.0, 1.5], 2),
        ([1.0, 1.0 + 2.0**-52], 53),
        ([5e-324, 15e-324], 2),
        (np.array([1.0, 1.75], np.float32), 3),
        ([1.0 + 0.75j, 3.0], 2),
        ([0.75 + 1.0j, 0.0], 2),
    ):
        array = np.asarray(values)
        found[f"digits of {array}"] = lambda a=array, n=count: digits_of(a) == n
    rng = np.random.default_rng(0)
    patterns = so.Architecture.square_dyadic(8)
    given = so.KroneckerProduct([rng.standard_normal(p.values_shape) for p in patterns], patterns)
    for name, problem in {
        "formats": so.ProductQuantization(given, 4),
        "an error": so.ProductQuantization(given, None, relative_error=0.1),
    }.items():
        rounded = so.ProductQuantization(given, 4).nearest()
        made = ProductQuantizationCertificate.build(problem, rounded)
        right = problem.error_of(rounded).high(ROOMS)
        found[f"nearest, {name} asked"] = lambda m=made, r=right: m.nearest_relative_error == r
        found[f"digits, {name} asked"] = lambda m=made: m.digits == (4, 4, 4)
    return found


def zeros() -> dict[str, Callable[[], bool]]:
    """Return statements about errors where one of two products is zero, or both."""
    one, rank_two = [(1, 2, 2, 1), (1, 2, 2, 1)], [(1, 3, 4, 1), (1, 4, 3, 1)]
    chain = [(1, 2, 2, 2), (2, 2, 2, 1)]
    found: dict[str, Callable[[], bool]] = {}
    for name, patterns, dtype in (
        ("rational", chain, float),
        ("by paths", CHAIN, float),
        ("by paths, complex", CHAIN, complex),
        ("dense", one, float),
        ("dense, complex", rank_two, complex),
    ):
        ones = [np.ones(p, dtype) for p in patterns]
        whole, none, other = (
            so.KroneckerProduct(factors, patterns)
            for factors in (
                ones,
                [*ones[:-1], 0 * ones[-1]],
                [2 * f for f in ones[:-1]] + [0 * ones[-1]],
            )
        )
        for title, pair, least, most in (
            ("both", (none, other), 0.0, 0.0),
            ("the first", (none, whole), 0.0, 1.0 + 1e-12),
            ("the second", (whole, none), 1.0 - 1e-12, 1.0 + 1e-12),
        ):
            found[f"{title} zero, {name}"] = lambda p=pair, a=least, b=most: (
                a <= relative_error(*p).low() <= relative_error(*p).high() <= b
                and relative_error(*p).high() >= min(b, 1.0)
            )
    found["the same"] = lambda: relative_error(whole, whole) == Figure(0.0, 0.0)
    return found


def drawn(seed: int, scale: int) -> tuple[dict[str, Any], chain_error._Step]:
    """Return numbers that a step begins with, small multiples of a power of two, and the step."""
    rng = np.random.default_rng(seed)
    a, b, c, d = PATTERN
    rows = a * b * d

    def draw(size: Any) -> np.ndarray:
        return scale * rng.integers(-8, 9, size) / 8.0

    given = {
        name: chain_error._Sum(draw(rows) + 2.0 * scale, np.abs(draw(rows)) * 2.0**-50)
        for name in ("before", "own", "cross")
    }
    given |= {"w": draw(PATTERN), "v": draw(PATTERN), "alpha": draw(rows), "next": draw(a * c * d)}
    step = chain_error._Step(
        PATTERN, given["w"], given["v"], given["alpha"], given["own"], given["cross"]
    )
    return given, step


def each_path() -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Yield row, column and place of every entry of the pattern."""
    a, b, c, d = PATTERN
    for i, j, k, m in itertools.product(range(a), range(b), range(c), range(d)):
        yield (i * b + j) * d + m, (i * c + k) * d + m, (i, j, k, m)


def right_sums(given: dict[str, Any]) -> list[tuple[list[Fraction], list[Fraction]]]:
    """Return the sums of the columns, and their rooms as the step says they are, exactly."""
    a, b, c, d = PATTERN
    loss, tiny = Fraction(gamma(3 * b + 40)), Fraction(TINY)
    sums = [([Fraction(0)] * (a * c * d), [tiny] * (a * c * d)) for _ in range(3)]
    for row, column, place in each_path():
        w, v = (Fraction(given[name][place]) for name in ("w", "v"))
        left, right = Fraction(given["alpha"][row]) * w, Fraction(given["next"][column]) * v
        delta, off = left - right, loss * (abs(left) + abs(right)) + tiny
        (e2, e_room), (q2, q_room), (eq, eq_room) = (
            (Fraction(given[name].value[row]), Fraction(given[name].room[row]))
            for name in ("before", "own", "cross")
        )
        size, most = abs(delta), abs(delta) + off
        terms = (
            (
                (e2 * w * w, 2 * eq * w * delta, q2 * delta * delta),
                e_room * w * w
                + q_room * most * most
                + 2 * abs(w) * (eq_room * most + abs(eq) * off)
                + q2 * (size + most) * off,
            ),
            (
                (v * eq * w, v * q2 * delta),
                abs(v) * (eq_room * abs(w) + q_room * most + q2 * off),
            ),
            ((q2 * v * v,), q_room * v * v),
        )
        for (values, rooms), (parts, room) in zip(sums, terms, strict=True):
            values[column] += sum(parts)
            rooms[column] += room + loss * sum(map(abs, parts))
    return sums


def encloses(found: Any, values: list[Fraction], rooms: list[Fraction]) -> bool:
    """Whether rooms are as large as they must be and hardly larger, and hold what is off."""
    return all(
        abs(Fraction(value) - right) <= Fraction(room)
        and least <= Fraction(room) <= least * (1 + Fraction(1, 10**8))
        for value, room, right, least in zip(
            found.value.tolist(), found.room.tolist(), values, rooms, strict=True
        )
    )


def steps_are_enclosed() -> bool:
    """Whether steps for other numbers alpha than the best ones are what they say."""
    for seed, scale in ((0, 1), (1, 3)):
        given, step = drawn(seed, scale)
        found = step.onwards(given["before"], given["next"])
        right = right_sums(given)
        if not all(encloses(f, *r) for f, r in zip(found, right, strict=True)):
            return False
    return True


def steps_of_zeros() -> bool:
    """Whether sums of nothing but zeros leave room for what may have underflowed."""
    given, step = drawn(0, 0)
    found = step.onwards(given["before"], given["next"])
    with np.errstate(invalid="ignore"):
        finite = np.array_equal(step.best(), np.zeros(8))
    if not finite or not all((each.room > 0.0).all() for each in found):
        return False
    # Where nothing is left of the differences, what may have underflowed counts three times.
    none, three = np.zeros(12), np.full(12, 3.0)
    nothing, cross = chain_error._Sum(none, none), chain_error._Sum(three, none)
    step = chain_error._Step(PATTERN, np.ones(PATTERN), np.zeros(PATTERN), none, nothing, cross)
    return bool((step.onwards(nothing, np.zeros(8))[0].room > 18.0 * TINY).all())


def norms_are_enclosed() -> bool:
    """Whether squared norms of columns are what they say, also those of zeros."""
    given, _ = drawn(2, 1)
    a, b, c, d = PATTERN
    for factor in (given["w"], 0.0 * given["w"]):
        found = chain_error._grown(given["own"], factor)
        values, rooms = [Fraction(0)] * (a * c * d), [Fraction(TINY)] * (a * c * d)
        for row, column, place in each_path():
            square = Fraction(factor[place]) ** 2
            share = Fraction(given["own"].value[row]) * square
            values[column] += share
            rooms[column] += Fraction(given["own"].room[row]) * square
            rooms[column] += Fraction(gamma(b + 8)) * share
        if not encloses(found, values, rooms):
            return False
    return True


def totals_are_enclosed() -> bool:
    """Whether totals are what they say, with powers far apart and of zeros."""
    ones = np.ones(3)
    for values, rooms, powers, value, room, top in (
        (ones, ones, [0, 0, 0], 3.0, 3.0, 0),
        (ones, ones, [-4, 7, 6], 1.25 + 2.0**-22, 1.25 + 2.0**-22, 7),
        (ones, ones, [-9000, 7, -4000], 1.0, 1.0, 7),
        (0.0 * ones, 0.0 * ones, [2, 2, 2], 0.0, 0.0, 2),
    ):
        found = chain_error._total(chain_error._Sum(values, rooms), np.array(powers))
        least = room + 3 * TINY
        fits = found[0] == value and found[2] == top and least <= found[1]
        if not fits or found[1] > least * (1 + 1e-8):
            return False
    return math.isfinite(found[1])
