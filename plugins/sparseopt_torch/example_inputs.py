"""The example of a module's inputs: one tensor, several, or what its forward takes by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

import sparseopt as so
from sparseopt.interface.printing import printable

Leaf = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a module is called with.

    Parameters
    ----------
    args, kwargs : tuple and dict
        Of tensors, containers of such, and other objects, which stay as they are.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All tensors, in the order in which an exported program takes them."""
        leaves = pytree.tree_leaves((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]

    def mapped(self, change: Leaf) -> Inputs:
        """Return the inputs with every tensor changed."""
        args, kwargs = pytree.tree_map_only(torch.Tensor, change, (self.args, self.kwargs))
        return Inputs(args, kwargs)

    def call(self, module: torch.nn.Module) -> Any:
        """Return what the module makes of the inputs."""
        return module(*self.args, **self.kwargs)

    @property
    def shapes(self) -> str:
        """The shapes in words."""
        found = [str(tuple(t.shape)) for t in self.tensors]
        return f"an input of shape {found[0]}" if len(found) == 1 else f"inputs {', '.join(found)}"


def example_inputs(example: Any, module: torch.nn.Module) -> Inputs:
    """Return the example as what the module is called with, on its device and in its dtype.

    A tuple or list that holds tensors or arrays is the inputs in order; a dict whose keys are
    arguments of the module's forward is the inputs by name; any other is one input.
    """
    first = next((p for p in module.parameters() if p.is_floating_point()), None)

    def leaf(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic) or torch.is_tensor(value):
            return _as_tensor(value, first)
        return value

    if isinstance(example, Mapping):
        names = _argument_names(module)
        given = pytree.tree_map(leaf, dict(example))
        if not set(given) <= set(names):
            return Inputs((given,), {})
        return Inputs((), {name: given[name] for name in names if name in given})
    if isinstance(example, tuple | list) and any(map(_is_input, example)):
        return Inputs(tuple(pytree.tree_map(leaf, list(example))), {})
    return Inputs((_as_tensor(example, first),), {})


def _is_input(item: Any) -> bool:
    return torch.is_tensor(item) or isinstance(item, np.ndarray | Mapping | tuple)


def _argument_names(module: torch.nn.Module) -> list[str]:
    kinds = inspect.Parameter
    return [
        name
        for name, argument in inspect.signature(module.forward).parameters.items()
        if argument.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    ]


def missing_example(module: torch.nn.Module) -> so.ProblemError:
    """Return the error for a module without an example."""
    names = _argument_names(module)
    if len(names) < 2:
        wanted = "an input tensor of the right shape"
    else:
        wanted = f"a tuple of tensors, or a dict of those among {printable(', '.join(names), 200)}"
    return so.ProblemError(
        f"{type(module).__name__} does not fix its input shape; pass example=, {wanted} (its "
        "values do not matter)"
    )


def _as_tensor(value: Any, like: torch.Tensor | None) -> torch.Tensor:
    """Return a part of the example in the module's dtype and on its device."""
    try:
        tensor = value if torch.is_tensor(value) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError) as error:
        raise so.ProblemError(
            f"the example is a {type(value).__name__}; give a tensor or an array of numbers, or a "
            "tuple or dict of such"
        ) from error
    if tensor.is_complex() or tensor.numel() == 0:
        raise so.ProblemError(
            f"the example has shape {tuple(tensor.shape)} and dtype {tensor.dtype}; give a real "
            "tensor with entries"
        )
    if like is None:
        dtype = tensor.dtype if tensor.is_floating_point() else torch.float32
        return tensor.detach().to(dtype)
    return tensor.detach().to(dtype=like.dtype, device=like.device)


def common_batch(shapes: list[tuple[int, ...]]) -> int:
    """Return the leading size that all inputs share where it can be a batch, else 1."""
    sizes = {shape[0] if len(shape) > 1 else 1 for shape in shapes}
    return sizes.pop() if len(sizes) == 1 else 1
