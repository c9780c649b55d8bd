"""Tensors of torch are arrays wherever numbers are taken: with a gradient, and of bfloat16."""

from __future__ import annotations

import math
from collections.abc import Callable
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


NEGATIVE = torch.complex(torch.zeros(1), torch.tensor([-0.5])).conj().imag  # 0.5, lazily


@pytest.mark.parametrize("half", [*TENSORS.values(), NEGATIVE], ids=str)
def test_numbers_may_be_tensors(half: torch.Tensor) -> None:
    """Wherever they are rounded, recovered, evaluated and judged."""
    assert so.NumberFormat("e4m3").round(half.detach()).tolist() == [0.5]
    pair = so.solve(so.RankOneQuantization(half.expand(2), half.expand(2), "bf16", "bf16"))
    assert pair.certificate.relative_error == 0.0
    design = torch.ones(1, 2, dtype=half.dtype) * half
    known = so.RecoveryGuarantee(design, support=[0])
    assert np.asarray(known.design).tolist() == [[0.5, 0.5]]
    x = half.expand(3)
    assert so.L1(2.0).value(x) == 3.0
    assert so.TotalVariation(2.0).value(x) == 0.0
    assert so.NuclearNorm(2.0, (3, 1)).value(x) == pytest.approx(math.sqrt(3))
    problem = so.SparseRegression(np.eye(3), [1.0, 1.0, 1.0], so.L1(0.5))
    _, certificate = so.DualityGapCertificate.build(problem, x, x)
    assert certificate.primal == pytest.approx(1.125)
    assert so.verify(certificate).ok


def test_complex_tensors_are_designs() -> None:
    design = np.array([[1.0, 0.5j], [0.25, 1.0]])
    given = torch.from_numpy(design).requires_grad_()
    for other in (given, given.conj().resolve_conj().conj(), design.tolist()):
        found = so.solve(so.RecoveryGuarantee(other, sparsity=1)).answer
        assert found.value == so.solve(so.RecoveryGuarantee(design, sparsity=1)).answer.value


@pytest.mark.parametrize(
    "tensor", [torch.eye(4).to_sparse(), torch.eye(4).to(torch.float8_e4m3fn)], ids=str
)
def test_tensors_that_hold_no_numbers_of_numpy_are_refused_by_name(tensor: torch.Tensor) -> None:
    builds: dict[str, Callable[[], object]] = {
        "values": lambda: so.NumberFormat("bf16").round(tensor),
        "design": lambda: so.RecoveryGuarantee(tensor, sparsity=1),
        " design": lambda: so.SparseRegression(tensor, [1.0] * 4, so.L1(1.0)),
        "target": lambda: so.ButterflyFactorization(tensor, so.Architecture.square_dyadic(4)),
    }
    for name, build in builds.items():
        with pytest.raises(so.ProblemError, match=f"{name.strip()} (is a|has dtype)"):
            build()


def test_complex_inputs_of_an_interpolant_are_refused() -> None:
    network = so.solve(so.MinimumNormInterpolant([0.0, 1.0, 2.0], [0.0, 1.0, 0.0])).answer
    with pytest.raises(so.ProblemError, match="inputs has dtype complex128"):
        network.predict([1j])
