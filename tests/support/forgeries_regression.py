"""Forged certificates of sparse regression: what the core must refuse, and why.

Each is stopped by one line of the judge. Its name is the sentence of that line, then " | " and
what it is. Most claim what is false; the others state figures that the core cannot prove. What is
written as JSON text must be refused when it is read.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
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


# Honest ones --------------------------------------------------------------------------------


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


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    for name, certificate in solved().items():
        yield name, certificate
        yield f"{name}, exactly as proved", exactly(certificate)
        yield (
            f"{name}, with room",
            dataclasses.replace(
                certificate,
                primal=certificate.primal * (1.0 + 1e-10),
                dual=certificate.dual * (1.0 - 1e-10),
                gap=certificate.gap * 2.0,
                undecided=np.flatnonzero(certificate.answer.x == 0),
            ),
        )
    nothing = dataclasses.replace(solved()["zero target"], gap=1.0)
    yield "zero target, a gap", nothing
    yield "zero target, accuracy of a gap", lambda: accuracy_of(nothing)
    yield from rough()
    yield from borders()
    for name, certificate in solved().items():
        yield f"{name}, as JSON", so.to_json(certificate)
        yield f"{name}, its accuracy", lambda certificate=certificate: accuracy_of(certificate)
        if certificate.accuracy < 1e-12 and certificate.dual_point.ndim == 1:
            yield f"{name}, in an older form", older(certificate, 1.0 - 1e-12, 1.0 + 1e-12)
    for name, certificate in rough():
        yield f"{name}, its accuracy", lambda certificate=certificate: accuracy_of(certificate)


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


# Forged ones --------------------------------------------------------------------------------


def forged() -> Pairs:
    """Yield (sentence | what it is, certificate or JSON text), all to be refused."""
    for part in (
        figures,
        vanishing_norms,
        points,
        zeros,
        answers,
        least_squares,
        hidden_columns,
        forms,
        documents,
        inputs,
    ):
        yield from part()


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
        f"{PRIMAL} | norms that are rounded away",
        stated(tiny, [5e-324, 5e-324], [0.0], primal=penalty, gap=penalty),
    )


def vanishing_norms() -> Pairs:
    """Groups of entries whose squares underflow, under a limit that makes them count."""
    for entry in (1e-170, 1e-162, 1e-200):
        problem = so.SparseRegression([[1.0, 1.0]], [1.0], so.GroupL1(1e300, [[0, 1]]))
        primal = math.nextafter(0.5, 1.0)
        yield (
            f"{PRIMAL} | of entries {entry}",
            stated(problem, [entry, entry], [1.0], primal=primal, gap=1e-15),
        )


def points() -> Pairs:
    """Dual points that are not feasible, by little or by much."""
    for name in ("l1", "groups", "float32", "csr", "csc groups", "large", "weak penalty"):
        certificate = solved()[name]
        for factor in (1.0 + 1e-14, 1.0 + 1e-9, 2.0, -3.0):
            point = certificate.dual_point * factor
            yield (
                f"{FEASIBLE} | times {factor!r}, {name}",
                stated(certificate.problem, certificate.answer.x, point, certificate.undecided),
            )
    line = so.SparseRegression([[1.0]], [3.0], so.L1(1.0))
    gap = DualityGap(line)
    point = gap.limits_low[0]
    while gap.reach(np.array([[point]]))[0] <= gap.limits_low[0]:
        point = more(point)
    point = gap.scaled.original_dual_point(point)
    yield f"{FEASIBLE} | by a last bit", stated(line, [2.0], [point])
    yield f"{FEASIBLE} | at the limit itself", stated(line, [2.0], [1.0])
    yield from cancelling()
    line = so.SparseRegression([[1.0]], [3.0], so.L1(1.0))
    yield f"{FEASIBLE} | the sum of two rows", stated(line, [2.0], [[0.6], [0.6]])
    times = solved()["time stamps"]
    yield (
        f"{FEASIBLE} | the first of two rows alone",
        stated(times.problem, times.answer.x, times.dual_point[0]),
    )
    second = times.dual_point + np.array([[0.0], [1e-9]])
    yield (
        f"{FEASIBLE} | another second row",
        stated(times.problem, times.answer.x, second),
    )
    first = solved()["l1"]
    wide = np.stack([np.zeros(6), 2.0 * first.dual_point])
    yield (
        f"{FEASIBLE} | all in the second row",
        stated(first.problem, first.answer.x, wide, first.undecided),
    )
    wild = np.full(6, 1e300)
    yield f"{FEASIBLE} | of 1e300", dataclasses.replace(first, dual_point=wild)


def cancelling() -> Pairs:
    """Columns whose correlation is lost in plain arithmetic."""
    for m in (3, 8, 33):
        column = np.ones(m)
        column[0], column[-1] = 2.0**60, -(2.0**60)
        point = np.full(m, 1.0)
        limit = 0.5 * (m - 2)
        problem = so.SparseRegression(column[:, None], np.full(m, 2.0), so.L1(limit))
        yield (
            f"{FEASIBLE} | a correlation of {m - 2} that plain sums may lose",
            stated(problem, [0.0], point, [0]),
        )


def zeros() -> Pairs:
    """Coefficients that count as proved to be zero, and are not."""
    for target in (1.05, 1.04, 1.01):
        problem = so.SparseRegression([[1.0]], [target], so.L1(1.0))
        yield f"{ZEROS} | a radius of sqrt(gap) at {target}", stated(problem, [0.0], [0.8])
    for size in (1, 3):
        problem, x, t = nearly_zero(size, proved=False)
        yield f"{ZEROS} | a last bit short, {size}", stated(problem, x, t)
        problem, x, t = nearly_zero(size, proved=False, more_rows=200)
        yield f"{ZEROS} | a last bit short with many rows, {size}", stated(problem, x, t)
    groups = so.SparseRegression(np.eye(2), [0.74, 0.74], so.GroupL1(1.0, [[0, 1]]))
    yield f"{ZEROS} | of a group", stated(groups, [0.0, 0.0], [0.6, 0.6])
    for name in ("l1", "groups", "no penalty", "weak penalty"):
        problem = solved()[name].problem
        m, n = problem.shape
        yield f"{ZEROS} | of x = 0, {name}", stated(problem, np.zeros(n), np.zeros(m))
    faint = so.SparseRegression(np.diag([1.0, 1e-170]), [1.0, 1.0], so.L1(1e-180))
    yield f"{ZEROS} | of a column whose square is 0", stated(faint, [0.0, 0.0], [0.0, 0.0], [0])
    twins = so.SparseRegression([[1.0, 1.0]], [3.0], so.L1(1.0))
    best = so.solve(twins).certificate
    yield f"{ZEROS} | of one of two equal columns", stated(twins, [2.0, 0.0], best.dual_point)


def answers() -> Pairs:
    """Answers of another kind, size or value, and lists of undecided zeros."""
    first = solved()["l1"]
    support, x = first.answer.support, first.answer.x
    nearby = np.where(x == 0, 0.0, x * 1.001)
    two = stated(so.SparseRegression(np.eye(2), [3.0, 0.0], so.L1(1.0)), [2.0, 0.0], [0.9, 0.0])
    one = {"answer": so.Coefficients([2.0]), "undecided": np.array([0])}
    yield "one entry for each of 2 columns | one less", dataclasses.replace(two, **one)
    for name, other in (("nearby", nearby), ("none", np.zeros(9)), ("huge", x * 1e300)):
        yield f"{PRIMAL} | of {name}", dataclasses.replace(first, answer=so.Coefficients(other))
    longer = so.Coefficients(np.append(x, 0.0))
    yield (
        "x has one entry for each of 9 columns | and one more",
        dataclasses.replace(first, answer=longer, undecided=np.append(first.undecided, 9)),
    )
    yield (
        "x has one entry for each of 9 columns | one less",
        dataclasses.replace(first, answer=so.Coefficients(x[:8])),
    )
    yield (
        "the answer is Coefficients | it only looks so",
        dataclasses.replace(first, answer=LooksLikeCoefficients(x)),
    )
    sentence = "the undecided coefficients are distinct, and zero in x"
    none = np.flatnonzero(x == 0)
    for name, entries in (("one used", support[:1]), ("twice", [none[0], none[0]])):
        yield f"{sentence} | {name}", dataclasses.replace(first, undecided=np.array(entries))
    yield (
        "index 9 is out of bounds | undecided beyond",
        dataclasses.replace(first, undecided=np.array([9])),
    )
    scaled = so.SparseRegression(np.eye(2) * 1e-130, [1e140, 1.0], so.L1(1e-10))
    certificate = Certificate.build(scaled, np.array([1e270, 1e-300]))[1]
    yield (
        "scaling it loses digits | 5e-324",
        dataclasses.replace(
            certificate, answer=so.Coefficients([1e270, 5e-324]), undecided=np.array([], int)
        ),
    )


@dataclass(frozen=True, eq=False)
class LooksLikeCoefficients:
    """Has an `x`, and is no answer."""

    x: np.ndarray


def least_squares() -> Pairs:
    """Without a penalty: points that are nearly orthogonal to columns that nearly depend."""
    design, target = gaussian(9, 4, 3)
    close = design.copy()
    close[:, 3] = close[:, 0] + 1e-13 * close[:, 3]
    dependent = np.round(4 * design)
    dependent[:, 3] = dependent[:, 0] - 2 * dependent[:, 1]
    for name, matrix in (("", design), ("nearly dependent", close), ("dependent", dependent)):
        problem = so.SparseRegression(matrix, target, so.L1(0.0))
        used = slice(0, 3) if name else slice(0, 4)
        x = np.zeros(4)
        x[used] = np.linalg.lstsq(matrix[:, used], target, rcond=None)[0]
        if name != "dependent":
            x[0] += 0.0 if name else 1e-3
        else:
            x[1] += 1e-3
        residual = target - matrix @ x
        made = stated(problem, x, residual, np.flatnonzero(x == 0))
        claimed = 1e-16 * made.primal
        yield f"{GAP} | at the residual, {name}", dataclasses.replace(made, gap=claimed)
        yield f"{DUAL} | at the residual, {name}", dataclasses.replace(made, dual=made.primal)
    problem = so.SparseRegression(design, target, so.L1(0.0))
    made = stated(problem, np.zeros(4), target, range(4))
    yield f"{GAP} | of x = 0", dataclasses.replace(made, gap=1e-9)
    yield (
        f"{DUAL} | of a tilted point",
        dataclasses.replace(
            solved()["no penalty"], dual_point=solved()["no penalty"].dual_point + design[:, 0]
        ),
    )
    wild = np.full(9, 1e300)
    yield f"{DUAL} | at a wild point", dataclasses.replace(solved()["no penalty"], dual_point=wild)


def hidden_columns() -> Pairs:
    """Least squares on one column where another one of the same look would help."""
    for name, rows in (("zeros on top", [[0, 0], [0, 0], [1, 1], [2, -1], [1, 3]]),
                       ("opposite signs", [[1, -1], [2, 1], [0, 1], [1, 1]])):  # fmt: skip
        matrix = np.array(rows, dtype=float)
        target = np.arange(1.0, len(rows) + 1.0)
        x = np.array([float(matrix[:, 0] @ target / (matrix[:, 0] @ matrix[:, 0])), 0.0])
        made = stated(so.SparseRegression(matrix, target, so.L1(0.0)), x, target - matrix @ x, [1])
        yield (
            f"{DUAL} | {name}",
            dataclasses.replace(made, dual=made.primal * (1 - 1e-12), gap=made.primal * 1e-12),
        )


def forms() -> Pairs:
    """Objects whose evidence has another form, with otherwise right figures."""
    loose = so.SparseRegression([[1.0]], [1.0], so.L1(10.0))
    # The square of the sum of three rows has a mixed term that the formula for two lacks.
    yield (
        "or two rows of them | three rows",
        Certificate(
            loose,
            so.Coefficients([0.0]),
            np.array([[1.0], [0.1], [0.1]]),
            0.5 * (1.0 + 1e-15),
            0.489,
            0.0101,
            np.array([0]),
        ),
    )
    first = solved()["l1"]
    short = first.dual_point[:5]
    yield "or two rows of them | too short", dataclasses.replace(first, dual_point=short)
    for value in (math.nan, math.inf):
        point = np.full(6, value)
        yield f"{FEASIBLE} | of {value}", dataclasses.replace(first, dual_point=point)
    tiny = Certificate.build(problems()["small"], np.zeros(9))[1]
    point = np.full(6, 1e300)  # beyond float64 in scaled units
    yield f"{FEASIBLE} | beyond scaling", dataclasses.replace(tiny, dual_point=point)
    free = solved()["no penalty, wide"]
    for value, words in ((math.nan, DUAL), (math.inf, GAP)):
        wild = dataclasses.replace(free, dual_point=np.full(6, value), dual=0.0, gap=0.0)
        yield f"{words} | a point of {value}", wild
    yield (
        "or two rows of them | a column",
        dataclasses.replace(first, dual_point=first.dual_point[:, None]),
    )


def documents() -> Pairs:
    """JSON texts that must be refused when they are read."""
    base = json.loads(so.to_json(solved()["l1"]))
    problem = base["problem"]

    def text(place: str, value: Any, start: Any = base) -> str:
        document = copy.deepcopy(start)
        spot = document
        *path, last = place.split("/")
        for key in path:
            spot = spot[key]
        if value is None:
            del spot[last]
        else:
            spot[last] = value
        return json.dumps(document)

    def array(values: list[Any], dtype: str = "<f8", shape: list[int] | None = None) -> Any:
        return {"$array": {"dtype": dtype, "shape": shape or [len(values)], "values": values}}

    for name in ("primal", "dual", "gap"):
        yield f"{name} must be a number | a text", text(name, "1.0")
        yield f"{name} must be a number | a truth value", text(name, True)
        yield f"{name} leaves the range of float64 | a long number", text(name, 10**400)
    point = base["dual_point"]["$array"]["values"]
    yield (
        "are real where design and target are | a complex dual point",
        text("dual_point", array([v for p in point for v in (p, 1.0)], "<c16", [6])),
    )
    zero = np.flatnonzero(solved()["l1"].answer.x == 0).tolist()
    indices = "undecided must be a vector of indices"
    yield f"{indices} | floats", text("undecided", array([float(zero[0])]))
    yield f"{indices} | a matrix", text("undecided", array([zero[0]], "<i8", [1, 1]))
    yield f"{indices} | from the end", text("undecided", array([zero[0] - 9], "<i8"))
    x = base["answer"]["x"]["$array"]["values"]
    yield (
        "are real where design and target are | complex coefficients",
        text("answer/x", array([v for p in x for v in (p, 1.0)], "<c16", [9])),
    )
    yield "x must be a vector of numbers | a column", text("answer/x", array(x, "<f8", [9, 1]))
    line = stated(so.SparseRegression([[1.0]], [3.0], so.L1(1.0)), [0.0], [0.5], [0])
    strong = stated(so.SparseRegression([[1.0]], [3.0], so.L1(9.0)), [0.0], [3.0], [0])
    for value, words, made in (
        (True, "strength must be a number", line),
        ({"$float": "inf"}, "strength is inf", strong),
        ({"$float": "nan"}, "strength is nan", strong),
        (-1.0, "a penalty cannot be negative", line),
    ):
        start = json.loads(so.to_json(made))
        yield f"{words} | {value}", text("problem/penalty/strength", value, start)
    yield "gap | is missing", text("gap", None)
    yield "unexpected keyword argument | a field too many", text("proof", 1.0)
    yield "penalty must be | another object", text("problem/penalty", base["answer"])
    yield "problem | is missing", text("problem", None)
    design = problem["design"]["$array"]["values"]
    yield "design has dtype float16 | halves", text("problem/design", array(design, "<f2", [6, 9]))
    yield "design is ragged | lists", text("problem/design", [[1.0], [1.0, 2.0]])
    yield (
        "design must be a matrix | a stack",
        text("problem/design", array(design, "<f8", [6, 9, 1])),
    )
    old = text("correlation_norm", 1.0, json.loads(text("primal", {"$float": "nan"})))
    yield f"{PRIMAL} | nan in an older form", old
    first = exactly(solved()["l1"])
    yield f"{PRIMAL} | too low in an older form", older(first, 1.0 - 1e-11, 1.0)
    yield f"{DUAL} | too high in an older form", older(first, 1.0, 1.0 + 1e-11)


def inputs() -> Pairs:
    """JSON of questions that are none, with answers that would pass."""
    base = json.loads(so.to_json(exactly(solved()["l1"])))
    yield from shifted(base)
    yield from lost_in_scaling()
    yield from partitions()
    line = stated(so.SparseRegression([[1.0]], [3.0], so.L1(3.0)), [0.0], [1.0], [0])
    document = json.loads(so.to_json(line))
    for name, shape in (("rows", [0, 1]), ("columns", [1, 0])):
        empty = copy.deepcopy(document)
        size = {"rows": (0, 1), "columns": (1, 0)}[name]
        empty["problem"]["design"]["$array"] = {"dtype": "<f8", "shape": shape, "values": []}
        for place, count in (("problem/target", size[0]), ("dual_point", size[0])):
            *path, last = place.split("/")
            spot = empty
            for key in path:
                spot = spot[key]
            spot[last]["$array"].update(shape=[count], values=[0.0] * count)
        empty["answer"]["x"]["$array"].update(shape=[size[1]], values=[0.0] * size[1])
        count = min(size[1], 1)
        empty["undecided"]["$array"].update(shape=[count], values=[0] * count)
        empty.update(primal=0.0, dual=0.0, gap=0.0)
        yield f"it needs at least one row and one column | no {name}", json.dumps(empty)
    stretched = so.SparseRegression(np.eye(3), np.ones(3), so.L1(3.0))
    document = json.loads(so.to_json(stated(stretched, np.zeros(3), np.ones(3), range(3))))
    document["problem"]["target"]["$array"].update(shape=[1], values=[1.0])
    document.update(primal=0.5 + 1e-15, gap=1e-9)
    yield "but design has 3 rows | one number for all", json.dumps(document)


def lost_in_scaling() -> Pairs:
    """Entries and strengths that vanish beside others, and change what is optimal."""
    row = [math.ldexp(1.0, 498), math.ldexp(1.0, -577), math.ldexp(1.0, -577)]
    made = stated(
        so.SparseRegression([[row[0], 0.0, 0.0]], [0.5], so.L1(0.0)),
        [math.ldexp(1.0, -499), 0.0, 0.0],
        [0.0],
        [1, 2],
    )
    document = json.loads(so.to_json(made))
    document["problem"]["design"]["$array"]["values"] = row
    document["answer"]["x"]["$array"]["values"][1:] = [math.ldexp(1.0, 489)] * 2
    document["undecided"]["$array"].update(shape=[0], values=[])
    document.update(primal=1e-60, gap=1e-60)
    yield "no scaling holds both | entries", json.dumps(document)
    # In scaled units the strength is 1.49 times the smallest number, and 1 after rounding.
    strength, x = math.ldexp(1.49, -961), math.ldexp(1.0, 104)
    design, target = [[2.0**498, 2.0**-491]], [2.0**-387]
    problem = so.SparseRegression(design, target, so.L1(2.0**-930))
    made = stated(problem, [0.0, 0.0], [0.0], [0, 1])
    document = json.loads(so.to_json(made))
    document["problem"]["penalty"]["strength"] = strength
    document["answer"]["x"]["$array"]["values"] = [0.0, x]
    penalty = strength * x
    document.update(primal=penalty / 1.48, gap=penalty / 1.48)
    document["undecided"]["$array"].update(shape=[1], values=[0])
    yield "which no scaling holds together | a strength", json.dumps(document)


def partitions() -> Pairs:
    """Groups and weights that are none."""
    grouped = exactly(solved()["groups"])
    base = json.loads(so.to_json(grouped))
    penalty = base["problem"]["penalty"]

    def with_penalty(**changes: Any) -> str:
        document = copy.deepcopy(base)
        document["problem"]["penalty"].update(changes)
        return json.dumps(document)

    def groups(*parts: list[Any]) -> dict[str, Any]:
        return {"groups": {"$tuple": [{"$array": {"dtype": "<f8", "shape": [len(p)], "values": p}}
                                      for p in parts]}}  # fmt: skip

    assert penalty["groups"]["$tuple"]
    yield (
        "is in groups 0 and 1 | one entry, and another in none",
        with_penalty(**groups([0, 3, 6], [0], [2, 4, 5, 7, 8])),
    )
    yield (
        "the groups miss entry 9 | one too many",
        with_penalty(**groups([0, 3, 6], [1], [2, 4, 5, 7, 8, 10])),
    )
    yield (
        "which is no column number | half",
        with_penalty(**groups([0, 3, 6], [1.5], [2, 4, 5, 7, 8])),
    )
    yield (
        "which is no column number | below 0",
        with_penalty(**groups([0, 3, 6], [-8], [2, 4, 5, 7, 8])),
    )
    yield (
        "must be a non-empty list | an empty one",
        with_penalty(**groups([0, 3, 6], [1], [2, 4, 5, 7, 8], [])),
    )
    yield "groups is empty | none", with_penalty(groups={"$tuple": []})
    yield "must be a list of lists | a number", with_penalty(groups=3)
    yield (
        "but the design has 9 columns | eight",
        with_penalty(**groups([0, 3, 6], [1], [2, 4, 5, 7])),
    )

    def weights(values: list[Any], dtype: str = "<f8") -> dict[str, Any]:
        return {"weights": {"$array": {"dtype": dtype, "shape": [len(values)], "values": values}}}

    yield "weights must be 3 numbers | two", with_penalty(**weights([1.0, 0.7]))
    yield "weights must be 3 numbers | four", with_penalty(**weights([1.0, 0.7, 1.9, 1.0]))
    yield "weights must not be negative | one", with_penalty(**weights([-1.0, 0.7, 1.9]))
    yield "weights has an inf | inf", with_penalty(**weights([1.0, 0.7, "inf"]))


def shifted(base: Any) -> Pairs:
    """The same problem in units that leave the range of float64."""
    for power, words in ((520, "the largest entry of target is"), (-520, "the largest entry of")):
        document = copy.deepcopy(base)
        for place, times in (
            ("problem/target", 1), ("dual_point", 1), ("answer/x", 1),
        ):  # fmt: skip
            *path, last = place.split("/")
            spot = document
            for key in path:
                spot = spot[key]
            body = spot[last]["$array"]
            body["values"] = [math.ldexp(v, times * power) for v in body["values"]]
        strength = document["problem"]["penalty"]["strength"]
        document["problem"]["penalty"]["strength"] = math.ldexp(strength, power)
        for name in ("primal", "dual", "gap"):
            document[name] = min(math.ldexp(document[name], min(2 * power, 1000)), 1e308)
        yield f"{words} | of 2^{power}", json.dumps(document)
