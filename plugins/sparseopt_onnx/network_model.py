"""Networks as ONNX models, layer by layer, under the names of the tensors they came from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import sparseopt as so
from sparseopt.interface.printing import printable, short
from sparseopt.networks.node import Node
from sparseopt.networks.port import Port
from sparseopt_onnx.layer_nodes import emit
from sparseopt_onnx.network_ports import (
    OutputPart,
    entering,
    input_names,
    leaving,
    several,
    value_names,
)

OPSET, IR_VERSION = 17, 8
"""Of the models that are written: old enough for the software that people have."""


class ModelBuilder:
    """A model under construction.

    Parameters
    ----------
    network : Network
    dtype : float32 or float64
    """

    def __init__(self, network: so.Network, dtype: type[np.floating]) -> None:
        self.network = network
        self.dtype = dtype
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, np.ndarray] = {}
        self._labels = value_names(network)
        ports = {p.name for p in (*several(network.inputs), *several(network.outputs))}
        self._names = {*self._labels.values(), *ports}
        self._taken = self._names | set(network.origins.values())

    def build(self) -> onnx.ModelProto:
        """Return the model; the first axis of all inputs and outputs is the batch, of any size."""
        network = self.network
        whole, parts = self._labels[network.nodes[0].name], entering(network)
        values: dict[str, str] = {network.nodes[0].name: whole}

        def visit(node: Node, given: list[str]) -> str:
            values[node.name] = parts.get(node.name) or emit(node.op, self, node, given)
            return values[node.name]

        last = network.walk(whole, visit)
        inputs = several(network.inputs) or [Port(whole, network.input_shape)]
        if several(network.inputs):
            self._nodes[:0] = self._joined(inputs, whole)
        end = self._labels[network.output]
        outputs = [self._output(part, values) for part in leaving(network)]
        if not outputs:
            outputs = [Port(end, network.output_shape)]
            if last != end:
                self._nodes.append(helper.make_node("Identity", [last], [end], name=end))
        used = self._used(outputs)
        kind = TensorProto.FLOAT if self.dtype == np.float32 else TensorProto.DOUBLE
        given, results = (
            [helper.make_tensor_value_info(p.name, kind, ("batch", *p.shape)) for p in ports]
            for ports in (inputs, outputs)
        )
        graph = helper.make_graph(
            [node for node in self._nodes if not used.isdisjoint(node.output)],
            "network",
            given,
            results,
            [numpy_helper.from_array(a, name) for name, a in self._tensors.items() if name in used],
        )
        made = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="sparseopt",
        )
        if made.ByteSize() >= 2**31:
            raise so.ProblemError(
                f"the model has {made.ByteSize()} bytes, and one file holds at most 2 GiB; write "
                "network.to_torch() instead"
            )
        return made

    def _joined(self, ports: Sequence[Port], name: str) -> list[onnx.NodeProto]:
        """Return the operators that join inputs in one value."""
        before, self._nodes = self._nodes, []
        flat = [self.reshaped(port.name, (port.size,), f"{port.name}:flat") for port in ports]
        self._nodes.append(helper.make_node("Concat", flat, [name], name=name, axis=1))
        made, self._nodes = self._nodes, before
        return made

    def _output(self, part: OutputPart, values: dict[str, str]) -> Port:
        """Add what makes one of several outputs of the value of a node; return it."""
        port, value, shape = part.port, values[part.node], self.network.shapes[part.node]
        # Old versions of onnxruntime hand out something else for an output that is an input.
        handed_on = port.name in input_names(self.network)
        if value == port.name and not handed_on:
            return port
        name = self.fresh(f"{port.name}:output") if handed_on else port.name
        if math.prod(shape) != port.size:
            value = self.reshaped(value, (math.prod(shape),), f"{port.name}:flat")
            ends = [
                self.constant(np.array([place]), f"{port.name}.{which}")
                for which, place in (("start", part.start), ("end", part.start + port.size))
            ]
            axis = self.constant(np.array([1]), f"{port.name}.axis")
            value = self.add("Slice", [value, *ends, axis], f"{port.name}:part")
            shape = (port.size,)
        if shape == port.shape:
            self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        else:
            size = self.constant(np.array([-1, *port.shape]), f"{port.name}.shape")
            self._nodes.append(helper.make_node("Reshape", [value, size], [name], name=name))
        return Port(name, port.shape)

    def _used(self, outputs: Sequence[Port]) -> set[str]:
        """Return the names of values that outputs depend on."""
        used = {port.name for port in outputs}
        for node in reversed(self._nodes):
            if not used.isdisjoint(node.output):
                used.update(node.input)
        return used

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return the shape of what a node reads first."""
        return self.network.shapes[node.inputs[0]]

    def fresh(self, name: str) -> str:
        """Return a name that is not taken yet."""
        unique, count = name, 1
        while unique in self._taken:
            count += 1
            unique = f"{name}:{count}"
        self._taken.add(unique)
        return unique

    def add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add an operator with one result; return the name of that."""
        made = self.fresh(name)
        self._nodes.append(helper.make_node(kind, inputs, [made], name=made, **attributes))
        return made

    def last(self, kind: str, inputs: list[str], node: Node, **attributes: Any) -> str:
        """Add the operator whose result is that of a node, under the name of the node."""
        name = self._labels[node.name]
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def ranked(self, value: str, node: Node, axis: int, rank: int, count: int) -> str:
        """Return the entries of a rank along an axis, which disappears."""
        if rank in (1, count):
            kind = "ReduceMax" if rank == 1 else "ReduceMin"
            return self.add(kind, [value], f"{node.name}:pool", axes=[axis], keepdims=0)
        most = self.constant(np.array([rank]), f"{node.name}.rank")
        sorted_values = self.fresh(f"{node.name}:sorted")
        places = self.fresh(f"{node.name}:places")
        self._nodes.append(
            helper.make_node(
                "TopK", [value, most], [sorted_values, places], name=sorted_values, axis=axis
            )
        )
        which = self.constant(np.array(rank - 1), f"{node.name}.which")
        return self.add("Gather", [sorted_values, which], f"{node.name}:pool", axis=axis)

    def renamed(self, value: str, node: Node) -> str:
        """Return a value under the name of a node."""
        return self.last("Identity", [value], node)

    def parameter(self, node: Node, field: str, array: np.ndarray) -> str:
        """Return the initializer of a parameter: named as its tensor, where it is that."""
        tensor = node.origin.get(field)
        wide = self._wide(array, f"{node.name}.{field}")
        if tensor is not None and tensor not in self._names and field not in node.layouts:
            known = self._tensors.get(tensor)
            if known is None or (known.shape == wide.shape and np.array_equal(known, wide)):
                self._tensors[tensor] = wide
                return tensor
        return self.constant(array, f"{node.name}.{field}")

    def constant(self, array: np.ndarray, name: str) -> str:
        """Return an initializer of its own."""
        unique = self.fresh(name)
        integers = array.dtype.kind in "iu"
        self._tensors[unique] = array.astype(np.int64) if integers else self._wide(array, name)
        return unique

    def _wide(self, array: np.ndarray, name: str) -> np.ndarray:
        with np.errstate(over="ignore"):
            wide = np.asarray(array, dtype=np.float64).astype(self.dtype)
        if not np.isfinite(wide).all():
            raise so.ProblemError(f"{printable(name)} leaves the range of {np.dtype(self.dtype)}")
        return wide

    def reshaped(self, value: str, shape: tuple[int, ...], name: str) -> str:
        """Return a value (n, *shape), its entries in the same order."""
        size = self.constant(np.array([-1, *shape]), f"{name}.shape")
        return self.add("Reshape", [value, size], name)

    def flat(self, value: str, node: Node) -> tuple[str, int]:
        """Return a value (n, entries), and how many entries it has."""
        size = math.prod(self.shape(node))
        return self.reshaped(value, (size,), f"{node.name}:flat"), size


def to_model(network: so.Network, dtype: str | None = None) -> onnx.ModelProto:
    """Return the network as a model; see `Network.to_onnx`."""
    known: dict[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}
    if dtype is None:
        narrow = any(a.dtype == np.float32 for a in network.parameters().values())
        dtype = "float32" if narrow else "float64"
    if dtype not in known:
        raise so.ProblemError(f"dtype must be float32 or float64, got {short(dtype)}")
    return ModelBuilder(network, known[dtype]).build()
