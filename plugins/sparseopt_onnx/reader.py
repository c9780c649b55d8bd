"""Reads ONNX files and ModelProto objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt.interface.context import Progress
from sparseopt.interface.printing import printable
from sparseopt.interface.whole_file import write_whole
from sparseopt.tools.reading.budget import require_affordable
from sparseopt.tools.reading.choices import Outputs, cut_before
from sparseopt.tools.reading.origins import with_tensor_shapes
from sparseopt.tools.reading.values import Value
from sparseopt_onnx.arithmetic import ARITHMETIC
from sparseopt_onnx.attributes import require_schema
from sparseopt_onnx.conditions import CONDITIONS
from sparseopt_onnx.external_data import Maps
from sparseopt_onnx.file_structure import files_beside, load
from sparseopt_onnx.graph import OnnxGraph
from sparseopt_onnx.half_precision import widen
from sparseopt_onnx.heads import HEADS
from sparseopt_onnx.initializers import initializers, write_initializers
from sparseopt_onnx.linear import LINEAR
from sparseopt_onnx.network_model import to_model
from sparseopt_onnx.onnxruntime_check import check_against_onnxruntime, require_same_function
from sparseopt_onnx.piecewise import PIECEWISE
from sparseopt_onnx.pools import POOLS
from sparseopt_onnx.scattering import SCATTERING
from sparseopt_onnx.shapes import SHAPES

OPERATORS = {
    **LINEAR,
    **ARITHMETIC,
    **PIECEWISE,
    **CONDITIONS,
    **HEADS,
    **POOLS,
    **SHAPES,
    **SCATTERING,
}

REASONS = {
    "LRN": "local response normalization divides by a function of the input",
    "LayerNormalization": "layer normalization divides by a function of the input",
    "GroupNormalization": "group normalization divides by a function of the input",
    "InstanceNormalization": "instance normalization divides by a function of the input",
    "Gelu": "GELU is not piecewise linear",
    "Erf": "erf (a part of GELU) is not piecewise linear",
    "HardSwish": "hard-swish multiplies two values that depend on the input",
    "Swish": "SiLU is not piecewise linear",
    "Elu": "ELU is not piecewise linear",
    "Selu": "SELU is not piecewise linear",
    "Softplus": "softplus is not piecewise linear",
    "MeanVarianceNormalization": "it divides by a function of the input",
    "Mish": "mish is not piecewise linear",
    "Celu": "CELU is not piecewise linear",
    "If": "control flow whose condition depends on the input makes no fixed network",
    "Loop": "control flow makes no fixed network",
    "Scan": "control flow makes no fixed network",
    "Attention": "attention multiplies values that depend on the input",
    "OneHot": "one-hot vectors jump as the input varies; of constant indices they are read",
}


@dataclass(frozen=True)
class OnnxReader(so.Reader):
    """Reads a DAG ReLU network from ONNX.

    Initializers may be dense, sparse, or stored in external files; constant parts of the graph
    are computed. The batch axis may be symbolic and is taken as 1. Softmax, LogSoftmax, Sigmoid and
    Tanh at the end are stripped, with a note. Operators are allowed by name; any other is refused
    with the name of its node.

    Parameters
    ----------
    check : bool
        Compare the network on random input with onnxruntime where that is installed, else with
        ONNX's reference implementation if it is small; a note says where neither was possible.
    """

    check: bool = True

    def files_beside(self, source: Any) -> list[str]:
        """Return the files of external data."""
        return files_beside(source)

    def read(
        self,
        source: Any,
        example: Any = None,
        outputs: Outputs = None,
        until: str | None = None,
        progress: Progress | None = None,
    ) -> so.Network:
        """Return the network; `example` fixes symbolic sizes other than the batch."""
        context = so.Context(progress=progress)
        context.report(0.0, "reading the file")
        maps: Maps = {}
        model, name = load(source, maps)
        try:
            half = widen(model)
        except so.ProblemError as error:
            raise so.ProblemError(f"{name}: a tensor cannot be read: {error}") from error
        part: dict[str, Any] = {"outputs": outputs, "until": until, "maps": maps}
        graph = OnnxGraph(model, name, example, **part)
        notes = (half,) if half else ()
        try:
            return self._network(model, graph, notes, context)
        except so.ProblemError as refused:
            if graph.fixed_batch == 1:
                raise
            # A fixed leading size is a batch where the samples do not meet; where they do, the
            # whole input is one sample.
            try:
                whole = OnnxGraph(model, name, example, whole=True, **part)
                return self._network(model, whole, notes, context)
            except so.ProblemError:
                raise refused from None

    def save(
        self,
        source: Any,
        tensors: Mapping[str, Any],
        path: str,
        biases: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the model with other values in some initializers, in their own dtypes."""
        write_initializers(source, tensors, path, biases)

    def tensors(self, source: Any, names: Collection[str]) -> dict[str, Any]:
        """Return initializers by name."""
        return initializers(source, names)

    def make(self, subject: so.Network, **options: Any) -> onnx.ModelProto:
        """Return a model that computes the network."""
        return to_model(subject, **options)

    def put(self, subject: so.Network, path: str) -> None:
        """Write a network to a new file, compared with onnxruntime before it is there."""
        model = to_model(subject)
        require_same_function(model, subject)
        write_whole(path, model.SerializeToString())

    def _network(
        self,
        model: onnx.ModelProto,
        graph: OnnxGraph,
        notes: tuple[str, ...],
        context: so.Context,
    ) -> so.Network:
        network = convert(graph, context.part(0.05, 0.6))
        network = with_tensor_shapes(network, graph.shape_of)
        context.report(0.6, "comparing the network with onnxruntime")
        doubts = check_against_onnxruntime(model, graph, network) if self.check else []
        return replace(network, notes=(*notes, *network.notes, *doubts))


