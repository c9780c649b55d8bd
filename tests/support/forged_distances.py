"""Distances of path-liftings, honest ones by each method, and forged ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from path_networks import (
    Named,
    changed,
    dense,
    halved,
    image,
    large,
    solved,
)

import sparseopt as so
from sparseopt.judging.rounding import UNIT
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.pathnorm import differences, path_distance


def distances() -> dict[str, Any]:
    """Return honest distances by each method, small and large."""
    small, big = dense(3, 4, 2), large()
    weight = small.parameters()["2:Dense.weight"]
    mixed = small.with_parameters({"2:Dense.weight": weight * np.array([[0.5, 2, 1, 1]] * 2)})
    weight = big.parameters()["2:Conv.weight"]
    spread = np.random.default_rng(0).uniform(0.5, 2, weight.shape)
    turned = big.with_parameters({"2:Conv.weight": weight * spread})
    turned_small = small.with_parameters(
        {"2:Dense.weight": small.parameters()["2:Dense.weight"] * np.array([[-0.5, 2, 1, -1]] * 2)}
    )
    tiny = big.with_parameters({"2:Conv.weight": weight * (1 + 2.0**-52)})
    return {
        "dominated": solved(
            so.PathDistance(small, halved(small, "2:Dense.weight")), "distance_passes"
        ),
        "two-pass": solved(so.PathDistance(small, mixed), "distance_passes"),
        "paths": solved(so.PathDistance(small, mixed), "distance_enumeration"),
        "across": solved(so.PathDistance(small, turned_small), "distance_three_passes"),
        "across-paths": solved(so.PathDistance(small, turned_small), "distance_enumeration"),
        "image": solved(so.PathDistance(image(), halved(image(), "e.weight")), "distance_passes"),
        "biases": solved(so.PathDistance(image(), halved(image(), "f.bias")), "distance_passes"),
        "large": solved(so.PathDistance(big, halved(big, "0:Conv.weight")), "distance_passes"),
        "large-two-pass": solved(so.PathDistance(big, turned), "distance_passes"),
        "large-last-bit": solved(so.PathDistance(big, tiny), "distance_passes"),
    }


def at_the_border(units: Fraction) -> Any:
    """Return a distance of which the stated value is off by 1e-9 less so many units of rounding.

    Floats lie two units apart, so it is tried with several distances until one fits.
    """
    tolerance, unit = Fraction(path_distance.TOLERANCE), Fraction(UNIT)
    for k in range(100):
        right = 1 + Fraction(k, 128)
        value = float(right * (1 + tolerance - units * unit))
        off = (Fraction(value) - right) / right
        if abs(off - (tolerance - units * unit)) < unit / 2:
            problem = so.PathDistance(single(2.0), single(2.0 + float(right)))
            answer = so.PathDistanceValue(value, "exact", True)
            return so.PathDistanceCertificate(problem, answer, "dominated")
    raise AssertionError("no float fits")


def single(weight: float) -> Network:
    """Return a network of one weight."""
    return chain((1,), Dense(np.full((1, 1), weight)))


def forged_distances() -> Iterator[Named]:
    """Yield distances with one fault each."""
    yield "distance-at-the-border-and-beyond", at_the_border(Fraction(7, 2))
    for name, good in distances().items():
        answer = good.answer
        yield (
            f"distance-{name}-value-down",
            changed(good, value=answer.value * (1 - 2e-9), exact=None),
        )
        if answer.kind == "exact":
            up = changed(good, value=answer.value * (1 + 2e-6), exact=None)
            yield f"distance-{name}-value-up", up
        if answer.kind == "upper bound":
            below = answer.value * (1 - 1e-10)
            yield f"distance-{name}-value-just-below", changed(good, value=below, exact=None)
            for share in (0.5 + 1e-10, 1.5):
                other = changed(good, value=share * answer.value, exact=None)
                yield f"distance-{name}-value-times-{share}", other
        yield f"distance-{name}-value-0", changed(good, value=0.0, exact=None)
        yield (
            f"distance-{name}-exact",
            changed(good, exact=Fraction(answer.value) * (1 + Fraction(1, 10**30))),
        )
        yield f"distance-{name}-signs", changed(good, same_signs=not answer.same_signs)
        if answer.outputs is not None:
            less = answer.outputs * (1 - 1e-9)
            yield f"distance-{name}-outputs-down", changed(good, outputs=less)
            for share in (0.5 + 1e-10, 1.5):
                other = changed(good, outputs=share * answer.outputs)
                yield f"distance-{name}-outputs-times-{share}", other
            yield f"distance-{name}-outputs-without-end", changed(good, outputs=math.inf)
        yield f"distance-{name}-method", changed(good, {"method": "magic"})
        other = "exact" if answer.kind == "upper bound" else "upper bound"
        yield f"distance-{name}-kind", changed(good, kind=other)
    small = dense(3, 4, 2)
    weight = small.parameters()["2:Dense.weight"]
    flipped = so.PathDistance(small, small.with_parameters({"2:Dense.weight": -weight}))
    nothing = so.PathDistanceValue(0.0, "upper bound", False)
    # The difference of the two norms is 0, the distance is not.
    yield "distance-two-pass-across-signs", so.PathDistanceCertificate(flipped, nothing, "two_pass")
    zero = so.PathDistanceValue(0.0, "exact", False)
    yield "distance-dominated-across-signs", so.PathDistanceCertificate(flipped, zero, "dominated")
    two = distances()["two-pass"]
    called_exact = changed(two, {"method": "dominated"}, kind="exact")
    yield "distance-dominated-without-dominance", called_exact
    right = solved(flipped, "distance_enumeration")
    yield "distance-says-same-signs", changed(right, same_signs=True)
    many = dense(60, 60, 60, 60)
    other = halved(many, "0:Dense.weight")
    value = so.PathDistanceValue(distance_of(many, other), "exact", True)
    yield (
        "distance-of-too-many-paths",
        so.PathDistanceCertificate(so.PathDistance(many, other), value, "enumeration"),
    )
    big = distances()["large-two-pass"]
    found = differences.difference(big.problem.network, big.problem.other)
    yield "distance-not-raised", changed(big, value=found.as_float())
    apart = differences.difference(big.problem.network, big.problem.other, apart=True)
    yield "distance-outputs-not-raised", changed(big, outputs=apart.as_float())
    big = distances()["large"]
    found = differences.difference(big.problem.network, big.problem.other)
    off = found.as_fraction() * (1 + Fraction(1e-9) - Fraction(3, 2) * Fraction(found.error))
    yield "distance-off-by-what-rounding-hides", changed(big, value=float(off))
    yield "distance-exact-of-a-large-network", changed(big, exact=Fraction(big.answer.value))


def distance_of(network: Network, other: Network) -> float:
    """Return the distance of two settings of which one dominates the other."""
    return float(solved(so.PathDistance(network, other), "distance_passes").answer.value)
