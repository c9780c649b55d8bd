"""Other values for the tensors of a module, and normalizations that others have taken in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

import sparseopt as so
from sparseopt_torch.module_masks import apply_masks, tensor_of


def assign(source: Any, tensors: Mapping[str, Any], merged: Sequence[str]) -> Callable[[], None]:
    """Set tensors, make biases that are not there, replace normalizations by the identity.

    Returns
    -------
    callable
        What undoes it.
    """
    undo: list[Callable[[], None]] = []

    def undone() -> None:
        for step in reversed(undo):
            step()

    try:
        for name in merged:
            undo.append(_drop(source, name))
        for name, array in tensors.items():
            undo.append(_set(source, name, np.asarray(array)))
    except Exception:
        undone()
        raise
    return undone


def _drop(source: torch.nn.Module, name: str) -> Callable[[], None]:
    """Replace a normalization by the identity."""
    path, _, leaf = name.rpartition(".")
    owner = source.get_submodule(path)
    norm = owner.get_submodule(leaf) if leaf else owner
    if not leaf or not isinstance(norm, torch.nn.modules.batchnorm._NormBase):
        raise so.ProblemError(
            f"{name or 'the module itself'!r} is no batch normalization in a module, so it cannot "
            "be merged in place; work on the network that so.load_network makes"
        )
    setattr(owner, leaf, torch.nn.Identity())
    return lambda: setattr(owner, leaf, norm)


def _set(source: torch.nn.Module, name: str, array: np.ndarray) -> Callable[[], None]:
    """Set one tensor; a bias that is None is made."""
    path, _, leaf = name.rpartition(".")
    owner = source.get_submodule(path)
    if owner._parameters.get(leaf, owner) is None:
        return _make(owner, leaf, array)
    owner, tensor = tensor_of(source, name)
    before = tensor.detach().clone()

    def write(values: torch.Tensor) -> None:
        with torch.no_grad():
            tensor.copy_(values)
            apply_masks(owner)

    wide = torch.from_numpy(np.array(array)).to(tensor.device)
    write(wide.reshape(tensor.shape).to(tensor.dtype))
    return lambda: write(before)


def _make(owner: torch.nn.Module, leaf: str, array: np.ndarray) -> Callable[[], None]:
    """Make a parameter that the module can have and has not, in the dtype of the others."""
    some = next(p for p in owner._parameters.values() if p is not None)
    values = torch.from_numpy(np.array(array)).to(device=some.device, dtype=some.dtype)
    setattr(owner, leaf, torch.nn.Parameter(values, requires_grad=some.requires_grad))

    def undo() -> None:
        owner._parameters[leaf] = None

    return undo
