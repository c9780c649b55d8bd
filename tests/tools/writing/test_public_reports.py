"""Situations in which other loaders and pruning tools were reported to fail, in small.

Each is read, pruned by weights and by channels, made smaller, written and read again; what is
computed must stay what it was, and what cannot be done is said in one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

make = helper.make_node
Made = tuple[list[Any], dict[str, tuple[int, ...]], dict[str, np.ndarray]]


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng((seed, *shape)).standard_normal(shape)
    return drawn.astype(np.float32)


NORM = {
    "k": weights(4, 2, 3, 3),
    "g": weights(4),
    "b": weights(4, seed=1),
    "m": weights(4, seed=2),
    "v": np.abs(weights(4, seed=3)) + np.float32(0.1),
}
NORMALIZED = ["c", "g", "b", "m", "v"]


def two_constants() -> Made:
    """github.com/onnxsim/onnxsim/issues/265: the divisor of one input taken for the other's."""
    nodes = [
        make("Div", ["p", "two"], ["u"]),
        make("Mul", ["q", "four"], ["v"]),
        make("Add", ["u", "v"], ["w"]),
        make("Gemm", ["w", "k"], ["y"]),
    ]
    held = {"two": np.float32(2), "four": np.float32(4), "k": weights(3, 2)}
    return nodes, {"p": (1, 3), "q": (1, 3)}, {n: np.asarray(a) for n, a in held.items()}


def normalized_input() -> Made:
    """github.com/NeuralNetworkVerification/Marabou/issues/884: Sub and Div before the network."""
    nodes = [
        make("Sub", ["x", "mean"], ["s"]),
        make("Div", ["s", "spread"], ["d"]),
        make("Conv", ["d", "k"], ["c"]),
        make("Relu", ["c"], ["r"]),
        make("Flatten", ["r"], ["f"]),
        make("Gemm", ["f", "w"], ["y"]),
    ]
    mean, spread = weights(1, 2, 1, 1), np.abs(weights(1, 2, 1, 1, seed=1))
    held = {"mean": mean, "spread": spread, "k": NORM["k"], "w": weights(16, 2)}
    return nodes, {"x": (1, 2, 4, 4)}, held


def in_double() -> Made:
    """github.com/NeuralNetworkVerification/Marabou/issues/870: constants of doubles."""
    nodes = [
        make("Gemm", ["x", "w", "b"], ["h"], transB=1),
        make("Relu", ["h"], ["r"]),
        make("MatMul", ["r", "v"], ["y"]),
    ]
    held = {"w": weights(5, 4), "b": weights(5), "v": weights(5, 2)}
    return nodes, {"x": (1, 4)}, {n: a.astype(np.float64) for n, a in held.items()}


def constant_node() -> Made:
    """github.com/NeuralNetworkVerification/Marabou/issues/655: a number added by a node."""
    one = numpy_helper.from_array(np.float32(1).reshape(()))
    nodes = [
        make("Gemm", ["x", "w"], ["h"]),
        make("Constant", [], ["one"], value=one),
        make("Add", ["h", "one"], ["y"]),
    ]
    return nodes, {"x": (1, 4)}, {"w": weights(4, 2)}


def airborne() -> Made:
    """github.com/Verified-Intelligence/auto_LiRPA/pull/35: an input of shape (1, 1, 1, 5)."""
    nodes = [
        make("Sub", ["x", "mean"], ["s"]),
        make("Flatten", ["s"], ["f"]),
        make("MatMul", ["f", "w"], ["h"]),
        make("Add", ["h", "b"], ["z"]),
        make("Relu", ["z"], ["r"]),
        make("MatMul", ["r", "v"], ["y"]),
    ]
    held = {"mean": weights(5), "w": weights(5, 6), "b": weights(6), "v": weights(6, 5)}
    return nodes, {"x": (1, 1, 1, 5)}, held


