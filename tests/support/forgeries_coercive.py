"""False certificates of factorizations with a decay, each stopped by one step, and true ones."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from laws import refusal

import sparseopt as so
from sparseopt.supports.coercive import Bounds, CoerciveBounds, Evidence
from sparseopt.supports.singular_values import singular_value_bounds, thresholded_below

NAN = float("nan")
LU = ([[1, 0], [1, 1]], [[1, 1], [0, 1]])
LU3 = (np.tril(np.ones((3, 3))), np.triu(np.ones((3, 3))))
BLOCKS = ([[1, 0, 0], [1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1], [0, 0, 1]])
STAR = ([[1, 0, 0], [1, 1, 1], [0, 0, 1]], [[1, 1, 0], [0, 1, 1], [0, 0, 1]])
"""Rectangles with cells of their own."""
BOTH = ([[1, 1], [0, 1]], [[1, 1], [1, 0]])
"""The first row, and the first column."""
CROSS = np.array([[1.0, 2.0], [2.0, 0.0]])
FIRST = np.array([[0.3, 2.0], [0.3, 0.0]])
"""Too large in the first row only, for a decay of 0.5."""
Forgery = tuple[str, Any]


def certificate_of(
    target: Any, supports: Any, decay: float, solver: str | None = None
) -> so.CoerciveCertificate:
    """Return the certificate of a problem's answer."""
    problem = so.FixedSupportFactorization(target, supports, decay)
    found = so.solve(problem, solver).certificate
    assert isinstance(found, so.CoerciveCertificate)
    return found


def certificates() -> Iterator[tuple[str, so.CoerciveCertificate]]:
    """Yield true certificates by every kind of lower bound."""
    rng = np.random.default_rng(11)
    target, root = rng.standard_normal((2, 3, 3))
    yield "tight", certificate_of(root @ root.T, LU3, 0.2)
    yield "complex", certificate_of(root @ root.T + 0j, LU3, 0.2)
    yield "not tight", certificate_of(target, LU3, 0.1)
    for dtype in (np.float32, np.float64, np.complex64, np.complex128):
        yield f"blocks {np.dtype(dtype)}", certificate_of(target.astype(dtype), BLOCKS, 0.3)
    yield "zero terms", certificate_of([[1, 2], [3, 4]], LU, 5.5)
    yield "some zero terms", certificate_of(partly_zero(), corner(), 2.0)
    yield "intervals", certificate_of([[0, 1], [1, 0]], LU, 0.1)
    yield "windows", windowed()
    corner_left_out = certificate_of([[1.0, 2.0], [2.0, 3.0]], BOTH, 0.5)
    yield "a cell of the box that nothing covers", corner_left_out
    turned = ([[0, 1], [1, 1]], [[0, 1], [1, 1]])
    yield "intervals, the cell first", certificate_of([[0, 1], [1, 0]], turned, 0.1)
    yield "zero target", certificate_of(np.zeros((2, 2)), LU, 0.1)
    yield "nothing covered", certificate_of(np.eye(2), [[[0], [0]], [[1, 1]]], 0.1)
    yield "one entry", certificate_of([[2.0]], [[[1]], [[1]]], 0.5)
    for scale in (1e-150, 1e150):
        small = certificate_of(target[:2, :2] * scale, LU, 0.1 * scale)
        yield f"times {scale:g}", small
    far = so.FixedSupportFactorization([[1.0, 2.0], [0.5, 1.0]], LU, 0.3)
    bad = so.SupportedFactors(
        np.array([[3.0, 0.0], [1.0, 2.0]]), np.array([[1.0, 1.0], [0.0, 5.0]])
    )
    yield "bad factors", so.CoerciveCertificate.build(far, bad)[1]


def below_a_unit() -> Iterator[tuple[str, so.CoerciveCertificate]]:
    """Yield true certificates whose objective is hardly anything, or nothing."""
    yield "a decay of 1e-30", certificate_of([[2.0, 1.0], [1.0, 3.0]], LU, 1e-30)
    partly = [[2.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 0.5]]
    supports = [[1, 0], [1, 1], [0, 0]], [[1, 1, 0], [0, 1, 0]]
    yield "a decay of 1e-30, not all covered", certificate_of(partly, supports, 1e-30)
    nothing = certificate_of(np.zeros((2, 2)), LU, 0.1)
    yield "a gap over nothing", replace(nothing, gap=1e-9)


