"""Compares a loaded network with onnxruntime on random input."""

from __future__ import annotations

import importlib.util

import numpy as np
import onnx

import sparseopt as so
from sparseopt_pathlifting.agreement import require_agreement
from sparseopt_pathlifting.onnx_graph import OnnxGraph

# protobuf cannot serialize more.
_LARGEST = 2**31 - 1024


def check_against_onnxruntime(
    model: onnx.ModelProto, graph: OnnxGraph, network: so.Network
) -> None:
    """Raise `ProblemError` if the network and onnxruntime disagree on random input.

    Does nothing where onnxruntime is not installed or cannot run the model; a stripped head is
    left out of the comparison. The list of outputs of `model` is changed.
    """
    if importlib.util.find_spec("onnxruntime") is None or model.ByteSize() > _LARGEST:
        return
    import onnxruntime

    end = graph.head_input or graph.outputs[0]
    if end not in graph.outputs:
        del model.graph.output[:]
        model.graph.output.append(onnx.ValueInfoProto(name=end))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # onnxruntime lacks an operator or version that the reader knows
        return
    wide = session.get_inputs()[0].type == "tensor(double)"
    dtype = np.float64 if wide else np.float32

    def reference(batch: np.ndarray) -> np.ndarray:
        rows = []
        for sample in batch:
            one = sample.reshape(graph.input_shape)
            repeated = np.concatenate([one] * graph.fixed_batch)
            rows.append(session.run([end], {graph.input_name: repeated})[0])
        return np.stack(rows)

    require_agreement(network, reference, dtype, f"{graph.source} as onnxruntime computes it")
