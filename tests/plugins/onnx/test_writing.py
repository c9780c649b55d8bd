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


def test_what_cannot_be_written_back_is_refused(tmp_path: Path) -> None:
    weight = np.array([[1.0, 0.3, 0.2], [0.7, -1.0, 0.11]])
    product = helper.make_node("Gemm", ["x", "w"], ["y"], alpha=0.5)
    source = model(tmp_path / "product.onnx", product, w=weight.T)
    out = tmp_path / "out.onnx"
    with pytest.raises(so.ProblemError, match=r"no tensor of .* as it stands"):
        write_like(so.quantize(source, "int4").network, source, str(out))  # type: ignore[arg-type]
    nodes = (
        helper.make_node("Gemm", ["x", "w"], ["h"], transB=1),
        helper.make_node("BatchNormalization", ["h", "s", "b", "m", "v"], ["y"]),
    )
    pair = {name: np.array([0.5, 2.0]) for name in "sbmv"}
    source = model(tmp_path / "normalized.onnx", *nodes, w=weight, **pair)
    with pytest.raises(so.ProblemError, match="was merged into the one before it"):
        write_like(so.quantize(source, "int4").network, source, str(out))  # type: ignore[arg-type]
    with pytest.raises(so.ProblemError, match="no initializer 'nowhere'"):
        write_initializers(source, {"nowhere": weight}, str(out))
    with pytest.raises(so.ProblemError, match="dtype float32, which does not hold"):
        write_initializers(source, {"w": weight}, str(out))
    assert not out.exists()
