"""Lipschitz bounds, honest ones by each method, and forged ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from path_networks import (
    INF,
    Named,
    by_spectrum,
    changed,
    dense,
    image,
    large,
    solved,
)

import sparseopt as so
from sparseopt.judging.rounding import float_above
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.window import AxisMap, Resample
from sparseopt.pathnorm import exact, lipschitz, plain
from sparseopt.pathnorm.powers import Powers

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


def bounds_of_0() -> Iterator[Named]:
    """Yield bounds of 0 of a network of slope 1/2: backwards, the maps act in reverse order, and
    what the small weights of the second make underflows before the first lifts it."""
    maps = (
        AxisMap(0, np.array([[0], [1]]), np.full((2, 1), 2.0**299), np.ones(2, int)),
        AxisMap(1, np.array([[0], [1]]), np.array([[1.0], [2.0**-500]]), np.ones(2, int)),
    )
    first, last = np.array([[0.0, 0.0], [0.0, 2.0**900]]), np.array([[0.0, 1.0], [0.0, 2.0**-700]])
    network = chain((2, 2), Scale(first), Resample(maps), Scale(last))
    for p_in, p_out, method in ((2, 1, "columns"), (1, 2, "columns"), (2, 3, "table")):
        problem = so.LipschitzBound(network, p_in, p_out)
        answer = lipschitz.LipschitzValue(0.0, -INF, p_in, p_out, method)
        yield f"bound-0-{method}-{p_in}-{p_out}", lipschitz.LipschitzCertificate(problem, answer)


def forged_bounds() -> Iterator[Named]:
    """Yield Lipschitz bounds with one fault each."""
    for name, good in bounds().items():
        answer = good.answer
        yield f"{name}-value-down", changed(good, value=answer.value * (1 - 1e-10))
        yield f"{name}-log10-down", changed(good, log10=answer.log10 - 1e-10)
        yield from just_off(name, good)
        yield f"{name}-value-inf", changed(good, value=INF)
        yield f"{name}-value-nan", changed(good, value=math.nan)
        yield f"{name}-value-far-up", changed(good, value=answer.value * 2)
        yield f"{name}-log10-far-up", changed(good, log10=answer.log10 + 1.0)
        yield f"{name}-log10-nan", changed(good, log10=math.nan)
    yield from bounds_of_0()
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


def judged(problem: Any, method: str, weights: Any = None) -> tuple[float, float, float]:
    """Return the least value and logarithm that are accepted, and the largest value."""
    network = problem.network
    if method == "rows" and problem.p_out in (1, INF) and plain.edge_count(network) < exact.EDGES:
        sums = exact.power_sums(network, 1, {})
        bound = max(sums) if problem.p_out == INF else sum(sums, start=Fraction(0))
        right = Powers.of_fractions([bound])
    else:
        right = lipschitz.proven_bound(problem, method, weights)
        bound = lipschitz.raised(right)
    log10 = right.log10().item() + right.log10_error().item()
    most = bound * (1 + Fraction(lipschitz.SLACK))
    return float_above(bound), log10 if bound else -INF, float_above(most)


def sharp(problem: Any, method: str, weights: Any = None) -> Any:
    """Return a bound just as the judge computes it, by any method."""
    value, log10, _ = judged(problem, method, weights)
    answer = so.LipschitzValue(value, log10, problem.p_in, problem.p_out, method)
    return so.LipschitzCertificate(problem, answer, weights)


def sharp_bounds() -> Iterator[Named]:
    """Yield bounds that are as small, and as large, as they may be, by every method."""
    ones = np.ones(3)
    far = chain((2,), *(Dense(1e-200 * np.array([[1.0, 0.5], [0.0, 2.0]])) for _ in range(2)))
    one_row = chain((2,), Dense(np.array([[1.0, 2.0], [0.0, 0.0]])))
    dead = chain((2,), Dense(np.zeros((1, 2))))
    found = {
        f"interpolated-{len(network.nodes)}-{p}": sharp(so.LipschitzBound(network, p, p), method)
        for network in (dense(3, 4, 2), dense(3, 4, 2, scale=5.0), image(), far, large())
        for p, method in ((1.25, "interpolated"), (3, "interpolated"), (7, "interpolated"))
    }
    three = so.LipschitzBound(dense(3, 4, 2), 2, 2)
    found["spectral"] = sharp(three, "spectral", ones)
    found["spectral-uneven"] = sharp(three, "spectral", np.array([0.3, 7.0, 1e-9]))
    found["table-far-below"] = sharp(so.LipschitzBound(far, 3, 1.5), "table")
    found["table-with-a-zero-row"] = sharp(so.LipschitzBound(one_row, 3, 1.5), "table")
    found["table-of-zeros"] = sharp(so.LipschitzBound(dead, 3, 3), "table")
    found["interpolated-of-zeros"] = sharp(so.LipschitzBound(dead, 3, 3), "interpolated")
    found["spectral-of-zeros"] = sharp(so.LipschitzBound(dead, 2, 2), "spectral", np.ones(2))
    for name, weight in (("normal", 1.0), ("denormal", 0.75)):
        least = chain((1,), Dense(np.full((1, 1), weight * 2.0**-1022)))
        found[f"rows-of-the-least-{name}"] = sharp(so.LipschitzBound(least), "rows")
    yield from ((f"bound-sharp-{name}", good) for name, good in found.items())
    for name, good in {**bounds(), **found}.items():
        value, log10, most = judged(good.problem, good.answer.method, good.weights)
        yield f"bound-{name}-least", changed(good, value=value, log10=log10)
        largest = log10 + lipschitz.SLACK
        yield f"bound-{name}-largest", changed(good, value=most, log10=largest)


def just_off(name: str, good: Any) -> Iterator[Named]:
    """Yield bounds that are a last bit too small or too large.

    The smaller ones are as they come out of float64, not raised by what rounding may have taken.
    """
    value, log10, most = judged(good.problem, good.answer.method, good.weights)
    yield f"{name}-value-just-below", changed(good, value=math.nextafter(value, -INF))
    yield f"{name}-log10-just-below", changed(good, log10=math.nextafter(log10, -INF))
    yield f"{name}-value-just-above", changed(good, value=math.nextafter(most, INF))
    largest = math.nextafter(log10 + lipschitz.SLACK, INF)
    yield f"{name}-log10-just-above", changed(good, log10=largest)


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
