"""Error against norm: what a decay buys where factors with fixed supports have no nearest pair."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.closedness.problem import Closedness
from sparseopt.interface.arrays import as_figure
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short
from sparseopt.interface.solution import Solution
from sparseopt.judging.rounding import below, shown_below
from sparseopt.supports.certificate import is_exactly
from sparseopt.supports.components import is_tractable
from sparseopt.supports.problem import FixedSupportFactorization

_GROWS = -0.1
_LEVEL = -0.02
"""Exponents of the norm beyond which it is said to grow, and within which to level off."""
_POINTS = 13
_CLOSEDNESS_SECONDS = 10.0
Pair = tuple[np.ndarray, np.ndarray]


class DecayPath(list[Solution[Any, Any]]):
    """Solutions for several decays, one certificate each, in the order that was asked for.

    Attributes
    ----------
    decays : list of float
    objectives : list of float
        1/2 |A - X Y|^2 + decay/2 (|X|^2 + |Y|^2).
    losses : list of float
        1/2 |A - X Y|^2.
    norms : list of float
        1/2 (|X|^2 + |Y|^2), which is the sum of |x_k||y_k| where the factors are balanced.
    norm_exponent, loss_exponent, objective_exponent : float or None
        Slopes of the logarithms against that of the decay, over the smallest decade of decays;
        None where there are fewer than two points with numbers above 0. The norm of each factor
        has half the exponent of `norms`.
    attainment : {"attained", "not_attained", "suspected_not_attained", "unknown"}
        What is known without a decay. The first two are proved, by the shape of the supports or
        by `closedness`: some factors are nearest; or the infimum is 0 and none reach it. A
        sweep alone never gives more than a suspicion: norms that grow over all decays tried may
        level off beyond.
    closedness : Solution or None
        The answer of `Closedness` about the supports, with its certificate, where it was asked.
    """

    def __init__(self, solutions: Iterable[Solution[Any, Any]]) -> None:
        super().__init__(solutions)
        self.decays = [float(s.problem.decay) for s in self]  # type: ignore[attr-defined]
        figures = [dict(s.problem.evaluate(s.answer)) for s in self]
        self.objectives = [f["objective"] for f in figures]
        self.norms = [f["half_squared_norms"] for f in figures]
        self.losses = [0.5 * f["error"] ** 2 for f in figures]
        self.norm_exponent = _slope(self.decays, self.norms)
        self.loss_exponent = _slope(self.decays, self.losses)
        self.objective_exponent = _slope(self.decays, self.objectives)
        self.attainment = "unknown"
        self.closedness: Solution[Any, Any] | None = None

    def least_norm(self, loss: float) -> float:
        """Return a proven lower bound of 1/2 (|X|^2 + |Y|^2) for all factors with such a loss.

        Every pair with these supports has loss + decay norm >= dual, for each point of the path.

        Parameters
        ----------
        loss : float
            1/2 |A - X Y|^2 is at most this.

        Examples
        --------
        >>> import sparseopt as so
        >>> supports = [[1, 0], [1, 1]], [[1, 1], [0, 1]]
        >>> problem = so.FixedSupportFactorization([[0, 1], [1, 0]], supports)
        >>> path = so.decay_path(problem, [1e-1, 1e-2, 1e-3])
        >>> 20 < path.least_norm(0.001) < 23
        True
        """
        wanted = as_figure(loss, "loss")
        if not 0.0 <= wanted < math.inf:
            raise ProblemError(f"loss must be a finite number, at least 0, got {wanted}")
        return max(below((s.certificate.dual - wanted) / s.problem.decay, 4) for s in self)  # type: ignore[attr-defined]

    @property
    def words(self) -> str:
        """What the path shows, in one sentence, with no more certainty than there is."""
        slope = self.norm_exponent
        if self.attainment == "not_attained":
            end = "no factors are nearest: supports and target are proved to have no optimum"
        elif self.attainment == "attained":
            end = "some factors are nearest, by the shape of the supports or by proof"
        elif self.attainment == "suspected_not_attained":
            proved = self.closedness is not None and self.closedness.answer.value == "not_closed"
            end = "suspected: no optimum" + (
                " (the supports are proved not closed, so some targets have none)" if proved else ""
            )
        elif slope is not None and slope > _LEVEL:
            end = f"norms level off at {self.norms[int(np.argmin(self.decays))]:.3g}, so far"
        else:
            end = "nothing is known of the optimum without a decay"
        if slope is None:
            return end
        parts = []
        if slope <= _LEVEL:
            parts.append(
                f"norms grow like decay^{slope:.2f} (each factor's like decay^{slope / 2:.2f})"
            )
        if self.loss_exponent is not None and self.loss_exponent > -_LEVEL:
            parts.append(f"the loss falls like decay^{self.loss_exponent:.2f}")
        elif self.loss_exponent is not None:
            parts.append(f"the loss levels off at {min(self.losses):.4g}")
        if not parts:
            return end
        return f"{', '.join(parts)}, over the smallest decade of decays; {end}"

    def __str__(self) -> str:
        lines = [f"{'decay':>10} {'loss':>12} {'norm':>12} {'objective':>12} {'at least':>12}"]
        for i, solution in enumerate(self):
            figures = (self.losses[i], self.norms[i], self.objectives[i])
            numbers = " ".join(f"{value:12.6g}" for value in figures)
            least = shown_below(solution.certificate.dual)
            lines.append(f"{self.decays[i]:10.3g} {numbers} {least:>12}")
        return "\n".join([*lines, self.words])


def decay_path(
    problem: FixedSupportFactorization,
    decays: Iterable[float] | None = None,
    *,
    tolerance: float | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
) -> DecayPath:
    """Solve a factorization with fixed supports for several decays, each from its neighbours.

    On supports whose products are not closed, a smaller error may be had only for larger and larger
    factors. The path shows this trade-off: the points (norm, loss) lie on the lower convex hull of
    what all factors reach, as far as they are optimal, which the certificates say.

    Parameters
    ----------
    problem : FixedSupportFactorization
        Its own decay does not matter.
    decays : iterable of float or None
        Above 0, in any order. None takes 13 from the largest useful one (from which on zero factors
        are optimal) down to a millionth of it.
    tolerance, seed, time_limit
        As for `solve`; the time is for all decays together, and that for the question whether the
        supports are closed.

    Returns
    -------
    DecayPath
        A list of Solutions, with exponents and what is known of the optimum without a decay.

    Raises
    ------
    ProblemError
        If there are no decays, or one is not a finite number above 0.
    SolveError
        If a decay has no answer, as when the time is up.

    Examples
    --------
    No lower and upper triangular factors are nearest to an exchange of rows.

    >>> import sparseopt as so
    >>> supports = [[1, 0], [1, 1]], [[1, 1], [0, 1]]
    >>> problem = so.FixedSupportFactorization([[0, 1], [1, 0]], supports)
    >>> path = so.decay_path(problem, [1e-3, 1e-4])
    >>> path.attainment, round(path.norm_exponent, 2)
    ('not_attained', -0.34)
    """
    if not isinstance(problem, FixedSupportFactorization):
        raise ProblemError(
            f"decay_path takes a FixedSupportFactorization, got {type(problem).__name__}"
        )
    chosen = _chosen(problem, decays)
    started = time.monotonic()

    def remaining() -> float | None:
        if time_limit is None:
            return None
        return max(1e-9, time_limit - (time.monotonic() - started))

    settings = {"tolerance": tolerance, "seed": seed}
    found: dict[float, Solution[Any, Any]] = {}
    pair: Pair | None = None
    ordered = sorted(set(chosen), reverse=True)
    for i, decay in enumerate(ordered):
        left = remaining()
        share = None if left is None else left / (len(ordered) - i)
        found[decay] = _solved(problem, decay, pair, share, settings)
        pair = found[decay].answer.factors
    _exchange(problem, found, remaining, settings)
    path = DecayPath(found[decay] for decay in chosen)
    _judge(problem, path, remaining())
    return path


def _chosen(problem: FixedSupportFactorization, decays: Iterable[float] | None) -> list[float]:
    """Return the decays, or the default ones."""
    if decays is None:
        top = problem.largest_decay() or 1.0
        return [top * 10.0 ** (-0.5 * i) for i in range(_POINTS)]
    try:
        given = list(decays)
    except TypeError as error:
        raise ProblemError(f"decays must be a list of numbers, got {short(decays)}") from error
    chosen = [as_figure(value, f"decays[{i}]") for i, value in enumerate(given)]
    if not chosen:
        raise ProblemError("decays is empty; give at least one number above 0")
    bad = [i for i, value in enumerate(chosen) if not 0.0 < value < math.inf]
    if bad:
        raise ProblemError(
            f"decays[{bad[0]}] must be a finite number above 0, got {chosen[bad[0]]}"
        )
    return chosen


def _solved(
    problem: FixedSupportFactorization,
    decay: float,
    start: Pair | None,
    time_limit: float | None,
    settings: dict[str, Any],
) -> Solution[Any, Any]:
    """Solve for one decay, from factors where the solver is not in closed form."""
    given = FixedSupportFactorization(problem.target, problem.supports, decay)
    warm = start is not None and not is_tractable(*problem.supports)
    options: dict[str, Any] = {"start": start} if warm else {}
    return solve(given, time_limit=time_limit, **settings, **options)


def _exchange(
    problem: FixedSupportFactorization,
    found: dict[float, Solution[Any, Any]],
    remaining: Any,
    settings: dict[str, Any],
) -> None:
    """Solve again, from larger to smaller norms, where factors of another decay are better.

    A local minimum betrays itself so: optimal objectives are concave in the decay.
    """
    for decay in sorted(found):
        figures = found[decay].problem.evaluate(found[decay].answer)
        values = {
            other: found[decay].problem.evaluate(solution.answer)["objective"]
            for other, solution in found.items()
        }
        best = min(values, key=lambda other: values[other])
        if values[best] < figures["objective"] * (1.0 - 1e-9):
            left = remaining()
            share = None if left is None else left / len(found)
            again = _solved(problem, decay, found[best].answer.factors, share, settings)
            if again.certificate.primal < found[decay].certificate.primal:
                found[decay] = again


def _judge(problem: FixedSupportFactorization, path: DecayPath, seconds: float | None) -> None:
    """Set what is known of the optimum without a decay."""
    if is_tractable(*problem.supports) or not problem.target.any():
        path.attainment = "attained"  # in the second case by zero factors
        return
    slope = path.norm_exponent
    if slope is None or slope > _GROWS:
        return
    path.attainment = "suspected_not_attained"
    field = "complex" if problem.target.dtype.kind == "c" else "real"
    limit = _CLOSEDNESS_SECONDS if seconds is None else min(seconds, _CLOSEDNESS_SECONDS)
    path.closedness = solve(Closedness(list(problem.supports), field), time_limit=limit)
    verdict, proof = path.closedness.answer.value, path.closedness.certificate
    if verdict == "closed":
        path.attainment = "attained"
    elif verdict == "not_closed":
        matrix = getattr(proof, "limit_matrix", None)
        if matrix is not None and is_exactly(problem.target, matrix()):
            path.attainment = "not_attained"


def _slope(decays: list[float], values: list[float]) -> float | None:
    """Return the slope of log value against log decay over the smallest decade."""
    least = min(decays, default=0.0)
    near = [
        (math.log(d), math.log(v))
        for d, v in zip(decays, values, strict=True)
        if d <= 10.5 * least and 0.0 < v < math.inf
    ]
    x, y = (np.array(side) for side in zip(*near, strict=True)) if near else (np.zeros(0),) * 2
    if len(np.unique(x)) < 2:
        return None
    x = x - x.mean()
    return float((x @ (y - y.mean())) / (x @ x))
