"""What certificates claim, tried in exact arithmetic by other routes than the judge's.

`false_claims` returns the figures of a certificate that are wrong. Objectives, errors and norms are
computed with rationals from the definition. A lower bound is compared with the objective of what a
solver finds, which it may not exceed, or with a closed formula where there is one.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse

import sparseopt as so

Named = Iterator[tuple[str, bool]]
"""What is claimed, and whether it is true."""


def false_claims(certificate: Any) -> list[str]:
    """Return which figures of a certificate are wrong; none where no route is known.

    The routes are for real numbers.
    """
    tries = _ROUTES.get(type(certificate).__name__)
    data = (getattr(certificate.problem, name, None) for name in ("design", "target"))
    if any(np.dtype(getattr(part, "dtype", float)).kind == "c" for part in data):
        return []
    return [] if tries is None else [name for name, true in tries(certificate) if not true]


def is_tried(certificate: Any) -> bool:
    """Whether there is a route for certificates of this class."""
    return type(certificate).__name__ in _ROUTES


def rationals(array: Any) -> np.ndarray:
    """Return real numbers as an object array of Fractions."""
    if isinstance(array, so.KroneckerProduct):
        pairs = zip(array.factors, array.architecture, strict=True)
        written = [rationals(pattern.dense(factor)) for factor, pattern in pairs]
        return functools.reduce(np.dot, written)
    if scipy.sparse.issparse(array):
        array = array.toarray()
    array = np.asarray(array, dtype=np.float64)
    found = np.empty(array.shape, dtype=object)
    found.reshape(-1)[:] = [Fraction(v) for v in array.ravel().tolist()]
    return found


def total(values: Any) -> Fraction:
    return sum(np.ravel(values).tolist(), start=Fraction(0))


def squares(values: Any) -> Fraction:
    return total([v * v for v in np.ravel(values).tolist()])


def sizes(values: Any) -> Fraction:
    return total([abs(v) for v in np.ravel(values).tolist()])


def root_at_most(square: Fraction, bound: Fraction) -> bool:
    """Whether the root of a square is at most a bound."""
    return bound >= 0 and square <= bound * bound


def residual(problem: Any, x: Any) -> np.ndarray:
    return np.asarray(rationals(problem.target) - rationals(problem.design).dot(rationals(x)))


def half_squares(problem: Any, x: Any) -> Fraction:
    return squares(residual(problem, x)) / 2


def ball(c: Any) -> Named:
    at_answer = half_squares(c.problem, c.answer.x)
    best = half_squares(c.problem, so.solve(c.problem).answer.x)
    yield "primal", at_answer <= Fraction(c.primal)
    yield "dual", Fraction(c.dual) <= best
    yield "gap", at_answer - best <= Fraction(c.gap)
    yield "radius", sizes(rationals(c.answer.x)) <= Fraction(c.problem.radius)


def subset(c: Any) -> Named:
    best = half_squares(c.problem, so.solve(c.problem).answer.x)
    yield "primal", half_squares(c.problem, c.answer.x) <= Fraction(c.primal)
    yield "dual", Fraction(c.dual) <= best
    yield "size", np.count_nonzero(c.answer.x) <= c.problem.size


def known_support(c: Any) -> Named:
    yield "norm", squares(rationals(c.answer.x)) <= Fraction(c.norm) ** 2
    if c.distance:  # the rest speaks of other columns
        return
    at_answer = half_squares(c.problem, c.answer.x)
    best = so.solve(c.problem).answer.x
    yield "primal", at_answer <= Fraction(c.primal)
    yield "dual", Fraction(c.dual) <= half_squares(c.problem, best)
    yield "gap", at_answer - half_squares(c.problem, best) <= Fraction(c.gap)
    yield "least norm", c.least_norm <= float(np.linalg.norm(best)) * (1 + 1e-9)
    yield "rank", np.linalg.matrix_rank(dense(c.problem)[:, c.problem.support]) == c.answer.rank


def dense(problem: Any) -> np.ndarray:
    design = problem.design
    return np.asarray(design.toarray() if scipy.sparse.issparse(design) else design, dtype=float)


def square_root(c: Any) -> Named:
    def parts(x: Any) -> tuple[Fraction, Fraction]:
        penalty = Fraction(c.problem.strength) * sizes(rationals(x))
        return squares(residual(c.problem, x)), penalty

    square, penalty = parts(c.answer.x)
    yield "primal", root_at_most(square, Fraction(c.primal) - penalty)
    square, penalty = parts(so.solve(c.problem).answer.x)
    over = Fraction(c.dual) - penalty
    yield "dual", over <= 0 or over * over <= square


def pursuit(c: Any) -> Named:
    x, norm = rationals(c.answer.x), c.problem.norm
    yield "misfit", root_at_most(squares(residual(c.problem, c.answer.x)), Fraction(c.misfit))
    if norm == 2:
        yield "primal", root_at_most(squares(x), Fraction(c.primal))
    else:
        size = sizes(x) if norm == 1 else max(abs(v) for v in x.tolist())
        yield "primal", size <= Fraction(c.primal)
    best = so.solve(c.problem).answer
    fits = root_at_most(squares(residual(c.problem, best.x)), Fraction(c.problem.noise))
    if best.feasible and fits:
        yield "dual", c.dual <= float(np.linalg.norm(best.x, norm)) * (1 + 1e-9)
    if best.feasible and c.answer.unique and c.accuracy < 1e-9:
        apart = float(np.abs(best.x - c.answer.x).max())
        yield "unique", apart <= 1e-6 * float(np.abs(best.x).max())


def infeasible(c: Any) -> Named:
    near = np.linalg.lstsq(dense(c.problem), np.asarray(c.problem.target, dtype=float))[0]
    yield "dual", c.dual < 0 or Fraction(c.dual) ** 2 <= squares(residual(c.problem, near))
    at_answer = squares(residual(c.problem, c.answer.x))
    yield "primal", root_at_most(at_answer, Fraction(c.primal))


def deconvolution(c: Any) -> Named:
    parts = (c.answer.filter, c.answer.signal, c.problem.target)
    h, s, y = (rationals(part).tolist() for part in parts)
    n = len(y)
    made = [sum((h[j] * s[(i - j) % n] for j in range(n)), start=Fraction(0)) for i in range(n)]
    missed = sum((abs(a - b) for a, b in zip(made, y, strict=True)), start=Fraction(0))
    yield "residual", missed <= Fraction(c.residual)
    yield "primal", sizes(h) + sizes(s) <= Fraction(c.primal)
    yield "dual", c.dual < 0 or Fraction(c.dual) ** 2 <= 4 * sizes(y)


def interpolant(c: Any) -> Named:
    slopes, network = c.problem.slopes, c.answer
    jumps = sum((abs(a - b) for a, b in itertools.pairwise(slopes)), start=Fraction(0))
    ends = abs(slopes[0] + slopes[-1]) if slopes else Fraction(0)
    neurons = [rationals(part).tolist() for part in (network.hidden, network.biases, network.outer)]
    zero = Fraction(0)

    def value(t: Fraction) -> Fraction:
        terms = (a * max(w * t + b, zero) for w, b, a in zip(*neurons, strict=True))
        return sum(terms, start=Fraction(network.offset))

    points, values = (rationals(v).tolist() for v in (c.problem.points, c.problem.values))
    missed = max(abs(value(t) - v) for t, v in zip(points, values, strict=True))
    weight = sum((abs(w * a) for w, _, a in zip(*neurons, strict=True)), start=zero)
    yield "largest miss", missed <= Fraction(c.largest_miss)
    yield "primal", weight <= Fraction(c.primal)
    yield "dual", Fraction(c.dual) <= max(jumps, (jumps + ends) / 2)


Complex = tuple[np.ndarray, np.ndarray]


def complex_rationals(array: Any) -> Complex:
    array = np.asarray(array)
    return rationals(array.real), rationals(array.imag)


def times(a: Complex, b: Complex) -> Complex:
    return a[0].dot(b[0]) - a[1].dot(b[1]), a[0].dot(b[1]) + a[1].dot(b[0])


def written_out(values: Any, pattern: Any) -> np.ndarray:
    """Return the matrix of a factor: values (a, b, c, d) on I_a x 1_(b x c) x I_d."""
    a, b, c, d = pattern
    matrix = np.zeros((a * b * d, a * c * d), np.asarray(values).dtype)
    for (i, j, k, m), value in np.ndenumerate(np.asarray(values)):
        matrix[(i * b + j) * d + m, (i * c + k) * d + m] = value
    return matrix


def butterfly(c: Any) -> Named:
    parts = zip(c.answer.factors, c.answer.architecture, strict=True)
    made: Complex | None = None
    for values, pattern in parts:
        factor = complex_rationals(written_out(values, pattern))
        made = factor if made is None else times(made, factor)
    assert made is not None
    target = c.problem.target
    target = target.to_dense() if hasattr(target, "to_dense") else target
    given = complex_rationals(target)
    square = squares(given[0] - made[0]) + squares(given[1] - made[1])
    yield "error", root_at_most(square, Fraction(c.error))
    if c.bounds:
        yield "lower bound", Fraction(c.lower_bound) ** 2 <= square
        yield "lower bound of all", c.lower_bound <= so.solve(c.problem).certificate.error


def factors(c: Any) -> tuple[Fraction, Fraction]:
    """Return the squared error, and the squares of the factors."""
    left, right = complex_rationals(c.answer.left), complex_rationals(c.answer.right)
    made, given = times(left, right), complex_rationals(c.problem.target)
    square = squares(given[0] - made[0]) + squares(given[1] - made[1])
    return square, sum((squares(part) for part in (*left, *right)), start=Fraction(0))


def fixed_support(c: Any) -> Named:
    square, _ = factors(c)
    yield "error", root_at_most(square, Fraction(c.error))
    yield "lower bound", Fraction(c.lower_bound) ** 2 <= square


def coercive(c: Any) -> Named:
    square, weights = factors(c)
    objective = square / 2 + Fraction(c.problem.decay) * weights / 2
    yield "primal", objective <= Fraction(c.primal)
    least = Fraction(c.dual) if math.isfinite(c.dual) else Fraction(0)
    yield "dual", least <= objective
    yield "dual of all", c.dual <= so.solve(c.problem).certificate.primal


def two_layer(c: Any) -> Named:
    problem, zero = c.problem, Fraction(0)
    inputs, hidden, outer = (
        rationals(v) for v in (problem.inputs, c.answer.hidden, c.answer.outer)
    )
    targets = rationals(problem.targets).reshape(len(inputs), -1)
    values = inputs.dot(hidden)
    if problem.gates is None:
        made = [[max(v, zero) for v in row] for row in values.tolist()]
    else:
        open_ = inputs.dot(rationals(c.answer.gates)) > 0
        made = np.where(open_, values, zero).tolist()
    rest = targets
    if hidden.shape[1]:
        rest = targets - np.array(made, dtype=object).dot(outer.reshape(len(outer), -1))
    objective = squares(rest) / 2
    objective += Fraction(problem.decay) * (squares(hidden) + squares(outer)) / 2
    best = so.solve(problem).certificate
    yield "primal", objective <= Fraction(c.primal)
    yield "dual", c.dual <= best.primal
    yield "gap", objective - Fraction(best.primal) <= Fraction(c.gap)


def verdict(c: Any) -> Named:
    """Compare with what the solvers decide, who may not know."""
    value = so.solve(c.problem).answer.value
    yield "verdict", value in (c.answer.value, "unknown")


_ROUTES = {
    "BallCertificate": ball,
    "BlindDeconvolutionCertificate": deconvolution,
    "ButterflyCertificate": butterfly,
    "CoerciveCertificate": coercive,
    "FixedSupportCertificate": fixed_support,
    "InfeasibleCertificate": infeasible,
    "InterpolantCertificate": interpolant,
    "KnownSupportCertificate": known_support,
    "PursuitCertificate": pursuit,
    "SquareRootCertificate": square_root,
    "SubsetCertificate": subset,
    "TwoLayerReLUCertificate": two_layer,
    **dict.fromkeys(
        (
            "CoherenceCertificate",
            "ComparableCertificate",
            "DualVectorsCertificate",
            "ExactRecoveryCertificate",
            "GreedyFailureCertificate",
            "GreedyRecoveryCertificate",
            "KernelCertificate",
            "KroneckerChainCertificate",
            "NearKernelCertificate",
            "NotClosedCertificate",
            "NullSpaceBoundCertificate",
            "ReducedClosedCertificate",
            "ShortenedChainCertificate",
            "SingleFactorCertificate",
            "TrainingCertificate",
        ),
        verdict,
    ),
}
