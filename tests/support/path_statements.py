"""What the classes of path quantities must refuse when built, and must say when asked.

Each entry is a function that returns a `Check`: refused if it raises `ProblemError`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Relu, Select
from sparseopt.pathnorm import contractions, edges, exact, floats, lipschitz, plain, residues
from sparseopt.pathnorm.powers import Powers

INF = math.inf
Entry = tuple[str, Callable[[], so.Check]]
ONES = chain((2,), Dense(np.ones((1, 2))))
BIASED = chain((1,), Dense(np.ones((1, 1)), np.ones(1)), Scale(np.full(1, 2.0), np.ones(1)))


def built(build: Callable[[], Any]) -> Callable[[], so.Check]:
    """Return an entry that is accepted if something can be built."""

    def entry() -> so.Check:
        build()
        return so.Check("accepted", "it can be built", ())

    return entry


def said(statement: Callable[[], bool]) -> Callable[[], so.Check]:
    """Return an entry that is accepted if a statement holds."""

    def entry() -> so.Check:
        return so.Check("accepted" if statement() else "refused", "a statement", ())

    return entry


def value(**fields: Any) -> so.PathNormValue:
    """Return a path-norm of 3, with some fields changed."""
    right = so.PathNormValue(3.0, math.log10(3), np.zeros(1), 1, 1, "as_is", (Fraction(3),))
    return dataclasses.replace(right, **fields)


def refused() -> Iterator[Entry]:
    """Yield what cannot be built."""
    bad: dict[str, Callable[[], Any]] = {
        "norm-of-no-network": lambda: so.PathNorm(3),  # type: ignore[arg-type]
        "norm-affine": lambda: so.PathNorm(ONES, affine="both"),
        "norm-q-text": lambda: so.PathNorm(ONES, "1"),  # type: ignore[arg-type]
        "norm-q-truth": lambda: so.PathNorm(ONES, True),
        "norm-q-nan": lambda: so.PathNorm(ONES, math.nan),
        "norm-q-negative": lambda: so.PathNorm(ONES, -0.5),
        "norm-r-zero": lambda: so.PathNorm(ONES, 1, 0),
        "norm-r-nan": lambda: so.PathNorm(ONES, 1, math.nan),
        "bound-of-no-network": lambda: so.LipschitzBound(3),  # type: ignore[arg-type]
        "bound-p-text": lambda: so.LipschitzBound(ONES, "2"),  # type: ignore[arg-type]
        "bound-p-truth": lambda: so.LipschitzBound(ONES, True),
        "bound-p-below-one": lambda: so.LipschitzBound(ONES, 1, 0.99),
        "bound-p-nan": lambda: so.LipschitzBound(ONES, math.nan),
        "cost-of-no-network": lambda: so.PathCost(3),  # type: ignore[arg-type]
        "distance-of-no-network": lambda: so.PathDistance(ONES, 3),  # type: ignore[arg-type]
        "distance-of-other-layers": lambda: so.PathDistance(ONES, chain((2,), Relu())),
        "distance-of-other-padding": lambda: so.PathDistance(*padded()),
        "distance-of-other-parameters": lambda: so.PathDistance(
            chain((1,), Dense(np.ones((1, 1)))), chain((1,), Dense(np.ones((1, 1)), np.ones(1)))
        ),
        "distance-of-another-output": lambda: so.PathDistance(
            BIASED, dataclasses.replace(BIASED, output="0:Dense")
        ),
        "distance-negative": lambda: so.PathDistanceValue(-1e-9, "exact", True),
        "distance-nan": lambda: so.PathDistanceValue(math.nan, "exact", True),
        "outputs-across-signs": lambda: so.PathDistanceValue(1.0, "exact", False).output_bound(1),
        "outputs-of-negative-inputs": lambda: distance(1.0).output_bound(-1e-300),
        "outputs-of-infinite-inputs": lambda: distance(1.0).output_bound(INF),
        "outputs-of-nan": lambda: distance(1.0).output_bound(math.nan),
        "table-too-large": lambda: so.path_table(
            chain((3000,), Dense(np.broadcast_to(1.0, (3000, 3000))))
        ),
        "windows-too-large": lambda: plain.power_sums(enormous(1023), 1, {}),
        "passes-too-long": lambda: plain.power_sums(enormous(2048), 1, {}),
        "tied-twice": lambda: so.PathCost(tied()),
    }
    for name, build in bad.items():
        yield f"built-{name}", built(build)


def distance(number: float, **fields: Any) -> so.PathDistanceValue:
    return so.PathDistanceValue(number, "exact", True, **fields)


def padded() -> tuple[so.Network, so.Network]:
    """Return two networks that differ in nothing but the side of a padding."""
    weight = np.ones((1, 1, 2))
    first, second = (chain((1, 3), Conv(weight, padding=(pad,))) for pad in ((0, 1), (1, 0)))
    return first, second


def enormous(width: int) -> so.Network:
    weight = np.broadcast_to(1.0, (1, 1, 512, 512))
    return chain((1, 1024, width), Conv(weight, padding=((0, 0), (0, 0))))


def tied() -> so.Network:
    shared = {"weight": "fc.weight"}
    network = chain((1,), Dense(np.ones((1, 1))), Relu(), Dense(np.ones((1, 1))))
    nodes = [
        dataclasses.replace(n, origin=shared if isinstance(n.op, Dense) else {})
        for n in network.nodes
    ]
    return dataclasses.replace(network, nodes=tuple(nodes))


def held() -> Iterator[Entry]:
    """Yield statements that hold."""
    two = (Fraction(3), Fraction(4))
    exactly: dict[str, tuple[dict[str, Any], Fraction | None]] = {
        "sum": ({"exact_powers": two}, Fraction(7)),
        "largest": ({"exact_powers": two, "r": INF}, Fraction(4)),
        "count": ({"exact_powers": two, "q": 0}, Fraction(7)),
        "largest-path": ({"exact_powers": two, "q": INF, "r": INF}, Fraction(4)),
        "one-output": ({"r": 2}, Fraction(3)),
        "no-powers": ({"exact_powers": None}, None),
        "squares": ({"q": 2}, None),
        "euclidean": ({"exact_powers": two, "r": 2}, None),
        "of-nothing": ({"exact_powers": ()}, Fraction(0)),
    }
    for name, (fields, right) in exactly.items():
        yield f"says-exact-{name}", said(lambda f=fields, r=right: value(**f).exact == r)
    for q in (0, 0.5, 1, INF):
        for r in (0.5, 1, INF):
            yield f"built-norm-{q}-{r}", built(lambda q=q, r=r: so.PathNorm(ONES, q, r))
    for number in (0.0, 0.5):
        yield f"built-distance-{number}", built(lambda n=number: distance(n))
    for p in (1, 1.5, INF):
        yield f"built-bound-{p}", built(lambda p=p: so.LipschitzBound(ONES, p, p))
    true: dict[str, Callable[[], bool]] = {
        "whole-exponents-are-int": lambda: type(so.PathNorm(ONES, 2.0).q) is int,
        "chosen-as-is": lambda: so.PathNorm(BIASED).chosen is BIASED,
        "chosen-merged": lambda: so.PathNorm(BIASED, affine="merged").chosen is not BIASED,
        "evaluate": lambda: (
            so.PathNorm(ONES).evaluate(value(log10=math.log10(2))) == {"log10_error": 0.0}
        ),
        "evaluate-off": lambda: so.PathNorm(ONES).evaluate(value())["log10_error"] > 0.1,
        "accuracy-exact": lambda: so.PathNormCertificate(so.PathNorm(ONES), value()).accuracy == 0,
        "accuracy-float": lambda: (
            so.PathNormCertificate(so.PathNorm(ONES), value(exact_powers=None)).accuracy == 1e-9
        ),
        "accuracy-distance": lambda: accuracy(distance(1.0)) == 1e-9,
        "accuracy-exact-distance": lambda: accuracy(distance(1.0, exact=Fraction(1))) == 0,
        "accuracy-upper-bound": lambda: (
            accuracy(so.PathDistanceValue(1.0, "upper bound", True)) == INF
        ),
        "accuracy-costs": lambda: (
            so.PathCostCertificate(so.PathCost(ONES), so.PathCosts({}, 0.5)).accuracy == 0.5
        ),
        "outputs-small": lambda: distance(1.0, exact=Fraction(1)).output_bound(0.0) == 1.0,
        "outputs-large": lambda: distance(2.0, exact=Fraction(2)).output_bound(3.0) == 6.0,
        "outputs-of-floats": lambda: (
            6 + 6e-9 <= Fraction(distance(2.0).output_bound(3.0)) <= 6 + 18e-9
        ),
        "dominates-up": lambda: pair(1.0, 2.0).dominates,
        "dominates-down": lambda: pair(2.0, 1.0).dominates,
        "dominates-equal": lambda: pair(1.0, 1.0).dominates,
        "dominates-not": lambda: not pair(2.0, 1.0, 1.0, 2.0).dominates,
        "dominates-not-across-signs": lambda: not pair(2.0, -1.0).dominates,
        "same-signs-with-zeros": lambda: pair(0.0, -1.0).same_signs and pair(-1.0, 0.0).same_signs,
        "same-signs-towards-zero": lambda: pair(0.0, 1.0).same_signs and pair(1.0, 0.0).same_signs,
        "signs-down": lambda: not pair(1.0, -1.0).same_signs,
        "signs-up": lambda: not pair(-1.0, 1.0).same_signs,
        "methods-from-inf": lambda: so.LipschitzBound(ONES, INF, 3).methods() == ["rows"],
        "methods-to-one": lambda: so.LipschitzBound(ONES, 2, 1).methods() == ["columns"],
        "methods-two": lambda: (
            so.LipschitzBound(ONES, 2, 2).methods()
            == ["spectral", "interpolated", "table", "rows", "columns"]
        ),
        "methods-three": lambda: (
            so.LipschitzBound(ONES, 3, 3).methods() == ["interpolated", "table", "rows", "columns"]
        ),
        "methods-mixed": lambda: (
            so.LipschitzBound(ONES, 2, 3).methods() == ["table", "rows", "columns"]
        ),
        "methods-without-table": lambda: (
            "table"
            not in so.LipschitzBound(
                chain((3000,), Dense(np.broadcast_to(1.0, (3000, 3000)))), 3, 3
            ).methods()
        ),
        "slopes": lambda: np.allclose(
            so.LipschitzBound(ONES, INF, 1).slopes(np.zeros((1, 2)), np.array([[1.0, 0.5]])), 1.5
        ),
        "sampled": lambda: (
            0 < so.LipschitzBound(ONES, INF, 1).sampled(np.random.default_rng(0), 9) <= 2.000001
        ),
        "dual": lambda: [lipschitz.dual(p) for p in (1, 2, 3, INF)] == [INF, 2.0, 1.5, 1.0],
        "rounding-room": lambda: 0 < plain.rounding_room(ONES, 1) < 1e-14,
        "edges": lambda: plain.edge_count(BIASED) == 2 and plain.edge_count(ONES) == 2,
        "prime": lambda: (
            [n for n in range(60) if residues.is_prime(n)]
            == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59]
        ),
        "table": lambda: so.path_table(ONES).tolist() == [[1.0, 1.0]],
        "exact-q": lambda: (
            [exact.has_exact_powers(q) for q in (0, 1, 64, INF, 65, 1.5)]
            == [True, True, True, True, False, False]
        ),
        "norm-of-zeros": lambda: Powers.of(np.zeros(3), 0, 0.0).norm(2).as_float() == 0.0,
        "weights-known-to-be-small": lambda: (
            floats.FloatWeights(np.ones((1, 1), np.float32), 2).least == 2.0**-298
        ),
        "terms-back": lambda: (
            edges.terms_back(Dense(np.ones((3, 2))), [(2,)])
            + edges.terms_back(Conv(np.ones((4, 3, 2))), [(3, 5)])
            + edges.terms_back(Relu(), [(2,)])
            == [3, 8, 1]
        ),
        # What is read most often may be the first cell.
        "terms-back-of-the-first-cell": lambda: (
            edges.terms_back(Select(np.array([0, 0, 1, -1, -1, -1, 0])), [(2,)]) == [3]
        ),
        "terms-back-of-no-cell": lambda: (
            edges.terms_back(Select(np.array([-1, -1])), [(2,)]) == [0]
        ),
        "kernel": lambda: (
            contractions.kernel(Dense(np.ones((3, 2))), np.ones((3, 2))).shape == (1, 3, 2)
        ),
    }
    for name, statement in true.items():
        yield f"says-{name}", said(statement)
    tables: dict[str, Any] = {
        "tensors": (edges.tensors, 1),
        "terms": (edges.terms, 2),
        "terms-back": (edges.terms_back, 2),
        "offset": (edges.offset, 1),
        "forward": (edges.forward, 5),
        "backward": (edges.backward, 5),
    }
    for name, (table, count) in tables.items():
        yield f"refuses-unknown-layers-{name}", said(partial(refuses_unknown, table, count))


def refuses_unknown(table: Any, arguments: int) -> bool:
    """Whether a function of layers refuses what is no layer that it knows, by its name."""
    try:
        table(Fraction(1), *[None] * (arguments - 1))
    except so.ProblemError as error:
        return "a Fraction cannot be judged" in str(error)
    return False


def pair(*numbers: float) -> so.PathDistance:
    """Return settings of one network with weights a, c and b, d."""
    first, second = np.array([numbers[::2]]), np.array([numbers[1::2]])
    nets = (chain((first.size,), Dense(weight)) for weight in (first, second))
    return so.PathDistance(*nets)


def accuracy(answer: so.PathDistanceValue) -> float:
    return so.PathDistanceCertificate(pair(1.0, 2.0), answer, "dominated").accuracy
