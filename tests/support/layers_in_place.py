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
