""".pt2 files: read without running anything of theirs, whatever they hold."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from confined import is_decent, outcomes
from pt2_models import Scaled, old_entries
from torch import nn

import sparseopt as so

Edit = Callable[[dict[str, bytes]], Any]
MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    dims = ({0: torch.export.Dim("n")},)
    return torch.export.export(Scaled().eval(), (torch.zeros(2, 4),), dynamic_shapes=dims)


@pytest.fixture(scope="module")
def entries(program: torch.export.ExportedProgram) -> dict[str, bytes]:
    """Entries of an honest file, without the folder that they are in."""
    stream = io.BytesIO()
    torch.export.save(program, stream)
    with zipfile.ZipFile(stream) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def write(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(f"model/{name}", content)
    return path


def changed(entries: dict[str, bytes], entry: str, old: str, new: str) -> dict[str, bytes]:
    """Return the entries with a text replaced in one of them, where it must occur."""
    text = entries[entry].decode()
    assert old in text
    return {**entries, entry: text.replace(old, new).encode()}


def edited(entries: dict[str, bytes], entry: str, edit: Callable[[Any], Any]) -> dict[str, bytes]:
    document = json.loads(entries[entry])
    edit(document)
    return {**entries, entry: json.dumps(document).encode()}


def refused(path: Path, **more: Any) -> str:
    with pytest.raises(so.ProblemError) as caught:
        so.load_network(path, **more)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


# Honest files -------------------------------------------------------------------------------


def expected(program: torch.export.ExportedProgram, x: np.ndarray) -> np.ndarray:
    return program.module()(torch.from_numpy(x)).detach().numpy()


def test_both_ways_give_the_same_network(
    program: torch.export.ExportedProgram, entries: dict[str, bytes], tmp_path: Path
) -> None:
    first, second = so.load_network(program), so.load_network(write(tmp_path / "a.pt2", entries))
    assert [node.name for node in first.nodes] == [node.name for node in second.nodes]
    assert [node.origin for node in first.nodes] == [node.origin for node in second.nodes]
    assert "layer.weight" in second.parameters()
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    np.testing.assert_array_equal(first.run(x), second.run(x))
    np.testing.assert_allclose(second.run(x), expected(program, x), rtol=1e-5, atol=1e-6)


def write_old(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("layout", ["2.7", "2.8"])
def test_older_layouts(
    layout: str,
    program: torch.export.ExportedProgram,
    entries: dict[str, bytes],
    tmp_path: Path,
) -> None:
    path, old = tmp_path / "old.pt2", old_entries(program)
    if layout == "2.7":
        write_old(path, old)
    else:
        kept = {k: v for k, v in entries.items() if not k.startswith(("data/w", "data/c"))}
        kept["data/weights/model.pt"] = old["serialized_state_dict.pt"]
        kept["data/constants/model.pt"] = old["serialized_constants.pt"]
        write(path, kept)
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    found = so.load_network(path).run(x)
    np.testing.assert_allclose(found, expected(program, x), rtol=1e-5, atol=1e-6)


def test_open_sizes_come_from_the_example(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=4), 3: 6}
    saved = torch.export.export(module, (torch.zeros(2, 1, 8, 6),), dynamic_shapes=(dims,))
    path = tmp_path / "open.pt2"
    torch.export.save(saved, path)
    assert "pass example=" in refused(path)
    assert so.load_network(path, example=np.zeros((1, 1, 9, 6))).input_shape == (1, 9, 6)
    assert "the program takes (?, 1, ?, 6)" in refused(path, example=np.zeros((1, 1, 9, 7)))


def test_values_changed_in_place_and_operators_defined_by_others(tmp_path: Path) -> None:
    class Changed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = 2 * x
            y[:, 0] = 1
            y[:, 1:].relu_()
            return torch.einsum("ni,ij->nj", y, torch.eye(4))

    saved = torch.export.export(Changed(), (torch.zeros(1, 4),))
    path = tmp_path / "changed.pt2"
    torch.export.save(saved, path)
    x = np.random.default_rng(0).standard_normal((1, 4)).astype(np.float32)
    np.testing.assert_allclose(so.load_network(path).run(x), expected(saved, x), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:No complete tensor found")
def test_weights_that_share_memory(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("row", torch.arange(3.0).expand(2, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).relu()) * self.row[0]

    saved = torch.export.export(Tied(), (torch.zeros(1, 3),))
    path = tmp_path / "tied.pt2"
    torch.export.save(saved, path)
    x = np.random.default_rng(0).standard_normal((1, 3)).astype(np.float32)
    np.testing.assert_allclose(so.load_network(path).run(x), expected(saved, x), rtol=1e-5)


# Code ---------------------------------------------------------------------------------------


class Bomb:
    """An object whose unpickling runs a command."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.flag}",)


