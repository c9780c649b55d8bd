"""Mutated ONNX files: read right, or refused."""

from __future__ import annotations

import random
from pathlib import Path

import mutations
import numpy as np
import onnx
import pytest
from confined import Reader
from fuzzing import WORDS, examples, judge
from hypothesis import given, strategies as st
from onnx import TensorProto, helper
from onnx_models import (
    ints,
    model_of,
    model_with,
    nested_branches,
    nested_functions,
    normal,
    sparse,
)

pytestmark = pytest.mark.slow
SEEDS = st.integers(0, 2**32 - 1)


def image_model() -> onnx.ModelProto:
    """Return a model with one of many kinds of layers."""
    make = helper.make_node
    nodes = [
        make("Shape", ["x"], ["s"]),
        make("Conv", ["x", "w", "b"], ["a"], pads=[1, 1, 1, 1], strides=[1, 2]),
        make("BatchNormalization", ["a", "b", "b", "b", "v"], ["n"], epsilon=1e-3),
        make("Relu", ["n"], ["r"]),
        make("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], ceil_mode=1),
        make("Pad", ["m", "pads", "fill"], ["p"], mode="constant"),
        make("Resize", ["p", "", "scales"], ["z"], mode="linear"),
        make("ConvTranspose", ["z", "u"], ["t"], strides=[2, 1]),
        make("AveragePool", ["t"], ["q"], kernel_shape=[2, 2], count_include_pad=1),
        make("Transpose", ["q"], ["o"], perm=[0, 2, 3, 1]),
        make("Reshape", ["o", "shape"], ["f"]),
        make("Slice", ["f", "one", "end", "one"], ["c"]),
        make("Concat", ["c", "c"], ["d"], axis=1),
        make("Clip", ["d", "low", "high"], ["k"]),
        make("ReduceMean", ["k"], ["y"], axes=[1], keepdims=1),
    ]
    constants = {
        "w": normal(3, 2, 3, 3),
        "b": normal(3),
        "v": np.float32([1, 2, 3]),
        "pads": ints(0, 0, 1, 0, 0, 0, 0, 1),
        "fill": np.array(0, np.float32),
        "scales": np.float32([1, 1, 2, 2]),
        "u": normal(3, 1, 2, 2),
        "shape": ints(1, -1),
        "one": ints(1),
        "end": ints(9),
        "low": np.array(-1, np.float32),
        "high": np.array(1, np.float32),
    }
    return model_with(nodes, ("N", 2, 6, 6), constants)


def constant_model() -> onnx.ModelProto:
    """Return a model whose weights are computed."""
    make = helper.make_node
    nodes = [
        make("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0),
        make("Transpose", ["w"], ["t"], perm=[1, 0]),
        make("ConstantOfShape", ["n"], ["c"]),
        make("Expand", ["c", "n"], ["e"]),
        make("Concat", ["t", "e"], ["k"], axis=0),
        make("Gather", ["k", "i"], ["g"], axis=0),
        make("Range", ["r0", "r1", "r2"], ["r"]),
        make("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
        make("Tile", ["f", "i"], ["l"]),
        make("ReduceSum", ["l"], ["h"], keepdims=0),
        make("MatMul", ["x", "g"], ["m"]),
        make("Add", ["m", "h"], ["y"]),
    ]
    constants = {
        "q": np.ones((3, 2), np.int8),
        "s": np.float32([1, 2, 3]),
        "z": np.int8([0, 1, 0]),
        "n": ints(2, 3),
        "i": ints(2),
        "r0": np.array(0),
        "r1": np.array(4),
        "r2": np.array(1),
    }
    return model_with(nodes, (1, 1), constants)


MODELS = [
    image_model,
    constant_model,
    lambda: nested_functions(3),
    lambda: sparse([3, 4], ints(1, 5)),
    lambda: nested_branches(2),
    lambda: model_of((1, 4), "Split", {"s": ints(1, 3)}),
    lambda: model_of((1, 4, 4, 4), "DepthToSpace", blocksize=2),
    lambda: model_of((2, 4), "Gemm", {"w": normal(3, 4), "b": normal(3)}, transB=1),
]


@examples(6000)
@given(seed=SEEDS)
def test_changed_models(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    model = rng.choice(MODELS)()
    mutations.message(model, rng, WORDS)
    judge(reader, folder / "model.onnx", model.SerializeToString())


@examples(3000)
@given(seed=SEEDS)
def test_changed_bytes_of_models(seed: int, reader: Reader, folder: Path) -> None:
    rng = random.Random(seed)
    content = rng.choice(MODELS)().SerializeToString()
    judge(reader, folder / "bytes.onnx", mutations.bytes_of(content, rng))
