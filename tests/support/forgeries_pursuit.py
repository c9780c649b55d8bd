"""Forged certificates of least norms and constrained least squares, and why each is refused.

As in `forgeries_regression`, the name of each is the sentence of the line that stops it, then
" | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pursuit_problems
import scipy.sparse
from laws import law, refusal
from subset_laws import bounds_hold, nearly_dependent_columns_are_told

import sparseopt as so
from sparseopt.inverse.fit import Fit
from sparseopt.inverse.gap_certificate import GapCertificate
from sparseopt.inverse.infeasible_certificate import _infeasible
from sparseopt.inverse.pursuit_certificate import _fitted

KINDS = "coefficients and evidence are real where design and target are"
Pairs = Iterator[tuple[str, Any]]
OBJECTIVE, MINIMUM, GAP = (
    "the objective is at most",
    "the minimum is at least",
    "the gap is at most",
)


def changed(certificate: Any, **changes: Any) -> Any:
    """Return a certificate with other evidence; fields of the answer go by ``answer_``."""
    answer = {k[7:]: v for k, v in changes.items() if k.startswith("answer_")}
    rest = {k: v for k, v in changes.items() if not k.startswith("answer_")}
    if answer:
        rest["answer"] = dataclasses.replace(certificate.answer, **answer)
    return dataclasses.replace(certificate, **rest)


def complex_problems(
    design: np.ndarray, target: np.ndarray, noisy: np.ndarray
) -> dict[str, so.Problem]:
    """Return questions about complex numbers."""
    turned = design + 1j * design[::-1]
    image = turned @ np.where(np.arange(24) < 2, 1.0 - 2.0j, 0.0)
    csr = scipy.sparse.csr_array(np.round(design * 3) * 1j)
    return {
        "complex support": so.KnownSupportRegression(turned, noisy, [1, 5, 7]),
        "complex, deficient": so.KnownSupportRegression([[1, 1j, 0], [1, 1j, 1]], [2, 4j], [0, 1]),
        "complex pursuit": so.BasisPursuit(turned, image),
        "complex, many": so.BasisPursuit(turned[:4], noisy[:4] * (1 + 2j)),
        "complex target": so.BasisPursuit(csr, noisy * 1j),
        "complex noise": so.BasisPursuit(turned, noisy, 0.3),
        "complex norm 2": so.BasisPursuit(turned, target * 1j, norm=2),
        "complex norm inf": so.BasisPursuit(turned[:4], noisy[:4], norm=math.inf),
        "complex nothing": so.BasisPursuit([[1, 2j], [2, 4j]], [1, 3j]),
        "complex ball": so.ConstrainedRegression(turned, noisy * 1j, 1.0),
        "complex root": so.SquareRootLasso(turned, noisy, 0.7),
    }


def product_problems() -> dict[str, so.Problem]:
    """Return questions about a product of factors, whose columns are known up to rounding."""
    rng = np.random.default_rng(5)
    patterns = so.Architecture([so.KroneckerPattern(1, 2, 2, 3), so.KroneckerPattern(2, 3, 4, 1)])
    product = so.KroneckerProduct([rng.standard_normal(tuple(p)) for p in patterns], patterns)
    low = so.Architecture([so.KroneckerPattern(1, 3, 2, 2), so.KroneckerPattern(2, 2, 4, 1)])
    flat = so.KroneckerProduct([rng.standard_normal(tuple(p)) for p in low], low)
    turned = so.KroneckerProduct([f * (1 + 2j) for f in flat.factors], low)
    target = rng.standard_normal(6)
    return {
        "product pursuit": so.BasisPursuit(product, target),
        "product noise": so.BasisPursuit(product, target, 0.3),
        "product nothing": so.BasisPursuit(flat, target),
        "complex product nothing": so.BasisPursuit(turned, target),
        "product ball": so.ConstrainedRegression(product, target, 0.5),
        "product root": so.SquareRootLasso(product, target, 0.3),
        "product support": so.KnownSupportRegression(product, target, [0, 1, 2]),
        "product, deficient": so.KnownSupportRegression(flat, target, [0, 1, 2]),
    }


@cache
def solved() -> dict[str, Any]:
    """Return one certificate of each kind of claim."""
    design, target, _ = pursuit_problems.planted(12, 24, 3, 0)
    noisy = target + 0.1 * np.random.default_rng(1).standard_normal(12)
    tall = np.random.default_rng(2).standard_normal((12, 4))
    csr = scipy.sparse.csr_array(np.round(design * 3))
    problems: dict[str, so.Problem] = {
        "support": so.KnownSupportRegression(design, noisy, [1, 5, 7]),
        "deficient": so.KnownSupportRegression([[1, 1, 0], [1, 1, 1]], [2, 4], [0, 1]),
        "nearly deficient": so.KnownSupportRegression(tall @ np.ones((4, 2)) / 3, noisy, [0, 1]),
        "nearly deficient, large": so.KnownSupportRegression(
            tall @ np.ones((4, 2)) * 1e140, noisy * 1e100, [0, 1]
        ),
        "fitted on a support": so.KnownSupportRegression(tall, 9.0 * tall @ np.ones(4), range(4)),
        "no rank": so.KnownSupportRegression(np.zeros((3, 2)), [1, 2, 3], [0, 1]),
        "pursuit": so.BasisPursuit(design, target),
        "sparse pursuit": so.BasisPursuit(csr, noisy),
        "noise": so.BasisPursuit(design, noisy, 0.3),
        "twice": so.BasisPursuit(np.hstack([design, design]), target),
        "norm 2": so.BasisPursuit(design, target, norm=2),
        "norm inf": so.BasisPursuit(design, target, norm=math.inf),
        "norm inf, noise": so.BasisPursuit(design, noisy, 0.3, math.inf),
        "flat": so.BasisPursuit([[3.0, -4.0]], [14.0], norm=math.inf),
        "zero": so.BasisPursuit(design, noisy, 100.0),
        "zero target": so.BasisPursuit(design, 0.0 * target),
        "nothing": so.BasisPursuit([[1, 2], [2, 4]], [1, 3]),
        "nothing tall": so.BasisPursuit(tall, noisy, 0.1),
        "ball": so.ConstrainedRegression(design, noisy, 1.0),
        "large ball": so.ConstrainedRegression(tall, noisy, 100.0),
        "root": so.SquareRootLasso(design, noisy, 0.7),
        "root fits": so.SquareRootLasso(design, target, 0.01),
        "root, large": so.SquareRootLasso(design * 1e140, noisy * 1e-100, 0.7e140),
        "root, small": so.SquareRootLasso(design * 1e-130, noisy, 0.7e-130),
        "root zero": so.SquareRootLasso(design, 0.0 * target, 1.0),
        "root of small strength": so.SquareRootLasso(tall, noisy, 1e-5),
        **complex_problems(design, target, noisy),
        **product_problems(),
    }
    return {name: so.solve(problem).certificate for name, problem in problems.items()}


def honest() -> Pairs:
    """Yield certificates that must be accepted."""
    for name, certificate in solved().items():
        yield name, certificate
        figures = {"primal": certificate.primal * (1 + 1e-10), "gap": certificate.gap * 2}
        if "nothing" in name:
            figures["answer_smallest_residual"] = figures["primal"]
        yield f"{name}, with room", changed(certificate, **figures, dual=certificate.dual * 0.999)
        if hasattr(certificate.answer, "unique"):
            yield f"{name}, less claimed", changed(certificate, answer_unique=False)
    noise = solved()["noise"]
    yield "outside the noise", _stated(noise.problem, noise.answer.x * (1 - 1e-3), noise.dual_point)
    yield "bounds over supports, exactly", law(bounds_hold)
    yield "nearly dependent columns", law(nearly_dependent_columns_are_told)
    ones = np.ones((3, 1))
    free = so.ConstrainedRegression(ones, [1.0, 2.0, 4.0], 9.0)
    yield "free ball", so.BallCertificate.build(free, np.array([7 / 3]), np.zeros(3))[1]
    zero = so.ConstrainedRegression(ones, np.zeros(3), 9.0)
    yield "zero ball", so.BallCertificate.build(zero, np.zeros(1), np.zeros(3))[1]
    yield from honest_subsets()


@cache
def subsets() -> dict[str, Any]:
    """Return certificates of best subsets, of each kind of claim."""
    r = np.random.default_rng(0)
    design, target = r.standard_normal((8, 10)), r.standard_normal(8)
    tall = r.standard_normal((30, 10)), r.standard_normal(30)
    signal = tall[0][:, :3] @ np.ones(3) + 0.01 * tall[1]
    problems = {
        "subset": so.CardinalityRegression(design, target, 3),
        "one column": so.CardinalityRegression(design, target, 1),
        "signal": so.CardinalityRegression(tall[0], signal, 4),
        "all columns": so.CardinalityRegression(tall[0][:, :4], tall[1], 4),
        "equal columns": so.CardinalityRegression(np.ones((3, 4)), [1.0, 2.0, 4.0], 2),
        "no columns": so.CardinalityRegression(np.zeros((3, 4)), [1.0, 2.0, 4.0], 2),
        "fitted": so.CardinalityRegression(np.eye(3), [1.0, 2.0, 0.0], 2),
        "complex subset": so.CardinalityRegression(design * (1 + 1j), target * (1 - 2j), 3),
        "complex signal": so.CardinalityRegression(tall[0] + 1j * tall[0][::-1], signal, 4),
        "product subset": so.CardinalityRegression(
            so.KroneckerProduct([design[:4, :4].reshape(1, 4, 4, 1)], [(1, 4, 4, 1)]),
            target[:4],
            2,
        ),
    }
    made = {name: so.solve(problem).certificate for name, problem in problems.items()}
    made["greedy"] = so.solve(problems["subset"], "omp").certificate
    made["cut"] = so.solve(problems["signal"], "branch_and_bound").certificate
    return made


def entrance() -> Pairs:
    """Arrays of another kind than evidence has."""
    made, support = subsets()["signal"], solved()["support"]
    first = refusal(lambda: changed(made, closed=(np.array([-1]), *made.closed[1:])))
    yield "closed holds -1, which is not an index | the last", first
    floats = refusal(lambda: changed(made, order=made.order.astype(float)))
    yield "order must be an array of indices | floats", floats
    table = refusal(lambda: changed(made, order=made.order[None]))
    yield "order must be an array of indices | a table", table
    words = refusal(lambda: changed(made, closed="no"))
    yield "closed must be a list of vectors | a word", words
    yield (
        "basis must be a vector of integers | floats",
        refusal(lambda: changed(support, basis=np.ones(3))),
    )
    yield (
        "basis must be a vector of integers | a table",
        refusal(lambda: changed(support, basis=np.array([[0, 1, 2]]))),
    )
    yield (
        "combination must be a matrix of numbers | a vector",
        refusal(lambda: changed(support, combination=np.ones(9))),
    )
    yield (
        "combination must be a matrix of numbers | truth values",
        refusal(lambda: changed(support, combination=np.eye(3, dtype=bool))),
    )


def honest_subsets() -> Pairs:
    """Yield certificates of best subsets that must be accepted."""
    for name, made in subsets().items():
        yield f"best {name}", made
        yield (
            f"best {name}, with room",
            changed(made, primal=made.primal * 1.001, dual=made.dual * 0.999),
        )
    yield "best subset, no bound", changed(subsets()["subset"], dual=-1.0)


def forged_subsets() -> Pairs:
    """Yield forged certificates of best subsets."""
    for name, made in subsets().items():
        if made.primal > 1e-20:
            yield f"{OBJECTIVE} | best {name}, lower", changed(made, primal=made.primal * 0.999)
        yield f"{OBJECTIVE} | best {name}, inf", changed(made, primal=math.inf)
        yield f"{MINIMUM} | best {name}, nan", changed(made, dual=math.nan)
        yield f"{MINIMUM} | best {name}, inf", changed(made, dual=math.inf)
    made, signal = subsets()["subset"], subsets()["signal"]
    x = made.answer.x
    yield "the answer is Coefficients | another", changed(made, answer=so.PursuitAnswer(x))
    yield f"{KINDS} | a complex subset", changed(made, answer_x=x + 0j)
    yield "x has one entry for each | one more", changed(made, answer_x=np.append(x, 0.0))
    yield "x has at most 3 nonzeros | four", changed(made, answer_x=np.where(x == 0, 1e-300, x))
    whole = "with all columns together the minimum is at least"
    for name in ("all columns", "equal columns", "no columns"):
        one = subsets()[name]
        yield f"{whole} | {name}", changed(one, dual=one.dual * (1 + 1e-9))
    yield f"{whole} | a tree is needed", changed(made, order=np.zeros(0, int))
    order = made.order
    yield "the order holds each | one left out", changed(made, order=order[:-1])
    yield "the order holds each | one twice", changed(made, order=np.append(order, order[0]))
    other = np.append(order[:-1], order[0])
    yield "the order holds each | one for another", changed(made, order=other)
    few = subsets()["equal columns"]
    yield (
        "there are more distinct columns than may be used | one",
        changed(few, order=np.array([0]), closed=(np.zeros(0, int),)),
    )
    single = made.singled_out
    yield "at most 2000 supports of 3 | of two", changed(made, singled_out=single[:, :2])
    yield (
        "at most 2000 supports of 3 | too many",
        changed(made, singled_out=np.repeat(single, 2001, axis=0)),
    )
    yield (
        "they consist of columns of the order | beyond",
        changed(made, singled_out=np.array([[0, 1, 10]])),
    )
    on = "on a support that is singled out the minimum is at least"
    yield f"{on} | higher", changed(made, dual=made.dual * (1 + 1e-9))
    yield "there are 2 levels before | one", changed(made, closed=made.closed[:1])
    yield "there are 2 levels before | three", changed(made, closed=(*made.closed, single[0, :0]))
    none = np.zeros(0, int)
    inside = "the closed sets are sets of their level"
    yield f"{inside} | beyond", changed(made, closed=(none, np.array([99])))
    yield f"{inside} | twice", changed(made, closed=(none, np.array([0, 0])))
    bound = "no continuation of a closed set does better than the bound"
    yield f"{bound} | the root", changed(made, closed=(np.array([0]), none))
    yield f"{bound} | the root, tall", changed(signal, closed=(np.array([0]), none, none))
    yield f"{bound} | a good branch", changed(signal, closed=(none, np.array([0]), none))
    left = "every support that the bounds of the tree leave open is singled out"
    yield f"{left} | none", changed(made, singled_out=single[:0])
    yield f"{left} | the best but one", changed(made, dual=made.dual * 1.0, singled_out=single[1:])
    large = so.CardinalityRegression(
        np.random.default_rng(0).standard_normal((20, 60)), np.arange(20.0), 8
    )
    open_levels = tuple(none for _ in range(7))
    forged_order = np.arange(60)
    yield (
        "the work of the check is bounded | 60 over 8",
        so.SubsetCertificate(
            large, so.Coefficients(np.zeros(60)), forged_order, open_levels,
            np.zeros((0, 8), int), 1e6, 1.0,
        ),
    )  # fmt: skip


def forged() -> Pairs:
    """Yield what must be refused."""
    yield from forged_subsets()
    yield from figures()
    yield from shapes()
    yield from supports()
    yield from pursuits()
    yield from infeasible()
    yield from balls_and_roots()
    yield from entrance()


def figures() -> Pairs:
    for name, made in solved().items():
        big = abs(made.primal) + 1.0
        if made.primal > 0:
            yield f"{OBJECTIVE} | {name}, lower", changed(made, primal=made.primal * (1 - 1e-9))
        yield f"{MINIMUM} | {name}, higher", changed(made, dual=made.dual * (1 + 1e-9) + 1e-9)
        yield f"{OBJECTIVE} | {name}, nan", changed(made, primal=math.nan)
        yield f"{OBJECTIVE} | {name}, inf", changed(made, primal=math.inf)
        yield f"{MINIMUM} | {name}, nan", changed(made, dual=math.nan)
        yield f"{MINIMUM} | {name}, inf", changed(made, dual=math.inf)
        yield f"{GAP} | {name}, negative", changed(made, gap=-big)
        yield f"{GAP} | {name}, nan", changed(made, gap=math.nan)
        if made.gap > 0:
            yield f"{GAP} | {name}, zero", changed(made, gap=0.0)


def shapes() -> Pairs:
    for name in ("support", "pursuit", "nothing", "ball", "root"):
        made = solved()[name]
        x = made.answer.x
        yield (
            f"x has one entry for each | {name}, one more",
            changed(made, answer_x=np.append(x, 0.0)),
        )
        yield f"x has one entry for each | {name}, one less", changed(made, answer_x=x[:-1])
        other = (
            so.Coefficients(x) if name in ("support", "pursuit", "nothing") else so.PursuitAnswer(x)
        )
        yield f"the answer is | {name}, another kind", changed(made, answer=other)
        yield (
            f"{KINDS} | {name}, complex x",
            changed(made, answer_x=x + 0j),
        )
        if name == "support":
            yield f"{KINDS} | a complex combination", changed(made, combination=np.eye(3) + 0j)
            yield f"{KINDS} | a complex point", changed(made, row_point=made.row_point + 0j)
        else:
            yield f"{KINDS} | {name}, complex point", changed(made, dual_point=made.dual_point + 0j)
        if name != "support":
            w = np.append(made.dual_point, 0.0)
            yield f"the dual point has | {name}, one more", changed(made, dual_point=w)


def supports() -> Pairs:
    made, deficient = solved()["support"], solved()["deficient"]
    near = solved()["nearly deficient"]
    x = made.answer.x.copy()
    x[0] = 1e-300
    yield "x vanishes off the support | tiny", changed(made, answer_x=x)
    yield "the basis names distinct columns | twice", changed(made, basis=np.array([0, 1, 1]))
    yield "the basis names distinct columns | beyond", changed(made, basis=np.array([0, 1, 3]))
    yield "the basis names distinct columns | negative", changed(made, basis=np.array([0, 1, -1]))
    yield "the combination is | one row less", changed(made, combination=made.combination[:2])
    yield "the combination is | row point", changed(made, row_point=made.row_point[:2])
    yield "the answer states the number of columns | less", changed(made, answer_rank=2)
    yield (
        "the answer says whether that is less | not so",
        changed(made, answer_rank_deficient=True),
    )
    yield (
        "the answer says whether that is less | hidden",
        changed(deficient, answer_rank_deficient=False),
    )
    for name, one in (("deficient", deficient), ("nearly deficient", near)):
        yield (
            f"the columns of the basis are independent | {name}, both",
            changed(
                one,
                basis=np.array([0, 1]),
                combination=np.eye(2),
                row_point=one.answer.x[:2],
                answer_rank=2,
                answer_rank_deficient=False,
                distance=0.0,
            ),
        )
    yield (
        "no minimiser has a norm below | not of least norm",
        changed(deficient, answer_x=np.array([3.0, 0.0, 0.0]), norm=3.1, least_norm=3.0),
    )
    yield (
        "no minimiser has a norm below | higher",
        changed(made, least_norm=made.least_norm * (1 + 1e-9)),
    )
    yield "no minimiser has a norm below | nan", changed(made, least_norm=math.nan)
    yield "the norm of x is at most | lower", changed(made, norm=made.norm * (1 - 1e-9))
    scaled = np.eye(3) * (1 + 2.0**-40)
    yield (
        "independent columns are taken as they are | nearly",
        changed(made, distance=1.0),
    )
    weaker = {"primal": 99.0, "gap": 99.0, "dual": 0.0, "least_norm": 0.0}
    itself = "the combination gives each column of the basis as itself"
    yield f"{itself} | nearly", changed(made, combination=scaled, **weaker)
    nothing = {**weaker, "gap": 200.0, "primal": 200.0, "distance": 99.0}
    zero = np.zeros_like(near.combination)
    yield f"{itself} | columns of rank 0", changed(near, combination=zero, **nothing)
    yield "the columns are within | 0", changed(near, distance=0.0)
    large = solved()["nearly deficient, large"]
    yield "the columns are within | large, less", changed(large, distance=0.1 * large.distance)
    # Products beyond 2^53 are rounded, so that equal floats show nothing.
    odd = 2.0**52 + 1.0
    large = so.KnownSupportRegression([[odd, 3.0 * odd], [1.0, 3.0]], [1.0, 2.0], [0, 1])
    answer = so.SupportedCoefficients(np.zeros(2), 1, True)
    figures = {"primal": 9.0, "dual": 0.0, "gap": 9.0, "norm": 9.0, "least_norm": 0.0}
    made = so.KnownSupportCertificate(
        large, answer, np.array([0]), np.array([[1.0, 3.0]]), np.ones(1), distance=0.0, **figures
    )
    yield "the columns are within | products that are rounded", made
    yield (
        "the columns are within | another combination",
        changed(deficient, combination=np.array([[1.0, 0.0]]), least_norm=0.0, dual=0.0, gap=19.0,
                primal=19.0),
    )  # fmt: skip


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
