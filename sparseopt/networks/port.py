"""One of several inputs or outputs of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.arrays import as_array
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.networks.parameters import Shape, as_integers


@json_type
@dataclass(frozen=True)
class Port:
    """One of the inputs or outputs that are joined in the input or output of a network.

    Parameters
    ----------
    name : str
        The name that the source gives it.
    shape : tuple of int
        Of one sample, without a batch axis.

    Raises
    ------
    ProblemError
        For a shape without entries.
    """

    name: str
    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", as_integers(self.shape, f"the shape of {self.name!r}"))
        if self.size < 1:
            raise ProblemError(f"{self.name!r} has shape {self.shape}; every size must be positive")

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(n if n > 0 else 0 for n in self.shape)


def require_fit(ports: Sequence[Port], what: str, shape: Shape) -> None:
    """Refuse ports that are not the entries of a network's input or output, each name once."""
    if sum(port.size for port in ports) != math.prod(shape):
        raise ProblemError(
            f"{what}s are {', '.join(f'{p.name} {p.shape}' for p in ports)}, which are not the "
            f"entries of a value of shape {shape}"
        )
    if len({port.name for port in ports}) != len(ports):
        raise ProblemError(f"two {what}s have one name; names must be unique")


def join_inputs(x: Any, ports: Sequence[Port], labels: Sequence[str] | None, shape: Shape) -> Any:
    """Return an input of a network as one array, where it is given input by input.

    Parameters
    ----------
    x : array; or a mapping, from label to number or from name of an input to array; or a tuple
        A tuple holds an array for each of several inputs.
    ports : sequence of Port
    labels : sequence of str, or None
        Of the entries of the input.
    shape : tuple of int
        Of the network's input.
    """
    names = [port.name for port in ports]
    if isinstance(x, Mapping):
        if labels is not None and not (names and set(x) <= set(names)):
            if len(x) != len(labels) or any(label not in x for label in labels):
                raise ProblemError(f"give one number for each of {list(labels)}")
            return [x[label] for label in labels]
        if not ports:
            raise ProblemError("the inputs of this network have no labels; pass an array")
        if set(x) != set(names):
            raise ProblemError(f"give one array for each of {names}, got {sorted(map(str, x))}")
        return _joined([x[name] for name in names], ports, shape)
    if isinstance(x, tuple) and len(ports) > 1:
        if len(x) != len(ports):
            raise ProblemError(f"the network takes {len(ports)} inputs {names}, got {len(x)}")
        return _joined(list(x), ports, shape)
    return x


def _joined(parts: Sequence[Any], ports: Sequence[Port], shape: Shape) -> np.ndarray:
    arrays = [as_array(part, f"the input {p.name!r}") for part, p in zip(parts, ports, strict=True)]
    flat, leads = [], set()
    for array, port in zip(arrays, ports, strict=True):
        lead = array.shape[: max(0, array.ndim - len(port.shape))]
        if (*lead, *port.shape) != array.shape or len(lead) > 1:
            raise ProblemError(
                f"the input {port.name!r} has shape {array.shape}; it takes {port.shape}, or that "
                "with an axis of samples before it"
            )
        leads.add(lead)
        flat.append(array.reshape(*lead, -1))
    if len(leads) > 1:
        raise ProblemError(f"the inputs hold different numbers of samples: {sorted(leads)}")
    return np.concatenate(flat, axis=-1).reshape(*leads.pop(), *shape)
