"""The judge's reading of each layer against the operators' own arithmetic and single neurons."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.convolution import Conv
from sparseopt.networks.linear import Neuron
from sparseopt.networks.network import chain
from sparseopt.networks.operator import Add, Input, Operator
from sparseopt.pathnorm import cells, contractions, edges, plain
from sparseopt.pathnorm.biases import biases
from sparseopt.pathnorm.exact import Exacts
from sparseopt.pathnorm.floats import Floats
from sparseopt.pathnorm.powers import Powers
from sparseopt.pathnorm.wides import Wides
from tests.networks.test_operators import ENGINES_ONLY, OPERATORS as ALL, network_of

RNG = np.random.default_rng(1)
OPERATORS = {name: row for name, row in ALL.items() if type(row[0]) not in ENGINES_ONLY}
cases = pytest.mark.parametrize("name", list(OPERATORS))
systems = pytest.mark.parametrize("system", [Floats, Wides])


def numbers(value: Any) -> np.ndarray:
    """Return the floats that a tensor of the judge stands for."""
    if value.array.dtype == np.float64:
        return np.ldexp(value.array, value.exponent)
    return np.ldexp(value.array["m"], np.maximum(value.array["e"], -3000))


def powered(op: Operator, q: float) -> Operator:
    """Return the operator with the q-th powers of its weights."""
    return op.mapped(lambda array: np.abs(np.asarray(array, dtype=float)) ** q)


@cases
@systems
@pytest.mark.parametrize("q", [1, 1.5, 2])
def test_forwards_and_backwards(name: str, system: Any, q: float) -> None:
    op, shapes = OPERATORS[name]
    inputs = [RNG.random((2, *shape)) for shape in shapes]
    a, output = system(q), op.shape(shapes)
    found = numbers(plain.through(a, op, [a.of(x) for x in inputs], output))
    np.testing.assert_allclose(found, powered(op, q).propagate(inputs), rtol=1e-13)
    y = RNG.random((2, *output))
    back = a.backward(op, a.of(y), shapes)
    for found, right in zip(back, powered(op, q).adjoint(y, shapes), strict=True):
        np.testing.assert_allclose(numbers(found), right, rtol=1e-13)


@pytest.mark.parametrize("name", [n for n, (op, _) in OPERATORS.items() if hasattr(op, "weight")])
@systems
def test_gradients(name: str, system: Any) -> None:
    op: Any = OPERATORS[name][0]
    shapes = OPERATORS[name][1]
    inputs = [RNG.random((2, *shape)) for shape in shapes]
    y = RNG.random((2, *op.shape(shapes)))
    a = system(1)
    right = contractions.kernel(op, np.abs(op.weight) * op.weight_adjoint(y, inputs))
    parts = list(a.gradient(op, [a.of(x) for x in inputs], a.of(y)))
    seen = np.concatenate([np.arange(right.shape[1])[rows] for rows, _ in parts])
    np.testing.assert_array_equal(seen, np.arange(right.shape[1]))
    for rows, part in parts:
        np.testing.assert_allclose(numbers(part)[0], right[:, rows], rtol=1e-13)


@cases
@systems
def test_largest_values(name: str, system: Any) -> None:
    op, shapes = OPERATORS[name]
    inputs = [RNG.random((1, *shape)) for shape in shapes]
    a = system(math.inf)
    through = plain.through(a, op, [a.of(x) for x in inputs], op.shape(shapes))
    found = numbers(through)[0].ravel()
    graph = network_of(name).neurons
    values = np.zeros(len(graph.labels))
    values[graph.inputs] = np.concatenate([x.ravel() for x in inputs])
    for v, before in enumerate(graph.predecessors):
        if before:
            values[v] = max(values[u] * abs(float(w)) for u, w in before)
    np.testing.assert_allclose(found, values[graph.outputs], rtol=1e-13)


@cases
def test_exact_values(name: str) -> None:
    """The sums over the edges of single neurons, which the layers' own code unrolls."""
    network = network_of(name)
    graph = network.neurons
    for q in (0, 1, 2):
        sums: list[Any] = []
        for kind, bias, before in zip(graph.kinds, graph.biases, graph.predecessors, strict=True):
            start = 1 if kind == "input" else abs(bias or 0) ** q * int(bool(bias))
            sums.append(start + sum(sums[u] * abs(w) ** q * int(bool(w)) for u, w in before))
        arithmetic = Exacts(q)
        value = plain.forward(network, arithmetic, biases(network))
        assert arithmetic.fractions(value) == [sums[j] for j in graph.outputs]