def channels_last() -> Made:
    """github.com/NeuralNetworkVerification/Marabou/issues/578: axes moved around a convolution."""
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make("Conv", ["t", "k"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
        make("Relu", ["c"], ["r"]),
        make("Transpose", ["r"], ["u"], perm=[0, 2, 3, 1]),
        make("Reshape", ["u", "flat"], ["f"]),
        make("MatMul", ["f", "w"], ["h"]),
        make("Add", ["h", "b"], ["y"]),
    ]
    held = {"k": weights(3, 1, 3, 3), "flat": np.array([-1, 27]), "w": weights(27, 2)}
    return nodes, {"x": (1, 5, 5, 1)}, {**held, "b": weights(2)}


def shared_convolution() -> Made:
    """github.com/pytorch/pytorch/issues/104593, 197539: one convolution, normalized once only."""
    nodes = [
        make("Conv", ["p", "k"], ["a"]),
        make("Conv", ["q", "k"], ["c"]),
        make("BatchNormalization", NORMALIZED, ["d"]),
        make("Add", ["a", "d"], ["e"]),
        make("Relu", ["e"], ["r"]),
        make("Conv", ["r", "o"], ["y"]),
    ]
    held = {**NORM, "o": weights(2, 4, 1, 1)}
    return nodes, {"p": (1, 2, 4, 4), "q": (1, 2, 4, 4)}, held


def from_the_end() -> Made:
    """github.com/gmalivenko/onnx2keras/issues/115: a slice that ends at the least integer."""
    nodes = [
        make("Slice", ["x", "start", "end", "axis", "step"], ["s"]),
        make("Flatten", ["s"], ["f"]),
        make("Gemm", ["f", "w"], ["y"]),
    ]
    cut = {"start": -1, "end": -(2**63) + 1, "axis": 2, "step": -2}
    held = {name: np.array([value], np.int64) for name, value in cut.items()}
    return nodes, {"x": (1, 2, 5)}, {**held, "w": weights(6, 2)}


def window_beyond_the_axis() -> Made:
    """github.com/pytorch/pytorch/issues/131272: windows of which a part alone is in the image."""
    nodes = [
        make("Conv", ["x", "k"], ["c"]),
        make("AveragePool", ["c"], ["y"], kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1),
    ]
    return nodes, {"x": (1, 2, 4, 4)}, {"k": NORM["k"]}


def overlapping_windows() -> Made:
    """github.com/Verified-Intelligence/auto_LiRPA/issues/76: pools whose windows overlap."""
    nodes = [
        make("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        make("BatchNormalization", NORMALIZED, ["n"]),
        make("Relu", ["n"], ["r"]),
        make("MaxPool", ["r"], ["p"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        make("Flatten", ["p"], ["f"]),
        make("Gemm", ["f", "w", "o"], ["y"]),
    ]
    return nodes, {"x": (1, 2, 5, 5)}, {**NORM, "w": weights(36, 3), "o": weights(3)}


def generator() -> Made:
    """github.com/Verified-Intelligence/auto_LiRPA/issues/61: an image out of a single cell."""
    nodes = [
        make("ConvTranspose", ["x", "first"], ["c"]),
        make("BatchNormalization", NORMALIZED, ["n"]),
        make("Relu", ["n"], ["r"]),
        make("ConvTranspose", ["r", "last"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1]),
    ]
    held = {**NORM, "first": weights(3, 4, 3, 3), "last": weights(4, 1, 4, 4)}
    return nodes, {"x": (1, 3, 1, 1)}, {n: a for n, a in held.items() if n != "k"}


def joined_and_cut() -> Made:
    """github.com/tianyic/only_train_once_personal_footprint/issues/39: halves of joined branches
    in a convolution of several groups."""
    nodes = [
        make("Conv", ["x", "k"], ["a"]),
        make("Conv", ["x", "l"], ["b"]),
        make("Concat", ["a", "b"], ["d"], axis=1),
        make("Relu", ["d"], ["r"]),
        make("Slice", ["r", "two", "six", "one"], ["s"]),
        make("Conv", ["s", "grouped"], ["e"], group=2),
        make("Relu", ["e"], ["t"]),
        make("Conv", ["t", "last"], ["y"]),
    ]
    held = {"k": NORM["k"], "l": weights(4, 2, 3, 3, seed=4), "grouped": weights(4, 2, 1, 1)}
    cut = {"two": np.array([2]), "six": np.array([6]), "one": np.array([1])}
    return nodes, {"x": (1, 2, 4, 4)}, {**held, **cut, "last": weights(2, 4, 1, 1)}


def doubled_channels() -> Made:
    """github.com/VainF/Torch-Pruning/issues/146: a value joined with itself."""
    nodes = [
        make("Conv", ["x", "k"], ["c"]),
        make("BatchNormalization", NORMALIZED, ["n"]),
        make("Relu", ["n"], ["r"]),
        make("Concat", ["r", "r"], ["d"], axis=1),
        make("Conv", ["d", "last"], ["y"]),
    ]
    return nodes, {"x": (1, 2, 4, 4)}, {**NORM, "last": weights(2, 8, 1, 1)}


def between_transposed() -> Made:
    """github.com/VainF/Torch-Pruning/issues/99: channels of a transposed convolution."""
    nodes = [
        make("Conv", ["x", "k"], ["c"]),
        make("ConvTranspose", ["c", "t"], ["d"]),
        make("Conv", ["d", "last"], ["y"]),
    ]
    held = {"k": NORM["k"], "t": weights(4, 6, 3, 3), "last": weights(2, 6, 1, 1)}
    return nodes, {"x": (1, 2, 4, 4)}, held


SITUATIONS: list[Callable[[], Made]] = [
    two_constants,
    normalized_input,
    in_double,
    constant_node,
    airborne,
    channels_last,
    shared_convolution,
    from_the_end,
    window_beyond_the_axis,
    overlapping_windows,
    generator,
    joined_and_cut,
    doubled_channels,
    between_transposed,
]
NO_CHANNELS = {two_constants, constant_node, from_the_end, window_beyond_the_axis}
"""Whose units are those of the input and the output."""


def saved(situation: Callable[[], Made], path: Path, listed: bool = False) -> Path:
    """Write the model; listed: of the third version of the format, tensors among the inputs."""
    nodes, shapes, held = situation()
    kind = TensorProto.DOUBLE if situation is in_double else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(n, kind, s) for n, s in shapes.items()]
    tensors = [numpy_helper.from_array(a, n) for n, a in held.items()]
    if listed:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    ends = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph(nodes, "g", inputs, ends, tensors)
    opset, version = (8, 3) if listed else (13, 8)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version
    )
    onnx.save(model, str(path))
    return path


def computed(path: Path, network: so.Network, x: np.ndarray) -> np.ndarray:
    """Return what onnxruntime makes of one sample."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    held = network.parameters().values()
    dtype = (
        np.float64
        if any(a.dtype == np.float64 for a in held)
        and "double" in str(session.get_inputs()[0].type)
        else np.float32
    )
    feeds, start = {}, 0
    for given in session.get_inputs():
        shape = [1 if not isinstance(n, int) else n for n in given.shape]
        size = int(np.prod(shape))
        feeds[given.name] = x.ravel()[start : start + size].reshape(shape).astype(dtype)
        start += size
    return np.asarray(session.run(None, feeds)[0]).ravel()


def close(one: np.ndarray, two: np.ndarray) -> None:
    np.testing.assert_allclose(one.ravel(), two.ravel(), rtol=1e-4, atol=1e-4 * np.abs(two).max())


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda made: made.__name__)
def test_read_pruned_made_smaller_and_written(
    situation: Callable[[], Made], tmp_path: Path
) -> None:
    path, out = saved(situation, tmp_path / "model.onnx"), tmp_path / "out.onnx"
    network = so.load_network(path)
    x = np.random.default_rng(1).standard_normal(network.input_shape)
    close(network.run(x), computed(path, network, x))
    for granularity in ("weight", "channel"):
        if granularity == "channel" and situation in NO_CHANNELS:
            with pytest.raises(so.ProblemError, match="no layer that is chosen has units"):
                so.prune(network, 0.5, "magnitude", granularity=granularity)
            continue
        pruned = so.prune(network, 0.5, "magnitude", granularity=granularity).network
        so.write(pruned, out, like=path)
        close(pruned.run(x), computed(out, pruned, x))
        smaller = so.remove_dead(pruned)
        close(smaller.run(x), pruned.run(x))
        so.write(smaller, out)
        close(so.load_network(out).run(x), pruned.run(x))
        if granularity == "channel":
            count = [sum(a.size for a in n.parameters().values()) for n in (smaller, network)]
            assert count[0] < count[1]


def test_tensors_among_the_inputs_of_old_files(tmp_path: Path) -> None:
    """github.com/onnxsim/onnxsim/pull/545, github.com/onnx/optimizer/issues/133."""
    path, out = tmp_path / "old.onnx", tmp_path / "out.onnx"
    saved(overlapping_windows, path, listed=True)
    network = so.load_network(path)
    pruned = so.prune(network, 0.5).network
    so.write(pruned, out, like=path)
    assert len(onnx.load(out).graph.input) == 8
    x = np.random.default_rng(1).standard_normal(network.input_shape)
    close(pruned.run(x), np.asarray(so.load_network(out).run(x)))


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("kernel", [2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_windows_larger_than_the_image(
    size: int, kernel: int, stride: int, op: str, tmp_path: Path
) -> None:
    """Rounded up, one window that starts inside remains; where none does, it is said."""
    attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "ceil_mode": 1}

    def pool() -> Made:
        return [make(op, ["x"], ["y"], **attributes)], {"x": (1, 1, size, size)}, {}

    path = saved(pool, tmp_path / "pool.onnx")
    if -(-(size - kernel) // stride) + 1 < 1:
        with pytest.raises(so.ProblemError, match="does not fit an axis"):
            so.load_network(path)
        return
    network = so.load_network(path)
    x = np.random.default_rng(1).standard_normal(network.input_shape)
    close(network.run(x), computed(path, network, x))
    so.write(network, tmp_path / "out.onnx")
    close(so.load_network(tmp_path / "out.onnx").run(x), network.run(x))


def test_a_head_in_the_middle_names_the_part_that_is_read(tmp_path: Path) -> None:
    """github.com/NeuralNetworkVerification/Marabou/issues/655: a number added to a Tanh."""

    def shifted() -> Made:
        _, shapes, held = constant_node()
        return [make("Tanh", ["x"], ["t"]), make("Gemm", ["t", "w"], ["y"])], shapes, held

    path = saved(shifted, tmp_path / "model.onnx")
    with pytest.raises(so.ProblemError, match=r"result of Tanh.*until="):
        so.load_network(path)


def test_a_depthwise_layer_alone_has_no_channels_to_lose() -> None:
    """github.com/microsoft/nni/issues/4991: said, where another tool emptied the layer."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, groups=4), torch.nn.ReLU()).eval()
    network = so.load_network(model, torch.rand(1, 4, 4, 4))
    with pytest.raises(so.ProblemError, match="nothing is left to prune"):
        so.prune(network, 0.6, granularity="channel")
    assert so.prune(network, 0, granularity="channel").density == 1
    with pytest.raises(so.ProblemError, match="nothing is left to prune"):
        so.prune(model, 0.6, granularity="channel", example=torch.rand(1, 4, 4, 4))


@pytest.mark.parametrize("groups", [1, 2])
def test_scales_of_transposed_convolutions_are_of_outputs(groups: int) -> None:
    """github.com/microsoft/onnxruntime/issues/19694: a scale for each channel that comes out."""
    from sparseopt.networks.convolution import ConvTranspose
    from sparseopt.networks.network import chain

    weight = weights(4, 6 // groups, 3, 3).astype(np.float64)
    weight *= np.exp2(np.arange(6 // groups) * 8)[:, None, None]
    network = chain((4, 3, 3), ConvTranspose(weight, groups=groups))
    found = so.quantize(network, "int8", "channel", rescaling="none").network
    assert found is not None
    (rounded,) = found.parameters().values()
    error = np.abs(rounded - weight).max(axis=(0, 2, 3)) / np.abs(weight).max(axis=(0, 2, 3))
    assert (error < 0.5 / 127 * 1.001).all()
