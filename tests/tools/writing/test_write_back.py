"""`so.write(network, path, like=model)`: the user's own file, with other initializers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparseopt as so
from sparseopt.networks.network import Network

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(5)


def model(path: Path, nodes: list[Any], tensors: dict[str, np.ndarray], *shape: int) -> str:
    """Write a model from x of shape (1, *shape) to y, with metadata of its own."""
    held = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in tensors.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, *shape))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "mine", [x], [y], held, doc_string="my graph")
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made.metadata_props.add(key="author", value="me")
    onnx.save(made, str(path))
    return str(path)


def normalized(path: Path) -> str:
    """Convolution, normalization, ReLU, flattening, a MatMul from the right, a sum."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "gain", "beta", "mean", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "W"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["g"]),
        helper.make_node("Gemm", ["g", "V"], ["y"], name="last"),
    ]
    tensors = {
        "kernel": RNG.standard_normal((4, 2, 3, 3)),
        "gain": RNG.standard_normal(4),
        "beta": RNG.standard_normal(4),
        "mean": RNG.standard_normal(4),
        "var": RNG.uniform(0.5, 2, 4),
        "W": RNG.standard_normal((36, 5)),
        "b": RNG.standard_normal(5),
        "V": RNG.standard_normal((5, 1)),
    }
    return model(path, nodes, tensors, 2, 3, 3)


def answers(path: str, x: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(path).run(None, {"x": x})[0])


def tensors_of(path: str) -> dict[str, np.ndarray]:
    return {i.name: numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}


