"""Networks around every class of layer, layers that nobody knows, and what is right for both."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import sparseopt_pathnorm

import sparseopt
from sparseopt.interface.json_type import json_type
from sparseopt.networks.linear import Dense
from sparseopt.networks.network import Network
from sparseopt.networks.neurons import NeuronGraph
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Input, Operator, Relu, Reshape, Select
from sparseopt.networks.parameters import Shape, cast
from sparseopt.networks.semiring import SUM, Semiring
from sparseopt.networks.window import RankPool
from tests.networks.test_operators import OPERATORS


@json_type
@dataclass(frozen=True, eq=False)
class Cyclic(Operator):
    """A linear layer with weights that nobody knows: ``y[i] = sum_k weight[k] x[i + k mod n]``."""

    weight: np.ndarray
    weight_fields: ClassVar[tuple[str, ...]] = ("weight",)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        x, weight = inputs[0], cast(self.weight, inputs[0].dtype)
        result = semiring.times(x, weight[0])
        for k in range(1, len(weight)):
            result = semiring.add(result, semiring.times(np.roll(x, -k, axis=1), weight[k]))
        return result

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        return [sum(w * np.roll(value, k, axis=1) for k, w in enumerate(self.weight))]


@json_type
@dataclass(frozen=True, eq=False)
class Backwards(Operator):
    """Wiring that nobody knows: the entries in reverse order."""

    is_wiring: ClassVar[bool] = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        return inputs[0][:, ::-1]

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        return [value[:, ::-1]]


@json_type
@dataclass(frozen=True, eq=False)
class Second(Operator):
    """A pool that nobody knows: the second largest entry."""

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return (1,)

    def neuron_kind(self) -> tuple[str, int]:
        return "pool", 2

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.sort(inputs[0], axis=1)[:, -2:-1]

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        return semiring.add.reduce(inputs[0], axis=1)[:, None]

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        return [np.repeat(value, inputs[0][0], axis=1)]


@json_type
@dataclass(frozen=True, eq=False)
class Absolute(Operator):
    """Not piecewise linear in the way of ReLU networks, and it does not say what it is."""

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def run(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.abs(inputs[0])

    def propagate(self, inputs: Sequence[np.ndarray], semiring: Semiring = SUM) -> np.ndarray:
        return inputs[0]

    def adjoint(self, value: np.ndarray, inputs: Sequence[Shape]) -> list[np.ndarray]:
        return [value]


_CYCLE = np.array([0.5, -2.0, 0.75])

ROWS: dict[str, tuple[Operator, list[Shape]]] = {**OPERATORS, "input": (Input((3,)), [])}
"""Layers of the library, at least one of each class, with the shapes that they read."""

TOYS: dict[str, tuple[Operator, list[Shape]]] = {
    "unknown-linear": (Cyclic(_CYCLE), [(5,)]),
    "unknown-wiring": (Backwards(), [(4,)]),
    "unknown-pool": (Second(), [(4,)]),
    "unknown-function": (Absolute(), [(4,)]),
}

_KNOWN: dict[str, tuple[Operator, list[Shape]]] = {
    "unknown-linear": (
        Dense(np.array([[[*_CYCLE, 0, 0][(j - i) % 5] for j in range(5)] for i in range(5)])),
        [(5,)],
    ),
    "unknown-wiring": (Select(np.arange(4)[::-1]), [(4,)]),
    "unknown-pool": (RankPool(0, 2), [(4,)]),
    "unknown-function": (Relu(), [(4,)]),  # through which the same paths lead
}
"""Layers of the library with the paths of those that nobody knows, for the oracles."""


@cache
def network(name: str) -> Network:
    """Return the network in which the layer stands between others."""
    return _around(*(ROWS | TOYS)[name])


@cache
def graph(name: str) -> NeuronGraph:
    """Return the single neurons of a network with the paths of `network`."""
    return _around(*(_KNOWN[name] if name in _KNOWN else ROWS[name])).neurons


def _around(op: Operator, shapes: list[Shape]) -> Network:
    rng = np.random.default_rng(3)

    def dense(outputs: int, inputs: int) -> Dense:
        return Dense(rng.standard_normal((outputs, inputs)), rng.standard_normal(outputs))

    sizes = [math.prod(shape) for shape in shapes]
    nodes = [Node("op", op)]
    if shapes:
        nodes = [Node("x", Input((3,))), Node("before", dense(sum(sizes), 3), ("x",))]
        nodes.append(Node("relu", Relu(), ("before",)))
        for i, (shape, stop) in enumerate(zip(shapes, np.cumsum(sizes), strict=True)):
            index = np.arange(stop - sizes[i], stop).reshape(shape)
            nodes.append(Node(f"part{i}", Select(index), ("relu",)))
        nodes.append(Node("op", op, tuple(node.name for node in nodes[3:])))
    size = math.prod(op.shape(shapes))
    nodes.append(Node("flat", Reshape((size,)), ("op",)))
    nodes.append(Node("after", dense(2, size), ("flat",)))
    return Network(tuple(nodes), "after")


def path_sums(neurons: NeuronGraph, q: float, biased: bool = True) -> list[Fraction]:
    """Return ``||Phi^(->j)||_q^q`` per output (the largest entry for q = inf)."""

    def power(value: Fraction) -> Fraction:
        return Fraction(int(value != 0)) if q == 0 else abs(value) ** (1 if q == math.inf else q)

    sums: list[Fraction] = []
    for kind, bias, before in zip(neurons.kinds, neurons.biases, neurons.predecessors, strict=True):
        start = power(bias) if biased and bias is not None else Fraction(0)
        terms = [Fraction(1) if kind == "input" else start]
        terms += [sums[u] * power(w) for u, w in before]
        sums.append(max(terms) if q == math.inf else sum(terms, start=Fraction(0)))
    return [sums[j] for j in neurons.outputs]


def path_entries(neurons: NeuronGraph) -> np.ndarray:
    """Return Phi, path by path, in an order that weights do not change."""
    found: list[np.ndarray] = []
    for kind, bias, before in zip(neurons.kinds, neurons.biases, neurons.predecessors, strict=True):
        start = [1.0] if kind == "input" else [] if bias is None else [float(bias)]
        found.append(np.concatenate([start, *(found[u] * float(w) for u, w in before)]))
    return np.concatenate([found[v] for v in neurons.outputs])


def pools(neurons: NeuronGraph) -> tuple[int, int, int]:
    """Return the largest fan-in of a pool, the number of ranks, the most pools on a path."""
    on_path: list[int] = []
    for kind, before in zip(neurons.kinds, neurons.predecessors, strict=True):
        on_path.append(max((on_path[u] for u, _ in before), default=0) + (kind == "pool"))
    found = [v for v, kind in enumerate(neurons.kinds) if kind == "pool"]
    fan_in = max((len(neurons.predecessors[v]) for v in found), default=1)
    ends = max(on_path[v] for v in neurons.outputs)
    return fan_in, len({neurons.ranks[v] for v in found}), ends


def layer_classes() -> set[type[Operator]]:
    """Return every class of layers that the library has."""
    _modules()
    found, left = set(), [Operator]
    while left:
        for cls in left.pop().__subclasses__():
            left.append(cls)
            if cls.__module__.startswith("sparseopt") and not cls.__name__.startswith("_"):
                found.add(cls)
    return found


def tables() -> dict[str, Any]:
    """Return every function of the library that dispatches on layers, by module and name."""
    found = {}
    for module in _modules():
        for name, value in vars(module).items():
            registry = getattr(value, "registry", {})
            own = getattr(value, "__module__", None) == module.__name__
            if own and any(issubclass(cls, Operator) for cls in registry):
                found[f"{module.__name__.removeprefix('sparseopt.')}.{name}"] = value
    return found


@cache
def _modules() -> list[ModuleType]:
    return [importlib.import_module(name) for name in _module_names()]


def _module_names() -> Iterator[str]:
    for package in (sparseopt, sparseopt_pathnorm):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.name.startswith(("sparseopt.cli.__main__", "sparseopt.testing")):
                yield found.name
