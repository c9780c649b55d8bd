"""The walk of a path-norm on the parameters that a module has now, with their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from sparseopt.networks.node import Node
from sparseopt_pathnorm.torch_layers import through
from sparseopt_pathnorm.torch_scaling import DTYPES, Scaled, Scaling

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class LivePass(Scaling):
    """One walk through the layers.

    Parameters
    ----------
    q : float
        Power of the weights.
    plan : sparseopt_pathnorm.training_norm.Plan
        Of the module.
    """

    def __init__(self, q: float, plan: Any) -> None:
        first = next(plan.module.parameters(), torch.zeros(()))
        super().__init__(q, _NAMES[first.dtype])
        self._plan = plan
        self._device = first.device
        self._node: Node | None = None

    def run(self) -> Scaled:
        """Return the sums of powers at the outputs."""
        network = self._plan.network
        ones = torch.ones((1, *network.input_shape), dtype=DTYPES[self.dtype], device=self._device)
        result: Scaled = network.walk(Scaled(ones, 0), self.visit)
        return result

    def visit(self, node: Node, values: list[Scaled]) -> Scaled:
        """Pass one layer."""
        self._node = node
        return through(node.op, self, values)

    def power(self, array: np.ndarray) -> Scaled:
        """Return |w|**q of the layer's own weight, as the module has it."""
        assert self._node is not None
        held = self._node.op.parameters()
        field = next(name for name in held if held[name] is array)
        return self._powers(self._now(field))

    def with_bias(self, value: torch.Tensor, exponent: int, offset: np.ndarray | None) -> Scaled:
        """Add the powers of the biases; `value` may be overwritten."""
        result = Scaled(value, exponent)
        if offset is not None:
            bias = self._powers(self._now("bias"))
            shaped = Scaled(bias.array.reshape(offset.shape), bias.exponent)
            result = self.added([result, shaped])
        return self.settle(result)

    def _now(self, field: str) -> torch.Tensor:
        assert self._node is not None
        live = self._plan.live[self._node.name][field]
        found: torch.Tensor = live(self._plan.module)
        return found

    def _powers(self, tensor: torch.Tensor) -> Scaled:
        sizes = tensor.abs()
        if self.q == 1:
            return Scaled(sizes, 0)
        top = float(sizes.detach().max())
        if not 0.0 < top < math.inf:
            return Scaled(sizes, 0)
        # Powers of the largest entry must not leave the range.
        shift = math.frexp(top)[1]
        exponent = math.floor(self.q * shift)
        powers = (sizes * 2.0**-shift) ** self.q
        return Scaled(powers * 2.0 ** (self.q * shift - exponent), exponent)
