"""ONNX models with conditions, written-out functions, branches and half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import ints, model_of, model_with, normal

import sparseopt as so

ONE = np.array(1.0, np.float32)


def agree(model: onnx.ModelProto, *, tolerance: float = 1e-5) -> so.Network:
    """Return the network, once it and onnxruntime were compared on further inputs."""
    network = so.load_network(model)
    assert not any("not compared" in note for note in network.notes)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (given,) = model.graph.input
    shape = [d.dim_value or 1 for d in given.type.tensor_type.shape.dim]
    kind = helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    for scale in (0.3, 1.0, 5.0):
        x = (scale * normal(*shape)).astype(kind)
        right = session.run(None, {given.name: x})[0].astype(np.float64)
        found = network.run(x.astype(np.float64).reshape(network.input_shape))
        size = max(1.0, np.abs(right).max())
        np.testing.assert_allclose(found.ravel(), right.ravel(), atol=tolerance * size, rtol=0)
    return network


def chosen(compare: str, bound: Any, swapped: bool = False, **more: Any) -> onnx.ModelProto:
    """Return ``Where(x ? bound, a x + b, c x + d)``; numbers left out are 1 and 0."""
    numbers = {"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0, **more}
    constants = {k: np.asarray(v, dtype=np.float32) for k, v in numbers.items()}
    constants["bound"] = np.asarray(bound, dtype=np.float32)
    nodes = [
        helper.make_node(compare, ["bound", "x"] if swapped else ["x", "bound"], ["m"]),
        *(helper.make_node("Mul", ["x", k], [f"{k}x"]) for k in "ac"),
        helper.make_node("Add", ["ax", "b"], ["first"]),
        helper.make_node("Add", ["cx", "d"], ["second"]),
        helper.make_node("Where", ["m", "first", "second"], ["y"], name="choice"),
    ]
    return model_with(nodes, (1, 4), constants, 16)


@pytest.mark.parametrize(
    ("model", "slopes"),
    [
        (chosen("Greater", 0, c=0.25), (1, 0.25)),
        (chosen("GreaterOrEqual", 0, c=-2), (1, -2)),
        (chosen("Less", 0, a=0.5), (0.5, 1)),
        (chosen("LessOrEqual", 0, a=0, c=1), (0, 1)),
        (chosen("Less", 0, swapped=True, c=0), (1, 0)),
        (chosen("Greater", 0.5, a=2, b=-1, c=0), (2, 0)),
        (chosen("Greater", 0.5, a=2, b=-1, c=-4, d=2), (2, -4)),
        (chosen("Less", [[0, 0.5, -1, 2]], a=0, b=[[0, 0.5, -1, 2]]), (0, 1)),
    ],
)
def test_conditions_are_read_with_no_paths_too_many(
    model: onnx.ModelProto, slopes: tuple[float, float]
) -> None:
    network = agree(model)
    lipschitz = so.solve(so.LipschitzBound(network)).answer
    both = all(slopes)
    tight = both and abs(slopes[0]) + abs(slopes[1]) != max(slopes) and min(slopes) < 0
    due = abs(slopes[0]) + abs(slopes[1]) if tight else max(map(abs, slopes))
    assert lipschitz.value == pytest.approx(4 * due, rel=1e-6)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (chosen("Greater", 1, c=0), "it jumps"),
        (chosen("Greater", 1e-3, c=0), "it jumps"),
        (chosen("Greater", np.inf, c=0), "NaN or infinity"),
        (chosen("Equal", 0), "condition|not among those"),
        (model_of((1, 3), "Shrink", {}, lambd=0.5, bias=0.25), "jumps at its threshold 0.5"),
        (model_of((1, 3), "Greater", {"c": ONE}), "a condition jumps"),
    ],
)
def test_what_jumps_is_refused(model: onnx.ModelProto, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(model)


def test_indices_are_refused_by_name() -> None:
    node = helper.make_node("TopK", ["x", "k"], ["v", "i"], name="best")
    end = helper.make_node("Cast", ["i"], ["y"], to=TensorProto.FLOAT, name="end")
    model = model_with([node, end], (1, 4), {"k": ints(2)})
    with pytest.raises(so.ProblemError, match=r"'end'.*'i', and indices are no continuous"):
        so.load_network(model)
    with pytest.raises(so.ProblemError, match="'i' is refused: indices"):
        so.load_network(model_with([node], (1, 4), {"k": ints(2)}, outputs=("i",)))


@pytest.mark.parametrize(
    ("op", "attributes", "constants"),
    [
        ("Relu", {}, {}),
        ("LeakyRelu", {"alpha": 0.1}, {}),
        ("PRelu", {}, {"s": np.array([[0.5, -1.0, 2.0, 0.0]], np.float32)}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, {}),
        ("Shrink", {"lambd": 0.75, "bias": 0.75}, {}),
        ("Clip", {}, {"lo": np.array(-0.5, np.float32), "hi": np.array(2.0, np.float32)}),
        ("ReduceSum", {"keepdims": 0}, {"axes": ints(1)}),
    ],
)
def test_functions_written_out_are_read(
    op: str, attributes: dict[str, Any], constants: dict[str, np.ndarray]
) -> None:
    model = model_of((1, 4), op, constants, opset=18, **attributes)
    schema = onnx.defs.get_schema(op, 18)
    if schema.has_function:
        body = onnx.FunctionProto()
        body.CopyFrom(schema.function_body)
    elif schema.has_context_dependent_function:
        kinds = [helper.make_tensor_type_proto(TensorProto.FLOAT, None)] * (1 + len(constants))
        node = model.graph.node[0].SerializeToString()
        text = schema.get_context_dependent_function(node, [k.SerializeToString() for k in kinds])
        body = onnx.FunctionProto.FromString(text)
    else:
        pytest.skip(f"{op} is no function in this version of onnx")
    if constants:  # the inliner converts no functions where it knows no types
        del body.opset_import[:]
        body.opset_import.append(helper.make_opsetid("", 18))
    body.name, body.domain = f"{op}Written", "here"
    node = model.graph.node[0]
    node.op_type, node.domain = body.name, "here"
    kept = [a for a in node.attribute if a.name in body.attribute or a.name in _given(body)]
    del node.attribute[:]
    node.attribute.extend(kept)
    model.functions.append(body)
    model.opset_import.append(helper.make_opsetid("here", 1))
    agree(model)


def _given(body: onnx.FunctionProto) -> list[str]:
    return [a.name for a in body.attribute_proto]


def branch(name: str, op: str, bias: np.ndarray) -> onnx.GraphProto:
    """Return a branch that reads x and w from outside, under names that the other uses too."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["inner"]),
        helper.make_node("Add", ["inner", "bias"], ["moved"]),
        helper.make_node(op, ["moved"], ["result"]),
    ]
    end = [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)]
    return helper.make_graph(nodes, name, [], end, [numpy_helper.from_array(bias, "bias")])


