"""Tensors of torch are arrays wherever numbers are taken: with a gradient, and of bfloat16."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import sparseopt as so
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.operator import Relu

NETWORK = chain((2,), Dense(np.array([[1.5, 2.0]])), Relu(), Dense(np.array([[0.7]])))
TENSORS = {
    "bfloat16": torch.tensor([0.5], dtype=torch.bfloat16),
    "gradient": torch.tensor([0.5], dtype=torch.float64, requires_grad=True),
}
HALVES: dict[str, Any] = {**TENSORS, "fraction": Fraction(1, 2)}


def weights(network: Network) -> list[list[float]]:
    return [array.ravel().tolist() for array in network.parameters().values()]


@pytest.mark.parametrize("name", HALVES)
def test_a_bound_of_the_inputs_may_be_any_number(name: str) -> None:
    expected = so.quantize(NETWORK, "bf16", input_bound=0.5).bound
    found = so.quantize(NETWORK, "bf16", input_bound=HALVES[name]).bound
    assert expected is not None
    assert found is not None
    assert found.value == expected.value


@pytest.mark.parametrize("name", TENSORS)
def test_factors_and_ends_may_be_tensors(name: str) -> None:
    half = TENSORS[name]
    assert weights(so.rescale(NETWORK, half)) == [[0.75, 1.0], [1.4]]
    other = so.rescale(NETWORK, [2.0])
    ends = half.expand(2)
    assert so.OutputChange(NETWORK, other, -ends, ends).upper.tolist() == [0.5, 0.5]


def test_factors_beyond_the_floats_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="overflow float64; give less extreme factors"):
        so.rescale(NETWORK, np.array([Fraction(10**400)]))


def test_strengths_of_a_path_may_be_tensors() -> None:
    problem = so.SparseRegression([[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], so.L1(1.0))
    expected = [found.answer.x.tolist() for found in so.path(problem, [1.0, 0.25])]
    given: tuple[Any, ...] = (torch.tensor([1.0, 0.25]), [np.array(1.0), np.array(0.25)])
    for strengths in given:
        assert [found.answer.x.tolist() for found in so.path(problem, strengths)] == expected


def test_complex_inputs_of_an_interpolant_are_refused() -> None:
    network = so.solve(so.MinimumNormInterpolant([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])).answer
    with pytest.raises(so.ProblemError, match="inputs has dtype complex128"):
        network.predict([1j])
