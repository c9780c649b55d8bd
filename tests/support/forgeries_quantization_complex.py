"""Forged certificates of quantized complex vectors: what the core must refuse, and why.

The name of each is the sentence of the line that stops it, then " | " and what it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import sparseopt as so

Pairs = Iterator[tuple[str, Any]]

X = np.array([0.3 + 1.7j, -0.7 + 0.2j, 0.9j])
Y = np.array([1.9 - 0.4j, 0.2 + 0.6j])


def solved(*args: Any) -> Any:
    """Return the certificate of the default solver."""
    return so.solve(so.RankOneQuantization(*args)).certificate


def forged() -> Pairs:
    """Yield (line that stops it | what it is, certificate)."""
    changed, right = dataclasses.replace, solved(X, Y, 4, 3)

    def with_answer(of: Any = right, **parts: Any) -> Any:
        return changed(of, answer=changed(of.answer, **parts))

    u, v = right.answer.u, right.answer.v
    yield "the vector for x is in F4 | more digits of imaginary parts", with_answer(u=u + 0.01j)
    yield "the vector for y is in F3 | more digits of real parts", with_answer(v=v + 0.01)
    yield "the vector for x is complex if it was | real parts", with_answer(u=u.real)
    yield "the vector for y is as long | parts", with_answer(v=v.view(np.float64))
    line = "the relative error is at most"
    error = right.relative_error
    for value in (math.nextafter(error, 0.0), error * (1.0 - 1e-12), 0.0, math.inf):
        yield f"{line} | complex, {value}", changed(right, relative_error=value)
    # Each has the same parts in products with its vector, up to signs of the imaginary ones.
    yield f"{line} | conjugated", with_answer(u=u.conj())
    yield f"{line} | both conjugated", with_answer(u=u.conj(), v=v.conj())
    yield f"{line} | turned one way", with_answer(u=1j * u)
    yield f"{line} | turned twice", with_answer(u=1j * u, v=1j * v)
    line = "no choice has a relative error below"
    yield f"{line} | two complex vectors", changed(right, relative_lower_bound=1e-30)
    for name, each in (
        ("one real", solved(X, Y.real, 4, 3)),
        ("the first real", solved(X.imag, Y, 3, 4)),
        ("one left", solved(X, Y, 5, None)),
    ):
        more = each.relative_error * (1.0 + 1e-12)
        yield f"{line} | {name}, a little more", changed(each, relative_lower_bound=more)
    real = solved(X, Y.real, 4, 3)
    changed_answer = changed(real.answer, v=real.answer.v + 0j)
    yield (
        "the vector for y is complex if it was | complex",
        changed(real, answer=changed_answer),
    )
    left = solved(X, Y, 5, None)
    yield "y is left as it is | conjugated", with_answer(left, v=Y.conj())
    zero = solved(0.0 * X, Y, 3, 3)
    yield "zero is answered by zero | i", with_answer(zero, u=[1j, 0.0, 0.0], v=[1.0 + 0j, 0.0])


def honest() -> Pairs:
    """Yield (name, certificate); all must be accepted."""
    weights = [1.0, 0.0, 3.0], [0.5, 2.0]
    yield "complex", solved(X, Y, 4, 3)
    yield "complex with weights", solved(X, Y, 4, 3, *weights)
    yield "complex in e4m3", solved(X, Y, "e4m3", "e4m3")
    yield "complex in int8", solved(9.0 * X, 5.0 * Y, "int8", "int4")
    yield "one real", solved(X, Y.real, 4, 3)
    yield "the first real", solved(X.imag, Y, 3, 4, *weights)
    yield "one left", solved(X, Y, 5, None)
    yield "one left, of one entry", solved(X[:1], Y, 50, None)
    yield "zero", solved(0.0 * X, Y, 3, 3)
    problem = so.RankOneQuantization(X, Y, 4, 3)
    yield "to nearest", so.RankOneCertificate.build(problem, problem.nearest())
