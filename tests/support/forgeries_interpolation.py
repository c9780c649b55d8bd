"""Forged certificates of interpolating networks: what the core must refuse, and why.

The name of each is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from laws import law, refusal

import sparseopt as so
from sparseopt.training import interpolation

Pairs = Iterator[tuple[str, Any]]
build = so.InterpolantCertificate.build
network = so.InterpolatingNetwork
stated = so.MinimumNormInterpolant
_PARTS = ("answer", "test", "primal", "dual", "gap", "largest_miss")

ZIGZAG = ([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0, 0.0])


def solved(points: Any = ZIGZAG[0], values: Any = ZIGZAG[1]) -> Any:
    return so.solve(so.MinimumNormInterpolant(points, values)).certificate


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    right = solved()
    changed = dataclasses.replace
    parts = [getattr(right.answer, name) for name in ("hidden", "biases", "outer")]
    yield "the answer is a network | its weights", changed(right, answer=parts[0])
    yield "the test has 4 numbers | three", changed(right, test=right.test[:3])
    yield "and their differences to the first | twice", changed(right, test=2 * right.test)
    steep = solved([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])
    assert steep.test.tolist() == [0, -1]
    yield "and their differences to the first | 2 apart", changed(steep, test=np.array([1, -1]))
    for name, line in (
        ("primal", "the network weighs at most"),
        ("largest_miss", "it misses values by at most"),
        ("gap", "it weighs more than the least by at most"),
    ):
        trained = build(right.problem, network([1.0], [0.1], [7.0], 0.3), right.test)
        less = np.nextafter(getattr(trained, name), 0.0)
        yield f"{line} | less by the last bit", changed(trained, **{name: float(less)})
        yield f"{line} | infinity", changed(trained, **{name: math.inf})
        yield f"{line} | no number", changed(trained, **{name: math.nan})
    rng = np.random.default_rng(0)
    rough = solved(rng.standard_normal(9), rng.standard_normal(9))
    for name, line in (("primal", "the network weighs at most"), ("largest_miss", "it misses")):
        less = float(np.nextafter(getattr(rough, name), 0.0))
        yield f"{line} | less by the last bit, in fractions", changed(rough, **{name: less})
    yield "it weighs more than the least by at most | below 0", changed(right, gap=-1.0)
    more = float(np.nextafter(right.dual, math.inf))
    yield "every network weighs at least | more by the last bit", changed(right, dual=more)
    yield "every network weighs at least | no number", changed(right, dual=math.nan)
    yield "every network weighs at least | infinity", changed(right, dual=math.inf)
    heavier = network(parts[0], parts[1], 2.0 * parts[2], right.answer.offset)
    yield "the network weighs at most | twice", changed(right, answer=heavier)
    turned = network(-parts[0], -parts[1], parts[2], right.answer.offset)
    yield "it misses values by at most | opened to the other side", changed(right, answer=turned)
    yield from refused()
    yield "and their differences to the first | all 2", changed(right, test=np.full(4, 2))
    bent = network([2.0, 0.0, 0.0, -3.0], [-2.0, -1.0, 0.5, 6.0], [1.0, 4.0, 3.0, -1.0], 0.0)
    flat = build(right.problem, bent, right.test)
    less = float(np.nextafter(flat.largest_miss, 0.0))
    yield (
        "it misses values by at most | by neurons that do not bend",
        changed(flat, largest_miss=less),
    )
    moved = network(*parts, right.answer.offset + 1e-9)
    yield "it misses values by at most | another offset", changed(right, answer=moved)


def refused() -> Pairs:
    """Yield (words of the refusal | what it is, constructor) of problems and answers."""
    points = np.array([[0.0, 1.0], [2.0, 3.0]])
    yield "one per neuron | a bias too few", refusal(lambda: network([1.0], [], [1.0], 0.0))
    yield "one per neuron | no outer", refusal(lambda: network([1.0], [1.0], [], 0.0))
    yield "it must be finite | offset", refusal(lambda: network([], [], [], math.inf))
    yield "hidden must be a vector | a matrix", refusal(lambda: network([[]], [], [], 0.0))
    bend = network([1.0], [0.0], [1.0], 0.0)
    yield "inputs has dtype complex128 | complex", refusal(lambda: bend.predict([1j]))
    yield "points must be a vector | two columns", refusal(lambda: stated(points, [1.0, 2.0]))
    yield "there are 2 points and 1 values | one", refusal(lambda: stated([0.0, 1.0], [1.0]))
    yield (
        "points 0 and 2 are both 1.0 and their values differ, 5.0 and 6.0 | twice",
        refusal(lambda: stated([1.0, 2.0, 1.0], [5.0, 7.0, 6.0])),
    )
    steep = "the slope between 1.0 and 2.0 leaves"
    yield f"{steep} | steep", refusal(lambda: stated([0, 1, 2], [0, 0, 2e300]))
    yield f"{steep} | falling", refusal(lambda: stated([0, 1, 2], [0, 0, -2e300]))
    for name, test in (("floats", np.ones(4)), ("a matrix", np.ones((2, 2), dtype=int))):
        made = refusal(lambda test=test: dataclasses.replace(solved(), test=test))
        yield f"test must be a vector of integers | {name}", made
    huge = np.array([0, 0, 0, 2**64 - 1], dtype=np.uint64)
    yield "which int64 does not | -1", refusal(lambda: dataclasses.replace(solved(), test=huge))


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    yield "zigzag", solved()
    yield "one point", solved([3.0], [1.0])
    yield "constant", solved([1.0, 1.0, 2.0], [5.0, 5.0, 5.0])
    yield "a line", solved([0.0, 3.0], [1.0, 2.0])
    yield "end slopes outweigh", solved([0.0, 1.0, 2.0], [0.0, 1.0, 3.0])
    yield "downwards", solved([0.0, 1.0, 2.0], [0.0, -1.0, -3.0])
    yield "a gap over nothing", law(lambda: interpolation._over(1.0, Fraction(0)) == np.inf)
    rng = np.random.default_rng(0)
    t, v = rng.standard_normal(30), rng.standard_normal(30)
    yield "any data", solved(t, v)
    yield "large and small", solved(t * 1e150, v * 1e-150)
    problem = so.MinimumNormInterpolant(*ZIGZAG)
    trained = network([2.0, -1.0], [0.1, 0.3], [1.0, 3.0], 0.0)
    yield "trained", build(problem, trained, np.array([1, 0, 1, 0]))
    flat = network([2.0, 0.0, 0.0, -3.0], [-2.0, -1.0, 0.5, 6.0], [1.0, 4.0, 3.0, -1.0], 0.0)
    yield "neurons that do not bend", build(problem, flat, np.array([1, 0, 1, 0]))
    yield (
        "a column of points",
        so.InterpolantCertificate(
            so.MinimumNormInterpolant(np.array([[0.0], [2.0], [1.0]]), [1.0, 0.0, 5.0]),
            *[getattr(solved([0.0, 2.0, 1.0], [1.0, 0.0, 5.0]), n) for n in _PARTS],
        ),
    )
    yield "values beyond the floats apart", solved([0.0, 1e10], [-1.7e308, 1.7e308])
    column = np.array([[0.0], [1.0]])
    yield "one column", law(lambda: stated(column, [1, 2]).points.tolist() == [0.0, 1.0])
    yield "slopes at the limit", law(lambda: stated([0, 1], [0, 9e299]).slopes == [Fraction(9e299)])
    yield (
        "points in any order",
        law(lambda: stated([2, 0, 1, 0], [5, 3, 4, 3]).values.tolist() == [3.0, 4.0, 5.0]),
    )
    yield "nothing", build(problem, network([], [], [], 0.0), np.zeros(4, dtype=int))
