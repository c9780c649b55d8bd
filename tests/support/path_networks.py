"""Networks for forged certificates of path quantities, and what edits certificates."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from typing import Any

import numpy as np

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Permute, Relu, Reshape, Select
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.tools.reading.window_cells import average_map, max_window, pool_positions, total_map

Named = tuple[str, Any]
INF = math.inf


def dense(*sizes: int, seed: int = 0, scale: float = 1.0) -> Network:
    """Return a ReLU network with biases."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [Dense(scale * rng.standard_normal((b, a)), rng.standard_normal(b)), Relu()]
    return chain((sizes[0],), *layers[:-1])


def image() -> Network:
    """Return a network with nearly every kind of layer, all of them with something to get wrong."""
    rng = np.random.default_rng(3)
    draw = rng.standard_normal
    mean = Resample(
        (average_map(1, pool_positions(4, 3, 1, (1, 1)), 4, None), total_map(2, 5, True))
    )
    windows = tuple(max_window(a, pool_positions(n, 2, 2, (0, 1)), n) for a, n in ((1, 7), (2, 9)))
    nodes = [
        Node("x", Input((2, 7, 9))),
        Node("a", Conv(draw((4, 1, 3, 2)), draw(4), (1, 1), ((1, 1), (0, 1)), (), 2), ("x",)),
        Node("b", Scale(draw((4, 1, 1)), draw((4, 1, 1))), ("a",)),
        Node("c", Relu(), ("b",)),
        Node("d", MaxPool(windows), ("c",)),
        Node("e", Conv(draw((4, 4, 3, 3)), None, (2, 1), ((1, 2), (2, 0)), (1, 1)), ("d",)),
        Node(
            "f", ConvTranspose(draw((4, 2, 2, 2)), draw(4), (2, 1), ((1, 1), (1, 0)), (), 2), ("e",)
        ),
        Node("g", Add(), ("f", "d", "d")),
        Node("h", Concat(0), ("g", "d")),
        Node("i", Permute((2, 1, 0)), ("h",)),
        Node("j", Select(np.random.default_rng(1).integers(-1, 160, size=(3, 4, 5))), ("i",)),
        Node("k", mean, ("j",)),
        Node("l", RankPool(0, 2), ("k",)),
        Node("m", Reshape((4,)), ("l",)),
        Node("n", Dense(draw((3, 4)), draw(3)), ("m",)),
    ]
    return Network(tuple(nodes), "n")


def large(seed: int = 0, share: float = 1.0) -> Network:
    """Return a small file with more edges than are added up exactly; some weights are zero."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape) * (rng.random(shape) < share)

    around = ((1, 1), (1, 1))
    mean = Resample((total_map(1, 32, True), total_map(2, 32, False)))
    return chain(
        (3, 32, 32),
        Conv(draw(8, 3, 3, 3), draw(8), padding=around),
        Relu(),
        Conv(draw(8, 8, 3, 3), draw(8), padding=around),
        Relu(),
        mean,
        Reshape((8,)),
        Dense(draw(5, 8), draw(5)),
    )


def large_identity() -> Network:
    """Return such a network in which exactly one path of weight 1 leads to each output."""
    kernel = np.zeros((4, 1, 3, 3))
    kernel[:, :, 1, 1] = 1.0
    around = ((1, 1), (1, 1))
    wires = Conv(kernel, None, padding=around, groups=4)
    return chain((4, 100, 100), wires, Select(np.array([5, 20_000])))


def long_sum() -> Network:
    """Return a layer whose sums have so many terms that their rounding outweighs all other."""
    return chain((3000,), Dense(np.random.default_rng(2).uniform(0.5, 1, (1, 3000))))


def wide(spread: float = 1e250, layers: int = 8) -> Network:
    """Return a network whose two outputs lie hundreds of decades apart."""
    weight = np.array([[1.0 / spread, 0.0], [0.0, spread]])
    return chain((2,), *(Dense(weight) for _ in range(layers)))


def solved(problem: Any, solver: str | None = None, **options: Any) -> Any:
    """Return the certificate of an engine, unchecked."""
    return so.solve(problem, solver=solver, check=False, **options).certificate


def changed(certificate: Any, evidence: dict[str, Any] | None = None, **fields: Any) -> Any:
    """Return the certificate with other fields of its answer, and other evidence."""
    answer = dataclasses.replace(certificate.answer, **fields)
    return dataclasses.replace(certificate, answer=answer, **(evidence or {}))


def of(problem: Any, norm: float, logs: Any, powers: Any = None, **fields: Any) -> Any:
    """Return a certificate that states a norm."""
    log10 = fields.pop("log10", math.log10(norm) if norm > 0 else -INF)
    answer = so.PathNormValue(
        norm, log10, np.asarray(logs), problem.q, problem.r, problem.affine, powers, **fields
    )
    return so.PathNormCertificate(problem, answer)


def halved(network: Network, name: str) -> Network:
    """Return the network with half of some weights."""
    return network.with_parameters({name: network.parameters()[name] / 2})


def by_spectrum(problem: Any, value: float, weights: Any) -> Any:
    """Return a certificate of a bound by the method ``spectral``."""
    log10 = math.log10(value) + 1e-12
    answer = so.LipschitzValue(value * (1 + 1e-12), log10, 2, 2, "spectral")
    return so.LipschitzCertificate(problem, answer, weights)


def edited(certificate: Any, path: tuple[str, ...], value: Any) -> str:
    """Return the JSON of a certificate with one entry replaced."""
    body = json.loads(so.to_json(certificate))
    node = body
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return json.dumps(body)
