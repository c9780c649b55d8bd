"""Compares a loaded network with onnxruntime, or ONNX's reference, on random input."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt_pathlifting.agreement import is_small, require_agreement
from sparseopt_pathlifting.onnx_graph import OnnxGraph

# protobuf cannot serialize more.
_LARGEST = 2**31 - 1024


def check_against_onnxruntime(
    model: onnx.ModelProto, graph: OnnxGraph, network: so.Network
) -> list[str]:
    """Raise `ProblemError` if the network and the model disagree on random input.

    The model is run by onnxruntime, or, if it is small and onnxruntime cannot run it, by the
    reference implementation in onnx. A stripped head is left out of the comparison. The list of
    outputs of `model` is changed. What could not be compared is returned in words.
    """
    end = graph.head_input or graph.outputs[0]
    if end not in graph.outputs:
        del model.graph.output[:]
        model.graph.output.append(onnx.ValueInfoProto(name=end))
    declared = next(i for i in model.graph.input if i.name == graph.input_name)
    wide = declared.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    dtype = np.float64 if wide else np.float32
    reasons = []
    for name, engine in (("onnxruntime", _onnxruntime), ("ONNX's reference", _reference)):
        if engine is _reference and not is_small(network):
            continue
        try:
            run = engine(model, end)
            _once(run, graph, dtype)
        except Exception as error:  # operators or versions that the engine lacks, and the like
            text = str(error).strip().splitlines()
            reasons.append(f"{name}: {text[0] if text else type(error).__name__}")
            continue
        compared = require_agreement(
            network,
            lambda x, run=run: run(_batch(graph, x)),  # type: ignore[misc]
            dtype,
            f"{graph.source} as {name} computes it",
            copies=graph.fixed_batch,
        )
        if compared:
            return []
        reasons.append(f"{name}: its values on random input leave the range of floats")
    return [f"not compared with other software ({'; '.join(reasons)})"]


def _batch(graph: OnnxGraph, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the feed of one sample, repeated where the model has a fixed batch."""
    one = x.reshape(graph.input_shape)
    return {graph.input_name: np.concatenate([one] * graph.fixed_batch) if one.ndim else one}


def _once(run: Callable[[Any], np.ndarray], graph: OnnxGraph, dtype: type[np.floating]) -> None:
    run(_batch(graph, np.zeros(graph.input_shape, dtype)))


def _onnxruntime(model: onnx.ModelProto, end: str) -> Callable[[Any], np.ndarray]:
    if importlib.util.find_spec("onnxruntime") is None:
        raise RuntimeError("not installed")
    if model.ByteSize() > _LARGEST:
        raise RuntimeError("the model is too large to be handed over")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda feed: np.asarray(session.run([end], feed)[0])


def _reference(model: onnx.ModelProto, end: str) -> Callable[[Any], np.ndarray]:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    return lambda feed: np.asarray(evaluator.run([end], feed)[0])
