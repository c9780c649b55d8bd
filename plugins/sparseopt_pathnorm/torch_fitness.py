"""Which networks the solvers with PyTorch's kernels take; said without importing PyTorch."""

from __future__ import annotations

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.operator import Add, Concat, Permute, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool, Resample

LAYERS = (
    Add
    | Concat
    | Conv
    | ConvTranspose
    | Dense
    | MaxPool
    | Permute
    | RankPool
    | Relu
    | Resample
    | Reshape
    | Scale
    | Select
)
"""Layers that `torch_layers.through` knows."""


def fits(network: so.Network, instead: str) -> so.Accepted | so.Refused:
    """Accept layers with float weights that are known; `instead` says who takes exact weights."""
    for node in network.nodes[1:]:
        if not isinstance(node.op, LAYERS):
            kind = type(node.op).__name__
            return so.Refused(f"layer {node.name!r} is a {kind}, which is not for this solver")
        if any(a.dtype == object for a in node.op.parameters().values()):
            return so.Refused(f"layer {node.name!r} has exact weights; {instead}")
    return so.Accepted()
