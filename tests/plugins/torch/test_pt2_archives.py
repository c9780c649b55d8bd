""".pt2 files whose archives are damaged or hostile."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from confined import is_decent, outcomes
from pt2_files import edited, refused, write

import sparseopt as so

MODEL = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"


def bad_archives(entries: dict[str, bytes]) -> dict[str, tuple[dict[str, bytes], str]]:
    """Return files that are not programs, with what is said of them."""

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
        "no-json": ({**entries, MODEL: b"{"}, "is not JSON"),
        "deep-json": ({**entries, MODEL: deep}, "is not JSON"),
        "long-number": ({**entries, MODEL: b"9" * 10_000}, "is not JSON"),
        "list": ({**entries, MODEL: b"[]"}, "is not a JSON object"),
        "empty": ({**entries, MODEL: b"{}"}, "schema None"),
        "schema": (edited(entries, MODEL, lambda d: d["schema_version"].update(major=5)),
                   "schema 5, 8 is read; save it again"),
        "sizes-huge": (weight("sizes", huge), "its storage has 12"),
        "sizes-hidden": (weight("sizes", [{"as_int": 0}, huge[0]]), "without entries"),
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
    assert "a method other than deflate" in refused(path)
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
    assert "not a regular file" in refused(tmp_path / "pipe.pt2")


def test_tensors_stored_with_the_other_sign_are_refused(tmp_path: Path) -> None:
    """As torch up to 2.7 wrote them: in pickles, with a bit beside them."""
    negative = torch.complex(torch.ones(2), torch.tensor([3.0, 4.0])).conj().imag

    class Scaled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("b", negative.clone())

        def forward(self, x: torch.Tensor) -> Any:
            return x * self.b

    assert negative.is_neg()
    new, old = tmp_path / "new.pt2", tmp_path / "old.pt2"
    torch.export.save(torch.export.export(Scaled().eval(), (torch.zeros(1, 2),)), new)
    with zipfile.ZipFile(new) as read, zipfile.ZipFile(old, "w") as written:
        program = next(n for n in read.namelist() if n.endswith("models/model.json"))
        written.writestr("serialized_exported_program.json", read.read(program))
        for name, held in (("state_dict", {"b": negative}), ("constants", {})):
            pickled = io.BytesIO()
            torch.save(held, pickled)
            written.writestr(f"serialized_{name}.pt", pickled.getvalue())
        written.writestr("version", "8.8")
    with pytest.raises(so.ProblemError, match="stored as the negative or conjugate"):
        so.load_network(old)
