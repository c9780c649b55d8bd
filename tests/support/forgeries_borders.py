"""Regressions at the border of what the judge proves, from both sides, and odd ones.

Like `forgeries_regression`: each forged one is stopped by one line of the judge, and its name
begins with it. The honest ones need all of the digits, or all of the columns, that it looks at.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import forgeries_penalties
import numpy as np
import scipy.sparse
from forgeries_penalties import (
    DUAL,
    FEASIBLE,
    GAP,
    GROUPS,
    PRIMAL,
    ZEROS,
    exactly,
    gaussian,
    stated,
)
from laws import border
from regression_statements import nearly_zero

import sparseopt as so
from sparseopt.inverse.kinds import gap_of

Certificate = so.DualityGapCertificate
Pairs = Iterator[tuple[str, Any]]
ROWS = np.array([1.0, 2.0, 0.5, 0.0, 1.0, 3.0])
LONG = 1.0 + 2.0**-30, 1.0 + 2.0**-35 + 2.0**-52, 1.0 + 2.0**-41 + 2.0**-52
"""Their product takes more digits than two floats have."""


@cache
def problems() -> dict[str, so.SparseRegression]:
    """Return problems with something that few have."""
    design, target = gaussian(6, 9)
    tall, high = gaussian(12, 4, 3)
    regression = so.SparseRegression
    turned = design + 1j * gaussian(6, 9, 8)[0]
    small = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    unused = np.array([[-1.0, 1.0], [-1.0, 2.0], [0.5, 1.0], [-2.0, 0.5]])
    nearly = 5.0 * unused[:, 1] + 1e-9 * np.array([1.0, 1.0, -1.0, 1.0])
    none = so.SparseGroupL1(0.0, 0.9, GROUPS)
    free = so.SparseGroupL1(0.7, 0.9, GROUPS, [1, 0, 1, 1, 1, 1, 1, 1, 1], [1, 0, 1])
    return {
        "zero target, rows": regression(design, np.zeros(6), so.L1(0.8), ROWS),
        "sparse groups without entries": regression(design, target, none),
        "complex, sparse groups without entries": regression(turned, target, none),
        "sparse groups, a free column": regression(design, target, free),
        "large beyond squares": regression(
            design, target * (9e150 / abs(target).max()), so.L1(1e150)
        ),
        "small beyond squares": regression(
            design, target * (1.1e-151 / abs(target).max()), so.L1(1e-151)
        ),
        "no penalty, positive": regression(design, target, so.L1(0.0, positive=True)),
        "no penalty, positive, tall": regression(tall, high, so.L1(0.0, positive=True)),
        "positive, a free column unused": regression(
            unused, np.ones(4), so.L1(0.3, [0, 1], positive=True)
        ),
        "positive, free columns, little left": regression(
            unused, nearly, so.L1(0.3, [0, 0], positive=True)
        ),
        "no penalty, whole numbers, rows": regression(
            small, [1.0, 2.0, 16.0], so.L1(0.0), np.ones(3)
        ),
        "lost strength": regression(tall, high, so.L1(1e-25)),
        "lost strength, rows": regression(tall, high, so.L1(1e-25), np.arange(12.0)),
        "lost strength, positive": regression(tall, high, so.L1(1e-25, positive=True)),
        "lost ridge": regression(tall, high, so.L1(1e-25) + so.Ridge(1e-45)),
        "lost strength, variation": regression(tall, high, so.TotalVariation(1e-25)),
        "lost strength, nuclear": regression(tall, high, so.NuclearNorm(1e-25, (2, 2))),
        "variation, small design": regression(1e-3 * design, target, so.TotalVariation(1e-4)),
        "variation, zero design": regression(np.zeros((6, 9)), target, so.TotalVariation(0.4)),
        **products(),
    }


def products() -> dict[str, so.SparseRegression]:
    """Return problems whose design is a product of factors, with columns that depend."""
    patterns = so.Architecture([(1, 3, 3, 1), (1, 3, 3, 1)])

    def product(*factors: Any) -> so.KroneckerProduct:
        return so.KroneckerProduct([np.array(f).reshape(1, 3, 3, 1) for f in factors], patterns)

    regular = gaussian(3, 3, 1)[0]
    singular = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0], [0.5, 0.25, 0.75]])
    close = singular + 1e-8 * gaussian(3, 3, 5)[0]  # its rows nearly depend, too
    void = np.array([[1.0, -1.0, 0.0], [2.0, -2.0, 0.0], [0.5, -0.5, 0.0]])
    target, rows = np.array([1.0, 2.0, -0.7]), [1.0, 3.0, 1.7]
    regression, free = so.SparseRegression, so.L1(0.0)
    return {
        "no penalty, singular product": regression(product(regular, singular), target, free),
        "no penalty, complex singular product": regression(
            product(regular + 1j * regular[::-1], singular), target, free
        ),
        "no penalty, singular product of complex target": regression(
            product(regular, singular), target * (1 + 2j), free
        ),
        "free columns of a singular product": regression(
            product(regular, singular), target, so.L1(0.2, [0, 1, 0])
        ),
        "no penalty, nearly singular product, rows": regression(
            product(regular, close), target, free, rows
        ),
        "free columns of a nearly singular product, rows": regression(
            product(regular, close.T), target, so.L1(0.2, [0, 0, 1]), rows
        ),
        "variation, product, rows": regression(
            product(regular, close), target, so.TotalVariation(0.2), rows
        ),
        "variation, product that nearly cancels, rows": regression(
            product(regular, void + 1e-5 * regular), target, so.TotalVariation(0.2), rows
        ),
        "product of columns that are lost among its factors": regression(
            product(2.0**50 * void + regular, np.ones((3, 3))), target, so.L1(0.2)
        ),
        "no penalty, product that cancels": regression(
            product(void, np.ones((3, 3))), target, free
        ),
    }


@cache
def solved() -> dict[str, Certificate]:
    """Return the certificate of a solver for each problem."""
    return {name: so.solve(problem).certificate for name, problem in problems().items()}


def some(name: str, problem: so.SparseRegression) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients and a dual point of no quality."""
    generator = np.random.default_rng(len(name))
    m, n = problem.shape
    x, t = generator.standard_normal(n), generator.standard_normal(m)
    if problem.is_complex:
        x, t = x + 1j * generator.standard_normal(n), t + 1j * generator.standard_normal(m)
    return np.abs(x) if problem.penalty.positive else x, t


