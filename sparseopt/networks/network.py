"""The network: a directed acyclic graph of layers with one input and one output.

Several inputs or outputs of a source are joined into one, and remembered as `Port` s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from sparseopt.interface import seams
from sparseopt.interface.arrays import as_array, require_finite
from sparseopt.interface.errors import ProblemError
from sparseopt.interface.json_type import json_type
from sparseopt.networks.merging import merge_biases, merge_scales
from sparseopt.networks.neurons import NeuronGraph
from sparseopt.networks.node import Node, Visit
from sparseopt.networks.operator import Input, Operator
from sparseopt.networks.parameters import Shape
from sparseopt.networks.port import Port, join_inputs, require_fit
from sparseopt.networks.unrolling import unroll

MOST_ENTRIES = 1 << 30
"""Entries of all values together, 8 GB in float64: a file of a few bytes must not ask for more."""


@json_type
@dataclass(frozen=True, eq=False)
class Network:
    """A DAG ReLU network: layers over arrays, with one input and one output.

    Values have no batch axis: shapes are those of one sample, and path-norms are per sample.

    Parameters
    ----------
    nodes : tuple of Node
        In topological order; the first is the `Input`.
    output : str
        Name of the node that gives the output.
    notes : tuple of str
        What a reader changed or assumed, in words.
    input_labels, output_labels : tuple of str, or None
        Names of the entries of input and output, where the source has them.
    inputs, outputs : tuple of Port
        The source's own inputs and outputs by name, where a reader knows them: the network's
        input and output are their entries one after the other, each in row-major order.

    Raises
    ------
    ProblemError
        Naming the node, for unknown or repeated names, cycles, shapes that do not fit, and NaN
        or infinite weights.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Input, Network, Node, Relu
    >>> net = Network(
    ...     nodes=(
    ...         Node("x", Input((2,))),
    ...         Node("hidden", Dense(np.array([[1.0, -1.0]])), ("x",)),
    ...         Node("relu", Relu(), ("hidden",)),
    ...         Node("y", Dense(np.array([[3.0]]), np.array([0.5])), ("relu",)),
    ...     ),
    ...     output="y",
    ... )
    >>> net.run([2.0, 1.0])
    array([3.5])
    """

    nodes: tuple[Node, ...]
    output: str
    notes: tuple[str, ...] = ()
    input_labels: tuple[str, ...] | None = None
    output_labels: tuple[str, ...] | None = None
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()

    def __post_init__(self) -> None:
        for name in ("nodes", "notes", "inputs", "outputs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if any(isinstance(node.op, Input) != (node is self.nodes[0]) for node in self.nodes):
            raise ProblemError("a network has exactly one Input, and it is its first node")
        if self.output not in self.shapes:
            raise ProblemError(f"the output {self.output!r} is not a node of the network")
        for name, labels, ports, shape in (
            ("input", self.input_labels, self.inputs, self.shapes[self.nodes[0].name]),
            ("output", self.output_labels, self.outputs, self.shapes[self.output]),
        ):
            if labels is not None and (len(labels),) != shape:
                raise ProblemError(
                    f"{name}_labels has {len(labels)} names for a value of shape {shape}"
                )
            if ports:
                require_fit(ports, name, shape)

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Network:
        """Return what JSON holds; files made before networks had several outputs name none."""
        return cls(**{"inputs": (), "outputs": (), **fields})

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of each node's value."""
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            # Parameters are named after nodes: 1 and "1" would be one name.
            if type(node.name) is not str or not node.name or node.name in shapes:
                raise ProblemError(
                    f"names of nodes, texts, must be unique and not empty: {node.name!r}"
                )
            if unknown := [name for name in node.inputs if name not in shapes]:
                raise ProblemError(
                    f"node {node.name!r} reads {unknown[0]!r}, which no earlier node provides; "
                    "list the nodes in topological order (a cycle has none)"
                )
            try:
                shapes[node.name] = node.op.shape([shapes[name] for name in node.inputs])
            except ProblemError as error:
                raise ProblemError(f"node {node.name!r}: {error}") from error
        if sum(map(math.prod, shapes.values())) > MOST_ENTRIES:
            name = max(shapes, key=lambda name: math.prod(shapes[name]))
            raise ProblemError(
                f"its values have more than {MOST_ENTRIES} entries together; the largest is that "
                f"of node {name!r}, of the shape {shapes[name]}"
            )
        return shapes

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample."""
        return self.shapes[self.nodes[0].name]

    @property
    def output_shape(self) -> Shape:
        """Shape of the output for one sample."""
        return self.shapes[self.output]

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Node by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The layer graph; nodes carry ``op`` and ``shape``, edges their ``slots``."""
        graph = nx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.name, op=node.op, shape=self.shapes[node.name])
            for slot, name in enumerate(node.inputs):
                if graph.has_edge(name, node.name):
                    graph.edges[name, node.name]["slots"].append(slot)
                else:
                    graph.add_edge(name, node.name, slots=[slot])
        return graph

    @cached_property
    def used(self) -> frozenset[str]:
        """Names of the nodes that the output depends on, the input included."""
        needed = {self.output, self.nodes[0].name}
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return frozenset(needed)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """For each node the used nodes that read it, once per use, in order."""
        result: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs if node.name in self.used else ():
                result[name].append(node.name)
        return {name: tuple(users) for name, users in result.items()}

    @cached_property
    def edge_count(self) -> int:
        """How many edges between neurons the network has (an upper bound near padding)."""
        return sum(
            node.op.edges([self.shapes[n] for n in node.inputs], self.shapes[node.name])
            for node in self.nodes
            if node.name in self.used
        )

    @cached_property
    def is_exact(self) -> bool:
        """Whether every parameter is an exact number (int or Fraction)."""
        arrays = self.parameters().values()
        return all(array.dtype == object for array in arrays)

    def parameters(self) -> dict[str, np.ndarray]:
        """Return every weight and bias array, read-only, by ``"node.field"``."""
        return {
            f"{node.name}.{name}": array
            for node in self.nodes
            for name, array in node.op.parameters().items()
        }

    def with_parameters(self, arrays: Mapping[str, np.ndarray]) -> Network:
        """Return the network with some arrays replaced by others of the same shapes.

        Parameters
        ----------
        arrays : mapping
            From names as in `parameters` to arrays.

        Raises
        ------
        ProblemError
            For an unknown name or another shape.
        """
        changes: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays.items():
            owner, _, parameter = name.rpartition(".")
            if owner not in self.by_name or parameter not in self.by_name[owner].op.parameters():
                known = ", ".join(list(self.parameters())[:8])
                raise ProblemError(f"the network has no parameter {name!r}; it has {known}, ...")
            changes.setdefault(owner, {})[parameter] = array
        nodes = []
        for node in self.nodes:
            if node.name in changes:
                try:
                    op = node.op.with_parameters(**changes[node.name])
                except ProblemError as error:
                    raise ProblemError(f"node {node.name!r}: {error}") from error
                node = replace(node, op=op)
            nodes.append(node)
        return replace(self, nodes=tuple(nodes))

    @cached_property
    def origins(self) -> Mapping[str, str]:
        """The tensor of the source that each parameter is, by ``"node.field"``.

        Initializers of an ONNX file, parameters and buffers of a module. Parameters that are no
        tensor of the source, such as the scale of a batch normalization, are not in it.
        """
        return {
            f"{node.name}.{field}": node.origin[field]
            for node in self.nodes
            for field in node.op.parameters()
            if field in node.origin
        }

    @cached_property
    def tied(self) -> Mapping[str, tuple[str, ...]]:
        """Tensors of the source that several parameters are, with those parameters' names."""
        users: dict[str, list[str]] = {}
        for node in self.nodes:
            for parameter, tensor in node.origin.items():
                users.setdefault(tensor, []).append(f"{node.name}.{parameter}")
        return {tensor: tuple(names) for tensor, names in users.items() if len(names) > 1}

    def walk(self, first: Any, visit: Visit) -> Any:
        """Return the output's value when the input has value `first`.

        ``visit(node, values)`` gives the value of each further node from those of its
        predecessors; values are dropped once nothing needs them any more.
        """
        last = {name: node for node in self.nodes if node.name in self.used for name in node.inputs}
        values = {self.nodes[0].name: first}
        for node in self.nodes[1:]:
            if node.name in self.used:
                values[node.name] = visit(node, [values[name] for name in node.inputs])
                for name in node.inputs:
                    if last[name] is node:
                        values.pop(name, None)
        return values[self.output]

    def run(self, x: Any) -> np.ndarray:
        """Evaluate the network.

        Parameters
        ----------
        x : array, shape input_shape or (n, *input_shape)
            float32 and float64 are computed in their own precision, integers in float64. Object
            arrays of int and Fraction, and integers for a network with exact weights, are
            computed exactly. A network with several `inputs` also takes a tuple of arrays, one
            for each, or a mapping from name to array; one with `input_labels` a mapping from
            label to number.

        Returns
        -------
        array, shape output_shape or (n, *output_shape)
            Several outputs stand one after the other; `by_output` takes them apart.
        """
        array = self._as_input(x)
        single = array.ndim == len(self.input_shape)
        batch = array[None] if single else array
        result = self.walk(batch, lambda node, values: node.op.run(values))
        return result[0, ...] if single else result

    def by_output(self, values: Any) -> dict[str, np.ndarray]:
        """Return what belongs to each of the outputs, by name.

        Parameters
        ----------
        values : array, shape output_shape or (n, *output_shape)
            A figure for each entry of the output: what `run` returns, or
            ``answer.per_output_log10`` of a path-norm.

        Returns
        -------
        dict of str to array
            In the shape of each of `outputs`; of a network without names under the name of its
            output node.

        Examples
        --------
        >>> from sparseopt.networks import Port, Relu
        >>> net = chain((3,), Relu())
        >>> net = replace(net, outputs=(Port("box", (2,)), Port("score", (1,))))
        >>> net.by_output(net.run([1.0, -2.0, 3.0]))
        {'box': array([1., 0.]), 'score': array([3.])}
        """
        array = as_array(values, "values")
        lead = array.shape[: array.ndim - len(self.output_shape)]
        if (*lead, *self.output_shape) != array.shape or len(lead) > 1:
            raise ProblemError(
                f"the values have shape {array.shape}; the output of this network has "
                f"{self.output_shape}"
            )
        ports = self.outputs or (Port(self.output, self.output_shape),)
        cuts = np.cumsum([port.size for port in ports])[:-1]
        parts = np.split(array.reshape(*lead, -1), cuts, axis=-1)
        named = zip(ports, parts, strict=True)
        return {port.name: part.reshape((*lead, *port.shape)) for port, part in named}

    def _as_input(self, x: Any) -> np.ndarray:
        x = join_inputs(x, self.inputs, self.input_labels, self.input_shape)
        array = as_array(x, "the input")
        shape = self.input_shape
        if array.shape[array.ndim - len(shape) :] != shape or array.ndim - len(shape) not in (0, 1):
            raise ProblemError(
                f"the input has shape {array.shape}; this network takes {shape}, or "
                f"(n, {', '.join(map(str, shape))}) for n samples"
            )
        if array.dtype.kind in "biu":
            array = array.astype(object if self.is_exact else np.float64)
        if array.dtype != object and array.dtype not in (np.float32, np.float64):
            raise ProblemError(f"the input has dtype {array.dtype}; use float32 or float64")
        require_finite(array, "the input")
        return array

    @cached_property
    def neurons(self) -> NeuronGraph:
        """The neuron graph with exact weights (floats are rationals); for small networks."""
        return unroll(self)

    def unroll(self) -> nx.DiGraph:
        """Return the graph of neurons, for networks of up to 200,000 edges.

        Nodes carry ``kind`` (input, id, relu, pool), ``bias`` where a path may start and ``k``
        for pools; edges carry ``weight``: Fractions if the network is exact, floats otherwise.
        Node order decides ties of pools. A ReLU is fused into the neuron before it.
        """
        return self.neurons.to_digraph(exact=self.is_exact)

    @cached_property
    def merged(self) -> Network:
        """The network with entrywise scales merged into the layers before them."""
        nodes, output = merge_scales(self)
        return replace(self, nodes=nodes, output=output)

    @cached_property
    def merged_biases(self) -> Network:
        """A network with the path-lifting of `merged` that shares all weights with this one."""
        return replace(self, nodes=merge_biases(self))

    def to_torch(self, dtype: str | None = None) -> Any:
        """Return a ``torch.nn.Module`` that computes the network.

        Parameters
        ----------
        dtype : {"float32", "float64"} or None
            Of its parameters; None: float32 if the network has such, else float64.

        Returns
        -------
        torch.fx.GraphModule
            Takes tensors (n, *input_shape); several `inputs` or `outputs` stay joined, and
            `by_output` takes those apart. Layers with weights are modules of PyTorch under the
            names of the tensors that they came from, where these are names of modules, else under
            their own; tensors that layers share stay shared.

        Raises
        ------
        ProblemError
            If PyTorch is not there, or has no such layer; in float32 if little is left of what the
            network computes, as beside the bound of a Clip at 1e8.
        """
        return seams.made_of_network(self, "torch", {"dtype": dtype})

    def to_onnx(self, path: Any) -> None:
        """Write the network to a new ONNX file.

        It is compared with the network, as onnxruntime computes it (or ONNX's reference, where
        that is not installed), before the file is there. Initializers have the names of the
        tensors that they came from, where they are these, else ``"node.field"``. Several `inputs`
        and `outputs` are inputs and outputs of the file, by name. To change the file that the
        network came from, see `sparseopt.write`.

        Parameters
        ----------
        path : str or path
            Must end in ``.onnx``.

        Raises
        ------
        ProblemError
            If onnx is not there, a layer has no form in ONNX, or onnxruntime computes something
            else. Nothing is written then.
        """
        seams.written_network(self, path)

    def plot(self, ax: Any = None) -> Any:
        """Draw the layers with their widths and sparsity; return the matplotlib Axes."""
        return seams.drawn(self, ax)

    def _repr_html_(self) -> str:
        return seams.notebook_page(self)

    def describe(self) -> str:
        """Return one line with the sizes."""
        weights = sum(array.size for array in self.parameters().values())
        return (
            f"network of {len(self.nodes)} layers, {weights} parameters, "
            f"{self.input_shape} -> {self.output_shape}"
        )

    def __repr__(self) -> str:
        return f"<{self.describe()}>"


def chain(size: Sequence[int], *layers: Operator) -> Network:
    """Return the sequential network of these operators on inputs of shape `size`.

    Examples
    --------
    >>> import numpy as np
    >>> from sparseopt.networks import Dense, Relu, chain
    >>> chain((2,), Dense(np.ones((3, 2))), Relu(), Dense(np.ones((1, 3)))).run([1.0, 1.0])
    array([6.])
    """
    nodes = [Node("input", Input(size))]  # type: ignore[arg-type]
    for position, op in enumerate(layers):
        nodes.append(Node(f"{position}:{type(op).__name__}", op, (nodes[-1].name,)))
    return Network(tuple(nodes), nodes[-1].name)
