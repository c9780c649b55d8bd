"""Forged certificates of least norms and constrained least squares, and why each is refused.

As in `forgeries_regression`, the name of each is the sentence of the line that stops it, then
" | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from laws import refusal
from pursuit_certificates import (
    GAP,
    MINIMUM,
    Pairs,
    changed,
    forged_figures,
    forged_shapes,
    solved,
    with_room,
)

import sparseopt as so
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.gap_certificate import GapCertificate
from sparseopt.inverse.infeasible_certificate import _infeasible
from sparseopt.inverse.pursuit_certificate import _fitted


def honest() -> Pairs:
    """Yield certificates that must be accepted."""
    yield from with_room(solved())
    noise = solved()["noise"]
    yield "outside the noise", _stated(noise.problem, noise.answer.x * (1 - 1e-3), noise.dual_point)
    ones = np.ones((3, 1))
    free = so.ConstrainedRegression(ones, [1.0, 2.0, 4.0], 9.0)
    yield "free ball", so.BallCertificate.build(free, np.array([7 / 3]), np.zeros(3))[1]
    zero = so.ConstrainedRegression(ones, np.zeros(3), 9.0)
    yield "zero ball", so.BallCertificate.build(zero, np.zeros(1), np.zeros(3))[1]


def forged() -> Pairs:
    """Yield what must be refused."""
    yield from forged_figures(solved())
    yield from forged_shapes({k: solved()[k] for k in ("pursuit", "nothing", "ball", "root")})
    yield from pursuits()
    yield from infeasible()
    yield from balls_and_roots()


def pursuits() -> Pairs:
    made, noise, twice = solved()["pursuit"], solved()["noise"], solved()["twice"]
    yield "x misses the target by at most | less", changed(made, misfit=0.0)
    yield "x misses the target by at most | nan", changed(made, misfit=math.nan)
    yield "x misses the target by at most | less noise", changed(noise, misfit=0.29)
    yield "the answer says that x fits | no", changed(made, answer_feasible=False)
    yield "it states no smallest residual | 0", changed(made, answer_smallest_residual=0.0)
    words = "the columns of the support are independent"
    yield f"{words} | a duplicated column", changed(twice, answer_unique=True)
    noisy = solved()["norm inf, noise"]
    yield f"{words} | norm inf with noise", changed(noisy, answer_unique=True)
    for name, x, w in (
        ("a column of zeros", [2.0, 2.0], [1.0, 0.0]),
        ("a sign of its own", [2.0, -2.0], [1.0, 1.0]),
    ):
        design = [[1.0, 0.0], [0.0, 0.0]] if name == "a column of zeros" else np.eye(2)
        target = np.array(design) @ x
        flat = _stated(so.BasisPursuit(design, target, 0.0, math.inf), x, w, unique=True)
        yield f"{words} | norm inf, {name}", flat
    loose = so.BasisPursuit([[1.0, 1.0, -1.0]], [2.0], 0.0, math.inf)
    yield f"{words} | norm inf, dependent others", _stated(loose, [2, 1, 1], [1.0], unique=True)
    flat = _stated(so.BasisPursuit([[1.0, 1.0]], [2.0]), [1.0, 1.0], [1.0], unique=True)
    yield f"{words} | any mixture", flat
    # The second column correlates as much as the first, though only the first is used.
    tie = _stated(so.BasisPursuit([[1.0, 1.0]], [2.0]), [2.0, 0.0], [1.0], unique=True)
    yield f"{words} | a tie off the support", tie
    for seen in (0.5, 1.0):
        tied = so.BasisPursuit([[1.0, 1.0], [0.0, 0.0]], [2.0, 0.0], seen)
        x = [2.0 - seen, 0.0]
        yield f"{words} | a tie with noise {seen}", _stated(tied, x, [1.0, 0.0], unique=True)
        inside = _stated(tied, [2.0 - seen + 1e-9, 0.0], [1.0, 0.0], unique=True)
        yield f"{words} | a tie well within noise {seen}", inside
    double = so.BasisPursuit(np.hstack([noise.problem.design] * 2), noise.problem.target, 0.3)
    x = np.append(noise.answer.x * (1 + 1e-9), np.zeros(24))
    yield f"{words} | columns twice, with noise", _stated(double, x, noise.dual_point, unique=True)
    # The dual point proves nothing (0 is its bound), and shows one column only.
    pair = so.BasisPursuit([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [1.03, 0.0], 1.0)
    across = _stated(pair, [0.04, 0.0, 0.0], [0.0, 1.0], unique=True)
    yield f"{words} | a dual point that proves no bound", across
    # The residual of the optimum is known within a radius only, which a rough x makes wide.
    for name, wide in (("a tenth", 1.1), ("a half", 1.5)):
        x = np.append(noise.answer.x * wide, np.zeros(24))
        yield (
            f"{words} | columns twice, {name} too far",
            _stated(double, x, noise.dual_point, unique=True),
        )
    # A dual point that is off shows a third column as the one with the largest correlation.
    for size in (1.0, 1e3):
        seen = so.BasisPursuit(size * np.array([[1.0, 1.0, 0.9], [0.0, 0.0, 0.5]]), [2.0, 0.0], 1.0)
        off = _stated(seen, [(1.0 + 1e-9) / size, 0.0, 0.0], [1.0, 0.3], unique=True)
        yield f"{words} | a dual point that shows another column, times {size:g}", off
    # Where correlations on the support are uneven, what evens them out moves the others.
    twice = solved()["twice"]
    uneven = twice.dual_point + 1e-3 * np.random.default_rng(4).standard_normal(12)
    made = _stated(twice.problem, twice.answer.x, uneven, unique=True)
    yield f"{words} | columns twice, an uneven dual point", made
    tilted = so.BasisPursuit([[1, 1, 0, 0], [0, 0, 1, 1]], [2.0, 1.5], 0.0, math.inf)
    made = _stated(tilted, [1.0, 1.0, 0.5, 1.0], [1.0, 0.1], unique=True)
    yield f"{words} | norm inf, a dual point that sees what is not flat", made
    rough = _stated(noise.problem, noise.answer.x * (1 - 1e-3), noise.dual_point, unique=True)
    yield f"{words} | outside the noise", rough
    zero = _stated(solved()["noise"].problem, 0 * noise.answer.x, noise.dual_point, unique=True)
    yield f"{words} | zero, which does not fit", zero


def _stated(problem: so.BasisPursuit, x: Any, w: Any, **answer: Any) -> Any:
    """Return a certificate with exactly the figures that the judge proves."""
    fit, x, w = Fit(problem.system), np.array(x, float), np.array(w, float)
    found = _fitted(problem, fit, fit.coefficients(x), w)
    units = (fit.unknown_unit,) * 3 + (fit.unit,)
    values = (found.bracket.primal, found.bracket.dual, found.bracket.gap, found.misfit)
    numbers = [math.ldexp(v, e) for v, e in zip(values, units, strict=True)]
    return so.PursuitCertificate(problem, so.PursuitAnswer(x, **answer), w, *numbers)


def infeasible() -> Pairs:
    made, tall = solved()["nothing"], solved()["nothing tall"]
    yield "the answer says that nothing fits | it does", changed(made, answer_feasible=True)
    yield "the answer claims no unique optimum | one", changed(made, answer_unique=True)
    yield (
        "the answer states the residual of x | less",
        changed(made, answer_smallest_residual=0.4),
    )
    yield (
        "the answer states the residual of x | none",
        changed(made, answer_smallest_residual=None),
    )
    # A vector that is not orthogonal to the columns proves nothing.
    yield f"{MINIMUM} | the target itself", changed(tall, dual_point=tall.problem.target)
    solvable = so.BasisPursuit([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0])
    x, w = np.zeros(2), np.array([1.0, 1.0])
    own = _infeasible(Fit(solvable.system), x, w)
    primal = math.ldexp(own.primal, own.exponent)
    answer = so.PursuitAnswer(x, False, primal)
    yield (
        "the smallest residual is above the noise | it is 0",
        so.InfeasibleCertificate(solvable, answer, w, primal, 0.0, 2.0 * primal),
    )
    loud = dataclasses.replace(made.problem, noise=0.45)
    yield (
        "the smallest residual is above the noise | louder",
        dataclasses.replace(made, problem=loud),
    )


def balls_and_roots() -> Pairs:
    ball, root = solved()["ball"], solved()["root"]
    assert isinstance(ball, GapCertificate)
    x = ball.answer.x
    yield (
        "the l1 norm of x is at most the radius | one unit in the last place more",
        changed(ball, problem=dataclasses.replace(
            ball.problem, radius=math.nextafter(float(np.abs(x).sum()) * (1 - 1e-15), 0.0)
        )),
    )  # fmt: skip
    yield (
        f"{GAP} | ball, another dual point",
        changed(ball, dual_point=2 * ball.dual_point, dual=0.0),
    )
    yield f"{MINIMUM} | root, another dual point", changed(root, dual_point=np.ones(12))
    large = solved()["large ball"]
    short = changed(large, answer_x=0.9 * large.answer.x, dual_point=np.zeros(12))
    rough = {"primal": 1e3, "gap": 1e3}
    yield f"{MINIMUM} | large ball, not least squares", changed(short, dual=1e2, **rough)
    small = solved()["root, small"]
    lost = np.where(small.answer.x == 0.0, 1e-250, small.answer.x)
    yield "so small or large that scaling loses digits | 1e-250", changed(small, answer_x=lost)
    empty = refusal(lambda: so.ConstrainedRegression(np.ones((1, 1)), [1.0], 0.0))
    yield "it must be a finite number above 0 | a radius of 0", empty
    far = refusal(lambda: so.SquareRootLasso([[1e149, 1e149, 1.0]], [1e100], 1e-180))
    yield "and this design have no common scale in float64 | 1e149 and 1e-180", far
