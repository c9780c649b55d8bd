"""Models in half precision, read as the real numbers that their weights are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from sparseopt_onnx.tensors import tensor_array

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
_NAMES = {TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}


def widen(model: onnx.ModelProto) -> str:
    """Make float32 of all float16 and bfloat16 in a model; return a note, "" where there is none.

    Every number of half precision is one of float32. What the model rounds between its layers is
    not rounded then.
    """
    found: set[int] = set()
    for tensor in _tensors(model.graph):
        if tensor.data_type in HALVES:
            found.add(tensor.data_type)
            array = tensor_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    graphs = list(_graphs(model.graph))
    for graph in graphs:
        for info in (*graph.input, *graph.output):
            kind = info.type.tensor_type
            if kind.elem_type in HALVES:
                if info in graph.input:
                    found.add(kind.elem_type)
                kind.elem_type = TensorProto.FLOAT
        del graph.value_info[:]  # which nothing reads, and which would contradict
    for graph in graphs:
        for node in graph.node:
            for attribute in node.attribute:
                # A cast to fewer digits than any weight has is a rounding of its own.
                if (node.op_type, attribute.name) in _TYPES and attribute.i in found:
                    attribute.i = TensorProto.FLOAT
    if not found:
        return ""
    words = " and ".join(sorted(_NAMES[kind] for kind in found))
    return f"it computes in {words}; its weights are read as they are, its rounding is not"


_TYPES = {("Cast", "to"), ("EyeLike", "dtype"), ("DequantizeLinear", "output_dtype")}


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and those of control flow in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


def _tensors(top: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for graph in _graphs(top):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                if attribute.HasField("sparse_tensor"):
                    yield attribute.sparse_tensor.values
