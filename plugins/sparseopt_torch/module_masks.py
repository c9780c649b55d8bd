"""Masks of ``torch.nn.utils.prune``, and the tensors of modules under them."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch.nn.utils.prune import BasePruningMethod

import sparseopt as so


def tensor_of(source: Any, name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """Return a parameter or buffer, the unmasked one where it has a mask, and its module."""
    if not isinstance(source, torch.nn.Module):
        raise so.ProblemError(
            f"a {type(source).__name__} is not changed in place; work on the module, or on the "
            "network that so.load_network makes of it"
        )
    path, _, leaf = name.rpartition(".")
    owner = source.get_submodule(path)
    held = {**owner._parameters, **owner._buffers}
    tensor = held.get(f"{leaf}_orig", held.get(leaf))
    if tensor is None:
        raise so.ProblemError(f"{type(source).__name__} holds no tensor {name!r}")
    return owner, tensor


def apply_masks(module: torch.nn.Module) -> None:
    """Compute the masked weights anew, as the next call of the module would."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod):
            hook(module, ())


def without_masks(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module with masks of ``torch.nn.utils.prune`` multiplied into the weights.

    Shares everything else with the original, which is not touched. A module without masks is
    returned as it is.
    """
    if not any(_masks(part) for part in module.modules()):
        return module
    return _copy_without_masks(module, {})


def _masks(module: torch.nn.Module) -> list[str]:
    hooks = module._forward_pre_hooks.values()
    return [h._tensor_name for h in hooks if isinstance(h, BasePruningMethod)]


def _copy_without_masks(module: torch.nn.Module, done: dict[int, Any]) -> torch.nn.Module:
    if id(module) in done:
        return done[id(module)]
    twin = copy.copy(module)
    done[id(module)] = twin
    twin.__dict__ = dict(module.__dict__)
    twin._parameters = dict(module._parameters)
    twin._buffers = dict(module._buffers)
    twin._modules = {
        name: None if child is None else _copy_without_masks(child, done)
        for name, child in module._modules.items()
    }
    for name in _masks(module):
        masked = module._parameters[f"{name}_orig"] * module._buffers[f"{name}_mask"]
        twin.__dict__.pop(name, None)
        del twin._parameters[f"{name}_orig"], twin._buffers[f"{name}_mask"]
        twin._parameters[name] = torch.nn.Parameter(masked.detach(), requires_grad=False)
    twin._forward_pre_hooks = OrderedDict(
        (key, hook)
        for key, hook in module._forward_pre_hooks.items()
        if not isinstance(hook, BasePruningMethod)
    )
    return twin