@pytest.mark.parametrize("taken", [True, False])
def test_constant_conditions_take_their_branch(taken: bool) -> None:
    parts = {"then_branch": branch("t", "Relu", normal(3)), "else_branch": branch("e", "Neg", ONE)}
    nodes = [
        helper.make_node("If", ["c"], ["a"], name="first", **parts),
        helper.make_node("Not", ["c"], ["d"]),
        helper.make_node("If", ["d"], ["b"], name="second", **parts),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    constants = {"c": np.array(taken), "w": normal(4, 3)}
    network = agree(model_with(nodes, (1, 4), constants, 16))
    assert any(node.name.startswith("first/") for node in network.nodes)


def test_conditions_on_shapes_are_constant() -> None:
    squeezed = helper.make_graph(
        [helper.make_node("Squeeze", ["r", "axis"], ["o"])],
        "squeezed",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
    )
    same = helper.make_graph(
        [helper.make_node("Erf", ["r"], ["o"])],
        "same",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
    )
    inner = helper.make_node("If", ["is"], ["v"], then_branch=squeezed, else_branch=same)
    nested = helper.make_graph(
        [inner, helper.make_node("Neg", ["v"], ["o"])],
        "nested",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Shape", ["r"], ["shape"]),
        helper.make_node("Gather", ["shape", "axis"], ["size"]),
        helper.make_node("Equal", ["size", "one"], ["is"]),
        helper.make_node("If", ["is"], ["y"], then_branch=nested, else_branch=same),
    ]
    constants = {"axis": ints(2), "one": ints(1)}
    agree(model_with(nodes, (1, 4, 1), constants, 16))
    with pytest.raises(so.ProblemError, match="erf"):
        so.load_network(model_with(nodes, (1, 4, 2), constants, 16))


def test_conditions_on_the_input_are_refused() -> None:
    parts = {"then_branch": branch("t", "Relu", ONE), "else_branch": branch("e", "Neg", ONE)}
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], name="choice", **parts),
    ]
    model = model_with(nodes, (1, 4), {"zero": np.float32(0), "w": normal(4, 3)}, 16)
    with pytest.raises(so.ProblemError, match=r"'choice' \(If\).*depends on the input"):
        so.load_network(model)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_is_read_as_real_numbers(kind: int) -> None:
    weight, bias = normal(4, 3), normal(3)
    short = {
        name: helper.make_tensor(name, kind, array.shape, array.ravel())
        for name, array in (("w", weight), ("b", bias))
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=kind),
        helper.make_node("Gemm", ["h", "w", "b"], ["g"], name="layer"),
        helper.make_node("Relu", ["g"], ["r"]),
        helper.make_node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_with(nodes, (1, 4), {}, 16)
    model.graph.initializer.extend(short.values())
    network = so.load_network(model)
    assert any("its rounding is not" in note for note in network.notes)
    assert not any("not compared" in note for note in network.notes)
    right = numpy_helper.to_array(short["w"]).astype(np.float64)
    assert np.array_equal(network.parameters()["layer.weight"], right.T)
    assert not np.array_equal(right, weight)
    shift = numpy_helper.to_array(short["b"]).astype(np.float64)
    x = np.array([0.5, -1.0, 2.0, 0.25])
    assert network.run(x) == pytest.approx(np.maximum(x @ right + shift, 0), abs=1e-6)
    norm = so.solve(so.PathNorm(network)).answer
    assert norm.value == pytest.approx(np.abs(right).sum() + np.abs(shift).sum(), rel=1e-9)


