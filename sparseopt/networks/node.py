"""One layer of a network, and what merging and unrolling need of the network that it stands in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sparseopt.interface.arrays import as_array
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.networks.operator import Operator
from sparseopt.networks.parameters import Shape


@json_type
@dataclass(frozen=True, eq=False)
class Node:
    """One layer of a network.

    Parameters
    ----------
    name : str
        Unique in the network; readers keep the name that the source uses.
    op : Operator
    inputs : tuple of str
        Names of the predecessors, in the order in which the operator takes them.
    origin : dict of str to str
        Parameter of the operator to the tensor of the source that it came from, where it is that
        tensor, its entries in row-major order or in that of `layouts`. Two nodes naming one tensor
        share (tie) their weights.
    shifts : tuple of str
        Tensors of the source in which the bias is linear where it is none of them as it stands,
        such as running mean and bias of a batch normalization.
    layouts : dict of str to int array
        For parameters of `origin` that are the tensor with its entries moved: of each entry, in
        the shape of the parameter, the row-major position in the tensor.
    tensor_shapes : dict of str to tuple of int
        For parameters of `origin` whose tensor has another shape than they: that.
    """

    name: str
    op: Operator
    inputs: tuple[str, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)
    shifts: tuple[str, ...] = ()
    layouts: dict[str, np.ndarray] = field(default_factory=dict)
    tensor_shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("inputs", "shifts"):
            if not isinstance(names := getattr(self, name), list | tuple):
                raise ProblemError(f"{name} of a node must be a list, got {type(names).__name__}")
            object.__setattr__(self, name, tuple(names))
        if self.layouts or self.tensor_shapes:
            self._require_layouts()
            self._require_tensor_shapes()

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Node:
        """Return what JSON holds; files made before there were layouts have none."""
        return cls(**{"layouts": {}, "tensor_shapes": {}, **fields})

    def _require_layouts(self) -> None:
        """Refuse layouts that do not name each entry of a parameter once."""
        held = self.op.parameters()
        for name, places in self.layouts.items():
            array = as_array(places, f"the layout of {name!r}")
            fits = name in self.origin and name in held and array.shape == held[name].shape
            each = fits and np.array_equal(np.sort(array, axis=None), np.arange(array.size))
            if not each or array.dtype.kind not in "iu":
                raise ProblemError(
                    f"the layout of {name!r} of node {self.name!r} must name a position in its "
                    "tensor for each entry of the parameter, each once"
                )

    def _require_tensor_shapes(self) -> None:
        """Refuse shapes of tensors that do not hold the entries of a parameter."""
        held = self.op.parameters()
        for name, shape in self.tensor_shapes.items():
            size = held[name].size if name in self.origin and name in held else -1
            if not isinstance(shape, tuple) or math.prod(shape) != size:
                raise ProblemError(
                    f"the tensor of {name!r} of node {self.name!r} has the shape {shape}, which "
                    "does not hold the entries of the parameter"
                )


Visit = Callable[[Node, list[Any]], Any]
"""What `LayerGraph.walk` computes at each node from the values before it."""


class LayerGraph(Protocol):
    """A `sparseopt.Network`, as far as functions know it that the network itself calls."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """In topological order; the first is the `Input`."""
        ...

    @property
    def output(self) -> str:
        """Name of the node that gives the output."""
        ...

    @property
    def input_labels(self) -> tuple[str, ...] | None:
        """Names of the entries of the input, where the source has them."""
        ...

    @property
    def by_name(self) -> Mapping[str, Node]:
        """Node by name."""
        ...

    @property
    def used(self) -> frozenset[str]:
        """Names of the nodes that the output depends on, the input included."""
        ...

    @property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """For each node the used nodes that read it, once per use, in order."""
        ...

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of each node's value."""
        ...

    @property
    def input_shape(self) -> Shape:
        """Shape of the input."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether every parameter is an exact number (int or Fraction)."""
        ...

    @property
    def edge_count(self) -> int:
        """How many edges between neurons the network has (an upper bound near padding)."""
        ...

    def walk(self, first: Any, visit: Visit) -> Any:
        """Compute a value at every node and return that of the output."""
        ...
