"""Sparse regression by other means: published values, brute force, exact arithmetic."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so

CASES = Path(__file__).parent.parent / "inverse" / "public_cases.json"


def public_cases() -> list[dict[str, Any]]:
    """Return the published instances with their bracketed optimal values."""
    return json.loads(CASES.read_text())["records"]


def instance(case: dict[str, Any]) -> so.SparseRegression:
    """Build the problem of a published instance from its recipe."""
    data = case["data"]
    if "seed" in data:
        rng = np.random.default_rng(data["seed"])
        m, n = data["m"], data["n"]
        design = rng.standard_normal((m, n)) / np.sqrt(m)
        x = np.zeros(n)
        chosen = rng.choice(n, data["k"], replace=False)
        x[chosen] = rng.standard_normal(data["k"])
        target = design @ x + data["sigma"] * rng.standard_normal(m)
    else:
        from sklearn.datasets import load_diabetes

        design, target = load_diabetes(return_X_y=True)
        target = target - target.mean()
    if "groups" in data:
        penalty: so.Penalty = so.GroupL1(data["lam"], data["groups"], data["weights"])
    else:
        penalty = so.L1(data["lam"])
    return so.SparseRegression(design, target, penalty)


def brute_force_lasso(design: np.ndarray, target: np.ndarray, strength: float) -> float:
    """Return the least objective over all sign patterns; at most about six columns."""
    best = 0.5 * float(target @ target)
    for signs in itertools.product((-1.0, 0.0, 1.0), repeat=design.shape[1]):
        s = np.array(signs)
        used = s != 0
        if not used.any():
            continue
        columns = design[:, used]
        right = columns.T @ target - strength * s[used]
        x = np.linalg.lstsq(columns.T @ columns, right, rcond=None)[0]
        if (x * s[used] > 0).all():
            residual = target - columns @ x
            best = min(best, 0.5 * float(residual @ residual) + strength * np.abs(x).sum())
    return best


def _exact(values: Any) -> list[Fraction]:
    return [Fraction(float(value)) for value in np.asarray(values).ravel()]


def exact_gap(certificate: so.DualityGapCertificate) -> tuple[bool, Decimal]:
    """Return whether the dual point is feasible, and primal minus dual, in exact arithmetic.

    Everything is rational but the norms of groups, which are taken with 80 digits.
    """
    problem = certificate.problem
    design = problem.design
    dense = design.toarray() if scipy.sparse.issparse(design) else np.asarray(design)
    m, n = dense.shape
    rows = [_exact(row) for row in dense]
    x = _exact(certificate.answer.x)
    rows_of_t = [_exact(row) for row in np.atleast_2d(certificate.dual_point)]
    t = [sum(parts) for parts in zip(*rows_of_t, strict=True)]
    target = _exact(problem.target)
    residual = [target[i] - sum(rows[i][j] * x[j] for j in range(n)) for i in range(m)]
    correlation = [sum(rows[i][j] * t[i] for i in range(m)) for j in range(n)]
    blocks = problem.penalty.blocks(n)
    weights = getattr(problem.penalty, "weights", None)
    feasible = True
    with localcontext() as context:
        context.prec = 80
        penalty = Decimal(0)
        for g in range(len(blocks.sizes)):
            members = blocks.members(np.array([g]))
            limit = Fraction(problem.penalty.strength)
            limit *= Fraction(1) if weights is None else Fraction(float(weights[g]))
            feasible &= sum(correlation[j] ** 2 for j in members) <= limit**2
            square = sum(x[j] ** 2 for j in members)
            penalty += _decimal(limit) * _decimal(square).sqrt()
        smooth = sum(r * r for r in residual) / 2
        smooth -= sum(y * s for y, s in zip(target, t, strict=True)) - sum(s * s for s in t) / 2
        return feasible, _decimal(smooth) + penalty


def _dense(problem: so.SparseRegression) -> list[list[Fraction]]:
    design = problem.design
    return [_exact(row) for row in (design.toarray() if scipy.sparse.issparse(design) else design)]


def _solved(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction] | None:
    """Return a solution of a square system by Gauss and Jordan, None if it is singular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for column in range(len(rows)):
        pivot = next((i for i in range(column, len(rows)) if rows[i][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for i, row in enumerate(rows):
            if i != column and row[column]:
                rows[i] = [a - row[column] * b for a, b in zip(row, rows[column], strict=True)]
    return [row[-1] for row in rows]


def exact_objective(problem: so.SparseRegression, x: list[Fraction]) -> Fraction:
    """Return the objective of an L1 problem."""
    rows, target = _dense(problem), _exact(problem.target)
    residual = [
        y - sum(a * b for a, b in zip(row, x, strict=True))
        for row, y in zip(rows, target, strict=True)
    ]
    return sum(r * r for r in residual) / 2 + Fraction(problem.penalty.strength) * sum(map(abs, x))


def exact_minimum(problem: so.SparseRegression) -> tuple[Fraction, list[Fraction]]:
    """Return the minimum of an L1 problem, and its dual maximiser, by all faces.

    Some minimiser has independent columns where it is not zero: its signs and the normal
    equations on its support give it. At most about four columns.
    """
    rows, target = _dense(problem), _exact(problem.target)
    strength, n = Fraction(problem.penalty.strength), len(rows[0])
    gram = [[sum(r[i] * r[j] for r in rows) for j in range(n)] for i in range(n)]
    right = [sum(r[j] * y for r, y in zip(rows, target, strict=True)) for j in range(n)]
    best, found = exact_objective(problem, [Fraction(0)] * n), [Fraction(0)] * n
    for signs in itertools.product((-1, 0, 1), repeat=n):
        used = [j for j in range(n) if signs[j]]
        part = _solved(
            [[gram[i][j] for j in used] for i in used],
            [right[j] - strength * signs[j] for j in used],
        )
        if not used or part is None:
            continue
        x = [Fraction(0)] * n
        for j, value in zip(used, part, strict=True):
            x[j] = value
        value = exact_objective(problem, x)
        if value < best:
            best, found = value, x
    dual = [
        y - sum(a * b for a, b in zip(row, found, strict=True))
        for row, y in zip(rows, target, strict=True)
    ]
    return best, dual


def false_claims(certificate: so.DualityGapCertificate) -> list[str]:
    """Return what an accepted certificate of an L1 problem states and is false."""
    problem = certificate.problem
    minimum, dual = exact_minimum(problem)
    x = _exact(certificate.answer.x)
    primal = exact_objective(problem, x)
    wrong = []
    if primal > Fraction(certificate.primal):
        wrong.append("primal")
    if minimum < Fraction(certificate.dual):
        wrong.append("dual")
    if primal - minimum > Fraction(certificate.gap):
        wrong.append("gap")
    at_zero = exact_objective(problem, [Fraction(0)] * len(x))
    size = max(primal, at_zero / 2**53)
    if np.isfinite(certificate.accuracy) and primal - minimum > (
        Fraction(certificate.accuracy) * size
    ):
        wrong.append("accuracy")
    rows = _dense(problem)
    for j in certificate.zeros:
        pull = sum(row[j] * t for row, t in zip(rows, dual, strict=True))
        if abs(pull) >= Fraction(problem.penalty.strength):
            wrong.append(f"zero {j}")
    return wrong


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def violation(problem: so.SparseRegression, x: np.ndarray) -> float:
    """Return by how much `x` misses the optimality conditions, relative to the limits."""
    correlation = problem.design.T @ (problem.target - problem.design @ x)
    n = problem.shape[1]
    blocks, limits = problem.penalty.blocks(n), problem.penalty.limits(n)
    worst = 0.0
    for g in range(len(limits)):
        members = blocks.members(np.array([g]))
        norm = np.linalg.norm(x[members])
        miss = max(np.linalg.norm(correlation[members]) - limits[g], 0.0)
        if norm > 0:
            miss = np.linalg.norm(correlation[members] - limits[g] * x[members] / norm)
        worst = max(worst, float(miss / limits[g]))
    return worst
