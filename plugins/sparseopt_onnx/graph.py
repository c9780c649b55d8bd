"""An ONNX graph while it is converted: constants, values, and the network under construction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.budget import MOST_AXES, require_room
from sparseopt.tools.reading.builder import NetworkBuilder
from sparseopt.tools.reading.values import Value
from sparseopt_onnx.attributes import Attributes
from sparseopt_onnx.constants import compute
from sparseopt_onnx.tensors import sparse_array, tensor_array

Shape = tuple[int, ...]
Rule = Callable[["OnnxGraph", onnx.NodeProto], None]


class OnnxGraph:
    """What the conversion of one model knows.

    Parameters
    ----------
    model : onnx.ModelProto
    source : str
        Name of the model for messages.
    example : array or None
        Example input.
    whole : bool
        Whether a fixed leading size above 1 is part of the sample instead of a batch.
    """

    def __init__(
        self, model: onnx.ModelProto, source: str, example: Any, whole: bool = False
    ) -> None:
        self.source = source
        self.nodes = list(model.graph.node)
        self.opset = _opset(model, source)
        self.constants: dict[str, np.ndarray] = {}
        self._initializers = _by_name(model.graph, source)
        inputs = [i for i in model.graph.input if i.name not in self._initializers]
        if len(inputs) != 1:
            names = ", ".join(printable(i.name) for i in inputs[:8])
            raise so.ProblemError(
                f"{source} has {len(inputs)} inputs ({names}); a network here has one: make the "
                "others constants, or concatenate them"
            )
        known = {*self._initializers, inputs[0].name}
        _require_single_assignment(self.nodes, known, source)
        self.outputs = [o.name for o in model.graph.output]
        self._declared = [_dims(o) for o in model.graph.output]
        self.input_name = inputs[0].name
        self.fixed_batch, shape = _input_shape(inputs[0], source, example)
        if whole:
            self.fixed_batch, shape = 1, (self.fixed_batch, *shape[1:])
        self.input_shape = shape
        self.builder = NetworkBuilder(shape, printable(self.input_name))
        self.values: dict[str, Value] = {self.input_name: self.builder.input}
        self.head_input = ""
        self._labels = _unique_labels(self.nodes)
        self._attributes: dict[int, Attributes] = {}

    def label(self, node: onnx.NodeProto) -> str:
        """Return a name for the node, also where the file gives none."""
        return self._labels[id(node)]

    def nodes_for(self, ends: Sequence[str]) -> list[onnx.NodeProto]:
        """Return the nodes that some of the values `ends` depend on, in order."""
        wanted = set(ends)
        kept = []
        for node in reversed(self.nodes):
            if not wanted.isdisjoint(node.output):
                kept.append(node)
                wanted.update(node.input)
        return kept[::-1]

    def attributes(self, node: onnx.NodeProto) -> Attributes:
        """Return the attributes of a node, which remember what was asked for."""
        if id(node) not in self._attributes:
            self._attributes[id(node)] = Attributes(node)
        return self._attributes[id(node)]

    def constant(self, name: str) -> np.ndarray | None:
        """Return the constant of this name, or None if it is not one."""
        if name not in self.constants and name in self._initializers:
            tensor = self._initializers[name]
            try:
                if isinstance(tensor, onnx.SparseTensorProto):
                    self.constants[name] = sparse_array(tensor, self.builder.budget)
                else:
                    self.constants[name] = tensor_array(tensor)
            except (so.ProblemError, ValueError, TypeError, OverflowError) as error:
                raise so.ProblemError(
                    f"the initializer {printable(name)!r} cannot be read: {error}"
                ) from error
        return self.constants.get(name)

    def is_initializer(self, name: str) -> bool:
        """Whether the file holds a dense tensor of floats of this name."""
        tensor = self._initializers.get(name)
        floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
        return isinstance(tensor, onnx.TensorProto) and tensor.data_type in floats

    def shape_of(self, name: str) -> Shape | None:
        """Return the shape of a tensor of the file; None if there is none of this name."""
        found = self.constant(name)
        return None if found is None else found.shape

    def require_constant(self, node: onnx.NodeProto, slot: int, what: str) -> np.ndarray:
        """Return input `slot`, which must be constant."""
        value = self.constant(node.input[slot]) if slot < len(node.input) else None
        if value is None:
            raise so.ProblemError(f"{what} must be constant, but it depends on the input")
        return value

    def constants_after_first(self, node: onnx.NodeProto) -> list[np.ndarray]:
        """Return all inputs but the first, which must be constant; those left out are skipped."""
        slots = [slot for slot, name in enumerate(node.input) if name and slot]
        known = onnx.defs.get_schema(node.op_type, self.opset, "").inputs
        return [self.require_constant(node, i, f"its input {known[i].name!r}") for i in slots]

    def optional(self, node: onnx.NodeProto, slot: int, what: str) -> np.ndarray | None:
        """Return the constant input `slot`, or None if it is left out."""
        if slot >= len(node.input) or not node.input[slot]:
            return None
        return self.require_constant(node, slot, what)

    def integers(
        self, node: onnx.NodeProto, slot: int, what: str, most: int = MOST_AXES
    ) -> list[int] | None:
        """Return the constant integers of input `slot`, or None if it is left out."""
        given = self.optional(node, slot, what)
        if given is None:
            return None
        if given.dtype.kind not in "iu" or given.size > most:
            raise so.ProblemError(
                f"{what} must be at most {most} integers, it has {given.size} entries of type "
                f"{given.dtype}"
            )
        return [int(n) for n in given.ravel()]

    def value(self, node: onnx.NodeProto, slot: int = 0, after_head: bool = False) -> Value:
        """Return input `slot`, which depends on the network's input."""
        name = node.input[slot]
        if name not in self.values:
            raise so.ProblemError(
                f"it reads {printable(name)!r}, which no earlier node provides; the nodes are not "
                "in order, or form a cycle"
            )
        value = self.values[name]
        if value.head and not after_head:
            raise so.ProblemError(
                f"it reads the result of {value.head}, which is only understood at the end of a "
                "network; cut the network before it"
            )
        return value

    def image(self, node: onnx.NodeProto) -> Value:
        """Return the first input, which must have a batch of 1, channels and spatial axes."""
        value = self.value(node)
        if len(value.shape) < 3 or value.shape[0] != 1:
            raise so.ProblemError(
                f"its input has shape {value.shape}; (1, channels, spatial...) is needed"
            )
        return value

    def set(self, node: onnx.NodeProto, value: Value) -> None:
        """Let the first output of the node be `value`."""
        self.values[node.output[0]] = value

    def fold(self, node: onnx.NodeProto) -> bool:
        """Compute the node if it is constant; return whether it was."""
        if node.op_type == "Shape" and node.input[0] in self.values:
            attributes = self.attributes(node)
            shape = self.values[node.input[0]].shape
            part = shape[attributes.get("start", 0) : attributes.get("end", len(shape))]
            self.constants[node.output[0]] = np.array(part, dtype=np.int64)
            return True
        if node.op_type == "Dropout" and node.input[0] in self.values:
            return False
        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            return False  # control flow, which may read values that are not among its inputs
        arrays = [self.constant(name) for name in node.input if name]
        if any(array is None for array in arrays):
            return False
        known = [a for a in arrays if a is not None]
        results = compute(node, known, self.opset, self.builder.budget)
        self.constants.update(zip(node.output, results, strict=False))
        return True

    def finish(self) -> so.Network:
        """Return the network of the graph's output."""
        missing = [name for name in self.outputs if name not in self.values]
        if missing:
            raise so.ProblemError(
                f"{self.source}: the output {printable(missing[0])!r} does not depend on the input"
            )
        ends = {self.values[name].name: self.values[name] for name in self.outputs}
        if len(ends) != 1:
            raise so.ProblemError(
                f"{self.source} has {len(self.outputs)} outputs "
                f"({', '.join(printable(name) for name in self.outputs[:8])}); a network here has "
                "one: export it with one output, or concatenate them"
            )
        if self.fixed_batch > 1:
            if any(dims and dims[0] not in (None, self.fixed_batch) for dims in self._declared):
                raise so.ProblemError(
                    f"{self.source}: the samples of a batch of {self.fixed_batch} are mixed; "
                    "export the model with a batch of 1"
                )
            self.builder.note(f"the batch of {self.fixed_batch} in the file was taken as 1")
        return self.builder.finish(ends.popitem()[1])


