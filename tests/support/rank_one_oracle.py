"""The best products of rounded vectors in rational arithmetic, by plain enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so


def grid_of(form: so.NumberFormat, low: int = -8, high: int = 8) -> list[Fraction]:
    """Return the positive numbers, of F_t those of some octaves."""
    if form.is_finite:
        return [Fraction(v) for v in form.positive_numbers()]
    half = 2 ** (form.digits - 1)
    return [
        Fraction(k, half) * Fraction(2) ** e
        for e in range(low, high)
        for k in range(half, 2 * half)
    ]


def nearest(value: Fraction, form: so.NumberFormat) -> Fraction:
    """Return the nearest number of a format to a positive rational."""
    if form.is_finite:
        return min([Fraction(0), *grid_of(form)], key=lambda v: abs(v - value))
    e = math.floor(math.log2(value))
    return min((v for v in grid_of(form, e - 1, e + 3)), key=lambda v: abs(v - value))


def candidates(x: list[Fraction], form: so.NumberFormat) -> Iterator[list[Fraction]]:
    """Yield x times c, rounded, for one c in each piece: an octave for F_t, else all."""
    if form.is_finite:
        numbers = [Fraction(0), *grid_of(form)]
        cuts = {(a + b) / 2 / v for a, b in itertools.pairwise(numbers) for v in x if v}
        edges = [Fraction(0), *sorted(cuts)]
        edges.append(2 * edges[-1])
    else:
        cuts = set()
        for v in filter(None, x):
            e = math.floor(math.log2(v))
            numbers = grid_of(form, e - 1, e + 3)
            cuts |= {(a + b) / 2 / v for a, b in itertools.pairwise(numbers)}
        edges = [Fraction(1), *sorted(c for c in cuts if 1 < c < 2), Fraction(2)]
    for a, b in itertools.pairwise(edges):
        yield [nearest((a + b) / 2 * v, form) if v else Fraction(0) for v in x]


def inner(*vectors: Any) -> Fraction:
    return sum((math.prod(terms) for terms in zip(*vectors, strict=True)), Fraction(0))


def best_cost(problem: so.RankOneQuantization) -> Fraction:
    """Return the least squared error over the squared norm of the target."""
    sides = []
    for name in "xy":
        vector, weights, form = problem.side(name)
        sides.append(([abs(Fraction(v)) for v in vector], [Fraction(w) for w in weights], form))
    (x, a, form_x), (y, b, form_y) = sides
    forms = (form_x, form_y)
    whole = inner(a, x, x) * inner(b, y, y)
    if not whole:
        return Fraction(0)
    if None in forms or any(f.scale == "free" for f in forms if f):
        left = Fraction(1)
        for own, shares, form in sides:
            if form is not None:
                cosines = [
                    inner(shares, own, u) ** 2 / (inner(shares, u, u) * inner(shares, own, own))
                    for u in candidates(own, form)
                    if inner(shares, u, u)
                ]
                left *= max(cosines)
        return 1 - left
    assert form_x is not None
    assert form_y is not None
    if not form_x.is_finite and form_y.is_finite:
        x, a, form_x, y, b, form_y = y, b, form_y, x, a, form_x
    powers = [0]
    if form_y.is_finite and any(f.scale for f in forms if f):
        powers = list(range(-14, 15))
    best = Fraction(1)
    for u in candidates(x, form_x):
        size = inner(a, u, u)
        if not size:
            continue
        rate = inner(a, x, u) / size
        for power in powers:
            s = Fraction(2) ** power
            v = [nearest(rate * w / s, form_y) * s if w else Fraction(0) for w in y]
            best = min(
                best, 1 + (size * inner(b, v, v) - 2 * inner(a, x, u) * inner(b, y, v)) / whole
            )
    return best


def best_of_all(problem: so.RankOneQuantization, octaves: int = 3) -> Fraction:
    """Return the same for tiny formats without any theorem: all u, all v, up to signs.

    Of F_t all numbers of some octaves.
    """
    (x, a, form_x), (y, b, form_y) = problem.side("x"), problem.side("y")
    assert form_x is not None
    assert form_y is not None
    own = [Fraction(abs(v)) for v in x], [Fraction(abs(v)) for v in y]
    weights = [Fraction(w) for w in a], [Fraction(w) for w in b]
    whole = inner(weights[0], own[0], own[0]) * inner(weights[1], own[1], own[1])
    choices = [
        list(itertools.product([Fraction(0), *grid_of(form, -octaves, octaves)], repeat=len(v)))
        for form, v in zip((form_x, form_y), own, strict=True)
    ]
    tables = [
        [(inner(w, z, u), inner(w, u, u)) for u in chosen]
        for w, z, chosen in zip(weights, own, choices, strict=True)
    ]
    return 1 + min(s2 * q2 - 2 * s1 * q1 for s1, s2 in tables[0] for q1, q2 in tables[1]) / whole


def random_problem(rng: np.random.Generator, *forms: Any, most: int = 4) -> so.RankOneQuantization:
    """Return a problem of small vectors, some with zeros, equal entries, powers of two, weights."""
    vectors = []
    for _ in range(2):
        size = int(rng.integers(1, most + 1))
        kind = rng.integers(5)
        v = rng.standard_normal(size) * (10.0 if kind == 4 else 1.0)
        if kind == 1:
            v[rng.integers(size)] = 0.0
        if kind == 2:
            v = v[0] * 2.0 ** rng.integers(-3, 3, size)
        if kind == 3:
            v = np.round(v * 4.0) / 4.0
        vectors.append(v)
    weights = [rng.integers(0, 4, len(v)) / 2.0 if rng.random() < 0.3 else None for v in vectors]
    return so.RankOneQuantization(vectors[0], vectors[1], *forms, *weights)
