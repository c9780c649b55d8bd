"""True certificates of sparse regression, and what forged ones are made of."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so
from sparseopt.inverse.duality import Bounds, DualityGap

Certificate = so.DualityGapCertificate
Pairs = Iterator[tuple[str, Any]]
GAP, PRIMAL, DUAL = "the gap is at most", "the objective is at most", "the minimum is at least"
FEASIBLE, ZEROS = "the dual point is feasible", "the gap-safe rule proves"


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def bounds(certificate: Certificate) -> Bounds:
    """Return what the judge itself proves of a certificate's answer and dual point."""
    gap = DualityGap(certificate.problem)
    x = gap.scaled.coefficients(certificate.answer.x)
    return gap.bounds(gap.primal(x), gap.scaled.dual_point(np.atleast_2d(certificate.dual_point)))


def stated(
    problem: so.SparseRegression, x: Any, t: Any, undecided: Any = None, **figures: float
) -> Certificate:
    """Return a certificate with exactly the figures that the judge proves, but for those given.

    All zeros count as proved unless `undecided` says otherwise.
    """
    answer, point = so.Coefficients(np.asarray(x, dtype=float)), np.asarray(t, dtype=float)
    none = np.array([], dtype=int) if undecided is None else np.asarray(undecided)
    made = Certificate(problem, answer, point, 0.0, 0.0, 0.0, none)
    found, scaled = bounds(made), DualityGap(problem).scaled
    own = {
        "primal": scaled.original_above(found.primal),
        "dual": scaled.original_below(found.dual),
        "gap": scaled.original_above(found.gap),
    }
    return dataclasses.replace(made, **{**own, **figures})


def exactly(certificate: Certificate, **changes: Any) -> Certificate:
    """Return a certificate whose figures are those that the judge proves, then changed."""
    made = stated(
        certificate.problem,
        certificate.answer.x,
        certificate.dual_point,
        certificate.undecided,
    )
    return dataclasses.replace(made, **changes)


def less(value: float) -> float:
    return math.nextafter(value, -math.inf)


def more(value: float) -> float:
    return math.nextafter(value, math.inf)


