"""Without bends a row is a linear function, whose range is known exactly: no bound is below it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.guarantees import substitution
from sparseopt.guarantees.boxes import straight
from sparseopt.guarantees.substitution import Substitution
from sparseopt.networks import Add, Dense, Input, Network, Node, chain
from sparseopt.pathnorm.effort import EACH_LAYER

ROWS = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0.5), (0, 1, -1)]
exact = np.vectorize(Fraction, otypes=[object])


def numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    found = rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4)
    return np.asarray(np.where(rng.random(shape) < 0.2, 0, found))


def linear(rng: np.random.Generator, size: int) -> Network:
    """Return layers that read any earlier one, and sums of some, a layer more than once."""
    nodes = [Node("x", Input((size,)))]
    for place in range(int(rng.integers(1, 6))):
        names = [node.name for node in nodes]
        if rng.random() < 0.6:
            op: Any = Dense(numbers(rng, size, size), numbers(rng, size))
            nodes.append(Node(str(place), op, (str(rng.choice(names)),)))
        else:
            read = rng.choice(names, size=int(rng.integers(2, 5)))
            nodes.append(Node(str(place), Add(), tuple(map(str, read))))
    nodes.append(Node("y", Dense(numbers(rng, 2, size), numbers(rng, 2)), (nodes[-1].name,)))
    return Network(tuple(nodes), "y")


def changed(rng: np.random.Generator, network: Network) -> Network:
    """Return the network with equal, near or other parameters."""
    arrays = network.parameters()
    kind = rng.integers(3)
    if kind:
        near = {name: a + 1e-9 * numbers(rng, *a.shape) for name, a in arrays.items()}
        other = {name: numbers(rng, *a.shape) for name, a in arrays.items()}
        arrays = near if kind == 1 else other
    return network.with_parameters(arrays)


def coefficients(network: Network) -> np.ndarray:
    """Return the output in terms of the input and of 1, exactly."""
    (size,) = network.input_shape
    known = {"x": exact(np.eye(size, size + 1))}
    for node in network.nodes[1:]:
        values = [known.get(name) for name in node.inputs]
        if isinstance(node.op, Dense):
            known[node.name] = exact(node.op.weight).dot(values[0])
            known[node.name][:, -1] += exact(node.op.bias)
        else:
            known[node.name] = np.asarray(sum(values[1:], start=values[0]))
    return known[network.output]


@pytest.mark.parametrize("seed", range(100))
def test_no_bound_is_below_the_exact_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = linear(rng, size := int(rng.integers(1, 5)))
    other, lower = changed(rng, network), numbers(rng, size)
    upper = lower + np.abs(rng.normal(size=size))
    problem = so.OutputChange(network, other, lower, upper)
    known = {problem.start: problem.box}
    for name, layer in problem.layers.items():
        known[name] = straight(layer, [known[source] for source in layer.sources])
    first, second = coefficients(network), coefficients(other)
    for row in ROWS:
        a, b, c = map(Fraction, row)
        wanted = a * (first - second) + b * second + c * first
        ends = wanted[:, :-1] * exact(lower), wanted[:, :-1] * exact(upper)
        most = np.maximum(*ends).sum(axis=1) + wanted[:, -1]
        for by_other in (False, True):
            found = Substitution(problem.layers, known).highest("y", row, np.arange(2), by_other)
            assert (exact(found) >= most).all()


@pytest.mark.parametrize(("rows", "runs"), [(1, 1), (9, 3)])
def test_rows_and_runs_through_the_layers_are_counted(
    rows: int, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are taken together pay once for each layer, and each for its numbers."""
    network = chain((9,), *[Dense(np.eye(9)) for _ in range(5)])
    problem = so.OutputChange(network, network, -1, 1)
    known = {problem.start: problem.box}
    for name, layer in problem.layers.items():
        known[name] = straight(layer, [known[source] for source in layer.sources])
    monkeypatch.setattr(substitution, "_ENTRIES", 9 * 3)
    proof = Substitution(problem.layers, known)
    proof.highest(network.output, [1.0, 0.0, 0.0], np.arange(rows))
    numbers = sum(layer.nanoseconds for layer in problem.layers.values())
    assert proof.effort.spent == pytest.approx(4 * (rows * numbers + runs * 5 * EACH_LAYER))
