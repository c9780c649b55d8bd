"""Laws of operators as designs: columns, norms and correlations lie within their bounds."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from forgeries_penalties import gaussian
from scipy.sparse.linalg import aslinearoperator

import sparseopt as so
from sparseopt.inverse import operators as operators_module
from sparseopt.inverse.operators import ColumnOperator
from sparseopt.judging.rounding import TINY, UNIT, gamma


def products() -> dict[str, so.KroneckerProduct]:
    """Return products of factors: of two and three, complex, with blocks of several sizes."""
    rng = np.random.default_rng(11)
    patterns = so.Architecture([(1, 2, 2, 3), (2, 3, 2, 1)])
    three = so.Architecture([(1, 2, 2, 4), (2, 2, 2, 2), (4, 2, 3, 1)])

    def made(listed: so.Architecture, *turns: complex) -> so.KroneckerProduct:
        shapes = [tuple(p) for p in listed]
        factors = [
            rng.standard_normal(s) + t * rng.standard_normal(s)
            for s, t in zip(shapes, turns, strict=True)
        ]
        return so.KroneckerProduct(factors, listed)

    single = made(patterns, 0.0, 0.0)
    return {
        "one factor": so.KroneckerProduct([rng.standard_normal((1, 4, 4, 1))], [(1, 4, 4, 1)]),
        "a product": single,
        "three factors": made(three, 0.0, 0.0, 0.0),
        "a complex product": made(patterns, 1j, 1j),
        "a complex factor": made(three, 0.0, 1j, 0.0),
        "factors far apart": so.KroneckerProduct(
            [
                np.ldexp(factor, power)
                for factor, power in zip(
                    made(three, 0.0, 0.0, 0.0).factors, (1000, -540, -540), strict=True
                )
            ],
            three,
        ),
        "a float32 product": so.KroneckerProduct(
            [f.astype(np.float32) for f in single.factors], patterns
        ),
        "a complex64 product": so.KroneckerProduct(
            [(f * (1 + 0.3j)).astype(np.complex64) for f in single.factors], patterns
        ),
    }


VERSIONS: dict[str, Callable[[ColumnOperator], ColumnOperator]] = {
    "": lambda operator: operator,
    ", some": lambda operator: operator.some(np.array([2, 0])),
    ", some of some": lambda operator: operator.some(np.array([3, 1, 2])).some(np.array([2, 0])),
    ", times 8": lambda operator: operator.times_power(5).times_power(-2),
    ", times 2": lambda operator: operator.times_power(1),
    ", times 2^-3": lambda operator: operator.times_power(-3),
}
"""What may be made of an operator."""


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


def _sums_of_magnitudes(operator: ColumnOperator) -> float:
    """Return the largest sum of a column in the product of the factors' magnitudes."""
    known = operator._given
    sizes = so.KroneckerProduct([np.abs(f) for f in known.factors], known.architecture).to_dense()
    columns = slice(None) if operator._entries is None else operator._entries
    return float(sizes.sum(axis=0)[columns].max()) * 2.0**operator._exponent


def are_enclosed(operator: ColumnOperator) -> bool:
    """Whether columns, norms and correlations lie within their bounds, which are close."""
    exact, every = exact_of(operator), np.arange(operator.shape[1])
    norms, columns = _float_norms(exact), operator[:, every]
    off = _float_norms(np.vectorize(Fraction)(columns) - exact)
    errors, bounds = operator.column_errors, operator.norm_bounds(None)
    read, lost = operator.errors_of(every, columns), operator._size_bounds * operator._growth**2
    both = np.vectorize(Fraction)(operator.in_two(every)).sum(axis=0)
    off_both, in_two = _float_norms(both - exact), operator.errors_in_two
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
    sums = _sums_of_magnitudes(operator)
    read = operator.errors_of(every, columns)
    tight = np.maximum(norms, 1e-300)
    return bool(
        operator.is_product
        and columns.shape == exact.shape == operator.shape
        and (off <= errors).all()
        and (UNIT * tight * (1 + 1e-13) <= errors).all()
        and (errors <= 1.2e-16 * tight).all()
        and (off_both <= in_two).all()
        and (4.0 * lost <= in_two).all()
        and (in_two <= 4.0 * lost + 2.0 * np.sqrt(len(exact)) * operator.lost).all()
        and (UNIT * norms * (1.0 - 8.0 * UNIT) + 4.0 * lost <= read).all()
        and (read <= UNIT * norms * (1.0 + 1e-14) + 6.0 * lost).all()
        and (norms <= bounds).all()
        and (bounds <= norms * (1 + 1e-14)).all()
        and (weighted <= heavy).all()
        and (heavy <= bounds * (weights.max() ** 0.5 * (1 + 1e-14))).all()
        and all(abs(m) <= e for m, e in zip(missed, allowed, strict=True))
        and (1e-16 * magnitudes <= allowed).all()
        and (allowed <= 3e-14 * magnitudes + 3e-14 * np.linalg.norm(t) * norms.max()).all()
        and (off <= read).all()
        and (UNIT * tight * (1 + 1e-13) <= read).all()
        and (read <= 1.2e-16 * tight).all()
        and sums * (1 + 1e-14) <= operator.largest <= sums * (1 + 2e-6)
        and len(ratio) == 1
        and used
    )


