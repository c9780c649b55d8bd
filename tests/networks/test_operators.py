"""Laws of the layer operators: evaluation, path sums and transposes against single neurons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import sparseopt as so
from sparseopt.networks.convolution import Conv, ConvTranspose
from sparseopt.networks.linear import Dense, Neuron, Scale
from sparseopt.networks.network import Network, chain
from sparseopt.networks.neurons import NeuronGraph
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.port import Port
from sparseopt.networks.semiring import LARGEST, LOG
from sparseopt.networks.window import AxisMap, AxisWindow, MaxPool, RankPool, Resample
from sparseopt.tools.reading.window_cells import (
    adaptive_positions,
    average_map,
    linear_map,
    max_window,
    nearest_map,
    pool_positions,
    total_map,
)

RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def sparse(*shape: int) -> np.ndarray:
    return normal(*shape) * (RNG.random(shape) < 0.5)


OPERATORS: dict[str, tuple[Operator, list[tuple[int, ...]]]] = {
    "dense": (Dense(normal(3, 4), normal(3)), [(4,)]),
    "dense-sparse-float32": (Dense(sparse(3, 4).astype(np.float32)), [(4,)]),
    "dense-positions": (Dense(normal(2, 4), normal(2)), [(2, 3, 4)]),
    "dense-one": (Dense(normal(1, 1)), [(1,)]),
    "conv": (Conv(normal(4, 3, 3, 3), normal(4), (1, 1), ((1, 1), (1, 1))), [(3, 4, 5)]),
    "conv-groups": (Conv(normal(4, 2, 2, 3), normal(4), (2, 1), groups=2), [(4, 5, 4)]),
    "conv-depthwise": (
        Conv(normal(6, 1, 3, 3), None, (2, 2), ((1, 0), (0, 2)), (), 3),
        [(3, 6, 5)],
    ),
    "conv-dilated": (
        Conv(normal(2, 2, 2, 2), normal(2), (1, 2), ((0, 3), (2, 0)), (2, 3)),
        [(2, 4, 5)],
    ),
    "conv-crop": (Conv(normal(2, 2, 2, 2), None, (), ((-1, 0), (1, -2))), [(2, 4, 6)]),
    "conv-1x1": (Conv(normal(3, 2, 1, 1), normal(3)), [(2, 3, 2)]),
    "conv-1d": (Conv(normal(3, 2, 3), normal(3), (2,), ((2, 1),)), [(2, 7)]),
    "conv-3d": (Conv(normal(2, 1, 2, 2, 2), normal(2), (1, 2, 1), groups=2), [(2, 3, 4, 2)]),
    "transposed": (
        ConvTranspose(normal(2, 3, 3, 2), normal(3), (2, 1), ((1, 0), (0, 1))),
        [(2, 3, 3)],
    ),
    "transposed-groups": (ConvTranspose(normal(4, 2, 2, 2), None, (2, 2), groups=2), [(4, 2, 2)]),
    "transposed-more": (
        ConvTranspose(normal(1, 1, 2), normal(1), (3,), ((0, -2),), (2,)),
        [(1, 3)],
    ),
    "scale": (Scale(normal(3, 1, 1), normal(3, 1, 1)), [(3, 2, 2)]),
    "scale-no-factor": (Scale(None, normal(1, 4)), [(2, 4)]),
    "scale-no-bias": (Scale(normal(2, 4), None), [(2, 4)]),
    "neuron-id": (Neuron(normal(3), np.array(0.5)), [(), (), ()]),
    "neuron-relu": (Neuron(normal(3), np.array(-0.1), "relu"), [(), (), ()]),
    "neuron-pool": (Neuron(normal(3), np.array(1.5), "pool", 2), [(), (), ()]),
    "average": (
        Resample(
            (
                average_map(1, pool_positions(5, 3, 2, (1, 1)), 5, (1, 1)),
                average_map(2, pool_positions(4, 2, 2, (0, 1), 1, True), 4, None),
            )
        ),
        [(2, 5, 4)],
    ),
    "adaptive": (Resample((average_map(1, adaptive_positions(8, 3), 8, None),)), [(2, 8)]),
    "mean": (Resample((total_map(0, 3, True), total_map(2, 4, False))), [(3, 2, 4)]),
    "bilinear": (
        Resample(
            (linear_map(1, np.linspace(-0.3, 3.2, 7), 3), nearest_map(2, np.array([0, 0, 1, 1])))
        ),
        [(2, 3, 2)],
    ),
    "max": (
        MaxPool(
            (
                max_window(1, pool_positions(5, 3, 2, (1, 1)), 5),
                max_window(2, pool_positions(5, 2, 2, (0, 0), 2, True), 5),
            )
        ),
        [(2, 5, 5)],
    ),
    "rank": (RankPool(1, 2), [(2, 3, 2)]),
    "relu": (Relu(), [(2, 3)]),
    "add": (Add(), [(2, 2), (2, 2), (2, 2)]),
    "concat": (Concat(1), [(2, 1), (2, 3)]),
    "reshape": (Reshape((3, 2)), [(2, 3)]),
    "permute": (Permute((2, 0, 1)), [(2, 3, 4)]),
    "select": (Select(np.array([[3, -1], [0, 3]])), [(2, 2)]),
}

ENGINES_ONLY: set[type[Operator]] = set()
"""Classes that the judge and the tools do not know yet: they refuse these by name."""

cases = pytest.mark.parametrize("name", list(OPERATORS))


def network_of(name: str) -> Network:
    """Return a network that cuts its input in pieces and applies the operator to them."""
    op, shapes = OPERATORS[name]
    sizes = [int(np.prod(s)) for s in shapes]
    nodes = [Node("x", Input((sum(sizes),)))]
    start = 0
    for i, (shape, size) in enumerate(zip(shapes, sizes, strict=True)):
        index = np.arange(start, start + size).reshape(shape)
        nodes.append(Node(f"part{i}", Select(index), ("x",)))
        start += size
    nodes.append(Node("op", op, tuple(n.name for n in nodes[1:])))
    return Network(tuple(nodes), "op")


@cases
def test_run_equals_the_unrolled_neurons_in_exact_arithmetic(name: str) -> None:
    network = network_of(name)
    x = np.round(normal(*network.input_shape), 3)
    exact = [Fraction(v) for v in x.tolist()]
    values = network.neurons.evaluate(exact)
    right = [values[j] for j in network.neurons.outputs]
    assert network.run(np.array(exact, dtype=object)).ravel().tolist() == right
    np.testing.assert_allclose(
        network.run(x).ravel(), [float(v) for v in right], rtol=1e-12, atol=1e-12
    )
    single = network.run(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single.ravel(), [float(v) for v in right], rtol=1e-4, atol=1e-5)


@cases
def test_a_batch_is_its_samples(name: str) -> None:
    network = network_of(name)
    x = normal(3, *network.input_shape)
    together = network.run(x)
    for sample, result in zip(x, together, strict=True):
        np.testing.assert_allclose(network.run(sample), result, rtol=1e-12, atol=1e-14)


@cases
def test_adjoint_is_the_transpose_of_propagate(name: str) -> None:
    op, shapes = OPERATORS[name]
    inputs = [normal(2, *s) for s in shapes]
    forward = op.propagate(inputs)
    y = normal(*forward.shape)
    back = op.adjoint(y, shapes)
    assert [b.shape for b in back] == [x.shape for x in inputs]
    left = np.sum(forward * y)
    right = sum(np.sum(a * b) for a, b in zip(inputs, back, strict=True))
    np.testing.assert_allclose(left, right, rtol=1e-11, atol=1e-12)


@cases
def test_arithmetics_agree(name: str) -> None:
    op, shapes = OPERATORS[name]
    inputs = [RNG.random((1, *s)) for s in shapes]
    logs = [np.log2(x) for x in inputs]
    with np.errstate(divide="ignore"):
        plain = np.log2(op.mapped(np.abs).propagate(inputs))
        logarithmic = op.mapped(lambda w: np.log2(np.abs(w), dtype=np.float64))
        summed = logarithmic.propagate(logs, LOG)
        largest = logarithmic.propagate(logs, LARGEST)
    np.testing.assert_allclose(summed, plain, rtol=1e-11, atol=1e-11)
    graph = network_of(name).neurons
    top = largest_products(graph, np.concatenate([x.ravel() for x in inputs]))
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(largest.ravel(), np.log2(top), rtol=1e-11, atol=1e-11)


def largest_products(graph: NeuronGraph, x: np.ndarray) -> np.ndarray:
    values = [0.0] * len(graph.labels)
    for position, value in zip(graph.inputs, x.tolist(), strict=True):
        values[position] = value
    for v, edges in enumerate(graph.predecessors):
        if edges:
            values[v] = max(values[u] * abs(float(w)) for u, w in edges)
    return np.array([values[j] for j in graph.outputs])


@cases
def test_json_round_trip(name: str) -> None:
    network = network_of(name)
    again = so.from_json(so.to_json(network))
    x = normal(*network.input_shape)
    np.testing.assert_array_equal(again.run(x), network.run(x))


def test_a_convolution_in_pieces_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    op, shapes = OPERATORS["conv"]
    x = normal(2, *shapes[0])
    whole = op.propagate([x])
    monkeypatch.setattr("sparseopt.networks.convolution._PIECE", 1)
    np.testing.assert_allclose(op.propagate([x]), whole, rtol=1e-12, atol=1e-13)


BAD = {
    "dense-axis": (Dense(normal(3, 4)), [(5,)], "4 entries"),
    "dense-scalar": (Dense(normal(3, 4)), [()], "4 entries"),
    "conv-channels": (Conv(normal(4, 3, 3, 3)), [(2, 5, 5)], "3 channels"),
    "conv-kernel": (Conv(normal(4, 3, 3, 3)), [(3, 2, 5)], "does not fit"),
    "conv-rank": (Conv(normal(4, 3, 3, 3)), [(3, 5)], "spatial axes"),
    "transposed": (ConvTranspose(normal(2, 1, 1), None, (1,), ((2, 2),)), [(2, 3)], "nothing"),
    "scale": (Scale(normal(3)), [(4,)], "does not fit"),
    "add": (Add(), [(2,), (3,)], "one shape"),
    "concat": (Concat(0), [(2, 1), (3, 2)], "do not fit"),
    "concat-axis": (Concat(2), [(2, 1)], "axis 2"),
    "reshape": (Reshape((5,)), [(2, 3)], "cannot be reshaped"),
    "permute": (Permute((0, 0)), [(2, 3)], "not a permutation"),
    "select": (Select(np.array([6])), [(2, 3)], "outside"),
    "rank": (RankPool(0, 4), [(3,)], "no rank"),
    "resample": (Resample((total_map(1, 4, True),)), [(2, 3)], "cell 3"),
    "neuron": (Neuron(normal(2)), [(), (), ()], "as many scalars"),
    "two": (Relu(), [(1,), (1,)], "one input"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_shapes_that_do_not_fit_are_refused(name: str) -> None:
    op, shapes, words = BAD[name]
    with pytest.raises(so.ProblemError, match=words):
        op.shape(shapes)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Dense(np.array([[np.nan, 1.0]])), r"nan at entry \(0, 0\)"),
        (lambda: Dense(np.zeros((0, 3))), "zero-size"),
        (lambda: Dense(np.ones((2, 2), dtype=complex)), "complex128"),
        (lambda: Dense(np.ones((2, 2), dtype=np.float16)), "float16"),
        (lambda: Dense(np.array([[0.5, Fraction(1)]], dtype=object)), "mixes in a float"),
        (lambda: Dense(np.ones((2, 2)), np.ones(3)), "bias has shape"),
        (lambda: Conv(np.ones((2, 2))), "no kernel axes"),
        (lambda: Conv(np.ones((2, 2, 3)), groups=3), "3 groups"),
        (lambda: Conv(np.ones((2, 2, 3)), stride=(0,)), "stride"),
        (lambda: Neuron(np.ones(2), None, "tanh"), "not 'tanh'"),
        (lambda: Neuron(np.ones(2), None, "pool", 3), "no rank 3"),
        (lambda: max_window(0, pool_positions(2, 1, 1, (1, 0)), 2), "entirely in the padding"),
        (lambda: average_map(0, pool_positions(2, 1, 1, (1, 0)), 2, None), "entirely"),
        (lambda: pool_positions(2, 3, 1), "does not fit"),
        (lambda: MaxPool((total_map(0, 2, False),)), "a list of AxisWindow"),
        (lambda: Input((3, 0)), "positive"),
        (lambda: AxisMap(0, np.zeros((1, 1), int), np.ones((1, 1)), np.zeros(1, int)), "positive"),
    ],
)
def test_bad_fields_are_refused(build: object, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        build()  # type: ignore[operator]


@pytest.mark.parametrize("made", [Conv, ConvTranspose])
def test_places_of_cells_stay_within_integers(made: type) -> None:
    weight, most = np.ones((1, 1, 2)), 1 << 28
    for fields in (
        {"stride": (most + 1,)},
        {"stride": (0,)},
        {"dilation": (2**62,)},
        {"padding": ((0, 2**64),)},
        {"padding": ((-most - 1, 0),)},
    ):
        with pytest.raises(so.ProblemError, match=str(most)):
            made(weight, **fields)
    made(weight, None, (most,), ((most, -most),), (most,))


@pytest.mark.parametrize("pad", [(5, -5), (-5, 9), (-2, 7), (3, -3), (-3, 4), (-1, -1)])
def test_padding_may_crop_more_than_there_is(pad: tuple[int, int]) -> None:
    """Cells beyond the input are zeros, whether padding adds or crops them."""
    op, x = Conv(np.ones((1, 1, 1)), None, (), (pad,)), np.array([[[1.0, 2.0, 3.0]]])
    (y,) = op.run([x])[0]
    wanted = [x[0, 0, i - pad[0]] if 0 <= i - pad[0] < 3 else 0.0 for i in range(3 + sum(pad))]
    assert y.tolist() == wanted
    (back,) = op.adjoint(np.ones((1, 1, len(wanted))), [(1, 3)])
    assert back.tolist() == [[[float(0 <= i + pad[0] < len(wanted)) for i in range(3)]]]


def test_integers_may_stand_in_arrays() -> None:
    """Of NumPy and torch, empty ones too; they mean what the same tuples do."""
    pads, twos, none = np.array([[0, 1], [2, -1]]), np.array([2, 1]), np.array([], dtype=int)
    weight = np.ones((2, 1, 2, 2))
    for made in (Conv, ConvTranspose):
        wanted = made(weight, None, (2, 1), ((0, 1), (2, -1)), (2, 1), 2)
        for read in (np.array, torch.tensor):
            found = made(weight, None, read(twos), read(pads), read(twos), np.int64(2))
            assert so.to_json(found) == so.to_json(wanted)
        assert so.to_json(made(weight, None, none, none, none)) == so.to_json(made(weight))
    network = chain(twos, Reshape(torch.tensor([1, 2])), Permute(np.array([1, 0])))  # type: ignore[arg-type]
    assert network.output_shape == (2, 1)
    assert Port("a", twos).shape == (2, 1)  # type: ignore[arg-type]
    assert RankPool(0, np.int64(2)).run([np.array([[3.0, 1.0]])]) == 1.0  # type: ignore[arg-type]
    assert Neuron(np.ones(3), None, "pool", np.int64(2)).rank == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int64])
def test_fields_hold_integers_of_python(kind: Any) -> None:
    """Those of NumPy wrap around: minus a rank of uint8 is 255."""
    pool, neuron = RankPool(0, kind(1)), Neuron(np.ones(3), None, "pool", kind(1))
    conv = Conv(np.ones((64, 5, 3)), groups=kind(64))
    assert [type(n) for n in (pool.rank, neuron.rank, conv.groups)] == [int, int, int]
    assert [-pool.rank, conv.weight.shape[1] * conv.groups] == [-1, 320]


def test_windows_may_be_generated() -> None:
    windows = [max_window(axis, pool_positions(2, 2, 1), 2) for axis in (0, 1)]
    assert len(MaxPool(iter(windows)).windows) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", [1.5, [1.5], "ab", None, np.ones((3, 2))], ids=str)
def test_what_holds_no_integers_is_refused_by_name(odd: Any) -> None:
    convolution = Conv(np.ones((2, 1, 2, 2)))
    transposed = ConvTranspose(convolution.weight)
    builds: list[tuple[str, Callable[[], object]]] = [
        *(
            (name, partial(replace, layer, **{name: odd}))  # type: ignore[misc]
            for layer in (convolution, transposed)
            for name in ("stride", "padding", "dilation", "groups")
        ),
        ("size", lambda: Input(odd)),
        ("size", lambda: Reshape(odd)),
        ("axes", lambda: Permute(odd)),
        ("shape", lambda: Port("a", odd)),
        ("axis", lambda: Concat(odd).shape([(2,)])),
        ("axis", lambda: RankPool(odd).shape([(2,)])),
        ("axis", lambda: MaxPool((AxisWindow(odd, np.array([[0, 1]])),)).shape([(2,)])),
        ("rank", lambda: RankPool(0, odd).shape([(2,)])),
        ("rank", lambda: Neuron(np.ones(2), None, "pool", odd)),
        ("neuron", lambda: Neuron(np.ones(2), None, odd)),
        ("maps", lambda: Resample(odd)),
        ("windows", lambda: MaxPool(odd)),
        ("index", lambda: AxisWindow(0, odd)),
        ("Select|index", lambda: Select(odd)),
    ]
    for name, build in builds:
        with pytest.raises(so.ProblemError, match=name):
            build()


def test_ranks_are_whole_numbers() -> None:
    for made in (
        lambda: RankPool(0, 1.5).shape([(3,)]),  # type: ignore[arg-type]
        lambda: Neuron(np.ones(3), None, "pool", 1.5),  # type: ignore[arg-type]
    ):
        with pytest.raises(so.ProblemError, match=r"no rank 1\.5"):
            made()


def test_a_pool_counts_the_zeros_that_a_selection_makes() -> None:
    network = chain((2,), Select(np.array([0, -1, 1])), RankPool(0, 1))
    for x in ([-3, -2], [4, -2], [-1, 5]):
        assert network.run([Fraction(v) for v in x]) == max(0, *x)
        assert so.load_network(network.unroll()).run(x) == max(0, *x)


def test_exact_numbers_stay_exact() -> None:
    """Averages of integers are no floats, and zeros of padding do not wrap around."""
    thirds = AxisMap(0, np.array([[0, 1, 2]]), np.array([[1, 1, 1]], dtype=object), np.array([3]))
    ones = np.array([1, 1, 2], dtype=object)[None]
    assert chain((3,), Resample((thirds,))).run(ones).tolist() == [[Fraction(4, 3)]]
    large = np.array([[[5 * 10**9]]], dtype=object)
    for padded in (
        Conv(large, None, (1,), ((1, 1),)),
        ConvTranspose(large, None, (1,), ((-1, -1),)),
    ):
        net = chain((1, 1), padded, padded)
        found = net.run(large).ravel().tolist()
        assert max(found) == 125 * 10**27
        assert all(type(number.numerator) is int for number in found)