def _by_name(graph: onnx.GraphProto, source: str) -> dict[str, Any]:
    """Return initializers by name, dense and sparse."""
    pairs = [(t.name, t) for t in graph.initializer]
    pairs += [(s.values.name, s) for s in graph.sparse_initializer]
    named = dict(pairs)
    if len(named) != len(pairs) or "" in named:
        raise so.ProblemError(f"{source} has two initializers of one name, or one without a name")
    return named


def _opset(model: onnx.ModelProto, source: str) -> int:
    versions = [e.version for e in model.opset_import if e.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] < 7:
        raise so.ProblemError(
            f"{source} uses operator set {versions[0] if versions else 'none'}; 7 or later is "
            "needed: convert it by onnx.version_converter.convert_version(model, 13)"
        )
    if versions[0] > onnx.defs.onnx_opset_version():
        raise so.ProblemError(
            f"{source} uses operator set {versions[0]}, the installed onnx knows those up to "
            f"{onnx.defs.onnx_opset_version()}; update onnx"
        )
    return int(versions[0])


def _require_single_assignment(
    nodes: Sequence[onnx.NodeProto], known: set[str], source: str
) -> None:
    """Refuse graphs in which two nodes provide one name."""
    taken = set(known)
    for node in nodes:
        for name in filter(None, node.output):
            if name in taken:
                raise so.ProblemError(
                    f"{source}: {printable(name)!r} is provided twice; export it again"
                )
            taken.add(name)


