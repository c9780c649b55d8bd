"""Every operator of the standard, called rightly and wrongly: an answer, or one sentence."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx_models import ints, model_of, model_with
from sparseopt_onnx.reader import OnnxReader

import sparseopt as so

RNG = np.random.default_rng(0)
CONSTANTS: dict[str, np.ndarray] = {
    "row": RNG.standard_normal((1, 4)).astype(np.float32),
    "square": RNG.standard_normal((4, 4)).astype(np.float32),
    "kernel": RNG.standard_normal((2, 2, 2, 2)).astype(np.float32),
    "half": np.array(0.5, np.float32),
    "two": np.array([1, 2], np.float32),
    "none": np.zeros(0, np.float32),
    "one": ints(1),
    "three": np.array(3, np.int64),
    "sizes": ints(1, 1, 2, 2),
    "truth": np.array([True]),
    "byte": np.array([3], np.uint8),
    "word": np.array(["a"], dtype=object),
}
ODD: dict[int, list[Any]] = {
    AttributeProto.FLOAT: [0.5, -1.0, float("nan"), 1e30],
    AttributeProto.INT: [0, 1, -1, 2, 10**9, -(10**9)],
    AttributeProto.STRING: ["", "NOTSET", "reflect", "\u00e9"],
    AttributeProto.FLOATS: [[1.0], [1.0, 2.0, -1.0]],
    AttributeProto.INTS: [[0], [-1], [2, 2], [1, 1, 1, 1], [10**9], [0] * 8],
    AttributeProto.STRINGS: [["a"], ["relu", "tanh"]],
    AttributeProto.TENSOR: [numpy_helper.from_array(np.array([1], np.float32))],
    AttributeProto.GRAPH: [
        helper.make_graph(
            [helper.make_node("Identity", ["x"], ["b"])],
            "branch",
            [],
            [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
        )
    ],
}
BEFORE = {
    "nothing": None,
    "head": helper.make_node("Softmax", ["input"], ["x"]),
    "condition": helper.make_node("Greater", ["input", "half"], ["x"]),
    "shape": helper.make_node("Shape", ["input"], ["x"]),
    "constant": helper.make_node("Identity", ["square"], ["x"]),
}
CALLS = 24
"""Of each operator, drawn from all of them."""
SCHEMAS = sorted({(s.domain, s.name) for s in onnx.defs.get_all_schemas()})


def attribute_sets(schema: Any) -> list[dict[str, Any]]:
    """Return no attributes, those required, and with these each other one at odd values."""
    kinds = {name: ODD.get(int(a.type.value), []) for name, a in schema.attributes.items()}
    needed = {n: kinds[n][-1] for n, a in schema.attributes.items() if a.required and kinds[n]}
    sets = [{}, needed, needed, needed]
    return sets + [{**needed, name: value} for name, values in kinds.items() for value in values]


def calls(domain: str, name: str) -> Iterator[onnx.ModelProto]:
    """Yield models of one node, the input at any of its places."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    opsets = [onnx.defs.onnx_opset_version(), 13, 9] if not domain else [21]
    for i in range(CALLS):
        opset = opsets[i % len(opsets)]
        try:
            schema = onnx.defs.get_schema(name, opset, domain)
        except onnx.defs.SchemaError:
            schema = onnx.defs.get_schema(name, domain=domain)
        most = min(schema.max_input, 5)
        count = int(rng.integers(min(max(schema.min_input, 1), most), most + 1))
        names = [str(rng.choice([*CONSTANTS, "x"])) for _ in range(count)]
        if count:
            names[int(rng.integers(count))] = "x"
        for place in range(schema.min_input, count):
            names[place] = names[place] if rng.random() < 0.7 else ""
        sets = attribute_sets(schema)
        given = sets[int(rng.integers(len(sets)))]
        before = BEFORE[str(rng.choice(list(BEFORE)))]
        outputs = [f"y{k}" for k in range(max(schema.min_output, 1))]
        node = helper.make_node(name, names, outputs, name="the_node", domain=domain, **given)
        yield model_around(node, before, opset, domain, (1, 4) if i % 2 else (1, 2, 4, 4))


def model_around(
    node: onnx.NodeProto, before: onnx.NodeProto | None, opset: int, domain: str, shape: Any
) -> onnx.ModelProto:
    """Return a model of the node whose output depends on the input in any case."""
    first = before or helper.make_node("Identity", ["input"], ["x"])
    last = helper.make_node("Mul", ["input", "y0"], ["end"], name="last")
    nodes = [first, node, last]
    used = {name for n in nodes for name in n.input}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("end", "y0")],
        [numpy_helper.from_array(a, name) for name, a in CONSTANTS.items() if name in used],
    )
    sets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=sets, ir_version=10)


@pytest.mark.parametrize("first", range(0, len(SCHEMAS), 20))
def test_an_answer_or_one_sentence(first: int) -> None:
    reader = OnnxReader(check=False)
    for domain, name in SCHEMAS[first : first + 20]:
        for model in calls(domain, name):
            for outputs in (["end"], ["y0"]):
                try:
                    reader.read(model, outputs=outputs)
                except so.ProblemError as error:
                    said = str(error)
                    assert "\n" not in said, (name, said)
                    assert not re.search(r"\b[A-Z]\w*(Error|Exception)\b|<class", said), said
                    assert "please report" not in said, said


