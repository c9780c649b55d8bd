"""Errors of products where rounding decides: those it might hide, and those at a border.

And laws of how targets are read and multiplied, piece by piece, which no small certificate shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from factorization_statements import DYADIC, Forgery
from laws import border, law

import sparseopt as so
from sparseopt.butterfly import probing, target as targets
from sparseopt.judging.rounding import gamma, sum_terms
from sparseopt.tools.random_products import random_product


def hidden_errors() -> Iterator[Forgery]:
    """Yield products that are said to have no error, and in floats have none."""
    three = so.Architecture([(1, 1, 3, 1), (1, 3, 1, 1)])
    for power in (0, 400, 900):
        # 2^-1200 times the power: a product of two small entries, beside large ones that meet 0.
        x = np.ldexp(np.array([1.0, 0.0, 2.0**-600]), power // 2).reshape(1, 1, 3, 1)
        y = np.ldexp(np.array([0.0, 1.0, 2.0**-600]), power // 2).reshape(1, 3, 1, 1)
        problem = so.ButterflyFactorization([[0.0]], three)
        small = so.ButterflyCertificate(problem, so.KroneckerProduct([x, y], three), (0.0, 0.0))
        yield f"a product that underflows, times 2^{power}", small
    # (1 + e) (1 - e) - 1 = -e^2, which rounds to 0 when the first two factors are multiplied.
    wide = so.Architecture([(1, 1, 2, 1), (1, 2, 1, 1), (1, 1, 64, 1)])
    tiny = 2.0**-30
    factors = [
        np.array([1.0 + tiny, 1.0]).reshape(1, 1, 2, 1),
        np.array([1.0 - tiny, -1.0]).reshape(1, 2, 1, 1),
        np.ones((1, 1, 64, 1)),
    ]
    problem = so.ButterflyFactorization(np.zeros((1, 64)), wide)
    product = so.KroneckerProduct(factors, wide)
    yield "a sum of two that cancels", so.ButterflyCertificate(problem, product, (0.0, 2.0**-100))


def worth() -> Iterator[tuple[bool, str, so.ButterflyCertificate]]:
    """Yield the worst answers that are taken, and the next worse: multiples of a product.

    Of three factors with blocks of other heights than widths, on which the guaranteed share
    depends; and for targets of every kind, as what is read of a product is rounded.
    """
    for name, architecture in {
        "dyadic": DYADIC,
        "uneven": so.Architecture([(1, 5, 1, 3), (1, 3, 4, 1), (4, 1, 2, 1)]),
    }.items():
        product = random_product(architecture, np.random.default_rng(3))
        for kind, given in {"array": product.to_dense(), "product": product}.items():
            problem = so.ButterflyFactorization(given, architecture)
            at = partial(_multiple, problem, product)
            ends = border(1.0, 4.0, lambda number, at=at: so.verify(at(number)).ok)
            assert ends is not None
            yield True, f"as bad as may be: {name}, {kind}", at(ends[0])
            yield False, f"worse than may be: {name}, {kind}", at(ends[1])


def _multiple(
    problem: so.ButterflyFactorization, product: so.KroneckerProduct, number: float
) -> so.ButterflyCertificate:
    return so.ButterflyCertificate(problem, number * product)


def laws() -> Iterator[Forgery]:
    """Yield that what a target does to vectors is right, to the room that is said.

    Read by rows and by columns, in parts that are smaller or larger than the blocks of columns.
    """
    rng = np.random.default_rng(9)
    width = probing._WIDTH
    for shape, chunk, blocks in (((2, 20 * width), 4 * width, (20, 20)), ((12, 30), 60, (1, 6))):
        x = 1e6 * rng.standard_normal((shape[1], 3))
        for kind, unit in {"real": 1.0, "complex": 1.0 + 1.0j}.items():
            matrix = unit * rng.standard_normal(shape)
            for order, many in zip("CF", blocks, strict=True):
                target = np.asarray(matrix, order=order)  # type: ignore[call-overload]
                holds = partial(_is_multiplied, target, x, chunk, min(shape[1], width) + many)
                yield f"vectors times {shape}, {kind}, {order}", law(holds)


def _is_multiplied(target: np.ndarray, x: np.ndarray, chunk: int, terms: int) -> bool:
    """Whether products and norm are right, and the rounding of so many terms is counted."""
    before = targets.CHUNK
    try:
        targets.CHUNK = chunk
        found, room, norm = probing._times_array(targets.Reader(target), x)
    finally:
        targets.CHUNK = before
    sizes = float(np.linalg.norm(target) * np.linalg.norm(x))
    terms *= sum_terms(1, target)
    right = np.allclose(found, target @ x, rtol=0.0, atol=1e-13 * sizes)
    counted = gamma(terms) * sizes <= room <= 1.02 * gamma(terms + 3) * sizes
    enclosed = norm.low() <= np.linalg.norm(target) <= norm.high()
    return bool(right and counted and enclosed and found.dtype == np.result_type(target, x))
