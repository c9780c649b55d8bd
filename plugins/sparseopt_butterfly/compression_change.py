"""How far a compression moves the output of a model that is a ReLU network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

import sparseopt as so
from sparseopt.judging.rounding import gamma
from sparseopt.tools.change_ends import box_of, change_ends, require_moderate
from sparseopt.tools.quantizing.bounds import FAINT, as_inputs, is_within, with_radius
from sparseopt_butterfly.kronecker_conv import KroneckerConv2d
from sparseopt_butterfly.kronecker_linear import KroneckerLinear
from sparseopt_butterfly.model_layers import copied, put


@dataclass(frozen=True, eq=False)
class Before:
    """A model as it was, and the data that a box is put around.

    Parameters
    ----------
    network : Network
        Its parameters are copies.
    example : tensor
        A few inputs, in double precision.
    inputs : float64 array, shape (n, *input)
    room : float
        How far rounding of what the network has of the model may move an output.
    """

    network: so.Network
    example: torch.Tensor
    inputs: np.ndarray
    room: float

    @classmethod
    def of(cls, model: nn.Module, inputs: Any) -> Before:
        """Return what is to be known; `ProblemError` where nothing bounds the model."""
        given = inputs if isinstance(inputs, torch.Tensor) else torch.as_tensor(np.asarray(inputs))
        example = given[:2].double()
        network = so.load_network(_multiplied_out(model), example)
        arrays = {name: array.copy() for name, array in network.parameters().items()}
        batch = as_inputs(given, network)
        assert batch is not None
        so.OutputChange(network, network, *box_of(batch))
        require_moderate(network)
        network = network.with_parameters(arrays)
        return cls(network, example, batch, _room(model, network, example, batch))

    def ends(self, compressed: nn.Module) -> so.ChangeEnds:
        """Return both ends, from the model with its products of factors multiplied out."""
        network = so.load_network(_multiplied_out(compressed), self.example)
        room = self.room + _room(compressed, network, self.example, self.inputs)
        return change_ends(self.network, network, self.inputs, room=room)


_OF_NORMALIZATIONS = 8
"""Roundings of ``g = weight / sqrt(variance + eps)`` and of ``bias - g mean``: six, and some."""


def _room(
    model: nn.Module, network: so.Network, example: torch.Tensor, inputs: np.ndarray
) -> float:
    """Return how far rounding of products and of batch normalizations may move an output.

    Entries of a product are off by g times those of the product of absolute values, M, where g
    counts the roundings; the shift of a normalization, whose two terms may cancel, by g times the
    sum of their sizes. With L layers, ``2 ((1 + g)^L - 1)`` times the path-norm of a network of
    parameters M bounds what that moves: eq. (8) of arXiv 2405.15006, by way of the smaller values
    where signs differ. Infinite where something may have left the normal range on the way.
    """
    absolute = copied(model)
    layers = [m for m in absolute.modules() if isinstance(m, KroneckerLinear | KroneckerConv2d)]
    held = {name: t.detach().double().numpy() for name, t in model.state_dict().items()}
    sizes = _sizes_of_shifts(held, network)
    if not layers and not sizes:
        return 0.0
    of_scales = not sizes or all(is_within(array, FAINT, 1 / FAINT) for array in held.values())
    if not of_scales or not all(_stays_normal(layer) for layer in layers):
        return math.inf
    with torch.no_grad():
        for layer in layers:
            for factor in layer.factors.parameters():
                factor.abs_()
    largest = so.load_network(_multiplied_out(absolute), example) if layers else network
    largest = largest.with_parameters(sizes)
    radius = np.asarray(float(np.abs(inputs).max()))
    norm: float = so.solve(so.PathNorm(with_radius(largest, radius))).answer.value  # type: ignore[assignment]
    of_products = [sum(max(p.b, p.c) + 4 for p in x.architecture) for x in layers]
    roundings = max([*of_products, _OF_NORMALIZATIONS if sizes else 0])
    return 2.0 * gamma(roundings * len(network.nodes)) * norm * (1 + 1e-6)


def _stays_normal(layer: KroneckerLinear | KroneckerConv2d) -> bool:
    """Whether no product of entries of the factors, nor of some of them, can leave the range."""
    factors = [factor.detach().double().numpy() for factor in layer.factors.parameters()]
    low = 2.0 ** -(1022 // len(factors))
    return all(is_within(factor, low, 1 / low) for factor in factors)


def _sizes_of_shifts(held: Mapping[str, np.ndarray], network: so.Network) -> dict[str, np.ndarray]:
    """Return ``|bias| + |g mean|``, or a little more, for each normalization of the network."""
    result = {}
    for node in network.nodes:
        factor, shift = (node.op.parameters().get(name) for name in ("factor", "bias"))
        if not node.shifts or factor is None or shift is None:
            continue
        mean = held[node.shifts[0]].reshape(-1, *(1,) * (factor.ndim - 1))
        result[f"{node.name}.bias"] = np.abs(shift) + 2.0 * np.abs(factor * mean)
    return result


def _multiplied_out(compressed: nn.Module) -> nn.Module:
    """Return a copy in double precision with its products of factors multiplied out."""
    dense = copied(compressed).double()
    for layer in list(dense.modules()):
        if isinstance(layer, KroneckerLinear):
            dense = put(dense, layer, layer.to_linear())
        elif isinstance(layer, KroneckerConv2d):
            dense = put(dense, layer, layer.to_conv2d())
    return dense
