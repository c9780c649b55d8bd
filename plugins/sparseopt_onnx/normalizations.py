"""Batch normalizations of a model that are to do nothing but add a bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

import sparseopt as so
from sparseopt.interface.printing import printable
from sparseopt_onnx.graph import OnnxGraph


def pass_on(model: onnx.ModelProto, name: str, biases: Mapping[str, Any]) -> None:
    """Let batch normalizations add a bias, and nothing else, bit by bit; in place.

    Their statistics and weights become 0 and 1 and their epsilon 0, so that the factor is 1 exactly
    where a variance of 1 and another epsilon would make it the root of a rounded number.

    Parameters
    ----------
    model : ModelProto
    name : str
        Of the model, for errors.
    biases : mapping
        From names of layers, as they are read, to one number for each channel.

    Raises
    ------
    ProblemError
        For a layer that is no batch normalization of its own in the file.
    """
    graph = OnnxGraph(model, name, None)
    nodes = {graph.label(node): node for node in graph.nodes}
    held = {tensor.name for tensor in model.graph.initializer}
    for label, bias in biases.items():
        node = nodes.get(label)
        if node is None or node.op_type != "BatchNormalization":
            raise so.ProblemError(
                f"{name} has no batch normalization {printable(label)!r} of its own, so what was "
                "merged cannot be written back; write a new file: leave out like=, or write JSON"
            )
        dtype = _dtype(model, node.input[1])
        shift = np.asarray(bias).astype(dtype)
        if not np.array_equal(shift, bias):
            raise so.ProblemError(
                f"the normalization {printable(label)!r} of {name} has dtype {dtype}, which does "
                "not hold its bias"
            )
        one, zero = np.ones_like(shift), np.zeros_like(shift)
        for slot, part in enumerate((one, shift, zero, one), start=1):
            own = f"{label}:{('scale', 'bias', 'mean', 'variance')[slot - 1]}"
            while own in held:
                own += "'"
            held.add(own)
            model.graph.initializer.append(numpy_helper.from_array(part, own))
            node.input[slot] = own
        kept = [a for a in node.attribute if a.name != "epsilon"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("epsilon", 0.0)])
    _drop_unused(model)


def _dtype(model: onnx.ModelProto, name: str) -> np.dtype:
    """Return the dtype of a tensor, which an initializer holds or a node computes."""
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    if name not in types:
        inferred = onnx.shape_inference.infer_shapes(model).graph
        types |= {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    if not types.get(name):
        raise so.ProblemError(
            f"the type of {printable(name)!r} is not known; write a new file: leave out like="
        )
    return helper.tensor_dtype_to_np_dtype(types[name])


def _drop_unused(model: onnx.ModelProto) -> None:
    """Remove initializers that nothing reads any longer; not in models with graphs in nodes."""
    nodes = model.graph.node
    if any(a.type in (a.GRAPH, a.GRAPHS) for node in nodes for a in node.attribute):
        return
    read = {name for node in nodes for name in node.input}
    read |= {value.name for value in (*model.graph.input, *model.graph.output)}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
