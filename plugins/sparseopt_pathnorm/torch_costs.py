"""The path cost of every weight, by PyTorch's automatic derivative of the path-norm's walk."""

from __future__ import annotations

import numpy as np
import torch

import sparseopt as so
from sparseopt.networks.node import Node
from sparseopt.pathnorm.path_cost import no_costs, weight_names
from sparseopt_pathnorm.torch_pass import Pass, shared_memory
from sparseopt_pathnorm.torch_scaling import DTYPES, Scaled


def torch_path_costs(network: so.Network, dtype: str, context: so.Context) -> dict[str, np.ndarray]:
    """Return the shares of the L1 path-norm by weight.

    The walk divides tensors by powers of two, which are constants to the derivative: every
    power cancels in ``|w| dN/d|w| / N``.

    Raises
    ------
    Inconclusive
        Where the entries of one tensor lie too far apart for a common power of two.
    """
    run = _Recorded(dtype, context, {node: name for name, node in weight_names(network).items()})
    with shared_memory():
        first = Scaled(torch.ones((1, *network.input_shape), dtype=DTYPES[dtype]), 0)
        value: Scaled = network.walk(first, run.visit)
        total = value.array.sum()
        if float(total.detach()) == 0.0:
            return no_costs(network)
        leaves = list(run.leaves.values())
        gradients = torch.autograd.grad(total, leaves)
    shares = {}
    for name, size, gradient in zip(run.leaves, leaves, gradients, strict=True):
        share = gradient.mul_(size.detach()).double().div_(total.detach().double())
        shares[name] = share.numpy()
    return {name: shares[name] for name in weight_names(network)}


class _Recorded(Pass):
    """The walk with the absolute weights kept for the derivative."""

    def __init__(self, dtype: str, context: so.Context, names: dict[str, str]) -> None:
        super().__init__(1, dtype, context)
        self.leaves: dict[str, torch.Tensor] = {}
        self._names = names
        self._weight: np.ndarray | None = None
        self._name = ""

    def visit(self, node: Node, values: list[Scaled]) -> Scaled:
        """Pass one layer."""
        self._name = self._names.get(node.name, "")
        self._weight = node.op.parameters()["weight"] if self._name else None
        return super().visit(node, values)

    def power(self, array: np.ndarray) -> Scaled:
        """Return absolute values; those of the layer's weight are leaves of the derivative."""
        sizes = super().power(array)
        if array is self._weight:
            self.leaves[self._name] = sizes.array.requires_grad_()
        return sizes