INDICES = np.array([1, 0, -1])


@pytest.mark.parametrize("depth", [np.array(3), ints(3), np.array([3.0], np.float32)])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot_of_constants(depth: np.ndarray, axis: int) -> None:
    """Depths of shape (1,) too, as exporters write them; negative indices count from the end."""
    nodes = [
        helper.make_node("OneHot", ["i", "d", "v"], ["h"], axis=axis),
        helper.make_node("MatMul", ["x", "h"], ["y"]),
    ]
    held = {"i": INDICES, "d": depth, "v": np.array([5, -2], np.float32)}
    network = so.load_network(model_with(nodes, (1, 3), held))
    matrix = np.where(np.eye(3)[INDICES] != 0, -2.0, 5.0)
    matrix = matrix.T if axis == 0 else matrix
    np.testing.assert_array_equal(network.run(np.eye(3, dtype=np.float32)), matrix)


def test_one_hot_is_refused_in_one_sentence() -> None:
    values = np.array([0, 1], np.float32)
    with pytest.raises(so.ProblemError, match="one-hot vectors jump as the input varies"):
        so.load_network(model_of((1, 3), "OneHot", {"d": ints(3), "v": values}))
    for depth, held, why in (
        (ints(3, 4), values, "one depth and two values"),
        (ints(3), values[:1], "one depth and two values"),
        (ints(0), values, "its depth is 0"),
    ):
        nodes = [
            helper.make_node("OneHot", ["i", "d", "v"], ["h"]),
            helper.make_node("MatMul", ["x", "h"], ["y"]),
        ]
        model = model_with(nodes, (1, 3), {"i": INDICES, "d": depth, "v": held})
        with pytest.raises(so.ProblemError, match=why) as caught:
            so.load_network(model)
        assert "reads the input" not in str(caught.value)


def resized(old: int, given: Any, **attributes: Any) -> onnx.ModelProto:
    """Return a model that resizes the last axis, by a scale or to a size."""
    if isinstance(given, float):
        held, order = {"s": np.array([1, 1, given], np.float32)}, ["x", "", "s"]
    else:
        held, order = {"z": ints(1, 1, given)}, ["x", "", "", "z"]
    return model_of((1, 1, old), "Resize", held, order, opset=19, **attributes)


@pytest.mark.parametrize("old", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("new", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("rounding", ["round_prefer_floor", "round_prefer_ceil"])
def test_nearest_half_pixel_is_read_as_the_standard_says(old: int, new: int, rounding: str) -> None:
    """In integers: the cell nearest to ((2 i + 1) old - new) / (2 new)."""
    model = resized(old, new, nearest_mode=rounding)
    cells = []
    for i in range(new):
        place, unit = (2 * i + 1) * old - new, 2 * new
        low = (
            (place + unit // 2) // unit
            if rounding.endswith("ceil")
            else -((unit // 2 - place) // unit)
        )
        cells.append(min(max(low, 0), old - 1))
    found = so.load_network(model).run(np.arange(old, dtype=np.float32)[None])
    assert found.ravel().tolist() == cells


@pytest.mark.parametrize(
    ("old", "given", "attributes"),
    [
        (8, 0.6, {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
        (
            7,
            2.4,
            {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "round_prefer_ceil"},
        ),
        (7, 1, {"nearest_mode": "floor"}),
    ],
)
def test_cells_that_rounding_decides_are_refused(
    old: int, given: Any, attributes: dict[str, str]
) -> None:
    with pytest.raises(so.ProblemError, match="rounding decides which is read"):
        so.load_network(resized(old, given, mode="nearest", **attributes))


def test_scales_that_change_no_size_are_refused() -> None:
    with pytest.raises(so.ProblemError, match="leave all sizes as they are"):
        so.load_network(resized(4, 1.2, mode="linear"))
    same = so.load_network(resized(4, 1.0, mode="linear"))
    assert same.run(np.arange(4, dtype=np.float32)[None]).ravel().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("bound", [{"max": 1e30}, {"min": -1e30}])
def test_bounds_that_swallow_every_value_are_refused(bound: dict[str, float]) -> None:
    with pytest.raises(so.ProblemError, match=r"its bound -?1e\+30 is so far away"):
        so.load_network(model_of((1, 4), "Clip", {}, opset=9, **bound))
    operator = "Min" if "max" in bound else "Max"
    far = np.full(4, *bound.values(), dtype=np.float32)
    with pytest.raises(so.ProblemError, match="so far away"):
        so.load_network(model_of((1, 4), operator, {"c": far}))


def test_constants_of_another_type_are_refused_by_name() -> None:
    with pytest.raises(so.ProblemError, match=r"'k' has dtype int64 .* one type"):
        so.load_network(model_of((1, 4), "Sum", {"k": ints(1, 2, 3, 4)}))
