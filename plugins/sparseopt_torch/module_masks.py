"""Masks of ``torch.nn.utils.prune``, and the tensors of modules under them."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch.nn.utils.prune import BasePruningMethod, custom_from_mask

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


class MaskedWeight(torch.Tensor):
    """A masked weight, computed from others, of which a module can be copied.

    ``copy.deepcopy`` refuses plain tensors that others were computed to. The next call of a copied
    module computes its own.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        """Return the values alone."""
        return self.detach().as_subclass(torch.Tensor).clone()


class Copyable:
    """A hook behind those of ``torch.nn.utils.prune``, so that the module can be copied.

    Parameters
    ----------
    names : list of str
        Of the weights with masks.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __call__(self, module: torch.nn.Module, inputs: Any) -> None:
        """Wrap the weights that the hooks before have computed."""
        for name in self.names:
            value = module.__dict__.get(name)
            if type(value) is torch.Tensor:
                module.__dict__[name] = value.as_subclass(MaskedWeight)


def add_mask(source: torch.nn.Module, name: str, mask: np.ndarray) -> None:
    """Register a mask with ``torch.nn.utils.prune``, on top of those that are there.

    Also where another part of the module holds the same tensor.
    """
    _, tensor = tensor_of(source, name)
    wide = torch.from_numpy(np.array(mask, dtype=bool)).to(tensor.device)
    for owner in list(source.modules()):
        for leaf in [leaf for leaf, held in owner._parameters.items() if held is tensor]:
            _mask(owner, leaf.removesuffix("_orig"), wide.reshape(tensor.shape))


def _mask(owner: torch.nn.Module, leaf: str, mask: torch.Tensor) -> None:
    custom_from_mask(owner, leaf, mask)
    for key, hook in list(owner._forward_pre_hooks.items()):
        if isinstance(hook, Copyable):
            del owner._forward_pre_hooks[key]
    last = Copyable(_masks(owner))
    owner.register_forward_pre_hook(last)
    last(owner, ())


def apply_masks(module: torch.nn.Module) -> None:
    """Compute the masked weights anew, as the next call of the module would."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod | Copyable):
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
        original, mask = module._parameters[f"{name}_orig"], module._buffers[f"{name}_mask"]
        twin.__dict__.pop(name, None)
        del twin._parameters[f"{name}_orig"], twin._buffers[f"{name}_mask"]
        before, made = done.get(id(original), (None, None))
        if before is None or not torch.equal(before, mask):
            masked = (original * mask).detach()
            made = torch.nn.Parameter(masked, requires_grad=False)
            done[id(original)] = mask, made  # what is shared stays so
        twin._parameters[name] = made
    twin._forward_pre_hooks = OrderedDict(
        (key, hook)
        for key, hook in module._forward_pre_hooks.items()
        if not isinstance(hook, BasePruningMethod | Copyable)
    )
    return twin
