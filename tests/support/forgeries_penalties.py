"""Forged certificates of regressions with other penalties, weights, complex numbers, operators.

Like `forgeries_regression`: each is stopped by one line of the judge, and its name begins with it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so
from sparseopt.inverse.kinds import gap_of

Certificate = so.DualityGapCertificate
Pairs = Iterator[tuple[str, Any]]

GAP, PRIMAL, DUAL = "the gap is at most", "the objective is at most", "the minimum is at least"
FEASIBLE, ZEROS = "the dual point is feasible", "the gap-safe rule proves"
GROUPS = [[0, 3, 6], [1], [2, 4, 5, 7, 8]]


def gaussian(m: int, n: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((m, n)), generator.standard_normal(m)


@cache
def problems() -> dict[str, so.SparseRegression]:
    """Return one problem of each kind that the judge tells apart."""
    design, target = gaussian(6, 9)
    tall, high = gaussian(12, 4, 3)
    complex_design = design + 1j * gaussian(6, 9, 8)[0]
    rounded = np.round(design, 1) * (np.abs(design) > 0.5)
    weights = np.array([0.0, 1.0, 2.0, 0.5, 1.0, 1.0, 1.0, 0.7, 1.0])
    rows = np.array([1.0, 2.0, 0.5, 0.0, 1.0, 3.0])
    twice = np.hstack([tall, tall[:, :1], tall[:, :1] + tall[:, 1:2]])
    summed = np.round(4.0 * twice[:, :5])
    summed[:, 4] = summed[:, 0] + summed[:, 1]
    patterns = so.Architecture([(1, 3, 3, 1), (1, 3, 3, 1)])
    factors = [gaussian(3, 3, k)[0].reshape(1, 3, 3, 1) for k in (1, 2)]
    product = so.KroneckerProduct(factors, patterns)
    turned = so.KroneckerProduct([f + 1j * f[:, ::-1] for f in factors], patterns)
    sparse, mixed = scipy.sparse.csr_array, so.SparseGroupL1(0.7, 0.9, GROUPS)
    free = so.L1(0.5, [0, 0, 1, 1, 1])
    regression = so.SparseRegression
    return {
        "weights": regression(design, target, so.L1(0.8, weights)),
        "weights, sparse": regression(sparse(rounded), target, so.L1(0.8, weights)),
        "rows": regression(design, target, so.L1(0.8), rows),
        "rows, csr": regression(sparse(rounded), target, so.L1(0.8), rows),
        "rows, csc": regression(scipy.sparse.csc_array(rounded), target, so.L1(0.8), rows),
        "rows and free columns": regression(design, target, so.L1(0.8, weights), rows),
        "no penalty, rows": regression(tall, high, so.L1(0.0), np.arange(1.0, 13.0)),
        "free columns, dependent": regression(summed, high, so.L1(0.5, [0, 0, 1, 1, 0])),
        "free columns, dependent, rows": regression(
            summed, high, so.L1(0.5, [0, 0, 1, 1, 0]), np.arange(1.0, 13.0)
        ),
        "free groups": regression(design, target, so.GroupL1(0.8, GROUPS, [1.0, 0.0, 1.9])),
        "free columns": regression(twice[:, :5], high, free),
        "positive": regression(design, target, so.L1(0.8, positive=True)),
        "positive and free": regression(design, target, so.L1(0.8, weights, positive=True)),
        "positive groups": regression(design, target, so.GroupL1(0.8, GROUPS, positive=True)),
        "ridge": regression(design, target, so.Ridge(0.3)),
        "elastic net": regression(design, target, so.L1(0.5) + so.Ridge(0.3)),
        "elastic groups": regression(
            design, target, so.GroupL1(0.5, GROUPS, positive=True) + so.Ridge(0.3), rows
        ),
        "sparse groups": regression(design, target, mixed),
        "sparse groups, ridge": regression(design, target, mixed + so.Ridge(0.1)),
        "sparse groups, free": regression(
            design, target, so.SparseGroupL1(0.7, 0.9, GROUPS, weights, [1, 0, 0])
        ),
        "complex": regression(complex_design, target, so.L1(1.5)),
        "complex target": regression(sparse(rounded), target * (1 + 1j), so.L1(1.5)),
        "complex, csc": regression(scipy.sparse.csc_array(rounded * 1j), target, so.L1(1.5)),
        "complex, rows": regression(complex_design, target, so.L1(1.5, weights), rows),
        "complex groups": regression(complex_design, target, so.GroupL1(1.1, GROUPS)),
        "complex sparse groups": regression(complex_design, target, mixed),
        "complex sparse groups, ridge": regression(complex_design, target, mixed + so.Ridge(0.1)),
        "complex sparse groups, free": regression(
            complex_design, target, so.SparseGroupL1(0.7, 0.9, GROUPS, weights, [1, 0, 0]), rows
        ),
        "product": regression(product, target[:3], so.L1(0.5)),
        "product, free": regression(product, target[:3], so.L1(0.05, [0, 1, 1])),
        "product, elastic": regression(product, target[:3], so.L1(0.5) + so.Ridge(0.3), [1, 2, 3]),
        "product, complex": regression(turned, target[:3], so.L1(0.5)),
        "product, complex target": regression(product, target[:3] * 1j, so.L1(0.5)),
        "variation": regression(design, target, so.TotalVariation(0.4)),
        "variation, rows": regression(tall, high, so.TotalVariation(0.4), np.arange(1.0, 13.0)),
        "variation, sparse": regression(scipy.sparse.eye_array(6), target, so.TotalVariation(0.4)),
        "variation, complex": regression(complex_design, target, so.TotalVariation(0.4)),
        "variation, product": regression(product, target[:3], so.TotalVariation(0.4)),
        "variation, no constants": regression(
            np.diff(np.eye(5), axis=0), target[:4], so.TotalVariation(0.4)
        ),
        "variation, no constants, sparse": regression(
            sparse(np.diff(np.eye(5), axis=0)), target[:4], so.TotalVariation(0.4)
        ),
        "variation of one": regression(tall[:, :1], high, so.TotalVariation(0.4)),
        "nuclear": regression(design, target, so.NuclearNorm(0.8, (3, 3))),
        "nuclear, rows": regression(design, target, so.NuclearNorm(0.8, (1, 9)), rows),
        "nuclear, ridge": regression(design, target, so.NuclearNorm(0.8, (3, 3)) + so.Ridge(0.3)),
        "nuclear, complex": regression(complex_design, target, so.NuclearNorm(0.8, (3, 3))),
        "nuclear, complex, ridge": regression(
            complex_design, target, so.NuclearNorm(0.8, (3, 3)) + so.Ridge(0.3)
        ),
        "nuclear, none": regression(tall, high, so.NuclearNorm(0.0, (2, 2))),
    }


def stated(
    problem: so.SparseRegression, x: Any, t: Any, undecided: Any = None, **figures: float
) -> Certificate:
    """Return a certificate with exactly the figures that the judge proves, but for those given."""
    none = np.array([], dtype=int) if undecided is None else np.asarray(undecided)
    answer = so.Coefficients(np.asarray(x))
    made = Certificate(problem, answer, np.asarray(t), 0.0, 0.0, 0.0, none)
    gap = gap_of(problem)
    point = gap.scaled.dual_point(np.atleast_2d(made.dual_point))
    found = gap.bounds(gap.primal(gap.scaled.coefficients(answer.x)), point)
    own = {
        "primal": gap.scaled.original_above(found.primal),
        "dual": gap.scaled.original_below(found.dual),
        "gap": gap.scaled.original_above(found.gap),
    }
    return dataclasses.replace(made, **{**own, **figures})


def exactly(certificate: Certificate, **changes: Any) -> Certificate:
    """Return a certificate whose figures are those that the judge proves, then changed."""
    fields = ("problem", "dual_point", "undecided")
    problem, point, undecided = (getattr(certificate, name) for name in fields)
    made = stated(problem, certificate.answer.x, point, undecided)
    return dataclasses.replace(made, **changes)


@cache
def solved() -> dict[str, Certificate]:
    """Return the certificate of a solver for each problem."""
    return {name: so.solve(problem).certificate for name, problem in problems().items()}


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    for name, certificate in solved().items():
        yield name, certificate
        yield f"{name}, exactly as proved", exactly(certificate)
        problem = problems()[name]
        m, n = problem.shape
        generator = np.random.default_rng(len(name))
        x, t = generator.standard_normal(n), generator.standard_normal(m)
        if problem.is_complex:
            x, t = x + 1j * generator.standard_normal(n), t + 1j * generator.standard_normal(m)
        yield f"rough {name}", Certificate.build(problem, x, t)[1]
        yield f"zero, {name}", Certificate.build(problem, np.zeros(n), np.zeros(m))[1]
        yield f"from the residual, {name}", Certificate.build(problem, x * 1e-3)[1]


def forged() -> Pairs:
    """Yield (the refusing line | what it is, certificate or its JSON)."""
    for part in (figures, points, signs, zeros, kinds, files):
        yield from part()


def figures() -> Pairs:
    """Figures that are a little better than what is proved."""
    for name, certificate in solved().items():
        own = exactly(certificate)
        down = float(np.nextafter(own.primal, -np.inf))
        yield f"{PRIMAL} | a last bit too low, {name}", exactly(certificate, primal=down)
        if own.gap > 0:
            less = float(np.nextafter(own.gap, -np.inf))
            yield f"{GAP} | a last bit too low, {name}", exactly(certificate, gap=less)
            yield f"{GAP} | zero, {name}", exactly(certificate, gap=0.0)
        more = float(np.nextafter(own.dual, np.inf))
        yield f"{DUAL} | a last bit too high, {name}", exactly(certificate, dual=more)


def points() -> Pairs:
    """Dual points that violate a constraint, by much or by little, with the figures they give."""
    for name, certificate in solved().items():
        problem = problems()[name]
        gap = gap_of(problem)
        if not gap.penalised or gap.scaled.ridge:
            continue
        for times in (1.0 + 1e-9, 1.5):
            point = times * np.atleast_2d(certificate.dual_point)
            yield f"{FEASIBLE} | times {times:g}, {name}", exactly(certificate, dual_point=point)
    rows = np.array([0.1, 0.1, 0.1, 5.0, 0.1, 0.1])
    own = exactly(solved()["rows"], dual_point=0.01 * rows, undecided=np.arange(9))
    zero = dataclasses.replace(own, answer=so.Coefficients(np.zeros(9)))
    yield f"{DUAL} | where a row has no weight", exactly(zero, dual=0.1)
    own = exactly(solved()["ridge"], dual_point=2.0 * solved()["ridge"].dual_point)
    yield f"{DUAL} | as if squares were free", dataclasses.replace(own, dual=own.primal)


def signs() -> Pairs:
    """Coefficients that must not be negative and are."""
    for name in ("positive", "positive groups", "elastic groups"):
        x = solved()[name].answer.x.copy()
        x[int(np.argmax(x))] *= -1.0
        answer = so.Coefficients(x)
        yield (
            f"no coefficient is negative | {name}",
            dataclasses.replace(solved()[name], answer=answer),
        )


def zeros() -> Pairs:
    """Zeros that nothing proves."""
    for name, certificate in solved().items():
        problem = problems()[name]
        if not gap_of(problem).penalised:
            continue
        x = np.zeros(problem.shape[1])
        used = certificate.answer.support
        if len(used):
            made = stated(problem, x, certificate.dual_point)
            yield f"{ZEROS} | all of them, {name}", made
    # Far on the negative side D is negative, and P - D more than what P exceeds its minimum by.
    one, none = so.L1(0.1, positive=True), np.zeros(0, dtype=int)
    group = so.GroupL1(0.1, [[0]], positive=True)
    for words, penalty in (
        ("alone", one),
        ("with squares", one + so.Ridge(0.01)),
        ("group", group),
    ):
        far = so.SparseRegression([[1.0]], [1.0], penalty)
        for t in (-5.0, -1e153):
            made = Certificate(far, so.Coefficients([0.0]), np.array([t]), 0.51, 0.0, 0.51, none)
            yield f"{ZEROS} | a dual point of {t:g}, {words}", made
    # Squares and moduli of coefficients this small lose digits.
    tiny = np.zeros(1) + 2.0**-501
    for words, penalty in (("squares", so.Ridge(1.0)), ("magnitudes", so.L1(1.0))):
        least = so.SparseRegression([[1.0]], [1.0], penalty)
        made = Certificate(least, so.Coefficients(tiny), np.zeros(1), 0.51, 0.0, 0.51, none)
        yield f"scaling it loses digits | {words}", made


def kinds() -> Pairs:
    """Complex numbers for real problems."""
    own = solved()["weights"]
    words = "are real where design and target are"
    for changes in (
        {"answer": so.Coefficients(own.answer.x + 0j)},
        {"dual_point": own.dual_point + 0j},
    ):
        yield f"{words} | {next(iter(changes))}", dataclasses.replace(own, **changes)


def files() -> Pairs:
    """JSON of questions that are none."""
    for name, place, value, words in (
        ("elastic net", ("penalty", "parts"), [], "a sum of penalties needs at least one"),
        ("sparse groups", ("penalty", "l1"), -1.0, "l1 is -1"),
        ("positive", ("penalty", "positive"), 1, "positive must be True or False"),
        ("nuclear", ("penalty", "shape"), [3, 4], "has 12 entries"),
        ("rows", ("sample_weights",), [1.0, 2.0], "sample_weights must be 6 numbers"),
    ):
        document = json.loads(so.to_json(solved()[name]))
        spot = document["problem"]
        for key in place[:-1]:
            spot = spot[key]
        spot[place[-1]] = value
        yield f"{words} | {name}", json.dumps(document)