CHANGES = {
    "canonicalize": so.canonicalize,
    "rescale": lambda n: so.rescale(n, so.random_factors(n, seed=2)),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_a_rescaled_model_computes_the_same_in_onnxruntime(tmp_path: Path, change: str) -> None:
    source = normalized(tmp_path / "model.onnx")
    network = CHANGES[change](so.load_network(source))
    out = str(tmp_path / "out.onnx")
    so.write(network, out, like=source)
    x = RNG.standard_normal((1, 2, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(answers(out, x), answers(source, x), rtol=1e-4, atol=1e-4)
    before, after = onnx.load(source), onnx.load(out)
    assert before.graph.node == after.graph.node
    assert before.metadata_props == after.metadata_props
    assert after.graph.doc_string == "my graph"
    old, new = tensors_of(source), tensors_of(out)
    assert list(old) == list(new)
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert {"kernel", "mean", "beta", "W", "b", "V"} == changed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "out.onnx"]


def test_only_what_changed_is_touched_and_under_its_own_name(tmp_path: Path) -> None:
    source = normalized(tmp_path / "model.onnx")
    network = so.load_network(source)
    pruned = so.prune(network, 0.5)
    out = str(tmp_path / "out.onnx")
    so.write(pruned.network, out, like=source)
    old, new = tensors_of(source), tensors_of(out)
    for parameter, mask in pruned.masks.items():
        tensor = network.origins[parameter]
        own = pruned.tensor_masks[tensor]
        assert own.shape == old[tensor].shape
        assert int(own.sum()) == int(mask.sum())
        np.testing.assert_array_equal(new[tensor], np.where(own, old[tensor], 0))
    assert set(pruned.tensor_masks) == {"kernel", "W", "V"}
    for name in ("gain", "beta", "mean", "var", "b"):
        np.testing.assert_array_equal(old[name], new[name])


def test_a_model_in_memory_is_as_good_as_its_file(tmp_path: Path) -> None:
    source = onnx.load(normalized(tmp_path / "model.onnx"))
    network = so.canonicalize(so.load_network(source))
    so.write(network, tmp_path / "out.onnx", like=source)
    found = so.load_network(tmp_path / "out.onnx")
    x = RNG.standard_normal((2, 2, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(found.run(x), network.run(x), rtol=1e-4, atol=1e-4)


def test_a_bias_that_was_zero_and_one_that_becomes_zero(tmp_path: Path) -> None:
    source = normalized(tmp_path / "model.onnx")
    network = so.load_network(source)
    norm = next(n for n in network.nodes if n.shifts)
    assert norm.shifts == ("mean", "beta")
    bias = network.parameters()[f"{norm.name}.bias"]
    other = np.array([0.0, 5.0, -1.0, 1e-3]).reshape(bias.shape)
    changed = network.with_parameters({f"{norm.name}.bias": other})
    so.write(changed, tmp_path / "out.onnx", like=source)
    found = so.load_network(tmp_path / "out.onnx").parameters()[f"{norm.name}.bias"]
    np.testing.assert_allclose(found, other, atol=1e-5)
    again = so.load_network(tmp_path / "out.onnx")
    so.write(network, tmp_path / "back.onnx", like=str(tmp_path / "out.onnx"))
    back = so.load_network(tmp_path / "back.onnx").parameters()[f"{norm.name}.bias"]
    np.testing.assert_allclose(back, bias, atol=1e-5)
    assert again.nodes[0].name == "x"


def refused(network: Network, source: str, tmp_path: Path, match: str) -> None:
    out = tmp_path / "out.onnx"
    with pytest.raises(so.ProblemError, match=match):
        so.write(network, out, like=source)
    assert not out.exists()


def test_what_the_file_cannot_hold_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    source = normalized(tmp_path / "model.onnx")
    network = so.load_network(source)
    refused(network.merged, source, tmp_path, "was merged into the one before it.*leave out like=")
    norm = next(n for n in network.nodes if n.shifts)
    factor = network.parameters()[f"{norm.name}.factor"]
    other = network.with_parameters({f"{norm.name}.factor": 2 * factor})
    refused(other, source, tmp_path, r"factor is no tensor of .*model.onnx.*leave out like=")
    wide = network.with_parameters({"first.weight": np.full((4, 2, 3, 3), 0.1)})
    refused(wide, source, tmp_path, "dtype float32, which does not hold")
    from sparseopt.networks import Dense, chain

    refused(chain((1,), Dense(np.eye(1))), source, tmp_path, "was merged into the one before it")
    with pytest.raises(so.ProblemError, match=r"must end in \.onnx, as the model"):
        so.write(network, tmp_path / "out.json", like=source)
    with pytest.raises(so.ProblemError, match="does not exist"):
        so.write(network, tmp_path / "out.onnx", like=str(tmp_path / "none.onnx"))
    with pytest.raises(so.ProblemError, match="path must be the path of a file, not None"):
        so.write(network, None)  # type: ignore[arg-type]


def test_a_tensor_in_two_places_keeps_one_value(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], transB=1, name="one"),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Gemm", ["r", "w"], ["y"], transB=1, name="two"),
    ]
    source = model(tmp_path / "tied.onnx", nodes, {"w": RNG.standard_normal((3, 3))}, 3)
    network = so.load_network(source)
    pruned = so.prune(network, 0.5, "magnitude")
    so.write(pruned.network, tmp_path / "pruned.onnx", like=source)
    new = tensors_of(str(tmp_path / "pruned.onnx"))["w"]
    assert int((new == 0).sum()) == 5  # of nine
    apart = network.with_parameters({"one.weight": np.zeros((3, 3), np.float32)})
    refused(apart, source, tmp_path, "share the tensor 'w'|something else there")
    both = network.with_parameters(
        {"one.weight": np.zeros((3, 3), np.float32), "two.weight": np.ones((3, 3), np.float32)}
    )
    refused(both, source, tmp_path, "share the tensor 'w'")


def test_external_data_are_written_into_the_file(tmp_path: Path) -> None:
    source = normalized(tmp_path / "model.onnx")
    whole = onnx.load(source)
    away = tmp_path / "away"
    away.mkdir()
    onnx.save(whole, str(away / "m.onnx"), save_as_external_data=True, size_threshold=0)
    network = so.canonicalize(so.load_network(away / "m.onnx"))
    so.write(network, tmp_path / "out.onnx", like=away / "m.onnx")
    x = RNG.standard_normal((1, 2, 3, 3)).astype(np.float32)
    found = answers(str(tmp_path / "out.onnx"), x)
    np.testing.assert_allclose(found, answers(source, x), rtol=1e-4, atol=1e-4)


def channels(path: Path) -> str:
    """Two convolutions, a sum around the second, a pool, and a dense layer."""
    nodes = [
        helper.make_node("Conv", ["x", "k1", "b1"], ["c1"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "k2"], ["c2"], name="second", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Conv", ["r2", "k3"], ["c3"], name="third", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["r1", "c3"], ["s"]),
        helper.make_node("MaxPool", ["s"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "W"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["g"]),
        helper.make_node("Gemm", ["g", "V", "v"], ["y"], name="last", transB=1),
    ]
    rng = np.random.default_rng(5)  # whatever tests ran before: how much dies depends on it
    tensors = {
        "k1": rng.standard_normal((6, 2, 3, 3)),
        "b1": rng.standard_normal(6),
        "k2": rng.standard_normal((5, 6, 3, 3)),
        "k3": rng.standard_normal((6, 5, 3, 3)),
        "W": rng.standard_normal((24, 7)),
        "b": rng.standard_normal(7),
        "V": rng.standard_normal((2, 7)),
        "v": rng.standard_normal(2),
    }
    return model(path, nodes, tensors, 2, 4, 4)


def test_a_model_without_its_dead_channels_is_smaller(tmp_path: Path) -> None:
    source = channels(tmp_path / "model.onnx")
    pruned = so.prune(source, 0.4, granularity="channel")
    smaller = so.remove_dead(pruned.network)
    for network, name in ((pruned.network, "pruned"), (smaller, "smaller")):
        so.write(network, tmp_path / f"{name}.onnx", like=source)
    new = tensors_of(str(tmp_path / "smaller.onnx"))
    assert list(new) == list(tensors_of(source))
    size = sum(a.size for a in new.values())
    assert size < 0.6 * sum(a.size for a in tensors_of(source).values())
    assert size == sum(a.size for a in smaller.parameters().values())
    x = RNG.standard_normal((1, 2, 4, 4)).astype(np.float32)
    one, two = (answers(str(tmp_path / f"{n}.onnx"), x) for n in ("pruned", "smaller"))
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_initializers_that_are_listed_as_inputs_get_their_new_shapes(tmp_path: Path) -> None:
    """As in all files before IR 4."""
    weights = {"w": np.array([[1.0, 2, 3], [0, 0, 0], [3, 2, 1]]), "v": np.ones((1, 3))}
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Gemm", ["r", "v"], ["y"], transB=1),
    ]
    source = model(tmp_path / "old.onnx", nodes, weights, 3)
    made = onnx.load(source)
    kind = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    made.graph.input.extend(
        helper.make_tensor_value_info(n, kind[n], a.shape) for n, a in weights.items()
    )
    onnx.save(made, source)
    so.write(so.remove_dead(so.load_network(source)), tmp_path / "new.onnx", like=source)
    x = RNG.standard_normal((1, 3)).astype(np.float32)
    one, two = (answers(str(path), x) for path in (source, tmp_path / "new.onnx"))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)
    assert tensors_of(str(tmp_path / "new.onnx"))["w"].shape == (2, 3)


def test_a_file_with_sizes_of_its_own_does_not_get_smaller(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Reshape", ["r", "size"], ["s"]),
        helper.make_node("Gemm", ["s", "v"], ["y"], transB=1),
    ]
    weights = {"w": np.array([[1.0, 2, 3], [0, 0, 0], [3, 2, 1], [1, 1, 1]]), "v": np.ones((1, 4))}
    source = model(tmp_path / "sizes.onnx", nodes[:1], weights, 3)
    made = onnx.load(source)
    made.graph.initializer.append(numpy_helper.from_array(np.array([1, 4]), "size"))
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    onnx.save(made, source)
    smaller = so.remove_dead(so.load_network(source))
    assert smaller.shapes[smaller.nodes[1].name] == (3,)
    refused(smaller, source, tmp_path, "sizes of its own.*write a new file")


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    source = normalized(tmp_path / "model.onnx")
    with pytest.raises(so.ProblemError, match=r"cannot write .*: there is no folder .*none"):
        so.write(so.load_network(source), tmp_path / "none" / "out.onnx", like=source)


def test_entries_that_a_file_names_by_their_places_are_not_moved(tmp_path: Path) -> None:
    """A unit that is removed moves those behind it; the indices of the file stay."""
    nodes = [
        helper.make_node("Gemm", ["x", "W"], ["z"], transB=1),
        helper.make_node("Relu", ["z"], ["r"]),
        helper.make_node("Gather", ["r", "places"], ["s"], axis=1),
        helper.make_node("Gemm", ["s", "V"], ["y"], transB=1),
    ]
    tensors = {"W": RNG.standard_normal((4, 2)), "V": RNG.standard_normal((1, 2))}
    path = model(tmp_path / "m.onnx", nodes, tensors, 2)
    held = onnx.load(path)
    held.graph.initializer.append(numpy_helper.from_array(np.array([1, -1]), "places"))
    onnx.save(held, path)
    network = so.load_network(path)
    so.write(network, tmp_path / "same.onnx", like=path)
    with pytest.raises(so.ProblemError, match="would read other entries"):
        so.write(so.remove_dead(network), tmp_path / "small.onnx", like=path)
    assert not (tmp_path / "small.onnx").exists()


def test_another_output_is_not_lost(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], transB=1, name="h"),
        helper.make_node("Relu", ["h"], ["r"], name="r"),
        helper.make_node("Gemm", ["r", "v"], ["y"], transB=1, name="last"),
    ]
    path = model(tmp_path / "a.onnx", nodes, {"w": np.eye(3), "v": np.ones((1, 3))}, 3)
    cut = replace(so.load_network(path), output="r", outputs=())
    with pytest.raises(so.ProblemError, match="its inputs or outputs are others"):
        so.write(cut, str(tmp_path / "b.onnx"), like=path)


