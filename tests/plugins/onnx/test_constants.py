"""Constants of ONNX graphs: what is computed from them while a file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import ints, model_of, model_with, normal
from sparseopt_onnx.reader import OnnxReader

import sparseopt as so


def test_sparse_initializers_in_both_index_forms() -> None:
    dense = np.zeros((3, 4), np.float32)
    dense[0, 1], dense[2, 3] = 2.0, -1.0
    x = normal(1, 4)
    for indices in (ints(1, 11), np.array([[0, 1], [2, 3]], dtype=np.int64)):
        model = model_with([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], (1, 4), {})
        values = numpy_helper.from_array(np.array([2.0, -1.0], np.float32), "w")
        places = numpy_helper.from_array(indices, "w_indices")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [3, 4]))
        network = OnnxReader(check=False).read(model)
        np.testing.assert_allclose(network.run(x), x @ dense.T)
        assert network.parameters()[f"{network.output}.weight"].tolist() == dense.tolist()


def test_external_data_and_constant_subgraphs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0]),
        helper.make_node("Mul", ["wt", "two"], ["scaled"]),
        helper.make_node("MatMul", ["x", "scaled"], ["y"]),
    ]
    constants = {"w": normal(50, 40), "two": np.float32(2)}
    model = model_with(nodes, (1, 40), constants)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path), save_as_external_data=True, size_threshold=0)
    assert path.stat().st_size < 1000
    x = normal(1, 40)
    network = so.load_network(path)
    np.testing.assert_allclose(network.run(x), x @ (2 * constants["w"].T), rtol=1e-4, atol=1e-4)
    for other in tmp_path.iterdir():
        if other != path:
            other.unlink()
    with pytest.raises(so.ProblemError, match="cannot be read"):
        so.load_network(path)


def quantized_model(opset: int, **attributes: Any) -> tuple[onnx.ModelProto, np.ndarray]:
    """Return a layer whose weights are stored as int8, and its weights."""
    rng = np.random.default_rng(0)
    stored = rng.integers(-128, 128, (5, 4)).astype(np.int8)
    per_row = opset >= 13
    scale = rng.random(5 if per_row else ()).astype(np.float32)
    zero = rng.integers(-5, 5, scale.shape).astype(np.int8)
    axis = {"axis": 0} if per_row else {}
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], **axis, **attributes),
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1),
    ]
    constants = {"q": stored, "s": scale, "z": zero, "b": np.zeros(5, np.float32)}
    model = model_with(nodes, (1, 4), constants, opset)
    wide = scale.reshape(-1, 1).astype(np.float64)
    return model, (stored.astype(float) - zero.reshape(-1, 1)) * wide


@pytest.mark.parametrize("engine", ["onnxruntime", "reference"])
@pytest.mark.parametrize("opset", [10, 12, 13, 18, 19, 21, 23])
def test_weights_stored_as_integers(
    opset: int, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "reference":
        monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    model, weight = quantized_model(opset)
    network = so.load_network(model)
    assert network.notes == ()
    x = np.random.default_rng(1).standard_normal((1, 4))
    np.testing.assert_allclose(network.run(x), x @ weight.T, rtol=1e-5)


def test_blocks_of_weights_stored_as_integers() -> None:
    stored = np.arange(-10, 10, dtype=np.int8).reshape(4, 5)
    scale = np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1]])
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=1, block_size=2),
        helper.make_node("Gemm", ["x", "w"], ["y"], transB=1),
    ]
    network = so.load_network(model_with(nodes, (1, 5), {"q": stored, "s": scale}, 21))
    weight = stored * np.repeat(scale, 2, axis=1)[:, :5]
    np.testing.assert_allclose(network.run(np.ones(5)), weight.sum(axis=1))


@pytest.mark.parametrize("engine", ["onnxruntime", "reference"])
@pytest.mark.parametrize("opset", [7, 9, 13, 14, 15])
def test_batch_normalization_of_every_operator_set(
    opset: int, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "reference":
        monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    four = {"s": normal(2), "b": normal(2), "m": normal(2), "v": normal(2) ** 2 + 1}
    network = so.load_network(model_of((1, 2, 3, 3), "BatchNormalization", four, opset=opset))
    assert network.notes == ()
    x = normal(2, 3, 3)
    s, b, m, v = (a.reshape(2, 1, 1) for a in four.values())
    right = s * (x - m) / np.sqrt(v + 1e-5) + b
    np.testing.assert_allclose(network.run(x), right, rtol=1e-4, atol=1e-5)


def test_shapes_computed_in_the_graph() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Concat", ["n", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    model = model_with(nodes, ("N", 2, 3), {"zero": ints(0), "rest": ints(-1)})
    assert so.load_network(model).output_shape == (6,)


def test_float64_models() -> None:
    weight = np.random.default_rng(0).standard_normal((3, 4))
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    model = model_with([node], (1, 4), {"w": weight}, dtype=TensorProto.DOUBLE)
    network = so.load_network(model)
    x = np.ones((1, 4))
    np.testing.assert_allclose(network.run(x), x @ weight.T, rtol=1e-15)