def tilted() -> Pairs:
    """Yield proofs by points that are not orthogonal to the columns that cost nothing."""
    for name, problem in {**problems(), **others(*FREE)}.items():
        x, t = some(name, problem)
        unit = float(np.abs(problem.target).max()) or 1.0
        point = t * (1e-6 * unit)
        if problem.sample_weights is not None:
            point = np.where(problem.sample_weights == 0, 0.0, point)
        made = Certificate.build(problem, x * 0.1)[1]
        none = np.flatnonzero(made.answer.x == 0)
        found = stated(problem, made.answer.x, point, none)
        if so.verify(found).ok:
            yield name, found
    whole = problems()["no penalty, whole numbers, rows"]
    yield "by whole numbers", stated(whole, [1.0, 2.0, 0.0], [1.0, 0.0, 16.0], [2])


FREE = (
    "weights",
    "free groups",
    "free columns",
    "rows and free columns",
    "product, free",
    "positive and free",
    "variation",
    "variation, rows",
    "variation, complex",
    "variation, product",
)
LIMITED = (
    "rows",
    "positive",
    "positive groups",
    "sparse groups",
    "complex",
    "complex groups",
    "complex sparse groups",
    "product",
    "variation",
    "variation, complex",
    "nuclear",
)
PROVING = (
    "rows",
    "positive",
    "positive groups",
    "sparse groups",
    "complex sparse groups",
    "elastic net",
    "free columns",
    "weights",
    "product",
)


