"""Path-norms of the hidden layers, from the input to the output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseopt.interface.arrays import read_only
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.printing import short, short_repr
from sparseopt.interface.seams import drawn
from sparseopt.networks.linear import Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Relu
from sparseopt.pathnorm import plain
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.rounded import RoundedSums


@short_repr
@dataclass(frozen=True, eq=False)
class DepthProfile:
    """Path-norms of the networks that end at each layer.

    Attributes
    ----------
    layers : tuple of str
        Names of the nodes, in the order of the network; the last is the output.
    log10_total : float64 array, shape (layers,)
        Decimal logarithm of the sum over the layer's neurons v of ``||Phi^(->v)||_q^q`` (for
        q = 0 the number of nonzero paths that end in the layer, for q = inf the largest |Phi_p|).
    log10_largest : float64 array, shape (layers,)
        The same for the largest neuron.
    """

    layers: tuple[str, ...]
    log10_total: np.ndarray
    log10_largest: np.ndarray

    def plot(self, ax: Any = None) -> Any:
        """Draw the norms from layer to layer; return the matplotlib Axes (extra ``plot``)."""
        return drawn(self, ax)

    def __post_init__(self) -> None:
        for name in ("log10_total", "log10_largest"):
            object.__setattr__(self, name, read_only(np.asarray(getattr(self, name), dtype=float)))


def norms_along_depth(network: Network, q: float = 1, affine: str = "as_is") -> DepthProfile:
    """Return how path-norms grow from layer to layer, by one pass.

    Parameters
    ----------
    network : Network
    q : float
        0, positive or inf, as for `PathNorm`.
    affine : {"as_is", "merged"}

    Returns
    -------
    DepthProfile
        One entry per layer with neurons of its own, and one for the output. A ReLU within the
        network is part of the layer before it; a layer that only an entrywise scale (batch
        normalization) reads is part of the scale.

    Notes
    -----
    Path sums of a hidden layer depend on the scale of its neurons: rescaling a network changes
    them, while the last entry, the path-norm of the network, stays.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> net = chain((2,), Dense(np.full((5, 2), 10.0)), Relu(), Dense(np.ones((1, 5))))
    >>> norms_along_depth(net).log10_total  # 5 neurons of 20 each; then 100
    array([2., 2.])
    """
    if affine not in ("as_is", "merged"):
        raise ProblemError(f"affine must be 'as_is' or 'merged', not {short(affine)}")
    offsets = biases(network, affine)
    sums: dict[str, tuple[float, float]] = {}

    def run(arithmetic: RoundedSums) -> None:
        def seen(node: Node, values: Any, value: Any) -> None:
            here = arithmetic.powers(value)
            total = here.norm(math.inf if q == math.inf else 1)
            sums[node.name] = float(total.log10()), float(here.norm(math.inf).log10())

        plain.forward(network, arithmetic, offsets, seen=seen)

    plain.in_floats(network, q, run)
    names = [n.name for n in network.nodes if n.name in sums and _counts(network, n)]
    logs = np.array([sums[name] for name in names]).reshape(-1, 2)
    return DepthProfile(tuple(names), logs[:, 0], logs[:, 1])


def _counts(network: Network, node: Node) -> bool:
    """Whether the node is the output, or ends a layer with neurons of its own."""
    if node.name == network.output:
        return True
    if node.op.is_wiring or isinstance(node.op, Relu):  # any other layer counts
        return False
    users = network.consumers[node.name]
    return len(users) != 1 or not isinstance(network.by_name[users[0]].op, Scale)
