"""PyTorch modules that are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import sparseopt as so


class Function(nn.Module):
    """A module of one function of its input and of further modules."""

    def __init__(self, function: Callable[..., torch.Tensor], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def norm(module: nn.Module, shape: tuple[int, ...], q: float = 1, **more: Any) -> so.PathNormValue:
    """Return the path-norm of a module, computed by both solvers where it is small."""
    network = so.load_network(module.eval(), example=torch.zeros(shape))
    answer = so.solve(so.PathNorm(network, q, **more)).answer
    if network.edge_count <= 20_000 and network.neurons.path_count() < 50_000:
        slow = so.solve(so.PathNorm(network, q, **more), solver="path_enumeration").answer
        assert slow.log10 == pytest.approx(answer.log10, abs=1e-12)
    return answer