def test_half_precision_from_end_to_end() -> None:
    half = {"w": normal(4, 3).astype(np.float16), "two": np.float16(2.0)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Mul", ["h", "two"], ["y"]),
    ]
    network = agree(model_with(nodes, (1, 4), half, 16, dtype=TensorProto.FLOAT16), tolerance=5e-3)
    assert network.parameters()


def test_rounding_to_float32_within_float64_is_no_misreading() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["f"], ["y"], to=TensorProto.DOUBLE),
    ]
    agree(model_with(nodes, (1, 4), {}, dtype=TensorProto.DOUBLE), tolerance=1e-6)


def test_a_cast_to_fewer_digits_than_any_weight_has_is_refused() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["h"], ["y"], to=TensorProto.FLOAT),
    ]
    with pytest.raises(so.ProblemError, match="anything but float32"):
        so.load_network(model_with(nodes, (1, 4), {}))


def clipped_in_double() -> onnx.ModelProto:
    """Return ``float(min(double(x) 1e30, 1e39) 1e-30)``."""
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["d", "a"], ["e"]),
        helper.make_node("Clip", ["e", "", "high"], ["c"]),
        helper.make_node("Mul", ["c", "b"], ["z"]),
        helper.make_node("Cast", ["z"], ["y"], to=TensorProto.FLOAT),
    ]
    constants = {"a": np.array(1e30), "b": np.array(1e-30), "high": np.array(1e39)}
    return model_with(nodes, (1, 3), constants, 17)


def cast_like_double(like: bool) -> onnx.ModelProto:
    """Return ``float(min(double(x), 2^24 + 1))``, in which CastLike may tell both types."""
    first = helper.make_node("CastLike", ["x", "one"], ["d"])
    nodes = [
        first if like else helper.make_node("Cast", ["x"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("CastLike", ["k", "d"], ["high"]),
        helper.make_node("Min", ["d", "high"], ["c"]),
        helper.make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT),
    ]
    constants = {"k": np.array(2**24 + 1, np.int64), "one": np.array(1.0)}
    return model_with(nodes, (1, 3), constants, 17)


def bent_twice() -> onnx.ModelProto:
    """Return a value that bends at -1, 0 (as its condition says) and 1000."""
    numbers = {"far": 1000.0, "two": 2.0, "low": -1.0, "three": 3.0, "zero": 0.0}
    nodes = [
        helper.make_node("Greater", ["x", "far"], ["above"]),
        helper.make_node("Mul", ["x", "two"], ["2x"]),
        helper.make_node("Sub", ["2x", "far"], ["u"]),
        helper.make_node("Where", ["above", "u", "x"], ["upper"]),
        helper.make_node("Less", ["x", "low"], ["below"]),
        helper.make_node("Mul", ["x", "three"], ["3x"]),
        helper.make_node("Add", ["3x", "two"], ["l"]),
        helper.make_node("Where", ["below", "l", "x"], ["lower"]),
        helper.make_node("Greater", ["x", "zero"], ["positive"]),
        helper.make_node("Where", ["positive", "upper", "lower"], ["y"]),
    ]
    return model_with(nodes, (1, 3), {k: np.float32(v) * ONE for k, v in numbers.items()}, 17)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (clipped_in_double(), "its bound 1e\\+39 is so far away"),
        (cast_like_double(like=False), "numbers that float32 does not hold"),
        (cast_like_double(like=True), "numbers that float32 does not hold"),
        (bent_twice(), "both of its parts bend beyond"),
    ],
)
def test_what_only_far_inputs_tell_apart_is_refused(model: onnx.ModelProto, words: str) -> None:
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(model)


