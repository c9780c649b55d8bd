"""Every operator that only moves entries: its layers against onnxruntime, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_models import ints, model_of, normal
from sparseopt_onnx import shapes

import sparseopt as so
from sparseopt.networks.operator import Input, Permute, Reshape

IMAGE = (1, 4, 6, 6)
ORDERED: dict[str, onnx.ModelProto] = {
    "reshape": model_of(IMAGE, "Reshape", {"s": ints(0, -1, 3)}),
    "reshape-5": model_of(IMAGE, "Reshape", {"s": ints(2, 2, -1)}, opset=7),
    "flatten": model_of(IMAGE, "Flatten", axis=0),
    "flatten-3": model_of(IMAGE, "Flatten", axis=3),
    "squeeze": model_of((1, 4, 1, 3, 1), "Squeeze"),
    "squeeze-order": model_of((1, 4, 1, 3, 1), "Squeeze", opset=11, axes=[4, 2]),
    "squeeze-negative": model_of((1, 4, 1, 3, 1), "Squeeze", opset=11, axes=[-3, -1]),
    "squeeze-axes": model_of((1, 4, 1, 3, 1), "Squeeze", {"a": ints(-1, 2)}),
    "unsqueeze-order": model_of((1, 2, 3), "Unsqueeze", opset=11, axes=[3, 0]),
    "unsqueeze-axes": model_of((1, 2, 3), "Unsqueeze", {"a": ints(-1, 1, 0)}),
    "transpose": model_of(IMAGE, "Transpose", perm=[0, 3, 1, 2]),
    "transpose-all": model_of(IMAGE, "Transpose", perm=[2, 0, 3, 1]),
}
PICKED: dict[str, onnx.ModelProto] = {
    "split": model_of(IMAGE, "Split", axis=1),
    "split-11": model_of(IMAGE, "Split", opset=11, axis=-1, split=[6]),
    "slice": model_of(IMAGE, "Slice", {"a": ints(0, 1), "b": ints(5, 3)}),
    "slice-axes": model_of(IMAGE, "Slice", {"a": ints(-2), "b": ints(1 << 62), "i": ints(-1)}),
    "slice-back": model_of(
        IMAGE,
        "Slice",
        {"a": ints(-1, 4), "b": ints(-(1 << 62), 0), "i": ints(1, 2), "s": ints(-1, -3)},
    ),
    "slice-9": model_of(IMAGE, "Slice", opset=9, starts=[1, 2], ends=[-1, 9], axes=[3, 1]),
    "gather": model_of(IMAGE, "Gather", {"i": ints(-1, 0, 2, 2)}, axis=-1),
    "gather-matrix": model_of(IMAGE, "Gather", {"i": ints(3, 0, 2, 2).reshape(2, 2)}, axis=1),
    "expand": model_of((1, 4, 1, 3), "Expand", {"s": ints(2, 1, 5, 1)}),
    "tile": model_of((1, 2, 3), "Tile", {"r": ints(2, 1, 3)}),
    "pad": model_of(IMAGE, "Pad", {"p": ints(0, 1, -1, 2, 0, 0, 3, -2)}),
    "pad-axes": model_of(
        IMAGE,
        "Pad",
        {"p": ints(2, 1, 0, 1), "v": np.float32(1.5).reshape(()), "a": ints(-1, 1)},
        opset=18,
    ),
    "pad-reflect": model_of(IMAGE, "Pad", {"p": ints(0, 0, 2, 1, 0, 0, 1, 0)}, mode="reflect"),
    "pad-edge": model_of(IMAGE, "Pad", {"p": ints(0, 0, 2, 1, 0, 0, 1, 0)}, mode="edge"),
    "pad-wrap": model_of(IMAGE, "Pad", {"p": ints(0, 0, 2, 1, 0, 0, 1, 0)}, mode="wrap", opset=19),
    "depth-to-space": model_of(IMAGE, "DepthToSpace", blocksize=2),
    "depth-to-space-crd": model_of(IMAGE, "DepthToSpace", blocksize=2, mode="CRD"),
    "space-to-depth": model_of(IMAGE, "SpaceToDepth", blocksize=3),
}
MODELS = {**ORDERED, **PICKED}


def right(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=providers)
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("name", list(MODELS))
def test_positions_are_those_of_the_operator(name: str) -> None:
    model = MODELS[name]
    network = so.load_network(model)
    x = normal(*(d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim))
    found = network.run(x.reshape(network.input_shape))
    np.testing.assert_array_equal(found.ravel(), right(model, x).ravel())
    if name in ORDERED:  # a large network gets no index arrays where a shape says it all
        assert {type(node.op) for node in network.nodes} <= {Input, Permute, Reshape}


def test_every_operator_that_moves_entries_is_tried() -> None:
    others = {shapes.identity, shapes.cast, shapes.cast_like, shapes.concat, shapes.resize}
    tried = {model.graph.node[0].op_type for model in MODELS.values()}
    assert {name for name, rule in shapes.SHAPES.items() if rule not in others} == tried


def refusals() -> list[tuple[str, Any, str]]:
    return [
        ("split", model_of((1, 4), "Split", {"s": ints(3)}, axis=1), "split .*does not fit"),
        ("split-sign", model_of((1, 4), "Split", {"s": ints(-4)}, axis=1), "does not fit"),
        ("split-outputs", model_of((1, 4), "Split", opset=18, num_outputs=2), "num_outputs"),
        ("slice-twice", model_of((1, 4), "Slice", {"a": ints(0, 1), "b": ints(3, 3),
                                                   "i": ints(1, -1)}), "name one axis twice"),
        ("slice-count", model_of((1, 4), "Slice", {"a": ints(0, 1), "b": ints(3)}), "do not fit"),
        ("slice-axis", model_of((1, 4), "Slice", {"a": ints(0), "b": ints(3), "i": ints(2)}),
         "axis 2 does not exist"),
        ("gather", model_of((1, 4), "Gather", {"i": ints(4)}, axis=1), "out of bounds"),
        ("gather-axis", model_of((1, 4), "Gather", {"i": ints(0)}, axis=2), "does not exist"),
        ("gather-floats", model_of((1, 4), "Gather", {"i": normal(1)}, axis=1), "entries of type"),
        ("gather-varying", model_of((1, 4), "Gather", {}, ["x", "x"]), "indices must be constant"),
        ("tile", model_of((1, 4), "Tile", {"r": ints(2)}), "do not fit"),
        ("depth", model_of((1, 3, 2, 2), "DepthToSpace", blocksize=2), "reshape"),
        ("reshape", model_of((1, 4), "Reshape", {"s": ints(3)}), "reshape"),
        ("squeeze", model_of((1, 4), "Squeeze", {"a": ints(1)}), "squeeze"),
        ("unsqueeze", model_of((1, 4), "Unsqueeze", {"a": ints(5)}), "axis 5"),
        ("pad-count", model_of((1, 4), "Pad", {"p": ints(1, 1)}), "do not fit"),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "model", "words"), refusals(), ids=[r[0] for r in refusals()])
def test_arguments_that_do_not_fit_are_refused(name: str, model: Any, words: str) -> None:
    with pytest.raises(so.ProblemError, match=rf"node 'the_node' .*{words}"):
        so.load_network(model)