def gaussian(m: int, n: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    generator = rng(seed)
    return generator.standard_normal((m, n)), generator.standard_normal(m)


GROUPS = [[0, 3, 6], [1], [2, 4, 5, 7, 8]]
TIMES = [
    [1700000000, 1700000035],
    [1700000060, 1700000102],
    [1700000120, 1700000151],
    [1700000180, 1700000228],
]
"""Columns of time stamps, which nearly agree."""


def problems() -> dict[str, so.SparseRegression]:
    """Return one problem of each kind that the judge tells apart."""
    design, target = gaussian(6, 9)
    rounded = np.round(design, 1) * (np.abs(design) > 0.5)
    tall, high = gaussian(9, 4, 3)
    loss, grouped = so.L1(1.3), so.GroupL1(1.1, GROUPS, [1.0, 0.7, 1.9])
    spread = tall * np.array([1e-9, 1.0, 1e3, 1e9])
    twice = np.hstack([tall, -tall[:, :1], tall[:, 1:2], np.zeros((9, 1))])
    summed = np.hstack([np.round(tall * 4), np.round(tall * 4).sum(axis=1, keepdims=True)])
    regression = so.SparseRegression
    return {
        "l1": regression(design, target, loss),
        "groups": regression(design, target, grouped),
        "shuffled groups": regression(
            design, target, so.GroupL1(0.5, [[8, 0], [3, 1], [2], *[[j] for j in (4, 5, 6, 7)]])
        ),
        "float32": regression(design.astype(np.float32), target, loss),
        "csr": regression(scipy.sparse.csr_array(rounded), target, loss),
        "csc groups": regression(scipy.sparse.csc_array(rounded), target, grouped),
        "large": regression(design * 1e90, target * 1e120, so.L1(1.3e210)),
        "small": regression(design * 1e-90, target * 1e-120, so.L1(1.3e-210)),
        "weak penalty": regression(design, target, so.L1(1e-9)),
        "time stamps": regression(
            np.array(TIMES, dtype=float), [70.0, 84.0, 62.0, 97.0], so.L1(1.0)
        ),
        "no penalty": regression(tall, high, so.L1(0.0)),
        "no penalty, groups": regression(tall, high, so.GroupL1(0.0, [[0, 2], [1, 3]])),
        "no penalty, units": regression(spread, high, so.L1(0.0)),
        "no penalty, equal columns": regression(twice, high, so.L1(0.0)),
        "no penalty, dependent": regression(summed, high, so.L1(0.0)),
        "no penalty, sparse": regression(scipy.sparse.csr_array(tall), high, so.L1(0.0)),
        "no penalty, wide": regression(design, target, so.L1(0.0)),
        "no penalty, float32": regression(tall.astype(np.float32), high, so.L1(0.0)),
        "permuted groups of one": regression(
            design, target, so.GroupL1(1.0, [[8 - j] for j in range(9)], np.arange(1.0, 10.0))
        ),
        "many groups": regression(
            design, target, so.GroupL1(1e-3, [[8, 0], [3, 1], [2, 5], [4], [7, 6]])
        ),
        "sparse time stamps": regression(
            scipy.sparse.csr_array(np.array(TIMES, dtype=float)), [70.0, 84.0, 62.0, 97.0], loss
        ),
        "no penalty, a pivot of zero": regression(
            np.array([[1.0, 0, 1], [0, 1.0, 1], [0, 0, 0], [0, 0, 0]]), np.ones(4), so.L1(0.0)
        ),
        "no penalty, zeros on top": regression(
            np.vstack([np.zeros((2, 4)), tall]), np.append([1.0, 2.0], high), so.L1(0.0)
        ),
        "no penalty, square": regression(tall[:4], high[:4], so.L1(0.0)),
        "zero target": regression(design, np.zeros(6), loss),
        "no penalty, dependent, zero target": regression(summed, np.zeros(9), so.L1(0.0)),
        "zero design": regression(np.zeros((6, 9)), target, loss),
        "zero design, no penalty": regression(np.zeros((6, 9)), target, so.L1(0.0)),
    }


def cancelling_problems() -> dict[str, so.SparseRegression]:
    """Return problems whose residual is a difference of numbers far larger than the target."""
    huge = np.array([[2.0**98, -(2.0**98)], [3.0, 1.0], [0.5, 1.0]])
    return {
        "cancelling": so.SparseRegression(huge[:2], np.ones(2), so.L1(1e-9)),
        "no penalty, cancelling": so.SparseRegression(huge, np.ones(3), so.L1(0.0)),
    }


@cache
def solved() -> dict[str, Certificate]:
    """Return the certificate of a solver for each problem."""
    return {name: so.solve(problem).certificate for name, problem in problems().items()}


def rough() -> Iterator[tuple[str, Certificate]]:
    """Yield certificates of coefficients and dual points of no quality at all."""
    for name, problem in {**problems(), **cancelling_problems()}.items():
        generator = rng(len(name))
        m, n = problem.shape
        x = generator.standard_normal(n) * (generator.random(n) < 0.5)
        yield f"rough {name}", Certificate.build(problem, x, generator.standard_normal(m))[1]
        yield f"from the residual, {name}", Certificate.build(problem, 1e-3 * x)[1]
        yield f"zero, {name}", Certificate.build(problem, np.zeros(n), np.zeros(m))[1]
        yield f"ones, {name}", Certificate.build(problem, np.ones(n))[1]


def older(certificate: Certificate, primal: float, dual: float) -> str:
    """Return the JSON of files that state the objectives to twelve digits, times two factors."""
    document = json.loads(so.to_json(certificate))
    document.update(correlation_norm=1.0)
    document["primal"] *= primal
    document["dual"] *= dual
    return json.dumps(document)


def accuracy_of(certificate: Certificate) -> so.Check:
    """Return the check, refused if the accuracy is not the least bound in exact arithmetic."""
    target = [Fraction(float(v)) for v in certificate.problem.target]
    at_zero = sum(v * v for v in target) / 2
    primal = Fraction(bounds_low(certificate))
    size = max(primal, at_zero / 2**53)
    gap, accuracy = Fraction(certificate.gap), certificate.accuracy
    if gap == 0 or size == 0:
        right = accuracy == (math.inf if gap else 0.0)
    else:
        right = gap <= Fraction(accuracy) * size <= gap * (1 + Fraction(1, 10**8))
    return so.verify(certificate) if right else so.Check("refused", "its accuracy", ("wrong",))


def bounds_low(certificate: Certificate) -> float:
    """Return a lower bound of the objective, in the units of the problem."""
    scaled = DualityGap(certificate.problem).scaled
    return scaled.original_below(bounds(certificate).primal_low)


def borders() -> Iterator[tuple[str, Certificate]]:
    """Yield proofs without a last bit of room."""
    line = so.SparseRegression([[1.0]], [3.0], so.L1(1.0))
    limit = DualityGap(line).limits_low[0]
    for t in np.nextafter(limit, [-1.0] * 12)[:1] * (1.0 - 2.0**-52 * np.arange(12)):
        if DualityGap(line).reach(np.array([[t]])) <= limit:
            point = DualityGap(line).scaled.original_dual_point(t)
            yield "the largest feasible point", stated(line, [2.0], [point])
            break
    for size in (1, 3):
        problem, x, t = nearly_zero(size, proved=True)
        yield f"a zero that is just proved, {size}", stated(problem, x, t)


def nearly_zero(
    size: int, proved: bool, more_rows: int = 0
) -> tuple[so.SparseRegression, Any, Any]:
    """Return a problem with one block at the border of what the gap-safe rule proves to be zero.

    The columns are orthogonal, so the block is zero in the minimiser if and only if the block's
    part of the target is at most the limit in norm.
    """
    design = np.eye(size + 1 + more_rows, size + 1)
    groups = [list(range(size)), [size]]
    target = np.append(np.full(size, 0.9 / math.sqrt(size)), np.zeros(1 + more_rows))
    low, high = 0.9, 2.0
    point = 0.5 * target
    for _ in range(200):
        limit = 0.5 * (low + high)
        penalty = so.L1(limit) if size == 1 else so.GroupL1(limit, groups)
        problem = so.SparseRegression(design, target, penalty)
        gap = DualityGap(problem)
        found = gap.bounds(gap.primal(np.zeros(size + 1)), gap.scaled.dual_point(point[None]))
        is_proved = bool(
            gap.proved_zero(gap.look(gap.scaled.dual_point(point[None])), found.gap)[0]
        )
        low, high = (low, limit) if is_proved else (limit, high)
        if high <= more(low):
            break
    limit = high if proved else low
    penalty = so.L1(limit) if size == 1 else so.GroupL1(limit, groups)
    return so.SparseRegression(design, target, penalty), np.zeros(size + 1), point


def figures() -> Pairs:
    """Figures that are a little, or much, better than what is proved."""
    for name, certificate in solved().items():
        own = exactly(certificate)
        if own.gap > 0:
            yield f"{GAP} | a last bit too low, {name}", exactly(certificate, gap=less(own.gap))
            yield f"{GAP} | a tenth, {name}", exactly(certificate, gap=0.1 * own.gap)
            yield f"{GAP} | none, {name}", exactly(certificate, gap=0.0)
        if own.primal > 0:
            lower = exactly(certificate, primal=less(own.primal))
            yield f"{PRIMAL} | a last bit too low, {name}", lower
        yield f"{DUAL} | a last bit too high, {name}", exactly(certificate, dual=more(own.dual))
        yield f"{GAP} | negative, {name}", exactly(certificate, gap=-1e-300)
    for name, certificate in rough():
        own = exactly(certificate)
        if own.gap > 0:
            yield f"{GAP} | a last bit too low, {name}", exactly(certificate, gap=less(own.gap))
        if own.primal > 0:
            lower = exactly(certificate, primal=less(own.primal))
            yield f"{PRIMAL} | a last bit too low, {name}", lower
        yield f"{DUAL} | a last bit too high, {name}", exactly(certificate, dual=more(own.dual))
    first = solved()["l1"]
    for value in (math.inf, math.nan):
        yield f"{GAP} | {value}", exactly(first, gap=value)
        yield f"{PRIMAL} | {value}", exactly(first, primal=value)
    yield f"{DUAL} | nan", exactly(first, dual=math.nan)
    yield f"{DUAL} | a million", exactly(first, dual=1e6)
    big = problems()["large"]
    yield (
        f"{DUAL} | above 0 by less than scaling holds",
        stated(big, np.zeros(9), np.zeros(6), range(9), dual=5e-324),
    )
    tiny = so.SparseRegression([[1.0, 1.0]], [0.0], so.GroupL1(1e300, [[0, 1]]))
    penalty = float(np.hypot(5e-324, 0.0)) * 1e300
    yield (
        "scaling it loses digits | norms that are rounded away",
        stated(tiny, [5e-324, 5e-324], [0.0], primal=penalty, gap=penalty),
    )