def _unique_labels(nodes: Sequence[onnx.NodeProto]) -> dict[int, str]:
    """Return a printable name for each node, made unique by its position where it is taken."""
    labels: dict[int, str] = {}
    taken: set[str] = set()
    for position, node in enumerate(nodes):
        given = node.name or (node.output[0] if node.output else "") or f"node {position}"
        label = printable(given, most=200)
        if label in taken:
            label += f" (node {position})"
        taken.add(label)
        labels[id(node)] = label
    return labels


def _dims(info: Any) -> list[int | None]:
    """Return the declared sizes, None for open ones; empty if there is no declared shape."""
    dims = info.type.tensor_type.shape.dim
    fixed = (d.dim_value if d.HasField("dim_value") else 0 for d in dims)
    return [n if n > 0 else None for n in fixed]


def _input_shape(info: Any, source: str, example: Any) -> tuple[int, Shape]:
    """Return the batch size that the file fixes (1 if it fixes none) and the shape with batch 1."""
    tensor = info.type.tensor_type
    where = f"{source}: the input {printable(info.name)!r}"
    if tensor.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        names = onnx.TensorProto.DataType
        known = tensor.elem_type in names.values()
        kind = names.Name(tensor.elem_type) if known else str(tensor.elem_type)
        raise so.ProblemError(f"{where} has dtype {kind}; float32 or float64 is needed")
    dims = _dims(info)
    if example is not None:
        dims = _with_example(dims, example, info.name, source)
    open_axes = [axis for axis, n in enumerate(dims) if n is None and axis > 0]
    if not dims:
        raise so.ProblemError(
            f"{where} has no declared shape; pass example=, an input of the right shape"
        )
    if open_axes:
        named = [d.dim_param or str(d.dim_value or "?") for d in tensor.shape.dim]
        raise so.ProblemError(
            f"{where} has the dynamic shape ({printable(', '.join(named))}): axes {open_axes[:8]} "
            "are open; pass example=, an input of the right shape"
        )
    shape = [int(n or 1) for n in dims]
    try:
        require_room(shape)
    except so.ProblemError as error:
        raise so.ProblemError(f"{where}: {error}") from error
    return shape[0], (1, *shape[1:])


def _with_example(dims: list[int | None], example: Any, name: str, source: str) -> list[int | None]:
    array = np.asarray(example.detach().cpu() if hasattr(example, "detach") else example)
    shape = array.shape
    if dims and len(shape) == len(dims) - 1:
        shape = (1, *shape)
    fits = len(shape) == len(dims) and all(
        n in (None, m) for m, n in zip(shape[1:], dims[1:], strict=True)
    )
    if dims and not fits:
        wanted = ", ".join("?" if n is None else str(n) for n in dims)
        raise so.ProblemError(
            f"{source}: the example has shape {array.shape}, but the input {printable(name)!r} is "
            f"({wanted})"
        )
    return list(shape)