def others(*names: str) -> dict[str, so.SparseRegression]:
    """Return some of the problems of `forgeries_penalties`."""
    return {name: forgeries_penalties.problems()[name] for name in names}


@cache
def feasible_points() -> list[tuple[str, Certificate, Certificate]]:
    """Return what it is, the largest feasible multiple of a dual point, and the next one."""
    listed = []
    points = [
        (name, problem, forgeries_penalties.solved()[name].dual_point, 0.5, 2.0)
        for name, problem in others(*LIMITED).items()
    ]
    for name, problem in {**problems(), **others(*FREE)}.items():
        t = some(name, problem)[1]
        t = t if problem.sample_weights is None else np.where(problem.sample_weights == 0, 0.0, t)
        points.append((f"tilted, {name}", problem, t, 0.0, 1e6))
    points.append(("nuclear, plain products", *large_matrix(), 1.0 - 1e-12, 1.0 + 1e-12))
    for name, problem, t, least, most in points:
        gap, point = gap_of(problem), np.atleast_2d(t)

        def feasible(factor: float, gap: Any = gap, point: Any = point) -> bool:
            return bool(gap.feasible(gap.look(gap.scaled.dual_point(factor * point)).reach).all())

        if (found := border(least, most, feasible)) is not None:
            n = problem.shape[1]
            made = [stated(problem, np.zeros(n), f * point, np.arange(n)) for f in found]
            listed.append((name, made[0], made[1]))
    return listed


def large_matrix() -> tuple[so.SparseRegression, np.ndarray]:
    """Return a problem whose products are too many for doubled precision, and a dual point.

    The point reaches the limit, but for what bounds of rounding take.
    """
    design, point = gaussian(1, 257**2)[0], np.ones(1)
    penalty = so.NuclearNorm(1.0, (257, 257))
    reach = gap_of(so.SparseRegression(design, point, penalty)).reach(point[None])
    return so.SparseRegression(design, point, so.NuclearNorm(float(reach[0]), (257, 257))), point


@cache
def proved_zeros() -> list[tuple[str, Certificate, Certificate]]:
    """Return what it is, a proof of a zero by the largest gap that allows one, and the next gap."""
    listed = []
    for name, problem in others(*PROVING).items():
        certificate = forgeries_penalties.solved()[name]
        gap, best = gap_of(problem), certificate.answer.x
        t = gap.scaled.dual_point(np.atleast_2d(certificate.dual_point))
        look, every = gap.look(t), np.flatnonzero(best == 0)

        def proves(share: float, j: int, gap: Any = gap, at: Any = (best, t, look)) -> bool:
            x, t, look = at
            found = gap.bounds(gap.primal(gap.scaled.coefficients(x * (1.0 + share))), t, look)
            return bool(gap.scaled.per_coefficient(gap.proved_zero(look, found.gap))[j])

        for j in certificate.zeros:
            found = border(0.0, 1.0, lambda share, j=j, proves=proves: proves(share, j))
            if found is not None:
                rest = every[every != j]
                made = [
                    stated(problem, best * (1.0 + f), certificate.dual_point, rest) for f in found
                ]
                listed.append((f"{name}, {j}", made[0], made[1]))
    return listed


def loose(certificate: Certificate, **kept: Any) -> Certificate:
    """Return a certificate that states less than is proved, but for the figures that are kept."""
    own = exactly(certificate)
    figures = {"primal": own.primal * 1.01, "dual": own.dual * 0.99, "gap": own.gap * 1.5}
    return dataclasses.replace(own, **{**figures, **kept})


def by_all_digits() -> Pairs:
    """Yield proofs with one figure, or one fact, that plain arithmetic does not prove."""
    problem = forgeries_penalties.problems()["weights"]
    best = forgeries_penalties.solved()["weights"]
    none = np.flatnonzero(best.answer.x == 0)
    own = stated(problem, best.answer.x * 1.1, 0.5 * best.dual_point, none)
    for figure in ("primal", "dual", "gap"):
        yield f"only {figure} is sharp", loose(own, **{figure: getattr(own, figure)})
    for name, right, _ in (*feasible_points(), *proved_zeros()):
        yield f"sharp, with loose figures: {name}", loose(right)
    for size in (1, 3):
        yield (
            f"a zero of {size}, with loose figures",
            loose(stated(*nearly_zero(size, proved=True))),
        )


