"""Networks larger than memory: weights stay in their files, and the answers are the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from peaks import needs_proc, told_by

import sparseopt as so
from sparseopt.judging import limits

SIDE = 4
NORMS = [{}, {"affine": "merged"}, {"q": 2, "r": math.inf}, {"q": 0.5}, {"q": 0}, {"q": math.inf}]
BOUNDS = [(math.inf, 1), (1, math.inf), (2, 2)]


def chain_model(folder: Path, channels: int, count: int, transposed: bool = True) -> Path:
    """Write a convolution and dense layers, all weights float32 in one other file."""
    width = channels * SIDE * SIDE
    rng = np.random.default_rng(0)
    made: list[TensorProto] = []
    with open(folder / "weights.bin", "wb") as file:

        def tensor(name: str, *shape: int) -> str:
            scale = 1.0 / math.sqrt(math.prod(shape[1:]) or 1)
            held = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
            held.data_location = TensorProto.EXTERNAL
            size = 4 * math.prod(shape)
            places = {"location": "weights.bin", "offset": str(file.tell()), "length": str(size)}
            for key, value in places.items():
                held.external_data.add(key=key, value=value)
            (rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)).tofile(file)
            made.append(held)
            return name

        nodes = [helper.make_node("Conv", ["x", tensor("k", channels, channels, 3, 3)], ["c"])]
        nodes[0].attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))
        nodes.append(helper.make_node("Flatten", ["c"], ["v0"]))
        for i in range(count):
            names = [f"v{i}", tensor(f"w{i}", width, width), tensor(f"b{i}", width)]
            nodes.append(helper.make_node("Gemm", names, [f"g{i}"], transB=int(transposed)))
            nodes.append(helper.make_node("Relu", [f"g{i}"], [f"v{i + 1}"]))
        last = [f"v{count}", tensor("w", width, 3)]
        nodes.append(helper.make_node("MatMul", last, ["y"]))
    shape = [1, channels, SIDE, SIDE]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    end = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "chain", [given], [end], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def is_mapped(array: Any) -> bool:
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


@pytest.mark.parametrize("transposed", [True, False])
def test_answers_are_those_in_memory(
    tmp_path: Path, request: pytest.FixtureRequest, transposed: bool
) -> None:
    path = chain_model(tmp_path, 10, 2, transposed)
    held = so.load_network(path)
    in_memory = [so.solve(so.PathNorm(held, **kind)).answer for kind in NORMS]
    bounds = [so.solve(so.LipschitzBound(held, *norms)).answer for norms in BOUNDS]
    request.getfixturevalue("small_memory")
    network = so.load_network(path)
    large = [a for a in network.parameters().values() if a.nbytes >= 1 << 16]
    assert len(large) == 2
    assert all(is_mapped(a) and not a.flags.writeable and a.dtype == np.float32 for a in large)
    assert "stay in their files" in network.notes[0]
    for kind, other in zip(NORMS, in_memory, strict=True):
        solution = so.solve(so.PathNorm(network, **kind))
        assert so.verify(solution).ok
        assert solution.answer.log10 == pytest.approx(other.log10, rel=1e-13)
        assert solution.answer.exact_powers == other.exact_powers
    for norms, bound in zip(BOUNDS, bounds, strict=True):
        solution = so.solve(so.LipschitzBound(network, *norms))
        assert so.verify(solution).ok
        assert solution.answer.log10 == pytest.approx(bound.log10, rel=1e-6)
    x = np.linspace(-1, 1, 160).reshape(10, SIDE, SIDE)
    assert np.allclose(network.run(x), held.run(x), rtol=1e-12)


def test_small_models_are_copied(tmp_path: Path) -> None:
    """A file that changes afterwards does not reach them."""
    network = so.load_network(chain_model(tmp_path, 10, 1))
    assert not any(is_mapped(array) for array in network.parameters().values())
    assert network.notes == ()


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"location": "../weights.bin"}, "not lie in the folder"),
        ({"location": "link.bin"}, "is a link"),
        ({"length": "4"}, "declares 4 bytes"),
        ({"offset": "200000"}, "cut short"),
    ],
)
def test_maps_are_made_after_the_same_checks(
    tmp_path: Path, change: dict[str, str], words: str
) -> None:
    path = chain_model(tmp_path, 10, 1)
    (tmp_path / "link.bin").symlink_to(tmp_path / "weights.bin")
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.name == "w0")
    for entry in tensor.external_data:
        entry.value = change.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(path)


@pytest.mark.usefixtures("small_memory")
def test_tensors_that_say_more_than_their_file_are_not_mapped(tmp_path: Path) -> None:
    path = chain_model(tmp_path, 10, 1)
    model = onnx.load(path, load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.name == "w0")
    tensor.float_data.append(1.0)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(so.ProblemError, match="w0"):
        so.load_network(path)


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    path = chain_model(tmp_path, 10, 1)
    (tmp_path / "weights.bin").unlink()
    (tmp_path / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(so.ProblemError, match="cannot be read"):
        so.load_network(path)


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_named(tmp_path: Path, bad: float) -> None:
    path = chain_model(tmp_path, 10, 1)
    with open(tmp_path / "weights.bin", "r+b") as file:
        file.seek(4 * (900 + 160 * 7 + 5))
        file.write(np.float32(bad).tobytes())
    with pytest.raises(so.ProblemError, match=r"entry \(7, 5\)"):
        so.load_network(path)


PEAK = """
import json, sys
import onnx, sparseopt as so
from peaks import Peak
from sparseopt.judging import limits
from sparseopt_pathnorm import layer_parts, scaled_layers

limits.HELD_BYTES = int(sys.argv[2])
scaled_layers.KEPT_ENTRIES = layer_parts.MOST_WEIGHTS = int(sys.argv[2]) // 8
so.solve(so.PathNorm(so.load_network(sys.argv[3])))
peak = Peak()
network = so.load_network(sys.argv[1])
norm = so.solve(so.PathNorm(network)).answer.value
bound = so.solve(so.LipschitzBound(network, 1)).answer.value
print(json.dumps([peak.more(), norm, bound]))
"""


def peak_of(folder: Path, channels: int, count: int, held: int) -> float:
    """Return the MiB of anonymous memory that reading and both figures take."""
    (folder / "tiny").mkdir(parents=True)
    model, tiny = chain_model(folder, channels, count), chain_model(folder / "tiny", 1, 1)
    return float(told_by(PEAK, model, held, tiny)[0])


@needs_proc
def test_memory_is_a_fraction_of_the_weights(tmp_path: Path) -> None:
    """64 MiB of weights in layers of 4 MiB, at most 16 MiB of anonymous memory beside the maps."""
    assert peak_of(tmp_path / "map", 64, 16, 1 << 20) < 16


@pytest.mark.slow
@needs_proc
def test_a_gibibyte_takes_no_more(tmp_path: Path) -> None:
    """1 GiB in layers of 64 MiB, at most 320 MiB of anonymous memory."""
    assert peak_of(tmp_path / "map", 256, 16, limits.HELD_BYTES) < 320