def bomb(flag: Path) -> bytes:
    stream = io.BytesIO()
    torch.save({"layer.weight": Bomb(flag)}, stream)
    return stream.getvalue()


@pytest.fixture
def flag(tmp_path: Path) -> Any:
    """A file that must not exist when the test is over."""
    place = tmp_path / "was-run"
    yield place
    assert not place.exists()


def test_the_bomb_of_these_tests_goes_off(tmp_path: Path) -> None:
    flag = tmp_path / "was-run"
    torch.load(io.BytesIO(bomb(flag)), weights_only=False)
    assert flag.exists()


def test_example_inputs_are_not_unpickled(
    entries: dict[str, bytes], tmp_path: Path, flag: Path
) -> None:
    trap = {**entries, "data/sample_inputs/model.pt": bomb(flag)}
    path = write(tmp_path / "trap.pt2", trap)
    assert so.load_network(path).output_shape == (2,)
    done = subprocess.run(
        [sys.executable, "-m", "sparseopt", "analyze", "--only", "layer_structure", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("entry", [WEIGHTS, CONSTANTS])
@pytest.mark.parametrize("prefix", ["weight_0", "opaque_obj_0", "custom_obj_0", "constant_0"])
def test_pickled_tensors_and_objects_are_refused_by_name(
    entry: str, prefix: str, entries: dict[str, bytes], tmp_path: Path, flag: Path
) -> None:
    def edit(document: Any) -> None:
        document["config"]["the_trap"] = {
            "path_name": prefix,
            "is_param": False,
            "use_pickle": True,
            "tensor_meta": None,
        }

    trap = edited(entries, entry, edit)
    trap[f"{entry.rpartition('/')[0]}/{prefix}"] = pickle.dumps(Bomb(flag))
    message = refused(write(tmp_path / "trap.pt2", trap))
    assert "'the_trap' is stored as a pickle" in message
    assert "pass the module" in message


@pytest.mark.parametrize("entry", ["serialized_state_dict.pt", "serialized_constants.pt"])
def test_pickles_of_the_old_layout_are_data(
    entry: str, program: torch.export.ExportedProgram, tmp_path: Path, flag: Path
) -> None:
    trap = {**old_entries(program), entry: bomb(flag)}
    assert "the pickle calls posix.system" in refused(write_old(tmp_path / "trap.pt2", trap))


def test_example_inputs_of_the_old_layout_are_not_read(
    program: torch.export.ExportedProgram, tmp_path: Path, flag: Path
) -> None:
    trap = {**old_entries(program), "serialized_example_inputs.pt": bomb(flag)}
    assert so.load_network(write_old(tmp_path / "trap.pt2", trap)).input_shape == (4,)


def test_sizes_are_not_evaluated(entries: dict[str, bytes], tmp_path: Path, flag: Path) -> None:
    """torch gives symbolic sizes to sympy, which evaluates them as Python."""
    command = f"__import__('os').system('touch {flag}')"
    symbol = json.loads(entries[MODEL])["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0][
        "as_expr"
    ]["expr_str"]
    trap = changed(entries, MODEL, f'"expr_str": "{symbol}"', f'"expr_str": "{command}"')
    assert so.load_network(write(tmp_path / "trap.pt2", trap)).input_shape == (4,)

    def open_axis(document: Any) -> None:
        sizes = document["graph_module"]["graph"]["tensor_values"]["x"]["sizes"]
        sizes[1] = {"as_expr": {"expr_str": command, "hint": None}}
        document["range_constraints"] = {command: {"min_val": 0, "max_val": 9}}
        document["guards_code"] = [command]

    trap = edited(trap, MODEL, open_axis)
    assert "pass example=" in refused(write(tmp_path / "trap.pt2", trap))


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.serialization.os.system",
        "torch.hub.load",
        "torch.load",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.__class__.__mro__",
        "torch.ops.aten.relu.__class__",
        "torch.ops.aten._assert_async.msg",
        "torch.ops.aten.as_strided.default",
        "torch.ops.aten.resize_.default",
        "torch.ops.aten.set_.source_Storage",
        "torch.ops.aten.add.out",
        "torch.ops.prims.convert_element_type.default",
        "torch.ops.higher_order.cond",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "operator.add",
        "math.exp",
        "builtins.eval",
        "#aoti:x",
        "",
        "torch.ops.aten.relu.default\x1b[2J",
    ],
)
def test_operators_come_from_a_table(
    target: str, entries: dict[str, bytes], tmp_path: Path, flag: Path
) -> None:
    def edit(document: Any) -> None:
        nodes = document["graph_module"]["graph"]["nodes"]
        node = next(n for n in nodes if "relu" in n["target"])
        node["target"] = target
        node["inputs"] = [{"name": "self", "arg": {"as_string": f"touch {flag}"}, "kind": 1}]

    message = refused(write(tmp_path / "trap.pt2", edited(entries, MODEL, edit)))
    assert "this operator is not among those" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    "name",
    ["x = __import__('os').system('touch FLAG')", "x\n    import os", "lambda", "", "x" * 300, "é"],
)
def test_names_are_identifiers_before_torch_writes_python(
    name: str, entries: dict[str, bytes], tmp_path: Path, flag: Path
) -> None:
    name = name.replace("FLAG", str(flag))
    for old in ("x", "relu", "p_layer_weight"):
        trap = changed(entries, MODEL, f'"{old}"', json.dumps(name))
        assert "is no name of a value" in refused(write(tmp_path / "trap.pt2", trap))


