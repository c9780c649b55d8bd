"""Modules with weights of safetensors, in memory or larger: the answers are the same."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peaks import needs_proc, told_by
from torch import nn

import sparseopt as so
from sparseopt.judging import limits
from sparseopt.tools.tensor_file import Tensor, write_tensors

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.bool: "BOOL",
}
NORMS = [{}, {"affine": "merged"}, {"q": 2, "r": math.inf}, {"q": 0}]
BOUNDS = [(math.inf, 1), (1, math.inf), (2, 2)]


def write(path: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    """Write tensors as the library safetensors does."""
    made = {}
    for name, tensor in tensors.items():
        data = tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        made[name] = Tensor(NAMES[tensor.dtype], tuple(tensor.shape), data)
    write_tensors(path, made, {"format": "pt"})
    return path


def chain(width: int = 160, count: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(width // 16, width // 16, 3, padding=1)]
    layers += [nn.BatchNorm2d(width // 16), nn.Flatten()]
    for _ in range(count):
        layers += [nn.Linear(width, width), nn.ReLU()]
    module = nn.Sequential(*layers, nn.Linear(width, 3, bias=False)).eval()
    with torch.no_grad():
        module[1].running_mean.normal_()
        module[1].running_var.uniform_(0.5, 2.0)
    return module


def on_meta(width: int = 160, count: int = 2) -> nn.Module:
    with torch.device("meta"):
        return chain(width, count)


EXAMPLE = torch.zeros(1, 10, 4, 4)


@pytest.mark.parametrize("mapped", [False, True])
def test_answers_are_those_of_the_module(
    tmp_path: Path, request: pytest.FixtureRequest, mapped: bool
) -> None:
    module = chain()
    path = write(tmp_path / "w.safetensors", module.state_dict())
    held = so.load_network(module, EXAMPLE)
    norms = [so.solve(so.PathNorm(held, **kind)).answer for kind in NORMS]
    bounds = [so.solve(so.LipschitzBound(held, *kinds)).answer for kinds in BOUNDS]
    if mapped:
        request.getfixturevalue("small_memory")
    empty = on_meta()
    network = so.load_network(empty, EXAMPLE, weights=path)
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    assert any("stay in their files" in note for note in network.notes) == mapped
    assert network.origins == held.origins
    for name, array in held.parameters().items():
        other = network.parameters()[name]
        assert array.dtype == other.dtype
        assert np.array_equal(array, other)
    for kind, norm in zip(NORMS, norms, strict=True):
        solution = so.solve(so.PathNorm(network, **kind))
        assert so.verify(solution).ok
        assert solution.answer.log10 == pytest.approx(norm.log10, rel=1e-13)
        assert solution.answer.exact_powers == norm.exact_powers
    for kinds, bound in zip(BOUNDS, bounds, strict=True):
        solution = so.solve(so.LipschitzBound(network, *kinds))
        assert so.verify(solution).ok
        assert solution.answer.log10 == pytest.approx(bound.log10, rel=1e-6)
    x = np.linspace(-1, 1, 160).reshape(10, 4, 4)
    assert np.allclose(network.run(x), held.run(x), rtol=1e-12)


def test_weights_take_the_place_of_those_of_a_module(tmp_path: Path) -> None:
    first, second = nn.Linear(4, 3).eval(), nn.Linear(4, 3).eval()
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    path = write(tmp_path / "w.safetensors", second.state_dict())
    network = so.load_network(first, torch.zeros(1, 4), weights=str(path))
    x = np.arange(4.0)
    expected = second.double()(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(network.run(x), expected, rtol=1e-12)
    assert all(torch.equal(first.state_dict()[name], t) for name, t in before.items())
    path.unlink()
    assert np.allclose(network.run(x), expected, rtol=1e-12)


def test_a_module_takes_weights_in_its_own_way(tmp_path: Path) -> None:
    """As by its ``load_state_dict``: also where functions and lists hold its tensors."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.listed = [self.layer.weight]
            self.call = lambda x: self.layer(x)
            self.register_load_state_dict_post_hook(lambda module, keys: self.halve())

        def halve(self) -> None:
            with torch.no_grad():
                self.layer.bias.mul_(0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, self.listed[0]) + self.call(x)

    module, other = Odd().eval(), nn.Linear(4, 3)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tensors = {f"layer.{name}": tensor for name, tensor in other.state_dict().items()}
    path = write(tmp_path / "w.safetensors", tensors)
    network = so.load_network(module, torch.zeros(1, 4), weights=path)
    weight, bias = (t.detach().double().numpy() for t in (other.weight, other.bias))
    x = np.arange(4.0)
    assert np.allclose(network.run(x), 2 * weight @ x + bias / 2, rtol=1e-6)
    assert all(torch.equal(module.state_dict()[name], t) for name, t in before.items())
    module.to("meta")
    with pytest.raises(so.ProblemError, match="a way of its own"):
        so.load_network(module, torch.zeros(1, 4), weights=path)


