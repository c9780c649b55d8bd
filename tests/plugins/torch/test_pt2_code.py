""".pt2 files with code in them, none of which runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pt2_files import edited, refused, write, write_old
from pt2_models import old_entries

import sparseopt as so

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


def changed(entries: dict[str, bytes], entry: str, old: str, new: str) -> dict[str, bytes]:
    """Return the entries with a text replaced in one of them, where it must occur."""
    text = entries[entry].decode()
    assert old in text
    return {**entries, entry: text.replace(old, new).encode()}


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
        assert "is not a name of a value" in refused(write(tmp_path / "trap.pt2", trap))


def test_paths_of_modules_are_words(entries: dict[str, bytes], tmp_path: Path, flag: Path) -> None:
    trap = changed(entries, MODEL, "L__self__layer,layer,", "k,a\\u001b[2J\\n,")
    network = so.load_network(write(tmp_path / "trap.pt2", trap))
    assert all(node.name.isprintable() for node in network.nodes)