def test_a_finite_padding_in_double_is_not_minus_infinity() -> None:
    nodes = [
        helper.make_node("Pad", ["x", "pads", "fill"], ["p"]),
        helper.make_node("MaxPool", ["p"], ["y"], kernel_shape=[3]),
    ]
    constants = {"pads": np.array([0, 0, 1, 0, 0, 1]), "fill": np.array(-1e39)}
    double = TensorProto.DOUBLE
    network = so.load_network(model_with(nodes, (1, 1, 3), constants, 17, dtype=double))
    found = network.run(np.full((1, 3), -1e40))
    np.testing.assert_array_equal(found.ravel(), [-1e39, -1e40, -1e39])


def leaky_function(domain: str, name: str) -> onnx.ModelProto:
    """Return a call of a function whose slope is 0.75 where the call gives none."""
    inner = helper.make_node("LeakyRelu", ["a"], ["b"])
    inner.attribute.add(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="alpha")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    default = [helper.make_attribute("alpha", 0.75)]
    function = helper.make_function(
        domain, name, ["a"], ["b"], [inner], opsets[:1], attribute_protos=default
    )
    model = model_with([helper.make_node(name, ["x"], ["y"], domain=domain)], (1, 3), {}, 17)
    model.functions.append(function)
    model.opset_import.extend(opsets[1:])
    return model


def test_defaults_of_functions_are_kept() -> None:
    network = so.load_network(leaky_function("my", "Leak"))
    np.testing.assert_array_equal(network.run(np.array([-1.0, 2.0, -4.0])), [-0.75, 2.0, -3.0])


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_functions_with_the_name_of_an_operator_are_refused(domain: str) -> None:
    with pytest.raises(so.ProblemError, match="an operator of ONNX, anew"):
        so.load_network(leaky_function(domain, "Relu"))


def test_old_clips_in_double_have_the_bounds_of_the_standard() -> None:
    """They end at the largest number of single precision, which is too far away in sums."""
    node = helper.make_node("Clip", ["x"], ["y"])
    for dtype, refused in ((TensorProto.FLOAT, False), (TensorProto.DOUBLE, True)):
        model = model_with([node], (1, 2), {}, 7, dtype=dtype)
        if refused:
            with pytest.raises(so.ProblemError, match="so far away"):
                so.load_network(model)
        else:
            assert so.load_network(model).run([-1.0, 2.0]).tolist() == [-1.0, 2.0]


@pytest.mark.parametrize("bounds", [{}, {"min": 0.0}, {"min": 0.0, "max": 3.4028234663852886e38}])
@pytest.mark.parametrize("first", [False, True])
def test_old_clips_in_single_precision_have_no_bounds_beside_doubles(
    bounds: dict[str, float], first: bool
) -> None:
    """What another value is cast to does not tell how far a float32 value reaches."""
    to = {"single": TensorProto.FLOAT, "double": TensorProto.DOUBLE}
    nodes = [
        helper.make_node("Cast", ["x"], ["d"], to=to["double"]),
        helper.make_node("Mul", ["d", "two"], ["e"]),
        helper.make_node("Cast", ["e"], ["f"], to=to["single"]),
        helper.make_node("Clip", ["f"], ["y"], **bounds),
    ]
    if first:
        nodes = [
            helper.make_node("Clip", ["x"], ["c"], **bounds),
            helper.make_node("Cast", ["c"], ["d"], to=to["double"]),
            helper.make_node("Mul", ["d", "two"], ["e"]),
            helper.make_node("Cast", ["e"], ["y"], to=to["single"]),
        ]
    network = so.load_network(model_with(nodes, (1, 2), {"two": np.array(2.0)}, 10))
    assert network.run([-1.0, 2.0]).tolist() == [0.0 if bounds else -2.0, 4.0]


@pytest.mark.parametrize("given", [0.25, None])
@pytest.mark.parametrize("required", [True, False])
def test_attributes_that_every_call_gives_are_handed_on(
    given: float | None, required: bool
) -> None:
    """A call that leaves the attribute out leaves the default of the inner function."""
    model = leaky_function("my", "Leak")
    call = helper.make_node("Leak", ["a"], ["b"], domain="my")
    call.attribute.add(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="slope")
    model.functions.append(
        helper.make_function(
            *("my", "Outer", ["a"], ["b"], [call], model.opset_import),
            attributes=["slope"] if required else [],
            attribute_protos=[] if required else [helper.make_attribute("slope", 0.5)],
        )
    )
    model.graph.node[0].op_type = "Outer"
    model.graph.node[0].attribute.extend(
        [] if given is None else [helper.make_attribute("slope", given)]
    )
    if required and given is None:
        with pytest.raises(so.ProblemError, match="is handed on by a function whose own has none"):
            so.load_network(model)
        return
    slope = 0.5 if given is None else given
    assert so.load_network(model).run([-4.0, 1.0, 2.0]).tolist() == [-4.0 * slope, 1.0, 2.0]
