"""Products and distances of matrices in rational arithmetic: the truth behind stored floats."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

import sparseopt as so
from sparseopt.judging.figures import Figure

Exact = list[list[tuple[Fraction, Fraction]]]


def rational(matrix: np.ndarray) -> Exact:
    """Return a matrix of floats as pairs of rationals."""
    return [
        [(Fraction(float(value.real)), Fraction(float(value.imag))) for value in row]
        for row in np.asarray(matrix)
    ]


def times(one: Exact, two: Exact) -> Exact:
    """Return the product of two matrices, exactly; zeros are skipped."""
    columns = len(two[0])
    result = []
    for row in one:
        sums = [[Fraction(0), Fraction(0)] for _ in range(columns)]
        for (a, b), other in zip(row, two, strict=True):
            if not a and not b:
                continue
            for total, (c, d) in zip(sums, other, strict=True):
                if c or d:
                    total[0] += a * c - b * d
                    total[1] += a * d + b * c
        result.append([(x, y) for x, y in sums])
    return result


def exact_product(product: so.KroneckerProduct) -> Exact:
    """Return a product of factors, exactly."""
    result: Exact | None = None
    for factor, pattern in zip(product.factors, product.architecture, strict=True):
        dense = rational(pattern.sparse(factor).toarray())
        result = dense if result is None else times(result, dense)
    assert result is not None
    return result


def squared_difference(one: Exact, two: Exact) -> Fraction:
    """Return the squared Frobenius norm of the difference."""
    return sum(
        (
            (a - c) ** 2 + (b - d) ** 2
            for row, other in zip(one, two, strict=True)
            for (a, b), (c, d) in zip(row, other, strict=True)
        ),
        Fraction(0),
    )


def encloses(figure: Figure, square: Fraction) -> bool:
    """Whether the root of a rational lies in a figure."""
    return Fraction(figure.low()) ** 2 <= square and (
        math.isinf(figure.high()) or square <= Fraction(figure.high()) ** 2
    )
