"""What pruning did, tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparseopt.interface.printing import printable
from sparseopt.interface.seams import drawn, notebook_page
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.tools.change_ends import ChangeEnds
from sparseopt.tools.pruning.supports import PairVerdict, pair_verdicts
from sparseopt.tools.tensor_order import of_tensor


@dataclass(frozen=True)
class PrunedTensor:
    """What pruning did to one tensor.

    Attributes
    ----------
    name : str
        Of the parameter, ``"node.field"``.
    size, kept : int
        Entries, and how many of them the mask keeps; entries that are zero anyway count as
        removed if the mask removes them.
    reason : str
        Why the tensor was left alone; empty if it was pruned.
    """

    name: str
    size: int
    kept: int
    reason: str = ""

    def __str__(self) -> str:
        share = f"{self.kept}/{self.size} kept ({self.kept / self.size:.1%})"
        return printable(f"{self.name}: {self.reason or share}", 400)


@dataclass(frozen=True, eq=False)
class Pruning:
    """The result of `prune`.

    Attributes
    ----------
    network : Network
        The pruned network.
    masks : dict of str to bool array
        By parameter, ``"node.weight"``: True where a weight is kept.
    tensors : tuple of PrunedTensor
        Every parameter of the network, pruned or not, and why not.
    criterion, scope : str
    ratio : float
        As asked.
    affine : str
        "as_is": batch normalizations are layers of their own.
    granularity : str
        "weight", "channel", or a pattern such as "2:4".
    removed : tuple of str
        Of granularity "channel": the groups of units that went, each by its first unit,
        ``"node[unit]"``.
    ends : ChangeEnds or None
        With inputs: how far the output moves at most, and at least, for all inputs between the
        least and the largest entry of these.
    """

    network: Network
    masks: dict[str, np.ndarray]
    tensors: tuple[PrunedTensor, ...]
    criterion: str
    scope: str
    ratio: float
    affine: str = "as_is"
    granularity: str = "weight"
    removed: tuple[str, ...] = ()
    ends: ChangeEnds | None = None

    @property
    def density(self) -> float:
        """Share of the prunable weights that is kept."""
        touched = [t for t in self.tensors if not t.reason]
        return sum(t.kept for t in touched) / sum(t.size for t in touched)

    @cached_property
    def nonzero(self) -> float:
        """Share of the prunable weights that are not zero after it."""
        arrays = self.network.parameters()
        touched = [t for t in self.tensors if not t.reason]
        left = sum(int(np.count_nonzero(arrays[t.name])) for t in touched)
        return left / sum(t.size for t in touched)

    @cached_property
    def tensor_masks(self) -> dict[str, np.ndarray]:
        """The masks by the names, and in the shapes, of the tensors of the source.

        Of a network that has no source, those of the parameters.
        """
        result = {}
        for name, mask in self.masks.items():
            node, field = place(self.network, name)
            shape = node.tensor_shapes.get(field, mask.shape)
            result[tensor_of(self.network, name)] = of_tensor(node, field, mask).reshape(shape)
        return result

    def supports(self, seconds_per_pair: float = 10.0) -> list[PairVerdict]:
        """Ask whether the supports of consecutive layers are closed; see `pair_verdicts`."""
        return pair_verdicts(self.network, seconds_per_pair)

    def plot(self, ax: Any = None) -> Any:
        """Draw the share of each tensor that is kept; return the matplotlib Axes."""
        return drawn(self, ax)

    def _repr_html_(self) -> str:
        return notebook_page(self)

    def __repr__(self) -> str:
        return f"<Pruning: {str(self).splitlines()[0]}>"

    def __str__(self) -> str:
        kind = self.scope if self.granularity == "weight" else f"{self.granularity}, {self.scope}"
        head = f"{self.criterion}, {kind}: {self.density:.1%} of the weights kept"
        if self.nonzero < self.density:
            head += f"; not zero are {self.nonzero:.1%}"
        last = [] if self.ends is None else [f"  {self.ends}"]
        return "\n".join([head, *(f"  {tensor}" for tensor in self.tensors), *last])


def place(network: Network, name: str) -> tuple[Node, str]:
    """Return the node of a parameter, and its field."""
    owner, _, field = name.rpartition(".")
    return network.by_name[owner], field


def tensor_of(network: Network, name: str) -> str:
    """Return the tensor of the source behind a parameter, or the parameter's own name."""
    node, field = place(network, name)
    return node.origin.get(field, name)
