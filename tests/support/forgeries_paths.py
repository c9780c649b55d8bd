"""Certificates of path quantities that must be refused, and some that must be accepted.

Every condition of the judge has a forged certificate here that only it stops: with that condition
taken out, the certificate would be accepted. The names say what is wrong.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.network import (
    Add,
    AxisMap,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Input,
    MaxPool,
    Network,
    Node,
    Permute,
    RankPool,
    Relu,
    Resample,
    Reshape,
    Scale,
    Select,
    chain,
)
from sparseopt.network.cells import average_map, max_window, pool_positions, total_map
from sparseopt.pathlifting import differences, exact, lipschitz, plain
from sparseopt.pathlifting.powers import Powers
from sparseopt.rounding import float_above

Named = tuple[str, Any]
INF = math.inf


def dense(*sizes: int, seed: int = 0, scale: float = 1.0) -> Network:
    """Return a ReLU network with biases."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [Dense(scale * rng.standard_normal((b, a)), rng.standard_normal(b)), Relu()]
    return chain((sizes[0],), *layers[:-1])


def image() -> Network:
    """Return a network with nearly every kind of layer, all of them with something to get wrong."""
    rng = np.random.default_rng(3)
    draw = rng.standard_normal
    mean = Resample(
        (average_map(1, pool_positions(4, 3, 1, (1, 1)), 4, None), total_map(2, 5, True))
    )
    windows = tuple(max_window(a, pool_positions(n, 2, 2, (0, 1)), n) for a, n in ((1, 7), (2, 9)))
    nodes = [
        Node("x", Input((2, 7, 9))),
        Node("a", Conv(draw((4, 1, 3, 2)), draw(4), (1, 1), ((1, 1), (0, 1)), (), 2), ("x",)),
        Node("b", Scale(draw((4, 1, 1)), draw((4, 1, 1))), ("a",)),
        Node("c", Relu(), ("b",)),
        Node("d", MaxPool(windows), ("c",)),
        Node("e", Conv(draw((4, 4, 3, 3)), None, (2, 1), ((1, 2), (2, 0)), (1, 1)), ("d",)),
        Node(
            "f", ConvTranspose(draw((4, 2, 2, 2)), draw(4), (2, 1), ((1, 1), (1, 0)), (), 2), ("e",)
        ),
        Node("g", Add(), ("f", "d", "d")),
        Node("h", Concat(0), ("g", "d")),
        Node("i", Permute((2, 1, 0)), ("h",)),
        Node("j", Select(np.random.default_rng(1).integers(-1, 160, size=(3, 4, 5))), ("i",)),
        Node("k", mean, ("j",)),
        Node("l", RankPool(0, 2), ("k",)),
        Node("m", Reshape((4,)), ("l",)),
        Node("n", Dense(draw((3, 4)), draw(3)), ("m",)),
    ]
    return Network(tuple(nodes), "n")


