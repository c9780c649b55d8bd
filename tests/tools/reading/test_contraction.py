"""Matrix products and einsums of a value with a constant, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.tools.reading import contraction
from sparseopt.tools.reading.builder import NetworkBuilder

RNG = np.random.default_rng(0)


def run(builder: NetworkBuilder, made: Any, x: np.ndarray) -> np.ndarray:
    return builder.finish(made).run(x.reshape(builder.input.shape)).reshape(made.shape)


@pytest.mark.parametrize("seed", range(60))
def test_einsums_of_random_equations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    letters = rng.permutation(list("abcde"))
    sizes = {letter: int(rng.integers(2, 4)) for letter in letters}
    one, two = ("".join(rng.permutation(letters)[: rng.integers(1, 5)]) for _ in range(2))
    known = sorted(set(one + two))
    output = "".join(rng.permutation(known)[: rng.integers(0, len(known) + 1)])
    equation = f"{one},{two}->{output}" if rng.random() < 0.8 else f"{one},{two}"
    x = rng.standard_normal([sizes[i] for i in one])
    weight = rng.standard_normal([sizes[i] for i in two])
    first = bool(rng.random() < 0.5)
    if not first:
        inputs, arrow, rest = equation.partition("->")
        equation = ",".join(inputs.split(",")[::-1]) + arrow + rest
    expected = np.einsum(equation, *((x, weight) if first else (weight, x)))
    builder = NetworkBuilder(x.shape, "x")
    made = contraction.einsum(builder, equation, builder.input, weight, first, "e")
    assert made.shape == expected.shape
    np.testing.assert_allclose(run(builder, made, x), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4), (4, 2)),
        ((5, 3, 4), (4, 2)),
        ((5, 3, 4), (5, 4, 2)),
        ((1, 3, 4), (5, 4, 2)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((3, 4), (4,)),
        ((5, 3, 4), (4,)),
        ((4,), (4, 2)),
        ((4,), (5, 4, 2)),
    ],
)
def test_matrix_products_broadcast_as_in_numpy(left: Any, right: Any) -> None:
    a, b = RNG.standard_normal(left), RNG.standard_normal(right)
    builder = NetworkBuilder(left, "x")
    made = contraction.from_right(builder, builder.input, b, "p")
    np.testing.assert_allclose(run(builder, made, a), a @ b, atol=1e-12)
    if len(left) > 1:
        builder = NetworkBuilder(right, "x")
        made = contraction.from_left(builder, a, builder.input, "p")
        np.testing.assert_allclose(run(builder, made, b), a @ b, atol=1e-12)


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("ii,ij->j", "repeats an index"),
        ("ij,jk,kl->il", "not one of two operands"),
        ("ij->ij", "not one of two operands"),
        ("i1,ij->j", "not one of two operands"),
        ("ijk,jk->i", "does not fit operands"),
        ("ij,jk->iz", "that no operand has"),
        ("ij,kj->ik", "sizes 3 and 4"),
    ],
)
def test_equations_that_are_refused(equation: str, message: str) -> None:
    builder = NetworkBuilder((2, 3), "x")
    with pytest.raises(so.ProblemError, match=message):
        contraction.einsum(builder, equation, builder.input, np.ones((3, 4)), True, "e")


def test_operands_that_do_not_fit_are_refused() -> None:
    builder = NetworkBuilder((2, 3, 4), "x")
    for weight in (np.ones((2, 5, 5)), np.ones((7, 5, 3)), np.ones(3)):
        with pytest.raises(so.ProblemError):
            contraction.from_left(builder, weight, builder.input, "p")
