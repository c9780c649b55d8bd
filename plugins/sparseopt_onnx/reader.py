"""Reads ONNX files and ModelProto objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import onnx

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt.tools.reading.budget import require_affordable
from sparseopt.tools.reading.origins import with_tensor_shapes
from sparseopt_onnx.arithmetic import ARITHMETIC
from sparseopt_onnx.attributes import require_schema
from sparseopt_onnx.file_structure import load
from sparseopt_onnx.graph import OnnxGraph
from sparseopt_onnx.heads import HEADS
from sparseopt_onnx.initializers import initializers, write_initializers, write_whole
from sparseopt_onnx.linear import LINEAR
from sparseopt_onnx.network_model import to_model
from sparseopt_onnx.onnxruntime_check import check_against_onnxruntime, require_same_function
from sparseopt_onnx.piecewise import PIECEWISE
from sparseopt_onnx.pools import POOLS
from sparseopt_onnx.shapes import SHAPES

OPERATORS = {**LINEAR, **ARITHMETIC, **PIECEWISE, **HEADS, **POOLS, **SHAPES}

REASONS = {
    "LRN": "local response normalization divides by a function of the input",
    "LayerNormalization": "layer normalization divides by a function of the input",
    "GroupNormalization": "group normalization divides by a function of the input",
    "InstanceNormalization": "instance normalization divides by a function of the input",
    "Gelu": "GELU is not piecewise linear",
    "Erf": "erf (a part of GELU) is not piecewise linear",
    "Tanh": "tanh is not piecewise linear",
    "HardSwish": "hard-swish multiplies two values that depend on the input",
    "Swish": "SiLU is not piecewise linear",
    "Elu": "ELU is not piecewise linear",
    "Selu": "SELU is not piecewise linear",
    "Softplus": "softplus is not piecewise linear",
    "MeanVarianceNormalization": "it divides by a function of the input",
    "Mish": "mish is not piecewise linear",
    "Celu": "CELU is not piecewise linear",
    "If": "control flow makes no fixed network",
    "Loop": "control flow makes no fixed network",
    "Scan": "control flow makes no fixed network",
    "Attention": "attention multiplies values that depend on the input",
}


@dataclass(frozen=True)
class OnnxReader(so.Reader):
    """Reads a DAG ReLU network from ONNX.

    Initializers may be dense, sparse, or stored in external files; constant parts of the graph
    are computed. The batch axis may be symbolic and is taken as 1. Softmax, LogSoftmax and
    Sigmoid at the end are stripped, with a note. Operators are allowed by name; any other is
    refused with the name of its node.

    Parameters
    ----------
    check : bool
        Compare the network on random input with onnxruntime where that is installed, else with
        ONNX's reference implementation if it is small; a note says where neither was possible.
    """

    check: bool = True

    def read(self, source: Any, example: Any = None) -> so.Network:
        """Return the network; `example` fixes symbolic sizes other than the batch."""
        model, name = load(source)
        graph = OnnxGraph(model, name, example)
        try:
            return self._network(model, graph)
        except so.ProblemError as refused:
            if graph.fixed_batch == 1:
                raise
            # A fixed leading size is a batch where the samples do not meet; where they do, the
            # whole input is one sample.
            try:
                return self._network(model, OnnxGraph(model, name, example, whole=True))
            except so.ProblemError:
                raise refused from None

    def save(self, source: Any, tensors: Mapping[str, Any], path: str) -> None:
        """Write the model with other values in some initializers, in their own dtypes."""
        write_initializers(source, tensors, path)

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

    def _network(self, model: onnx.ModelProto, graph: OnnxGraph) -> so.Network:
        network = with_tensor_shapes(convert(graph), graph.shape_of)
        doubts = check_against_onnxruntime(model, graph, network) if self.check else []
        return replace(network, notes=(*network.notes, *doubts))


def convert(graph: OnnxGraph) -> so.Network:
    """Return the network of a graph, node by node."""
    for node in graph.nodes_for(graph.outputs):
        where = f"{graph.source}: node {graph.label(node)!r} ({printable(node.op_type)})"
        try:
            _convert_node(graph, node)
        except so.ProblemError as error:
            raise so.ProblemError(f"{where} is refused: {error}") from error
        except Exception as error:  # an argument of a kind that no rule foresaw
            raise so.ProblemError(
                f"{where} cannot be read: {type(error).__name__}: {printable(error, 200)}; export "
                "the model again"
            ) from error
    network = graph.finish()
    try:
        require_affordable(network)
    except so.ProblemError as error:
        raise so.ProblemError(f"{graph.source}: {error}") from error
    return network


def _convert_node(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    cut = "cut the network before it, or replace it"
    if node.domain not in ("", "ai.onnx"):
        raise so.ProblemError(
            f"operators of the domain {printable(node.domain)!r} are not known; {cut}"
        )
    require_schema(node, graph.opset)
    if graph.fold(node):
        return
    rule = OPERATORS.get(node.op_type)
    if rule is None:
        reason = REASONS.get(node.op_type, "this operator is not among those of a DAG ReLU network")
        raise so.ProblemError(f"{reason}; {cut}")
    rule(graph, node)
    graph.attributes(node).require_all_read()