def corner() -> tuple[Any, Any]:
    """Return the supports of facts 4.2: a square, a square that shares its corner."""
    return [[1, 0], [1, 1], [0, 1]], [[1, 1, 0], [0, 1, 1]]


def partly_zero() -> np.ndarray:
    """Return a target for `corner` whose second term is too small to count."""
    return np.array([[3.0, 3.0, 0.0], [3.0, 3.0, 0.0], [0.0, 0.0, 1.0]])


def windowed() -> so.CoerciveCertificate:
    """Return a certificate whose bound is by windows."""
    target = np.array([[1.0, 0.2, 0.0], [-0.5, 0.1, 0.9], [0.0, 0.8, -1.0]])
    supports = [[[1, 0], [1, 1], [0, 1]], [[1, 1, 0], [0, 1, 1]]]
    problem = so.FixedSupportFactorization(target, supports, 1e-3)
    factors = so.solve(problem).answer
    windows = np.array([[0, 0, -1], [-1, -1, -1], [-1, 1, 1]])
    return so.CoerciveCertificate.build(problem, factors, np.zeros((3, 3)), windows)[1]


def honest() -> Iterator[Forgery]:
    """Yield (name, certificate) that must be accepted, as made and as read from their JSON."""
    for name, certificate in (*certificates(), *below_a_unit()):
        yield f"coercive {name}", certificate
        yield f"coercive {name}, from JSON", so.to_json(certificate)


def forged() -> Iterator[Forgery]:
    """Yield (name, certificate or JSON) that must be refused."""
    yield from false_figures()
    yield from false_zeros()
    yield from false_windows()
    yield from false_intervals()
    yield from other_answers()
    yield from broken_evidence()
    yield from broken_files()


def false_figures() -> Iterator[Forgery]:
    """Figures that are not proved: without the room that rounding needs, wild, or far off."""
    for name, certificate in certificates():
        judge = CoerciveBounds(certificate.problem, 0.0)
        evidence = Evidence(certificate.dual_point, certificate.windows, certificate.intervals)
        parts = judge.bounds(*certificate.answer.factors, evidence)
        low, high = judge.outside
        primal = judge.original_below(high + math.fsum(p.primal for p in parts))
        dual = judge.original_above(low + math.fsum(p.dual for p in parts))
        gap = judge.original_below(math.fsum(_gap(p) for p in parts)) * (1 - 1e-15)
        if primal < certificate.primal:
            yield f"{name}: objective without room", replace(certificate, primal=primal)
        if gap < certificate.gap:
            yield f"{name}: gap without room", replace(certificate, gap=gap)
        if dual > certificate.dual:
            yield f"{name}: bound without room", replace(certificate, dual=dual)
        yield f"{name}: objective not a number", replace(certificate, primal=NAN)
        yield f"{name}: objective infinite", replace(certificate, primal=np.inf)
        yield f"{name}: bound not a number", replace(certificate, dual=NAN)
        yield f"{name}: bound above", replace(certificate, dual=1.1 * certificate.primal + 1e-9)
        yield f"{name}: gap not a number", replace(certificate, gap=NAN)
        yield f"{name}: gap infinite", replace(certificate, gap=np.inf)
        yield f"{name}: gap negative", replace(certificate, gap=-1.0)


def _gap(part: Bounds) -> float:
    return max(part.primal - part.dual, 0.0)