def test_paths_of_modules_are_words(entries: dict[str, bytes], tmp_path: Path, flag: Path) -> None:
    trap = changed(entries, MODEL, "L__self__layer,layer,", "k,a\\u001b[2J\\n,")
    network = so.load_network(write(tmp_path / "trap.pt2", trap))
    assert all(node.name.isprintable() for node in network.nodes)


# Archives -----------------------------------------------------------------------------------


def bad_archives(entries: dict[str, bytes]) -> dict[str, tuple[dict[str, bytes], str]]:
    """Return files that are no programs, with what is said of them."""

    def weight(key: str, value: Any) -> dict[str, bytes]:
        def edit(document: Any) -> None:
            document["config"]["layer.weight"]["tensor_meta"][key] = value

        return edited(entries, WEIGHTS, edit)

    def graph(edit: Callable[[Any], Any]) -> dict[str, bytes]:
        return edited(entries, MODEL, lambda d: edit(d["graph_module"]["graph"]))

    def without(*names: str) -> dict[str, bytes]:
        return {k: v for k, v in entries.items() if k not in names}

    def argument(tag: str, value: Any) -> dict[str, bytes]:
        def edit(document: Any) -> None:
            node = next(n for n in document["nodes"] if "split" in n["target"])
            node["inputs"][1]["arg"] = {tag: value}

        return graph(edit)

    huge = [{"as_int": 1 << 40}, {"as_int": 1 << 40}]
    deep = b"[" * 100_000
    return {
        "no-format": (without("archive_format"), "no entry 'archive_format'"),
        "no-model": (without(MODEL), "holds 0 models"),
        "two-models": ({**entries, "models/other.json": b"{}"}, "holds 2 models"),
        "no-weights": (without(WEIGHTS), "has no entry"),
        "no-weight": (without("data/weights/weight_0"), "has no entry"),
        "order": ({**entries, "byteorder": b"big"}, "in big byte order"),
        "no-json": ({**entries, MODEL: b"{"}, "is no JSON"),
        "deep-json": ({**entries, MODEL: deep}, "is no JSON"),
        "long-number": ({**entries, MODEL: b"9" * 10_000}, "is no JSON"),
        "list": ({**entries, MODEL: b"[]"}, "is no JSON object"),
        "empty": ({**entries, MODEL: b"{}"}, "schema None"),
        "schema": (edited(entries, MODEL, lambda d: d["schema_version"].update(major=5)),
                   "schema 5, 8 is read; save it again"),
        "sizes-huge": (weight("sizes", huge), "its storage has 12"),
        "sizes-negative": (weight("sizes", [{"as_int": -3}, {"as_int": 4}]), "negative"),
        "sizes-text": (weight("sizes", [{"as_int": "3"}]), "damaged"),
        "sizes-open": (weight("sizes", [{"as_expr": {"expr_str": "1"}}]), "damaged"),
        "strides-huge": (weight("strides", huge), "its storage has 12"),
        "strides-negative": (weight("strides", [{"as_int": -1}] * 2), "negative"),
        "offset": (weight("storage_offset", {"as_int": 1}), "its storage has 12"),
        "repeated": (edited(entries, WEIGHTS, lambda d: d["config"]["layer.weight"][
            "tensor_meta"].update(sizes=huge, strides=[{"as_int": 0}] * 2)), "at most"),
        "dtype": (weight("dtype", 10), "dtype not read"),
        "dtype-wide": (weight("dtype", 8), "its storage has 6"),
        "layout": (weight("layout", 1), "sparse"),
        "path": (edited(entries, WEIGHTS, lambda d: d["config"]["layer.weight"].update(
            path_name="../../../../etc/passwd")), "has no entry"),
        "input-huge": (graph(lambda g: g["tensor_values"]["x"].update(sizes=[*huge])), "at most"),
        "input-dtype": (graph(lambda g: g["tensor_values"]["x"].update(dtype=5)), "of floats"),
        "no-nodes": (graph(lambda g: g.update(nodes=[])), "damaged"),
        "nodes-text": (graph(lambda g: g.update(nodes="x")), "damaged"),
        "many-nodes": (graph(lambda g: g.update(nodes=[g["nodes"][0]] * 100_001)), "100001 nodes"),
        "twice": (graph(lambda g: g.update(nodes=[*g["nodes"], *g["nodes"]])), "two values"),
        "backwards": (graph(lambda g: g["nodes"].reverse()), "damaged|cannot be read"),
        "no-inputs": (graph(lambda g: g.update(inputs=[])), "damaged"),
        "argument-graph": (argument("as_graph", {"name": "g", "graph": {}}), "'as_graph'"),
        "argument-operator": (argument("as_operator", "torch.os.system"), "'as_operator'"),
        "argument-object": (argument("as_custom_obj", {"name": "o", "class_fqn": "c"}), "custom"),
        "argument-text": (argument("as_ints", ["2", "1"]), "holds a str"),
        "argument-unknown": (argument("as_secret", 1), "'as_secret'"),
        "argument-misfit": (argument("as_ints", [5, 5]), "cannot be read"),
    }  # fmt: skip


