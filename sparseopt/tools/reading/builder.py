"""What networks are built with, layer by layer, in the shapes of the model that they are read from.

What is composed of several layers, such as exact ReLU forms of activations, is in `composed`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sparseopt.interface.errors import ProblemError
from sparseopt.networks.linear import Dense, Scale
from sparseopt.networks.network import Network
from sparseopt.networks.node import Node
from sparseopt.networks.operator import Add, Concat, Input, Operator, Permute, Relu, Reshape, Select
from sparseopt.networks.port import Port
from sparseopt.networks.window import RankPool, Resample
from sparseopt.tools.reading.budget import Budget, require_room, require_room_within
from sparseopt.tools.reading.values import (
    MovedTensor,
    Origin,
    Shape,
    Value,
    sample_constant,
    sample_shape,
)
from sparseopt.tools.reading.window_cells import total_map

MOST_LABELS = 1 << 16
"""Entries of an output that get a label each."""


class NetworkBuilder:
    """Adds layers to a network under construction; methods return the value that they made.

    Shapes and axes are those of the model: a leading axis of 1 is its batch, which the network
    leaves out. Where no value has one, shapes are those of samples.

    Parameters
    ----------
    shape : tuple of int
        Shape of the input.
    name : str
        Name of the input.
    budget : Budget, optional
        What was computed before.
    more : sequence of (str, tuple of int)
        Name and shape of further inputs: the network's input is then the entries of all, one input
        after the other.

    Attributes
    ----------
    input, inputs : Value, list of Value
        The first input, and all of them.

    Examples
    --------
    >>> from sparseopt.networks.linear import Dense
    >>> builder = NetworkBuilder((1, 2), "x")
    >>> hidden = builder.relu(builder.add(Dense(np.eye(2)), [builder.input], "fc"), "relu")
    >>> hidden.shape
    (1, 2)
    >>> builder.finish(builder.sum_of([builder.input, hidden], "skip")).run([-1.0, 1.0])
    array([-1.,  2.])
    """

    def __init__(
        self,
        shape: Shape,
        name: str = "input",
        budget: Budget | None = None,
        more: Sequence[tuple[str, Shape]] = (),
    ) -> None:
        self.budget = budget or Budget()
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {}
        self._notes: list[str] = []
        given = [(name, tuple(shape)), *((n, tuple(s)) for n, s in more)]
        self._ports = tuple(Port(n, sample_shape(s)) for n, s in given)
        self.inputs = self._joined_inputs(given) if more else [self._only_input(*given[0])]
        self.input = self.inputs[0]

    def _only_input(self, name: str, shape: Shape) -> Value:
        self._source = self._node(Input(sample_shape(shape)), (), name)
        return Value(self._source, shape)

    def _joined_inputs(self, given: Sequence[tuple[str, Shape]]) -> list[Value]:
        total = sum(port.size for port in self._ports)
        require_room((total,))
        self.budget.keep(total)
        self._source = self._node(Input((total,)), (), "inputs")
        values, start = [], 0
        for port, (name, shape) in zip(self._ports, given, strict=True):
            places = np.arange(start, start + port.size).reshape(port.shape)
            values.append(Value(self._node(Select(places), (self._source,), name), shape))
            start += port.size
        return values

    def add(
        self,
        op: Operator,
        values: Sequence[Value],
        name: str,
        origin: Mapping[str, Origin] | None = None,
    ) -> Value:
        """Apply an operator to samples; a batch axis that all values have is kept in front.

        The layer gets `name`, made unique by a suffix where it is taken.
        """
        made = self._node(op, [v.name for v in values], name, origin)
        shape = self._shapes[made]
        if shape and all(v.has_batch for v in values):
            return Value(made, (1, *shape))
        return self._value(made, shape)

    def add_on_all_axes(
        self,
        op: Operator,
        values: Sequence[Value],
        name: str,
        origin: Mapping[str, Origin] | None = None,
    ) -> Value:
        """Apply an operator to values of which the batch axis is an axis like any other."""
        made = self._node(op, [self._full(v) for v in values], name, origin)
        return self._value(made, self._shapes[made])

    def node(self, name: str) -> Node:
        """Return a layer that was made before."""
        return self._nodes[name]

    def note(self, text: str) -> None:
        """Record what was changed or assumed, once."""
        if text not in self._notes:
            self._notes.append(text)

    def finish(self, output: Value, name: str = "output") -> Network:
        """Return the network with this output; unused layers are dropped."""
        return self.finish_all([(name, output)])

    def distinct(self, outputs: Sequence[tuple[str, Value]]) -> list[int]:
        """Return the places of the outputs to read: where all are one value, the first.

        Such are logits together with their probabilities, once the head is stripped.
        """
        if len(outputs) > 1 and len({value.name for _, value in outputs}) == 1:
            self.note(f"the outputs {', '.join(name for name, _ in outputs)} are one value")
            return [0]
        return list(range(len(outputs)))

    def finish_all(self, outputs: Sequence[tuple[str, Value]]) -> Network:
        """Return the network with these outputs by name, joined if there are several."""
        ports = tuple(Port(name, self._shapes[value.name]) for name, value in outputs)
        end = outputs[0][1].name if len(outputs) == 1 else self._joined(outputs)
        needed = {end, self._source}
        for node in reversed(self._nodes.values()):
            if node.name in needed:
                needed.update(node.inputs)
        if end != self._source and not any(
            self._source in self._nodes[name].inputs and not self._is_constant(name)
            for name in needed
        ):
            raise ProblemError("the output does not depend on the input")
        nodes = tuple(node for node in self._nodes.values() if node.name in needed)
        return Network(
            nodes,
            end,
            tuple(self._notes),
            output_labels=_labels(ports) if len(ports) > 1 else None,
            inputs=self._ports,
            outputs=ports,
        )

    def _joined(self, outputs: Sequence[tuple[str, Value]]) -> str:
        parts = [
            self._reshaped(value.name, (math.prod(value.shape),), f"{name}:flat")
            for name, value in outputs
        ]
        return self._node(Concat(0), parts, "outputs")

    def _is_constant(self, name: str) -> bool:
        """Whether a node picks nothing of what it reads, as `constant` makes it."""
        op = self._nodes[name].op
        return isinstance(op, Select) and bool(op.index.max() < 0)

    def _node(
        self,
        op: Operator,
        inputs: Sequence[str],
        name: str,
        origin: Mapping[str, Origin] | None = None,
        shifts: Sequence[str] = (),
    ) -> str:
        shape = op.shape([self._shapes[i] for i in inputs])
        unique, count = name, 1
        while unique in self._nodes:
            count += 1
            unique = f"{name}:{count}"
        found = dict(origin or {})
        layouts = {
            field: tensor.positions.reshape(op.parameters()[field].shape)
            for field, tensor in found.items()
            if isinstance(tensor, MovedTensor)
        }
        tensors = {f: t.name if isinstance(t, MovedTensor) else t for f, t in found.items()}
        self._nodes[unique] = Node(unique, op, tuple(inputs), tensors, tuple(shifts), layouts)
        self._shapes[unique] = shape
        return unique

    def _reshaped(self, node: str, shape: Sequence[int], name: str) -> str:
        shape = tuple(shape)
        return node if shape == self._shapes[node] else self._node(Reshape(shape), (node,), name)

    def _value(self, node: str, shape: Sequence[int], head: str = "") -> Value:
        """Return the entries of a node as a value that has `shape` in the model."""
        shape = tuple(int(n) for n in shape)
        return Value(self._reshaped(node, sample_shape(shape), f"{node}:shape"), shape, head)

    def _full(self, value: Value) -> str:
        """Return a node that holds the value with its batch axis."""
        return self._reshaped(value.name, value.shape, f"{value.name}:full")

    def positions(self, value: Value) -> np.ndarray:
        """Return the positions of the entries in row-major order, to move about for `select`."""
        return np.arange(math.prod(value.shape)).reshape(value.shape)

    def select(self, value: Value, index: np.ndarray, name: str, fill: float = 0.0) -> Value:
        """Pick entries by position; -1 gives `fill`."""
        if index.size == 0:
            raise ProblemError(f"the result has shape {index.shape}, without entries")
        require_room(index.shape)
        self.budget.keep(index.size)
        shape = sample_shape(index.shape)
        if np.array_equal(index.ravel(), np.arange(math.prod(value.shape))):
            made = self._reshaped(value.name, shape, name)
        else:
            made = self._node(Select(index.reshape(shape)), (value.name,), name)
        picked = Value(made, index.shape, value.head)
        if not fill:
            return picked
        return self.affine(picked, f"{name}:fill", bias=np.where(index < 0, fill, 0.0))

    def keep(self, value: Value, shape: Sequence[int]) -> Value:
        """Return the entries in the same order under another shape."""
        shape = tuple(int(n) for n in shape)
        if math.prod(shape) != math.prod(value.shape) or any(n < 1 for n in shape):
            raise ProblemError(f"a value of shape {value.shape} cannot take the shape {shape}")
        return self._value(value.name, shape, value.head)

    def permute(self, value: Value, order: Sequence[int], name: str) -> Value:
        """Return the value with its axes in another order."""
        if list(order) == list(range(len(value.shape))):
            return value
        if value.has_batch and order[0] == 0:
            made = self.add(Permute(tuple(a - 1 for a in order[1:])), [value], name)
        else:
            made = self.add_on_all_axes(Permute(tuple(order)), [value], name)
        return replace(made, head=value.head)

    def broadcast(self, value: Value, shape: Sequence[int], name: str) -> Value:
        """Return the value repeated to `shape`, as in NumPy."""
        if value.shape == tuple(shape):
            return value
        require_room(shape)
        index = np.broadcast_to(self.positions(value), shape)
        return self.select(value, index, f"{name}:expand")

    def constant(self, array: np.ndarray, name: str) -> Value:
        """Return a constant as a value: zeros, with the numbers as biases."""
        require_room(array.shape)
        nowhere = np.full(array.shape, -1)
        zeros = self.select(replace(self.input, name=self._source), nowhere, f"{name}:zeros")
        return self.affine(zeros, f"{name}:constant", bias=array) if np.any(array) else zeros

    def concat(self, parts: Sequence[Value | np.ndarray], axis: int, name: str) -> Value:
        """Join values and constants along an axis."""
        values = [v if isinstance(v, Value) else self.constant(v, name) for v in parts]
        if axis > 0 and all(v.has_batch for v in values):
            return self.add(Concat(axis - 1), values, name)
        return self.add_on_all_axes(Concat(axis), values, name)

    def image(self, value: Value, spatial: int, op: Operator, name: str, **origin: Origin) -> Value:
        """Apply an operator on (channels, spatial...), with or without a batch axis before it."""
        require_room_within(op, value.shape[-spatial:])
        if len(value.shape) == spatial + 1:
            return self.add_on_all_axes(op, [value], name, origin)
        if len(value.shape) != spatial + 2 or value.shape[0] != 1:
            raise ProblemError(
                f"its input has shape {value.shape}, but (1, channels, {spatial} spatial axes) is "
                "needed"
            )
        return self.add(op, [value], name, origin)

    def dense(self, value: Value, op: Dense, name: str, **origin: Origin) -> Value:
        """Apply a dense layer to the last axis."""
        if not value.shape:
            raise ProblemError("its input is a single number; an axis is needed")
        return self.add(op, [value], name, origin)

    def affine(
        self,
        value: Value,
        name: str,
        factor: np.ndarray | float | None = None,
        bias: np.ndarray | float | None = None,
        shifts: Sequence[str] = (),
        origin: Mapping[str, Origin] | None = None,
    ) -> Value:
        """Return ``factor * value + bias``, broadcast together as in NumPy.

        `origin` names the tensors that factor and bias are.
        """
        given = [np.shape(a) for a in (factor, bias) if a is not None]
        shape = np.broadcast_shapes(value.shape, *given)
        self.budget.keep(sum(math.prod(s) for s in given))
        wide = self.broadcast(value, shape, name)
        scale = Scale(*(None if a is None else sample_constant(a, shape) for a in (factor, bias)))
        # Of a constant for each of several samples one is taken, which is no tensor.
        sizes = {"factor": np.asarray(factor).size, "bias": np.asarray(bias).size}
        held = scale.parameters()
        kept = {f: t for f, t in (origin or {}).items() if sizes[f] == held[f].size}
        made = self._node(scale, (wide.name,), name, kept, shifts=shifts)
        return replace(wide, name=made)

    def sum_of(self, values: Sequence[Value], name: str) -> Value:
        """Return the sum of values, broadcast together."""
        shape = np.broadcast_shapes(*(v.shape for v in values))
        parts = [self.broadcast(v, shape, name).name for v in values]
        return Value(self._node(Add(), parts, name), shape)

    def relu(self, value: Value, name: str) -> Value:
        """Return max(value, 0)."""
        return replace(value, name=self._node(Relu(), (value.name,), name))

    def rank(self, values: Sequence[Value], rank: int, name: str) -> Value:
        """Return the `rank`-th largest of values, entry by entry; 1 is the maximum."""
        shape = np.broadcast_shapes(*(v.shape for v in values))
        wide = [self.broadcast(v, shape, name).name for v in values]
        if len(wide) == 1:
            return Value(wide[0], shape)
        rows = [self._reshaped(x, (1, *self._shapes[x]), f"{name}:stack") for x in wide]
        together = self._node(Concat(0), rows, f"{name}:all")
        return Value(self._node(RankPool(0, rank), (together,), name), shape)

    def reduce(self, value: Value, axes: Sequence[int], kind: str, keep: bool, name: str) -> Value:
        """Return the sum, mean, max or min over axes."""
        shape = value.shape
        chosen = sorted({int(a) % len(shape) for a in axes}) if shape else []
        self.budget.keep(sum(shape[a] for a in chosen))
        others = [a for a in range(len(shape)) if a not in chosen]
        left = [shape[a] for a in others]
        kept = [1 if a in chosen else n for a, n in enumerate(shape)]
        made = self._full(value)
        if kind in ("sum", "mean"):
            maps = tuple(total_map(a, shape[a], kind == "mean") for a in chosen)
            made = self._node(Resample(maps), (made,), name) if maps else made
            made = made if keep else self._reshaped(made, left, f"{name}:squeeze")
        else:
            count = math.prod(shape[a] for a in chosen)
            if (order := (*others, *chosen)) != tuple(range(len(shape))):
                made = self._node(Permute(order), (made,), f"{name}:axes")
            flat = self._reshaped(made, (*left, count), f"{name}:flat")
            pool = RankPool(len(left), 1 if kind == "max" else count)
            made = self._node(pool, (flat,), name)
            made = self._reshaped(made, kept, f"{name}:keep") if keep else made
        return self._value(made, kept if keep else left)


def _labels(ports: Sequence[Port]) -> tuple[str, ...] | None:
    """Return a name for each entry of joined outputs, such as ``"box[0, 3]"``."""
    if sum(port.size for port in ports) > MOST_LABELS:
        return None
    return tuple(
        f"{port.name}[{', '.join(map(str, place))}]" if port.shape else port.name
        for port in ports
        for place in np.ndindex(port.shape)
    )