def large(seed: int = 0, share: float = 1.0) -> Network:
    """Return a small file with more edges than are added up exactly; some weights are zero."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape) * (rng.random(shape) < share)

    around = ((1, 1), (1, 1))
    mean = Resample((total_map(1, 32, True), total_map(2, 32, False)))
    return chain(
        (3, 32, 32),
        Conv(draw(8, 3, 3, 3), draw(8), padding=around),
        Relu(),
        Conv(draw(8, 8, 3, 3), draw(8), padding=around),
        Relu(),
        mean,
        Reshape((8,)),
        Dense(draw(5, 8), draw(5)),
    )


def large_identity() -> Network:
    """Return such a network in which exactly one path of weight 1 leads to each output."""
    kernel = np.zeros((4, 1, 3, 3))
    kernel[:, :, 1, 1] = 1.0
    around = ((1, 1), (1, 1))
    wires = Conv(kernel, None, padding=around, groups=4)
    return chain((4, 100, 100), wires, Select(np.array([5, 20_000])))


def wide(spread: float = 1e250, layers: int = 8) -> Network:
    """Return a network whose two outputs lie hundreds of decades apart."""
    weight = np.array([[1.0 / spread, 0.0], [0.0, spread]])
    return chain((2,), *(Dense(weight) for _ in range(layers)))


def solved(problem: Any, solver: str | None = None, **options: Any) -> Any:
    """Return the certificate of an engine, unchecked."""
    return so.solve(problem, solver=solver, check=False, **options).certificate


def changed(certificate: Any, evidence: dict[str, Any] | None = None, **fields: Any) -> Any:
    """Return the certificate with other fields of its answer, and other evidence."""
    answer = dataclasses.replace(certificate.answer, **fields)
    return dataclasses.replace(certificate, answer=answer, **(evidence or {}))


def of(problem: Any, norm: float, logs: Any, powers: Any = None, **fields: Any) -> Any:
    """Return a certificate that states a norm."""
    log10 = math.log10(norm) if norm > 0 else -INF
    answer = so.PathNormValue(
        norm, log10, np.asarray(logs), problem.q, problem.r, problem.affine, powers, **fields
    )
    return so.PathNormCertificate(problem, answer)


# Norms --------------------------------------------------------------------------------------


def forged_norms() -> Iterator[Named]:
    """Yield certificates of path-norms with one fault each."""
    network = dense(4, 5, 3)
    for name, problem in {
        "floats": so.PathNorm(network, 2, 2),
        "real-q": so.PathNorm(network, 1.5),
        "image": so.PathNorm(image(), 1, 1, "merged"),
        "large": so.PathNorm(large()),
    }.items():
        good = solved(problem, "one_pass")
        for fault, certificate in faults_of_a_norm(good).items():
            yield f"norm-{name}-{fault}", certificate
    yield from norms_of_other_questions()
    yield from exact_norms()
    yield from counts()


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
    sums = exact.power_sums(problem.network, 1, plain.biases(problem.network))
    answer = problem.answer_from(Powers.of_fractions(sums), None, 1.2e-15)
    yield "norm-too-sharp-for-the-logarithm", so.PathNormCertificate(problem, answer)
    problem = so.PathNorm(large())
    found = plain.power_sums(problem.network, 1, plain.biases(problem.network))
    answer = problem.answer_from(found, None, 1.5 * problem.norms(found)[1].error)
    yield "norm-too-sharp-for-the-sums", so.PathNormCertificate(problem, answer)
    # Beyond 2^51 roundings nothing is known about a sum of floats.
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
    yield "count-missing", changed(good, exact_powers=powers[:-1])
    yield "count-of-nothing", changed(good, exact_powers=())
    # A half has the numerator 1, the residue of the true count.
    wires = so.PathNorm(large_identity(), 0)
    half, one = Fraction(1, 2), Fraction(1)
    logs = np.log10([0.5, 0.5]), np.log10([0.5, 1.0])
    yield "count-of-halves", of(wires, 1.0, logs[0], (half, half))
    yield "count-of-one-half", of(wires, 1.5, logs[1], (half, one))


# Lipschitz bounds ---------------------------------------------------------------------------

PAIRS = ((INF, 1), (INF, INF), (INF, 3), (2, 2), (1, 1), (1, INF), (2, 1), (3, 1.5), (3, 3))


def bounds() -> dict[str, Any]:
    """Return honest bounds, one by each method."""
    found = {}
    for network in (dense(3, 4, 2), image()):
        for p_in, p_out in PAIRS:
            problem = so.LipschitzBound(network, p_in, p_out)
            for solver in ("lipschitz_passes", "lipschitz_table"):
                if solver == "lipschitz_table" and "table" not in problem.methods():
                    continue
                good = solved(problem, solver)
                name = f"bound-{len(network.nodes)}-{p_in:g}-{p_out:g}-{good.answer.method}"
                found[name] = good
    found["bound-large"] = solved(so.LipschitzBound(large()), "lipschitz_passes")
    return found


def forged_bounds() -> Iterator[Named]:
    """Yield Lipschitz bounds with one fault each."""
    for name, good in bounds().items():
        answer = good.answer
        yield f"{name}-value-down", changed(good, value=answer.value * (1 - 1e-10))
        yield f"{name}-log10-down", changed(good, log10=answer.log10 - 1e-10)
        yield from just_below(name, good)
        yield f"{name}-value-inf", changed(good, value=INF)
        yield f"{name}-value-nan", changed(good, value=math.nan)
        yield f"{name}-value-far-up", changed(good, value=answer.value * 2)
        yield f"{name}-log10-far-up", changed(good, log10=answer.log10 + 1.0)
        yield f"{name}-log10-nan", changed(good, log10=math.nan)
    network = chain((2,), Dense(np.array([[1.0, 1.0], [1.0, 1.0]])))
    yield from bounds_by_wrong_methods(network)
    spectral = by_spectrum(so.LipschitzBound(network, 2, 2), 2.0, np.ones(2))
    for name, weights in (
        ("of-both-signs", [1.0, -1.0]),
        ("with-a-zero", [1.0, 0.0]),
        ("with-inf", [1.0, INF]),
        ("with-nan", [1.0, math.nan]),
    ):
        for value, log10 in ((0.0, -INF), (spectral.answer.value, spectral.answer.log10)):
            evidence = {"weights": np.array(weights)}
            yield (
                f"bound-weights-{name}-{value:g}",
                changed(spectral, evidence, value=value, log10=log10),
            )
    yield "bound-weights-missing", changed(spectral, {"weights": None})
    # One weight would serve both inputs of a layer that takes any shape.
    scale = so.LipschitzBound(chain((2,), Scale(np.ones(2))), 2, 2)
    yield "bound-weights-too-few", by_spectrum(scale, 1.0, np.ones(1))
    dead = solved(so.LipschitzBound(chain((2,), Dense(np.zeros((1, 2))))))
    yield "bound-of-a-dead-network-log10", changed(dead, log10=-400.0)
    yield "bound-of-a-dead-network-value", changed(dead, value=1.0)


def just_below(name: str, good: Any) -> Iterator[Named]:
    """Yield a bound as it comes out of float64, not raised by what rounding may have taken."""
    problem, method = good.problem, good.answer.method
    if method == "rows" and problem.p_out in (1, INF) and len(problem.network.nodes) != 8:
        sums = exact.power_sums(problem.network, 1, {})
        bound = max(sums) if problem.p_out == INF else sum(sums, start=Fraction(0))
        right, least = Powers.of_fractions([bound]), float_above(bound)
    else:
        right = lipschitz.proven_bound(problem, method, good.weights)
        least = float_above(lipschitz.raised(right))
    log10 = right.log10().item() + 0.5 * right.log10_error().item()
    yield f"{name}-value-just-below", changed(good, value=math.nextafter(least, 0.0))
    yield f"{name}-log10-just-below", changed(good, log10=log10)


def by_spectrum(problem: Any, value: float, weights: Any) -> Any:
    """Return a certificate of a bound by the method ``spectral``."""
    log10 = math.log10(value) + 1e-12
    answer = so.LipschitzValue(value * (1 + 1e-12), log10, 2, 2, "spectral")
    return so.LipschitzCertificate(problem, answer, weights)


def bounds_by_wrong_methods(network: Network) -> Iterator[Named]:
    """Yield bounds by methods that do not apply to the norms asked."""
    for method, p_in, p_out, value in (
        ("magic", INF, 1, 2.0),
        ("interpolated", INF, 1, 2.0),
        ("spectral", INF, 1, 2.0),
        ("columns", INF, INF, 4.0),
    ):
        answer = so.LipschitzValue(
            value * (1 + 1e-12), math.log10(value) + 1e-12, p_in, p_out, method
        )
        problem = so.LipschitzBound(network, p_in, p_out)
        yield f"bound-by-{method}", so.LipschitzCertificate(problem, answer, np.ones(2))
    good = solved(so.LipschitzBound(network, INF, 1))
    # For one output all norms of it are one, so only the word is wrong.
    single = chain((2,), Dense(np.ones((1, 2))))
    answer = solved(so.LipschitzBound(single, INF, 1)).answer
    yield (
        "bound-of-another-p-out",
        so.LipschitzCertificate(so.LipschitzBound(single, INF, 2), answer),
    )
    yield "bound-says-another-p-in", changed(good, p_in=2)


# Distances ----------------------------------------------------------------------------------


def halved(network: Network, name: str) -> Network:
    """Return the network with half of some weights."""
    return network.with_parameters({name: network.parameters()[name] / 2})


def distances() -> dict[str, Any]:
    """Return honest distances by each method, small and large."""
    small, big = dense(3, 4, 2), large()
    weight = small.parameters()["2:Dense.weight"]
    mixed = small.with_parameters({"2:Dense.weight": weight * np.array([[0.5, 2, 1, 1]] * 2)})
    weight = big.parameters()["2:Conv.weight"]
    spread = np.random.default_rng(0).uniform(0.5, 2, weight.shape)
    turned = big.with_parameters({"2:Conv.weight": weight * spread})
    tiny = big.with_parameters({"2:Conv.weight": weight * (1 + 2.0**-52)})
    return {
        "dominated": solved(
            so.PathDistance(small, halved(small, "2:Dense.weight")), "distance_passes"
        ),
        "two-pass": solved(so.PathDistance(small, mixed), "distance_passes"),
        "paths": solved(so.PathDistance(small, mixed), "distance_enumeration"),
        "image": solved(so.PathDistance(image(), halved(image(), "e.weight")), "distance_passes"),
        "biases": solved(so.PathDistance(image(), halved(image(), "f.bias")), "distance_passes"),
        "large": solved(so.PathDistance(big, halved(big, "0:Conv.weight")), "distance_passes"),
        "large-two-pass": solved(so.PathDistance(big, turned), "distance_passes"),
        "large-last-bit": solved(so.PathDistance(big, tiny), "distance_passes"),
    }


def forged_distances() -> Iterator[Named]:
    """Yield distances with one fault each."""
    for name, good in distances().items():
        answer = good.answer
        yield (
            f"distance-{name}-value-down",
            changed(good, value=answer.value * (1 - 2e-9), exact=None),
        )
        yield (
            f"distance-{name}-value-up",
            changed(good, value=answer.value * (1 + 2e-6), exact=None),
        )
        if answer.kind == "upper bound":
            below = answer.value * (1 - 1e-10)
            yield f"distance-{name}-value-just-below", changed(good, value=below, exact=None)
        yield f"distance-{name}-value-0", changed(good, value=0.0, exact=None)
        yield (
            f"distance-{name}-exact",
            changed(good, exact=Fraction(answer.value) * (1 + Fraction(1, 10**30))),
        )
        yield f"distance-{name}-signs", changed(good, same_signs=False)
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
    big = distances()["large"]
    found = differences.difference(big.problem.network, big.problem.other)
    off = found.as_fraction() * (1 + Fraction(1e-9) - Fraction(3, 2) * Fraction(found.error))
    yield "distance-off-by-what-rounding-hides", changed(big, value=float(off))
    yield "distance-exact-of-a-large-network", changed(big, exact=Fraction(big.answer.value))


def distance_of(network: Network, other: Network) -> float:
    """Return the distance of two settings of which one dominates the other."""
    return float(solved(so.PathDistance(network, other), "distance_passes").answer.value)


# Costs --------------------------------------------------------------------------------------


def costs() -> dict[str, Any]:
    """Return honest costs."""
    kernel = np.random.default_rng(1).standard_normal((2, 1, 3, 3))
    small = chain((1, 4, 4), Conv(kernel), Relu(), Reshape((8,)), Dense(np.ones((2, 8))))
    return {
        "small": solved(so.PathCost(small), "path_costs"),
        "image": solved(so.PathCost(image()), "path_costs"),
        "dense": solved(so.PathCost(dense(30, 40, 50, 20)), "path_costs"),
    }


def forged_costs() -> Iterator[Named]:
    """Yield path costs with one fault each."""
    for name, good in costs().items():
        shares = good.answer.shares
        key = max(shares, key=lambda k: shares[k].size)
        largest = np.unravel_index(np.argmax(shares[key]), shares[key].shape)
        positive = np.where(shares[key] > 0, shares[key], INF)
        smallest = np.unravel_index(np.argmin(positive), shares[key].shape)
        for fault, place, factor in (
            ("largest-up", largest, 1 + 2e-9),
            ("largest-down", largest, 1 - 2e-9),
            ("largest-0", largest, 0.0),
            ("smallest-up", smallest, 1 + 2e-9),
            ("smallest-0", smallest, 0.0),
            ("one-negative", smallest, -1.0),
            ("one-nan", largest, math.nan),
            ("one-inf", largest, INF),
            ("one-0.9", smallest, 0.9 / float(shares[key][smallest])),
        ):
            edited = shares[key].copy()
            edited[place] *= factor
            yield f"cost-{name}-{fault}", changed(good, shares={**shares, key: edited})
        swapped = shares[key].ravel()[::-1].reshape(shares[key].shape)
        yield f"cost-{name}-swapped", changed(good, shares={**shares, key: swapped})
        less = {k: v for k, v in shares.items() if k != key}
        yield f"cost-{name}-one-layer-missing", changed(good, shares=less)
        yield f"cost-{name}-one-layer-more", changed(good, shares={**shares, "junk": np.ones(2)})
        yield f"cost-{name}-tolerance-0", changed(good, tolerance=0.0)
        yield f"cost-{name}-tolerance-nan", changed(good, tolerance=math.nan)
        half = {k: 0.7 * v for k, v in shares.items()}
        yield f"cost-{name}-30-percent-off-and-said", changed(good, shares=half, tolerance=0.5)
    ones = so.PathCost(chain((2,), Dense(np.ones((2, 2)))))
    right = so.PathCosts({"0:Dense.weight": np.full((2, 2), 0.25)})
    fine = dataclasses.replace(right, tolerance=1e-17)
    yield "cost-tolerance-below-rounding", so.PathCostCertificate(ones, fine)
    flat = so.PathCosts({"0:Dense.weight": np.full((1, 1), 0.25)})
    yield "cost-one-share-for-all", so.PathCostCertificate(ones, flat)
    dead = so.PathCost(chain((2,), Dense(np.array([[0.0, 1.0]])), Relu(), Dense(np.zeros((1, 1)))))
    invented = {"0:Dense.weight": np.array([[0.0, 1e-100]]), "2:Dense.weight": np.zeros((1, 1))}
    yield "cost-of-a-dead-network", so.PathCostCertificate(dead, so.PathCosts(invented))


# Odd types ----------------------------------------------------------------------------------


def odd_types() -> Iterator[Named]:
    """Yield files that say what is true with a truth value or a text in place of a number."""
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


def edited(certificate: Any, path: tuple[str, ...], value: Any) -> str:
    """Return the JSON of a certificate with one entry replaced."""
    body = json.loads(so.to_json(certificate))
    node = body
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return json.dumps(body)


def forged() -> Iterator[Named]:
    """Yield (name, certificate or JSON text of one) of what must be refused."""
    yield from forged_norms()
    yield from forged_bounds()
    yield from forged_distances()
    yield from forged_costs()
    yield from odd_types()


# Honest -------------------------------------------------------------------------------------


def honest() -> Iterator[Named]:
    """Yield (name, certificate) of certificates that must be accepted."""
    for q in (0, 0.5, 1, 1.5, 2, 5, INF):
        for affine in ("as_is", "merged"):
            problem = so.PathNorm(image(), q, 2, affine)
            yield f"norm-image-{q}-{affine}", solved(problem, "one_pass")
    yield "norm-exact", solved(so.PathNorm(dense(3, 3, 2), 2), "path_enumeration")
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
    yield "norm-denormal", solved(so.PathNorm(small), "one_pass")
    yield from honest_at_the_ends_of_float64()
    yield "count-large", solved(so.PathNorm(large(5, 0.5), 0), "one_pass")
    yield "count-one-each", solved(so.PathNorm(large_identity(), 0), "one_pass")
    yield from bounds().items()
    ones = so.LipschitzBound(chain((2,), Dense(np.ones((2, 2)))), 2, 2)
    yield "bound-by-the-spectrum", by_spectrum(ones, 2.0, np.array([1.0, 1.0]))
    yield "bound-of-a-dead-network", solved(so.LipschitzBound(chain((2,), Dense(np.zeros((1, 2))))))
    for name, good in distances().items():
        yield f"distance-{name}", good
        yield f"distance-{name}-without-exact", changed(good, exact=None)
    whole = chain((2,), Dense(np.array([[1.0, -2.0], [3.0, 4.0]])), Dense(np.array([[2.0, 1.0]])))
    other = whole.with_parameters({"0:Dense.weight": np.array([[2.0, -1.0], [3.0, 4.0]])})
    yield "distance-whole", solved(so.PathDistance(whole, other), "distance_passes")
    yield from ((f"cost-{name}", good) for name, good in costs().items())


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
