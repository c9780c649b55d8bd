"""Numbers of paths as exact integers, also where they have hundreds of digits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparseopt.choosing.solving import solve
from sparseopt.networks.network import Network
from sparseopt.pathnorm.path_norm import PathNorm


def path_count(network: Network, affine: str = "as_is", *, nonzero: bool = False) -> int:
    """Return the number of paths of a network.

    Parameters
    ----------
    network : Network
    affine : {"as_is", "merged"}
        Whether entrywise scales such as batch normalization count as neurons of their own.
    nonzero : bool
        Count only paths whose weights (and bias, if they start at one) are all nonzero. By
        default every edge counts, whatever its weight, and every stored bias.

    Returns
    -------
    int
        Paths that start at an input or at a biased neuron and end at an output. It is the
        `PathNorm` with q = 0, checked as such: beyond a million edges modulo random primes.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> layers = [Dense(np.ones((9, 9)), np.ones(9)) for _ in range(40)]
    >>> path_count(chain((9,), *layers)) == 9**41 + sum(9**k for k in range(1, 41))
    True
    """
    asked = PathNorm(network, 0, 1, affine)
    counted = asked.network if nonzero else _of_ones(asked.network)
    answer = solve(replace(asked, network=counted)).answer
    assert answer.exact is not None  # a count
    return int(answer.exact)


def _of_ones(network: Network) -> Network:
    """Return the network with every weight and bias 1."""
    changed = network.with_parameters({n: _ones(a) for n, a in network.parameters().items()})
    # Edges may have weights that are not parameters, as those of averages.
    nodes = (replace(node, op=node.op.mapped(_ones)) for node in changed.nodes)
    return replace(changed, nodes=tuple(nodes))


def _ones(array: np.ndarray) -> np.ndarray:
    return np.broadcast_to(1.0, array.shape)
