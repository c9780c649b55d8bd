"""Models are written back with other values in their initializers, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sparseopt as so
from sparseopt.tools.quantizing.writing import write_like

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from sparseopt_onnx.initializers import write_initializers  # noqa: E402

MODELS = Path(__file__).parents[3] / "examples" / "networks"


def model(path: Path, *nodes: object, **initializers: np.ndarray) -> str:
    """Write a model from a value x of shape (1, 3) to y."""
    tensors = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in initializers.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, str(path))
    return str(path)


@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_a_quantized_network_is_written_back(tmp_path: Path, name: str) -> None:
    source, path = str(MODELS / f"{name}.onnx"), str(tmp_path / "out.onnx")
    network = so.quantize(source, "int8", "channel").network
    assert network is not None
    write_like(network, source, path)
    found = so.load_network(path).parameters()
    for key, array in network.parameters().items():
        np.testing.assert_array_equal(array, found[key])
    before, after = (onnx.load(p) for p in (source, path))
    assert before.graph.node == after.graph.node
    assert [p.name for p in tmp_path.iterdir()] == ["out.onnx"]


def normalization(before: str, after: str, tensors: str) -> object:
    """Return a batch normalization with parameters of these first letters."""
    names = [f"{tensors}{part}" for part in "sbmv"]
    return helper.make_node("BatchNormalization", [before, *names], [after], epsilon=1e-3)


def gemm(before: str, weight: str, after: str, *bias: str) -> object:
    """Return a layer with the weight as it stands."""
    return helper.make_node("Gemm", [before, weight, *bias], [after], transB=1)


RELU = helper.make_node("Relu", ["r"], ["q"])
MERGED = {
    "a bias in the normalization": (gemm("x", "w", "h"), normalization("h", "y", "a")),
    "a bias of the layer": (gemm("x", "w", "h", "c"), normalization("h", "y", "a")),
    "two in a row": (
        gemm("x", "w", "h"),
        normalization("h", "r", "a"),
        normalization("r", "y", "b"),
    ),
    "the same parameters twice": (
        gemm("x", "w", "h"),
        normalization("h", "r", "a"),
        RELU,
        gemm("q", "v", "g"),
        normalization("g", "y", "a"),
    ),
    "a weight that is transposed": (
        helper.make_node("MatMul", ["x", "t"], ["h"]),
        normalization("h", "y", "a"),
    ),
    "a bias that is added": (
        helper.make_node("MatMul", ["x", "t"], ["h"]),
        helper.make_node("Add", ["h", "c"], ["r"]),
        RELU,
        gemm("q", "v", "y"),
    ),
    "a normalization of constants that nodes make": (
        gemm("x", "w", "h"),
        helper.make_node("Identity", ["as"], ["scale"]),
        helper.make_node("BatchNormalization", ["h", "scale", "ab", "am", "av"], ["y"]),
    ),
}


@pytest.mark.parametrize("form", ["int8", "e4m3"])
@pytest.mark.parametrize("case", MERGED)
def test_merged_normalizations_only_add_a_bias(tmp_path: Path, case: str, form: str) -> None:
    rng = np.random.default_rng(0)
    arrays = {"w": (4, 3), "v": (4, 4), "t": (3, 4), "c": (4,)}
    values = {name: rng.standard_normal(shape) for name, shape in arrays.items()}
    for name in "ab":
        values |= {f"{name}{part}": rng.standard_normal(4) for part in "sbm"}
        values[f"{name}v"] = rng.uniform(0.5, 2.0, 4)
    source, out = model(tmp_path / "in.onnx", *MERGED[case], **values), str(tmp_path / "out.onnx")
    network = so.quantize(source, form, "channel").network
    assert network is not None
    write_like(network, source, out)
    found = so.load_network(out).merged.parameters()
    for key, array in network.parameters().items():
        np.testing.assert_array_equal(array, found[key])
    runtime = pytest.importorskip("onnxruntime", reason="runs the model that was written")
    x = rng.standard_normal((1, 3)).astype(np.float32)
    result = runtime.InferenceSession(out).run(None, {"x": x})[0]
    np.testing.assert_allclose(result, network.run(x.astype(np.float64)), rtol=1e-4, atol=1e-5)


def test_transposed_weights_are_written_back(tmp_path: Path) -> None:
    weight = np.array([[1.0, 0.3, 0.2], [0.7, -1.0, 0.11]])
    out = str(tmp_path / "out.onnx")
    for node in ("MatMul", "Gemm"):
        source = model(tmp_path / "in.onnx", helper.make_node(node, ["x", "w"], ["y"]), w=weight.T)
        network = so.quantize(source, "int4").network
        assert network is not None
        write_like(network, source, out)
        (own,) = network.parameters().values()
        np.testing.assert_array_equal(own, *so.load_network(out).parameters().values())
        written = numpy_helper.to_array(onnx.load(out).graph.initializer[0])
        np.testing.assert_array_equal(written, own.T)


def test_a_weight_and_its_transpose_are_one_tensor(tmp_path: Path) -> None:
    nodes = helper.make_node("MatMul", ["x", "t"], ["r"]), RELU, gemm("q", "t", "y")
    weight = np.array([[1.0, 0.3], [0.7, -1.0], [0.2, 0.11]])
    source, out = model(tmp_path / "in.onnx", *nodes, t=weight), str(tmp_path / "out.onnx")
    network = so.quantize(source, "int4", rescaling="none").network
    assert network is not None
    first, second = network.parameters().values()
    np.testing.assert_array_equal(first, second.T)
    write_like(network, source, out)
    np.testing.assert_array_equal(first, next(iter(so.load_network(out).parameters().values())))


def test_what_cannot_be_written_back_is_refused(tmp_path: Path) -> None:
    weight = np.array([[1.0, 0.3, 0.2], [0.7, -1.0, 0.11]])
    product = helper.make_node("Gemm", ["x", "w"], ["y"], alpha=0.5)
    source = model(tmp_path / "product.onnx", product, w=weight.T)
    out = tmp_path / "out.onnx"
    with pytest.raises(so.ProblemError, match=r"no tensor of .* as it stands"):
        write_like(so.quantize(source, "int4").network, source, str(out))  # type: ignore[arg-type]
    nodes = gemm("x", "w", "h"), helper.make_node("Mul", ["h", "s"], ["y"])
    source = model(tmp_path / "scaled.onnx", *nodes, w=weight, s=np.array([0.5, 2.0]))
    with pytest.raises(so.ProblemError, match="no batch normalization 'y' of its own"):
        write_like(so.quantize(source, "int4").network, source, str(out))  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match="no initializer 'nowhere'"):
        write_initializers(source, {"nowhere": weight}, str(out))
    with pytest.raises(so.ProblemError, match="dtype float32, which does not hold"):
        write_initializers(source, {"w": weight}, str(out))
    assert not out.exists()
