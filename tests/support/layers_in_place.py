"""Layers whose kernels read operand and factors where they are, against operators of torch."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from sparseopt_butterfly import in_place
from sparseopt_butterfly.in_place import TrainedInPlace
from sparseopt_butterfly.kronecker_linear import KroneckerLinear
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import sparseopt as so


def made_layer(chain: so.Architecture, **options: Any) -> KroneckerLinear:
    """A layer with the same initial values at each call."""
    torch.manual_seed(0)
    rows, columns = chain.shape
    return KroneckerLinear(columns, rows, chain, **options)


def along_rows(layer: KroneckerLinear, x: torch.Tensor) -> bool:
    """Whether a call with gradients goes to these kernels."""
    values, chain = layer._values(), layer.architecture
    found = layer._trained.chain(x, values, layer.bias, chain, layer._by_torch, False)
    return isinstance(found, TrainedInPlace)


def expect(layer: KroneckerLinear, x: torch.Tensor, cotangent: torch.Tensor) -> None:
    """Results without gradients, with them, and all gradients; against float64 by torch."""
    twin = copy.deepcopy(layer).double()
    wide = x.detach().double().requires_grad_()
    wanted = twin._by_torch(wide, twin.bias, twin._values())
    wanted.backward(cotangent.double())
    with torch.no_grad():
        plain = layer(x)
    assert plain.is_contiguous()
    own = x.detach().requires_grad_()
    assert along_rows(layer, own)
    made = layer(own)
    layer.zero_grad()
    made.backward(cotangent)
    error = 1e-5 if x.dtype == torch.float32 else 1e-12
    pairs = [(plain, wanted), (made, wanted), (own.grad, wide.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(layer.parameters(), twin.parameters(), strict=True)]
    for one, two in pairs:
        assert one is not None
        assert two is not None
        scale = float(two.detach().abs().max())
        torch.testing.assert_close(one.double(), two, atol=error * scale, rtol=error)


def expect_in_every_layout(layer: KroneckerLinear, rows: int) -> None:
    """Strided operands and cotangents, and parameters at odd places; of float32, square."""
    n = layer.in_features
    expect(layer, torch.randn(n, rows).T, torch.randn(n, rows).T)
    expect(layer, torch.randn(rows, 2 * n)[:, ::2], torch.ones(1, n).expand(rows, n))
    expect(layer, torch.randn(rows, n + 1)[:, 1:], torch.randn(2 * rows, n)[::2])
    x, cotangent = torch.randn(rows, n), torch.randn(rows, n)
    # Parameters at odd places of one vector, as after vector_to_parameters.
    vector = torch.cat([torch.zeros(1), parameters_to_vector(layer.parameters()).detach()])
    vector_to_parameters(vector[1:], layer.parameters())
    assert any(p.data_ptr() % 64 for p in layer.parameters())
    expect(layer, x, cotangent)
    # A factor that is transposed in place keeps its address.
    layer.factors[1].data = layer.factors[1].data.transpose(1, 2)
    assert not along_rows(layer, x)
    with torch.no_grad():
        wanted = x @ layer.weight.T + layer.bias
        torch.testing.assert_close(layer(x), wanted, atol=1e-5, rtol=1e-5)
    layer.factors[1].data = layer.factors[1].data.contiguous()
    layer.double()
    expect(layer, x.double(), cotangent.double())
    layer.half()
    assert not along_rows(layer, x.half())
    layer.float()
    expect(layer, x, cotangent)


def expect_any_shape(layer: KroneckerLinear) -> None:
    """One row, none, and several dimensions."""
    for lead in ((), (1,), (2, 3), (2, 0), (0,)):
        x = torch.randn(*lead, layer.in_features, requires_grad=True)
        y = layer(x)
        assert y.shape == (*lead, layer.out_features)
        y.sum().backward()
        assert x.grad is not None
        wanted = layer.weight.sum(0).detach().expand(x.shape)
        torch.testing.assert_close(x.grad, wanted, atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(layer(x), y.detach(), atol=1e-6, rtol=1e-6)


class Guarded:
    """Workspaces between guards, of which kernels must not write a byte."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._kept: list[tuple[np.ndarray, int, int]] = []
        monkeypatch.setattr(in_place, "workspace", self._workspace)

    def _workspace(self, size: int) -> tuple[Any, int]:
        guard = 4096
        memory = np.full(size + 2 * guard, 7, dtype=np.uint8)
        first = guard + -memory.ctypes.data % 64
        memory[first : first + 64] = 0
        self._kept.append((memory, first, size))
        return memory, int(memory.ctypes.data) + first

    def expect_untouched(self) -> None:
        """There were workspaces, and nothing was written around them, or to their zeros."""
        assert self._kept
        for memory, first, size in self._kept:
            assert (memory[:first] == 7).all()
            assert (memory[first : first + 64] == 0).all()
            assert (memory[first + size :] == 7).all()
