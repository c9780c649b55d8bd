"""A network as layers of single neurons, with the entry of which array each edge carries.

The edges are those of `sparseopt.pathnorm.edges`, which reads the fields of the layers: a pass
over the numbers of the neurons tells which are joined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, singledispatch
from typing import Any

import numpy as np
import scipy.sparse

from sparseopt.guarantees.parameters import Parameters
from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Neuron, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.operator import Add, Operator, Relu
from sparseopt.networks.parameters import exact
from sparseopt.networks.window import MaxPool, RankPool, Resample
from sparseopt.pathnorm import edges
from sparseopt.pathnorm.arithmetic import Arithmetic
from sparseopt.pathnorm.contractions import Contraction, kernel

MOST_EDGES = 1 << 25
"""Edges between neurons up to which networks are taken: their list has a gigabyte."""
_NONE = np.array(-1)
_UNFED = -2  # an entry that is none, told apart from padding of windows, which is no cell
_EMPTY = np.empty((0, 0), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons of one kind, numbered one after the other.

    Parameters
    ----------
    name : str
        Of the node.
    kind : {"linear", "relu", "pool"}
    start : int
        Number of the first neuron.
    heads, tails, entries : int arrays, shape (edges,)
        Of a linear layer: the edges ``tails -> heads`` and the entry that each carries.
    bias : int array, shape (neurons,)
        Entry of the bias, -1 for none.
    reads : int array, shape (neurons, window)
        Of the others: the neurons that are read, -1 for none.
    rank : int
        Of pools: 1 takes the largest.
    """

    name: str
    kind: str
    start: int
    heads: np.ndarray
    tails: np.ndarray
    entries: np.ndarray
    bias: np.ndarray
    reads: np.ndarray
    rank: int = 1

    @property
    def size(self) -> int:
        """Number of neurons."""
        return len(self.bias)

    @property
    def own(self) -> slice:
        """The numbers of the neurons."""
        return slice(self.start, self.start + self.size)

    @cached_property
    def biased(self) -> np.ndarray:
        """The neurons that have a bias, counted from 0 in the layer."""
        return np.flatnonzero(self.bias >= 0)

    @cached_property
    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heads, tails and entries of the edges and, behind them, of the biases, with tail -1."""
        heads = np.concatenate([self.heads, self.biased + self.start])
        tails = np.concatenate([self.tails, np.full(len(self.biased), -1)])
        return heads, tails, np.concatenate([self.entries, self.bias[self.biased]])

    @cached_property
    def window(self) -> slice:
        """The neurons from the first to the last that edges leave."""
        if not len(self.tails):
            return slice(0, 1)
        return slice(int(self.tails.min()), int(self.tails.max()) + 1)

    def matrix(self, values: np.ndarray) -> Any:
        """Return the matrix (neurons of the layer, `window`) of values of the entries.

        A sparse array, or a plain one if a quarter of it is filled.
        """
        shape = (self.size, self.window.stop - self.window.start)
        place = (self.heads - self.start, self.tails - self.window.start)
        made = scipy.sparse.csr_array((values[self.entries], place), shape=shape)
        return made.toarray() if 4 * len(self.heads) > math.prod(shape) else made


@dataclass(frozen=True, eq=False)
class Wires:
    """The neurons of a network.

    Attributes
    ----------
    layers : list of Layer
    count : int
        Number of neurons; the first are the entries of the input.
    inputs : int
        How many of them.
    outputs : int array, shape (outputs,)
        Their neurons, -1 for an output that is always 0.
    column : int array, shape (entries,)
        The free parameter that an entry is, or -1. Constants of layers without arrays follow
        behind the entries of `Parameters`.
    exact : object array of int and Fraction, shape (entries,)
        What the entries are.
    floats : float64 array, shape (entries,)
        The same, rounded where they are no floats.
    """

    layers: list[Layer]
    count: int
    inputs: int
    outputs: np.ndarray
    column: np.ndarray
    exact: np.ndarray
    floats: np.ndarray
    parameters: Parameters

    @cached_property
    def is_zero(self) -> np.ndarray:
        """Which entries are 0."""
        return np.asarray(self.exact == 0, dtype=bool)

    @cached_property
    def layer_of(self) -> np.ndarray:
        """The layer of each neuron, by its position; -1 for the input."""
        sizes = [layer.size for layer in self.layers]
        return np.repeat(np.arange(-1, len(sizes)), [self.inputs, *sizes])

    @cached_property
    def unused(self) -> np.ndarray:
        """Which parameters have no edge, as those that only padding is multiplied with."""
        unused = np.ones(self.parameters.count + 1, dtype=bool)
        for layer in self.layers:
            unused[self.column[layer.edges[2]]] = False  # the last stands for constants
        return unused[:-1]

    def start_of(self, neuron: int) -> int:
        """Return the first neuron of the layer that one is in."""
        position = int(self.layer_of[neuron])
        return self.layers[position].start if position >= 0 else 0

    def words(self, neuron: int) -> str:
        """Return the place of a neuron, as ``unit 3 of 'relu'``."""
        position = int(self.layer_of[neuron])
        if position < 0:
            return f"entry {neuron} of the input"
        layer = self.layers[position]
        return f"unit {neuron - layer.start} of {layer.name!r}"


class _Builder:
    def __init__(self, network: Network, owned: Parameters) -> None:
        self.network, self.owned = network, owned
        self.size = len(owned.column)
        self.constants: dict[Fraction, int] = {}
        self.layers: list[Layer] = []
        self.count = math.prod(network.input_shape)
        self.found: list[np.ndarray] = []
        self.zeros = np.array([-1])

    def constant(self, value: Fraction) -> int:
        """Return the entry of a constant."""
        return self.constants.setdefault(value, self.size + len(self.constants))

    def entries(self, name: str, field: str, array: np.ndarray) -> np.ndarray:
        """Return the numbers of the entries of an array of a node."""
        start = self.owned.starts[f"{name}.{field}"]
        return np.arange(start, start + array.size).reshape(array.shape)

    def joined(self, entries: Any, tails: Any) -> np.ndarray:
        """Add a neuron for each sum over the last axis of entries times tails."""
        shape = np.broadcast_shapes(np.shape(entries), np.shape(tails))
        heads = np.arange(self.count, self.count + math.prod(shape[:-1])).reshape(shape[:-1])
        self.count += heads.size
        parts = np.broadcast_arrays(heads[..., None], tails, entries)
        self.found.append(np.stack(parts).reshape(3, -1))
        return heads

    def product(self, entries: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Add the neurons of a product of matrices."""
        return self.joined(entries[..., :, None, :], np.swapaxes(columns, -1, -2)[..., None, :, :])

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """Numbers of neurons, with which the layers compute as with values."""
        return Arithmetic(
            _refused,
            lambda tails, entries: self.joined(entries[..., None], tails[..., None]),
            self.product,
            _NONE,
        )

    def linear(self, name: str, heads: np.ndarray, bias: np.ndarray = _NONE) -> np.ndarray:
        """Finish a layer of the neurons that were added; they are numbered as its entries lie.

        Those that nothing comes into hold 0 whatever the parameters, and are none: -1.
        """
        numbers = np.sort(heads, axis=None)
        start = int(numbers[0])
        own = start + np.argsort(heads, axis=None)
        biases = np.broadcast_to(bias, heads.shape).ravel()
        found = np.concatenate(self.found, axis=1)
        ends, tails, entries = found[:, found[1] >= 0]
        first, self.found = own[ends - start], []
        self.layers.append(Layer(name, "linear", start, first, tails, entries, biases, _EMPTY))
        fed = np.isin(numbers, first) | (biases >= 0)
        return np.where(fed, numbers, -1).reshape(heads.shape)

    def reading(self, name: str, kind: str, reads: np.ndarray, rank: int = 1) -> np.ndarray:
        """Add a layer whose neurons read others, along the last axis; -1 if only zeros are read."""
        none, shape = np.empty(0, dtype=np.int64), reads.shape[:-1]
        found = np.arange(self.count, self.count + math.prod(shape)).reshape(shape)
        parts = none, none, none, np.full(found.size, -1), reads.reshape(found.size, -1)
        self.layers.append(Layer(name, kind, self.count, *parts, rank))
        self.count += found.size
        return np.where(np.isin(reads, self.zeros).all(axis=-1), -1, found)

    def with_zeros(self, values: np.ndarray, mark: int = -1) -> np.ndarray:
        """Return what pools read, with neurons that hold 0 for the entries that are none.

        One for each place: a zero that pools share would tie their scales.
        """
        none, start = values == mark, self.count
        if none.any():
            self.reading("zero", "linear", np.full((int(none.sum()), 1), -1))
            self.zeros = np.append(self.zeros, np.arange(start, self.count))
            values = np.where(none, start - 1 + np.cumsum(none).reshape(none.shape), values)
        return values


