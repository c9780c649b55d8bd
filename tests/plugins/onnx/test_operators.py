"""Every supported ONNX operator against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx_models import ints, model_of, model_with, normal

import sparseopt as so

IMAGE = (1, 4, 7, 6)


def topk(shape: tuple[int, ...], k: int, opset: int = 13, **attributes: int) -> onnx.ModelProto:
    node = helper.make_node("TopK", ["x", "k"], ["y", "indices"], **attributes)
    return model_with([node], shape, {"k": ints(k)}, opset)


MODELS: dict[str, onnx.ModelProto] = {
    "conv": model_of(IMAGE, "Conv", {"w": normal(5, 4, 3, 3), "b": normal(5)}, pads=[1, 0, 2, 1]),
    "conv-groups": model_of(IMAGE, "Conv", {"w": normal(6, 2, 3, 2)}, group=2, strides=[2, 1]),
    "conv-depthwise": model_of(IMAGE, "Conv", {"w": normal(8, 1, 3, 3)}, group=4, dilations=[2, 1]),
    "conv-same-upper": model_of(
        IMAGE, "Conv", {"w": normal(5, 4, 4, 3)}, auto_pad="SAME_UPPER", strides=[2, 2]
    ),
    "conv-same-lower": model_of(
        IMAGE, "Conv", {"w": normal(5, 4, 4, 3)}, auto_pad="SAME_LOWER", strides=[2, 3]
    ),
    "conv-valid": model_of(IMAGE, "Conv", {"w": normal(5, 4, 4, 3)}, auto_pad="VALID"),
    "conv-1d": model_of((1, 3, 9), "Conv", {"w": normal(2, 3, 4)}, pads=[2, 1], strides=[2]),
    "conv-3d": model_of(
        (1, 2, 4, 5, 4), "Conv", {"w": normal(3, 2, 2, 3, 2)}, pads=[0, 1, 0, 1, 0, 1]
    ),
    "transposed": model_of(
        IMAGE,
        "ConvTranspose",
        {"w": normal(4, 3, 3, 3), "b": normal(3)},
        strides=[2, 2],
        pads=[1, 0, 1, 1],
    ),
    "transposed-groups": model_of(
        IMAGE,
        "ConvTranspose",
        {"w": normal(4, 3, 2, 3)},
        group=2,
        strides=[3, 2],
        output_padding=[1, 0],
        dilations=[1, 2],
    ),
    "transposed-output-shape": model_of(
        IMAGE, "ConvTranspose", {"w": normal(4, 1, 3, 3)}, strides=[2, 2], output_shape=[14, 11]
    ),
    "transposed-same": model_of(
        IMAGE, "ConvTranspose", {"w": normal(4, 1, 3, 3)}, strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "gemm": model_of((1, 4), "Gemm", {"w": normal(4, 3), "b": normal(3)}),
    "gemm-transposed": model_of(
        (1, 4), "Gemm", {"w": normal(3, 4), "b": normal(1, 3)}, transB=1, alpha=0.5, beta=2.0
    ),
    "gemm-scalar-bias": model_of((1, 4), "Gemm", {"w": normal(4, 3), "b": normal(1)}),
    "gemm-no-bias": model_of((1, 4), "Gemm", {"w": normal(4, 3)}),
    "gemm-transA": model_of((4, 1), "Gemm", {"w": normal(4, 3), "b": normal(3)}, transA=1),
    "matmul": model_of((1, 2, 4), "MatMul", {"w": normal(4, 3)}),
    "matmul-left": model_of((1, 2, 4), "MatMul", {"w": normal(5, 2)}, ["w", "x"]),
    "matmul-stacks": model_of((1, 3, 2, 4), "MatMul", {"w": normal(3, 4, 5)}),
    "matmul-stacks-left": model_of((1, 3, 2, 4), "MatMul", {"w": normal(3, 5, 2)}, ["w", "x"]),
    "matmul-one-on-a-stack": model_of((1, 1, 2, 4), "MatMul", {"w": normal(3, 5, 2)}, ["w", "x"]),
    "matmul-more-axes": model_of((1, 2, 4), "MatMul", {"w": normal(2, 1, 4, 3)}),
    "matmul-stack-of-one": model_of((1, 2, 4), "MatMul", {"w": normal(1, 1, 4, 3)}),
    "matmul-vector": model_of((1, 2, 4), "MatMul", {"w": normal(4)}),
    "einsum-matrix": model_of((1, 2, 4), "Einsum", {"w": normal(4, 3)}, equation="bij,jk->bik"),
    "einsum-first": model_of(
        (1, 2, 4), "Einsum", {"w": normal(4, 3)}, ["w", "x"], equation="jk,bij->bki"
    ),
    "einsum-stacked": model_of(
        (1, 2, 3, 4), "Einsum", {"w": normal(3, 2, 5)}, equation="bijk,jio->bkoj"
    ),
    "einsum-kronecker": model_of(
        (1, 2, 3, 4), "Einsum", {"w": normal(2, 5, 3, 4)}, equation="nacd,abcd->nabd"
    ),
    "einsum-ellipsis": model_of((1, 2, 4), "Einsum", {"w": normal(3, 4)}, equation="...j,kj->...k"),
    "einsum-both-ellipses": model_of(
        (1, 2, 1, 4), "Einsum", {"w": normal(1, 2, 3, 4)}, equation="...j,...j->..."
    ),
    "einsum-implicit": model_of((1, 2, 4), "Einsum", {"w": normal(4, 3)}, equation="baj,jc"),
    "einsum-entrywise": model_of(
        (1, 2, 4), "Einsum", {"w": normal(2, 4)}, equation="bij, ij -> bij"
    ),
    "einsum-sums": model_of((1, 2, 4), "Einsum", {"w": normal(4, 3, 2)}, equation="bij,jkl->bk"),
    "einsum-outer": model_of((1, 2), "Einsum", {"w": normal(3)}, equation="bi,k->bki"),
    "batch-norm": model_of(
        IMAGE,
        "BatchNormalization",
        {"s": normal(4), "b": normal(4), "m": normal(4), "v": normal(4) ** 2},
        epsilon=0.01,
    ),
    "batch-norm-matrix": model_of(
        (1, 5),
        "BatchNormalization",
        {"s": normal(5), "b": normal(5), "m": normal(5), "v": normal(5) ** 2},
    ),
    "batch-norm-3d": model_of(
        (1, 2, 2, 3, 2),
        "BatchNormalization",
        {"s": normal(2), "b": normal(2), "m": normal(2), "v": normal(2) ** 2},
    ),
    "transposed-1d": model_of(
        (1, 2, 4), "ConvTranspose", {"w": normal(2, 3, 3)}, strides=[2], pads=[1, 0]
    ),
    "transposed-3d": model_of(
        (1, 1, 2, 2, 2), "ConvTranspose", {"w": normal(1, 2, 2, 1, 2)}, strides=[2, 1, 1]
    ),
    "prelu-one": model_of(IMAGE, "PRelu", {"a": normal(1)}),
    "global-max-3d": model_of((1, 2, 2, 3, 2), "GlobalMaxPool"),
    "max-pool-3d": model_of((1, 1, 3, 4, 3), "MaxPool", kernel_shape=[2, 3, 2]),
    "average-3d": model_of((1, 1, 3, 4, 3), "AveragePool", kernel_shape=[2, 3, 2]),
    "add": model_of(IMAGE, "Add", {"c": normal(4, 1, 1)}),
    "add-left": model_of(IMAGE, "Add", {"c": normal(1, 4, 1, 6)}, ["c", "x"]),
    "add-self": model_of(IMAGE, "Add", {}, ["x", "x"]),
    "add-enlarging": model_of((1, 4, 1), "Add", {"c": normal(1, 4, 3)}),
    "sub": model_of(IMAGE, "Sub", {"c": normal(6)}),
    "sub-left": model_of(IMAGE, "Sub", {"c": normal(1)}, ["c", "x"]),
    "mul": model_of(IMAGE, "Mul", {"c": normal(7, 1)}),
    "mul-scalar": model_of(IMAGE, "Mul", {"c": np.float32(3.5).reshape(())}),
    "mul-enlarging": model_of((1, 4, 1), "Mul", {"c": normal(2, 4, 3)}),
    "div": model_of(IMAGE, "Div", {"c": normal(4, 7, 6)}),
    "neg": model_of(IMAGE, "Neg"),
    "sum": model_of(IMAGE, "Sum", {"c": normal(4, 1, 1)}, ["x", "c", "x", "x"]),
    "mean": model_of(IMAGE, "Mean", {}, ["x", "x", "x"]),
    "relu": model_of(IMAGE, "Relu"),
    "leaky": model_of(IMAGE, "LeakyRelu", alpha=0.2),
    "prelu": model_of(IMAGE, "PRelu", {"a": normal(4, 1, 1)}),
    "abs": model_of(IMAGE, "Abs"),
    "clip": model_of(IMAGE, "Clip", {"a": np.float32(-0.5), "b": np.float32(0.7)}),
    "clip-6": model_of(IMAGE, "Clip", opset=9, min=0.0, max=6.0),
    "clip-low": model_of(IMAGE, "Clip", {"a": np.float32(0.3)}),
    "clip-high": model_of(IMAGE, "Clip", {"": np.float32(0), "b": np.float32(0.3)}),
    "hard-sigmoid": model_of(IMAGE, "HardSigmoid", alpha=0.25),
    "max": model_of(IMAGE, "Max", {"c": normal(4, 1, 1)}, ["x", "c"]),
    "min": model_of(IMAGE, "Min", {"c": normal(1)}, ["c", "x"]),
    "max-pool": model_of(IMAGE, "MaxPool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "max-pool-ceil": model_of(IMAGE, "MaxPool", kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1),
    "max-pool-dilated": model_of(IMAGE, "MaxPool", kernel_shape=[2, 3], dilations=[3, 2]),
    "max-pool-same": model_of(
        IMAGE, "MaxPool", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "max-pool-1d": model_of((1, 2, 9), "MaxPool", kernel_shape=[4], strides=[3]),
    "average": model_of(
        IMAGE, "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    ),
    "average-count": model_of(
        IMAGE,
        "AveragePool",
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        count_include_pad=1,
    ),
    "average-ceil": model_of(
        IMAGE, "AveragePool", kernel_shape=[3, 2], strides=[3, 4], ceil_mode=1, opset=19
    ),
    "average-ceil-count": model_of(
        IMAGE,
        "AveragePool",
        kernel_shape=[2, 2],
        strides=[3, 4],
        pads=[1, 1, 1, 1],
        ceil_mode=1,
        count_include_pad=1,
        opset=19,
    ),
    "average-dilated": model_of(
        IMAGE, "AveragePool", kernel_shape=[2, 2], dilations=[2, 3], opset=19
    ),
    "global-average": model_of(IMAGE, "GlobalAveragePool"),
    "global-max": model_of(IMAGE, "GlobalMaxPool"),
    "reduce-sum": model_of(IMAGE, "ReduceSum", {"axes": ints(1, -1)}, keepdims=0),
    "reduce-mean": model_of(IMAGE, "ReduceMean", axes=[2, 3]),
    "reduce-mean-18": model_of(IMAGE, "ReduceMean", {"axes": ints(2)}, opset=18, keepdims=0),
    "reduce-max": model_of(IMAGE, "ReduceMax", axes=[2, 3], keepdims=0),
    "reduce-min": model_of(IMAGE, "ReduceMin", axes=[1]),
    "reduce-all": model_of(IMAGE, "ReduceSum", {}, keepdims=0),
    "reshape": model_of(IMAGE, "Reshape", {"s": ints(0, 2, 2, -1)}),
    "flatten": model_of(IMAGE, "Flatten"),
    "flatten-2": model_of(IMAGE, "Flatten", axis=-2),
    "squeeze": model_of((1, 4, 1, 1), "Squeeze", {"axes": ints(2, 3)}),
    "squeeze-old": model_of((1, 4, 1, 1), "Squeeze", opset=11, axes=[2]),
    "unsqueeze": model_of((1, 4), "Unsqueeze", {"axes": ints(0, -1)}),
    "transpose": model_of(IMAGE, "Transpose", perm=[0, 2, 3, 1]),
    "transpose-batch": model_of(IMAGE, "Transpose", perm=[1, 0, 2, 3]),
    "transpose-default": model_of(IMAGE, "Transpose"),
    "concat": model_of(IMAGE, "Concat", {}, ["x", "x"], axis=2),
    "concat-constant": model_of(IMAGE, "Concat", {"c": normal(1, 2, 7, 6)}, axis=1),
    "concat-batch": model_of(IMAGE, "Concat", {}, ["x", "x"], axis=0),
    "slice": model_of(
        IMAGE, "Slice", {"a": ints(1, 100), "b": ints(100, -100), "i": ints(1, 3), "s": ints(2, -1)}
    ),
    "slice-old": model_of(IMAGE, "Slice", opset=9, starts=[1, -3], ends=[3, 100], axes=[1, 2]),
    "gather": model_of(IMAGE, "Gather", {"i": ints(2, 0, -1)}, axis=1),
    "gather-scalar": model_of(IMAGE, "Gather", {"i": np.array(1)}, axis=2),
    "expand": model_of((1, 4, 1), "Expand", {"s": ints(2, 1, 3)}),
    "tile": model_of((1, 4, 2), "Tile", {"r": ints(1, 2, 3)}),
    "pad": model_of(IMAGE, "Pad", {"p": ints(0, 0, 1, 2, 0, 1, 0, -1)}),
    "pad-number": model_of(
        (1, 2, 3), "Pad", {"p": ints(0, 1, 0, 0, 0, 2), "v": np.float32(-1.5).reshape(())}
    ),
    "pad-reflect": model_of(IMAGE, "Pad", {"p": ints(0, 0, 1, 2, 0, 0, 0, 1)}, mode="reflect"),
    "pad-edge-old": model_of(IMAGE, "Pad", opset=9, pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="edge"),
    "depth-to-space": model_of((1, 8, 2, 3), "DepthToSpace", blocksize=2),
    "depth-to-space-crd": model_of((1, 8, 2, 3), "DepthToSpace", blocksize=2, mode="CRD"),
    "space-to-depth": model_of((1, 2, 4, 6), "SpaceToDepth", blocksize=2),
    "cast": model_of(IMAGE, "Cast", to=TensorProto.FLOAT),
    "dropout": model_of(IMAGE, "Dropout", {"r": np.float32(0.5)}),
    "identity": model_of(IMAGE, "Identity"),
    "upsample": model_of(
        IMAGE, "Upsample", {"s": np.array([1, 1, 2, 3], np.float32)}, opset=9, mode="nearest"
    ),
    "upsample-linear": model_of(
        IMAGE, "Upsample", {"s": np.array([1, 1, 2, 2], np.float32)}, opset=9, mode="linear"
    ),
    "topk": topk((1, 7), 3),
    "topk-smallest": topk(IMAGE, 2, axis=2, largest=0),
    "topk-all": topk((1, 3, 2), 2, opset=10, axis=-1),
    "shrink": model_of((1, 6), "Shrink", {}, lambd=0.75, bias=0.75),
    "cumsum": model_of(IMAGE, "CumSum", {"a": np.array(2)}, opset=14),
    "cumsum-exclusive": model_of(IMAGE, "CumSum", {"a": np.array(-1)}, opset=14, exclusive=1),
    "cumsum-reverse": model_of(
        IMAGE, "CumSum", {"a": np.array(1)}, opset=14, reverse=1, exclusive=1
    ),
    "gather-nd": model_of((3, 4, 2), "GatherND", {"i": np.array([[0, -1], [2, 1], [2, 1]])}),
    "gather-nd-whole": model_of((1, 4, 2), "GatherND", {"i": np.array([[0, 1, 1], [0, 3, 0]])}),
    "gather-nd-batch": model_of(
        (1, 4, 2), "GatherND", {"i": np.array([[[3], [0], [-1]]])}, batch_dims=1
    ),
    "gather-elements": model_of(
        (1, 4, 3), "GatherElements", {"i": np.array([[[1, -1, 0], [3, 0, 0]]])}, axis=1
    ),
    "reverse-sequence": model_of(
        (4, 3, 2), "ReverseSequence", {"n": ints(1, 4, 3)}, time_axis=0, batch_axis=1
    ),
    "reverse-sequence-batch": model_of(
        (1, 5, 2), "ReverseSequence", {"n": ints(3)}, time_axis=1, batch_axis=0
    ),
    "scatter-elements": model_of(
        (1, 5),
        "ScatterElements",
        {"i": np.array([[1, -1]]), "u": normal(1, 2)},
        opset=16,
        axis=1,
    ),
    "scatter-elements-add": model_of(
        (1, 5),
        "ScatterElements",
        {"i": np.array([[1, 1, 0]]), "u": normal(1, 3)},
        opset=16,
        axis=1,
        reduction="add",
    ),
    "scatter-elements-into-constant": model_of(
        (1, 3),
        "ScatterElements",
        {"d": normal(1, 6), "i": np.array([[2, 2, 5]])},
        ["d", "i", "x"],
        opset=16,
        axis=1,
        reduction="add",
    ),
    "scatter-nd": model_of(
        (3, 4), "ScatterND", {"i": np.array([[2], [0]]), "u": normal(2, 4)}, opset=16
    ),
    "scatter-nd-into-constant": model_of(
        (1, 2, 3),
        "ScatterND",
        {"d": normal(2, 4, 3), "i": np.array([[[1, 3], [0, -4]]])},
        ["d", "i", "x"],
        opset=16,
    ),
    "scatter-nd-add": model_of(
        (3, 4),
        "ScatterND",
        {"i": np.array([[2], [2]]), "u": normal(2, 4)},
        opset=16,
        reduction="add",
    ),
    "col2im": model_of(
        (1, 12, 10), "Col2Im", {"s": ints(5, 6), "b": ints(3, 2)}, opset=18, strides=[2, 1]
    ),
    "col2im-padded": model_of(
        (1, 8, 12),
        "Col2Im",
        {"s": ints(4, 5), "b": ints(2, 2)},
        opset=18,
        pads=[0, 1, 1, 0],
        dilations=[2, 2],
    ),
    "trilu": model_of(IMAGE, "Trilu", {"k": np.array(1)}, opset=14),
    "trilu-lower": model_of(IMAGE, "Trilu", {}, opset=14, upper=0),
    "cast-like": model_of((1, 4), "CastLike", {"c": normal(1)}, opset=15),
    "dropout-of-nothing": model_of(
        (1, 4), "Dropout", {"r": np.array(0.0, np.float32), "t": np.array(True)}
    ),
}

SCALES = np.array([1, 1, 1.5, 2.4], np.float32)
for _mode in ("nearest", "linear"):
    for _place in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"):
        MODELS[f"resize-{_mode}-{_place}"] = model_of(
            IMAGE,
            "Resize",
            {"": SCALES, "s": SCALES},
            mode=_mode,
            coordinate_transformation_mode=_place,
        )
for _rounding in ("floor", "ceil", "round_prefer_ceil"):
    MODELS[f"resize-{_rounding}"] = model_of(
        IMAGE,
        "Resize",
        {"": SCALES, " ": SCALES, "z": ints(1, 4, 5, 13)},
        ["x", "", "", "z"],
        nearest_mode=_rounding,
    )


def reference(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("name", list(MODELS))
def test_agrees_with_onnxruntime(name: str) -> None:
    model = MODELS[name]
    network = so.load_network(model)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for scale in (1.0, 10.0):
        x = scale * normal(*(d.dim_value for d in dims))
        right = reference(model, x)
        found = network.run(x.reshape(network.input_shape))
        assert found.size == right.size
        np.testing.assert_allclose(
            found.ravel(), right.ravel(), rtol=1e-5, atol=1e-5 * scale, err_msg=name
        )


@pytest.mark.parametrize("name", list(MODELS))
def test_norms_agree_with_the_unrolled_neurons(name: str) -> None:
    network = so.load_network(MODELS[name])
    graph = network.unroll()
    again = so.load_network(graph)
    ends = [network.neurons.labels[j] for j in network.neurons.outputs]
    order = [(again.output_labels or ()).index(label) for label in ends]
    for q in (0, 1, 2):
        first = so.solve(so.PathNorm(network, q)).answer.per_output_log10.ravel()
        second = so.solve(so.PathNorm(again, q)).answer.per_output_log10[order]
        np.testing.assert_allclose(first, second, rtol=1e-12, atol=1e-12)
