"""Questions of sparse regression that are none, and the products and operators that judges take.

Each is refused when it is built, in words that its name begins with; see `forgeries_regression`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from forgeries_penalties import GROUPS, gaussian
from laws import law, refusal

import sparseopt as so
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.judging.rounding import TINY, UNIT

Pairs = Iterator[tuple[str, Any]]


def honest() -> Pairs:
    """Yield laws and questions that must be accepted."""
    for name, product in products().items():
        for is_complex in (False, True):
            if is_complex or product.dtype.kind != "c":
                operator = ColumnOperator(product, is_complex)
                for words, one in _versions(operator):
                    yield (
                        f"columns of {name}{', complex' * is_complex}{words}",
                        law(lambda one=one: are_enclosed(one)),
                    )
    yield "columns of an operator", law(operators_agree)
    for name, problem in borderline().items():
        yield name, so.DualityGapCertificate.build(problem, np.zeros(problem.shape[1]))[1]
    yield "sums of penalties", law(sums_are_taken)


def forged() -> Pairs:
    """Yield what must be refused."""
    yield from penalties()
    yield from data()
    yield from operators()


def build(penalty: Any = None, design: Any = None, target: Any = None, weights: Any = None) -> Any:
    """Return a regression with one part of it changed."""
    own, values = gaussian(6, 9)
    return so.SparseRegression(
        own if design is None else design,
        values if target is None else target,
        so.L1(1.0) if penalty is None else penalty,
        weights,
    )


def penalties() -> Pairs:
    """Strengths, weights, groups, shapes and sums that are none."""
    other = [[0, 3], [1, 6], [2, 4, 5, 7, 8]]
    fewer = [[0, 3, 6], [1, 2, 4, 5, 7, 8]]
    total, nuclear = so.TotalVariation(1.0), so.NuclearNorm(1.0, (3, 3))
    grouped, turned = so.GroupL1(1.0, GROUPS), so.NuclearNorm(1.0, (9, 1))
    for words, made in (
        ("strength must be a number | a list", lambda: so.L1([1.0])),
        ("strength must be a number | a word", lambda: so.Ridge("one")),
        ("weights must be 9 numbers | two", lambda: build(so.L1(1.0, [1, 2]))),
        ("weights must be a vector of numbers | words", lambda: so.L1(1.0, ["a", "b"])),
        ("weights must be a vector of numbers | a table", lambda: so.L1(1.0, [[1.0, 2.0]])),
        ("weights must be a list of numbers | ragged", lambda: so.L1(1.0, [[1.0], [1.0, 2.0]])),
        ("must be a non-empty list | a table", lambda: so.GroupL1(1.0, [[[0, 1]]])),
        ("must be a non-empty list | words", lambda: so.GroupL1(1.0, [["a"]])),
        ("must be a list of lists | ragged", lambda: so.GroupL1(1.0, [[0, [1, 2]]])),
        ("which is not a column number | too large", lambda: so.GroupL1(1.0, [[0, 2.0**53 + 2]])),
        ("the groups miss entry 1 | large", lambda: so.GroupL1(1.0, [[0, 2.0**53]])),
        ("shape must be two numbers | one", lambda: so.NuclearNorm(1.0, 9)),
        ("shape must be two positive integers | one", lambda: so.NuclearNorm(1.0, (9,))),
        ("shape must be two positive integers | three", lambda: so.NuclearNorm(1.0, (3, 3, 1))),
        ("shape must be two positive integers | a float", lambda: so.NuclearNorm(1.0, (3, 3.0))),
        ("shape must be two positive integers | true", lambda: so.NuclearNorm(1.0, (9, True))),
        ("shape must be two positive integers | none", lambda: so.NuclearNorm(1.0, (0, 3))),
        ("has 4 entries, but the design has 9 | small", lambda: build(so.NuclearNorm(1.0, (2, 2)))),
        ("parts must be penalties | a number", lambda: so.PenaltySum(3)),
        ("parts must be penalties | numbers", lambda: so.PenaltySum((so.L1(1.0), 3))),
        ("a sum of penalties needs at least one | none", lambda: so.PenaltySum(())),
        ("TotalVariation does not add to L1 | second", lambda: so.L1(1.0) + total),
        ("TotalVariation does not add to Ridge | first", lambda: total + so.Ridge(1.0)),
        ("TotalVariation is given twice | it is", lambda: total + so.TotalVariation(2.0)),
        ("NuclearNorm is given twice | it is", lambda: nuclear + so.NuclearNorm(2.0, (3, 3))),
        ("NuclearNorm does not add to NuclearNorm | shapes", lambda: nuclear + turned),
        ("NuclearNorm does not add to L1 | entries", lambda: nuclear + so.L1(1.0)),
        ("NuclearNorm does not add to GroupL1 | groups", lambda: grouped + nuclear),
        ("have different groups | others", lambda: grouped + so.GroupL1(1.0, other)),
        ("have different groups | fewer", lambda: grouped + so.GroupL1(1.0, fewer)),
        ("have different groups | the third", lambda: grouped + grouped + so.GroupL1(1.0, other)),
    ):
        yield words, refusal(made)


def data() -> Pairs:
    """Designs, targets and weights that are none."""
    design, target = gaussian(6, 9)
    stored = scipy.sparse.csr_array(design)
    broken = stored.copy()
    broken.data[11] = np.nan
    masked = np.ma.masked_array(design, mask=design > 2.0)
    half = scipy.sparse.coo_array(np.array([1.0, 0.0]))
    positive, ones = so.L1(1.0, positive=True), np.ones(6)
    tiny, huge = np.append(ones[:5], 0.99e-60), ones * 1.01e100
    small, wide = ones * 0.99e-100, np.append(ones[:4], [1e-61, 1e-62])
    for words, made in (
        ("design is a masked array | some of it", lambda: build(design=masked)),
        ("target is a masked array | some of it", lambda: build(target=masked[:, 0])),
        ("design has dtype float16 | halves", lambda: build(design=design.astype(np.float16))),
        ("design has dtype <U | words", lambda: build(design=design.astype(str))),
        ("design has dtype float128 | long", lambda: build(design=design.astype(np.longdouble))),
        ("got a sparse array of shape (2,) | a vector", lambda: build(design=half)),
        ("design has a nan at entry (1, 2) | stored", lambda: build(design=broken)),
        ("design is complex | positive", lambda: build(positive, design=design * 1j)),
        ("target is complex | positive", lambda: build(positive, target=target * 1j)),
        ("sample_weights are all 0 | zeros", lambda: build(weights=0.0 * ones)),
        ("sample_weights lie between 9.9e-61 (entry 5) | far", lambda: build(weights=tiny)),
        ("sample_weights lie between 1e-62 (entry 5) | two", lambda: build(weights=wide)),
        ("the largest of sample_weights is 1.01e+100 | large", lambda: build(weights=huge)),
        ("the largest of sample_weights is 9.9e-101 | small", lambda: build(weights=small)),
        ("for block 0 | a large strength", lambda: build(so.L1(1.01e305))),
        ("for block 0 | a small strength", lambda: build(so.L1(0.99e-304))),
        ("for ridge 0 | a small ridge", lambda: build(so.L1(1.0) + so.Ridge(1e-305))),
        (
            "for coefficient 0 | a small threshold",
            lambda: build(so.SparseGroupL1(1e-305, 1.0, GROUPS)),
        ),
        (
            "the largest entry of target is 1.01e+151 | large",
            lambda: build(target=np.append(target[:5], 1.01e151)),
        ),
        (
            "the largest entry of design is 9.9e-152 | small",
            lambda: build(design=design * 9.9e-152 / np.abs(design).max()),
        ),
    ):
        yield words, refusal(made)


def borderline() -> dict[str, so.SparseRegression]:
    """Return questions at the ends of what is taken, and of other forms."""
    design, target = gaussian(6, 9)
    ones, unit = np.ones(6), np.abs(target).max()
    twice = scipy.sparse.coo_array(([1.0, 2.0, 4.0], ([0, 0, 1], [1, 1, 0])), shape=(6, 9))
    loose = scipy.sparse.csr_array(([1.0, 2.0, 4.0], [1, 1, 0], [0, 2, 3, 3, 3, 3, 3]), (6, 9))
    whole = scipy.sparse.csr_array(np.round(design * 3).astype(int))
    flat = np.eye(6) * 1e-100
    return {
        "weights far apart": build(weights=np.append(ones[:5], 1e-60)),
        "a weight that is small beside one that is none": build(
            weights=np.append(ones[:4] * 1e-90, [0.0, 1e-90])
        ),
        "large weights": build(design=flat, weights=ones * 1e100, penalty=so.L1(1e-10)),
        "small weights": build(weights=ones * 1e-100, penalty=so.L1(1e-100)),
        "a large target": build(
            design=np.eye(6), target=np.append(0.0 * ones[:5], 1e151), penalty=so.L1(1e150)
        ),
        "a small target": build(
            design=np.eye(6), target=np.append(0.0 * ones[:5], 1e-151), penalty=so.L1(1e-151)
        ),
        "a large design": build(design=np.eye(6) * 1e151, penalty=so.L1(1e151)),
        "a small design": build(design=np.eye(6) * 1e-151, penalty=so.L1(1e-151)),
        "a large strength": build(penalty=so.L1(1e305), target=target * (1e150 / unit)),
        "a small strength": build(
            penalty=so.L1(1e-304), design=np.eye(6) * 1e-151, target=target * (1e-151 / unit)
        ),
        "stored twice": build(design=twice),
        "stored twice in rows": build(design=loose),
        "stored whole numbers": build(design=whole),
        "whole numbers": build(design=np.round(design * 3).astype(int)),
        "an operator of whole numbers": build(
            design=scipy.sparse.linalg.aslinearoperator(np.round(design * 3).astype(int))
        ),
        "positive and a target of whole numbers": build(
            so.L1(1.0, positive=True), target=np.arange(6)
        ),
    }


def sums_are_taken() -> bool:
    """Whether a sum of penalties has the limits, thresholds and ridge of its parts together."""
    grouped, ridge = so.GroupL1(2.0, GROUPS, [1, 2, 3]), so.Ridge(0.5)
    mixed, entries = so.SparseGroupL1(0.5, 1.0, GROUPS), so.L1(0.25, np.arange(9.0))
    whole = sum([grouped, mixed, entries, ridge, ridge])
    plain = entries + so.L1(1.0) + ridge
    return (
        np.array_equal(whole.limits(9), [3.0, 5.0, 7.0])
        and np.array_equal(whole.thresholds(9), 0.5 + 0.25 * np.arange(9.0))
        and whole.ridge == 1.0
        and np.array_equal(plain.limits(9), 1.0 + 0.25 * np.arange(9.0))
        and plain.thresholds(9) is None
        and (so.L1(1.0) + so.L1(1.0, positive=True)).positive
        and not plain.positive
        and whole.roundings == 6
        and np.array_equal(whole.blocks(9).sizes, [3, 1, 5])
        and len(plain.blocks(9).sizes) == 9
        and so.TotalVariation(1.0).limits(2) == [1.0]
        and so.TotalVariation(1.0).limits(1) == [0.0]
    )


class _Odd(scipy.sparse.linalg.LinearOperator):
    """An operator whose products are of no use."""

    def __init__(self, product: Any, dtype: Any = np.float64) -> None:
        super().__init__(dtype, (6, 9))
        self.product = product

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self.product(x)


class _Bare:
    """Has what an operator has, and no rule of SciPy about shapes."""

    def __init__(self, product: Any, dtype: Any = np.float64) -> None:
        self.shape, self.dtype, self.matvec = (6, 9), np.dtype(dtype), product


def operators() -> Pairs:
    """Operators whose products are of no use."""

    def fails(x: np.ndarray) -> np.ndarray:
        raise RuntimeError("no rows")

    for words, design in (
        ("matvec of the design fails for column 0: RuntimeError: no rows | it does", _Odd(fails)),
        (
            "column 0 of the design has a NaN or an infinity | NaN",
            _Odd(lambda x: np.full(6, np.nan)),
        ),
        (
            "column 4 of the design has a NaN or an infinity | inf",
            _Odd(lambda x: np.full(6, np.inf if x[4] else 1.0)),
        ),
        (
            "returns complex numbers, but its dtype is float64 | it does",
            _Odd(lambda x: np.full(6, 1j)),
        ),
        ("is a linear operator of dtype object | objects", _Odd(lambda x: x, object)),
    ):
        yield words, refusal(lambda design=design: build(design=design))
    short = ColumnOperator(_Bare(lambda x: np.ones(5)), False)
    words = "matvec of the design returned shape (5,)"
    yield f"{words} | a row less", refusal(lambda: short[:, np.arange(2)])


def products() -> dict[str, so.KroneckerProduct]:
    """Return products of factors: of two and three, complex, with blocks of several sizes."""
    rng = np.random.default_rng(11)
    patterns = so.Architecture([(1, 2, 2, 3), (2, 3, 2, 1)])
    three = so.Architecture([(1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 3, 1)])

    def made(listed: so.Architecture, *turns: complex) -> so.KroneckerProduct:
        shapes = [tuple(p) for p in listed]
        factors = [rng.standard_normal(s) + t * rng.standard_normal(s)
                   for s, t in zip(shapes, turns, strict=True)]  # fmt: skip
        return so.KroneckerProduct(factors, listed)

    single = made(patterns, 0.0, 0.0)
    return {
        "a product": single,
        "three factors": made(three, 0.0, 0.0, 0.0),
        "a complex product": made(patterns, 1j, 1j),
        "a complex factor": made(three, 0.0, 1j, 0.0),
        "a float32 product": so.KroneckerProduct(
            [f.astype(np.float32) for f in single.factors], patterns
        ),
        "a complex64 product": so.KroneckerProduct(
            [(f * (1 + 0.3j)).astype(np.complex64) for f in single.factors], patterns
        ),
    }


def _versions(operator: ColumnOperator) -> Iterator[tuple[str, ColumnOperator]]:
    yield "", operator
    yield ", some", operator.some(np.array([2, 0]))
    yield ", some of some", operator.some(np.array([3, 1, 2])).some(np.array([2, 0]))
    yield ", times 8", operator.times_power(5).times_power(-2)
    yield ", times 2^-3", operator.times_power(-3)


Exact = np.ndarray
"""Of objects: Fractions, as real and imaginary parts."""


def exact_parts(product: so.KroneckerProduct) -> tuple[Exact, Exact]:
    """Return the real and the imaginary parts of a product of factors, exactly."""
    real = imag = None
    for factor, (a, b, c, d) in zip(product.factors, product.architecture, strict=True):
        parts = [np.full((a * b * d, a * c * d), Fraction(0)) for _ in range(2)]
        for i, j, k, m in np.ndindex(a, b, c, d):
            row, column = (i * b + j) * d + m, (i * c + k) * d + m
            value = factor[i, j, k, m]
            parts[0][row, column] = Fraction(float(value.real))
            parts[1][row, column] = Fraction(float(value.imag))
        if real is None:
            real, imag = parts
        else:
            real, imag = real @ parts[0] - imag @ parts[1], real @ parts[1] + imag @ parts[0]
    return real, imag


def exact_of(operator: ColumnOperator) -> Exact:
    """Return the real columns that an operator of a product stands for, exactly."""
    real, imag = exact_parts(operator._given)
    if operator._entries is not None:
        real, imag = real[:, operator._entries], imag[:, operator._entries]
    scale = Fraction(2) ** operator._exponent
    whole = real if not operator._complex else np.block([[real, -imag], [imag, real]])
    return whole * scale


def _float_norms(values: Exact) -> np.ndarray:
    return np.array([float(sum(v * v for v in column)) ** 0.5 for column in values.T])


def are_enclosed(operator: ColumnOperator) -> bool:
    """Whether columns, norms and correlations lie within their bounds, which are close."""
    exact, every = exact_of(operator), np.arange(operator.shape[1])
    norms, columns = _float_norms(exact), operator[:, every]
    off = _float_norms(np.vectorize(Fraction)(columns) - exact)
    errors, bounds = operator.column_errors, operator.norm_bounds(None)
    t = np.random.default_rng(3).standard_normal(operator.shape[0])
    missed = np.vectorize(Fraction)(operator.correlation(t)) - exact.T @ np.vectorize(Fraction)(t)
    allowed = operator.correlation_error(t, bounds)
    magnitudes = _float_norms(abs(exact)) * np.linalg.norm(t)
    weights = np.arange(1.0, operator.shape[0] + 1.0)
    weighted = _float_norms(exact * np.vectorize(Fraction)(np.sqrt(weights))[:, None])
    heavy = operator.norm_bounds(weights)
    whole = operator.exact_columns(every)
    ratio = {a / b for a, b in zip(exact.ravel(), whole.ravel(), strict=True) if b}
    used = all((a == 0) == (b == 0) for a, b in zip(exact.ravel(), whole.ravel(), strict=True))
    largest = float(abs(exact).max())
    tight = np.maximum(norms, 1e-300)
    return bool(
        operator.is_product
        and columns.shape == exact.shape == operator.shape
        and (off <= errors).all()
        and (1.1e-16 * tight <= errors).all()
        and (errors <= 1.2e-16 * tight).all()
        and (norms <= bounds).all()
        and (bounds <= norms * (1 + 1e-14)).all()
        and (weighted <= heavy).all()
        and (heavy <= bounds * (weights.max() ** 0.5 * (1 + 1e-14))).all()
        and all(abs(m) <= e for m, e in zip(missed, allowed, strict=True))
        and (1e-16 * magnitudes <= allowed).all()
        and (allowed <= 3e-14 * magnitudes + 3e-14 * np.linalg.norm(t) * norms.max()).all()
        and largest * (1 - 1e-15) <= operator.largest <= largest * (1 + 1e-15)
        and len(ratio) == 1
        and used
    )


def operators_agree() -> bool:
    """Whether an operator's columns, in powers of two and in part, are those of its matrix."""
    real = gaussian(6, 9)[0]
    right = []
    for matrix, is_complex in ((real, False), (real + 1j * real[::-1], True), (real, True)):
        whole = matrix if not is_complex else np.block(
            [[matrix.real, -matrix.imag], [matrix.imag, matrix.real]]
        )  # fmt: skip
        source = scipy.sparse.linalg.aslinearoperator(matrix)
        first = ColumnOperator(source, is_complex)
        t = np.arange(1.0, whole.shape[0] + 1.0)
        every = np.arange(whole.shape[1])
        own = first.norm_bounds(None)
        error = first.correlation_error(t, own)
        size = np.linalg.norm(t) * np.linalg.norm(whole, axis=0) * UNIT * (len(t) + 8)
        right += [
            np.array_equal(first[:, every], whole),
            np.array_equal(first.times_power(-3)[:, every], whole / 8.0),
            np.array_equal(first.times_power(5).times_power(-2)[:, every], whole * 8.0),
            not first.is_product,
            not first.column_errors.any(),
            not first.times_power(3).column_errors.any(),
            (first.times_power(-3).column_errors == np.sqrt(len(t)) * TINY).all(),
            first.largest == np.abs(whole).max(),
            first.column_errors.shape == (whole.shape[1],),
            np.allclose(first.correlation(t), whole.T @ t, rtol=1e-13, atol=1e-13),
            (np.abs(first.correlation(t) - whole.T @ t) <= 2.0 * error).all(),
            (size <= error).all() and (error <= size * (1 + 1e-14)).all(),
            (np.linalg.norm(whole, axis=0) <= own).all(),
            (own <= np.linalg.norm(whole, axis=0) * (1 + 1e-14)).all(),
        ]
        half = matrix.shape[1]
        chosen = np.array([3, 1]) if not is_complex else np.array([3, 1, 3 + half, 1 + half])
        part = first.some(np.array([5, 1, 3])).some(np.array([2, 1]))
        right.append(np.array_equal(part[:, np.arange(len(chosen))], whole[:, chosen]))
    return all(map(bool, right))