def honest() -> Pairs:
    """Yield (what it is, certificate), all to be accepted."""
    for name, certificate in solved().items():
        yield name, certificate
        yield f"{name}, exactly as proved", exactly(certificate)
        yield f"rough {name}", Certificate.build(problems()[name], *some(name, problems()[name]))[1]
    for name, certificate in tilted():
        yield f"tilted, {name}", certificate
    for name, right, _ in feasible_points():
        yield f"the largest feasible multiple, {name}", right
    for name, right, _ in proved_zeros():
        yield f"the last gap that proves a zero, {name}", right
    yield from by_all_digits()
    yield from beyond_elimination()
    alone = so.SparseRegression(gaussian(6, 9)[0], 5.0 * (ROWS == 0), so.L1(1e-200), ROWS)
    yield "zeros where no row has a target", stated(alone, np.zeros(9), np.zeros(6))
    yield "units", in_their_units


def beyond_elimination() -> Pairs:
    """Yield columns that differ in the sign of a zero, too many to be eliminated exactly."""
    design, target = gaussian(75, 70, 4)
    design[0, 0] = 0.0
    design[:, -1] = -design[:, 0]
    design[0, -1] = 0.0
    x = np.append(np.linalg.lstsq(design[:, :-1], target, rcond=None)[0], 0.0)
    made = Certificate.build(so.SparseRegression(design, target, so.L1(0.0)), x)[1]
    if made.accuracy < 1e-9:
        yield "zeros of both signs", made


def in_their_units() -> so.Check:
    """Return whether numbers that were scaled return to what they were, in two rows too."""
    design, target = gaussian(6, 9)
    right = []
    for turn in (1.0, 1j):
        for scale in (1.0, 2.0**150):
            weights = None if scale == 1.0 else ROWS * 2.0**40
            problem = so.SparseRegression(
                design * scale * turn, target * 2.0**-70, so.L1(2.0**20), weights
            )
            scaled, x = problem.scaled(), np.arange(1.0, 10.0) * turn
            t = np.arange(1.0, 13.0).reshape(2, 6) * turn
            point, own = scaled.dual_point(t), scaled.coefficients(x)
            right += [
                np.array_equal(scaled.original_dual_point(point), t),
                np.array_equal(scaled.original_coefficients(own), x),
                np.array_equal(scaled.joined(np.ldexp(point, scaled.unit)), t),
                np.array_equal(scaled.joined(np.ldexp(own, scaled.unknown_unit)), x),
            ]
    return so.Check("accepted" if all(right) else "refused", "units", ())


def vanishing_sums() -> Pairs:
    """Constants that cost nothing, and whose column seems to be zero and is not."""
    patterns = so.Architecture([(1, 1, 2, 1), (1, 2, 2, 1)])
    near = so.KroneckerProduct(
        [
            np.array([[1.0 + 2.0**-30, -1.0]]).reshape(1, 1, 2, 1),
            np.diag([1.0 - 2.0**-30, 1.0]).reshape(1, 2, 2, 1),
        ],
        patterns,
    )
    huge = np.array([[2.0**110, 1.0, -(2.0**110)], [2.0**110, -1.0, -(2.0**110)]])
    sparse = scipy.sparse.csr_array(huge)
    long = math.prod(map(Fraction, LONG))
    first = float(long)
    second = float(long - Fraction(first))
    doubled = so.KroneckerProduct(
        [
            np.array([LONG[0], -first, -second]).reshape(1, 1, 3, 1),
            np.diag([LONG[1], 1.0, 1.0]).reshape(1, 3, 3, 1),
            np.array([[LONG[2], 0.0], [0.0, 1.0], [0.0, 1.0]]).reshape(1, 3, 2, 1),
        ],
        so.Architecture([(1, 1, 3, 1), (1, 3, 3, 1), (1, 3, 2, 1)]),
    )
    for name, design, strength in (
        ("a product whose columns are rounded", near, 4.0),
        ("a product whose columns two floats do not hold", doubled, 4.0),
        ("a row that seems to cancel", huge[:1], 2.0**112),
        ("rows that seem to cancel", huge, 2.0**112),
        ("stored rows that seem to cancel", sparse, 2.0**112),
    ):
        target = np.array([1.0, -1.0])[: design.shape[0]]
        problem = so.SparseRegression(design, target, so.TotalVariation(strength))
        n = problem.shape[1]
        yield (
            f"{DUAL} | {name}",
            stated(problem, np.zeros(n), 0.5 * target, np.arange(n), dual=0.3),
        )