def test_damaged_and_hostile_archives(entries: dict[str, bytes], tmp_path: Path) -> None:
    cases = bad_archives(entries)
    paths = [write(tmp_path / f"{name}.pt2", content) for name, (content, _) in cases.items()]
    found = outcomes(paths)
    wrong = {
        name: text
        for name, text in found.items()
        if not any(words in text for words in cases[name][1].split("|")) or not is_decent(text)
    }
    assert wrong == {}
    assert len(found) == len(cases)


@pytest.mark.parametrize(
    ("target", "inputs"),
    [
        ("zeros.default", [{"name": "size", "arg": {"as_ints": [1 << 40]}, "kind": 1}]),
        ("arange.default", [{"name": "end", "arg": {"as_int": 1 << 50}, "kind": 1}]),
        (
            "expand.default",
            [
                {"name": "self", "arg": {"as_tensor": {"name": "linear"}}, "kind": 1},
                {"name": "size", "arg": {"as_ints": [1 << 40, 3]}, "kind": 1},
            ],
        ),
        (
            "repeat.default",
            [
                {"name": "self", "arg": {"as_tensor": {"name": "b_gain"}}, "kind": 1},
                {"name": "repeats", "arg": {"as_ints": [1 << 40]}, "kind": 1},
            ],
        ),
        (
            "constant_pad_nd.default",
            [
                {"name": "self", "arg": {"as_tensor": {"name": "linear"}}, "kind": 1},
                {"name": "pad", "arg": {"as_ints": [1 << 40, 0]}, "kind": 1},
            ],
        ),
    ],
)
def test_giant_values_are_refused_before_they_are_made(
    target: str, inputs: list[Any], entries: dict[str, bytes], tmp_path: Path
) -> None:
    def edit(document: Any) -> None:
        nodes = document["graph_module"]["graph"]["nodes"]
        node = next(n for n in nodes if "relu" in n["target"])
        node["target"], node["inputs"] = f"torch.ops.aten.{target}", inputs

    path = write(tmp_path / "giant.pt2", edited(entries, MODEL, edit))
    assert "at most" in refused(path)