def tiny_columns_are_enclosed() -> bool:
    """Whether a column is known whose entries underflow, and are large again in the end."""
    patterns = so.Architecture([(1, 1, 1, 1), (1, 1, 3, 1), (1, 3, 2, 1)])
    small = 2.0**-600
    factors = [[2.0**900], [1.0, 0.0, small], [0.0, 0.0, 1.0, 0.0, 0.0, small]]
    shaped = [np.reshape(f, tuple(p)) for f, p in zip(factors, patterns, strict=True)]
    operator, every = ColumnOperator(so.KroneckerProduct(shaped, patterns), False), np.arange(2)
    columns, right = operator[:, every], np.array([0.0, 2.0**-300])
    off, before = np.abs(columns[0] - right), operators_module._STREAMED
    held = [off <= operator.errors_of(every, columns)]
    both = operator.in_two(every).sum(axis=0)
    held += [np.abs(both[0] - right) <= operator.errors_in_two]
    try:
        for operators_module._STREAMED in (before, 1):
            again = ColumnOperator(operator._given, False)
            held += [off <= again.column_errors, right <= again.norm_bounds(None)]
    finally:
        operators_module._STREAMED = before
    nothing = ColumnOperator(so.KroneckerProduct([np.zeros((1, 1, 1, 1))], [(1, 1, 1, 1)]), False)
    return bool(np.all(held) and (nothing.errors_of(np.arange(1), np.zeros((1, 1))) >= TINY).all())


def operators_agree() -> bool:
    """Whether an operator's columns, in powers of two and in part, are those of its matrix."""
    real = gaussian(6, 9)[0]
    right = []
    for matrix, is_complex in ((real, False), (real + 1j * real[::-1], True), (real, True)):
        whole = (
            matrix
            if not is_complex
            else np.block([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]])
        )
        source = aslinearoperator(matrix)
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
            np.array_equal(first.errors_of(every, whole), first.column_errors),
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


def streamed_bounds_hold() -> bool:
    """Whether norms and the largest entry are bounded where columns are too many to be looked at.

    They are then for products of factors alone: of the identity they are at least 1, and little
    more.
    """
    patterns = so.Architecture([(1, 2, 2, 3), (2, 3, 2, 1)])
    eye = [np.ones(tuple(p)) * np.eye(p.b, p.c)[None, :, :, None] for p in patterns]
    product = so.KroneckerProduct(eye, patterns)
    weights, before = np.full(6, 9.0), operators_module._STREAMED
    matrix = 3.0 * gaussian(6, 9)[0]
    try:
        operators_module._STREAMED = 2
        own, plain = (
            ColumnOperator(source, False) for source in (product, aslinearoperator(matrix))
        )
        found, heavy, norms = (
            own.norm_bounds(None),
            own.norm_bounds(weights),
            plain.norm_bounds(None),
        )
        largest, seen = own.largest, plain.largest
    finally:
        operators_module._STREAMED = before
    exact = np.linalg.norm(matrix, axis=0)
    tall = gaussian(90, 2)[0]
    long, rows = np.linalg.norm(tall, axis=0), gamma(len(tall) + 16)
    high = ColumnOperator(aslinearoperator(tall), False).norm_bounds(None)
    return bool(
        ((high >= long * (1.0 + 0.45 * rows)) & (high <= long * (1.0 + 0.55 * rows))).all()
        and ((found >= 1.0) & (found <= 1.00001)).all()
        and ((heavy >= 3.0) & (heavy <= 3.00003)).all()
        and 1.0 <= largest <= 1.00001
        and seen == np.abs(matrix).max()
        and ((norms >= exact) & (norms <= exact * (1 + 1e-14))).all()
    )
