"""Forged certificates of two-layer training: what the core must refuse, and why.

Each is stopped by one line of the judge. Its name is the sentence of that line, then " | " and
what it is. Most claim what is false; the others state figures that the core cannot prove. What is
written as JSON text must be refused when it is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from laws import law

import sparseopt as so
from sparseopt.training import activation_cover
from sparseopt.training.activation_cover import ActivationCover, CoverMultipliers

Certificate = so.TwoLayerReLUCertificate
Pairs = Iterator[tuple[str, Any]]

PRIMAL, DUAL, GAP = "the objective is at most", "the minimum is at least", "the gap is at most"
FEASIBLE = "the dual point is feasible"


def gaussian(n: int, d: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((n, d)), generator.standard_normal(n)


def problems() -> dict[str, so.TwoLayerReLU]:
    """Return one problem of each kind that the judge tells apart."""
    inputs, targets = gaussian(7, 3)
    gates = np.random.default_rng(3).standard_normal((3, 5))
    stated = so.TwoLayerReLU
    return {
        "plane": stated([[1, 0], [0, 1], [-1, 1], [1, 2]], [1, 1, 0, -1], 0.1),
        "gaussian": stated(inputs, targets, 0.1),
        "float32": stated(inputs.astype(np.float32), targets.astype(np.float32), 0.1),
        "large": stated(inputs * 1e150, targets * 1e-150, 0.1),
        "small": stated(inputs * 1e-150, targets * 1e150, 0.1),
        "line": stated([[2.0], [-1.0], [0.0], [3.0]], [1.0, 2.0, 5.0, -1.0], 0.3),
        "one": stated([[2.0]], [3.0], 0.1),
        "nothing to fit": stated(inputs, np.zeros(7), 0.1),
        "nothing to fit with": stated(np.zeros((3, 2)), [1.0, 2.0, 3.0], 0.1),
        "first input zero": stated([[0, 0], [1, 0], [0, 1], [1, 1], [-2, -2]], range(5), 0.1),
        "dependent": stated(np.c_[inputs, inputs.sum(axis=1), inputs[:, 0]], targets, 0.1),
        "twice": stated(np.r_[inputs[:4], inputs[:4], -inputs[:2]], range(10), 0.1),
        "zero is best": stated(inputs, targets, 1e3),
        "gated": stated(inputs, targets, 0.1, gates),
        "gated column": stated(inputs, targets[:, None], 0.1, gates),
        "gated large": stated(inputs * 1e100, targets * 1e150, 0.1e250, gates),
        "gates shut": stated(inputs, targets, 0.1, np.zeros((3, 1))),
    }


@cache
def solved(name: str) -> Certificate:
    return so.solve(problems()[name]).certificate


def honest() -> Pairs:
    """Yield certificates that must be accepted."""
    for name in problems():
        yield name, solved(name)
    yield (
        "bad network",
        solved("gaussian").of(so.TwoLayerNetwork([[1.0], [2.0], [-1.0]], [0.5])),
    )
    yield "cones a few at a time", law(in_small_pieces)
    yield "no network", solved("gaussian").of(so.TwoLayerNetwork(np.zeros((3, 0)), []))
    yield "no bound", by_point("gaussian", np.zeros(7))
    yield "without multipliers", by_point("gaussian", solved("gaussian").dual_point * 1e-2)
    yield "two outputs", outputs()


def in_small_pieces() -> bool:
    """Whether cones are bounded alike when only a few numbers are held at a time."""
    before = activation_cover._CHUNK
    try:
        found = []
        for size in (before, 40):
            activation_cover._CHUNK = size
            for name in ("gaussian", "twice"):
                made = solved(name)
                lower = replace(made, dual_point=1.01 * made.dual_point)
                found.append([so.verify(each).outcome for each in (made, lower)])
        return found[:2] == found[2:]
    finally:
        activation_cover._CHUNK = before


def outputs() -> Certificate:
    """Return a certificate of a gated problem with two outputs, for the network of zeros."""
    inputs, targets = gaussian(7, 3)
    gates = np.random.default_rng(3).standard_normal((3, 5))
    problem = so.TwoLayerReLU(inputs, np.c_[targets, targets[::-1]], 0.5, gates)
    nothing = so.TwoLayerNetwork(np.zeros((3, 0)), np.zeros((0, 2)), np.zeros((3, 0)))
    return Certificate.build(problem, nothing, 0.03 * problem.targets, None)


def by_point(name: str, point: Any, cover: Any = None) -> Certificate:
    """Return the certificate of the optimal network by another dual point."""
    known = solved(name)
    bare = known.cover and replace(
        known.cover, bounded=np.zeros(0, dtype=int), multipliers=CoverMultipliers.from_rows([])
    )
    return Certificate.build(known.problem, known.answer, point, cover or bare)


def less(value: float) -> float:
    return value * (1 - 1e-12)


def forged() -> Pairs:
    """Yield what must be refused."""
    yield from figures()
    yield from networks()
    yield from points()
    yield from trees()
    yield from multipliers()
    yield from texts()


def figures() -> Pairs:
    for name in ("gaussian", "large", "gated"):
        known = solved(name)
        yield f"{PRIMAL} | {name}, a little less", replace(known, primal=less(known.primal))
        yield f"{DUAL} | {name}, a little more", replace(known, dual=known.dual * (1 + 1e-12))
        yield f"{GAP} | {name}, less", replace(known, gap=known.gap / 2)
    known = solved("plane")
    yield f"{PRIMAL} | infinity", replace(known, primal=math.inf)
    yield f"{GAP} | infinity", replace(known, gap=math.inf)
    yield f"{PRIMAL} | no number", replace(known, primal=math.nan)
    yield f"{DUAL} | no number", replace(known, dual=math.nan)
    yield f"{GAP} | no number", replace(known, gap=math.nan)
    yield f"{GAP} | none", replace(known, gap=0.0)


def networks() -> Pairs:
    known, gated = solved("gaussian"), solved("gated")
    answer = known.answer
    better = so.TwoLayerNetwork(answer.hidden * 0.5, answer.outer)
    yield f"{PRIMAL} | another network", replace(known, answer=better)
    narrow = so.TwoLayerNetwork(answer.hidden[:2], answer.outer)
    yield "does not fit | a feature less", replace(known, answer=narrow)
    wide = so.TwoLayerNetwork(answer.hidden, answer.outer[:, None])
    yield "does not fit | outputs as a matrix", replace(known, answer=wide)
    shut = so.TwoLayerNetwork(answer.hidden, answer.outer, np.zeros_like(answer.hidden))
    yield "gates exactly if | gates of its own", replace(known, answer=shut)
    open_ = so.TwoLayerNetwork(gated.answer.hidden, gated.answer.outer)
    yield "gates exactly if | none", replace(gated, answer=open_)
    own = so.TwoLayerNetwork(gated.answer.hidden, gated.answer.outer, 2 * gated.answer.gates)
    yield "is none of the problem's | a multiple of a gate", replace(gated, answer=own)
    yield "the answer is a TwoLayerNetwork", replace(known, answer=so.Coefficients([1.0]))
    tiny = so.TwoLayerNetwork(answer.hidden * 1e-310, answer.outer)
    large = replace(solved("small"), answer=tiny)
    yield "no weight is so small | lost", large
    tiny = so.TwoLayerNetwork(answer.hidden, answer.outer * 1e-310)
    yield "no weight is so small | lost in the outer layer", replace(solved("small"), answer=tiny)


def points() -> Pairs:
    known, gated = solved("gaussian"), solved("gated")
    for name in ("plane", "gaussian", "float32", "large", "line", "first input zero", "gated"):
        each = solved(name)
        more = Certificate.build(
            each.problem, each.answer, each.dual_point * (1 + 1e-9), each.cover
        )
        yield f"{FEASIBLE} | {name}, a little too long", more
    vector = outputs()
    yield f"{FEASIBLE} | two outputs", replace(vector, dual_point=10 * vector.dual_point)
    yield f"{FEASIBLE} | the residual of nothing", by_point("plane", known_targets("plane"))
    tiny = known.dual_point.copy()
    tiny[0] = 5e-324
    small = replace(solved("small"), dual_point=tiny)
    yield "no entry of the dual point is so small | lost", small
    yield "a problem with gates needs no cover", replace(gated, cover=known.cover)
    yield "a cover of all neurons is there | none", replace(known, cover=None)
    yield "a cover of all neurons is there | something else", replace(known, cover=known.answer)


def known_targets(name: str) -> np.ndarray:
    return np.asarray(problems()[name].targets, dtype=float)


def with_cover(name: str, **changes: Any) -> Certificate:
    known = solved(name)
    return replace(known, cover=replace(known.cover, **changes))


def trees() -> Pairs:
    cover = solved("gaussian").cover
    assert cover is not None
    yield (
        "each node of the tree splits or keeps a sign | cut",
        with_cover("gaussian", kinds=cover.kinds[:-1]),
    )
    yield (
        "each node of the tree splits or keeps a sign | empty",
        with_cover("gaussian", kinds=cover.kinds[:0]),
    )
    yield (
        "the tree ends with the last input | nodes more",
        with_cover("gaussian", kinds=np.r_[cover.kinds, cover.kinds]),
    )
    kept = cover.kept
    more = CoverMultipliers(np.r_[kept.members, kept.members], np.r_[kept.values, kept.values])
    yield "the tree ends with the last input | multipliers more", with_cover("gaussian", kept=more)
    for sign in (1, -1):
        yield f"{FEASIBLE} | half of the cells are left out, {sign}", one_sided(sign)
    yield f"{FEASIBLE} | a sign that follows from nothing", trusted_sign()
    yield "the tree fits in memory", deep()


def one_sided(sign: int) -> Certificate:
    """Return a cover of the plane in which the second input never changes its sign."""
    kinds, rows = [sign], [([], [])]
    # The third input and the fourth split what is left, and everything else is believed too.
    kinds += [0, 0, 0]
    made = ActivationCover(np.array(kinds), CoverMultipliers.from_rows(rows))
    known = solved("plane")
    return Certificate.build(known.problem, known.answer, known.dual_point, made)


def trusted_sign() -> Certificate:
    """Return the honest cover with the multipliers of a kept sign halved."""
    known = solved("gaussian")
    assert known.cover is not None
    values = known.cover.kept.values * 0.5
    cover = replace(known.cover, kept=replace(known.cover.kept, values=values))
    return replace(known, cover=cover)


def deep() -> Certificate:
    """Return a tree that splits at each of 22 equal inputs."""
    problem = so.TwoLayerReLU(np.ones((22, 1)), np.ones(22), 1.0)
    kinds = np.zeros(2**21 - 1, dtype=np.int8)
    cover = ActivationCover(kinds, CoverMultipliers.from_rows([]))
    nothing = so.TwoLayerNetwork(np.zeros((1, 0)), [])
    return Certificate.build(problem, nothing, np.zeros(22), cover)


def multipliers() -> Pairs:
    known = solved("gaussian")
    cover = known.cover
    assert cover is not None
    own, kept = cover.multipliers, cover.kept
    yield (
        f"{FEASIBLE} | multipliers halved",
        with_cover("gaussian", multipliers=replace(own, values=own.values * 0.5)),
    )
    far = np.where(kept.members >= 0, 6, -1)
    yield (
        "multipliers belong to inputs of the cone | of a later input",
        with_cover("gaussian", kept=replace(kept, members=far)),
    )
    yield (
        "each case has its multipliers | one less",
        with_cover("gaussian", multipliers=CoverMultipliers(own.members[:-1], own.values[:-1])),
    )
    yield (
        "multipliers belong to inputs of the cone | kept too few",
        with_cover("gaussian", kept=CoverMultipliers(kept.members[:-1], kept.values[:-1])),
    )
    yield (
        "multipliers are positive | one negative",
        with_cover("gaussian", multipliers=replace(own, values=-own.values)),
    )
    first = own.values.copy()
    first[0, 0] = 0.0
    yield (
        "multipliers are positive | one zero",
        with_cover("gaussian", multipliers=replace(own, values=first)),
    )
    yield (
        "multipliers are positive | kept negative",
        with_cover("gaussian", kept=replace(kept, values=-kept.values)),
    )
    padded = solved("twice").cover.kept  # type: ignore[union-attr]
    # What was met at one input may not be met at the next.
    last = padded.values.copy()
    last[-1] = -last[-1]
    yield (
        "multipliers are positive | kept negative at the last input",
        with_cover("twice", kept=replace(padded, values=last)),
    )
    bounds = solved("twice").cover.multipliers  # type: ignore[union-attr]
    yield (
        "multipliers are positive | negative after the tree",
        with_cover("twice", multipliers=replace(bounds, values=-bounds.values)),
    )
    members = np.where(padded.members < 0, -2, padded.members)
    yield (
        "multipliers are positive | no member -2",
        with_cover("twice", kept=replace(padded, members=members)),
    )
    yield "multipliers belong to conditions of the cone | a kept sign", of_a_kept_sign()
    bounded = cover.bounded
    for name, changed in (
        ("one twice", np.r_[bounded[:1], bounded[:-1]]),
        ("in another order", bounded[::-1]),
        ("of no cone", np.r_[bounded[:-1], 10**6]),
        ("before the first", np.r_[-1, bounded[1:]]),
    ):
        yield (
            f"multipliers belong to different cases of cones | {name}",
            with_cover("gaussian", bounded=changed),
        )


def of_a_kept_sign() -> Certificate:
    """Return a cover that uses a kept sign as if it were a condition.

    The second of two inputs is believed to be positive where the first is: it is not, and with it
    as a condition the neurons of the other side would have no bound to keep.
    """
    problem = so.TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [0.0, 1.0], 0.1)
    rows = CoverMultipliers.from_rows([([], [])])
    one = CoverMultipliers.from_rows([([1], [0.5])])
    cover = ActivationCover(np.array([1]), rows, np.array([1]), one)
    nothing = so.TwoLayerNetwork(np.zeros((2, 0)), [])
    return Certificate.build(problem, nothing, np.array([0.0, 0.05]), cover)


def texts() -> Pairs:
    """Yield JSON that is refused when it is read."""
    body = json.loads(so.to_json(solved("plane")))

    def changed(**fields: Any) -> str:
        return json.dumps({**body, **fields})

    yield "primal must be a number", changed(primal="0.1")
    yield (
        "dual_point has shape",
        so.to_json(solved("plane")).replace(
            json.dumps(body["dual_point"]), json.dumps(body["problem"]["inputs"])
        ),
    )
    cover = body["cover"]
    yield (
        "kinds must be a vector of integers",
        changed(cover={**cover, "kinds": body["dual_point"]}),
    )
    kinds = so.to_json(np.array([2, 0, 0], dtype=np.int8))
    yield "kinds must be 0, 1 or -1 | 2", changed(cover={**cover, "kinds": json.loads(kinds)})
    kinds = so.to_json(np.array([-128, 0, 0], dtype=np.int8))
    yield "kinds must be 0, 1 or -1 | -128", changed(cover={**cover, "kinds": json.loads(kinds)})
    yield "kept must be CoverMultipliers", changed(cover={**cover, "kept": None})
    yield (
        "multipliers need a matrix of integers",
        changed(cover={**cover, "kept": {**cover["kept"], "members": body["dual_point"]}}),
    )