def test_each_channel_of_a_normalization_keeps_its_bias(tmp_path: Path) -> None:
    names = ["x", "gain", "beta", "mean", "var"]
    node = helper.make_node("BatchNormalization", names, ["y"], name="norm", epsilon=0.0)
    tensors = {
        "gain": np.ones(2),
        "beta": np.array([1000, 1e6]),
        "mean": np.array([0, 1e6]),
        "var": np.ones(2),
    }
    path = model(tmp_path / "a.onnx", [node], tensors, 2, 2)
    network = so.load_network(path)
    bias = np.array(network.parameters()["norm.bias"])
    bias.ravel()[1] = 0.01
    with pytest.raises(so.ProblemError, match=r"norm\.bias is something else there"):
        so.write(network.with_parameters({"norm.bias": bias}), str(tmp_path / "b.onnx"), like=path)


@pytest.mark.parametrize("also", [0.0, 1.0])
def test_normalizations_that_share_their_shift_keep_one(tmp_path: Path, also: float) -> None:
    """The second multiplies by so much that a shift of 1 is little beside its factor."""
    node = helper.make_node
    nodes = [
        node("BatchNormalization", ["x", "one", "beta", "m1", "one"], ["a"], "a", epsilon=0.0),
        node("Relu", ["a"], ["r"], name="r"),
        node("MatMul", ["r", "V"], ["t"], name="t"),
        node("BatchNormalization", ["t", "many", "beta", "m2", "one"], ["y"], "y", epsilon=0.0),
    ]
    tensors = {
        "one": np.ones(2),
        "many": np.full(2, 1e5),
        "beta": np.array([0.5, -0.5]),
        "m1": np.zeros(2),
        "m2": np.zeros(2),
        "V": 1e-5 * np.eye(2),
    }
    path = model(tmp_path / "a.onnx", nodes, tensors, 2, 2)
    network = so.load_network(path)
    bias = network.parameters()["a.bias"]
    changed = network.with_parameters({"a.bias": bias + 1, "y.bias": bias + also})
    if also:
        so.write(changed, tmp_path / "b.onnx", like=path)
        found = so.load_network(tmp_path / "b.onnx")
        x = np.array([[1.0, 2.0], [-1.0, 0.25]])
        np.testing.assert_array_equal(found.run(x), changed.run(x))
    else:
        refused(changed, path, tmp_path, r"y\.bias is something else there")