def test_wrong_weights_are_one_sentence(tmp_path: Path) -> None:
    for wrong in (5, [None], []):
        with pytest.raises(so.ProblemError, match="weights="):
            so.load_network(nn.Linear(4, 3), torch.zeros(1, 4), weights=wrong)  # type: ignore[arg-type]
    path = write(tmp_path / "w.safetensors", nn.Linear(4, 3).state_dict())
    with pytest.raises(so.ProblemError, match="run it once"):
        so.load_network(nn.LazyLinear(3), torch.zeros(1, 4), weights=path)


@pytest.mark.usefixtures("small_memory")
def test_files_are_not_written_to(tmp_path: Path) -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(200, 200))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, self.weight.clamp_(-1, 1))

    module = Writes().eval()
    path = write(tmp_path / "w.safetensors", {"weight": 3 * torch.ones(200, 200)})
    before = path.read_bytes()
    network = so.load_network(module, torch.zeros(1, 200), weights=path)
    assert network.notes
    assert path.read_bytes() == before


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtypes_are_those_of_the_file(tmp_path: Path, dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    path = write(tmp_path / "w.safetensors", module.to(dtype).state_dict())
    with torch.device("meta"):
        empty = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    example = torch.zeros(1, 4, dtype=dtype)
    network = so.load_network(empty, example, weights=path)
    right = so.load_network(module, example)
    assert so.solve(so.PathNorm(network)).answer.log10 == so.solve(so.PathNorm(right)).answer.log10


def test_several_files_and_their_index(tmp_path: Path) -> None:
    module = chain()
    items = list(module.state_dict().items())
    paths = [
        write(tmp_path / f"{i}.safetensors", dict(part))
        for i, part in enumerate((items[:4], items[4:]))
    ]
    index = tmp_path / "w.safetensors.index.json"
    places = {name: f"{int(i >= 4)}.safetensors" for i, (name, _) in enumerate(items)}
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    right = so.solve(so.PathNorm(so.load_network(module, EXAMPLE))).answer.log10
    for weights in (paths, index):
        network = so.load_network(on_meta(), EXAMPLE, weights=weights)
        assert so.solve(so.PathNorm(network)).answer.log10 == right
    with pytest.raises(so.ProblemError, match="stands in"):
        so.load_network(on_meta(), EXAMPLE, weights=[*paths, paths[0]])
    for text in ('{"weight_map": {"w": "../w.safetensors"}}', '{"weight_map": 3}', "["):
        index.write_text(text)
        with pytest.raises(so.ProblemError, match=r"outside its own folder|no index"):
            so.load_network(on_meta(), EXAMPLE, weights=index)


def test_an_index_agrees_with_its_files_or_is_refused(tmp_path: Path) -> None:
    items = list(chain().state_dict().items())
    for i, part in enumerate((items[:4], items[4:])):
        write(tmp_path / f"{i}.safetensors", dict(part))
    right = {name: f"{int(i >= 4)}.safetensors" for i, (name, _) in enumerate(items)}
    first, last = items[0][0], items[-1][0]
    lacking = {name: file for name, file in right.items() if name != last}
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "1.safetensors")
    linked = {name: file.replace("1.", "link.") for name, file in right.items()}
    index = tmp_path / "w.safetensors.index.json"
    cases = [
        (
            right | {first: "1.safetensors"},
            rf"'{first}' in '1\.s.* it is in '0\.safetensors' among",
        ),
        (right | {"w": "0.safetensors"}, r"'w' in '0\.safetensors', and it is nowhere among"),
        (lacking, rf"places the tensor '{last}' nowhere, and it is in '1\.safetensors'"),
        (linked, r"names 'link\.safetensors', which is a link"),
        (right | {first: "2.safetensors"}, "does not exist"),
        (right | {first: 3}, "no index"),
    ]
    for places, message in cases:
        index.write_text(json.dumps({"weight_map": places}))
        with pytest.raises(so.ProblemError, match=message):
            so.load_network(on_meta(), EXAMPLE, weights=index)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.two.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.relu(self.one(x)))


def test_tied_tensors_stand_once_in_a_file(tmp_path: Path) -> None:
    module, example = Tied().eval(), torch.zeros(1, 4)
    for name in ("one.weight", "two.weight"):
        path = write(tmp_path / "w.safetensors", {name: module.one.weight})
        with torch.device("meta"):
            empty = Tied().eval()
        network = so.load_network(empty, example, weights=path)
        right = so.load_network(module, example)
        assert network.origins == right.origins
        assert all(
            np.array_equal(array, network.parameters()[key])
            for key, array in right.parameters().items()
        )


