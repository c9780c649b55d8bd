"""Forged certificates of optimal rescaling: what the core must refuse, and why.

The name of each is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from laws import law, refusal

import sparseopt as so

Pairs = Iterator[tuple[str, Any]]
build = so.RescalingCertificate.build

NORMS = np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 5.0]])


def solved(*args: Any) -> Any:
    return so.solve(so.OptimalRescaling(*args)).certificate


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    right = solved(NORMS, [1, 2], 1)
    changed = dataclasses.replace
    scalings, multipliers = right.answer.scalings, right.multipliers

    def with_scalings(value: Any) -> Any:
        return changed(right, answer=so.Scalings(value))

    yield "the answer is scalings | an array", changed(right, answer=scalings)
    yield "scalings have shape | a column less", with_scalings(scalings[:, :2])
    yield "scalings have shape | flat", with_scalings(scalings.ravel())
    yield "there is one multiplier for each | two", changed(right, multipliers=multipliers[:2])
    other = scalings.copy()
    other[:, 1] = 1.0
    yield "are 0 where a penalty vanishes | 1", with_scalings(other)
    yield (
        "are 0 where a penalty vanishes | a multiplier",
        changed(right, multipliers=multipliers + np.eye(3)[1]),
    )
    other = scalings.copy()
    other[:, 2] *= -1.0
    yield "are positive where no penalty vanishes | two signs", with_scalings(other)
    yield "are positive where no penalty vanishes | zeros", with_scalings(0.0 * scalings)
    yield (
        "are positive where no penalty vanishes | a multiplier",
        changed(right, multipliers=-multipliers),
    )
    yield (
        "are positive where no penalty vanishes | a multiplier of 0",
        changed(right, multipliers=multipliers * [1.0, 1.0, 0.0]),
    )
    yield (
        "multiply to 1, up to rounding | smaller by a millionth",
        with_scalings(scalings * (1.0 - 1e-6)),
    )
    other = scalings * np.array([[2.0], [0.5]])
    yield "the cost is at most | other scalings", with_scalings(other)
    yield (
        "the cost is at most | a little less",
        changed(right, primal=np.nextafter(right.primal, 0.0)),
    )
    yield "the cost is at most | infinity", changed(right, primal=math.inf)
    yield "the cost is at most | no number", changed(right, primal=math.nan)
    yield (
        "every rescaling costs at least | a little more",
        changed(right, dual=np.nextafter(right.dual, math.inf)),
    )
    yield (
        "every rescaling costs at least | other multipliers",
        changed(right, multipliers=2.0 * multipliers),
    )
    yield "every rescaling costs at least | no number", changed(right, dual=math.nan)
    unscaled = build(right.problem, np.where(scalings > 0, 1.0, 0.0), multipliers)
    yield "the gap is at most | less than it is", changed(unscaled, gap=0.9 * unscaled.gap)
    yield "the gap is at most | infinity", changed(unscaled, gap=math.inf)
    many = refusal(lambda: so.OptimalRescaling(np.ones(1001), 2, 1))
    yield "at most 1000 are taken | 1001", many
    yield "it must be positive | a weight of 0", refusal(lambda: so.OptimalRescaling([1.0], 1, 0.0))
    problem = so.OptimalRescaling([1e-300, 1e300], 1, 1)
    far = so.Scalings([1e-300, 1e300])
    lies = so.RescalingCertificate(problem, far, np.ones(1), 1e308, -1e308, 1e308)
    yield "the cost is at most | beyond floats", lies


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    right = solved(NORMS, [1, 2], 1)
    yield "components", right
    yield "two squares", solved([1.0, 16.0], 2, 0.5)
    yield "large and small", solved([1e300, 1e-300], 1, 1)
    yield "odd degrees", solved([1.0, 2.0, 3.0], [0.001, 1000, 3], [1e-10, 1, 1e10])
    yield "all vanish", solved([0.0, 0.0], 2, 1)
    yield "one factor", solved([4.0], 2, 1)
    ones = np.where(right.answer.scalings > 0, 1.0, 0.0)
    yield "unscaled", build(right.problem, ones, right.multipliers)
    yield "as many factors as are taken", law(lambda: so.OptimalRescaling(np.ones(1000), 2, 1))
    yield "any multipliers", build(right.problem, ones, np.array([1.0, 0.0, 10.0]))
