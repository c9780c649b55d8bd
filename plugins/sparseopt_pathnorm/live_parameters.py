"""The parameters of a network as functions of the tensors of the module that it was read from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import sparseopt as so
from sparseopt.networks.node import Node

Live = Callable[[nn.Module], torch.Tensor]
"""A parameter of a network, in its shape, from the module as it is now."""


def bindings(module: nn.Module, network: so.Network) -> dict[str, dict[str, Live]]:
    """Return for each node how its parameters are computed from the module.

    Raises
    ------
    ProblemError
        If a parameter of the module that requires a gradient is not found in the network as it
        stands.
    """
    met: set[str] = set()
    result: dict[str, dict[str, Live]] = {}
    with torch.no_grad():
        for node in network.nodes:
            held = node.op.parameters()
            if not held:
                continue
            norm = _normalization(module, node)
            found = {}
            for field, array in held.items():
                if field in node.origin:
                    met.add(node.origin[field])
                    live = _of_tensor(node, field, array)
                elif norm is not None:
                    met.update(f"{norm}.{leaf}" for leaf in ("weight", "bias"))
                    live = _of_normalization(norm, field, array.shape)
                else:
                    live = _constant(array)
                _require_value(live(module), array, f"{node.name}.{field}")
                found[field] = live
            result[node.name] = found
    for name, parameter in module.named_parameters():
        plain = name.removesuffix("_orig")
        if parameter.requires_grad and not met.intersection((name, plain)):
            raise so.ProblemError(
                f"the parameter {name!r} is no weight, bias or normalization of the network as it "
                "stands (it is computed with, or not used), so that the gradient by it is not "
                "known; requires_grad_(False) leaves it out"
            )
    return result


def tensor_at(module: nn.Module, name: str) -> torch.Tensor:
    """Return a parameter or buffer with its mask, if it has one."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if f"{leaf}_orig" in owner._parameters:
        mask = getattr(
            owner, f"{leaf}_mask"
        ).clone()  # what writes buffers must not break gradients
        masked: torch.Tensor = getattr(owner, f"{leaf}_orig") * mask
        return masked
    found: torch.Tensor = getattr(owner, leaf)
    return found


def _of_tensor(node: Node, field: str, array: np.ndarray) -> Live:
    name, shape = node.origin[field], array.shape
    layout = node.layouts.get(field)
    if layout is None:
        return lambda module: tensor_at(module, name).reshape(shape)
    index = torch.from_numpy(np.array(layout, dtype=np.int64)).reshape(-1)

    def live(module: nn.Module) -> torch.Tensor:
        flat = tensor_at(module, name).reshape(-1)
        return flat.index_select(0, index.to(flat.device)).reshape(shape)

    return live


def _normalization(module: nn.Module, node: Node) -> str | None:
    """Return the batch normalization that a node is, by its running mean."""
    for tensor in node.shifts:
        path, _, leaf = tensor.rpartition(".")
        if leaf == "running_mean":
            owner = module.get_submodule(path)
            return path if isinstance(owner, nn.modules.batchnorm._NormBase) else None
    return None


def _of_normalization(path: str, field: str, shape: tuple[int, ...]) -> Live:
    def live(module: nn.Module) -> torch.Tensor:
        norm: Any = module.get_submodule(path)
        # Calls in training mode write to the statistics, also before the gradient is asked for.
        mean = norm.running_mean.clone()
        factor = torch.rsqrt(norm.running_var + norm.eps)
        if norm.weight is not None:
            factor = factor * norm.weight
        if field == "factor":
            return factor.reshape(shape)
        shift = -factor * mean
        return (shift if norm.bias is None else shift + norm.bias).reshape(shape)

    return live


def _constant(array: np.ndarray) -> Live:
    value = torch.from_numpy(np.array(array, dtype=np.float64))

    def live(module: nn.Module) -> torch.Tensor:
        first = next(module.parameters(), value)
        return value.to(first.device, first.dtype)

    return live


def _require_value(found: torch.Tensor, array: np.ndarray, name: str) -> None:
    """Refuse a binding that does not give the value that the network was read with."""
    values = found.detach().double().cpu().numpy()
    size = float(np.abs(array).max())
    if values.shape != array.shape or not np.allclose(values, array, 1e-4, 1e-5 * size):
        raise so.ProblemError(
            f"{name} of the network is not what its tensors give; please report this as a defect"
        )