def _refused(a: Any, b: Any) -> Any:
    raise ProblemError("layers that add up in parts are not judged")


class _Numbers:
    """Entries as the weights of a layer; see `arithmetic.Weights`."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def part(self, outputs: slice) -> np.ndarray:
        """Return those of some outputs of a kernel."""
        return self._array[:, outputs]

    def all(self) -> np.ndarray:
        """Return all."""
        return self._array


def wires(network: Network, owned: Parameters) -> Wires:
    """Return the neurons of a network.

    Raises
    ------
    ProblemError
        For more than `MOST_EDGES` edges, or a layer whose edges are not judged.
    """
    if network.edge_count > MOST_EDGES:
        raise ProblemError(
            f"the network has {owned.count} free parameters on {network.edge_count} edges between "
            f"neurons; up to {MOST_EDGES} edges are taken"
        )
    builder = _Builder(network, owned)
    first = np.arange(builder.count).reshape(1, *network.input_shape)

    def visit(node: Any, values: list[np.ndarray]) -> np.ndarray:
        return _neurons(node.op, values, builder, node.name, network.shapes[node.name])

    outputs = network.walk(first, visit).ravel()
    numbers = [value for array in owned.values for value in array.ravel().tolist()]
    exact = np.array([*numbers, *builder.constants], dtype=object)
    column = np.concatenate([owned.column, np.full(len(builder.constants), -1)])
    dropped = (column < 0) & np.asarray(exact == 0, dtype=bool)
    layers = [_without(layer, dropped) for layer in builder.layers]
    return Wires(layers, builder.count, first.size, outputs, column, exact, _floats(exact), owned)


def _without(layer: Layer, dropped: np.ndarray) -> Layer:
    """Return a layer without the edges, and biases, of some entries."""
    kept = ~dropped[layer.entries]
    parts = {name: getattr(layer, name)[kept] for name in ("heads", "tails", "entries")}
    bias = np.where((layer.bias >= 0) & dropped[layer.bias], -1, layer.bias)
    return replace(layer, **parts, bias=bias)


def _floats(exact: np.ndarray) -> np.ndarray:
    try:
        return exact.astype(np.float64)
    except OverflowError as error:
        raise ProblemError("an exact weight is beyond the range of float64") from error


def _offset(op: Operator, builder: _Builder, name: str) -> np.ndarray:
    bias = edges.offset(op)
    return _NONE if bias is None else builder.entries(name, "bias", bias)


@singledispatch
def _neurons(
    op: Operator, values: Sequence[np.ndarray], builder: _Builder, name: str, shape: Any
) -> np.ndarray:
    """Return the numbers of the neurons of a layer; the default only moves them."""
    return edges.forward(op, values, [], shape, builder.arithmetic)


@_neurons.register(Contraction)
def _of_contraction(op: Any, values: Any, builder: _Builder, name: str, shape: Any) -> np.ndarray:
    numbers = _Numbers(kernel(op, builder.entries(name, "weight", op.weight)))
    heads = edges.forward(op, values, [numbers], shape, builder.arithmetic)
    return builder.linear(name, heads, _offset(op, builder, name))


@_neurons.register
def _of_neuron(op: Neuron, values: Any, builder: _Builder, name: str, shape: Any) -> np.ndarray:
    bias = _offset(op, builder, name)
    if op.kind != "pool":
        heads = _of_contraction(op, values, builder, name, shape)
        return builder.reading(name, "relu", heads[..., None]) if op.kind == "relu" else heads
    tails = np.stack(list(values), axis=-1)
    entries = builder.entries(name, "weight", op.weight)
    products = builder.linear(name, builder.joined(entries[..., None], tails[..., None]))
    pooled = builder.reading(name, "pool", builder.with_zeros(products), op.rank)
    if op.bias is None:
        return pooled
    one = np.array([builder.constant(Fraction(1))])
    return builder.linear(name, builder.joined(one, pooled[..., None]), bias)


@_neurons.register
def _of_scale(op: Scale, values: Any, builder: _Builder, name: str, shape: Any) -> np.ndarray:
    entries = np.array(builder.constant(Fraction(1)))
    if op.factor is not None:
        entries = builder.entries(name, "factor", op.factor)
    heads = builder.joined(entries[..., None], values[0][..., None])
    return builder.linear(name, heads, _offset(op, builder, name))


@_neurons.register
def _of_add(op: Add, values: Any, builder: _Builder, name: str, shape: Any) -> np.ndarray:
    one = np.array([builder.constant(Fraction(1))])
    return builder.linear(name, builder.joined(one, np.stack(values, axis=-1)))


@_neurons.register
def _of_relu(op: Relu, values: Any, builder: _Builder, name: str, shape: Any) -> np.ndarray:
    return builder.reading(name, "relu", values[0][..., None])


@_neurons.register
def _of_rank_pool(
    op: RankPool, values: Any, builder: _Builder, name: str, shape: Any
) -> np.ndarray:
    reads = np.moveaxis(builder.with_zeros(values[0]), op.axis + 1, -1)
    return builder.reading(name, "pool", reads, op.rank)


@_neurons.register
def _of_max_pool(op: MaxPool, values: Any, builder: _Builder, name: str, shape: Any) -> np.ndarray:
    reads = np.where(values[0] < 0, _UNFED, values[0])[..., None]
    for window in op.windows:
        reads = _windowed(reads, window.axis, window.index)
    return builder.reading(name, "pool", builder.with_zeros(reads, _UNFED))


@_neurons.register
def _of_resample(op: Resample, values: Any, builder: _Builder, name: str, shape: Any) -> np.ndarray:
    reads = values[0][..., None]
    factors = np.full(reads.shape, Fraction(1), dtype=object)
    for m, each in zip(op.maps, map(exact, edges.tensors(op)), strict=True):
        reads, factors = (_windowed(part, m.axis, m.index) for part in (reads, factors))
        split = factors.reshape(*factors.shape[:-1], -1, each.shape[1])
        factors = split * each.reshape(len(each), *(1,) * (len(shape) - m.axis), each.shape[1])
        factors = factors.reshape(reads.shape)
    known = np.frompyfunc(lambda value: builder.constant(Fraction(value)), 1, 1)
    return builder.linear(name, builder.joined(known(factors).astype(np.int64), reads))


def _windowed(reads: np.ndarray, axis: int, index: np.ndarray) -> np.ndarray:
    """Return what windows along an axis read of windows of reads, the last axis joined."""
    taken = np.moveaxis(reads, axis + 1, 0)[index]  # (outputs, window, ..., old)
    taken[index < 0] = -1
    taken = np.moveaxis(np.moveaxis(taken, 1, -1), 0, axis + 1)
    return taken.reshape(*taken.shape[:-2], -1)