def false_zeros() -> Iterator[Forgery]:
    """Terms that are said to vanish and are not proved to."""
    found = dict(certificates())
    for name in ("tight", "not tight", "blocks float64", "intervals"):
        rest = sorted(set(range(2)) - set(found[name].zero_terms))
        yield f"{name}: a term vanishes", replace(found[name], zero_terms=(rest[0],))
    whole = found["zero terms"]
    yield "zero terms: twice", replace(whole, zero_terms=(0, 0, 1))
    yield "zero terms: descending", replace(whole, zero_terms=(1, 0))
    yield "zero terms: one more", replace(whole, zero_terms=(0, 1, 2))
    yield "zero terms: negative", replace(whole, zero_terms=(-1, 0, 1))
    # Its dual point shows less than the decay, but the factors are too bad to conclude from it.
    problem = so.FixedSupportFactorization(partly_zero(), corner(), 2.0)
    worse = found["some zero terms"].answer
    left = 0.6 * worse.left
    certificate = so.CoerciveCertificate.build(
        problem, replace(worse, left=left), found["some zero terms"].dual_point
    )[1]
    yield "zero terms by bad factors", replace(certificate, zero_terms=(1,))
    # Some singular values are below the decay, but not all.
    full = so.FixedSupportFactorization(np.diag([2.0, 0.1]), [np.ones((2, 2))] * 2, 0.5)
    part = so.solve(full).certificate
    yield "zero terms by the least singular value", replace(part, zero_terms=(0, 1))
    # At the largest decay that is not certain to be above the norm.
    edge = so.FixedSupportFactorization([[2.0]], [[[1]], [[1]]], 2.0)
    zero = so.SupportedFactors(np.zeros((1, 1)), np.zeros((1, 1)))
    yield (
        "zero terms at the edge",
        replace(so.CoerciveCertificate.build(edge, zero)[1], zero_terms=(0,)),
    )


def false_windows() -> Iterator[Forgery]:
    """Windows that are not exclusive or not inside, with what they would give."""
    certificate = windowed()
    target, decay = certificate.problem.target, certificate.problem.decay
    right = np.array(certificate.windows)
    shared = np.array([[0, 0, -1], [0, 0, -1], [-1, 1, 1]])
    outside = np.array([[0, 0, 0], [-1, -1, -1], [-1, 1, 1]])
    for name, windows in {"shared": shared, "outside": outside}.items():
        total = 0.0
        for term in (0, 1):
            cells = windows == term
            place = np.ix_(cells.any(axis=1), cells.any(axis=0))
            low = singular_value_bounds(np.where(cells, target, 0.0)[place], 3.0)[0]
            total += float(thresholded_below(low, 1, decay, 3.0))
        assert total > certificate.dual
        forgery = replace(certificate, windows=windows, dual=total)
        yield f"windows: {name}", replace(forgery, gap=max(forgery.primal - total, 0.0) + 1e-9)
    yield "windows of no rectangle", replace(certificate, windows=np.where(right == 1, 7, right))
    yield "windows: none", replace(certificate, windows=None)


def false_intervals() -> Iterator[Forgery]:
    """Intervals that leave something out, or of components that they do not fit."""
    certificate = certificate_of([[0, 1], [1, 0]], LU, 0.1)
    ends = certificate.intervals[0]
    c = float(ends[np.argmin(np.abs(ends + certificate.answer.left[1, 1] ** 2))])
    for name, other in {
        "without zero": ends[ends != 0.0],
        "descending": ends[::-1].copy(),
        "twice": np.repeat(ends, 2),
        "from zero": ends[ends >= 0.0],
        "to zero": ends[ends <= 0.0],
        "cut off": ends[np.abs(ends) < abs(c) / 2],
        "coarse": np.array([ends[0], 0.0, ends[-1]]),
        "not a number": np.where(ends == ends[3], NAN, ends),
        "infinite": np.array([-np.inf, *ends[1:]]),
        "empty": np.zeros(0),
        "a matrix": ends[None],
    }.items():
        yield f"intervals {name}", replace(certificate, intervals={0: other})
    yield "intervals of another component", replace(certificate, intervals={1: ends})
    # With a complex target the number on the cell may be complex: these intervals prove nothing.
    turned = so.FixedSupportFactorization(np.array([[0, 1], [1, 0]], complex), LU, 0.1)
    yield "intervals, complex", replace(certificate, problem=turned)
    # The same numbers, but two cells: what is left out may be any of them.
    target = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    third = [[[1, 0, 0], [1, 1, 0], [1, 0, 1]], [[1, 1, 1], [0, 1, 0], [0, 0, 1]]]
    problem = so.FixedSupportFactorization(target, third, 0.1)
    x, y = np.zeros((3, 3)), np.zeros((3, 3))
    x[:2, :2], y[:2, :2] = certificate.answer.factors
    answer = so.SupportedFactors(x, y, "attained")
    yield "intervals, two cells", replace(certificate, problem=problem, answer=answer)
    yield from across_zero()
    # A square inside a larger one is no cell.
    nested = ([[1, 1], [1, 1], [1, 0]], [[1, 1, 1], [1, 1, 0]])
    square = certificate_of(np.diag([1.0, -2.0, 3.0]), nested, 0.1)
    ends = np.linspace(-4.0, 4.0, 401)
    more = replace(square, intervals={0: ends, 1: ends}, dual=square.primal, dual_point=None)
    yield "intervals, a square", more
    # A second row of two cells can do more than one of one.
    wide = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    left = LU[0]
    narrow = certificate_of(wide, [left, [[1, 1, 1], [0, 1, 0]]], 0.1)
    more = so.FixedSupportFactorization(wide, [left, [[1, 1, 1], [0, 1, 1]]], 0.1)
    assert so.solve(more).certificate.primal < narrow.dual
    yield "intervals, a cell of two", replace(narrow, problem=more)


