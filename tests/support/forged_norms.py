"""Certificates of path-norms that must be refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from path_networks import (
    INF,
    Named,
    changed,
    dense,
    image,
    large,
    large_identity,
    long_sum,
    of,
    solved,
    wide,
)

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input
from sparseopt.networks.window import AxisMap, Resample
from sparseopt.pathnorm import exact, plain
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.powers import Powers


def forged_norms() -> Iterator[Named]:
    """Yield certificates of path-norms with one fault each."""
    network = dense(4, 5, 3)
    for name, problem in {
        "floats": so.PathNorm(network, 2, 2),
        "real-q": so.PathNorm(network, 1.5),
        "image": so.PathNorm(image(), 1, 1, "merged"),
        "large": so.PathNorm(large()),
        "r-below-one": so.PathNorm(network, 2, 0.3),
        "r-below-one-of-outputs-apart": so.PathNorm(wide(1.5, 8), 1, 0.3),
    }.items():
        good = solved(problem, "one_pass")
        for fault, certificate in faults_of_a_norm(good).items():
            yield f"norm-{name}-{fault}", certificate
    yield from norms_of_other_questions()
    yield from norms_beyond_floats()
    yield from exact_norms()
    yield from counts()


def norms_beyond_floats() -> Iterator[Named]:
    """Yield norms said to be 0 where powers leave the range of their exponents, or are lost."""
    lost = np.array([[2.0**-1074, 0.0]])
    for q in (2.0**40, 2.0**41 + 0.5, 2.0**51, 1e18):
        yield f"norm-0-beside-zero-{q:g}", of(so.PathNorm(chain((2,), Dense(lost)), q), 0.0, [-INF])
    one = (Dense(np.array([[2.0**-1040, 0.0]])), *(Dense(np.array([[2.0**520]])),) * 2)
    yield "norm-0-on-the-way-to-1", of(so.PathNorm(chain((2,), *one), 2.0**40), 0.0, [-INF])
    tiny = so.PathNorm(chain((1,), Dense(np.ones((1, 1)))), 1.0)
    object.__setattr__(tiny, "q", 0.0005)
    yield "norm-0-by-a-root-that-underflows", of(tiny, 0.0, [-INF])
    # Between the two maps numbers are denormal; the second one lifts them again.
    a, b = 1.21 * 2.0**-699, 1.2 * 2.0**-373
    maps = (
        AxisMap(0, np.array([[0], [1], [1]]), np.array([[b], [1.0], [b]]), np.ones(3, int)),
        AxisMap(1, np.array([[0]]), np.array([[2.0**299]]), np.ones(1, int)),
    )
    ends = Scale(np.array([[1.0], [a]])), Scale(np.array([[0.0], [0.0], [2.0**700]]))
    network = chain((2, 1), ends[0], Resample(maps), ends[1])
    exactly = Fraction(a) * Fraction(b) * 2**999
    found = float(exactly * Fraction(983, 1000))
    wrong = of(so.PathNorm(network, 0.999), found, [[[-INF]] * 2 + [[math.log10(found)]]])
    yield "norm-of-denormal-numbers-between-maps", wrong


def faults_of_a_norm(good: Any) -> dict[str, Any]:
    """Return a certificate with each field of its answer changed."""
    answer = good.answer
    logs = answer.per_output_log10
    one = np.where(np.arange(logs.size).reshape(logs.shape) == logs.size - 1, 1.0, 0.0)
    swapped = logs.ravel()[::-1].reshape(logs.shape)
    return {
        "value-up": changed(good, value=answer.value * (1 + 2e-9)),
        "value-down": changed(good, value=answer.value * (1 - 2e-9)),
        "value-inf": changed(good, value=INF),
        "value-nan": changed(good, value=math.nan),
        "value-0": changed(good, value=0.0),
        "log10-up": changed(good, log10=answer.log10 + 4.4e-10),
        "log10-down": changed(good, log10=answer.log10 - 4.4e-10),
        "log10-up-and-said": changed(good, log10=answer.log10 + 4.342e-4, tolerance=1e-3),
        "log10-nan": changed(good, log10=math.nan),
        "log10-minus-inf": changed(good, log10=-INF),
        "one-output-up": changed(good, per_output_log10=logs + 4.4e-10 * one),
        "one-output-down": changed(good, per_output_log10=logs - 4.4e-10 * one),
        "one-output-nan": changed(good, per_output_log10=np.where(one > 0, math.nan, logs)),
        "one-output-dead": changed(good, per_output_log10=np.where(one > 0, -INF, logs)),
        "outputs-swapped": changed(good, per_output_log10=swapped),
        "outputs-in-a-matrix": changed(good, per_output_log10=logs[None]),
        "one-log-for-all": changed(good, per_output_log10=logs.ravel()[:1]),
        "tolerance-0": changed(good, tolerance=0.0),
        "tolerance-negative": changed(good, tolerance=-1e-9),
        "tolerance-nan": changed(good, tolerance=math.nan),
        "tolerance-below-rounding": changed(good, tolerance=1e-17),
        "one-percent-off": changed(
            good,
            value=1.0099 * answer.value,
            log10=answer.log10 + math.log10(1.0099),
            per_output_log10=logs + math.log10(1.0099),
            tolerance=1e-3,
        ),
        "five-percent-off-and-said": changed(
            good,
            value=1.05 * answer.value,
            log10=answer.log10 + math.log10(1.05),
            per_output_log10=logs + math.log10(1.05),
            tolerance=0.1,
        ),
    }


def norms_of_other_questions() -> Iterator[Named]:
    """Yield true norms that are not those asked for."""
    network = dense(4, 5, 3)
    one, two = so.PathNorm(network), so.PathNorm(network, 2)
    yield "norm-of-another-q", so.PathNormCertificate(two, solved(one).answer)
    # With one output all r give one norm, so only the word is wrong.
    single = dense(4, 5, 1)
    answer = solved(so.PathNorm(single, 1, 1)).answer
    yield "norm-of-another-r", so.PathNormCertificate(so.PathNorm(single, 1, 2), answer)
    answer = solved(so.PathNorm(single, 1, 1, "as_is")).answer
    merged = so.PathNorm(single, 1, 1, "merged")
    yield "norm-of-another-affine", so.PathNormCertificate(merged, answer)
    # Weights of 1 make the norm for q the same for all q, so only the word is wrong.
    ones = chain((1,), Dense(np.ones((1, 1))))
    answer = dataclasses.replace(solved(so.PathNorm(ones, 2)).answer, q=3)
    yield "norm-says-another-q", so.PathNormCertificate(so.PathNorm(ones, 2), answer)
    dead = chain((2,), Dense(np.zeros((2, 2))))
    right = so.PathNormValue(0.0, -INF, np.array([-INF, -INF]), 2, 1, "as_is")
    for tolerance in (0.0, -1.0, 0.1):
        answer = dataclasses.replace(right, tolerance=tolerance)
        certificate = so.PathNormCertificate(so.PathNorm(dead, 2), answer)
        yield f"norm-of-a-dead-network-tolerance-{tolerance:g}", certificate
    for name, value, log10, logs in (
        ("value", 5e-324, -INF, [-INF, -INF]),
        ("log10", 0.0, -400.0, [-INF, -INF]),
        ("output", 0.0, -INF, [-INF, -400.0]),
    ):
        problem = so.PathNorm(dead, 2)
        answer = so.PathNormValue(value, log10, np.array(logs), 2, 1, "as_is")
        yield f"norm-of-a-dead-network-{name}", so.PathNormCertificate(problem, answer)
    beyond = chain((1,), *(Dense(np.array([[1e200]])) for _ in range(3)))
    good = solved(so.PathNorm(beyond))
    yield "norm-beyond-float64-finite", changed(good, value=1e308)
    small = chain((1,), *(Dense(np.array([[1e-107]])) for _ in range(3)))
    good = solved(so.PathNorm(small))
    yield "norm-denormal-value", changed(good, value=good.answer.value + 2.0**-1073)
    # What rounding leaves unknown is more than what is stated.
    problem = so.PathNorm(dense(4, 5, 3))
    sums = exact.power_sums(problem.network, 1, biases(problem.network))
    answer = problem.answer_from(Powers.of_fractions(sums), None, 1.2e-15)
    yield "norm-too-sharp-for-the-logarithm", so.PathNormCertificate(problem, answer)
    problem = so.PathNorm(long_sum(), 1.5)
    found = plain.power_sums(problem.network, 1.5, {})
    answer = problem.answer_from(found, None, 1.5 * problem.norms(found)[1].error)
    yield "norm-too-sharp-for-the-sums", so.PathNormCertificate(problem, answer)
    # Just below the normal floats a unit is all that a value may be off.
    weight = 0.75 * 2.0**-1022
    problem = so.PathNorm(chain((1,), Dense(np.full((1, 1), weight))))
    logs = math.log10(0.75) - 1022 * math.log10(2)
    yield "norm-just-denormal", of(problem, weight * (1 + 5e-10), [logs], log10=logs)
    # Beyond 2^46 roundings nothing is known about a sum of floats.
    power = so.PathNorm(chain((1,), Dense(np.ones((1, 1)))), 2**53 + 2)
    yield "norm-of-an-enormous-q", of(power, 1.0, [0.0])
    # Rounded, the two terms of a merged bias cancel; in truth 2^-60 is left.
    cancelling = chain(
        (1,),
        Dense(np.array([[0.0]]), np.array([1 + 2.0**-30])),
        Scale(np.array([1 - 2.0**-30]), np.array([-1.0])),
    )
    yield "norm-of-a-cancelled-bias", of(so.PathNorm(cancelling, 1, 1, "merged"), 0.0, [-INF])
    # A scale by channel has been merged into a convolution: one that varies over positions can
    # not follow it there.
    rng = np.random.default_rng(0)
    scales = chain(
        (2, 2, 2),
        Conv(rng.standard_normal((2, 2, 1, 1)), np.ones(2)),
        Scale(np.ones((2, 1, 1)), np.ones((2, 1, 1))),
        Scale(np.ones((2, 2, 2)), -np.ones((2, 2, 2))),
    )
    weights = np.abs(scales.nodes[1].op.weight).sum(axis=(1, 2, 3))  # type: ignore[union-attr]
    logs = np.broadcast_to(np.log10(weights + 1)[:, None, None], (2, 2, 2))
    too_far = of(so.PathNorm(scales, 1, 1, "merged"), float(4 * (weights + 1).sum()), logs)
    yield "norm-of-scales-merged-too-far", too_far
    # The biases' share is read by two, so the scale is not merged.
    nodes = (
        Node("x", Input((1,))),
        Node("a", Dense(np.ones((1, 1)), np.ones(1)), ("x",)),
        Node("b", Scale(np.array([-1.0]), np.ones(1)), ("a",)),
        Node("c", Add(), ("a", "b")),
    )
    problem = so.PathNorm(Network(nodes, "c"), 1, 1, "merged")
    yield "norm-of-a-scale-that-is-not-alone", of(problem, 3.0, [math.log10(3.0)])
    problem = so.PathNorm(
        Network((*nodes[:3], Node("c", Concat(0), ("b", "b"))), "a"), 1, 1, "merged"
    )
    yield "norm-of-the-output-merged-into-another", of(problem, 1.0, [0.0])


def exact_norms() -> Iterator[Named]:
    """Yield exact values that are wrong, or that nobody can compute again."""
    network = dense(3, 3, 2)
    problem = so.PathNorm(network, 2)
    good = solved(problem, "path_enumeration")
    powers = good.answer.exact_powers
    near = (powers[0] + Fraction(1, 10**40), *powers[1:])
    yield "exact-one-off", changed(good, exact_powers=near)
    yield "exact-too-few", changed(good, exact_powers=powers[:1])
    yield "exact-too-many", changed(good, exact_powers=(*powers, Fraction(0)))
    yield "exact-swapped", changed(good, exact_powers=powers[::-1])
    # Exact powers are only a word where q has none: these are those of q = 1.
    first = solved(so.PathNorm(network), "path_enumeration").answer.exact_powers
    real = so.PathNorm(network, 1.5)
    norms = [float(v) ** (1 / 1.5) for v in first]
    yield "exact-of-a-real-q", of(real, sum(norms), np.log10(norms), first)
    # True, but with more edges than the judge counts exactly.
    wires = so.PathNorm(large_identity())
    yield "exact-of-too-many-edges", of(wires, 2.0, [0.0, 0.0], (Fraction(1),) * 2)


def counts() -> Iterator[Named]:
    """Yield wrong numbers of paths, of a large network."""
    good = solved(so.PathNorm(large(5, 0.5), 0, INF), "one_pass")
    powers = good.answer.exact_powers
    smallest = min(range(5), key=powers.__getitem__)
    for name, value in (
        ("one-more", powers[smallest] + 1),
        ("one-less", powers[smallest] - 1),
        ("negative", -powers[smallest]),
        ("many-more", powers[smallest] + 2**20),
    ):
        wrong = (*powers[:smallest], value, *powers[smallest + 1 :])
        yield f"count-{name}", changed(good, exact_powers=wrong)
        if value > 0:
            answer = good.problem.answer_from(Powers.of_fractions(list(wrong)), wrong)
            yield f"count-{name}-throughout", dataclasses.replace(good, answer=answer)
    few = so.PathNorm(dense(3, 3, 2), 0)
    right = solved(few, "one_pass").answer.exact_powers
    yield "count-of-few-paths", of(few, 1.0, [0.0, 0.0], (right[0] + 1, *right[1:]))
    just = so.PathNorm(chain((1, 100, 100), Conv(np.ones((1, 1, 5, 5)), padding=((2, 2),) * 2)), 0)
    assert plain.edge_count(just.network) == exact.EDGES
    wrong = (Fraction(1),) * 10_000
    yield "count-of-just-few-enough-edges", of(just, 1.0, np.zeros((1, 100, 100)), wrong)
    yield "count-missing", changed(good, exact_powers=powers[:-1])
    yield "count-of-nothing", changed(good, exact_powers=())
    # A half has the numerator 1, the residue of the true count.
    wires = so.PathNorm(large_identity(), 0)
    half, one = Fraction(1, 2), Fraction(1)
    logs = np.log10([0.5, 0.5]), np.log10([0.5, 1.0])
    yield "count-of-halves", of(wires, 1.0, logs[0], (half, half))
    yield "count-of-one-half", of(wires, 1.5, logs[1], (half, one))
