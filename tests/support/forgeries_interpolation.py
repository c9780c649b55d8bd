"""Forged certificates of interpolating networks: what the core must refuse, and why.

The name of each is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import sparseopt as so

Pairs = Iterator[tuple[str, Any]]
build = so.InterpolantCertificate.build
network = so.InterpolatingNetwork

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
    yield "it weighs more than the least by at most | below 0", changed(right, gap=-1.0)
    more = float(np.nextafter(right.dual, math.inf))
    yield "every network weighs at least | more by the last bit", changed(right, dual=more)
    yield "every network weighs at least | no number", changed(right, dual=math.nan)
    yield "every network weighs at least | infinity", changed(right, dual=math.inf)
    heavier = network(parts[0], parts[1], 2.0 * parts[2], right.answer.offset)
    yield "the network weighs at most | twice", changed(right, answer=heavier)
    turned = network(-parts[0], -parts[1], parts[2], right.answer.offset)
    yield "it misses values by at most | opened to the other side", changed(right, answer=turned)
    moved = network(*parts, right.answer.offset + 1e-9)
    yield "it misses values by at most | another offset", changed(right, answer=moved)


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    yield "zigzag", solved()
    yield "one point", solved([3.0], [1.0])
    yield "constant", solved([1.0, 1.0, 2.0], [5.0, 5.0, 5.0])
    yield "a line", solved([0.0, 3.0], [1.0, 2.0])
    yield "end slopes outweigh", solved([0.0, 1.0, 2.0], [0.0, 1.0, 3.0])
    yield "downwards", solved([0.0, 1.0, 2.0], [0.0, -1.0, -3.0])
    rng = np.random.default_rng(0)
    t, v = rng.standard_normal(30), rng.standard_normal(30)
    yield "any data", solved(t, v)
    yield "large and small", solved(t * 1e150, v * 1e-150)
    problem = so.MinimumNormInterpolant(*ZIGZAG)
    trained = network([2.0, -1.0], [0.1, 0.3], [1.0, 3.0], 0.0)
    yield "trained", build(problem, trained, np.array([1, 0, 1, 0]))
    yield "nothing", build(problem, network([], [], [], 0.0), np.zeros(4, dtype=int))
