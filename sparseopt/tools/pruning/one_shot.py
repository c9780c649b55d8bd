"""One-shot pruning of a network or a torch module."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.choosing import offers
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import printable
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.pathnorm.path_cost import weight_names
from sparseopt.tools.pruning.criteria import CRITERIA, Scores, lowest, scores
from sparseopt.tools.pruning.supports import PairVerdict, close_supports, pair_verdicts
from sparseopt.tools.reading.loading import load_network
from sparseopt.tools.rescaling.in_place import PRODUCES, changes_in_place
from sparseopt.tools.tensor_order import of_parameter, of_tensor


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
    """

    network: Network
    masks: dict[str, np.ndarray]
    tensors: tuple[PrunedTensor, ...]
    criterion: str
    scope: str
    ratio: float
    affine: str = "as_is"

    @property
    def density(self) -> float:
        """Share of the prunable weights that is kept."""
        touched = [t for t in self.tensors if not t.reason]
        return sum(t.kept for t in touched) / sum(t.size for t in touched)

    def supports(self, seconds_per_pair: float = 10.0) -> list[PairVerdict]:
        """Ask whether the supports of consecutive layers are closed; see `pair_verdicts`."""
        return pair_verdicts(self.network, seconds_per_pair)

    def __str__(self) -> str:
        head = f"{self.criterion}, {self.scope}: {self.density:.1%} of the weights kept"
        return "\n".join([head, *(f"  {tensor}" for tensor in self.tensors)])


def prune(
    subject: Any,
    ratio: float,
    criterion: str = "path_cost",
    *,
    scope: str = "global",
    closed: bool = False,
    seed: int = 0,
    example: Any = None,
) -> Pruning:
    """Set the least important weights to zero.

    Parameters
    ----------
    subject : Network, torch.nn.Module, or anything that `load_network` takes
        A module gets masks by ``torch.nn.utils.prune``, on top of those that it has; anything
        else is left as it is.
    ratio : float
        Share of the weights that are zero afterwards, in [0, 1]; zeros of before count.
    criterion : {"path_cost", "magnitude", "canonical_magnitude", "random"}
        Path cost (arXiv 2405.15006), and magnitude in the canonical form of `canonicalize`, do
        not depend on the scale of hidden units; plain magnitude does.
    scope : {"global", "layer"}
        The ratio holds over all weights together, or in each tensor.
    closed : bool
        Remove further weights until `Closedness` proves the supports of every two consecutive
        linear layers closed; the ratio is exceeded then.
    seed : int
        For "random".
    example : array or tensor, optional
        An input, for subjects that do not fix their input shape.

    Returns
    -------
    Pruning

    Raises
    ------
    ProblemError
        For a ratio outside [0, 1], an unknown criterion or scope, a network without weights; for
        the path cost if a path meets a tensor twice.

    Notes
    -----
    Weights of dense and convolutional layers are pruned, biases and batch normalizations are not.
    A tensor that several layers share is one tensor: its scores add up, its mask is one. Ties are
    broken by position, so the masks are reproducible.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[3.0], [1.0]])), Relu(), Dense(np.array([[1.0, -2.0]])))
    >>> pruned = so.prune(net, 0.5)  # |3 * 1| is more than |1 * -2|
    >>> pruned.masks["2:Dense.weight"]
    array([[ True, False]])
    >>> print(pruned)
    path_cost, global: 50.0% of the weights kept
      0:Dense.weight: 1/2 kept (50.0%)
      2:Dense.weight: 1/2 kept (50.0%)
    """
    if not (isinstance(ratio, int | float | np.number) and 0 <= ratio <= 1):
        raise ProblemError(f"ratio must lie in [0, 1], got {ratio!r}")
    if scope not in ("global", "layer"):
        raise ProblemError(f"scope must be 'global' or 'layer', not {scope!r}")
    if criterion not in CRITERIA:
        raise ProblemError(f"criterion must be one of {', '.join(CRITERIA)}, not {criterion!r}")
    network = load_network(subject, example)
    in_place = changes_in_place(subject)
    left = _left_alone(network, in_place)
    names = [name for name in weight_names(network) if name not in left]
    if not names:
        raise ProblemError("the network has no weights of dense or convolutional layers to prune")
    masks = _masks(network, names, scores(network, criterion, seed), float(ratio), scope)
    if closed:
        masks = close_supports(network, masks)
    if in_place:
        tensors = {
            _tensor(network, name): of_tensor(*_place(network, name), mask)
            for name, mask in masks.items()
        }
        offers.reader_of(subject, PRODUCES).mask(subject, tensors)
    arrays = network.parameters()
    pruned = network.with_parameters({n: _masked(arrays[n], m) for n, m in masks.items()})
    table = tuple(
        PrunedTensor(name, array.size, array.size, left[name])
        if name in left
        else PrunedTensor(name, array.size, int(masks[name].sum()))
        for name, array in arrays.items()
    )
    return Pruning(pruned, masks, table, criterion, scope, float(ratio))


def _masked(array: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask, array, array.dtype.type(0) if array.dtype != object else 0)


def _tensor(network: Network, name: str) -> str:
    """Return the tensor of the source behind a parameter, or the parameter's own name."""
    owner, _, field = name.rpartition(".")
    return network.by_name[owner].origin.get(field, name)


def _place(network: Network, name: str) -> tuple[Node, str]:
    """Return the node of a parameter, and its field."""
    owner, _, field = name.rpartition(".")
    return network.by_name[owner], field


def _left_alone(network: Network, in_place: bool) -> dict[str, str]:
    """Return the parameters that are not pruned, with the reasons."""
    weights = weight_names(network)
    result = {}
    for node in network.nodes:
        for field in node.op.parameters():
            name = f"{node.name}.{field}"
            if node.name not in network.used:
                result[name] = "left alone: the output does not depend on it"
            elif field == node.op.bias_field:
                result[name] = "left alone: biases are not pruned"
            elif name not in weights:
                result[name] = "left alone: the scale of a normalization or a constant"
            elif in_place and field not in node.origin:
                result[name] = "left alone: it is computed from other tensors of the module"
    return result


def _masks(
    network: Network, names: list[str], found: Scores, ratio: float, scope: str
) -> dict[str, np.ndarray]:
    """Return the masks; one per tensor, also where several parameters are that tensor."""
    arrays = network.parameters()
    uses: dict[str, list[str]] = {}
    for name in names:
        uses.setdefault(_tensor(network, name), []).append(name)
    places = {name: _place(network, name) for name in names}
    totals = {
        tensor: np.sum([of_tensor(*places[n], found[n]) for n in users], axis=0)
        for tensor, users in uses.items()
    }
    zeros = {t: of_tensor(*places[n[0]], arrays[n[0]]) == 0 for t, n in uses.items()}
    parts = [[tensor] for tensor in uses] if scope == "layer" else [list(uses)]
    result = {}
    for part in parts:
        values = np.concatenate([totals[tensor] for tensor in part])
        zero = np.concatenate([zeros[tensor] for tensor in part])
        removed = lowest(values, zero, math.floor(ratio * len(values) + 0.5))
        cuts = np.cumsum([len(totals[tensor]) for tensor in part])[:-1]
        for tensor, gone in zip(part, np.split(removed, cuts), strict=True):
            for name in uses[tensor]:
                result[name] = of_parameter(*places[name], ~gone)
    return {name: result[name] for name in names}
