"""Least norms and constrained least squares at the border of what the judge proves.

Like `forgeries_pursuit`: the name of each forged one is the sentence of the line that stops it,
then " | " and what it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pursuit_problems
from forgeries_subsets import subsets
from laws import border, law, refusal
from pursuit_certificates import GAP, MINIMUM, OBJECTIVE, certificates, changed
from subset_laws import (
    complex_bounds_hold,
    direct_bounds_take_what_they_say,
    doubled_products_hold,
    many_gains_add_up,
    product_bounds_hold,
)

import sparseopt as so
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.pursuit_certificate import _fitted
from sparseopt.inverse.subset_bounds import PLACES, children
from sparseopt.inverse.subset_certificate import least_on

Pairs = Iterator[tuple[str, Any]]
UNIQUE = "the columns of the support are independent"
LEFT_OPEN = "every support that the bounds of the tree leave open is singled out"


def stated(problem: so.BasisPursuit, x: Any, w: Any, **answer: Any) -> so.PursuitCertificate:
    """Return a certificate with exactly the figures that the judge proves."""
    fit, x, w = Fit(problem.system), np.asarray(x), np.asarray(w)
    found = _fitted(problem, fit, fit.coefficients(x), fit.scaled.parts(w))
    units = (fit.unknown_unit,) * 3 + (fit.unit,)
    values = (found.bracket.primal, found.bracket.dual, found.bracket.gap, found.misfit)
    numbers = [math.ldexp(v, e) for v, e in zip(values, units, strict=True)]
    return so.PursuitCertificate(problem, so.PursuitAnswer(x, **answer), w, *numbers)


@cache
def exact_figures() -> list[tuple[str, Any]]:
    """Return certificates with exactly the figures that the judge proves, where bounds differ."""
    rng = np.random.default_rng(6)
    tall, target = rng.standard_normal((9, 4)), rng.standard_normal(9)
    best = np.linalg.lstsq(tall, target)[0]
    apart = target - tall @ best
    aside = np.stack([apart, 1e-14 * target])
    opposite = np.hstack([tall[:, :1], tall[:, :1], tall[:, 2:]])
    far = np.array([1e28, -1e28, 1.0, 0.0])
    kinds = {
        so.SquareRootLasso: so.SquareRootCertificate,
        so.ConstrainedRegression: so.BallCertificate,
    }
    listed: list[tuple[str, Any]] = []
    for name, problem, x, w in (
        ("lost strength", so.SquareRootLasso(tall, target, 1e-25), best, apart),
        ("lost strength, tilted", so.SquareRootLasso(tall, target, 1e-25), best, target),
        ("lost strength, two rows", so.SquareRootLasso(tall, target, 1e-25), best, aside),
        ("small strength", so.SquareRootLasso(tall, target, 1e-12), best, apart),
        (
            "ball of cancelling columns",
            so.ConstrainedRegression(opposite, target, 1e29),
            far,
            apart,
        ),
    ):
        fit, kind = Fit(problem.system), kinds[type(problem)]
        found = kind._bracket(problem, fit, fit.coefficients(x), w)
        listed.append((name, kind(problem, so.Coefficients(x), w, *found.figures())))
    for name in ("pursuit", "complex pursuit", "complex target"):
        best = certificates()[name]
        near = 0.999 * best.answer.x
        listed.append((f"{name} that misses", stated(best.problem, near, best.dual_point)))
    best = certificates()["complex pursuit"]
    for share in (0.9, 0.8, 0.7):
        far = share * best.answer.x
        made = stated(best.problem, far, best.dual_point)
        listed.append((f"complex pursuit of {share} times the best", made))
    listed.append(lost_columns())
    return listed


def lost_columns() -> tuple[str, Any]:
    """Return a least norm in columns that large factors cancel in, more than two floats show."""
    patterns = so.Architecture([(1, 3, 3, 1), (1, 3, 3, 1)])
    void = np.array([[1.0, -1.0, 0.0], [2.0, -2.0, 0.0], [0.5, -0.5, 0.0]])
    large = 2.0**50 * void + np.random.default_rng(1).standard_normal((3, 3))
    ones = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 2.0, 3.0]])
    factors = [large.reshape(1, 3, 3, 1), ones.reshape(1, 3, 3, 1)]
    design, x = so.KroneckerProduct(factors, patterns), np.array([0.0, 1.0, 0.5])
    problem = so.BasisPursuit(design, design @ x)
    return "columns lost among factors", stated(problem, x, problem.target)


def a_float_less(made: Any) -> Iterator[tuple[str, Any]]:
    """Yield a certificate with each of its figures a float better."""
    for words, figure, towards in (
        (OBJECTIVE, "primal", 0.0),
        (MINIMUM, "dual", math.inf),
        (GAP, "gap", 0.0),
    ):
        value = getattr(made, figure)
        if value:
            yield words, changed(made, **{figure: math.nextafter(value, towards)})


def tilted() -> Iterator[tuple[str, Any]]:
    """Yield certificates whose dual point is another one, in one row or in two."""
    for name, made in certificates().items():
        if not hasattr(made, "dual_point") or not made.dual_point.any():
            continue
        rng = np.random.default_rng(len(name))
        first = np.atleast_2d(made.dual_point).sum(axis=0)
        noise = rng.standard_normal(first.shape) * float(np.abs(first).max())
        for words, point in (
            ("tilted", first + 0.02 * noise),
            ("in two rows", np.stack([first, 0.02 * noise])),
        ):
            if point.ndim == 1 or not isinstance(made, so.InfeasibleCertificate):
                yield f"{name}, {words}", changed(made, dual_point=point)


def honest() -> Pairs:
    """Yield certificates that must be accepted."""
    for name, made in tilted():
        more = {"dual": -1.0, "gap": abs(made.primal) + abs(made.gap) + 1.0}
        if "nothing" not in name:
            yield name, changed(made, **more, **_unclaimed(made))
    for name in ("pursuit", "noise", "norm 2"):
        made = certificates()[name]
        for exponent in (600, -600):
            point = np.ldexp(made.dual_point, exponent)
            yield f"{name}, a dual point times 2^{exponent}", changed(made, dual_point=point)
    near, void = certificates()["nearly deficient"], certificates()["no rank"]
    yield "columns that are taken as farther off", changed(near, distance=3.0)
    empty = np.zeros(0)  # of floats, as NumPy makes it
    yield "a basis of no columns", lambda: so.verify(changed(void, basis=empty))
    sizes = np.array([3 + 4j, 0.0])
    rounded = float(np.nextafter(5.0 * (1.0 + 2.0**-49), math.inf))
    ball = so.ConstrainedRegression(np.eye(2) * (1 + 0j), [9.0, 1.0], rounded)
    yield "a complex x on the sphere", so.BallCertificate.build(ball, sizes, np.zeros(2) + 0j)[1]
    for name, problem in products().items():
        yield name, so.solve(problem).certificate
    for name, problem in dependent().items():
        yield name, so.solve(problem).certificate
    for name, made in exact_figures():
        yield f"exactly what is proved, {name}", made
    for name, right, _ in unique():
        yield f"just unique, {name}", right
    for name, right, _ in least_proved():
        yield f"the least that is proved, {name}", right
    signal = subsets()["signal"]
    levels = tuple(c if len(c) else empty for c in signal.closed)
    yield "levels without closed sets", lambda: so.verify(changed(signal, closed=levels))
    zero = certificates()["zero target"]
    nothing = so.BasisPursuit(zero.problem.design, np.append(np.zeros(11), 1e-140))
    yield (
        "zero is the only vector of norm 0",
        stated(nothing, 0.0 * zero.answer.x, np.ones(12), unique=True),
    )
    yield "bounds over complex supports, exactly", law(complex_bounds_hold)
    yield "bounds over supports of a product, exactly", law(product_bounds_hold)
    yield "direct bounds, exactly", law(direct_bounds_take_what_they_say)
    yield "products in doubled precision", law(doubled_products_hold)
    yield "the sum of many gains", law(many_gains_add_up)


def _unclaimed(made: Any) -> dict[str, Any]:
    return {"answer_unique": False} if hasattr(made.answer, "unique") else {}


def products() -> dict[str, so.Problem]:
    """Return questions about products of factors with large columns."""
    rng = np.random.default_rng(5)
    patterns = so.Architecture([so.KroneckerPattern(1, 2, 2, 3), so.KroneckerPattern(2, 3, 4, 1)])
    factors = [rng.standard_normal(tuple(p)) for p in patterns]
    large = so.KroneckerProduct([1e8 * factors[0], factors[1]], patterns)
    target = rng.standard_normal(6)
    return {
        "large product, support": so.KnownSupportRegression(large, target, [0, 1, 2]),
        "large product, pursuit": so.BasisPursuit(large, target),
        "large product, subset": so.CardinalityRegression(large, target, 2),
    }


def dependent() -> dict[str, so.CardinalityRegression]:
    """Return questions about subsets of columns some of which depend, or nearly."""
    rng = np.random.default_rng(2)
    design, target = np.round(4.0 * rng.standard_normal((8, 6))), rng.standard_normal(8)
    design[:, 2] = design[:, 0] + design[:, 1]
    close = rng.standard_normal((8, 3))
    close[:, 1] = close[:, 0] + 1e-9 * close[:, 1]
    return {
        "a subset beside dependent columns": so.CardinalityRegression(design, target, 4),
        "a subset beside nearly dependent columns": so.CardinalityRegression(close, target, 2),
        "a subset beside columns of a singular Gram matrix": so.CardinalityRegression(
            np.hstack([np.eye(7)[:, :2], np.eye(7)[:, :2].sum(axis=1)[:, None], design[:7, 3:]]),
            target[:7],
            4,
        ),
        "a subset of opposite columns, with zeros of both signs": so.CardinalityRegression(
            [[1.0, -1.0, 0.0, 2.0], [0.0, 0.0, 1.0, -0.0], [2.0, -2.0, -0.0, 3.0]],
            [1.0, 2.0, 4.0],
            1,
        ),
    }


def least_proved() -> Iterator[tuple[str, Any, Any]]:
    """Yield what it is, the claim of the least objective that is proved, and of the next float."""
    rng = np.random.default_rng(12)
    design, noise = rng.standard_normal((9, 4)), rng.standard_normal(9)
    close = design.copy()
    close[:, 1] = close[:, 0] + 1e-12 * close[:, 1]
    closer = design.copy()
    closer[:, 1] = closer[:, 0] + 2.0**-50 * closer[:, 1]
    for name, matrix, target in (
        ("plain", design, noise),
        ("nearly fitted", design, design @ np.ones(4) + 1e-14 * noise),
        ("nearly dependent", close, noise),
        ("but for a few last bits dependent", closer, noise),
        ("nearly dependent and fitted", close, close @ np.ones(4) + 1e-7 * noise),
        ("complex", design + 1j * design[::-1], noise),
    ):
        problem = so.CardinalityRegression(matrix, target, 4)
        least = least_on(problem, np.arange(4), 1.0).below()
        given = (problem, so.Coefficients(np.zeros(4)), np.zeros(0, int), (), np.zeros((0, 4), int))
        right = so.SubsetCertificate(*given, 1e6, least)
        yield name, right, changed(right, dual=math.nextafter(least, math.inf))


def look_alikes() -> so.KroneckerProduct:
    """Return a product of two columns that differ by 2^-60, and agree once they are rounded."""
    low = 1.0 - 2.0**-30
    patterns = so.Architecture([(1, 2, 2, 1), (1, 2, 3, 1)])
    first = np.diag([1.0 + 2.0**-30, 1.0]).reshape(1, 2, 2, 1)
    second = np.array([[low, low + 2.0**-60, 0.0], [0.0, 0.0, 1.0]]).reshape(1, 2, 3, 1)
    return so.KroneckerProduct([first, second], patterns)


@cache
def unique() -> list[tuple[str, so.PursuitCertificate, so.PursuitCertificate]]:
    """Return what it is, the last tilt of a dual point that proves one optimum, and the next."""
    design, target, x = pursuit_problems.planted(12, 24, 3, 0)
    turned = design + 1j * design[::-1]
    phases = np.where(np.arange(24) < 2, 1.0 - 2.0j, 0.0)
    flat, level = np.abs(np.random.default_rng(3).standard_normal((5, 7))), np.ones(7)
    level[-1] = 0.5
    flat[:, -1] -= flat[:, -1].mean()
    given = [("norm inf", so.BasisPursuit(flat, flat @ level, norm=math.inf), level, np.ones(5))]
    for name, problem in (
        ("exactly", so.BasisPursuit(design, target)),
        ("complex", so.BasisPursuit(turned, turned @ phases)),
        ("noise", certificates()["noise"].problem),
    ):
        best = so.solve(problem).certificate
        given.append((name, problem, best.answer.x, np.atleast_2d(best.dual_point).sum(axis=0)))
    listed = []
    for name, problem, x, w in given:
        rng = np.random.default_rng(len(name))
        aside = rng.standard_normal(w.shape) * float(np.abs(w).max())

        def proves(tilt: float, at: Any = (problem, x, w, aside)) -> bool:
            problem, x, w, aside = at
            return so.verify(stated(problem, x, w + tilt * aside, unique=True)).ok

        if (found := border(0.0, 10.0, proves)) is not None:
            made = [stated(problem, x, w + f * aside, unique=True) for f in found]
            listed.append((name, made[0], made[1]))
    return listed


def forged() -> Pairs:
    """Yield what must be refused."""
    for name, made in tilted():
        yield f"{MINIMUM} | {name}", changed(made, dual=abs(made.primal) + 1.0)
        if "nothing" not in name:
            yield f"{GAP} | {name}", changed(made, dual=-1.0, gap=1e-300, **_unclaimed(made))
    for name, made in certificates().items():
        if made.answer.x.any():
            wide = {"misfit": 1e9} if hasattr(made, "misfit") else {}
            moved = changed(made, answer_x=made.answer.x * 0.99, primal=0.0, **wide)
            yield f"{OBJECTIVE} | moved, {name}", moved
        if hasattr(made, "least_norm"):
            high = made.norm * 2.0 + 1.0
            words = "no minimiser has a norm below"
            yield f"{words} | {name}", changed(made, least_norm=high)
            weak = {"primal": 1e300, "dual": 0.0, "gap": 1e300, "norm": 1e300, "least_norm": high}
            yield f"{words} | moved, {name}", changed(made, answer_x=made.answer.x * 0.9, **weak)
    for name, problem in products().items():
        made = so.solve(problem).certificate
        if hasattr(made, "least_norm"):
            weak = {"primal": 1e300, "dual": 0.0, "gap": 1e300, "norm": 1e300, "least_norm": 1e300}
            moved = changed(made, answer_x=made.answer.x * 0.9, **weak)
            yield f"no minimiser has a norm below | moved, {name}", moved
        yield f"{MINIMUM.partition(' is')[0]} | {name}", changed(made, dual=made.primal * 2.0)
    for name, problem in dependent().items():
        made = so.solve(problem).certificate
        words = "on a support that is singled out the minimum is at least"
        yield f"{words} | {name}", changed(made, dual=made.primal * 2.0)
    for name, _, wrong in least_proved():
        yield f"with all columns together the minimum is at least | a float more, {name}", wrong
    for name, made in exact_figures():
        for words, wrong in a_float_less(made):
            yield f"{words} | by a float, {name}", wrong
    for name, _, wrong in unique():
        yield f"{UNIQUE} | just not, {name}", wrong
    plain = so.BasisPursuit([[1.0]], [1 + 1j], 0.0, math.inf)
    yield f"{UNIQUE} | norm inf of complex numbers", stated(plain, [1 + 1j], [1 + 1j], unique=True)
    large = certificates()["large ball"]
    weak = {"dual_point": np.zeros(12), "primal": 1e3, "dual": 0.0, "gap": 1e-300}
    for share in (0.9, 0.5, 1.0 + 1e-14):
        moved = changed(large, answer_x=share * large.answer.x, **weak)
        yield f"{GAP} | the projected residual of {share!r} times the best", moved
    yield from hidden_correlations()
    yield from complex_balls()
    yield from of_products()
    yield from entrance()


def hidden_correlations() -> Pairs:
    """Dual points whose largest correlation plain sums lose."""
    huge = 2.0**60
    design = np.array([[huge, 0.5, 0.0], [1.0, 0.0, 1.0], [-huge, 0.0, 0.0]])
    problem = so.BasisPursuit(design, [1.0, 0.0, 0.0])
    made = stated(problem, [0.0, 2.0, 0.0], [1.0, 1.0, 1.0])
    yield f"{MINIMUM} | a correlation that plain sums lose", changed(made, dual=1.9, gap=0.2)


def complex_balls() -> Pairs:
    """Complex coefficients beyond a ball by less than moduli round."""
    words = "the l1 norm of x is at most the radius"
    for name, x, radius in (
        ("as rounded", [3 + 4j, 0.0], 5.0),
        ("small ones", [0.3 + 0.4j, 0.3 + 0.4j], 0.9),
        ("a third", [1 / 3 + 1j / 7, 0.0], abs(1 / 3 + 1j / 7)),
    ):
        ball = so.ConstrainedRegression(np.eye(2) * (1 + 0j), [9.0, 1.0], radius)
        made = so.BallCertificate.build(ball, np.array(x), np.zeros(2) + 0j)[1]
        yield f"{words} | {name}", made


def of_products() -> Pairs:
    """Columns of a product that look dependent, or independent, once they are rounded."""
    # As real columns they would explain less than with complex coefficients.
    turned = np.array([[1.0, 0.5j], [2.0j, 1.0], [1.0 + 1j, 3.0]])
    bare = so.CardinalityRegression(turned, 1j * turned[:, 0] + 0.01, 1)
    none = np.zeros((0, 1), int)
    nothing = so.Coefficients(np.zeros(2))
    false = so.SubsetCertificate(bare, nothing, np.arange(2), (), none, 1e3, 0.5)
    yield f"{LEFT_OPEN} | of complex columns", false
    close = np.random.default_rng(2).standard_normal((8, 3))
    close[:, 1] = close[:, 0] + 1e-9 * close[:, 1]
    rounded = so.KroneckerProduct([close.reshape(1, 8, 3, 1)], [(1, 8, 3, 1)])
    known = so.solve(so.CardinalityRegression(rounded, np.arange(8.0), 2)).certificate
    few = changed(known, dual=0.5 * known.dual, singled_out=known.singled_out[:0])
    yield f"{LEFT_OPEN} | nearly dependent columns of a product", few
    alike = look_alikes()
    pair = so.KnownSupportRegression(alike, [1.0, 1.0], [0, 1])
    x = np.array([0.5, 0.5])
    made = so.KnownSupportCertificate.build(
        pair, x, np.array([0]), np.array([[1.0, 1.0]]), np.array([0.5])
    )[1]
    yield "the columns are within | that agree once rounded", changed(made, distance=0.0)
    one = so.CardinalityRegression(alike, [1.0, 1.0], 1)
    best = so.solve(one).certificate
    few = np.array([0, 2])
    yield "the order holds each | but one of two that look alike", changed(best, order=few)
    apart = so.KroneckerProduct([np.diag([1e-8, 1e10]).reshape(1, 2, 2, 1)], [(1, 2, 2, 1)])
    far = so.KnownSupportRegression(apart, [1.0, 1.0], [0, 1])
    made = so.KnownSupportCertificate.build(
        far, np.array([1e8, 1e-10]), np.arange(2), np.eye(2), np.ones(2)
    )[1]
    yield "the columns of the basis are independent | by less than rounding", made


def entrance() -> Pairs:
    """Arrays of another kind than evidence has."""
    best, none = subsets()["subset"], np.zeros(0, int)
    count = len(children(np.zeros((1, 0), dtype=PLACES), len(best.order), best.problem.size))
    after = changed(best, closed=(none, np.array([count])))
    yield "the closed sets are sets of their level | the one after the last", after
    pursuit, support = certificates()["pursuit"], certificates()["support"]
    for name, point in (
        ("truth values", np.ones(12, dtype=bool)),
        ("three rows", np.ones((3, 12))),
    ):
        entry = refusal(lambda point=point: so.verify(changed(pursuit, dual_point=point)))
        yield f"dual_point must be a vector of numbers | {name}", entry
    rows = refusal(lambda: changed(support, row_point=np.ones((2, 3))))
    yield "row_point must be a vector of numbers | two rows", rows
    words = "it must be a finite number"
    for name, kind, number in (
        ("at least 0 | a negative noise", so.BasisPursuit, -1.0),
        ("at least 0 | a noise without end", so.BasisPursuit, math.inf),
        ("above 0 | no strength", so.SquareRootLasso, 0.0),
    ):
        built = refusal(lambda kind=kind, number=number: kind([[1.0]], [1.0], number))
        yield f"{words} {name}", built