def across_zero() -> Iterator[Forgery]:
    """Intervals that hold 0 inside, where the curve has a kink, and the optimum."""
    problem = so.FixedSupportFactorization([[2.0, 0.0], [0.0, 0.1]], LU, 0.5)
    certificate = so.solve(problem).certificate
    assert certificate.primal < 0.9
    beyond = np.linspace(0.5, 3.0, 500)
    forgery = replace(certificate, dual_point=None, dual=1.0, gap=1e-3, zero_terms=())
    gapped = np.concatenate([-beyond[::-1], beyond])
    yield "intervals across 0", replace(forgery, intervals={0: gapped})
    # The optimum is at -1/2, which lies in no interval of one sign.
    problem = so.FixedSupportFactorization([[2.0, 0.0], [0.0, -1.0]], LU, 0.5)
    certificate = so.solve(problem).certificate
    assert certificate.primal < 1.26
    forgery = replace(certificate, dual_point=None, dual=1.3, gap=1e-3)
    beyond = np.linspace(1.0, 4.0, 500)
    back = np.concatenate([-beyond[::-1], [1.0, 0.0], beyond])
    yield "intervals back to 0", replace(forgery, intervals={0: back})


@dataclass(frozen=True)
class Lookalike:
    """Factors of another class."""

    left: np.ndarray
    right: np.ndarray
    attainment: str = "attained"

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        return self.left, self.right


def other_answers() -> Iterator[Forgery]:
    """Answers that are none, or of other problems."""
    certificate = certificate_of([[1, 1], [1, 2]], LU, 0.1)
    answer, problem = certificate.answer, certificate.problem
    x, y = answer.factors
    full = so.FixedSupportFactorization(problem.target, [np.ones((2, 2))] * 2, 0.1)
    beyond = so.solve(full).answer
    yield (
        "outside the supports",
        replace(so.CoerciveCertificate.build(problem, beyond)[1], answer=beyond),
    )
    yield "a lookalike", replace(certificate, answer=Lookalike(x, y))
    for value in ("not_attained", "suspected_not_attained", "certainly"):
        yield f"infimum {value}", replace(certificate, answer=replace(answer, attainment=value))
    yield "not a number", replace(certificate, answer=replace(answer, left=x * NAN))
    yield "infinite", replace(certificate, answer=replace(answer, right=np.where(y, np.inf, 0.0)))
    yield "huge", replace(certificate, answer=replace(answer, left=x * 2.0**70, right=y * 2.0**-70))
    yield "unbalanced", replace(certificate, answer=replace(answer, left=2.0 * x, right=0.5 * y))
    yield "integers", replace(certificate, answer=replace(answer, left=x.astype(int)))
    yield (
        "more decay",
        replace(certificate, problem=so.FixedSupportFactorization(problem.target, LU, 0.11)),
    )
    yield (
        "less decay",
        replace(certificate, problem=so.FixedSupportFactorization(problem.target, LU, 0.09)),
    )
    without = so.FixedSupportFactorization(np.zeros((2, 2)), LU)
    zero = certificate_of(np.zeros((2, 2)), LU, 0.1)
    yield "no decay", replace(zero, problem=without)
    plain = so.FixedSupportCertificate(without, so.SupportedFactors(x * 0, y * 0))
    with_decay = so.FixedSupportFactorization(np.zeros((2, 2)), LU, 0.1)
    yield "a certificate without decay", replace(plain, problem=with_decay)


