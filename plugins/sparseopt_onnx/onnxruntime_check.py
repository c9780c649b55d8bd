"""Compares a loaded network with onnxruntime, or ONNX's reference, on random input."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

import sparseopt as so
from sparseopt.tools.reading.agreement import is_small, require_agreement
from sparseopt.tools.reading.budget import is_comparable
from sparseopt_onnx.graph import OnnxGraph

# protobuf cannot serialize more.
_LARGEST = 2**31 - 1024


def check_against_onnxruntime(
    model: onnx.ModelProto, graph: OnnxGraph, network: so.Network
) -> list[str]:
    """Raise `ProblemError` if the network and the model disagree on random input.

    The model is run by onnxruntime, or, if it is small and onnxruntime cannot run it, by the
    reference implementation in onnx. A stripped head is left out of the comparison. What could
    not be compared is returned in words.

    Both get those parts of the model only that the reader has read, so that its limits hold for
    them as well.
    """
    if not is_comparable(network):
        return [f"not compared with other software: it has {network.edge_count} edges"]
    end = graph.head_input or graph.outputs[0]
    model = _part_read(model, graph, end)
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


def require_same_function(model: onnx.ModelProto, network: so.Network) -> None:
    """Raise `ProblemError` unless a model that was made of a network computes what that does.

    It must run in onnxruntime, or where that is not there, or lacks an operator in double
    precision, and the network is small, in ONNX's reference.
    """
    (given,), (end,) = model.graph.input, model.graph.output
    wide = given.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    dtype = np.float64 if wide else np.float32
    reasons = []
    for name, engine in (("onnxruntime", _onnxruntime), ("ONNX's reference", _reference)):
        if engine is _reference and not is_small(network):
            continue

        def run(x: np.ndarray, engine: Any = engine) -> np.ndarray:
            return np.asarray(engine(model, end.name)({given.name: x}))

        try:
            run(np.zeros((1, *network.input_shape), dtype))
        except Exception as error:  # operators that the engine lacks, and the like
            text = str(error).strip().splitlines()
            reasons.append(f"{name}: {text[0] if text else type(error).__name__}")
            continue
        what = f"the model that is to be written, as {name} computes it,"
        if require_agreement(network, run, dtype, what):
            return
        reasons.append(f"{name}: its values on random input leave the range of floats")
    raise so.ProblemError(
        f"the model cannot be compared with the network ({'; '.join(reasons)}), so it is not "
        "written; of a network in double precision write network.to_torch('float32')"
        if wide
        else f"the model cannot be compared with the network ({'; '.join(reasons)}), so it is not "
        "written; pip install onnxruntime"
    )


def _part_read(model: onnx.ModelProto, graph: OnnxGraph, end: str) -> onnx.ModelProto:
    """Return a model of the nodes and constants that `end` depends on, and nothing else."""
    kept = graph.nodes_for([end])
    used = {name for node in kept for name in node.input}
    part = onnx.ModelProto(ir_version=model.ir_version)
    part.opset_import.append(onnx.helper.make_opsetid("", graph.opset))
    part.graph.name = "part"
    part.graph.node.extend(kept)
    part.graph.initializer.extend(t for t in model.graph.initializer if t.name in used)
    part.graph.sparse_initializer.extend(
        s for s in model.graph.sparse_initializer if s.values.name in used
    )
    part.graph.input.extend(i for i in model.graph.input if i.name in {*used, graph.input_name})
    part.graph.output.append(onnx.ValueInfoProto(name=end))
    return part


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
    # As the file says it: the optimizer would quantize activations where weights are quantized.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda feed: np.asarray(session.run([end], feed)[0])


def _reference(model: onnx.ModelProto, end: str) -> Callable[[Any], np.ndarray]:
    from onnx.reference import ReferenceEvaluator

    from sparseopt_onnx.reference import OLD_OPERATORS

    evaluator = ReferenceEvaluator(model, new_ops=OLD_OPERATORS)
    return lambda feed: np.asarray(evaluator.run([end], feed)[0])
