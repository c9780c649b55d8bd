"""Certificates of path quantities that must be refused, and some that must be accepted.

Every condition of the judge has a forged certificate here that only it stops: with that condition
taken out, the certificate would be accepted. The names say what is wrong.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import path_statements
from forged_bounds import bounds, forged_bounds, sharp_bounds
from forged_costs import costs, forged_costs, honest_costs
from forged_distances import at_the_border, distances, forged_distances
from forged_norms import forged_norms
from laws import law
from path_networks import (
    INF,
    Named,
    by_spectrum,
    changed,
    dense,
    edited,
    image,
    large,
    large_identity,
    long_sum,
    of,
    solved,
    wide,
)

import sparseopt as so
from sparseopt.judging.rounding import UNIT, below
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu, Reshape
from sparseopt.networks.window import AxisMap, Resample
from sparseopt.pathnorm import differences, path_norm, plain
from sparseopt.pathnorm.powers import Powers


def odd_types() -> Iterator[Named]:
    """Yield files that say what is true with a boolean or a text in place of a number."""
    ones = chain((1,), Dense(np.ones((1, 1))))
    norm = of(so.PathNorm(ones), 1.0, [0.0], (Fraction(1),))
    flags = {"$array": {"dtype": "|b1", "shape": [1], "values": [False]}}
    for kind, path, value in (
        ("truth", "value", True),
        ("text", "value", "1.0"),
        ("truth", "log10", False),
        ("complex", "tolerance", {"$complex": [1e-9, 0.0]}),
        ("truth", "per_output_log10", flags),
        ("truth", "exact_powers", {"$tuple": [True]}),
        ("float", "exact_powers", {"$tuple": [1.0]}),
    ):
        yield f"odd-norm-{path}-{kind}", edited(norm, ("answer", path), value)
    bound = by_spectrum(so.LipschitzBound(ones, 2, 2), 1.0, np.ones(1))
    truth = {"$array": {"dtype": "|b1", "shape": [1], "values": [True]}}
    yield "odd-bound-weights", edited(bound, ("weights",), truth)
    rows = solved(so.LipschitzBound(ones))
    yield "odd-bound-value", edited(rows, ("answer", "value"), True)
    problem = so.PathDistance(ones, chain((1,), Dense(np.full((1, 1), 2.0))))
    distance = solved(problem, "distance_passes")
    for path, value in (("value", True), ("exact", 1.0), ("exact", True), ("same_signs", 1)):
        yield f"odd-distance-{path}-{value}", edited(distance, ("answer", path), value)
    yield "odd-distance-infinite", edited(distance, ("answer", "value"), {"$float": "inf"})
    cost = solved(so.PathCost(ones))
    shares = {"0:Dense.weight": {"$array": {"dtype": "|b1", "shape": [1, 1], "values": [True]}}}
    yield "odd-cost-shares", edited(cost, ("answer", "shares"), shares)


def odd_classes() -> Iterator[Named]:
    """Yield what is true with an answer of a class that derives from the right one."""
    for good in (
        solved(so.PathNorm(image()), "one_pass"),
        bounds()["bound-large"],
        distances()["two-pass"],
        costs()["small"],
    ):
        kind = type(good.answer)
        other = object.__new__(type("Other", (kind,), {}))
        other.__dict__.update(good.answer.__dict__)
        yield f"derived-from-{kind.__name__}", dataclasses.replace(good, answer=other)


def forged() -> Iterator[Named]:
    """Yield (name, entry) of what must be refused.

    An entry is a certificate, the JSON text of one, or a function that returns a `Check`.
    """
    yield from forged_norms()
    yield from forged_bounds()
    yield from forged_distances()
    yield from forged_costs()
    end = at_the_very_end()
    beyond = math.nextafter(end.answer.value, INF)
    yield "norm-beyond-the-very-end", changed(end, value=beyond)
    yield from odd_types()
    yield from odd_classes()
    yield from path_statements.refused()


def honest() -> Iterator[Named]:
    """Yield (name, entry) of what must be accepted."""
    for q in (0, 0.5, 1, 1.5, 2, 5, INF):
        for affine in ("as_is", "merged"):
            problem = so.PathNorm(image(), q, 2, affine)
            yield f"norm-image-{q}-{affine}", solved(problem, "one_pass")
    yield "norm-of-least-q", solved(so.PathNorm(dense(3, 3, 2), 0.001), "one_pass")
    yield "norm-of-a-bias-alone", solved(so.PathNorm(biased(), 3), "one_pass")
    yield "norm-exact", solved(so.PathNorm(dense(3, 3, 2), 2), "path_enumeration")
    for name, network in (("", dense(4, 5, 3)), ("-of-outputs-apart", wide(1.5, 8))):
        yield f"norm-r-below-one{name}", solved(so.PathNorm(network, 2, 0.3), "one_pass")
    yield "norm-large", solved(so.PathNorm(large()), "one_pass")
    yield "norm-float32", solved(so.PathNorm(image()), "one_pass", dtype="float32")
    good = solved(so.PathNorm(image()), "one_pass")
    for sign in (1, -1):
        off = {"value": good.answer.value * (1 + 0.99e-9 * sign)}
        off["log10"] = good.answer.log10 + 4.3e-10 * sign
        off["per_output_log10"] = good.answer.per_output_log10 - 4.3e-10 * sign
        yield f"norm-off-by-what-it-says-{sign}", changed(good, **off)
    yield "norm-to-a-thousandth", changed(good, tolerance=1e-3)
    small = chain((1,), *(Dense(np.array([[1e-107]])) for _ in range(3)))
    good = solved(so.PathNorm(small), "one_pass")
    yield "norm-denormal", good
    yield "norm-denormal-one-unit-off", changed(good, value=good.answer.value + 5e-324)
    least = of(so.PathNorm(chain((1,), Dense(np.full((1, 1), 2.0**-1022)))), 2.0**-1022, [LEAST])
    yield "norm-smallest-normal", changed(least, value=2.0**-1022 + 3 * 5e-324)
    # What is stated is as much as rounding leaves unknown, and no more.
    problem = so.PathNorm(long_sum(), 1.5)
    found = plain.power_sums(problem.network, 1.5, {})
    answer = problem.answer_from(found, None, 2.3 * problem.norms(found)[1].error)
    yield "norm-as-sharp-as-it-goes", so.PathNormCertificate(problem, answer)
    yield "norm-at-the-very-end", at_the_very_end()
    yield from honest_at_the_ends_of_float64()
    yield from path_statements.held()
    yield "count-large", solved(so.PathNorm(large(5, 0.5), 0), "one_pass")
    yield "count-one-each", solved(so.PathNorm(large_identity(), 0), "one_pass")
    yield from bounds().items()
    yield from sharp_bounds()
    ones = so.LipschitzBound(chain((2,), Dense(np.ones((2, 2)))), 2, 2)
    yield "bound-by-the-spectrum", by_spectrum(ones, 2.0, np.array([1.0, 1.0]))
    yield "bound-of-a-dead-network", solved(so.LipschitzBound(chain((2,), Dense(np.zeros((1, 2))))))
    for name, good in distances().items():
        yield f"distance-{name}", good
        yield f"distance-{name}-without-exact", changed(good, exact=None)
    one_apart = so.PathDistance(
        *(chain((1,), Dense(np.full((1, 1), weight))) for weight in (1.0, 2.0))
    )
    answer = so.PathDistanceValue(1 + 2.0**-20, "upper bound", True)
    at_the_end = so.PathDistanceCertificate(one_apart, answer, "two_pass")
    yield "distance-at-the-very-end", at_the_end
    good = distances()["large"]
    found = differences.difference(good.problem.network, good.problem.other)
    off = found.as_fraction() * (1 + Fraction(1e-9) - Fraction(5, 2) * Fraction(found.error))
    yield "distance-off-by-what-it-says", changed(good, value=float(off))
    yield "distance-at-the-border", at_the_border(Fraction(9, 2))
    same = so.PathDistance(dense(2, 2), dense(2, 2))
    yield "distance-none", solved(same, "distance_passes")
    little = so.PathDistance(
        *(chain((1,), Dense(np.full((1, 1), weight))) for weight in (0.25, 0.125))
    )
    yield "distance-below-one", solved(little, "distance_passes")
    yield "distance-below-all-floats", faint()
    whole = chain((2,), Dense(np.array([[1.0, -2.0], [3.0, 4.0]])), Dense(np.array([[2.0, 1.0]])))
    other = whole.with_parameters({"0:Dense.weight": np.array([[2.0, -1.0], [3.0, 4.0]])})
    yield "distance-whole", solved(so.PathDistance(whole, other), "distance_passes")
    yield from ((f"cost-{name}", good) for name, good in costs().items())
    yield from honest_costs()


def faint() -> Any:
    """Return a distance of 2^-1081, and one of all outputs, raised to the least float above."""
    last = Dense(np.full((1, 1), 2.0**-540))
    one, two = (chain((1,), Dense(np.full((1, 1), 2.0**-k)), last) for k in (540, 541))
    answer = so.PathDistanceValue(5e-324, "upper bound", True, outputs=5e-324)
    return so.PathDistanceCertificate(so.PathDistance(one, two), answer, "two_pass")


LEAST = -1022 * math.log10(2)


def biased() -> so.Network:
    """Return a network with a layer that adds biases and scales by nothing."""
    return chain((2,), Dense(np.eye(2)), Scale(None, np.array([0.5, 3.0])), Relu())


def at_the_very_end() -> Any:
    """Return a value of 1 + t for a norm of 1 where t is all that is allowed, to the last bit."""
    problem = so.PathNorm(chain((1,), Dense(np.ones((1, 1)))))
    error = problem.norms(Powers.of_fractions([Fraction(1)]))[1].error
    allowed = tolerance = 2.0**-11
    while below(tolerance, 2) - 2 * error - 4 * UNIT < allowed:
        tolerance = math.nextafter(tolerance, 1.0)
    assert below(tolerance, 2) - 2 * error - 4 * UNIT == allowed
    return of(problem, 1.0 + allowed, [0.0], tolerance=tolerance, log10=0.0)


def _is_refused(zero: Powers) -> bool:
    """Whether neither the logarithm nor the value of a zero is accepted."""
    beyond = path_norm._beyond(np.array([-math.inf]), zero, 1e-9) == math.inf
    return beyond and not path_norm._is_value(0.0, zero, 1e-9)


def honest_at_the_ends_of_float64() -> Iterator[Named]:
    """Yield certificates for which float64 alone does not suffice."""
    for q in (0.5, 1, 3, INF):
        yield f"norm-of-outputs-apart-{q}", solved(so.PathNorm(wide(), q, INF), "one_pass")
    for q in (0.5, 1, 4, 2.5, INF):
        for scale in (1e-3, 1e3):
            deep = dense(*[4] * 150, scale=scale)
            yield f"norm-of-depth-150-{q}-{scale:g}", solved(so.PathNorm(deep, q), "one_pass")
    for scale in (1e-3, 1e3):
        costs = solved(so.PathCost(dense(*[4] * 120, scale=scale)), "path_costs")
        yield f"cost-of-depth-120-{scale:g}", costs
    beyond = chain((1,), *(Dense(np.array([[1e200]])) for _ in range(3)))
    yield "norm-beyond-float64", solved(so.PathNorm(beyond), "one_pass")
    yield "zero-that-nobody-has-bounded", law(lambda: _is_refused(Powers.of(np.zeros(1))))
    dead = chain((2,), Dense(np.zeros((3, 2))), Relu(), Dense(np.zeros((1, 3)), np.zeros(1)))
    for q in (0, 0.5, 1, INF):
        yield f"norm-of-a-dead-network-{q}", solved(so.PathNorm(dead, q), "one_pass")
    # Averages whose coefficients leave the range of float64 together.
    huge = tuple(
        AxisMap(axis, np.array([[0, 1]]), np.full((1, 2), 1e90), np.ones(1, dtype=int))
        for axis in range(4)
    )
    steep = chain((2, 2, 2, 2), Resample(huge), Reshape((1,)))
    yield "norm-of-huge-averages", solved(so.PathNorm(steep, 1.5), "one_pass")
    fractions = np.array([[Fraction(10) ** 400, Fraction(1, 10**400)], [Fraction(1, 3), 0]], object)
    apart = chain((2,), Dense(fractions))
    yield "norm-of-fractions-apart", solved(so.PathNorm(apart, 1.5), "one_pass")
    yield "bound-of-fractions-apart", solved(so.LipschitzBound(apart, 3, 3), "lipschitz_passes")
