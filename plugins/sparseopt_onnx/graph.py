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
from sparseopt.tools.reading.cases import Cases
from sparseopt.tools.reading.choices import (
    Outputs,
    by_input,
    chosen,
    integer_input,
    shape_help,
    unknown_node,
)
from sparseopt.tools.reading.values import Comparison, Hollow, Value
from sparseopt_onnx.attributes import Attributes
from sparseopt_onnx.branches import written_out
from sparseopt_onnx.constants import compute
from sparseopt_onnx.external_data import Maps
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
    outputs : names or places of outputs, or None
        Which outputs to read; all for None.
    until : str, or None
        Name of a node, or of a value, to end at.
    maps : dict of str to array, or None
        Initializers that are not in the model, but mapped from their files.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        source: str,
        example: Any,
        whole: bool = False,
        outputs: Outputs = None,
        until: str | None = None,
        maps: Maps | None = None,
    ) -> None:
        self.source = source
        self.nodes = list(model.graph.node)
        self.opset = _opset(model, source)
        self.maps: Maps = maps or {}
        """Initializers that stay in their files."""
        self.constants: dict[str, np.ndarray] = {**self.maps}
        self._initializers = _by_name(model.graph, source)
        inputs = [i for i in model.graph.input if i.name not in self._initializers]
        known = {*self._initializers, *(i.name for i in inputs)}
        self._taken = _require_single_assignment(self.nodes, known, source)
        self.as_given = tuple(self.nodes)
        """The nodes before branches were written out."""
        self.written_out: list[onnx.TensorProto] = []
        """Initializers of branches."""
        self._labels = _unique_labels(self.nodes)
        self.ends = self._ends(model, outputs, until)
        declared = {o.name: _dims(o) for o in model.graph.output}
        self._declared = [declared.get(name, []) for _, name in self.ends]
        shapes = self._input_shapes(inputs, example, whole)
        self.input_shapes = shapes
        kinds = {i.name: i.type.tensor_type.elem_type for i in inputs if i.name in shapes}
        wide = {name: kind == onnx.TensorProto.DOUBLE for name, kind in kinds.items()}
        self.dtype: np.dtype[np.floating] = np.dtype(
            np.float64 if any(wide.values()) else np.float32
        )
        """Of the inputs, and of values that nothing casts."""
        self.types = {n: np.dtype(np.float64 if w else np.float32) for n, w in wide.items()}
        """Of the values that were converted so far."""
        (first, shape), *more = ((printable(name), shape) for name, shape in shapes.items())
        self.builder = NetworkBuilder(shape, first, more=more)
        self.values: dict[str, Value] = dict(zip(shapes, self.builder.inputs, strict=True))
        self.cases = Cases(self.builder)
        self.conditions: dict[str, Comparison] = {}
        self._unread: dict[str, str] = {}
        self.heads: set[int] = set()
        """Nodes, by identity, that were left out, as activations at the end of the network are."""
        self._attributes: dict[int, Attributes] = {}

    def _ends(
        self, model: onnx.ModelProto, outputs: Outputs, until: str | None
    ) -> list[tuple[str, str]]:
        """Return the outputs of the network: names, and the values of the graph that they are."""
        if until is None:
            names = [o.name for o in model.graph.output]
            if not names:
                raise so.ProblemError(f"{self.source} has no outputs; export it again")
            places = chosen([printable(name) for name in names], outputs, self.source)
            return [(printable(names[i]), names[i]) for i in places]
        for node in self.nodes:
            if until in (node.name, self.label(node)) and any(node.output):
                return [(until, next(filter(None, node.output)))]
        made = [name for node in self.nodes for name in node.output if name]
        if until in made:
            return [(until, until)]
        labels = [self.label(node) for node in self.nodes]
        raise unknown_node(until, list(dict.fromkeys([*labels, *made])), self.source)

    def _input_shapes(
        self, inputs: Sequence[Any], example: Any, whole: bool
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes, with a batch of 1, of the inputs that the outputs depend on."""
        ends = [name for _, name in self.ends]
        read = {name for node in self.nodes_for(ends) for name in names_read(node)}
        used = [info for info in inputs if info.name in read or info.name in ends]
        examples = by_input(example, [info.name for info in inputs], self.source)
        if not used:
            raise so.ProblemError(
                f"{self.source}: the output {printable(ends[0])!r} does not depend on the input"
            )
        found = {i.name: _input_shape(i, self.source, examples.get(i.name)) for i in used}
        batches = {batch for batch, _ in found.values()}
        self.fixed_batch = batches.pop() if len(batches) == 1 and not whole else 1
        if self.fixed_batch > 1:
            return {name: shape for name, (_, shape) in found.items()}
        return {name: (batch, *shape[1:]) for name, (batch, shape) in found.items()}

    def label(self, node: onnx.NodeProto) -> str:
        """Return a name for the node, also where the file gives none."""
        return self._labels[id(node)]

    def write_out(self, node: onnx.NodeProto, taken: bool) -> None:
        """Put the branch that an If node takes in place of the node."""
        nodes, tensors = written_out(node, taken, self.label(node))
        made = [name for inner in nodes[: len(nodes) - len(node.output)] for name in inner.output]
        for name in (*filter(None, made), *(t.name for t in tensors)):
            if name in self._taken:
                raise so.ProblemError(f"{printable(name)!r} is provided twice; export it again")
            self._taken.add(name)
        place = next(i for i, other in enumerate(self.nodes) if other is node)
        self.nodes[place : place + 1] = nodes
        for i, inner in enumerate(nodes):
            self._labels[id(inner)] = f"{self.label(node)}/{printable(inner.name or i, 80)}"
        self._initializers.update((t.name, t) for t in tensors)
        self.written_out.extend(tensors)

    def nodes_for(
        self, ends: Sequence[str], nodes: Sequence[onnx.NodeProto] | None = None
    ) -> list[onnx.NodeProto]:
        """Return the nodes that some of the values `ends` depend on, in order."""
        wanted = set(ends)
        kept = []
        for node in reversed(self.nodes if nodes is None else nodes):
            if not wanted.isdisjoint(node.output):
                kept.append(node)
                wanted.update(names_read(node))
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

    def condition(self, node: onnx.NodeProto, slot: int) -> Comparison:
        """Return input `slot`, which must be a condition on a value."""
        found = self.conditions.get(node.input[slot])
        if found is None:
            raise so.ProblemError("its condition is no comparison of a value with a constant")
        return found

    def without(self, output: str, reason: str) -> None:
        """Say why a further output of a node is not read."""
        self._unread[output] = reason

    def value(
        self,
        node: onnx.NodeProto,
        slot: int = 0,
        after_head: bool = False,
        after_border: bool = False,
    ) -> Value:
        """Return input `slot`, which depends on the network's input."""
        name = node.input[slot]
        if name in self.conditions:
            raise so.ProblemError("it reads a condition, which jumps from 0 to 1")
        if name in self._unread:
            raise so.ProblemError(f"it reads {printable(name)!r}, and {self._unread[name]}")
        if isinstance(self.values.get(name), Hollow) and not after_border:
            raise so.ProblemError(
                "it reads a value that was padded with -inf, which only a max-pool may"
            )
        if name not in self.values:
            raise so.ProblemError(
                f"it reads {printable(name)!r}, which no earlier node provides; the nodes are not "
                "in order, or form a cycle"
            )
        value = self.values[name]
        if value.head and not after_head:
            raise so.ProblemError(
                f"it reads the result of {value.head}, which is not piecewise linear and only "
                "understood at the end of a network"
            )
        return value

    def moved(self, node: onnx.NodeProto, slot: int = 0) -> Value:
        """Return an input whose entries are picked, also after an entrywise head."""
        found = self.values.get(node.input[slot])
        return self.value(node, slot, after_head=found is not None and found.may_be_moved)

    def image(self, node: onnx.NodeProto, after_border: bool = False) -> Value:
        """Return the first input, which must have a batch of 1, channels and spatial axes."""
        value = self.value(node, after_border=after_border)
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
        if node.op_type == "CastLike" and node.input[1] in self.values:
            given = self.constant(node.input[0])
            if given is None:
                return False
            self.attributes(node).ignore("saturate", "round_mode")  # of eight-bit floats
            several = len(set(self.types.values())) > 1
            if several and not np.array_equal(given.astype(np.float32), given):
                raise so.ProblemError(
                    "it casts numbers that float32 does not hold to the type of a value, in a "
                    "model of float32 and float64; say the type: use Cast"
                )
            self.constants[node.output[0]] = given.astype(self.dtype)
            return True
        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            return False  # control flow, which may read values that are not among its inputs
        arrays = [self.constant(name) for name in node.input if name]
        if any(array is None for array in arrays):
            return False
        known = [a for a in arrays if a is not None]
        results = compute(node, known, self.opset, self.builder.budget)
        self.constants.update(zip(node.output, results, strict=False))
        return True

    def note_type(self, node: onnx.NodeProto) -> None:
        """Note the type of what a node gives: that of the values that it reads, but for casts."""
        if node.op_type == "Cast":
            kind = onnx.helper.tensor_dtype_to_np_dtype(self.attributes(node).get("to"))
        else:
            read = node.input[1:2] if node.op_type == "CastLike" else node.input
            constants = [c for name in read if (c := self.constant(name)) is not None]
            found = [self.types[name] for name in read if name in self.types]
            kind = [*found, *(c.dtype for c in constants if c.dtype.kind == "f"), self.dtype][0]
        self.types.update((name, kind) for name in node.output if name in self.values)

    def largest(self, node: onnx.NodeProto, bound: np.ndarray | None = None) -> float:
        """Return the largest float of the value of a node whose bound is a tensor or attribute."""
        kind = self.types.get(node.input[0], self.dtype) if bound is None else bound.dtype
        return float(np.finfo(np.promote_types(kind, np.float32)).max)

    def finish(self) -> so.Network:
        """Return the network of the graph's output."""
        for name, value in self.ends:
            if value in self.conditions or value in self._unread:
                what = self._unread.get(value, "a condition jumps from 0 to 1")
                raise so.ProblemError(f"{self.source}: the output {name!r} is refused: {what}")
            if isinstance(self.values.get(value), Hollow):
                raise so.ProblemError(f"{self.source}: the output {name!r} is padded with -inf")
        if not any(name in self.values for _, name in self.ends):
            raise so.ProblemError(
                f"{self.source}: the output {printable(self.ends[0][1])!r} does not depend on the "
                "input"
            )
        outputs = [(name, self._output(name, value)) for name, value in self.ends]
        read = self.builder.distinct(outputs)
        outputs, self.ends = [outputs[i] for i in read], [self.ends[i] for i in read]
        if self.fixed_batch > 1:
            if any(dims and dims[0] not in (None, self.fixed_batch) for dims in self._declared):
                raise so.ProblemError(
                    f"{self.source}: the samples of a batch of {self.fixed_batch} are mixed; "
                    "export the model with a batch of 1"
                )
            self.builder.note(f"the batch of {self.fixed_batch} in the file was taken as 1")
        return self.builder.finish_all(outputs)

    def _output(self, name: str, value: str) -> Value:
        """Return an output; one that is the same for all inputs as a constant value."""
        if value in self.values:
            return self.values[value]
        array = self.constant(value)
        others = "; name the outputs to read by outputs= (--output on the command line)"
        if array is None:
            raise so.ProblemError(f"{self.source}: no node gives the output {name!r}")
        if array.dtype.kind != "f" or array.size == 0:
            raise so.ProblemError(
                f"{self.source}: the output {name!r} is a constant of dtype {array.dtype} and "
                f"shape {array.shape}, no real numbers{others}"
            )
        if self.fixed_batch > 1:
            if array.shape[:1] != (self.fixed_batch,) or np.any(array != array[:1]):
                raise so.ProblemError(
                    f"{self.source}: the output {name!r} is constant, but not by sample{others}"
                )
            array = array[:1]
        self.builder.note(f"the output {name!r} is constant")
        return self.builder.constant(array.astype(np.float64), name)


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


def names_read(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, those in the graphs of control flow included."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names |= {o.name for o in graph.output}
            for inner in graph.node:
                names |= names_read(inner)
    return names


def _require_single_assignment(
    nodes: Sequence[onnx.NodeProto], known: set[str], source: str
) -> set[str]:
    """Refuse graphs in which two nodes provide one name; return all names."""
    taken = set(known)
    for node in nodes:
        for name in filter(None, node.output):
            if name in taken:
                raise so.ProblemError(
                    f"{source}: {printable(name)!r} is provided twice; export it again"
                )
            taken.add(name)
    return taken


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
        raise so.ProblemError(f"{source}: {integer_input(info.name, kind)}")
    dims = _dims(info)
    if example is not None:
        dims = _with_example(dims, example, info.name, source)
    open_axes = [axis for axis, n in enumerate(dims) if n is None and axis > 0]
    if not dims:
        raise so.ProblemError(f"{where} has no declared shape; {shape_help(info.name)}")
    if open_axes:
        named = [d.dim_param or str(d.dim_value or "?") for d in tensor.shape.dim]
        raise so.ProblemError(
            f"{where} has the dynamic shape ({printable(', '.join(named))}): axes {open_axes[:8]} "
            f"are open; {shape_help(info.name)}"
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
