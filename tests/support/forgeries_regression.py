"""Forged certificates of sparse regression: what the core must refuse, and why.

Each is stopped by one line of the judge. Its name is the sentence of that line, then " | " and
what it is. Most claim what is false; the others state figures that the core cannot prove. What is
written as JSON text must be refused when it is read.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from forgeries_regression_files import documents, forms, inputs
from regression_statements import (
    DUAL,
    FEASIBLE,
    GAP,
    PRIMAL,
    ZEROS,
    Certificate,
    Pairs,
    accuracy_of,
    borders,
    exactly,
    figures,
    gaussian,
    more,
    nearly_zero,
    older,
    rough,
    solved,
    stated,
)

import sparseopt as so
from sparseopt.inverse.duality import DualityGap


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


def vanishing_norms() -> Pairs:
    """Groups of entries whose squares underflow, under a limit that makes them count."""
    for entry in (1e-170, 1e-162, 1e-200):
        problem = so.SparseRegression([[1.0, 1.0]], [1.0], so.GroupL1(1e300, [[0, 1]]))
        primal = math.nextafter(0.5, 1.0)
        yield (
            f"scaling it loses digits | of entries {entry}",
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
        dataclasses.replace(first, answer=so.PursuitAnswer(x)),  # type: ignore[arg-type]
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
