"""The layers of a torch model with a matrix: which can be replaced, and putting others there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from torch import nn

import sparseopt as so
from sparseopt_butterfly.kronecker_conv import KroneckerConv2d
from sparseopt_butterfly.kronecker_layer import KroneckerLayer
from sparseopt_butterfly.kronecker_linear import KroneckerLinear

Matrix: TypeAlias = nn.Linear | nn.Conv2d
"""Layers that multiply by one matrix: their operand, or what lies below their kernel."""
Choice: TypeAlias = Iterable[str] | Callable[[str, Any], bool] | None


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of the model."""
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:  # weights that are computed, as by torch.nn.utils.prune
        raise so.ProblemError(
            f"the model cannot be copied ({error}); make pruned or normed weights permanent "
            "(torch.nn.utils.prune.remove), or pass inplace=True"
        ) from error


def matrix_of(layer: Matrix) -> torch.Tensor:
    """Return the matrix of a layer (outputs, inputs), in the order of `KroneckerConv2d`."""
    weight = layer.weight
    return weight if isinstance(layer, nn.Linear) else weight.permute(0, 2, 3, 1).flatten(1)


def shape_of(layer: Matrix) -> tuple[int, int]:
    """Return the shape of the matrix, also of a layer without values yet."""
    if isinstance(layer, nn.Linear):
        return layer.out_features, layer.in_features
    cells = layer.kernel_size[0] * layer.kernel_size[1]
    return layer.out_channels, cells * layer.in_channels // layer.groups


def projected(layer: Matrix, architecture: so.Architecture, options: Any) -> KroneckerLayer:
    """Return the layer of this architecture whose matrix is nearest."""
    if isinstance(layer, nn.Linear):
        return KroneckerLinear.from_linear(layer, architecture, **options)
    return KroneckerConv2d.from_conv2d(layer, architecture, **options)


def chosen_layers(model: nn.Module, layers: Choice) -> dict[str, Matrix]:
    """Return the chosen linear layers and convolutions by name, shared ones once."""
    every = {name: m for name, m in model.named_modules() if isinstance(m, Matrix)}
    if layers is None:
        return every
    if callable(layers):
        return {name: layer for name, layer in every.items() if layers(name, layer)}
    if isinstance(layers, str):
        raise so.ProblemError(f"layers must be a list of names, got the string {layers!r}")
    wanted = list(layers)
    unknown = [name for name in wanted if name not in every]
    if unknown:
        raise so.UnknownNameError("linear layer or convolution", unknown[0], every)
    return {name: layer for name, layer in every.items() if name in wanted}


def why_left_alone(model: nn.Module, name: str, linear: Matrix) -> str:
    """Return why a layer cannot be replaced by one that does the same; empty if it can."""
    if nn.parameter.is_lazy(linear.weight):
        return "it is lazy and has no weight yet; call the model once first"
    if type(linear) not in (nn.Linear, nn.Conv2d):
        return f"it is a {type(linear).__name__}, whose weight other code may read"
    if isinstance(linear, nn.Conv2d) and linear.groups > 1:
        return f"it has {linear.groups} groups, each with a matrix of its own"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(linear, kind) for kind in hooks):
        return "it has hooks (of pruning, for example); make them permanent or remove them first"
    owners = {
        id(module)
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
        if parameter is linear.weight or parameter is linear.bias
    }
    if len(owners) > 1:
        return "its weight or bias is tied to that of another layer"
    if linear.weight.device.type == "meta":
        return "its weight is on the meta device and has no values"
    parent = model.get_submodule(name.rpartition(".")[0]) if name else None
    if isinstance(parent, nn.TransformerEncoderLayer) and torch.backends.mha.get_fastpath_enabled():
        return (
            "TransformerEncoderLayer reads its weight on its fast path; call "
            "torch.backends.mha.set_fastpath_enabled(False) first, and before using the model"
        )
    if linear.weight.numel() == 0:
        return "its weight is empty"
    if not bool(torch.isfinite(linear.weight.detach()).all()):
        return "its weight has a NaN or an infinity"
    if not bool(linear.weight.detach().any()):
        return "its weight is zero"
    return ""


def put(model: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Replace a layer wherever the model holds it."""
    if model is old:
        return new
    for module in model.modules():
        names = [name for name, child in module._modules.items() if child is old]
        for name in names:
            setattr(module, name, new)
    return model


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters, without those of lazy layers, which are not there yet."""
    held = (p for p in model.parameters() if not nn.parameter.is_lazy(p))
    return sum(parameter.numel() for parameter in held)
