"""Both ends that `compress` reports hold for the models themselves, whose numbers are exact."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_butterfly.compression_change import Before
from torch import nn

import sparseopt as so

_FINE = 10**60


def root(value: Fraction) -> Fraction:
    """Return the square root, to sixty digits."""
    return Fraction(isqrt(value.numerator * value.denominator * _FINE**2)) / (
        value.denominator * _FINE
    )


def exactly(tensor: torch.Tensor) -> list[Any]:
    """Return the entries of a matrix or vector as rational numbers."""
    array = tensor.detach().double().numpy()
    return np.frompyfunc(Fraction, 1, 1)(array).tolist()  # type: ignore[no-any-return]


def scales(norm: nn.BatchNorm1d) -> tuple[list[Fraction], list[Fraction]]:
    """Return factor and shift of a normalization in real arithmetic."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    spread = [root(v + Fraction(norm.eps)) for v in exactly(norm.running_var)]
    gain = [w / s for w, s in zip(exactly(norm.weight), spread, strict=True)]
    means, biases = exactly(norm.running_mean), exactly(norm.bias)
    return gain, [b - g * m for b, g, m in zip(biases, gain, means, strict=True)]


def model_of(seed: int, size: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    norm = nn.BatchNorm1d(size)
    with torch.no_grad():
        norm.running_mean.normal_(std=1e3)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
        norm.weight.normal_()
        norm.bias.normal_()
    return nn.Sequential(nn.Linear(size, size, bias=False), norm).double().eval()


@pytest.mark.parametrize("seed", range(6))
def test_normalizations_that_become_scales_are_counted(seed: int) -> None:
    """A weight changed by little: the true change of g W x, in rational numbers."""
    model = model_of(seed)
    x = np.ones((3, 4))
    before = Before.of(model, x)
    old = exactly(model[0].weight)
    with torch.no_grad():
        model[0].weight.mul_(1 + 2.0**-45)
    new = exactly(model[0].weight)
    gain, _ = scales(model[1])
    change = sum(abs(g * (sum(a) - sum(b))) for g, a, b in zip(gain, old, new, strict=True))
    ends = before.ends(model)
    assert Fraction(ends.lower) <= change <= Fraction(ends.upper)
    assert ends.room > 0


@pytest.mark.parametrize("seed", range(6))
def test_shifts_whose_terms_cancel_are_counted_by_their_sizes(seed: int) -> None:
    """A model and the one whose normalization another program has made a scale, as exporters do."""
    model = model_of(seed)
    norm = model[1]
    x = np.ones((3, 4))
    with torch.no_grad():
        norm.bias.copy_(norm.running_mean * norm.weight / torch.sqrt(norm.running_var + norm.eps))
    gain, shift = scales(norm)  # a shift of nothing but rounding
    before = Before.of(model, x)
    exact = [
        g * sum(row) + t for g, row, t in zip(gain, exactly(model[0].weight), shift, strict=True)
    ]
    stored = before.network.run(np.ones((1, 4), dtype=object) * Fraction(1))
    gap = sum(abs(a - b) for a, b in zip(exact, stored.ravel().tolist(), strict=True))
    assert 0 < gap <= Fraction(before.room)


def test_models_without_normalizations_have_no_room() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    assert Before.of(model, np.ones((2, 4))).room == 0


def test_a_model_that_is_compressed_twice() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16)
    ).eval()
    x = torch.rand(8, 16)
    once = so.compress(model, 0.9, layers=["0"], min_speedup=None, max_error=1.0, inputs=x)
    again = so.compress(once.model, 0.9, layers=["3"], min_speedup=None, max_error=1.0, inputs=x)
    assert once.ends is not None
    assert again.ends is not None
    with torch.no_grad():
        moved = float((once.model(x) - again.model(x)).abs().sum(dim=1).max())
    assert moved <= again.ends.upper * (1 + 1e-5)
    assert once.ends.room > 0
    assert again.ends.room > 0


def test_products_that_leave_the_floats_are_not_bounded() -> None:
    """Of factors of 1e-200 float64 keeps nothing; the weight behind them would make much of it."""
    patterns = [(1, 2, 2, 2), (2, 2, 2, 1)]
    layer = so.KroneckerLinear(4, 4, patterns, bias=False, dtype=torch.float64)
    after = nn.Linear(4, 1, bias=False).double()
    before = Before.of(nn.Sequential(nn.Linear(4, 4, bias=False).double(), after), np.ones((2, 4)))
    with torch.no_grad():
        for factor in layer.factors.parameters():
            factor.fill_(2.0**-600)
    assert before.ends(nn.Sequential(layer, after)).upper == np.inf


def test_normalizations_that_leave_the_floats_are_not_bounded() -> None:
    model = model_of(0)
    with torch.no_grad():
        model[1].weight.fill_(2.0**-1070)
    assert Before.of(model, np.ones((3, 4))).room == np.inf