def faint() -> Pairs:
    """Figures and zeros that only what projections and underflow take forbids."""
    positive = so.L1(0.001, [0, 1], positive=True)
    turned = so.SparseRegression([[1.0, -1.0], [0.0, 0.1]], [1.0, 0.1], positive)
    yield f"{ZEROS} | of a column against a free one", stated(turned, [1.0, 0.0], [2.0, -0.2])
    line = so.SparseRegression([[1.0]], [1.0], so.L1(1.0))
    yield f"{DUAL} | below what underflows", stated(line, [1.0], [2.0**-470], dual=2.0**-480)
    for name, penalty in (("entries", so.Ridge(0.0)), ("matrix", so.NuclearNorm(0.0, (2, 1)))):
        # P is 2^257; the ridge is the least float in scaled units.
        least = so.SparseRegression(
            np.diag([1.0, 2.0**-500]), [0.0, 1.0], penalty + so.Ridge(2.0**-742), [2.0**331] * 2
        )
        made = stated(least, [0.0, 2.0**500], [0.0, 0.0], [0], primal=2.0**200, gap=2.0**200)
        yield f"{PRIMAL} | half of the least ridge, {name}", made


def vanishing_steps() -> tuple[so.SparseRegression, np.ndarray]:
    """Return a problem and coefficients whose steps are rounded away, and cost much."""
    problem = so.SparseRegression(np.eye(4) * (1 + 0j), np.zeros(4), so.TotalVariation(1e300))
    return problem, np.array([0.0, 5e-324 * (1 + 1j), 5e-324 * (1 + 1j), 5e-324 * (1 + 1j)])


def forged() -> Pairs:
    """Yield (the refusing line | what it is, certificate), all to be refused."""
    for name, certificate in (*solved().items(), *((f"tilted, {n}", c) for n, c in tilted())):
        own = exactly(certificate)
        if own.primal > 0:
            less = math.nextafter(own.primal, -math.inf)
            yield f"{PRIMAL} | a last bit too low, {name}", exactly(certificate, primal=less)
        if own.gap > 0:
            less = math.nextafter(own.gap, -math.inf)
            yield f"{GAP} | a last bit too low, {name}", exactly(certificate, gap=less)
        more = math.nextafter(own.dual, math.inf)
        yield f"{DUAL} | a last bit too high, {name}", exactly(certificate, dual=more)
    for name, _, wrong in feasible_points():
        yield f"{FEASIBLE} | the next multiple, {name}", wrong
    for name, _, wrong in proved_zeros():
        yield f"{ZEROS} | the next gap, {name}", wrong
    yield from vanishing_sums()
    yield from faint()
    problem, x = vanishing_steps()
    own = stated(problem, x, np.zeros(4), [0])
    less = math.nextafter(own.primal, -math.inf)
    yield (
        "scaling it loses digits | steps that are rounded away",
        dataclasses.replace(own, primal=less),
    )
    yield "scaling it loses digits | as rounded", dataclasses.replace(own, primal=5e-324 * 1e300)
    opposite = so.SparseRegression([[1.0, -1.0]], [0.0], so.L1(1.0, [0, 0], positive=True))
    yield f"{ZEROS} | of columns that cancel", stated(opposite, [0.0, 0.0], [0.0])
