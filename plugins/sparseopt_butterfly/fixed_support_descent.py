"""Heuristics for any supports, which watch for a valley at infinity.

Both methods decrease the error from several random starts. On supports that are not closed the
infimum may be approached only by factors that grow without bound: after the best run, if the
factors are far larger than the target asks for while the error was still falling, `so.Closedness`
is asked about the supports, and its certificate goes into ours. So it is if the error is as small
as it can be: that the infimum is attained is a statement about the supports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.supports.certificate import is_exactly
from sparseopt.supports.components import is_tractable

Pair = tuple[np.ndarray, np.ndarray]
Trace = list[tuple[float, float]]
"""Squared error and largest block norm, sampled along a run."""


def random_start(problem: so.FixedSupportFactorization, rng: np.random.Generator) -> Pair:
    """Return Gaussian factors on the supports, scaled to the norm of the target."""
    left, right = problem.supports
    dtype = problem.target.dtype
    draws = []
    for support in (left, right):
        values = rng.standard_normal(support.shape)
        if dtype.kind == "c":
            values = values + 1j * rng.standard_normal(support.shape)
        draws.append(np.where(support, values, 0).astype(dtype))
    norm, size = np.linalg.norm(problem.target), np.linalg.norm(draws[0] @ draws[1])
    scale = np.sqrt(norm / size) if size and norm else 1.0
    return draws[0] * dtype.type(scale), draws[1] * dtype.type(scale)


def block_growth(x: np.ndarray, y: np.ndarray) -> float:
    """Return the largest norm of one rank-one term, which no rescaling can change."""
    norms = np.linalg.norm(x, axis=0).astype(float) * np.linalg.norm(y, axis=1).astype(float)
    return float(norms.max(initial=0.0))


def rebalance(x: np.ndarray, y: np.ndarray) -> Pair:
    """Give both sides of every term the same norm; the product does not change."""
    a, b = np.linalg.norm(x, axis=0), np.linalg.norm(y, axis=1)
    ratio = np.sqrt(np.divide(b, a, out=np.ones_like(a), where=(a > 0) & (b > 0)))
    return x * ratio, y / ratio[:, None]


def ridge_rows(x: np.ndarray, target: np.ndarray, support: np.ndarray, ridge: float) -> np.ndarray:
    """Minimize ``|target - x y|^2 + ridge |y|^2`` over y with a support, by groups of columns.

    Columns with the same support share one least-squares problem.
    """
    y = np.zeros(support.shape, dtype=target.dtype)
    patterns, group = np.unique(support, axis=1, return_inverse=True)
    for g in range(patterns.shape[1]):
        terms, columns = np.flatnonzero(patterns[:, g]), np.flatnonzero(group.ravel() == g)
        if not terms.size:
            continue
        matrix, right = x[:, terms], target[:, columns]
        if ridge > 0:
            eye = np.sqrt(ridge) * np.eye(terms.size, dtype=target.dtype)
            matrix = np.vstack([matrix, eye])
            right = np.vstack([right, np.zeros((terms.size, columns.size), target.dtype)])
        y[np.ix_(terms, columns)] = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return y


def diverges(trace: Trace, norm: float) -> bool:
    """Whether the last half of a run shows growing terms and a falling error.

    A closed and well-posed problem keeps the terms of the order of the target.
    """
    if len(trace) < 4:
        return False
    (old_error, old_size), (error, size) = trace[len(trace) // 2], trace[-1]
    return size > 4.0 * norm and size > 1.2 * old_size and error < 0.99 * old_error


def conclude(
    problem: so.FixedSupportFactorization, pair: Pair, trace: Trace, context: so.Context
) -> tuple[so.SupportedFactors, so.FixedSupportCertificate]:
    """Turn the best run into an answer: optimal, diverging, or simply a candidate.

    Pair and trace are of the problem in safe units.
    """
    safe, exponent = problem.normalized()
    norm = float(np.linalg.norm(safe.target))
    found = so.FixedSupportCertificate(safe, so.SupportedFactors(*pair))
    error, bound = found.error, found.lower_bound
    unit = float(np.finfo(safe.target.dtype).eps) * max(safe.target.shape) * norm
    attainment, proof = "unknown", None
    if error**2 - bound**2 <= unit * max(norm, error):
        remark = "the error is as small as it can be, up to rounding"
        if is_tractable(*problem.supports):
            attainment = "attained"
        else:
            closed = _closedness(problem, context)
            if closed.answer.value == "closed":
                attainment, proof = "attained", closed.certificate
    elif diverges(trace, norm):
        remark = f"the largest term grew to {trace[-1][1] / norm:.3g} times the target's norm"
        closed = _closedness(problem, context)
        if closed.answer.value == "not_closed":
            attainment, proof = _infinite(problem, closed.certificate), closed.certificate
    else:
        remark = "the factors stayed bounded"
    answer = so.SupportedFactors(*pair, attainment, remark).times_power(exponent)
    return answer, so.FixedSupportCertificate(problem, answer, closedness=proof)


def _closedness(problem: so.FixedSupportFactorization, context: so.Context) -> Any:
    """Ask about the supports, over the numbers of the target."""
    field = "complex" if problem.target.dtype.kind == "c" else "real"
    asked = so.Closedness(list(problem.supports), field)
    return so.solve(asked, time_limit=max(1e-3, min(10.0, context.remaining())))


def _infinite(problem: so.FixedSupportFactorization, proof: Any) -> str:
    """Say what is known of an infimum that is approached with growing factors."""
    limit = getattr(proof, "limit_matrix", None)
    if limit is not None and is_exactly(problem.target, limit()):
        return "not_attained"
    return "suspected_not_attained"


def best_of_restarts(
    problem: so.FixedSupportFactorization,
    context: so.Context,
    restarts: int,
    descend: Callable[[so.FixedSupportFactorization, Pair], tuple[Pair, Trace]],
) -> tuple[so.SupportedFactors, so.FixedSupportCertificate]:
    """Run `descend` from random starts on the problem in safe units and keep the least error."""
    rng = context.rng()
    safe, _ = problem.normalized()
    best: tuple[float, Pair, Trace] | None = None
    for i in range(restarts):
        context.report(i / restarts, f"start {i + 1} of {restarts}")
        if best is not None and context.remaining() <= 0:
            break
        pair, trace = descend(safe, random_start(safe, rng))
        error = float(np.linalg.norm(safe.target - pair[0] @ pair[1]))
        if np.isfinite(error) and (best is None or error < best[0]):
            best = (error, pair, trace)
    if best is None:
        raise so.Inconclusive("every start ended in non-finite factors")
    return conclude(problem, best[1], best[2], context)


def _entries(problem: so.FixedSupportFactorization) -> int:
    return sum(int(support.sum()) for support in problem.supports)


@dataclass(frozen=True)
class AlternatingLeastSquares(so.Solver[so.FixedSupportFactorization]):
    """Solve for one factor at a time, exactly; the error never increases.

    Time O(m n r^2), memory O(m n), for an m x n target and r terms, for each sweep and start.

    Parameters
    ----------
    restarts, sweeps : int
        Random starts, and passes over both factors in each.
    coercive : float
        Weight of ``|X|^2 + |Y|^2``, relative to the norm of the target; above 0 the regularized
        problem always has a minimizer.
    """

    restarts: int = 5
    sweeps: int = 300
    coercive: float = 0.0

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.sweeps < 1 or not self.coercive >= 0:
            raise ValueError("restarts and sweeps must be at least 1, coercive at least 0")

    def accepts(self, problem: so.FixedSupportFactorization) -> so.Accepted | so.Refused:
        """Take every problem without a decay."""
        if problem.decay:
            return so.Refused("the problem has a decay; use coercive_descent")
        return so.Accepted()

    def solve(
        self, problem: so.FixedSupportFactorization, context: so.Context
    ) -> tuple[so.SupportedFactors, so.FixedSupportCertificate]:
        """Return the best of the restarts."""
        return best_of_restarts(
            problem, context, self.restarts, lambda safe, pair: self._descend(safe, pair, context)
        )

    def _descend(
        self, problem: so.FixedSupportFactorization, pair: Pair, context: so.Context
    ) -> tuple[Pair, Trace]:
        left, right = problem.supports
        target = problem.target
        norm = float(np.linalg.norm(target))
        ridge = self.coercive * norm
        (x, y), trace = pair, []
        for sweep in range(self.sweeps):
            y = ridge_rows(x, target, right, ridge)
            x = ridge_rows(y.T, target.T, left.T, ridge).T
            x, y = rebalance(x, y)
            if sweep % 10 == 9 or sweep == self.sweeps - 1:
                error = float(np.linalg.norm(target - x @ y))
                trace.append((error**2, block_growth(x, y)))
                settled = len(trace) > 1 and trace[-2][0] - error**2 <= 1e-14 * norm**2
                if settled or context.remaining() <= 0:
                    break
        return (x, y), trace

    def cost(self, problem: so.FixedSupportFactorization) -> float:
        """Predict one small least-squares problem per column, row, sweep and start."""
        (m, r), n = problem.supports[0].shape, problem.target.shape[1]
        sweeps = min(self.sweeps, 4 * _entries(problem))  # the smaller, the sooner they settle
        return self.restarts * sweeps * (4e-5 + 3e-6 * r) * (m + n)

    def bytes_needed(self, problem: so.FixedSupportFactorization) -> float:
        """Predict a few copies of the target."""
        m, n = problem.target.shape
        return 2.0**20 + 64.0 * m * n


@dataclass(frozen=True)
class GradientDescent(so.Solver[so.FixedSupportFactorization]):
    """L-BFGS on the entries inside the supports.

    Time O(m n r), memory O(m n + r m + r n), for an m x n target and r terms, for each step and
    start.

    Parameters
    ----------
    restarts, steps : int
        Random starts, and most iterations in each.
    coercive : float
        As for alternating least squares.
    """

    restarts: int = 5
    steps: int = 2000
    coercive: float = 0.0

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.steps < 1 or not self.coercive >= 0:
            raise ValueError("restarts and steps must be at least 1, coercive at least 0")

    def accepts(self, problem: so.FixedSupportFactorization) -> so.Accepted | so.Refused:
        """Take real targets, and no decay."""
        if problem.decay:
            return so.Refused("the problem has a decay; use coercive_descent")
        if problem.target.dtype.kind == "c":
            return so.Refused("the target is complex; the gradient method takes real targets")
        return so.Accepted()

    def solve(
        self, problem: so.FixedSupportFactorization, context: so.Context
    ) -> tuple[so.SupportedFactors, so.FixedSupportCertificate]:
        """Return the best of the restarts."""
        return best_of_restarts(
            problem, context, self.restarts, lambda safe, pair: self._descend(safe, pair, context)
        )

    def _descend(
        self, problem: so.FixedSupportFactorization, pair: Pair, context: so.Context
    ) -> tuple[Pair, Trace]:
        from scipy.optimize import minimize

        left, right = problem.supports
        target = problem.target.astype(np.float64)
        norm = float(np.linalg.norm(target)) or 1.0
        count = int(left.sum())
        trace: Trace = []

        def unpack(values: np.ndarray) -> Pair:
            x, y = np.zeros(left.shape), np.zeros(right.shape)
            x[left], y[right] = values[:count], values[count:]
            return x, y

        def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
            x, y = unpack(values)
            residual = x @ y - target / norm
            slope = np.concatenate([(residual @ y.T)[left], (x.T @ residual)[right]])
            value = 0.5 * float(np.sum(residual**2)) + 0.5 * self.coercive * float(values @ values)
            return value, slope + self.coercive * values

        def watch(values: np.ndarray) -> None:
            x, y = unpack(values)
            error = float(np.linalg.norm(x @ y - target / norm)) * norm
            trace.append((error**2, block_growth(x, y) * norm))
            if context.remaining() <= 0:
                raise StopIteration  # ends the descent with the point reached

        root = np.sqrt(norm)
        start = np.concatenate([pair[0][left] / root, pair[1][right] / root]).astype(np.float64)
        settings = {"maxiter": self.steps, "maxfun": 20 * self.steps, "ftol": 1e-16, "gtol": 1e-12}
        found = minimize(  # type: ignore[call-overload]
            objective, start, jac=True, method="L-BFGS-B", callback=watch, options=settings
        )
        x, y = unpack(found.x)
        dtype = problem.target.dtype
        return rebalance((x * root).astype(dtype), (y * root).astype(dtype)), trace

    def cost(self, problem: so.FixedSupportFactorization) -> float:
        """Predict three products per step and start."""
        (m, r), n = problem.supports[0].shape, problem.target.shape[1]
        steps = min(self.steps, 6 * _entries(problem))  # the smaller, the sooner they settle
        return self.restarts * steps * (1e-4 + 1e-9 * m * n * r)

    def bytes_needed(self, problem: so.FixedSupportFactorization) -> float:
        """Predict a few copies of the target, and the directions of L-BFGS."""
        m, n = problem.target.shape
        r = problem.supports[0].shape[1]
        return 2.0**20 + 64.0 * m * n + 200.0 * r * (m + n)