@cases
def test_as_many_terms_as_a_neuron_has_edges(name: str) -> None:
    op, shapes = OPERATORS[name]
    graph = network_of(name).neurons
    most = max(len(graph.predecessors[v]) for v in graph.outputs)
    assert math.prod(edges.terms(op, shapes)) >= most
    if not isinstance(op, Add | Neuron):  # each of their inputs is a value of its own
        read = [u for before in graph.predecessors for u, _ in before]
        uses = np.bincount(read, minlength=len(graph.labels))[graph.inputs]
        assert math.prod(edges.terms_back(op, shapes)) >= uses.max()


@cases
def test_edges_are_counted(name: str) -> None:
    network = network_of(name)
    graph = network.neurons
    last = sum(len(graph.predecessors[v]) for v in graph.outputs)
    shapes = OPERATORS[name][1]
    selected = sum(math.prod(shape) for shape in shapes)  # one edge each, for the input's pieces
    assert plain.edge_count(network) - selected >= last


def test_large_convolutions_go_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contractions, "_PIECE", 50)
    monkeypatch.setattr(contractions, "_BLOCK", 20)
    for name in ("conv", "conv-groups", "conv-depthwise", "transposed", "dense-positions"):
        for system in (Floats, Wides):
            test_forwards_and_backwards(name, system, 2)
            test_gradients(name, system)


def test_convolutions_of_enormous_windows_are_not_judged() -> None:
    op = Conv(np.ones((1, 1, 512, 512)), padding=((0, 0), (0, 0)))
    network = chain((1, 1024, 1023), op)
    answer = so.PathNorm(network).answer_from(Powers.of(np.ones(network.output_shape)))
    check = so.verify(so.PathNormCertificate(so.PathNorm(network), answer))
    assert "reads 68853694464 cells per channel is not judged" in check.details[-1]


def test_what_is_no_layer_is_not_judged() -> None:
    for call in (edges.forward, edges.backward):
        with pytest.raises(so.ProblemError, match="paths through a Input cannot be judged"):
            call(Input((1,)), [np.ones((1, 1))], [], (1,), None)  # type: ignore[arg-type]


def test_scattering_is_the_transpose_of_gathering() -> None:
    index = np.array([[3, -1, 0], [3, 3, 1]])
    x, y = RNG.random((2, 5)), RNG.random((2, 2, 3))
    a = Floats(1)._a
    gathered = cells.gather(x, index, a.zero)
    np.testing.assert_array_equal(gathered[:, 0], np.stack([x[:, 3], 0 * x[:, 0], x[:, 0]], 1))
    scattered = cells.scatter(y, index, 5, a)
    assert (gathered * y).sum() == pytest.approx((x * scattered).sum())
    assert cells.most_uses(index) == 3


@systems
@pytest.mark.parametrize("rounds", [2, 3, 64])
@pytest.mark.parametrize("seed", range(5))
def test_cells_that_are_read_often_add_up(
    system: Any, rounds: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "_ROUNDS", rounds)
    rng, a = np.random.default_rng(seed), system(1)
    size = int(rng.integers(1, 9))
    index = rng.integers(-1, size, (7, 23))
    index[rng.random(index.shape) < 0.6] = rng.integers(-1, size)
    y = rng.integers(0, 99, (3, 2, 23, 7)).astype(np.float64).swapaxes(2, 3)
    right = np.zeros((3, 2, size + 1))
    np.add.at(right, (..., index), y)
    found = dataclasses.replace(a.of(y), array=cells.scatter(a.of(y).array, index, size, a._a))
    np.testing.assert_array_equal(numbers(found), right[..., :-1])


def test_a_cell_that_is_read_often_beside_many_takes_no_table_of_both() -> None:
    index = np.append(np.zeros(10**5, dtype=np.int64), np.arange(10**5))
    found = cells.scatter(np.ones((1, len(index))), index, 10**5, Floats.SUMS)
    np.testing.assert_array_equal(found[0], np.append(10**5 + 1, np.ones(10**5 - 1)))
