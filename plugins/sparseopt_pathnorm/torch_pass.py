"""The walk of a path-norm through the layers, with PyTorch's kernels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

import sparseopt as so
from sparseopt.networks.node import Node
from sparseopt.pathnorm.powers import Powers
from sparseopt_pathnorm.torch_layers import through
from sparseopt_pathnorm.torch_scaling import DTYPES, Scaled, Scaling


def torch_power_sums(network: so.Network, q: float, dtype: str, context: so.Context) -> Powers:
    """Return ``||Phi^(->j)||_q^q`` per output.

    Raises
    ------
    Inconclusive
        Where the entries of one tensor lie too far apart for a common power of two.
    """
    run = Pass(q, dtype, context)
    with torch.no_grad(), shared_memory():
        first = Scaled(torch.ones((1, *network.input_shape), dtype=DTYPES[dtype]), 0)
        value: Scaled = network.walk(first, run.visit)
    return Powers.of(value.array[0].double().numpy(), value.exponent)


@contextmanager
def shared_memory() -> Iterator[None]:
    """Let tensors look at read-only arrays without a warning; nothing here writes to them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")
        yield


class Pass(Scaling):
    """The walk through the layers."""

    def __init__(self, q: float, dtype: str, context: so.Context) -> None:
        super().__init__(q, dtype)
        self._context = context

    def visit(self, node: Node, values: list[Scaled]) -> Scaled:
        """Pass one layer."""
        self._context.check_time(f"passing layer {node.name!r}")
        return through(node.op, self, values)
