"""The path cost of every weight: how much of the path-norm passes through it.

Source: Gonon et al., arXiv 2405.15006, section 5. The cost of a weight w is the sum of |Phi_p|
over the paths p through it, which is |w| times the derivative of ``||Phi||_1`` by |w|, and, if no
path meets the weight twice, the drop of the norm when the weight is set to zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import networkx as nx
import numpy as np

from sparseopt.arrays import read_only
from sparseopt.certificate import Certificate, Steps
from sparseopt.errors import ProblemError
from sparseopt.network.linear import Conv, ConvTranspose, Dense, Neuron
from sparseopt.network.network import Network
from sparseopt.pathlifting.perturbed import perturbed_norms
from sparseopt.problem import Problem
from sparseopt.serialization import json_type

TOLERANCE = 1e-9
COARSEST = 1e-3
"""Largest tolerance that an answer may promise."""


def weight_names(network: Network) -> dict[str, str]:
    """Return the weight tensors of dense and convolutional layers and of neurons, with nodes."""
    layers = Dense | Conv | ConvTranspose | Neuron
    return {
        f"{node.name}.weight": node.name
        for node in network.nodes
        if node.name in network.used and isinstance(node.op, layers)
    }


@json_type
@dataclass(frozen=True, eq=False)
class PathCosts:
    """Path costs as shares of the L1 path-norm.

    Parameters
    ----------
    shares : dict of str to float64 array
        By parameter, ``"node.weight"``, in the shape of the weights: the path cost divided by the
        norm, in [0, 1] wherever the norm itself may lie. All 0 for a norm of 0. The weights into
        the outputs have shares that add up to 1 less the output biases' share.
    tolerance : float
        How far, relatively, the shares may be off.
    """

    shares: dict[str, np.ndarray]
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        shares = {k: read_only(np.asarray(v, dtype=np.float64)) for k, v in self.shares.items()}
        object.__setattr__(self, "shares", shares)

    def __str__(self) -> str:
        count = sum(share.size for share in self.shares.values())
        return f"path costs of {count} weights in {len(self.shares)} layers"


@json_type
@dataclass(frozen=True, eq=False)
class PathCostCertificate(Certificate):
    """Path costs that a derivative of the norm in one random direction confirms.

    The norm N is linear in each factor (1 + e t_i) by which a weight w_i may be multiplied, so
    its derivative along e at 0 is N times the sum of t_i s_i over all weights, s_i being their
    shares. The core computes it by one pass of values with derivatives, for t_i = r_i / (n s_i)
    with random r_i in [1, 2]: each of the n weights with a positive share then counts alike,
    however small its share, and the sum must be the mean of the r_i. A single share that is off
    by a relative d moves the left-hand side by about d / n. The r_i are drawn from a hash of all
    the shares, so no shares can be made to fit them; for shares that are wrong in many places the
    errors would have to cancel by chance. Weights with share 0 are confirmed by a pass of their
    own: no path through them carries anything.
    """

    problem: PathCost
    answer: PathCosts

    @property
    def claim(self) -> str:
        """Whose costs they are."""
        return f"the {self.answer} are those of the {self.problem.network.describe()}"

    def check(self, steps: Steps) -> None:
        """Confirm the shares along a random direction, and the zeros."""
        network, shares = self.problem.network, self.answer.shares
        names = weight_names(network)
        steps.require(shares.keys() == names.keys(), f"there are shares for {list(names)[:4]} ...")
        tolerance = self.answer.tolerance
        steps.require(0 < tolerance <= COARSEST, f"the tolerance is at most {COARSEST:g}")
        arrays, digest = network.parameters(), hashlib.sha256()
        for name, share in shares.items():
            right = share.shape == arrays[name].shape
            steps.require(right, f"{name} has a share for each weight", f"{share.shape}")
            fits = np.isfinite(share).all() and share.min() >= 0 and share.max() <= 1 + tolerance
            steps.require(bool(fits), f"the shares of {name} lie in [0, 1]")
            none = not np.any(share[arrays[name] == 0])
            steps.require(none, f"zero weights of {name} have the share 0")
            digest.update(np.ascontiguousarray(share).tobytes())
        rng = np.random.default_rng(list(digest.digest()))
        self._check_zeros(steps)
        count = sum(int(np.count_nonzero(share)) for share in shares.values())
        if not count:
            return
        directions, expected = {}, 0.0
        for node, name in ((n, k) for k, n in names.items()):
            share = shares[name]
            random = rng.uniform(1.0, 2.0, share.shape)
            positive = share > 0
            expected += float(random[positive].sum()) / count
            random[~positive] = 0.0
            directions[node] = np.divide(random, share * count, out=random, where=positive)
        found = perturbed_norms(network, directions)
        steps.require(
            abs(found - expected) <= tolerance * expected,
            f"the derivative in a random direction is the shares' to {tolerance:g}",
            f"{found!r} for {expected!r}",
        )

    def _check_zeros(self, steps: Steps) -> None:
        """Require that no path goes through a nonzero weight with share 0."""
        network = self.problem.network
        arrays = network.parameters()
        directions = {}
        for name, node in weight_names(network).items():
            doubted = (self.answer.shares[name] == 0) & (arrays[name] != 0)
            if doubted.any():
                directions[node] = doubted.astype(np.float64)
        if directions:
            found = perturbed_norms(network, directions)
            steps.require(found == 0.0, "no path goes through weights with share 0", f"{found!r}")


@json_type
@dataclass(frozen=True, eq=False)
class PathCost(Problem):
    """The path cost of every weight of dense and convolutional layers and of neurons.

    Parameters
    ----------
    network : Network
        As it stands: batch normalizations are layers of their own, and have no costs here, nor
        have biases. Costs do not change under positive rescaling.

    Raises
    ------
    ProblemError
        If a path meets one weight tensor twice: then the cost of a weight is not what the norm
        loses with it.

    Notes
    -----
    One pass forward and one backward for all weights together.

    Examples
    --------
    >>> import numpy as np
    >>> import sparseopt as so
    >>> from sparseopt.network import Dense, Relu, chain
    >>> net = chain((1,), Dense(np.array([[3.0], [1.0]])), Relu(), Dense(np.array([[1.0, -2.0]])))
    >>> so.solve(so.PathCost(net)).answer.shares["2:Dense.weight"]  # |3 * 1| and |1 * -2| of 5
    array([[0.6, 0.4]])
    """

    network: Network
    certificates: ClassVar[tuple[type[Certificate], ...]] = (PathCostCertificate,)

    def __post_init__(self) -> None:
        if not isinstance(self.network, Network):
            raise ProblemError(
                f"network is a {type(self.network).__name__}; make a Network by so.load_network"
            )
        repeated = met_twice(self.network)
        if repeated:
            raise ProblemError(
                f"a path meets the tensor {repeated!r} twice, so its weights have no path cost; "
                "take another criterion"
            )

    def evaluate(self, answer: PathCosts) -> Mapping[str, float]:
        """Return the largest sum of the shares in one layer; at most 1."""
        sums = [float(share.sum()) for share in answer.shares.values()]
        return {"largest_layer_share": max(sums, default=0.0)}

    def describe(self) -> str:
        """Name the network."""
        return f"path costs of a {self.network.describe()}"


def met_twice(network: Network) -> str | None:
    """Return a weight tensor that some path of layers meets twice, or None."""
    for tensor, names in network.tied.items():
        nodes = {name.rpartition(".")[0] for name in names} & network.used
        for node in nodes:
            if nodes & nx.descendants(network.graph, node):
                return tensor
    return None


def no_costs(network: Network) -> dict[str, Any]:
    """Return shares of 0, those of a network with path-norm 0."""
    arrays = network.parameters()
    return {name: np.zeros(arrays[name].shape) for name in weight_names(network)}
