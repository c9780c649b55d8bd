"""Networks on which scores of weights go wrong: with dead, tied and unbalanced units."""

from __future__ import annotations

import numpy as np

from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Input, Relu, Reshape


def awkward_networks(seed: int = 0) -> dict[str, Network]:
    """Return small networks in double precision, each of one kind of trouble.

    Parameters
    ----------
    seed : int

    Returns
    -------
    dict of str to Network
        "dense": nothing odd; "dead": units without weights in, or out, or both; "tied": units with
        the same weights, and units that a sum makes share a scale; "unbalanced": units with weights
        in a million times larger than in others, and weights out so much smaller; "sparse": most
        weights 0 at random; "convolutions": channels, one of them dead, and a skip.
    """
    rng = np.random.default_rng(seed)
    return {
        "dense": _perceptron(rng),
        "dead": _dead(rng),
        "tied": _tied(rng),
        "unbalanced": _unbalanced(rng),
        "sparse": _sparse(rng),
        "convolutions": _convolutions(rng),
    }


def _perceptron(rng: np.random.Generator) -> Network:
    first, second, last = (rng.standard_normal(s) for s in ((6, 4), (6, 6), (3, 6)))
    b, c, d = (rng.standard_normal(n) for n in (6, 6, 3))
    return chain((4,), Dense(first, b), Relu(), Dense(second, c), Relu(), Dense(last, d))


def _changed(network: Network, **arrays: np.ndarray) -> Network:
    """Return the network with other weights: of its first, middle and last layer."""
    names = {"first": "0:Dense.weight", "middle": "2:Dense.weight", "last": "4:Dense.weight"}
    given = {names.get(place, place): array for place, array in arrays.items()}
    return network.with_parameters(given)


def _weights(network: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    held = network.parameters()
    first, middle, last = (held[f"{i}:Dense.weight"].copy() for i in (0, 2, 4))
    return first, middle, last


def _dead(rng: np.random.Generator) -> Network:
    network = _perceptron(rng)
    first, middle, last = _weights(network)
    bias = network.parameters()["0:Dense.bias"].copy()
    first[0], bias[0] = 0, 0  # nothing in
    middle[:, 1] = 0  # nothing out
    first[2], bias[2], middle[:, 2] = 0, 0, 0  # nothing at all
    last[:, 3] = 0  # which kills what only leads there
    middle[3] *= 1e6
    arrays = {"first": first, "middle": middle, "last": last, "0:Dense.bias": bias}
    return _changed(network, **arrays)


def _tied(rng: np.random.Generator) -> Network:
    n = 5
    shared = rng.standard_normal((n, n))
    shared[1] = shared[0]
    nodes = (
        Node("x", Input((n,))),
        Node("stem", Dense(shared, rng.standard_normal(n)), ("x",)),
        Node("r", Relu(), ("stem",)),
        Node("branch", Dense(rng.standard_normal((n, n))), ("r",)),
        Node("sum", Add(), ("branch", "r")),
        Node("s", Relu(), ("sum",)),
        Node("y", Dense(np.repeat(rng.standard_normal((2, 1)), n, axis=1)), ("s",)),
    )
    return Network(nodes, "y")


def _unbalanced(rng: np.random.Generator) -> Network:
    network = _perceptron(rng)
    first, middle, last = _weights(network)
    factors = np.array([1.0, 1e6, 1e-6, 1e3, 1e-3, 1.0])
    first *= factors[:, None]
    middle = middle / factors * factors[::-1, None]
    last /= factors[::-1]
    return _changed(network, first=first, middle=middle, last=last)


def _sparse(rng: np.random.Generator) -> Network:
    network = _perceptron(rng)
    first, middle, last = (w * (rng.random(w.shape) < 0.4) for w in _weights(network))
    return _changed(network, first=first, middle=middle, last=last)


def _convolutions(rng: np.random.Generator) -> Network:
    mix = rng.standard_normal((4, 4, 1, 1))
    mix[:, 0] = 0
    nodes = (
        Node("x", Input((2, 3, 3))),
        Node("stem", Conv(rng.standard_normal((4, 2, 2, 2)), rng.standard_normal(4)), ("x",)),
        Node("r", Relu(), ("stem",)),
        Node("mix", Conv(mix), ("r",)),
        Node("sum", Add(), ("mix", "r")),
        Node("s", Relu(), ("sum",)),
        Node("flat", Reshape((16,)), ("s",)),
        Node("y", Dense(rng.standard_normal((2, 16)), rng.standard_normal(2)), ("flat",)),
    )
    return Network(nodes, "y")