def changed(**changes: Any) -> dict[str, torch.Tensor]:
    tensors = {"weight": torch.ones(3, 4), "bias": torch.ones(3)}
    tensors.update(changes)
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (changed(bias=None), r"the files lack, of Linear, 'bias'"),
        (changed(other=torch.ones(1)), r"Linear has no 'other'"),
        (changed(bias=torch.ones(4)), r"'bias' has the shape \(4,\) in .*, and \(3,\) in Linear"),
        (changed(bias=torch.tensor([1.0, math.nan, 1.0])), "nan"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor], words: str
) -> None:
    path = write(tmp_path / "w.safetensors", tensors)
    with pytest.raises(so.ProblemError, match=words):
        so.load_network(nn.Linear(4, 3).eval(), torch.zeros(1, 4), weights=path)


def test_what_weights_are_of(tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", changed())
    with pytest.raises(so.ProblemError, match="holds tensors by name, and not what is computed"):
        so.load_network(path)
    program = torch.export.export(nn.Linear(4, 3).eval(), (torch.zeros(1, 4),))
    for source in (program, so.load_network(nn.Linear(4, 3).eval(), torch.zeros(1, 4))):
        with pytest.raises(so.ProblemError, match="has its own weights"):
            so.load_network(source, weights=path)
    with pytest.raises(so.ProblemError, match="takes no weights="):
        so.load_network("examples/networks/digits_mlp.onnx", weights=path)
    with pytest.raises(so.ProblemError, match="names no file"):
        so.load_network(nn.Linear(4, 3).eval(), torch.zeros(1, 4), weights=[])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(so.ProblemError, match="its header names"):
        so.load_network(nn.Linear(4, 3).eval(), torch.zeros(1, 4), weights=path)


def test_computed_buffers_must_be_computed(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.register_buffer("scale", torch.ones(3), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) * self.scale

    module = Scaled().eval()
    path = write(tmp_path / "w.safetensors", module.state_dict())
    so.load_network(module, torch.zeros(1, 4), weights=path)
    with torch.device("meta"):
        empty = Scaled().eval()
    with pytest.raises(so.ProblemError, match="the buffer 'scale' is on the meta device"):
        so.load_network(empty, torch.zeros(1, 4), weights=path)


def test_the_library_of_that_name_writes_what_is_read(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    module, path = chain(), tmp_path / "w.safetensors"
    library.save_file(module.state_dict(), path)
    network = so.load_network(on_meta(), EXAMPLE, weights=path)
    right = so.load_network(module, EXAMPLE)
    assert so.solve(so.PathNorm(network)).answer == so.solve(so.PathNorm(right)).answer


PEAK = """
import json, sys
import torch, sparseopt as so
from torch import nn
from peaks import Peak
from sparseopt.judging import limits
from sparseopt_pathnorm import layer_parts, scaled_layers

path, held, width, count = sys.argv[1], *map(int, sys.argv[2:])
limits.HELD_BYTES = held
scaled_layers.KEPT_ENTRIES = layer_parts.MOST_WEIGHTS = held // 8

def chain(width, count):
    layers = []
    for _ in range(count):
        layers += [nn.Linear(width, width, bias=False), nn.ReLU()]
    return nn.Sequential(*layers).eval()

so.solve(so.PathNorm(so.load_network(chain(4, 2), torch.zeros(1, 4))))
with torch.device("meta"):
    module = chain(width, count)
peak = Peak()
network = so.load_network(module, torch.zeros(1, width), weights=path)
norm = so.solve(so.PathNorm(network)).answer.value
bound = so.solve(so.LipschitzBound(network, 1)).answer.value
print(json.dumps([peak.more(), norm, bound]))
"""


def peak_of(path: Path, width: int, count: int, held: int) -> float:
    """Return the MiB of anonymous memory that reading and both figures take."""
    rng = np.random.default_rng(0)
    header, start = {}, 0
    for i in range(count):
        stop = start + 4 * width * width
        header[f"{2 * i}.weight"] = {
            "dtype": "F32",
            "shape": [width, width],
            "data_offsets": [start, stop],
        }
        start = stop
    head = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for _ in range(count * width):
            row = rng.standard_normal(width, dtype=np.float32) / np.float32(math.sqrt(width))
            file.write(row.tobytes())
    return float(told_by(PEAK, path, held, width, count)[0])


@needs_proc
def test_memory_is_a_fraction_of_the_weights(tmp_path: Path) -> None:
    """64 MiB of weights in layers of 4 MiB."""
    assert peak_of(tmp_path / "w.safetensors", 1024, 16, 1 << 20) < 32


@pytest.mark.slow
@needs_proc
def test_a_gibibyte_takes_no_more(tmp_path: Path) -> None:
    """1 GiB in layers of 64 MiB."""
    assert peak_of(tmp_path / "w.safetensors", 4096, 16, limits.HELD_BYTES) < 320
