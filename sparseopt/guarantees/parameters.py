"""The parameters of a network: which are free, and which entries of its layers are one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.arrays import as_array
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.network import Network


@dataclass(frozen=True, eq=False)
class Parameters:
    """The free parameters of a network, each once.

    Entries of the layers are counted over all arrays of the layers that the output depends on, one
    array after the other, each in row-major order; entries that are one parameter, because layers
    share a tensor, have one column.

    Attributes
    ----------
    starts : dict of str to int
        First entry of each array, by ``"node.field"``.
    column : int64 array, shape (entries,)
        The free parameter that an entry is, -1 for constants.
    first : int64 array, shape (parameters,)
        The first entry that is the parameter.
    values : tuple of array
        The arrays, as they are stored.
    """

    starts: dict[str, int]
    column: np.ndarray
    first: np.ndarray
    values: tuple[np.ndarray, ...]

    @property
    def count(self) -> int:
        """How many free parameters there are."""
        return len(self.first)

    def name(self, column: int) -> str:
        """Return the array and the place of a parameter, as ``node.weight[2, 3]``."""
        entry = int(self.first[column])
        name = max(
            (n for n in self.starts if self.starts[n] <= entry), key=lambda n: self.starts[n]
        )
        array = self.values[list(self.starts).index(name)]
        place = np.unravel_index(entry - self.starts[name], array.shape)
        return f"{name}{[int(i) for i in place]}"


def free_masks(network: Network, free: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """Return which entries of each array are free: as asked, else weights that are not zero and
    every bias; factors of entrywise scales are constants.

    Raises
    ------
    ProblemError
        For names that the network does not have, masks of another shape or not of 0 and 1.
    """
    arrays = network.parameters()
    if free is not None and not isinstance(free, Mapping):
        raise ProblemError(
            f"free is a {type(free).__name__}; give a dict from names as in network.parameters() "
            "to arrays of 0 and 1"
        )
    for name in free or {}:
        if name not in arrays:
            raise ProblemError(
                f"free names {name!r}, which the network does not have; it has "
                f"{', '.join(list(arrays)[:8])}"
            )
    masks = {}
    for name, array in arrays.items():
        node, field = network.by_name[name.rpartition(".")[0]], name.rpartition(".")[2]
        if node.name not in network.used:
            continue
        if free is not None and name in free:
            masks[name] = _mask(free[name], name, array.shape)
        elif field == node.op.bias_field:
            masks[name] = np.ones(array.shape, dtype=bool)
        elif field == "factor":
            masks[name] = np.zeros(array.shape, dtype=bool)
        else:
            masks[name] = (array != 0).astype(bool)
    return masks


def _mask(value: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    mask = as_array(value, f"free[{name!r}]")
    if mask.shape != shape:
        raise ProblemError(f"free[{name!r}] has shape {mask.shape}, must be {shape}")
    if not np.isin(mask, (0, 1)).all():
        raise ProblemError(f"free[{name!r}] must hold 0 and 1: 1 where an entry is free")
    return mask.astype(bool)


def parameters(network: Network, free: Mapping[str, np.ndarray]) -> Parameters:
    """Return the parameters for masks as of `free_masks`.

    Arrays that name one tensor of the source (`Node.origin`) are one, entry by entry.

    Raises
    ------
    ProblemError
        If two layers share a tensor and hold different values, or free different entries of it.
    """
    if not free:
        raise ProblemError("the network has no weights: there is no free parameter")
    arrays = network.parameters()
    starts, keys, size = dict[str, int](), list[np.ndarray](), 0
    tensors: dict[str, tuple[int, str]] = {}
    for name in free:
        node, field = network.by_name[name.rpartition(".")[0]], name.rpartition(".")[2]
        array = arrays[name]
        starts[name] = size
        place = np.arange(array.size)
        tensor = node.origin.get(field)
        if field in node.layouts:
            place = np.asarray(node.layouts[field]).ravel()
        if tensor is not None and tensor in tensors:
            base, other = tensors[tensor]
            if arrays[other].size != array.size:
                raise ProblemError(f"{name!r} and {other!r} share a tensor and differ in size")
            keys.append(base + place)
        else:
            if tensor is not None:
                tensors[tensor] = (size, name)
            keys.append(size + place)
        size += array.size
    masks = np.concatenate([free[name].ravel() for name in free])
    flat = np.concatenate([arrays[name].ravel() for name in free])
    _, first, same = np.unique(np.concatenate(keys), return_index=True, return_inverse=True)
    origin = first[same.ravel()]
    for what, each in (("hold different values", flat), ("are free in one layer only", masks)):
        if (each != each[origin]).any():
            entry = int(np.flatnonzero(each != each[origin])[0])
            name = max((n for n in starts if starts[n] <= entry), key=lambda n: starts[n])
            raise ProblemError(f"entries of {name!r}, which shares its tensor, {what}")
    number = np.full(size, -1, dtype=np.int64)
    kept = np.flatnonzero((origin == np.arange(size)) & masks)
    number[kept] = np.arange(len(kept))
    values = tuple(arrays[name] for name in free)
    return Parameters(starts, number[origin], kept, values)