def test_a_chain_that_doubles_a_value_sixty_times(
    entries: dict[str, bytes], tmp_path: Path
) -> None:
    def edit(document: Any) -> None:
        graph = document["graph_module"]["graph"]
        place = next(i for i, n in enumerate(graph["nodes"]) if "relu" in n["target"])
        relu = graph["nodes"][place]
        made = []
        for i in range(60):
            name = f"d{i}" if i else "linear"
            parts = {"as_tensors": [{"name": name}, {"name": name}]}
            made.append(
                {
                    "target": "torch.ops.aten.cat.default",
                    "inputs": [{"name": "tensors", "arg": parts, "kind": 1}],
                    "outputs": [{"as_tensor": {"name": f"d{i + 1}"}}],
                    "metadata": {},
                }
            )
        graph["nodes"][place:place] = made
        relu["inputs"][0]["arg"]["as_tensor"]["name"] = "d60"

    assert "at most" in refused(write(tmp_path / "chain.pt2", edited(entries, MODEL, edit)))


def test_compressed_entries_are_limited(entries: dict[str, bytes], tmp_path: Path) -> None:
    """Honest compression is read; a gigabyte of zeros in a megabyte is not."""
    path = write(tmp_path / "small.pt2", entries, zipfile.ZIP_DEFLATED)
    assert so.load_network(path).output_shape == (2,)
    bombs = {**entries, "extra/a": bytes(1 << 28)}
    path = write(tmp_path / "large.pt2", bombs, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"model/extra/a") - 46  # its entry in the table of contents
    content[place + 24 : place + 28] = struct.pack("<I", (1 << 32) - 2)
    path.write_bytes(content)
    assert "would inflate to" in refused(path)


def test_strange_archives(entries: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second name
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in [*entries.items(), (MODEL, entries[MODEL])]:
                archive.writestr(f"model/{name}", content)
    assert "occurs twice" in refused(path)
    path = write(tmp_path / "b.pt2", entries, zipfile.ZIP_LZMA)
    assert "another method than deflate" in refused(path)
    path = write(tmp_path / "c.pt2", entries)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 8] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refused(path)
    path = write(tmp_path / "d.pt2", {**entries, "../../escape": b"x", "/escape": b"x"})
    assert so.load_network(path).output_shape == (2,)  # nothing is ever written
    assert not (tmp_path.parent / "escape").exists()
    os.mkfifo(tmp_path / "pipe.pt2")
    assert "no regular file" in refused(tmp_path / "pipe.pt2")