def broken_evidence() -> Iterator[Forgery]:
    """Dual points and windows that do not fit."""
    certificate = certificate_of([[1, 1], [1, 2]], LU, 0.1)
    z = np.array(certificate.dual_point)
    yield "no dual point", replace(certificate, dual_point=None)
    yield "half of it", replace(certificate, dual_point=0.5 * z)
    yield "another", replace(certificate, dual_point=-z)
    # What each would prove if it were feasible: on all rectangles, or on all but one.
    target = certificate.problem.target
    for name, point in {"target": target, "larger": 1.001 * z, "far": 2.0 * z}.items():
        dual = float((target * point).sum() - 0.5 * (point**2).sum()) * (1 - 1e-9)
        assert dual > certificate.dual
        forgery = replace(certificate, dual_point=point, dual=dual)
        yield f"dual point too large: {name}", replace(forgery, gap=max(0.3 - dual, 1e-9))
    cross = certificate_of(CROSS, BOTH, 0.5)
    for name, point in {"first": FIRST, "second": FIRST.T.copy()}.items():
        dual = float((CROSS * point).sum() - 0.5 * (point**2).sum()) * (1 - 1e-9)
        forgery = replace(cross, dual_point=point, dual=dual)
        yield f"dual point too large on the {name}", replace(forgery, gap=max(10.0 - dual, 1e-9))
    for name, value in {"not a number": NAN, "infinite": np.inf}.items():
        wrong = z.copy()
        wrong[0, 0] = value
        yield f"dual point {name}", replace(certificate, dual_point=wrong)
    yield "dual point too long", replace(certificate, dual_point=np.vstack([z, z]))
    blocks = certificate_of(np.eye(3), BLOCKS, 0.3)
    yield "dual point where none is needed", replace(blocks, dual_point=np.eye(3))
    ends = np.linspace(-3.0, 3.0, 7)
    for name, intervals in (("a float", {0.0: ends}), ("truth", {False: ends})):
        keys = refusal(lambda intervals=intervals: replace(certificate, intervals=intervals))
        yield f"intervals of {name}", keys
    single = refusal(lambda: replace(certificate, intervals={0: ends.astype(np.float32)}))
    yield "intervals in single precision", single
    yield "zero terms that are a text", refusal(lambda: replace(certificate, zero_terms=""))
    windows = np.full((2, 3), -1)
    yield "windows too wide", replace(certificate, windows=windows)


def broken_files() -> Iterator[Forgery]:
    """JSON that is not a certificate."""
    text = so.to_json(certificate_of([[0, 1], [1, 0]], LU, 0.1))
    for name, value in {
        "primal": "1",
        "dual": None,
        "gap": True,
        "zero_terms": {"$tuple": [True]},
        "intervals": [1.0],
        "windows": {"$array": {"dtype": "<f8", "shape": [1], "values": [1.0]}},
        "dual_point": {"$array": {"dtype": "<f4", "shape": [2, 2], "values": [0.0] * 4}},
    }.items():
        broken = json.loads(text)
        broken[name] = value
        yield f"file: {name}", json.dumps(broken)
    broken = json.loads(text)
    del broken["gap"]
    yield "file: no gap", json.dumps(broken)
    for decay in (-0.1, "0.1", {"$float": "nan"}):
        broken = json.loads(text)
        broken["problem"]["decay"] = decay
        yield f"file: decay {decay}", json.dumps(broken)
    broken = json.loads(text)
    broken["problem"]["more"] = 1
    yield "file: another field", json.dumps(broken)