def convert(graph: OnnxGraph, progress: Progress | None = None) -> so.Network:
    """Return the network of a graph, node by node."""
    ends = [value for _, value in graph.ends]
    done: set[int] = set()
    while True:
        branch = next(
            (n for n in graph.nodes_for(ends) if _is_branch(n) and id(n) not in done), None
        )
        if branch is None:
            break
        graph.builder.budget.compute(0, 1000 * len(graph.nodes))  # of going through them all
        _convert_nodes(graph, branch.input[:1], done)
        condition = graph.constant(branch.input[0]) if branch.input else None
        if condition is None or condition.size != 1:
            _convert_nodes(graph, [name for name in branch.output if name], done)  # refuses it
        else:
            graph.write_out(branch, bool(condition.reshape(())))
    _convert_nodes(graph, ends, done, progress)
    network = graph.finish()
    try:
        require_affordable(network)
    except so.ProblemError as error:
        raise so.ProblemError(f"{graph.source}: {error}") from error
    return network


def _is_branch(node: onnx.NodeProto) -> bool:
    return bool(node.op_type == "If" and node.domain in ("", "ai.onnx"))


def _convert_nodes(
    graph: OnnxGraph, ends: Sequence[str], done: set[int], progress: Progress | None = None
) -> None:
    """Convert what some values depend on, unless it was done."""
    nodes = graph.nodes_for(ends)
    for i, node in enumerate(nodes):
        if progress is not None:
            progress(i / len(nodes), f"node {graph.label(node)}")
        if id(node) in done:
            continue
        done.add(id(node))
        where = f"{graph.source}: node {graph.label(node)!r} ({printable(node.op_type)})"
        try:
            _convert_node(graph, node)
        except so.ProblemError as error:
            raise so.ProblemError(f"{where} is refused: {error}{_help(graph, node)}") from error
        except Exception as error:  # an argument of a kind that no rule foresaw
            raise so.ProblemError(
                f"{where} is refused: {_misfit(graph, node, error)}{_help(graph, node)}"
            ) from error


def _require_one_type(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    """Refuse constants of integers or truth values where the standard wants the type of a value."""
    formal = onnx.defs.get_schema(node.op_type, graph.opset, "").inputs
    kinds = [(name, formal[min(i, len(formal) - 1)]) for i, name in enumerate(node.input) if name]
    moving = {kind.type_str for name, kind in kinds if name in graph.values and kind.is_homogeneous}
    for name, kind in kinds:
        array = graph.constants.get(name)
        if array is not None and kind.type_str in moving and array.dtype.kind in "iub":
            raise so.ProblemError(
                f"its input {printable(name, 80)!r} has dtype {array.dtype} where another has "
                f"{graph.dtype}, and the standard wants one type; export the model again"
            )


def _misfit(graph: OnnxGraph, node: onnx.NodeProto, error: Exception) -> str:
    """Return the sentence for inputs and attributes that no rule foresaw."""
    known = [(name, graph.values.get(name, graph.constants.get(name))) for name in node.input]
    given = [
        f"{printable(name, 80)} of shape {tuple(found.shape)}"
        for name, found in known[:8]
        if name and found is not None
    ]
    of = f" ({', '.join(given)})" if given else ""
    # Of these kinds of errors the text says what does not fit, of others how a program failed.
    plain = type(error) in (ValueError, IndexError, np.exceptions.AxisError)
    said = f": {printable(error, 200)}" if plain else ""
    return f"its inputs{of} and attributes do not fit together as the operator needs them{said}"


def _help(graph: OnnxGraph, node: onnx.NodeProto) -> str:
    """Return how to read the network without a node; nothing where it computes a constant."""
    if not any(name in graph.values or name in graph.conditions for name in node.input):
        return ""
    makers = {name: n for n in graph.nodes for name in n.output if name}
    read = [n for n in node.input if type(graph.values.get(n)) is Value and n in makers]
    names = [graph.label(makers[n]) if makers[n].output[0] == n else n for n in read]
    return cut_before(names, len(graph.ends))


def _convert_node(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    if node.domain not in ("", "ai.onnx"):
        raise so.ProblemError(f"operators of the domain {printable(node.domain)!r} are not known")
    require_schema(node, graph.opset)
    if graph.fold(node):
        return
    rule = OPERATORS.get(node.op_type)
    if rule is None:
        reason = REASONS.get(node.op_type, "this operator is not among those of a DAG ReLU network")
        raise so.ProblemError(reason)
    _require_one_type(graph, node)
    rule(graph, node)
    graph.note_type(node)
    graph.attributes(node).require_all_read()
