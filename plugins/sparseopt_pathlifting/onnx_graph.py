"""An ONNX graph while it is converted: constants, values, and the network under construction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

import sparseopt as so
from sparseopt_pathlifting.emitter import Emitter, Value

Shape = tuple[int, ...]

# Results of constant folding are kept up to this many entries.
_FOLD_LIMIT = 1 << 27


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
        self._initializers = {t.name: t for t in model.graph.initializer}
        for sparse in model.graph.sparse_initializer:
            self.constants[sparse.values.name] = _dense(sparse, source)
        known = set(self._initializers) | set(self.constants)
        inputs = [i for i in model.graph.input if i.name not in known]
        if len(inputs) != 1:
            raise so.ProblemError(
                f"{source} has {len(inputs)} inputs {[i.name for i in inputs]}; a network here has "
                "one: make the others constants, or concatenate them"
            )
        _require_single_assignment(self.nodes, known | {inputs[0].name}, source)
        self.outputs = [o.name for o in model.graph.output]
        self._declared = [_dims(o) for o in model.graph.output]
        self.input_name = inputs[0].name
        self.fixed_batch, shape = _input_shape(inputs[0], source, example)
        if whole:
            self.fixed_batch, shape = 1, (self.fixed_batch, *shape[1:])
        self.input_shape = shape
        self.emit = Emitter(shape, self.input_name)
        self.values: dict[str, Value] = {self.input_name: self.emit.input}
        self.head_input = ""
        self._labels = _unique_labels(self.nodes)

    # Reading --------------------------------------------------------------------------------

    def label(self, node: onnx.NodeProto) -> str:
        """Return a name for the node, also where the file gives none."""
        return self._labels[id(node)]

    def needed_nodes(self) -> set[int]:
        """Return the ids of the nodes that some output depends on."""
        wanted = set(self.outputs)
        needed = set()
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                needed.add(id(node))
                wanted.update(node.input)
        return needed

    def constant(self, name: str) -> np.ndarray | None:
        """Return the constant of this name, or None if it is none."""
        if name not in self.constants and name in self._initializers:
            try:
                self.constants[name] = numpy_helper.to_array(self._initializers[name])
            except (ValueError, TypeError, KeyError) as error:
                raise so.ProblemError(
                    f"{self.source}: the initializer {name!r} cannot be read ({error}); the file "
                    "may be cut short"
                ) from error
        return self.constants.get(name)

    def require_constant(self, node: onnx.NodeProto, slot: int, what: str) -> np.ndarray:
        """Return input `slot`, which must be constant."""
        value = self.constant(node.input[slot]) if slot < len(node.input) else None
        if value is None:
            raise so.ProblemError(f"{what} must be constant, but it depends on the input")
        return value

    def optional(self, node: onnx.NodeProto, slot: int, what: str) -> np.ndarray | None:
        """Return the constant input `slot`, or None if it is left out."""
        if slot >= len(node.input) or not node.input[slot]:
            return None
        return self.require_constant(node, slot, what)

    def value(self, node: onnx.NodeProto, slot: int = 0, after_head: bool = False) -> Value:
        """Return input `slot`, which depends on the network's input."""
        name = node.input[slot]
        if name not in self.values:
            raise so.ProblemError(
                f"it reads {name!r}, which no earlier node provides; the nodes are not in order, "
                "or form a cycle"
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
            attributes = attributes_of(node)
            shape = self.values[node.input[0]].shape
            part = shape[attributes.get("start", 0) : attributes.get("end", len(shape))]
            self.constants[node.output[0]] = np.array(part, dtype=np.int64)
            return True
        if node.op_type == "Dropout" and node.input[0] in self.values:
            return False
        if any(attribute.type == attribute.GRAPH for attribute in node.attribute):
            return False  # control flow, which may read values that are not among its inputs
        arrays = [self.constant(name) for name in node.input if name]
        if any(array is None for array in arrays) or node.domain not in ("", "ai.onnx"):
            return False
        try:
            results = _compute(node, [a for a in arrays if a is not None], self.opset)
        except so.ProblemError:
            raise
        except Exception as error:  # the reference implementation raises whatever it meets
            raise so.ProblemError(
                f"{self.source}: the constant node {self.label(node)!r} ({node.op_type}) cannot be "
                f"computed: {type(error).__name__}: {error}"
            ) from error
        self.constants.update(zip(node.output, results, strict=False))
        return True

    def finish(self) -> so.Network:
        """Return the network of the graph's output."""
        missing = [name for name in self.outputs if name not in self.values]
        if missing:
            raise so.ProblemError(
                f"{self.source}: the output {missing[0]!r} does not depend on the input"
            )
        ends = {self.values[name].name for name in self.outputs}
        if len(ends) != 1:
            raise so.ProblemError(
                f"{self.source} has {len(self.outputs)} outputs {self.outputs}; a network here has "
                "one: export it with one output, or concatenate them"
            )
        if self.fixed_batch > 1:
            if any(dims and dims[0] not in (None, self.fixed_batch) for dims in self._declared):
                raise so.ProblemError(
                    f"{self.source}: the samples of a batch of {self.fixed_batch} are mixed; "
                    "export the model with a batch of 1"
                )
            self.emit.builder.note(f"the batch of {self.fixed_batch} in the file was taken as 1")
        return self.emit.builder.finish(ends.pop())


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node as Python values."""
    result = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        result[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return result


def _opset(model: onnx.ModelProto, source: str) -> int:
    versions = [e.version for e in model.opset_import if e.domain in ("", "ai.onnx")]
    if not versions or versions[0] < 7:
        raise so.ProblemError(
            f"{source} uses operator set {versions[0] if versions else 'none'}; 7 or later is "
            "needed: convert it by onnx.version_converter.convert_version(model, 13)"
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
                raise so.ProblemError(f"{source}: {name!r} is provided twice; export it again")
            taken.add(name)


def _unique_labels(nodes: Sequence[onnx.NodeProto]) -> dict[int, str]:
    labels: dict[int, str] = {}
    taken: set[str] = set()
    for position, node in enumerate(nodes):
        label = node.name or (node.output[0] if node.output else "") or f"node {position}"
        while label in taken:
            label += "'"
        taken.add(label)
        labels[id(node)] = label
    return labels


def _dense(sparse: onnx.SparseTensorProto, source: str) -> np.ndarray:
    """Return a sparse initializer as a dense array."""
    shape = tuple(sparse.dims)
    values = numpy_helper.to_array(sparse.values)
    indices = numpy_helper.to_array(sparse.indices)
    flat = np.zeros(math.prod(shape), dtype=values.dtype)
    if indices.ndim == 2:
        indices = np.ravel_multi_index(tuple(indices.T), shape) if indices.size else indices[:, 0]
    if indices.size and (indices.min() < 0 or indices.max() >= flat.size):
        raise so.ProblemError(
            f"{source}: the sparse initializer {sparse.values.name!r} has an index outside {shape}"
        )
    flat[indices] = values
    return flat.reshape(shape)


def _dims(info: Any) -> list[int | None]:
    """Return the declared sizes, None for open ones; empty if there is no declared shape."""
    dims = info.type.tensor_type.shape.dim
    fixed = (d.dim_value if d.HasField("dim_value") else 0 for d in dims)
    return [n if n > 0 else None for n in fixed]


def _input_shape(info: Any, source: str, example: Any) -> tuple[int, Shape]:
    """Return the batch size that the file fixes (1 if it fixes none) and the shape with batch 1."""
    tensor = info.type.tensor_type
    if tensor.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise so.ProblemError(
            f"{source}: the input {info.name!r} has dtype {kind}; float32 or float64 is needed"
        )
    dims = _dims(info)
    if example is not None:
        dims = _with_example(dims, example, info.name, source)
    open_axes = [axis for axis, n in enumerate(dims) if n is None and axis > 0]
    if not dims:
        raise so.ProblemError(
            f"{source}: the input {info.name!r} has no declared shape; pass example=, an input of "
            "the right shape"
        )
    if open_axes:
        named = [d.dim_param or str(d.dim_value or "?") for d in tensor.shape.dim]
        raise so.ProblemError(
            f"{source}: the input {info.name!r} has the dynamic shape ({', '.join(named)}): axes "
            f"{open_axes} are open; pass example=, an input of the right shape"
        )
    batch = dims[0] or 1
    return batch, (1, *(int(n or 1) for n in dims[1:]))


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
            f"{source}: the example has shape {array.shape}, but the input {name!r} is ({wanted})"
        )
    return list(shape)


def _compute(node: onnx.NodeProto, inputs: list[np.ndarray], opset: int) -> list[np.ndarray]:
    """Return the outputs of a constant node."""
    attributes = attributes_of(node)
    if node.op_type == "ConstantOfShape":
        shape = tuple(int(n) for n in inputs[0])
        if any(n < 0 for n in shape):
            raise so.ProblemError(f"a constant of shape {shape} has a negative size")
        fill = attributes.get("value")
        one = np.zeros(1, np.float32) if fill is None else numpy_helper.to_array(fill)
        # One number seen through a shape: a light model of 143 million equal weights stays light.
        return [np.broadcast_to(one.reshape(()), shape)]
    if node.op_type == "Constant" and "value" in attributes:
        return [numpy_helper.to_array(attributes["value"])]
    if node.op_type == "Constant" and "sparse_value" in attributes:
        return [_dense(attributes["sparse_value"], "the model")]
    if node.op_type == "Identity":
        return inputs
    if sum(a.size for a in inputs) > _FOLD_LIMIT:
        raise so.ProblemError("its constant inputs are too large to compute it while loading")
    from onnx.reference import ReferenceEvaluator

    feeds = dict(zip((n for n in node.input if n), inputs, strict=True))
    infos = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    ends = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "constant", infos, ends)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, feeds)]
