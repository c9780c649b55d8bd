"""Random small networks with integer weights, their changed partners, and what truly changes."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Permute, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.tools.reading.window_cells import average_map, max_window, pool_positions

KINDS = ("mlp", "mlp", "pools", "conv", "skip", "mixed")


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return integers from -7 to 7, a third of them sometimes zero."""
    found = rng.integers(-7, 8, size=shape).astype(float)
    return found * (rng.random(shape) < rng.choice([0.6, 1.0]))


def mlp(rng: np.random.Generator) -> Network:
    """Return one to four dense layers."""
    sizes = rng.integers(1, 5, size=int(rng.integers(2, 6)))
    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes.tolist()):
        layers += [Dense(weights(rng, b, a), weights(rng, b) if rng.random() < 0.8 else None)]
        layers += [Relu()]
    return chain((int(sizes[0]),), *layers[: -1 if rng.random() < 0.8 else None])


def pools(rng: np.random.Generator) -> Network:
    """Return dense layers with overlapping max pools and a pool of another rank between them."""
    width = int(rng.integers(4, 7))
    window = max_window(0, pool_positions(width, 3, int(rng.integers(1, 3)), (1, 1)), width)
    pooled = len(window.index)
    layers = [
        Dense(weights(rng, width, 2), weights(rng, width)),
        *([Relu()] if rng.random() < 0.5 else []),
        MaxPool((window,)),
        Dense(weights(rng, 4, pooled), weights(rng, 4)),
        *([Relu()] if rng.random() < 0.5 else []),
        Reshape((2, 2)),
        RankPool(int(rng.integers(2)), int(rng.integers(1, 3))),
        Dense(weights(rng, 2, 2), weights(rng, 2)),
    ]
    return chain((2,), *layers)


def conv(rng: np.random.Generator) -> Network:
    """Return convolutions, a scale, overlapping pools and an average."""
    windows = tuple(max_window(a, pool_positions(4, 3, 1, (1, 1)), 4) for a in (1, 2))
    mean = tuple(average_map(a, pool_positions(4, 2, 2, (0, 0)), 4, None) for a in (1, 2))
    return chain(
        (1, 4, 4),
        Conv(weights(rng, 2, 1, 3, 3), weights(rng, 2), (1, 1), ((1, 1), (1, 1))),
        Scale(weights(rng, 2, 1, 1), weights(rng, 2, 1, 1)),
        Relu(),
        MaxPool(windows),
        Conv(weights(rng, 2, 1, 3, 3), weights(rng, 2), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
        Relu(),
        Resample(mean),
        ConvTranspose(weights(rng, 2, 1, 2, 2), weights(rng, 1), (1, 1)),
        Relu(),
        Reshape((9,)),
        Dense(weights(rng, 2, 9), weights(rng, 2)),
    )


def skip(rng: np.random.Generator) -> Network:
    """Return a network with an addition of three values, one of them twice."""
    n = int(rng.integers(1, 5))
    nodes = [
        Node("x", Input((n,))),
        Node("a", Dense(weights(rng, 3, n), weights(rng, 3)), ("x",)),
        Node("b", Relu(), ("a",)),
        Node("c", Dense(weights(rng, 3, 3), weights(rng, 3)), ("b",)),
        Node("d", Add(), ("c", "b", "a", "b")),
        Node("e", Relu(), ("d",)),
        Node("f", Dense(weights(rng, 2, 3)), ("e",)),
    ]
    return Network(tuple(nodes), "f")


def mixed(rng: np.random.Generator) -> Network:
    """Return a network with wiring of every kind around its layers."""
    nodes = [
        Node("x", Input((2, 3))),
        Node("a", Dense(weights(rng, 2, 3), weights(rng, 2)), ("x",)),
        Node("b", Relu(), ("a",)),
        Node("c", Concat(1), ("b", "x")),
        Node("d", Permute((1, 0)), ("c",)),
        Node("e", Select(rng.integers(-1, 10, size=(6,))), ("d",)),
        Node("f", Scale(weights(rng, 6), weights(rng, 6)), ("e",)),
        Node("g", Relu(), ("f",)),
        Node("h", Dense(weights(rng, 2, 6), weights(rng, 2)), ("g",)),
    ]
    return Network(tuple(nodes), "h")


def changed(network: Network, rng: np.random.Generator) -> Network:
    """Return the network pruned, rounded, with some signs turned, with other numbers, or equal."""
    way = rng.integers(6)
    arrays = {}
    for name, array in network.parameters().items():
        if way == 0:
            arrays[name] = np.where(np.abs(array) <= 3, 0.0, array)
        elif way == 1:
            arrays[name] = 2 * np.round(array / 2)
        elif way == 2:
            arrays[name] = array * rng.choice([1, 1, 1, -1], size=array.shape)
        elif way == 3:
            arrays[name] = array + rng.integers(-1, 2, size=array.shape)
        elif way == 4:
            arrays[name] = weights(rng, *array.shape)
        else:
            arrays[name] = array + rng.integers(-1, 2, size=array.shape) * 2.0**-10
    if rng.random() < 0.1:
        arrays = dict(list(arrays.items())[-1:])
    return network.with_parameters(arrays)


def pair(seed: int) -> tuple[Network, Network, np.ndarray, np.ndarray]:
    """Return two networks and a box: around 0, on one side of it, a point, with a fixed entry."""
    rng = np.random.default_rng(seed)
    make = {"mlp": mlp, "pools": pools, "conv": conv, "skip": skip, "mixed": mixed}
    network = make[KINDS[seed % len(KINDS)]](rng)
    low = rng.integers(-3, 3, size=network.input_shape).astype(float)
    width = rng.integers(0, 4, size=low.shape) * float(rng.choice([1.0, 1.0, 0.125, 0.0]))
    return network, changed(network, rng), low, low + width


def true_changes(
    network: Network, other: Network, lower: np.ndarray, upper: np.ndarray, seed: int, points: int
) -> np.ndarray:
    """Return f(x) - f'(x) in exact arithmetic at corners and other points of the box."""
    rng = np.random.default_rng(seed)
    share = rng.integers(0, 9, size=(points, *lower.shape)) / 8
    corners = rng.random((points, *lower.shape)) < 0.5
    share = np.where(rng.random((points, *(1,) * lower.ndim)) < 0.5, corners, share)
    x = lower + share * (upper - lower)
    exact = np.frompyfunc(Fraction, 1, 1)(x)
    return np.asarray(network.run(exact) - other.run(exact))
