"""Compares a loaded network with onnxruntime, or ONNX's reference, on random input."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable

import numpy as np
import onnx

import sparseopt as so
from sparseopt.tools.reading.agreement import is_small, require_agreement, require_digits
from sparseopt.tools.reading.budget import is_comparable
from sparseopt_onnx.graph import OnnxGraph, names_read

Engine = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
"""From inputs to results, both by name."""

# protobuf cannot serialize more.
_LARGEST = 2**31 - 1024
# The time in which older versions of onnxruntime read a model is the square of its branches.
_MOST_BRANCHES = 1000


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
    if graph.maps:
        held = sum(array.nbytes for array in graph.maps.values())
        return [
            f"not compared with other software: {held / 2**30:.3g} GiB of its weights stay in "
            "their files"
        ]
    ends = list(dict.fromkeys(value for _, value in graph.ends))
    model = _part_read(model, graph, ends)
    kinds = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    double = onnx.TensorProto.DOUBLE
    dtypes = {n: np.float64 if kinds[n] == double else np.float32 for n in graph.input_shapes}
    dtype = np.float64 if np.float64 in dtypes.values() else np.float32
    reasons = []
    for name, engine in (("onnxruntime", _onnxruntime), ("ONNX's reference", _reference)):
        if engine is _reference and not is_small(network):
            continue
        try:
            run = engine(model, ends)
            _evaluated(run, graph, np.zeros((graph.fixed_batch, _count(graph))), dtypes)
        except so.ProblemError:
            raise
        except Exception as error:  # operators or versions that the engine lacks, and the like
            text = str(error).strip().splitlines()
            reasons.append(f"{name}: {text[0] if text else type(error).__name__}")
            continue
        compared = require_agreement(
            network,
            lambda x, run=run: _evaluated(run, graph, x, dtypes),  # type: ignore[misc]
            dtype,
            f"{graph.source} as {name} computes it",
            copies=graph.fixed_batch,
            folded=any(node.op_type in ("Cast", "CastLike") for node in graph.nodes),
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
    ends = [end.name for end in model.graph.output]
    wide = model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    dtype = np.float64 if wide else np.float32
    if not wide:
        require_digits(network)
    reasons = []
    for name, engine in (("onnxruntime", _onnxruntime), ("ONNX's reference", _reference)):
        if engine is _reference and not is_small(network):
            continue

        def run(x: np.ndarray, engine: Callable[..., Engine] = engine) -> np.ndarray:
            found = engine(model, ends)(_inputs(model, x))
            rows = [found[end].reshape(len(x), -1) for end in ends]
            return np.concatenate(rows, axis=1).reshape(len(x), *network.output_shape)

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


def _inputs(model: onnx.ModelProto, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return samples of a network's input as the inputs of a model that was made of it."""
    flat, found, start = x.reshape(len(x), -1), {}, 0
    for given in model.graph.input:
        shape = [axis.dim_value for axis in given.type.tensor_type.shape.dim[1:]]
        found[given.name] = flat[:, start : start + math.prod(shape)].reshape(len(x), *shape)
        start += math.prod(shape)
    return found


def _part_read(model: onnx.ModelProto, graph: OnnxGraph, ends: list[str]) -> onnx.ModelProto:
    """Return a model of the nodes and constants that `ends` depend on, and nothing else."""
    given = {id(node) for node in graph.as_given}
    # As the file has it, so that a wrong reading of its control flow shows.
    as_given = graph.heads <= given and _branches(graph.as_given) <= _MOST_BRANCHES
    nodes = graph.as_given if as_given else graph.nodes
    kept = graph.nodes_for(ends, nodes)
    used = {name for node in kept for name in names_read(node)} | set(ends)
    part = onnx.ModelProto(ir_version=model.ir_version)
    part.opset_import.append(onnx.helper.make_opsetid("", graph.opset))
    part.graph.name = "part"
    for node in kept:
        if id(node) in graph.heads:
            node = onnx.helper.make_node("Identity", node.input[:1], node.output[:1])
        part.graph.node.append(node)
    part.graph.initializer.extend(t for t in model.graph.initializer if t.name in used)
    part.graph.initializer.extend(t for t in graph.written_out if t.name in used)
    part.graph.sparse_initializer.extend(
        s for s in model.graph.sparse_initializer if s.values.name in used
    )
    part.graph.input.extend(i for i in model.graph.input if i.name in {*used, *graph.input_shapes})
    part.graph.output.extend(onnx.ValueInfoProto(name=end) for end in ends)
    return part


def _branches(nodes: Iterable[onnx.NodeProto]) -> int:
    """Return how many graphs there are within nodes."""
    held = [g for node in nodes for a in node.attribute for g in (a.g, *a.graphs) if g.node]
    return len(held) + sum(_branches(inner.node) for inner in held)


def _count(graph: OnnxGraph) -> int:
    return sum(math.prod(shape) for shape in graph.input_shapes.values())


def _evaluated(
    run: Engine, graph: OnnxGraph, x: np.ndarray, dtypes: dict[str, type[np.floating]]
) -> np.ndarray:
    """Return what the model makes of the samples of its batch, a row for each."""
    feed, start = {}, 0
    rows = x.reshape(graph.fixed_batch, -1)
    for name, shape in graph.input_shapes.items():
        count = math.prod(shape)
        own = rows[:, start : start + count].astype(dtypes[name])
        feed[name] = own.reshape(graph.fixed_batch * shape[0], *shape[1:]) if shape else own[0, 0]
        start += count
    found = run(feed)
    if any(found[value].size % graph.fixed_batch for _, value in graph.ends):
        raise so.ProblemError(
            f"{graph.source}: the samples of a batch of {graph.fixed_batch} are mixed; export the "
            "model with a batch of 1"
        )
    ends = [found[value].reshape(graph.fixed_batch, -1) for _, value in graph.ends]
    return np.concatenate(ends, axis=1)


def _onnxruntime(model: onnx.ModelProto, ends: list[str]) -> Engine:
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
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=False,  # which would print that it tries the same once more
    )
    return lambda feed: dict(zip(ends, map(np.asarray, session.run(ends, feed)), strict=True))


def _reference(model: onnx.ModelProto, ends: list[str]) -> Engine:
    from onnx.reference import ReferenceEvaluator

    from sparseopt_onnx.reference import OLD_OPERATORS

    evaluator = ReferenceEvaluator(model, new_ops=OLD_OPERATORS)
    return lambda feed: dict(zip(ends, map(np.asarray, evaluator.run(ends, feed)), strict=True))
